// SPDX-License-Identifier: MIT
/*
 * How much scratch memory the vector kernels of convolutions take, and which
 * shapes they leave to the plain code. It does not depend on the ISA, so that
 * a stream's needs are known before it runs anywhere.
 */
#include "kernels/int8.h"

static bool is_gemv(const struct hk_conv *cv)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;

	return cv->groups == 1 && cmd->k_h == 1 && cmd->k_w == 1 && cmd->in_w == 1 &&
	       cmd->out_w == 1 && cmd->batch == 1 && cmd->in_h == cmd->out_h &&
	       cmd->stride_h == 1 && !cmd->pad_top && !cmd->pad_left &&
	       cmd->hdr.op == HEARTH_OP_FULLY_CONNECTED &&
	       cmd->in_h <= HK_GEMV_MAX_ROWS && cmd->in_c <= HK_PACK_MAX_K;
}

size_t hk_gemv_pack_bytes(const struct hk_conv *cv)
{
	struct hk_carve c = { 0 };

	if (!is_gemv(cv))
		return 0;
	hk_carve(&c, (size_t)cv->cmd->in_h * (cv->cmd->in_c + 16) * sizeof(int16_t));
	return c.used;
}

/* Taps * channels of a window, as pairs of int16 or groups of eight int8 */
size_t hk_conv_pack_bytes(const struct hk_conv *cv, unsigned int threads)
{
	uint64_t k = (uint64_t)cv->cmd->k_h * cv->cmd->k_w * cv->in_cg;
	uint64_t panels = (cv->out_cg + HK_PACK_NR - 1) / HK_PACK_NR;
	struct hk_carve c = { 0 };
	uint64_t packed;

	/* Panels of few channels would be mostly padding. */
	if (k > HK_PACK_MAX_K || (cv->groups > 1 && cv->out_cg < HK_PACK_NR / 2))
		return 0;
	k = (k + 3) & ~3ull;
	packed = k * HK_PACK_NR * panels * cv->groups * sizeof(int16_t);
	if (packed > HK_PACK_MAX_BYTES)
		return 0;
	hk_carve(&c, packed);
	for (unsigned int i = 0; i < threads; i++)
		hk_carve(&c, k * HK_PACK_PIXELS * sizeof(int16_t));
	return c.used;
}

size_t hk_depthwise_pack_bytes(const struct hk_conv *cv)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint64_t taps = (uint64_t)cmd->k_h * cmd->k_w;
	uint64_t blocks = ((uint64_t)cmd->out_c + 15) / 16;
	struct hk_carve c = { 0 };
	uint64_t packed;

	if (cmd->hdr.op != HEARTH_OP_DEPTHWISE_CONV_2D || cmd->in_c != cmd->out_c ||
	    taps > HK_DEPTHWISE_MAX_TAPS)
		return 0;
	packed = (taps + 1) / 2 * 2 * blocks * 16 * sizeof(int16_t);
	if (packed > HK_PACK_MAX_BYTES)
		return 0;
	hk_carve(&c, packed);
	/* The row of zero points, and the bias with these folded in */
	hk_carve(&c, cmd->in_c + 16);
	hk_carve(&c, (cmd->in_c + HK_CHANNEL_SPARE) * sizeof(int32_t));
	return c.used;
}
