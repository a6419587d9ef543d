/* SPDX-License-Identifier: MIT */
/*
 * The command stream's executor: decodes and checks a command, reaches its
 * operands through a space and runs the kernel of the chosen ISA.
 *
 * The CPU fallback and the emulated NPU's firmware share it.
 */
#ifndef HEARTH_KERNELS_EXEC_H
#define HEARTH_KERNELS_EXEC_H

#include <stddef.h>

#include <hw/hearth_cmd.h>

#include "kernels/pool.h"
#include "kernels/space.h"

struct hk_isa;
struct hk_exec;

/**
 * hk_isa_best() - the fastest set of kernels that this CPU runs
 *
 * HEARTH_ISA in the environment names another one ("plain", "avx2", "avx512").
 * Returns NULL if that name is unknown or the CPU lacks it.
 */
const struct hk_isa *hk_isa_best(void);

/** hk_isa_by_name() - NULL if unknown or not supported by this CPU */
const struct hk_isa *hk_isa_by_name(const char *name);
const char *hk_isa_name(const struct hk_isa *isa);

/** hk_isa_list() - i-th set that this CPU runs, NULL at the end; 0 is plain */
const struct hk_isa *hk_isa_list(unsigned int i);

/** hk_ops_mask() - opcodes that this executor knows, bit per opcode */
uint64_t hk_ops_mask(void);

/** hk_types_mask() - data types that it knows, bit per type */
uint64_t hk_types_mask(void);

/** hk_op_name() - "matmul", or NULL */
const char *hk_op_name(unsigned int opcode);

/** hk_type_name() - "q8_0", or NULL */
const char *hk_type_name(unsigned int type);

/** hk_type_block() - elements and bytes of a block; 0, or -EINVAL if unknown */
int hk_type_block(unsigned int type, unsigned int *elements,
		  unsigned int *bytes);

/**
 * hk_exec_create() - make an executor
 * @isa: kernels; NULL for hk_isa_best()
 * @pool: borrowed, may be NULL (one thread); not used concurrently
 *
 * An executor holds the scratch memory that ops need; it grows to the largest
 * op that it has seen and is never shrunk. Used by one thread at a time.
 */
struct hk_exec *hk_exec_create(const struct hk_isa *isa, struct hk_pool *pool);
void hk_exec_destroy(struct hk_exec *ex);

/**
 * hk_exec_reserve() - grow the scratch memory for @cmd ahead of time
 *
 * Returns 0, -ENOMEM, or -EINVAL if @cmd is malformed (fault filled).
 */
int hk_exec_reserve(struct hk_exec *ex, const struct hearth_cmd_header *cmd,
		    size_t avail, struct hk_fault *fault);

/**
 * hk_exec_one() - execute one command, and those behind it that run best with it
 * @space: where its addresses live
 * @cmd: the command; @avail bytes can be read there
 * @fault: error, opcode, addr and field are filled on failure; op_index, which
 *	the caller counts, is raised by how many have run beside the first
 *
 * Returns the bytes of the commands that ran, or a negative errno: -EINVAL (malformed,
 * unknown), -EFAULT (memory), -ENOMEM. Nothing is written after a malformed
 * command; after a memory fault the destination is undefined.
 */
int hk_exec_one(struct hk_exec *ex, struct hk_space *space,
		const struct hearth_cmd_header *cmd, size_t avail,
		struct hk_fault *fault);

/**
 * struct hk_operand - memory that a command touches
 */
struct hk_operand {
	uint64_t va;
	uint64_t bytes;
	enum hk_access access;
	/** @name: Field name, static. */
	const char *name;
};

#define HK_MAX_OPERANDS		6

/**
 * hk_cmd_operands() - check a command and list the memory that it touches
 *
 * The full extent (of a KV cache, of a table), not what a run happens to
 * need. Used to check streams before they run and to tell what they move.
 * Returns the number of operands, or -EINVAL (fault filled).
 */
int hk_cmd_operands(const struct hearth_cmd_header *cmd, size_t avail,
		    struct hk_operand op[HK_MAX_OPERANDS],
		    struct hk_fault *fault);

#endif /* HEARTH_KERNELS_EXEC_H */
