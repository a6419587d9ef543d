// SPDX-License-Identifier: MIT
/*
 * The transformer ops but MATMUL, GET_ROWS and those of the KV cache: right against
 * double precision, the same bits on every ISA, every check of their commands.
 */
#include "float_ops.h"

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

static double silu(double x)
{
	return x / (1 + exp(-x));
}

static double gelu(double x)
{
	return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void check_glu(struct fixture *f, uint32_t n, bool odd, bool is_gelu)
{
	float *gate = floats(f, n, odd), *up = floats(f, n, odd);
	float *dst = ks_alloc(&f->ks, n * 4);
	struct hearth_cmd_glu c = {
		.hdr = { .op = is_gelu ? HEARTH_OP_GEGLU : HEARTH_OP_GLU, .bytes = sizeof(c) },
		.gate = ks_va(&f->ks, gate), .up = ks_va(&f->ks, up),
		.dst = ks_va(&f->ks, dst), .n = n, .mode = is_gelu,
	};

	for (uint32_t k = 0; k < n && !odd; k++)
		gate[k] *= is_gelu ? 8 : 100;
	check_isas(f, &c, dst, n * 4);
	check_nan(dst, n);
	for (uint32_t k = 0; k < n && !odd; k++) {
		double want = (is_gelu ? gelu(gate[k]) : silu(gate[k])) * up[k];

		/*
		 * Below -88.7 the exponential is infinite and silu 0. The double
		 * sum 1 + tanh loses what it is close to 0 by.
		 */
		assert_true(fabs(dst[k] - want) <= fabs(want) * 0x1p-19 +
			    (is_gelu ? 1e-14 : 3e-37));
	}
	c.mode ^= 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "mode");
	c.mode ^= 1;
	c.up += 2;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "up");
	ks_fini(&f->ks);
}

static void test_glu(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		check_glu(*state, lengths[i], i % 2, false);
		check_glu(*state, lengths[i], i % 2, true);
	}
}

/* What the gates are at their ends */
static void test_geglu_ends(void **state)
{
	struct fixture *f = *state;
	static const float in[] = { 0, -0.0f, 1e20f, -1e20f, INFINITY, -INFINITY, NAN, 0x1p-149f };
	static const float want[] = { 0, -0.0f, 1e20f, -0.0f, INFINITY, NAN, NAN, 0x1p-149f / 2 };
	uint32_t n = ARRAY_SIZE(in);
	float *gate = floats(f, n, false), *up = floats(f, n, false);
	struct hearth_cmd_glu c = {
		.hdr = KS_HDR(GEGLU, hearth_cmd_glu), .gate = ks_va(&f->ks, gate),
		.up = ks_va(&f->ks, up), .dst = ks_va(&f->ks, gate), .n = n, .mode = 1,
	};

	memcpy(gate, in, sizeof(in));
	for (uint32_t i = 0; i < n; i++)
		up[i] = 1;
	check_isas(f, &c, gate, sizeof(in));
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(ks_bits(gate[i]), ks_bits(hk_canon(want[i])));
}

static void test_softcap(void **state)
{
	struct fixture *f = *state;
	static const float caps[] = { 30, 50, 1, 0x1p-100f, 1e30f };

	for (size_t i = 0; i < ARRAY_SIZE(caps) * 2; i++) {
		const uint32_t n = 5000;
		float *src = floats(f, n, i % 2), *dst = ks_alloc(&f->ks, n * 4), cap = caps[i / 2];
		struct hearth_cmd_softcap c = {
			.hdr = KS_HDR(SOFTCAP, hearth_cmd_softcap), .src = ks_va(&f->ks, src),
			.dst = ks_va(&f->ks, dst), .n = n, .cap = ks_bits(cap),
		};

		/* from far below the cap to far above it */
		for (uint32_t k = 0; k < n && i % 2 == 0; k++)
			src[k] *= cap * expf((float)(k % 40) / 2 - 16);
		check_isas(f, &c, dst, n * 4);
		check_nan(dst, n);
		for (uint32_t k = 0; k < n; k++) {
			double want = cap * tanh((double)src[k] / cap);

			/* src / cap may be denormal, or nothing */
			assert_true(src[k] != src[k] || fabs(dst[k] - want) <=
				    fabs(want) * 0x1.8p-22 + fmaxf(cap, 1) * 0x1p-149);
			assert_true(!(fabsf(dst[k]) > cap));
		}
		c.dst = c.src;
		check_isas(f, &c, src, n * 4);
		assert_memory_equal(src, dst, n * 4);
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

static void test_softcap_refuses(void **state)
{
	struct fixture *f = *state;
	float *x = floats(f, 16, false);
	struct hearth_cmd_softcap good = {
		.hdr = KS_HDR(SOFTCAP, hearth_cmd_softcap), .src = ks_va(&f->ks, x),
		.dst = ks_va(&f->ks, x), .n = 8, .cap = ks_bits(30),
	}, c;

	ks_run(&f->ks, f->ex, &good);
	REFUSED(n, 0, "n");
	REFUSED(cap, 0, "cap");
	REFUSED(cap, ks_bits(-1), "cap");
	REFUSED(cap, ks_bits(INFINITY), "cap");
	REFUSED(cap, ks_bits(NAN), "cap");
	REFUSED(src, good.src + 1, "src");
	REFUSED(dst, good.src + 4, "dst");
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
		TEST(test_eltwise),
		TEST(test_eltwise_long),
		TEST(test_glu),
		TEST(test_geglu_ends),
		TEST(test_softcap),
		TEST(test_softcap_refuses),
		TEST(test_rms_norm),
		TEST(test_rms_norm_refuses),
		TEST(test_rope),
		TEST(test_rope_refuses),
		TEST(test_argmax),
		TEST(test_foreign_float_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
