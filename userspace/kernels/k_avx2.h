/* SPDX-License-Identifier: MIT */
/*
 * Scales and high bits of the types with blocks of 256, eight rows at a time.
 *
 * vpmaddwd takes a unit's scale where it adds pairs of products up, so a block's
 * sum is an integer to the end.
 */
#ifndef HEARTH_KERNELS_K_AVX2_H
#define HEARTH_KERNELS_K_AVX2_H

#include "kernels/matmul_avx2.h"
#include "kernels/r8.h"

/* A block's scales: lane i is row i. */
struct k_scales {
	__m256 d, minus;
	/** @sc: The scale of each unit, twice, as int16. */
	__m256i sc[16];
	/** @mn: The minima of units 2i and 2i + 1. */
	__m256i mn[8];
};

/* Byte @i of each lane's four, and byte @j, as unsigned int16 */
HK_INLINE __m256i two_bytes(__m256i lanes, const int i, const int j)
{
	const __m256i from = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		(char)i, -1, (char)j, -1, (char)(i + 4), -1, (char)(j + 4), -1,
		(char)(i + 8), -1, (char)(j + 8), -1, (char)(i + 12), -1, (char)(j + 12), -1));

	return _mm256_shuffle_epi8(lanes, from);
}

/* Signed byte @i of each lane's four, twice, as int16 */
HK_INLINE __m256i byte_twice(__m256i lanes, const int i)
{
	const __m256i from = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		-1, (char)i, -1, (char)i, -1, (char)(i + 4), -1, (char)(i + 4),
		-1, (char)(i + 8), -1, (char)(i + 8), -1, (char)(i + 12), -1, (char)(i + 12)));

	return _mm256_srai_epi16(_mm256_shuffle_epi8(lanes, from), 8);
}

/* Two f16 in each lane: those below, and those above. */
HK_INLINE void spread_f16(__m256 *low, __m256 *high, __m256i both)
{
	__m256i v = _mm256_packus_epi32(_mm256_and_si256(both, _mm256_set1_epi32(0xffff)),
					_mm256_srli_epi32(both, 16));

	v = _mm256_permute4x64_epi64(v, 0xd8);
	*low = _mm256_cvtph_ps(_mm256_castsi256_si128(v));
	*high = _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
}

/*
 * Q4_K's and Q5_K's: two f16, then eight scales and eight minima of 6 bits in
 * three words, by the steps of hk_k_scales(). Of each row @to gets two
 * words of scales and two of minima, a byte each.
 */
HK_INLINE void load_q45_bytes(__m256i to[4], __m256 *d, __m256 *minus, const struct rows8 *w)
{
	const __m256i six = _mm256_set1_epi8(0x3f), four = _mm256_set1_epi8(0x0f);
	const __m256i two = _mm256_set1_epi8(0x30);
	__m256i in[4];
	__m256 min;

	turn(w, 0, in);
	to[0] = _mm256_and_si256(in[1], six);
	to[1] = _mm256_or_si256(_mm256_and_si256(in[3], four),
				_mm256_and_si256(_mm256_srli_epi32(in[1], 2), two));
	to[2] = _mm256_and_si256(in[2], six);
	to[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(in[3], 4), four),
				_mm256_and_si256(_mm256_srli_epi32(in[2], 2), two));
	if (w->packed) {
		*d = _mm256_cvtph_ps(_mm256_castsi256_si128(in[0]));
		min = _mm256_cvtph_ps(_mm256_extracti128_si256(in[0], 1));
	} else {
		spread_f16(d, &min, in[0]);
	}
	/* Minus the product is the product with minus. */
	*minus = _mm256_xor_ps(min, _mm256_set1_ps(-0.0f));
}

/* Minima of units 2i and 2i + 1 from two words of them */
HK_INLINE void spread_minima(__m256i mn[4], const __m256i words[2])
{
	HK_UNROLL
	for (int i = 0; i < 4; i++)
		mn[i] = two_bytes(words[i / 2], i % 2 * 2, i % 2 * 2 + 1);
}

HK_INLINE void load_q45_scales(struct k_scales *s, const struct rows8 *w)
{
	__m256i to[4];

	load_q45_bytes(to, &s->d, &s->minus, w);
	HK_UNROLL
	for (int u = 0; u < 8; u++)
		s->sc[u] = two_bytes(to[u / 4], u % 4, u % 4);
	spread_minima(s->mn, to + 2);
}

/* Sums of the @n units' minima times sums of activations */
HK_INLINE __m256i minima(const __m256i mn[], const int16_t *sum, const int n)
{
	__m256i total = _mm256_madd_epi16(mn[0], four(sum, 0));

	HK_UNROLL
	for (int i = 1; i < n / 2; i++)
		total = _mm256_add_epi32(total, _mm256_madd_epi16(mn[i], four(sum, i)));
	return total;
}

/* Bit @at and, if @width is 2, the one above it, to the bits 4 and 5. */
HK_INLINE __m256i high_bits(__m256i v, const int at, const int width)
{
	const __m256i mask = _mm256_set1_epi8((char)(((1 << width) - 1) << 4));

	/* A word's shift lets in bits of its other byte, but not to the mask. */
	v = at < 4 ? _mm256_slli_epi16(v, 4 - at) : _mm256_srli_epi16(v, at - 4);
	return _mm256_and_si256(v, mask);
}

#endif /* HEARTH_KERNELS_K_AVX2_H */
