/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_PM_H__
#define __HEARTH_PM_H__

#include <linux/pm.h>

struct hearth_device;

extern const struct dev_pm_ops hearth_pm_ops;

/* From the end of probe to the begin of remove. */
void hearth_pm_start(struct hearth_device *hdev);
void hearth_pm_fini(struct hearth_device *hdev);

/* Somebody resets the device from outside; in between it is stopped. */
int hearth_pm_reset_prepare(struct hearth_device *hdev);
void hearth_pm_reset_done(struct hearth_device *hdev);

/* Wakes the device, sleeps. -EIO if it cannot be woken. */
int hearth_pm_get(struct hearth_device *hdev);

/* For one who is covered by a reference already. Atomic. */
void hearth_pm_get_noresume(struct hearth_device *hdev);
void hearth_pm_put(struct hearth_device *hdev);

#endif /* __HEARTH_PM_H__ */
