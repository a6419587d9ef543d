// SPDX-License-Identifier: MIT
/* Pairs of products are summed in int16. */
#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

/* 63 * 128 * 2 * 2 is below 2^15. */
#define MOST	2

HK_INLINE void add_products(__m256i *sum, __m256i w, __m256i x, const bool first)
{
	w = _mm256_maddubs_epi16(w, x);
	*sum = first ? w : _mm256_add_epi16(*sum, w);
	IN_ORDER(*sum);
}

HK_INLINE __m256i join(__m256i a, __m256i b)
{
	return _mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1));
}

/* vpmaddwd takes the scale where it adds a pair up. */
HK_INLINE __m256i add_scaled(__m256i sum, __m256i unit, __m256i sc)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(unit, sc));
}

#define ADDED	0

/*
 * Magnitudes times activations with the weights' signs. Some cores take vpabsb where they
 * multiply, and these multipliers are the scarcest here.
 */
HK_INLINE __m256i add_signed(__m256i sum, __m256i w, __m256i x)
{
	__m256i u = _mm256_min_epu8(w, _mm256_sub_epi8(_mm256_setzero_si256(), w));

	x = _mm256_maddubs_epi16(u, _mm256_sign_epi8(x, w));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_set1_epi16(1)));
}

#define matvec_r8	hk_matvec_r8_avx2
#include "kernels/matvec_r8_body.h"
