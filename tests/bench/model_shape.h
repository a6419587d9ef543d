/* SPDX-License-Identifier: MIT */
/* Shapes of well-known language models, and the tensors that they consist of. */
#ifndef HEARTH_BENCH_MODEL_SHAPE_H
#define HEARTH_BENCH_MODEL_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "formats/gguf.h"

struct model_shape {
	const char *name;	/* as on the command line */
	const char *title;	/* as in the file */
	const char *arch;
	uint32_t n_embd, n_ff, n_layer, n_head, n_head_kv, n_vocab, n_ctx;
	float rope_base, rms_eps;
	bool tied;		/* the embedding is the output matrix as well */
	bool fused;		/* phi3: q, k, v in one matrix, gate and up in one */
	bool rope_freqs;	/* Llama 3: a factor for each frequency */
};

/* A mix of types, as quantizers call it. */
struct model_mix {
	const char *name;
	uint32_t file_type;	/* general.file_type */
	enum gguf_type base;
};

struct model_tensor {
	char name[48];
	enum gguf_type type;
	uint32_t cols, rows;	/* rows 0: a vector */
};

extern const struct model_shape model_shapes[];
extern const size_t n_model_shapes;
extern const struct model_mix model_mixes[];
extern const size_t n_model_mixes;

/* NULL if there is none of that name. */
const struct model_shape *model_shape_find(const char *name);
const struct model_mix *model_mix_find(const char *name);

/* All tensors in the order of the file; *n of them; the caller's to free(). NULL: no memory. */
struct model_tensor *model_tensors(const struct model_shape *s, const struct model_mix *m, size_t *n);

uint64_t model_tensor_bytes(const struct model_tensor *t);

#endif
