/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_HPARAMS_H
#define HEARTH_LLM_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct gguf;
struct hearth_err;

/* What an architecture has that llama has not. */
enum llm_feature {
	LLM_ROPE_HALVES = 1 << 0,	/* pairs are n_rot / 2 elements apart */
	LLM_QK_NORM = 1 << 1,		/* queries and keys are normed head by head */
	LLM_POST_NORM = 1 << 2,		/* both branches end in a norm */
	LLM_GELU = 1 << 3,		/* the gate is gelu, not silu */
	LLM_SCALE_EMBD = 1 << 4,	/* embeddings times sqrt(n_embd) */
	LLM_CAP_SCORES = 1 << 5,	/* caps of scores and logits, unless told otherwise */
	LLM_WINDOW = 1 << 6,		/* layers may see a window of positions */
	LLM_LONG_ROPE = 1 << 7,		/* other rope factors for long contexts */
};

/* How positions turn heads. */
struct llm_rope {
	float base;
	float freq_scale;	/* multiplies positions: 1 / linear factor */
	float magnitude;
};

/* Shape of a transformer, from the metadata of a GGUF file. */
struct llm_hparams {
	char arch[32];
	char name[64];
	uint32_t features;	/* mask of enum llm_feature */
	uint32_t n_vocab;
	uint32_t n_ctx;		/* positions that the model was trained for */
	uint32_t n_embd;
	uint32_t n_ff;
	uint32_t n_layer;
	uint32_t n_head;
	uint32_t n_head_kv;
	uint32_t head_dim;
	uint32_t n_rot;
	uint32_t window;	/* positions; 0: all layers see all */
	/* of so many layers in a row the last one sees all; 0: none does */
	uint32_t window_period;
	uint32_t n_ctx_short;	/* LONG_ROPE: positions of the short factors */
	float rms_eps;
	float attn_scale;	/* of the scores; 0: 1 / sqrt(head_dim) */
	float attn_cap, logit_cap;	/* 0: none */
	float embd_scale;
	struct llm_rope rope;
	struct llm_rope rope_local;	/* of layers with a window */
};

/* rope, and rope_local where it is another one */
#define LLM_ROPES	2

/*
 * Read and check. -EOPNOTSUPP for an architecture or feature that Hearth
 * lacks, -EINVAL for values that cannot be.
 */
int llm_hparams_read(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err);

/* Does layer @i see no more than the window? */
static inline bool llm_is_local(const struct llm_hparams *hp, uint32_t i)
{
	return hp->window && (!hp->window_period ||
			      i % hp->window_period != hp->window_period - 1);
}

/* Which of the ropes turns layer @i? */
static inline unsigned int llm_rope_of(const struct llm_hparams *hp, uint32_t i)
{
	return llm_is_local(hp, i) && memcmp(&hp->rope, &hp->rope_local, sizeof(hp->rope));
}

#endif
