/* SPDX-License-Identifier: MIT */
/*
 * exp() and tanh() with defined bits: Documentation/arithmetic.rst gives the steps.
 * Branch-free, so that a compiler makes vectors of it.
 */
#ifndef HEARTH_KERNELS_MATHF_H
#define HEARTH_KERNELS_MATHF_H

#include <math.h>
#include <stdint.h>

#include "kernels/f16.h"

#define HK_EXP_MAX	0x1.62e430p+6f	/* 128 ln 2: infinity from here on */
#define HK_EXP_MIN	(-0x1.a00000p+6f)	/* -104: below half of 2^-149 */
#define HK_LOG2E	0x1.715476p+0f
#define HK_LN2_HI	0x1.62e430p-1f
#define HK_LN2_LO	(-0x1.05c610p-29f)
#define HK_ROUND	0x1.8p+23f	/* adding and subtracting it rounds to integer */

#define HK_EXP_C3	0x1.5554dcp-3f
#define HK_EXP_C4	0x1.55551ap-5f
#define HK_EXP_C5	0x1.120ba2p-7f
#define HK_EXP_C6	0x1.6d113cp-10f

static inline float hk_expf(float x)
{
	/* In range for the integer steps; the ends are set right below. */
	float c = x < HK_EXP_MAX ? x : HK_EXP_MAX;
	float n, r, p, y;
	int32_t k, half;

	c = c > HK_EXP_MIN ? c : HK_EXP_MIN;
	n = (c * HK_LOG2E + HK_ROUND) - HK_ROUND;
	r = fmaf(n, -HK_LN2_HI, c);
	r = fmaf(n, -HK_LN2_LO, r);
	p = fmaf(HK_EXP_C6, r, HK_EXP_C5);
	p = fmaf(p, r, HK_EXP_C4);
	p = fmaf(p, r, HK_EXP_C3);
	p = fmaf(p, r, 0.5f);
	p = fmaf(p, r, 1.0f);
	p = fmaf(p, r, 1.0f);
	/* 2^k in two exact factors: k goes from -150 to 128. */
	k = (int32_t)n;
	half = k >> 1;
	y = p * hk_f32_from_bits((uint32_t)(half + 127) << 23);
	y = y * hk_f32_from_bits((uint32_t)(k - half + 127) << 23);
	y = x < HK_EXP_MAX ? y : hk_f32_from_bits(0x7f800000);
	y = x > HK_EXP_MIN ? y : 0.0f;
	return x == x ? y : x;
}

static inline float hk_siluf(float x)
{
	return x / (1.0f + hk_expf(-x));
}

/* gelu by tanh: x / 2 (1 + tanh(u)) is x / (1 + exp(-2 u)). */
#define HK_GELU_C1	0x1.988454p+0f		/* 2 sqrt(2 / pi) */
#define HK_GELU_C3	0x1.2444f2p-4f		/* 0.044715 times that */

static inline float hk_geluf(float x)
{
	float w = x * fmaf(x * x, HK_GELU_C3, HK_GELU_C1);

	return x / (1.0f + hk_expf(-w));
}

#define HK_TANH_ODD	0.625f	/* below it an odd polynomial, above it exp() */
#define HK_TANH_C3	(-0x1.555532p-2f)
#define HK_TANH_C5	0x1.1106f6p-3f
#define HK_TANH_C7	(-0x1.b835a4p-5f)
#define HK_TANH_C9	0x1.51f8cep-6f
#define HK_TANH_C11	(-0x1.750ce4p-8f)

static inline float hk_tanhf(float x)
{
	float a = fabsf(x), z = x * x, p, y;

	p = fmaf(HK_TANH_C11, z, HK_TANH_C9);
	p = fmaf(p, z, HK_TANH_C7);
	p = fmaf(p, z, HK_TANH_C5);
	p = fmaf(p, z, HK_TANH_C3);
	y = copysignf(1.0f - 2.0f / (hk_expf(2.0f * a) + 1.0f), x);
	return a < HK_TANH_ODD ? fmaf(x * z, p, x) : y;
}

static inline float hk_softcapf(float x, float cap)
{
	return cap * hk_tanhf(x / cap);
}

#endif /* HEARTH_KERNELS_MATHF_H */
