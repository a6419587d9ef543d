/* SPDX-License-Identifier: MIT */
/*
 * int32 in AVX2's registers, and bytes: what int8_lanes.h wants of the ISA. Only for
 * files that are compiled for AVX2.
 */
#ifndef HEARTH_KERNELS_INT8_AVX2_H
#define HEARTH_KERNELS_INT8_AVX2_H

#include <immintrin.h>

#include "kernels/int8.h"
#include "kernels/unroll.h"

void hk_conv_avx2(const struct hk_conv *cv, struct hk_run *r);
void hk_depthwise_avx2(const struct hk_conv *cv, struct hk_run *r);
void hk_gemv_avx2(const struct hk_conv *cv, struct hk_run *r);

typedef __m256i vec32;

#define VEC32	8

static inline __m256i load256(const void *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

static inline vec32 load32(const int32_t *p)
{
	return load256(p);
}

static inline vec32 splat32(int32_t x)
{
	return _mm256_set1_epi32(x);
}

static inline vec32 add32(vec32 a, vec32 b)
{
	return _mm256_add_epi32(a, b);
}

static inline vec32 mul32(vec32 a, vec32 b)
{
	return _mm256_mullo_epi32(a, b);
}

static inline vec32 shift_left32(vec32 x, vec32 n)
{
	return _mm256_sllv_epi32(x, n);
}

static inline vec32 clamp32(vec32 x, vec32 min, vec32 max)
{
	return _mm256_min_epi32(_mm256_max_epi32(x, min), max);
}

/* hk_mul_high() of 8 numbers: even and odd ones as 64-bit products */
static inline __m256i mul_high(__m256i x, __m256i m)
{
	const __m256i half = _mm256_set1_epi64x(1ll << 30);
	__m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, m), half);
	__m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32),
							_mm256_srli_epi64(m, 32)), half);

	/* Bits 31..62 of each, to the place where the number stood */
	return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1),
				  0xaa);
}

/* hk_round_shift() */
static inline __m256i round_shift(__m256i x, __m256i n)
{
	const __m256i one = _mm256_set1_epi32(1);
	/* 1 << 32 is 0 here, as it should be for the mask; n is at most 31. */
	__m256i mask = _mm256_sub_epi32(_mm256_sllv_epi32(one, n), one);
	__m256i rest = _mm256_and_si256(x, mask);
	__m256i limit = _mm256_sub_epi32(_mm256_srli_epi32(mask, 1),
					 _mm256_srai_epi32(x, 31));

	return _mm256_sub_epi32(_mm256_srav_epi32(x, n), _mm256_cmpgt_epi32(rest, limit));
}

static inline __m256i requantize(__m256i x, __m256i multiplier, __m256i left,
				 __m256i right)
{
	return round_shift(mul_high(_mm256_sllv_epi32(x, left), multiplier), right);
}

/* The low bytes of 16 numbers between -128 and 255 */
static inline __m128i pack8(const vec32 n[2])
{
	__m256i x = _mm256_permute4x64_epi64(_mm256_packs_epi32(n[0], n[1]), 0xd8);

	x = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
	return _mm_packus_epi16(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

/* 16 bytes, of which @n are at @p */
static inline __m128i load_some(const uint8_t *p, size_t n)
{
	uint8_t bytes[16] = { 0 };

	if (n >= 16)
		return _mm_loadu_si128((const __m128i *)p);
	memcpy(bytes, p, n);
	return _mm_loadu_si128((const __m128i *)bytes);
}

static inline void store_some(uint8_t *p, __m128i x, size_t n)
{
	uint8_t bytes[16];

	if (n >= 16) {
		_mm_storeu_si128((__m128i *)p, x);
		return;
	}
	_mm_storeu_si128((__m128i *)bytes, x);
	memcpy(p, bytes, n);
}

/* (byte ^ flip) - zero of 16 bytes */
static inline __m256i widen(__m128i x, __m128i flip, __m256i zero)
{
	return _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_xor_si128(x, flip)), zero);
}

/* The same of @n bytes, at most 16, as int32 */
static inline void widen32(vec32 to[2], const uint8_t *p, size_t n, uint8_t flip,
			   int32_t zero)
{
	__m256i x = widen(load_some(p, n), _mm_set1_epi8((char)flip),
			  _mm256_set1_epi16((int16_t)zero));

	to[0] = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(x));
	to[1] = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(x, 1));
}

/* The same of any number of bytes, as int16 to memory */
static inline void widen_row(int16_t *dst, const uint8_t *src, size_t n, uint8_t flip,
			     int32_t zero)
{
	__m128i flips = _mm_set1_epi8((char)flip);
	__m256i zeros = _mm256_set1_epi16((int16_t)zero);
	size_t i;

	for (i = 0; i + 16 <= n; i += 16)
		_mm256_storeu_si256((__m256i *)(dst + i),
				    widen(load_some(src + i, 16), flips, zeros));
	for (; i < n; i++)
		dst[i] = (int16_t)((src[i] ^ flip) - zero);
}

#endif /* HEARTH_KERNELS_INT8_AVX2_H */
