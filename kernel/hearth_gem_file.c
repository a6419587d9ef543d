// SPDX-License-Identifier: GPL-2.0
/*
 * DRM_IOCTL_HEARTH_BO_CREATE_FILE: buffers whose pages a store has.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <drm/hearth_accel.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/* What is asked for, in extents, against what there is. */
static int hearth_bo_file_check_range(struct hearth_store *store,
				      struct drm_hearth_bo_create_file *args)
{
	struct drm_device *drm = &store->hdev->base;
	u64 end = (u64)store->nr_extents << HEARTH_EXTENT_SHIFT;

	if (args->offset >= store->bytes) {
		drm_dbg(drm, "offset %llu: the file has %llu bytes\n", args->offset,
			store->bytes);
		return -EINVAL;
	}
	if (args->size > end - args->offset) {
		drm_dbg(drm, "size %llu at %llu: an extent or more beyond the file's %llu bytes\n",
			args->size, args->offset, store->bytes);
		return -EINVAL;
	}
	if (!args->size)
		args->size = end - args->offset;
	args->size = ALIGN(args->size, HEARTH_EXTENT_BYTES);
	if (store->ops->place && args->size > store->hdev->region.bytes) {
		drm_dbg(drm, "size %llu: the region for weights has %llu bytes\n", args->size,
			store->hdev->region.bytes);
		return -EFBIG;
	}
	return 0;
}

/* Consumes the reference to @store. */
static struct hearth_bo *hearth_bo_file_create(struct drm_device *drm,
					       struct hearth_account *account,
					       struct hearth_store *store, u64 offset, u64 size)
{
	/* Whoever wants to read it with the CPU maps the file. */
	struct hearth_bo *bo = hearth_bo_alloc(drm, DRM_HEARTH_BO_NO_MMAP);

	if (!bo) {
		hearth_store_put(store);
		return ERR_PTR(-ENOMEM);
	}
	hearth_charge_init(&store->keep.charge, account);
	atomic_inc(&store->keep.nr_bos);
	bo->store = store;
	bo->store_first = offset >> HEARTH_EXTENT_SHIFT;
	drm_gem_private_object_init(drm, &bo->base, size);
	hearth_gem_gpuva_set_lock(&bo->base, &bo->gpuva_lock);
	hearth_mm_add_bo(&to_hearth_device(drm)->mm, bo);
	return bo;
}

static int hearth_bo_file_open(struct drm_device *drm, struct drm_file *file,
			       struct file *source, struct drm_hearth_bo_create_file *args)
{
	struct hearth_store *store = hearth_store_get_file(to_hearth_device(drm), source);
	struct drm_hearth_bo_create_file want = *args;
	struct hearth_bo *bo;
	int ret;

	if (IS_ERR(store)) {
		drm_dbg(drm, "no store over the file: %ld\n", PTR_ERR(store));
		return PTR_ERR(store);
	}
	ret = hearth_bo_file_check_range(store, &want);
	if (ret) {
		hearth_store_put(store);
		return ret;
	}
	bo = hearth_bo_file_create(drm, to_hearth_file(file)->account, store, want.offset,
				   want.size);
	if (IS_ERR(bo))
		return PTR_ERR(bo);

	ret = drm_gem_handle_create(file, &bo->base, &want.handle);
	drm_gem_object_put(&bo->base);
	if (!ret)
		*args = want;
	return ret;
}

int hearth_ioctl_bo_create_file(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_bo_create_file *args = data;
	struct file *source;
	int ret, idx;

	if (args->flags || args->pad)
		return -EINVAL;
	if (!IS_ALIGNED(args->offset, HEARTH_EXTENT_BYTES))
		return -EINVAL;

	source = fget(args->fd);
	if (!source)
		return -EBADF;
	if (drm_dev_enter(drm, &idx)) {
		ret = hearth_bo_file_open(drm, file, source, args);
		drm_dev_exit(idx);
	} else {
		ret = -ENODEV;
	}
	fput(source);
	return ret;
}
