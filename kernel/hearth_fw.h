/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_FW_H__
#define __HEARTH_FW_H__

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "hw/hearth_fw.h"

struct hearth_device;

/**
 * enum hearth_fw_state - may the firmware be spoken to?
 */
enum hearth_fw_state {
	/** @HEARTH_FW_STOPPED: It does not run and does no DMA. */
	HEARTH_FW_STOPPED,

	/** @HEARTH_FW_RUNNING: It runs. */
	HEARTH_FW_RUNNING,

	/** @HEARTH_FW_DEAD: It is not to be trusted, but may still do DMA. */
	HEARTH_FW_DEAD,
};

/**
 * struct hearth_fw - firmware image, shared pages and rings
 */
struct hearth_fw {
	/** @image: The image in memory that the device can read. */
	void *image;

	/** @image_dma: Its bus address. */
	dma_addr_t image_dma;

	/** @image_bytes: Its size. */
	u32 image_bytes;

	/** @version: Version of the running firmware. */
	u32 version;

	/** @args: Boot arguments. */
	struct hearth_hw_boot_args *args;

	/** @host: Indices that we write. */
	struct hearth_hw_host_page *host;

	/** @page: Indices that the firmware writes. Hostile: read once, check. */
	struct hearth_hw_fw_page *page;

	/** @admin_ring: Admin ring. */
	struct hearth_hw_admin *admin_ring;

	/** @event_ring: Event ring. */
	struct hearth_hw_event *event_ring;

	/** @args_dma: Bus address of @args. */
	dma_addr_t args_dma;

	/** @host_dma: Bus address of @host. */
	dma_addr_t host_dma;

	/** @page_dma: Bus address of @page. */
	dma_addr_t page_dma;

	/** @admin_dma: Bus address of @admin_ring. */
	dma_addr_t admin_dma;

	/** @event_dma: Bus address of @event_ring. */
	dma_addr_t event_dma;

	/** @lock: Protects @state, @hung, @calls, @cookie, @admin_insert, @contexts. */
	spinlock_t lock;

	/** @state: See &enum hearth_fw_state. */
	enum hearth_fw_state state;

	/** @hung: It died of not answering, in time. */
	bool hung;

	/** @calls: Admin calls that wait for their answer. */
	struct list_head calls;

	/** @cookie: Cookie of the last call. */
	u32 cookie;

	/** @admin_insert: Our index in the admin ring. */
	u32 admin_insert;

	/** @contexts: MMU contexts that this boot of the firmware knows. */
	unsigned long *contexts;

	/** @wait: Answers, free entries and changes of @state. */
	wait_queue_head_t wait;

	/** @event_lock: One consumer of the event ring at a time. */
	struct mutex event_lock;

	/** @event_extract: Our index in the event ring, under @event_lock. */
	u32 event_extract;

	/** @heartbeat: The firmware's heartbeat when last looked at; hearth_device.wq. */
	u32 heartbeat;

	/** @heartbeat_at: When it last changed, in jiffies. */
	unsigned long heartbeat_at;
};

int hearth_fw_init(struct hearth_device *hdev);

/* Reset and boot; with hearth_device.reset_lock held. */
int hearth_fw_start(struct hearth_device *hdev);

/* Stop by reset. When it returns the device does no DMA. Same lock. */
void hearth_fw_stop(struct hearth_device *hdev);

/* Ask to suspend, stop by reset if that fails. Same lock. */
void hearth_fw_suspend(struct hearth_device *hdev);

/*
 * The firmware cannot be trusted any more: no more calls to it, and a reset
 * as soon as possible. @why is for the log. Any context that may take
 * spinlocks.
 */
void hearth_fw_died(struct hearth_device *hdev, const char *why);

/* Has the heart stopped? Looks at it, from hearth_device.wq. */
bool hearth_fw_heart_stopped(struct hearth_device *hdev);

/* Takes what is in the event ring. From the interrupt thread, or by hand. */
void hearth_fw_process_events(struct hearth_device *hdev);

/*
 * Contexts and translations. These sleep, for a bounded time. They do nothing
 * and return 0 where the firmware does not know the context: after a suspend,
 * a reset or an unplug it knows none.
 *
 * hearth_fw_ctx_create() is called when a queue of the context gets a slot.
 * After hearth_fw_tlb_flush() and hearth_fw_ctx_destroy() the device uses no
 * old translation and no table of the context any more, whatever they return:
 * if the firmware does not answer they wait until it was stopped by a reset.
 */
int hearth_fw_ctx_create(struct hearth_device *hdev, u32 ctx, dma_addr_t pgd_dma);
int hearth_fw_ctx_destroy(struct hearth_device *hdev, u32 ctx);
int hearth_fw_tlb_flush(struct hearth_device *hdev, u32 ctx, u64 va, u64 size);

/* Slots. Negative errno if the firmware refused or died. */
int hearth_fw_slot_create(struct hearth_device *hdev, u32 slot, u32 ctx,
			  dma_addr_t ring_dma, u32 entries, u32 priority);
int hearth_fw_slot_destroy(struct hearth_device *hdev, u32 slot);

#endif /* __HEARTH_FW_H__ */
