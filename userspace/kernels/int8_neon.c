// SPDX-License-Identifier: MIT
/*
 * NEON: the 8-bit ops that go element by element, and the table of all.
 */
#include "kernels/int8_neon.h"
#include "kernels/reduce8.h"

struct scale8 {
	int32x4_t multiplier, left, right;
};

static struct scale8 scale8(const struct hearth_requant *rq)
{
	int32_t shift = (int32_t)rq->shift;

	return (struct scale8){
		vdupq_n_s32((int32_t)rq->multiplier), vdupq_n_s32(shift > 0 ? shift : 0),
		vdupq_n_s32(shift > 0 ? 0 : -shift),
	};
}

static inline int32x4_t scale(int32x4_t x, const struct scale8 *s)
{
	return requantize(x, s->multiplier, s->left, s->right);
}

struct binary {
	const struct hk_binary8 *bin;
	const uint8_t *b;
	struct scale8 a_scale, b_scale, dst_scale;
	int32x4_t left_shift;
	struct out8 out;
};

static struct binary binary(const struct hk_binary8 *bin, size_t from)
{
	const struct hearth_cmd_binary_q *cmd = bin->cmd;

	return (struct binary){
		.bin = bin,
		.b = bin->b + from % bin->b_n - from,
		.a_scale = scale8(&cmd->a_scale),
		.b_scale = scale8(&cmd->b_scale),
		.dst_scale = scale8(&cmd->dst_scale),
		.left_shift = vdupq_n_s32((int32_t)cmd->left_shift),
		.out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max),
	};
}

static inline int32x4_t add4(const struct binary *bn, int32x4_t x, int32x4_t y)
{
	x = scale(vshlq_s32(x, bn->left_shift), &bn->a_scale);
	y = scale(vshlq_s32(y, bn->left_shift), &bn->b_scale);
	return out8_clamp(&bn->out, scale(vaddq_s32(x, y), &bn->dst_scale));
}

static inline int32x4_t mul4(const struct binary *bn, int32x4_t x, int32x4_t y)
{
	return out8_clamp(&bn->out, scale(vmulq_s32(x, y), &bn->dst_scale));
}

typedef int32x4_t (*fn4)(const struct binary *bn, int32x4_t x, int32x4_t y);

/* @n elements from @i on, at most 16 */
static inline __attribute__((always_inline)) void
binary16(const struct binary *bn, size_t i, size_t n, fn4 fn)
{
	const struct hk_binary8 *bin = bn->bin;
	struct wide x = widen(load_some(bin->a + i, n, 0), bin->a_flip, bin->a_zero);
	struct wide y = widen(load_some(bn->b + i, n, 0), bin->b_flip, bin->b_zero);
	int32x4_t out[4];

	out[0] = fn(bn, vmovl_s16(vget_low_s16(x.lo)), vmovl_s16(vget_low_s16(y.lo)));
	out[1] = fn(bn, vmovl_high_s16(x.lo), vmovl_high_s16(y.lo));
	out[2] = fn(bn, vmovl_s16(vget_low_s16(x.hi)), vmovl_s16(vget_low_s16(y.hi)));
	out[3] = fn(bn, vmovl_high_s16(x.hi), vmovl_high_s16(y.hi));
	store_some(bin->dst + i, pack8(out), n);
}

static void add_neon(const struct hk_binary8 *bin, size_t from, size_t to)
{
	struct binary bn = binary(bin, from);
	size_t i;

	for (i = from; i + 16 <= to; i += 16)
		binary16(&bn, i, 16, add4);
	if (i < to)
		binary16(&bn, i, to - i, add4);
}

static void mul_neon(const struct hk_binary8 *bin, size_t from, size_t to)
{
	struct binary bn = binary(bin, from);
	size_t i;

	for (i = from; i + 16 <= to; i += 16)
		binary16(&bn, i, 16, mul4);
	if (i < to)
		binary16(&bn, i, to - i, mul4);
}

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
	.add = add_neon, \
	.mul = mul_neon, \
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
