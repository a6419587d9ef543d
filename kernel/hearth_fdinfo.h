/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_FDINFO_H__
#define __HEARTH_FDINFO_H__

struct drm_file;
struct drm_printer;

void hearth_show_fdinfo(struct drm_printer *p, struct drm_file *file);

#endif /* __HEARTH_FDINFO_H__ */
