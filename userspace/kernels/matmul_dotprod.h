/* SPDX-License-Identifier: MIT */
/*
 * Weights of which a lane is a row: SDOT takes four of each row, and four activations
 * out of sixteen that are loaded.
 */
#ifndef HEARTH_KERNELS_MATMUL_DOTPROD_H
#define HEARTH_KERNELS_MATMUL_DOTPROD_H

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

#endif /* HEARTH_KERNELS_MATMUL_DOTPROD_H */
