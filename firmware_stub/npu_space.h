/* SPDX-License-Identifier: MIT */
/*
 * A context's address space as the executor of commands sees it. Each worker
 * has one, and points it at the context of the job in hand.
 */
#ifndef HEARTH_NPU_SPACE_H
#define HEARTH_NPU_SPACE_H

#include "npu_mmu.h"

/* Most ranges that an op holds at a time, with room to spare. */
#define NPU_SPACE_MAPS	160

struct npu_space_map {
	struct npu_access access;
	bool used;
	struct vfu_dma_ref ref;	/* ref.map is NULL if the range was gathered */
	void *buffer;		/* grows, is never given back */
	size_t buffer_bytes;
};

struct npu_space {
	struct hk_space base;
	struct npu_ctx *ctx;
	struct npu_space_map maps[NPU_SPACE_MAPS];
	uint64_t gathered;	/* bytes that had to be copied */
};

void npu_space_init(struct npu_space *space);
void npu_space_fini(struct npu_space *space);

#endif
