/* SPDX-License-Identifier: MIT */
/*
 * NEON: CONV_2D as a product of matrices of int8. Zero points are taken off as
 * in gemv_dotprod.c: what depends on the channel through its bias, what depends
 * on the window as the start of its sums. The file that includes this has
 * defined TAPS, 4 or 8.
 */
#ifndef HEARTH_KERNELS_CONV_NEON_H
#define HEARTH_KERNELS_CONV_NEON_H

#include "kernels/int8_lanes.h"

#define MR	4

typedef int8_t tap_t;

#include "kernels/conv_job.h"

static inline int32_t zero_left(int32_t zero)
{
	return zero - 128;
}

/* @n bytes as int8 */
static inline void take_taps(int8_t *to, const uint8_t *from, size_t n, const struct hk_conv *cv)
{
	const uint8_t flip = cv->src_flip ^ 0x80;
	size_t i;

	for (i = 0; i + 16 <= n; i += 16)
		vst1q_s8(to + i, vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from + i),
							      vdupq_n_u8(flip))));
	for (; i < n; i++)
		to[i] = (int8_t)(from[i] ^ flip);
}

/* @n taps of a channel as int8, as they lie or one by one */
static inline void some_taps(const struct job *job, int8_t *to, uint64_t o, uint32_t t, uint32_t n)
{
	const struct hk_conv *cv = job->cv;
	const uint8_t *w = cv->weights + o * cv->w_out;

	if (cv->w_tap == cv->in_cg) {
		memcpy(to, w + t, n);
	} else {
		for (uint32_t i = 0; i < n; i++)
			to[i] = (int8_t)w[(t + i) / cv->in_cg * cv->w_tap +
					  (t + i) % cv->in_cg];
	}
	for (uint32_t i = 0; i < n; i++)
		to[i] ^= (int8_t)(cv->weights_flip ^ 0x80);
}

/* Packs a channel, and takes what its weights sum to off its bias. */
static inline void pack_channel(const struct job *job, int8_t *panel, uint64_t o)
{
	int32x2_t all = vdup_n_s32(0);
	int32_t sum;

	for (uint32_t t = 0; t < job->k; t += TAPS, panel += TAPS * NR) {
		int8_t some[8] = { 0 };

		some_taps(job, some, o, t, job->k - t < TAPS ? job->k - t : TAPS);
		memcpy(panel, some, TAPS);
		all = vdot_s32(all, vld1_s8(some), vdup_n_s8(1));
	}
	sum = hk_wrap_sub(vaddv_s32(all), (int32_t)job->k * job->weights_zero);
	job->cv->ch.bias[o] = hk_wrap_sub(job->cv->ch.bias[o],
					  hk_wrap_mul(job->src_zero, sum));
}

static inline void pack_panel(const struct job *job, int8_t *panel, uint64_t o, uint32_t count)
{
	if (count < NR)
		memset(panel, 0, (size_t)job->k_pad * NR);
	for (uint32_t c = 0; c < count; c++)
		pack_channel(job, panel + TAPS * c, o + c);
}

#endif /* HEARTH_KERNELS_CONV_NEON_H */
