// SPDX-License-Identifier: GPL-2.0
/*
 * Each job holds a reference from its submit until it is freed, so the device
 * is only suspended when no slot has a job, and it is only woken from ioctls:
 * never from reclaim or where fences are signalled.
 */
#include <linux/dma-fence.h>
#include <linux/pm_runtime.h>

#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_pm.h"
#include "hearth_reset.h"
#include "hearth_slot.h"

#define HEARTH_AUTOSUSPEND_MS	100
#define HEARTH_DRAIN_TIMEOUT	(5 * HZ)

/* -EBUSY if a slot has a job and @force is not set; the job is lost else. */
static int hearth_pm_stop(struct hearth_device *hdev, bool force)
{
	bool cookie, inner;
	int ret;

	cookie = dma_fence_begin_signalling();
	mutex_lock(&hdev->reset_lock);
	inner = hearth_slots_lock(hdev);
	ret = hearth_slots_evict_idle(hdev);
	if (!ret)
		hearth_fw_suspend(hdev);
	else if (ret != -EBUSY || force)
		hearth_fw_stop(hdev);
	if (hdev->fw->state == HEARTH_FW_STOPPED) {
		hearth_slots_after_stop(hdev, HEARTH_BLAME_NONE);
		ret = 0;
	}
	hearth_slots_unlock(hdev, inner);
	mutex_unlock(&hdev->reset_lock);
	dma_fence_end_signalling(cookie);
	return ret;
}

static int hearth_pm_runtime_suspend(struct device *dev)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);

	return hearth_pm_stop(hdev, false);
}

static int hearth_pm_runtime_resume(struct device *dev)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	int ret;

	mutex_lock(&hdev->reset_lock);
	ret = hearth_fw_start(hdev);
	mutex_unlock(&hdev->reset_lock);

	if (ret && !hdev->wedged && !hdev->unplug.started)
		hearth_reset_failed(hdev, ret);
	if (!ret)
		hearth_slots_kick(hdev);
	/* A device that is gone is on, as far as power management goes. */
	return 0;
}

/* Give what runs some time; what still runs then is lost. */
static void hearth_pm_drain(struct hearth_device *hdev)
{
	hearth_slots_freeze(hdev, true);
	if (wait_event_timeout(hdev->fw->wait, !hearth_slots_busy(hdev), HEARTH_DRAIN_TIMEOUT))
		return;

	drm_warn(&hdev->base, "jobs that did not end are lost\n");
	hearth_pm_stop(hdev, true);
}

int hearth_pm_reset_prepare(struct hearth_device *hdev)
{
	int ret = hearth_pm_get(hdev);

	if (ret)
		return ret;
	hearth_pm_drain(hdev);
	return hearth_pm_stop(hdev, true);
}

void hearth_pm_reset_done(struct hearth_device *hdev)
{
	hearth_pm_runtime_resume(hdev->base.dev);
	hearth_slots_freeze(hdev, false);
	hearth_pm_put(hdev);
}

static int hearth_pm_suspend(struct device *dev)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	int ret;

	hearth_pm_drain(hdev);
	ret = pm_runtime_force_suspend(dev);
	if (ret)
		hearth_slots_freeze(hdev, false);
	return ret;
}

static int hearth_pm_resume(struct device *dev)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	int ret;

	ret = pm_runtime_force_resume(dev);
	hearth_slots_freeze(hdev, false);
	return ret;
}

const struct dev_pm_ops hearth_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(hearth_pm_suspend, hearth_pm_resume)
	RUNTIME_PM_OPS(hearth_pm_runtime_suspend, hearth_pm_runtime_resume, NULL)
};

/* The bus code has made the device active, with a reference for the probe. */
void hearth_pm_start(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev;

	pm_runtime_set_autosuspend_delay(dev, HEARTH_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_allow(dev);
	hearth_pm_put(hdev);
}

/* The bus code has woken the device. */
void hearth_pm_fini(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev;

	pm_runtime_get_noresume(dev);
	pm_runtime_forbid(dev);
	pm_runtime_dont_use_autosuspend(dev);
}

int hearth_pm_get(struct hearth_device *hdev)
{
	int ret = pm_runtime_resume_and_get(hdev->base.dev);

	if (ret < 0)
		return ret;
	if (hdev->wedged || hdev->unplug.started) {
		hearth_pm_put(hdev);
		return -ENODEV;
	}
	return 0;
}

void hearth_pm_get_noresume(struct hearth_device *hdev)
{
	pm_runtime_get_noresume(hdev->base.dev);
}

void hearth_pm_put(struct hearth_device *hdev)
{
	pm_runtime_mark_last_busy(hdev->base.dev);
	pm_runtime_put_autosuspend(hdev->base.dev);
}
