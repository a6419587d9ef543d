/* SPDX-License-Identifier: MIT */
/*
 * Sums of 16 lanes in two registers: what float_lanes.h wants of the ISA. Only for
 * files built with AVX2, FMA and F16C.
 */
#ifndef HEARTH_KERNELS_FLOAT_AVX2_H
#define HEARTH_KERNELS_FLOAT_AVX2_H

#include <immintrin.h>

#include "kernels/f16.h"
#include "kernels/float.h"
#include "kernels/unroll.h"

#define HK_INLINE static inline __attribute__((always_inline))

/* hk_f32_from_f16() in one instruction */
HK_INLINE float hk_f32_from_half(uint16_t h)
{
	return _cvtsh_ss(h);
}

#define HK_BODY_F16(p)	hk_f32_from_half((uint16_t)((p)[0] | (p)[1] << 8))
#include "kernels/float_body.h"

typedef __m256 hk_vec;
typedef __m128 hk_four;

#define HK_VEC	8

/* See float_q8_lanes.h. */
#define HK_Q8_ROWS	4
#define HK_Q8_BLOCKS	2

struct hk_lanes {
	hk_vec v[2];
};

/* The first numbers of four pairs, and the second ones. */
struct hk_pairs {
	hk_four a, b;
};

HK_INLINE float hk_sum_16(struct hk_lanes l)
{
	__m256 s8 = _mm256_add_ps(l.v[0], l.v[1]);
	__m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
	__m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));

	return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
}

/* Four trees at once: the sums of a[0] to a[3]. */
HK_INLINE hk_four hk_sum_4x16(const struct hk_lanes a[4])
{
	__m256 s8[4], s4[2], s2, s1;

	for (int i = 0; i < 4; i++)
		s8[i] = _mm256_add_ps(a[i].v[0], a[i].v[1]);
	/* words of 0 and 2, and of 1 and 3 */
	for (int i = 0; i < 2; i++)
		s4[i] = _mm256_add_ps(_mm256_permute2f128_ps(s8[i], s8[i + 2], 0x20),
				      _mm256_permute2f128_ps(s8[i], s8[i + 2], 0x31));
	s2 = _mm256_add_ps(_mm256_shuffle_ps(s4[0], s4[1], 0x44),
			   _mm256_shuffle_ps(s4[0], s4[1], 0xee));
	s1 = _mm256_add_ps(_mm256_shuffle_ps(s2, s2, 0x88), _mm256_shuffle_ps(s2, s2, 0xdd));
	return _mm_movelh_ps(_mm256_castps256_ps128(s1), _mm256_extractf128_ps(s1, 1));
}

/* Eight elements from element @i on, as f32. */
HK_INLINE hk_vec hk_vec_load(const void *p, unsigned int type, uint64_t i)
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

HK_INLINE hk_vec hk_vec_splat(const float *p)
{
	return _mm256_broadcast_ss(p);
}

HK_INLINE void hk_vec_store(float *p, hk_vec v)
{
	_mm256_storeu_ps(p, v);
}

/* sum + a * b */
HK_INLINE hk_vec hk_vec_fma(hk_vec sum, hk_vec a, hk_vec b)
{
	return _mm256_fmadd_ps(a, b, sum);
}

HK_INLINE hk_vec hk_vec_canon(hk_vec x)
{
	__m256 nan = _mm256_castsi256_ps(_mm256_set1_epi32(HK_F32_NAN));

	return _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

HK_INLINE hk_four hk_four_load(const float *p)
{
	return _mm_loadu_ps(p);
}

HK_INLINE void hk_four_store(float *p, hk_four v)
{
	_mm_storeu_ps(p, v);
}

HK_INLINE hk_four hk_four_mul(hk_four v, float by)
{
	return _mm_mul_ps(v, _mm_set1_ps(by));
}

/* Four pairs that lie one behind the other. */
HK_INLINE struct hk_pairs hk_pairs_load(const float *p)
{
	__m128 lo = _mm_loadu_ps(p), hi = _mm_loadu_ps(p + 4);

	return (struct hk_pairs){ _mm_shuffle_ps(lo, hi, 0x88), _mm_shuffle_ps(lo, hi, 0xdd) };
}

HK_INLINE void hk_pairs_store(float *p, struct hk_pairs x)
{
	_mm_storeu_ps(p, _mm_unpacklo_ps(x.a, x.b));
	_mm_storeu_ps(p + 4, _mm_unpackhi_ps(x.a, x.b));
}

HK_INLINE hk_four hk_four_canon(hk_four x)
{
	__m128 nan = _mm_castsi128_ps(_mm_set1_epi32(HK_F32_NAN));

	return _mm_blendv_ps(x, nan, _mm_cmpunord_ps(x, x));
}

/* By angles of the cosines by.a and the sines by.b: a' = a c - b s, b' = a s + b c */
HK_INLINE struct hk_pairs hk_pairs_turn(struct hk_pairs x, struct hk_pairs by)
{
	__m128 bs = _mm_mul_ps(x.b, by.b), bc = _mm_mul_ps(x.b, by.a);

	return (struct hk_pairs){
		hk_four_canon(_mm_fmsub_ps(x.a, by.a, bs)),
		hk_four_canon(_mm_fmadd_ps(x.a, by.b, bc)),
	};
}

/* Four rows of four become columns. */
HK_INLINE void hk_four_transpose(hk_four r[4])
{
	_MM_TRANSPOSE4_PS(r[0], r[1], r[2], r[3]);
}

HK_INLINE struct hk_lanes hk_load16(const void *p, unsigned int type, uint64_t i)
{
	return (struct hk_lanes){ { hk_vec_load(p, type, i), hk_vec_load(p, type, i + 8) } };
}

/* Sixteen elements of a block with the scale @d. */
HK_INLINE struct hk_lanes hk_q8_load16(const uint8_t *x, float d)
{
	struct hk_lanes l;

	HK_UNROLL
	for (int j = 0; j < 2; j++) {
		__m256i v = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(x + 8 * j)));

		l.v[j] = _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(v));
	}
	return l;
}

/* All ones in the lanes below @n. */
HK_INLINE __m256 hk_mask8(int n)
{
	__m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
}

/*
 * Elements @k to @k + @left - 1, fewer than eight, of a row that has eight or more:
 * with those before them, for a load must not leave the operand. The upper lanes
 * have some element of the row.
 */
HK_INLINE __m256 hk_load_last(const void *p, unsigned int type, uint32_t k, int left)
{
	__m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);

	return _mm256_permutevar8x32_ps(hk_vec_load(p, type, k + (uint32_t)left - 8),
					_mm256_sub_epi32(lane, _mm256_set1_epi32(left)));
}

/* Lanes without an element keep their sum. */
HK_INLINE __m256 hk_add_last(__m256 sum, const float *a, const void *b, unsigned int type,
			     uint32_t k, int left)
{
	__m256 to = _mm256_fmadd_ps(hk_load_last(a, HEARTH_TYPE_F32, k, left),
				    hk_load_last(b, type, k, left), sum);

	return _mm256_blendv_ps(sum, to, hk_mask8(left));
}

/* Rows of fewer than eight elements: copied. */
static inline __m256 hk_add_short_row(__m256 sum, const float *a, const void *b,
				      unsigned int type, uint32_t n)
{
	float x[8] = { 0 };
	uint8_t w[32] = { 0 };
	__m256 to;

	memcpy(x, a, n * sizeof(*x));
	memcpy(w, b, n * (type == HEARTH_TYPE_F32 ? 4 : 2));
	to = _mm256_fmadd_ps(_mm256_loadu_ps(x), hk_vec_load(w, type, 0), sum);
	return _mm256_blendv_ps(sum, to, hk_mask8((int)n));
}

/* Elements @k to @n - 1, fewer than 16. */
HK_INLINE struct hk_lanes hk_tail(struct hk_lanes l, const float *a, const void *b,
				  unsigned int type, uint32_t k, uint32_t n)
{
	if (n < 8) {
		l.v[0] = hk_add_short_row(l.v[0], a, b, type, n);
	} else if (n - k < 8) {
		l.v[0] = hk_add_last(l.v[0], a, b, type, k, (int)(n - k));
	} else {
		l.v[0] = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), hk_vec_load(b, type, k), l.v[0]);
		if (n - k > 8)
			l.v[1] = hk_add_last(l.v[1], a, b, type, k + 8, (int)(n - k - 8));
	}
	return l;
}

#endif /* HEARTH_KERNELS_FLOAT_AVX2_H */
