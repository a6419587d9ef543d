// SPDX-License-Identifier: MIT
/* The admin ring: contexts, translations, queues, low power. In order. */
#include <stddef.h>
#include <string.h>

#include <hw/hearth_mmu.h>

#include "npu.h"

#define PAGE		4096u
#define VA_LIMIT	(1ull << HEARTH_MMU_VA_BITS)

static struct npu_ctx *find_ctx(struct npu *npu, uint32_t id)
{
	return id < NPU_CONTEXTS ? npu->ctx[id] : NULL;
}

/* Contexts and the existence of slots change in this thread and in resets only. */
static uint32_t ctx_create(struct npu *npu, const struct hearth_hw_admin *a, uint64_t *addr)
{
	uint8_t table[PAGE];
	struct npu_ctx *ctx;

	if (a->ctx >= NPU_CONTEXTS || (a->addr & ~HEARTH_PTE_ADDR) || !a->addr)
		return HEARTH_HW_ERR_ARGS;
	if (npu->ctx[a->ctx])
		return HEARTH_HW_ERR_BUSY;
	if (vfu_dma_read(&npu->vfu.dma, a->addr, table, sizeof(table), addr))
		return HEARTH_HW_ERR_BUS;
	ctx = npu_ctx_create(&npu->vfu.dma, a->addr);
	if (!ctx)
		return HEARTH_HW_ERR_BUSY;
	pthread_mutex_lock(&npu->lock);
	npu->ctx[a->ctx] = ctx;
	pthread_mutex_unlock(&npu->lock);
	return HEARTH_HW_OK;
}

static uint32_t ctx_destroy(struct npu *npu, const struct hearth_hw_admin *a)
{
	struct npu_ctx *ctx = find_ctx(npu, a->ctx);

	if (a->ctx >= NPU_CONTEXTS)
		return HEARTH_HW_ERR_ARGS;
	if (!ctx)
		return HEARTH_HW_ERR_NOENT;
	if (ctx->queues)
		return HEARTH_HW_ERR_BUSY;
	pthread_mutex_lock(&npu->lock);
	npu->ctx[a->ctx] = NULL;
	pthread_mutex_unlock(&npu->lock);
	npu_ctx_destroy(ctx);
	return HEARTH_HW_OK;
}

static uint32_t tlb_flush(struct npu *npu, const struct hearth_hw_admin *a)
{
	struct npu_ctx *ctx = find_ctx(npu, a->ctx);

	if (a->ctx >= NPU_CONTEXTS || a->addr > VA_LIMIT || a->size > VA_LIMIT - a->addr)
		return HEARTH_HW_ERR_ARGS;
	if (!ctx)
		return HEARTH_HW_ERR_NOENT;
	npu_mmu_flush(ctx, a->addr, a->size);
	return HEARTH_HW_OK;
}

static uint64_t host_insert_addr(const struct npu *npu, uint32_t slot)
{
	return npu->host.host_page + offsetof(struct hearth_hw_host_page, queue) +
	       slot * sizeof(((struct hearth_hw_host_page *)0)->queue[0]);
}

static uint64_t fw_queue_addr(const struct npu *npu, uint32_t slot)
{
	return npu->host.fw_page + offsetof(struct hearth_hw_fw_page, queue) +
	       slot * sizeof(((struct hearth_hw_fw_page *)0)->queue[0]);
}

static bool is_ring(uint64_t addr, uint32_t entries)
{
	return addr && !(addr % PAGE) && entries >= HEARTH_RING_MIN_ENTRIES &&
	       entries <= HEARTH_RING_MAX_ENTRIES && !(entries & (entries - 1));
}

static uint32_t check_queue_memory(struct npu *npu, const struct hearth_hw_admin *a,
				   uint64_t *addr)
{
	static const uint8_t zero[sizeof(((struct hearth_hw_fw_page *)0)->queue[0])];
	struct vfu_dma *dma = &npu->vfu.dma;
	struct hearth_hw_job job;
	uint32_t insert;

	*addr = host_insert_addr(npu, a->slot);
	if (vfu_dma_load32(dma, *addr, &insert))
		return HEARTH_HW_ERR_BUS;
	if (insert)
		return HEARTH_HW_ERR_ARGS;
	for (uint32_t i = 0; i < a->entries; i++)
		if (vfu_dma_read(dma, a->addr + i * sizeof(job), &job, sizeof(job), addr))
			return HEARTH_HW_ERR_BUS;
	*addr = fw_queue_addr(npu, a->slot);
	if (vfu_dma_write(dma, *addr, zero, sizeof(zero), addr))
		return HEARTH_HW_ERR_BUS;
	return HEARTH_HW_OK;
}

static uint32_t queue_create(struct npu *npu, const struct hearth_hw_admin *a, uint64_t *addr)
{
	struct npu_ctx *ctx = find_ctx(npu, a->ctx);
	struct npu_slot *slot;
	uint32_t ret;

	if (a->slot >= npu->caps.slots || a->ctx >= NPU_CONTEXTS ||
	    a->priority >= NPU_PRIORITIES || !is_ring(a->addr, a->entries))
		return HEARTH_HW_ERR_ARGS;
	slot = &npu->slot[a->slot];
	if (!ctx)
		return HEARTH_HW_ERR_NOENT;
	if (slot->exists)
		return HEARTH_HW_ERR_BUSY;
	ret = check_queue_memory(npu, a, addr);
	if (ret)
		return ret;
	pthread_mutex_lock(&npu->lock);
	npu_slot_clear(slot);
	slot->priority = a->priority;
	slot->ctx_id = a->ctx;
	slot->ctx = ctx;
	slot->ring = a->addr;
	slot->entries = a->entries;
	slot->exists = true;
	ctx->queues++;
	pthread_mutex_unlock(&npu->lock);
	return HEARTH_HW_OK;
}

/* The worker lets go of the slot at the next command boundary. */
static uint32_t queue_destroy(struct npu *npu, const struct hearth_hw_admin *a)
{
	struct npu_slot *slot;

	if (a->slot >= npu->caps.slots)
		return HEARTH_HW_ERR_ARGS;
	slot = &npu->slot[a->slot];
	pthread_mutex_lock(&npu->lock);
	if (!slot->exists) {
		pthread_mutex_unlock(&npu->lock);
		return HEARTH_HW_ERR_NOENT;
	}
	slot->dying = true;
	pthread_cond_broadcast(&npu->wake);
	while (slot->running && !npu->resetting &&
	       npu->regs.status == HEARTH_STATUS_READY)
		pthread_cond_wait(&npu->idle, &npu->lock);
	if (!slot->running) {
		slot->ctx->queues--;
		npu_slot_clear(slot);
	}
	pthread_mutex_unlock(&npu->lock);
	return HEARTH_HW_OK;
}

static uint32_t queue_priority(struct npu *npu, const struct hearth_hw_admin *a)
{
	uint32_t ret = HEARTH_HW_OK;

	if (a->slot >= npu->caps.slots || a->priority >= NPU_PRIORITIES)
		return HEARTH_HW_ERR_ARGS;
	pthread_mutex_lock(&npu->lock);
	if (npu->slot[a->slot].exists)
		npu->slot[a->slot].priority = a->priority;
	else
		ret = HEARTH_HW_ERR_NOENT;
	pthread_cond_broadcast(&npu->wake);
	pthread_mutex_unlock(&npu->lock);
	return ret;
}

static uint32_t may_suspend(const struct npu *npu)
{
	for (unsigned int i = 0; i < HEARTH_MAX_SLOTS; i++)
		if (npu->slot[i].exists)
			return HEARTH_HW_ERR_BUSY;
	return HEARTH_HW_OK;
}

static uint32_t execute(struct npu *npu, const struct hearth_hw_admin *a, uint64_t *addr)
{
	for (unsigned int i = 0; i < sizeof(a->reserved) / sizeof(a->reserved[0]); i++)
		if (a->reserved[i])
			return HEARTH_HW_ERR_ARGS;
	switch (a->op) {
	case HEARTH_ADMIN_PING:
		return HEARTH_HW_OK;
	case HEARTH_ADMIN_CTX_CREATE:
		return ctx_create(npu, a, addr);
	case HEARTH_ADMIN_CTX_DESTROY:
		return ctx_destroy(npu, a);
	case HEARTH_ADMIN_TLB_FLUSH:
		return tlb_flush(npu, a);
	case HEARTH_ADMIN_QUEUE_CREATE:
		return queue_create(npu, a, addr);
	case HEARTH_ADMIN_QUEUE_DESTROY:
		return queue_destroy(npu, a);
	case HEARTH_ADMIN_QUEUE_PRIORITY:
		return queue_priority(npu, a);
	case HEARTH_ADMIN_SUSPEND:
		return may_suspend(npu);
	default:
		return HEARTH_HW_ERR_ARGS;
	}
}

static void suspend(struct npu *npu)
{
	bool ready;

	pthread_mutex_lock(&npu->lock);
	ready = !npu->resetting && npu->regs.status == HEARTH_STATUS_READY;
	if (ready)
		npu->regs.status = HEARTH_STATUS_SUSPENDED;
	pthread_mutex_unlock(&npu->lock);
	if (ready)
		npu_raise(npu, HEARTH_IRQ_STATE);
}

static bool serve_one(struct npu *npu, const struct hearth_hw_admin *a)
{
	struct hearth_hw_event e = { .type = HEARTH_EVENT_ADMIN, .cookie = a->cookie };
	uint64_t addr = 0;

	e.error = execute(npu, a, &addr);
	if (e.error == HEARTH_HW_ERR_BUS)
		e.addr = addr;
	npu_count(npu, admin);
	if (e.error)
		npu_log(npu, "admin op %u refused: error %u", a->op, e.error);
	if (!npu_event_push(npu, &e))
		return false;
	if (a->op == HEARTH_ADMIN_SUSPEND && !e.error) {
		suspend(npu);
		return false;
	}
	return true;
}

/* The entry is the host's again before it is executed: what counts is our copy. */
static bool take(struct npu *npu, struct hearth_hw_admin *a)
{
	struct vfu_dma *dma = &npu->vfu.dma;
	uint64_t at = npu->host.admin_ring +
		      npu->admin_extract % npu->host.admin_entries * sizeof(*a);

	if (!vfu_dma_read(dma, at, a, sizeof(*a), NULL) &&
	    !vfu_dma_store32(dma, npu->host.fw_page +
			     offsetof(struct hearth_hw_fw_page, admin_extract),
			     npu->admin_extract + 1)) {
		npu->admin_extract++;
		return true;
	}
	npu_fw_die(npu, "the admin ring cannot be read");
	return false;
}

void npu_admin_serve(struct npu *npu)
{
	const uint64_t addr = npu->host.host_page +
			      offsetof(struct hearth_hw_host_page, admin_insert);
	struct hearth_hw_admin a;
	uint32_t insert;

	do {
		if (vfu_dma_load32(&npu->vfu.dma, addr, &insert)) {
			npu_fw_die(npu, "the host page cannot be read");
			return;
		}
		if (insert - npu->admin_extract > npu->host.admin_entries) {
			npu_fw_die(npu, "admin_insert breaks the ring's rule");
			return;
		}
		if (insert == npu->admin_extract)
			return;
	} while (take(npu, &a) && serve_one(npu, &a));
}
