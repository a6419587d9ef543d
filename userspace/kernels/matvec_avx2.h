/* SPDX-License-Identifier: MIT */
/*
 * MATMUL of block types in rows for one row of input. Weights stream by and are used
 * once, so nothing is turned: a register holds 16 elements of two rows, row i
 * below and row i + 4 above, and products are summed towards lane i.
 */
#ifndef HEARTH_KERNELS_MATVEC_AVX2_H
#define HEARTH_KERNELS_MATVEC_AVX2_H

#include "kernels/matmul_avx2.h"

/* Something of all eight rows: of i and i + 4 in v[i]. */
struct pairs {
	__m256i v[4];
};

/* 32 activations, each half twice. */
struct halves {
	__m256i lo, hi;
};

HK_INLINE struct halves load_x(const int8_t *q)
{
	return (struct halves){
		_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q)),
		_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)q + 1)),
	};
}

/* 16 bytes of the rows @i and @i + 4. */
HK_INLINE __m256i load_pair(const struct rows8 *w, uint64_t at, int i)
{
	const uint8_t *lo = w->p + i * w->stride + at;
	const uint8_t *hi = w->p + (i + 4) * w->stride + at;

	return _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)lo)),
		_mm_loadu_si128((const __m128i *)hi), 1);
}

/* 16 bytes of each row. */
HK_INLINE void load_pairs(struct pairs *p, const struct rows8 *w, uint64_t at)
{
	HK_UNROLL
	for (int i = 0; i < 4; i++)
		p->v[i] = load_pair(w, at, i);
}

/*
 * A 16-bit number of each row, in one instruction each: row i's is the i-th of
 * the eight that are loaded. The others belong to the row or to a neighbour.
 */
HK_INLINE __m128i load_u16_of_many(const struct rows8 *w, uint64_t at)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(w->p + at));

#define LANE(i) v = _mm_blend_epi16(v, _mm_loadu_si128((const __m128i *)		\
			(w->p + (i) * w->stride + at - 2 * (i))), 1 << (i))
	LANES_1_TO_7(LANE);
#undef LANE
	return v;
}

HK_INLINE __m256 load_f16_of_many(const struct rows8 *w, uint64_t at)
{
	return _mm256_cvtph_ps(load_u16_of_many(w, at));
}

/* Of each 16 bytes the sums of both halves: first those of @a, then those of @b. */
HK_INLINE __m256i sum_halves(__m256i a, __m256i b)
{
	return _mm256_add_epi16(_mm256_blend_epi32(a, b, 0xcc), _mm256_alignr_epi8(b, a, 8));
}

/* Sums of two neighbours as vphaddd has them, in less time. */
HK_INLINE __m256i add_pairs(__m256i a, __m256i b)
{
	const __m256 x = _mm256_castsi256_ps(a), y = _mm256_castsi256_ps(b);

	return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
				_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)));
}

/* Lane i: the sum of the four that row i has in @a and @b. */
HK_INLINE __m256i sum_of_halves(__m256i a, __m256i b, const bool small)
{
	const __m256i one = _mm256_set1_epi16(1);

	a = _mm256_madd_epi16(a, one);
	b = _mm256_madd_epi16(b, one);
	if (small)
		return _mm256_madd_epi16(_mm256_packs_epi32(a, b), one);
	return add_pairs(a, b);
}

/*
 * Lane i of the result is the sum of row i's eight int16. Sums of two have 16
 * bits: they must be below 2^15, and with @small also sums of four. Multipliers
 * are the scarcest here, so the first step does without.
 */
HK_INLINE __m256i sum_pairs(const struct pairs *p, const bool small)
{
	return sum_of_halves(sum_halves(p->v[0], p->v[1]), sum_halves(p->v[2], p->v[3]), small);
}

/* Products of unsigned weights below 32: elements 0..15 in @lo, 16..31 in @hi. */
HK_INLINE __m256i dot_unsigned(const struct pairs *lo, const struct pairs *hi,
			       struct halves x, const bool small)
{
	struct pairs sum;

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		sum.v[i] = _mm256_add_epi16(_mm256_maddubs_epi16(lo->v[i], x.lo),
					    _mm256_maddubs_epi16(hi->v[i], x.hi));
	return sum_pairs(&sum, small);
}

/* Magnitudes times activations with the weights' signs: see products(). */
HK_INLINE __m256i pairs_signed(__m256i w, __m256i x)
{
	return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w),
						      _mm256_sign_epi8(x, w)),
				 _mm256_set1_epi16(1));
}

HK_INLINE __m256i dot_signed(const struct pairs *lo, const struct pairs *hi, struct halves x)
{
	__m256i sum[4];

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		sum[i] = _mm256_add_epi32(pairs_signed(lo->v[i], x.lo),
					  pairs_signed(hi->v[i], x.hi));
	return add_pairs(add_pairs(sum[0], sum[1]),
				 add_pairs(sum[2], sum[3]));
}

HK_INLINE void low_nibbles(struct pairs *to, const struct pairs *from)
{
	HK_UNROLL
	for (int i = 0; i < 4; i++)
		to->v[i] = low_nibble(from->v[i]);
}

HK_INLINE void high_nibbles(struct pairs *to, const struct pairs *from)
{
	HK_UNROLL
	for (int i = 0; i < 4; i++)
		to->v[i] = high_nibble(from->v[i]);
}

/*
 * The sums of eight outputs from row @w->p on; they must be eight rows, one
 * behind the other. NULL: no such kernel.
 */
typedef __m256 (*hk_row1_fn)(const struct hk_matmul *m, const struct rows8 *w);

hk_row1_fn hk_matvec_avx2(unsigned int type);
hk_row1_fn hk_matvec_k_avx2(unsigned int type);
hk_row1_fn hk_matvec_r8_avx2(unsigned int type);
hk_row1_fn hk_matvec_r8_avx512(unsigned int type);

/* hk_matmul_avx2() of block types; @one, where it is not NULL, does eight outputs. */
void hk_matmul_rows8(const struct hk_matmul *m, uint32_t first, uint32_t last, hk_row1_fn one);

#endif /* HEARTH_KERNELS_MATVEC_AVX2_H */
