/* SPDX-License-Identifier: MIT */
/*
 * Sums of 16 lanes in four registers: what float_lanes.h wants of the ISA. Every arm64
 * CPU has what this takes.
 */
#ifndef HEARTH_KERNELS_FLOAT_NEON_H
#define HEARTH_KERNELS_FLOAT_NEON_H

#include <arm_neon.h>

#include "kernels/f16.h"
#include "kernels/float.h"
#include "kernels/unroll.h"

#define HK_INLINE static inline __attribute__((always_inline))

/* hk_f32_from_f16() in one instruction */
HK_INLINE float hk_f32_from_half(uint16_t h)
{
	return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

#define HK_BODY_F16(p)	hk_f32_from_half((uint16_t)((p)[0] | (p)[1] << 8))
#include "kernels/float_body.h"

typedef float32x4_t hk_vec;
typedef float32x4_t hk_four;

#define HK_VEC	4

/* See float_q8_lanes.h. */
#define HK_Q8_ROWS	2
#define HK_Q8_BLOCKS	1

struct hk_lanes {
	hk_vec v[4];
};

/* The first numbers of four pairs, and the second ones. */
struct hk_pairs {
	hk_four a, b;
};

HK_INLINE float hk_sum_16(struct hk_lanes l)
{
	float32x4_t s4 = vaddq_f32(vaddq_f32(l.v[0], l.v[2]), vaddq_f32(l.v[1], l.v[3]));

	return vpadds_f32(vadd_f32(vget_low_f32(s4), vget_high_f32(s4)));
}

/* Four trees at once: the sums of l[0] to l[3]. */
HK_INLINE hk_four hk_sum_4x16(const struct hk_lanes l[4])
{
	float32x4_t s4[4], s2[2];

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		s4[i] = vaddq_f32(vaddq_f32(l[i].v[0], l[i].v[2]),
				  vaddq_f32(l[i].v[1], l[i].v[3]));
	HK_UNROLL
	for (int i = 0; i < 2; i++) {
		float32x4_t a = s4[2 * i], b = s4[2 * i + 1];

		s2[i] = vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
				  vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
	}
	return vpaddq_f32(s2[0], s2[1]);
}

/* Four elements from element @i on, as f32. */
HK_INLINE hk_vec hk_vec_load(const void *p, unsigned int type, uint64_t i)
{
	const uint16_t *h = (const uint16_t *)p + i;

	switch (type) {
	case HEARTH_TYPE_F32:
		return vld1q_f32((const float *)p + i);
	case HEARTH_TYPE_F16:
		return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h)));
	default:
		return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(h), 16));
	}
}

HK_INLINE hk_vec hk_vec_splat(const float *p)
{
	return vld1q_dup_f32(p);
}

HK_INLINE void hk_vec_store(float *p, hk_vec v)
{
	vst1q_f32(p, v);
}

/* sum + a * b */
HK_INLINE hk_vec hk_vec_fma(hk_vec sum, hk_vec a, hk_vec b)
{
	return vfmaq_f32(sum, a, b);
}

HK_INLINE hk_vec hk_vec_canon(hk_vec x)
{
	return vbslq_f32(vceqq_f32(x, x), x, vreinterpretq_f32_u32(vdupq_n_u32(HK_F32_NAN)));
}

HK_INLINE hk_four hk_four_load(const float *p)
{
	return vld1q_f32(p);
}

HK_INLINE void hk_four_store(float *p, hk_four v)
{
	vst1q_f32(p, v);
}

HK_INLINE hk_four hk_four_mul(hk_four v, float by)
{
	return vmulq_n_f32(v, by);
}

/* Four pairs that lie one behind the other. */
HK_INLINE struct hk_pairs hk_pairs_load(const float *p)
{
	float32x4x2_t v = vld2q_f32(p);

	return (struct hk_pairs){ v.val[0], v.val[1] };
}

HK_INLINE void hk_pairs_store(float *p, struct hk_pairs x)
{
	vst2q_f32(p, (float32x4x2_t){ { x.a, x.b } });
}

/* By angles of the cosines by.a and the sines by.b: a' = a c - b s, b' = a s + b c */
HK_INLINE struct hk_pairs hk_pairs_turn(struct hk_pairs x, struct hk_pairs by)
{
	float32x4_t bs = vmulq_f32(x.b, by.b), bc = vmulq_f32(x.b, by.a);

	return (struct hk_pairs){
		hk_vec_canon(vfmaq_f32(vnegq_f32(bs), x.a, by.a)),
		hk_vec_canon(vfmaq_f32(bc, x.a, by.b)),
	};
}

/* Four rows of four become columns. */
HK_INLINE void hk_four_transpose(hk_four r[4])
{
	float32x4_t a = vzip1q_f32(r[0], r[2]), b = vzip2q_f32(r[0], r[2]);
	float32x4_t c = vzip1q_f32(r[1], r[3]), d = vzip2q_f32(r[1], r[3]);

	r[0] = vzip1q_f32(a, c);
	r[1] = vzip2q_f32(a, c);
	r[2] = vzip1q_f32(b, d);
	r[3] = vzip2q_f32(b, d);
}

/* Sixteen elements: half as many loads where they are 16 bits wide. */
HK_INLINE struct hk_lanes hk_load16(const void *p, unsigned int type, uint64_t i)
{
	const uint16_t *h = (const uint16_t *)p + i;
	struct hk_lanes l;

	for (int j = 0; j < 2; j++) {
		uint16x8_t v;

		if (type == HEARTH_TYPE_F32) {
			l.v[2 * j] = vld1q_f32((const float *)p + i + 8 * j);
			l.v[2 * j + 1] = vld1q_f32((const float *)p + i + 8 * j + 4);
			continue;
		}
		v = vld1q_u16(h + 8 * j);
		if (type == HEARTH_TYPE_F16) {
			l.v[2 * j] = vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(v)));
			l.v[2 * j + 1] = vcvt_high_f32_f16(vreinterpretq_f16_u16(v));
		} else {
			uint16x8_t zero = vdupq_n_u16(0);

			l.v[2 * j] = vreinterpretq_f32_u16(vzip1q_u16(zero, v));
			l.v[2 * j + 1] = vreinterpretq_f32_u16(vzip2q_u16(zero, v));
		}
	}
	return l;
}

/* Sixteen elements of a block with the scale @d. */
HK_INLINE struct hk_lanes hk_q8_load16(const uint8_t *x, float d)
{
	int8x16_t v = vreinterpretq_s8_u8(vld1q_u8(x));
	int16x8_t h[2] = { vmovl_s8(vget_low_s8(v)), vmovl_high_s8(v) };
	struct hk_lanes l;

	for (int j = 0; j < 2; j++) {
		l.v[2 * j] = vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(h[j]))), d);
		l.v[2 * j + 1] = vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(h[j])), d);
	}
	return l;
}

#endif /* HEARTH_KERNELS_FLOAT_NEON_H */
