/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_RESET_H__
#define __HEARTH_RESET_H__

struct hearth_device;

void hearth_reset_init(struct hearth_device *hdev);

/* Asks for a reset. Any context. */
void hearth_reset_schedule(struct hearth_device *hdev);

/* Returns when no reset is pending or running. Not from hearth_device.wq. */
void hearth_reset_wait(struct hearth_device *hdev);

/* The firmware does not boot any more: the device takes no work from now on. */
void hearth_reset_failed(struct hearth_device *hdev, int error);

#endif /* __HEARTH_RESET_H__ */
