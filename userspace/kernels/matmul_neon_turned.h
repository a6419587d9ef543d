/* SPDX-License-Identifier: MIT */
/*
 * Weights of which a lane is a row: SDOT takes four of each row, and four activations
 * out of sixteen that are loaded. Rows are turned to that; rows of eight lie so.
 */
#ifndef HEARTH_KERNELS_MATMUL_NEON_TURNED_H
#define HEARTH_KERNELS_MATMUL_NEON_TURNED_H

#include "kernels/matmul_neon_k.h"

/* Four neighbours of four rows in each: [rows / 4][elements / 4] */
struct turned {
	int8x16_t group[2][8];
};

/* Sixteen elements of four rows times @x */
HK_INLINE int32x4_t dot16(int32x4_t sum, const int8x16_t group[4], int8x16_t x)
{
	sum = vdotq_laneq_s32(sum, group[0], x, 0);
	sum = vdotq_laneq_s32(sum, group[1], x, 1);
	sum = vdotq_laneq_s32(sum, group[2], x, 2);
	return vdotq_laneq_s32(sum, group[3], x, 3);
}

HK_INLINE void add_turned(float acc[ROWS], const struct scales *s, const struct turned *t,
			  const struct hk_act *act, uint64_t at, const struct units how)
{
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	const int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
	float32x4_t dx = vld1q_dup_f32(act->d + at);

	for (int g = 0; g < 2; g++) {
		float32x4_t sum = vld1q_f32(acc + 4 * g);
		int32x4_t dot = dot16(vdupq_n_s32(0), t->group[g], x0);

		dot = dot16(dot, t->group[g] + 4, x1);
		sum = add_unit(sum, s->d[g], dx, to_float(dot, how.shift));
		if (how.min)
			sum = add_unit(sum, s->m[g], dx, vld1q_dup_f32(act->total + at));
		vst1q_f32(acc + 4 * g, sum);
	}
}

HK_INLINE void add_turned_k(int32_t dot[ROWS], const struct k_scales *s,
			    const struct turned *t, const int8_t *x, int u,
			    const struct units how)
{
	const int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
	const int last = u + (how.unit == 16);

	for (int g = 0; g < 2; g++) {
		int32x4_t sum = vld1q_s32(dot + 4 * g);
		int32x4_t d = dot16(vdupq_n_s32(0), t->group[g], x0);

		if (how.unit == 16) {
			sum = vmlaq_s32(sum, d, s->sc[u][g]);
			d = vdupq_n_s32(0);
		}
		d = dot16(d, t->group[g] + 4, x1);
		vst1q_s32(dot + 4 * g, vmlaq_s32(sum, d, s->sc[last][g]));
	}
}

/* Group @k of four elements of rows 4 @g to 4 @g + 3, in a field that begins at @p */
HK_INLINE uint8x16_t load4(const uint8_t *p, const int k, const int g)
{
	return vld1q_u8(p + 32 * k + 16 * g);
}

/* A word of each of these rows */
HK_INLINE uint32x4_t load_word(const uint8_t *p, const int i, const int g)
{
	return vreinterpretq_u32_u8(load4(p, i, g));
}

/* An f16 of each row */
HK_INLINE void load_halves(float32x4_t d[2], const uint8_t *p)
{
	for (int g = 0; g < 2; g++)
		d[g] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * g)));
}

/* 32 elements of Q4_0 or Q8_0 in rows of eight */
HK_INLINE void load_32(struct turned *t, const uint8_t *p, const bool q4)
{
	for (int g = 0; g < 2; g++) {
		for (int k = 0; k < (q4 ? 4 : 8); k++) {
			uint8x16_t v = load4(p, k, g);

			if (!q4) {
				t->group[g][k] = vreinterpretq_s8_u8(v);
				continue;
			}
			/* See q4_0(). */
			v = veorq_u8(v, vdupq_n_u8(0x88));
			t->group[g][k] = vreinterpretq_s8_u8(vshlq_n_u8(v, 4));
			t->group[g][k + 4] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(0xf0)));
		}
	}
}

/* Of a column of Q4_K, Q5_K or Q6_K */
HK_INLINE void load_scales_k(struct k_scales *s, const uint8_t *p, const unsigned int type)
{
	load_halves(s->d, p);
	if (type != HEARTH_TYPE_Q6_K)
		load_halves(s->minus, p + 16);
	for (int g = 0; g < 2; g++) {
		uint32x4_t in[4];

		if (type == HEARTH_TYPE_Q6_K) {
			for (int u = 0; u < 16; u++)
				s->sc[u][g] = byte_s(load_word(p + 16, u / 4, g), u % 4);
			continue;
		}
		s->minus[g] = vnegq_f32(s->minus[g]);
		for (int i = 0; i < 3; i++)
			in[i] = load_word(p + 32, i, g);
		set_q45_scales(s, in, g);
	}
}

/* Elements 32 @u to 32 @u + 31. Fields begin where eight blocks have those before them. */
HK_INLINE void load_unit_k(struct turned *t, const uint8_t *p, const int u,
			   const unsigned int type)
{
	const bool q6 = type == HEARTH_TYPE_Q6_K, fifth = type == HEARTH_TYPE_Q5_K;
	const uint8_t *bits = q6 ? p + ROWS * (146 + u / 4 * 32) : p + ROWS * 16;
	const uint8_t *low = q6 ? p + ROWS * (18 + u / 4 * 64 + u % 2 * 32) :
				  p + ROWS * ((fifth ? 48 : 16) + u / 2 * 32);

	for (int g = 0; g < 2; g++) {
		for (int k = 0; k < 8; k++) {
			uint8x16_t v = load4(low, k, g), high = load4(bits, k, g);

			t->group[g][k] = q6 ? q6_weights(v, high, u % 4) :
					      q45_weights(v, high, u, fifth);
		}
	}
}

#endif /* HEARTH_KERNELS_MATMUL_NEON_TURNED_H */
