// SPDX-License-Identifier: MIT
/*
 * One row of input and weights in rows of eight. DRAM is what limits it, so what counts is
 * how far a core sees ahead: it holds a few hundred instructions, and only the loads among
 * them are on their way. So there are as few as possible for a line, on registers of 64
 * bytes, which take their pipes for two cycles, but one place. Such a register has eight
 * neighbours of each row: four in lanes 0 to 7, the next four in lanes 8 to 15.
 */
#include "kernels/matvec_r8.h"

HK_INLINE __m512i load64(const void *p)
{
	return _mm512_loadu_si512(p);
}

/* Groups of four activations, 2 @i below and 2 @i + 1 above, of those in @x. */
HK_INLINE __m512i two_fours(__m512i x, const int i)
{
	const __m512i from = _mm512_inserti64x4(_mm512_set1_epi32(2 * i),
						_mm256_set1_epi32(2 * i + 1), 1);

	return _mm512_permutexvar_epi32(from, x);
}

HK_INLINE __m512i bytes64(const int v)
{
	return _mm512_set1_epi8((char)v);
}

HK_INLINE __m512i low_nibbles64(__m512i v)
{
	return _mm512_and_si512(v, bytes64(15));
}

/* Times 16 */
HK_INLINE __m512i high_nibbles64(__m512i v)
{
	return _mm512_and_si512(v, bytes64(0xf0));
}

/* Sums of both halves */
HK_INLINE __m256i join_halves(__m512i v)
{
	return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

HK_INLINE __m512i twice(__m256i v)
{
	return _mm512_inserti64x4(_mm512_castsi256_si512(v), v, 1);
}

HK_INLINE __m512i load_32(const int8_t *x)
{
	return _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)x));
}

/* Nibbles of @n registers with the activations in @x: the low ones', and 16 times the high's. */
HK_INLINE void nibble_products(__m512i *low, __m512i *high, const uint8_t *w, __m512i x,
			       const int n)
{
	*low = *high = _mm512_setzero_si512();
	HK_UNROLL
	for (int i = 0; i < n; i++) {
		__m512i v = load64(w + 64 * i);

		*low = _mm512_dpbusd_epi32(*low, low_nibbles64(v), two_fours(x, i));
		*high = _mm512_dpbusd_epi32(*high, high_nibbles64(v), two_fours(x, i + n));
	}
}

HK_INLINE __m256i dot_nibbles(const uint8_t *w, const int8_t *q)
{
	__m512i low, high;

	nibble_products(&low, &high, w, load_32(q), 2);
	return join_halves(_mm512_add_epi32(low, _mm512_srai_epi32(high, 4)));
}

/* Unsigned with the sign's bit turned over */
#define ADDED	128

HK_INLINE __m256i dot_bytes(const uint8_t *w, const int8_t *q)
{
	__m512i sum[2] = { _mm512_setzero_si512(), _mm512_setzero_si512() }, x = load_32(q);

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		sum[i % 2] = _mm512_dpbusd_epi32(sum[i % 2],
					  _mm512_xor_si512(load64(w + 64 * i), bytes64(ADDED)),
					  two_fours(x, i));
	return join_halves(_mm512_add_epi32(sum[0], sum[1]));
}

static __m256 q4_0(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_32(m, w, 18, 8, dot_nibbles);
}

static __m256 q8_0(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_32(m, w, 34, ADDED, dot_bytes);
}

/* The scales of units @u and @u + 1 of those in @lanes. */
HK_INLINE __m512i two_scales(__m512i lanes, const int u)
{
	const __m512i from = _mm512_broadcast_i32x4(_mm_setr_epi8(
		(char)u, -1, (char)(u + 1), -1, (char)(u + 4), -1, (char)(u + 5), -1,
		(char)(u + 8), -1, (char)(u + 9), -1, (char)(u + 12), -1, (char)(u + 13), -1));

	return _mm512_shuffle_epi8(lanes, from);
}

/*
 * Units @u and @u + 1 of Q4_K, nibbles of the same bytes: a lane's sums of 16 products fit
 * int16, so both share it on the way to their scales.
 */
HK_INLINE __m512i q4_units(__m512i sum, const uint8_t *w, const int8_t *q, __m512i sc)
{
	__m512i low, high;

	nibble_products(&low, &high, w, load64(q), 4);
	high = _mm512_slli_epi32(high, 12);
	return _mm512_dpwssd_epi32(sum, _mm512_mask_blend_epi16(0xaaaaaaaa, low, high), sc);
}

HK_INLINE __m256i dot_q4(const uint8_t *column, const int8_t *x, const __m256i to[2])
{
	const __m512i sc[2] = { twice(to[0]), twice(to[1]) };
	__m512i sum = _mm512_setzero_si512();

	HK_UNROLL
	for (int u = 0; u < 8; u += 2)
		sum = q4_units(sum, column + ROWS * (16 + 16 * u), x + HK_ACT_BLOCK * u,
			       two_scales(sc[u / 4], u % 4));
	return join_halves(sum);
}

static __m256 q4_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_256(m, w, 144, dot_q4);
}

/*
 * The fields of Q5_K and Q6_K lie apart: no hardware fetches them, and fewer instructions
 * between prefetches were slower.
 */
hk_row1_fn hk_matvec_r8_avx512(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0_R8:
		return q4_0;
	case HEARTH_TYPE_Q8_0_R8:
		return q8_0;
	case HEARTH_TYPE_Q4_K_R8:
		return q4_k;
	default:
		return hk_matvec_r8_avx2(type);
	}
}

void hk_matmul_r8_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_matmul_rows8(m, first, last, hk_matvec_r8_avx512(m->type));
}
