// SPDX-License-Identifier: MIT
/*
 * AVX2: FULLY_CONNECTED of few rows, which reads each weight once.
 *
 * The zero point of the weights is taken off at the end, as in
 * depthwise_avx2.c: the weights are only extended to int16.
 */
#include "kernels/gemv.h"
#include "kernels/int8_avx2.h"

static inline int32_t sum8(__m256i x)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	return _mm_cvtsi128_si32(s);
}

/* Dot products of a row with @outs rows of weights */
static inline __attribute__((always_inline)) void
dots(const struct gemv *job, const void *row, const uint8_t *w, const int outs, int32_t *acc)
{
	const struct hk_conv *cv = job->cv;
	const int16_t *x = row;
	const __m128i flip = _mm_set1_epi8((char)cv->weights_flip);
	const uint32_t n = cv->cmd->in_c;
	__m256i sum[GEMV_OUTS];
	uint32_t i;

	HK_UNROLL
	for (int o = 0; o < outs; o++)
		sum[o] = _mm256_setzero_si256();
	for (i = 0; i + 16 <= n; i += 16) {
		__m256i a = load256(x + i);

		HK_UNROLL
		for (int o = 0; o < outs; o++) {
			__m128i b = _mm_xor_si128(load_some(w + o * cv->w_out + i, 16), flip);

			sum[o] = _mm256_add_epi32(sum[o], _mm256_madd_epi16(
				a, _mm256_cvtepu8_epi16(b)));
		}
	}
	HK_UNROLL
	for (int o = 0; i < n && o < outs; o++) {
		__m128i b = _mm_xor_si128(load_some(w + o * cv->w_out + i, n - i), flip);

		/* The row is 0 where the weights end. */
		sum[o] = _mm256_add_epi32(sum[o], _mm256_madd_epi16(
			load256(x + i), _mm256_cvtepu8_epi16(b)));
	}
	HK_UNROLL
	for (int o = 0; o < outs; o++)
		acc[o] = sum8(sum[o]);
}

static void gemv_task(void *arg, unsigned int task, unsigned int worker)
{
	gemv_outs(arg, task, dots);
}

void hk_gemv_avx2(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct gemv job = { 0 };

	gemv_start(&job, cv, sizeof(int16_t));
	for (uint32_t row = 0; row < cmd->in_h; row++) {
		int16_t *x = (int16_t *)(job.rows + row * job.row_bytes);
		uint32_t sum = 0;

		widen_row(x, cv->src + (size_t)row * cmd->in_c, cmd->in_c, cv->src_flip,
			  cv->src_zero);
		for (uint32_t i = 0; i < cmd->in_c; i++)
			sum += (uint32_t)x[i];
		job.fold[row] = hk_wrap_mul(-cv->weights_zero, (int32_t)sum);
	}
	gemv_run(&job, gemv_task, r);
}
