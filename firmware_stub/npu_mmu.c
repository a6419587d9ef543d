// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hw/hearth_mmu.h>

#include "npu_mmu.h"

#define VA_LIMIT	(1ull << HEARTH_MMU_VA_BITS)
#define PAGE_BYTES	(1ull << HEARTH_MMU_PAGE_SHIFT)
#define CONT_BYTES	(1ull << HEARTH_MMU_CONT_SHIFT)
#define BLOCK_BYTES	(1ull << HEARTH_MMU_BLOCK_SHIFT)

#define TABLE_BITS	(HEARTH_PTE_VALID | HEARTH_PTE_TABLE | HEARTH_PTE_ADDR)
#define BLOCK_BITS	(HEARTH_PTE_VALID | HEARTH_PTE_RO | HEARTH_PTE_AF | HEARTH_PTE_ADDR)
#define PAGE_BITS	(BLOCK_BITS | HEARTH_PTE_PAGE | HEARTH_PTE_CONT)

struct npu_ctx *npu_ctx_create(struct vfu_dma *dma, uint64_t root)
{
	struct npu_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	pthread_mutex_init(&ctx->lock, NULL);
	pthread_cond_init(&ctx->ended, NULL);
	ctx->dma = dma;
	ctx->root = root;
	return ctx;
}

void npu_ctx_destroy(struct npu_ctx *ctx)
{
	if (!ctx)
		return;
	pthread_cond_destroy(&ctx->ended);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

static int refuse(struct hk_fault *fault, uint32_t error, uint64_t addr)
{
	fault->error = error;
	fault->addr = addr;
	return -EFAULT;
}

static struct npu_tlb_entry *tlb_slot(struct npu_ctx *ctx, uint64_t va, uint64_t size)
{
	if (size == BLOCK_BYTES)
		return &ctx->blocks[va / size % NPU_TLB_BLOCKS];
	if (size == CONT_BYTES)
		return &ctx->conts[va / size % NPU_TLB_CONTS];
	return &ctx->pages[va / size % NPU_TLB_PAGES];
}

static const struct npu_tlb_entry *tlb_find(struct npu_ctx *ctx, uint64_t va,
					    uint64_t *size)
{
	static const uint64_t sizes[] = { BLOCK_BYTES, CONT_BYTES, PAGE_BYTES };

	for (unsigned int i = 0; i < 3; i++) {
		const struct npu_tlb_entry *e = tlb_slot(ctx, va, sizes[i]);

		if (e->valid && e->va == (va & -sizes[i])) {
			*size = sizes[i];
			return e;
		}
	}
	return NULL;
}

static const struct npu_tlb_entry *tlb_fill(struct npu_ctx *ctx, uint64_t va,
					    uint64_t size, uint64_t pte)
{
	struct npu_tlb_entry *e = tlb_slot(ctx, va, size);

	e->valid = true;
	e->read_only = pte & HEARTH_PTE_RO;
	e->va = va & -size;
	e->bus = pte & HEARTH_PTE_ADDR & -size;
	return e;
}

static int read_entry(struct npu_ctx *ctx, uint64_t table, uint64_t va,
		      unsigned int shift, uint64_t *pte, struct hk_fault *fault)
{
	uint64_t addr = table + (va >> shift) % HEARTH_MMU_ENTRIES * sizeof(*pte);

	if (vfu_dma_load64(ctx->dma, addr, pte))
		return refuse(fault, HEARTH_HW_ERR_BUS, addr);
	return 0;
}

static bool is_table(uint64_t pte)
{
	return (pte & HEARTH_PTE_VALID) && (pte & HEARTH_PTE_TABLE) && !(pte & ~TABLE_BITS);
}

static bool is_block(uint64_t pte)
{
	return (pte & HEARTH_PTE_VALID) && (pte & HEARTH_PTE_AF) && !(pte & ~BLOCK_BITS) &&
	       !((pte & HEARTH_PTE_ADDR) % BLOCK_BYTES);
}

/* Of a run of 64 KiB each entry maps the part that its place stands for. */
static bool is_page(uint64_t pte, uint64_t va)
{
	const uint64_t must = HEARTH_PTE_VALID | HEARTH_PTE_PAGE | HEARTH_PTE_AF;

	if ((pte & must) != must || (pte & ~PAGE_BITS))
		return false;
	return !(pte & HEARTH_PTE_CONT) ||
	       ((pte & HEARTH_PTE_ADDR) ^ va) % CONT_BYTES / PAGE_BYTES == 0;
}

static const struct npu_tlb_entry *walk(struct npu_ctx *ctx, uint64_t va, uint32_t error,
					uint64_t *size, struct hk_fault *fault)
{
	uint64_t pte;

	ctx->walks++;
	if (read_entry(ctx, ctx->root, va, HEARTH_MMU_L1_SHIFT, &pte, fault))
		return NULL;
	if (!is_table(pte))
		goto invalid;
	if (read_entry(ctx, pte & HEARTH_PTE_ADDR, va, HEARTH_MMU_BLOCK_SHIFT, &pte, fault))
		return NULL;
	if (is_block(pte)) {
		*size = BLOCK_BYTES;
		return tlb_fill(ctx, va, BLOCK_BYTES, pte);
	}
	if (!is_table(pte))
		goto invalid;
	if (read_entry(ctx, pte & HEARTH_PTE_ADDR, va, HEARTH_MMU_PAGE_SHIFT, &pte, fault))
		return NULL;
	if (!is_page(pte, va))
		goto invalid;
	*size = pte & HEARTH_PTE_CONT ? CONT_BYTES : PAGE_BYTES;
	return tlb_fill(ctx, va, *size, pte);
invalid:
	refuse(fault, error, va);
	return NULL;
}

int npu_mmu_translate(struct npu_ctx *ctx, uint64_t va, bool write,
		      uint64_t *bus, uint64_t *bytes, struct hk_fault *fault)
{
	uint32_t error = write ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ;
	const struct npu_tlb_entry *e;
	uint64_t size, offset;

	if (va >= VA_LIMIT)
		return refuse(fault, error, va);
	e = tlb_find(ctx, va, &size);
	if (!e)
		e = walk(ctx, va, error, &size, fault);
	if (!e)
		return -EFAULT;
	if (write && e->read_only)
		return refuse(fault, error, va);
	offset = va - e->va;
	*bus = e->bus + offset;
	if (*bytes > size - offset)
		*bytes = size - offset;
	return 0;
}

void npu_access_begin(struct npu_ctx *ctx, struct npu_access *a,
		      uint64_t va, uint64_t bytes)
{
	a->va = va;
	a->bytes = bytes;
	a->generation = ctx->generation;
	a->next = ctx->accesses;
	ctx->accesses = a;
}

void npu_access_end(struct npu_ctx *ctx, struct npu_access *a)
{
	struct npu_access **p = &ctx->accesses;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	pthread_cond_broadcast(&ctx->ended);
}

static bool meets(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a_bytes && b_bytes && a <= b + (b_bytes - 1) && b <= a + (a_bytes - 1);
}

static void tlb_forget(struct npu_tlb_entry *e, unsigned int num, uint64_t size,
		       uint64_t va, uint64_t bytes)
{
	for (unsigned int i = 0; i < num; i++)
		if (e[i].valid && meets(e[i].va, size, va, bytes))
			e[i].valid = false;
}

static bool still_used(const struct npu_ctx *ctx, uint64_t generation,
		       uint64_t va, uint64_t bytes)
{
	for (const struct npu_access *a = ctx->accesses; a; a = a->next)
		if (a->generation < generation && meets(a->va, a->bytes, va, bytes))
			return true;
	return false;
}

void npu_mmu_flush(struct npu_ctx *ctx, uint64_t va, uint64_t bytes)
{
	uint64_t generation;

	pthread_mutex_lock(&ctx->lock);
	tlb_forget(ctx->pages, NPU_TLB_PAGES, PAGE_BYTES, va, bytes);
	tlb_forget(ctx->conts, NPU_TLB_CONTS, CONT_BYTES, va, bytes);
	tlb_forget(ctx->blocks, NPU_TLB_BLOCKS, BLOCK_BYTES, va, bytes);
	generation = ++ctx->generation;
	while (still_used(ctx, generation, va, bytes))
		pthread_cond_wait(&ctx->ended, &ctx->lock);
	pthread_mutex_unlock(&ctx->lock);
}
