// SPDX-License-Identifier: MIT
#include <errno.h>

#include "kernels/float.h"

int hk_get_rows_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_get_rows *c = cmd;
	uint64_t table, out, row;

	if (c->reserved[0] || c->reserved[1] || c->reserved[2])
		return hk_bad(fault, "reserved");
	if (!hk_type_has_rows(c->type))
		return hk_bad(fault, "type");
	if (hk_elements((uint32_t[]){ c->rows, c->cols }, 2, &table))
		return hk_bad(fault, "rows");
	if (hk_elements((uint32_t[]){ c->n, c->cols }, 2, &out))
		return hk_bad(fault, "n");
	row = hk_row_bytes(c->type, c->cols);
	if (!row)
		return hk_bad(fault, "cols");
	if (hk_operand(&op[0], "table", c->table, c->rows * row,
		       c->type == HEARTH_TYPE_F32 ? 4 : 2, HK_READ, fault) ||
	    hk_operand(&op[1], "ids", c->ids, c->n * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", c->dst, out * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], false, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

/* Maps the rows that are read and nothing else of the table. */
static int copy_rows(const struct hearth_cmd_get_rows *c, const int32_t *ids, float *dst,
		     struct hk_space *space, struct hk_run *r)
{
	uint64_t bytes = hk_row_bytes(c->type, c->cols);
	struct hk_operand row = { .bytes = bytes, .access = HK_READ };
	struct hk_map map;

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t id = (uint32_t)__atomic_load_n(&ids[i], __ATOMIC_RELAXED);
		int ret;

		if (id >= c->rows)
			return hk_bad(r->fault, "ids");
		row.va = c->table + id * bytes;
		ret = hk_map(space, &map, &row, r->fault);
		if (ret)
			return ret;
		hk_flt(r)->get_row(dst + (uint64_t)i * c->cols, map.ptr, c->type, c->cols);
		ret = hk_unmap(space, &map, 0, r->fault);
		if (ret)
			return ret;
	}
	return 0;
}

int hk_get_rows_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_get_rows *c = cmd;
	struct hk_operand ids = { c->ids, c->n * 4ull, HK_READ, "ids" };
	struct hk_operand dst = { c->dst, (uint64_t)c->n * c->cols * 4, HK_WRITE, "dst" };
	struct hk_map ids_map, dst_map;
	int ret;

	ret = hk_map(space, &ids_map, &ids, r->fault);
	if (ret)
		return ret;
	ret = hk_map(space, &dst_map, &dst, r->fault);
	if (!ret) {
		ret = copy_rows(c, ids_map.ptr, dst_map.ptr, space, r);
		ret = hk_unmap(space, &dst_map, ret, r->fault);
	}
	return hk_unmap(space, &ids_map, ret, r->fault);
}
