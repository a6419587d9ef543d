// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with SDOT: four sums of four products.
 */
#include "kernels/matmul_neon_turned.h"

/*
 * A row's products end in the four lanes of one register, and are added up
 * across; from this many rows of input on it is cheaper to turn the weights,
 * once, so that a lane is a row of weights.
 */
#define ROWS_TO_TURN	4

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

HK_INLINE void add_all_turned(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			      const struct turned *t, uint64_t block,
			      const struct units how)
{
	const struct hk_act act = m->act;

	for (uint32_t r = 0; r < act.rows; r++)
		add_turned(acc[r], s, t, &act, block * act.rows + r, how);
}

HK_INLINE void add_many(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			const struct weights *w, uint64_t block,
			const struct units how)
{
	struct turned t;

	turn(&t, w);
	add_all_turned(m, acc, s, &t, block, how);
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

HK_INLINE void add_all_turned_k(const struct hk_matmul *m, hk_dots dot,
				const struct k_scales *s, const struct turned *t,
				uint64_t block, int u, const struct units how)
{
	const struct hk_act act = m->act;
	const int8_t *x = act.q + block * act.rows * HK_ACT_BLOCK;

	for (uint32_t r = 0; r < act.rows; r++, x += HK_ACT_BLOCK)
		add_turned_k(dot[r], s, t, x, u, how);
}

HK_INLINE void add_many_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			  const struct weights *w, uint64_t block, int u,
			  const struct units how)
{
	struct turned t;

	turn(&t, w);
	add_all_turned_k(m, dot, s, &t, block, u, how);
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
