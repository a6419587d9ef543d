/* SPDX-License-Identifier: MIT */
/*
 * Sums of 16 lanes in two registers. Only for files built with AVX2, FMA and
 * F16C.
 */
#ifndef HEARTH_KERNELS_FLOAT_AVX2_H
#define HEARTH_KERNELS_FLOAT_AVX2_H

#include <immintrin.h>

#include "kernels/f16.h"
#include "kernels/float.h"

#define HK_INLINE static inline __attribute__((always_inline))
#define HK_UNROLL _Pragma("GCC unroll 16")

struct hk_lanes {
	__m256 lo, hi;
};

HK_INLINE float hk_sum_avx2(struct hk_lanes l)
{
	__m256 s8 = _mm256_add_ps(l.lo, l.hi);
	__m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/* Eight elements from element @i on, as f32. */
HK_INLINE __m256 hk_load8(const void *p, unsigned int type, uint64_t i)
{
	const uint16_t *h = (const uint16_t *)p + i;

	switch (type) {
	case HEARTH_TYPE_F32:
		return _mm256_loadu_ps((const float *)p + i);
	case HEARTH_TYPE_F16:
		return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)h));
	default:
		return _mm256_castsi256_ps(_mm256_slli_epi32(
			_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)h)), 16));
	}
}

/* All ones in the lanes below @n. */
HK_INLINE __m256 hk_mask8(int n)
{
	__m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
}

/*
 * Elements @k to @n - 1, fewer than 16. They are copied, for a load of 16
 * might leave the operand; lanes without an element keep their sum.
 */
static inline void hk_tail_avx2(struct hk_lanes *l, const float *a, const void *b,
				unsigned int type, uint32_t k, uint32_t n)
{
	unsigned int size = type == HEARTH_TYPE_F32 ? 4 : 2;
	int left = (int)(n - k);
	float x[16] = { 0 };
	uint8_t w[64] = { 0 };
	__m256 lo, hi;

	memcpy(x, a + k, left * sizeof(*x));
	memcpy(w, (const uint8_t *)b + (uint64_t)k * size, (size_t)left * size);
	lo = _mm256_fmadd_ps(_mm256_loadu_ps(x), hk_load8(w, type, 0), l->lo);
	hi = _mm256_fmadd_ps(_mm256_loadu_ps(x + 8), hk_load8(w, type, 8), l->hi);
	l->lo = _mm256_blendv_ps(l->lo, lo, hk_mask8(left));
	l->hi = _mm256_blendv_ps(l->hi, hi, hk_mask8(left - 8));
}

HK_INLINE __m256 hk_canon8(__m256 x)
{
	__m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(HK_F32_NAN));

	return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

#endif /* HEARTH_KERNELS_FLOAT_AVX2_H */
