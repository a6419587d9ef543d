// SPDX-License-Identifier: MIT
/*
 * The llama block as a graph:
 *
 *	h = x + wo * attention(rope(wq * norm(x)), cache)
 *	x = h + down * (silu(gate * norm(h)) * (up * norm(h)))
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/build.h"
#include "runtime/error.h"

/*
 * After the first failure every step is a no-op, so that the network reads
 * like one; the error is looked at once, at the end.
 */
struct builder {
	const struct gguf *g;
	const struct llm_hparams *hp;
	struct hearth_graph *graph;
	uint32_t rows, n_logits, n_ctx;
	unsigned int kv_type;
	hearth_tensor pos;
	int layer;	/* -1 outside of the blocks */
	int ret;
};

static int to_type(uint32_t gguf_type)
{
	static const struct {
		uint8_t from, to;
	} map[] = {
		{ GGUF_TYPE_F32, HEARTH_TYPE_F32 },
		{ GGUF_TYPE_F16, HEARTH_TYPE_F16 },
		{ GGUF_TYPE_BF16, HEARTH_TYPE_BF16 },
		{ GGUF_TYPE_Q4_0, HEARTH_TYPE_Q4_0 },
		{ GGUF_TYPE_Q4_1, HEARTH_TYPE_Q4_1 },
		{ GGUF_TYPE_Q5_0, HEARTH_TYPE_Q5_0 },
		{ GGUF_TYPE_Q5_1, HEARTH_TYPE_Q5_1 },
		{ GGUF_TYPE_Q8_0, HEARTH_TYPE_Q8_0 },
		{ GGUF_TYPE_Q2_K, HEARTH_TYPE_Q2_K },
		{ GGUF_TYPE_Q3_K, HEARTH_TYPE_Q3_K },
		{ GGUF_TYPE_Q4_K, HEARTH_TYPE_Q4_K },
		{ GGUF_TYPE_Q5_K, HEARTH_TYPE_Q5_K },
		{ GGUF_TYPE_Q6_K, HEARTH_TYPE_Q6_K },
		{ GGUF_TYPE_IQ4_NL, HEARTH_TYPE_IQ4_NL },
		{ GGUF_TYPE_IQ4_XS, HEARTH_TYPE_IQ4_XS },
		{ GGUF_TYPE_MXFP4, HEARTH_TYPE_MXFP4 },
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(*map); i++)
		if (map[i].from == gguf_type)
			return map[i].to;
	return -1;
}

static void full_name(const struct builder *b, const char *name, char *buf,
		      size_t size)
{
	if (b->layer < 0)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "blk.%d.%s", b->layer, name);
}

static hearth_tensor add(struct builder *b, const struct hearth_tensor_opts *o)
{
	hearth_tensor t;

	if (b->ret)
		return HEARTH_NO_TENSOR;
	t = hearth_graph_add_tensor(b->graph, o);
	if (t < 0) {
		b->ret = t;
		return HEARTH_NO_TENSOR;
	}
	return t;
}

/* A new f32 activation; dims up to the first 0. */
static hearth_tensor activation(struct builder *b, const char *name, uint32_t d0,
				uint32_t d1, uint32_t d2)
{
	char full[96];

	full_name(b, name, full, sizeof(full));
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = full,
		.type = HEARTH_TYPE_F32,
		.n_dims = d2 ? 3 : 2,
		.dims = { d0, d1, d2 });
	return add(b, &o);
}

static int check_dims(struct builder *b, const char *name,
		      const struct gguf_tensor *t, uint32_t rows, uint32_t cols)
{
	if (t->dims[0] == cols && t->dims[1] == rows && t->dims[2] == 1 &&
	    t->dims[3] == 1)
		return 0;
	return hearth_seterr(-EINVAL,
			     "tensor '%s' is %llu x %llu x %llu x %llu, %u x %u was expected",
			     name, (unsigned long long)t->dims[0],
			     (unsigned long long)t->dims[1],
			     (unsigned long long)t->dims[2],
			     (unsigned long long)t->dims[3], cols, rows);
}

/* A tensor of the file, @rows x @cols; a vector if @rows is 1. */
static hearth_tensor weights(struct builder *b, const char *name, uint32_t rows,
			     uint32_t cols)
{
	struct hearth_err err;
	const struct gguf_tensor *t;
	char full[96];

	if (b->ret)
		return HEARTH_NO_TENSOR;
	full_name(b, name, full, sizeof(full));
	if (gguf_get_tensor(b->g, full, &t, &err)) {
		b->ret = hearth_seterr_from(&err);
		return HEARTH_NO_TENSOR;
	}
	b->ret = check_dims(b, full, t, rows, cols);
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = full,
		.type = to_type(t->type),
		.role = HEARTH_TENSOR_WEIGHTS,
		.offset = t->file_offset);
	if (rows > 1)
		o.dims[o.n_dims++] = rows;
	o.dims[o.n_dims++] = cols;
	return add(b, &o);
}

static hearth_tensor op(struct builder *b, enum hearth_op kind,
			const char *name, hearth_tensor out,
			const struct hearth_op_opts *opts, unsigned int n, ...)
{
	HEARTH_OPTS(hearth_op_opts, none);
	struct hearth_op_opts o = opts ? *opts : none;
	hearth_tensor in[4];
	char full[96];
	va_list ap;

	va_start(ap, n);
	for (unsigned int i = 0; i < n; i++)
		in[i] = va_arg(ap, hearth_tensor);
	va_end(ap);
	if (b->ret)
		return HEARTH_NO_TENSOR;
	full_name(b, name, full, sizeof(full));
	o.name = full;
	b->ret = hearth_graph_add_op(b->graph, kind, in, n, out, &o);
	return out;
}

static hearth_tensor norm(struct builder *b, const char *name, hearth_tensor x,
			  uint32_t rows)
{
	const struct llm_hparams *hp = b->hp;
	hearth_tensor out = activation(b, name, rows, hp->n_embd, 0);
	HEARTH_OPTS(hearth_op_opts, o, .eps = hp->rms_eps);

	return op(b, HEARTH_RMS_NORM, name, out, &o, 2, x,
		  weights(b, name, 1, hp->n_embd));
}

static hearth_tensor matmul(struct builder *b, const char *name, hearth_tensor x,
			    uint32_t rows, uint32_t in, uint32_t out)
{
	hearth_tensor y = activation(b, name, rows, out, 0);

	return op(b, HEARTH_MATMUL, name, y, NULL, 2, x,
		  weights(b, name, out, in));
}

/* (rows, heads * head_dim) seen as (rows, heads, head_dim) */
static hearth_tensor heads(struct builder *b, const char *name, hearth_tensor x,
			   uint32_t n)
{
	return op(b, HEARTH_RESHAPE, name,
		  activation(b, name, b->rows, n, b->hp->head_dim), NULL, 1, x);
}

static hearth_tensor rope(struct builder *b, const char *name, hearth_tensor x,
			  uint32_t n)
{
	const struct llm_hparams *hp = b->hp;
	HEARTH_OPTS(hearth_op_opts, o,
		.rope_dims = hp->n_rot,
		.rope_base = hp->rope_base,
		.rope_freq_scale = hp->rope_freq_scale);

	return op(b, HEARTH_ROPE, name,
		  activation(b, name, b->rows, n, hp->head_dim), &o, 2, x, b->pos);
}

static hearth_tensor cache(struct builder *b, const char *name, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	hearth_tensor state;
	char full[96];

	full_name(b, name, full, sizeof(full));
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = full,
		.type = b->kv_type,
		.role = HEARTH_TENSOR_STATE,
		.n_dims = 3,
		.dims = { hp->n_head_kv, b->n_ctx, hp->head_dim });
	state = add(b, &o);
	return op(b, HEARTH_KV_WRITE, name, state, NULL, 2, x, b->pos);
}

static hearth_tensor attention(struct builder *b, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	uint32_t q_n = hp->n_head * hp->head_dim;
	uint32_t kv_n = hp->n_head_kv * hp->head_dim;
	hearth_tensor q, k, v, y;

	q = matmul(b, "attn_q.weight", x, b->rows, hp->n_embd, q_n);
	k = matmul(b, "attn_k.weight", x, b->rows, hp->n_embd, kv_n);
	v = matmul(b, "attn_v.weight", x, b->rows, hp->n_embd, kv_n);
	q = rope(b, "q_rope", heads(b, "q", q, hp->n_head), hp->n_head);
	k = rope(b, "k_rope", heads(b, "k", k, hp->n_head_kv), hp->n_head_kv);
	k = cache(b, "k_cache", k);
	v = cache(b, "v_cache", heads(b, "v", v, hp->n_head_kv));
	y = activation(b, "attn", b->rows, hp->n_head, hp->head_dim);
	y = op(b, HEARTH_ATTENTION, "attn", y, NULL, 4, q, k, v, b->pos);
	y = op(b, HEARTH_RESHAPE, "attn_flat",
	       activation(b, "attn_flat", b->rows, q_n, 0), NULL, 1, y);
	return matmul(b, "attn_output.weight", y, b->rows, q_n, hp->n_embd);
}

static hearth_tensor feed_forward(struct builder *b, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	hearth_tensor gate, up, y;

	gate = matmul(b, "ffn_gate.weight", x, b->rows, hp->n_embd, hp->n_ff);
	up = matmul(b, "ffn_up.weight", x, b->rows, hp->n_embd, hp->n_ff);
	y = op(b, HEARTH_SWIGLU, "ffn_act",
	       activation(b, "ffn_act", b->rows, hp->n_ff, 0), NULL, 2, gate, up);
	return matmul(b, "ffn_down.weight", y, b->rows, hp->n_ff, hp->n_embd);
}

static hearth_tensor residual(struct builder *b, const char *name,
			      hearth_tensor x, hearth_tensor y)
{
	return op(b, HEARTH_ADD, name,
		  activation(b, name, b->rows, b->hp->n_embd, 0), NULL, 2, x, y);
}

static hearth_tensor input(struct builder *b, const char *name, uint32_t n)
{
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = name,
		.type = HEARTH_TYPE_I32,
		.role = HEARTH_TENSOR_INPUT,
		.n_dims = 1,
		.dims = { n });

	return add(b, &o);
}

/* Seldom are all rows' logits wanted: pick before the largest matmul. */
static hearth_tensor head(struct builder *b, hearth_tensor x, hearth_tensor last)
{
	const struct llm_hparams *hp = b->hp;
	const char *name = gguf_find_tensor(b->g, "output.weight") ?
			   "output.weight" : "token_embd.weight";
	hearth_tensor logits;

	x = op(b, HEARTH_GET_ROWS, "last_row",
	       activation(b, "last_row", b->n_logits, hp->n_embd, 0), NULL, 2, x,
	       last);
	x = norm(b, "output_norm.weight", x, b->n_logits);
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = "logits",
		.type = HEARTH_TYPE_F32,
		.role = HEARTH_TENSOR_OUTPUT,
		.n_dims = 2,
		.dims = { b->n_logits, hp->n_vocab });
	logits = add(b, &o);
	return op(b, HEARTH_MATMUL, name, logits, NULL, 2, x,
		  weights(b, name, hp->n_vocab, hp->n_embd));
}

static void network(struct builder *b, struct llm_step *step)
{
	const struct llm_hparams *hp = b->hp;
	hearth_tensor x;

	b->layer = -1;
	step->ids = input(b, "ids", b->rows);
	step->pos = input(b, "pos", b->rows);
	step->last = input(b, "last", b->n_logits);
	b->pos = step->pos;
	x = op(b, HEARTH_GET_ROWS, "token_embd.weight",
	       activation(b, "embd", b->rows, hp->n_embd, 0), NULL, 2,
	       weights(b, "token_embd.weight", hp->n_vocab, hp->n_embd),
	       step->ids);
	for (b->layer = 0; b->layer < (int)hp->n_layer; b->layer++) {
		x = residual(b, "attn_residual", x,
			     attention(b, norm(b, "attn_norm.weight", x,
					       b->rows)));
		x = residual(b, "ffn_residual", x,
			     feed_forward(b, norm(b, "ffn_norm.weight", x,
						  b->rows)));
	}
	b->layer = -1;
	step->logits = head(b, x, step->last);
}

int llm_build_step(const struct gguf *g, const struct llm_hparams *hp,
		   uint32_t rows, uint32_t n_logits, uint32_t n_ctx, bool kv_f32,
		   struct llm_step *step)
{
	struct builder b = {
		.g = g,
		.hp = hp,
		.rows = rows,
		.n_logits = n_logits,
		.n_ctx = n_ctx,
		.kv_type = kv_f32 ? HEARTH_TYPE_F32 : HEARTH_TYPE_F16,
	};

	b.ret = hearth_graph_create(&b.graph);
	if (b.ret)
		return b.ret;
	b.ret = hearth_graph_set_weights(b.graph, gguf_fd(g));
	network(&b, step);
	if (b.ret) {
		hearth_graph_destroy(b.graph);
		return b.ret;
	}
	step->graph = b.graph;
	return 0;
}
