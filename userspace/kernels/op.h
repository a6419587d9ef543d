/* SPDX-License-Identifier: MIT */
/*
 * What an op gives to the executor. Internal to kernels/.
 *
 * Each op is one row of a table: the size of its command, a check that lists
 * the operands, and the kernel. Commands are in host byte order here: all
 * supported hosts are little endian (exec.c has the static assertion).
 */
#ifndef HEARTH_KERNELS_OP_H
#define HEARTH_KERNELS_OP_H

#include "kernels/exec.h"

/* Commands that run with another one at most. */
#define HK_MAX_JOINED	2

/**
 * struct hk_run - what a kernel may use besides its operands
 */
struct hk_run {
	const struct hk_isa *isa;
	struct hk_pool *pool;
	/** @scratch: At least scratch() bytes, 64-byte aligned. */
	void *scratch;
	size_t scratch_bytes;
	struct hk_fault *fault;
	/**
	 * @joined: Commands behind this one, by joins() fit to be run with it. The
	 * kernel runs all of them, or lowers @n_joined: then they come by themselves.
	 */
	const void *joined[HK_MAX_JOINED];
	unsigned int n_joined;
};

/**
 * struct hk_op - an op
 */
struct hk_op {
	const char *name;

	/** @bytes: Exact size of the command. */
	uint32_t bytes;

	/**
	 * @operands: Check every field, fill @op in the order in which @run
	 * wants the pointers. Returns their number, or hk_bad(fault, "field").
	 */
	int (*operands)(const void *cmd, struct hk_operand op[HK_MAX_OPERANDS],
			struct hk_fault *fault);

	/** @scratch: Bytes needed for @threads workers; NULL for none. */
	size_t (*scratch)(const void *cmd, unsigned int threads);

	/**
	 * @run: Execute; ptr[i] belongs to operand i (NULL if its va is 0 and
	 * optional). Returns 0 or a negative errno with the fault set, for
	 * what only the data can tell (an id outside of a table).
	 */
	int (*run)(const void *cmd, void *const ptr[], struct hk_run *r);

	/**
	 * @exec: In place of @run, for ops that map their operands by
	 * themselves: streaming weights, the live part of a KV cache.
	 */
	int (*exec)(const void *cmd, struct hk_space *space, struct hk_run *r);

	/**
	 * @joins: May @next, of the same op, run together with @cmd? NULL: never.
	 * Neither writes what the other touches.
	 */
	bool (*joins)(const void *cmd, const void *next);
};

/* int8.c's and float.c's rows, by opcode; exec.c merges them */
extern const struct hk_op hk_ops_int8[HEARTH_OP_COUNT];
extern const struct hk_op hk_ops_float[HEARTH_OP_COUNT];

/* Set fault->error to OPERAND, fault->field to @field; returns -EINVAL. */
int hk_bad(struct hk_fault *fault, const char *field);

/*
 * Product of dimensions: 0 and the product in *n if each of the @count dims
 * is 1..HEARTH_CMD_MAX_DIM and the product <= HEARTH_CMD_MAX_ELEMENTS.
 */
int hk_elements(const uint32_t *dims, unsigned int count, uint64_t *n);

/*
 * Fill an operand; checks alignment of @va to @align (a power of two), that
 * va + bytes does not wrap and ends within 1 << HEARTH_MMU_VA_BITS. Returns 0 or
 * hk_bad(fault, name).
 */
int hk_operand(struct hk_operand *op, const char *name, uint64_t va,
	       uint64_t bytes, unsigned int align, enum hk_access access,
	       struct hk_fault *fault);

/*
 * What is written must not overlap another operand: 0 if @dst and @other are
 * disjoint, or are the same bytes and @may_be_same, else hk_bad(dst->name).
 */
int hk_disjoint(const struct hk_operand *dst, const struct hk_operand *other,
		bool may_be_same, struct hk_fault *fault);

#endif /* HEARTH_KERNELS_OP_H */
