// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers that are shared with other devices, both ways.
 *
 * A foreign buffer is attached when it is imported and mapped when it is
 * bound, because only then is it known whether the device will write to it:
 * a read-only bind maps DMA_TO_DEVICE, which the system's IOMMU enforces and
 * which spares the exporter the cleaning of caches.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_prime.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_mmu.h"
#include "hearth_prime.h"
#include "hearth_store.h"
#include "hearth_vm.h"

struct sg_table *hearth_prime_get_sg_table(struct drm_gem_object *obj)
{
	struct hearth_bo *bo = to_hearth_bo(obj);
	int ret;

	mutex_lock(&bo->lock);
	ret = hearth_bo_get_pages_locked(bo);
	mutex_unlock(&bo->lock);
	if (ret)
		return ERR_PTR(ret);

	return drm_prime_pages_to_sg(obj->dev, bo->pages, obj->size >> PAGE_SHIFT);
}

/* What an importer has mapped; protected by the reservation. */
struct hearth_attachment {
	struct sg_table *sgt;
	enum dma_data_direction dir;
};

static int hearth_prime_attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	struct hearth_attachment *a = kzalloc(sizeof(*a), GFP_KERNEL);

	attach->priv = a;
	return a ? 0 : -ENOMEM;
}

static void hearth_prime_detach(struct dma_buf *dma_buf, struct dma_buf_attachment *attach)
{
	kfree(attach->priv);
}

static void hearth_prime_put_pages(struct page **pages, u64 count)
{
	while (count--)
		put_page(pages[count]);
}

static u64 hearth_prime_count_pages(struct hearth_bo *bo)
{
	return hearth_store_range_pages(bo->store, bo->store_first,
					bo->base.size >> HEARTH_EXTENT_SHIFT);
}

/* With a pin, and a reference to each page. */
static struct sg_table *hearth_prime_pin_store(struct hearth_bo *bo)
{
	u32 extents = bo->base.size >> HEARTH_EXTENT_SHIFT;
	u64 count = hearth_prime_count_pages(bo);
	struct sg_table *sgt;
	struct page **pages;
	int ret;

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return ERR_PTR(-ENOMEM);
	ret = hearth_store_pin(bo->store, bo->store_first, extents, pages);
	sgt = ret ? ERR_PTR(ret) : drm_prime_pages_to_sg(bo->base.dev, pages, count);
	if (!ret && IS_ERR(sgt)) {
		hearth_prime_put_pages(pages, count);
		hearth_store_unpin(bo->store);
	}
	kvfree(pages);
	return sgt;
}

static struct sg_table *hearth_prime_get_sgt(struct hearth_bo *bo)
{
	return bo->store ? hearth_prime_pin_store(bo) : hearth_prime_get_sg_table(&bo->base);
}

static void hearth_prime_put_sgt(struct hearth_bo *bo, struct sg_table *sgt)
{
	struct sg_page_iter iter;

	if (bo->store) {
		for_each_sgtable_page(sgt, &iter, 0)
			put_page(sg_page_iter_page(&iter));
		hearth_store_unpin(bo->store);
	}
	sg_free_table(sgt);
	kfree(sgt);
}

/*
 * Not drm_gem_map_dma_buf(): that one never cleans caches, but the importer
 * may be less coherent than the NPU, and the CPU's mapping is cached.
 */
static struct sg_table *hearth_prime_map(struct dma_buf_attachment *attach,
					 enum dma_data_direction dir)
{
	struct hearth_bo *bo = to_hearth_bo(attach->dmabuf->priv);
	struct hearth_attachment *a = attach->priv;
	struct sg_table *sgt;
	int ret;

	if (dir == DMA_NONE)
		return ERR_PTR(-EINVAL);
	/* Nobody writes to a file in this way. */
	if (bo->store && dir != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	if (a->sgt)
		return ERR_PTR(-EBUSY);

	sgt = hearth_prime_get_sgt(bo);
	if (IS_ERR(sgt))
		return sgt;

	ret = dma_map_sgtable(attach->dev, sgt, dir, 0);
	if (ret) {
		hearth_prime_put_sgt(bo, sgt);
		return ERR_PTR(ret);
	}
	a->sgt = sgt;
	a->dir = dir;
	return sgt;
}

static void hearth_prime_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			       enum dma_data_direction dir)
{
	struct hearth_attachment *a = attach->priv;

	a->sgt = NULL;
	dma_unmap_sgtable(attach->dev, sgt, dir, 0);
	hearth_prime_put_sgt(to_hearth_bo(attach->dmabuf->priv), sgt);
}

/* The CPU's cached mapping and importers that do not snoop take turns. */
static void hearth_prime_sync(struct dma_buf *dma_buf, bool for_cpu)
{
	struct dma_buf_attachment *attach;

	dma_resv_lock(dma_buf->resv, NULL);
	list_for_each_entry(attach, &dma_buf->attachments, node) {
		struct hearth_attachment *a = attach->priv;

		if (!a->sgt)
			continue;
		if (for_cpu)
			dma_sync_sgtable_for_cpu(attach->dev, a->sgt, a->dir);
		else
			dma_sync_sgtable_for_device(attach->dev, a->sgt, a->dir);
	}
	dma_resv_unlock(dma_buf->resv);
}

static int hearth_prime_begin_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction dir)
{
	hearth_prime_sync(dma_buf, true);
	return 0;
}

static int hearth_prime_end_cpu_access(struct dma_buf *dma_buf, enum dma_data_direction dir)
{
	hearth_prime_sync(dma_buf, false);
	return 0;
}

static const struct dma_buf_ops hearth_prime_dmabuf_ops = {
	.attach = hearth_prime_attach,
	.detach = hearth_prime_detach,
	.map_dma_buf = hearth_prime_map,
	.unmap_dma_buf = hearth_prime_unmap,
	.release = drm_gem_dmabuf_release,
	.mmap = drm_gem_dmabuf_mmap,
	.begin_cpu_access = hearth_prime_begin_cpu_access,
	.end_cpu_access = hearth_prime_end_cpu_access,
};

struct dma_buf *hearth_prime_export(struct drm_gem_object *obj, int flags)
{
	struct hearth_bo *bo = to_hearth_bo(obj);
	struct drm_device *drm = obj->dev;
	struct dma_buf_export_info info = {
		.exp_name = KBUILD_MODNAME,
		.owner = drm->driver->fops->owner,
		.ops = &hearth_prime_dmabuf_ops,
		.size = obj->size,
		.flags = flags,
		.resv = obj->resv,
		.priv = obj,
	};

	/* It is private, and importers do not expect that it changes its size. */
	if (bo->flags & DRM_HEARTH_BO_STATE)
		return ERR_PTR(-EOPNOTSUPP);
	if (bo->store && (flags & O_ACCMODE) != O_RDONLY)
		return ERR_PTR(-EACCES);
	if (bo->store)
		info.size = hearth_prime_count_pages(bo) << PAGE_SHIFT;
	return drm_gem_dmabuf_export(drm, &info);
}

static struct drm_gem_object *hearth_prime_import_foreign(struct drm_device *drm,
							  struct dma_buf *dma_buf)
{
	struct dma_buf_attachment *attach;
	struct hearth_bo *bo;

	if (!dma_buf->size || !PAGE_ALIGNED(dma_buf->size) ||
	    dma_buf->size > hearth_vm_end(to_hearth_device(drm)) - HEARTH_VA_START)
		return ERR_PTR(-EINVAL);

	bo = hearth_bo_alloc(drm, 0);
	if (!bo)
		return ERR_PTR(-ENOMEM);

	attach = dma_buf_attach(dma_buf, drm->dev);
	if (IS_ERR(attach)) {
		kfree(bo);
		return ERR_CAST(attach);
	}
	get_dma_buf(dma_buf);

	bo->base.resv = dma_buf->resv;
	drm_gem_private_object_init(drm, &bo->base, dma_buf->size);
	bo->base.import_attach = attach;
	hearth_gem_gpuva_set_lock(&bo->base, &bo->gpuva_lock);
	hearth_mm_add_bo(&to_hearth_device(drm)->mm, bo);
	return &bo->base;
}

struct drm_gem_object *hearth_gem_prime_import(struct drm_device *drm, struct dma_buf *dma_buf)
{
	struct drm_gem_object *obj = dma_buf->priv;

	if (dma_buf->ops != &hearth_prime_dmabuf_ops || obj->dev != drm)
		return hearth_prime_import_foreign(drm, dma_buf);

	/* Our own, come home. */
	drm_gem_object_get(obj);
	return obj;
}

/* The buffer keeps it, by way of the dma-buf and the other device's buffer. */
struct hearth_store *hearth_prime_peer_store(struct drm_gem_object *obj)
{
	struct dma_buf *dma_buf;

	if (!obj->import_attach)
		return NULL;

	dma_buf = obj->import_attach->dmabuf;
	if (dma_buf->ops != &hearth_prime_dmabuf_ops)
		return NULL;
	return to_hearth_bo(dma_buf->priv)->store;
}

static struct sg_table *hearth_prime_map_attachment(struct hearth_bo *bo,
						    struct dma_buf_attachment *attach,
						    enum dma_data_direction dir)
{
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(bo->base.resv);

	sgt = dma_buf_map_attachment(attach, dir);
	if (IS_ERR(sgt))
		return sgt;

	ret = hearth_sg_check(sgt, bo->base.size);
	if (ret) {
		dma_buf_unmap_attachment(attach, sgt, dir);
		return ERR_PTR(ret);
	}
	return sgt;
}

static struct dma_buf_attachment **hearth_prime_attachment(struct hearth_bo *bo, bool readonly)
{
	return readonly ? &bo->attach_ro : &bo->attach_rw;
}

/* Takes over @spare if there is no such attachment yet. */
static struct sg_table *hearth_prime_map_locked(struct hearth_bo *bo, bool readonly,
						struct dma_buf_attachment **spare)
{
	enum dma_data_direction dir = readonly ? DMA_TO_DEVICE : DMA_BIDIRECTIONAL;
	struct dma_buf_attachment **attach = hearth_prime_attachment(bo, readonly);
	struct sg_table **slot = readonly ? &bo->sgt_ro : &bo->sgt_rw;
	struct sg_table *sgt;

	if (!*attach)
		swap(*attach, *spare);
	if (*slot)
		return *slot;

	sgt = hearth_prime_map_attachment(bo, *attach, dir);
	if (!IS_ERR(sgt))
		*slot = sgt;
	return sgt;
}

static struct sg_table *hearth_prime_attach_and_map(struct hearth_bo *bo, bool readonly)
{
	struct dma_buf *dma_buf = bo->base.import_attach->dmabuf;
	struct dma_buf_attachment *spare = NULL;
	struct sg_table *sgt;
	int ret;

	/* It may take the reservation. */
	if (!READ_ONCE(*hearth_prime_attachment(bo, readonly))) {
		spare = dma_buf_attach(dma_buf, bo->base.dev->dev);
		if (IS_ERR(spare))
			return ERR_CAST(spare);
	}

	ret = dma_resv_lock_interruptible(bo->base.resv, NULL);
	if (ret) {
		sgt = ERR_PTR(ret);
	} else {
		sgt = hearth_prime_map_locked(bo, readonly, &spare);
		dma_resv_unlock(bo->base.resv);
	}
	if (spare)
		dma_buf_detach(dma_buf, spare);
	return sgt;
}

/* The device's view of a foreign buffer, for as long as we have it. */
struct sg_table *hearth_prime_map_dma(struct hearth_bo *bo, bool readonly)
{
	struct sg_table *sgt;
	int idx;

	if (!drm_dev_enter(bo->base.dev, &idx))
		return ERR_PTR(-ENODEV);

	sgt = hearth_prime_attach_and_map(bo, readonly);
	drm_dev_exit(idx);
	return sgt;
}

/*
 * The device no longer has it: at its removal, or at the end of the buffer. An
 * exporter may keep a mapping until its attachment goes, so that goes as well.
 */
void hearth_prime_unmap_dma(struct hearth_bo *bo)
{
	struct dma_buf *dma_buf = bo->base.import_attach->dmabuf;
	struct dma_buf_attachment *attach_ro, *attach_rw;

	dma_resv_lock(bo->base.resv, NULL);
	attach_ro = bo->attach_ro;
	attach_rw = bo->attach_rw;
	if (bo->sgt_ro)
		dma_buf_unmap_attachment(attach_ro, bo->sgt_ro, DMA_TO_DEVICE);
	if (bo->sgt_rw)
		dma_buf_unmap_attachment(attach_rw, bo->sgt_rw, DMA_BIDIRECTIONAL);
	bo->sgt_ro = NULL;
	bo->sgt_rw = NULL;
	bo->attach_ro = NULL;
	bo->attach_rw = NULL;
	dma_resv_unlock(bo->base.resv);

	if (attach_ro)
		dma_buf_detach(dma_buf, attach_ro);
	if (attach_rw)
		dma_buf_detach(dma_buf, attach_rw);
}
