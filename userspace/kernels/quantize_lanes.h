/* SPDX-License-Identifier: MIT */
/*
 * Activations become 8 bits, for one ISA: hk_body_quantize() and hk_body_quantize_256() in
 * registers. The file that includes this has defined
 *
 *   max_bits(x, n): the largest magnitude, as bits: infinity and NaN are on top
 *   quantize_32(act, at, x, id, sum): 32 elements times @id to place @at of the
 *	activations; the sums of both halves
 */
#ifndef HEARTH_KERNELS_QUANTIZE_LANES_H
#define HEARTH_KERNELS_QUANTIZE_LANES_H

#include "kernels/float_body.h"

static void quantize(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_BLOCK; b++, x += HK_ACT_BLOCK) {
		uint64_t at = (uint64_t)b * act->rows + row;
		uint32_t max = max_bits(x, HK_ACT_BLOCK);
		float amax = hk_f32_from_bits(max);
		int32_t sum[2];

		if (hk_is_odd(max)) {
			hk_quantize_odd(act, at, max);
			continue;
		}
		act->d[at] = amax / 127.0f;
		quantize_32(act, at, x, 127.0f / amax, sum);
		act->sum[at] = sum[0] + sum[1];
		act->total[at] = (float)act->sum[at];
	}
}

static void quantize_256(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_SUPER; b++, x += HK_ACT_SUPER) {
		uint64_t at = (uint64_t)b * act->rows + row;
		uint32_t max = max_bits(x, HK_ACT_SUPER);
		float amax = hk_f32_from_bits(max), id;

		if (hk_is_odd(max)) {
			hk_quantize_odd_256(act, b, row, max);
			continue;
		}
		act->d[at] = amax / 127.0f;
		id = 127.0f / amax;
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			uint64_t to = ((uint64_t)b * HK_ACT_BLOCKS + j) * act->rows + row;
			int32_t sum[2];

			quantize_32(act, to, x + j * HK_ACT_BLOCK, id, sum);
			act->sum16[16 * at + 2 * j] = (int16_t)sum[0];
			act->sum16[16 * at + 2 * j + 1] = (int16_t)sum[1];
			act->sum32[8 * at + j] = (int16_t)(sum[0] + sum[1]);
		}
	}
}

#endif /* HEARTH_KERNELS_QUANTIZE_LANES_H */
