// SPDX-License-Identifier: MIT
/*
 * MEAN_Q: a sum over the middle dimension. The count is part of the scale.
 */
#include "kernels/int8.h"

int hk_mean_q_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_mean_q *cmd = from;
	const struct hk_dim dims[] = {
		HK_DIM(cmd, outer), HK_DIM(cmd, n), HK_DIM(cmd, inner),
	};
	const uint32_t src[] = { cmd->outer, cmd->n, cmd->inner };
	const uint32_t dst[] = { cmd->outer, cmd->inner };

	if (hk_check_dims(dims, 3, fault) ||
	    hk_check_type8(cmd->type, "type", fault) ||
	    hk_check_zero(cmd->src_zero, cmd->type, "src_zero", fault) ||
	    hk_check_zero(cmd->dst_zero, cmd->type, "dst_zero", fault) ||
	    hk_check_requant(&cmd->scale, "scale", fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	if (hk_tensor(&op[0], "src", cmd->src, src, 3, 1, HK_READ, fault) ||
	    hk_tensor(&op[1], "dst", cmd->dst, dst, 2, 1, HK_WRITE, fault) ||
	    hk_check_overlap(op, 2, 1, fault))
		return -EINVAL;
	return 2;
}

static void mean_chunk(const struct hearth_cmd_mean_q *cmd, const uint8_t *src,
		       uint8_t *dst, uint32_t count)
{
	const struct hk_type8 *type = hk_type8(cmd->type);
	uint32_t offset = cmd->n * (uint32_t)(type->bias + (int32_t)cmd->src_zero);
	uint32_t sum[HK_SUM_CHUNK] = { 0 };

	for (uint32_t k = 0; k < cmd->n; k++, src += cmd->inner) {
		for (uint32_t i = 0; i < count; i++)
			sum[i] += src[i] ^ type->flip;
	}
	for (uint32_t i = 0; i < count; i++) {
		int32_t v = hk_requantize_by((int32_t)(sum[i] - offset), &cmd->scale);

		v = hk_wrap_add(v, (int32_t)cmd->dst_zero);
		dst[i] = (uint8_t)hk_clamp(v, type->min, type->max);
	}
}

struct mean_job {
	const struct hearth_cmd_mean_q *cmd;
	const uint8_t *src;
	uint8_t *dst;
	unsigned int tasks;
};

static void mean_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct mean_job *job = arg;
	const struct hearth_cmd_mean_q *cmd = job->cmd;
	uint64_t end = hk_task_start(cmd->outer, task + 1, job->tasks);

	for (uint64_t o = hk_task_start(cmd->outer, task, job->tasks); o < end; o++) {
		for (uint32_t i = 0; i < cmd->inner; i += HK_SUM_CHUNK) {
			uint32_t rest = cmd->inner - i;

			mean_chunk(cmd, job->src + o * cmd->n * cmd->inner + i,
				   job->dst + o * cmd->inner + i,
				   rest < HK_SUM_CHUNK ? rest : HK_SUM_CHUNK);
		}
	}
}

int hk_mean_q_run(const void *from, void *const ptr[], struct hk_run *r)
{
	struct mean_job job = { .cmd = from, .src = ptr[0], .dst = ptr[1] };

	job.tasks = hk_tasks(r, job.cmd->outer, 1);
	hk_pool_run(r->pool, mean_task, &job, job.tasks);
	return 0;
}
