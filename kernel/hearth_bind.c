// SPDX-License-Identifier: GPL-2.0
/*
 * DRM_IOCTL_HEARTH_VM_BIND: checks, and the queue of asynchronous binds.
 */
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>
#include <drm/gpu_scheduler.h>
#include <drm/hearth_accel.h>

#include "hw/hearth_mmu.h"

#include "hearth_bind.h"
#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_fence.h"
#include "hearth_gem.h"
#include "hearth_mm.h"
#include "hearth_store.h"
#include "hearth_sync.h"
#include "hearth_uobj.h"
#include "hearth_vm.h"

/* Queued binds hold memory for the worst case; so they are not without number. */
#define HEARTH_MAX_PENDING_BINDS	4096

/**
 * struct hearth_bind_job - one queued bind
 */
struct hearth_bind_job {
	/** @base: The scheduler's part. */
	struct drm_sched_job base;

	/** @vm: Address space, with a reference. */
	struct hearth_vm *vm;

	/** @op: What to do. */
	struct hearth_bind_op op;

	/** @syncs: What it waits for and signals. */
	struct hearth_syncs syncs;

	/** @fence: Signals when it is done; see hearth_fence.h. */
	struct dma_fence *fence;

	/** @armed: @fence is initialized. */
	bool armed;

	/** @cleanup_work: Frees it where reservations may be waited for. */
	struct work_struct cleanup_work;
};

static struct hearth_bind_job *to_hearth_bind_job(struct drm_sched_job *job)
{
	return container_of(job, struct hearth_bind_job, base);
}

static int hearth_bind_check_type(const struct drm_hearth_bind_op *uop)
{
	switch (uop->op) {
	case DRM_HEARTH_BIND_MAP:
		return uop->flags & ~DRM_HEARTH_BIND_READONLY ? -EINVAL : 0;
	case DRM_HEARTH_BIND_UNMAP:
		return uop->flags || uop->bo_handle || uop->bo_offset ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

static int hearth_bind_check(struct hearth_vm *vm, const struct drm_hearth_bind_op *uop,
			     bool async)
{
	u64 end = hearth_vm_end(vm->hdev);

	if (hearth_bind_check_type(uop) || uop->pad)
		return -EINVAL;
	if (uop->syncs.count && !async)
		return -EINVAL;
	if (!IS_ALIGNED(uop->va | uop->size | uop->bo_offset, BIT(HEARTH_MMU_PAGE_SHIFT)))
		return -EINVAL;
	if (!uop->size || uop->va < HEARTH_VA_START || uop->va >= end ||
	    uop->size > end - uop->va)
		return -EINVAL;

	return 0;
}

/* The rules for buffers that have a store; there is no other place to check them. */
static int hearth_bind_check_store(struct hearth_vm *vm, const struct hearth_bo *bo,
				   const struct drm_hearth_bind_op *uop)
{
	if (!bo->store)
		return 0;
	/* Page tables are shared, so that there is one direction for all. */
	if (hearth_store_is_state(bo->store) && uop->flags & DRM_HEARTH_BIND_READONLY) {
		drm_dbg(&vm->hdev->base, "state is bound writable\n");
		return -EINVAL;
	}
	if (!hearth_store_is_state(bo->store) && !(uop->flags & DRM_HEARTH_BIND_READONLY)) {
		drm_dbg(&vm->hdev->base, "a file is bound read-only\n");
		return -EACCES;
	}
	if (!IS_ALIGNED(uop->va | uop->size | uop->bo_offset, HEARTH_EXTENT_BYTES)) {
		drm_dbg(&vm->hdev->base, "va %#llx, size %#llx or offset %#llx: no multiple of %#llx\n",
			uop->va, uop->size, uop->bo_offset, HEARTH_EXTENT_BYTES);
		return -EINVAL;
	}
	return 0;
}

/* The buffer of a map, with a reference; NULL for an unmap. */
static struct drm_gem_object *hearth_bind_lookup(struct drm_file *file,
						 const struct drm_hearth_bind_op *uop)
{
	struct drm_gem_object *obj;

	if (uop->op == DRM_HEARTH_BIND_UNMAP)
		return NULL;

	obj = drm_gem_object_lookup(file, uop->bo_handle);
	if (!obj)
		return ERR_PTR(-ENOENT);

	if (uop->bo_offset >= obj->size || uop->size > obj->size - uop->bo_offset) {
		drm_gem_object_put(obj);
		return ERR_PTR(-EINVAL);
	}
	return obj;
}

static int hearth_bind_prepare(struct hearth_vm *vm, struct drm_file *file,
			       struct hearth_bind_op *op, const struct drm_hearth_bind_op *uop)
{
	struct drm_gem_object *obj = hearth_bind_lookup(file, uop);
	int ret;

	if (IS_ERR(obj))
		return PTR_ERR(obj);

	ret = hearth_map_check_cut(vm, uop->va, uop->size);
	if (!ret && obj)
		ret = hearth_bind_check_store(vm, to_hearth_bo(obj), uop);
	if (ret)
		goto out_put;

	op->va = uop->va;
	op->size = uop->size;
	op->bo_offset = uop->bo_offset;
	op->readonly = uop->flags & DRM_HEARTH_BIND_READONLY;
	ret = hearth_bind_op_prepare(vm, op, obj);
	if (ret)
		goto out_put;
	ret = hearth_dmem_charge_bind(vm);
	if (ret)
		hearth_bind_op_cleanup(vm, op);

out_put:
	if (obj)
		drm_gem_object_put(obj);
	return ret;
}

static int hearth_bind_sync(struct hearth_vm *vm, struct drm_file *file,
			    const struct drm_hearth_bind_op *uops, u32 count)
{
	struct hearth_bind_op *ops;
	u32 prepared, i;
	int ret = 0;

	ops = kvcalloc(count, sizeof(*ops), GFP_KERNEL_ACCOUNT);
	if (!ops)
		return -ENOMEM;

	for (prepared = 0; prepared < count; prepared++) {
		ret = hearth_bind_prepare(vm, file, &ops[prepared], &uops[prepared]);
		if (ret)
			break;
	}
	for (i = 0; i < count && !ret; i++)
		ret = hearth_bind_op_run(vm, &ops[i]);
	for (i = 0; i < prepared; i++)
		hearth_bind_op_cleanup(vm, &ops[i]);

	kvfree(ops);
	return ret;
}

static void hearth_bind_job_finish(struct hearth_bind_job *job, int error)
{
	if (error)
		dma_fence_set_error(job->fence, error);
	dma_fence_signal(job->fence);
}

static struct dma_fence *hearth_bind_run_job(struct drm_sched_job *base)
{
	struct hearth_bind_job *job = to_hearth_bind_job(base);
	bool cookie;
	int ret;

	cookie = dma_fence_begin_signalling();
	ret = hearth_bind_op_run(job->vm, &job->op);
	hearth_bind_job_finish(job, ret);
	dma_fence_end_signalling(cookie);

	/* Done when this returns, so the scheduler has no fence to wait for. */
	return ret ? ERR_PTR(ret) : NULL;
}

static void hearth_bind_job_free(struct hearth_bind_job *job)
{
	struct hearth_vm *vm = job->vm;

	if (job->armed)
		dma_fence_put(job->fence);
	else
		hearth_fence_free(job->fence);
	hearth_syncs_fini(&job->syncs);
	hearth_bind_op_cleanup(vm, &job->op);
	atomic_dec(&vm->nr_pending);
	kfree(job);
	hearth_vm_put(vm);
}

static void hearth_bind_cleanup_work(struct work_struct *work)
{
	hearth_bind_job_free(container_of(work, struct hearth_bind_job, cleanup_work));
}

static void hearth_bind_free_job(struct drm_sched_job *base)
{
	struct hearth_bind_job *job = to_hearth_bind_job(base);

	/* One that was killed before it ran. */
	if (!dma_fence_is_signaled(job->fence))
		hearth_bind_job_finish(job, -ECANCELED);

	drm_sched_job_cleanup(base);
	queue_work(hearth_free_wq, &job->cleanup_work);
}

static enum drm_gpu_sched_stat hearth_bind_timedout_job(struct drm_sched_job *base)
{
	/* The scheduler's timeout is infinite. */
	WARN_ON_ONCE(1);
	return HEARTH_SCHED_STAT_RESET;
}

static const struct drm_sched_backend_ops hearth_bind_sched_ops = {
	.run_job = hearth_bind_run_job,
	.timedout_job = hearth_bind_timedout_job,
	.free_job = hearth_bind_free_job,
};

void hearth_bind_queue_free(struct hearth_bind_queue *bindq)
{
	drm_sched_entity_destroy(&bindq->entity);
	drm_sched_fini(&bindq->sched);
	kfree(bindq);
}

static struct hearth_bind_queue *hearth_bind_queue_create(struct hearth_device *hdev)
{
	const struct drm_sched_init_args args = {
		.ops = &hearth_bind_sched_ops,
		.submit_wq = hearth_bind_wq,
		.num_rqs = 1,
		.credit_limit = 1,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.name = "hearth-bind",
		.dev = hdev->base.dev,
	};
	struct drm_gpu_scheduler *scheds;
	struct hearth_bind_queue *bindq;
	int ret;

	bindq = kzalloc(sizeof(*bindq), GFP_KERNEL_ACCOUNT);
	if (!bindq)
		return ERR_PTR(-ENOMEM);

	ret = hearth_sched_init(&bindq->sched, &args);
	if (ret)
		goto err_free;

	scheds = &bindq->sched;
	ret = drm_sched_entity_init(&bindq->entity, 0, &scheds, 1, NULL);
	if (ret)
		goto err_fini;
	bindq->fence_context = dma_fence_context_alloc(1);
	return bindq;

err_fini:
	drm_sched_fini(&bindq->sched);
err_free:
	kfree(bindq);
	return ERR_PTR(ret);
}

/* Most address spaces never see an asynchronous bind. */
static int hearth_bind_queue_get(struct hearth_vm *vm)
{
	struct hearth_bind_queue *bindq;

	guard(mutex)(&vm->bindq_lock);
	if (vm->bindq)
		return 0;

	bindq = hearth_bind_queue_create(vm->hdev);
	if (IS_ERR(bindq))
		return PTR_ERR(bindq);

	vm->bindq = bindq;
	return 0;
}

static struct hearth_bind_job *hearth_bind_job_create(struct hearth_vm *vm, struct drm_file *file,
						      const struct drm_hearth_bind_op *uop)
{
	struct hearth_bind_job *job;
	int ret;

	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return ERR_PTR(-ENOMEM);
	INIT_WORK(&job->cleanup_work, hearth_bind_cleanup_work);

	job->fence = hearth_fence_alloc();
	ret = job->fence ? hearth_bind_prepare(vm, file, &job->op, uop) : -ENOMEM;
	if (ret)
		goto err_free;
	ret = hearth_syncs_init(&job->syncs, file, &uop->syncs);
	if (ret)
		goto err_cleanup;
	ret = hearth_sched_job_init(&job->base, &vm->bindq->entity, 1, vm, file->client_id);
	if (ret)
		goto err_fini_syncs;

	atomic_inc(&vm->nr_pending);
	job->vm = hearth_vm_get(vm);
	return job;

err_fini_syncs:
	hearth_syncs_fini(&job->syncs);
err_cleanup:
	hearth_bind_op_cleanup(vm, &job->op);
err_free:
	hearth_fence_free(job->fence);
	kfree(job);
	return ERR_PTR(ret);
}

/* Cannot fail; the job belongs to the scheduler afterwards. */
static void hearth_bind_push_one(struct hearth_vm *vm, struct hearth_bind_job *job)
{
	struct hearth_bind_queue *bindq = vm->bindq;

	dma_resv_assert_held(hearth_vm_resv(vm));

	hearth_fence_init(job->fence, bindq->fence_context, ++bindq->seqno);
	job->armed = true;
	drm_sched_job_arm(&job->base);
	dma_resv_add_fence(hearth_vm_resv(vm), job->fence, DMA_RESV_USAGE_KERNEL);
	hearth_syncs_signal(&job->syncs, job->fence);
	drm_sched_entity_push_job(&job->base);
}

/* Hands the jobs over to the scheduler. Either none or all; they are gone then. */
static int hearth_bind_push(struct hearth_vm *vm, struct hearth_bind_job **jobs, u32 count)
{
	struct dma_resv *resv = hearth_vm_resv(vm);
	u32 i;
	int ret;

	/* Also keeps the order of arming and that of pushing the same. */
	ret = dma_resv_lock_interruptible(resv, NULL);
	if (ret)
		return ret;

	/* They are on one timeline, so one slot takes them all. */
	ret = dma_resv_reserve_fences(resv, 1);
	for (i = 0; i < count && !ret; i++)
		hearth_bind_push_one(vm, jobs[i]);
	dma_resv_unlock(resv);
	return ret;
}

static int hearth_bind_add_deps(struct hearth_bind_job **jobs, u32 count, struct drm_file *file)
{
	struct hearth_sync_batch batch;
	int ret = 0;
	u32 i;

	hearth_sync_batch_init(&batch);
	for (i = 0; i < count && !ret; i++)
		ret = hearth_syncs_add_deps(&jobs[i]->syncs, &jobs[i]->base, file, &batch);
	hearth_sync_batch_fini(&batch);
	return ret;
}

static int hearth_bind_async(struct hearth_vm *vm, struct drm_file *file,
			     const struct drm_hearth_bind_op *uops, u32 count)
{
	struct hearth_bind_job **jobs;
	u32 created, i;
	int ret;

	if (atomic_read(&vm->nr_pending) + count > HEARTH_MAX_PENDING_BINDS)
		return -EBUSY;
	ret = hearth_bind_queue_get(vm);
	if (ret)
		return ret;

	jobs = kvcalloc(count, sizeof(*jobs), GFP_KERNEL_ACCOUNT);
	if (!jobs)
		return -ENOMEM;

	for (created = 0; created < count; created++) {
		jobs[created] = hearth_bind_job_create(vm, file, &uops[created]);
		if (IS_ERR(jobs[created])) {
			ret = PTR_ERR(jobs[created]);
			break;
		}
	}
	ret = ret ?: hearth_bind_add_deps(jobs, count, file);
	ret = ret ?: hearth_bind_push(vm, jobs, count);

	for (i = 0; ret && i < created; i++) {
		drm_sched_job_cleanup(&jobs[i]->base);
		hearth_bind_job_free(jobs[i]);
	}
	kvfree(jobs);
	return ret;
}

static int hearth_bind(struct hearth_vm *vm, struct drm_file *file,
		       const struct drm_hearth_vm_bind *args)
{
	bool async = args->flags & DRM_HEARTH_VM_BIND_ASYNC;
	struct drm_hearth_bind_op *uops;
	int ret = 0;
	u32 i;

	if (!hearth_vm_usable(vm))
		return -EINVAL;

	uops = hearth_array_copy_in(&args->ops, sizeof(*uops), sizeof(*uops), HEARTH_MAX_BINDS);
	if (IS_ERR_OR_NULL(uops))
		return uops ? PTR_ERR(uops) : -EINVAL;

	for (i = 0; i < args->ops.count && !ret; i++)
		ret = hearth_bind_check(vm, &uops[i], async);
	if (!ret)
		ret = async ? hearth_bind_async(vm, file, uops, args->ops.count) :
			      hearth_bind_sync(vm, file, uops, args->ops.count);

	kvfree(uops);
	return ret;
}

int hearth_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_vm_bind *args = data;
	struct hearth_vm *vm;
	int ret, idx;

	if (args->flags & ~DRM_HEARTH_VM_BIND_ASYNC)
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;

	vm = hearth_vm_lookup(to_hearth_file(file), args->vm_id);
	ret = vm ? hearth_bind(vm, file, args) : -ENOENT;
	if (vm)
		hearth_vm_put(vm);

	drm_dev_exit(idx);
	return ret;
}
