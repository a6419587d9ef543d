// SPDX-License-Identifier: MIT
/*
 * MATMUL: the input is quantized (block types) in passes of some rows, then
 * the weights stream by, in tiles of output rows spread over the pool.
 */
#include <errno.h>

#include "kernels/float.h"

/* Bounds the quantized input of a pass, whatever the command says. */
#define PASS_BYTES	(16u << 20)

int hk_matmul_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_matmul *c = cmd;
	uint64_t weights, src, dst, row;

	if (c->reserved[0] || c->reserved[1] || c->reserved[2])
		return hk_bad(fault, "reserved");
	if (!hk_type_is_weights(c->type))
		return hk_bad(fault, "type");
	if (hk_elements((uint32_t[]){ c->out_n, c->in_n }, 2, &weights))
		return hk_bad(fault, "out_n");
	if (hk_elements((uint32_t[]){ c->rows, c->in_n }, 2, &src) ||
	    hk_elements((uint32_t[]){ c->rows, c->out_n }, 2, &dst))
		return hk_bad(fault, "rows");
	row = hk_row_bytes(c->type, c->in_n);
	if (!row)
		return hk_bad(fault, "in_n");
	if (hk_operand(&op[0], "weights", c->weights, c->out_n * row,
		       c->type == HEARTH_TYPE_F32 ? 4 : 2, HK_READ, fault) ||
	    hk_operand(&op[1], "src", c->src, src * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", c->dst, dst * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], false, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

static uint32_t pass_rows(const struct hearth_cmd_matmul *c)
{
	uint32_t fit = PASS_BYTES / c->in_n;

	fit = fit < HK_MATMUL_ROWS ? fit : HK_MATMUL_ROWS;
	fit = fit ? fit : 1;
	return c->rows < fit ? c->rows : fit;
}

static uint64_t align64(uint64_t n)
{
	return (n + 63) & ~63ull;
}

size_t hk_matmul_scratch(const void *cmd, unsigned int threads)
{
	const struct hearth_cmd_matmul *c = cmd;
	uint64_t n = (uint64_t)pass_rows(c) * c->in_n;

	if (!hk_type(c->type)->unit)
		return 0;
	return 2 * align64(n) + 3 * align64(n / HK_ACT_BLOCK * 4);
}

static struct hk_act act_in_scratch(const struct hearth_cmd_matmul *c, void *scratch)
{
	uint64_t n = (uint64_t)pass_rows(c) * c->in_n;
	uint64_t per_block = align64(n / HK_ACT_BLOCK * 4);
	uint8_t *d = (uint8_t *)scratch + 2 * align64(n);

	return (struct hk_act){
		.q = scratch,
		.u = (uint8_t *)scratch + align64(n),
		.d = (float *)d,
		.total = (float *)(d + per_block),
		.sum = (int32_t *)(d + 2 * per_block),
		/* In the place of these, for weights in blocks of 256. */
		.sum32 = (int16_t *)(d + per_block),
		.sum16 = (int16_t *)(d + 2 * per_block),
	};
}

struct job {
	const struct hk_float_kernels *flt;
	struct hk_matmul m;
};

static void quantize_rows(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	bool super = hk_type(j->m.type)->elements == HK_ACT_SUPER;
	uint32_t n = j->m.in_n;

	for (uint32_t r = first; r < last; r++)
		(super ? j->flt->quantize_256 : j->flt->quantize)(
			&j->m.act, r, j->m.src + (uint64_t)r * n, n);
}

static void matmul_tiles(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;

	j->flt->matmul(&j->m, first, last);
}

/* Output rows of one map: all, or about a window of weights. */
static uint32_t window_rows(const struct hearth_cmd_matmul *c, const struct hk_space *space,
			    uint64_t row_bytes)
{
	uint64_t rows = space->window / row_bytes / HK_MATMUL_TILE * HK_MATMUL_TILE;

	if (!space->window || rows >= c->out_n)
		return c->out_n;
	return rows ? rows : HK_MATMUL_TILE;
}

/* Products that take longer than telling another core. */
#define TASK_PRODUCTS	12288

/* Output rows that are worth a task. */
static uint32_t grain_rows(const struct hk_matmul *m)
{
	uint64_t rows = TASK_PRODUCTS / ((uint64_t)m->in_n * m->rows);

	return (uint32_t)(rows / HK_MATMUL_TILE + 1) * HK_MATMUL_TILE;
}

static int one_pass(const struct hearth_cmd_matmul *c, struct job *j, float *dst,
		    struct hk_space *space, struct hk_run *r)
{
	uint32_t step = window_rows(c, space, j->m.row_bytes);
	uint32_t grain = grain_rows(&j->m);

	if (hk_type(c->type)->unit)
		hk_for_rows(r->pool, quantize_rows, j, j->m.rows, 32768 / c->in_n + 1);
	for (uint32_t o = 0; o < c->out_n; o += step) {
		uint32_t n = c->out_n - o < step ? c->out_n - o : step;
		struct hk_operand w = { c->weights + o * j->m.row_bytes,
					n * j->m.row_bytes, HK_READ, "weights" };
		struct hk_map map;
		int ret = hk_map(space, &map, &w, r->fault);

		if (ret)
			return ret;
		j->m.weights = map.ptr;
		j->m.dst = dst + o;
		hk_for_rows(r->pool, matmul_tiles, j, n, grain);
		ret = hk_unmap(space, &map, 0, r->fault);
		if (ret)
			return ret;
	}
	return 0;
}

static int all_passes(const struct hearth_cmd_matmul *c, const float *src, float *dst,
		      struct hk_space *space, struct hk_run *r)
{
	uint32_t step = pass_rows(c);
	struct job j = {
		.flt = hk_flt(r),
		.m = {
			.type = c->type,
			.in_n = c->in_n,
			.row_bytes = hk_row_bytes(c->type, c->in_n),
			.act = act_in_scratch(c, r->scratch),
			.dst_stride = c->out_n,
		},
	};

	for (uint32_t i = 0; i < c->rows; i += step) {
		int ret;

		j.m.rows = c->rows - i < step ? c->rows - i : step;
		j.m.act.rows = j.m.rows;
		j.m.src = src + (uint64_t)i * c->in_n;
		ret = one_pass(c, &j, dst + (uint64_t)i * c->out_n, space, r);
		if (ret)
			return ret;
	}
	return 0;
}

int hk_matmul_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_matmul *c = cmd;
	struct hk_operand src = { c->src, (uint64_t)c->rows * c->in_n * 4, HK_READ, "src" };
	struct hk_operand dst = { c->dst, (uint64_t)c->rows * c->out_n * 4, HK_WRITE,
				  "dst" };
	struct hk_map src_map, dst_map;
	int ret;

	ret = hk_map(space, &src_map, &src, r->fault);
	if (ret)
		return ret;
	ret = hk_map(space, &dst_map, &dst, r->fault);
	if (!ret) {
		ret = all_passes(c, src_map.ptr, dst_map.ptr, space, r);
		ret = hk_unmap(space, &dst_map, ret, r->fault);
	}
	return hk_unmap(space, &src_map, ret, r->fault);
}
