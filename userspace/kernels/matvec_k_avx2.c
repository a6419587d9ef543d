// SPDX-License-Identifier: MIT
/*
 * One row of input and Q4_K, Q5_K, Q6_K.
 */
#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

/* A block's scales, not multiplied out: that would not stay in registers. */
struct k_scales {
	__m256 d, minus;
	/* units 0 to 3, 4 to 7; minima likewise */
	__m256i byte[4];
};

/* Products of 32 elements of two rows: the first 16 in @lo, the others in @hi. */
HK_INLINE __m256i products_k(__m256i lo, __m256i hi, struct halves x)
{
	__m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(lo, x.lo),
				       _mm256_maddubs_epi16(hi, x.hi));

	/* Now: all loads first would push the sums out of the registers. */
	IN_ORDER(sum);
	return sum;
}

/* The low and the high nibbles of 32 bytes at @at: units @u and @u + 1. */
HK_INLINE void dots_k(__m256i dot[2], const struct rows8 *w, const int at,
		      const struct pairs high[2], const int8_t *q, const int u,
		      const bool fifth)
{
	const struct halves x = load_x(q), y = load_x(q + HK_ACT_BLOCK);
	struct pairs low_sums, high_sums;

	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		__m256i a = load_pair(w, at, i), b = load_pair(w, at + 16, i);
		__m256i c = low_nibble(a), d = low_nibble(b);

		a = high_nibble(a);
		b = high_nibble(b);
		if (fifth) {
			c = _mm256_or_si256(c, high_bits(high[0].v[i], u, 1));
			d = _mm256_or_si256(d, high_bits(high[1].v[i], u, 1));
			a = _mm256_or_si256(a, high_bits(high[0].v[i], u + 1, 1));
			b = _mm256_or_si256(b, high_bits(high[1].v[i], u + 1, 1));
		}
		low_sums.v[i] = products_k(c, d, x);
		high_sums.v[i] = products_k(a, b, y);
	}
	dot[0] = sum_pairs(&low_sums, !fifth);
	dot[1] = sum_pairs(&high_sums, !fifth);
}

HK_INLINE __m256 two_units(__m256 acc, const struct hk_act *act, uint64_t b,
			   const struct rows8 *w, const struct k_scales *s,
			   const struct pairs high[2], const int u, const bool fifth)
{
	__m256i dot[2];

	dots_k(dot, w, (fifth ? 48 : 16) + 16 * u, high, act->q + (b + u) * HK_ACT_BLOCK, u,
	       fifth);
	HK_UNROLL
	for (int h = 0; h < 2; h++) {
		__m256 dx = _mm256_broadcast_ss(act->d + b + u + h);
		__m256 total = _mm256_broadcast_ss(act->total + b + u + h);
		__m256 d = unsigned_byte(s->byte[u / 4], u % 4 + h);
		__m256 minus = unsigned_byte(s->byte[2 + u / 4], u % 4 + h);

		acc = add_unit(acc, _mm256_mul_ps(s->d, d), dx, _mm256_cvtepi32_ps(dot[h]));
		acc = add_unit(acc, _mm256_mul_ps(s->minus, minus), dx, total);
	}
	return acc;
}

HK_INLINE __m256 row_k(const struct hk_matmul *m, const struct rows8 *w, const bool fifth)
{
	const int bytes = fifth ? 176 : 144;
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	struct pairs high[2];
	struct rows8 row = *w;
	struct k_scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, row.p += bytes) {
		spread_f16(&s.d, &s.minus, spread_k_scales(s.byte, &row));
		s.minus = _mm256_xor_ps(s.minus, _mm256_set1_ps(-0.0f));
		if (fifth) {
			load_pairs(&high[0], &row, 16);
			load_pairs(&high[1], &row, 32);
		}
		HK_UNROLL
		for (int u = 0; u < 8; u += 2) {
			prefetch(w->p + b * bytes + u / 2 * (2 * bytes), 2 * bytes);
			acc = two_units(acc, &act, b, &row, &s, high, u, fifth);
		}
	}
	return acc;
}

static __m256 q4_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return row_k(m, w, false);
}

static __m256 q5_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return row_k(m, w, true);
}

/*
 * Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. A
 * register holds 32 elements of one row, and each half of it is a unit. Sums of
 * four products are below 2^15.
 */
HK_INLINE void q6_units(__m256i dot[8], const struct rows8 *w, const int8_t *x, const int n,
			const uint8_t *stream)
{
	const __m256i one = _mm256_set1_epi16(1);
	__m256i last[4], sum[4], four_rows[4];

	HK_UNROLL
	for (int i = 0; i < ROWS; i++) {
		const __m256i *row = (const __m256i *)(w->p + i * w->stride);
		__m256i high = _mm256_loadu_si256(row + 4 + n), raw[2];

		/* A few with each row: all at once they keep loads waiting. */
		prefetch(stream + 105 * i, 105);
		raw[0] = _mm256_loadu_si256(row + 2 * n);
		raw[1] = _mm256_loadu_si256(row + 2 * n + 1);
		HK_UNROLL
		for (int j = 0; j < 4; j++) {
			__m256i at = _mm256_loadu_si256((const __m256i *)x + j);
			__m256i q = j < 2 ? low_nibble(raw[j]) : high_nibble(raw[j - 2]);

			q = _mm256_or_si256(q, high_bits(high, 2 * j, 2));
			q = _mm256_maddubs_epi16(q, at);
			if (i % 2 == 0) {
				IN_ORDER(q);
				last[j] = q;
				continue;
			}
			q = _mm256_madd_epi16(sum_halves(last[j], q), one);
			IN_ORDER(q);
			if (i % 4 == 1) {
				sum[j] = q;
				continue;
			}
			q = _mm256_hadd_epi32(sum[j], q);
			IN_ORDER(q);
			if (i == 3) {
				four_rows[j] = q;
				continue;
			}
			dot[2 * j] = _mm256_permute2x128_si256(four_rows[j], q, 0x20);
			dot[2 * j + 1] = _mm256_permute2x128_si256(four_rows[j], q, 0x31);
		}
	}
}

/* The sums of the half's activations, times the 32 that its weights are too large. */
HK_INLINE void q6_bias(float bias[8], const int32_t *sum)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)sum);

	_mm256_storeu_ps(bias, _mm256_cvtepi32_ps(_mm256_slli_epi32(v, 5)));
}

static __m256 q6_k(const struct hk_matmul *m, const struct rows8 *w)
{
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	struct rows8 row = *w;
	__m256i dot[8], scale[4];
	float bias[8];

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, row.p += 210) {
		/* Exact, as the product with the scale, which is 2^24 times as large. */
		__m256 d = _mm256_mul_ps(load_f16_of_many(&row, 208), _mm256_set1_ps(0x1p-24f));

		turn(&row, 192, scale);
		for (int n = 0; n < 2; n++) {
			const uint64_t at = b + 4 * n;

			q6_bias(bias, act.sum + 2 * at);
			q6_units(dot, &row, act.q + at * HK_ACT_BLOCK, n,
				 w->p + b * 210 + n * (4 * 210));
			HK_UNROLL
			for (int u = 0; u < 8; u++) {
				__m256 dx = _mm256_broadcast_ss(act.d + at + u / 2);
				__m256 sc = high_byte(scale[2 * n + u / 4], u % 4);
				__m256 sum = _mm256_sub_ps(_mm256_cvtepi32_ps(dot[u]),
							   _mm256_broadcast_ss(bias + u));

				acc = add_unit(acc, _mm256_mul_ps(d, sc), dx, sum);
			}
		}
	}
	return acc;
}

hk_row1_fn hk_matvec_k_avx2(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_K:
		return q4_k;
	case HEARTH_TYPE_Q5_K:
		return q5_k;
	case HEARTH_TYPE_Q6_K:
		return q6_k;
	}
	return NULL;
}
