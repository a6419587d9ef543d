// SPDX-License-Identifier: MIT
/*
 * AVX2: DEPTHWISE_CONV_2D, two taps side by side.
 *
 * The zero point of the input is taken off once, through the bias:
 * sum((x - z) * w) is sum(x * w) - z * sum(w), modulo 2^32 too.
 */
#include "kernels/int8_lanes.h"

#include "kernels/depthwise.h"

static __m256i weights16(const struct depthwise *job, uint32_t tap, uint32_t c, uint32_t n)
{
	const struct hk_conv *cv = job->cv;

	if (tap >= job->taps)
		return _mm256_setzero_si256();
	return widen(load_some(cv->weights + tap * cv->w_tap + c, n),
		     _mm_set1_epi8((char)cv->weights_flip),
		     _mm256_set1_epi16((int16_t)cv->weights_zero));
}

/* Channels 0..3, 8..11 and 4..7, 12..15: the order of unpack */
static void pack_block(const struct depthwise *job, uint32_t b)
{
	const struct hk_conv *cv = job->cv;
	uint32_t c = block_start(job, b);
	uint32_t n = cv->cmd->out_c < 16 ? cv->cmd->out_c : 16;
	int16_t *to = block_weights(job, b);

	for (uint32_t t = 0; t < job->taps_pad; t += 2, to += 32) {
		__m256i w0 = weights16(job, t, c, n);
		__m256i w1 = weights16(job, t + 1, c, n);

		_mm256_storeu_si256((__m256i *)to, _mm256_unpacklo_epi16(w0, w1));
		_mm256_storeu_si256((__m256i *)(to + 16), _mm256_unpackhi_epi16(w0, w1));
	}
}

static void fold_bias(const struct depthwise *job)
{
	const struct hk_conv *cv = job->cv;

	for (uint32_t c = 0; c < cv->cmd->out_c; c++) {
		uint32_t b = c / 16, at = c - block_start(job, b);
		const int16_t *w = block_weights(job, b) + (at & 4) * 4 + (at & 8) +
				   (at & 3) * 2;
		int32_t sum = 0;

		for (uint32_t t = 0; t < job->taps_pad; t += 2, w += 32)
			sum += w[0] + w[1];
		job->ch.bias[c] = hk_wrap_sub(cv->ch.bias[c], sum * cv->src_zero);
	}
}

struct sums {
	__m256i lo, hi;
};

static inline struct sums
block_sums(const struct depthwise *job, const uint8_t *const tap[], const int16_t *w, uint32_t c,
	   uint32_t n)
{
	__m128i flip = _mm_set1_epi8((char)job->cv->src_flip);
	struct sums s = { _mm256_setzero_si256(), _mm256_setzero_si256() };

	for (uint32_t t = 0; t < job->taps_pad; t += 2, w += 32) {
		__m256i x0 = _mm256_cvtepu8_epi16(
			_mm_xor_si128(load_some(tap[t] + c, n), flip));
		__m256i x1 = _mm256_cvtepu8_epi16(
			_mm_xor_si128(load_some(tap[t + 1] + c, n), flip));

		s.lo = _mm256_add_epi32(s.lo, _mm256_madd_epi16(
			_mm256_unpacklo_epi16(x0, x1), load256(w)));
		s.hi = _mm256_add_epi32(s.hi, _mm256_madd_epi16(
			_mm256_unpackhi_epi16(x0, x1), load256(w + 16)));
	}
	return s;
}

static inline __attribute__((always_inline)) void
block(const struct depthwise *job, const uint8_t *const tap[], const int16_t *w, uint32_t c,
      uint32_t n, const struct out8 *out, uint8_t *dst)
{
	struct sums s = block_sums(job, tap, w, c, n);
	vec32 acc[] = {
		_mm256_permute2x128_si256(s.lo, s.hi, 0x20),
		_mm256_permute2x128_si256(s.lo, s.hi, 0x31),
	};

	channels_out(dst + c, acc, &job->ch, c, n, out);
}

static void depthwise_task(void *arg, unsigned int task, unsigned int worker)
{
	depthwise_pixels(arg, task, block);
}

void hk_depthwise_avx2(const struct hk_conv *cv, struct hk_run *r)
{
	struct hk_carve c = cv->rest;
	struct depthwise job = depthwise_start(cv, 2, &c);

	job.ch.bias = hk_carve(&c, (cv->cmd->in_c + HK_CHANNEL_SPARE) * sizeof(int32_t));
	for (uint32_t b = 0; b < job.blocks; b++)
		pack_block(&job, b);
	fold_bias(&job);
	depthwise_run(&job, depthwise_task, r);
}
