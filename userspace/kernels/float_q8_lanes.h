/* SPDX-License-Identifier: MIT */
/*
 * Attention over caches of Q8_0: hk_body_scores_q8() and its kin in registers.
 * Scale times element is exact, so a product more rounds nothing. At a time so many
 * rows, or blocks of channels, as the ISA has registers for.
 */
#ifndef HEARTH_KERNELS_FLOAT_Q8_LANES_H
#define HEARTH_KERNELS_FLOAT_Q8_LANES_H

#include "kernels/float_lanes.h"

/* Dots of @q with @rows rows, @bytes apart. */
HK_INLINE void hk_q8_dots(float *s, const float *q, const uint8_t *k, uint64_t bytes,
			  uint32_t dim, const int rows)
{
	struct hk_lanes l[HK_Q8_ROWS];

	HK_UNROLL
	for (int i = 0; i < rows; i++)
		l[i] = hk_lanes_zero();
	for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, k += HK_Q8_BYTES) {
		struct hk_lanes lo = hk_load16(q, HEARTH_TYPE_F32, c);
		struct hk_lanes hi = hk_load16(q, HEARTH_TYPE_F32, c + 16);

		HK_UNROLL
		for (int i = 0; i < rows; i++) {
			const uint8_t *b = k + i * bytes;
			float d = HK_BODY_F16(b);

			l[i] = hk_fma16(l[i], lo, hk_q8_load16(b + 2, d));
			l[i] = hk_fma16(l[i], hi, hk_q8_load16(b + 18, d));
		}
	}
	HK_UNROLL
	for (int i = 0; i < rows; i++)
		s[i] = hk_sum_16(l[i]);
}

static void scores_q8(float *s, const float *q, const uint8_t *k, uint32_t n, uint32_t dim,
		      float scale)
{
	uint64_t bytes = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;
	uint32_t t = 0;

	for (; t + HK_Q8_ROWS <= n; t += HK_Q8_ROWS)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, HK_Q8_ROWS);
	for (; t < n; t++)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, 1);
	for (t = 0; t < n; t++)
		s[t] *= scale;
}

/* @blocks blocks of channels: their sums stay in registers over all positions. */
HK_INLINE void hk_q8_weighted(float *out, const float *p, const uint8_t *v, uint64_t bytes,
			      uint32_t n, const int blocks)
{
	struct hk_lanes acc[2 * HK_Q8_BLOCKS];

	HK_UNROLL
	for (int g = 0; g < 2 * blocks; g++)
		acc[g] = hk_load16(out, HEARTH_TYPE_F32, 16 * g);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		struct hk_lanes pt = hk_splat16(p + t);

		HK_UNROLL
		for (int b = 0; b < blocks; b++) {
			const uint8_t *block = v + b * HK_Q8_BYTES;
			float d = HK_BODY_F16(block);

			acc[2 * b] = hk_fma16(acc[2 * b], pt, hk_q8_load16(block + 2, d));
			acc[2 * b + 1] = hk_fma16(acc[2 * b + 1], pt,
						  hk_q8_load16(block + 18, d));
		}
	}
	HK_UNROLL
	for (int g = 0; g < 2 * blocks; g++)
		hk_store16(out + 16 * g, hk_canon16(acc[g]));
}

static void weighted_sum_q8(float *out, const float *p, const uint8_t *v, uint32_t n,
			    uint32_t dim)
{
	uint64_t bytes = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;
	const uint32_t many = HK_Q8_BLOCKS * HK_Q8_BLOCK;
	uint32_t c = 0;

	for (; c + many <= dim; c += many, v += HK_Q8_BLOCKS * HK_Q8_BYTES)
		hk_q8_weighted(out + c, p, v, bytes, n, HK_Q8_BLOCKS);
	for (; HK_Q8_BLOCKS > 1 && c < dim; c += HK_Q8_BLOCK, v += HK_Q8_BYTES)
		hk_q8_weighted(out + c, p, v, bytes, n, 1);
}

#endif /* HEARTH_KERNELS_FLOAT_Q8_LANES_H */
