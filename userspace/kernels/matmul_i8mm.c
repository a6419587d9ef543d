// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with SMMLA: eight elements of two rows of weights
 * times two rows of input, four sums. Rows of input go in pairs; where there
 * is only one, it takes SDOT.
 *
 * The sums of a pair of input rows r, r + 1 fill acc[r] and acc[r + 1] so:
 * four times { w0 r, w0 r + 1, w1 r, w1 r + 1 } of weight rows w0, w1 = w0 + 1.
 */
#include "kernels/matmul_neon.h"

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

/* Row scales for the lanes of pair @p: each twice */
HK_INLINE float32x4_t twice(const float32x4_t d[2], const int p)
{
	return p % 2 ? vzip2q_f32(d[p / 2], d[p / 2]) : vzip1q_f32(d[p / 2], d[p / 2]);
}

/*
 * Two rows of input, as the lanes of a pair want them: from where @x points to,
 * and @next rows on, which is 1, or 0 for the last of an odd number.
 */
struct input {
	int8x16_t eight[4];
	float32x4_t dx;
	/** @total: Sums of the elements of each half, or in [1] of both. */
	float32x4_t total[2];
};

/* A number of each row, twice */
HK_INLINE float32x4_t two_floats(const float *p, const int next)
{
	float32x2_t two = next ? vld1_f32(p) : vld1_dup_f32(p);

	return vcombine_f32(two, two);
}

HK_INLINE struct input load_input(const struct hk_act *x, const int next,
				  const struct units how)
{
	struct input two = { .dx = two_floats(x->d, next) };

	for (int h = 0; h < 2; h++) {
		int8x16_t va = vld1q_s8(x->q + 16 * h);
		int8x16_t vb = vld1q_s8(x->q + next * HK_ACT_BLOCK + 16 * h);

		two.eight[2 * h] = zip_lo(va, vb);
		two.eight[2 * h + 1] = zip_hi(va, vb);
	}
	if (how.min && how.unit == 16) {
		int32x4_t sums = vcombine_s32(vld1_s32(x->sum), vld1_s32(x->sum + 2 * next));

		two.total[0] = vcvtq_f32_s32(vuzp1q_s32(sums, sums));
		two.total[1] = vcvtq_f32_s32(vuzp2q_s32(sums, sums));
	} else if (how.min) {
		two.total[1] = two_floats(x->total, next);
	}
	return two;
}

/* What 32 elements add to the sums of two rows of input. */
HK_INLINE void add_two(float acc[2 * ROWS], const struct scales *s, const struct paired *t,
		       const struct hk_act *rows, const int next, int u,
		       const struct units how)
{
	const struct input x = load_input(rows, next, how);
	const int last = u + (how.unit == 16);

	for (int p = 0; p < PAIRS; p++) {
		float32x4_t sum = vld1q_f32(acc + 4 * p);
		int32x4_t dot = vdupq_n_s32(0);

		dot = vmmlaq_s32(dot, t->eight[p][0], x.eight[0]);
		dot = vmmlaq_s32(dot, t->eight[p][1], x.eight[1]);
		if (how.unit == 16) {
			sum = add_unit(sum, twice(s->d[u], p), x.dx, to_float(dot, how.shift));
			if (how.min)
				sum = add_unit(sum, twice(s->m[u], p), x.dx, x.total[0]);
			dot = vdupq_n_s32(0);
		}
		dot = vmmlaq_s32(dot, t->eight[p][2], x.eight[2]);
		dot = vmmlaq_s32(dot, t->eight[p][3], x.eight[3]);
		sum = add_unit(sum, twice(s->d[last], p), x.dx, to_float(dot, how.shift));
		if (how.min)
			sum = add_unit(sum, twice(s->m[last], p), x.dx, x.total[1]);
		vst1q_f32(acc + 4 * p, sum);
	}
}

HK_INLINE bool few_rows(uint32_t rows)
{
	return rows == 1;
}

HK_INLINE void add_few(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
		       const struct weights *w, uint64_t block, int u,
		       const struct units how)
{
	add_row(acc[0], s, w, &m->act, block, u, how);
}

HK_INLINE void add_many(const struct hk_matmul *m, hk_sums acc, const struct scales *s,
			const struct weights *w, uint64_t block, int u,
			const struct units how)
{
	/* In registers: what is stored to sums cannot change these. */
	struct hk_act x = m->act;
	uint64_t at = block * x.rows;
	float *to = acc[0];
	struct paired t;

	pair_up(&t, w);
	x.q += at * HK_ACT_BLOCK;
	x.d += at;
	x.sum += 2 * at;
	x.total += at;
	for (; x.rows >= 2; x.rows -= 2, to += 2 * ROWS) {
		add_two(to, s, &t, &x, 1, u, how);
		x.q += 2 * HK_ACT_BLOCK;
		x.d += 2;
		x.sum += 4;
		x.total += 2;
	}
	if (x.rows)
		add_two(to, s, &t, &x, 0, u, how);
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
