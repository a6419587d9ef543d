/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_BUILD_H
#define HEARTH_LLM_BUILD_H

#include <stdbool.h>

#include "hearth.h"
#include "llm/hparams.h"

struct gguf;
struct gguf_tensor;

/* A step of the network as a graph, and the tensors that change per step. */
struct llm_step {
	struct hearth_graph *graph;
	hearth_tensor ids;	/* i32 (rows) */
	hearth_tensor pos;	/* i32 (rows) */
	hearth_tensor last;	/* i32 (n_logits): the rows whose logits are wanted */
	hearth_tensor logits;	/* f32 (n_logits, n_vocab) */
	/* f32 (rows, n_rot): cosines and sines of llm_rope_of(); none that no layer reads */
	hearth_tensor turns[LLM_ROPES];
};

/*
 * Give the tensor that divides rope's frequencies in a context of @n_ctx positions, NULL
 * in most files. Errors as llm_build_step().
 */
int llm_rope_factors(const struct gguf *g, const struct llm_hparams *hp, uint32_t n_ctx,
		     const struct gguf_tensor **factors);

/*
 * Build the graph of @rows tokens over a KV cache of @n_ctx positions of type
 * @kv_type, with the logits of @n_logits (1 to @rows) of them. The caller
 * destroys step->graph. Errors with the thread's message set: -EINVAL a tensor
 * of another shape, -EOPNOTSUPP a tensor or a type that Hearth has no use for.
 */
int llm_build_step(const struct gguf *g, const struct llm_hparams *hp,
		   uint32_t rows, uint32_t n_logits, uint32_t n_ctx,
		   unsigned int kv_type, struct llm_step *step);

/* The way of all caches to lower positions, and what it reads. */
struct llm_shift {
	struct hearth_graph *graph;
	hearth_tensor shift;	/* i32 (3): first, by, n */
	hearth_tensor turns[LLM_ROPES];	/* f32 (n_ctx, n_rot): row by is read */
};

/* The same for the caches alone. */
int llm_build_shift(const struct gguf *g, const struct llm_hparams *hp, uint32_t n_ctx,
		    unsigned int kv_type, struct llm_shift *shift);

#endif
