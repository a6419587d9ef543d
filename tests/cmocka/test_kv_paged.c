// SPDX-License-Identifier: MIT
/*
 * The ops of a KV cache in pages: the bits of the same cache in one piece, no byte
 * of what lies between the pages touched, no page mapped that is not needed.
 */
#include "float_ops.h"
#include "kernels/types.h"

static const unsigned int types[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_Q8_0 };

/* A cache in one piece, and the same in pages of a range that is just long enough. */
struct caches {
	uint32_t heads, n_ctx, dim, page, n_pages;
	uint32_t row;
	uint64_t page_bytes, stride, bytes;
	uint8_t *flat, *paged;
	unsigned int type;
};

static void caches_init(struct fixture *f, struct caches *c, unsigned int type, uint32_t heads,
			uint32_t n_ctx, uint32_t dim, uint32_t page)
{
	c->type = type;
	c->heads = heads;
	c->n_ctx = n_ctx;
	c->dim = dim;
	c->page = page;
	c->n_pages = (n_ctx + page - 1) / page;
	c->row = (uint32_t)hk_row_bytes(type, dim);
	c->page_bytes = (uint64_t)heads * page * c->row;
	c->stride = 3 * c->page_bytes + 64;
	c->bytes = (c->n_pages - 1) * c->stride + c->page_bytes;
	c->flat = ks_alloc(&f->ks, (uint64_t)heads * n_ctx * c->row);
	c->paged = ks_alloc(&f->ks, c->bytes);
	memset(c->paged, 0x5a, c->bytes);
}

static uint8_t *paged_at(const struct caches *c, uint32_t h, uint32_t t)
{
	return c->paged + t / c->page * c->stride +
	       ((uint64_t)h * c->page + t % c->page) * c->row;
}

static uint8_t *flat_at(const struct caches *c, uint32_t h, uint32_t t)
{
	return c->flat + ((uint64_t)h * c->n_ctx + t) * c->row;
}

static void fill(struct fixture *f, struct caches *c)
{
	for (uint32_t i = 0; i < c->heads * c->n_ctx; i++) {
		uint8_t *at = flat_at(c, i / c->n_ctx, i % c->n_ctx);

		for (uint32_t k = 0; k < c->row; k++)
			at[k] = (uint8_t)ks_u32(&f->rng);
		for (uint32_t k = 0; c->type == HEARTH_TYPE_F32 && k < c->dim; k++)
			((float *)at)[k] = ks_unit(&f->rng);
		for (uint32_t k = 0; c->type == HEARTH_TYPE_F16 && k < c->dim; k++)
			((uint16_t *)at)[k] = hk_f16_from_f32(ks_unit(&f->rng));
		for (uint32_t k = 0; c->type == HEARTH_TYPE_Q8_0 && k < c->row; k += 34)
			at[k + 1] = 0x1f;
		memcpy(paged_at(c, i / c->n_ctx, i % c->n_ctx), at, c->row);
	}
}

static struct hearth_cmd_kv_pages pages(const struct caches *c)
{
	return (struct hearth_cmd_kv_pages){ .positions = c->page, .stride = c->stride };
}

/* Entry for entry the same; all else is still 0x5a. */
static void check_same(const struct caches *c)
{
	uint8_t *want = malloc(c->bytes);

	memset(want, 0x5a, c->bytes);
	for (uint32_t i = 0; i < c->heads * c->n_ctx; i++) {
		uint32_t h = i / c->n_ctx, t = i % c->n_ctx;

		memcpy(want + (paged_at(c, h, t) - c->paged), flat_at(c, h, t), c->row);
	}
	assert_memory_equal(c->paged, want, c->bytes);
	free(want);
}

static void test_write(void **state)
{
	struct fixture *f = *state;
	static const int32_t at[] = { 30, 31, 32, 33, 0, 47, 15, 16, 49 };
	const uint32_t rows = ARRAY_SIZE(at);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct caches c;
		float *src;
		int32_t *pos;

		caches_init(f, &c, types[i], 3, 50, 32, 16);
		fill(f, &c);
		src = floats(f, rows * c.heads * c.dim, true);
		pos = ks_alloc(&f->ks, sizeof(at));
		memcpy(pos, at, sizeof(at));
		struct hearth_cmd_kv_write_paged p = {
			.base = {
				.hdr = KS_HDR(KV_WRITE_PAGED, hearth_cmd_kv_write_paged),
				.src = ks_va(&f->ks, src), .pos = ks_va(&f->ks, pos),
				.cache = ks_va(&f->ks, c.paged), .rows = rows,
				.kv_heads = c.heads, .head_dim = c.dim, .n_ctx = c.n_ctx,
				.type = (uint8_t)types[i],
			},
			.pages = pages(&c),
		};
		struct hearth_cmd_kv_write w = p.base;

		w.hdr = (struct hearth_cmd_header)KS_HDR(KV_WRITE, hearth_cmd_kv_write);
		if (types[i] == HEARTH_TYPE_Q8_0)
			w.hdr.op = HEARTH_OP_KV_WRITE_Q;
		w.cache = ks_va(&f->ks, c.flat);
		ks_run(&f->ks, f->ex, &w);
		check_isas(f, &p, c.paged, c.bytes);
		check_same(&c);
		f->ks.maps = 0;
		ks_run(&f->ks, f->ex, &p);
		/* 30-31, 32-33, 0, 47, 15, 16, 49 */
		assert_int_equal(f->ks.maps, 2 + c.heads * 7);
		pos[8] = 50;
		ks_fail(&f->ks, f->ex, &p, -EINVAL, HEARTH_HW_ERR_OPERAND, "pos");
		ks_fini(&f->ks);
	}
}

static void test_shift(void **state)
{
	struct fixture *f = *state;
	static const int32_t shifts[][3] = { { 0, 1, 69 }, { 4, 33, 33 }, { 0, 0, 70 }, { 7, 5, 0 },
					     { 16, 16, 16 }, { 0, 69, 1 }, { 31, 2, 20 } };

	for (size_t i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(shifts) * 2; i++) {
		struct caches c;
		float *table;
		int32_t *v;

		caches_init(f, &c, types[i / 2 / ARRAY_SIZE(shifts)], 3, 70, 64, 16);
		fill(f, &c);
		table = floats(f, c.n_ctx * c.dim, false);
		v = ks_alloc(&f->ks, 12);
		memcpy(v, shifts[i / 2 % ARRAY_SIZE(shifts)], 12);
		struct hearth_cmd_kv_shift_paged p = {
			.base = {
				.hdr = KS_HDR(KV_SHIFT_PAGED, hearth_cmd_kv_shift_paged),
				.cache = ks_va(&f->ks, c.paged), .shift = ks_va(&f->ks, v),
				.table = i % 2 ? ks_va(&f->ks, table) : 0,
				.kv_heads = c.heads, .head_dim = c.dim, .n_ctx = c.n_ctx,
				.n_rot = i % 2 ? c.dim : 0, .type = (uint8_t)c.type,
			},
			.pages = pages(&c),
		};
		struct hearth_cmd_kv_shift s = p.base;

		s.hdr = (struct hearth_cmd_header)KS_HDR(KV_SHIFT, hearth_cmd_kv_shift);
		s.cache = ks_va(&f->ks, c.flat);
		ks_run(&f->ks, f->ex, &s);
		check_isas(f, &p, c.paged, c.bytes);
		check_same(&c);
		ks_fini(&f->ks);
	}
}

struct attention {
	struct hearth_cmd_attention_paged cmd;
	struct caches k, v;
	int32_t *pos;
	float *q, *dst;
	uint32_t out;
};

static void attention_init(struct fixture *f, struct attention *a, unsigned int type,
			   const uint32_t s[5], uint32_t page)
{
	a->out = s[0] * s[1] * s[3];
	caches_init(f, &a->k, type, s[2], s[4], s[3], page);
	caches_init(f, &a->v, type, s[2], s[4], s[3], page);
	fill(f, &a->k);
	fill(f, &a->v);
	a->pos = ks_alloc(&f->ks, s[0] * 4);
	a->dst = ks_alloc(&f->ks, a->out * 4);
	a->q = floats(f, a->out, false);
	a->cmd = (struct hearth_cmd_attention_paged){
		.base.base = {
			.hdr = KS_HDR(ATTENTION_PAGED, hearth_cmd_attention_paged),
			.q = ks_va(&f->ks, a->q),
			.k = ks_va(&f->ks, a->k.paged), .v = ks_va(&f->ks, a->v.paged),
			.pos = ks_va(&f->ks, a->pos), .dst = ks_va(&f->ks, a->dst),
			.rows = s[0], .heads = s[1], .kv_heads = s[2], .head_dim = s[3],
			.n_ctx = s[4], .scale = ks_bits(0.2f), .type = (uint8_t)type,
		},
		.pages = pages(&a->k),
	};
}

/* What ATTENTION_2 makes of the caches in one piece */
static float *flat_result(struct fixture *f, const struct attention *a)
{
	struct hearth_cmd_attention_2 c = a->cmd.base;
	float *dst = ks_alloc(&f->ks, a->out * 4);

	c.base.hdr = (struct hearth_cmd_header)KS_HDR(ATTENTION_2, hearth_cmd_attention_2);
	c.base.k = ks_va(&f->ks, a->k.flat);
	c.base.v = ks_va(&f->ks, a->v.flat);
	c.base.dst = ks_va(&f->ks, dst);
	ks_run(&f->ks, f->ex, &c);
	return dst;
}

static void test_attention(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shapes[][5] = {	/* rows, heads, kv_heads, dim, n_ctx */
		{ 1, 4, 2, 64, 200 }, { 70, 3, 1, 32, 70 }, { 5, 20, 10, 96, 300 }, { 9, 4, 4, 32, 17 },
	};
	static const uint32_t windows[] = { 0, 7, 33, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(shapes) * ARRAY_SIZE(windows) * 3; i++) {
		const uint32_t *s = shapes[i % ARRAY_SIZE(shapes)];
		struct attention a;

		attention_init(f, &a, types[i / ARRAY_SIZE(shapes) / ARRAY_SIZE(windows)], s,
			       i % 2 ? 16 : 64);
		a.cmd.base.window = windows[i / ARRAY_SIZE(shapes) % ARRAY_SIZE(windows)];
		a.cmd.base.softcap = i % 3 ? ks_bits(0.5f) : 0;
		for (int odd = 0; odd < 2; odd++) {
			for (uint32_t r = 0; r < s[0]; r++)
				a.pos[r] = (int32_t)(odd ? ks_u32(&f->rng) % s[4] : s[4] - s[0] + r);
			check_isas(f, &a.cmd, a.dst, a.out * 4);
			assert_memory_equal(a.dst, flat_result(f, &a), a.out * 4);
		}
		/* in place of the queries */
		a.cmd.base.base.dst = a.cmd.base.base.q;
		memcpy(a.dst, flat_result(f, &a), a.out * 4);
		ks_run(&f->ks, f->ex, &a.cmd);
		assert_memory_equal(a.q, a.dst, a.out * 4);
		ks_fini(&f->ks);
	}
}

/* NaN in keys and values stay where they are: also across a page's border. */
static void test_attention_odd(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shape[5] = { 6, 4, 2, 33, 60 };

	for (uint32_t i = 0; i < 8; i++) {
		struct attention a;

		attention_init(f, &a, i % 2 ? HEARTH_TYPE_F16 : HEARTH_TYPE_F32, shape, 16);
		for (uint32_t r = 0; r < shape[0]; r++)
			a.pos[r] = (int32_t)(ks_u32(&f->rng) % shape[4]);
		for (uint32_t k = 0; k < 20; k++) {
			uint32_t h = ks_u32(&f->rng) % 2, t = ks_u32(&f->rng) % shape[4];

			memset(flat_at(&a.v, h, t), k % 2 ? 0xff : 0x7c, 8);
			memset(paged_at(&a.v, h, t), k % 2 ? 0xff : 0x7c, 8);
		}
		check_isas(f, &a.cmd, a.dst, a.out * 4);
		assert_memory_equal(a.dst, flat_result(f, &a), a.out * 4);
		check_nan(a.dst, a.out);
		ks_fini(&f->ks);
	}
}

/* Pages in use, one map for some heads of each; a failure lets all of them go. */
static void test_attention_maps(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shape[5] = { 1, 20, 10, 16, 1024 };
	struct attention a;

	attention_init(f, &a, HEARTH_TYPE_F32, shape, 16);
	a.pos[0] = 95;
	f->ks.largest_map = 0;
	f->ks.maps = 0;
	ks_run(&f->ks, f->ex, &a.cmd);
	assert_int_equal(f->ks.largest_map, 8 * 16 * a.k.row);
	assert_int_equal(f->ks.maps, 3 + 2 * 2 * 6);
	a.cmd.base.window = 20;	/* 76 to 95 */
	f->ks.maps = 0;
	ks_run(&f->ks, f->ex, &a.cmd);
	assert_int_equal(f->ks.maps, 3 + 2 * 2 * 2);
	for (unsigned long i = 1; i <= 3 + 2 * 2 * 2; i++) {
		f->ks.fail_map = i;
		ks_fail(&f->ks, f->ex, &a.cmd, -EFAULT,
			i == 3 ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ, NULL);
	}
	a.cmd.base.window = 0;
	a.pos[0] = 1023;
	f->ks.most_maps = 0;
	ks_run(&f->ks, f->ex, &a.cmd);
	assert_int_equal(f->ks.most_maps, 3 + 2 * HEARTH_KV_MAX_PAGES);
}

static void test_refuses(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shape[5] = { 2, 4, 2, 8, 64 };
	struct hearth_cmd_attention_paged good, c;
	struct attention a;

	attention_init(f, &a, HEARTH_TYPE_F16, shape, 16);
	good = a.cmd;
	ks_run(&f->ks, f->ex, &good);
	REFUSED(pages.positions, 0, "positions");
	REFUSED(pages.positions, 8, "positions");
	REFUSED(pages.positions, 24, "positions");
	REFUSED(pages.positions, 1u << 25, "positions");
	REFUSED(base.base.n_ctx, 16 * HEARTH_KV_MAX_PAGES + 1, "positions");
	REFUSED(pages.stride, a.k.page_bytes - 4, "stride");
	REFUSED(pages.stride, a.k.stride + 2, "stride");
	REFUSED(pages.stride, 1ull << 40, "stride");
	REFUSED(pages.stride, 1ull << 38, "k");
	REFUSED(pages.reserved, 1, "reserved");
	REFUSED(base.base.reserved[3], 1, "reserved");
	REFUSED(base.base.type, HEARTH_TYPE_BF16, "type");
	REFUSED(base.window, HEARTH_CMD_MAX_DIM + 1, "window");
	REFUSED(base.base.dst, good.base.base.k, "dst");
	/* a page of 2^48 entries: more than any stride */
	c = good;
	c.pages.positions = HEARTH_CMD_MAX_DIM;
	c.base.base.kv_heads = c.base.base.heads = 1u << 24;
	c.base.base.rows = c.base.base.head_dim = 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "stride");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write),
		TEST(test_shift),
		TEST(test_attention),
		TEST(test_attention_odd),
		TEST(test_attention_maps),
		TEST(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
