// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with SDOT: four sums of four products.
 */
#include "kernels/matmul_neon_k.h"

/*
 * A row's products end in the four lanes of one register, and are added up
 * across; from this many rows of input on it is cheaper to turn the weights,
 * once, so that a lane is a row of weights.
 */
#define ROWS_TO_TURN	4

/* Four neighbours of four rows in each: [rows / 4][elements / 4] */
struct turned {
	int8x16_t group[2][8];
};

HK_INLINE void turn(struct turned *t, const struct weights *w)
{
	for (int g = 0; g < 2; g++) {
		for (int h = 0; h < 2; h++) {
			int8x16_t row[4];

			for (int i = 0; i < 4; i++)
				row[i] = w->q[4 * g + i][h];
			turn4(row, t->group[g] + 4 * h);
		}
	}
}

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

HK_INLINE bool few_rows(uint32_t rows)
{
	return rows < ROWS_TO_TURN;
}

HK_INLINE void add_few(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
		       const struct weights *w, uint64_t block,
		       const struct units how)
{
	/* In registers: what is stored to sums cannot change these. */
	const struct hk_act act = m->act;

	for (uint32_t r = 0; r < act.rows; r++)
		add_row(acc[r], s, w, &act, block * act.rows + r, how);
}

HK_INLINE void add_many(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			const struct weights *w, uint64_t block,
			const struct units how)
{
	const struct hk_act act = m->act;
	struct turned t;

	turn(&t, w);
	for (uint32_t r = 0; r < act.rows; r++)
		add_turned(acc[r], s, &t, &act, block * act.rows + r, how);
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

HK_INLINE void add_few_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			 const struct weights *w, uint64_t block, int u,
			 const struct units how)
{
	const struct hk_act act = m->act;
	const int8_t *x = act.q + block * act.rows * HK_ACT_BLOCK;

	for (uint32_t r = 0; r < act.rows; r++, x += HK_ACT_BLOCK)
		add_row_k(dot[r], s, w, x, u, how);
}

HK_INLINE void add_many_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			  const struct weights *w, uint64_t block, int u,
			  const struct units how)
{
	const struct hk_act act = m->act;
	const int8_t *x = act.q + block * act.rows * HK_ACT_BLOCK;
	struct turned t;

	turn(&t, w);
	for (uint32_t r = 0; r < act.rows; r++, x += HK_ACT_BLOCK)
		add_turned_k(dot[r], s, &t, x, u, how);
}

HK_INLINE void finish_few_k(const struct hk_matmul *m, hk_sums acc, hk_dots dot,
			    const struct k_scales *s, uint64_t block, const struct units how)
{
	const struct hk_act act = m->act;

	for (uint32_t r = 0; r < act.rows; r++)
		finish_row_k(acc[r], dot[r], s, &act, block * act.rows + r, how);
}

#define finish_many_k	finish_few_k

HK_INLINE void take_row(hk_sums acc, uint32_t rows, uint32_t r, float out[ROWS])
{
	memcpy(out, acc[r], ROWS * sizeof(*out));
}

#define matmul	hk_matmul_dotprod
#include "kernels/matmul_neon_body.h"
