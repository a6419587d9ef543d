// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/slab.h>

#include <drm/drm_auth.h>
#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_job.h"
#include "hearth_queue.h"
#include "hearth_slot.h"
#include "hearth_vm.h"

#define HEARTH_RING_BYTES	(HEARTH_RING_ENTRIES * sizeof(struct hearth_hw_job))

struct hearth_queue *hearth_queue_get(struct hearth_queue *queue)
{
	kref_get(&queue->ref);
	return queue;
}

/*
 * All jobs are gone: each held a reference. So the entity is empty, and
 * freeing it signals nothing with an errno of drm_sched's.
 */
static void hearth_queue_release_work(struct work_struct *work)
{
	struct hearth_queue *queue = container_of(work, struct hearth_queue, release_work);
	struct hearth_device *hdev = queue->hdev;

	cancel_delayed_work_sync(&queue->progress.work);
	drm_sched_entity_fini(&queue->entity);
	drm_sched_fini(&queue->sched);

	mutex_lock(&hdev->queues_lock);
	list_del(&queue->node);
	hdev->retired_ns += hearth_queue_busy_ns(queue);
	if (queue->ring)
		dma_free_coherent(hdev->base.dev, HEARTH_RING_BYTES, queue->ring,
				  queue->ring_dma);
	mutex_unlock(&hdev->queues_lock);

	hearth_vm_put(queue->vm);
	kfree(queue);
	atomic_dec(&hdev->count.queues);
	drm_dev_put(&hdev->base);
}

static void hearth_queue_release(struct kref *ref)
{
	struct hearth_queue *queue = container_of(ref, struct hearth_queue, ref);

	/* The last job puts it from the scheduler's own work. */
	queue_work(hearth_free_wq, &queue->release_work);
}

void hearth_queue_put(struct hearth_queue *queue)
{
	kref_put(&queue->ref, hearth_queue_release);
}

struct hearth_queue *hearth_queue_lookup(struct hearth_file *hfile, u32 id)
{
	struct hearth_queue *queue;

	xa_lock(&hfile->queues);
	queue = xa_load(&hfile->queues, id);
	if (queue)
		hearth_queue_get(queue);
	xa_unlock(&hfile->queues);
	return queue;
}

void hearth_queue_set_fault(struct hearth_queue *queue, const struct hearth_fault *fault)
{
	lockdep_assert_held(&queue->lock);

	/* A fault of its own says more than one it was dragged into. */
	if (!queue->fault.cause || (queue->fault.innocent && !fault->innocent))
		queue->fault = *fault;
}

void hearth_queue_die(struct hearth_queue *queue, int dead, const struct hearth_fault *fault)
{
	lockdep_assert_held(&queue->lock);

	if (queue->dead)
		return;
	WRITE_ONCE(queue->dead, dead);
	if (fault) {
		queue->culprit = fault->job + 1;
		queue->culprit_error = fault->error;
		hearth_queue_set_fault(queue, fault);
	}
}

void hearth_queue_cancel_jobs(struct hearth_queue *queue)
{
	struct hearth_job *job, *next;
	LIST_HEAD(cancelled);
	int dead, error;
	u64 culprit;

	spin_lock(&queue->lock);
	if (queue->slot < 0)
		list_splice_init(&queue->pending, &cancelled);
	dead = queue->dead;
	culprit = queue->culprit;
	error = queue->culprit_error;
	spin_unlock(&queue->lock);

	list_for_each_entry_safe(job, next, &cancelled, node)
		hearth_job_finish(job, job->seqno == culprit ? error : dead);
}

void hearth_queue_kill(struct hearth_queue *queue, int dead, const struct hearth_fault *fault)
{
	spin_lock(&queue->lock);
	hearth_queue_die(queue, dead, fault);
	spin_unlock(&queue->lock);

	hearth_slot_forget(queue);
	hearth_queue_cancel_jobs(queue);
	hearth_slots_kick(queue->hdev);
}

static void hearth_queue_kill_cause(struct hearth_queue *queue, int dead,
				    enum drm_hearth_fault_cause cause)
{
	struct hearth_fault fault = { .cause = cause, .error = dead, .opcode = ~0 };
	struct hearth_job *job;

	spin_lock(&queue->lock);
	job = list_first_entry_or_null(&queue->running, struct hearth_job, node) ?:
	      list_first_entry_or_null(&queue->pending, struct hearth_job, node);
	fault.job = job ? job->seqno - 1 : queue->jobs_armed;
	spin_unlock(&queue->lock);

	hearth_queue_kill(queue, dead, &fault);
}

void hearth_queues_kill(struct hearth_device *hdev, int dead, enum drm_hearth_fault_cause cause)
{
	struct hearth_queue *queue;

	mutex_lock(&hdev->queues_lock);
	list_for_each_entry(queue, &hdev->queues, node) {
		/* Not one that is about to be released. */
		if (!kref_get_unless_zero(&queue->ref))
			continue;
		hearth_queue_kill_cause(queue, dead, cause);
		hearth_queue_put(queue);
	}
	mutex_unlock(&hdev->queues_lock);
}

void hearth_queues_unplug(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	bool cookie;

	hearth_queues_kill(hdev, -ENODEV, DRM_HEARTH_FAULT_GONE);

	cookie = hearth_slots_lock(hdev);
	hdev->slots->frozen = true;
	hearth_slots_after_stop(hdev, HEARTH_BLAME_NONE);
	hearth_slots_unlock(hdev, cookie);

	mutex_lock(&hdev->queues_lock);
	list_for_each_entry(queue, &hdev->queues, node) {
		dma_free_coherent(hdev->base.dev, HEARTH_RING_BYTES, queue->ring,
				  queue->ring_dma);
		queue->ring = NULL;
	}
	mutex_unlock(&hdev->queues_lock);
}

/* What the firmware says is believed as far as the clock allows. */
u64 hearth_queue_busy_ns(struct hearth_queue *queue)
{
	struct hearth_hw_fw_page *page = queue->hdev->fw->page;
	u64 now, seen, busy;

	spin_lock(&queue->lock);
	if (queue->slot >= 0) {
		now = ktime_get_ns();
		seen = le64_to_cpu(READ_ONCE(page->queue[queue->slot].busy_ns));
		if (seen > queue->busy_seen) {
			queue->busy_ns += min(seen - queue->busy_seen, now - queue->busy_at);
			queue->busy_seen = seen;
		}
		queue->busy_at = now;
	}
	busy = queue->busy_ns;
	spin_unlock(&queue->lock);
	return busy;
}

u32 hearth_queue_priorities(struct hearth_device *hdev, struct drm_file *file)
{
	u32 mask = BIT(DRM_HEARTH_QUEUE_IDLE) | BIT(DRM_HEARTH_QUEUE_NORMAL);

	if (capable(CAP_SYS_NICE) || drm_is_current_master(file))
		mask |= BIT(DRM_HEARTH_QUEUE_FOCUS) | BIT(DRM_HEARTH_QUEUE_REALTIME);
	return mask;
}

static int hearth_queue_init_sched(struct hearth_queue *queue)
{
	struct drm_gpu_scheduler *sched = &queue->sched;
	const struct drm_sched_init_args args = {
		.ops = &hearth_sched_ops,
		.submit_wq = queue->hdev->sched_wq,
		.num_rqs = 1,
		.credit_limit = HEARTH_RING_ENTRIES,
		.timeout = MAX_SCHEDULE_TIMEOUT,
		.timeout_wq = queue->hdev->wq,
		.name = "hearth-queue",
		.dev = queue->hdev->base.dev,
	};
	int ret;

	ret = hearth_sched_init(sched, &args);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&queue->entity, DRM_SCHED_PRIORITY_KERNEL, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}

/* Consumes the reference to @vm if it succeeds. */
static struct hearth_queue *hearth_queue_create(struct hearth_device *hdev,
						struct hearth_vm *vm,
						const struct drm_hearth_queue_create *args)
{
	struct hearth_queue *queue;
	int ret;

	queue = kzalloc(sizeof(*queue), GFP_KERNEL_ACCOUNT);
	if (!queue)
		return ERR_PTR(-ENOMEM);

	kref_init(&queue->ref);
	INIT_WORK(&queue->release_work, hearth_queue_release_work);
	spin_lock_init(&queue->lock);
	INIT_LIST_HEAD(&queue->pending);
	INIT_LIST_HEAD(&queue->running);
	INIT_LIST_HEAD(&queue->wait_node);
	queue->hdev = hdev;
	queue->vm = vm;
	queue->slot = -1;
	queue->priority = args->priority;
	queue->pid = task_tgid_nr(current);
	queue->fence_context = dma_fence_context_alloc(1);
	hearth_timeout_init(queue, args->progress_timeout_ns, args->job_timeout_ns);

	queue->ring = dma_alloc_coherent(hdev->base.dev, HEARTH_RING_BYTES, &queue->ring_dma,
					 GFP_KERNEL);
	if (!queue->ring) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = hearth_queue_init_sched(queue);
	if (ret)
		goto err_ring;

	drm_dev_get(&hdev->base);
	atomic_inc(&hdev->count.queues);
	mutex_lock(&hdev->queues_lock);
	list_add_tail(&queue->node, &hdev->queues);
	mutex_unlock(&hdev->queues_lock);
	return queue;

err_ring:
	dma_free_coherent(hdev->base.dev, HEARTH_RING_BYTES, queue->ring, queue->ring_dma);
err_free:
	kfree(queue);
	return ERR_PTR(ret);
}

static int hearth_queue_add(struct hearth_file *hfile, struct drm_hearth_queue_create *args)
{
	struct hearth_device *hdev = hfile->hdev;
	struct hearth_queue *queue;
	struct hearth_vm *vm;
	int ret;

	vm = hearth_vm_lookup(hfile, args->vm_id);
	if (!vm)
		return -ENOENT;
	queue = hearth_queue_create(hdev, vm, args);
	if (IS_ERR(queue)) {
		hearth_vm_put(vm);
		return PTR_ERR(queue);
	}

	ret = xa_alloc(&hfile->queues, &args->queue_id, queue, XA_LIMIT(1, HEARTH_MAX_QUEUES),
		       GFP_KERNEL);
	if (ret) {
		hearth_queue_put(queue);
		return ret == -EBUSY ? -ENOSPC : ret;
	}
	return 0;
}

int hearth_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_queue_create *args = data;
	struct hearth_device *hdev = to_hearth_device(drm);
	int ret, idx;

	if (args->flags || args->priority > DRM_HEARTH_QUEUE_REALTIME)
		return -EINVAL;
	if (!(hearth_queue_priorities(hdev, file) & BIT(args->priority)))
		return -EACCES;
	ret = hearth_timeout_check(args->progress_timeout_ns, args->job_timeout_ns);
	if (ret)
		return ret;

	if (!drm_dev_enter(drm, &idx))
		return -ENODEV;
	ret = hdev->wedged ? -ENODEV : hearth_queue_add(to_hearth_file(file), args);
	drm_dev_exit(idx);
	return ret;
}

/* The file's reference goes; the queue itself when the last job is freed. */
static void hearth_queue_retire(struct hearth_file *hfile, struct hearth_queue *queue)
{
	atomic64_add(hearth_queue_busy_ns(queue), &hfile->retired_ns);
	hearth_queue_put(queue);
}

int hearth_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_queue_destroy *args = data;
	struct hearth_file *hfile = to_hearth_file(file);
	struct hearth_queue *queue;

	if (args->pad)
		return -EINVAL;
	queue = xa_erase(&hfile->queues, args->queue_id);
	if (!queue)
		return -ENOENT;

	hearth_queue_kill(queue, -ECANCELED, NULL);
	/* The device has let go of the slot when we return, unless it hangs. */
	flush_work(&hfile->hdev->slots->work);
	hearth_queue_retire(hfile, queue);
	return 0;
}

void hearth_queue_file_close(struct hearth_file *hfile)
{
	struct hearth_queue *queue;
	unsigned long id;

	xa_for_each(&hfile->queues, id, queue)
		hearth_queue_kill(queue, -ECANCELED, NULL);
	if (!xa_empty(&hfile->queues))
		flush_work(&hfile->hdev->slots->work);
	xa_for_each(&hfile->queues, id, queue)
		hearth_queue_put(queue);
	xa_destroy(&hfile->queues);
}
