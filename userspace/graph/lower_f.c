// SPDX-License-Identifier: MIT
/*
 * The ops of transformers as commands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/lower.h"
#include "kernels/rope_table.h"
#include "runtime/error.h"

static uint32_t bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

/* Elementwise work on @t in one command */
static int check_elements(const struct hg_lower *l, const struct hg_tensor *t)
{
	if (t->elements <= HEARTH_CMD_MAX_DIM)
		return 0;
	return hg_refuse(l->op, -EINVAL, "'%s' has %llu elements: at most %u", t->name,
			 (unsigned long long)t->elements, HEARTH_CMD_MAX_DIM);
}

int hg_lower_get_rows(struct hg_lower *l)
{
	const struct hg_tensor *table = hg_lower_in(l, 0);
	struct hearth_cmd_get_rows cmd = {
		.rows = table->dims[0],
		.cols = table->dims[1],
		.n = hg_lower_in(l, 1)->elements,
		.type = table->type,
	};

	return HG_EMIT(l, HEARTH_OP_GET_ROWS, cmd, HG_FIELD(cmd, table, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, ids, hg_ref_in(l, 1)), HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_matmul(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *w = hg_lower_in(l, 1);
	struct hearth_cmd_matmul cmd = {
		.rows = src->dims[0],
		.in_n = w->dims[1],
		.out_n = w->dims[0],
		.type = w->type,
	};

	return HG_EMIT(l, HEARTH_OP_MATMUL, cmd, HG_FIELD(cmd, weights, hg_ref_in(l, 1)),
		       HG_FIELD(cmd, src, hg_ref_in(l, 0)), HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_rms_norm(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0);
	struct hearth_cmd_rms_norm cmd = {
		.rows = src->elements / hg_last_dim(src),
		.n = hg_last_dim(src),
		.eps = bits(l->op->opts.eps),
	};

	return HG_EMIT(l, HEARTH_OP_RMS_NORM, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, weights, hg_ref_in(l, 1)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

/* Positions that @pos can name: those of the caches that it goes to. */
static uint32_t context_of(const struct hearth_graph *g, hearth_tensor pos)
{
	uint32_t n_ctx = 0;

	for (uint32_t i = 0; i < g->n_ops; i++) {
		const struct hg_op *op = &g->ops[i];

		if (op->kind == HEARTH_KV_WRITE && op->in[1] == pos &&
		    g->tensors[op->out].dims[1] > n_ctx)
			n_ctx = g->tensors[op->out].dims[1];
	}
	return n_ctx;
}

static int rope_table(struct hg_lower *l, uint32_t n_ctx, struct hg_ref *ref)
{
	const struct hearth_op_opts *o = &l->op->opts;
	struct hk_rope_params p = {
		.n_ctx = n_ctx,
		.n_rot = o->rope_dims,
		.freq_base = o->rope_base,
		.scale = o->rope_freq_scale,
	};
	uint64_t bytes = hk_rope_table_bytes(&p);
	float *table = bytes ? malloc(bytes) : NULL;

	if (bytes && !table)
		return hearth_seterr(-ENOMEM, "no memory for a rope table of %llu bytes",
				     (unsigned long long)bytes);
	if (!bytes || hk_rope_table(&p, table)) {
		free(table);
		return hg_refuse(l->op, -EINVAL,
				 "no table of %u positions, rope_dims %u, rope_base %g, rope_freq_scale %g is possible",
				 n_ctx, o->rope_dims, (double)o->rope_base,
				 (double)o->rope_freq_scale);
	}
	return hg_add_const(l, table, bytes, ref);
}

int hg_lower_rope(struct hg_lower *l)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *x = hg_lower_in(l, 0);
	struct hearth_cmd_rope cmd = {
		.rows = x->dims[0],
		.heads = x->dims[1],
		.head_dim = x->dims[2],
		.n_rot = o->rope_dims,
		.n_ctx = o->rope_ctx ? o->rope_ctx : context_of(l->g, l->op->in[1]),
		.mode = o->rope_halves ? HEARTH_ROPE_HALVES : HEARTH_ROPE_PAIRS,
	};
	struct hg_ref table;
	int ret;

	if (!cmd.n_ctx)
		return hg_refuse(l->op, -EINVAL,
				 "rope_ctx is 0, and the positions '%s' go to no cache that would tell",
				 hg_lower_in(l, 1)->name);
	ret = rope_table(l, cmd.n_ctx, &table);
	if (!ret && !hg_same_ref(hg_ref_in(l, 0), hg_ref_out(l)))
		ret = hg_emit_copy(l, hg_ref_in(l, 0), hg_ref_out(l), x->bytes);
	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_ROPE, cmd, HG_FIELD(cmd, x, hg_ref_out(l)),
		       HG_FIELD(cmd, pos, hg_ref_in(l, 1)), HG_FIELD(cmd, table, table));
}

int hg_lower_kv_write(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *cache = hg_lower_out(l);
	struct hearth_cmd_kv_write cmd = {
		.rows = src->dims[0],
		.kv_heads = src->dims[1],
		.head_dim = src->dims[2],
		.n_ctx = cache->dims[1],
		.type = cache->type,
	};

	return HG_EMIT(l, HEARTH_OP_KV_WRITE, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, pos, hg_ref_in(l, 1)), HG_FIELD(cmd, cache, hg_ref_out(l)));
}

int hg_lower_attention(struct hg_lower *l)
{
	const struct hg_tensor *q = hg_lower_in(l, 0), *k = hg_lower_in(l, 1);
	struct hearth_cmd_attention cmd = {
		.rows = q->dims[0],
		.heads = q->dims[1],
		.kv_heads = k->dims[0],
		.head_dim = q->dims[2],
		.n_ctx = k->dims[1],
		.scale = bits(l->op->opts.scale),
		.type = k->type,
	};

	return HG_EMIT(l, HEARTH_OP_ATTENTION, cmd, HG_FIELD(cmd, q, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, k, hg_ref_in(l, 1)), HG_FIELD(cmd, v, hg_ref_in(l, 2)),
		       HG_FIELD(cmd, pos, hg_ref_in(l, 3)), HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_binary(struct hg_lower *l)
{
	unsigned int ai = hg_lower_in(l, 0)->elements < hg_lower_in(l, 1)->elements;
	const struct hg_tensor *a = hg_lower_in(l, ai), *b = hg_lower_in(l, !ai);
	struct hearth_cmd_binary cmd = { .n = a->elements, .b_n = b->elements };
	int ret = check_elements(l, a);

	if (ret)
		return ret;
	return HG_EMIT(l, l->op->kind == HEARTH_ADD ? HEARTH_OP_ADD : HEARTH_OP_MUL, cmd,
		       HG_FIELD(cmd, a, hg_ref_in(l, ai)), HG_FIELD(cmd, b, hg_ref_in(l, !ai)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_swiglu(struct hg_lower *l)
{
	struct hearth_cmd_glu cmd = {
		.n = hg_lower_out(l)->elements,
		.mode = HEARTH_GLU_SILU,
	};
	int ret = check_elements(l, hg_lower_out(l));

	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_GLU, cmd, HG_FIELD(cmd, gate, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, up, hg_ref_in(l, 1)), HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_argmax(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0);
	struct hearth_cmd_argmax cmd = {
		.rows = src->elements / hg_last_dim(src),
		.n = hg_last_dim(src),
	};

	return HG_EMIT(l, HEARTH_OP_ARGMAX, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}
