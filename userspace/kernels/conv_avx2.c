// SPDX-License-Identifier: MIT
/*
 * AVX2: CONV_2D as a product of matrices of int16, less their zero points. A
 * product of two pairs is then exact in 32 bits, and sums wrap as the plain
 * code's do.
 */
#include "kernels/int8_lanes.h"

#define MR	6
#define TAPS	2

typedef int16_t tap_t;

#include "kernels/conv_job.h"

static inline int32_t zero_left(int32_t zero)
{
	return 0;
}

static inline void take_taps(int16_t *to, const uint8_t *src, size_t n, const struct hk_conv *cv)
{
	widen_row(to, src, n, cv->src_flip, cv->src_zero);
}

/* Tap @t of channel @o: its window coordinates and its input channel */
static const uint8_t *weight(const struct hk_conv *cv, uint64_t o, uint32_t t)
{
	return cv->weights + o * cv->w_out + t / cv->in_cg * cv->w_tap + t % cv->in_cg;
}

/* Channel o of a panel, taps in order: a stride of 2 * NR numbers per pair */
static void pack_channel(const struct job *job, int16_t *panel, uint64_t o)
{
	const struct hk_conv *cv = job->cv;

	for (uint32_t t = 0; t < job->k; t++)
		panel[t / 2 * 2 * NR + t % 2] =
			(int16_t)((*weight(cv, o, t) ^ cv->weights_flip) - cv->weights_zero);
}

/* The channels' taps stand one after the other: 16 taps of 8 channels at once */
static uint32_t pack_dense(const struct job *job, int16_t *panel, uint64_t o)
{
	const struct hk_conv *cv = job->cv;
	__m128i flip = _mm_set1_epi8((char)cv->weights_flip);
	__m256i zero = _mm256_set1_epi16((int16_t)cv->weights_zero);
	uint32_t t;

	for (t = 0; t + 16 <= job->k; t += 16) {
		int32_t *to = (int32_t *)(panel + t * NR);

		for (int c = 0; c < NR; c++) {
			const uint8_t *w = cv->weights + (o + c) * cv->w_out + t;
			int32_t pair[8];

			_mm256_storeu_si256((__m256i *)pair,
					    widen(load_some(w, 16), flip, zero));
			for (int p = 0; p < 8; p++)
				to[p * NR + c] = pair[p];
		}
	}
	return t;
}

static void pack_panel(const struct job *job, int16_t *panel, uint64_t o, uint32_t count)
{
	const struct hk_conv *cv = job->cv;
	uint32_t done = 0;

	if (count == NR && cv->w_tap == cv->in_cg)
		done = pack_dense(job, panel, o);
	memset(panel + done * NR, 0, (job->k_pad - done) * NR * sizeof(*panel));
	for (uint32_t c = 0; c < count; c++) {
		if (!done) {
			pack_channel(job, panel + 2 * c, o + c);
			continue;
		}
		for (uint32_t t = done; t < job->k; t++)
			panel[t / 2 * 2 * NR + 2 * c + t % 2] = (int16_t)
				((*weight(cv, o + c, t) ^ cv->weights_flip) -
				 cv->weights_zero);
	}
}

/* @start is 0, as zero points are off. */
static inline __attribute__((always_inline)) void
tile(const struct job *job, const int16_t *windows, const int32_t *start,
     const int16_t *panel, const int m, const struct out_panel *o, const struct out8 *out)
{
	const size_t stride = job->k_pad;
	__m256i acc[MR][2];

	HK_UNROLL
	for (int i = 0; i < m; i++)
		acc[i][0] = acc[i][1] = _mm256_setzero_si256();
	for (size_t t = 0; t < stride; t += 2) {
		__m256i w0 = load256(panel + t * NR);
		__m256i w1 = load256(panel + t * NR + NR);

		HK_UNROLL
		for (int i = 0; i < m; i++) {
			int32_t pair;
			__m256i x;

			memcpy(&pair, windows + i * stride + t, sizeof(pair));
			x = _mm256_set1_epi32(pair);
			acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(x, w0));
			acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(x, w1));
			/* Keeps the sums in registers, one window after another. */
			__asm__ volatile("" : "+x"(acc[i][0]), "+x"(acc[i][1]));
		}
	}
	HK_UNROLL
	for (int i = 0; i < m; i++)
		channels_out(o->dst + i * o->stride, acc[i], &job->cv->ch, o->channel, o->count,
			     out);
}

#define CONV	hk_conv_avx2

#include "kernels/conv_body.h"
