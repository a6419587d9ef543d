// SPDX-License-Identifier: MIT
/*
 * What a command needs of a device, and what it costs.
 */
#include "graph/partition.h"

#define BIT(type)	(1ull << (type))

static uint64_t float_types(const struct hearth_cmd_header *hdr)
{
	const union {
		const struct hearth_cmd_header *hdr;
		const struct hearth_cmd_get_rows *get_rows;
		const struct hearth_cmd_matmul *matmul;
		const struct hearth_cmd_kv_write *kv_write;
		const struct hearth_cmd_kv_shift *kv_shift;
		const struct hearth_cmd_attention *attention;
	} c = { hdr };

	switch (hdr->op) {
	case HEARTH_OP_GET_ROWS:
		return BIT(c.get_rows->type) | BIT(HEARTH_TYPE_F32) | BIT(HEARTH_TYPE_I32);
	case HEARTH_OP_MATMUL:
		return BIT(c.matmul->type) | BIT(HEARTH_TYPE_F32);
	case HEARTH_OP_KV_WRITE:
	case HEARTH_OP_KV_WRITE_Q:
	case HEARTH_OP_KV_WRITE_PAGED:
		return BIT(c.kv_write->type) | BIT(HEARTH_TYPE_F32) | BIT(HEARTH_TYPE_I32);
	case HEARTH_OP_KV_SHIFT:
	case HEARTH_OP_KV_SHIFT_PAGED:
		return BIT(c.kv_shift->type) | BIT(HEARTH_TYPE_I32) |
		       (c.kv_shift->n_rot ? BIT(HEARTH_TYPE_F32) : 0);
	case HEARTH_OP_ATTENTION:
	case HEARTH_OP_ATTENTION_2:
	case HEARTH_OP_ATTENTION_PAGED:
		return BIT(c.attention->type) | BIT(HEARTH_TYPE_F32) | BIT(HEARTH_TYPE_I32);
	case HEARTH_OP_ROPE:
	case HEARTH_OP_ARGMAX:
		return BIT(HEARTH_TYPE_F32) | BIT(HEARTH_TYPE_I32);
	case HEARTH_OP_RMS_NORM:
	case HEARTH_OP_ADD:
	case HEARTH_OP_MUL:
	case HEARTH_OP_GLU:
	case HEARTH_OP_GEGLU:
	case HEARTH_OP_SOFTCAP:
		return BIT(HEARTH_TYPE_F32);
	default:
		return 0;
	}
}

static uint64_t bias_type(uint64_t bias)
{
	return bias ? BIT(HEARTH_TYPE_I32) : 0;
}

/* Data types that a command names or implies, bit per type */
static uint64_t types_of(const struct hearth_cmd_header *hdr)
{
	const union {
		const struct hearth_cmd_header *hdr;
		const struct hearth_cmd_conv_2d *conv;
		const struct hearth_cmd_fully_connected *fc;
		const struct hearth_cmd_pool_2d *pool;
		const struct hearth_cmd_binary_q *binary;
		const struct hearth_cmd_softmax_q *softmax;
		const struct hearth_cmd_quantize *quantize;
		const struct hearth_cmd_mean_q *mean;
	} c = { hdr };

	switch (hdr->op) {
	case HEARTH_OP_CONV_2D:
	case HEARTH_OP_DEPTHWISE_CONV_2D:
		return BIT(c.conv->src_type) | BIT(c.conv->weights_type) |
		       BIT(c.conv->dst_type) | bias_type(c.conv->bias);
	case HEARTH_OP_FULLY_CONNECTED:
		return BIT(c.fc->src_type) | BIT(c.fc->weights_type) | BIT(c.fc->dst_type) |
		       bias_type(c.fc->bias);
	case HEARTH_OP_AVERAGE_POOL_2D:
	case HEARTH_OP_MAX_POOL_2D:
		return BIT(c.pool->type);
	case HEARTH_OP_ADD_Q:
	case HEARTH_OP_MUL_Q:
		return BIT(c.binary->a_type) | BIT(c.binary->b_type) | BIT(c.binary->dst_type);
	case HEARTH_OP_SOFTMAX_Q:
		return BIT(c.softmax->src_type) | BIT(c.softmax->dst_type);
	case HEARTH_OP_QUANTIZE:
	case HEARTH_OP_DEQUANTIZE:
		return BIT(c.quantize->type) | BIT(HEARTH_TYPE_F32);
	case HEARTH_OP_MEAN_Q:
		return BIT(c.mean->type);
	default:
		return float_types(hdr);
	}
}

void hg_partition(struct hg_stream *s, uint64_t ops, uint64_t types)
{
	for (uint32_t i = 0; i < s->n_cmds; i++) {
		const struct hearth_cmd_header *hdr = hg_stream_cmd(s, i);
		uint64_t lacking = types_of(hdr) & ~types;
		struct hg_cmd *c = &s->cmds[i];

		c->missing_op = ops >> hdr->op & 1 ? HG_NOTHING : hdr->op;
		c->missing_type = lacking ? __builtin_ctzll(lacking) : HG_NOTHING;
		c->on_cpu = c->missing_op != HG_NOTHING || c->missing_type != HG_NOTHING;
	}
}

/* Positions that a row attends to at most */
static uint32_t attended(const struct hearth_cmd_header *hdr)
{
	const struct hearth_cmd_attention_2 *c = (const void *)hdr;
	uint32_t n = c->base.n_ctx;

	return hdr->op != HEARTH_OP_ATTENTION && c->window && c->window < n ? c->window : n;
}

uint64_t hg_cmd_macs(const struct hearth_cmd_header *hdr)
{
	const union {
		const struct hearth_cmd_header *hdr;
		const struct hearth_cmd_conv_2d *conv;
		const struct hearth_cmd_fully_connected *fc;
		const struct hearth_cmd_matmul *matmul;
		const struct hearth_cmd_attention *attention;
	} c = { hdr };

	switch (hdr->op) {
	case HEARTH_OP_CONV_2D:
		return (uint64_t)c.conv->batch * c.conv->out_h * c.conv->out_w *
		       c.conv->out_c * c.conv->k_h * c.conv->k_w *
		       (c.conv->in_c / c.conv->groups);
	case HEARTH_OP_DEPTHWISE_CONV_2D:
		return (uint64_t)c.conv->batch * c.conv->out_h * c.conv->out_w *
		       c.conv->out_c * c.conv->k_h * c.conv->k_w;
	case HEARTH_OP_FULLY_CONNECTED:
		return (uint64_t)c.fc->rows * c.fc->in_n * c.fc->out_n;
	case HEARTH_OP_MATMUL:
		return (uint64_t)c.matmul->rows * c.matmul->in_n * c.matmul->out_n;
	case HEARTH_OP_ATTENTION:
	case HEARTH_OP_ATTENTION_2:
	case HEARTH_OP_ATTENTION_PAGED:
		/* With a full context: q * k and p * v */
		return 2ull * c.attention->rows * c.attention->heads * attended(hdr) *
		       c.attention->head_dim;
	default:
		return 0;
	}
}
