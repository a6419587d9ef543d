// SPDX-License-Identifier: GPL-2.0
/*
 * A job is killed if it makes no progress for too long or runs for too long.
 * Time counts while it is executed: not in the queue, and not while a queue
 * of higher priority has work, since the device serves that one first.
 */
#include <linux/jiffies.h>
#include <linux/module.h>

#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_job.h"
#include "hearth_queue.h"
#include "hearth_slot.h"

/* No progress for so long is suspicious, once the firmware does not answer. */
#define HEARTH_STALLED	HZ

static unsigned int progress_timeout_ms = 10000;
module_param(progress_timeout_ms, uint, 0444);
MODULE_PARM_DESC(progress_timeout_ms, "Longest time without progress of a job (default 10000)");

static unsigned int job_timeout_ms = 300000;
module_param(job_timeout_ms, uint, 0444);
MODULE_PARM_DESC(job_timeout_ms, "Longest run of a job (default 300000)");

int hearth_timeout_check(u64 progress_ns, u64 job_ns)
{
	if (progress_ns > (u64)progress_timeout_ms * NSEC_PER_MSEC ||
	    job_ns > (u64)job_timeout_ms * NSEC_PER_MSEC)
		return -EINVAL;
	return 0;
}

/* Often enough to make up for an interrupt that was lost. */
static unsigned long hearth_timeout_period(const struct hearth_progress *p)
{
	return clamp(min(p->progress_limit, p->job_limit) / 4, 1UL, HZ / 4UL);
}

static u64 hearth_timeout_progress(struct hearth_queue *queue)
{
	struct hearth_hw_fw_page *page = queue->hdev->fw->page;

	return le64_to_cpu(READ_ONCE(page->queue[queue->slot].progress));
}

static u64 hearth_timeout_job(struct hearth_queue *queue)
{
	return list_first_entry(&queue->running, struct hearth_job, node)->seqno;
}

static void hearth_timeout_restart(struct hearth_queue *queue)
{
	struct hearth_progress *p = &queue->progress;

	p->job = hearth_timeout_job(queue);
	p->last = hearth_timeout_progress(queue);
	p->looked = jiffies;
	p->stalled = 0;
	p->ran = 0;
}

void hearth_timeout_arm(struct hearth_queue *queue)
{
	struct hearth_progress *p = &queue->progress;

	lockdep_assert_held(&queue->lock);

	if (queue_delayed_work(queue->hdev->wq, &p->work, hearth_timeout_period(p)) &&
	    hearth_timeout_job(queue) != p->job)
		hearth_timeout_restart(queue);
}

bool hearth_timeout_stalled(struct hearth_queue *queue)
{
	struct hearth_progress *p = &queue->progress;

	lockdep_assert_held(&queue->lock);

	return hearth_timeout_job(queue) == p->job &&
	       hearth_timeout_progress(queue) == p->last &&
	       p->stalled + (jiffies - p->looked) >= HEARTH_STALLED;
}

static bool hearth_timeout_outranked(struct hearth_queue *queue)
{
	struct hearth_slots *slots = queue->hdev->slots;
	struct hearth_queue *other;
	bool outranked = false;
	u32 slot;

	spin_lock(&slots->owner_lock);
	for (slot = 0; slot < HEARTH_MAX_SLOTS; slot++) {
		other = slots->owner[slot];
		if (!other || other->priority <= queue->priority)
			continue;
		spin_lock(&other->lock);
		outranked |= !list_empty(&other->running);
		spin_unlock(&other->lock);
	}
	spin_unlock(&slots->owner_lock);
	return outranked;
}

/* Has the firmware taken the job from the ring? Its index is a hint only. */
static bool hearth_timeout_started(struct hearth_queue *queue)
{
	struct hearth_hw_fw_page *page = queue->hdev->fw->page;
	u32 extract = le32_to_cpu(READ_ONCE(page->queue[queue->slot].extract));
	u32 running = list_count_nodes(&queue->running);

	return queue->inserted - extract < running || extract > queue->inserted;
}

/* Counts the time since the last look. True if there was too much of it. */
static bool hearth_timeout_count(struct hearth_queue *queue, bool outranked)
{
	struct hearth_progress *p = &queue->progress;
	unsigned long elapsed = jiffies - p->looked;
	u64 progress = hearth_timeout_progress(queue);

	lockdep_assert_held(&queue->lock);

	if (hearth_timeout_job(queue) != p->job) {
		hearth_timeout_restart(queue);
		return false;
	}
	p->looked += elapsed;
	if (progress == p->last && (outranked || !hearth_timeout_started(queue)))
		return false;
	p->stalled = progress == p->last ? p->stalled + elapsed : 0;
	p->last = progress;
	p->ran += elapsed;
	return p->stalled >= p->progress_limit || p->ran >= p->job_limit;
}

/* A queue that hung kept others from the engine: they start to count anew. */
static void hearth_timeout_absolve(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	u32 slot;

	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hearth_slot_owner(hdev, slot);
		if (!queue)
			continue;
		spin_lock(&queue->lock);
		queue->progress.stalled = 0;
		spin_unlock(&queue->lock);
		hearth_queue_put(queue);
	}
}

static void hearth_timeout_look(struct hearth_queue *queue)
{
	struct hearth_device *hdev = queue->hdev;
	struct hearth_hw_fw_page *page = hdev->fw->page;
	struct hearth_fault fault = {
		.cause = DRM_HEARTH_FAULT_TIMEOUT,
		.error = -ETIMEDOUT,
		.opcode = ~0,
	};
	bool outranked, expired = false;

	outranked = hearth_timeout_outranked(queue);
	spin_lock(&queue->lock);
	if (queue->slot >= 0 && !queue->dead && !list_empty(&queue->running)) {
		expired = hearth_timeout_count(queue, outranked);
		/* Not the job's fault. A job that runs keeps the device awake. */
		if (expired && hearth_read(hdev, HEARTH_REG_STATUS) == ~0) {
			hearth_device_gone(hdev);
			expired = false;
		}
		fault.job = queue->progress.job - 1;
		fault.op_index = le32_to_cpu(READ_ONCE(page->queue[queue->slot].op_index));
		if (!expired)
			hearth_timeout_arm(queue);
	}
	spin_unlock(&queue->lock);

	if (expired) {
		hearth_queue_kill(queue, -ECANCELED, &fault);
		hearth_timeout_absolve(hdev);
	}
}

static void hearth_timeout_work(struct work_struct *work)
{
	struct hearth_queue *queue = container_of(to_delayed_work(work), struct hearth_queue,
						  progress.work);
	struct hearth_device *hdev = queue->hdev;
	int idx;

	if (!drm_dev_enter(&hdev->base, &idx))
		return;
	/* Perhaps only an interrupt was lost. */
	hearth_fw_process_events(hdev);
	if (READ_ONCE(hdev->fw->state) == HEARTH_FW_RUNNING && hearth_fw_heart_stopped(hdev))
		hearth_fw_died(hdev, "its heart stopped");
	hearth_timeout_look(queue);
	drm_dev_exit(idx);
}

void hearth_timeout_init(struct hearth_queue *queue, u64 progress_ns, u64 job_ns)
{
	struct hearth_progress *p = &queue->progress;

	INIT_DELAYED_WORK(&p->work, hearth_timeout_work);
	p->progress_limit = progress_ns ? nsecs_to_jiffies(progress_ns) :
					  msecs_to_jiffies(progress_timeout_ms);
	p->job_limit = job_ns ? nsecs_to_jiffies(job_ns) : msecs_to_jiffies(job_timeout_ms);
}
