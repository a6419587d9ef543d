// SPDX-License-Identifier: MIT
/*
 * SOFTMAX_Q: floats, but only a sum in order, a quotient and products.
 */
#include "kernels/int8.h"

#define TASK_ELEMENTS	4096

int hk_softmax_q_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_softmax_q *cmd = from;
	const struct hk_dim dims[] = { HK_DIM(cmd, rows), HK_DIM(cmd, n) };
	const uint32_t shape[] = { cmd->rows, cmd->n };

	if (hk_check_dims(dims, 2, fault) ||
	    hk_check_scale(cmd->dst_scale, "dst_scale", fault) ||
	    hk_check_type8(cmd->src_type, "src_type", fault) ||
	    hk_check_type8(cmd->dst_type, "dst_type", fault) ||
	    hk_check_zero(cmd->dst_zero, cmd->dst_type, "dst_zero", fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	if (hk_tensor(&op[0], "src", cmd->src, shape, 2, 1, HK_READ, fault) ||
	    hk_operand(&op[1], "table", cmd->table, 256 * sizeof(float), 4, HK_READ,
		       fault) ||
	    hk_tensor(&op[2], "dst", cmd->dst, shape, 2, 1, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

struct softmax_job {
	const struct hearth_cmd_softmax_q *cmd;
	const uint8_t *src;
	uint8_t *dst;
	float table[256];
	unsigned int tasks;
};

/* Unsigned 8-bit outputs round by adding a half, signed ones half away from 0. */
static uint8_t softmax_out(const struct hearth_cmd_softmax_q *cmd, float p)
{
	const struct hk_type8 *type = hk_type8(cmd->dst_type);
	int32_t v;

	p = hk_bound(p, 1024.0f);
	v = cmd->dst_type == HEARTH_TYPE_U8 ? (int32_t)(p + 0.5f) : hk_round(p);
	return (uint8_t)hk_clamp(v + (int32_t)cmd->dst_zero, type->min, type->max);
}

static void softmax_row(const struct softmax_job *job, const uint8_t *src, uint8_t *dst)
{
	const struct hearth_cmd_softmax_q *cmd = job->cmd;
	uint8_t flip = hk_type8(cmd->src_type)->flip;
	uint8_t best = 0;
	float sum = 0.0f, factor;

	for (uint32_t i = 0; i < cmd->n; i++)
		best = (src[i] ^ flip) > best ? src[i] ^ flip : best;
	for (uint32_t i = 0; i < cmd->n; i++)
		sum += job->table[(uint8_t)(255 - best + (src[i] ^ flip))];
	factor = 1.0f / (sum * hk_float(cmd->dst_scale));
	for (uint32_t i = 0; i < cmd->n; i++) {
		float e = job->table[(uint8_t)(255 - best + (src[i] ^ flip))];

		dst[i] = softmax_out(cmd, e * factor);
	}
}

static void softmax_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct softmax_job *job = arg;
	uint64_t rows = job->cmd->rows, n = job->cmd->n;
	uint64_t end = hk_task_start(rows, task + 1, job->tasks);

	for (uint64_t i = hk_task_start(rows, task, job->tasks); i < end; i++)
		softmax_row(job, job->src + i * n, job->dst + i * n);
}

int hk_softmax_q_run(const void *from, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_softmax_q *cmd = from;
	struct softmax_job job = { .cmd = cmd, .src = ptr[0], .dst = ptr[2] };

	memcpy(job.table, ptr[1], sizeof(job.table));
	job.tasks = hk_tasks(r, cmd->rows, 1 + TASK_ELEMENTS / cmd->n);
	hk_pool_run(r->pool, softmax_task, &job, job.tasks);
	return 0;
}
