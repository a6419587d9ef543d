// SPDX-License-Identifier: MIT
/*
 * AVERAGE_POOL_2D and MAX_POOL_2D. What lies outside of the input counts for
 * nothing, not even as an element of the average.
 */
#include "kernels/int8.h"
#include "kernels/isa.h"
#include "kernels/reduce8.h"

/* So that the sum of a window fits into 31 bits */
#define MAX_WINDOW	(1u << 22)

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Each window has a tap inside of the input if the first and the last have. */
static int windows(const struct hearth_cmd_pool_2d *cmd, struct hk_fault *fault)
{
	if (cmd->pad_top >= cmd->k_h)
		return hk_bad(fault, "pad_top");
	if (cmd->pad_left >= cmd->k_w)
		return hk_bad(fault, "pad_left");
	if ((cmd->out_h - 1ull) * cmd->stride_h >= (uint64_t)cmd->in_h + cmd->pad_top)
		return hk_bad(fault, "out_h");
	if ((cmd->out_w - 1ull) * cmd->stride_w >= (uint64_t)cmd->in_w + cmd->pad_left)
		return hk_bad(fault, "out_w");
	return 0;
}

int hk_max_pool_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_pool_2d *cmd = from;
	const struct hk_dim dims[] = {
		HK_DIM(cmd, batch), HK_DIM(cmd, in_h), HK_DIM(cmd, in_w),
		HK_DIM(cmd, channels), HK_DIM(cmd, out_h), HK_DIM(cmd, out_w),
		HK_DIM(cmd, k_h), HK_DIM(cmd, k_w),
		HK_DIM(cmd, stride_h), HK_DIM(cmd, stride_w),
	};
	const uint32_t src[] = { cmd->batch, cmd->in_h, cmd->in_w, cmd->channels };
	const uint32_t dst[] = { cmd->batch, cmd->out_h, cmd->out_w, cmd->channels };

	if (hk_check_dims(dims, sizeof(dims) / sizeof(dims[0]), fault) ||
	    windows(cmd, fault) ||
	    hk_check_type8(cmd->type, "type", fault) ||
	    hk_check_act(cmd->act_min, cmd->act_max, cmd->type, fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	if (hk_tensor(&op[0], "src", cmd->src, src, 4, 1, HK_READ, fault) ||
	    hk_tensor(&op[1], "dst", cmd->dst, dst, 4, 1, HK_WRITE, fault) ||
	    hk_check_overlap(op, 2, 1, fault))
		return -EINVAL;
	return 2;
}

int hk_average_pool_operands(const void *from, struct hk_operand *op,
			     struct hk_fault *fault)
{
	const struct hearth_cmd_pool_2d *cmd = from;
	int n = hk_max_pool_operands(from, op, fault);

	if (n < 0)
		return n;
	if ((uint64_t)least(cmd->k_h, cmd->in_h) * least(cmd->k_w, cmd->in_w) > MAX_WINDOW)
		return hk_bad(fault, "k_h");
	return n;
}

struct pool_job {
	const struct hearth_cmd_pool_2d *cmd;
	const struct hk_int8_isa *isa;
	const uint8_t *src;
	uint8_t *dst;
	unsigned int tasks;
	/* Reduces a window of @n channels. */
	void (*window)(const struct pool_job *job, const uint8_t *src, uint8_t *dst,
		       const uint32_t tap[4], uint32_t n);
};

static const struct hk_int8_isa plain = {
	.max = hk_max8,
	.sum = hk_sum8,
	.divide = hk_divide8,
};

/* tap: first and end of the rows, first and end of the columns */
static void max_window(const struct pool_job *job, const uint8_t *src, uint8_t *dst,
		       const uint32_t tap[4], uint32_t n)
{
	const struct hearth_cmd_pool_2d *cmd = job->cmd;
	const struct hk_type8 *type = hk_type8(cmd->type);
	uint8_t best[HK_SUM_CHUNK] = { 0 };

	for (uint32_t y = tap[0]; y < tap[1]; y++) {
		for (uint32_t x = tap[2]; x < tap[3]; x++)
			job->isa->max(best, src + ((uint64_t)y * cmd->in_w + x) *
					    cmd->channels, type->flip, n);
	}
	for (uint32_t i = 0; i < n; i++)
		dst[i] = (uint8_t)hk_clamp(best[i] - type->bias, (int32_t)cmd->act_min,
					   (int32_t)cmd->act_max);
}

static void average_window(const struct pool_job *job, const uint8_t *src, uint8_t *dst,
			   const uint32_t tap[4], uint32_t n)
{
	const struct hearth_cmd_pool_2d *cmd = job->cmd;
	const struct hk_type8 *type = hk_type8(cmd->type);
	int32_t count = (tap[1] - tap[0]) * (tap[3] - tap[2]);
	int32_t sum[HK_SUM_CHUNK] = { 0 };

	for (uint32_t y = tap[0]; y < tap[1]; y++) {
		for (uint32_t x = tap[2]; x < tap[3]; x++)
			job->isa->sum(sum, src + ((uint64_t)y * cmd->in_w + x) *
					   cmd->channels, type->flip, n);
	}
	job->isa->divide(dst, sum, count * type->bias, count, (int32_t)cmd->act_min,
			 (int32_t)cmd->act_max, n);
}

/* The part of a window at @origin that lies inside: in input coordinates */
static void inside(int64_t origin, uint32_t k, uint32_t in, uint32_t tap[2])
{
	hk_taps(origin, k, 1, in, &tap[0], &tap[1]);
	tap[0] = origin + tap[0];
	tap[1] = origin + tap[1];
}

static void pool_row(const struct pool_job *job, uint64_t row)
{
	const struct hearth_cmd_pool_2d *cmd = job->cmd;
	const uint8_t *src = job->src +
		row / cmd->out_h * cmd->in_h * cmd->in_w * cmd->channels;
	uint8_t *dst = job->dst + row * cmd->out_w * cmd->channels;
	uint32_t tap[4];

	inside((int64_t)(row % cmd->out_h) * cmd->stride_h - cmd->pad_top, cmd->k_h,
	       cmd->in_h, tap);
	for (uint32_t x = 0; x < cmd->out_w; x++, dst += cmd->channels) {
		inside((int64_t)x * cmd->stride_w - cmd->pad_left, cmd->k_w, cmd->in_w,
		       tap + 2);
		for (uint32_t c = 0; c < cmd->channels; c += HK_SUM_CHUNK)
			job->window(job, src + c, dst + c, tap,
				    least(HK_SUM_CHUNK, cmd->channels - c));
	}
}

static void pool_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct pool_job *job = arg;
	uint64_t rows = (uint64_t)job->cmd->batch * job->cmd->out_h;
	uint64_t end = hk_task_start(rows, task + 1, job->tasks);

	for (uint64_t row = hk_task_start(rows, task, job->tasks); row < end; row++)
		pool_row(job, row);
}

static int pool_run(struct pool_job *job, void *const ptr[], struct hk_run *r)
{
	uint64_t rows = (uint64_t)job->cmd->batch * job->cmd->out_h;

	job->isa = r->isa && r->isa->int8 ? r->isa->int8 : &plain;
	job->src = ptr[0];
	job->dst = ptr[1];
	job->tasks = hk_tasks(r, rows, 1);
	hk_pool_run(r->pool, pool_task, job, job->tasks);
	return 0;
}

int hk_max_pool_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct pool_job job = { .cmd = cmd, .window = max_window };

	return pool_run(&job, ptr, r);
}

int hk_average_pool_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct pool_job job = { .cmd = cmd, .window = average_window };

	return pool_run(&job, ptr, r);
}
