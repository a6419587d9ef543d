/* SPDX-License-Identifier: MIT */
/*
 * The NPU's own MMU: a context's page tables, walked through the client's
 * memory, and a small TLB.
 */
#ifndef HEARTH_NPU_MMU_H
#define HEARTH_NPU_MMU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernels/space.h"
#include "vfu_dma.h"

#define NPU_TLB_PAGES	256
#define NPU_TLB_CONTS	64
#define NPU_TLB_BLOCKS	64

struct npu_tlb_entry {
	bool valid;
	bool read_only;
	uint64_t va;		/* first address of the translation */
	uint64_t bus;
};

struct npu_access;

/*
 * A context. The lock covers the TLB and the list of accesses; it is held
 * while tables are read, so the thread that serves the protocol must never
 * take it.
 */
struct npu_ctx {
	pthread_mutex_t lock;
	pthread_cond_t ended;		/* an access has ended */
	struct vfu_dma *dma;
	uint64_t root;
	unsigned int queues;		/* slots that run in it; the device's lock */
	uint64_t generation;		/* of the TLB; counts flushes */
	struct npu_access *accesses;
	struct npu_tlb_entry pages[NPU_TLB_PAGES];
	struct npu_tlb_entry conts[NPU_TLB_CONTS];
	struct npu_tlb_entry blocks[NPU_TLB_BLOCKS];
	uint64_t walks;
};

/* A range in use, from the first walk until its release. */
struct npu_access {
	struct npu_access *next;
	uint64_t va;
	uint64_t bytes;
	uint64_t generation;
};

struct npu_ctx *npu_ctx_create(struct vfu_dma *dma, uint64_t root);
void npu_ctx_destroy(struct npu_ctx *ctx);

/*
 * Translate @va. *bytes is cut to what the translation covers. Returns 0, or
 * -EFAULT with the fault's error and address set. The lock is held.
 */
int npu_mmu_translate(struct npu_ctx *ctx, uint64_t va, bool write,
		      uint64_t *bus, uint64_t *bytes, struct hk_fault *fault);

void npu_access_begin(struct npu_ctx *ctx, struct npu_access *a,
		      uint64_t va, uint64_t bytes);
void npu_access_end(struct npu_ctx *ctx, struct npu_access *a);

/*
 * Forget the translations that meet the range, and wait for the accesses that
 * may have used them.
 */
void npu_mmu_flush(struct npu_ctx *ctx, uint64_t va, uint64_t bytes);

#endif
