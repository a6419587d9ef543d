/* SPDX-License-Identifier: MIT */
/*
 * Attention over caches of Q8_0: hk_body_scores_q8() and its kin in registers.
 * Scale times element is exact, so a product more rounds nothing.
 */
#ifndef HEARTH_KERNELS_FLOAT_Q8_NEON_H
#define HEARTH_KERNELS_FLOAT_Q8_NEON_H

#include "kernels/float_body.h"
#include "kernels/float_lanes.h"

/* Dots of @q with @rows rows, @bytes apart; each is four chains. */
HK_INLINE void hk_q8_dots(float *s, const float *q, const uint8_t *k, uint64_t bytes,
			  uint32_t dim, const int rows)
{
	struct hk_lanes l[2];

	for (int i = 0; i < rows; i++)
		l[i] = hk_lanes_zero();
	for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, k += HK_Q8_BYTES) {
		for (int i = 0; i < rows; i++) {
			const uint8_t *b = k + i * bytes;
			float d = HK_BODY_F16(b);

			l[i] = hk_fma16(l[i], hk_load16(q, HEARTH_TYPE_F32, c),
					hk_q8_load16(b + 2, d));
			l[i] = hk_fma16(l[i], hk_load16(q, HEARTH_TYPE_F32, c + 16),
					hk_q8_load16(b + 18, d));
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

	for (; t + 2 <= n; t += 2)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, 2);
	if (t < n)
		hk_q8_dots(s + t, q, k + t * bytes, bytes, dim, 1);
	for (t = 0; t < n; t++)
		s[t] *= scale;
}

static void weighted_sum_q8(float *out, const float *p, const uint8_t *v, uint32_t n,
			    uint32_t dim)
{
	uint64_t bytes = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;

	for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, v += HK_Q8_BYTES) {
		struct hk_lanes acc[2];

		for (int j = 0; j < 8; j++)
			acc[j / 4].v[j % 4] = vld1q_f32(out + c + 4 * j);
		for (uint32_t t = 0; t < n; t++) {
			const uint8_t *block = v + t * bytes;
			float32x4_t pt = vld1q_dup_f32(p + t);
			struct hk_lanes w = { { pt, pt, pt, pt } };
			float d = HK_BODY_F16(block);

			acc[0] = hk_fma16(acc[0], w, hk_q8_load16(block + 2, d));
			acc[1] = hk_fma16(acc[1], w, hk_q8_load16(block + 18, d));
		}
		for (int j = 0; j < 8; j++)
			vst1q_f32(out + c + 4 * j, hk_vec_canon(acc[j / 4].v[j % 4]));
	}
}

#endif /* HEARTH_KERNELS_FLOAT_Q8_NEON_H */
