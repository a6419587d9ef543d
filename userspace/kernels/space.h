/* SPDX-License-Identifier: MIT */
/*
 * A device address space as the executor of a command stream sees it.
 *
 * The CPU fallback resolves an address in a table of buffers; the emulated
 * NPU walks its page tables for every access. Both give the kernels plain
 * pointers.
 */
#ifndef HEARTH_KERNELS_SPACE_H
#define HEARTH_KERNELS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include <hw/hearth_fw.h>

/**
 * struct hk_fault - why a command was not executed
 */
struct hk_fault {
	/** @error: One of enum hearth_hw_error. */
	uint32_t error;
	/** @op_index: Index of the command in its stream. */
	uint32_t op_index;
	/** @opcode: Opcode, or ~0 if the header could not be read. */
	uint32_t opcode;
	/** @addr: Address for HEARTH_HW_ERR_READ, _WRITE and _BUS, else 0. */
	uint64_t addr;
	/** @field: Static name of the field refused (OPERAND), or NULL. */
	const char *field;
};

enum hk_access {
	HK_READ = 1,
	HK_WRITE = 2,
	HK_READ_WRITE = 3,
};

/**
 * struct hk_map - a mapped range; owned by the space between map and unmap
 */
struct hk_map {
	/** @ptr: First byte. Contiguous for the whole range. */
	void *ptr;
	/** @va: What was asked for. */
	uint64_t va;
	uint64_t bytes;
	enum hk_access access;
	/** @priv: For the space. */
	void *priv;
};

struct hk_space;

/**
 * struct hk_space_ops - how to reach memory
 *
 * Called from one thread at a time per space.
 */
struct hk_space_ops {
	/**
	 * @map: Make [va, va + bytes) accessible. Returns 0 and fills m->ptr
	 * and m->priv, or a negative errno with fault->error and fault->addr
	 * set. Does not allocate once ranges of the same sizes were mapped.
	 */
	int (*map)(struct hk_space *space, struct hk_map *m,
		   struct hk_fault *fault);

	/**
	 * @unmap: End of use; what was written is visible to the device's
	 * memory afterwards. Maps are released in the reverse order.
	 * Returns 0, or a negative errno with the fault set.
	 */
	int (*unmap)(struct hk_space *space, struct hk_map *m,
		     struct hk_fault *fault);
};

struct hk_space {
	const struct hk_space_ops *ops;
	/**
	 * @window: Largest range that is cheap to map, or 0 if any is. An op
	 * that streams over weights maps them in pieces of about this size.
	 */
	uint64_t window;
};

#endif /* HEARTH_KERNELS_SPACE_H */
