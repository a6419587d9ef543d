// SPDX-License-Identifier: MIT
/*
 * KV_SHIFT and KV_SHIFT_PAGED: a task is one head. Entries move to lower positions, ascending:
 * what is read is never what was written already.
 */
#include <errno.h>
#include <string.h>

#include "kernels/decode.h"
#include "kernels/float.h"
#include "kernels/kv_cache.h"

static const struct hearth_cmd_kv_pages *pages_of(const struct hearth_cmd_kv_shift *c)
{
	return c->hdr.op == HEARTH_OP_KV_SHIFT_PAGED ?
	       &((const struct hearth_cmd_kv_shift_paged *)c)->pages : NULL;
}

static int check_rotation(const struct hearth_cmd_kv_shift *c, struct hk_fault *fault)
{
	if (!c->table)
		return c->n_rot ? hk_bad(fault, "n_rot") : c->mode ? hk_bad(fault, "mode") : 0;
	if (!c->n_rot || c->n_rot % 2 || c->n_rot > c->head_dim)
		return hk_bad(fault, "n_rot");
	return c->mode > HEARTH_ROPE_HALVES ? hk_bad(fault, "mode") : 0;
}

int hk_kv_shift_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_kv_shift *c = cmd;
	uint64_t bytes;

	if (c->reserved[0] || c->reserved[1] || c->reserved[2])
		return hk_bad(fault, "reserved");
	if (c->type != HEARTH_TYPE_F32 && c->type != HEARTH_TYPE_F16 &&
	    c->type != HEARTH_TYPE_Q8_0)
		return hk_bad(fault, "type");
	if (hk_kv_cache_bytes(c->type, (uint32_t[]){ c->kv_heads, c->n_ctx, c->head_dim },
			      pages_of(c), &bytes, fault) ||
	    check_rotation(c, fault) ||
	    hk_operand(&op[0], "cache", c->cache, bytes, c->type == HEARTH_TYPE_F32 ? 4 : 2,
		       HK_READ_WRITE, fault) ||
	    hk_operand(&op[1], "shift", c->shift, 12, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "table", c->table, (uint64_t)c->n_ctx * c->n_rot * 4, 4, HK_READ,
		       fault) ||
	    hk_disjoint(&op[0], &op[1], false, fault) ||
	    (c->table && hk_disjoint(&op[0], &op[2], false, fault)))
		return -EINVAL;
	return 3;
}

static size_t row_floats(const struct hearth_cmd_kv_shift *c)
{
	return (c->head_dim + 15) & ~(size_t)15;
}

/* A row of the table, turned around, and a row of the cache per worker. */
size_t hk_kv_shift_scratch(const void *cmd, unsigned int threads)
{
	return row_floats(cmd) * (threads + 1) * sizeof(float);
}

struct job {
	const struct hearth_cmd_kv_shift *c;
	const struct hk_float_kernels *flt;
	struct hk_kv_cache l;
	uint32_t first, by, n;
	/* Each page from that of @first on, all heads; of the only one from @first on. */
	struct hk_map pages[HEARTH_KV_MAX_PAGES];
	/* Cosines and negative sines, or NULL; then the workers' rows. */
	float *turn, *rows;
};

/* The entry of head @h at position @t, which is in a page that is mapped. */
static uint8_t *entry(const struct job *j, uint32_t h, uint32_t t)
{
	const struct hk_map *m = &j->pages[t / j->l.page - j->first / j->l.page];

	return (uint8_t *)m->ptr +
	       (hk_kv_at(&j->l, h, t) - (m->va - j->c->cache));
}

static void turn_row(const struct job *j, uint8_t *to, const uint8_t *from, float *x)
{
	const struct hearth_cmd_kv_shift *c = j->c;
	struct hk_rope_row row = {
		.x = x, .table = j->turn, .heads = 1, .head_dim = c->head_dim,
		.n_rot = c->n_rot, .mode = c->mode,
	};

	j->flt->get_row(x, from, c->type, c->head_dim);
	j->flt->rope(&row);
	if (c->type == HEARTH_TYPE_F32)
		memcpy(to, x, c->head_dim * sizeof(*x));
	else if (c->type == HEARTH_TYPE_F16)
		j->flt->to_f16((uint16_t *)to, x, c->head_dim);
	else
		j->flt->to_q8(to, x, c->head_dim);
}

static void heads(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	float *x = j->rows + worker * row_floats(j->c);

	for (uint32_t h = first; h < last; h++) {
		for (uint32_t t = j->first; t < j->first + j->n; t++) {
			uint8_t *to = entry(j, h, t), *from = entry(j, h, t + j->by);

			if (j->turn)
				turn_row(j, to, from, x);
			else
				memcpy(to, from, j->l.row);
		}
	}
}

/* The table's row for a turn of @by positions back. */
static int read_turn(struct job *j, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_kv_shift *c = j->c;
	uint64_t bytes = c->n_rot * 4ull;
	struct hk_operand op = { c->table + j->by * bytes, bytes, HK_READ, "table" };
	struct hk_map map;
	int ret = hk_map(space, &map, &op, r->fault);

	if (ret)
		return ret;
	memcpy(j->turn, map.ptr, bytes);
	for (uint32_t i = 1; i < c->n_rot; i += 2)
		j->turn[i] = -j->turn[i];
	return hk_unmap(space, &map, 0, r->fault);
}

/* Maps all heads at once: where there are no pages, from the first position that changes. */
static int map_page(struct job *j, uint32_t i, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_kv_shift *c = j->c;
	uint32_t page = j->first / j->l.page + i;
	uint64_t at = page * j->l.stride, bytes = (uint64_t)c->kv_heads * j->l.page * j->l.row;
	struct hk_operand op = { c->cache + at, bytes, HK_READ_WRITE, "cache" };

	if (!pages_of(c)) {
		op.va += j->first * j->l.row;
		op.bytes = ((uint64_t)(c->kv_heads - 1) * c->n_ctx + j->by + j->n) * j->l.row;
	}
	return hk_map(space, &j->pages[i], &op, r->fault);
}

static int move_all(struct job *j, struct hk_space *space, struct hk_run *r)
{
	uint32_t last = (j->first + j->by + j->n - 1) / j->l.page;
	uint32_t n = last - j->first / j->l.page + 1, i;
	int ret = 0;

	for (i = 0; i < n; i++) {
		ret = map_page(j, i, space, r);
		if (ret)
			break;
	}
	if (!ret)
		hk_for_rows(r->pool, heads, j, j->c->kv_heads, 1);
	while (i-- > 0)
		ret = hk_unmap(space, &j->pages[i], ret, r->fault);
	return ret;
}

/* Copies the numbers: whoever owns the memory may write to it. */
static int read_shift(struct job *j, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_kv_shift *c = j->c;
	struct hk_operand op = { c->shift, 12, HK_READ, "shift" };
	uint32_t v[3];
	struct hk_map map;
	int ret = hk_map(space, &map, &op, r->fault);

	if (ret)
		return ret;
	for (int i = 0; i < 3; i++)
		v[i] = (uint32_t)__atomic_load_n((int32_t *)map.ptr + i, __ATOMIC_RELAXED);
	ret = hk_unmap(space, &map, 0, r->fault);
	if (ret)
		return ret;
	/* each below 2^32: the sum cannot wrap; n_ctx has no row to turn by */
	if ((uint64_t)v[0] + v[1] + v[2] > c->n_ctx || v[1] == c->n_ctx)
		return hk_bad(r->fault, "shift");
	j->first = v[0];
	j->by = v[1];
	j->n = v[2];
	return 0;
}

int hk_kv_shift_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_kv_shift *c = cmd;
	struct job j = {
		.c = c, .flt = hk_flt(r),
		.l = hk_kv_cache(c->type, c->head_dim, c->n_ctx, pages_of(c)),
	};
	int ret = read_shift(&j, space, r);

	if (ret || !j.n || !j.by)
		return ret;
	j.rows = (float *)r->scratch + row_floats(c);
	if (c->table) {
		j.turn = r->scratch;
		ret = read_turn(&j, space, r);
	}
	return ret ? ret : move_all(&j, space, r);
}
