/* SPDX-License-Identifier: MIT */
/*
 * MATMUL of block types, eight output rows at a time: a lane is a row of
 * weights. A block of each row is loaded once and meets that block of every
 * input row; sums of int8 products are exact in any order.
 */
#ifndef HEARTH_KERNELS_MATMUL_AVX2_H
#define HEARTH_KERNELS_MATMUL_AVX2_H

#include "kernels/float_avx2.h"
#include "kernels/matmul_isa.h"

#define ROWS	8

/* Scales and offsets of a block's units: lane i is row i. */
struct scales {
	__m256 d[16], m[16];
};

/* How the weights are given to add_rows(). */
struct units {
	/** @unit: Elements with one scale; @min: and an offset. */
	int unit;
	bool min;
	/** @bias: Weights are unsigned, by that much too large; -1: signed. */
	int bias;
};

/* What the products of 32 elements sum to: pairs, then fours, eight lanes. */
HK_INLINE __m256i dot_i8(__m256i w, __m256i x)
{
	/* Magnitude of w times x with w's sign: at most 2 * 128 * 127, fits. */
	__m256i pairs = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));

	return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The same for weights of 0 to 63. */
HK_INLINE __m256i dot_u8(__m256i w, __m256i x)
{
	return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}

/* Lane i of *lo: sum of the lower half of v[i]; of *hi: of the upper one. */
HK_INLINE void reduce8(const __m256i v[ROWS], __m256i *lo, __m256i *hi)
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]),
				      _mm256_hadd_epi32(v[2], v[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]),
				      _mm256_hadd_epi32(v[6], v[7]));

	*lo = _mm256_permute2x128_si256(a, b, 0x20);
	*hi = _mm256_permute2x128_si256(a, b, 0x31);
}

HK_INLINE __m256 add_unit(__m256 acc, __m256 dw, float dx, __m256i sum)
{
	return _mm256_fmadd_ps(_mm256_mul_ps(dw, _mm256_set1_ps(dx)),
			       _mm256_cvtepi32_ps(sum), acc);
}

HK_INLINE __m256i load_x(const struct hk_act *act, uint64_t at)
{
	return _mm256_loadu_si256((const __m256i *)(act->q + at * HK_ACT_BLOCK));
}

/* An f16 of each row. */
HK_INLINE __m256 load_f16(const uint8_t *const w[ROWS], uint64_t at)
{
	uint16_t d[ROWS];

	for (int i = 0; i < ROWS; i++)
		memcpy(&d[i], w[i] + at, sizeof(d[i]));
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)d));
}

/*
 * The rows of a tile are contiguous, and so is the next tile: fetch from it
 * what corresponds to the @bytes of each row that come next. Beyond the end it
 * is only a hint.
 */
HK_INLINE void prefetch_next(const struct hk_matmul *m, const uint8_t *first,
			     uint64_t block, uint32_t bytes)
{
	const uint8_t *p = first + ROWS * (m->row_bytes + block * bytes);

	for (uint32_t at = 0; at < ROWS * bytes; at += 64)
		_mm_prefetch((const char *)p + at, _MM_HINT_T1);
}

/* What 32 elements add to the sum of input row @at; their first unit is @u. */
HK_INLINE __m256 add_block(__m256 acc, const struct scales *s, const __m256i q[ROWS],
			   const struct hk_act *act, uint64_t at, int u,
			   const struct units how)
{
	const int32_t *sum = act->sum + 2 * at;
	__m256i x = load_x(act, at), v[ROWS], dot[2];
	float dx = act->d[at];

	for (int i = 0; i < ROWS; i++)
		v[i] = how.bias < 0 ? dot_i8(q[i], x) : dot_u8(q[i], x);
	reduce8(v, &dot[0], &dot[1]);
	for (int h = 0; h < 2 && how.bias > 0; h++)
		dot[h] = _mm256_sub_epi32(dot[h], _mm256_set1_epi32(how.bias * sum[h]));
	if (how.unit == 32) {
		acc = add_unit(acc, s->d[u], dx, _mm256_add_epi32(dot[0], dot[1]));
		return !how.min ? acc : add_unit(acc, s->m[u], dx,
						 _mm256_set1_epi32(sum[0] + sum[1]));
	}
	for (int h = 0; h < 2; h++) {
		acc = add_unit(acc, s->d[u + h], dx, dot[h]);
		if (how.min)
			acc = add_unit(acc, s->m[u + h], dx, _mm256_set1_epi32(sum[h]));
	}
	return acc;
}

/* The same for every input row; @block counts blocks of 32 from the row's start. */
HK_INLINE void add_rows(const struct hk_matmul *m, float acc[][ROWS],
			const struct scales *s, const __m256i q[ROWS], uint64_t block, int u,
			const struct units how)
{
	uint64_t at = block * m->rows;

	for (uint32_t r = 0; r < m->rows; r++, at++) {
		__m256 sum = _mm256_loadu_ps(acc[r]);

		sum = add_block(sum, s, q, &m->act, at, u, how);
		_mm256_storeu_ps(acc[r], sum);
	}
}

/* All of a tile's blocks, from the row pointers @w on. */
typedef void (*hk_rows8_fn)(const struct hk_matmul *m, const uint8_t *w[ROWS],
			    float acc[][ROWS]);

void hk_q4_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS]);
void hk_q5_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS]);
void hk_q6_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS]);

#endif /* HEARTH_KERNELS_MATMUL_AVX2_H */
