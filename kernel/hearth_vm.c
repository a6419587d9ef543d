// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces: their ids and lives, and what a submit needs of them.
 */
#include <linux/dma-resv.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include <drm/drm_drv.h>
#include <drm/drm_exec.h>
#include <drm/drm_gem.h>
#include <drm/gpu_scheduler.h>
#include <drm/hearth_accel.h>

#include "hw/hearth_mmu.h"

#include "hearth_bind.h"
#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_gem.h"
#include "hearth_mm.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/* First address behind what may be bound. */
u64 hearth_vm_end(struct hearth_device *hdev)
{
	return BIT_ULL(min_t(u32, hdev->caps.va_bits, HEARTH_MMU_VA_BITS));
}

struct hearth_vm *hearth_vm_get(struct hearth_vm *vm)
{
	kref_get(&vm->refs);
	return vm;
}

/*
 * The last reference is gone, so no queue and no bind is left. Pages and
 * tables go when the firmware has forgotten the context.
 */
static void hearth_vm_destroy(struct hearth_vm *vm)
{
	struct hearth_device *hdev = vm->hdev;

	if (vm->bindq)
		hearth_bind_queue_free(vm->bindq);

	hearth_fw_ctx_destroy(hdev, vm->ctx);
	hearth_vma_release_all(vm);

	/* Leaves the list with nothing for hearth_mm_unplug() to take away. */
	mutex_lock(&hdev->mm.lock);
	hearth_mmu_fini(&vm->mmu);
	list_del(&vm->node);
	mutex_unlock(&hdev->mm.lock);

	ida_free(&hdev->mm.ctx_ida, vm->ctx);
	mutex_destroy(&vm->bindq_lock);
	hearth_client_put(vm->client);
	atomic_dec(&hdev->mm.nr_vms);
	/* Frees it, unless an eviction has just found it. */
	drm_gpuvm_put(&vm->base);
	drm_dev_put(&hdev->base);
}

static void hearth_vm_release_work(struct work_struct *work)
{
	hearth_vm_destroy(container_of(work, struct hearth_vm, release_work));
}

static void hearth_vm_release_later(struct kref *refs)
{
	struct hearth_vm *vm = container_of(refs, struct hearth_vm, refs);

	queue_work(hearth_free_wq, &vm->release_work);
}

static void hearth_vm_release_now(struct kref *refs)
{
	hearth_vm_destroy(container_of(refs, struct hearth_vm, refs));
}

/* From any context that may take spinlocks. */
void hearth_vm_put(struct hearth_vm *vm)
{
	kref_put(&vm->refs, hearth_vm_release_later);
}

/* From an ioctl: when it returns, what it let go is free. */
static void hearth_vm_put_sync(struct hearth_vm *vm)
{
	kref_put(&vm->refs, hearth_vm_release_now);
}

static int hearth_vm_alloc_ctx(struct hearth_device *hdev)
{
	int ctx = ida_alloc_max(&hdev->mm.ctx_ida, hdev->caps.contexts - 1, GFP_KERNEL);

	if (ctx != -ENOSPC)
		return ctx;

	/* Some may be on their way out. */
	hearth_mm_flush(hdev);
	return ida_alloc_max(&hdev->mm.ctx_ida, hdev->caps.contexts - 1, GFP_KERNEL);
}

static int hearth_vm_init_mmu(struct hearth_vm *vm)
{
	struct hearth_device *hdev = vm->hdev;
	int ret;

	vm->mmu.ops = &hearth_mmu_walker_ops;
	vm->mmu.mem = &hearth_mmu_dma_mem;
	vm->mmu.dev = hdev->base.dev;
	vm->mmu.nr_total = &hdev->mm.nr_tables;
	vm->mmu.page_sizes = hdev->caps.page_sizes;
	ret = hearth_mmu_init(&vm->mmu);
	if (!ret)
		vm->pgd_dma = vm->mmu.root->dma;
	return ret;
}

static void hearth_vm_init_gpuvm(struct hearth_vm *vm, struct drm_gem_object *resv_obj)
{
	struct hearth_device *hdev = vm->hdev;

	drm_gpuvm_init(&vm->base, "hearth-vm", HEARTH_GPUVM_FLAGS, &hdev->base, resv_obj,
		       HEARTH_VA_START, hearth_vm_end(hdev) - HEARTH_VA_START, 0, 0,
		       &hearth_gpuvm_ops);
	/* It has a reference of its own. */
	drm_gem_object_put(resv_obj);
}

static struct hearth_vm *hearth_vm_alloc(struct hearth_file *hfile)
{
	struct hearth_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);

	if (!vm)
		return NULL;

	vm->hdev = hfile->hdev;
	vm->client = hearth_client_get(hfile->client);
	kref_init(&vm->refs);
	mutex_init(&vm->op_lock);
	mutex_init(&vm->bindq_lock);
	spin_lock_init(&vm->maps_lock);
	INIT_LIST_HEAD(&vm->maps);
	INIT_LIST_HEAD(&vm->peers);
	INIT_WORK(&vm->release_work, hearth_vm_release_work);
	return vm;
}

/* Cannot fail; makes it one of the device's. */
static void hearth_vm_add(struct hearth_vm *vm)
{
	struct hearth_mm *mm = &vm->hdev->mm;

	/* It may outlive the file, and with it the last open of the device. */
	drm_dev_get(&vm->hdev->base);
	atomic_inc(&mm->nr_vms);
	mutex_lock(&mm->lock);
	list_add(&vm->node, &mm->vms);
	mutex_unlock(&mm->lock);
}

static struct hearth_vm *hearth_vm_create(struct hearth_file *hfile)
{
	struct hearth_device *hdev = hfile->hdev;
	struct drm_gem_object *resv_obj;
	struct hearth_vm *vm;
	int ret;

	vm = hearth_vm_alloc(hfile);
	if (!vm)
		return ERR_PTR(-ENOMEM);

	ret = hearth_vm_alloc_ctx(hdev);
	if (ret < 0)
		goto err_free;
	vm->ctx = ret;

	ret = hearth_vm_init_mmu(vm);
	if (ret)
		goto err_free_ctx;

	resv_obj = drm_gpuvm_resv_object_alloc(&hdev->base);
	if (!resv_obj) {
		ret = -ENOMEM;
		goto err_fini_mmu;
	}
	hearth_vm_init_gpuvm(vm, resv_obj);
	hearth_vm_add(vm);
	return vm;

err_fini_mmu:
	hearth_mmu_fini(&vm->mmu);
err_free_ctx:
	ida_free(&hdev->mm.ctx_ida, vm->ctx);
err_free:
	hearth_client_put(vm->client);
	kfree(vm);
	return ERR_PTR(ret);
}

void hearth_vm_job_begin(struct hearth_vm *vm)
{
	/* Before it looks at what is resident, as evictions look at this after they lock. */
	atomic_inc(&vm->nr_active);
}

void hearth_vm_job_end(struct hearth_vm *vm)
{
	struct hearth_store_map *map;

	if (!atomic_dec_and_test(&vm->nr_active))
		return;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		WRITE_ONCE(map->store->last_used, ktime_get());
		hearth_model_store_used(map->store);
	}
	spin_unlock(&vm->maps_lock);
}

static bool hearth_maps_are_stale(struct list_head *maps)
{
	struct hearth_store_map *map;

	list_for_each_entry(map, maps, vm_node) {
		if (hearth_store_check_stale(map->store ?: map->peer))
			return true;
	}
	return false;
}

bool hearth_vm_is_stale(struct hearth_vm *vm)
{
	bool stale;

	if (list_empty_careful(&vm->maps) && list_empty_careful(&vm->peers))
		return false;

	spin_lock(&vm->maps_lock);
	stale = hearth_maps_are_stale(&vm->maps) || hearth_maps_are_stale(&vm->peers);
	spin_unlock(&vm->maps_lock);
	return stale;
}

/* The device is gone; with hearth_mm.lock held. */
void hearth_vm_unplug(struct hearth_vm *vm)
{
	lockdep_assert_held(&vm->hdev->mm.lock);

	mutex_lock(&vm->op_lock);
	WRITE_ONCE(vm->unusable, true);
	hearth_mmu_unplug(&vm->mmu);
	mutex_unlock(&vm->op_lock);
}

bool hearth_vm_usable(struct hearth_vm *vm)
{
	return !READ_ONCE(vm->unusable);
}

/* With a reference, or NULL. */
struct hearth_vm *hearth_vm_lookup(struct hearth_file *hfile, u32 id)
{
	struct hearth_vm *vm;

	xa_lock(&hfile->vms.xa);
	vm = xa_load(&hfile->vms.xa, id);
	if (vm)
		hearth_vm_get(vm);
	xa_unlock(&hfile->vms.xa);
	return vm;
}

void hearth_vm_file_open(struct hearth_file *hfile)
{
	xa_init_flags(&hfile->vms.xa, XA_FLAGS_ALLOC1);
}

void hearth_vm_file_close(struct hearth_file *hfile)
{
	struct hearth_vm *vm;
	unsigned long id;

	xa_for_each(&hfile->vms.xa, id, vm)
		hearth_vm_put_sync(vm);
	xa_destroy(&hfile->vms.xa);
}

/*
 * Locks all that a job may touch, and makes room for @num_fences in each.
 * Foreign buffers may share a reservation, which then gets each fence as that
 * of a reader and as that of a writer. Later fences of the timeline replace
 * both, so it is one more in all.
 */
int hearth_vm_lock(struct hearth_vm *vm, struct drm_exec *exec, unsigned int num_fences)
{
	int ret;

	ret = drm_gpuvm_prepare_vm(&vm->base, exec, num_fences);
	if (ret)
		return ret;

	return drm_gpuvm_prepare_objects(&vm->base, exec, num_fences + 1);
}

/* Has the device been able to write to it? A bind that is queued counts. */
static bool hearth_bo_written(struct drm_gem_object *obj)
{
	dma_resv_assert_held(obj->resv);

	return to_hearth_bo(obj)->sgt_rw;
}

/*
 * Binds that are queued run before the job. Among our own clients that is all
 * that is implicit; but who shares a foreign buffer knows nothing of our
 * syncobjs and goes by what is in its reservation.
 */
int hearth_vm_add_deps(struct hearth_vm *vm, struct drm_sched_job *job)
{
	struct drm_gpuvm_bo *vm_bo;
	int ret;

	dma_resv_assert_held(hearth_vm_resv(vm));

	ret = drm_sched_job_add_resv_dependencies(job, hearth_vm_resv(vm),
						  DMA_RESV_USAGE_KERNEL);
	list_for_each_entry(vm_bo, &vm->base.extobj.list, list.entry.extobj) {
		struct drm_gem_object *obj = vm_bo->obj;

		if (ret)
			break;
		if (obj->import_attach)
			ret = drm_sched_job_add_implicit_dependencies(job, obj,
								      hearth_bo_written(obj));
	}
	return ret;
}

void hearth_vm_add_fence(struct hearth_vm *vm, struct drm_exec *exec, struct dma_fence *fence)
{
	struct drm_gpuvm_bo *vm_bo;

	dma_resv_assert_held(hearth_vm_resv(vm));

	list_for_each_entry(vm_bo, &vm->base.extobj.list, list.entry.extobj) {
		enum dma_resv_usage usage = DMA_RESV_USAGE_BOOKKEEP;

		if (vm_bo->obj->import_attach)
			usage = hearth_bo_written(vm_bo->obj) ? DMA_RESV_USAGE_WRITE :
								DMA_RESV_USAGE_READ;
		dma_resv_add_fence(vm_bo->obj->resv, fence, usage);
	}
	dma_resv_add_fence(hearth_vm_resv(vm), fence, DMA_RESV_USAGE_BOOKKEEP);
}

int hearth_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct hearth_file *hfile = to_hearth_file(file);
	struct drm_hearth_vm_create *args = data;
	struct hearth_vm *vm;
	u32 id;
	int ret, idx;

	if (args->flags)
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;

	vm = hearth_vm_create(hfile);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto out_exit;
	}

	ret = xa_alloc(&hfile->vms.xa, &id, vm, XA_LIMIT(1, HEARTH_MAX_VMS), GFP_KERNEL);
	if (ret) {
		hearth_vm_put_sync(vm);
		ret = ret == -EBUSY ? -ENOSPC : ret;
	} else {
		args->vm_id = id;
	}

out_exit:
	drm_dev_exit(idx);
	return ret;
}

int hearth_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct hearth_file *hfile = to_hearth_file(file);
	struct drm_hearth_vm_destroy *args = data;
	struct hearth_vm *vm;

	if (args->pad)
		return -EINVAL;

	vm = xa_erase(&hfile->vms.xa, args->vm_id);
	if (!vm)
		return -ENOENT;

	hearth_vm_put_sync(vm);
	return 0;
}

int hearth_ioctl_vm_get_state(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_vm_get_state *args = data;
	struct hearth_vm *vm = hearth_vm_lookup(to_hearth_file(file), args->vm_id);

	if (!vm)
		return -ENOENT;

	args->state = hearth_vm_usable(vm) ? DRM_HEARTH_VM_USABLE : DRM_HEARTH_VM_UNUSABLE;
	hearth_vm_put_sync(vm);
	return 0;
}
