/* SPDX-License-Identifier: MIT */
/*
 * The AVX-512 intrinsics that matmul_avx512.c and matmul_k_avx512.c use, in plain
 * C: what they compute is checked on machines that do not have the instructions.
 */
#ifndef HEARTH_TESTS_EMULATED_IMMINTRIN_H
#define HEARTH_TESTS_EMULATED_IMMINTRIN_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/f16.h"

typedef union {
	uint8_t u8[16];
} __m128i;

typedef union {
	uint8_t u8[32];
	uint16_t u16[16];
} __m256i;

typedef union {
	uint8_t u8[64];
	int8_t i8[64];
	uint16_t u16[32];
	int16_t i16[32];
	uint32_t u32[16];
	int32_t i32[16];
	uint64_t u64[8];
	__m256i half[2];
} __m512i;

typedef struct {
	float f[16];
} __m512;

typedef uint16_t __mmask16;

#define _MM_HINT_T1		2
#define _CMP_UNORD_Q		3
#define _mm_prefetch(p, hint)	__builtin_prefetch(p)

#define EMULATE	static inline __attribute__((always_inline, unused))

/* @expr for each of @n elements i; r is the result. */
#define EACH(type, name, params, n, expr)	\
	EMULATE type name params		\
	{					\
		type r;				\
						\
		for (int i = 0; i < (n); i++)	\
			expr;			\
		return r;			\
	}

#define LOAD(type, name)			\
	EMULATE type name(const void *p)	\
	{					\
		type r;				\
						\
		memcpy(&r, p, sizeof(r));	\
		return r;			\
	}

LOAD(__m128i, _mm_loadu_si128)
LOAD(__m256i, _mm256_loadu_si256)
LOAD(__m512i, _mm512_load_si512)
LOAD(__m512i, _mm512_loadu_si512)
LOAD(__m512, _mm512_load_ps)
LOAD(__m512, _mm512_loadu_ps)

EMULATE void _mm512_store_ps(void *p, __m512 v)
{
	memcpy(p, &v, sizeof(v));
}

EMULATE void _mm512_store_si512(void *p, __m512i v)
{
	memcpy(p, &v, sizeof(v));
}

EMULATE void _mm512_mask_storeu_ps(float *p, __mmask16 mask, __m512 v)
{
	for (int i = 0; i < 16; i++) {
		if (mask >> i & 1)
			p[i] = v.f[i];
	}
}

EMULATE __m256i _mm256_castsi128_si256(__m128i a)
{
	__m256i r;

	/* What the upper half is nobody knows. */
	memset(&r, 0x5a, sizeof(r));
	memcpy(&r, &a, sizeof(a));
	return r;
}

EMULATE __m256i _mm256_inserti128_si256(__m256i r, __m128i b, int at)
{
	memcpy(r.u8 + 16 * at, &b, sizeof(b));
	return r;
}

EMULATE __m512i _mm512_castsi256_si512(__m256i a)
{
	__m512i r;

	memset(&r, 0x5a, sizeof(r));
	r.half[0] = a;
	return r;
}

EMULATE __m512i _mm512_inserti64x4(__m512i r, __m256i b, int at)
{
	r.half[at] = b;
	return r;
}

EMULATE __m512 _mm512_castsi512_ps(__m512i a)
{
	__m512 r;

	memcpy(&r, &a, sizeof(r));
	return r;
}

EMULATE __m512i bits_of(__m512 a)
{
	__m512i r;

	memcpy(&r, &a, sizeof(r));
	return r;
}

EACH(__m512i, _mm512_set1_epi8, (char x), 64, r.i8[i] = (int8_t)x)
EACH(__m512i, _mm512_set1_epi32, (int x), 16, r.i32[i] = x)
EACH(__m512, _mm512_set1_ps, (float x), 16, r.f[i] = x)
EACH(__m512i, _mm512_setzero_si512, (void), 16, r.u32[i] = 0)
EACH(__m512, _mm512_setzero_ps, (void), 16, r.f[i] = 0)
EACH(__m512i, _mm512_and_si512, (__m512i a, __m512i b), 8, r.u64[i] = a.u64[i] & b.u64[i])
EACH(__m512i, _mm512_or_si512, (__m512i a, __m512i b), 8, r.u64[i] = a.u64[i] | b.u64[i])
EACH(__m512i, _mm512_xor_si512, (__m512i a, __m512i b), 8, r.u64[i] = a.u64[i] ^ b.u64[i])
EACH(__m512i, _mm512_slli_epi16, (__m512i a, int n), 32, r.u16[i] = (uint16_t)(a.u16[i] << n))
EACH(__m512i, _mm512_srli_epi16, (__m512i a, int n), 32, r.u16[i] = a.u16[i] >> n)
EACH(__m512i, _mm512_slli_epi32, (__m512i a, int n), 16, r.u32[i] = a.u32[i] << n)
EACH(__m512i, _mm512_srli_epi32, (__m512i a, int n), 16, r.u32[i] = a.u32[i] >> n)
EACH(__m512i, _mm512_srai_epi32, (__m512i a, int n), 16, r.i32[i] = a.i32[i] >> n)
EACH(__m512i, _mm512_add_epi32, (__m512i a, __m512i b), 16, r.u32[i] = a.u32[i] + b.u32[i])
EACH(__m512i, _mm512_mullo_epi32, (__m512i a, __m512i b), 16, r.u32[i] = a.u32[i] * b.u32[i])
EACH(__m512, _mm512_cvtepi32_ps, (__m512i a), 16, r.f[i] = (float)a.i32[i])
EACH(__m512, _mm512_cvtph_ps, (__m256i a), 16, r.f[i] = hk_f32_from_f16(a.u16[i]))
EACH(__m512, _mm512_mul_ps, (__m512 a, __m512 b), 16, r.f[i] = a.f[i] * b.f[i])
EACH(__m512, _mm512_fmadd_ps, (__m512 a, __m512 b, __m512 c), 16,
     r.f[i] = fmaf(a.f[i], b.f[i], c.f[i]))

/* Of each 128 bits the lower, or the upper, halves of both */
EACH(__m512i, _mm512_unpacklo_epi32, (__m512i a, __m512i b), 16,
     r.u32[i] = (i % 2 ? b : a).u32[i / 4 * 4 + i % 4 / 2])
EACH(__m512i, _mm512_unpackhi_epi32, (__m512i a, __m512i b), 16,
     r.u32[i] = (i % 2 ? b : a).u32[i / 4 * 4 + 2 + i % 4 / 2])
EACH(__m512i, _mm512_unpacklo_epi64, (__m512i a, __m512i b), 8,
     r.u64[i] = (i % 2 ? b : a).u64[i / 2 * 2])
EACH(__m512i, _mm512_unpackhi_epi64, (__m512i a, __m512i b), 8,
     r.u64[i] = (i % 2 ? b : a).u64[i / 2 * 2 + 1])

EMULATE __m512 _mm512_xor_ps(__m512 a, __m512 b)
{
	return _mm512_castsi512_ps(_mm512_xor_si512(bits_of(a), bits_of(b)));
}

/* Unsigned bytes of @a times signed ones of @b, four at a time; it does not saturate. */
EMULATE __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b)
{
	for (int i = 0; i < 64; i++)
		sum.u32[i / 4] += (uint32_t)(a.u8[i] * b.i8[i]);
	return sum;
}

EMULATE __m512i _mm512_dpwssd_epi32(__m512i sum, __m512i a, __m512i b)
{
	for (int i = 0; i < 32; i++)
		sum.u32[i / 2] += (uint32_t)(a.i16[i] * b.i16[i]);
	return sum;
}

EMULATE __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int how)
{
	__mmask16 mask = 0;

	for (int i = 0; i < 16; i++)
		mask |= (__mmask16)((isnan(a.f[i]) || isnan(b.f[i])) << i);
	return mask;
}

EACH(__m512, _mm512_mask_mov_ps, (__m512 a, __mmask16 mask, __m512 b), 16,
     r.f[i] = mask >> i & 1 ? b.f[i] : a.f[i])

#endif /* HEARTH_TESTS_EMULATED_IMMINTRIN_H */
