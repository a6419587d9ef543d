// SPDX-License-Identifier: GPL-2.0
/*
 * State buffers: DRM_HEARTH_BO_STATE, DRM_IOCTL_HEARTH_BO_RESIZE, BO_ADVISE.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <drm/drm_vma_manager.h>
#include <drm/hearth_accel.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_store.h"

int hearth_bo_init_state(struct hearth_bo *bo)
{
	struct drm_device *drm = bo->base.dev;
	struct hearth_store *store;

	/*
	 * Swap fills pages through the cache, behind the back of a mapping
	 * around it.
	 */
	if (bo->wc) {
		drm_dbg(drm, "no state on a device that is not coherent\n");
		return -EOPNOTSUPP;
	}
	store = hearth_store_create_state(to_hearth_device(drm), bo->base.filp);
	if (IS_ERR(store))
		return PTR_ERR(store);
	atomic_inc(&store->keep.nr_bos);
	bo->store = store;
	return 0;
}

/*
 * The mapping becomes one of the memory itself. So it finds the page that the
 * device has, whoever comes first; what is evicted may be swapped although it
 * is mapped, and is unmapped when it is cut off or discarded.
 */
int hearth_bo_mmap_state(struct hearth_bo *bo, struct vm_area_struct *vma)
{
	struct file *shmem = bo->base.filp;
	int ret;

	vma->vm_pgoff -= drm_vma_node_start(&bo->base.vma_node);
	vma->vm_private_data = NULL;
	vma->vm_ops = NULL;
	vma_set_file(vma, shmem);
	ret = hearth_vfs_mmap(shmem, vma);
	if (ret)
		return ret;

	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	drm_gem_object_put(&bo->base);
	return 0;
}

/* With a reference; -ENOENT, -EINVAL for other buffers. */
static struct hearth_bo *hearth_bo_lookup_state(struct drm_file *file, u32 handle)
{
	struct drm_gem_object *obj = drm_gem_object_lookup(file, handle);

	if (!obj)
		return ERR_PTR(-ENOENT);
	if (!(to_hearth_bo(obj)->flags & DRM_HEARTH_BO_STATE)) {
		drm_dbg(obj->dev, "handle %u: not a state buffer\n", handle);
		drm_gem_object_put(obj);
		return ERR_PTR(-EINVAL);
	}
	return to_hearth_bo(obj);
}

int hearth_ioctl_bo_resize(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_bo_resize *args = data;
	struct hearth_bo *bo;
	u64 size;
	int ret;

	if (args->pad)
		return -EINVAL;
	bo = hearth_bo_lookup_state(file, args->handle);
	if (IS_ERR(bo))
		return PTR_ERR(bo);

	if (args->size > bo->base.size) {
		drm_dbg(drm, "size %llu: it was made with %zu\n", args->size, bo->base.size);
		ret = -ENOSPC;
	} else {
		size = ALIGN(args->size, HEARTH_EXTENT_BYTES);
		ret = hearth_store_state_resize(bo->store, size >> HEARTH_EXTENT_SHIFT);
		if (!ret)
			args->size = size;
	}
	drm_gem_object_put(&bo->base);
	return ret;
}

int hearth_ioctl_bo_advise(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_bo_advise *args = data;
	struct hearth_bo *bo;

	if (args->pad || args->retained || args->advice > DRM_HEARTH_BO_DONTNEED)
		return -EINVAL;
	bo = hearth_bo_lookup_state(file, args->handle);
	if (IS_ERR(bo))
		return PTR_ERR(bo);

	args->retained = hearth_store_state_advise(bo->store,
						   args->advice == DRM_HEARTH_BO_WILLNEED);
	drm_gem_object_put(&bo->base);
	return 0;
}
