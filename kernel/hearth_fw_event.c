// SPDX-License-Identifier: GPL-2.0
/*
 * The event ring. All that is in it was written by firmware: an entry is
 * copied once, and what does not fit what we asked for ends in a reset.
 */
#include <linux/dma-fence.h>

#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fw_priv.h"
#include "hearth_job.h"
#include "hearth_queue.h"
#include "hearth_slot.h"

static const char *hearth_event_job(struct hearth_device *hdev,
				    const struct hearth_hw_event *event)
{
	struct hearth_queue *queue;
	bool good;

	queue = hearth_slot_owner(hdev, le32_to_cpu(event->slot));
	if (!queue)
		return "an event of a slot that is not in use";

	if (le32_to_cpu(event->type) == HEARTH_EVENT_JOB_DONE)
		good = hearth_queue_job_done(queue, le64_to_cpu(event->seqno));
	else
		good = hearth_queue_job_fault(queue, event);
	hearth_queue_put(queue);
	return good ? NULL : "an event of a job that is not there";
}

/* Returns what is wrong with the event. */
static const char *hearth_event_one(struct hearth_device *hdev,
				    const struct hearth_hw_event *event)
{
	switch (le32_to_cpu(event->type)) {
	case HEARTH_EVENT_ADMIN:
		if (hearth_fw_answer(hdev, le32_to_cpu(event->cookie),
				     le32_to_cpu(event->error)))
			return NULL;
		/* It comes too late, the reset is on its way. */
		if (READ_ONCE(hdev->fw->state) != HEARTH_FW_RUNNING)
			return NULL;
		return "an answer to no question";
	case HEARTH_EVENT_JOB_DONE:
	case HEARTH_EVENT_JOB_FAULT:
		return hearth_event_job(hdev, event);
	case HEARTH_EVENT_LOG:
		drm_dbg(&hdev->base, "firmware: %*pE\n", (int)sizeof(event->data),
			event->data);
		return NULL;
	default:
		return "an unknown event";
	}
}

/* A firmware that only did not answer may still tell of jobs that end. */
static bool hearth_fw_listen(struct hearth_fw *fw)
{
	bool listen;

	spin_lock(&fw->lock);
	listen = fw->state == HEARTH_FW_RUNNING ||
		 (fw->state == HEARTH_FW_DEAD && fw->hung);
	spin_unlock(&fw->lock);
	return listen;
}

void hearth_fw_process_events(struct hearth_device *hdev)
{
	struct hearth_fw *fw = hdev->fw;
	struct hearth_hw_event event;
	const char *wrong = NULL;
	bool cookie;
	u32 fill;

	cookie = dma_fence_begin_signalling();
	mutex_lock(&fw->event_lock);
	while (!wrong && hearth_fw_listen(fw)) {
		fill = le32_to_cpu(READ_ONCE(fw->page->event_insert)) - fw->event_extract;
		if (!fill)
			break;
		if (fill > HEARTH_EVENT_ENTRIES) {
			wrong = "bad index of the event ring";
			break;
		}
		/* Read the entry after the index that covers it. */
		dma_rmb();
		event = fw->event_ring[fw->event_extract % HEARTH_EVENT_ENTRIES];
		/* Our copy is made before the entry is given back. */
		dma_mb();
		WRITE_ONCE(fw->host->event_extract, cpu_to_le32(++fw->event_extract));
		wrong = hearth_event_one(hdev, &event);
		cond_resched();
	}
	mutex_unlock(&fw->event_lock);

	if (wrong)
		hearth_fw_died(hdev, wrong);
	dma_fence_end_signalling(cookie);
}
