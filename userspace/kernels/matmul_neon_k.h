/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 256 elements, read in place. For matmul_neon_body.h.
 */
#ifndef HEARTH_KERNELS_MATMUL_NEON_K_H
#define HEARTH_KERNELS_MATMUL_NEON_K_H

#include "kernels/matmul_neon_blocks.h"

/* A block's scales: row i is lane i % 4 of [i / 4]. */
struct k_scales {
	float32x4_t d[2], minus[2];
	int32x4_t sc[16][2];
	int16x4_t mn[16][2];
};

/* Integer sums of a block of 256, kept as hk_sums keeps those of floats */
typedef int32_t hk_dots[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(16)));

/* Byte @i of each word */
HK_INLINE int32x4_t byte_u(uint32x4_t words, const int i)
{
	return vreinterpretq_s32_u32(vandq_u32(vshlq_u32(words, vdupq_n_s32(-8 * i)),
					       vdupq_n_u32(255)));
}

HK_INLINE int32x4_t byte_s(uint32x4_t words, const int i)
{
	int32x4_t top = vreinterpretq_s32_u32(vshlq_u32(words, vdupq_n_s32(24 - 8 * i)));

	return vshrq_n_s32(top, 24);
}

/* Two f16: what scales the block, and what its minima. */
HK_INLINE void load_d_min(struct k_scales *s, const uint8_t *const w[ROWS], const int at)
{
	load_f16(s->d, w, at);
	load_f16(s->minus, w, at + 2);
	/* -(min * dx) has the bits of (-min) * dx. */
	for (int g = 0; g < 2; g++)
		s->minus[g] = vnegq_f32(s->minus[g]);
}

/* hk_k_scales() for four rows: a row in each lane */
HK_INLINE void spread_k_scales(const uint32x4_t in[3], uint32x4_t to[4])
{
	const uint32x4_t low6 = vdupq_n_u32(0x3f3f3f3f), low4 = vdupq_n_u32(0x0f0f0f0f);
	const uint32x4_t bits = vdupq_n_u32(0x30303030);

	to[0] = vandq_u32(in[0], low6);
	to[1] = vorrq_u32(vandq_u32(in[2], low4), vandq_u32(vshrq_n_u32(in[0], 2), bits));
	to[2] = vandq_u32(in[1], low6);
	to[3] = vorrq_u32(vandq_u32(vshrq_n_u32(in[2], 4), low4),
			  vandq_u32(vshrq_n_u32(in[1], 2), bits));
}

/* Those of rows 4 @g to 4 @g + 3, out of three words of each */
HK_INLINE void set_q45_scales(struct k_scales *s, const uint32x4_t in[3], const int g)
{
	uint32x4_t to[4];

	spread_k_scales(in, to);
	for (int u = 0; u < 8; u++) {
		s->sc[u][g] = byte_u(to[u / 4], u % 4);
		s->mn[u][g] = vmovn_s32(byte_u(to[2 + u / 4], u % 4));
	}
}

HK_INLINE void load_q45_scales(struct k_scales *s, const uint8_t *const w[ROWS])
{
	load_d_min(s, w, 0);
	for (int g = 0; g < 2; g++) {
		uint32x4_t in[3];

		for (int i = 0; i < 3; i++)
			in[i] = load_words(w, 4 * g, 4 + 4 * i);
		set_q45_scales(s, in, g);
	}
}

HK_INLINE void load_q6_scales(struct k_scales *s, const uint8_t *const w[ROWS])
{
	load_f16(s->d, w, 208);
	for (int g = 0; g < 2; g++) {
		int8x16_t row[4], group[4];

		for (int i = 0; i < 4; i++)
			row[i] = vld1q_s8((const int8_t *)w[4 * g + i] + 192);
		turn4(row, group);
		for (int u = 0; u < 16; u++)
			s->sc[u][g] = byte_s(vreinterpretq_u32_s8(group[u / 4]), u % 4);
	}
}

/* hk_decode_q2_k()'s scales: nibbles of one byte for each unit */
HK_INLINE void load_q2_scales(struct k_scales *s, const uint8_t *const w[ROWS])
{
	const uint32x4_t low4 = vdupq_n_u32(0x0f0f0f0f);

	load_d_min(s, w, 80);
	for (int g = 0; g < 2; g++) {
		for (int k = 0; k < 4; k++) {
			uint32x4_t both = load_words(w, 4 * g, 4 * k);
			uint32x4_t sc = vandq_u32(both, low4);
			uint32x4_t mn = vandq_u32(vshrq_n_u32(both, 4), low4);

			for (int i = 0; i < 4; i++) {
				s->sc[4 * k + i][g] = byte_u(sc, i);
				s->mn[4 * k + i][g] = vmovn_s32(byte_u(mn, i));
			}
		}
	}
}

/* hk_decode_q3_k()'s: four bits here, two there */
HK_INLINE void load_q3_scales(struct k_scales *s, const uint8_t *const w[ROWS])
{
	const uint32x4_t low4 = vdupq_n_u32(0x0f0f0f0f), low2 = vdupq_n_u32(0x03030303);

	load_f16(s->d, w, 108);
	for (int g = 0; g < 2; g++) {
		uint32x4_t low[2], high = load_words(w, 4 * g, 104);

		low[0] = load_words(w, 4 * g, 96);
		low[1] = load_words(w, 4 * g, 100);
		for (int k = 0; k < 4; k++) {
			uint32x4_t lo = vshlq_u32(low[k % 2], vdupq_n_s32(-4 * (k / 2)));
			uint32x4_t hi = vandq_u32(vshlq_u32(high, vdupq_n_s32(-2 * k)), low2);
			uint32x4_t sc = vorrq_u32(vandq_u32(lo, low4), vshlq_n_u32(hi, 4));

			for (int i = 0; i < 4; i++)
				s->sc[4 * k + i][g] = vsubq_s32(byte_u(sc, i),
								vdupq_n_s32(32));
		}
	}
}

/* hk_decode_iq4_xs()'s: a nibble of a word and two bits of a half for each unit */
HK_INLINE void load_iq4_scales(struct k_scales *s, const uint8_t *const w[ROWS])
{
	load_f16(s->d, w, 0);
	for (int g = 0; g < 2; g++) {
		uint32x4_t high = vshrq_n_u32(load_words(w, 4 * g, 0), 16);
		uint32x4_t low = load_words(w, 4 * g, 4);

		for (int u = 0; u < 8; u++) {
			uint32x4_t lo = vandq_u32(vshlq_u32(low, vdupq_n_s32(-4 * u)),
						  vdupq_n_u32(15));
			uint32x4_t hi = vandq_u32(vshlq_u32(high, vdupq_n_s32(-2 * u)),
						  vdupq_n_u32(3));
			int32x4_t sc = vreinterpretq_s32_u32(vsliq_n_u32(lo, hi, 4));

			s->sc[u][g] = vsubq_s32(sc, vdupq_n_s32(32));
		}
	}
}

HK_INLINE void load_q2_unit(struct weights *q, const uint8_t *const w[ROWS], const int u)
{
	const int8x16_t down = vdupq_n_s8((int8_t)(-2 * (u % 4)));

	for (int i = 0; i < ROWS; i++) {
		for (int h = 0; h < 2; h++) {
			uint8x16_t v = vld1q_u8(w[i] + 16 + u / 4 * 32 + 16 * h);

			v = vandq_u8(vshlq_u8(v, down), vdupq_n_u8(3));
			q->q[i][h] = vreinterpretq_s8_u8(v);
		}
	}
}

/* Two bits, less 4 where the third is not set: all ones above them. */
HK_INLINE void load_q3_unit(struct weights *q, const uint8_t *const w[ROWS], const int u)
{
	const int8x16_t down = vdupq_n_s8((int8_t)(-2 * (u % 4)));
	const uint8x16_t bit = vdupq_n_u8((uint8_t)(1 << u));

	for (int i = 0; i < ROWS; i++) {
		for (int h = 0; h < 2; h++) {
			uint8x16_t v = vld1q_u8(w[i] + 32 + u / 4 * 32 + 16 * h);
			uint8x16_t high = vmvnq_u8(vld1q_u8(w[i] + 16 * h));

			v = vsliq_n_u8(vshlq_u8(v, down), vtstq_u8(high, bit), 2);
			q->q[i][h] = vreinterpretq_s8_u8(v);
		}
	}
}

HK_INLINE void load_iq4_unit(struct weights *q, const uint8_t *const w[ROWS], const int u)
{
	for (int i = 0; i < ROWS; i++)
		looked_up(q->q[i], w[i] + 8 + 16 * u, hk_iq4_values);
}

/* Nibbles of unit @u, and bits above them: bit @u of @bits, where there is a fifth one. */
HK_INLINE int8x16_t q45_weights(uint8x16_t v, uint8x16_t bits, const int u, const bool fifth)
{
	v = u % 2 ? vshrq_n_u8(v, 4) : vandq_u8(v, vdupq_n_u8(15));
	if (fifth) {
		bits = vshlq_u8(bits, vdupq_n_s8((int8_t)-u));
		v = vsliq_n_u8(v, vandq_u8(bits, vdupq_n_u8(1)), 4);
	}
	return vreinterpretq_s8_u8(v);
}

/* Unit @u of Q4_K, or of Q5_K: a pair of units shares 32 bytes of nibbles. */
HK_INLINE void load_q45_unit(struct weights *q, const uint8_t *const w[ROWS], const int u,
			   const bool fifth)
{
	const int low = (fifth ? 48 : 16) + u / 2 * 32;

	for (int i = 0; i < ROWS; i++) {
		for (int h = 0; h < 2; h++) {
			uint8x16_t v = vld1q_u8(w[i] + low + 16 * h);
			uint8x16_t bits = vld1q_u8(w[i] + 16 + 16 * h);

			q->q[i][h] = q45_weights(v, bits, u, fifth);
		}
	}
}

/* Four times (bits - 32): with the upper two bits on top and the sign's one turned over. */
HK_INLINE int8x16_t q6_weights(uint8x16_t v, uint8x16_t bits, const int j)
{
	v = j < 2 ? vshlq_n_u8(v, 2) : vandq_u8(vshrq_n_u8(v, 2), vdupq_n_u8(0x3c));
	bits = vshlq_u8(bits, vdupq_n_s8((int8_t)(-2 * j)));
	return vreinterpretq_s8_u8(veorq_u8(vsliq_n_u8(v, bits, 6), vdupq_n_u8(0x80)));
}

/* Elements 32 @j to 32 @j + 31 of half @n of Q6_K. */
HK_INLINE void load_q6_unit(struct weights *q, const uint8_t *const w[ROWS], const int n,
			    const int j)
{
	const int low = n * 64 + j % 2 * 32, high = 128 + n * 32;

	for (int i = 0; i < ROWS; i++) {
		for (int h = 0; h < 2; h++) {
			uint8x16_t v = vld1q_u8(w[i] + low + 16 * h);
			uint8x16_t bits = vld1q_u8(w[i] + high + 16 * h);

			q->q[i][h] = q6_weights(v, bits, j);
		}
	}
}

/* How blocks of a type are read: 32 elements at a time */
HK_INLINE struct units k_units(const unsigned int type)
{
	return (struct units){
		.unit = type == HEARTH_TYPE_Q2_K || type == HEARTH_TYPE_Q3_K ||
			type == HEARTH_TYPE_Q6_K ? 16 : 32,
		.min = type == HEARTH_TYPE_Q2_K || type == HEARTH_TYPE_Q4_K ||
		       type == HEARTH_TYPE_Q5_K,
		.shift = type == HEARTH_TYPE_Q6_K ? 2 : 0,
	};
}

HK_INLINE uint32_t k_bytes(const unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		return 84;
	case HEARTH_TYPE_Q3_K:
		return 110;
	case HEARTH_TYPE_Q4_K:
		return 144;
	case HEARTH_TYPE_Q5_K:
		return 176;
	case HEARTH_TYPE_Q6_K:
		return 210;
	default:
		return 136;
	}
}

HK_INLINE void load_k_scales(struct k_scales *s, const uint8_t *const w[ROWS],
				   const unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		load_q2_scales(s, w);
		break;
	case HEARTH_TYPE_Q3_K:
		load_q3_scales(s, w);
		break;
	case HEARTH_TYPE_Q6_K:
		load_q6_scales(s, w);
		break;
	case HEARTH_TYPE_IQ4_XS:
		load_iq4_scales(s, w);
		break;
	default:
		load_q45_scales(s, w);
		break;
	}
}

/* Elements 32 @u to 32 @u + 31 */
HK_INLINE void load_k_unit(struct weights *q, const uint8_t *const w[ROWS],
				 const int u, const unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		load_q2_unit(q, w, u);
		break;
	case HEARTH_TYPE_Q3_K:
		load_q3_unit(q, w, u);
		break;
	case HEARTH_TYPE_Q6_K:
		load_q6_unit(q, w, u / 4, u % 4);
		break;
	case HEARTH_TYPE_IQ4_XS:
		load_iq4_unit(q, w, u);
		break;
	default:
		load_q45_unit(q, w, u, type == HEARTH_TYPE_Q5_K);
		break;
	}
}

/* What 32 elements add to a row's sums, as they lie; their first unit is @u. */
HK_INLINE void add_row_k(int32_t dot[ROWS], const struct k_scales *s, const struct weights *w,
			 const int8_t *x, int u, const struct units how)
{
	const int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
	const int32x4_t zero = vdupq_n_s32(0);
	const int last = u + (how.unit == 16);

	for (int g = 0; g < 2; g++) {
		int32x4_t sum = vld1q_s32(dot + 4 * g), lo[4], hi[4];

		for (int i = 0; i < 4; i++) {
			lo[i] = vdotq_s32(zero, w->q[4 * g + i][0], x0);
			hi[i] = vdotq_s32(how.unit == 32 ? lo[i] : zero,
					  w->q[4 * g + i][1], x1);
		}
		if (how.unit == 16)
			sum = vmlaq_s32(sum, reduce4(lo), s->sc[u][g]);
		sum = vmlaq_s32(sum, reduce4(hi), s->sc[last][g]);
		vst1q_s32(dot + 4 * g, sum);
	}
}

/* Sums of activations for the minima: those of input row @at's block */
HK_INLINE const int16_t *totals(const struct hk_act *act, uint64_t at, const struct units how)
{
	return how.unit == 32 ? act->sum32 + 8 * at : act->sum16 + 16 * at;
}

/* The block of 256 is complete: its integers @dot are scaled, and the next begins. */
HK_INLINE void finish_row_k(float acc[ROWS], int32_t dot[ROWS], const struct k_scales *s,
			    const struct hk_act *act, uint64_t at, const struct units how)
{
	const int16_t *total = totals(act, at, how);
	float32x4_t dx = vld1q_dup_f32(act->d + at);

	for (int g = 0; g < 2; g++) {
		float32x4_t sum = vld1q_f32(acc + 4 * g);
		int32x4_t mins = vdupq_n_s32(0);

		sum = add_unit(sum, s->d[g], dx, to_float(vld1q_s32(dot + 4 * g), how.shift));
		for (int u = 0; u < HK_ACT_SUPER / how.unit && how.min; u++)
			mins = vmlal_n_s16(mins, s->mn[u][g], total[u]);
		if (how.min)
			sum = add_unit(sum, s->minus[g], dx, vcvtq_f32_s32(mins));
		vst1q_f32(acc + 4 * g, sum);
		vst1q_s32(dot + 4 * g, vdupq_n_s32(0));
	}
}

#endif /* HEARTH_KERNELS_MATMUL_NEON_K_H */
