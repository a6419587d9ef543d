// SPDX-License-Identifier: MIT
/*
 * NEON: the loops of pools over bytes, and the table of all 8-bit ops.
 */
#include "kernels/int8_lanes.h"
#include "kernels/reduce8.h"

static void max_neon(uint8_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	uint8x16_t flips = vdupq_n_u8(flip);
	size_t i;

	for (i = 0; i + 16 <= n; i += 16)
		vst1q_u8(x + i, vmaxq_u8(vld1q_u8(x + i), veorq_u8(vld1q_u8(src + i), flips)));
	hk_max8(x + i, src + i, flip, n - i);
}

static void sum_neon(int32_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	size_t i;

	for (i = 0; i + 16 <= n; i += 16) {
		struct wide v = widen(vld1q_u8(src + i), flip, 0);

		vst1q_s32(x + i, vaddw_s16(vld1q_s32(x + i), vget_low_s16(v.lo)));
		vst1q_s32(x + i + 4, vaddw_high_s16(vld1q_s32(x + i + 4), v.lo));
		vst1q_s32(x + i + 8, vaddw_s16(vld1q_s32(x + i + 8), vget_low_s16(v.hi)));
		vst1q_s32(x + i + 12, vaddw_high_s16(vld1q_s32(x + i + 12), v.hi));
	}
	hk_sum8(x + i, src + i, flip, n - i);
}

/* v / count towards zero, by doubles: see divide4() of int8_avx2.c. */
static inline int32x4_t divide4(int32x4_t v, float64x2_t count)
{
	float64x2_t lo = vcvtq_f64_s64(vmovl_s32(vget_low_s32(v)));
	float64x2_t hi = vcvtq_f64_s64(vmovl_high_s32(v));

	return vmovn_high_s64(vmovn_s64(vcvtq_s64_f64(vdivq_f64(lo, count))),
			      vcvtq_s64_f64(vdivq_f64(hi, count)));
}

static void divide_neon(uint8_t *dst, const int32_t *x, int32_t bias, int32_t count,
			int32_t min, int32_t max, size_t n)
{
	const int32x4_t half = vdupq_n_s32(count / 2), minus = vdupq_n_s32(-(count / 2));
	const float64x2_t counts = vdupq_n_f64(count);
	const struct out8 out = out8(0, (uint32_t)min, (uint32_t)max);
	size_t i;

	for (i = 0; i + 16 <= n; i += 16) {
		int32x4_t v[4];

		for (int j = 0; j < 4; j++) {
			v[j] = vsubq_s32(vld1q_s32(x + i + 4 * j), vdupq_n_s32(bias));
			v[j] = vaddq_s32(v[j], vbslq_s32(vcgtzq_s32(v[j]), half, minus));
			v[j] = out8_clamp(&out, divide4(v[j], counts));
		}
		vst1q_u8(dst + i, pack8(v));
	}
	hk_divide8(dst + i, x + i, bias, count, min, max, n - i);
}

#define NEON_KERNELS \
	.depthwise = hk_depthwise_neon, \
	.gemv = hk_gemv_dotprod, \
	.add = hk_add_lanes, \
	.mul = hk_mul_lanes, \
	.max = max_neon, \
	.sum = sum_neon, \
	.divide = divide_neon

const struct hk_int8_isa hk_int8_dotprod = {
	NEON_KERNELS,
	.conv = hk_conv_dotprod,
};

const struct hk_int8_isa hk_int8_i8mm = {
	NEON_KERNELS,
	.conv = hk_conv_i8mm,
};
