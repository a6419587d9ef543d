// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-fence.h>

#include <drm/drm_drv.h>
#include <drm/drm_print.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_queue.h"
#include "hearth_reset.h"
#include "hearth_slot.h"
#include "hearth_trace.h"

#define HEARTH_GRACE	HZ

void hearth_reset_failed(struct hearth_device *hdev, int error)
{
	if (error == -ENODEV) {
		hearth_device_gone(hdev);
		return;
	}
	drm_err(&hdev->base, "firmware does not boot any more, giving up\n");
	hdev->wedged = true;
	hearth_slots_freeze(hdev, true);
	hearth_queues_kill(hdev, -EIO, DRM_HEARTH_FAULT_FIRMWARE);
	hearth_wedged_event(&hdev->base);
}

/*
 * A firmware that lives but does not answer waits for a command that does not
 * end; its other engines go on. Their jobs get some time to end well, and only
 * who has a job that makes no progress is to blame.
 */
static enum hearth_blame hearth_reset_blame(struct hearth_device *hdev)
{
	if (!READ_ONCE(hdev->fw->hung) || hearth_fw_heart_stopped(hdev))
		return HEARTH_BLAME_ALL;
	hearth_slots_drain(hdev, HEARTH_GRACE);
	return READ_ONCE(hdev->fw->hung) ? HEARTH_BLAME_STALLED : HEARTH_BLAME_ALL;
}

/*
 * drm_sched knows nothing of a reset: a queue that lost its slot takes jobs as
 * before and asks for another slot, which is granted after the boot.
 */
static int hearth_reset(struct hearth_device *hdev)
{
	enum hearth_blame blame;
	bool cookie, inner, gone;
	int ret;

	cookie = dma_fence_begin_signalling();
	blame = hearth_reset_blame(hdev);
	mutex_lock(&hdev->reset_lock);
	inner = hearth_slots_lock(hdev);
	atomic_inc(&hdev->reset_count);
	hearth_fw_stop(hdev);
	/* A heart that stops may be the first sign of a device that is gone: no job's fault. */
	gone = hearth_read(hdev, HEARTH_REG_STATUS) == ~0;
	if (!gone)
		hearth_slots_after_stop(hdev, blame);
	hearth_slots_unlock(hdev, inner);
	ret = gone ? -ENODEV : hearth_fw_start(hdev);
	mutex_unlock(&hdev->reset_lock);
	dma_fence_end_signalling(cookie);

	trace_hearth_reset(hdev, blame, ret);
	return ret;
}

static void hearth_reset_work(struct work_struct *work)
{
	struct hearth_device *hdev = container_of(work, struct hearth_device, reset_work);
	int ret, idx;

	if (!drm_dev_enter(&hdev->base, &idx))
		return;
	/* What was suspended or booted since has forgotten what was wrong. */
	if (READ_ONCE(hdev->fw->state) != HEARTH_FW_DEAD)
		goto out;

	ret = hearth_reset(hdev);
	if (!ret)
		hearth_slots_kick(hdev);
	else if (!hdev->unplug.started)
		hearth_reset_failed(hdev, ret);
out:
	drm_dev_exit(idx);
}

void hearth_reset_init(struct hearth_device *hdev)
{
	INIT_WORK(&hdev->reset_work, hearth_reset_work);
}

void hearth_reset_schedule(struct hearth_device *hdev)
{
	queue_work(hdev->wq, &hdev->reset_work);
}

void hearth_reset_wait(struct hearth_device *hdev)
{
	wait_event(hdev->fw->wait, READ_ONCE(hdev->fw->state) != HEARTH_FW_DEAD);
}
