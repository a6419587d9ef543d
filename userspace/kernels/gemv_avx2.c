// SPDX-License-Identifier: MIT
/*
 * AVX2: FULLY_CONNECTED of few rows, which reads each weight once.
 *
 * The zero point of the weights is taken off at the end, as in
 * depthwise_avx2.c: the weights are only extended to int16.
 */
#include "kernels/int8_avx2.h"

#define OUTS	4

struct job {
	const struct hk_conv *cv;
	/* Rows of int16, padded with zeros to a multiple of 16 */
	int16_t *rows;
	uint32_t n_pad;
	int32_t fold[HK_GEMV_MAX_ROWS];
	unsigned int tasks;
};

static inline int32_t sum8(__m256i x)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	return _mm_cvtsi128_si32(s);
}

/* Dot products of a row with @outs rows of weights */
static inline __attribute__((always_inline)) void
dots(const struct job *job, const int16_t *x, const uint8_t *w, int outs, int32_t *acc)
{
	const struct hk_conv *cv = job->cv;
	const __m128i flip = _mm_set1_epi8((char)cv->weights_flip);
	const uint32_t n = cv->cmd->in_c;
	__m256i sum[OUTS];
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

static void gemv_out(const struct job *job, uint32_t row, uint32_t o, int32_t acc)
{
	const struct hk_conv *cv = job->cv;
	const struct hk_channels *ch = &cv->ch;

	acc = hk_wrap_add(hk_wrap_sub(acc, job->fold[row]), ch->bias[o]);
	acc = hk_requantize(acc, ch->multiplier[o], ch->left[o] - ch->right[o]);
	acc = hk_wrap_add(acc, (int32_t)cv->cmd->dst_zero);
	cv->dst[(size_t)row * cv->cmd->out_c + o] = (uint8_t)
		hk_clamp(acc, (int32_t)cv->cmd->act_min, (int32_t)cv->cmd->act_max);
}

static void gemv_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hk_conv *cv = job->cv;
	uint32_t end = hk_task_start(cv->cmd->out_c, task + 1, job->tasks);
	uint32_t o = hk_task_start(cv->cmd->out_c, task, job->tasks);

	while (o < end) {
		const uint8_t *w = cv->weights + o * cv->w_out;
		uint32_t outs = end - o >= OUTS ? OUTS : 1;

		for (uint32_t row = 0; row < cv->cmd->in_h; row++) {
			const int16_t *x = job->rows + (size_t)row * job->n_pad;
			int32_t acc[OUTS];

			if (outs == OUTS)
				dots(job, x, w, OUTS, acc);
			else
				dots(job, x, w, 1, acc);
			for (uint32_t i = 0; i < outs; i++)
				gemv_out(job, row, o + i, acc[i]);
		}
		o += outs;
	}
}

void hk_gemv_avx2(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;
	struct job job = { .cv = cv, .n_pad = (cmd->in_c + 15) & ~15u };

	job.rows = hk_carve(&c, (size_t)cmd->in_h * job.n_pad * sizeof(int16_t));
	for (uint32_t row = 0; row < cmd->in_h; row++) {
		int16_t *x = job.rows + (size_t)row * job.n_pad;
		uint32_t sum = 0;

		widen_row(x, cv->src + (size_t)row * cmd->in_c, cmd->in_c, cv->src_flip,
			  cv->src_zero);
		memset(x + cmd->in_c, 0, (job.n_pad - cmd->in_c) * sizeof(*x));
		for (uint32_t i = 0; i < cmd->in_c; i++)
			sum += (uint32_t)x[i];
		job.fold[row] = (int32_t)(sum * (uint32_t)cv->weights_zero);
	}
	job.tasks = hk_tasks(r, cmd->out_c, OUTS);
	hk_pool_run(r->pool, gemv_task, &job, job.tasks);
}
