// SPDX-License-Identifier: MIT
/*
 * Four queries at a time over one key/value head: a key or a value that was
 * loaded and converted serves all of them.
 */
#include "kernels/attention_isa.h"
#include "kernels/float_avx2.h"

/* Of a block of Q8_0: an f16 scale, then 32 elements. */
#define Q8_BLOCK	32
#define Q8_BYTES	34

/* Sixteen elements of a row from element @i on, a multiple of 16, as f32. */
HK_INLINE struct hk_lanes load16(const uint8_t *row, const unsigned int type, uint32_t i)
{
	const uint8_t *block = row + i / Q8_BLOCK * Q8_BYTES;
	const uint8_t *x = block + 2 + i % Q8_BLOCK;
	__m256 d;

	if (type != HEARTH_TYPE_Q8_0)
		return (struct hk_lanes){ hk_load8(row, type, i), hk_load8(row, type, i + 8) };
	d = _mm256_set1_ps(_cvtsh_ss((uint16_t)(block[0] | block[1] << 8)));
	return (struct hk_lanes){
		_mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
			_mm_loadl_epi64((const __m128i *)x)))),
		_mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(
			_mm_loadl_epi64((const __m128i *)(x + 8))))),
	};
}

/*
 * The products of four queries with a key: eight chains. Eight elements that are left
 * take the lower lanes; rows of Q8_0 leave none.
 */
HK_INLINE __m128 products(const float *const q[HK_QUERIES], const uint8_t *k,
			  const unsigned int type, uint32_t dim)
{
	struct hk_lanes l[HK_QUERIES];
	uint32_t c = 0;

	for (int i = 0; i < HK_QUERIES; i++)
		l[i].lo = l[i].hi = _mm256_setzero_ps();
	for (; c + 16 <= dim; c += 16) {
		struct hk_lanes x = load16(k, type, c);

		for (int i = 0; i < HK_QUERIES; i++) {
			l[i].lo = _mm256_fmadd_ps(_mm256_loadu_ps(q[i] + c), x.lo, l[i].lo);
			l[i].hi = _mm256_fmadd_ps(_mm256_loadu_ps(q[i] + c + 8), x.hi, l[i].hi);
		}
	}
	if (type != HEARTH_TYPE_Q8_0 && c < dim) {
		__m256 x = hk_load8(k, type, c);

		for (int i = 0; i < HK_QUERIES; i++)
			l[i].lo = _mm256_fmadd_ps(_mm256_loadu_ps(q[i] + c), x, l[i].lo);
	}
	return hk_sum_4_avx2(l);
}

/* Four positions, then a transpose: each query's scores are neighbours. */
HK_INLINE void scores_of(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
			 const uint8_t *k, const unsigned int type, uint32_t n, uint32_t dim,
			 float scale)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	__m128 factor = _mm_set1_ps(scale), r[4];
	uint32_t t = 0;

	for (; t + 4 <= n; t += 4) {
		for (int j = 0; j < 4; j++, k += bytes)
			r[j] = _mm_mul_ps(products(q, k, type, dim), factor);
		_MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
		for (int i = 0; i < HK_QUERIES; i++)
			_mm_storeu_ps(s[i] + t, r[i]);
	}
	for (; t < n; t++, k += bytes) {
		float one[4];

		_mm_storeu_ps(one, _mm_mul_ps(products(q, k, type, dim), factor));
		for (int i = 0; i < HK_QUERIES; i++)
			s[i][t] = one[i];
	}
}

void hk_scores_4_avx2(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
		      const uint8_t *k, unsigned int type, uint32_t n, uint32_t dim, float scale)
{
	if (type == HEARTH_TYPE_F16)
		scores_of(s, q, k, HEARTH_TYPE_F16, n, dim, scale);
	else if (type == HEARTH_TYPE_F32)
		scores_of(s, q, k, HEARTH_TYPE_F32, n, dim, scale);
	else
		scores_of(s, q, k, HEARTH_TYPE_Q8_0, n, dim, scale);
}

/* Sixteen channels of @n_q queries: the sums stay in registers. */
HK_INLINE void add_channels(float *const out[], const float *const p[], const int n_q,
			    const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim,
			    uint32_t c)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	struct hk_lanes acc[HK_QUERIES];

	for (int i = 0; i < n_q; i++) {
		acc[i].lo = _mm256_loadu_ps(out[i] + c);
		acc[i].hi = _mm256_loadu_ps(out[i] + c + 8);
	}
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		struct hk_lanes x = load16(v, type, c);

		for (int i = 0; i < n_q; i++) {
			__m256 pt = _mm256_broadcast_ss(p[i] + t);

			acc[i].lo = _mm256_fmadd_ps(pt, x.lo, acc[i].lo);
			acc[i].hi = _mm256_fmadd_ps(pt, x.hi, acc[i].hi);
		}
	}
	for (int i = 0; i < n_q; i++) {
		_mm256_storeu_ps(out[i] + c, acc[i].lo);
		_mm256_storeu_ps(out[i] + c + 8, acc[i].hi);
	}
}

/* The same of the last eight, where a row is not whole sixteens. */
HK_INLINE void add_half(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	uint32_t c = dim - 8;
	__m256 acc[HK_QUERIES];

	for (int i = 0; i < n_q; i++)
		acc[i] = _mm256_loadu_ps(out[i] + c);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		__m256 x = hk_load8(v, type, c);

		for (int i = 0; i < n_q; i++)
			acc[i] = _mm256_fmadd_ps(_mm256_broadcast_ss(p[i] + t), x, acc[i]);
	}
	for (int i = 0; i < n_q; i++)
		_mm256_storeu_ps(out[i] + c, acc[i]);
}

HK_INLINE void add_type(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim)
{
	for (uint32_t c = 0; c + 16 <= dim; c += 16) {
		if (type == HEARTH_TYPE_F16)
			add_channels(out, p, n_q, v, HEARTH_TYPE_F16, n, dim, c);
		else if (type == HEARTH_TYPE_F32)
			add_channels(out, p, n_q, v, HEARTH_TYPE_F32, n, dim, c);
		else
			add_channels(out, p, n_q, v, HEARTH_TYPE_Q8_0, n, dim, c);
	}
	if (dim % 16 && type == HEARTH_TYPE_F16)
		add_half(out, p, n_q, v, HEARTH_TYPE_F16, n, dim);
	else if (dim % 16)
		add_half(out, p, n_q, v, HEARTH_TYPE_F32, n, dim);
}

void hk_weighted_add_avx2(float *const out[], const float *const p[], uint32_t n_q,
			  const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim)
{
	if (n_q == HK_QUERIES) {
		add_type(out, p, HK_QUERIES, v, type, n, dim);
		return;
	}
	for (uint32_t i = 0; i < n_q; i++)
		add_type(out + i, p + i, 1, v, type, n, dim);
}
