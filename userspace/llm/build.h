/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_BUILD_H
#define HEARTH_LLM_BUILD_H

#include <stdbool.h>

#include "hearth.h"
#include "llm/hparams.h"

struct gguf;

/* A step of the network as a graph, and the tensors that change per step. */
struct llm_step {
	struct hearth_graph *graph;
	hearth_tensor ids;	/* i32 (rows) */
	hearth_tensor pos;	/* i32 (rows) */
	hearth_tensor last;	/* i32 (n_logits): the rows whose logits are wanted */
	hearth_tensor logits;	/* f32 (n_logits, n_vocab) */
};

/*
 * Build the graph of @rows tokens over a KV cache of @n_ctx positions, with
 * the logits of @n_logits (1 to @rows) of them. The caller destroys
 * step->graph. Errors with the thread's message set.
 */
int llm_build_step(const struct gguf *g, const struct llm_hparams *hp,
		   uint32_t rows, uint32_t n_logits, uint32_t n_ctx, bool kv_f32,
		   struct llm_step *step);

#endif
