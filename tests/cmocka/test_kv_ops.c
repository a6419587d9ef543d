// SPDX-License-Identifier: MIT
/*
 * The ops of the KV cache: right against double precision, the same bits on
 * every ISA, every check of their commands.
 */
#include "float_ops.h"

static void test_kv_write(void **state)
{
	struct fixture *f = *state;
	const uint32_t rows = 6, heads = 2, dim = 10, n_ctx = 12;

	for (unsigned int type = HEARTH_TYPE_F32; type <= HEARTH_TYPE_F16; type++) {
		unsigned int size = type == HEARTH_TYPE_F16 ? 2 : 4;
		uint32_t cache_n = heads * n_ctx * dim;
		float *src = floats(f, rows * heads * dim, true);
		int32_t *pos = ks_alloc(&f->ks, rows * 4);
		uint8_t *cache = ks_alloc(&f->ks, cache_n * size);
		struct hearth_cmd_kv_write c = {
			.hdr = KS_HDR(KV_WRITE, hearth_cmd_kv_write),
			.src = ks_va(&f->ks, src), .pos = ks_va(&f->ks, pos),
			.cache = ks_va(&f->ks, cache), .rows = rows, .kv_heads = heads,
			.head_dim = dim, .n_ctx = n_ctx, .type = (uint8_t)type,
		};

		for (uint32_t i = 0; i < rows; i++)
			pos[i] = (const int32_t[]){ 4, 5, 6, 0, 11, 4 }[i];
		memset(cache, 0x5a, cache_n * size);
		check_isas(f, &c, cache, cache_n * size);
		for (uint32_t k = 0; k < cache_n; k++) {
			/* The last row that was written there. */
			static const int from[12] = { 3, -1, -1, -1, 5, 1, 2, -1, -1, -1, -1, 4 };
			int row = from[k / dim % n_ctx];
			uint32_t h = k / dim / n_ctx;
			float want;

			if (row < 0) {
				assert_int_equal(cache[k * size], 0x5a);
				continue;
			}
			want = src[((uint32_t)row * heads + h) * dim + k % dim];
			if (type == HEARTH_TYPE_F32)
				assert_int_equal(((uint32_t *)cache)[k], ks_bits(want));
			else
				assert_int_equal(((uint16_t *)cache)[k], hk_f16_from_f32(want));
		}
		f->ks.maps = 0;
		ks_run(&f->ks, f->ex, &c);
		assert_int_equal(f->ks.maps, 2 + heads * 4);	/* 4-6, 0, 11, 4 */
		pos[5] = (int32_t)n_ctx;
		memset(cache, 0x5a, cache_n * size);
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "pos");
		assert_int_equal(cache[4 * dim * size], 0x5a);
		ks_fini(&f->ks);
	}
}

/* Element @i of a row of Q8_0 */
static float q8_value(const uint8_t *row, uint32_t i)
{
	const uint8_t *block = row + i / 32 * 34;

	return hk_f32_from_f16((uint16_t)(block[0] | block[1] << 8)) *
	       (float)(int8_t)block[2 + i % 32];
}

static void test_kv_write_q(void **state)
{
	struct fixture *f = *state;
	const uint32_t rows = 7, heads = 2, dim = 64, n_ctx = 9, row = dim / 32 * 34;
	const uint32_t bytes = heads * n_ctx * row;
	float *src = floats(f, rows * heads * dim, false);
	int32_t *pos = ks_alloc(&f->ks, rows * 4);
	uint8_t *cache = ks_alloc(&f->ks, bytes);
	struct hearth_cmd_kv_write c = {
		.hdr = KS_HDR(KV_WRITE_Q, hearth_cmd_kv_write), .src = ks_va(&f->ks, src),
		.pos = ks_va(&f->ks, pos), .cache = ks_va(&f->ks, cache), .rows = rows,
		.kv_heads = heads, .head_dim = dim, .n_ctx = n_ctx, .type = HEARTH_TYPE_Q8_0,
	};

	for (uint32_t i = 0; i < rows; i++)
		pos[i] = (int32_t)(n_ctx - 1 - i);
	for (uint32_t i = 0; i < 32; i++) {
		src[i] = 0x1p-120f;		/* too small for a scale */
		src[32 + i] = i == 9 ? INFINITY : 1;
	}
	memset(cache, 0x5a, bytes);
	check_isas(f, &c, cache, bytes);
	for (uint32_t k = 0; k < rows * heads * dim; k++) {
		uint32_t h = k / dim % heads, i = k % dim, r = k / dim / heads;
		const uint8_t *at = cache + (h * n_ctx + (uint32_t)pos[r]) * row;
		float got = q8_value(at, i);

		if (k < 32)
			assert_true(got == 0);
		else if (k < 64)
			assert_true(got != got);
		else	/* half a step of 1 / 127, and the scale's rounding */
			assert_true(fabsf(got - src[k]) <= 0.5f / 127 + 0x1p-11f);
	}
	assert_int_equal(cache[0], 0x5a);	/* position 0 */
	for (uint32_t i = 0; i < rows * heads * dim; i++)
		src[i] = ks_odd(&f->rng);
	check_isas(f, &c, cache, bytes);
	c.head_dim = 48;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "head_dim");
	c.head_dim = dim;
	c.type = HEARTH_TYPE_F16;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "type");
}

static void test_kv_write_refuses(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_kv_write good = {
		.hdr = KS_HDR(KV_WRITE, hearth_cmd_kv_write),
		.src = ks_va(&f->ks, floats(f, 8, false)),
		.pos = ks_va(&f->ks, ks_alloc(&f->ks, 4)),
		.cache = ks_va(&f->ks, floats(f, 32, false)),
		.rows = 1, .kv_heads = 1, .head_dim = 8, .n_ctx = 4,
	}, c;

	ks_run(&f->ks, f->ex, &good);
	REFUSED(type, HEARTH_TYPE_BF16, "type");
	REFUSED(type, HEARTH_TYPE_Q8_0, "type");
	REFUSED(rows, 0, "rows");
	REFUSED(n_ctx, 0, "n_ctx");
	REFUSED(cache, good.src, "cache");
	REFUSED(pos, good.pos + 1, "pos");
	REFUSED(reserved[6], 1, "reserved");
}

struct attention {
	struct hearth_cmd_attention cmd;
	float *q, *k, *v, *dst;
	uint16_t *k16, *v16;
	int32_t *pos;
	uint32_t out, cache;
};

static void attention_init(struct fixture *f, struct attention *a, uint32_t rows,
			   uint32_t heads, uint32_t kv_heads, uint32_t dim, uint32_t n_ctx)
{
	a->out = rows * heads * dim;
	a->cache = kv_heads * n_ctx * dim;
	a->q = floats(f, a->out, false);
	a->k = floats(f, a->cache, false);
	a->v = floats(f, a->cache, false);
	a->dst = ks_alloc(&f->ks, a->out * 4);
	a->pos = ks_alloc(&f->ks, rows * 4);
	a->k16 = ks_alloc(&f->ks, a->cache * 2);
	a->v16 = ks_alloc(&f->ks, a->cache * 2);
	for (uint32_t i = 0; i < rows; i++)
		a->pos[i] = (int32_t)(n_ctx - rows + i);
	a->cmd = (struct hearth_cmd_attention){
		.hdr = KS_HDR(ATTENTION, hearth_cmd_attention),
		.q = ks_va(&f->ks, a->q), .k = ks_va(&f->ks, a->k),
		.v = ks_va(&f->ks, a->v), .pos = ks_va(&f->ks, a->pos),
		.dst = ks_va(&f->ks, a->dst), .rows = rows, .heads = heads,
		.kv_heads = kv_heads, .head_dim = dim, .n_ctx = n_ctx,
		.scale = ks_bits(1 / sqrtf((float)dim)),
	};
}

static void use_f16(struct fixture *f, struct attention *a)
{
	for (uint32_t i = 0; i < a->cache; i++) {
		a->k16[i] = hk_f16_from_f32(a->k[i]);
		a->v16[i] = hk_f16_from_f32(a->v[i]);
		a->k[i] = hk_f32_from_f16(a->k16[i]);
		a->v[i] = hk_f32_from_f16(a->v16[i]);
	}
	a->cmd.k = ks_va(&f->ks, a->k16);
	a->cmd.v = ks_va(&f->ks, a->v16);
	a->cmd.type = HEARTH_TYPE_F16;
}

/* The plain command, and the one that says more */
static struct hearth_cmd_attention_2 longer(const struct attention *a, uint32_t window, float cap)
{
	struct hearth_cmd_attention_2 c = { .base = a->cmd, .window = window,
					    .softcap = ks_bits(cap) };

	c.base.hdr = (struct hearth_cmd_header)KS_HDR(ATTENTION_2, hearth_cmd_attention_2);
	return c;
}

static double capped(double s, double cap)
{
	return cap > 0 ? cap * tanh(s / cap) : s;
}

static void check_attention_2(const struct attention *a, uint32_t window, double cap)
{
	const struct hearth_cmd_attention *c = &a->cmd;

	for (uint32_t i = 0; i < c->rows * c->heads; i++) {
		uint32_t n = (uint32_t)a->pos[i / c->heads] + 1;
		uint32_t kv = i % c->heads / (c->heads / c->kv_heads);
		const float *k = a->k + (size_t)kv * c->n_ctx * c->head_dim;
		const float *v = a->v + (size_t)kv * c->n_ctx * c->head_dim;
		double *e = calloc(n, sizeof(*e)), sum = 0;
		uint32_t first = window && n > window ? n - window : 0;

		for (uint32_t t = first; t < n; t++) {
			for (uint32_t d = 0; d < c->head_dim; d++)
				e[t] += (double)a->q[i * c->head_dim + d] * k[t * c->head_dim + d];
			e[t] = exp(capped(e[t] * ks_float(c->scale), cap));
			sum += e[t];
		}
		for (uint32_t d = 0; d < c->head_dim; d++) {
			double want = 0;

			for (uint32_t t = 0; t < n; t++)
				want += e[t] / sum * v[t * c->head_dim + d];
			assert_true(fabs(a->dst[i * c->head_dim + d] - want) < 2e-6);
		}
		free(e);
	}
}

static void check_attention(const struct attention *a)
{
	check_attention_2(a, 0, 0);
}

static void test_attention(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shapes[][5] = {	/* rows, heads, kv_heads, dim, n_ctx */
		{ 1, 1, 1, 1, 1 }, { 1, 4, 2, 8, 20 }, { 3, 6, 6, 48, 70 },
		{ 5, 8, 2, 64, 200 }, { 70, 3, 1, 24, 70 }, { 2, 20, 10, 33, 65 },
		{ 9, 4, 2, 8, 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shapes) * 2; i++) {
		const uint32_t *s = shapes[i / 2];
		struct attention a;

		attention_init(f, &a, s[0], s[1], s[2], s[3], s[4]);
		if (i % 2)
			use_f16(f, &a);
		check_isas(f, &a.cmd, a.dst, a.out * 4);
		check_attention(&a);
		for (uint32_t k = 0; k < a.cache / 8 + 1; k++) {
			uint32_t at = ks_u32(&f->rng) % a.cache;

			a.k[at] = ks_odd(&f->rng);
			a.v[at] = ks_odd(&f->rng);
			a.k16[at] = (uint16_t)ks_u32(&f->rng);
			a.v16[at] = (uint16_t)ks_u32(&f->rng);
		}
		check_isas(f, &a.cmd, a.dst, a.out * 4);
		check_nan(a.dst, a.out);
		ks_fini(&f->ks);
	}
}

static void use_q8(struct fixture *f, struct attention *a, uint8_t **k8, uint8_t **v8)
{
	const struct hearth_cmd_attention *c = &a->cmd;
	uint32_t row = c->head_dim / 32 * 34, rows = c->kv_heads * c->n_ctx;

	*k8 = ks_alloc(&f->ks, rows * row);
	*v8 = ks_alloc(&f->ks, rows * row);
	for (uint32_t i = 0; i < rows * row; i++) {
		(*k8)[i] = (uint8_t)ks_u32(&f->rng);
		(*v8)[i] = (uint8_t)ks_u32(&f->rng);
	}
	/* scales around 1 / 128 */
	for (uint32_t i = 0; i < rows * row; i += 34) {
		(*k8)[i + 1] = 0x20 + i % 2;
		(*v8)[i + 1] = 0x1f;
	}
	for (uint32_t i = 0; i < a->cache; i++) {
		a->k[i] = q8_value(*k8 + i / c->head_dim * row, i % c->head_dim);
		a->v[i] = q8_value(*v8 + i / c->head_dim * row, i % c->head_dim);
	}
	a->cmd.k = ks_va(&f->ks, *k8);
	a->cmd.v = ks_va(&f->ks, *v8);
	a->cmd.type = HEARTH_TYPE_Q8_0;
}

static void test_attention_2(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shapes[][5] = {	/* rows, heads, kv_heads, dim, n_ctx */
		{ 1, 1, 1, 32, 1 }, { 1, 4, 2, 64, 200 }, { 70, 3, 1, 32, 70 }, { 5, 20, 10, 96, 300 },
	};
	static const uint32_t windows[] = { 0, 1, 7, 64, 65, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(shapes) * ARRAY_SIZE(windows) * 3; i++) {
		const uint32_t *s = shapes[i % ARRAY_SIZE(shapes)];
		uint32_t window = windows[i / ARRAY_SIZE(shapes) % ARRAY_SIZE(windows)];
		unsigned int type = i / ARRAY_SIZE(shapes) / ARRAY_SIZE(windows);
		struct hearth_cmd_attention_2 c;
		float cap = i % 3 ? 0.5f : 0;
		uint8_t *k8 = NULL, *v8 = NULL;
		struct attention a;

		attention_init(f, &a, s[0], s[1], s[2], s[3], s[4]);
		if (type == 1)
			use_f16(f, &a);
		if (type == 2)
			use_q8(f, &a, &k8, &v8);
		c = longer(&a, window, cap);
		check_isas(f, &c, a.dst, a.out * 4);
		check_attention_2(&a, window, cap);
		/* rows that see little of what others see, or nothing */
		for (uint32_t k = 0; k < s[0]; k++)
			a.pos[k] = (int32_t)(ks_u32(&f->rng) % s[4]);
		check_isas(f, &c, a.dst, a.out * 4);
		check_attention_2(&a, window, cap);
		for (uint32_t k = 0; type == 2 && k < a.cache / 32 + 1; k++) {
			k8[ks_u32(&f->rng) % (a.cache / 32 * 34)] = (uint8_t)ks_u32(&f->rng);
			v8[ks_u32(&f->rng) % (a.cache / 32 * 34)] = (uint8_t)ks_u32(&f->rng);
		}
		few_odd(f, a.q, a.out);
		check_isas(f, &c, a.dst, a.out * 4);
		check_nan(a.dst, a.out);
		ks_fini(&f->ks);
	}
}

/* A short window reads no more than its part of the cache. */
static void test_attention_2_maps(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_attention_2 c;
	struct attention a;

	attention_init(f, &a, 2, 2, 1, 16, 4096);
	a.pos[0] = 3000;
	a.pos[1] = 3001;
	c = longer(&a, 100, 0);
	f->ks.most_maps = 0;
	f->ks.largest_map = 0;
	ks_run(&f->ks, f->ex, &c);
	check_attention_2(&a, 100, 0);
	/* 2880 to 3008 */
	assert_int_equal(f->ks.largest_map, 128 * 16 * 4);
}

struct shift {
	struct hearth_cmd_kv_shift cmd;
	uint8_t *cache;
	int32_t *shift;
	float *table;
	uint32_t row, bytes;
};

static void shift_init(struct fixture *f, struct shift *s, unsigned int type, uint32_t heads,
		       uint32_t dim, uint32_t n_ctx, uint32_t n_rot)
{
	unsigned int elements, size;

	hk_type_block(type, &elements, &size);
	s->row = dim / elements * size;
	s->bytes = heads * n_ctx * s->row;
	s->cache = ks_alloc(&f->ks, s->bytes);
	s->shift = ks_alloc(&f->ks, 12);
	s->table = n_rot ? ks_alloc(&f->ks, n_ctx * n_rot * 4) : NULL;
	for (uint32_t i = 0; i < n_ctx * n_rot / 2; i++) {
		s->table[2 * i] = cosf((float)i / 10);
		s->table[2 * i + 1] = sinf((float)i / 10);
	}
	s->cmd = (struct hearth_cmd_kv_shift){
		.hdr = KS_HDR(KV_SHIFT, hearth_cmd_kv_shift), .cache = ks_va(&f->ks, s->cache),
		.shift = ks_va(&f->ks, s->shift), .table = n_rot ? ks_va(&f->ks, s->table) : 0,
		.kv_heads = heads, .head_dim = dim, .n_ctx = n_ctx, .n_rot = n_rot,
		.type = (uint8_t)type,
	};
}

static void set_shift(struct shift *s, int32_t first, int32_t by, int32_t n)
{
	s->shift[0] = first;
	s->shift[1] = by;
	s->shift[2] = n;
}

/* Fill with values of about 1. */
static void fill_cache(struct fixture *f, struct shift *s)
{
	for (uint32_t i = 0; i < s->bytes; i++)
		s->cache[i] = (uint8_t)ks_u32(&f->rng);
	for (uint32_t i = 0; s->cmd.type == HEARTH_TYPE_F32 && i < s->bytes / 4; i++)
		((float *)s->cache)[i] = ks_unit(&f->rng);
	for (uint32_t i = 0; s->cmd.type == HEARTH_TYPE_F16 && i < s->bytes / 2; i++)
		((uint16_t *)s->cache)[i] = hk_f16_from_f32(ks_unit(&f->rng));
	for (uint32_t i = 0; s->cmd.type == HEARTH_TYPE_Q8_0 && i < s->bytes; i += 34)
		s->cache[i + 1] = 0x1f;
}

static float value_of(const struct shift *s, const uint8_t *row, uint32_t i)
{
	return s->cmd.type == HEARTH_TYPE_F32 ? ((const float *)row)[i] :
	       s->cmd.type == HEARTH_TYPE_F16 ? hk_f32_from_f16(((const uint16_t *)row)[i]) :
						q8_value(row, i);
}

/* Row @to is what row @from was, turned back */
static void check_turned(const struct shift *s, const uint8_t *to, const uint8_t *from)
{
	const float *cs = s->table + (uint32_t)s->shift[1] * s->cmd.n_rot;
	double near = s->cmd.type == HEARTH_TYPE_F32 ? 0x1p-21 :
		      s->cmd.type == HEARTH_TYPE_F16 ? 0x1p-10 : 0.02;
	uint32_t half = s->cmd.n_rot / 2;

	for (uint32_t i = 0; i < half; i++) {
		uint32_t a = s->cmd.mode ? i : 2 * i, b = s->cmd.mode ? i + half : 2 * i + 1;
		double x = value_of(s, from, a), y = value_of(s, from, b);
		double c = cs[2 * i], d = cs[2 * i + 1];

		assert_true(fabs(value_of(s, to, a) - (x * c + y * d)) < near);
		assert_true(fabs(value_of(s, to, b) - (y * c - x * d)) < near);
	}
	for (uint32_t i = s->cmd.n_rot; i < s->cmd.head_dim; i++)
		assert_true(fabs(value_of(s, to, i) - value_of(s, from, i)) < near);
}

static void check_shift(struct fixture *f, struct shift *s)
{
	uint32_t first = (uint32_t)s->shift[0], by = (uint32_t)s->shift[1];
	uint8_t *before = malloc(s->bytes);

	fill_cache(f, s);
	memcpy(before, s->cache, s->bytes);
	check_isas(f, &s->cmd, s->cache, s->bytes);
	for (uint32_t i = 0; i < s->cmd.kv_heads * s->cmd.n_ctx; i++) {
		uint32_t t = i % s->cmd.n_ctx;
		const uint8_t *to = s->cache + i * s->row, *from = before + (i + by) * s->row;

		if (!by || t < first || t >= first + (uint32_t)s->shift[2])
			assert_memory_equal(to, before + i * s->row, s->row);
		else if (!s->table)
			assert_memory_equal(to, from, s->row);
		else
			check_turned(s, to, from);
	}
	free(before);
}

static void test_kv_shift(void **state)
{
	struct fixture *f = *state;
	static const unsigned int types[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_Q8_0 };
	static const int32_t shifts[][3] = { { 0, 1, 29 }, { 4, 13, 13 }, { 0, 0, 30 }, { 7, 5, 0 },
					     { 2, 20, 8 }, { 0, 29, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(shifts) * 3; i++) {
		const int32_t *v = shifts[i / 3 % ARRAY_SIZE(shifts)];
		struct shift s;

		shift_init(f, &s, types[i / 3 / ARRAY_SIZE(shifts)], 3, 64, 30,
			   i % 3 == 0 ? 0 : i % 3 == 1 ? 64 : 32);
		s.cmd.mode = s.table && i / 3 % 2;
		set_shift(&s, v[0], v[1], v[2]);
		check_shift(f, &s);
		ks_fini(&f->ks);
	}
}

static void test_kv_shift_refuses(void **state)
{
	struct fixture *f = *state;
	static const int32_t bad[][3] = {
		{ -1, 1, 1 }, { 0, -1, 1 }, { 0, 1, -1 }, { 0, 1, 16 }, { 16, 1, 0 }, { 0, 16, 0 },
		{ INT32_MAX, INT32_MAX, 2 }, { 0, 16, -16 },
	};
	struct hearth_cmd_kv_shift good, c;
	struct shift s;

	shift_init(f, &s, HEARTH_TYPE_F16, 2, 32, 16, 32);
	good = s.cmd;
	set_shift(&s, 0, 1, 15);
	ks_run(&f->ks, f->ex, &good);
	REFUSED(type, HEARTH_TYPE_BF16, "type");
	REFUSED(type, HEARTH_TYPE_Q8_0_R8, "type");
	REFUSED(n_ctx, 0, "n_ctx");
	REFUSED(kv_heads, 0, "n_ctx");
	REFUSED(n_rot, 0, "n_rot");
	REFUSED(n_rot, 7, "n_rot");
	REFUSED(n_rot, 34, "n_rot");
	REFUSED(mode, 2, "mode");
	REFUSED(table, 0, "n_rot");
	REFUSED(table, good.table + 1, "table");
	REFUSED(table, good.cache, "cache");
	REFUSED(shift, good.cache, "cache");
	REFUSED(cache, good.cache + 1, "cache");
	REFUSED(reserved[2], 1, "reserved");
	c = good;
	c.type = HEARTH_TYPE_Q8_0;
	c.head_dim = 24;
	c.n_rot = 24;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "head_dim");
	c = good;
	c.table = 0;
	c.n_rot = 0;
	c.mode = 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "mode");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set_shift(&s, bad[i][0], bad[i][1], bad[i][2]);
		ks_fail(&f->ks, f->ex, &good, -EINVAL, HEARTH_HW_ERR_OPERAND, "shift");
	}
	set_shift(&s, 0, 1, 15);
	for (unsigned long i = 1; i <= 3; i++) {
		f->ks.fail_map = i;
		ks_fail(&f->ks, f->ex, &good, -EFAULT,
			i == 3 ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ, NULL);
	}
}

/* In place, and with no more of the cache mapped than is in use. */
static void test_attention_maps(void **state)
{
	struct fixture *f = *state;
	const uint32_t dim = 16, n_ctx = 4096, kv_heads = 10;
	struct attention a;

	attention_init(f, &a, 1, 20, kv_heads, dim, n_ctx);
	a.pos[0] = 99;
	f->ks.most_maps = 0;
	ks_run(&f->ks, f->ex, &a.cmd);
	check_attention(&a);
	assert_int_equal(f->ks.largest_map, 128 * dim * 4);
	assert_int_equal(f->ks.maps, 3 + 2 * kv_heads);
	assert_true(f->ks.most_maps <= 19);
	a.cmd.dst = a.cmd.q;
	ks_run(&f->ks, f->ex, &a.cmd);
	assert_memory_equal(a.q, a.dst, a.out * 4);
	for (unsigned long i = 1; i <= 3 + 2 * kv_heads; i++) {
		f->ks.fail_map = i;
		ks_fail(&f->ks, f->ex, &a.cmd, -EFAULT,
			i == 3 ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ, NULL);
	}
}

static void test_attention_refuses(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_attention good, c;
	struct attention a;

	attention_init(f, &a, 2, 4, 2, 8, 16);
	good = a.cmd;
	REFUSED(type, HEARTH_TYPE_BF16, "type");
	REFUSED(type, HEARTH_TYPE_Q8_0, "type");
	REFUSED(kv_heads, 3, "kv_heads");
	REFUSED(kv_heads, 8, "kv_heads");
	REFUSED(kv_heads, 0, "n_ctx");
	REFUSED(heads, 0, "rows");
	REFUSED(n_ctx, HEARTH_CMD_MAX_DIM + 1, "n_ctx");
	REFUSED(scale, ks_bits(INFINITY), "scale");
	REFUSED(scale, ks_bits(NAN), "scale");
	REFUSED(dst, good.k, "dst");
	REFUSED(dst, good.q + 4, "dst");
	REFUSED(q, good.q + 1, "q");
	REFUSED(reserved[0], 1, "reserved");
	for (int i = 0; i < 3; i++) {
		a.pos[0] = (const int32_t[]){ 16, -1, INT32_MAX }[i];
		ks_fail(&f->ks, f->ex, &good, -EINVAL, HEARTH_HW_ERR_OPERAND, "pos");
	}
}

static void test_attention_2_refuses(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_attention_2 good, c;
	struct attention a;

	attention_init(f, &a, 2, 4, 2, 8, 16);
	good = longer(&a, 4, 50);
	ks_run(&f->ks, f->ex, &good);
	REFUSED(window, HEARTH_CMD_MAX_DIM + 1, "window");
	REFUSED(softcap, ks_bits(-1), "softcap");
	REFUSED(softcap, ks_bits(INFINITY), "softcap");
	REFUSED(softcap, ks_bits(NAN), "softcap");
	REFUSED(base.type, HEARTH_TYPE_BF16, "type");
	REFUSED(base.type, HEARTH_TYPE_Q8_0_R8, "type");
	REFUSED(base.type, HEARTH_TYPE_Q8_0, "head_dim");
	REFUSED(base.kv_heads, 3, "kv_heads");
	REFUSED(base.reserved[6], 1, "reserved");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kv_write),
		TEST(test_kv_write_q),
		TEST(test_kv_write_refuses),
		TEST(test_kv_shift),
		TEST(test_kv_shift_refuses),
		TEST(test_attention),
		TEST(test_attention_maps),
		TEST(test_attention_refuses),
		TEST(test_attention_2),
		TEST(test_attention_2_maps),
		TEST(test_attention_2_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
