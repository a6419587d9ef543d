/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_SYSFS_H__
#define __HEARTH_SYSFS_H__

struct attribute_group;

/* For the driver of the bus: they are there while the device is bound. */
extern const struct attribute_group *hearth_sysfs_groups[];

#endif /* __HEARTH_SYSFS_H__ */
