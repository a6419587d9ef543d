// SPDX-License-Identifier: MIT
/*
 * ROPE, KV_SHIFT and the tables that they read. A table takes longer to make than all
 * else in a program: it is made once for all layers, and for all programs
 * that share.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/lower.h"
#include "kernels/rope_table.h"
#include "runtime/error.h"

struct hg_rope_key {
	uint32_t bytes;
	uint32_t n_factors;
	/** p: Its pointer is NULL, for the key to compare as bytes. */
	struct hk_rope_params p;
	float factors[];
};

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

static struct hg_rope_key *make_key(const struct hg_lower *l, uint32_t n_ctx,
				    const struct hg_tensor *factors)
{
	const struct hearth_op_opts *o = &l->op->opts;
	uint32_t n = factors ? o->rope_dims / 2 : 0;
	uint32_t bytes = sizeof(struct hg_rope_key) + n * sizeof(float);
	struct hg_rope_key *key = calloc(1, bytes);

	if (!key)
		return NULL;
	key->bytes = bytes;
	key->n_factors = n;
	key->p.n_ctx = n_ctx;
	key->p.n_rot = o->rope_dims;
	key->p.freq_base = o->rope_base;
	key->p.scale = o->rope_freq_scale;
	key->p.magnitude = o->rope_magnitude;
	if (n)
		memcpy(key->factors, factors->data, n * sizeof(float));
	return key;
}

static bool same_key(const struct hg_rope_key *a, const struct hg_rope_key *b)
{
	return a && a->bytes == b->bytes && !memcmp(a, b, b->bytes);
}

static bool find_here(const struct hg_lower *l, const struct hg_rope_key *key, struct hg_ref *ref)
{
	for (uint32_t i = 0; i < l->n_consts; i++) {
		if (same_key(l->consts[i].key, key)) {
			*ref = (struct hg_ref){ .place = HG_CONST, .index = i };
			return true;
		}
	}
	return false;
}

/* Its memory outlives the program that is being made. */
static const void *find_shared(const struct hg_lower *l, const struct hg_rope_key *key)
{
	for (uint32_t i = 0; l->share && i < l->share->n_kept; i++) {
		if (same_key(l->share->kept[i].key, key))
			return l->share->kept[i].data;
	}
	return NULL;
}

static int make_table(const struct hg_lower *l, const struct hg_rope_key *key, uint64_t bytes,
		      float **out)
{
	struct hk_rope_params p = key->p;
	float *table = bytes ? malloc(bytes) : NULL;

	p.factors = key->n_factors ? key->factors : NULL;
	if (bytes && !table)
		return hearth_seterr(-ENOMEM, "no memory for a rope table of %llu bytes",
				     (unsigned long long)bytes);
	if (!table || hk_rope_table(&p, table)) {
		free(table);
		return hg_refuse(l->op, -EINVAL,
				 "no table of %u positions, rope_dims %u, rope_base %g, rope_freq_scale %g, rope_magnitude %g is possible",
				 p.n_ctx, p.n_rot, p.freq_base, p.scale, p.magnitude);
	}
	*out = table;
	return 0;
}

static int rope_table(struct hg_lower *l, uint32_t n_ctx, const struct hg_tensor *factors,
		      struct hg_ref *ref)
{
	struct hg_rope_key *key = make_key(l, n_ctx, factors);
	struct hg_const c = { .key = key };
	float *table = NULL;
	int ret = 0;

	if (!key)
		return hearth_seterr(-ENOMEM, "no memory to compile the graph");
	if (find_here(l, key, ref)) {
		free(key);
		return 0;
	}
	c.bytes = hk_rope_table_bytes(&key->p);
	c.data = find_shared(l, key);
	if (!c.data) {
		ret = make_table(l, key, c.bytes, &table);
		c.data = c.owned = table;
	}
	if (ret) {
		free(key);
		return ret;
	}
	return hg_put_const(l, &c, ref);
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
	ret = rope_table(l, cmd.n_ctx, hg_lower_in(l, 2), &table);
	if (!ret && !hg_same_ref(hg_ref_in(l, 0), hg_ref_out(l)))
		ret = hg_emit_copy(l, hg_ref_in(l, 0), hg_ref_out(l), x->bytes);
	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_ROPE, cmd, HG_FIELD(cmd, x, hg_ref_out(l)),
		       HG_FIELD(cmd, pos, hg_ref_in(l, 1)), HG_FIELD(cmd, table, table));
}

int hg_lower_kv_shift(struct hg_lower *l)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *cache = hg_lower_out(l);
	struct hearth_cmd_kv_shift_paged cmd = {
		.base = {
			.kv_heads = cache->dims[0],
			.head_dim = cache->dims[2],
			.n_ctx = cache->dims[1],
			.type = cache->type,
		},
		.pages = hg_kv_pages(l),
	};
	bool paged = l->paging.page;
	struct hg_field fields[] = {
		HG_FIELD(cmd, base.cache, hg_ref_out(l)), HG_FIELD(cmd, base.shift, hg_ref_in(l, 0)),
		HG_FIELD(cmd, base.table, HG_NO_REF),
	};

	if (o->rope_base > 0) {
		int ret = rope_table(l, cmd.base.n_ctx, hg_lower_in(l, 1), &fields[2].ref);

		if (ret)
			return ret;
		cmd.base.n_rot = o->rope_dims;
		cmd.base.mode = o->rope_halves ? HEARTH_ROPE_HALVES : HEARTH_ROPE_PAIRS;
	}
	return hg_emit(l, paged ? HEARTH_OP_KV_SHIFT_PAGED : HEARTH_OP_KV_SHIFT, &cmd.base.hdr,
		       paged ? sizeof(cmd) : sizeof(cmd.base), fields,
		       sizeof(fields) / sizeof(*fields));
}
