/* SPDX-License-Identifier: MIT */
/*
 * FULLY_CONNECTED of few rows: what does not depend on the ISA. A file for an
 * ISA has the dot products, in which each weight is read once.
 */
#ifndef HEARTH_KERNELS_GEMV_H
#define HEARTH_KERNELS_GEMV_H

#include "kernels/int8.h"

/* Outputs at once */
#define GEMV_OUTS	4

struct gemv {
	const struct hk_conv *cv;
	/* The input as numbers of one or two bytes, zeros up to a multiple of 16 */
	uint8_t *rows;
	size_t row_bytes;
	/* The zero point that the numbers of the rows still have in them */
	int32_t src_zero;
	/* What zero points make of each row's sums: added at the end */
	int32_t fold[HK_GEMV_MAX_ROWS];
	unsigned int tasks;
};

/* Dot products of a row with @outs rows of weights: GEMV_OUTS, or one */
typedef void gemv_dots(const struct gemv *job, const void *row, const uint8_t *weights,
		       const int outs, int32_t *acc);

/* The rows of numbers of @size bytes, yet to be filled */
static inline void gemv_start(struct gemv *job, const struct hk_conv *cv, size_t size)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;

	job->cv = cv;
	job->row_bytes = ((cmd->in_c + 15) & ~15u) * size;
	job->rows = hk_carve(&c, cmd->in_h * job->row_bytes);
	for (uint32_t row = 0; row < cmd->in_h; row++) {
		size_t used = cmd->in_c * size;

		memset(job->rows + row * job->row_bytes + used, 0, job->row_bytes - used);
	}
}

/* Always inline: a call of @dots is none. */
static inline __attribute__((always_inline)) void
gemv_outs(const struct gemv *job, unsigned int task, gemv_dots *dots)
{
	const struct hk_conv *cv = job->cv;
	const uint32_t out_c = cv->cmd->out_c;
	uint32_t end = hk_task_start(out_c, task + 1, job->tasks);
	uint32_t o = hk_task_start(out_c, task, job->tasks);

	while (o < end) {
		const uint8_t *w = cv->weights + o * cv->w_out;
		uint32_t outs = end - o >= GEMV_OUTS ? GEMV_OUTS : 1;

		for (uint32_t row = 0; row < cv->cmd->in_h; row++) {
			const uint8_t *x = job->rows + row * job->row_bytes;
			uint8_t *dst = cv->dst + (size_t)row * out_c + o;
			int32_t acc[GEMV_OUTS];

			if (outs == GEMV_OUTS)
				dots(job, x, w, GEMV_OUTS, acc);
			else
				dots(job, x, w, 1, acc);
			for (uint32_t i = 0; i < outs; i++)
				dst[i] = hk_channel_out(cv, hk_wrap_add(acc[i], job->fold[row]),
							o + i);
		}
		o += outs;
	}
}

static inline void gemv_run(struct gemv *job, hk_task_fn task, struct hk_run *r)
{
	job->tasks = hk_tasks(r, job->cv->cmd->out_c, GEMV_OUTS);
	hk_pool_run(r->pool, task, job, job->tasks);
}

#endif /* HEARTH_KERNELS_GEMV_H */
