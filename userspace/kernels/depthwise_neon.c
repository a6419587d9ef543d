// SPDX-License-Identifier: MIT
/*
 * NEON: DEPTHWISE_CONV_2D with one output for each input channel.
 *
 * Weights are packed as int16 in blocks of 16 channels. Taps outside of the
 * input read a row of zero points. For 16 channels and a tap: two loads of
 * weights, one of bytes, which are widened less their zero point in one step,
 * and four multiplications that add.
 */
#include "kernels/int8_neon.h"

struct job {
	const struct hk_conv *cv;
	uint32_t taps;
	/* Blocks of 16 channels; the last one may overlap the one before. */
	uint32_t blocks;
	int16_t *packed;
	uint8_t *outside;
	unsigned int tasks;
};

/* First channel of a block */
static uint32_t block_start(const struct job *job, uint32_t b)
{
	uint32_t n = job->cv->cmd->out_c;

	return b * 16 + 16 <= n || n < 16 ? b * 16 : n - 16;
}

static void pack_block(const struct job *job, uint32_t b)
{
	const struct hk_conv *cv = job->cv;
	uint32_t c = block_start(job, b);
	uint32_t n = cv->cmd->out_c < 16 ? cv->cmd->out_c : 16;
	int16_t *to = job->packed + (size_t)b * job->taps * 16;

	for (uint32_t t = 0; t < job->taps; t++, to += 16) {
		struct wide w = widen(load_some(cv->weights + t * cv->w_tap + c, n, 0),
				      cv->weights_flip, cv->weights_zero);

		vst1q_s16(to, w.lo);
		vst1q_s16(to + 8, w.hi);
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
}

/* Channels @c to @c + @n - 1, at most 16, of a pixel */
static inline __attribute__((always_inline)) void
channels16(const struct job *job, const uint8_t *const tap[], const int16_t *w, uint32_t c,
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
	for (int i = 0; i < 4; i++)
		acc[i] = channels_out(&job->cv->ch, c + 4 * i, out, acc[i]);
	store_some(dst + c, pack8(acc), n);
}

static void depthwise_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hearth_cmd_conv_2d *cmd = job->cv->cmd;
	const struct out8 out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max);
	const uint8_t *tap[HK_DEPTHWISE_MAX_TAPS];
	uint64_t pixels = (uint64_t)cmd->batch * cmd->out_h * cmd->out_w;
	uint64_t end = hk_task_start(pixels, task + 1, job->tasks);

	for (uint64_t p = hk_task_start(pixels, task, job->tasks); p < end; p++) {
		uint8_t *dst = job->cv->dst + p * cmd->out_c;

		window(job, tap, p);
		if (cmd->out_c < 16) {
			channels16(job, tap, job->packed, 0, cmd->out_c, &out, dst);
			continue;
		}
		for (uint32_t b = 0; b < job->blocks; b++)
			channels16(job, tap, job->packed + (size_t)b * job->taps * 16,
				   block_start(job, b), 16, &out, dst);
	}
}

void hk_depthwise_neon(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;
	struct job job = {
		.cv = cv,
		.taps = cmd->k_h * cmd->k_w,
		.blocks = (cmd->out_c + 15) / 16,
	};

	job.packed = hk_carve(&c, (size_t)job.blocks * job.taps * 16 * sizeof(int16_t));
	job.outside = hk_carve(&c, cmd->in_c + 16);
	for (uint32_t b = 0; b < job.blocks; b++)
		pack_block(&job, b);
	/* The byte of the zero point, in either type */
	memset(job.outside, (int)(cmd->src_zero & 0xff), cmd->in_c + 16);
	job.tasks = hk_tasks(r, (uint64_t)cmd->batch * cmd->out_h * cmd->out_w, 16);
	hk_pool_run(r->pool, depthwise_task, &job, job.tasks);
}
