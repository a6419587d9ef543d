// SPDX-License-Identifier: MIT
/*
 * The transformer ops but MATMUL: right against double precision, the same
 * bits on every ISA, every check of their commands.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_space.h"
#include "kernels/f16.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct fixture {
	struct kspace ks;
	struct ks_rng rng;
	struct hk_exec *ex;
};

static int setup(void **state)
{
	static struct fixture f;

	ks_init(&f.ks);
	f.rng.s = 11;
	f.ex = hk_exec_create(NULL, NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hk_exec_destroy(f->ex);
	ks_fini(&f->ks);
	return 0;
}

static float *floats(struct fixture *f, uint32_t n, bool odd)
{
	float *x = ks_alloc(&f->ks, n * 4ull);

	for (uint32_t i = 0; i < n; i++)
		x[i] = odd ? ks_odd(&f->rng) : ks_unit(&f->rng);
	return x;
}

/* Refill with few odd values, for sums to stay numbers. */
static void few_odd(struct fixture *f, float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = ks_u32(&f->rng) % 64 ? ks_unit(&f->rng) : ks_odd(&f->rng);
}

/*
 * Runs @cmd on every ISA, alone and with three threads; @out must come out
 * with the bits that plain C gives. @out starts as @before each time.
 */
static void check_isas(struct fixture *f, const void *cmd, void *out, size_t bytes)
{
	struct hk_pool *pool = hk_pool_create(3);
	uint8_t *before = malloc(bytes), *want = malloc(bytes);
	const struct hk_isa *isa;

	memcpy(before, out, bytes);
	for (unsigned int i = 0; (isa = hk_isa_list(i / 2)); i++) {
		struct hk_exec *ex = hk_exec_create(isa, i % 2 ? pool : NULL);

		memcpy(out, before, bytes);
		ks_run(&f->ks, ex, cmd);
		if (i == 0)
			memcpy(want, out, bytes);
		for (size_t k = 0; k < bytes; k++) {
			if (((uint8_t *)out)[k] != want[k])
				fail_msg("%s on %s: byte %zu differs from plain",
					 hk_op_name(((const struct hearth_cmd_header *)cmd)->op),
					 hk_isa_name(isa), k);
		}
		hk_exec_destroy(ex);
	}
	free(before);
	free(want);
	hk_pool_destroy(pool);
}

/* No NaN but the canonical one. */
static void check_nan(const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_true(x[i] == x[i] || ks_bits(x[i]) == HK_F32_NAN);
}

static const uint32_t lengths[] = { 1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100, 257, 1000 };

static void test_eltwise(void **state)
{
	struct fixture *f = *state;
	const uint16_t ops[] = { HEARTH_OP_ADD, HEARTH_OP_MUL };

	for (size_t i = 0; i < ARRAY_SIZE(lengths) * 2; i++) {
		uint32_t n = lengths[i / 2];
		float *a = floats(f, n, true), *b = floats(f, n, true);
		float *dst = ks_alloc(&f->ks, n * 4);
		struct hearth_cmd_binary c = {
			.hdr = { .op = ops[i % 2], .bytes = sizeof(c) },
			.a = ks_va(&f->ks, a), .b = ks_va(&f->ks, b),
			.dst = ks_va(&f->ks, dst), .n = n, .b_n = n,
		};

		check_isas(f, &c, dst, n * 4);
		check_nan(dst, n);
		for (uint32_t k = 0; k < n; k++) {
			float want = i % 2 ? a[k] * b[k] : a[k] + b[k];

			assert_true(dst[k] == want || want != want);
			assert_int_equal(dst[k] != dst[k], want != want);
		}
		/* b shorter than a */
		if (n % 4 == 0) {
			c.b_n = n / 4;
			check_isas(f, &c, dst, n * 4);
			for (uint32_t k = 0; k < n; k++) {
				float y = b[k % (n / 4)];

				if (a[k] == a[k] && y == y)
					assert_true(ks_bits(dst[k]) == ks_bits(hk_canon(
						i % 2 ? a[k] * y : a[k] + y)));
			}
		}
		ks_fini(&f->ks);
	}
}

/* Long enough for several tasks, with a broadcast that crosses them. */
static void test_eltwise_long(void **state)
{
	struct fixture *f = *state;
	const uint32_t b_n = 1000, n = b_n * 137;
	float *a = floats(f, n, true), *b = floats(f, b_n, false);
	float *dst = ks_alloc(&f->ks, n * 4);
	struct hearth_cmd_binary c = {
		.hdr = KS_HDR(MUL, hearth_cmd_binary),
		.a = ks_va(&f->ks, a), .b = ks_va(&f->ks, b),
		.dst = ks_va(&f->ks, dst), .n = n, .b_n = b_n,
	};

	check_isas(f, &c, dst, n * 4);
	for (uint32_t k = 0; k < n; k++)
		assert_true(ks_bits(dst[k]) == ks_bits(hk_canon(a[k] * b[k % b_n])));
}

static void test_glu(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		uint32_t n = lengths[i];
		float *gate = floats(f, n, i % 2), *up = floats(f, n, i % 2);
		float *dst = ks_alloc(&f->ks, n * 4);
		struct hearth_cmd_glu c = {
			.hdr = KS_HDR(GLU, hearth_cmd_glu),
			.gate = ks_va(&f->ks, gate), .up = ks_va(&f->ks, up),
			.dst = ks_va(&f->ks, dst), .n = n,
		};

		for (uint32_t k = 0; k < n && i % 2 == 0; k++)
			gate[k] *= 100;
		check_isas(f, &c, dst, n * 4);
		check_nan(dst, n);
		for (uint32_t k = 0; k < n && i % 2 == 0; k++) {
			double want = gate[k] / (1 + exp(-(double)gate[k])) * up[k];

			/* Below -88.7 the exponential is infinite and silu 0. */
			assert_true(fabs(dst[k] - want) <= fabs(want) * 0x1p-21 + 3e-37);
		}
		c.mode = 1;
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "mode");
		c.mode = 0;
		c.up += 2;
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "up");
		ks_fini(&f->ks);
	}
}

static void test_rms_norm(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		const uint32_t n = lengths[i], rows = 5;
		float *src = floats(f, rows * n, false), *w = floats(f, n, false);
		float *dst = ks_alloc(&f->ks, rows * n * 4);
		struct hearth_cmd_rms_norm c = {
			.hdr = KS_HDR(RMS_NORM, hearth_cmd_rms_norm),
			.src = ks_va(&f->ks, src), .weights = ks_va(&f->ks, w),
			.dst = ks_va(&f->ks, dst), .rows = rows, .n = n,
			.eps = ks_bits(1e-5f),
		};

		check_isas(f, &c, dst, rows * n * 4);
		for (uint32_t r = 0; r < rows; r++) {
			double ss = 0;

			for (uint32_t k = 0; k < n; k++)
				ss += (double)src[r * n + k] * src[r * n + k];
			for (uint32_t k = 0; k < n; k++) {
				double want = src[r * n + k] / sqrt(ss / n + 1e-5) * w[k];

				assert_true(fabs(dst[r * n + k] - want) <=
					    fabs(want) * 0x1p-20 + 1e-12);
			}
		}
		few_odd(f, src, rows * n);
		few_odd(f, w, n);
		check_isas(f, &c, dst, rows * n * 4);
		check_nan(dst, rows * n);
		c.dst = c.src;
		check_isas(f, &c, src, rows * n * 4);
		assert_memory_equal(src, dst, rows * n * 4);
		ks_fini(&f->ks);
	}
}

static void test_rms_norm_refuses(void **state)
{
	struct fixture *f = *state;
	float *src = floats(f, 8, false);
	struct hearth_cmd_rms_norm c = {
		.hdr = KS_HDR(RMS_NORM, hearth_cmd_rms_norm),
		.src = ks_va(&f->ks, src), .weights = ks_va(&f->ks, floats(f, 8, false)),
		.dst = ks_va(&f->ks, src), .rows = 1, .n = 8, .eps = ks_bits(1e-5f),
	};
	const float eps[] = { -1e-5f, -0.0f, INFINITY, NAN };

	ks_run(&f->ks, f->ex, &c);
	for (size_t i = 0; i < ARRAY_SIZE(eps); i++) {
		c.eps = ks_bits(eps[i]);
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "eps");
	}
	c.eps = 0;
	c.reserved = 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "reserved");
	c.reserved = 0;
	c.rows = 0;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "rows");
	c.rows = 1;
	c.dst = c.weights;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "dst");
}

/* Elements @a and @b turned by the angle of @cs, in double precision. */
static const double *turned(const float *x, uint32_t a, uint32_t b, const float *cs)
{
	static double y[2];

	y[0] = (double)x[a] * cs[0] - (double)x[b] * cs[1];
	y[1] = (double)x[a] * cs[1] + (double)x[b] * cs[0];
	return y;
}

static void test_rope(void **state)
{
	struct fixture *f = *state;
	static const uint32_t dims[][2] = { { 64, 64 }, { 8, 8 }, { 80, 32 }, { 6, 2 } };
	const uint32_t rows = 7, heads = 3, n_ctx = 20;

	for (size_t i = 0; i < ARRAY_SIZE(dims) * 2; i++) {
		uint32_t dim = dims[i / 2][0], n_rot = dims[i / 2][1];
		uint32_t n = rows * heads * dim, half = n_rot / 2;
		float *x = floats(f, n, false), *table = floats(f, n_ctx * n_rot, false);
		int32_t *pos = ks_alloc(&f->ks, rows * 4);
		float *src = malloc(n * 4);
		struct hearth_cmd_rope c = {
			.hdr = KS_HDR(ROPE, hearth_cmd_rope),
			.x = ks_va(&f->ks, x), .pos = ks_va(&f->ks, pos),
			.table = ks_va(&f->ks, table), .rows = rows, .heads = heads,
			.head_dim = dim, .n_rot = n_rot, .n_ctx = n_ctx, .mode = i % 2,
		};

		for (uint32_t r = 0; r < rows; r++)
			pos[r] = (int32_t)(ks_u32(&f->rng) % n_ctx);
		memcpy(src, x, n * 4);
		check_isas(f, &c, x, n * 4);
		for (uint32_t k = 0; k < n; k++) {
			uint32_t d = k % dim, pair = i % 2 ? d % half : d / 2;
			uint32_t a = k - d + (i % 2 ? pair : 2 * pair);
			uint32_t b = a + (i % 2 ? half : 1);
			const float *row = table + (uint32_t)pos[k / dim / heads] * n_rot;

			if (d < n_rot)
				assert_true(fabs(x[k] - turned(src, a, b, row + 2 * pair)[k != a])
					    < 0x1p-22);
			else
				assert_true(x[k] == src[k]);
		}
		few_odd(f, x, n);
		few_odd(f, table, n_ctx * n_rot);
		check_isas(f, &c, x, n * 4);
		free(src);
		ks_fini(&f->ks);
	}
}

static void test_rope_refuses(void **state)
{
	struct fixture *f = *state;
	float *x = floats(f, 2 * 8, false);
	int32_t *pos = ks_alloc(&f->ks, 8);
	struct hearth_cmd_rope good = {
		.hdr = KS_HDR(ROPE, hearth_cmd_rope),
		.x = ks_va(&f->ks, x), .pos = ks_va(&f->ks, pos),
		.table = ks_va(&f->ks, floats(f, 16 * 8, false)), .rows = 2, .heads = 1,
		.head_dim = 8, .n_rot = 8, .n_ctx = 16,
	}, c;
	float before[16];

#define REFUSED(member, value, name) do {						\
		c = good;								\
		c.member = value;							\
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, name);	\
	} while (0)
	ks_run(&f->ks, f->ex, &good);
	REFUSED(n_rot, 0, "n_rot");
	REFUSED(n_rot, 7, "n_rot");
	REFUSED(n_rot, 10, "n_rot");
	REFUSED(n_ctx, 0, "n_ctx");
	REFUSED(mode, 2, "mode");
	REFUSED(heads, 0, "rows");
	REFUSED(pos, good.x, "x");
	REFUSED(table, good.table + 1, "table");
	memcpy(before, x, sizeof(before));
	for (int i = 0; i < 3; i++) {
		pos[1] = (const int32_t[]){ 16, -1, INT32_MIN }[i];
		ks_fail(&f->ks, f->ex, &good, -EINVAL, HEARTH_HW_ERR_OPERAND, "pos");
		assert_memory_equal(x, before, sizeof(before));
	}
}

static void test_get_rows(void **state)
{
	struct fixture *f = *state;
	const uint32_t cols = 32, rows = 9, n = 5;
	const unsigned int types[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_BF16,
				       HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q8_0, HEARTH_TYPE_Q5_1 };

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		unsigned int elements, bytes;
		uint8_t *table;
		int32_t *ids = ks_alloc(&f->ks, n * 4);
		float *dst = ks_alloc(&f->ks, n * cols * 4);
		struct hearth_cmd_get_rows c = {
			.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
			.ids = ks_va(&f->ks, ids), .dst = ks_va(&f->ks, dst),
			.rows = rows, .cols = cols, .n = n, .type = (uint8_t)types[t],
		};

		hk_type_block(types[t], &elements, &bytes);
		table = ks_alloc(&f->ks, rows * cols / elements * bytes);
		c.table = ks_va(&f->ks, table);
		for (uint32_t i = 0; i < rows * cols / elements * bytes; i++)
			table[i] = (uint8_t)ks_u32(&f->rng);
		for (uint32_t i = 0; i < n; i++)
			ids[i] = (const int32_t[]){ 8, 0, 3, 3, 7 }[i];
		check_isas(f, &c, dst, n * cols * 4);
		if (types[t] == HEARTH_TYPE_F32)
			assert_memory_equal(dst + cols, table, cols * 4);
		else
			check_nan(dst, n * cols);
		assert_memory_equal(dst + 2 * cols, dst + 3 * cols, cols * 4);
		/* Only the rows that are read are mapped. */
		f->ks.bytes_mapped = 0;
		ks_run(&f->ks, f->ex, &c);
		assert_int_equal(f->ks.bytes_mapped,
				 n * 4 + n * cols * 4 + n * cols / elements * bytes);
		for (int i = 0; i < 3; i++) {
			ids[4] = (const int32_t[]){ 9, -1, INT32_MIN }[i];
			ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "ids");
		}
		ks_fini(&f->ks);
	}
}

static void test_get_rows_refuses(void **state)
{
	struct fixture *f = *state;
	int32_t *ids = ks_alloc(&f->ks, 8);
	struct hearth_cmd_get_rows good = {
		.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
		.table = ks_va(&f->ks, ks_alloc(&f->ks, 4 * 36)), .ids = ks_va(&f->ks, ids),
		.dst = ks_va(&f->ks, ks_alloc(&f->ks, 2 * 64 * 4)),
		.rows = 4, .cols = 64, .n = 2, .type = HEARTH_TYPE_Q4_0,
	}, c;

	ks_run(&f->ks, f->ex, &good);
	REFUSED(type, HEARTH_TYPE_I32, "type");
	REFUSED(cols, 33, "cols");
	REFUSED(cols, 0, "rows");
	REFUSED(n, 0, "n");
	REFUSED(table, good.table + 1, "table");
	REFUSED(ids, good.ids + 2, "ids");
	REFUSED(dst, good.table, "dst");
	REFUSED(reserved[0], 1, "reserved");
}

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

static void check_attention(const struct attention *a)
{
	const struct hearth_cmd_attention *c = &a->cmd;

	for (uint32_t i = 0; i < c->rows * c->heads; i++) {
		uint32_t n = (uint32_t)a->pos[i / c->heads] + 1;
		uint32_t kv = i % c->heads / (c->heads / c->kv_heads);
		const float *k = a->k + (size_t)kv * c->n_ctx * c->head_dim;
		const float *v = a->v + (size_t)kv * c->n_ctx * c->head_dim;
		double *e = calloc(n, sizeof(*e)), sum = 0;

		for (uint32_t t = 0; t < n; t++) {
			for (uint32_t d = 0; d < c->head_dim; d++)
				e[t] += (double)a->q[i * c->head_dim + d] * k[t * c->head_dim + d];
			e[t] = exp(e[t] * ks_float(c->scale));
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

static void test_attention(void **state)
{
	struct fixture *f = *state;
	static const uint32_t shapes[][5] = {	/* rows, heads, kv_heads, dim, n_ctx */
		{ 1, 1, 1, 1, 1 }, { 1, 4, 2, 8, 20 }, { 3, 6, 6, 48, 70 },
		{ 5, 8, 2, 64, 200 }, { 70, 3, 1, 24, 70 }, { 2, 20, 10, 33, 65 },
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

static void test_argmax(void **state)
{
	struct fixture *f = *state;
	static const float rows[][4] = {
		{ 1, 3, 3, 2 }, { NAN, -5, NAN, -6 }, { NAN, NAN, NAN, NAN },
		{ -INFINITY, -INFINITY, -1, NAN }, { 0.0f, -0.0f, 0.0f, -1 },
		{ NAN, -INFINITY, NAN, NAN }, { 1, NAN, INFINITY, INFINITY },
	};
	static const int32_t want[] = { 1, 1, 0, 2, 0, 1, 2 };
	float *src = ks_alloc(&f->ks, sizeof(rows));
	int32_t *dst = ks_alloc(&f->ks, sizeof(want));
	struct hearth_cmd_argmax c = {
		.hdr = KS_HDR(ARGMAX, hearth_cmd_argmax),
		.src = ks_va(&f->ks, src), .dst = ks_va(&f->ks, dst),
		.rows = ARRAY_SIZE(rows), .n = 4,
	};

	memcpy(src, rows, sizeof(rows));
	check_isas(f, &c, dst, sizeof(want));
	assert_memory_equal(dst, want, sizeof(want));
	c.n = 0;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "rows");
	c.n = 4;
	c.dst = c.src;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "dst");
}

#if defined(__x86_64__)
#include <xmmintrin.h>

/* Flush, denormals are zero, truncate. */
#define FOREIGN	(0x8040 | 0x6000)

static uint64_t get_mode(void)
{
	/* Not the flags of what has happened. */
	return _mm_getcsr() & ~0x3fu;
}

static void set_mode(uint64_t mode)
{
	_mm_setcsr((uint32_t)mode);
}
#elif defined(__aarch64__)
/* FZ, RMode towards zero. */
#define FOREIGN	(1u << 24 | 3u << 22)

static uint64_t get_mode(void)
{
	uint64_t mode;

	__asm__ volatile("mrs %0, fpcr" : "=r"(mode));
	return mode;
}

static void set_mode(uint64_t mode)
{
	__asm__ volatile("msr fpcr, %0" :: "r"(mode));
}
#endif

/* An application that flushes denormals gets the same bits, and keeps its mode. */
static void test_foreign_float_mode(void **state)
{
	struct fixture *f = *state;
	float *a = floats(f, 16, false), *dst = ks_alloc(&f->ks, 64);
	struct hearth_cmd_binary c = {
		.hdr = KS_HDR(ADD, hearth_cmd_binary),
		.a = ks_va(&f->ks, a), .b = ks_va(&f->ks, floats(f, 16, false)),
		.dst = ks_va(&f->ks, dst), .n = 16, .b_n = 1,
	};
	uint64_t old = get_mode();

	a[3] = 0x1p-140f;
	memset((void *)f->ks.buffer[2].ptr, 0, 64);	/* b */
	set_mode(old | FOREIGN);
	ks_run(&f->ks, f->ex, &c);
	assert_int_equal(get_mode(), old | FOREIGN);
	set_mode(old);
	assert_true(dst[3] == 0x1p-140f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_eltwise),
		TEST(test_eltwise_long),
		TEST(test_glu),
		TEST(test_rms_norm),
		TEST(test_rms_norm_refuses),
		TEST(test_rope),
		TEST(test_rope_refuses),
		TEST(test_get_rows),
		TEST(test_get_rows_refuses),
		TEST(test_kv_write),
		TEST(test_kv_write_refuses),
		TEST(test_attention),
		TEST(test_attention_maps),
		TEST(test_attention_refuses),
		TEST(test_argmax),
		TEST(test_foreign_float_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
