/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_DEBUGFS_H__
#define __HEARTH_DEBUGFS_H__

struct hearth_device;

/* Before the device is registered. */
void hearth_debugfs_init(struct hearth_device *hdev);

#endif /* __HEARTH_DEBUGFS_H__ */
