// SPDX-License-Identifier: MIT
/*
 * CONV_2D with SDOT. Four windows times a panel keep 16 sums in registers: for
 * 16 taps, 64 SDOT to 20 loads.
 */
#define TAPS	4

#include "kernels/conv_neon.h"

/* 16 channels times four taps of a window, lane @l of @x */
#define FOUR_TAPS(l) do {								\
		HK_UNROLL								\
		for (int j = 0; j < 4; j++) {						\
			int8x16_t w = vld1q_s8(panel + (t + 4 * (l)) * NR + 16 * j);	\
											\
			HK_UNROLL							\
			for (int i = 0; i < m; i++)					\
				acc[i][j] = vdotq_laneq_s32(acc[i][j], w, x[i], l);	\
		}									\
	} while (0)

static inline __attribute__((always_inline)) void
tile(const struct job *job, const int8_t *windows, const int32_t *start,
     const int8_t *panel, const int m, const struct out_panel *o, const struct out8 *out)
{
	const uint32_t k = job->k_pad;
	int32x4_t acc[MR][4];
	int8x16_t x[MR];
	uint32_t t;

	HK_UNROLL
	for (int i = 0; i < m; i++) {
		HK_UNROLL
		for (int j = 0; j < 4; j++)
			acc[i][j] = vdupq_n_s32(start[i]);
	}
	for (t = 0; t + 16 <= k; t += 16) {
		HK_UNROLL
		for (int i = 0; i < m; i++)
			x[i] = vld1q_s8(windows + (size_t)i * k + t);
		FOUR_TAPS(0);
		FOUR_TAPS(1);
		FOUR_TAPS(2);
		FOUR_TAPS(3);
	}
	for (; t < k; t += 4) {
		HK_UNROLL
		for (int i = 0; i < m; i++) {
			int32_t four;

			memcpy(&four, windows + (size_t)i * k + t, sizeof(four));
			x[i] = vreinterpretq_s8_s32(vdupq_n_s32(four));
		}
		FOUR_TAPS(0);
	}
	HK_UNROLL
	for (int i = 0; i < m; i++)
		channels_out(o->dst + i * o->stride, acc[i], &job->cv->ch, o->channel, o->count,
			     out);
}

#define CONV	hk_conv_dotprod

#include "kernels/conv_body.h"
