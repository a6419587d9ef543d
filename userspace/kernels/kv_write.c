// SPDX-License-Identifier: MIT
/* KV_WRITE, KV_WRITE_Q and KV_WRITE_PAGED. */
#include <errno.h>
#include <string.h>

#include "kernels/float.h"
#include "kernels/kv_cache.h"

static const struct hearth_cmd_kv_pages *pages_of(const struct hearth_cmd_kv_write *c)
{
	return c->hdr.op == HEARTH_OP_KV_WRITE_PAGED ?
	       &((const struct hearth_cmd_kv_write_paged *)c)->pages : NULL;
}

/* Numbers, blocks, or either. */
static bool type_fits(const struct hearth_cmd_kv_write *c)
{
	if (c->type == HEARTH_TYPE_Q8_0)
		return c->hdr.op != HEARTH_OP_KV_WRITE;
	return c->hdr.op != HEARTH_OP_KV_WRITE_Q &&
	       (c->type == HEARTH_TYPE_F32 || c->type == HEARTH_TYPE_F16);
}

int hk_kv_write_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_kv_write *c = cmd;
	uint64_t n, cache;

	for (unsigned int i = 0; i < sizeof(c->reserved); i++) {
		if (c->reserved[i])
			return hk_bad(fault, "reserved");
	}
	if (!type_fits(c))
		return hk_bad(fault, "type");
	if (hk_elements((uint32_t[]){ c->rows, c->kv_heads, c->head_dim }, 3, &n))
		return hk_bad(fault, "rows");
	if (hk_kv_cache_bytes(c->type, (uint32_t[]){ c->kv_heads, c->n_ctx, c->head_dim },
			      pages_of(c), &cache, fault) ||
	    hk_operand(&op[0], "src", c->src, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "pos", c->pos, c->rows * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "cache", c->cache, cache, c->type == HEARTH_TYPE_F32 ? 4 : 2,
		       HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], false, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

size_t hk_kv_write_scratch(const void *cmd, unsigned int threads)
{
	const struct hearth_cmd_kv_write *c = cmd;

	return c->rows * sizeof(int32_t);
}

/* One head's entries of rows [i, i + n), which are neighbours in the cache. */
static int write_run(const struct hearth_cmd_kv_write *c, const float *src, uint32_t head,
		     uint32_t i, uint32_t n, struct hk_space *space, struct hk_run *r)
{
	const int32_t *pos = r->scratch;
	struct hk_kv_cache l = hk_kv_cache(c->type, c->head_dim, c->n_ctx, pages_of(c));
	struct hk_operand op = { c->cache + hk_kv_at(&l, head, (uint32_t)pos[i]), n * l.row,
				 HK_WRITE, "cache" };
	struct hk_map map;
	int ret = hk_map(space, &map, &op, r->fault);

	if (ret)
		return ret;
	for (uint32_t k = 0; k < n; k++) {
		const float *x = src + ((uint64_t)(i + k) * c->kv_heads + head) * c->head_dim;
		uint8_t *to = (uint8_t *)map.ptr + k * l.row;

		if (c->type == HEARTH_TYPE_F16)
			hk_flt(r)->to_f16((uint16_t *)to, x, c->head_dim);
		else if (c->type == HEARTH_TYPE_Q8_0)
			hk_flt(r)->to_q8(to, x, c->head_dim);
		else
			memcpy(to, x, l.row);
	}
	return hk_unmap(space, &map, 0, r->fault);
}

static int write_head(const struct hearth_cmd_kv_write *c, const float *src, uint32_t head,
		      struct hk_space *space, struct hk_run *r)
{
	struct hk_kv_cache l = hk_kv_cache(c->type, c->head_dim, c->n_ctx, pages_of(c));
	const int32_t *pos = r->scratch;
	uint32_t n;

	for (uint32_t i = 0; i < c->rows; i += n) {
		int ret;

		for (n = 1; i + n < c->rows && pos[i + n] == pos[i + n - 1] + 1 &&
			    (uint32_t)pos[i + n] % l.page; n++)
			;
		ret = write_run(c, src, head, i, n, space, r);
		if (ret)
			return ret;
	}
	return 0;
}

static int write_all(const struct hearth_cmd_kv_write *c, const float *src,
		     const int32_t *pos, struct hk_space *space, struct hk_run *r)
{
	uint32_t largest;
	int ret;

	ret = hk_check_index(pos, r->scratch, c->rows, c->n_ctx, &largest, "pos", r->fault);
	for (uint32_t h = 0; !ret && h < c->kv_heads; h++)
		ret = write_head(c, src, h, space, r);
	return ret;
}

int hk_kv_write_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_kv_write *c = cmd;
	uint64_t n = (uint64_t)c->rows * c->kv_heads * c->head_dim;
	struct hk_operand src = { c->src, n * 4, HK_READ, "src" };
	struct hk_operand pos = { c->pos, c->rows * 4ull, HK_READ, "pos" };
	struct hk_map src_map, pos_map;
	int ret;

	ret = hk_map(space, &src_map, &src, r->fault);
	if (ret)
		return ret;
	ret = hk_map(space, &pos_map, &pos, r->fault);
	if (!ret) {
		ret = write_all(c, src_map.ptr, pos_map.ptr, space, r);
		ret = hk_unmap(space, &pos_map, ret, r->fault);
	}
	return hk_unmap(space, &src_map, ret, r->fault);
}
