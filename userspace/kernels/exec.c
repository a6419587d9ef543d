// SPDX-License-Identifier: MIT
/*
 * Decode, check, map, run, unmap: one command at a time, or a few that use the
 * same input.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/fpenv.h"
#include "kernels/op.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "commands and tensors are read in host byte order");

struct hk_exec {
	const struct hk_isa *isa;
	struct hk_pool *pool;
	void *scratch;
	size_t scratch_bytes;
};

/*
 * A command, copied: the memory that it comes from may belong to somebody who
 * changes it between the check and the use.
 */
union hk_cmd {
	struct hearth_cmd_header hdr;
	uint64_t words[HEARTH_CMD_MAX_BYTES / 8];
};

static const struct hk_op hk_op_nop = {
	.name = "nop",
	.bytes = sizeof(struct hearth_cmd_header),
};

static const struct hk_op *op_find(unsigned int opcode)
{
	if (opcode == HEARTH_OP_NOP)
		return &hk_op_nop;
	if (opcode >= HEARTH_OP_COUNT)
		return NULL;
	if (hk_ops_int8[opcode].name)
		return &hk_ops_int8[opcode];
	if (hk_ops_float[opcode].name)
		return &hk_ops_float[opcode];
	return NULL;
}

uint64_t hk_ops_mask(void)
{
	uint64_t mask = 0;

	for (unsigned int i = 0; i < HEARTH_OP_COUNT; i++) {
		if (op_find(i))
			mask |= 1ull << i;
	}
	return mask;
}

const char *hk_op_name(unsigned int opcode)
{
	const struct hk_op *op = op_find(opcode);

	return op ? op->name : NULL;
}

static int fetch(const struct hearth_cmd_header *from, size_t avail,
		 union hk_cmd *cmd, const struct hk_op **op, struct hk_fault *fault)
{
	*fault = (struct hk_fault){ .op_index = fault->op_index, .opcode = ~0u };
	if (avail < sizeof(cmd->hdr))
		return hk_bad(fault, "bytes");
	memcpy(&cmd->hdr, from, sizeof(cmd->hdr));
	fault->opcode = cmd->hdr.op;
	*op = op_find(cmd->hdr.op);
	if (!*op) {
		fault->error = HEARTH_HW_ERR_OPCODE;
		return -EINVAL;
	}
	if (cmd->hdr.reserved)
		return hk_bad(fault, "reserved");
	if (cmd->hdr.bytes != (*op)->bytes || cmd->hdr.bytes > avail)
		return hk_bad(fault, "bytes");
	memcpy(cmd->words + 1, from + 1, cmd->hdr.bytes - sizeof(cmd->hdr));
	return 0;
}

static int check(const union hk_cmd *cmd, const struct hk_op *op,
		 struct hk_operand operand[HK_MAX_OPERANDS], struct hk_fault *fault)
{
	memset(operand, 0, HK_MAX_OPERANDS * sizeof(*operand));
	return op->operands ? op->operands(cmd, operand, fault) : 0;
}

int hk_cmd_operands(const struct hearth_cmd_header *cmd, size_t avail,
		    struct hk_operand operand[HK_MAX_OPERANDS],
		    struct hk_fault *fault)
{
	const struct hk_op *op;
	union hk_cmd copy;
	int ret;

	ret = fetch(cmd, avail, &copy, &op, fault);
	return ret ? ret : check(&copy, op, operand, fault);
}

struct hk_exec *hk_exec_create(const struct hk_isa *isa, struct hk_pool *pool)
{
	struct hk_exec *ex = calloc(1, sizeof(*ex));

	if (!ex)
		return NULL;
	ex->isa = isa ? isa : hk_isa_best();
	ex->pool = pool;
	if (!ex->isa) {
		free(ex);
		errno = ENOTSUP;
		return NULL;
	}
	return ex;
}

void hk_exec_destroy(struct hk_exec *ex)
{
	if (!ex)
		return;
	free(ex->scratch);
	free(ex);
}

static int grow(struct hk_exec *ex, const union hk_cmd *cmd, const struct hk_op *op,
		struct hk_fault *fault)
{
	size_t bytes = op->scratch ? op->scratch(cmd, hk_pool_threads(ex->pool)) : 0;
	void *scratch;

	if (bytes <= ex->scratch_bytes)
		return 0;
	bytes = (bytes + 63) & ~(size_t)63;
	scratch = aligned_alloc(64, bytes);
	if (!scratch) {
		fault->error = HEARTH_HW_ERR_BUSY;
		return -ENOMEM;
	}
	free(ex->scratch);
	ex->scratch = scratch;
	ex->scratch_bytes = bytes;
	return 0;
}

int hk_exec_reserve(struct hk_exec *ex, const struct hearth_cmd_header *cmd,
		    size_t avail, struct hk_fault *fault)
{
	struct hk_operand operand[HK_MAX_OPERANDS];
	const struct hk_op *op;
	union hk_cmd copy;
	int ret;

	ret = fetch(cmd, avail, &copy, &op, fault);
	if (ret)
		return ret;
	ret = check(&copy, op, operand, fault);
	if (ret < 0)
		return ret;
	return grow(ex, &copy, op, fault);
}

/* Releases the first @n maps; keeps the first error, and @ret before that. */
static int unmap_all(struct hk_space *space, struct hk_map *map, int n, int ret,
		     struct hk_fault *fault)
{
	struct hk_fault late = *fault;

	while (n-- > 0) {
		int err;

		if (!map[n].ptr)
			continue;
		err = space->ops->unmap(space, &map[n], &late);
		if (err && !ret) {
			ret = err;
			*fault = late;
		}
	}
	return ret;
}

/* Scratch grows once the operands are known to be there: a command may lie. */
static int run_on(struct hk_exec *ex, const struct hk_op *op, const union hk_cmd *cmd,
		  void *const ptr[], struct hk_run *run)
{
	int ret = grow(ex, cmd, op, run->fault);

	if (ret || !op->run)
		return ret;
	run->scratch = ex->scratch;
	run->scratch_bytes = ex->scratch_bytes;
	return op->run(cmd, ptr, run);
}

static int run_mapped(struct hk_exec *ex, const struct hk_op *op, const union hk_cmd *cmd,
		      const struct hk_operand *operand, int n, struct hk_space *space,
		      struct hk_run *run)
{
	struct hk_map map[HK_MAX_OPERANDS] = { 0 };
	void *ptr[HK_MAX_OPERANDS] = { 0 };
	int ret = 0, i;

	for (i = 0; i < n; i++) {
		/* Zero bytes: an optional operand that is absent. */
		if (!operand[i].bytes)
			continue;
		map[i].va = operand[i].va;
		map[i].bytes = operand[i].bytes;
		map[i].access = operand[i].access;
		ret = space->ops->map(space, &map[i], run->fault);
		if (ret) {
			map[i].ptr = NULL;
			break;
		}
		ptr[i] = map[i].ptr;
	}
	if (!ret)
		ret = run_on(ex, op, cmd, ptr, run);
	return unmap_all(space, map, i, ret, run->fault);
}

/* For ops that map their operands piece by piece. */
static int run_mapping(struct hk_exec *ex, const struct hk_op *op, const union hk_cmd *cmd,
		       struct hk_space *space, struct hk_run *run)
{
	int ret = grow(ex, cmd, op, run->fault);

	if (ret)
		return ret;
	run->scratch = ex->scratch;
	run->scratch_bytes = ex->scratch_bytes;
	return op->exec(cmd, space, run);
}

static bool are_apart(const struct hk_operand *a, int n_a, const struct hk_operand *b, int n_b)
{
	struct hk_fault fault;

	for (int i = 0; i < n_a; i++) {
		for (int k = 0; k < n_b; k++) {
			if (((a[i].access | b[k].access) & HK_WRITE) &&
			    hk_disjoint(&a[i], &b[k], false, &fault))
				return false;
		}
	}
	return true;
}

/* A command, and those behind it that may run with it. */
struct group {
	unsigned int n;
	union hk_cmd cmd[1 + HK_MAX_JOINED];
	struct hk_operand operand[1 + HK_MAX_JOINED][HK_MAX_OPERANDS];
	int operands[1 + HK_MAX_JOINED];
};

/* Does the next command join? What is wrong with it is found out in its turn. */
static bool join(struct group *g, const struct hk_op *op,
		 const struct hearth_cmd_header *next, size_t avail)
{
	union hk_cmd *cmd = &g->cmd[g->n];
	struct hk_fault fault;
	const struct hk_op *its;

	if (avail < sizeof(*next) || next->op != g->cmd[0].hdr.op ||
	    fetch(next, avail, cmd, &its, &fault) || its != op)
		return false;
	g->operands[g->n] = check(cmd, op, g->operand[g->n], &fault);
	if (g->operands[g->n] < 0 || !op->joins(&g->cmd[0], cmd))
		return false;
	for (unsigned int i = 0; i < g->n; i++) {
		if (!are_apart(g->operand[i], g->operands[i], g->operand[g->n],
			       g->operands[g->n]))
			return false;
	}
	return true;
}

static void find_joined(struct group *g, const struct hk_op *op,
			const struct hearth_cmd_header *cmd, size_t avail, struct hk_run *run)
{
	size_t at = cmd->bytes;

	while (op->joins && g->n <= HK_MAX_JOINED &&
	       join(g, op, (const void *)((const char *)cmd + at), avail - at)) {
		run->joined[run->n_joined++] = &g->cmd[g->n];
		at += g->cmd[g->n++].hdr.bytes;
	}
}

int hk_exec_one(struct hk_exec *ex, struct hk_space *space,
		const struct hearth_cmd_header *cmd, size_t avail,
		struct hk_fault *fault)
{
	struct hk_run run = { .isa = ex->isa, .pool = ex->pool, .fault = fault };
	const struct hk_op *op;
	struct group g;
	uint64_t fpenv;
	int ret;

	g.n = 1;
	ret = fetch(cmd, avail, &g.cmd[0], &op, fault);
	if (ret)
		return ret;
	g.operands[0] = check(&g.cmd[0], op, g.operand[0], fault);
	if (g.operands[0] < 0)
		return g.operands[0];
	find_joined(&g, op, cmd, avail, &run);
	fpenv = hk_fpenv_enter();
	if (op->exec)
		ret = run_mapping(ex, op, &g.cmd[0], space, &run);
	else
		ret = run_mapped(ex, op, &g.cmd[0], g.operand[0], g.operands[0], space, &run);
	hk_fpenv_leave(fpenv);
	if (ret)
		return ret;
	fault->op_index += run.n_joined;
	for (unsigned int i = 0; i <= run.n_joined; i++)
		ret += (int)g.cmd[i].hdr.bytes;
	return ret;
}
