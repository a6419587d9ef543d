/* SPDX-License-Identifier: MIT */
/*
 * What the NEON versions of the 8-bit ops share.
 */
#ifndef HEARTH_KERNELS_INT8_NEON_H
#define HEARTH_KERNELS_INT8_NEON_H

#include <arm_neon.h>

#include "kernels/int8.h"
#include "kernels/unroll.h"

void hk_conv_dotprod(const struct hk_conv *cv, struct hk_run *r);
void hk_conv_i8mm(const struct hk_conv *cv, struct hk_run *r);
void hk_gemv_dotprod(const struct hk_conv *cv, struct hk_run *r);
void hk_depthwise_neon(const struct hk_conv *cv, struct hk_run *r);

/*
 * hk_requantize(). SQRDMULH is hk_mul_high(): it would saturate for two times
 * INT32_MIN only, and a multiplier is not negative. SRSHL takes halves up; one
 * less for what is negative and shifted makes that away from zero, and it does
 * not matter to what is no half.
 */
static inline int32x4_t requantize(int32x4_t x, int32x4_t multiplier, int32x4_t left,
				   int32x4_t right)
{
	int32x4_t minus = vnegq_s32(right);

	x = vqrdmulhq_s32(vshlq_s32(x, left), multiplier);
	x = vqaddq_s32(x, vshrq_n_s32(vandq_s32(x, minus), 31));
	return vrshlq_s32(x, minus);
}

/* How the outputs of an op are finished */
struct out8 {
	int32x4_t zero, min, max;
};

static inline struct out8 out8(uint32_t zero, uint32_t min, uint32_t max)
{
	return (struct out8){
		vdupq_n_s32((int32_t)zero), vdupq_n_s32((int32_t)min),
		vdupq_n_s32((int32_t)max),
	};
}

static inline int32x4_t out8_clamp(const struct out8 *o, int32x4_t x)
{
	return vminq_s32(vmaxq_s32(vaddq_s32(x, o->zero), o->min), o->max);
}

/* Sums of channels @c to @c + 3 to outputs */
static inline int32x4_t channels_out(const struct hk_channels *ch, uint32_t c,
				     const struct out8 *out, int32x4_t acc)
{
	acc = vaddq_s32(acc, vld1q_s32(ch->bias + c));
	acc = requantize(acc, vld1q_s32(ch->multiplier + c), vld1q_s32(ch->left + c),
			 vld1q_s32(ch->right + c));
	return out8_clamp(out, acc);
}

/* The low bytes of 16 numbers */
static inline uint8x16_t pack8(const int32x4_t x[4])
{
	uint16x8_t lo = vuzp1q_u16(vreinterpretq_u16_s32(x[0]), vreinterpretq_u16_s32(x[1]));
	uint16x8_t hi = vuzp1q_u16(vreinterpretq_u16_s32(x[2]), vreinterpretq_u16_s32(x[3]));

	return vuzp1q_u8(vreinterpretq_u8_u16(lo), vreinterpretq_u8_u16(hi));
}

/* 16 bytes, of which @n are at @p; the others are @fill. */
static inline uint8x16_t load_some(const uint8_t *p, size_t n, uint8_t fill)
{
	uint8_t bytes[16];

	if (n >= 16)
		return vld1q_u8(p);
	memset(bytes, fill, sizeof(bytes));
	memcpy(bytes, p, n);
	return vld1q_u8(bytes);
}

static inline void store_some(uint8_t *p, uint8x16_t x, size_t n)
{
	uint8_t bytes[16];

	if (n >= 16) {
		vst1q_u8(p, x);
		return;
	}
	vst1q_u8(bytes, x);
	memcpy(p, bytes, n);
}

struct wide {
	int16x8_t lo, hi;
};

/* (byte ^ flip) - zero of 16 bytes; @zero is 0 to 255. */
static inline struct wide widen(uint8x16_t x, uint8_t flip, int32_t zero)
{
	uint8x16_t z = vdupq_n_u8((uint8_t)zero);

	x = veorq_u8(x, vdupq_n_u8(flip));
	return (struct wide){
		vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(x), vget_low_u8(z))),
		vreinterpretq_s16_u16(vsubl_high_u8(x, z)),
	};
}

#endif /* HEARTH_KERNELS_INT8_NEON_H */
