// SPDX-License-Identifier: MIT
#include <errno.h>

#include <hw/hearth_mmu.h>

#include "kernels/op.h"

int hk_bad(struct hk_fault *fault, const char *field)
{
	fault->error = HEARTH_HW_ERR_OPERAND;
	fault->addr = 0;
	fault->field = field;
	return -EINVAL;
}

int hk_elements(const uint32_t *dims, unsigned int count, uint64_t *n)
{
	uint64_t product = 1;

	for (unsigned int i = 0; i < count; i++) {
		if (!dims[i] || dims[i] > HEARTH_CMD_MAX_DIM)
			return -EINVAL;
		/* At most 2^36 * 2^24: cannot wrap. */
		product *= dims[i];
		if (product > HEARTH_CMD_MAX_ELEMENTS)
			return -EINVAL;
	}
	*n = product;
	return 0;
}

int hk_operand(struct hk_operand *op, const char *name, uint64_t va,
	       uint64_t bytes, unsigned int align, enum hk_access access,
	       struct hk_fault *fault)
{
	const uint64_t end = 1ull << HEARTH_MMU_VA_BITS;

	if (va & (align - 1) || va >= end || bytes > end - va)
		return hk_bad(fault, name);
	op->va = va;
	op->bytes = bytes;
	op->access = access;
	op->name = name;
	return 0;
}

int hk_disjoint(const struct hk_operand *dst, const struct hk_operand *other,
		bool may_be_same, struct hk_fault *fault)
{
	if (dst->va + dst->bytes <= other->va || other->va + other->bytes <= dst->va)
		return 0;
	if (may_be_same && dst->va == other->va && dst->bytes == other->bytes)
		return 0;
	return hk_bad(fault, dst->name);
}
