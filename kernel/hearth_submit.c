// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-fence.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_exec.h>
#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_job.h"
#include "hearth_pm.h"
#include "hearth_queue.h"
#include "hearth_store.h"
#include "hearth_sync.h"
#include "hearth_trace.h"
#include "hearth_uobj.h"
#include "hearth_vm.h"

/* A job is not ours any more once it is pushed; what we need then is here. */
struct hearth_submit_entry {
	struct hearth_job *job;
	struct dma_fence *fence;
	struct hearth_syncs syncs;
};

struct hearth_submit {
	struct hearth_queue *queue;
	struct drm_file *file;
	struct hearth_submit_entry *entries;
	u32 count;
};

static int hearth_submit_check_job(struct hearth_device *hdev, const struct drm_hearth_job *arg)
{
	u64 end = hearth_vm_end(hdev);

	if (arg->stream_bytes > HEARTH_MAX_STREAM) {
		drm_dbg(&hdev->base, "stream_bytes %llu, at most %u\n", arg->stream_bytes,
			HEARTH_MAX_STREAM);
		return -E2BIG;
	}
	if (!arg->stream_bytes || arg->stream_va % 8 || arg->stream_bytes % 8 ||
	    arg->stream_va < HEARTH_VA_START || arg->stream_va > end - arg->stream_bytes) {
		drm_dbg(&hdev->base, "stream_va %#llx, stream_bytes %llu: empty, unaligned or beyond %#llx\n",
			arg->stream_va, arg->stream_bytes, end);
		return -EINVAL;
	}
	return 0;
}

static int hearth_submit_add(struct hearth_submit *submit, const struct drm_hearth_job *arg)
{
	struct hearth_submit_entry *entry = &submit->entries[submit->count];
	struct hearth_job *job;
	int ret;

	ret = hearth_submit_check_job(submit->queue->hdev, arg);
	if (ret)
		return ret;
	ret = hearth_syncs_init(&entry->syncs, submit->file, &arg->syncs);
	if (ret)
		return ret;
	job = hearth_job_create(submit->queue, submit->file);
	if (IS_ERR(job)) {
		hearth_syncs_fini(&entry->syncs);
		return PTR_ERR(job);
	}
	job->stream_va = arg->stream_va;
	job->stream_bytes = arg->stream_bytes;
	entry->job = job;
	submit->count++;
	return 0;
}

static int hearth_submit_init(struct hearth_submit *submit,
			      const struct drm_hearth_array *array)
{
	struct drm_hearth_job *args;
	int ret = 0;
	u32 i;

	args = hearth_array_copy_in(array, sizeof(*args), sizeof(*args), HEARTH_MAX_JOBS);
	if (IS_ERR(args))
		return PTR_ERR(args);
	if (!args)
		return -EINVAL;

	submit->entries = kcalloc(array->count, sizeof(*submit->entries), GFP_KERNEL_ACCOUNT);
	if (!submit->entries)
		ret = -ENOMEM;
	for (i = 0; i < array->count && !ret; i++)
		ret = hearth_submit_add(submit, &args[i]);
	kvfree(args);
	return ret;
}

static void hearth_submit_fini(struct hearth_submit *submit)
{
	u32 i;

	for (i = 0; i < submit->count; i++) {
		struct hearth_submit_entry *entry = &submit->entries[i];

		if (entry->job)
			hearth_job_destroy(entry->job);
		dma_fence_put(entry->fence);
		hearth_syncs_fini(&entry->syncs);
	}
	kfree(submit->entries);
}

static int hearth_submit_add_deps(struct hearth_submit *submit)
{
	struct hearth_sync_batch batch;
	u32 i;
	int ret;

	/* The jobs behind it come after it: what it waits for, they do. */
	ret = hearth_vm_add_deps(submit->queue->vm, &submit->entries[0].job->base);

	hearth_sync_batch_init(&batch);
	for (i = 0; i < submit->count && !ret; i++)
		ret = hearth_syncs_add_deps(&submit->entries[i].syncs,
					    &submit->entries[i].job->base, submit->file,
					    &batch);
	hearth_sync_batch_fini(&batch);
	return ret;
}

/* The point of no return. */
static void hearth_submit_push(struct hearth_submit *submit, struct drm_exec *exec)
{
	struct dma_fence *last;
	u32 i;

	for (i = 0; i < submit->count; i++) {
		struct hearth_submit_entry *entry = &submit->entries[i];
		struct hearth_job *job = entry->job;

		hearth_job_arm(job);
		entry->fence = dma_fence_get(job->fence);
		entry->job = NULL;
		trace_hearth_job_submit(job, 0);
		drm_sched_entity_push_job(&job->base);
	}
	/* It signals after those before it. */
	last = submit->entries[submit->count - 1].fence;
	hearth_vm_add_fence(submit->queue->vm, exec, last);
}

/*
 * The reservation of the address space is held from before the first job is
 * armed until the last one is pushed. So the numbers of jobs are in the order
 * of the scheduler's queue, and a bind either sees our fence or is one of our
 * dependencies. Syncobjs are touched when all is queued: until then nobody
 * can wait for a job that will not come.
 */
static int hearth_submit_run(struct hearth_submit *submit)
{
	struct drm_exec exec;
	int ret;
	u32 i;

	drm_exec_init(&exec, DRM_EXEC_INTERRUPTIBLE_WAIT | DRM_EXEC_IGNORE_DUPLICATES, 0);
	drm_exec_until_all_locked(&exec) {
		ret = hearth_vm_lock(submit->queue->vm, &exec, 1);
		drm_exec_retry_on_contention(&exec);
		if (ret)
			break;
	}
	if (!ret)
		ret = hearth_submit_add_deps(submit);
	if (!ret)
		hearth_submit_push(submit, &exec);
	drm_exec_fini(&exec);
	if (ret)
		return ret;

	for (i = 0; i < submit->count; i++)
		hearth_syncs_signal(&submit->entries[i].syncs, submit->entries[i].fence);
	trace_hearth_submit(submit->queue->fence_context, submit->count);
	return 0;
}

static int hearth_submit_to(struct hearth_queue *queue, struct drm_file *file,
			    const struct drm_hearth_array *jobs)
{
	struct hearth_submit submit = { .queue = queue, .file = file };
	int ret;

	/* The jobs hold references of their own from here on. */
	ret = hearth_pm_get(queue->hdev);
	if (ret)
		return ret;

	ret = hearth_vm_is_stale(queue->vm) ? -ESTALE : READ_ONCE(queue->dead);
	if (!ret && !hearth_vm_usable(queue->vm))
		ret = -EINVAL;
	if (!ret)
		ret = hearth_submit_init(&submit, jobs);
	/* Files are read from now on, while the jobs wait for what else they do. */
	if (!ret)
		ret = hearth_restore_vm(queue->vm);
	if (!ret)
		ret = hearth_submit_run(&submit);
	hearth_submit_fini(&submit);
	hearth_pm_put(queue->hdev);
	return ret;
}

int hearth_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_submit *args = data;
	struct hearth_queue *queue;
	int ret, idx;

	if (args->flags)
		return -EINVAL;
	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;

	queue = hearth_queue_lookup(to_hearth_file(file), args->queue_id);
	if (queue) {
		ret = hearth_submit_to(queue, file, &args->jobs);
		hearth_queue_put(queue);
	} else {
		ret = -ENOENT;
	}
	drm_dev_exit(idx);
	return ret;
}
