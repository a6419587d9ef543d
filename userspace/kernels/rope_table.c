// SPDX-License-Identifier: MIT
/*
 * Double precision with the four operations only, each in a fixed place:
 * IEEE 754 then defines every bit. Errors are some 1e-15 of an angle, far
 * below what is left after rounding to f32.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>

#include <hw/hearth_cmd.h>

#include "kernels/fpenv.h"
#include "kernels/rope_table.h"

#define MAX_ANGLE	0x1p24
#define ROUND		0x1.8p+52	/* adding and subtracting it rounds to integer */

#define LN2		0x1.62e42fefa39efp-1
#define LOG2E		0x1.71547652b82fep+0
#define SQRT2		0x1.6a09e667f3bcdp+0
#define TWO_OVER_PI	0x1.45f306dc9c883p-1

/* pi / 2 in three parts; times an integer below 2^26 the first two are exact. */
#define PIO2_A		0x1.921fb54p+0
#define PIO2_B		0x1.10b461p-30
#define PIO2_C		0x1.a62633145c06ep-58

/* x is finite and at least 1. */
static double log2_of(double x)
{
	double e = 0, s, z, sum = 0;

	/* Halving is exact; at most 1024 times. */
	for (; x > SQRT2; x *= 0.5)
		e += 1;
	s = (x - 1) / (x + 1);
	z = s * s;
	for (int n = 23; n >= 1; n -= 2)
		sum = sum * z + 1.0 / n;
	return e + 2 * s * sum * LOG2E;
}

/* y is from -1024 to 0. */
static double exp2_of(double y)
{
	double n = (y + ROUND) - ROUND;
	double r = (y - n) * LN2, sum = 1;

	for (int k = 15; k >= 1; k--)
		sum = sum * r / k + 1;
	for (; n < 0; n += 1)
		sum *= 0.5;
	return sum;
}

/* A cosine and a sine: two lanes of one vector, for a step is a division. */
typedef double pair __attribute__((vector_size(16)));

/* Around 0, up to pi / 4: Taylor's series, the last term first. */
static pair cos_sin_near(double r)
{
	static const pair divisors[] = {
		{ 17 * 18, 18 * 19 }, { 15 * 16, 16 * 17 }, { 13 * 14, 14 * 15 },
		{ 11 * 12, 12 * 13 }, { 9 * 10, 10 * 11 }, { 7 * 8, 8 * 9 }, { 5 * 6, 6 * 7 },
		{ 3 * 4, 4 * 5 }, { 1 * 2, 2 * 3 },
	};
	double z = r * r;
	pair sum = { 1, 1 };

	for (size_t i = 0; i < sizeof(divisors) / sizeof(*divisors); i++)
		sum = 1 - sum * z / divisors[i];
	return sum * (pair){ 1, r };
}

static void cos_sin(double angle, double magnitude, float out[2])
{
	double k = (angle * TWO_OVER_PI + ROUND) - ROUND;
	double r = ((angle - k * PIO2_A) - k * PIO2_B) - k * PIO2_C;
	pair near = cos_sin_near(r) * magnitude;
	uint32_t quarter = (uint32_t)k & 3;
	static const float signs[4][2] = { { 1, 1 }, { -1, 1 }, { -1, -1 }, { 1, -1 } };

	/* no branch: the quarter is anyone's guess */
	out[0] = (float)near[quarter & 1] * signs[quarter][0];
	out[1] = (float)near[~quarter & 1] * signs[quarter][1];
}

static int params_ok(const struct hk_rope_params *p)
{
	if (!p->n_ctx || p->n_ctx > HEARTH_CMD_MAX_DIM || !p->n_rot || p->n_rot % 2 ||
	    p->n_rot > HEARTH_CMD_MAX_DIM)
		return 0;
	if ((uint64_t)p->n_ctx * p->n_rot > HEARTH_CMD_MAX_ELEMENTS)
		return 0;
	return isfinite(p->freq_base) && p->freq_base >= 1 && isfinite(p->scale) &&
	       p->scale > 0 && isfinite(p->magnitude) && p->magnitude >= 0;
}

static int fill_freqs(const struct hk_rope_params *p, double *freqs)
{
	double log2_base = log2_of(p->freq_base);

	for (uint32_t i = 0; i < p->n_rot / 2; i++) {
		freqs[i] = exp2_of(-((double)(2 * i) / p->n_rot) * log2_base);
		if (p->factors) {
			if (!isfinite(p->factors[i]) || p->factors[i] <= 0)
				return -EINVAL;
			freqs[i] = freqs[i] / p->factors[i];
		}
		if (!((p->n_ctx - 1) * p->scale * freqs[i] <= MAX_ANGLE))
			return -EINVAL;
	}
	return 0;
}

int hk_rope_freqs(const struct hk_rope_params *p, double *freqs)
{
	uint64_t fpenv;
	int ret;

	if (!params_ok(p))
		return -EINVAL;
	fpenv = hk_fpenv_enter();
	ret = fill_freqs(p, freqs);
	hk_fpenv_leave(fpenv);
	return ret;
}

void hk_rope_rows(const struct hk_rope_params *p, const double *freqs, uint32_t first, uint32_t n,
		  float *rows)
{
	double magnitude = p->magnitude > 0 ? p->magnitude : 1;
	uint64_t fpenv = hk_fpenv_enter();

	for (uint32_t pos = first; pos < first + n; pos++) {
		for (uint32_t i = 0; i < p->n_rot / 2; i++, rows += 2)
			cos_sin(pos * p->scale * freqs[i], magnitude, rows);
	}
	hk_fpenv_leave(fpenv);
}
