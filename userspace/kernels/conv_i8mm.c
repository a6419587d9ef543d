// SPDX-License-Identifier: MIT
/*
 * CONV_2D with SMMLA: eight taps of two channels times two windows, four sums.
 * Four windows times a panel keep 16 registers of sums: for eight taps, 16 SMMLA
 * to 12 loads.
 */
#define TAPS	8

#include "kernels/conv_neon.h"

#define PAIRS	(NR / 2)

/* Sums of two windows: { c0 w0, c0 w1, c1 w0, c1 w1 } for each pair of channels */
struct sums {
	int32x4_t pair[PAIRS];
};

/* Eight taps of each of two windows */
static inline int8x16_t two_windows(const int8_t *a, const int8_t *b)
{
	return vcombine_s8(vld1_s8(a), vld1_s8(b));
}

/* Outputs of the window at lane @lane, of which there are 0 and 1 */
static inline __attribute__((always_inline)) void
window_out(const struct job *job, const struct sums *s, const int lane,
	   const struct out_panel *o, const struct out8 *out, uint8_t *dst)
{
	int32x4_t four[4];

	HK_UNROLL
	for (int j = 0; j < 4; j++) {
		int32x4_t a = s->pair[2 * j], b = s->pair[2 * j + 1];

		four[j] = lane ? vuzp2q_s32(a, b) : vuzp1q_s32(a, b);
	}
	channels_out(dst, four, &job->cv->ch, o->channel, o->count, out);
}

static inline __attribute__((always_inline)) void
tile(const struct job *job, const int8_t *windows, const int32_t *start,
     const int8_t *panel, const int m, const struct out_panel *o, const struct out8 *out)
{
	const uint32_t k = job->k_pad;
	struct sums s[MR / 2];
	int8x16_t x[MR / 2];

	HK_UNROLL
	for (int i = 0; i < m; i += 2) {
		int32x2_t two = vld1_lane_s32(start + (i + 1 < m ? i + 1 : i),
					      vld1_dup_s32(start + i), 1);

		HK_UNROLL
		for (int p = 0; p < PAIRS; p++)
			s[i / 2].pair[p] = vcombine_s32(two, two);
	}
	for (uint32_t t = 0; t < k; t += 8, panel += 8 * NR) {
		/* A window without a second one is its own. */
		HK_UNROLL
		for (int i = 0; i < m; i += 2)
			x[i / 2] = two_windows(windows + (size_t)i * k + t, windows +
					       (size_t)(i + 1 < m ? i + 1 : i) * k + t);
		HK_UNROLL
		for (int p = 0; p < PAIRS; p++) {
			int8x16_t w = vld1q_s8(panel + 16 * p);

			HK_UNROLL
			for (int i = 0; i < m; i += 2)
				s[i / 2].pair[p] = vmmlaq_s32(s[i / 2].pair[p], w, x[i / 2]);
		}
	}
	HK_UNROLL
	for (int i = 0; i < m; i++)
		window_out(job, &s[i / 2], i % 2, o, out, o->dst + i * o->stride);
}

#define CONV	hk_conv_i8mm

#include "kernels/conv_body.h"
