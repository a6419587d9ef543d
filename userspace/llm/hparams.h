/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_HPARAMS_H
#define HEARTH_LLM_HPARAMS_H

#include <stdint.h>

struct gguf;
struct hearth_err;

/* Shape of a llama-family transformer, from the metadata of a GGUF file. */
struct llm_hparams {
	char arch[32];
	char name[64];
	uint32_t n_vocab;
	uint32_t n_ctx;		/* positions that the model was trained for */
	uint32_t n_embd;
	uint32_t n_ff;
	uint32_t n_layer;
	uint32_t n_head;
	uint32_t n_head_kv;
	uint32_t head_dim;
	uint32_t n_rot;
	float rms_eps;
	float rope_base;
	float rope_freq_scale;	/* multiplies positions: 1 / linear factor */
};

/*
 * Read and check. -EOPNOTSUPP for an architecture or feature that Hearth
 * lacks, -EINVAL for values that cannot be.
 */
int llm_hparams_read(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err);

#endif
