// SPDX-License-Identifier: MIT
/*
 * The ops of transformers as commands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/lower.h"
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

int hg_lower_kv_write(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *cache = hg_lower_out(l);
	struct hearth_cmd_kv_write_paged cmd = {
		.base = {
			.rows = src->dims[0],
			.kv_heads = src->dims[1],
			.head_dim = src->dims[2],
			.n_ctx = cache->dims[1],
			.type = cache->type,
		},
		.pages = hg_kv_pages(l),
	};
	const struct hg_field fields[] = {
		HG_FIELD(cmd, base.src, hg_ref_in(l, 0)), HG_FIELD(cmd, base.pos, hg_ref_in(l, 1)),
		HG_FIELD(cmd, base.cache, hg_ref_out(l)),
	};
	unsigned int op = l->paging.page ? HEARTH_OP_KV_WRITE_PAGED :
			  cache->type == HEARTH_TYPE_Q8_0 ? HEARTH_OP_KV_WRITE_Q :
							    HEARTH_OP_KV_WRITE;

	return hg_emit(l, op, &cmd.base.hdr, l->paging.page ? sizeof(cmd) : sizeof(cmd.base),
		       fields, sizeof(fields) / sizeof(*fields));
}

/* The shortest command that says all: more devices know it. */
static int emit_attention(struct hg_lower *l, struct hearth_cmd_attention_paged *cmd,
			  const struct hg_field *fields, unsigned int n)
{
	const struct hearth_cmd_attention_2 *c = &cmd->base;
	struct hearth_cmd_header *hdr = &cmd->base.base.hdr;

	if (l->paging.page)
		return hg_emit(l, HEARTH_OP_ATTENTION_PAGED, hdr, sizeof(*cmd), fields, n);
	if (c->window || c->softcap || c->base.type == HEARTH_TYPE_Q8_0)
		return hg_emit(l, HEARTH_OP_ATTENTION_2, hdr, sizeof(*c), fields, n);
	return hg_emit(l, HEARTH_OP_ATTENTION, hdr, sizeof(c->base), fields, n);
}

int hg_lower_attention(struct hg_lower *l)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *q = hg_lower_in(l, 0), *k = hg_lower_in(l, 1);
	struct hearth_cmd_attention_paged cmd = {
		.base.base = {
			.rows = q->dims[0],
			.heads = q->dims[1],
			.kv_heads = k->dims[0],
			.head_dim = q->dims[2],
			.n_ctx = k->dims[1],
			.scale = bits(o->scale),
			.type = k->type,
		},
		/* one that the cache cannot fill is none */
		.base.window = o->window < k->dims[1] ? o->window : 0,
		.base.softcap = o->softcap > 0 ? bits(o->softcap) : 0,
		.pages = hg_kv_pages(l),
	};
	const struct hg_field fields[] = {
		HG_FIELD(cmd, base.base.q, hg_ref_in(l, 0)),
		HG_FIELD(cmd, base.base.k, hg_ref_in(l, 1)),
		HG_FIELD(cmd, base.base.v, hg_ref_in(l, 2)),
		HG_FIELD(cmd, base.base.pos, hg_ref_in(l, 3)),
		HG_FIELD(cmd, base.base.dst, hg_ref_out(l)),
	};

	return emit_attention(l, &cmd, fields, sizeof(fields) / sizeof(*fields));
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

int hg_lower_glu(struct hg_lower *l)
{
	bool gelu = l->op->kind == HEARTH_GEGLU;
	struct hearth_cmd_glu cmd = {
		.n = hg_lower_out(l)->elements,
		.mode = gelu ? HEARTH_GLU_GELU : HEARTH_GLU_SILU,
	};
	int ret = check_elements(l, hg_lower_out(l));

	if (ret)
		return ret;
	return HG_EMIT(l, gelu ? HEARTH_OP_GEGLU : HEARTH_OP_GLU, cmd,
		       HG_FIELD(cmd, gate, hg_ref_in(l, 0)), HG_FIELD(cmd, up, hg_ref_in(l, 1)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_softcap(struct hg_lower *l)
{
	struct hearth_cmd_softcap cmd = {
		.n = hg_lower_out(l)->elements,
		.cap = bits(l->op->opts.softcap),
	};
	int ret = check_elements(l, hg_lower_out(l));

	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_SOFTCAP, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
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
