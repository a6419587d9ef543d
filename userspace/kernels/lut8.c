// SPDX-License-Identifier: MIT
/*
 * LUT8: any function of one 8-bit value.
 */
#include "kernels/int8.h"

#define TASK_ELEMENTS	65536

int hk_lut8_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_lut8 *cmd = from;

	if (hk_check_dim(cmd->n, "n", fault))
		return -EINVAL;
	if (cmd->reserved)
		return hk_bad(fault, "reserved");
	if (hk_operand(&op[0], "src", cmd->src, cmd->n, 1, HK_READ, fault) ||
	    hk_operand(&op[1], "table", cmd->table, 256, 1, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", cmd->dst, cmd->n, 1, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

struct lut_job {
	const uint8_t *src;
	uint8_t *dst;
	uint32_t n;
	unsigned int tasks;
	uint8_t table[256];
};

static void lut_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct lut_job *job = arg;
	size_t end = hk_task_start(job->n, task + 1, job->tasks);

	for (size_t i = hk_task_start(job->n, task, job->tasks); i < end; i++)
		job->dst[i] = job->table[job->src[i]];
}

int hk_lut8_run(const void *from, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_lut8 *cmd = from;
	struct lut_job job = { .src = ptr[0], .dst = ptr[2], .n = cmd->n };

	memcpy(job.table, ptr[1], sizeof(job.table));
	job.tasks = hk_tasks(r, cmd->n, TASK_ELEMENTS);
	hk_pool_run(r->pool, lut_task, &job, job.tasks);
	return 0;
}
