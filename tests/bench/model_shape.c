// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_shape.h"

#define MAX_PER_LAYER	9
#define MAX_OUTSIDE	4

const struct model_shape model_shapes[] = {
	/* Small enough for a test, larger than the 32 MiB that it allows for a copy. */
	{ "test-100m", "test 100M", "llama", 1024, 4096, 6, 16, 4, 4000, 2048,
	  10000, 1e-5f, false, false, false },
	/* Vocabulary and layers of a 7B model, and a hundredth of its weights. */
	{ "deep-40m", "deep 40M", "llama", 256, 1536, 32, 4, 4, 32000, 2048,
	  10000, 1e-5f, false, false, false },
	{ "tinyllama-1.1b", "TinyLlama 1.1B", "llama", 2048, 5632, 22, 32, 4, 32000, 2048,
	  10000, 1e-5f, false, false, false },
	{ "llama-3.2-1b", "Llama 3.2 1B", "llama", 2048, 8192, 16, 32, 8, 128256, 131072,
	  500000, 1e-5f, true, false, true },
	{ "phi-3-mini", "Phi 3 mini", "phi3", 3072, 8192, 32, 32, 32, 32064, 4096,
	  10000, 1e-5f, false, true, false },
	{ "llama-2-7b", "Llama 2 7B", "llama", 4096, 11008, 32, 32, 32, 32000, 4096,
	  10000, 1e-5f, false, false, false },
};
const size_t n_model_shapes = sizeof(model_shapes) / sizeof(model_shapes[0]);

const struct model_mix model_mixes[] = {
	{ "Q4_0", 2, GGUF_TYPE_Q4_0 },
	{ "Q8_0", 7, GGUF_TYPE_Q8_0 },
	{ "Q4_K_M", 15, GGUF_TYPE_Q4_K },
};
const size_t n_model_mixes = sizeof(model_mixes) / sizeof(model_mixes[0]);

const struct model_shape *model_shape_find(const char *name)
{
	for (size_t i = 0; i < n_model_shapes; i++)
		if (!strcmp(model_shapes[i].name, name))
			return &model_shapes[i];
	return NULL;
}

const struct model_mix *model_mix_find(const char *name)
{
	for (size_t i = 0; i < n_model_mixes; i++)
		if (!strcmp(model_mixes[i].name, name))
			return &model_mixes[i];
	return NULL;
}

/* Which tensors of a mix have more bits: the output, and in Q4_K_M some layers' v and down. */
static enum gguf_type output_type(const struct model_mix *m)
{
	return m->base == GGUF_TYPE_Q8_0 ? m->base : GGUF_TYPE_Q6_K;
}

static enum gguf_type careful_type(const struct model_mix *m, uint32_t layer, uint32_t n_layer)
{
	uint32_t eighth = n_layer / 8;
	bool more = layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2;

	return m->base == GGUF_TYPE_Q4_K && more ? GGUF_TYPE_Q6_K : m->base;
}

struct list {
	struct model_tensor *t;
	size_t n;
};

__attribute__((format(printf, 5, 6)))
static void add(struct list *l, enum gguf_type type, uint32_t cols, uint32_t rows,
		const char *fmt, ...)
{
	struct model_tensor *t = &l->t[l->n++];
	va_list ap;

	*t = (struct model_tensor){ .type = type, .cols = cols, .rows = rows };
	va_start(ap, fmt);
	vsnprintf(t->name, sizeof(t->name), fmt, ap);
	va_end(ap);
}

static void add_layer(struct list *l, const struct model_shape *s, const struct model_mix *m,
		      uint32_t i)
{
	uint32_t kv = s->n_embd / s->n_head * s->n_head_kv;
	enum gguf_type careful = careful_type(m, i, s->n_layer);

	add(l, GGUF_TYPE_F32, s->n_embd, 0, "blk.%u.attn_norm.weight", i);
	if (s->fused) {
		add(l, m->base == GGUF_TYPE_Q4_K ? GGUF_TYPE_Q5_K : m->base, s->n_embd,
		    s->n_embd + 2 * kv, "blk.%u.attn_qkv.weight", i);
	} else {
		add(l, m->base, s->n_embd, s->n_embd, "blk.%u.attn_q.weight", i);
		add(l, m->base, s->n_embd, kv, "blk.%u.attn_k.weight", i);
		add(l, careful, s->n_embd, kv, "blk.%u.attn_v.weight", i);
	}
	add(l, m->base, s->n_embd, s->n_embd, "blk.%u.attn_output.weight", i);
	add(l, GGUF_TYPE_F32, s->n_embd, 0, "blk.%u.ffn_norm.weight", i);
	if (!s->fused)
		add(l, m->base, s->n_embd, s->n_ff, "blk.%u.ffn_gate.weight", i);
	add(l, m->base, s->n_embd, s->fused ? 2 * s->n_ff : s->n_ff, "blk.%u.ffn_up.weight", i);
	add(l, careful, s->n_ff, s->n_embd, "blk.%u.ffn_down.weight", i);
}

struct model_tensor *model_tensors(const struct model_shape *s, const struct model_mix *m, size_t *n)
{
	struct list l = { calloc(s->n_layer * MAX_PER_LAYER + MAX_OUTSIDE, sizeof(*l.t)), 0 };

	if (!l.t)
		return NULL;
	add(&l, s->tied ? output_type(m) : m->base, s->n_embd, s->n_vocab, "token_embd.weight");
	if (s->rope_freqs)
		add(&l, GGUF_TYPE_F32, s->n_embd / s->n_head / 2, 0, "rope_freqs.weight");
	for (uint32_t i = 0; i < s->n_layer; i++)
		add_layer(&l, s, m, i);
	add(&l, GGUF_TYPE_F32, s->n_embd, 0, "output_norm.weight");
	if (!s->tied)
		add(&l, output_type(m), s->n_embd, s->n_vocab, "output.weight");
	*n = l.n;
	return l.t;
}

uint64_t model_tensor_bytes(const struct model_tensor *t)
{
	const struct gguf_type_info *info = gguf_type_info(t->type);

	return (uint64_t)t->cols / info->block_elems * info->block_bytes * (t->rows ? t->rows : 1);
}
