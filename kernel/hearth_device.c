// SPDX-License-Identifier: GPL-2.0
#include <linux/interrupt.h>
#include <linux/log2.h>

#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "hw/hearth_mmu.h"

#include "hearth_debugfs.h"
#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_fw.h"
#include "hearth_pm.h"
#include "hearth_queue.h"
#include "hearth_reset.h"
#include "hearth_slot.h"

void hearth_device_gone(struct hearth_device *hdev)
{
	if (!xchg(&hdev->unplug.gone, true))
		drm_err(&hdev->base, "the device is gone\n");
	queue_work(hdev->wq, &hdev->unplug.work);
}

void hearth_irq_enable(struct hearth_device *hdev)
{
	WRITE_ONCE(hdev->irqs_on, true);
	hearth_write(hdev, HEARTH_REG_IRQ_STATUS, HEARTH_IRQ_ALL);
	hearth_write(hdev, HEARTH_REG_IRQ_ENABLE, HEARTH_IRQ_ALL);
}

void hearth_irq_disable(struct hearth_device *hdev)
{
	unsigned int i;

	hearth_write(hdev, HEARTH_REG_IRQ_ENABLE, 0);
	/* The write may be under way; after the read no interrupt is new. */
	hearth_read(hdev, HEARTH_REG_STATUS);
	/* What still arrives after this is served by nobody. */
	WRITE_ONCE(hdev->irqs_on, false);
	for (i = 0; i < hdev->num_irqs; i++)
		synchronize_irq(hdev->irqs[i]);
}

static irqreturn_t hearth_irq(int irq, void *arg)
{
	return IRQ_WAKE_THREAD;
}

/*
 * The causes are cleared before the ring is looked at, and STATUS is read in
 * between: it flushes the posted write. An event that comes after that raises
 * the interrupt again, an event before it is seen in the ring.
 */
static void hearth_irq_serve(struct hearth_device *hdev)
{
	u32 causes = HEARTH_IRQ_ALL, status;

	if (hdev->num_irqs == 1)
		causes = hearth_read(hdev, HEARTH_REG_IRQ_STATUS);
	if (causes != ~0)
		hearth_write(hdev, HEARTH_REG_IRQ_STATUS, causes);

	status = hearth_read(hdev, HEARTH_REG_STATUS);
	if (causes == ~0 || status == ~0) {
		hearth_device_gone(hdev);
		return;
	}
	hearth_fw_process_events(hdev);

	status &= HEARTH_STATUS_STATE_MASK;
	if (status == HEARTH_STATUS_DEAD || status == HEARTH_STATUS_FAILED)
		hearth_fw_died(hdev, "the device says so");
}

static irqreturn_t hearth_irq_thread(int irq, void *arg)
{
	struct hearth_device *hdev = arg;
	int idx;

	if (!drm_dev_enter(&hdev->base, &idx))
		return IRQ_NONE;
	if (READ_ONCE(hdev->irqs_on))
		hearth_irq_serve(hdev);
	drm_dev_exit(idx);
	return IRQ_HANDLED;
}

static int hearth_device_request_irqs(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev;
	unsigned int i;
	int ret;

	for (i = 0; i < hdev->num_irqs; i++) {
		ret = devm_request_threaded_irq(dev, hdev->irqs[i], hearth_irq,
						hearth_irq_thread, 0, dev_name(dev), hdev);
		if (ret)
			return dev_err_probe(dev, ret, "interrupt %u\n", i);
	}
	return 0;
}

/* Registers may say anything; what the driver indexes by them is bounded here. */
static int hearth_device_read_caps(struct hearth_device *hdev)
{
	struct hearth_caps *caps = &hdev->caps;
	struct device *dev = hdev->base.dev;
	u32 id = hearth_read(hdev, HEARTH_REG_ID);

	if (id != HEARTH_ID)
		return dev_err_probe(dev, -ENODEV, "id register reads %#x\n", id);

	caps->contract = hearth_read(hdev, HEARTH_REG_CONTRACT);
	if (caps->contract >> 16 != HEARTH_CONTRACT_MAJOR)
		return dev_err_probe(dev, -EPROTO, "device has contract %u.%u, driver %u.%u\n",
				     caps->contract >> 16, caps->contract & 0xffff,
				     HEARTH_CONTRACT_MAJOR, HEARTH_CONTRACT_MINOR);

	caps->ops = hearth_read64(hdev, HEARTH_REG_OPS_LO);
	caps->types = hearth_read64(hdev, HEARTH_REG_TYPES_LO);
	caps->sram_bytes = hearth_read(hdev, HEARTH_REG_SRAM_BYTES);
	caps->va_bits = hearth_read(hdev, HEARTH_REG_VA_BITS);
	caps->page_sizes = hearth_read(hdev, HEARTH_REG_PAGE_SIZES);
	caps->slots = hearth_read(hdev, HEARTH_REG_SLOTS);
	caps->contexts = hearth_read(hdev, HEARTH_REG_CONTEXTS);
	caps->priorities = hearth_read(hdev, HEARTH_REG_PRIORITIES);
	caps->freq_mhz = hearth_read(hdev, HEARTH_REG_FREQ_MHZ);

	if (caps->va_bits < 32 || caps->va_bits > HEARTH_MMU_VA_BITS || !caps->slots ||
	    !caps->contexts || !caps->priorities ||
	    !(caps->page_sizes & BIT(HEARTH_MMU_PAGE_SHIFT)))
		return dev_err_probe(dev, -EINVAL,
				     "nonsense: %u address bits, pages %#llx, %u slots, %u contexts, %u priorities\n",
				     caps->va_bits, caps->page_sizes, caps->slots,
				     caps->contexts, caps->priorities);
	caps->slots = min_t(u32, caps->slots, HEARTH_MAX_SLOTS);
	caps->contexts = min_t(u32, caps->contexts, SZ_64K);
	caps->priorities = min_t(u32, caps->priorities, DRM_HEARTH_QUEUE_REALTIME + 1);
	return 0;
}

static void hearth_device_free_wq(struct drm_device *drm, void *wq)
{
	destroy_workqueue(wq);
}

static void hearth_device_unplug_work(struct work_struct *work)
{
	hearth_device_unplug(container_of(work, struct hearth_device, unplug.work));
}

static int hearth_device_init_sw(struct hearth_device *hdev)
{
	struct drm_device *drm = &hdev->base;
	int ret;

	INIT_LIST_HEAD(&hdev->queues);
	INIT_WORK(&hdev->unplug.work, hearth_device_unplug_work);
	init_completion(&hdev->unplug.done);
	hearth_reset_init(hdev);

	ret = drmm_mutex_init(drm, &hdev->reset_lock) ?:
	      drmm_mutex_init(drm, &hdev->unplug.lock) ?:
	      drmm_mutex_init(drm, &hdev->queues_lock);
	if (ret)
		return ret;

	hdev->wq = alloc_ordered_workqueue("hearth", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (!hdev->wq)
		return -ENOMEM;
	ret = drmm_add_action_or_reset(drm, hearth_device_free_wq, hdev->wq);
	if (ret)
		return ret;

	hdev->sched_wq = alloc_ordered_workqueue("hearth-sched", WQ_HIGHPRI | WQ_MEM_RECLAIM);
	if (!hdev->sched_wq)
		return -ENOMEM;
	return drmm_add_action_or_reset(drm, hearth_device_free_wq, hdev->sched_wq);
}

static int hearth_device_start(struct hearth_device *hdev)
{
	int ret;

	mutex_lock(&hdev->reset_lock);
	ret = hearth_fw_start(hdev);
	mutex_unlock(&hdev->reset_lock);
	return ret;
}

static void hearth_device_stop(struct hearth_device *hdev)
{
	mutex_lock(&hdev->reset_lock);
	hdev->unplug.started = true;
	hearth_fw_stop(hdev);
	mutex_unlock(&hdev->reset_lock);
}

int hearth_device_init(struct hearth_device *hdev, void __iomem *regs,
		       void __iomem *doorbells, const int *irqs,
		       unsigned int num_irqs, const struct hearth_bus_ops *bus)
{
	int ret;

	hdev->regs = regs;
	hdev->doorbells = doorbells;
	hdev->bus = bus;
	hdev->num_irqs = min_t(unsigned int, num_irqs, HEARTH_VECTORS);
	memcpy(hdev->irqs, irqs, hdev->num_irqs * sizeof(*irqs));

	ret = hearth_device_read_caps(hdev);
	if (ret)
		return ret;
	ret = hearth_region_init(hdev) ?: hearth_device_init_sw(hdev) ?: hearth_mm_init(hdev) ?:
	      hearth_budget_init_device(hdev) ?: hearth_dmem_init(hdev) ?:
	      hearth_slots_init(hdev) ?: hearth_fw_init(hdev);
	if (ret)
		return ret;
	ret = hearth_device_request_irqs(hdev);
	if (ret)
		return ret;
	ret = hearth_device_start(hdev);
	if (ret)
		goto err_stop;

	hearth_debugfs_init(hdev);
	ret = hearth_reclaim_start(hdev);
	if (ret)
		goto err_stop;
	ret = drm_dev_register(&hdev->base, 0);
	if (ret)
		goto err_stop_reclaim;
	hearth_pm_start(hdev);
	drm_info(&hdev->base, "firmware %u.%u, %u slots, %u contexts\n",
		 hdev->fw->version >> 16, hdev->fw->version & 0xffff, hdev->caps.slots,
		 hdev->caps.contexts);
	return 0;

err_stop_reclaim:
	hearth_reclaim_stop(hdev);
err_stop:
	hearth_device_stop(hdev);
	return ret;
}

void hearth_device_unplug(struct hearth_device *hdev)
{
	bool first;

	mutex_lock(&hdev->unplug.lock);
	first = !hdev->unplug.started;
	/*
	 * Stopped before drm_dev_unplug() waits for those who are in the
	 * driver: some of them wait for the firmware.
	 */
	if (first)
		hearth_device_stop(hdev);
	mutex_unlock(&hdev->unplug.lock);

	if (!first) {
		wait_for_completion(&hdev->unplug.done);
		return;
	}

	drm_dev_unplug(&hdev->base);
	hearth_reclaim_stop(hdev);
	hearth_queues_unplug(hdev);
	hearth_mm_unplug(hdev);
	complete_all(&hdev->unplug.done);
}

void hearth_device_fini(struct hearth_device *hdev)
{
	hearth_device_unplug(hdev);
	hearth_pm_fini(hdev);
	/* An interrupt, or a queue, may have asked for work until just now. */
	cancel_work_sync(&hdev->reset_work);
	cancel_work_sync(&hdev->unplug.work);
	flush_workqueue(hdev->wq);
	flush_workqueue(hdev->sched_wq);
	hearth_mm_flush(hdev);
}
