// SPDX-License-Identifier: MIT
#include "kernels/float.h"

/* Tasks for each worker: it takes several at a time, but the last ones are for whoever is free. */
#define TASKS_OF_WORKER	32

struct row_split {
	hk_rows_fn fn;
	void *arg;
	uint32_t rows, per_task;
};

static void split_tasks(void *arg, unsigned int first, unsigned int last, unsigned int worker)
{
	const struct row_split *s = arg;
	uint64_t end = (uint64_t)last * s->per_task;

	s->fn(s->arg, first * s->per_task, end < s->rows ? (uint32_t)end : s->rows, worker);
}

void hk_for_rows(struct hk_pool *pool, hk_rows_fn fn, void *arg, uint32_t rows,
		 uint32_t grain)
{
	struct row_split s = { .fn = fn, .arg = arg, .rows = rows };
	uint32_t most = hk_pool_threads(pool) * TASKS_OF_WORKER;
	uint32_t grains = (rows + grain - 1) / grain;

	if (!rows)
		return;
	if (rows / 2 < grain)
		most = 1;
	s.per_task = (grains + most - 1) / most * grain;
	hk_pool_run_many(pool, split_tasks, &s, (rows + s.per_task - 1) / s.per_task);
}

int hk_map(struct hk_space *space, struct hk_map *map, const struct hk_operand *op,
	   struct hk_fault *fault)
{
	*map = (struct hk_map){ .va = op->va, .bytes = op->bytes, .access = op->access };
	return space->ops->map(space, map, fault);
}

int hk_unmap(struct hk_space *space, struct hk_map *map, int ret, struct hk_fault *fault)
{
	struct hk_fault late = *fault;
	int err = space->ops->unmap(space, map, &late);

	if (!err || ret)
		return ret;
	*fault = late;
	return err;
}

int hk_check_index(const int32_t *index, int32_t *copy, uint32_t n, uint32_t limit,
		   uint32_t *largest, const char *field, struct hk_fault *fault)
{
	uint32_t max = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = (uint32_t)__atomic_load_n(&index[i], __ATOMIC_RELAXED);

		if (v >= limit)
			return hk_bad(fault, field);
		copy[i] = (int32_t)v;
		max = v > max ? v : max;
	}
	*largest = max;
	return 0;
}

bool hk_finite_bits(uint32_t bits)
{
	return (bits & 0x7f800000) != 0x7f800000;
}

bool hk_positive_bits(uint32_t bits)
{
	return bits && bits < 0x7f800000;
}

const struct hk_op hk_ops_float[HEARTH_OP_COUNT] = {
	[HEARTH_OP_GET_ROWS] = {
		.name = "get_rows",
		.bytes = sizeof(struct hearth_cmd_get_rows),
		.operands = hk_get_rows_operands,
		.exec = hk_get_rows_exec,
	},
	[HEARTH_OP_MATMUL] = {
		.name = "matmul",
		.bytes = sizeof(struct hearth_cmd_matmul),
		.operands = hk_matmul_operands,
		.scratch = hk_matmul_scratch,
		.exec = hk_matmul_exec,
		.joins = hk_matmul_joins,
	},
	[HEARTH_OP_RMS_NORM] = {
		.name = "rms_norm",
		.bytes = sizeof(struct hearth_cmd_rms_norm),
		.operands = hk_rms_norm_operands,
		.run = hk_rms_norm_run,
	},
	[HEARTH_OP_ROPE] = {
		.name = "rope",
		.bytes = sizeof(struct hearth_cmd_rope),
		.operands = hk_rope_operands,
		.scratch = hk_rope_scratch,
		.run = hk_rope_run,
	},
	[HEARTH_OP_KV_WRITE] = {
		.name = "kv_write",
		.bytes = sizeof(struct hearth_cmd_kv_write),
		.operands = hk_kv_write_operands,
		.scratch = hk_kv_write_scratch,
		.exec = hk_kv_write_exec,
	},
	[HEARTH_OP_ATTENTION] = {
		.name = "attention",
		.bytes = sizeof(struct hearth_cmd_attention),
		.operands = hk_attention_operands,
		.scratch = hk_attention_scratch,
		.exec = hk_attention_exec,
	},
	[HEARTH_OP_ADD] = {
		.name = "add",
		.bytes = sizeof(struct hearth_cmd_binary),
		.operands = hk_binary_operands,
		.run = hk_add_run,
	},
	[HEARTH_OP_MUL] = {
		.name = "mul",
		.bytes = sizeof(struct hearth_cmd_binary),
		.operands = hk_binary_operands,
		.run = hk_mul_run,
	},
	[HEARTH_OP_GLU] = {
		.name = "glu",
		.bytes = sizeof(struct hearth_cmd_glu),
		.operands = hk_glu_operands,
		.run = hk_glu_run,
	},
	[HEARTH_OP_SOFTCAP] = {
		.name = "softcap",
		.bytes = sizeof(struct hearth_cmd_softcap),
		.operands = hk_softcap_operands,
		.run = hk_softcap_run,
	},
	[HEARTH_OP_GEGLU] = {
		.name = "geglu",
		.bytes = sizeof(struct hearth_cmd_glu),
		.operands = hk_glu_operands,
		.run = hk_glu_run,
	},
	[HEARTH_OP_ATTENTION_2] = {
		.name = "attention_2",
		.bytes = sizeof(struct hearth_cmd_attention_2),
		.operands = hk_attention_2_operands,
		.scratch = hk_attention_scratch,
		.exec = hk_attention_exec,
	},
	[HEARTH_OP_KV_WRITE_Q] = {
		.name = "kv_write_q",
		.bytes = sizeof(struct hearth_cmd_kv_write),
		.operands = hk_kv_write_operands,
		.scratch = hk_kv_write_scratch,
		.exec = hk_kv_write_exec,
	},
	[HEARTH_OP_KV_SHIFT] = {
		.name = "kv_shift",
		.bytes = sizeof(struct hearth_cmd_kv_shift),
		.operands = hk_kv_shift_operands,
		.scratch = hk_kv_shift_scratch,
		.exec = hk_kv_shift_exec,
	},
	[HEARTH_OP_KV_WRITE_PAGED] = {
		.name = "kv_write_paged",
		.bytes = sizeof(struct hearth_cmd_kv_write_paged),
		.operands = hk_kv_write_operands,
		.scratch = hk_kv_write_scratch,
		.exec = hk_kv_write_exec,
	},
	[HEARTH_OP_ATTENTION_PAGED] = {
		.name = "attention_paged",
		.bytes = sizeof(struct hearth_cmd_attention_paged),
		.operands = hk_attention_2_operands,
		.scratch = hk_attention_scratch,
		.exec = hk_attention_exec,
	},
	[HEARTH_OP_KV_SHIFT_PAGED] = {
		.name = "kv_shift_paged",
		.bytes = sizeof(struct hearth_cmd_kv_shift_paged),
		.operands = hk_kv_shift_operands,
		.scratch = hk_kv_shift_scratch,
		.exec = hk_kv_shift_exec,
	},
	[HEARTH_OP_ARGMAX] = {
		.name = "argmax",
		.bytes = sizeof(struct hearth_cmd_argmax),
		.operands = hk_argmax_operands,
		.run = hk_argmax_run,
	},
};
