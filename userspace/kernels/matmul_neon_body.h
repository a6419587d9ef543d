/* SPDX-License-Identifier: MIT */
/*
 * MATMUL for one level. The file that includes this has defined
 *
 *   few_rows(rows): are there so few rows of input that add_few() is better?
 *   add_few(), add_many(m, acc, s, w, block, how): what a block of 32 adds to
 *	the sums of all rows of input; @block counts from the row's start
 *   add_few_k(), add_many_k(m, dot, s, w, block, u, how): the same in a block of
 *	256, to its integer sums; @u is its first unit in @s
 *   finish_few_k(), finish_many_k(m, acc, dot, s, block, how): what these, now
 *	that they are complete, add; they are 0 then. @block counts blocks of 256
 *   add_all_turned(), add_all_turned_k(): as add_many() and add_many_k(), of weights that
 *	are turned and for any number of rows
 *   take_row(acc, rows, r, out): the sums of input row r, as ROWS floats
 *   matmul: the name of the entry
 */
#include "kernels/matmul_neon_turned.h"

/* All of a tile's blocks, from the row pointers @w on. */
typedef void (*rows_fn)(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc);

HK_INLINE void add_rows(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			const struct weights *w, uint64_t block, const struct units how,
			const bool few)
{
	if (few)
		add_few(m, acc, s, w, block, how);
	else
		add_many(m, acc, s, w, block, how);
}

HK_INLINE void block_rows(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc,
			  const unsigned int type, const bool few)
{
	const uint32_t bytes = block_bytes(type);
	const uint8_t *at[ROWS];
	struct weights q;
	struct scales s;

	/* In registers: what is stored to sums cannot change these. */
	for (int i = 0; i < ROWS; i++)
		at[i] = w[i];
	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, w[0], b, bytes);
		load_scales(&s, at, type);
		for (int i = 0; i < ROWS; i++) {
			load_block(q.q[i], at[i], type);
			at[i] += bytes;
		}
		add_rows(m, acc, &s, &q, b, units_of(type), few);
	}
}

/* The same for a block of 256: to the integers first, and from there to the sums */
HK_INLINE void add_rows_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			  const struct weights *w, uint64_t block, int u,
			  const struct units how, const bool few)
{
	if (few)
		add_few_k(m, dot, s, w, block, u, how);
	else
		add_many_k(m, dot, s, w, block, u, how);
}

HK_INLINE void finish_rows_k(const struct hk_matmul *m, hk_sums acc, hk_dots dot,
			     const struct k_scales *s, uint64_t block,
			     const struct units how, const bool few)
{
	if (few)
		finish_few_k(m, acc, dot, s, block, how);
	else
		finish_many_k(m, acc, dot, s, block, how);
}

HK_INLINE void k_rows(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc,
		      const unsigned int type, const bool few)
{
	const struct units how = k_units(type);
	const uint32_t bytes = k_bytes(type);
	const uint8_t *first = w[0];
	struct k_scales s;
	struct weights q;
	hk_dots dot;

	memset(dot, 0, (m->rows + m->rows % 2) * sizeof(dot[0]));
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++) {
		prefetch_next(m, first, b, bytes);
		load_k_scales(&s, w, type);
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			load_k_unit(&q, w, j, type);
			add_rows_k(m, dot, &s, &q, HK_ACT_BLOCKS * b + j,
				   how.unit == 16 ? 2 * j : j, how, few);
		}
		finish_rows_k(m, acc, dot, &s, b, how, few);
		for (int i = 0; i < ROWS; i++)
			w[i] += bytes;
	}
}

/* The same of rows of eight, a group of which begins at w[0]. */
HK_INLINE void block_rows_r8(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc,
			     const unsigned int type, const bool few)
{
	const uint32_t bytes = block_bytes(type);
	const uint8_t *first = w[0];
	struct turned t;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		const uint8_t *p = first + b * ROWS * bytes;

		prefetch_next(m, first, b, bytes);
		load_halves(s.d, p);
		load_32(&t, p + ROWS * 2, type == HEARTH_TYPE_Q4_0);
		add_all_turned(m, acc, &s, &t, b, units_of(type));
	}
}

HK_INLINE void k_rows_r8(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc,
			 const unsigned int type, const bool few)
{
	const struct units how = k_units(type);
	const uint32_t bytes = k_bytes(type);
	const uint8_t *first = w[0];
	struct k_scales s;
	struct turned t;
	hk_dots dot;

	memset(dot, 0, (m->rows + m->rows % 2) * sizeof(dot[0]));
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++) {
		const uint8_t *p = first + b * ROWS * bytes;

		prefetch_next(m, first, b, bytes);
		load_scales_k(&s, p, type);
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			load_unit_k(&t, p, j, type);
			add_all_turned_k(m, dot, &s, &t, HK_ACT_BLOCKS * b + j,
					 how.unit == 16 ? 2 * j : j, how);
		}
		finish_rows_k(m, acc, dot, &s, b, how, few);
	}
}

/* Loops of their own for few and many rows: each has the registers for itself. */
#define ROWS_FN(name, fn, type) \
	static void name(const struct hk_matmul *m, const uint8_t *w[ROWS], hk_sums acc) \
	{ \
		if (few_rows(m->rows)) \
			fn(m, w, acc, type, true); \
		else \
			fn(m, w, acc, type, false); \
	}

ROWS_FN(q4_0_rows, block_rows, HEARTH_TYPE_Q4_0)
ROWS_FN(q4_1_rows, block_rows, HEARTH_TYPE_Q4_1)
ROWS_FN(q5_0_rows, block_rows, HEARTH_TYPE_Q5_0)
ROWS_FN(q5_1_rows, block_rows, HEARTH_TYPE_Q5_1)
ROWS_FN(q8_0_rows, block_rows, HEARTH_TYPE_Q8_0)
ROWS_FN(iq4_nl_rows, block_rows, HEARTH_TYPE_IQ4_NL)
ROWS_FN(mxfp4_rows, block_rows, HEARTH_TYPE_MXFP4)
ROWS_FN(q2_k_rows, k_rows, HEARTH_TYPE_Q2_K)
ROWS_FN(q3_k_rows, k_rows, HEARTH_TYPE_Q3_K)
ROWS_FN(q4_k_rows, k_rows, HEARTH_TYPE_Q4_K)
ROWS_FN(q5_k_rows, k_rows, HEARTH_TYPE_Q5_K)
ROWS_FN(q6_k_rows, k_rows, HEARTH_TYPE_Q6_K)
ROWS_FN(iq4_xs_rows, k_rows, HEARTH_TYPE_IQ4_XS)
ROWS_FN(q4_0_r8_rows, block_rows_r8, HEARTH_TYPE_Q4_0)
ROWS_FN(q8_0_r8_rows, block_rows_r8, HEARTH_TYPE_Q8_0)
ROWS_FN(q4_k_r8_rows, k_rows_r8, HEARTH_TYPE_Q4_K)
ROWS_FN(q5_k_r8_rows, k_rows_r8, HEARTH_TYPE_Q5_K)
ROWS_FN(q6_k_r8_rows, k_rows_r8, HEARTH_TYPE_Q6_K)

static const rows_fn fn_of[HEARTH_TYPE_COUNT] = {
	[HEARTH_TYPE_Q4_0] = q4_0_rows,
	[HEARTH_TYPE_Q4_1] = q4_1_rows,
	[HEARTH_TYPE_Q5_0] = q5_0_rows,
	[HEARTH_TYPE_Q5_1] = q5_1_rows,
	[HEARTH_TYPE_Q8_0] = q8_0_rows,
	[HEARTH_TYPE_Q2_K] = q2_k_rows,
	[HEARTH_TYPE_Q3_K] = q3_k_rows,
	[HEARTH_TYPE_Q4_K] = q4_k_rows,
	[HEARTH_TYPE_Q5_K] = q5_k_rows,
	[HEARTH_TYPE_Q6_K] = q6_k_rows,
	[HEARTH_TYPE_IQ4_NL] = iq4_nl_rows,
	[HEARTH_TYPE_IQ4_XS] = iq4_xs_rows,
	[HEARTH_TYPE_MXFP4] = mxfp4_rows,
	[HEARTH_TYPE_Q4_0_R8] = q4_0_r8_rows,
	[HEARTH_TYPE_Q8_0_R8] = q8_0_r8_rows,
	[HEARTH_TYPE_Q4_K_R8] = q4_k_r8_rows,
	[HEARTH_TYPE_Q5_K_R8] = q5_k_r8_rows,
	[HEARTH_TYPE_Q6_K_R8] = q6_k_r8_rows,
};

void matmul(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_sums acc;

	if (!fn_of[m->type]) {
		hk_matmul_dense_neon(m, first, last);
		return;
	}
	for (uint32_t o = first; o < last; o += ROWS) {
		uint32_t n = last - o < ROWS ? last - o : ROWS;
		const uint8_t *w[ROWS];

		/* Rows that are missing repeat the last one; nobody stores them. */
		for (uint32_t i = 0; i < ROWS; i++)
			w[i] = m->weights + (o + (i < n ? i : n - 1)) * m->row_bytes;
		memset(acc, 0, (m->rows + m->rows % 2) * sizeof(acc[0]));
		fn_of[m->type](m, w, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			float out[ROWS];

			take_row(acc, m->rows, r, out);
			for (int g = 0; g < ROWS; g += 4)
				vst1q_f32(out + g, hk_vec_canon(vld1q_f32(out + g)));
			memcpy(m->dst + r * m->dst_stride + o, out, n * sizeof(float));
		}
	}
}
