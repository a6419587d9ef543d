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
	if (hk_elements((uint32_t[]){ c->out_n, c->in_n }, 2, &weights) ||
	    c->out_n % hk_group_rows(c->type))
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
	uint8_t *d = (uint8_t *)scratch + align64(n);

	return (struct hk_act){
		.q = scratch,
		.d = (float *)d,
		.total = (float *)(d + per_block),
		.sum = (int32_t *)(d + 2 * per_block),
		.u = d + 3 * per_block,
		/* In the place of these, for weights in blocks of 256. */
		.sum32 = (int16_t *)(d + per_block),
		.sum16 = (int16_t *)(d + 2 * per_block),
	};
}

/* A matrix; all of a job meet the same input. */
struct part {
	const struct hearth_cmd_matmul *c;
	struct hk_matmul m;
	struct hk_map weights, dst;
	/* Its outputs are the job's from @first on, a whole number of tiles; @n are mapped. */
	uint32_t first, n;
};

struct job {
	const struct hk_float_kernels *flt;
	uint32_t parts;
	struct part part[1 + HK_MAX_JOINED];
};

static bool in_large_blocks(unsigned int type)
{
	return hk_type(type)->elements == HK_ACT_SUPER;
}

bool hk_matmul_joins(const void *cmd, const void *next)
{
	const struct hearth_cmd_matmul *a = cmd, *b = next;

	return a->src == b->src && a->rows == b->rows && a->in_n == b->in_n &&
	       hk_type(a->type)->unit && hk_type(b->type)->unit &&
	       in_large_blocks(a->type) == in_large_blocks(b->type);
}

static void quantize_rows(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	const struct hk_matmul *m = &j->part[0].m;
	bool super = in_large_blocks(m->type);

	for (uint32_t r = first; r < last; r++)
		(super ? j->flt->quantize_256 : j->flt->quantize)(
			&m->act, r, m->src + (uint64_t)r * m->in_n, m->in_n);
}

/*
 * Other cores read the activations of the op before this one, and a line is taken from
 * them by its first store. Stores wait in a queue of some dozens, so those that are spread
 * over a row's arithmetic take few lines at a time; these here take as many as there can
 * be, which is what a row by itself mostly waits for. What they write does not matter.
 */
static void take_lines(uint8_t *scratch, const struct job *j)
{
	const struct hearth_cmd_matmul *c = j->part[0].c;
	size_t bytes = hk_matmul_scratch(c, 1);

	if (!j->part[0].m.act.u)
		bytes -= align64(c->in_n);
	for (size_t at = 0; at < bytes; at += 64)
		*(volatile uint8_t *)(scratch + at) = 0;
}

static void quantize(struct job *j, struct hk_run *r)
{
	const struct hearth_cmd_matmul *c = j->part[0].c;

	if (c->rows == 1 && hk_pool_threads(r->pool) > 1)
		take_lines(r->scratch, j);
	hk_for_rows(r->pool, quantize_rows, j, j->part[0].m.rows, 6144 / c->in_n + 1);
}

static void matmul_tiles(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;

	for (uint32_t i = 0; i < j->parts; i++) {
		const struct part *p = &j->part[i];
		uint32_t from = first > p->first ? first : p->first;
		uint32_t to = last < p->first + p->n ? last : p->first + p->n;

		if (from < to)
			j->flt->matmul(&p->m, from - p->first, to - p->first);
	}
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
#define TASK_PRODUCTS	16384

/* Output rows that are worth a task. */
static uint32_t grain_rows(const struct hk_matmul *m)
{
	uint64_t rows = TASK_PRODUCTS / ((uint64_t)m->in_n * m->rows);

	return (uint32_t)(rows / HK_MATMUL_TILE + 1) * HK_MATMUL_TILE;
}

static int one_pass(struct job *j, float *dst, struct hk_space *space, struct hk_run *r)
{
	struct part *p = &j->part[0], *end = &j->part[j->parts - 1];
	const struct hearth_cmd_matmul *c = p->c;
	uint32_t step = window_rows(c, space, p->m.row_bytes);

	if (hk_type(c->type)->unit)
		quantize(j, r);
	for (uint32_t o = 0; o < c->out_n; o += step) {
		struct hk_operand w = { .va = c->weights + o * p->m.row_bytes,
					.access = HK_READ, .name = "weights" };
		int ret;

		p->n = c->out_n - o < step ? c->out_n - o : step;
		w.bytes = p->n * p->m.row_bytes;
		ret = hk_map(space, &p->weights, &w, r->fault);
		if (ret)
			return ret;
		p->m.weights = p->weights.ptr;
		p->m.dst = dst + o;
		hk_for_rows(r->pool, matmul_tiles, j, end->first + end->n, grain_rows(&p->m));
		ret = hk_unmap(space, &p->weights, 0, r->fault);
		if (ret)
			return ret;
	}
	return 0;
}

static int all_passes(struct job *j, const float *src, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_matmul *c = j->part[0].c;
	uint32_t step = pass_rows(c);

	for (uint32_t i = 0; i < c->rows; i += step) {
		int ret;

		for (uint32_t k = 0; k < j->parts; k++) {
			struct part *p = &j->part[k];

			p->m.rows = c->rows - i < step ? c->rows - i : step;
			p->m.act.rows = p->m.rows;
			p->m.src = src + (uint64_t)i * c->in_n;
			p->m.dst = (float *)p->dst.ptr + (uint64_t)i * p->c->out_n;
		}
		ret = one_pass(j, j->part[0].m.dst, space, r);
		if (ret)
			return ret;
	}
	return 0;
}

static int map_dst(struct part *p, struct hk_space *space, struct hk_fault *fault)
{
	struct hk_operand dst = { p->c->dst, (uint64_t)p->c->rows * p->c->out_n * 4, HK_WRITE,
				  "dst" };

	return hk_map(space, &p->dst, &dst, fault);
}

static void part_init(struct part *p, const struct hearth_cmd_matmul *c, void *scratch)
{
	*p = (struct part){
		.c = c,
		.m = {
			.type = c->type,
			.in_n = c->in_n,
			.row_bytes = hk_row_bytes(c->type, c->in_n),
			.act = act_in_scratch(c, scratch),
			.dst_stride = c->out_n,
		},
		.n = c->out_n,
	};
}

static int unmap_joined(struct job *j, struct hk_space *space, int ret, struct hk_fault *fault)
{
	while (j->parts > 1) {
		struct part *p = &j->part[--j->parts];

		ret = hk_unmap(space, &p->weights, ret, fault);
		ret = hk_unmap(space, &p->dst, ret, fault);
	}
	return ret;
}

/* All of the next part, or nothing. */
static bool map_joined(struct part *p, struct hk_space *space)
{
	struct hk_operand w = { p->c->weights, p->c->out_n * p->m.row_bytes, HK_READ,
				"weights" };
	struct hk_fault fault;

	if (map_dst(p, space, &fault))
		return false;
	if (hk_map(space, &p->weights, &w, &fault)) {
		hk_unmap(space, &p->dst, -EFAULT, &fault);
		return false;
	}
	p->m.weights = p->weights.ptr;
	return true;
}

/* What cannot be mapped comes by itself, for its fault to be its own. */
static void add_joined(struct job *j, struct hk_space *space, struct hk_run *r)
{
	unsigned int n = space->window ? 0 : r->n_joined;

	for (r->n_joined = 0; r->n_joined < n; r->n_joined++) {
		const struct part *last = &j->part[r->n_joined];
		struct part *p = &j->part[r->n_joined + 1];

		part_init(p, r->joined[r->n_joined], r->scratch);
		p->first = last->first + (last->n + HK_MATMUL_TILE - 1) / HK_MATMUL_TILE *
			   HK_MATMUL_TILE;
		if (!map_joined(p, space))
			break;
		j->parts++;
	}
}

/* Packed weights meet a row by itself as it is signed. */
static bool reads_u(const struct job *j)
{
	for (uint32_t i = 0; i < j->parts; i++) {
		if (j->part[i].c->rows > 1 || !hk_type(j->part[i].c->type)->r8)
			return true;
	}
	return false;
}

int hk_matmul_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_matmul *c = cmd;
	struct hk_operand src = { c->src, (uint64_t)c->rows * c->in_n * 4, HK_READ, "src" };
	struct hk_map src_map;
	struct job j;
	int ret;

	j.flt = hk_flt(r);
	j.parts = 1;
	part_init(&j.part[0], c, r->scratch);
	ret = hk_map(space, &src_map, &src, r->fault);
	if (ret)
		return ret;
	ret = map_dst(&j.part[0], space, r->fault);
	if (!ret) {
		add_joined(&j, space, r);
		if (!reads_u(&j))
			j.part[0].m.act.u = NULL;
		ret = all_passes(&j, src_map.ptr, space, r);
		ret = unmap_joined(&j, space, ret, r->fault);
		ret = hk_unmap(space, &j.part[0].dst, ret, r->fault);
	}
	return hk_unmap(space, &src_map, ret, r->fault);
}
