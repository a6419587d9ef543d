// SPDX-License-Identifier: MIT
/*
 * ROPE and KV_SHIFT as commands.
 */
#include <errno.h>
#include <stdlib.h>

#include "graph/lower.h"
#include "runtime/error.h"

/* Row i for row i */
static int count_up(struct hg_lower *l, uint32_t rows, struct hg_ref *ref)
{
	int32_t *pos = malloc(rows * sizeof(*pos));

	if (!pos)
		return hearth_seterr(-ENOMEM, "no memory to compile the graph");
	for (uint32_t i = 0; i < rows; i++)
		pos[i] = i;
	return hg_add_const(l, pos, rows * sizeof(*pos), ref);
}

int hg_lower_rope(struct hg_lower *l)
{
	const struct hg_tensor *x = hg_lower_in(l, 0), *table = hg_lower_in(l, 1);
	struct hearth_cmd_rope cmd = {
		.rows = x->dims[0],
		.heads = x->dims[1],
		.head_dim = x->dims[2],
		.n_rot = table->dims[1],
		.n_ctx = table->dims[0],
		.mode = l->op->opts.rope_halves ? HEARTH_ROPE_HALVES : HEARTH_ROPE_PAIRS,
	};
	struct hg_ref pos = hg_ref_in(l, 2);
	int ret = 0;

	if (pos.place == HG_NONE)
		ret = count_up(l, cmd.rows, &pos);
	if (!ret && !hg_same_ref(hg_ref_in(l, 0), hg_ref_out(l)))
		ret = hg_emit_copy(l, hg_ref_in(l, 0), hg_ref_out(l), x->bytes);
	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_ROPE, cmd, HG_FIELD(cmd, x, hg_ref_out(l)),
		       HG_FIELD(cmd, pos, pos), HG_FIELD(cmd, table, hg_ref_in(l, 1)));
}

int hg_lower_kv_shift(struct hg_lower *l)
{
	const struct hg_tensor *cache = hg_lower_out(l), *table = hg_lower_in(l, 1);
	struct hearth_cmd_kv_shift_paged cmd = {
		.base = {
			.kv_heads = cache->dims[0],
			.head_dim = cache->dims[2],
			.n_ctx = cache->dims[1],
			.n_rot = table ? table->dims[1] : 0,
			.mode = table && l->op->opts.rope_halves ? HEARTH_ROPE_HALVES :
								   HEARTH_ROPE_PAIRS,
			.type = cache->type,
		},
		.pages = hg_kv_pages(l),
	};
	bool paged = l->paging.page;
	const struct hg_field fields[] = {
		HG_FIELD(cmd, base.cache, hg_ref_out(l)), HG_FIELD(cmd, base.shift, hg_ref_in(l, 0)),
		HG_FIELD(cmd, base.table, hg_ref_in(l, 1)),
	};

	return hg_emit(l, paged ? HEARTH_OP_KV_SHIFT_PAGED : HEARTH_OP_KV_SHIFT, &cmd.base.hdr,
		       paged ? sizeof(cmd) : sizeof(cmd.base), fields,
		       sizeof(fields) / sizeof(*fields));
}
