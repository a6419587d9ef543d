/* SPDX-License-Identifier: MIT */
/* A small llama, written by the test; a test changes some of it first. */
#ifndef HEARTH_TESTS_LLM_SAMPLE_H
#define HEARTH_TESTS_LLM_SAMPLE_H

#include <stdbool.h>
#include <stdio.h>

#include "gguf_writer.h"

/* Control tokens, bytes, and unused ones up to a multiple of eight */
#define BYTES_END	(3 + 256)
#define VOCAB		(BYTES_END + 5)
#define EMBD	32
#define FF	64
#define HEADS	4
#define HEAD_DIM (EMBD / HEADS)
#define CTX	32
#define LAYERS	2

/* What a test changes in the model before it is written. */
struct spec {
	const char *arch;
	uint32_t ctx, embd, ff, layers, heads, heads_kv, rot, experts;
	float eps, base;
	const char *scaling;
	float factor;
	bool rope_freqs;
	uint64_t q_rows, kv_rows;
	/* what families have that llama has not */
	bool fused, bias, qk_norm, post_norm;
	/* an output matrix of its own */
	bool untied;
	/* keys behind those, without the architecture; without: left out */
	struct {
		const char *key;
		uint32_t type;
		double v;
	} more[4];
	const char *without;
	/* one more tensor, of a row */
	const char *extra;
	uint64_t extra_cols;
};

static const struct spec good = {
	.arch = "llama", .ctx = CTX, .embd = EMBD, .ff = FF, .layers = LAYERS,
	.heads = HEADS, .heads_kv = 2, .rot = HEAD_DIM, .eps = 1e-5f, .base = 10000,
	.q_rows = EMBD, .kv_rows = 2 * HEAD_DIM, .extra_cols = EMBD,
};

/* A head of 32 values, and all that each family has */
static const struct spec families[] = {
#define FAMILY(name, ...)								\
	{ .arch = name, .ctx = CTX, .embd = EMBD, .ff = FF, .layers = LAYERS, .heads = 1,	\
	  .heads_kv = 1, .rot = EMBD, .eps = 1e-5f, .base = 10000, .q_rows = EMBD,		\
	  .kv_rows = EMBD, .extra_cols = EMBD, __VA_ARGS__ }
	FAMILY("llama", .bias = true),
	FAMILY("qwen2", .bias = true),
	FAMILY("qwen3", .qk_norm = true),
	FAMILY("phi3", .fused = true, .scaling = "longrope", .factor = 1,
	       .more = { { "attention.sliding_window", GGUF_VT_U32, 9 },
			 { "rope.scaling.attn_factor", GGUF_VT_F32, 1.25 } }),
	FAMILY("gemma2", .post_norm = true,
	       .more = { { "attention.sliding_window", GGUF_VT_U32, 9 },
			 { "attn_logit_softcapping", GGUF_VT_F32, 2 },
			 { "final_logit_softcapping", GGUF_VT_F32, 3 } }),
	FAMILY("gemma3", .post_norm = true, .qk_norm = true, .scaling = "linear", .factor = 8,
	       .more = { { "attention.sliding_window", GGUF_VT_U32, 9 },
			 { "attention.sliding_window_pattern", GGUF_VT_U32, 2 } }),
};

static inline void sample_f32(struct bytes *b, const char *key, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, 4);
	gw_key(b, key, GGUF_VT_F32);
	bytes_u32(b, bits);
}

/* A SentencePiece vocabulary of control tokens, single bytes and unused ones. */
static inline void write_vocab(struct bytes *b)
{
	char piece[24];

	gw_kv_str(b, "tokenizer.ggml.model", "llama");
	gw_kv_arr(b, "tokenizer.ggml.tokens", GGUF_VT_STR, VOCAB);
	gw_str(b, "<unk>");
	gw_str(b, "<s>");
	gw_str(b, "</s>");
	for (int i = 0; i < 256; i++) {
		snprintf(piece, sizeof(piece), "<0x%02X>", i);
		gw_str(b, piece);
	}
	for (int i = BYTES_END; i < VOCAB; i++) {
		snprintf(piece, sizeof(piece), "<unused%d>", i);
		gw_str(b, piece);
	}
	gw_kv_arr(b, "tokenizer.ggml.scores", GGUF_VT_F32, VOCAB);
	for (int i = 0; i < VOCAB; i++)
		bytes_u32(b, 0);
	gw_kv_arr(b, "tokenizer.ggml.token_type", GGUF_VT_I32, VOCAB);
	for (int i = 0; i < VOCAB; i++)
		bytes_u32(b, i == 0 ? 2 : i < 3 ? 3 : i < BYTES_END ? 6 : 5);
	gw_kv_u32(b, "tokenizer.ggml.bos_token_id", 1);
	gw_kv_u32(b, "tokenizer.ggml.eos_token_id", 2);
}
#define VOCAB_KVS	6

/* "<arch>.<key>", of type u32 or f32; returns how many were written, 1 or 0. */
static inline unsigned int sample_key(struct bytes *b, const struct spec *s, const char *key,
				      uint32_t type, double v)
{
	char full[96];

	if (s->without && !strcmp(key, s->without))
		return 0;
	snprintf(full, sizeof(full), "%s.%s", s->arch, key);
	if (type == GGUF_VT_F32)
		sample_f32(b, full, (float)v);
	else
		gw_kv_u32(b, full, (uint32_t)v);
	return 1;
}

static inline unsigned int sample_keys(struct bytes *b, const struct spec *s)
{
	const struct {
		const char *key;
		double v;
		bool real;
	} keys[] = {
		{ "context_length", s->ctx, false }, { "embedding_length", s->embd, false },
		{ "feed_forward_length", s->ff, false }, { "block_count", s->layers, false },
		{ "attention.head_count", s->heads, false },
		{ "attention.head_count_kv", s->heads_kv, false },
		{ "rope.dimension_count", s->rot, false }, { "expert_count", s->experts, false },
		{ "attention.layer_norm_rms_epsilon", s->eps, true },
		{ "rope.freq_base", s->base, true }, { "rope.scaling.factor", s->factor, true },
	};
	char full[96];
	unsigned int n = 1;

	gw_kv_str(b, "general.architecture", s->arch);
	for (unsigned int i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		n += sample_key(b, s, keys[i].key, keys[i].real ? GGUF_VT_F32 : GGUF_VT_U32,
				keys[i].v);
	for (unsigned int i = 0; i < 4 && s->more[i].key; i++)
		n += sample_key(b, s, s->more[i].key, s->more[i].type, s->more[i].v);
	if (s->scaling) {
		snprintf(full, sizeof(full), "%s.rope.scaling.type", s->arch);
		gw_kv_str(b, full, s->scaling);
		n++;
	}
	write_vocab(b);
	return n + VOCAB_KVS;
}

struct sample_data {
	uint64_t bytes;
	unsigned int n;
};

static inline void sample_tensor(struct bytes *b, struct sample_data *d, const char *name,
				 uint64_t rows, uint64_t cols)
{
	uint64_t dims[2] = { cols, rows };

	gw_tensor(b, name, GGUF_TYPE_F32, rows > 1 ? 2 : 1, dims, d->bytes);
	d->bytes = (d->bytes + rows * cols * 4 + 31) & ~31ull;
	d->n++;
}

static inline void layer_tensor(struct bytes *b, struct sample_data *d, uint32_t layer,
				const char *name, uint64_t rows, uint64_t cols)
{
	char full[64];

	snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
	sample_tensor(b, d, full, rows, cols);
}

static inline void write_attention(struct bytes *b, const struct spec *s, struct sample_data *d,
				   uint32_t l)
{
	uint64_t dim = s->kv_rows / (s->heads_kv ? s->heads_kv : 1);

	if (s->fused) {
		layer_tensor(b, d, l, "attn_qkv.weight", s->q_rows + 2 * s->kv_rows, EMBD);
	} else {
		layer_tensor(b, d, l, "attn_q.weight", s->q_rows, EMBD);
		layer_tensor(b, d, l, "attn_k.weight", s->kv_rows, EMBD);
		layer_tensor(b, d, l, "attn_v.weight", s->kv_rows, EMBD);
	}
	if (s->bias) {
		layer_tensor(b, d, l, "attn_q.bias", 1, s->q_rows);
		layer_tensor(b, d, l, "attn_k.bias", 1, s->kv_rows);
		layer_tensor(b, d, l, "attn_v.bias", 1, s->kv_rows);
	}
	if (s->qk_norm) {
		layer_tensor(b, d, l, "attn_q_norm.weight", 1, dim);
		layer_tensor(b, d, l, "attn_k_norm.weight", 1, dim);
	}
	layer_tensor(b, d, l, "attn_output.weight", EMBD, EMBD);
}

static inline void write_layer(struct bytes *b, const struct spec *s, struct sample_data *d,
			       uint32_t l)
{
	layer_tensor(b, d, l, "attn_norm.weight", 1, EMBD);
	write_attention(b, s, d, l);
	if (s->post_norm)
		layer_tensor(b, d, l, "post_attention_norm.weight", 1, EMBD);
	layer_tensor(b, d, l, "ffn_norm.weight", 1, EMBD);
	if (!s->fused)
		layer_tensor(b, d, l, "ffn_gate.weight", FF, EMBD);
	layer_tensor(b, d, l, "ffn_up.weight", s->fused ? 2 * FF : FF, EMBD);
	layer_tensor(b, d, l, "ffn_down.weight", EMBD, FF);
	if (s->post_norm)
		layer_tensor(b, d, l, "post_ffw_norm.weight", 1, EMBD);
}

static inline void write_tensors(struct bytes *b, const struct spec *s, struct sample_data *d)
{
	sample_tensor(b, d, "token_embd.weight", VOCAB, EMBD);
	sample_tensor(b, d, "output_norm.weight", 1, EMBD);
	if (s->untied)
		sample_tensor(b, d, "output.weight", VOCAB, EMBD);
	if (s->rope_freqs)
		sample_tensor(b, d, "rope_freqs.weight", 1, HEAD_DIM / 2);
	if (s->extra)
		sample_tensor(b, d, s->extra, 1, s->extra_cols);
	for (uint32_t l = 0; l < LAYERS && l < s->layers; l++)
		write_layer(b, s, d, l);
}

/* All before the weights, with counts filled in when they are known; returns their bytes. */
static inline uint64_t write_head(struct bytes *b, const struct spec *s)
{
	struct sample_data d = { 0 };
	uint32_t n_kv;
	size_t counts = gw_header(b, 3, 0, 0);

	n_kv = sample_keys(b, s);
	write_tensors(b, s, &d);
	memcpy(b->p + counts, &(uint64_t){ d.n }, 8);
	memcpy(b->p + counts + 8, &(uint64_t){ n_kv }, 8);
	while (b->n % 32)
		bytes_u8(b, 0);
	return d.bytes;
}

/* Numbers of both signs, below 1/4 */
static inline void write_weights(struct bytes *b, uint64_t bytes)
{
	uint32_t v = 1;

	for (uint64_t i = 0; i < bytes / 4; i++) {
		float f;
		uint32_t bits;

		v = v * 1664525 + 1013904223;
		f = (int32_t)v * 0x1p-33f;
		memcpy(&bits, &f, 4);
		bytes_u32(b, bits);
	}
}

static inline void write_model(struct bytes *b, const struct spec *s)
{
	write_weights(b, write_head(b, s));
}

#endif /* HEARTH_TESTS_LLM_SAMPLE_H */
