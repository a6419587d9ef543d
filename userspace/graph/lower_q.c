// SPDX-License-Identifier: MIT
/*
 * The ops of 8-bit networks as commands. What is computed is TFLite's; the
 * numbers come from kernels/quantparam.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/lower.h"
#include "kernels/quantparam.h"
#include "runtime/error.h"

static struct hq_quant quant(const struct hg_tensor *t)
{
	return (struct hq_quant){ .scale = t->scales[0], .zero = t->zero_point,
				  .type = t->type };
}

static int bad_scales(const struct hg_lower *l)
{
	return hg_refuse(l->op, -EINVAL, "the scales cannot be expressed in 32 bits");
}

static enum hq_act activation(const struct hg_op *op)
{
	switch (op->opts.activation) {
	case HEARTH_ACT_RELU:
		return HQ_ACT_RELU;
	case HEARTH_ACT_RELU6:
		return HQ_ACT_RELU6;
	case HEARTH_ACT_RELU_N1_TO_1:
		return HQ_ACT_RELU_N1_TO_1;
	default:
		return HQ_ACT_NONE;
	}
}

/* act_min and act_max of a command */
static int act_range(const struct hg_lower *l, __le32 *min, __le32 *max)
{
	struct hq_quant out = quant(hg_lower_out(l));
	int32_t lo, hi;

	if (hq_act_range(&out, activation(l->op), &lo, &hi))
		return hg_refuse(l->op, -EINVAL, "the range of the activation is empty");
	*min = lo;
	*max = hi;
	return 0;
}

/* The table of multipliers of a convolution with @channels outputs */
static int requant_table(struct hg_lower *l, uint32_t channels, bool per_tensor,
			 struct hg_ref *ref)
{
	const struct hg_tensor *w = hg_lower_in(l, 1);
	struct hearth_requant *rq = calloc(channels, sizeof(*rq));

	if (!rq)
		return hearth_seterr(-ENOMEM, "no memory for %u multipliers", channels);
	if (hq_conv(hg_lower_in(l, 0)->scales[0], w->scales, w->n_scales,
		    hg_lower_out(l)->scales[0], per_tensor, rq, channels)) {
		free(rq);
		return bad_scales(l);
	}
	return hg_add_const(l, rq, channels * sizeof(*rq), ref);
}

static void conv_geometry(const struct hg_lower *l, struct hearth_cmd_conv_2d *cmd)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *src = hg_lower_in(l, 0), *w = hg_lower_in(l, 1);
	const struct hg_tensor *out = hg_lower_out(l);
	bool depthwise = l->op->kind == HEARTH_DEPTHWISE_CONV_2D;

	cmd->batch = src->dims[0];
	cmd->in_h = src->dims[1];
	cmd->in_w = src->dims[2];
	cmd->in_c = src->dims[3];
	cmd->out_h = out->dims[1];
	cmd->out_w = out->dims[2];
	cmd->out_c = out->dims[3];
	cmd->k_h = w->dims[1];
	cmd->k_w = w->dims[2];
	cmd->stride_h = o->stride_h;
	cmd->stride_w = o->stride_w;
	cmd->dilation_h = o->dilation_h;
	cmd->dilation_w = o->dilation_w;
	cmd->pad_top = hg_window_pad(cmd->in_h, cmd->out_h, cmd->k_h, o->stride_h,
				     o->dilation_h, o->padding);
	cmd->pad_left = hg_window_pad(cmd->in_w, cmd->out_w, cmd->k_w, o->stride_w,
				      o->dilation_w, o->padding);
	cmd->groups = depthwise ? src->dims[3] : src->dims[3] / w->dims[3];
}

int hg_lower_conv(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *w = hg_lower_in(l, 1);
	const struct hg_tensor *out = hg_lower_out(l);
	struct hearth_cmd_conv_2d cmd = {
		.src_zero = src->zero_point,
		.weights_zero = w->zero_point,
		.dst_zero = out->zero_point,
		.src_type = src->type,
		.weights_type = w->type,
		.dst_type = out->type,
	};
	struct hg_ref requant;
	int ret = act_range(l, &cmd.act_min, &cmd.act_max);

	conv_geometry(l, &cmd);
	/* TFLite rounds the scales of its older, unsigned networks differently. */
	if (!ret)
		ret = requant_table(l, cmd.out_c,
				    src->type == HEARTH_TYPE_U8 && w->n_scales == 1,
				    &requant);
	if (ret)
		return ret;
	return HG_EMIT(l, l->op->kind == HEARTH_CONV_2D ? HEARTH_OP_CONV_2D :
							  HEARTH_OP_DEPTHWISE_CONV_2D,
		       cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, weights, hg_ref_in(l, 1)),
		       HG_FIELD(cmd, bias, hg_ref_in(l, 2)), HG_FIELD(cmd, requant, requant),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_fully_connected(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *w = hg_lower_in(l, 1);
	const struct hg_tensor *out = hg_lower_out(l);
	struct hearth_cmd_fully_connected cmd = {
		.in_n = w->dims[1],
		.out_n = w->dims[0],
		.src_zero = src->zero_point,
		.weights_zero = w->zero_point,
		.dst_zero = out->zero_point,
		.src_type = src->type,
		.weights_type = w->type,
		.dst_type = out->type,
	};
	uint64_t rows = src->elements / w->dims[1];
	struct hg_ref requant;
	int ret;

	if (rows > HEARTH_CMD_MAX_DIM)
		return hg_refuse(l->op, -EINVAL, "%llu rows: at most %u",
				 (unsigned long long)rows, HEARTH_CMD_MAX_DIM);
	cmd.rows = rows;
	ret = act_range(l, &cmd.act_min, &cmd.act_max);
	if (!ret)
		ret = requant_table(l, cmd.out_n, w->n_scales == 1, &requant);
	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_FULLY_CONNECTED, cmd,
		       HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, weights, hg_ref_in(l, 1)),
		       HG_FIELD(cmd, bias, hg_ref_in(l, 2)), HG_FIELD(cmd, requant, requant),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_pool(struct hg_lower *l)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *src = hg_lower_in(l, 0), *out = hg_lower_out(l);
	struct hearth_cmd_pool_2d cmd = {
		.batch = src->dims[0],
		.in_h = src->dims[1],
		.in_w = src->dims[2],
		.channels = src->dims[3],
		.out_h = out->dims[1],
		.out_w = out->dims[2],
		.k_h = o->filter_h,
		.k_w = o->filter_w,
		.stride_h = o->stride_h,
		.stride_w = o->stride_w,
		.pad_top = hg_window_pad(src->dims[1], out->dims[1], o->filter_h,
					 o->stride_h, 1, o->padding),
		.pad_left = hg_window_pad(src->dims[2], out->dims[2], o->filter_w,
					  o->stride_w, 1, o->padding),
		.type = src->type,
	};
	int ret = act_range(l, &cmd.act_min, &cmd.act_max);

	if (ret)
		return ret;
	return HG_EMIT(l, l->op->kind == HEARTH_MAX_POOL_2D ? HEARTH_OP_MAX_POOL_2D :
							      HEARTH_OP_AVERAGE_POOL_2D,
		       cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_binary_q(struct hg_lower *l)
{
	unsigned int ai = hg_lower_in(l, 0)->elements < hg_lower_in(l, 1)->elements;
	const struct hg_tensor *a = hg_lower_in(l, ai), *b = hg_lower_in(l, !ai);
	const struct hg_tensor *out = hg_lower_out(l);
	bool add = l->op->kind == HEARTH_ADD;
	struct hearth_cmd_binary_q cmd = {
		.n = a->elements,
		.b_n = b->elements,
		.a_zero = a->zero_point,
		.b_zero = b->zero_point,
		.dst_zero = out->zero_point,
		.a_type = a->type,
		.b_type = b->type,
		.dst_type = out->type,
	};
	int ret = act_range(l, &cmd.act_min, &cmd.act_max);

	if (ret)
		return ret;
	if (a->elements > HEARTH_CMD_MAX_DIM)
		return hg_refuse(l->op, -EINVAL, "%llu elements: at most %u",
				 (unsigned long long)a->elements, HEARTH_CMD_MAX_DIM);
	if ((add ? hq_add : hq_mul)(a->scales[0], b->scales[0], out->scales[0], &cmd))
		return bad_scales(l);
	return HG_EMIT(l, add ? HEARTH_OP_ADD_Q : HEARTH_OP_MUL_Q, cmd,
		       HG_FIELD(cmd, a, hg_ref_in(l, ai)), HG_FIELD(cmd, b, hg_ref_in(l, !ai)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_softmax(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *out = hg_lower_out(l);
	struct hearth_cmd_softmax_q cmd = {
		.rows = src->elements / hg_last_dim(src),
		.n = hg_last_dim(src),
		.dst_zero = out->zero_point,
		.src_type = src->type,
		.dst_type = out->type,
	};
	float *table = malloc(256 * sizeof(*table));
	struct hg_ref ref;
	int ret;

	if (!table)
		return hearth_seterr(-ENOMEM, "no memory for a table");
	if (hq_softmax_table(src->scales[0], l->op->opts.beta, table)) {
		free(table);
		return bad_scales(l);
	}
	ret = hg_add_const(l, table, 256 * sizeof(*table), &ref);
	if (ret)
		return ret;
	memcpy(&cmd.dst_scale, &out->scales[0], sizeof(cmd.dst_scale));
	return HG_EMIT(l, HEARTH_OP_SOFTMAX_Q, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, table, ref), HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_reshape(struct hg_lower *l)
{
	struct hg_ref src = hg_ref_in(l, 0), dst = hg_ref_out(l);

	return hg_same_ref(src, dst) ? 0 : hg_emit_copy(l, src, dst, hg_lower_out(l)->bytes);
}

int hg_lower_pad(struct hg_lower *l)
{
	const struct hearth_op_opts *o = &l->op->opts;
	const struct hg_tensor *src = hg_lower_in(l, 0);
	unsigned int skip = HEARTH_MAX_DIMS - src->n_dims;
	struct hearth_cmd_pad cmd = {
		.dims = { 1, 1, 1, 1 },
		.value = src->zero_point & 0xff,
	};

	for (unsigned int i = 0; i < src->n_dims; i++) {
		cmd.dims[skip + i] = src->dims[i];
		cmd.before[skip + i] = o->pad_before[i];
		cmd.after[skip + i] = o->pad_after[i];
	}
	return HG_EMIT(l, HEARTH_OP_PAD, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

/* dst[i] = table[src[i]]; takes @table over */
static int emit_lut8(struct hg_lower *l, uint8_t *table, struct hg_ref src,
		     struct hg_ref dst, uint64_t n)
{
	struct hg_ref ref;
	int ret = hg_add_const(l, table, 256, &ref);

	for (uint64_t at = 0; !ret && at < n; at += HEARTH_CMD_MAX_DIM) {
		struct hearth_cmd_lut8 cmd = {
			.n = n - at < HEARTH_CMD_MAX_DIM ? n - at : HEARTH_CMD_MAX_DIM,
		};

		ret = HG_EMIT(l, HEARTH_OP_LUT8, cmd, HG_FIELD(cmd, src, hg_ref_at(src, at)),
			      HG_FIELD(cmd, table, ref),
			      HG_FIELD(cmd, dst, hg_ref_at(dst, at)));
	}
	return ret;
}

/* @from to the quantization of the output */
static int emit_requantize(struct hg_lower *l, const struct hg_tensor *from,
			   struct hg_ref src, struct hg_ref dst)
{
	struct hq_quant in = quant(from), out = quant(hg_lower_out(l));
	/* Signed ones TFLite does not take at all: they are requantized exactly. */
	bool concat = l->op->kind == HEARTH_CONCAT && from->type == HEARTH_TYPE_U8;
	uint8_t *table = malloc(256);

	if (!table)
		return hearth_seterr(-ENOMEM, "no memory for a table");
	if ((concat ? hq_lut_concat : hq_lut_requantize)(&in, &out, table)) {
		free(table);
		return bad_scales(l);
	}
	return emit_lut8(l, table, src, dst, from->elements);
}

static bool same_quantization(const struct hg_tensor *a, const struct hg_tensor *b)
{
	return a->type == b->type && a->zero_point == b->zero_point &&
	       a->scales[0] == b->scales[0];
}

/* One input of a CONCAT; *at is the byte in the first row of the output. */
static int concat_part(struct hg_lower *l, unsigned int i, uint64_t *at)
{
	const struct hg_tensor *in = hg_lower_in(l, i), *out = hg_lower_out(l);
	uint32_t axis = l->op->opts.axis;
	uint64_t rows = hg_product(in, 0, axis);
	struct hg_ref src = hg_ref_in(l, i), dst = hg_ref_at(hg_ref_out(l), *at);
	struct hearth_cmd_copy_2d cmd = {
		.src_stride = in->bytes / rows,
		.dst_stride = out->bytes / rows,
		.row_bytes = in->bytes / rows,
		.rows = rows,
	};
	bool convert = in->n_scales && out->n_scales && !same_quantization(in, out);
	int ret = 0;

	if (in->bytes / rows > UINT32_MAX)
		return hg_refuse(l->op, -EINVAL, "'%s' %s: rows of %llu bytes", in->name,
				 hg_shape(in).s, (unsigned long long)(in->bytes / rows));
	*at += cmd.row_bytes;
	if (convert && rows == 1)
		return emit_requantize(l, in, src, dst);
	if (convert) {
		struct hg_ref temp;

		ret = hg_add_temp(l, in->bytes, &temp);
		if (!ret)
			ret = emit_requantize(l, in, src, temp);
		src = temp;
	}
	if (ret)
		return ret;
	return HG_EMIT(l, HEARTH_OP_COPY_2D, cmd, HG_FIELD(cmd, src, src),
		       HG_FIELD(cmd, dst, dst));
}

int hg_lower_concat(struct hg_lower *l)
{
	uint64_t at = 0;

	for (unsigned int i = 0; i < l->op->n_in; i++) {
		int ret = concat_part(l, i, &at);

		if (ret)
			return ret;
	}
	return 0;
}

int hg_lower_mean(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *out = hg_lower_out(l);
	uint32_t axes = l->op->opts.axes;
	unsigned int first = __builtin_ctz(axes), end = 32 - __builtin_clz(axes);
	uint64_t outer = hg_product(src, 0, first), n = hg_product(src, first, end);
	uint64_t inner = hg_product(src, end, src->n_dims);
	struct hearth_cmd_mean_q cmd = {
		.outer = outer,
		.n = n,
		.inner = inner,
		.src_zero = src->zero_point,
		.dst_zero = out->zero_point,
		.type = src->type,
	};

	if (outer > HEARTH_CMD_MAX_DIM || n > HEARTH_CMD_MAX_DIM || inner > HEARTH_CMD_MAX_DIM)
		return hg_refuse(l->op, -EINVAL, "%s with axes %#x: a part exceeds %u",
				 hg_shape(src).s, axes, HEARTH_CMD_MAX_DIM);
	if (hq_mean(src->scales[0], out->scales[0], n, &cmd.scale))
		return bad_scales(l);
	return HG_EMIT(l, HEARTH_OP_MEAN_Q, cmd, HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

int hg_lower_quantize(struct hg_lower *l)
{
	const struct hg_tensor *src = hg_lower_in(l, 0), *out = hg_lower_out(l);
	const struct hg_tensor *q = src->type == HEARTH_TYPE_F32 ? out : src;
	struct hearth_cmd_quantize cmd = {
		.n = src->elements,
		.zero = q->zero_point,
		.type = q->type,
	};

	if (src->type != HEARTH_TYPE_F32 && out->type != HEARTH_TYPE_F32)
		return emit_requantize(l, src, hg_ref_in(l, 0), hg_ref_out(l));
	if (src->elements > HEARTH_CMD_MAX_DIM)
		return hg_refuse(l->op, -EINVAL, "%llu elements: at most %u",
				 (unsigned long long)src->elements, HEARTH_CMD_MAX_DIM);
	memcpy(&cmd.scale, &q->scales[0], sizeof(cmd.scale));
	return HG_EMIT(l, q == out ? HEARTH_OP_QUANTIZE : HEARTH_OP_DEQUANTIZE, cmd,
		       HG_FIELD(cmd, src, hg_ref_in(l, 0)),
		       HG_FIELD(cmd, dst, hg_ref_out(l)));
}

static int fill_table(const struct hg_lower *l, uint8_t *table)
{
	struct hq_quant in = quant(hg_lower_in(l, 0)), out = quant(hg_lower_out(l));

	switch (l->op->kind) {
	case HEARTH_RELU:
		return hq_lut_relu(&in, &out, HQ_ACT_RELU, table);
	case HEARTH_RELU6:
		return hq_lut_relu(&in, &out, HQ_ACT_RELU6, table);
	case HEARTH_LOGISTIC:
		return hq_lut_logistic(&in, &out, table);
	case HEARTH_TANH:
		return hq_lut_tanh(&in, &out, table);
	case HEARTH_LEAKY_RELU:
		return hq_lut_leaky_relu(&in, &out, l->op->opts.alpha, table);
	default:
		return hq_lut_hard_swish(&in, &out, table);
	}
}

int hg_lower_table(struct hg_lower *l)
{
	uint8_t *table = malloc(256);

	if (!table)
		return hearth_seterr(-ENOMEM, "no memory for a table");
	if (fill_table(l, table)) {
		free(table);
		return bad_scales(l);
	}
	return emit_lut8(l, table, hg_ref_in(l, 0), hg_ref_out(l),
			 hg_lower_in(l, 0)->elements);
}
