/* SPDX-License-Identifier: MIT */
/*
 * int32 in NEON's registers, and bytes: what int8_lanes.h wants of the ISA.
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

typedef int32x4_t vec32;

#define VEC32	4

static inline vec32 load32(const int32_t *p)
{
	return vld1q_s32(p);
}

static inline vec32 splat32(int32_t x)
{
	return vdupq_n_s32(x);
}

static inline vec32 add32(vec32 a, vec32 b)
{
	return vaddq_s32(a, b);
}

static inline vec32 mul32(vec32 a, vec32 b)
{
	return vmulq_s32(a, b);
}

static inline vec32 shift_left32(vec32 x, vec32 n)
{
	return vshlq_s32(x, n);
}

static inline vec32 clamp32(vec32 x, vec32 min, vec32 max)
{
	return vminq_s32(vmaxq_s32(x, min), max);
}

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

/* The same of @n bytes, at most 16, as int32 */
static inline void widen32(vec32 to[4], const uint8_t *p, size_t n, uint8_t flip,
			   int32_t zero)
{
	struct wide x = widen(load_some(p, n, 0), flip, zero);

	to[0] = vmovl_s16(vget_low_s16(x.lo));
	to[1] = vmovl_high_s16(x.lo);
	to[2] = vmovl_s16(vget_low_s16(x.hi));
	to[3] = vmovl_high_s16(x.hi);
}

#endif /* HEARTH_KERNELS_INT8_NEON_H */
