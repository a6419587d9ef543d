/* SPDX-License-Identifier: GPL-2.0 */
/* Between the files hearth_fw*.c only. */
#ifndef __HEARTH_FW_PRIV_H__
#define __HEARTH_FW_PRIV_H__

#include "hearth_fw.h"

#define HEARTH_ADMIN_ENTRIES	64
#define HEARTH_ADMIN_BYTES	(HEARTH_ADMIN_ENTRIES * sizeof(struct hearth_hw_admin))
#define HEARTH_EVENT_ENTRIES	256
#define HEARTH_EVENT_BYTES	(HEARTH_EVENT_ENTRIES * sizeof(struct hearth_hw_event))

void hearth_fw_set_state(struct hearth_device *hdev, enum hearth_fw_state state);

/* Posts an admin entry, without its cookie, and waits for the answer. */
int hearth_fw_call(struct hearth_device *hdev, struct hearth_hw_admin *entry);

/* An answer came. False if nobody asked. */
bool hearth_fw_answer(struct hearth_device *hdev, u32 cookie, u32 hw_error);

#endif /* __HEARTH_FW_PRIV_H__ */
