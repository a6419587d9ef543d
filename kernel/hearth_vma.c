// SPDX-License-Identifier: GPL-2.0
/*
 * One bind operation: prepare, run, clean up. It is the same whether the
 * caller waits for it or not.
 */
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_gpuvm.h>
#include <drm/drm_print.h>

#include "hearth_bind.h"
#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_gem.h"
#include "hearth_mmu.h"
#include "hearth_prime.h"
#include "hearth_vm.h"

/* What the steps of one run share. */
struct hearth_bind_run {
	struct hearth_vm *vm;
	struct hearth_bind_op *op;
};

static void hearth_vm_free(struct drm_gpuvm *gpuvm)
{
	mutex_destroy(&to_hearth_vm(gpuvm)->op_lock);
	kfree(to_hearth_vm(gpuvm));
}

static struct mutex *hearth_bo_gpuva_lock(struct drm_gem_object *obj)
{
	return hearth_gem_gpuva_lock(obj, &to_hearth_bo(obj)->gpuva_lock);
}

/*
 * Drops a buffer's place in the address space; with the last one the buffer
 * leaves the list of those that submits lock, which the reservation protects.
 */
static void hearth_vm_bo_put(struct drm_gpuvm_bo *vm_bo)
{
	struct drm_gem_object *obj = vm_bo->obj;
	struct dma_resv *resv = drm_gpuvm_resv(vm_bo->vm);

	drm_gem_object_get(obj);
	dma_resv_lock(resv, NULL);
	mutex_lock(hearth_bo_gpuva_lock(obj));
	drm_gpuvm_bo_put(vm_bo);
	mutex_unlock(hearth_bo_gpuva_lock(obj));
	dma_resv_unlock(resv);
	drm_gem_object_put(obj);
}

/* Looks the buffer up in the address space, or enters it. */
static int hearth_vm_bo_obtain(struct hearth_vm *vm, struct hearth_bind_op *op,
			       struct drm_gem_object *obj)
{
	struct drm_gpuvm_bo *fresh;
	int ret;

	fresh = drm_gpuvm_bo_create(&vm->base, obj);
	if (!fresh)
		return -ENOMEM;

	ret = dma_resv_lock_interruptible(hearth_vm_resv(vm), NULL);
	if (ret) {
		/* Nobody but us knows it, but its end asserts the locks. */
		hearth_vm_bo_put(fresh);
		return ret;
	}
	op->vm_bo = hearth_gpuvm_bo_obtain(fresh, hearth_bo_gpuva_lock(obj));
	drm_gpuvm_bo_extobj_add(op->vm_bo);
	dma_resv_unlock(hearth_vm_resv(vm));
	return 0;
}

/* The page tables are there when the extents are; a place for them is made now. */
static int hearth_bind_op_prepare_store(struct hearth_vm *vm, struct hearth_bind_op *op,
					struct hearth_bo *bo)
{
	u32 first = bo->store_first + (op->bo_offset >> HEARTH_EXTENT_SHIFT);
	int ret;

	ret = vm->mmu.ops->prepare_hold(&vm->mmu, &op->pool, op->va, op->size);
	if (ret)
		return ret;
	ret = hearth_vm_bo_obtain(vm, op, &bo->base);
	if (ret)
		return ret;
	return hearth_map_add(&op->vmas[HEARTH_BIND_VMAS - 1]->map, vm, bo->store, op->va, first,
			      op->size >> HEARTH_EXTENT_SHIFT);
}

static int hearth_bind_op_prepare_map(struct hearth_vm *vm, struct hearth_bind_op *op,
				      struct drm_gem_object *obj)
{
	struct hearth_sg_cursor cur;
	struct hearth_store *peer;
	int ret;

	if (to_hearth_bo(obj)->store)
		return hearth_bind_op_prepare_store(vm, op, to_hearth_bo(obj));

	op->sgt = hearth_bo_map_dma(to_hearth_bo(obj), op->readonly);
	if (IS_ERR(op->sgt))
		return PTR_ERR(op->sgt);

	hearth_sg_cursor_init(&cur, op->sgt, op->bo_offset);
	ret = vm->mmu.ops->prepare_map(&vm->mmu, &op->pool, op->va, op->size, cur);
	ret = ret ?: hearth_vm_bo_obtain(vm, op, obj);
	peer = hearth_prime_peer_store(obj);
	if (!ret && peer)
		ret = hearth_map_watch(&op->vmas[HEARTH_BIND_VMAS - 1]->map, vm, peer);
	return ret;
}

/* Allocates what the operation can need; @obj is NULL for an unmap. */
int hearth_bind_op_prepare(struct hearth_vm *vm, struct hearth_bind_op *op,
			   struct drm_gem_object *obj)
{
	int i, ret;

	INIT_LIST_HEAD(&op->gone);
	hearth_mmu_pool_init(&op->pool);

	for (i = 0; i < HEARTH_BIND_VMAS; i++) {
		op->vmas[i] = kzalloc(sizeof(*op->vmas[i]), GFP_KERNEL_ACCOUNT);
		if (!op->vmas[i]) {
			ret = -ENOMEM;
			goto err_cleanup;
		}
		hearth_map_init(&op->vmas[i]->map);
	}

	if (obj)
		ret = hearth_bind_op_prepare_map(vm, op, obj);
	else
		ret = vm->mmu.ops->prepare_unmap(&vm->mmu, &op->pool, op->va, op->size);
	if (!ret)
		return 0;

err_cleanup:
	hearth_bind_op_cleanup(vm, op);
	return ret;
}

/* Frees what the operation did not use and what it took away. */
void hearth_bind_op_cleanup(struct hearth_vm *vm, struct hearth_bind_op *op)
{
	struct hearth_vma *vma, *next;
	int i;

	list_for_each_entry_safe(vma, next, &op->gone, node) {
		hearth_vm_bo_put(vma->base.vm_bo);
		kfree(vma);
	}
	INIT_LIST_HEAD(&op->gone);

	for (i = 0; i < HEARTH_BIND_VMAS; i++) {
		if (op->vmas[i])
			hearth_map_del(&op->vmas[i]->map);
		kfree(op->vmas[i]);
	}
	memset(op->vmas, 0, sizeof(op->vmas));

	hearth_mmu_pool_fini(&vm->mmu, &op->pool);
	if (op->vm_bo)
		hearth_vm_bo_put(op->vm_bo);
	op->vm_bo = NULL;
}

/* Those of what is cut off are in front. */
static struct hearth_vma *hearth_vma_take(struct hearth_bind_op *op, int i, bool readonly)
{
	for (; i < HEARTH_BIND_VMAS; i++) {
		struct hearth_vma *vma = op->vmas[i];

		if (vma) {
			op->vmas[i] = NULL;
			vma->readonly = readonly;
			return vma;
		}
	}
	WARN_ON_ONCE(1);
	return NULL;
}

static void hearth_vma_link(struct hearth_vma *vma, struct drm_gpuvm_bo *vm_bo)
{
	mutex_lock(hearth_bo_gpuva_lock(vm_bo->obj));
	drm_gpuva_link(&vma->base, vm_bo);
	mutex_unlock(hearth_bo_gpuva_lock(vm_bo->obj));
}

/*
 * Takes the mapping off its buffer, but keeps its hold on the buffer: pages
 * are let go in the cleanup, when the device has forgotten them.
 */
static void hearth_vma_unlink(struct hearth_vma *vma, struct list_head *gone)
{
	struct drm_gpuvm_bo *vm_bo = drm_gpuvm_bo_get(vma->base.vm_bo);

	hearth_map_del(&vma->map);
	mutex_lock(hearth_bo_gpuva_lock(vm_bo->obj));
	drm_gpuva_unlink(&vma->base);
	mutex_unlock(hearth_bo_gpuva_lock(vm_bo->obj));

	vma->base.vm_bo = vm_bo;
	list_add_tail(&vma->node, gone);
}

/*
 * Has the device forget what is stale. When this returns it does, even if the
 * firmware had to be stopped for it.
 */
static int hearth_bind_flush(struct hearth_vm *vm, struct hearth_bind_op *op)
{
	u64 va, size;
	int ret;

	if (!hearth_mmu_stale(&vm->mmu, &va, &size))
		return 0;

	ret = hearth_fw_tlb_flush(vm->hdev, vm->ctx, va, size);
	hearth_mmu_flushed(&vm->mmu, &op->pool);
	return ret;
}

static int hearth_vma_hold(struct hearth_vm *vm, struct hearth_bind_op *op,
			   struct hearth_vma *vma)
{
	int ret;

	ret = vm->mmu.ops->hold(&vm->mmu, &op->pool, op->va, op->size);
	if (!ret)
		hearth_map_bind(&vma->map);
	return ret;
}

static int hearth_step_map(struct drm_gpuva_op *step, void *priv)
{
	struct hearth_bind_run *run = priv;
	struct hearth_bind_op *op = run->op;
	struct hearth_sg_cursor cur;
	struct hearth_vma *vma;
	int ret;

	ret = hearth_bind_flush(run->vm, op);
	if (ret)
		return ret;

	vma = hearth_vma_take(op, HEARTH_BIND_VMAS - 1, op->readonly);
	if (!vma)
		return -ENOMEM;

	drm_gpuva_map(&run->vm->base, &vma->base, &step->map);
	hearth_vma_link(vma, op->vm_bo);
	if (vma->map.store)
		return hearth_vma_hold(run->vm, op, vma);

	hearth_sg_cursor_init(&cur, op->sgt, step->map.gem.offset);
	return run->vm->mmu.ops->map(&run->vm->mmu, &op->pool, step->map.va.addr,
				     step->map.va.range, cur, op->readonly);
}

/* @part, if there is one, has what is left of @old at one of its ends. */
static void hearth_vma_replace(struct hearth_vma *old, struct hearth_vma *part,
			       struct drm_gpuvm_bo *vm_bo)
{
	if (!part)
		return;

	hearth_vma_link(part, vm_bo);
	if (old->map.store || old->map.peer)
		hearth_map_split(&part->map, &old->map, part->base.va.addr,
				 part->base.va.range);
}

static int hearth_step_remap(struct drm_gpuva_op *step, void *priv)
{
	struct hearth_vma *old = to_hearth_vma(step->remap.unmap->va), *prev = NULL, *next = NULL;
	struct drm_gpuvm_bo *vm_bo = old->base.vm_bo;
	struct hearth_bind_run *run = priv;
	u64 va, size;
	int ret;

	drm_gpuva_op_remap_to_unmap_range(&step->remap, &va, &size);
	ret = run->vm->mmu.ops->unmap(&run->vm->mmu, &run->op->pool, va, size);
	if (ret)
		return ret;

	if (step->remap.prev)
		prev = hearth_vma_take(run->op, 0, old->readonly);
	if (step->remap.next)
		next = hearth_vma_take(run->op, 0, old->readonly);
	if ((step->remap.prev && !prev) || (step->remap.next && !next))
		return -ENOMEM;

	drm_gpuva_remap(prev ? &prev->base : NULL, next ? &next->base : NULL, &step->remap);
	hearth_vma_replace(old, prev, vm_bo);
	hearth_vma_replace(old, next, vm_bo);
	hearth_vma_unlink(old, &run->op->gone);
	return 0;
}

static int hearth_step_unmap(struct drm_gpuva_op *step, void *priv)
{
	struct hearth_vma *vma = to_hearth_vma(step->unmap.va);
	struct hearth_bind_run *run = priv;
	int ret;

	ret = run->vm->mmu.ops->unmap(&run->vm->mmu, &run->op->pool, vma->base.va.addr,
				      vma->base.va.range);
	if (ret)
		return ret;

	drm_gpuva_unmap(&step->unmap);
	hearth_vma_unlink(vma, &run->op->gone);
	return 0;
}

const struct drm_gpuvm_ops hearth_gpuvm_ops = {
	.vm_free = hearth_vm_free,
	.sm_step_map = hearth_step_map,
	.sm_step_remap = hearth_step_remap,
	.sm_step_unmap = hearth_step_unmap,
};

/*
 * Does the operation. Nothing in here can fail for want of memory or because
 * of the user; if it fails nevertheless the address space is not what the user
 * thinks it is, and is marked unusable.
 */
static int hearth_bind_op_run_locked(struct hearth_vm *vm, struct hearth_bind_op *op)
{
	struct hearth_bind_run run = { .vm = vm, .op = op };
	int ret, flushed;

	lockdep_assert_held(&vm->op_lock);

	if (vm->unusable)
		return vm->mmu.gone ? -ENODEV : -EINVAL;

	/* It was checked, but binds do not run in the order of ioctls. */
	ret = hearth_map_check_cut(vm, op->va, op->size);
	if (ret)
		goto err_unusable;

	if (op->vm_bo)
		ret = hearth_gpuvm_sm_map(&vm->base, &run, op->va, op->size, op->vm_bo->obj,
					  op->bo_offset);
	else
		ret = drm_gpuvm_sm_unmap(&vm->base, &run, op->va, op->size);

	flushed = hearth_bind_flush(vm, op);
	ret = ret ?: flushed;
	if (!ret)
		return 0;

err_unusable:
	WRITE_ONCE(vm->unusable, true);
	drm_dbg(&vm->hdev->base, "bind in context %u failed: %d\n", vm->ctx, ret);
	return ret;
}

int hearth_bind_op_run(struct hearth_vm *vm, struct hearth_bind_op *op)
{
	bool cookie;
	int ret;

	if (drm_dev_is_unplugged(&vm->hdev->base))
		return -ENODEV;

	/* Whoever waits for the firmware under the lock looks at its events. */
	cookie = dma_fence_begin_signalling();
	mutex_lock(&vm->op_lock);
	ret = hearth_bind_op_run_locked(vm, op);
	mutex_unlock(&vm->op_lock);
	dma_fence_end_signalling(cookie);
	return ret;
}

/* Ends all mappings of an address space that the device does not walk any more. */
void hearth_vma_release_all(struct hearth_vm *vm)
{
	struct hearth_vma *vma, *next;
	struct drm_gpuva *va, *tmp;
	LIST_HEAD(gone);

	mutex_lock(&vm->op_lock);
	drm_gpuvm_for_each_va_safe(va, tmp, &vm->base) {
		drm_gpuva_remove(va);
		hearth_vma_unlink(to_hearth_vma(va), &gone);
	}
	mutex_unlock(&vm->op_lock);

	list_for_each_entry_safe(vma, next, &gone, node) {
		hearth_vm_bo_put(vma->base.vm_bo);
		kfree(vma);
	}
}
