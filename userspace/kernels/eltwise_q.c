// SPDX-License-Identifier: MIT
/*
 * ADD_Q and MUL_Q: element by element, the second input repeating.
 */
#include "kernels/int8.h"
#include "kernels/isa.h"

/* Elements that are worth a task of their own */
#define TASK_ELEMENTS	16384

/* A shorter period is repeated up to about this length before it is used. */
#define PERIOD		512

static int binary_fields(const struct hearth_cmd_binary_q *cmd, struct hk_fault *fault)
{
	if (hk_check_dim(cmd->n, "n", fault))
		return -EINVAL;
	if (!cmd->b_n || cmd->n % cmd->b_n)
		return hk_bad(fault, "b_n");
	if (hk_check_type8(cmd->a_type, "a_type", fault) ||
	    hk_check_type8(cmd->b_type, "b_type", fault) ||
	    hk_check_type8(cmd->dst_type, "dst_type", fault) ||
	    hk_check_zero(cmd->a_zero, cmd->a_type, "a_zero", fault) ||
	    hk_check_zero(cmd->b_zero, cmd->b_type, "b_zero", fault) ||
	    hk_check_zero(cmd->dst_zero, cmd->dst_type, "dst_zero", fault) ||
	    hk_check_requant(&cmd->dst_scale, "dst_scale", fault) ||
	    hk_check_act(cmd->act_min, cmd->act_max, cmd->dst_type, fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	return 0;
}

static int binary_tensors(const struct hearth_cmd_binary_q *cmd, struct hk_operand *op,
			  struct hk_fault *fault)
{
	if (hk_operand(&op[0], "a", cmd->a, cmd->n, 1, HK_READ, fault) ||
	    hk_operand(&op[1], "b", cmd->b, cmd->b_n, 1, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", cmd->dst, cmd->n, 1, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], true, fault))
		return -EINVAL;
	return 3;
}

int hk_add_q_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_binary_q *cmd = from;

	if (binary_fields(cmd, fault))
		return -EINVAL;
	if (cmd->left_shift > 20)
		return hk_bad(fault, "left_shift");
	if (hk_check_requant(&cmd->a_scale, "a_scale", fault) ||
	    hk_check_requant(&cmd->b_scale, "b_scale", fault))
		return -EINVAL;
	return binary_tensors(cmd, op, fault);
}

int hk_mul_q_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_binary_q *cmd = from;

	if (binary_fields(cmd, fault))
		return -EINVAL;
	if (cmd->left_shift)
		return hk_bad(fault, "left_shift");
	if (cmd->a_scale.multiplier || cmd->a_scale.shift)
		return hk_bad(fault, "a_scale");
	if (cmd->b_scale.multiplier || cmd->b_scale.shift)
		return hk_bad(fault, "b_scale");
	return binary_tensors(cmd, op, fault);
}

static uint8_t binary_out(const struct hearth_cmd_binary_q *cmd, int32_t acc)
{
	acc = hk_requantize_by(acc, &cmd->dst_scale);
	acc = hk_wrap_add(acc, (int32_t)cmd->dst_zero);
	return (uint8_t)hk_clamp(acc, (int32_t)cmd->act_min, (int32_t)cmd->act_max);
}

static void add_plain(const struct hk_binary8 *bin, size_t from, size_t to)
{
	const struct hearth_cmd_binary_q *cmd = bin->cmd;
	const uint8_t *b = bin->b + from % bin->b_n;

	for (size_t i = from; i < to; i++) {
		int32_t x = (bin->a[i] ^ bin->a_flip) - bin->a_zero;
		int32_t y = (b[i - from] ^ bin->b_flip) - bin->b_zero;

		x = hk_requantize_by((int32_t)((uint32_t)x << cmd->left_shift),
				     &cmd->a_scale);
		y = hk_requantize_by((int32_t)((uint32_t)y << cmd->left_shift),
				     &cmd->b_scale);
		bin->dst[i] = binary_out(cmd, hk_wrap_add(x, y));
	}
}

static void mul_plain(const struct hk_binary8 *bin, size_t from, size_t to)
{
	const uint8_t *b = bin->b + from % bin->b_n;

	for (size_t i = from; i < to; i++) {
		int32_t x = (bin->a[i] ^ bin->a_flip) - bin->a_zero;
		int32_t y = (b[i - from] ^ bin->b_flip) - bin->b_zero;

		bin->dst[i] = binary_out(bin->cmd, x * y);
	}
}

struct binary_job {
	struct hk_binary8 bin;
	void (*fn)(const struct hk_binary8 *bin, size_t from, size_t to);
	unsigned int tasks;
};

static void binary_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct binary_job *job = arg;
	const struct hk_binary8 *bin = &job->bin;
	uint64_t from = hk_task_start(bin->cmd->n, task, job->tasks);
	uint64_t end = hk_task_start(bin->cmd->n, task + 1, job->tasks);

	while (from < end) {
		uint64_t to = (from / bin->b_n + 1) * bin->b_n;

		to = to < end ? to : end;
		job->fn(bin, from, to);
		from = to;
	}
}

static void binary_run(struct binary_job *job, const struct hearth_cmd_binary_q *cmd,
		       void *const ptr[], struct hk_run *r)
{
	const struct hk_type8 *a = hk_type8(cmd->a_type), *b = hk_type8(cmd->b_type);
	struct hk_binary8 *bin = &job->bin;
	uint8_t period[PERIOD];

	*bin = (struct hk_binary8){
		.cmd = cmd, .a = ptr[0], .b = ptr[1], .dst = ptr[2], .b_n = cmd->b_n,
		.a_flip = a->flip, .b_flip = b->flip,
		.a_zero = a->bias + (int32_t)cmd->a_zero,
		.b_zero = b->bias + (int32_t)cmd->b_zero,
	};
	if (cmd->b_n <= PERIOD / 2 && cmd->b_n < cmd->n) {
		bin->b_n = PERIOD / cmd->b_n * cmd->b_n;
		for (size_t i = 0; i < bin->b_n; i += cmd->b_n)
			memcpy(period + i, ptr[1], cmd->b_n);
		bin->b = period;
	}
	job->tasks = hk_tasks(r, cmd->n, TASK_ELEMENTS);
	hk_pool_run(r->pool, binary_task, job, job->tasks);
}

int hk_add_q_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct binary_job job = {
		.fn = r->isa && r->isa->int8 ? r->isa->int8->add : add_plain,
	};

	binary_run(&job, cmd, ptr, r);
	return 0;
}

int hk_mul_q_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct binary_job job = {
		.fn = r->isa && r->isa->int8 ? r->isa->int8->mul : mul_plain,
	};

	binary_run(&job, cmd, ptr, r);
	return 0;
}
