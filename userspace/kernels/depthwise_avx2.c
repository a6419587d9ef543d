// SPDX-License-Identifier: MIT
/*
 * AVX2: DEPTHWISE_CONV_2D with one output for each input channel.
 *
 * Weights are packed in blocks of 16 channels, two taps side by side. Taps
 * outside of the input read a row of zero points. The zero point of the input
 * is taken off once, through the bias: sum((x - z) * w) is
 * sum(x * w) - z * sum(w), modulo 2^32 too.
 */
#include "kernels/int8_avx2.h"

struct job {
	const struct hk_conv *cv;
	uint32_t taps, pairs;
	/* Blocks of 16 channels; the last one may overlap the one before. */
	uint32_t blocks;
	int16_t *packed;
	int32_t *bias;
	uint8_t *outside;
	unsigned int tasks;
};

/* First channel of a block, and the channels in it */
static uint32_t block_start(const struct job *job, uint32_t b)
{
	uint32_t n = job->cv->cmd->out_c;

	return b * 16 + 16 <= n || n < 16 ? b * 16 : n - 16;
}

static __m256i weights16(const struct job *job, uint32_t tap, uint32_t c, uint32_t n)
{
	const struct hk_conv *cv = job->cv;

	if (tap >= job->taps)
		return _mm256_setzero_si256();
	return widen(load_some(cv->weights + tap * cv->w_tap + c, n),
		     _mm_set1_epi8((char)cv->weights_flip),
		     _mm256_set1_epi16((int16_t)cv->weights_zero));
}

/* Channels 0..3, 8..11 and 4..7, 12..15: the order of unpack */
static void pack_block(const struct job *job, uint32_t b)
{
	const struct hk_conv *cv = job->cv;
	uint32_t c = block_start(job, b);
	uint32_t n = cv->cmd->out_c < 16 ? cv->cmd->out_c : 16;
	int16_t *to = job->packed + (size_t)b * job->pairs * 32;

	for (uint32_t p = 0; p < job->pairs; p++, to += 32) {
		__m256i w0 = weights16(job, 2 * p, c, n);
		__m256i w1 = weights16(job, 2 * p + 1, c, n);

		_mm256_storeu_si256((__m256i *)to, _mm256_unpacklo_epi16(w0, w1));
		_mm256_storeu_si256((__m256i *)(to + 16), _mm256_unpackhi_epi16(w0, w1));
	}
}

static void fold_bias(const struct job *job)
{
	const struct hk_conv *cv = job->cv;

	for (uint32_t c = 0; c < cv->cmd->out_c; c++) {
		uint32_t b = c / 16, at = c - block_start(job, b);
		const int16_t *w = job->packed + (size_t)b * job->pairs * 32 +
			(at & 4) * 4 + (at & 8) + (at & 3) * 2;
		int32_t sum = 0;

		for (uint32_t p = 0; p < job->pairs; p++, w += 32)
			sum += w[0] + w[1];
		job->bias[c] = hk_wrap_sub(cv->ch.bias[c], sum * cv->src_zero);
	}
}

static void window(const struct job *job, const uint8_t *tap[], uint64_t pixel)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint64_t row = pixel / cmd->out_w;
	const uint8_t *src = cv->src + row / cmd->out_h * cmd->in_h * cmd->in_w * cmd->in_c;
	int64_t y = (int64_t)(row % cmd->out_h) * cmd->stride_h - cmd->pad_top;
	int64_t x0 = (int64_t)(pixel % cmd->out_w) * cmd->stride_w - cmd->pad_left;

	for (uint32_t ky = 0; ky < cmd->k_h; ky++, y += cmd->dilation_h) {
		int64_t x = x0;

		for (uint32_t kx = 0; kx < cmd->k_w; kx++, x += cmd->dilation_w) {
			bool in = y >= 0 && y < cmd->in_h && x >= 0 && x < cmd->in_w;

			*tap++ = in ? src + ((uint64_t)y * cmd->in_w + x) * cmd->in_c :
				 job->outside;
		}
	}
	if (job->taps & 1)
		*tap = job->outside;
}

struct sums {
	__m256i lo, hi;
};

static inline struct sums block_sums(const struct job *job, const uint8_t *const tap[],
				     const int16_t *w, uint32_t c, uint32_t n)
{
	__m128i flip = _mm_set1_epi8((char)job->cv->src_flip);
	struct sums s = { _mm256_setzero_si256(), _mm256_setzero_si256() };

	for (uint32_t p = 0; p < job->pairs; p++, w += 32) {
		__m256i x0 = _mm256_cvtepu8_epi16(
			_mm_xor_si128(load_some(tap[2 * p] + c, n), flip));
		__m256i x1 = _mm256_cvtepu8_epi16(
			_mm_xor_si128(load_some(tap[2 * p + 1] + c, n), flip));

		s.lo = _mm256_add_epi32(s.lo, _mm256_madd_epi16(
			_mm256_unpacklo_epi16(x0, x1), load256(w)));
		s.hi = _mm256_add_epi32(s.hi, _mm256_madd_epi16(
			_mm256_unpackhi_epi16(x0, x1), load256(w + 16)));
	}
	return s;
}

static inline __m256i channel_out(const struct job *job, uint32_t c,
				  const struct out8 *out, __m256i acc)
{
	const struct hk_channels *ch = &job->cv->ch;

	acc = _mm256_add_epi32(acc, load256(job->bias + c));
	acc = requantize(acc, load256(ch->multiplier + c), load256(ch->left + c),
			 load256(ch->right + c));
	return out8_clamp(out, acc);
}

static inline void finish(const struct job *job, struct sums s, uint32_t c, uint32_t n,
			  const struct out8 *out, uint8_t *dst)
{
	__m256i a = _mm256_permute2x128_si256(s.lo, s.hi, 0x20);
	__m256i b = _mm256_permute2x128_si256(s.lo, s.hi, 0x31);

	store_some(dst + c, pack8(channel_out(job, c, out, a),
				  channel_out(job, c + 8, out, b)), n);
}

static void pixel_out(const struct job *job, const uint8_t *const tap[], uint8_t *dst,
		      const struct out8 *out)
{
	uint32_t channels = job->cv->cmd->out_c;
	const int16_t *w = job->packed;

	if (channels < 16) {
		finish(job, block_sums(job, tap, w, 0, channels), 0, channels, out, dst);
		return;
	}
	for (uint32_t b = 0; b < job->blocks; b++, w += (size_t)job->pairs * 32) {
		uint32_t c = block_start(job, b);

		finish(job, block_sums(job, tap, w, c, 16), c, 16, out, dst);
	}
}

static void depthwise_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hearth_cmd_conv_2d *cmd = job->cv->cmd;
	const struct out8 out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max);
	const uint8_t *tap[HK_DEPTHWISE_MAX_TAPS + 1];
	uint64_t pixels = (uint64_t)cmd->batch * cmd->out_h * cmd->out_w;
	uint64_t end = hk_task_start(pixels, task + 1, job->tasks);

	for (uint64_t p = hk_task_start(pixels, task, job->tasks); p < end; p++) {
		window(job, tap, p);
		pixel_out(job, tap, job->cv->dst + p * cmd->out_c, &out);
	}
}

void hk_depthwise_avx2(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;
	struct job job = {
		.cv = cv,
		.taps = cmd->k_h * cmd->k_w,
		.blocks = (cmd->out_c + 15) / 16,
	};

	job.pairs = (job.taps + 1) / 2;
	job.packed = hk_carve(&c, (size_t)job.blocks * job.pairs * 32 * sizeof(int16_t));
	job.outside = hk_carve(&c, cmd->in_c + 16);
	job.bias = hk_carve(&c, (cmd->in_c + HK_CHANNEL_SPARE) * sizeof(int32_t));
	for (uint32_t b = 0; b < job.blocks; b++)
		pack_block(&job, b);
	fold_bias(&job);
	/* The byte of the zero point, in either type */
	memset(job.outside, (int)(cmd->src_zero & 0xff), cmd->in_c + 16);
	job.tasks = hk_tasks(r, (uint64_t)cmd->batch * cmd->out_h * cmd->out_w, 16);
	hk_pool_run(r->pool, depthwise_task, &job, job.tasks);
}
