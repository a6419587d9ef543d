// SPDX-License-Identifier: GPL-2.0
/*
 * Buffer objects: anonymous memory that the CPU and the device share.
 *
 * Pages are allocated when the buffer is first mapped, on either side, and
 * mapped for the device at once. That order matters where the device is not
 * coherent: the zeros are written back to memory before anybody maps the
 * pages around the cache.
 */
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_prime.h>
#include <drm/drm_vma_manager.h>
#include <drm/hearth_accel.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_prime.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/*
 * A buffer that is larger than this can never be resident beside the rest of
 * the system; those who need more need more than one.
 */
u64 hearth_gem_max_bytes(struct hearth_device *hdev)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;

	return min(hearth_vm_end(hdev) - HEARTH_VA_START, PAGE_ALIGN_DOWN(ram / 4 * 3));
}

static bool hearth_bo_wants_wc(struct drm_device *drm)
{
#ifdef CONFIG_X86
	/* Devices snoop, and other attributes of RAM would be a conflict. */
	return false;
#else
	return !dev_is_dma_coherent(drm->dev);
#endif
}

/* Maps the pages for the device; a device that is gone needs none. */
static int hearth_bo_map_pages(struct hearth_bo *bo, struct page **pages)
{
	struct drm_device *drm = bo->base.dev;
	struct sg_table *sgt;
	int ret, idx;

	if (!drm_dev_enter(drm, &idx))
		return 0;

	sgt = drm_prime_pages_to_sg(drm, pages, bo->base.size >> PAGE_SHIFT);
	if (IS_ERR(sgt)) {
		ret = PTR_ERR(sgt);
		goto out_exit;
	}

	ret = dma_map_sgtable(drm->dev, sgt, DMA_BIDIRECTIONAL, 0);
	if (!ret)
		ret = hearth_sg_check(sgt, bo->base.size);
	if (ret) {
		dma_unmap_sgtable(drm->dev, sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(sgt);
		kfree(sgt);
		goto out_exit;
	}
	bo->sgt_rw = sgt;

out_exit:
	drm_dev_exit(idx);
	return ret;
}

/* Before there are pages: a mmap() can be refused, a fault can only kill. */
static int hearth_bo_charge_locked(struct hearth_bo *bo)
{
	lockdep_assert_held(&bo->lock);

	if (!bo->charge.account || bo->charge.bytes)
		return 0;
	return hearth_budget_charge(to_hearth_device(bo->base.dev), &bo->charge, bo->base.size,
				    DRM_HEARTH_CLASS_NORMAL);
}

int hearth_bo_get_pages_locked(struct hearth_bo *bo)
{
	struct page **pages;
	int ret;

	lockdep_assert_held(&bo->lock);

	if (bo->pages)
		return 0;
	ret = hearth_bo_charge_locked(bo);
	if (ret)
		return ret;

	pages = drm_gem_get_pages(&bo->base);
	if (IS_ERR(pages))
		return PTR_ERR(pages);

	ret = hearth_bo_map_pages(bo, pages);
	if (ret) {
		drm_gem_put_pages(&bo->base, pages, false, false);
		return ret;
	}

	WRITE_ONCE(bo->pages, pages);
	return 0;
}

/* The device's view of a buffer without a store, for as long as the buffer lives. */
struct sg_table *hearth_bo_map_dma(struct hearth_bo *bo, bool readonly)
{
	struct sg_table *sgt;
	int ret;

	if (bo->base.import_attach)
		return hearth_prime_map_dma(bo, readonly);

	mutex_lock(&bo->lock);
	ret = hearth_bo_get_pages_locked(bo);
	sgt = bo->sgt_rw;
	mutex_unlock(&bo->lock);

	if (ret)
		return ERR_PTR(ret);
	return sgt ?: ERR_PTR(-ENODEV);
}

static void hearth_bo_unmap_pages_locked(struct hearth_bo *bo)
{
	if (!bo->sgt_rw)
		return;

	dma_unmap_sgtable(bo->base.dev->dev, bo->sgt_rw, DMA_BIDIRECTIONAL, 0);
	sg_free_table(bo->sgt_rw);
	kfree(bo->sgt_rw);
	bo->sgt_rw = NULL;
}

void hearth_bo_unplug(struct hearth_bo *bo)
{
	if (bo->base.import_attach) {
		hearth_prime_unmap_dma(bo);
		return;
	}
	/* Stores were seen to. */
	if (bo->store)
		return;

	mutex_lock(&bo->lock);
	hearth_bo_unmap_pages_locked(bo);
	mutex_unlock(&bo->lock);
}

u64 hearth_bo_resident_bytes(struct hearth_bo *bo)
{
	bool resident = READ_ONCE(bo->pages) || READ_ONCE(bo->sgt_rw) || READ_ONCE(bo->sgt_ro);

	if (bo->store)
		return hearth_store_resident_bytes(bo->store, bo->store_first,
						   bo->base.size >> HEARTH_EXTENT_SHIFT);
	return resident ? bo->base.size : 0;
}

static void hearth_gem_free(struct drm_gem_object *obj)
{
	struct hearth_bo *bo = to_hearth_bo(obj);

	if (obj->import_attach) {
		hearth_prime_unmap_dma(bo);
		drm_prime_gem_destroy(obj, NULL);
	}
	hearth_bo_unmap_pages_locked(bo);
	if (bo->pages)
		drm_gem_put_pages(obj, bo->pages, true, true);
	if (bo->store) {
		atomic_dec(&bo->store->keep.nr_bos);
		hearth_store_put(bo->store);
	}
	hearth_budget_uncharge(to_hearth_device(obj->dev), &bo->charge, U64_MAX);
	hearth_charge_fini(&bo->charge);

	hearth_mm_del_bo(&to_hearth_device(obj->dev)->mm, bo);
	drm_gem_object_release(obj);
	mutex_destroy(&bo->gpuva_lock);
	mutex_destroy(&bo->lock);
	kfree(bo);
}

static enum drm_gem_object_status hearth_gem_status(struct drm_gem_object *obj)
{
	return hearth_bo_resident_bytes(to_hearth_bo(obj)) ? DRM_GEM_OBJECT_RESIDENT : 0;
}

static vm_fault_t hearth_gem_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *obj = vmf->vma->vm_private_data;
	struct hearth_bo *bo = to_hearth_bo(obj);
	pgoff_t i = vmf->pgoff - drm_vma_node_start(&obj->vma_node);
	int ret;

	if (i >= obj->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	mutex_lock(&bo->lock);
	ret = hearth_bo_get_pages_locked(bo);
	mutex_unlock(&bo->lock);
	if (ret)
		return vmf_error(ret);

	/*
	 * With a reference, not as a raw frame: direct I/O and other users of
	 * get_user_pages() then work on the mapping.
	 */
	vmf->page = bo->pages[i];
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct hearth_gem_vm_ops = {
	.fault = hearth_gem_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static int hearth_gem_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	struct hearth_bo *bo = to_hearth_bo(obj);
	int ret;

	if (obj->import_attach)
		return -EINVAL;
	if (bo->flags & DRM_HEARTH_BO_NO_MMAP)
		return -EPERM;
	/* A private copy of a buffer is not the buffer. */
	if (hearth_vma_is_cow_mapping(vma))
		return -EINVAL;
	if (bo->flags & DRM_HEARTH_BO_STATE)
		return hearth_bo_mmap_state(bo, vma);

	mutex_lock(&bo->lock);
	ret = hearth_bo_charge_locked(bo);
	mutex_unlock(&bo->lock);
	if (ret)
		return ret;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	if (bo->wc)
		vma->vm_page_prot = pgprot_writecombine(vm_get_page_prot(vma->vm_flags));
	return 0;
}

static const struct drm_gem_object_funcs hearth_gem_funcs = {
	.free = hearth_gem_free,
	.export = hearth_prime_export,
	.get_sg_table = hearth_prime_get_sg_table,
	.mmap = hearth_gem_mmap,
	.vm_ops = &hearth_gem_vm_ops,
	.status = hearth_gem_status,
};

/* An object without backing; the caller puts it in the device's list. */
struct hearth_bo *hearth_bo_alloc(struct drm_device *drm, u32 flags)
{
	struct hearth_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL_ACCOUNT);

	if (!bo)
		return NULL;

	mutex_init(&bo->lock);
	mutex_init(&bo->gpuva_lock);
	bo->base.funcs = &hearth_gem_funcs;
	bo->flags = flags;
	bo->wc = hearth_bo_wants_wc(drm);
	INIT_LIST_HEAD(&bo->node);
	return bo;
}

/*
 * Memory of a state may be huge pages. That of others not: it is mapped by offsets of
 * the DRM file, which may lie otherwise than a huge page has to.
 */
static int hearth_bo_init_object(struct drm_device *drm, struct hearth_bo *bo, u64 size)
{
	struct vfsmount *huge = to_hearth_device(drm)->mm.huge;
	struct file *shmem;

	if (!huge || !(bo->flags & DRM_HEARTH_BO_STATE))
		return drm_gem_object_init(drm, &bo->base, size);
	drm_gem_private_object_init(drm, &bo->base, size);
	shmem = shmem_file_setup_with_mnt(huge, "hearth state", size, HEARTH_SHMEM_NORESERVE);
	if (IS_ERR(shmem))
		return PTR_ERR(shmem);
	bo->base.filp = shmem;
	return 0;
}

static struct hearth_bo *hearth_bo_create(struct drm_device *drm, u64 size, u32 flags)
{
	struct hearth_bo *bo = hearth_bo_alloc(drm, flags);
	int ret;

	if (!bo)
		return ERR_PTR(-ENOMEM);

	ret = hearth_bo_init_object(drm, bo, size);
	if (ret) {
		drm_gem_private_object_fini(&bo->base);
		kfree(bo);
		return ERR_PTR(ret);
	}
	/* Too large for what is free is an error, no reason to kill somebody. */
	mapping_set_gfp_mask(bo->base.filp->f_mapping,
			     GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN);
	if (flags & DRM_HEARTH_BO_STATE)
		ret = hearth_bo_init_state(bo);
	if (ret) {
		drm_gem_object_release(&bo->base);
		kfree(bo);
		return ERR_PTR(ret);
	}
	hearth_gem_gpuva_set_lock(&bo->base, &bo->gpuva_lock);
	hearth_mm_add_bo(&to_hearth_device(drm)->mm, bo);

	ret = drm_gem_create_mmap_offset(&bo->base);
	if (ret) {
		drm_gem_object_put(&bo->base);
		return ERR_PTR(ret);
	}
	return bo;
}

int hearth_ioctl_bo_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_bo_create *args = data;
	u64 max = hearth_gem_max_bytes(to_hearth_device(drm));
	struct hearth_bo *bo;
	bool state = args->flags & DRM_HEARTH_BO_STATE;
	u64 size;
	int ret;

	if (args->flags & ~(DRM_HEARTH_BO_NO_MMAP | DRM_HEARTH_BO_STATE))
		return -EINVAL;
	if (!args->size || args->size > max)
		return -EINVAL;

	size = ALIGN(args->size, state ? HEARTH_EXTENT_BYTES : PAGE_SIZE);
	bo = hearth_bo_create(drm, size, args->flags);
	if (IS_ERR(bo))
		return PTR_ERR(bo);
	hearth_charge_init(bo->store ? &bo->store->keep.charge : &bo->charge,
			   to_hearth_file(file)->account);

	ret = drm_gem_handle_create(file, &bo->base, &args->handle);
	drm_gem_object_put(&bo->base);
	if (!ret)
		args->size = size;
	return ret;
}

int hearth_ioctl_bo_mmap_offset(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_bo_mmap_offset *args = data;
	struct drm_gem_object *obj;
	int ret = 0;

	if (args->pad)
		return -EINVAL;

	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;

	/* Who has an imported buffer has its dma-buf, and maps that. */
	if (obj->import_attach)
		ret = -EINVAL;
	else if (to_hearth_bo(obj)->flags & DRM_HEARTH_BO_NO_MMAP)
		ret = -EPERM;
	else
		args->offset = drm_vma_node_offset_addr(&obj->vma_node);

	drm_gem_object_put(obj);
	return ret;
}
