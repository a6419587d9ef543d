/* SPDX-License-Identifier: MIT */
/*
 * One row of input and weights in rows of eight: a lane of 32 bits has four neighbours of
 * a row, and meets four activations. Nothing is moved across lanes, and a tile is one
 * stream. What is done with a block's products, whatever the level that makes them.
 */
#ifndef HEARTH_KERNELS_MATVEC_R8_H
#define HEARTH_KERNELS_MATVEC_R8_H

#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

/* Sums of products of a block's quants at @w, lane i row i's. */
typedef __m256i r8_dot_32(const uint8_t *w, const int8_t *x);

/* The same of a block of 256; @sc has a byte for each unit's scale. */
typedef __m256i r8_dot_256(const uint8_t *column, const int8_t *x, const __m256i sc[2]);

/*
 * Blocks of 32 with @bytes, whose quants are @bias too large in products.
 *
 * Integers of a block become floats one block later: a core sees few vector operations
 * ahead, and those that wait for a whole block's sum would fill its schedulers.
 */
HK_INLINE __m256 r8_row_32(const struct hk_matmul *m, const struct rows8 *w, const int bytes,
			   const int bias, r8_dot_32 *dot_32)
{
	const char *act_d = (const char *)m->act.d, *act_total = (const char *)m->act.total;
	const uint64_t end = m->in_n / HK_ACT_BLOCK * sizeof(float);
	const int8_t *q = m->act.q;
	__m256 acc = _mm256_setzero_ps(), scale = acc, total = acc;
	struct rows8 at = { w->p, w->stride, true };
	__m256i dot = _mm256_setzero_si256(), next;

	for (uint64_t k = 0; k < end; k += sizeof(float), next_block(&at, bytes)) {
		next = dot_32(at.p + 16, q + 8 * k);
		acc = _mm256_fmadd_ps(scale, unbias(dot, total, bias), acc);
		__asm__("" : "+v"(acc));
		scale = _mm256_mul_ps(load_f16(&at, 0),
				      _mm256_broadcast_ss((const float *)(act_d + k)));
		total = _mm256_broadcast_ss((const float *)(act_total + k));
		dot = next;
		__asm__("" : "+r"(k));
	}
	return _mm256_fmadd_ps(scale, unbias(dot, total, bias), acc);
}

/* Q4_K and Q5_K, blocks of @bytes */
HK_INLINE __m256 r8_row_256(const struct hk_matmul *m, const struct rows8 *w, const int bytes,
			    r8_dot_256 *dot_256)
{
	struct rows8 at = { w->p, w->stride, true };
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();

	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, next_block(&at, bytes)) {
		const int8_t *x = act.q + HK_ACT_SUPER * b;
		__m256 dx = _mm256_broadcast_ss(act.d + b), d, minus;
		__m256i to[4], mn[4], mins, dot;

		load_q45_bytes(to, &d, &minus, &at);
		spread_minima(mn, to + 2);
		mins = minima(mn, act.sum32 + 8 * b, 8);
		dot = dot_256(at.p, x, to);
		acc = add_unit(acc, d, dx, _mm256_cvtepi32_ps(dot));
		acc = add_unit(acc, minus, dx, _mm256_cvtepi32_ps(mins));
	}
	return acc;
}

#endif /* HEARTH_KERNELS_MATVEC_R8_H */
