// SPDX-License-Identifier: MIT
/*
 * Float kernels on registers of 64 bytes, which are sixteen lanes, where that pays: what a
 * prompt spends its time on beside its matrices.
 */
#include "kernels/float_avx512.h"
#include "kernels/float_isa.h"
#include "kernels/mathf.h"
#include "kernels/unroll.h"

#define LANES	16

/* Lanes below @n, all of sixteen or more. */
HK_INLINE __mmask16 lanes(uint32_t n)
{
	return n < LANES ? (__mmask16)((1u << n) - 1) : 0xffff;
}

/*
 * hk_expf(). Scaling by a power of two rounds once, and only where the result is denormal,
 * as the two products there do. At the lower end that gives 0.
 */
HK_INLINE __m512 exp16(__m512 x)
{
	const __m512 round = _mm512_set1_ps(HK_ROUND), one = _mm512_set1_ps(1.0f);
	const __m512 max = _mm512_set1_ps(HK_EXP_MAX), min = _mm512_set1_ps(HK_EXP_MIN);
	__m512 c = _mm512_max_ps(_mm512_min_ps(x, max), min), n, r, p;

	n = _mm512_sub_ps(_mm512_add_ps(_mm512_mul_ps(c, _mm512_set1_ps(HK_LOG2E)), round), round);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-HK_LN2_HI), c);
	r = _mm512_fmadd_ps(n, _mm512_set1_ps(-HK_LN2_LO), r);
	p = _mm512_fmadd_ps(_mm512_set1_ps(HK_EXP_C6), r, _mm512_set1_ps(HK_EXP_C5));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HK_EXP_C4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(HK_EXP_C3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
	p = _mm512_fmadd_ps(p, r, one);
	p = _mm512_fmadd_ps(p, r, one);
	p = _mm512_scalef_ps(p, n);
	p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, max, _CMP_GE_OQ),
			       _mm512_set1_ps(INFINITY));
	return _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

/* The tree of sixteen lanes */
HK_INLINE float sum16(__m512 l)
{
	__m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(l), _mm512_extractf32x8_ps(l, 1));
	__m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/* See hk_body_softmax(). */
void hk_softmax_avx512(float *s, uint32_t n)
{
	__m512 max = _mm512_set1_ps(-INFINITY), l = _mm512_setzero_ps(), sum;

	/* A NaN is passed over: of two the second is taken. */
	for (uint32_t i = 0; i < n; i += LANES)
		max = _mm512_mask_max_ps(max, lanes(n - i),
					 _mm512_maskz_loadu_ps(lanes(n - i), s + i), max);
	max = _mm512_set1_ps(_mm512_reduce_max_ps(max));
	for (uint32_t i = 0; i < n; i += LANES) {
		__mmask16 some = lanes(n - i);
		__m512 e = exp16(_mm512_sub_ps(_mm512_maskz_loadu_ps(some, s + i), max));

		_mm512_mask_storeu_ps(s + i, some, e);
		l = _mm512_mask_add_ps(l, some, l, e);
	}
	sum = _mm512_set1_ps(sum16(l));
	for (uint32_t i = 0; i < n; i += LANES)
		_mm512_mask_storeu_ps(s + i, lanes(n - i),
			_mm512_div_ps(_mm512_maskz_loadu_ps(lanes(n - i), s + i), sum));
}

/* x / (1 + exp(-w)) * up */
HK_INLINE __m512 gate16(__m512 x, __m512 w, __m512 up)
{
	__m512 minus = _mm512_xor_ps(w, _mm512_set1_ps(-0.0f));
	__m512 by = _mm512_add_ps(_mm512_set1_ps(1.0f), exp16(minus));

	return canon16(_mm512_mul_ps(_mm512_div_ps(x, by), up));
}

void hk_glu_silu_avx512(float *y, const float *gate, const float *up, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += LANES) {
		__mmask16 some = lanes(n - i);
		__m512 x = _mm512_maskz_loadu_ps(some, gate + i);

		_mm512_mask_storeu_ps(y + i, some,
				      gate16(x, x, _mm512_maskz_loadu_ps(some, up + i)));
	}
}

/* See hk_geluf(). */
void hk_glu_gelu_avx512(float *y, const float *gate, const float *up, uint32_t n)
{
	const __m512 c1 = _mm512_set1_ps(HK_GELU_C1), c3 = _mm512_set1_ps(HK_GELU_C3);

	for (uint32_t i = 0; i < n; i += LANES) {
		__mmask16 some = lanes(n - i);
		__m512 x = _mm512_maskz_loadu_ps(some, gate + i);
		__m512 w = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(x, x), c3, c1));

		_mm512_mask_storeu_ps(y + i, some,
				      gate16(x, w, _mm512_maskz_loadu_ps(some, up + i)));
	}
}

HK_INLINE uint32_t max_bits(const float *x, const int n)
{
	const __m512i mask = _mm512_set1_epi32(0x7fffffff);
	__m512i max = _mm512_setzero_si512();

	for (int i = 0; i < n; i += LANES)
		max = _mm512_max_epu32(max, _mm512_and_si512(_mm512_loadu_si512(x + i), mask));
	return _mm512_reduce_max_epu32(max);
}

/* Rounded quotients of sixteen elements, ties to even by the current mode. */
HK_INLINE __m128i quotients(const float *x, __m512 id)
{
	return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), id)));
}

/* Only a row by itself meets AVX2's kernels, which read act->u. */
HK_INLINE void quantize_32(const struct hk_act *act, uint64_t at, const float *x, float id,
			   int32_t sum[2])
{
	const __m512 by = _mm512_set1_ps(id);
	__m256i q = _mm256_set_m128i(quotients(x + LANES, by), quotients(x, by));
	__m256i u = _mm256_xor_si256(q, _mm256_set1_epi8((char)0x80));
	__m256i s = _mm256_sad_epu8(u, _mm256_setzero_si256());

	s = _mm256_add_epi64(s, _mm256_bsrli_epi128(s, 8));
	sum[0] = _mm256_extract_epi32(s, 0) - LANES * 128;
	sum[1] = _mm256_extract_epi32(s, 4) - LANES * 128;
	_mm256_storeu_si256((__m256i *)(act->q + at * HK_ACT_BLOCK), q);
	if (act->rows == 1 && act->u)
		_mm256_storeu_si256((__m256i *)(act->u + at * HK_ACT_BLOCK), u);
}

#include "kernels/quantize_lanes.h"

void hk_quantize_avx512(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	quantize(act, row, x, n);
}

void hk_quantize_256_avx512(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	quantize_256(act, row, x, n);
}
