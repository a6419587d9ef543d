// SPDX-License-Identifier: MIT
/*
 * Exponential, half floats and the rope table, against the host's libm in
 * double precision and, for the bits, against themselves as they were fixed.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_space.h"
#include "kernels/mathf.h"
#include "kernels/rope_table.h"

/* Error in units of the last place of the exact result. */
static double ulps(float got, double want)
{
	int e;

	frexp(want, &e);
	e = e < -125 ? -125 : e;	/* denormals have the smallest one */
	return fabs((double)got - want) / ldexp(1, e - 24);
}

static void test_exp_accuracy(void **state)
{
	double worst = 0;

	/* Every 97th float from -104 to 88.72. */
	for (uint32_t b = 0; b < 0x42d00000; b += 97) {
		float up = hk_f32_from_bits(b), down = -up;

		if (up < HK_EXP_MAX)
			worst = fmax(worst, ulps(hk_expf(up), exp(up)));
		worst = fmax(worst, ulps(hk_expf(down), exp(down)));
	}
	/* Half an ulp is the best there is. */
	assert_true(worst < 1.0);
}

static void test_exp_ends(void **state)
{
	assert_true(hk_expf(0.0f) == 1.0f);
	assert_true(hk_expf(-0.0f) == 1.0f);
	assert_true(hk_expf(HK_EXP_MAX) == INFINITY);
	assert_true(hk_expf(INFINITY) == INFINITY);
	assert_true(hk_expf(FLT_MAX) == INFINITY);
	assert_true(hk_expf(88.72283f) < INFINITY);
	assert_int_equal(hk_f32_bits(hk_expf(-104.0f)), 0);
	assert_int_equal(hk_f32_bits(hk_expf(-INFINITY)), 0);
	assert_int_equal(hk_f32_bits(hk_expf(-FLT_MAX)), 0);
	/* exp(-103.28) is near 2^-149. */
	assert_int_equal(hk_f32_bits(hk_expf(-103.28f)), 1);
	assert_true(isnan(hk_expf(hk_f32_from_bits(0x7fc12345))));
	assert_true(isnan(hk_expf(hk_f32_from_bits(0xff800001))));
}

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211ull;
	return h;
}

#define FNV_START	14695981039346656037ull

/* The bits are part of the contract: whoever changes them changes the spec. */
static void test_exp_bits(void **state)
{
	uint64_t h = FNV_START;

	for (uint32_t b = 0; b < 0x43000000; b += 1009) {
		float y[2] = { hk_expf(hk_f32_from_bits(b)),
			       hk_expf(-hk_f32_from_bits(b)) };

		h = fnv(h, y, sizeof(y));
	}
	assert_int_equal(h, 0x496c4fe193597b1dull);
}

static double half_value(uint16_t h)
{
	int e = h >> 10 & 31;
	double m = h & 1023;

	return (h & 0x8000 ? -1 : 1) * (e ? ldexp(1024 + m, e - 25) : ldexp(m, -24));
}

static void test_f16_to_f32(void **state)
{
	for (uint32_t h = 0; h < 65536; h++) {
		float x = hk_f32_from_f16((uint16_t)h);

		if ((h & 0x7fff) > 0x7c00)
			assert_int_equal(hk_f32_bits(x), HK_F32_NAN);
		else if ((h & 0x7fff) == 0x7c00)
			assert_true(x == (h & 0x8000 ? -INFINITY : INFINITY));
		else
			assert_true(x == half_value((uint16_t)h));
		assert_int_equal(hk_f32_bits(x) >> 31,
				 (h & 0x7fff) > 0x7c00 ? 0 : h >> 15);
	}
}

/* Between two neighbours: below the middle, the middle, above the middle. */
static void test_f32_to_f16(void **state)
{
	for (uint16_t h = 0; h < 0x7c00; h++) {
		float a = hk_f32_from_f16(h);
		/* The neighbour of the largest one would be 2^16. */
		double b = h == 0x7bff ? 65536.0 : half_value((uint16_t)(h + 1));
		float middle = (float)((a + b) / 2);
		uint16_t even = h & 1 ? (uint16_t)(h + 1) : h;

		assert_int_equal(hk_f16_from_f32(a), h);
		assert_int_equal(hk_f16_from_f32(-a), h | 0x8000);
		assert_int_equal(hk_f16_from_f32(nextafterf(middle, 0)), h);
		assert_int_equal(hk_f16_from_f32(middle), even);
		assert_int_equal(hk_f16_from_f32(-middle), even | 0x8000);
		assert_int_equal(hk_f16_from_f32(nextafterf(middle, INFINITY)), h + 1);
	}
	assert_int_equal(hk_f16_from_f32(INFINITY), 0x7c00);
	assert_int_equal(hk_f16_from_f32(-FLT_MAX), 0xfc00);
	assert_int_equal(hk_f16_from_f32(FLT_TRUE_MIN), 0);
	assert_int_equal(hk_f16_from_f32(hk_f32_from_bits(0xffc00000)), HK_F16_NAN);
	assert_int_equal(hk_f16_from_f32(hk_f32_from_bits(0x7f800001)), HK_F16_NAN);
}

/* All positions, in two pieces; freed by the caller */
static float *make_table(const struct hk_rope_params *p)
{
	float *table = malloc((size_t)p->n_ctx * p->n_rot * sizeof(*table));
	double *freqs = malloc(p->n_rot / 2 * sizeof(*freqs));
	uint32_t some = p->n_ctx / 3;

	assert_true(table && freqs);
	assert_int_equal(hk_rope_freqs(p, freqs), 0);
	hk_rope_rows(p, freqs, 0, some, table);
	hk_rope_rows(p, freqs, some, p->n_ctx - some, table + (size_t)some * p->n_rot);
	free(freqs);
	return table;
}

static void check_table(const struct hk_rope_params *p)
{
	float *table = make_table(p);
	double worst = 0, m = p->magnitude > 0 ? p->magnitude : 1;

	for (uint32_t pos = 0; pos < p->n_ctx; pos++) {
		for (uint32_t i = 0; i < p->n_rot / 2; i++) {
			const float *cs = table + (uint64_t)pos * p->n_rot + 2 * i;
			double f = pow(p->freq_base, -2.0 * i / p->n_rot);
			double a = pos * p->scale * (p->factors ? f / p->factors[i] : f);

			worst = fmax(worst, fabs(cs[0] / m - cos(a)));
			worst = fmax(worst, fabs(cs[1] / m - sin(a)));
		}
	}
	free(table);
	/*
	 * Half of 2^-24 for the rounding, twice that where values exceed 1, and
	 * pow()'s error times the angle.
	 */
	assert_true(worst < (m > 1 ? 0x1p-24 : 0x1p-25) + 1e-9);
}

static void test_rope_table_accuracy(void **state)
{
	const float factors[4] = { 1, 2.5f, 8, 32 };

	check_table(&(struct hk_rope_params){ 2048, 128, 10000, 1, NULL, 0 });
	check_table(&(struct hk_rope_params){ 512, 64, 500000, 0.25, NULL, 0 });
	check_table(&(struct hk_rope_params){ 131072, 8, 1000000, 1, factors, 0 });
	check_table(&(struct hk_rope_params){ 1, 2, 1, 1, NULL, 0 });
	check_table(&(struct hk_rope_params){ 512, 96, 10000, 1, NULL, 1.0 });
	check_table(&(struct hk_rope_params){ 512, 8, 10000, 1, factors, 1.1875 });
	check_table(&(struct hk_rope_params){ 100, 6, 1e300, 1, NULL, 0 });
}

static void test_rope_table_bits(void **state)
{
	struct hk_rope_params p = { 4096, 96, 10000, 1, NULL, 0 };
	float *table = make_table(&p);

	assert_int_equal(fnv(FNV_START, table, 4096 * 96 * sizeof(*table)), 0x4c097cb5a8f2ca4bull);
	free(table);
}

static void test_rope_table_refuses(void **state)
{
	const struct hk_rope_params good = { 16, 8, 10000, 1, NULL, 0 };
	float factors[4] = { 1, 1, 0, 1 };
	double freqs[4];
	struct hk_rope_params p;

#define REFUSED(field, value) do {					\
		p = good;						\
		p.field = value;					\
		assert_int_equal(hk_rope_freqs(&p, freqs), -EINVAL);	\
	} while (0)

	assert_int_equal(hk_rope_freqs(&good, freqs), 0);
	REFUSED(n_ctx, 0);
	REFUSED(n_ctx, HEARTH_CMD_MAX_DIM + 1);
	REFUSED(n_rot, 0);
	REFUSED(n_rot, 7);
	REFUSED(freq_base, 0.5);
	REFUSED(freq_base, NAN);
	REFUSED(freq_base, INFINITY);
	REFUSED(scale, 0);
	REFUSED(scale, -1);
	REFUSED(scale, NAN);
	REFUSED(magnitude, -1);
	REFUSED(magnitude, INFINITY);
	p = good;
	p.scale = 0x1p24;	/* 15 * 2^24 */
	assert_int_equal(hk_rope_freqs(&p, freqs), -EINVAL);
	p = good;
	p.factors = factors;
	assert_int_equal(hk_rope_freqs(&p, freqs), -EINVAL);
	factors[2] = INFINITY;
	assert_int_equal(hk_rope_freqs(&p, freqs), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exp_accuracy),
		cmocka_unit_test(test_exp_ends),
		cmocka_unit_test(test_exp_bits),
		cmocka_unit_test(test_f16_to_f32),
		cmocka_unit_test(test_f32_to_f16),
		cmocka_unit_test(test_rope_table_accuracy),
		cmocka_unit_test(test_rope_table_bits),
		cmocka_unit_test(test_rope_table_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
