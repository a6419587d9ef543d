// SPDX-License-Identifier: MIT
/* The event ring: the firmware's only way to tell the host something. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "npu.h"

#define BAD_INDEX_OFFSET	0x10000000u
#define BAD_SLOT		0xdeadu
#define WRONG_SEQNO_OFFSET	1000

/* Wait a moment for the host to make room; false if a reset has come. */
static bool wait_a_moment(struct npu *npu)
{
	uint64_t when = npu_now_ns() + NPU_EVENT_POLL_US * 1000ull;
	struct timespec ts = { when / 1000000000, when % 1000000000 };
	bool go_on;

	pthread_mutex_lock(&npu->lock);
	if (!npu->resetting)
		pthread_cond_timedwait(&npu->wake, &npu->lock, &ts);
	go_on = !npu->resetting && npu->regs.status == HEARTH_STATUS_READY;
	pthread_mutex_unlock(&npu->lock);
	return go_on;
}

/* Events are never dropped. No doorbell tells of room, so the index is read again. */
static bool wait_for_room(struct npu *npu)
{
	const uint64_t addr = npu->host.host_page +
			      offsetof(struct hearth_hw_host_page, event_extract);
	uint32_t extract, fill;

	for (;;) {
		if (vfu_dma_load32(&npu->vfu.dma, addr, &extract)) {
			npu_fw_die(npu, "the host page cannot be read");
			return false;
		}
		fill = npu->event_insert - extract;
		if (fill > npu->host.event_entries) {
			npu_fw_die(npu, "event_extract breaks the ring's rule");
			return false;
		}
		if (fill < npu->host.event_entries)
			return true;
		if (!wait_a_moment(npu))
			return false;
	}
}

static void spoil(struct npu *npu, struct hearth_hw_event *e, unsigned int slot)
{
	struct npu_inject *inj = &npu->inject;

	if (e->type == HEARTH_EVENT_JOB_DONE) {
		if (npu_inject_take(inj, NPU_INJECT_WRONG_SEQNO, slot))
			e->seqno += WRONG_SEQNO_OFFSET;
		if (npu_inject_take(inj, NPU_INJECT_BAD_SLOT, slot))
			e->slot = BAD_SLOT;
	}
	if (npu_inject_take(inj, NPU_INJECT_GARBAGE_EVENT, slot))
		memset(e, 0xa5, sizeof(*e));
}

static bool write_event(struct npu *npu, const struct hearth_hw_event *event)
{
	struct vfu_dma *dma = &npu->vfu.dma;
	unsigned int slot = event->type == HEARTH_EVENT_ADMIN ? NPU_ANY_SLOT : event->slot;
	struct hearth_hw_event e = *event;
	uint64_t at = npu->host.event_ring +
		      npu->event_insert % npu->host.event_entries * sizeof(e);
	size_t bytes = sizeof(e);
	uint32_t insert;

	spoil(npu, &e, slot);
	if (npu_inject_take(&npu->inject, NPU_INJECT_PARTIAL_WRITE, slot))
		bytes = offsetof(struct hearth_hw_event, seqno);
	if (vfu_dma_write(dma, at, &e, bytes, NULL))
		return false;
	insert = ++npu->event_insert;
	if (npu_inject_take(&npu->inject, NPU_INJECT_BAD_EVENT_INDEX, slot))
		insert += BAD_INDEX_OFFSET;
	return !vfu_dma_store32(dma, npu->host.fw_page +
				offsetof(struct hearth_hw_fw_page, event_insert), insert);
}

bool npu_event_push(struct npu *npu, const struct hearth_hw_event *event)
{
	bool lost_irq, ok;

	pthread_mutex_lock(&npu->event_lock);
	/* dead firmware is silent */
	ok = npu_status(npu) == HEARTH_STATUS_READY && wait_for_room(npu);
	if (ok && !write_event(npu, event)) {
		npu_fw_die(npu, "the event ring cannot be written");
		ok = false;
	}
	pthread_mutex_unlock(&npu->event_lock);
	if (!ok)
		return false;
	npu_count(npu, events);
	lost_irq = npu_inject_take(&npu->inject, NPU_INJECT_LOST_IRQ, NPU_ANY_SLOT);
	if (!lost_irq)
		npu_raise(npu, HEARTH_IRQ_EVENT);
	return true;
}
