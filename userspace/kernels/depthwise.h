/* SPDX-License-Identifier: MIT */
/*
 * DEPTHWISE_CONV_2D with one output for each input channel: what does not
 * depend on the ISA. Included after the header of one.
 *
 * Weights are packed as int16 in blocks of 16 channels. Taps outside of the
 * input read a row of zero points. The file of an ISA packs a block, and has
 * the sums of its channels.
 */
#ifndef HEARTH_KERNELS_DEPTHWISE_H
#define HEARTH_KERNELS_DEPTHWISE_H

#include "kernels/int8.h"

struct depthwise {
	const struct hk_conv *cv;
	struct hk_channels ch;
	/* Taps of a window, and the same rounded up to what is taken at once */
	uint32_t taps, taps_pad;
	/* Blocks of 16 channels; the last one may overlap the one before. */
	uint32_t blocks;
	int16_t *packed;
	uint8_t *outside;
	unsigned int tasks;
};

/* Outputs of channels @c to @c + @n - 1, at most 16, of the pixel at @dst */
typedef void depthwise_block(const struct depthwise *job, const uint8_t *const tap[],
			     const int16_t *w, uint32_t c, uint32_t n,
			     const struct out8 *out, uint8_t *dst);

/* First channel of a block */
static inline uint32_t block_start(const struct depthwise *job, uint32_t b)
{
	uint32_t n = job->cv->cmd->out_c;

	return b * 16 + 16 <= n || n < 16 ? b * 16 : n - 16;
}

/* Weights of a block, in the order that the ISA wants */
static inline int16_t *block_weights(const struct depthwise *job, uint32_t b)
{
	return job->packed + (size_t)b * job->taps_pad * 16;
}

static void window(const struct depthwise *job, const uint8_t *tap[], uint64_t pixel)
{
	const struct hearth_cmd_conv_2d *cmd = job->cv->cmd;
	const struct hk_window win = hk_window(job->cv, pixel);
	int64_t y = win.y;

	for (uint32_t ky = 0; ky < cmd->k_h; ky++, y += cmd->dilation_h) {
		int64_t x = win.x;

		for (uint32_t kx = 0; kx < cmd->k_w; kx++, x += cmd->dilation_w) {
			bool in = y >= 0 && y < cmd->in_h && x >= 0 && x < cmd->in_w;

			*tap++ = in ? win.src + ((uint64_t)y * cmd->in_w + x) * cmd->in_c :
				 job->outside;
		}
	}
	for (uint32_t t = job->taps; t < job->taps_pad; t++)
		*tap++ = job->outside;
}

/* Always inline: a call of @block is none. */
static inline __attribute__((always_inline)) void
depthwise_pixels(const struct depthwise *job, unsigned int task, depthwise_block *block)
{
	const struct hearth_cmd_conv_2d *cmd = job->cv->cmd;
	const struct out8 out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max);
	const uint8_t *tap[HK_DEPTHWISE_MAX_TAPS + 1];
	uint64_t pixels = (uint64_t)cmd->batch * cmd->out_h * cmd->out_w;
	uint64_t end = hk_task_start(pixels, task + 1, job->tasks);

	for (uint64_t p = hk_task_start(pixels, task, job->tasks); p < end; p++) {
		uint8_t *dst = job->cv->dst + p * cmd->out_c;

		window(job, tap, p);
		if (cmd->out_c < 16) {
			block(job, tap, job->packed, 0, cmd->out_c, &out, dst);
			continue;
		}
		for (uint32_t b = 0; b < job->blocks; b++)
			block(job, tap, block_weights(job, b), block_start(job, b), 16, &out,
			      dst);
	}
}

/* The memory of a job that takes @at_once taps; the blocks are yet to be packed. */
static inline struct depthwise
depthwise_start(const struct hk_conv *cv, uint32_t at_once, struct hk_carve *c)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct depthwise job = {
		.cv = cv,
		.ch = cv->ch,
		.taps = cmd->k_h * cmd->k_w,
		.blocks = (cmd->out_c + 15) / 16,
	};

	job.taps_pad = (job.taps + at_once - 1) / at_once * at_once;
	job.packed = hk_carve(c, (size_t)job.blocks * job.taps_pad * 16 * sizeof(int16_t));
	job.outside = hk_carve(c, cmd->in_c + 16);
	/* The byte of the zero point, in either type */
	memset(job.outside, (int)(cmd->src_zero & 0xff), cmd->in_c + 16);
	return job;
}

static inline void depthwise_run(struct depthwise *job, hk_task_fn task, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = job->cv->cmd;

	job->tasks = hk_tasks(r, (uint64_t)cmd->batch * cmd->out_h * cmd->out_w, 16);
	hk_pool_run(r->pool, task, job, job->tasks);
}

#endif /* HEARTH_KERNELS_DEPTHWISE_H */
