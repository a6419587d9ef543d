/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_PRIME_H__
#define __HEARTH_PRIME_H__

#include <linux/types.h>

struct dma_buf;
struct drm_device;
struct drm_gem_object;
struct hearth_bo;
struct hearth_store;
struct sg_table;

struct dma_buf *hearth_prime_export(struct drm_gem_object *obj, int flags);
struct sg_table *hearth_prime_get_sg_table(struct drm_gem_object *obj);
struct sg_table *hearth_prime_map_dma(struct hearth_bo *bo, bool readonly);
void hearth_prime_unmap_dma(struct hearth_bo *bo);
/* What @obj shows of another device of ours, or NULL. */
struct hearth_store *hearth_prime_peer_store(struct drm_gem_object *obj);

#endif /* __HEARTH_PRIME_H__ */
