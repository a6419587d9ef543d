// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/module.h>

#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fw_priv.h"
#include "hearth_reset.h"

/* Twenty beats. */
#define HEARTH_HEARTBEAT_LIMIT	(2 * HZ)

#define HEARTH_POLL_PERIOD	(HZ / 10)

static unsigned int admin_timeout_ms = 2000;
module_param(admin_timeout_ms, uint, 0444);
MODULE_PARM_DESC(admin_timeout_ms, "Longest answer of the firmware (default 2000)");

/*
 * An admin call on the caller's stack. Its error is -ESHUTDOWN if the firmware
 * was stopped or died, before the answer or before the question.
 */
struct hearth_fw_call {
	struct list_head node;	/* in hearth_fw.calls until answered */
	u32 cookie;
	int error;
	bool posted;
	bool done;
};

static int hearth_fw_errno(u32 hw_error)
{
	switch (hw_error) {
	case HEARTH_HW_OK:
		return 0;
	case HEARTH_HW_ERR_BUSY:
		return -EBUSY;
	case HEARTH_HW_ERR_NOENT:
		return -ENOENT;
	case HEARTH_HW_ERR_BUS:
		return -EIO;
	default:
		return -EINVAL;
	}
}

static void hearth_fw_end_call(struct hearth_fw_call *call, int error)
{
	list_del_init(&call->node);
	call->error = error;
	WRITE_ONCE(call->done, true);
}

static void hearth_fw_set_state_locked(struct hearth_fw *fw, enum hearth_fw_state state)
{
	struct hearth_fw_call *call, *next;

	lockdep_assert_held(&fw->lock);

	WRITE_ONCE(fw->state, state);
	if (state == HEARTH_FW_RUNNING)
		return;
	list_for_each_entry_safe(call, next, &fw->calls, node)
		hearth_fw_end_call(call, -ESHUTDOWN);
}

void hearth_fw_set_state(struct hearth_device *hdev, enum hearth_fw_state state)
{
	struct hearth_fw *fw = hdev->fw;

	spin_lock(&fw->lock);
	hearth_fw_set_state_locked(fw, state);
	/* A reset forgets all contexts; until then the device may use them. */
	if (state == HEARTH_FW_STOPPED)
		bitmap_zero(fw->contexts, hdev->caps.contexts);
	spin_unlock(&fw->lock);
	wake_up_all(&fw->wait);
}

static void hearth_fw_died_locked(struct hearth_device *hdev, const char *why, bool hung)
{
	if (hdev->fw->state == HEARTH_FW_DEAD)
		hdev->fw->hung &= hung;
	if (hdev->fw->state != HEARTH_FW_RUNNING)
		return;
	drm_err(&hdev->base, "firmware died: %s\n", why);
	hdev->fw->hung = hung;
	hearth_fw_set_state_locked(hdev->fw, HEARTH_FW_DEAD);
	hearth_reset_schedule(hdev);
}

void hearth_fw_died(struct hearth_device *hdev, const char *why)
{
	spin_lock(&hdev->fw->lock);
	hearth_fw_died_locked(hdev, why, false);
	spin_unlock(&hdev->fw->lock);
	wake_up_all(&hdev->fw->wait);
}

static void hearth_fw_hung(struct hearth_device *hdev, const char *why)
{
	spin_lock(&hdev->fw->lock);
	hearth_fw_died_locked(hdev, why, true);
	spin_unlock(&hdev->fw->lock);
	wake_up_all(&hdev->fw->wait);
}

bool hearth_fw_heart_stopped(struct hearth_device *hdev)
{
	struct hearth_fw *fw = hdev->fw;
	u32 beat = le32_to_cpu(READ_ONCE(fw->page->heartbeat));

	if (beat != fw->heartbeat) {
		fw->heartbeat = beat;
		fw->heartbeat_at = jiffies;
	}
	return time_after(jiffies, fw->heartbeat_at + HEARTH_HEARTBEAT_LIMIT);
}

/* True when @call is posted or has failed, false if the ring is full. */
static bool hearth_fw_post(struct hearth_device *hdev, struct hearth_fw_call *call,
			   struct hearth_hw_admin *entry)
{
	struct hearth_fw *fw = hdev->fw;
	bool ended = true;
	u32 fill;

	spin_lock(&fw->lock);
	fill = fw->admin_insert - le32_to_cpu(READ_ONCE(fw->page->admin_extract));
	if (fw->state != HEARTH_FW_RUNNING) {
		hearth_fw_end_call(call, -ESHUTDOWN);
	} else if (fill > HEARTH_ADMIN_ENTRIES) {
		hearth_fw_died_locked(hdev, "bad index of the admin ring", false);
		hearth_fw_end_call(call, -ESHUTDOWN);
	} else if (fill == HEARTH_ADMIN_ENTRIES) {
		ended = false;
	} else {
		call->cookie = ++fw->cookie;
		list_add_tail(&call->node, &fw->calls);
		entry->cookie = cpu_to_le32(call->cookie);
		fw->admin_ring[fw->admin_insert % HEARTH_ADMIN_ENTRIES] = *entry;
		/* The entry must be there before the index says so. */
		dma_wmb();
		WRITE_ONCE(fw->host->admin_insert, cpu_to_le32(++fw->admin_insert));
		hearth_doorbell(hdev, HEARTH_DOORBELL_ADMIN);
	}
	spin_unlock(&fw->lock);
	return ended;
}

/* Looks into the ring now and then: perhaps only an interrupt was lost. */
static void hearth_fw_wait_answer(struct hearth_device *hdev, struct hearth_fw_call *call,
				  unsigned long deadline)
{
	while (!wait_event_timeout(hdev->fw->wait, READ_ONCE(call->done), HEARTH_POLL_PERIOD)) {
		hearth_fw_process_events(hdev);
		if (!READ_ONCE(call->done) && time_after(jiffies, deadline))
			hearth_fw_hung(hdev, "no answer");
	}
}

int hearth_fw_call(struct hearth_device *hdev, struct hearth_hw_admin *entry)
{
	unsigned long timeout = msecs_to_jiffies(admin_timeout_ms);
	struct hearth_fw_call call = { };
	struct hearth_fw *fw = hdev->fw;

	INIT_LIST_HEAD(&call.node);
	if (!wait_event_timeout(fw->wait, hearth_fw_post(hdev, &call, entry), timeout)) {
		hearth_fw_hung(hdev, "the admin ring is stuck");
		return -ESHUTDOWN;
	}

	hearth_fw_wait_answer(hdev, &call, jiffies + timeout);
	spin_lock(&fw->lock);
	list_del_init(&call.node);
	spin_unlock(&fw->lock);
	return call.error;
}

bool hearth_fw_answer(struct hearth_device *hdev, u32 cookie, u32 hw_error)
{
	struct hearth_fw *fw = hdev->fw;
	struct hearth_fw_call *call;
	bool found = false;

	spin_lock(&fw->lock);
	list_for_each_entry(call, &fw->calls, node) {
		if (call->cookie == cookie) {
			hearth_fw_end_call(call, hearth_fw_errno(hw_error));
			found = true;
			break;
		}
	}
	spin_unlock(&fw->lock);
	wake_up_all(&fw->wait);
	return found;
}

static bool hearth_fw_knows_ctx(struct hearth_fw *fw, u32 ctx)
{
	bool known;

	spin_lock(&fw->lock);
	known = test_bit(ctx, fw->contexts);
	spin_unlock(&fw->lock);
	return known;
}

int hearth_fw_ctx_create(struct hearth_device *hdev, u32 ctx, dma_addr_t pgd_dma)
{
	struct hearth_hw_admin entry = {
		.op = cpu_to_le32(HEARTH_ADMIN_CTX_CREATE),
		.ctx = cpu_to_le32(ctx),
		.addr = cpu_to_le64(pgd_dma),
	};
	struct hearth_fw *fw = hdev->fw;
	int ret;

	if (hearth_fw_knows_ctx(fw, ctx))
		return 0;

	/*
	 * Known from now on: it cannot walk the tables before it gets the call,
	 * and a flush of an unknown context must not be skipped once it can.
	 */
	spin_lock(&fw->lock);
	if (fw->state == HEARTH_FW_RUNNING)
		__set_bit(ctx, fw->contexts);
	spin_unlock(&fw->lock);

	ret = hearth_fw_call(hdev, &entry);
	if (ret && ret != -ESHUTDOWN)
		hearth_fw_died(hdev, "it refused a context");
	return ret;
}

/*
 * Makes a call that takes something away from the device. If that fails, only
 * the end of all its activity will do.
 */
static int hearth_fw_revoke(struct hearth_device *hdev, struct hearth_hw_admin *entry)
{
	struct hearth_fw *fw = hdev->fw;
	int ret;

	ret = hearth_fw_call(hdev, entry);
	if (!ret || ret == -ENOENT)
		return 0;

	if (ret != -ESHUTDOWN)
		hearth_fw_died(hdev, "it did not let go of memory");
	wait_event(fw->wait, READ_ONCE(fw->state) != HEARTH_FW_DEAD);
	return 0;
}

int hearth_fw_ctx_destroy(struct hearth_device *hdev, u32 ctx)
{
	struct hearth_hw_admin entry = {
		.op = cpu_to_le32(HEARTH_ADMIN_CTX_DESTROY),
		.ctx = cpu_to_le32(ctx),
	};
	struct hearth_fw *fw = hdev->fw;
	int ret;

	if (!hearth_fw_knows_ctx(fw, ctx))
		return 0;

	ret = hearth_fw_revoke(hdev, &entry);
	spin_lock(&fw->lock);
	__clear_bit(ctx, fw->contexts);
	spin_unlock(&fw->lock);
	return ret;
}

int hearth_fw_tlb_flush(struct hearth_device *hdev, u32 ctx, u64 va, u64 size)
{
	struct hearth_hw_admin entry = {
		.op = cpu_to_le32(HEARTH_ADMIN_TLB_FLUSH),
		.ctx = cpu_to_le32(ctx),
		.addr = cpu_to_le64(va),
		.size = cpu_to_le64(size),
	};

	if (!hearth_fw_knows_ctx(hdev->fw, ctx))
		return 0;
	return hearth_fw_revoke(hdev, &entry);
}

int hearth_fw_slot_create(struct hearth_device *hdev, u32 slot, u32 ctx,
			  dma_addr_t ring_dma, u32 entries, u32 priority)
{
	struct hearth_hw_admin entry = {
		.op = cpu_to_le32(HEARTH_ADMIN_QUEUE_CREATE),
		.ctx = cpu_to_le32(ctx),
		.slot = cpu_to_le32(slot),
		.addr = cpu_to_le64(ring_dma),
		.entries = cpu_to_le32(entries),
		.priority = cpu_to_le32(priority),
	};
	int ret;

	WRITE_ONCE(hdev->fw->host->queue[slot].insert, 0);
	ret = hearth_fw_call(hdev, &entry);
	if (ret && ret != -ESHUTDOWN)
		hearth_fw_died(hdev, "it refused a queue");
	return ret;
}

int hearth_fw_slot_destroy(struct hearth_device *hdev, u32 slot)
{
	struct hearth_hw_admin entry = {
		.op = cpu_to_le32(HEARTH_ADMIN_QUEUE_DESTROY),
		.slot = cpu_to_le32(slot),
	};
	int ret;

	ret = hearth_fw_call(hdev, &entry);
	if (ret && ret != -ESHUTDOWN)
		hearth_fw_died(hdev, "it did not stop a queue");
	return ret;
}
