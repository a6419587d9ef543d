// SPDX-License-Identifier: MIT
/*
 * FULLY_CONNECTED: a convolution of one tap over a column of rows.
 */
#include "kernels/int8.h"

static void as_conv(struct hearth_cmd_conv_2d *conv,
		    const struct hearth_cmd_fully_connected *cmd)
{
	*conv = (struct hearth_cmd_conv_2d){
		.hdr = cmd->hdr,
		.src = cmd->src, .weights = cmd->weights, .bias = cmd->bias,
		.requant = cmd->requant, .dst = cmd->dst,
		.batch = 1, .in_h = cmd->rows, .in_w = 1, .in_c = cmd->in_n,
		.out_h = cmd->rows, .out_w = 1, .out_c = cmd->out_n,
		.k_h = 1, .k_w = 1, .stride_h = 1, .stride_w = 1,
		.dilation_h = 1, .dilation_w = 1, .groups = 1,
		.src_zero = cmd->src_zero, .weights_zero = cmd->weights_zero,
		.dst_zero = cmd->dst_zero,
		.act_min = cmd->act_min, .act_max = cmd->act_max,
		.src_type = cmd->src_type, .weights_type = cmd->weights_type,
		.dst_type = cmd->dst_type,
	};
}

int hk_fc_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_fully_connected *cmd = from;
	const struct hk_dim dims[] = {
		HK_DIM(cmd, rows), HK_DIM(cmd, in_n), HK_DIM(cmd, out_n),
	};
	struct hearth_cmd_conv_2d conv;

	as_conv(&conv, cmd);
	if (hk_check_dims(dims, 3, fault) ||
	    hk_conv_types(&conv, fault) ||
	    hk_check_reserved(cmd->reserved, sizeof(cmd->reserved), fault))
		return -EINVAL;
	return hk_conv_tensors(&conv, conv.in_c, op, fault);
}

size_t hk_fc_scratch(const void *cmd, unsigned int threads)
{
	struct hearth_cmd_conv_2d conv;

	as_conv(&conv, cmd);
	return hk_conv_scratch(&conv, threads);
}

int hk_fc_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct hearth_cmd_conv_2d conv;
	struct hk_conv cv;

	as_conv(&conv, cmd);
	if (hk_conv_prepare(&cv, &conv, ptr, r))
		return -EINVAL;
	hk_conv_best(&cv, r);
	return 0;
}
