// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-fence.h>
#include <linux/ktime.h>
#include <linux/nospec.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_job.h"
#include "hearth_queue.h"
#include "hearth_slot.h"
#include "hearth_vm.h"

bool hearth_slots_lock(struct hearth_device *hdev)
{
	bool cookie = dma_fence_begin_signalling();

	mutex_lock(&hdev->slots->lock);
	return cookie;
}

void hearth_slots_unlock(struct hearth_device *hdev, bool cookie)
{
	mutex_unlock(&hdev->slots->lock);
	dma_fence_end_signalling(cookie);
}

void hearth_slots_kick(struct hearth_device *hdev)
{
	queue_work(hdev->wq, &hdev->slots->work);
	/* Who waits for the slots to drain. */
	wake_up_all(&hdev->fw->wait);
}

void hearth_slot_request(struct hearth_queue *queue)
{
	struct hearth_slots *slots = queue->hdev->slots;

	spin_lock(&slots->owner_lock);
	/* A queue that dies later is taken off by hearth_slot_forget(). */
	if (list_empty(&queue->wait_node) && !READ_ONCE(queue->dead)) {
		hearth_queue_get(queue);
		list_add_tail(&queue->wait_node, &slots->waiting);
	}
	spin_unlock(&slots->owner_lock);
	hearth_slots_kick(queue->hdev);
}

void hearth_slot_idle(struct hearth_queue *queue)
{
	struct hearth_slots *slots = queue->hdev->slots;

	/* One who comes to wait just now looks for idle slots by itself. */
	if (queue->yielding || READ_ONCE(slots->frozen) || !list_empty_careful(&slots->waiting))
		hearth_slots_kick(queue->hdev);
}

void hearth_slot_forget(struct hearth_queue *queue)
{
	struct hearth_slots *slots = queue->hdev->slots;
	bool waited;

	spin_lock(&slots->owner_lock);
	waited = !list_empty(&queue->wait_node);
	list_del_init(&queue->wait_node);
	spin_unlock(&slots->owner_lock);
	if (waited)
		hearth_queue_put(queue);
}

struct hearth_queue *hearth_slot_owner(struct hearth_device *hdev, u32 slot)
{
	struct hearth_slots *slots = hdev->slots;
	struct hearth_queue *queue;

	if (slot >= hdev->caps.slots)
		return NULL;
	slot = array_index_nospec(slot, hdev->caps.slots);

	spin_lock(&slots->owner_lock);
	queue = slots->owner[slot];
	if (queue)
		hearth_queue_get(queue);
	spin_unlock(&slots->owner_lock);
	return queue;
}

void hearth_slot_fill(struct hearth_queue *queue)
{
	struct hearth_hw_host_page *host = queue->hdev->fw->host;
	u32 inserted = queue->inserted;
	struct hearth_hw_job *entry;
	struct hearth_job *job;
	u32 running;

	lockdep_assert_held(&queue->lock);

	if (queue->slot < 0 || queue->yielding || queue->dead)
		return;

	running = list_count_nodes(&queue->running);
	while (running < HEARTH_RING_AHEAD && !list_empty(&queue->pending)) {
		job = list_first_entry(&queue->pending, struct hearth_job, node);
		entry = &queue->ring[inserted % HEARTH_RING_ENTRIES];
		memset(entry, 0, sizeof(*entry));
		entry->seqno = cpu_to_le64(job->seqno);
		entry->stream_va = cpu_to_le64(job->stream_va);
		entry->stream_bytes = cpu_to_le32(job->stream_bytes);
		list_move_tail(&job->node, &queue->running);
		inserted++;
		running++;
	}
	if (inserted == queue->inserted)
		return;

	queue->inserted = inserted;
	/* The entries must be there before the index says so. */
	dma_wmb();
	WRITE_ONCE(host->queue[queue->slot].insert, cpu_to_le32(inserted));
	hearth_doorbell(queue->hdev, queue->slot);
	hearth_timeout_arm(queue);
}

/* The firmware has let go of the slot. */
static void hearth_slot_release(struct hearth_queue *queue)
{
	struct hearth_slots *slots = queue->hdev->slots;
	bool dead, again;

	lockdep_assert_held(&slots->lock);

	spin_lock(&slots->owner_lock);
	slots->owner[queue->slot] = NULL;
	spin_lock(&queue->lock);
	queue->slot = -1;
	queue->yielding = false;
	list_splice_init(&queue->running, &queue->pending);
	dead = queue->dead;
	again = !list_empty(&queue->pending);
	spin_unlock(&queue->lock);
	spin_unlock(&slots->owner_lock);

	if (dead)
		hearth_queue_cancel_jobs(queue);
	else if (again)
		hearth_slot_request(queue);
	hearth_queue_put(queue);
}

static int hearth_slot_stop(struct hearth_queue *queue)
{
	struct hearth_device *hdev = queue->hdev;
	int ret;

	hearth_queue_busy_ns(queue);
	ret = hearth_fw_slot_destroy(hdev, queue->slot);
	if (!ret)
		hearth_slot_release(queue);
	return ret;
}

static int hearth_slot_grant(struct hearth_queue *queue, u32 slot)
{
	struct hearth_device *hdev = queue->hdev;
	struct hearth_slots *slots = hdev->slots;
	struct hearth_vm *vm = queue->vm;
	u32 priority;
	bool dead;
	int ret;

	/* A device with fewer priorities folds ours together. */
	priority = queue->priority * hdev->caps.priorities / (DRM_HEARTH_QUEUE_REALTIME + 1);

	ret = hearth_fw_ctx_create(hdev, vm->ctx, vm->pgd_dma);
	if (ret)
		return ret;
	ret = hearth_fw_slot_create(hdev, slot, vm->ctx, queue->ring_dma,
				    HEARTH_RING_ENTRIES, priority);
	if (ret)
		return ret;

	spin_lock(&slots->owner_lock);
	slots->owner[slot] = queue;
	spin_lock(&queue->lock);
	queue->slot = slot;
	queue->inserted = 0;
	queue->busy_seen = 0;
	queue->granted_at = ktime_get_ns();
	queue->active_at = queue->granted_at;
	queue->busy_at = queue->granted_at;
	queue->progress.job = 0;
	hearth_slot_fill(queue);
	dead = queue->dead;
	spin_unlock(&queue->lock);
	spin_unlock(&slots->owner_lock);
	if (dead)
		hearth_slots_kick(hdev);
	return 0;
}

/* Has it work on its ring? If not and if asked to, it gets no more. */
static bool hearth_slot_has_work(struct hearth_queue *queue, bool yield)
{
	bool work;

	spin_lock(&queue->lock);
	work = !list_empty(&queue->running);
	if (!work && yield)
		queue->yielding = true;
	spin_unlock(&queue->lock);
	return work;
}

/* A slot is only taken away between two jobs. */
static int hearth_slot_evict(struct hearth_queue *queue)
{
	if (hearth_slot_has_work(queue, true))
		return -EBUSY;
	return hearth_slot_stop(queue);
}

/* Stops what is dead, and what was asked to yield and has. */
static int hearth_slots_reap(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	bool reap;
	u32 slot;
	int ret;

	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hdev->slots->owner[slot];
		if (!queue)
			continue;
		spin_lock(&queue->lock);
		reap = queue->dead || (queue->yielding && list_empty(&queue->running));
		spin_unlock(&queue->lock);
		ret = reap ? hearth_slot_stop(queue) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* The most urgent waiter, the first of its priority; its reference is ours. */
static struct hearth_queue *hearth_slots_next_waiter(struct hearth_slots *slots)
{
	struct hearth_queue *queue, *best = NULL;

	spin_lock(&slots->owner_lock);
	list_for_each_entry(queue, &slots->waiting, wait_node) {
		if (!best || queue->priority > best->priority)
			best = queue;
	}
	if (best)
		list_del_init(&best->wait_node);
	spin_unlock(&slots->owner_lock);
	return best;
}

/* Of the queues that may go: without work, or of this priority at most. */
static struct hearth_queue *hearth_slots_victim(struct hearth_device *hdev, bool busy,
						u32 priority)
{
	struct hearth_queue *queue, *victim = NULL;
	u32 slot;

	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hdev->slots->owner[slot];
		if (!queue || queue->yielding || hearth_slot_has_work(queue, false) != busy)
			continue;
		if (!busy) {
			if (!victim || queue->active_at < victim->active_at)
				victim = queue;
			continue;
		}
		if (queue->priority > priority)
			continue;
		if (!victim || queue->priority < victim->priority ||
		    (queue->priority == victim->priority &&
		     queue->granted_at < victim->granted_at))
			victim = queue;
	}
	return victim;
}

/* A free slot, if need be one that an idle queue loses. -EBUSY if all work. */
static int hearth_slots_find(struct hearth_device *hdev)
{
	struct hearth_queue *victim;
	int slot, ret;

	for (slot = 0; slot < hdev->caps.slots; slot++)
		if (!hdev->slots->owner[slot])
			return slot;

	victim = hearth_slots_victim(hdev, false, 0);
	if (!victim)
		return -EBUSY;
	slot = victim->slot;
	ret = hearth_slot_evict(victim);
	return ret ?: slot;
}

static bool hearth_slot_wanted(struct hearth_queue *queue)
{
	bool wanted;

	spin_lock(&queue->lock);
	wanted = queue->slot < 0 && !queue->dead && !list_empty(&queue->pending);
	spin_unlock(&queue->lock);
	return wanted;
}

static int hearth_slots_serve_one(struct hearth_device *hdev, struct hearth_queue *queue)
{
	int ret;

	/* Its jobs were cancelled, or it has a slot and does not yield any more. */
	if (!hearth_slot_wanted(queue)) {
		hearth_queue_put(queue);
		return 0;
	}
	ret = hearth_slots_find(hdev);
	if (ret >= 0)
		ret = hearth_slot_grant(queue, ret);
	return ret;
}

static void hearth_slots_serve(struct hearth_device *hdev)
{
	struct hearth_slots *slots = hdev->slots;
	struct hearth_queue *queue;
	int ret = 0;

	while (!ret && (queue = hearth_slots_next_waiter(slots))) {
		ret = hearth_slots_serve_one(hdev, queue);
		if (!ret)
			continue;
		spin_lock(&slots->owner_lock);
		if (list_empty(&queue->wait_node))
			list_add(&queue->wait_node, &slots->waiting);
		else
			hearth_queue_put(queue);
		spin_unlock(&slots->owner_lock);
	}
}

/* How many wait, and the highest of their priorities. */
static u32 hearth_slots_waiting(struct hearth_slots *slots, u32 *priority)
{
	struct hearth_queue *queue;
	u32 count = 0;

	*priority = 0;
	spin_lock(&slots->owner_lock);
	list_for_each_entry(queue, &slots->waiting, wait_node) {
		*priority = max(*priority, queue->priority);
		count++;
	}
	spin_unlock(&slots->owner_lock);
	return count;
}

static void hearth_slot_yield(struct hearth_queue *queue, bool yielding)
{
	spin_lock(&queue->lock);
	queue->yielding = yielding;
	hearth_slot_fill(queue);
	spin_unlock(&queue->lock);
}

/* As many slots yield as queues wait, none if none does. */
static void hearth_slots_balance(struct hearth_device *hdev)
{
	struct hearth_slots *slots = hdev->slots;
	struct hearth_queue *queue;
	u32 waiting, yielding = 0, priority, slot;

	waiting = hearth_slots_waiting(slots, &priority);
	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = slots->owner[slot];
		if (!queue)
			continue;
		if (slots->frozen)
			hearth_slot_yield(queue, true);
		else if (!waiting && queue->yielding)
			hearth_slot_yield(queue, false);
		yielding += queue->yielding;
	}

	while (yielding < waiting && !slots->frozen) {
		queue = hearth_slots_victim(hdev, true, priority);
		if (!queue)
			break;
		hearth_slot_yield(queue, true);
		yielding++;
		/* Drained in between, so that no event will tell. */
		if (!hearth_slot_has_work(queue, false))
			hearth_slots_kick(hdev);
	}
}

static void hearth_slots_work(struct work_struct *work)
{
	struct hearth_device *hdev = container_of(work, struct hearth_slots, work)->hdev;
	struct hearth_slots *slots = hdev->slots;
	bool cookie;
	int idx;

	if (!drm_dev_enter(&hdev->base, &idx))
		return;
	cookie = hearth_slots_lock(hdev);
	if (!hearth_slots_reap(hdev)) {
		if (!slots->frozen)
			hearth_slots_serve(hdev);
		hearth_slots_balance(hdev);
	}
	hearth_slots_unlock(hdev, cookie);
	drm_dev_exit(idx);
}

bool hearth_slots_busy(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	bool busy = false;
	u32 slot;

	for (slot = 0; slot < hdev->caps.slots && !busy; slot++) {
		queue = hearth_slot_owner(hdev, slot);
		if (!queue)
			continue;
		busy = hearth_slot_has_work(queue, false);
		hearth_queue_put(queue);
	}
	return busy;
}

/* Is a job on its way to its end, on the ring of a queue that is well? */
static bool hearth_slots_progress(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	bool progress = false;
	u32 slot;

	for (slot = 0; slot < hdev->caps.slots && !progress; slot++) {
		queue = hearth_slot_owner(hdev, slot);
		if (!queue)
			continue;
		spin_lock(&queue->lock);
		progress = !queue->dead && !list_empty(&queue->running) &&
			   !hearth_timeout_stalled(queue);
		spin_unlock(&queue->lock);
		hearth_queue_put(queue);
	}
	return progress;
}

void hearth_slots_drain(struct hearth_device *hdev, unsigned long timeout)
{
	struct hearth_queue *queue;
	bool cookie;
	u32 slot;

	cookie = hearth_slots_lock(hdev);
	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hdev->slots->owner[slot];
		if (queue)
			hearth_slot_yield(queue, true);
	}
	hearth_slots_unlock(hdev, cookie);
	wait_event_timeout(hdev->fw->wait, !hearth_slots_progress(hdev), timeout);
}

int hearth_slots_evict_idle(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	u32 slot;
	int ret;

	lockdep_assert_held(&hdev->slots->lock);

	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hdev->slots->owner[slot];
		ret = queue ? hearth_slot_evict(queue) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* Jobs that the firmware has taken from the ring and not ended, as far as it says. */
static u32 hearth_slot_count_taken(struct hearth_queue *queue)
{
	struct hearth_hw_fw_page *page = queue->hdev->fw->page;
	u32 extract = le32_to_cpu(READ_ONCE(page->queue[queue->slot].extract));
	u32 ended = queue->inserted - list_count_nodes(&queue->running);

	extract = min(extract, queue->inserted);
	return extract > ended ? extract - ended : 0;
}

/*
 * A job that the firmware had taken may have been executed in part, and what
 * it overwrote is lost: it must not run again. The ones behind it run.
 */
static void hearth_slot_lose_taken(struct hearth_queue *queue, enum hearth_blame blame)
{
	struct hearth_hw_fw_page *page = queue->hdev->fw->page;
	struct hearth_fault fault = {
		.cause = DRM_HEARTH_FAULT_FIRMWARE,
		.error = -EIO,
		.opcode = ~0,
	};
	struct hearth_job *job, *next;
	LIST_HEAD(taken);
	u32 lost;

	spin_lock(&queue->lock);
	lost = queue->dead ? 0 : hearth_slot_count_taken(queue);
	if (lost) {
		if (blame == HEARTH_BLAME_STALLED && hearth_timeout_stalled(queue)) {
			fault.cause = DRM_HEARTH_FAULT_TIMEOUT;
			fault.error = -ETIMEDOUT;
		} else {
			fault.innocent = blame != HEARTH_BLAME_ALL;
		}
		job = list_first_entry(&queue->running, struct hearth_job, node);
		fault.job = job->seqno - 1;
		fault.op_index = le32_to_cpu(READ_ONCE(page->queue[queue->slot].op_index));
		hearth_queue_set_fault(queue, &fault);
		if (!fault.innocent)
			hearth_queue_die(queue, -ECANCELED, &fault);
		for (; fault.innocent && lost; lost--)
			list_move_tail(queue->running.next, &taken);
	}
	spin_unlock(&queue->lock);

	list_for_each_entry_safe(job, next, &taken, node)
		hearth_job_finish(job, -EIO);
}

void hearth_slots_after_stop(struct hearth_device *hdev, enum hearth_blame blame)
{
	struct hearth_queue *queue;
	u32 slot;

	lockdep_assert_held(&hdev->slots->lock);

	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hdev->slots->owner[slot];
		if (!queue)
			continue;
		hearth_slot_lose_taken(queue, blame);
		hearth_slot_release(queue);
	}
}

void hearth_slots_freeze(struct hearth_device *hdev, bool frozen)
{
	bool cookie = hearth_slots_lock(hdev);

	hdev->slots->frozen = frozen;
	hearth_slots_balance(hdev);
	hearth_slots_unlock(hdev, cookie);
	hearth_slots_kick(hdev);
}

int hearth_slots_init(struct hearth_device *hdev)
{
	struct hearth_slots *slots;

	slots = drmm_kzalloc(&hdev->base, sizeof(*slots), GFP_KERNEL);
	if (!slots)
		return -ENOMEM;
	slots->hdev = hdev;
	spin_lock_init(&slots->owner_lock);
	INIT_LIST_HEAD(&slots->waiting);
	INIT_WORK(&slots->work, hearth_slots_work);
	hdev->slots = slots;
	return drmm_mutex_init(&hdev->base, &slots->lock);
}
