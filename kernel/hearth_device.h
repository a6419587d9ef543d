/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_DEVICE_H__
#define __HEARTH_DEVICE_H__

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/io.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_file.h>

#include <drm/hearth_accel.h>

#include "hw/hearth_regs.h"

#include "hearth_budget.h"
#include "hearth_mm.h"
#include "hearth_model.h"
#include "hearth_reclaim.h"
#include "hearth_region.h"
#include "hearth_vm.h"

struct device;
struct dmem_cgroup_region;
struct hearth_client;
struct hearth_device;
struct hearth_fw;
struct hearth_slots;

#define HEARTH_MAX_QUEUES	64	/* of one client */

/**
 * struct hearth_bus_ops - what the core needs of the bus
 */
struct hearth_bus_ops {
	/**
	 * @isolate: Stop the device's DMA by means outside of the device.
	 * Called when a reset has not stopped it.
	 */
	void (*isolate)(struct device *dev);
};

/**
 * struct hearth_caps - what the registers say, checked and clamped at probe
 */
struct hearth_caps {
	/** @ops: Opcodes that are executed. */
	u64 ops;
	/** @types: Data types that are known. */
	u64 types;
	/** @page_sizes: Bit n: the MMU maps blocks of 1 << n. */
	u64 page_sizes;
	/** @sram_bytes: On-chip memory. */
	u32 sram_bytes;
	/** @va_bits: Width of a device address. */
	u32 va_bits;
	/** @slots: Queue slots, at most HEARTH_MAX_SLOTS. */
	u32 slots;
	/** @contexts: MMU contexts; valid ids are below it. */
	u32 contexts;
	/** @priorities: Priorities of a slot. */
	u32 priorities;
	/** @freq_mhz: Nominal clock. */
	u32 freq_mhz;
	/** @contract: Contract of the hardware. */
	u32 contract;
};

/**
 * struct hearth_device - the core's view of one NPU
 *
 * Locks nest in this order: @reset_lock, hearth_slots.lock, a VM's locks,
 * hearth_fw.event_lock, hearth_slots.owner_lock, hearth_queue.lock,
 * hearth_fw.lock.
 */
struct hearth_device {
	/** @base: DRM device. */
	struct drm_device base;

	/** @regs: Register BAR. */
	void __iomem *regs;

	/** @doorbells: Doorbell BAR. */
	void __iomem *doorbells;

	/** @bus: Operations of the bus. */
	const struct hearth_bus_ops *bus;

	/** @irqs: Interrupt numbers, resolved at probe. */
	int irqs[HEARTH_VECTORS];

	/** @num_irqs: One or two. */
	unsigned int num_irqs;
	/**
	 * @irqs_on: Between hearth_irq_enable() and hearth_irq_disable(). A
	 * message that arrives later finds a device that sleeps and reads all
	 * ones, which is not one that is gone.
	 */
	bool irqs_on;

	/** @caps: Capabilities. */
	struct hearth_caps caps;

	/** @fw: Firmware and its rings. */
	struct hearth_fw *fw;

	/** @slots: Who is on which queue slot. */
	struct hearth_slots *slots;

	/**
	 * @wq: Ordered. Slot changes, timeouts, resets and unplug run here, so
	 * none of them meets another one half done.
	 */
	struct workqueue_struct *wq;

	/** @sched_wq: Where drm_sched runs the queues' jobs. */
	struct workqueue_struct *sched_wq;

	/** @reset_lock: Serializes boot, reset, suspend, resume and unplug. */
	struct mutex reset_lock;

	/** @reset_work: Stops the device and boots it anew. */
	struct work_struct reset_work;

	/** @reset_count: Resets so far. */
	atomic_t reset_count;

	/** @resetting: The bus resets the function; its device lock is held. */
	bool resetting;

	/** @wedged: Firmware did not boot any more; only a rebind helps. */
	bool wedged;

	/** @unplug: The one teardown, whoever starts it. */
	struct {
		/** @unplug.lock: Decides who tears down. */
		struct mutex lock;
		/** @unplug.done: The rest waits here. */
		struct completion done;
		/** @unplug.started: No boot any more; under @reset_lock. */
		bool started;
		/** @unplug.work: For the interrupt thread, which cannot. */
		struct work_struct work;
		/** @unplug.gone: A register read gave all ones. */
		bool gone;
	} unplug;

	/** @queues_lock: Protects @queues. */
	struct mutex queues_lock;

	/** @queues: Every queue that is not yet released. */
	struct list_head queues;

	/** @count: Live objects, for the leak check in debugfs. */
	struct {
		/** @count.files: Opens. */
		atomic_t files;
		/** @count.queues: Queues. */
		atomic_t queues;
		/** @count.jobs: Jobs. */
		atomic_t jobs;
	} count;

	/** @mm: Memory: buffers and address spaces. */
	struct hearth_mm mm;

	/** @budget: How much of it there may be, and whose it is. */
	struct hearth_budget budget;

	/** @models: What is kept together. */
	struct hearth_models models;

	/** @region: Where weights live, if not in the page cache. */
	struct hearth_region region;

	/** @dmem: Where cgroups count what is resident, or NULL. */
	struct dmem_cgroup_region *dmem;

	/** @reclaim: Who asks for it back. */
	struct hearth_reclaim reclaim;

	/** @retired_ns: Engine time of queues that are gone; @queues_lock. */
	u64 retired_ns;

	/** @busy: For npu_busy_percent; hearth_sysfs.c. */
	struct {
		/** @busy.lock: Protects what follows. */
		struct mutex lock;
		/** @busy.at: When it was last read. */
		ktime_t at;
		/** @busy.ns: Engine time then. */
		u64 ns;
		/** @busy.percent: What was said. */
		unsigned int percent;
	} busy;
};

/**
 * struct hearth_file - one open of the device
 */
struct hearth_file {
	/** @hdev: The device. */
	struct hearth_device *hdev;

	/** @vms: Address spaces. */
	struct hearth_vms vms;

	/** @queues: Queues by id; hearth_queue.c. */
	struct xarray queues;

	/** @retired_ns: Engine time of queues that are gone. */
	atomic64_t retired_ns;

	/** @client: What its jobs had to wait for; shared with its address spaces. */
	struct hearth_client *client;

	/** @account: Of the user who opened it; holds it. */
	struct hearth_account *account;

	/** @models: Models by id; hearth_model.c. */
	struct xarray models;
};

static inline struct hearth_device *to_hearth_device(struct drm_device *drm)
{
	return container_of(drm, struct hearth_device, base);
}

static inline struct hearth_file *to_hearth_file(struct drm_file *file)
{
	return file->driver_priv;
}

static inline u32 hearth_read(struct hearth_device *hdev, u32 reg)
{
	return readl(hdev->regs + reg);
}

static inline void hearth_write(struct hearth_device *hdev, u32 reg, u32 value)
{
	writel(value, hdev->regs + reg);
}

static inline u64 hearth_read64(struct hearth_device *hdev, u32 lo)
{
	return hearth_read(hdev, lo) | (u64)hearth_read(hdev, lo + 4) << 32;
}

static inline void hearth_write64(struct hearth_device *hdev, u32 lo, u64 value)
{
	hearth_write(hdev, lo, lower_32_bits(value));
	hearth_write(hdev, lo + 4, upper_32_bits(value));
}

static inline void hearth_doorbell(struct hearth_device *hdev, u32 page)
{
	writel(1, hdev->doorbells + page * HEARTH_DOORBELL_STRIDE);
}

/* hearth_drv.c */
struct hearth_device *hearth_device_alloc(struct device *dev);

/* hearth_device.c; the bus calls these */
int hearth_device_init(struct hearth_device *hdev, void __iomem *regs,
		       void __iomem *doorbells, const int *irqs,
		       unsigned int num_irqs, const struct hearth_bus_ops *bus);
void hearth_device_fini(struct hearth_device *hdev);

/* Tears down for good; whoever calls it second waits for the first. */
void hearth_device_unplug(struct hearth_device *hdev);

/* A register gave all ones. Any context. */
void hearth_device_gone(struct hearth_device *hdev);

void hearth_irq_enable(struct hearth_device *hdev);
void hearth_irq_disable(struct hearth_device *hdev);

#endif /* __HEARTH_DEVICE_H__ */
