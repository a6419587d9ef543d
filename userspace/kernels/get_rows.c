// SPDX-License-Identifier: MIT
#include <errno.h>

#include "kernels/float.h"
#include "kernels/r8.h"

int hk_get_rows_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_get_rows *c = cmd;
	uint64_t table, out, row;

	if (c->reserved[0] || c->reserved[1] || c->reserved[2])
		return hk_bad(fault, "reserved");
	if (!hk_type_is_weights(c->type))
		return hk_bad(fault, "type");
	if (hk_elements((uint32_t[]){ c->rows, c->cols }, 2, &table) ||
	    c->rows % hk_group_rows(c->type))
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

/* Decodes the row of @id from its group, or from where it lies by itself. */
static void get_row(const struct hearth_cmd_get_rows *c, const struct hk_float_kernels *flt,
		    const uint8_t *group, uint32_t id, float *dst)
{
	const struct hk_type *t = hk_type(c->type);
	uint8_t block[HK_R8_MAX_BYTES];

	if (!t->r8) {
		flt->get_row(dst, group, c->type, c->cols);
		return;
	}
	for (uint32_t k = 0; k < c->cols; k += t->elements, group += HK_R8_ROWS * t->bytes) {
		hk_r8_unpack(c->type, group, id % HK_R8_ROWS, block);
		flt->get_row(dst + k, block, t->r8, t->elements);
	}
}

/* Maps the rows that are read, with those of their groups, and nothing else of the table. */
static int copy_rows(const struct hearth_cmd_get_rows *c, const int32_t *ids, float *dst,
		     struct hk_space *space, struct hk_run *r)
{
	uint32_t rows = hk_group_rows(c->type);
	struct hk_operand group = {
		.bytes = rows * hk_row_bytes(c->type, c->cols), .access = HK_READ
	};
	struct hk_map map;

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t id = (uint32_t)__atomic_load_n(&ids[i], __ATOMIC_RELAXED);
		int ret;

		if (id >= c->rows)
			return hk_bad(r->fault, "ids");
		group.va = c->table + id / rows * group.bytes;
		ret = hk_map(space, &map, &group, r->fault);
		if (ret)
			return ret;
		get_row(c, hk_flt(r), map.ptr, id, dst + (uint64_t)i * c->cols);
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
