// SPDX-License-Identifier: MIT
/*
 * QUANTIZE and DEQUANTIZE: between f32 and 8 bits.
 */
#include "kernels/int8.h"

#define TASK_ELEMENTS	16384

static int quantize_operands(const struct hearth_cmd_quantize *cmd, unsigned int src_size,
			     unsigned int dst_size, struct hk_operand *op,
			     struct hk_fault *fault)
{
	if (hk_check_dim(cmd->n, "n", fault) ||
	    hk_check_scale(cmd->scale, "scale", fault) ||
	    hk_check_type8(cmd->type, "type", fault) ||
	    hk_check_zero(cmd->zero, cmd->type, "zero", fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	if (hk_operand(&op[0], "src", cmd->src, (uint64_t)cmd->n * src_size, src_size,
		       HK_READ, fault) ||
	    hk_operand(&op[1], "dst", cmd->dst, (uint64_t)cmd->n * dst_size, dst_size,
		       HK_WRITE, fault) ||
	    hk_check_overlap(op, 2, 1, fault))
		return -EINVAL;
	return 2;
}

int hk_quantize_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	return quantize_operands(cmd, sizeof(float), 1, op, fault);
}

int hk_dequantize_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	return quantize_operands(cmd, 1, sizeof(float), op, fault);
}

struct quantize_job {
	const struct hearth_cmd_quantize *cmd;
	const void *src;
	void *dst;
	unsigned int tasks;
};

static void quantize_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct quantize_job *job = arg;
	const struct hearth_cmd_quantize *cmd = job->cmd;
	const struct hk_type8 *type = hk_type8(cmd->type);
	size_t end = hk_task_start(cmd->n, task + 1, job->tasks);
	const float *src = job->src;
	uint8_t *dst = job->dst;

	for (size_t i = hk_task_start(cmd->n, task, job->tasks); i < end; i++) {
		/* What exceeds 1024 is clamped by any zero point. */
		int32_t v = hk_round(hk_bound(src[i] / hk_float(cmd->scale), 1024.0f));

		dst[i] = (uint8_t)hk_clamp(v + (int32_t)cmd->zero, type->min, type->max);
	}
}

static void dequantize_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct quantize_job *job = arg;
	const struct hearth_cmd_quantize *cmd = job->cmd;
	const struct hk_type8 *type = hk_type8(cmd->type);
	size_t end = hk_task_start(cmd->n, task + 1, job->tasks);
	const uint8_t *src = job->src;
	float *dst = job->dst;

	for (size_t i = hk_task_start(cmd->n, task, job->tasks); i < end; i++) {
		int32_t v = (src[i] ^ type->flip) - type->bias - (int32_t)cmd->zero;

		dst[i] = hk_float(cmd->scale) * (float)v;
	}
}

int hk_quantize_run(const void *from, void *const ptr[], struct hk_run *r)
{
	struct quantize_job job = { .cmd = from, .src = ptr[0], .dst = ptr[1] };

	job.tasks = hk_tasks(r, job.cmd->n, TASK_ELEMENTS);
	hk_pool_run(r->pool, quantize_task, &job, job.tasks);
	return 0;
}

int hk_dequantize_run(const void *from, void *const ptr[], struct hk_run *r)
{
	struct quantize_job job = { .cmd = from, .src = ptr[0], .dst = ptr[1] };

	job.tasks = hk_tasks(r, job.cmd->n, TASK_ELEMENTS);
	hk_pool_run(r->pool, dequantize_task, &job, job.tasks);
	return 0;
}
