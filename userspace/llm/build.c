// SPDX-License-Identifier: MIT
/*
 * A block as a graph:
 *
 *	h = x + wo * attention(rope(wq * norm(x)), cache)
 *	x = h + down * (silu(gate * norm(h)) * (up * norm(h)))
 *
 * and what families do differently: biases, tensors that hold several,
 * norms of heads and of results, gelu, caps, windows.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
	uint32_t turn_rows;	/* of the tables of rope */
	hearth_tensor *turns;	/* those, made when a layer reads them */
	int layer;	/* -1 outside of the blocks */
	bool *used;	/* by tensor of the file */
	int ret;
};

static int to_type(uint32_t gguf_type)
{
	static const struct {
		uint32_t from, to;
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
		{ GGUF_TYPE_Q4_0_R8, HEARTH_TYPE_Q4_0_R8 },
		{ GGUF_TYPE_Q8_0_R8, HEARTH_TYPE_Q8_0_R8 },
		{ GGUF_TYPE_Q4_K_R8, HEARTH_TYPE_Q4_K_R8 },
		{ GGUF_TYPE_Q5_K_R8, HEARTH_TYPE_Q5_K_R8 },
		{ GGUF_TYPE_Q6_K_R8, HEARTH_TYPE_Q6_K_R8 },
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

static int check_dims(const char *name, const struct gguf_tensor *t, uint32_t rows,
		      uint32_t cols)
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

/* Is there such a tensor in this layer? */
static bool has(const struct builder *b, const char *name)
{
	char full[96];

	full_name(b, name, full, sizeof(full));
	return gguf_find_tensor(b->g, full);
}

/* A tensor of the file, checked; NULL after a failure. */
static const struct gguf_tensor *find(struct builder *b, const char *name, uint32_t rows,
				      uint32_t cols)
{
	struct hearth_err err;
	const struct gguf_tensor *t;
	char full[96];

	if (b->ret)
		return NULL;
	full_name(b, name, full, sizeof(full));
	if (gguf_get_tensor(b->g, full, &t, &err)) {
		b->ret = hearth_seterr_from(&err);
		return NULL;
	}
	b->used[t - gguf_tensor_at(b->g, 0)] = true;
	b->ret = check_dims(full, t, rows, cols);
	return b->ret ? NULL : t;
}

/* Rows of a tensor of the file that has @all of them. */
struct slice {
	uint32_t first, n, all;
};

/* Rows that stand in groups are read by whole groups. */
static int check_groups(const char *name, const struct gguf_tensor *t, struct slice s)
{
	uint32_t group = t->info->group_rows;

	if (!group || !(s.first % group || s.n % group))
		return 0;
	return hearth_seterr(-EOPNOTSUPP,
			     "tensor '%s' of type %s: %u rows from row %u on are used, which cuts a group of %u",
			     name, t->info->name, s.n, s.first, group);
}

/* Used where they lie, also if the tensor holds others beside them. */
static hearth_tensor sliced(struct builder *b, const char *name, struct slice s, uint32_t cols)
{
	/* a vector is one row: its elements are what is sliced */
	bool vector = !cols;
	const struct gguf_tensor *t = vector ? find(b, name, 1, s.all) :
					       find(b, name, s.all, cols);
	char full[96];

	if (!t)
		return HEARTH_NO_TENSOR;
	full_name(b, name, full, sizeof(full));
	b->ret = check_groups(full, t, s);
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = full,
		.type = to_type(t->type),
		.role = HEARTH_TENSOR_WEIGHTS,
		.offset = t->file_offset + (vector ? t->row_bytes / s.all : t->row_bytes) *
					   (uint64_t)s.first);
	if (vector && t->type != GGUF_TYPE_F32) {
		b->ret = hearth_seterr(-EOPNOTSUPP, "tensor '%s' is a vector of type %s: f32 is supported",
				       full, t->info->name);
		return HEARTH_NO_TENSOR;
	}
	o.dims[o.n_dims++] = s.n;
	if (!vector)
		o.dims[o.n_dims++] = cols;
	return add(b, &o);
}

static hearth_tensor weights(struct builder *b, const char *name, uint32_t rows,
			     uint32_t cols)
{
	return sliced(b, name, (struct slice){ 0, rows, rows }, cols);
}

static hearth_tensor vector(struct builder *b, const char *name, uint32_t n)
{
	return sliced(b, name, (struct slice){ 0, n, n }, 0);
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

	return op(b, HEARTH_RMS_NORM, name, out, &o, 2, x, vector(b, name, hp->n_embd));
}

/* "attn_q.weight" to "attn_q.bias" */
static void bias_name(const char *weight, char *buf, size_t size)
{
	int n = (int)(strlen(weight) - strlen("weight"));

	snprintf(buf, size, "%.*sbias", n, weight);
}

/* Some rows of a tensor, and of its bias if there is one. */
static hearth_tensor part_matmul(struct builder *b, const char *name, const char *out_name,
				 hearth_tensor x, uint32_t rows, uint32_t in, struct slice s)
{
	hearth_tensor y = activation(b, out_name, rows, s.n, 0);
	char bias[64];

	y = op(b, HEARTH_MATMUL, out_name, y, NULL, 2, x, sliced(b, name, s, in));
	bias_name(name, bias, sizeof(bias));
	if (!has(b, bias))
		return y;
	return op(b, HEARTH_ADD, bias, activation(b, bias, rows, s.n, 0), NULL, 2, y,
		  sliced(b, bias, s, 0));
}

static hearth_tensor matmul(struct builder *b, const char *name, hearth_tensor x,
			    uint32_t rows, uint32_t in, uint32_t out)
{
	return part_matmul(b, name, name, x, rows, in, (struct slice){ 0, out, out });
}

/* (rows, heads * head_dim) seen as (rows, heads, head_dim) */
static hearth_tensor heads(struct builder *b, const char *name, hearth_tensor x,
			   uint32_t n)
{
	return op(b, HEARTH_RESHAPE, name,
		  activation(b, name, b->rows, n, b->hp->head_dim), NULL, 1, x);
}

static hearth_tensor head_norm(struct builder *b, const char *name, hearth_tensor x,
			       uint32_t n)
{
	const struct llm_hparams *hp = b->hp;
	HEARTH_OPTS(hearth_op_opts, o, .eps = hp->rms_eps);

	if (!(hp->features & LLM_QK_NORM))
		return x;
	return op(b, HEARTH_RMS_NORM, name, activation(b, name, b->rows, n, hp->head_dim), &o, 2,
		  x, vector(b, name, hp->head_dim));
}

static bool is_local(const struct builder *b)
{
	return llm_is_local(b->hp, (uint32_t)b->layer);
}

/* How this layer's heads turn. */
static hearth_tensor turns(struct builder *b)
{
	unsigned int i = llm_rope_of(b->hp, (uint32_t)b->layer);
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = i ? "turns_local" : "turns",
		.type = HEARTH_TYPE_F32,
		.role = HEARTH_TENSOR_INPUT,
		.n_dims = 2,
		.dims = { b->turn_rows, b->hp->n_rot });

	if (b->turns[i] == HEARTH_NO_TENSOR)
		b->turns[i] = add(b, &o);
	return b->turns[i];
}

static struct hearth_op_opts rope_opts(const struct builder *b)
{
	HEARTH_OPTS(hearth_op_opts, o, .rope_halves = !!(b->hp->features & LLM_ROPE_HALVES));

	return o;
}

static hearth_tensor rope(struct builder *b, const char *name, hearth_tensor x,
			  uint32_t n)
{
	struct hearth_op_opts o = rope_opts(b);

	return op(b, HEARTH_ROPE, name,
		  activation(b, name, b->rows, n, b->hp->head_dim), &o, 2, x, turns(b));
}

static hearth_tensor state(struct builder *b, const char *name)
{
	const struct llm_hparams *hp = b->hp;
	char full[96];

	full_name(b, name, full, sizeof(full));
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = full,
		.type = b->kv_type,
		.role = HEARTH_TENSOR_STATE,
		.n_dims = 3,
		.dims = { hp->n_head_kv, b->n_ctx, hp->head_dim });
	return add(b, &o);
}

static hearth_tensor cache(struct builder *b, const char *name, hearth_tensor x)
{
	return op(b, HEARTH_KV_WRITE, name, state(b, name), NULL, 2, x, b->pos);
}

struct qkv {
	hearth_tensor q, k, v;
};

/* From one tensor that holds all, or from three. */
static struct qkv project(struct builder *b, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	uint32_t q = hp->n_head * hp->head_dim, kv = hp->n_head_kv * hp->head_dim;
	uint32_t all = q + 2 * kv, rows = b->rows, in = hp->n_embd;
	const char *name = "attn_qkv.weight";
	struct qkv p;

	if (!has(b, name)) {
		p.q = matmul(b, "attn_q.weight", x, rows, in, q);
		p.k = matmul(b, "attn_k.weight", x, rows, in, kv);
		p.v = matmul(b, "attn_v.weight", x, rows, in, kv);
		return p;
	}
	p.q = part_matmul(b, name, "attn_q", x, rows, in, (struct slice){ 0, q, all });
	p.k = part_matmul(b, name, "attn_k", x, rows, in, (struct slice){ q, kv, all });
	p.v = part_matmul(b, name, "attn_v", x, rows, in, (struct slice){ q + kv, kv, all });
	return p;
}

static hearth_tensor attention(struct builder *b, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	uint32_t n_q = hp->n_head, n_kv = hp->n_head_kv, flat = n_q * hp->head_dim;
	struct qkv p = project(b, x);
	HEARTH_OPTS(hearth_op_opts, o,
		.scale = hp->attn_scale,
		.window = is_local(b) ? hp->window : 0,
		.softcap = hp->attn_cap);
	hearth_tensor q, k, v, y;

	q = head_norm(b, "attn_q_norm.weight", heads(b, "q", p.q, n_q), n_q);
	k = head_norm(b, "attn_k_norm.weight", heads(b, "k", p.k, n_kv), n_kv);
	q = rope(b, "q_rope", q, n_q);
	k = cache(b, "k_cache", rope(b, "k_rope", k, n_kv));
	v = cache(b, "v_cache", heads(b, "v", p.v, n_kv));
	y = activation(b, "attn", b->rows, n_q, hp->head_dim);
	y = op(b, HEARTH_ATTENTION, "attn", y, &o, 4, q, k, v, b->pos);
	y = op(b, HEARTH_RESHAPE, "attn_flat",
	       activation(b, "attn_flat", b->rows, flat, 0), NULL, 1, y);
	y = matmul(b, "attn_output.weight", y, b->rows, flat, hp->n_embd);
	return hp->features & LLM_POST_NORM ?
	       norm(b, "post_attention_norm.weight", y, b->rows) : y;
}

static hearth_tensor feed_forward(struct builder *b, hearth_tensor x)
{
	const struct llm_hparams *hp = b->hp;
	uint32_t n = hp->n_ff, rows = b->rows, in = hp->n_embd;
	const char *up_name = "ffn_up.weight";
	hearth_tensor gate, up, y;

	if (has(b, "ffn_gate.weight")) {
		gate = matmul(b, "ffn_gate.weight", x, rows, in, n);
		up = matmul(b, up_name, x, rows, in, n);
	} else {	/* one tensor holds both, the gate first */
		gate = part_matmul(b, up_name, "ffn_gate", x, rows, in,
				   (struct slice){ 0, n, 2 * n });
		up = part_matmul(b, up_name, "ffn_up", x, rows, in, (struct slice){ n, n, 2 * n });
	}
	y = op(b, hp->features & LLM_GELU ? HEARTH_GEGLU : HEARTH_SWIGLU, "ffn_act",
	       activation(b, "ffn_act", rows, n, 0), NULL, 2, gate, up);
	y = matmul(b, "ffn_down.weight", y, rows, n, in);
	return hp->features & LLM_POST_NORM ? norm(b, "post_ffw_norm.weight", y, rows) : y;
}

static hearth_tensor residual(struct builder *b, const char *name,
			      hearth_tensor x, hearth_tensor y)
{
	return op(b, HEARTH_ADD, name,
		  activation(b, name, b->rows, b->hp->n_embd, 0), NULL, 2, x, y);
}

/* A constant in memory that outlives the graph's compilation. */
static hearth_tensor constant(struct builder *b, const char *name, uint32_t n,
			      const void *data)
{
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = name,
		.type = HEARTH_TYPE_F32,
		.role = HEARTH_TENSOR_CONSTANT,
		.n_dims = 1,
		.dims = { n },
		.data = data);

	return add(b, &o);
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
	HEARTH_OPTS(hearth_op_opts, cap, .softcap = hp->logit_cap);
	hearth_tensor logits, raw;

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
	raw = hp->logit_cap > 0 ? activation(b, name, b->n_logits, hp->n_vocab, 0) : logits;
	raw = op(b, HEARTH_MATMUL, name, raw, NULL, 2, x,
		 weights(b, name, hp->n_vocab, hp->n_embd));
	return hp->logit_cap > 0 ? op(b, HEARTH_SOFTCAP, "logits", logits, &cap, 1, raw) : raw;
}

static hearth_tensor embed(struct builder *b, hearth_tensor ids)
{
	const struct llm_hparams *hp = b->hp;
	hearth_tensor x = op(b, HEARTH_GET_ROWS, "token_embd.weight",
			     activation(b, "embd", b->rows, hp->n_embd, 0), NULL, 2,
			     weights(b, "token_embd.weight", hp->n_vocab, hp->n_embd), ids);

	if (hp->embd_scale == 1.0f)
		return x;
	return op(b, HEARTH_MUL, "embd_scale",
		  activation(b, "embd_scaled", b->rows, hp->n_embd, 0), NULL, 2, x,
		  constant(b, "embd_scale", 1, &hp->embd_scale));
}

int llm_rope_factors(const struct gguf *g, const struct llm_hparams *hp, uint32_t n_ctx,
		     const struct gguf_tensor **factors)
{
	const char *name = !(hp->features & LLM_LONG_ROPE) ? "rope_freqs.weight" :
			   n_ctx > hp->n_ctx_short ? "rope_factors_long.weight" :
						     "rope_factors_short.weight";
	const struct gguf_tensor *t = gguf_find_tensor(g, name);

	*factors = t;
	if (t && t->type != GGUF_TYPE_F32)
		return hearth_seterr(-EOPNOTSUPP, "tensor '%s' is of type %s: f32 is supported",
				     name, t->info->name);
	return t ? check_dims(name, t, 1, hp->n_rot / 2) : 0;
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
	x = embed(b, step->ids);
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

/* Of two sets of factors one stays unused; of old files the table of angles. */
static bool may_be_unused(struct gguf_str name)
{
	static const char *const ends[] = { "rope_factors_long.weight", "rope_factors_short.weight",
					    ".attn_rot_embd", ".attn_rot_embd.weight",
					    ".attn.rot_embd.weight" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t n = strlen(ends[i]);

		if (name.len >= n && !memcmp(name.ptr + name.len - n, ends[i], n))
			return true;
	}
	return false;
}

/* A tensor that no op reads would change the answers: of who knows what it is for. */
static int check_unused(const struct builder *b)
{
	for (uint64_t i = 0; i < gguf_n_tensors(b->g); i++) {
		struct gguf_str name = gguf_tensor_at(b->g, i)->name;

		if (!b->used[i] && !may_be_unused(name))
			return hearth_seterr(-EOPNOTSUPP,
					     "tensor '%.*s' is not supported in architecture '%s'",
					     (int)name.len, name.ptr, b->hp->arch);
	}
	return 0;
}

static int start(struct builder *b, const struct gguf *g, const struct llm_hparams *hp,
		 uint32_t n_ctx, unsigned int kv_type)
{
	const struct gguf_tensor *factors;

	b->g = g;
	b->hp = hp;
	b->n_ctx = n_ctx;
	b->kv_type = kv_type;
	b->used = calloc(gguf_n_tensors(g) + 1, sizeof(*b->used));
	if (!b->used)
		return hearth_seterr(-ENOMEM, "no memory for a graph");
	b->ret = hearth_graph_create(&b->graph);
	if (!b->ret)
		b->ret = hearth_graph_set_weights(b->graph, gguf_fd(g));
	if (!b->ret)
		b->ret = llm_rope_factors(g, hp, n_ctx, &factors);
	if (!b->ret && factors)
		b->used[factors - gguf_tensor_at(g, 0)] = true;
	for (unsigned int i = 0; i < LLM_ROPES; i++)
		b->turns[i] = HEARTH_NO_TENSOR;
	return b->ret;
}

/* The graph, or the first error. */
static int finish(struct builder *b, struct hearth_graph **graph)
{
	free(b->used);
	if (b->ret) {
		hearth_graph_destroy(b->graph);
		return b->ret;
	}
	*graph = b->graph;
	return 0;
}

int llm_build_step(const struct gguf *g, const struct llm_hparams *hp,
		   uint32_t rows, uint32_t n_logits, uint32_t n_ctx,
		   unsigned int kv_type, struct llm_step *step)
{
	struct builder b = { .rows = rows, .n_logits = n_logits, .turn_rows = rows,
			     .turns = step->turns };

	if (!start(&b, g, hp, n_ctx, kv_type)) {
		network(&b, step);
		if (!b.ret)
			b.ret = check_unused(&b);
	}
	return finish(&b, &step->graph);
}

int llm_build_shift(const struct gguf *g, const struct llm_hparams *hp, uint32_t n_ctx,
		    unsigned int kv_type, struct llm_shift *shift)
{
	struct builder b = { .layer = -1, .turn_rows = n_ctx, .turns = shift->turns };

	if (start(&b, g, hp, n_ctx, kv_type))
		return finish(&b, &shift->graph);
	shift->shift = input(&b, "shift", 3);
	for (b.layer = 0; b.layer < (int)hp->n_layer; b.layer++) {
		struct hearth_op_opts o = rope_opts(&b);

		op(&b, HEARTH_KV_SHIFT, "k_cache", state(&b, "k_cache"), &o, 2, shift->shift,
		   turns(&b));
		op(&b, HEARTH_KV_SHIFT, "v_cache", state(&b, "v_cache"), NULL, 1, shift->shift);
	}
	return finish(&b, &shift->graph);
}
