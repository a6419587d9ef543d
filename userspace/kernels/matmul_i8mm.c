// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with SMMLA: eight elements of two rows of weights
 * times two rows of input, four sums. Rows of input go in pairs; where there
 * is only one, it takes SDOT.
 *
 * The sums of a pair of input rows r, r + 1 fill acc[r] and acc[r + 1] so:
 * four times { w0 r, w0 r + 1, w1 r, w1 r + 1 } of weight rows w0, w1 = w0 + 1.
 */
#include "kernels/matmul_neon_turned.h"

#define PAIRS	(ROWS / 2)

/* Eight neighbours of two rows in each: [rows / 2][elements / 8] */
struct paired {
	int8x16_t eight[PAIRS][4];
};

HK_INLINE int8x16_t zip_lo(int8x16_t a, int8x16_t b)
{
	return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a),
					       vreinterpretq_s64_s8(b)));
}

HK_INLINE int8x16_t zip_hi(int8x16_t a, int8x16_t b)
{
	return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(a),
					       vreinterpretq_s64_s8(b)));
}

HK_INLINE void pair_up(struct paired *t, const struct weights *w)
{
	for (int p = 0; p < PAIRS; p++) {
		for (int h = 0; h < 2; h++) {
			t->eight[p][2 * h] = zip_lo(w->q[2 * p][h], w->q[2 * p + 1][h]);
			t->eight[p][2 * h + 1] = zip_hi(w->q[2 * p][h], w->q[2 * p + 1][h]);
		}
	}
}

/* The same of rows that are turned: words of two neighbouring groups */
HK_INLINE void pair_turned(struct paired *to, const struct turned *t)
{
	for (int g = 0; g < 2; g++) {
		for (int i = 0; i < 4; i++) {
			int32x4_t a = vreinterpretq_s32_s8(t->group[g][2 * i]);
			int32x4_t b = vreinterpretq_s32_s8(t->group[g][2 * i + 1]);

			to->eight[2 * g][i] = vreinterpretq_s8_s32(vzip1q_s32(a, b));
			to->eight[2 * g + 1][i] = vreinterpretq_s8_s32(vzip2q_s32(a, b));
		}
	}
}

/* Row scales for the lanes of pair @p: each twice */
HK_INLINE float32x4_t twice(const float32x4_t d[2], const int p)
{
	return p % 2 ? vzip2q_f32(d[p / 2], d[p / 2]) : vzip1q_f32(d[p / 2], d[p / 2]);
}

/* A number of each row, twice */
HK_INLINE float32x4_t two_floats(const float *p, const int next)
{
	float32x2_t two = next ? vld1_f32(p) : vld1_dup_f32(p);

	return vcombine_f32(two, two);
}

/*
 * Two rows of input, as the lanes of a pair want them: from where @x points to,
 * and @next rows on, which is 1, or 0 for the last of an odd number.
 */
HK_INLINE void load_eights(int8x16_t eight[4], const int8_t *x, const int next)
{
	for (int h = 0; h < 2; h++) {
		int8x16_t va = vld1q_s8(x + 16 * h);
		int8x16_t vb = vld1q_s8(x + next * HK_ACT_BLOCK + 16 * h);

		eight[2 * h] = zip_lo(va, vb);
		eight[2 * h + 1] = zip_hi(va, vb);
	}
}

/* What a block of 32 adds to the sums of two rows of input. */
HK_INLINE void add_two(float acc[2 * ROWS], const struct scales *s, const struct paired *t,
		       const struct hk_act *rows, const int next, const struct units how)
{
	float32x4_t dx = two_floats(rows->d, next), total = dx;
	int8x16_t eight[4];

	load_eights(eight, rows->q, next);
	if (how.min)
		total = two_floats(rows->total, next);
	for (int p = 0; p < PAIRS; p++) {
		float32x4_t sum = vld1q_f32(acc + 4 * p);
		int32x4_t dot = vdupq_n_s32(0);

		for (int i = 0; i < 4; i++)
			dot = vmmlaq_s32(dot, t->eight[p][i], eight[i]);
		sum = add_unit(sum, twice(s->d, p), dx, to_float(dot, how.shift));
		if (how.min)
			sum = add_unit(sum, twice(s->m, p), dx, total);
		vst1q_f32(acc + 4 * p, sum);
	}
}

HK_INLINE bool few_rows(uint32_t rows)
{
	return rows == 1;
}

HK_INLINE void add_few(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
		       const struct weights *w, uint64_t block,
		       const struct units how)
{
	add_row(acc[0], s, w, &m->act, block, how);
}

HK_INLINE void add_all_paired(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			      const struct paired *t, uint64_t block,
			      const struct units how)
{
	/* In registers: what is stored to sums cannot change these. */
	struct hk_act x = m->act;
	uint64_t at = block * x.rows;
	float *to = acc[0];

	x.q += at * HK_ACT_BLOCK;
	x.d += at;
	x.total += at;
	for (; x.rows >= 2; x.rows -= 2, to += 2 * ROWS) {
		add_two(to, s, t, &x, 1, how);
		x.q += 2 * HK_ACT_BLOCK;
		x.d += 2;
		x.total += 2;
	}
	if (x.rows)
		add_two(to, s, t, &x, 0, how);
}

HK_INLINE void add_many(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			const struct weights *w, uint64_t block,
			const struct units how)
{
	struct paired t;

	pair_up(&t, w);
	add_all_paired(m, acc, s, &t, block, how);
}

HK_INLINE void add_all_turned(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			      const struct turned *t, uint64_t block,
			      const struct units how)
{
	struct paired p;

	if (few_rows(m->rows)) {
		add_turned(acc[0], s, t, &m->act, block, how);
		return;
	}
	pair_turned(&p, t);
	add_all_paired(m, acc, s, &p, block, how);
}

HK_INLINE int32x4_t twice_s32(const int32x4_t d[2], const int p)
{
	return p % 2 ? vzip2q_s32(d[p / 2], d[p / 2]) : vzip1q_s32(d[p / 2], d[p / 2]);
}

HK_INLINE int16x4_t twice_s16(const int16x4_t d[2], const int p)
{
	return p % 2 ? vzip2_s16(d[p / 2], d[p / 2]) : vzip1_s16(d[p / 2], d[p / 2]);
}

/* What 32 elements in a block of 256 add to the integers of two rows of input. */
HK_INLINE void add_two_k(int32_t dot[2 * ROWS], const struct k_scales *s,
			 const struct paired *t, const int8_t *x, const int next, int u,
			 const struct units how)
{
	const int last = u + (how.unit == 16);
	int8x16_t eight[4];

	load_eights(eight, x, next);
	for (int p = 0; p < PAIRS; p++) {
		int32x4_t sum = vld1q_s32(dot + 4 * p), d = vdupq_n_s32(0);

		d = vmmlaq_s32(d, t->eight[p][0], eight[0]);
		d = vmmlaq_s32(d, t->eight[p][1], eight[1]);
		if (how.unit == 16) {
			sum = vmlaq_s32(sum, d, twice_s32(s->sc[u], p));
			d = vdupq_n_s32(0);
		}
		d = vmmlaq_s32(d, t->eight[p][2], eight[2]);
		d = vmmlaq_s32(d, t->eight[p][3], eight[3]);
		vst1q_s32(dot + 4 * p, vmlaq_s32(sum, d, twice_s32(s->sc[last], p)));
	}
}

/* finish_row_k() for two rows of input */
HK_INLINE void finish_two_k(float acc[2 * ROWS], int32_t dot[2 * ROWS],
			    const struct k_scales *s, const struct hk_act *act, uint64_t at,
			    const int next, const struct units how)
{
	const int16_t *a = totals(act, at, how), *b = totals(act, at + next, how);
	float32x4_t dx = two_floats(act->d + at, next);
	int32x4_t mins[PAIRS];

	for (int p = 0; p < PAIRS; p++)
		mins[p] = vdupq_n_s32(0);
	for (int u = 0; u < HK_ACT_SUPER / how.unit && how.min; u++) {
		uint32_t both = (uint16_t)a[u] | (uint32_t)(uint16_t)b[u] << 16;
		int16x4_t total = vreinterpret_s16_u32(vdup_n_u32(both));

		for (int p = 0; p < PAIRS; p++)
			mins[p] = vmlal_s16(mins[p], twice_s16(s->mn[u], p), total);
	}
	for (int p = 0; p < PAIRS; p++) {
		float32x4_t sum = vld1q_f32(acc + 4 * p);

		sum = add_unit(sum, twice(s->d, p), dx,
			       to_float(vld1q_s32(dot + 4 * p), how.shift));
		if (how.min)
			sum = add_unit(sum, twice(s->minus, p), dx, vcvtq_f32_s32(mins[p]));
		vst1q_f32(acc + 4 * p, sum);
		vst1q_s32(dot + 4 * p, vdupq_n_s32(0));
	}
}

HK_INLINE void add_few_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			 const struct weights *w, uint64_t block, int u,
			 const struct units how)
{
	add_row_k(dot[0], s, w, m->act.q + block * HK_ACT_BLOCK, u, how);
}

HK_INLINE void add_all_paired_k(const struct hk_matmul *m, hk_dots dot,
				const struct k_scales *s, const struct paired *t,
				uint64_t block, int u, const struct units how)
{
	const struct hk_act act = m->act;
	const int8_t *x = act.q + block * act.rows * HK_ACT_BLOCK;
	uint32_t r;

	for (r = 0; r + 2 <= act.rows; r += 2, x += 2 * HK_ACT_BLOCK)
		add_two_k(dot[r], s, t, x, 1, u, how);
	if (r < act.rows)
		add_two_k(dot[r], s, t, x, 0, u, how);
}

HK_INLINE void add_many_k(const struct hk_matmul *m, hk_dots dot, const struct k_scales *s,
			  const struct weights *w, uint64_t block, int u,
			  const struct units how)
{
	struct paired t;

	pair_up(&t, w);
	add_all_paired_k(m, dot, s, &t, block, u, how);
}

HK_INLINE void add_all_turned_k(const struct hk_matmul *m, hk_dots dot,
				const struct k_scales *s, const struct turned *t,
				uint64_t block, int u, const struct units how)
{
	struct paired p;

	if (few_rows(m->rows)) {
		add_turned_k(dot[0], s, t, m->act.q + block * HK_ACT_BLOCK, u, how);
		return;
	}
	pair_turned(&p, t);
	add_all_paired_k(m, dot, s, &p, block, u, how);
}

HK_INLINE void finish_few_k(const struct hk_matmul *m, hk_sums acc, hk_dots dot,
			    const struct k_scales *s, uint64_t block, const struct units how)
{
	finish_row_k(acc[0], dot[0], s, &m->act, block, how);
}

HK_INLINE void finish_many_k(const struct hk_matmul *m, hk_sums acc, hk_dots dot,
			     const struct k_scales *s, uint64_t block,
			     const struct units how)
{
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;
	uint32_t r;

	for (r = 0; r + 2 <= act.rows; r += 2)
		finish_two_k(acc[r], dot[r], s, &act, at + r, 1, how);
	if (r < act.rows)
		finish_two_k(acc[r], dot[r], s, &act, at + r, 0, how);
}

HK_INLINE void take_row(hk_sums acc, uint32_t rows, uint32_t r, float out[ROWS])
{
	const float *pair = acc[r & ~1u] + r % 2;

	if (rows == 1)
		pair = acc[0];
	for (int i = 0; i < ROWS; i++)
		out[i] = pair[rows == 1 ? i : 2 * i];
}

#define matmul	hk_matmul_i8mm
#include "kernels/matmul_neon_body.h"
