// SPDX-License-Identifier: MIT
#include "kernels/float_lanes.h"
#include "kernels/matmul_isa.h"

HK_INLINE void store8_f16(uint16_t *y, const float *x)
{
	/* A canonical NaN converts to the canonical one. */
	__m256 v = hk_vec_canon(_mm256_loadu_ps(x));

	_mm_storeu_si128((__m128i *)y, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}

/* Rounded quotients of eight elements, ties to even by the current mode. */
HK_INLINE __m256i quotients(const float *x, __m256 id)
{
	return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), id));
}

HK_INLINE int32_t sum8(__m256i v)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

HK_INLINE uint32_t max_bits(const float *x, const int n)
{
	const __m256i mask = _mm256_set1_epi32(0x7fffffff);
	__m256i max = _mm256_setzero_si256();
	__m128i m;

	for (int i = 0; i < n; i += 8) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(x + i));

		max = _mm256_max_epu32(max, _mm256_and_si256(v, mask));
	}
	m = _mm_max_epu32(_mm256_castsi256_si128(max), _mm256_extracti128_si256(max, 1));
	m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
	return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1)));
}

HK_INLINE void quantize_32(const struct hk_act *act, uint64_t at, const float *x, float id,
			   int32_t sum[2])
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i v[4], q;

	for (int i = 0; i < 4; i++)
		v[i] = quotients(x + 8 * i, _mm256_set1_ps(id));
	sum[0] = sum8(_mm256_add_epi32(v[0], v[1]));
	sum[1] = sum8(_mm256_add_epi32(v[2], v[3]));
	q = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]),
			       _mm256_packs_epi32(v[2], v[3]));
	q = _mm256_permutevar8x32_epi32(q, order);
	_mm256_storeu_si256((__m256i *)(act->q + at * HK_ACT_BLOCK), q);
	if (act->u)
		_mm256_storeu_si256((__m256i *)(act->u + at * HK_ACT_BLOCK),
				    _mm256_xor_si256(q, _mm256_set1_epi8((char)0x80)));
}

#define MANY	4
#include "kernels/float_lanes_body.h"

/* Elements from @i on of @n, at least one; @none where there is none. */
HK_INLINE __m256 load_some(const float *s, uint32_t i, uint32_t n, float none)
{
	__m256 mask;

	if (i + 8 <= n)
		return _mm256_loadu_ps(s + i);
	mask = hk_mask8((int)(n - i));
	return _mm256_blendv_ps(_mm256_set1_ps(none),
				_mm256_maskload_ps(s + i, _mm256_castps_si256(mask)), mask);
}

HK_INLINE void store_some(float *s, uint32_t i, uint32_t n, __m256 v)
{
	if (i + 8 <= n)
		_mm256_storeu_ps(s + i, v);
	else
		_mm256_maskstore_ps(s + i, _mm256_castps_si256(hk_mask8((int)(n - i))), v);
}

/* hk_expf() of eight numbers that are 0 or less, or NaN. */
HK_INLINE __m256 exp_of_negative(__m256 x)
{
	const __m256 round = _mm256_set1_ps(HK_ROUND), one = _mm256_set1_ps(1.0f);
	const __m256 min = _mm256_set1_ps(HK_EXP_MIN);
	const __m256i bias = _mm256_set1_epi32(127);
	__m256 c = _mm256_max_ps(x, min), n, r, p;
	__m256i k, half;

	n = _mm256_sub_ps(_mm256_add_ps(_mm256_mul_ps(c, _mm256_set1_ps(HK_LOG2E)), round), round);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-HK_LN2_HI), c);
	r = _mm256_fmadd_ps(n, _mm256_set1_ps(-HK_LN2_LO), r);
	p = _mm256_fmadd_ps(_mm256_set1_ps(HK_EXP_C6), r, _mm256_set1_ps(HK_EXP_C5));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HK_EXP_C4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(HK_EXP_C3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
	p = _mm256_fmadd_ps(p, r, one);
	p = _mm256_fmadd_ps(p, r, one);
	k = _mm256_cvttps_epi32(n);
	half = _mm256_srai_epi32(k, 1);
	k = _mm256_sub_epi32(k, half);
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias),
								   23)));
	p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(k, bias),
								   23)));
	p = _mm256_and_ps(p, _mm256_cmp_ps(x, min, _CMP_GT_OQ));
	return _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/* See hk_body_softmax(). Rows are short: no loop has a rest for one by one. */
static void softmax(float *s, uint32_t n)
{
	__m256 max = _mm256_set1_ps(-INFINITY), sum;
	struct hk_lanes l = { 0 };

	/* A NaN is passed over: of two the second is taken. */
	for (uint32_t i = 0; i < n; i += 8)
		max = _mm256_max_ps(load_some(s, i, n, -INFINITY), max);
	max = _mm256_max_ps(max, _mm256_permute2f128_ps(max, max, 1));
	max = _mm256_max_ps(max, _mm256_shuffle_ps(max, max, 0x4e));
	max = _mm256_max_ps(max, _mm256_shuffle_ps(max, max, 0xb1));
	for (uint32_t i = 0; i < n; i += 8) {
		__m256 e = exp_of_negative(_mm256_sub_ps(load_some(s, i, n, 0), max));

		store_some(s, i, n, e);
		if (i + 8 > n)
			e = _mm256_and_ps(e, hk_mask8((int)(n - i)));
		if (i % 16)
			l.v[1] = _mm256_add_ps(l.v[1], e);
		else
			l.v[0] = _mm256_add_ps(l.v[0], e);
	}
	sum = _mm256_set1_ps(hk_sum_16(l));
	for (uint32_t i = 0; i < n; i += 8)
		store_some(s, i, n, _mm256_div_ps(load_some(s, i, n, 0), sum));
}

const struct hk_float_kernels hk_float_avx2 = {
	LANES_KERNELS,
	.glu_silu = hk_body_glu_silu,
	.glu_gelu = hk_body_glu_gelu,
	.softmax = softmax,
	.quantize = quantize,
	.quantize_256 = quantize_256,
	.matmul = hk_matmul_avx2,
};

const struct hk_float_kernels hk_float_avx512 = {
	LANES_KERNELS,
	.glu_silu = hk_glu_silu_avx512,
	.glu_gelu = hk_glu_gelu_avx512,
	.softmax = hk_softmax_avx512,
	.quantize = hk_quantize_avx512,
	.quantize_256 = hk_quantize_256_avx512,
	.matmul = hk_matmul_avx512,
};
