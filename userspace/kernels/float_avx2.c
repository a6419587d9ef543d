// SPDX-License-Identifier: MIT
#include "kernels/attention_isa.h"
#include "kernels/float_lanes.h"

#include "kernels/float_q8_lanes.h"
#include "kernels/matmul_isa.h"

/* Dots of @a with four rows, @stride bytes apart: eight chains hide the latency. */
HK_INLINE void dot4(float out[4], const float *a, const uint8_t *b, uint64_t stride,
		    unsigned int type, uint32_t n)
{
	struct hk_lanes l[4];
	uint32_t k = 0;

	for (int i = 0; i < 4; i++)
		l[i].v[0] = l[i].v[1] = _mm256_setzero_ps();
	for (; k + 16 <= n; k += 16) {
		__m256 lo = _mm256_loadu_ps(a + k), hi = _mm256_loadu_ps(a + k + 8);

		for (int i = 0; i < 4; i++) {
			const uint8_t *row = b + i * stride;

			l[i].v[0] = _mm256_fmadd_ps(lo, hk_vec_load(row, type, k), l[i].v[0]);
			l[i].v[1] = _mm256_fmadd_ps(hi, hk_vec_load(row, type, k + 8), l[i].v[1]);
		}
	}
	for (int i = 0; i < 4 && k < n; i++)
		l[i] = hk_tail(l[i], a, b + i * stride, type, k, n);
	_mm_storeu_ps(out, hk_sum_4x16(l));
}

HK_INLINE float dot1(const float *a, const uint8_t *b, unsigned int type, uint32_t n)
{
	struct hk_lanes l = { 0 };
	uint32_t k = 0;

	for (; k + 16 <= n; k += 16) {
		l.v[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), hk_vec_load(b, type, k), l.v[0]);
		l.v[1] = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 8), hk_vec_load(b, type, k + 8),
					 l.v[1]);
	}
	if (k < n)
		l = hk_tail(l, a, b, type, k, n);
	return hk_sum_16(l);
}

/* out[i] = dot(a, row i of b) */
HK_INLINE void dots(float *out, const float *a, const uint8_t *b, uint64_t stride,
		    unsigned int type, uint32_t rows, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 4 <= rows; i += 4)
		dot4(out + i, a, b + i * stride, stride, type, n);
	for (; i < rows; i++)
		out[i] = dot1(a, b + i * stride, type, n);
}

static void scores(float *s, const float *q, const void *k, bool f16, uint32_t n,
		   uint32_t dim, float scale)
{
	if (f16)
		dots(s, q, k, dim * 2ull, HEARTH_TYPE_F16, n, dim);
	else
		dots(s, q, k, dim * 4ull, HEARTH_TYPE_F32, n, dim);
	for (uint32_t t = 0; t < n; t++)
		s[t] *= scale;
}

/* Channels [c, c + 8 * groups): the sums stay in registers over all positions. */
HK_INLINE void weighted_channels(float *out, const float *p, const void *v,
				 unsigned int type, uint32_t n, uint32_t dim, uint32_t c,
				 const int groups)
{
	__m256 acc[4];

	for (int g = 0; g < groups; g++)
		acc[g] = _mm256_loadu_ps(out + c + 8 * g);
	for (uint32_t t = 0; t < n; t++) {
		__m256 pt = _mm256_broadcast_ss(p + t);
		uint64_t at = (uint64_t)t * dim + c;

		for (int g = 0; g < groups; g++)
			acc[g] = _mm256_fmadd_ps(pt, hk_vec_load(v, type, at + 8 * g), acc[g]);
	}
	for (int g = 0; g < groups; g++)
		_mm256_storeu_ps(out + c + 8 * g, hk_vec_canon(acc[g]));
}

HK_INLINE void weighted_rest(float *out, const float *p, const void *v, unsigned int type,
			     uint32_t n, uint32_t dim, uint32_t c)
{
	for (; c < dim; c++) {
		float acc = out[c];

		for (uint32_t t = 0; t < n; t++) {
			uint64_t at = (uint64_t)t * dim + c;
			float x = type == HEARTH_TYPE_F32 ?
				  ((const float *)v)[at] :
				  _cvtsh_ss(((const uint16_t *)v)[at]);

			acc = fmaf(p[t], x, acc);
		}
		out[c] = hk_canon(acc);
	}
}

HK_INLINE void weighted_type(float *out, const float *p, const void *v, unsigned int type,
			     uint32_t n, uint32_t dim)
{
	uint32_t c = 0;

	for (; c + 32 <= dim; c += 32)
		weighted_channels(out, p, v, type, n, dim, c, 4);
	for (; c + 8 <= dim; c += 8)
		weighted_channels(out, p, v, type, n, dim, c, 1);
	weighted_rest(out, p, v, type, n, dim, c);
}

static void weighted_sum(float *out, const float *p, const void *v, bool f16, uint32_t n,
			 uint32_t dim)
{
	if (f16)
		weighted_type(out, p, v, HEARTH_TYPE_F16, n, dim);
	else
		weighted_type(out, p, v, HEARTH_TYPE_F32, n, dim);
}

static void to_f16(uint16_t *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8) {
		/* A canonical NaN converts to the canonical one. */
		__m256 v = hk_vec_canon(_mm256_loadu_ps(x + i));

		_mm_storeu_si128((__m128i *)(y + i),
				 _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
	}
	for (; i < n; i++)
		y[i] = hk_f16_from_f32(x[i]);
}

static void get_row(float *y, const uint8_t *row, unsigned int type, uint32_t n)
{
	uint32_t i = 0;

	if (type != HEARTH_TYPE_F16) {
		hk_body_get_row(y, row, type, n);
		return;
	}
	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(y + i, hk_vec_canon(hk_vec_load(row, HEARTH_TYPE_F16, i)));
	for (; i < n; i++)
		y[i] = hk_load_f16(row + 2 * (uint64_t)i);
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

/* The largest magnitude of @n elements, as bits: infinity and NaN are on top. */
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

/* 32 elements to place @at; the sums of both halves. */
HK_INLINE void quantize_32(const struct hk_act *act, uint64_t at, const float *x, __m256 id,
			   int32_t sum[2])
{
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	__m256i v[4], q;

	for (int i = 0; i < 4; i++)
		v[i] = quotients(x + 8 * i, id);
	sum[0] = sum8(_mm256_add_epi32(v[0], v[1]));
	sum[1] = sum8(_mm256_add_epi32(v[2], v[3]));
	q = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]),
			       _mm256_packs_epi32(v[2], v[3]));
	q = _mm256_permutevar8x32_epi32(q, order);
	_mm256_storeu_si256((__m256i *)(act->q + at * HK_ACT_BLOCK), q);
	_mm256_storeu_si256((__m256i *)(act->u + at * HK_ACT_BLOCK),
			    _mm256_xor_si256(q, _mm256_set1_epi8((char)0x80)));
}

/* See hk_body_quantize() for the rules. */
static void quantize(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_BLOCK; b++, x += HK_ACT_BLOCK) {
		uint64_t at = (uint64_t)b * act->rows + row;
		uint32_t max = max_bits(x, HK_ACT_BLOCK);
		float amax = hk_f32_from_bits(max);
		int32_t sum[2];

		if (hk_is_odd(max)) {
			hk_quantize_odd(act, at, max);
			memset(act->u + at * HK_ACT_BLOCK, 128, HK_ACT_BLOCK);
			continue;
		}
		act->d[at] = amax / 127.0f;
		quantize_32(act, at, x, _mm256_set1_ps(127.0f / amax), sum);
		act->sum[at] = sum[0] + sum[1];
		act->total[at] = (float)act->sum[at];
	}
}

static void quantize_256(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_SUPER; b++, x += HK_ACT_SUPER) {
		uint64_t at = (uint64_t)b * act->rows + row;
		uint32_t max = max_bits(x, HK_ACT_SUPER);
		float amax = hk_f32_from_bits(max);

		if (hk_is_odd(max)) {
			hk_quantize_odd_256(act, b, row, max, true);
			continue;
		}
		act->d[at] = amax / 127.0f;
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			uint64_t to = ((uint64_t)b * HK_ACT_BLOCKS + j) * act->rows + row;
			int32_t sum[2];

			quantize_32(act, to, x + j * HK_ACT_BLOCK,
				    _mm256_set1_ps(127.0f / amax), sum);
			act->sum16[16 * at + 2 * j] = (int16_t)sum[0];
			act->sum16[16 * at + 2 * j + 1] = (int16_t)sum[1];
			act->sum32[8 * at + j] = (int16_t)(sum[0] + sum[1]);
		}
	}
}

static float sum_squares(const float *x, uint32_t n)
{
	return dot1(x, (const uint8_t *)x, HEARTH_TYPE_F32, n);
}

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

/* The levels above have the same, but for the matmul. */
#define AVX2_KERNELS \
	.sum_squares = sum_squares, \
	.scale_gain = hk_body_scale_gain, \
	.rope = hk_body_rope, \
	.add = hk_body_add, \
	.mul = hk_body_mul, \
	.glu_silu = hk_body_glu_silu, \
	.glu_gelu = hk_body_glu_gelu, \
	.softcap = hk_body_softcap, \
	.softmax = softmax, \
	.scores = scores, \
	.weighted_sum = weighted_sum, \
	.scores_4 = hk_scores_4, \
	.weighted_add = hk_weighted_add, \
	.scores_q8 = scores_q8, \
	.weighted_sum_q8 = weighted_sum_q8, \
	.to_q8 = hk_body_to_q8, \
	.to_f16 = to_f16, \
	.get_row = get_row, \
	.quantize = quantize, \
	.quantize_256 = quantize_256

const struct hk_float_kernels hk_float_avx2 = {
	AVX2_KERNELS,
	.matmul = hk_matmul_avx2,
};

const struct hk_float_kernels hk_float_avx512 = {
	AVX2_KERNELS,
	.matmul = hk_matmul_avx512,
};
