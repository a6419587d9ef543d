/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_GEM_H__
#define __HEARTH_GEM_H__

#include <linux/container_of.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <drm/drm_gem.h>

#include "hearth_budget.h"

struct dma_buf;
struct dma_buf_attachment;
struct drm_device;
struct drm_file;
struct hearth_device;
struct hearth_store;
struct page;
struct sg_table;
struct vm_area_struct;

/**
 * struct hearth_bo - buffer object
 */
struct hearth_bo {
	/** @base: GEM object; its shmem file backs the pages. */
	struct drm_gem_object base;

	/**
	 * @lock: Protects @pages, @sgt_rw of buffers that are not imported.
	 * Taken after the reservation and after mmap_lock; pages are
	 * allocated under it.
	 */
	struct mutex lock;

	/**
	 * @gpuva_lock: Protects the lists of mappings of @base. Taken in the
	 * path that signals fences, after hearth_vm.op_lock: no memory is
	 * allocated under it.
	 */
	struct mutex gpuva_lock;

	/**
	 * @pages: Backing pages, from the first mapping on either side to the
	 * end of the object. NULL for imported buffers.
	 */
	struct page **pages;

	/**
	 * @sgt_rw: Mapped for the device in both directions. Of an imported
	 * buffer, protected by its reservation.
	 */
	struct sg_table *sgt_rw;

	/**
	 * @sgt_ro: Imported buffers only: mapped DMA_TO_DEVICE, for binds that
	 * are read-only, so that the system's IOMMU enforces it as well.
	 * Protected by the reservation.
	 */
	struct sg_table *sgt_ro;

	/**
	 * @attach_ro: Attachment behind @sgt_ro. An exporter may keep a mapping
	 * for each attachment, with its direction, until that is detached; so
	 * there is one for each direction, and none of them is GEM's own.
	 * Protected by the reservation.
	 */
	struct dma_buf_attachment *attach_ro;

	/** @attach_rw: Attachment behind @sgt_rw; the reservation. */
	struct dma_buf_attachment *attach_rw;

	/**
	 * @charge: What it costs, from the first mapping on. Nobody pays for
	 * imported buffers, and stores have a charge of their own. @lock.
	 */
	struct hearth_charge charge;

	/**
	 * @store: Where pages come from that need not be resident, with a
	 * reference, or NULL: then they are @pages. Immutable.
	 */
	struct hearth_store *store;

	/** @store_first: Its first extent in @store. Immutable. */
	u32 store_first;

	/** @flags: Mask of &enum drm_hearth_bo_flags. Immutable. */
	u32 flags;

	/** @wc: CPU mappings are write-combined. Immutable. */
	bool wc;

	/** @node: Entry in hearth_mm.bos. */
	struct list_head node;

	/** @unplugged: hearth_mm_unplug() has been here; hearth_mm.lock. */
	bool unplugged;
};

static inline struct hearth_bo *to_hearth_bo(struct drm_gem_object *obj)
{
	return container_of(obj, struct hearth_bo, base);
}

u64 hearth_gem_max_bytes(struct hearth_device *hdev);

/* struct drm_driver.gem_prime_import */
struct drm_gem_object *hearth_gem_prime_import(struct drm_device *drm, struct dma_buf *dma_buf);

/* For hearth_prime.c. */
struct hearth_bo *hearth_bo_alloc(struct drm_device *drm, u32 flags);
int hearth_bo_get_pages_locked(struct hearth_bo *bo);

/* hearth_gem_state.c: a new buffer with its memory becomes one of state. */
int hearth_bo_init_state(struct hearth_bo *bo);
/* Consumes the reference to the buffer that the mapping has. */
int hearth_bo_mmap_state(struct hearth_bo *bo, struct vm_area_struct *vma);

u64 hearth_bo_resident_bytes(struct hearth_bo *bo);
struct sg_table *hearth_bo_map_dma(struct hearth_bo *bo, bool readonly);
void hearth_bo_unplug(struct hearth_bo *bo);

int hearth_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_bo_create_file(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_bo_resize(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_bo_advise(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_GEM_H__ */
