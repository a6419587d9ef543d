// SPDX-License-Identifier: MIT
/*
 * COPY_2D and PAD: bytes from one place to another.
 */
#include "kernels/int8.h"

/* Bytes from the first of the first row to the last of the last row */
static bool span(uint64_t stride, uint32_t rows, uint32_t row_bytes, uint64_t *bytes)
{
	uint64_t more;

	return !__builtin_mul_overflow(stride, (uint64_t)rows - 1, &more) &&
	       !__builtin_add_overflow(more, row_bytes, bytes);
}

int hk_copy_2d_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_copy_2d *cmd = from;
	uint64_t bytes;

	if (!cmd->row_bytes)
		return hk_bad(fault, "row_bytes");
	if (!cmd->rows)
		return hk_bad(fault, "rows");
	if (cmd->src_stride < cmd->row_bytes ||
	    !span(cmd->src_stride, cmd->rows, cmd->row_bytes, &bytes))
		return hk_bad(fault, "src_stride");
	if (hk_operand(&op[0], "src", cmd->src, bytes, 1, HK_READ, fault))
		return -EINVAL;
	if (cmd->dst_stride < cmd->row_bytes ||
	    !span(cmd->dst_stride, cmd->rows, cmd->row_bytes, &bytes))
		return hk_bad(fault, "dst_stride");
	/* What lies between the rows is kept. */
	if (hk_operand(&op[1], "dst", cmd->dst, bytes, 1, HK_READ_WRITE, fault) ||
	    hk_check_overlap(op, 2, 1, fault))
		return -EINVAL;
	return 2;
}

int hk_copy_2d_run(const void *from, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_copy_2d *cmd = from;
	const uint8_t *src = ptr[0];
	uint8_t *dst = ptr[1];

	for (uint32_t i = 0; i < cmd->rows; i++)
		memcpy(dst + i * cmd->dst_stride, src + i * cmd->src_stride,
		       cmd->row_bytes);
	return 0;
}

int hk_pad_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_pad *cmd = from;
	uint32_t dims[4];

	if (cmd->value > 0xff)
		return hk_bad(fault, "value");
	if (cmd->reserved)
		return hk_bad(fault, "reserved");
	for (int i = 0; i < 4; i++) {
		if (hk_check_dim(cmd->dims[i], "dims", fault))
			return -EINVAL;
		if (cmd->before[i] > HEARTH_CMD_MAX_DIM)
			return hk_bad(fault, "before");
		dims[i] = cmd->dims[i] + cmd->before[i];
		if (cmd->after[i] > HEARTH_CMD_MAX_DIM ||
		    dims[i] + cmd->after[i] > HEARTH_CMD_MAX_DIM)
			return hk_bad(fault, "after");
		dims[i] += cmd->after[i];
	}
	if (hk_tensor(&op[0], "src", cmd->src, cmd->dims, 4, 1, HK_READ, fault) ||
	    hk_tensor(&op[1], "dst", cmd->dst, dims, 4, 1, HK_WRITE, fault) ||
	    hk_check_overlap(op, 2, 1, fault))
		return -EINVAL;
	return 2;
}

/* Writes dimension @d and those inside of it; returns the end of what it wrote. */
static uint8_t *pad_dim(const struct hearth_cmd_pad *cmd, int d, uint8_t *dst,
			const uint8_t **src)
{
	uint64_t inner = 1;

	for (int i = d + 1; i < 4; i++)
		inner *= (uint64_t)cmd->before[i] + cmd->dims[i] + cmd->after[i];
	memset(dst, (int)cmd->value, cmd->before[d] * inner);
	dst += cmd->before[d] * inner;
	if (d == 3) {
		memcpy(dst, *src, cmd->dims[3]);
		*src += cmd->dims[3];
		dst += cmd->dims[3];
	} else {
		for (uint32_t i = 0; i < cmd->dims[d]; i++)
			dst = pad_dim(cmd, d + 1, dst, src);
	}
	memset(dst, (int)cmd->value, cmd->after[d] * inner);
	return dst + cmd->after[d] * inner;
}

int hk_pad_run(const void *from, void *const ptr[], struct hk_run *r)
{
	const uint8_t *src = ptr[0];

	pad_dim(from, 0, ptr[1], &src);
	return 0;
}
