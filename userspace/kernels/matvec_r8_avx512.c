// SPDX-License-Identifier: MIT
/*
 * VNNI sums the four products of a lane in int32, which holds those of any block. It takes
 * four cycles to add to a sum, an addition of its own takes one: chains of products would
 * fill what a core sees of the loop with waiting.
 */
#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

#define MOST	4

HK_INLINE __m256i products(__m256i w, __m256i x)
{
	return _mm256_dpbusd_epi32(_mm256_setzero_si256(), w, x);
}

HK_INLINE void add_products(__m256i *sum, __m256i w, __m256i x, const bool first)
{
	w = products(w, x);
	*sum = first ? w : _mm256_add_epi32(*sum, w);
	IN_ORDER(*sum);
}

HK_INLINE __m256i join(__m256i a, __m256i b)
{
	return _mm256_add_epi32(a, b);
}

/* The scale is there twice. */
HK_INLINE __m256i add_scaled(__m256i sum, __m256i unit, __m256i sc)
{
	return _mm256_add_epi32(sum, _mm256_mullo_epi32(unit, _mm256_srai_epi32(sc, 16)));
}

/* The sign's bit turned over is 128 more. */
#define ADDED	128

HK_INLINE __m256i add_signed(__m256i sum, __m256i w, __m256i x)
{
	w = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
	return _mm256_add_epi32(sum, products(w, x));
}

#define matvec_r8	hk_matvec_r8_avx512
#include "kernels/matvec_r8_body.h"

void hk_matmul_r8_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_matmul_rows8(m, first, last, hk_matvec_r8_avx512(m->type));
}
