// SPDX-License-Identifier: MIT
#include <errno.h>

#include "kernels/float.h"

int hk_rope_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_rope *c = cmd;
	uint64_t n, table;

	if (hk_elements((uint32_t[]){ c->rows, c->heads, c->head_dim }, 3, &n))
		return hk_bad(fault, "rows");
	if (!c->n_rot || c->n_rot % 2 || c->n_rot > c->head_dim)
		return hk_bad(fault, "n_rot");
	if (hk_elements((uint32_t[]){ c->n_ctx, c->n_rot }, 2, &table))
		return hk_bad(fault, "n_ctx");
	if (c->mode > HEARTH_ROPE_HALVES)
		return hk_bad(fault, "mode");
	if (hk_operand(&op[0], "x", c->x, n * 4, 4, HK_READ_WRITE, fault) ||
	    hk_operand(&op[1], "pos", c->pos, c->rows * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "table", c->table, table * 4, 4, HK_READ, fault) ||
	    hk_disjoint(&op[0], &op[1], false, fault) ||
	    hk_disjoint(&op[0], &op[2], false, fault))
		return -EINVAL;
	return 3;
}

size_t hk_rope_scratch(const void *cmd, unsigned int threads)
{
	const struct hearth_cmd_rope *c = cmd;

	return c->rows * sizeof(int32_t);
}

struct job {
	const struct hearth_cmd_rope *c;
	const struct hk_float_kernels *flt;
	float *x;
	const int32_t *pos;
	const float *table;
};

static void rows(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	const struct hearth_cmd_rope *c = j->c;

	for (uint32_t r = first; r < last; r++) {
		struct hk_rope_row row = {
			.x = j->x + (uint64_t)r * c->heads * c->head_dim,
			.table = j->table + (uint64_t)j->pos[r] * c->n_rot,
			.heads = c->heads,
			.head_dim = c->head_dim,
			.n_rot = c->n_rot,
			.mode = c->mode,
		};

		j->flt->rope(&row);
	}
}

int hk_rope_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_rope *c = cmd;
	struct job j = { c, hk_flt(r), ptr[0], r->scratch, ptr[2] };
	uint32_t largest;
	int ret;

	ret = hk_check_index(ptr[1], r->scratch, c->rows, c->n_ctx, &largest, "pos",
			     r->fault);
	if (ret)
		return ret;
	hk_for_rows(r->pool, rows, &j, c->rows,
		    (uint32_t)(6144 / ((uint64_t)c->heads * c->head_dim) + 1));
	return 0;
}
