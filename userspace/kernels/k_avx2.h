/* SPDX-License-Identifier: MIT */
/*
 * Scales and high bits of Q4_K, Q5_K and Q6_K, eight rows at a time.
 */
#ifndef HEARTH_KERNELS_K_AVX2_H
#define HEARTH_KERNELS_K_AVX2_H

#include "kernels/matmul_avx2.h"

/* Byte @i of each lane's four. */
HK_INLINE __m256 unsigned_byte(__m256i lanes, const int i)
{
	const __m256i byte = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		(char)i, -1, -1, -1, (char)(i + 4), -1, -1, -1,
		(char)(i + 8), -1, -1, -1, (char)(i + 12), -1, -1, -1));

	return _mm256_cvtepi32_ps(i < 3 ? _mm256_shuffle_epi8(lanes, byte) :
					  _mm256_srli_epi32(lanes, 24));
}

HK_INLINE __m256 signed_byte(__m256i lanes, int i)
{
	return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(lanes, 24 - 8 * i), 24));
}

/* 2^24 times the signed byte @i of each lane's four. */
HK_INLINE __m256 high_byte(__m256i lanes, const int i)
{
	const __m256i byte = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		-1, -1, -1, (char)i, -1, -1, -1, (char)(i + 4),
		-1, -1, -1, (char)(i + 8), -1, -1, -1, (char)(i + 12)));

	return _mm256_cvtepi32_ps(_mm256_shuffle_epi8(lanes, byte));
}

/*
 * Eight scales and eight minima of 6 bits, 12 bytes of each row, to a byte each:
 * the steps of hk_spread_k_scales() on three words per lane. Returns the word
 * before them, the two f16.
 */
HK_INLINE __m256i spread_k_scales(__m256i to[4], const struct rows8 *w)
{
	const __m256i six = _mm256_set1_epi8(0x3f), four = _mm256_set1_epi8(0x0f);
	const __m256i two = _mm256_set1_epi8(0x30);
	__m256i in[4];

	turn(w, 0, in);
	to[0] = _mm256_and_si256(in[1], six);
	to[1] = _mm256_or_si256(_mm256_and_si256(in[3], four),
				_mm256_and_si256(_mm256_srli_epi32(in[1], 2), two));
	to[2] = _mm256_and_si256(in[2], six);
	to[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(in[3], 4), four),
				_mm256_and_si256(_mm256_srli_epi32(in[2], 2), two));
	return in[0];
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

/* All of them, with the f16 @d and @min of each row. */
HK_INLINE void load_k_scales(struct scales *s, const struct rows8 *w, __m256 d, __m256 min)
{
	__m256i to[4];

	spread_k_scales(to, w);
	/* Minus the product is the product with minus. */
	min = _mm256_xor_ps(min, _mm256_set1_ps(-0.0f));
	HK_UNROLL
	for (int u = 0; u < 8; u++) {
		s->d[u] = _mm256_mul_ps(d, unsigned_byte(to[u / 4], u % 4));
		s->m[u] = _mm256_mul_ps(min, unsigned_byte(to[2 + u / 4], u % 4));
	}
}

/* Bit @at and, if @width is 2, the one above it, to the bits 4 and 5. */
HK_INLINE __m256i high_bits(__m256i v, const int at, const int width)
{
	const __m256i mask = _mm256_set1_epi8((char)(((1 << width) - 1) << 4));

	/* A word's shift lets in bits of its other byte, but not to the mask. */
	v = at < 4 ? _mm256_slli_epi16(v, 4 - at) : _mm256_srli_epi16(v, at - 4);
	return _mm256_and_si256(v, mask);
}

HK_INLINE void load_q6_scales(struct scales *s, const struct rows8 *w, __m256 d)
{
	__m256i group[4];

	turn(w, 192, group);
	HK_UNROLL
	for (int u = 0; u < 16; u++)
		s->d[u] = _mm256_mul_ps(d, signed_byte(group[u / 4], u % 4));
}

#endif /* HEARTH_KERNELS_K_AVX2_H */
