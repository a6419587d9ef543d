/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_DEBUGFS_H__
#define __HEARTH_DEBUGFS_H__

struct drm_minor;

void hearth_debugfs_init(struct drm_minor *minor);

#endif /* __HEARTH_DEBUGFS_H__ */
