// SPDX-License-Identifier: GPL-2.0
/*
 * A job's way: hearth_submit.c arms and pushes it, drm_sched waits for its
 * dependencies, hearth_sched_run_job() puts it on its queue, hearth_slot_fill()
 * on the ring, the firmware's event ends it, drm_sched frees it.
 *
 * From arm on nothing allocates memory and the fence is signalled in any case.
 */
#include <linux/dma-fence.h>
#include <linux/dma-resv.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_fence.h"
#include "hearth_job.h"
#include "hearth_pm.h"
#include "hearth_queue.h"
#include "hearth_slot.h"
#include "hearth_store.h"
#include "hearth_trace.h"
#include "hearth_vm.h"

struct hearth_job *hearth_job_create(struct hearth_queue *queue, struct drm_file *file)
{
	struct hearth_job *job;
	int ret;

	job = kzalloc(sizeof(*job), GFP_KERNEL_ACCOUNT);
	if (!job)
		return ERR_PTR(-ENOMEM);
	job->fence = hearth_fence_alloc();
	if (!job->fence) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = hearth_sched_job_init(&job->base, &queue->entity, 1, file, file->client_id);
	if (ret)
		goto err_fence;

	INIT_LIST_HEAD(&job->node);
	job->queue = hearth_queue_get(queue);
	hearth_pm_get_noresume(queue->hdev);
	atomic_inc(&queue->hdev->count.jobs);
	hearth_dmem_job_begin(queue->vm);
	job->charged = true;
	return job;

err_fence:
	hearth_fence_free(job->fence);
err_free:
	kfree(job);
	return ERR_PTR(ret);
}

/* One that is killed before it runs never finishes. */
static void hearth_job_discharge(struct hearth_job *job)
{
	if (job->charged)
		hearth_dmem_job_end(job->queue->vm);
	job->charged = false;
}

void hearth_job_destroy(struct hearth_job *job)
{
	struct hearth_device *hdev = job->queue->hdev;

	hearth_job_discharge(job);
	drm_sched_job_cleanup(&job->base);
	dma_fence_put(job->restore);
	if (job->armed)
		dma_fence_put(job->fence);
	else
		hearth_fence_free(job->fence);
	hearth_pm_put(hdev);
	atomic_dec(&hdev->count.jobs);
	hearth_queue_put(job->queue);
	kfree(job);
}

void hearth_job_arm(struct hearth_job *job)
{
	struct hearth_queue *queue = job->queue;

	dma_resv_assert_held(hearth_vm_resv(queue->vm));

	job->seqno = ++queue->jobs_armed;
	hearth_fence_init(job->fence, queue->fence_context, job->seqno);
	job->armed = true;
	drm_sched_job_arm(&job->base);
}

void hearth_job_finish(struct hearth_job *job, int error)
{
	struct dma_fence *fence = dma_fence_get(job->fence);

	trace_hearth_job_done(job, error);
	list_del_init(&job->node);
	/* Whoever waited for it finds its weights droppable. */
	if (job->active)
		hearth_vm_job_end(job->queue->vm);
	job->active = false;
	hearth_job_discharge(job);
	if (error)
		dma_fence_set_error(fence, error);
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

/* Of the job ahead, if it has not ended. */
static struct dma_fence *hearth_queue_last_fence(struct hearth_queue *queue)
{
	struct dma_fence *fence = NULL;
	struct list_head *jobs;

	spin_lock(&queue->lock);
	jobs = list_empty(&queue->pending) ? &queue->running : &queue->pending;
	if (!list_empty(jobs))
		fence = dma_fence_get(list_last_entry(jobs, struct hearth_job, node)->fence);
	spin_unlock(&queue->lock);
	return fence;
}

/* What the job's address space maps of files must be there before it runs. */
static struct dma_fence *hearth_job_restore(struct hearth_job *job)
{
	struct hearth_vm *vm = job->queue->vm;
	struct dma_fence *fence;
	int status;

	if (!job->active)
		hearth_vm_job_begin(vm);
	job->active = true;

	status = job->restore ? dma_fence_get_status(job->restore) : 0;
	dma_fence_put(job->restore);
	job->restore = NULL;
	fence = status < 0 ? ERR_PTR(status) : hearth_restore_vm_fence(vm);
	if (IS_ERR(fence)) {
		job->error = PTR_ERR(fence);
		return NULL;
	}
	job->restore = dma_fence_get(fence);
	return fence;
}

/*
 * Called when the job's dependencies are met, and again when the fence that it
 * returned has signalled, until it returns none. A job that will not run waits
 * for those ahead, since the queue dies with it.
 */
static struct dma_fence *hearth_sched_prepare_job(struct drm_sched_job *base,
						  struct drm_sched_entity *entity)
{
	struct hearth_job *job = to_hearth_job(base);
	struct dma_fence *fence = NULL;
	bool cookie;

	cookie = dma_fence_begin_signalling();
	if (!job->error && !READ_ONCE(job->queue->dead))
		fence = hearth_job_restore(job);
	if (job->error)
		fence = hearth_queue_last_fence(job->queue);
	dma_fence_end_signalling(cookie);
	return fence;
}

/* With hearth_queue.lock held: no job runs from @seqno on. */
static void hearth_queue_fail_restore(struct hearth_queue *queue, u64 seqno, int error)
{
	struct hearth_fault fault = {
		.cause = error == -ESTALE ? DRM_HEARTH_FAULT_STALE : DRM_HEARTH_FAULT_RESTORE,
		.error = error,
		.job = seqno - 1,
		.opcode = ~0,
	};

	hearth_queue_die(queue, -ECANCELED, &fault);
}

static struct dma_fence *hearth_sched_run_job(struct drm_sched_job *base)
{
	struct hearth_job *job = to_hearth_job(base);
	struct hearth_queue *queue = job->queue;
	bool wants_slot, cookie;
	int error;

	trace_hearth_job_run(job, 0);
	cookie = dma_fence_begin_signalling();

	spin_lock(&queue->lock);
	error = queue->dead;
	if (!error && !hearth_vm_usable(queue->vm))
		error = -ECANCELED;
	if (!error && job->error) {
		error = job->error;
		hearth_queue_fail_restore(queue, job->seqno, error);
	}
	if (!error) {
		list_add_tail(&job->node, &queue->pending);
		hearth_slot_fill(queue);
	}
	wants_slot = !error && (queue->slot < 0 || queue->yielding);
	spin_unlock(&queue->lock);

	if (error)
		hearth_job_finish(job, error);
	else if (wants_slot)
		hearth_slot_request(queue);
	dma_fence_end_signalling(cookie);
	return dma_fence_get(job->fence);
}

static void hearth_sched_free_job(struct drm_sched_job *base)
{
	hearth_job_destroy(to_hearth_job(base));
}

/* Never armed: the queue's own timeout knows what makes progress. */
static enum drm_gpu_sched_stat hearth_sched_timedout_job(struct drm_sched_job *base)
{
	return HEARTH_SCHED_STAT_RESET;
}

const struct drm_sched_backend_ops hearth_sched_ops = {
	.prepare_job = hearth_sched_prepare_job,
	.run_job = hearth_sched_run_job,
	.timedout_job = hearth_sched_timedout_job,
	.free_job = hearth_sched_free_job,
};

/* Moves the running jobs up to @seqno to @ended. False if there is none. */
static bool hearth_queue_take_ended(struct hearth_queue *queue, u64 seqno,
				    struct list_head *ended)
{
	struct hearth_job *job, *next;
	bool found = false;

	lockdep_assert_held(&queue->lock);

	list_for_each_entry(job, &queue->running, node)
		found |= job->seqno == seqno;
	if (!found)
		return false;

	list_for_each_entry_safe(job, next, &queue->running, node) {
		if (job->seqno > seqno)
			break;
		list_move_tail(&job->node, ended);
	}
	return true;
}

static void hearth_jobs_finish(struct list_head *jobs, int error)
{
	struct hearth_job *job, *next;

	list_for_each_entry_safe(job, next, jobs, node)
		hearth_job_finish(job, error);
}

bool hearth_queue_job_done(struct hearth_queue *queue, u64 seqno)
{
	/* What they read may have changed while they did: the version moves first. */
	bool stale = hearth_vm_is_stale(queue->vm);
	bool found, drained = false;
	LIST_HEAD(ended);

	spin_lock(&queue->lock);
	found = hearth_queue_take_ended(queue, seqno, &ended);
	if (found && stale)
		hearth_queue_fail_restore(queue, list_first_entry(&ended, struct hearth_job,
								  node)->seqno, -ESTALE);
	if (found) {
		queue->active_at = ktime_get_ns();
		hearth_slot_fill(queue);
		drained = list_empty(&queue->running);
	}
	spin_unlock(&queue->lock);

	hearth_jobs_finish(&ended, stale ? -ESTALE : 0);
	if (found && stale)
		hearth_slots_kick(queue->hdev);
	else if (drained)
		hearth_slot_idle(queue);
	return found;
}

/* The jobs ahead of the one that failed have ended well, those behind will not run. */
bool hearth_queue_job_fault(struct hearth_queue *queue, const struct hearth_hw_event *event)
{
	u64 seqno = le64_to_cpu(event->seqno);
	struct hearth_fault fault = {
		.job = seqno - 1,
		.op_index = le32_to_cpu(event->op_index),
		.opcode = le32_to_cpu(event->opcode),
	};
	struct hearth_job *failed = NULL;
	LIST_HEAD(ended);
	LIST_HEAD(behind);

	if (!hearth_fault_from_hw(&fault, le32_to_cpu(event->error)))
		return false;
	/* The address of a bus error is not the user's business. */
	if (fault.cause != DRM_HEARTH_FAULT_BUS)
		fault.address = le64_to_cpu(event->addr);

	spin_lock(&queue->lock);
	if (hearth_queue_take_ended(queue, seqno, &ended)) {
		failed = list_last_entry(&ended, struct hearth_job, node);
		list_del_init(&failed->node);
		list_splice_tail_init(&queue->running, &behind);
		list_splice_tail_init(&queue->pending, &behind);
		hearth_queue_die(queue, -ECANCELED, &fault);
	}
	spin_unlock(&queue->lock);
	if (!failed)
		return false;

	hearth_jobs_finish(&ended, 0);
	hearth_job_finish(failed, fault.error);
	hearth_jobs_finish(&behind, -ECANCELED);
	hearth_slots_kick(queue->hdev);
	return true;
}
