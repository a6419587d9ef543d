// SPDX-License-Identifier: MIT
/*
 * Double precision with the four operations only, each in a fixed place:
 * IEEE 754 then defines every bit. Errors are some 1e-15 of an angle, far
 * below what is left after rounding to f32.
 */
#include <errno.h>
#include <math.h>

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

/* Around 0, up to pi / 4: Taylor's series, the last term first. */
static double sin_near(double r)
{
	double z = r * r, sum = 1;

	for (int n = 18; n >= 2; n -= 2)
		sum = 1 - sum * z / (n * (n + 1));
	return r * sum;
}

static double cos_near(double r)
{
	double z = r * r, sum = 1;

	for (int n = 17; n >= 1; n -= 2)
		sum = 1 - sum * z / (n * (n + 1));
	return sum;
}

static void cos_sin(double angle, double magnitude, float out[2])
{
	double k = (angle * TWO_OVER_PI + ROUND) - ROUND;
	double r = ((angle - k * PIO2_A) - k * PIO2_B) - k * PIO2_C;
	double c = cos_near(r) * magnitude, s = sin_near(r) * magnitude;

	switch ((uint32_t)k & 3) {
	case 0:
		out[0] = (float)c;
		out[1] = (float)s;
		break;
	case 1:
		out[0] = (float)-s;
		out[1] = (float)c;
		break;
	case 2:
		out[0] = (float)-c;
		out[1] = (float)-s;
		break;
	default:
		out[0] = (float)s;
		out[1] = (float)-c;
		break;
	}
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

uint64_t hk_rope_table_bytes(const struct hk_rope_params *p)
{
	return params_ok(p) ? (uint64_t)p->n_ctx * p->n_rot * sizeof(float) : 0;
}

static int fill_pair(const struct hk_rope_params *p, double log2_base, uint32_t i,
		     float *table)
{
	double freq = exp2_of(-((double)(2 * i) / p->n_rot) * log2_base);
	double magnitude = p->magnitude > 0 ? p->magnitude : 1;

	if (p->factors) {
		if (!isfinite(p->factors[i]) || p->factors[i] <= 0)
			return -EINVAL;
		freq = freq / p->factors[i];
	}
	if (!((p->n_ctx - 1) * p->scale * freq <= MAX_ANGLE))
		return -EINVAL;
	for (uint32_t pos = 0; pos < p->n_ctx; pos++)
		cos_sin(pos * p->scale * freq, magnitude,
			table + (uint64_t)pos * p->n_rot + 2 * i);
	return 0;
}

int hk_rope_table(const struct hk_rope_params *p, float *table)
{
	uint64_t fpenv;
	double log2_base;
	int ret = 0;

	if (!params_ok(p))
		return -EINVAL;
	fpenv = hk_fpenv_enter();
	log2_base = log2_of(p->freq_base);
	for (uint32_t i = 0; !ret && i < p->n_rot / 2; i++)
		ret = fill_pair(p, log2_base, i, table);
	hk_fpenv_leave(fpenv);
	return ret;
}
