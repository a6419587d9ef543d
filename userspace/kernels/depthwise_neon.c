// SPDX-License-Identifier: MIT
/*
 * NEON: DEPTHWISE_CONV_2D. For 16 channels and a tap: two loads of weights, one
 * of bytes, which are widened less their zero point in one step, and four
 * multiplications that add.
 */
#include "kernels/int8_lanes.h"

#include "kernels/depthwise.h"

static void pack_block(const struct depthwise *job, uint32_t b)
{
	const struct hk_conv *cv = job->cv;
	uint32_t c = block_start(job, b);
	uint32_t n = cv->cmd->out_c < 16 ? cv->cmd->out_c : 16;
	int16_t *to = block_weights(job, b);

	for (uint32_t t = 0; t < job->taps; t++, to += 16) {
		struct wide w = widen(load_some(cv->weights + t * cv->w_tap + c, n, 0),
				      cv->weights_flip, cv->weights_zero);

		vst1q_s16(to, w.lo);
		vst1q_s16(to + 8, w.hi);
	}
}

static inline __attribute__((always_inline)) void
block(const struct depthwise *job, const uint8_t *const tap[], const int16_t *w, uint32_t c,
      uint32_t n, const struct out8 *out, uint8_t *dst)
{
	const uint8_t flip = job->cv->src_flip;
	const int32_t zero = job->cv->src_zero;
	int32x4_t acc[4];

	for (int i = 0; i < 4; i++)
		acc[i] = vdupq_n_s32(0);
	for (uint32_t t = 0; t < job->taps; t++, w += 16) {
		struct wide x = widen(load_some(tap[t] + c, n, 0), flip, zero);
		int16x8_t w0 = vld1q_s16(w), w1 = vld1q_s16(w + 8);

		acc[0] = vmlal_s16(acc[0], vget_low_s16(x.lo), vget_low_s16(w0));
		acc[1] = vmlal_high_s16(acc[1], x.lo, w0);
		acc[2] = vmlal_s16(acc[2], vget_low_s16(x.hi), vget_low_s16(w1));
		acc[3] = vmlal_high_s16(acc[3], x.hi, w1);
	}
	channels_out(dst + c, acc, &job->ch, c, n, out);
}

static void depthwise_task(void *arg, unsigned int task, unsigned int worker)
{
	depthwise_pixels(arg, task, block);
}

void hk_depthwise_neon(const struct hk_conv *cv, struct hk_run *r)
{
	struct hk_carve c = cv->rest;
	struct depthwise job = depthwise_start(cv, 1, &c);

	for (uint32_t b = 0; b < job.blocks; b++)
		pack_block(&job, b);
	depthwise_run(&job, depthwise_task, r);
}
