/* SPDX-License-Identifier: MIT */
/*
 * Attention over caches of Q8_0: hk_body_scores_q8() and its kin in registers.
 * Scale times element is exact, so a product more rounds nothing.
 */
#ifndef HEARTH_KERNELS_FLOAT_Q8_AVX2_H
#define HEARTH_KERNELS_FLOAT_Q8_AVX2_H

#include "kernels/float_lanes.h"
#include "kernels/float_body.h"

/* Eight elements of a block with the scale @d. */
HK_INLINE __m256 hk_q8_load8(const uint8_t *x, __m256 d)
{
	__m256i v = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)x));

	return _mm256_mul_ps(d, _mm256_cvtepi32_ps(v));
}

HK_INLINE __m256 hk_q8_scale(const uint8_t *block)
{
	return _mm256_set1_ps(HK_BODY_F16(block));
}

/* Dots of @q with @rows rows, @bytes apart; each is a chain of two registers. */
HK_INLINE void hk_q8_dots(float *s, const float *q, const uint8_t *k, uint64_t bytes,
			  uint32_t dim, const int rows)
{
	struct hk_lanes l[4];

	for (int i = 0; i < rows; i++)
		l[i].v[0] = l[i].v[1] = _mm256_setzero_ps();
	for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, k += HK_Q8_BYTES) {
		__m256 a[4];

		for (int j = 0; j < 4; j++)
			a[j] = _mm256_loadu_ps(q + c + 8 * j);
		for (int i = 0; i < rows; i++) {
			const uint8_t *b = k + i * bytes;
			__m256 d = hk_q8_scale(b);

			l[i].v[0] = _mm256_fmadd_ps(a[0], hk_q8_load8(b + 2, d), l[i].v[0]);
			l[i].v[1] = _mm256_fmadd_ps(a[1], hk_q8_load8(b + 10, d), l[i].v[1]);
			l[i].v[0] = _mm256_fmadd_ps(a[2], hk_q8_load8(b + 18, d), l[i].v[0]);
			l[i].v[1] = _mm256_fmadd_ps(a[3], hk_q8_load8(b + 26, d), l[i].v[1]);
		}
	}
	for (int i = 0; i < rows; i++)
		s[i] = hk_sum_16(l[i]);
}

static void scores_q8(float *s, const float *q, const uint8_t *k, uint32_t n, uint32_t dim,
		      float scale)
{
	uint64_t bytes = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;
	uint32_t t = 0;

	for (; t + 4 <= n; t += 4)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, 4);
	for (; t < n; t++)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, 1);
	for (t = 0; t < n; t++)
		s[t] *= scale;
}

/* @blocks blocks of channels: their sums stay in registers over all positions. */
HK_INLINE void hk_q8_weighted(float *out, const float *p, const uint8_t *v, uint64_t bytes,
			      uint32_t n, const int blocks)
{
	__m256 acc[8];

	for (int g = 0; g < 4 * blocks; g++)
		acc[g] = _mm256_loadu_ps(out + 8 * g);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		__m256 pt = _mm256_broadcast_ss(p + t);

		for (int b = 0; b < blocks; b++) {
			const uint8_t *block = v + b * HK_Q8_BYTES;
			__m256 d = hk_q8_scale(block);

			for (int g = 0; g < 4; g++)
				acc[4 * b + g] = _mm256_fmadd_ps(pt, hk_q8_load8(block + 2 + 8 * g, d),
								 acc[4 * b + g]);
		}
	}
	for (int g = 0; g < 4 * blocks; g++)
		_mm256_storeu_ps(out + 8 * g, hk_vec_canon(acc[g]));
}

static void weighted_sum_q8(float *out, const float *p, const uint8_t *v, uint32_t n,
			    uint32_t dim)
{
	uint64_t bytes = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;
	uint32_t c = 0;

	for (; c + 64 <= dim; c += 64, v += 2 * HK_Q8_BYTES)
		hk_q8_weighted(out + c, p, v, bytes, n, 2);
	if (c < dim)
		hk_q8_weighted(out + c, p, v, bytes, n, 1);
}

#endif /* HEARTH_KERNELS_FLOAT_Q8_AVX2_H */
