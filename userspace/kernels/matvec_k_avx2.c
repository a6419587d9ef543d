// SPDX-License-Identifier: MIT
/*
 * One row of input and Q4_K, Q5_K, Q6_K. A register holds 32 elements of one
 * row, and a row's sums stay in another to the end of the block.
 */
#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

/* Lane i: the sum of row i's eight. */
HK_INLINE __m256i sum_rows(const __m256i row[ROWS])
{
	__m256i a = add_pairs(add_pairs(row[0], row[1]),
				      add_pairs(row[2], row[3]));
	__m256i b = add_pairs(add_pairs(row[4], row[5]),
				      add_pairs(row[6], row[7]));

	return _mm256_add_epi32(_mm256_blend_epi32(a, b, 0xf0),
				_mm256_permute2x128_si256(a, b, 0x21));
}

HK_INLINE __m256i load32(const void *p)
{
	return _mm256_loadu_si256(p);
}

/* Units @u and @u + 1, the low and the high nibbles of 32 bytes of each row. */
HK_INLINE void two_units(__m256i sum[ROWS], const struct rows8 *w, const int8_t *q,
			 const int32_t sc[][ROWS], const int u, const bool fifth)
{
	const __m256i x = load32(q), y = load32(q + HK_ACT_BLOCK);

	HK_UNROLL
	for (int i = 0; i < ROWS; i++) {
		const uint8_t *row = w->p + i * w->stride;
		__m256i raw = load32(row + (fifth ? 48 : 16) + 16 * u);
		__m256i a, b;

		/* One load for both. */
		IN_ORDER(raw);
		a = low_nibble(raw);
		b = high_nibble(raw);

		if (fifth) {
			a = _mm256_or_si256(a, high_bits(load32(row + 16), u, 1));
			b = _mm256_or_si256(b, high_bits(load32(row + 16), u + 1, 1));
		}
		a = _mm256_madd_epi16(_mm256_maddubs_epi16(a, x), _mm256_set1_epi32(sc[u][i]));
		b = _mm256_madd_epi16(_mm256_maddubs_epi16(b, y),
				      _mm256_set1_epi32(sc[u + 1][i]));
		a = _mm256_add_epi32(a, b);
		sum[i] = u ? _mm256_add_epi32(sum[i], a) : a;
		/* Now: all loads first would push the sums out of the registers. */
		IN_ORDER(sum[i]);
	}
}

HK_INLINE __m256 row_k(const struct hk_matmul *m, const struct rows8 *w, const bool fifth)
{
	const int bytes = fifth ? 176 : 144;
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	int32_t sc[8][ROWS] __attribute__((aligned(32)));
	struct rows8 row = *w;
	struct k_scales s;
	__m256i sum[ROWS];

	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, row.p += bytes) {
		__m256 dx = _mm256_broadcast_ss(act.d + b);

		__m256i mins;

		load_q45_scales(&s, &row);
		HK_UNROLL
		for (int u = 0; u < 8; u++)
			_mm256_store_si256((__m256i *)sc[u], s.sc[u]);
		/* To be loaded one by one: taken out of registers they cost more. */
		__asm__("" : "+m"(sc));
		mins = minima(s.mn, act.sum32 + 8 * b, 8);
		HK_UNROLL
		for (int u = 0; u < 8; u += 2) {
			prefetch(w->p + 8 * b * bytes + u / 2 * (2 * bytes), 2 * bytes);
			two_units(sum, &row, act.q + HK_ACT_SUPER * b + HK_ACT_BLOCK * u, sc, u,
				  fifth);
		}
		acc = add_unit(acc, s.d, dx, _mm256_cvtepi32_ps(sum_rows(sum)));
		acc = add_unit(acc, s.minus, dx, _mm256_cvtepi32_ps(mins));
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

/* Minus sixteen sums: of the even units, then of the odd ones. */
HK_INLINE __m256i minus_sums(const int16_t *sum16)
{
	const __m256i even = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
	__m256i v = _mm256_shuffle_epi8(load32(sum16), even);

	return _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_permute4x64_epi64(v, 0xd8));
}

/* Sixteen scales of a row as int16, in the same order. */
HK_INLINE __m256i q6_scales(const uint8_t *row)
{
	const __m128i even = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
	__m128i v = _mm_loadu_si128((const __m128i *)(row + 192));

	return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(v, even));
}

/*
 * A row: twice 64 bytes of nibbles, and 32 bytes of pairs of bits above them.
 * Both halves of a register are units. Weights are 32 too large.
 */
HK_INLINE __m256i q6_row(const uint8_t *row, const int8_t *x, __m256i minus)
{
	__m256i scales = q6_scales(row);
	__m256i sum = _mm256_slli_epi32(_mm256_madd_epi16(scales, minus), 5);

	HK_UNROLL
	for (int n = 0; n < 2; n++) {
		__m256i high = load32(row + 128 + 32 * n);
		__m256i q[2] = { load32(row + 64 * n), load32(row + 64 * n + 32) };

		/* One load for all that is in it. */
		IN_ORDER(high);
		IN_ORDER(q[0]);
		IN_ORDER(q[1]);
		HK_UNROLL
		for (int at = 0; at < 4; at++) {
			const int j = 4 * n + at;
			const __m256i both = _mm256_set1_epi16((short)((2 * j + 1) << 8 | 2 * j));
			__m256i v = at < 2 ? low_nibble(q[at]) : high_nibble(q[at - 2]);

			v = _mm256_or_si256(v, high_bits(high, 2 * at, 2));
			v = _mm256_maddubs_epi16(v, load32(x + HK_ACT_BLOCK * j));
			v = _mm256_madd_epi16(v, _mm256_shuffle_epi8(scales, both));
			sum = _mm256_add_epi32(sum, v);
		}
	}
	return sum;
}

static __m256 q6_k(const struct hk_matmul *m, const struct rows8 *w)
{
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	struct rows8 row = *w;
	__m256i sum[ROWS];

	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, row.p += 210) {
		__m256i minus = minus_sums(act.sum16 + 16 * b);
		__m256 dx = _mm256_broadcast_ss(act.d + b);

		HK_UNROLL
		for (int i = 0; i < ROWS; i++) {
			/* A few with each row: all at once they keep loads waiting. */
			prefetch(w->p + 8 * 210 * b + 210 * i, 210);
			sum[i] = q6_row(row.p + i * row.stride, act.q + HK_ACT_SUPER * b, minus);
			IN_ORDER(sum[i]);
		}
		acc = add_unit(acc, load_f16_of_many(&row, 208), dx,
			       _mm256_cvtepi32_ps(sum_rows(sum)));
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
