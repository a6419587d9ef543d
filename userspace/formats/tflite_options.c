// SPDX-License-Identifier: MIT
/* The typed options of the builtin operators. */
#include <errno.h>
#include <math.h>

#include "formats/tflite_internal.h"

static int bad_value(struct fb *fb, const char *name, int v, const char *rule)
{
	return hearth_err_set(fb->err, -ERANGE, "tflite: %s: %s: %d %s", fb->where, name, v, rule);
}

static int read_act(struct fb *fb, const struct fb_table *t, int id, enum tflite_act *out)
{
	int v, ret = fb_i8(fb, t, id, "fused_activation_function", 0, &v);

	if (ret)
		return ret;
	if (v < TFLITE_ACT_NONE || v > TFLITE_ACT_SIGN_BIT)
		return bad_value(fb, "fused_activation_function", v, "is outside 0..5");
	*out = v;
	return 0;
}

static int read_padding(struct fb *fb, const struct fb_table *t, enum tflite_padding *out)
{
	int v, ret = fb_i8(fb, t, 0, "padding", 0, &v);

	if (ret)
		return ret;
	if (v != TFLITE_PADDING_SAME && v != TFLITE_PADDING_VALID)
		return bad_value(fb, "padding", v, "is neither SAME (0) nor VALID (1)");
	*out = v;
	return 0;
}

static int read_positive(struct fb *fb, const struct fb_table *t, int id, const char *name,
			 int32_t def, int32_t *out)
{
	int ret = fb_i32(fb, t, id, name, def, out);

	if (!ret && *out <= 0)
		return bad_value(fb, name, *out, "is not positive");
	return ret;
}

static int read_finite(struct fb *fb, const struct fb_table *t, int id, const char *name,
		       float *out)
{
	int ret = fb_f32(fb, t, id, name, 0, out);

	if (!ret && !isfinite(*out))
		return hearth_err_set(fb->err, -ERANGE, "tflite: %s: %s: %g is not finite",
				      fb->where, name, (double)*out);
	return ret;
}

static int read_type(struct fb *fb, const struct fb_table *t, int id, const char *name, int *out)
{
	int ret = fb_i8(fb, t, id, name, 0, out);

	if (!ret && tflite_type_bits(*out) < 0)
		return bad_value(fb, name, *out, "is not a known type");
	return ret;
}

/* What tables of windows begin with */
static int read_steps(struct fb *fb, const struct fb_table *t, enum tflite_padding *padding,
		      int32_t *stride_w, int32_t *stride_h)
{
	int ret = read_padding(fb, t, padding);

	if (!ret)
		ret = read_positive(fb, t, 1, "stride_w", 0, stride_w);
	return ret ? ret : read_positive(fb, t, 2, "stride_h", 0, stride_h);
}

static int read_dilations(struct fb *fb, const struct fb_table *t, int id,
			  struct tflite_conv_opts *o)
{
	int ret = read_positive(fb, t, id, "dilation_w_factor", 1, &o->dilation_w);

	return ret ? ret : read_positive(fb, t, id + 1, "dilation_h_factor", 1, &o->dilation_h);
}

static int opt_conv(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_conv_opts *o = &op->conv;
	int ret = read_steps(fb, t, &o->padding, &o->stride_w, &o->stride_h);
	if (!ret)
		ret = read_act(fb, t, 3, &o->act);
	return ret ? ret : read_dilations(fb, t, 4, o);
}

static int opt_depthwise(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_conv_opts *o = &op->conv;
	int ret = read_steps(fb, t, &o->padding, &o->stride_w, &o->stride_h);
	if (!ret)
		ret = fb_i32(fb, t, 3, "depth_multiplier", 0, &o->depth_multiplier);
	if (!ret && o->depth_multiplier < 0)
		ret = bad_value(fb, "depth_multiplier", o->depth_multiplier, "is negative");
	if (!ret)
		ret = read_act(fb, t, 4, &o->act);
	return ret ? ret : read_dilations(fb, t, 5, o);
}

static int opt_transpose_conv(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_conv_opts *o = &op->conv;
	int ret;

	o->dilation_w = 1;
	o->dilation_h = 1;
	ret = read_steps(fb, t, &o->padding, &o->stride_w, &o->stride_h);
	return ret ? ret : read_act(fb, t, 3, &o->act);
}

static int opt_pool(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_pool_opts *o = &op->pool;
	int ret = read_steps(fb, t, &o->padding, &o->stride_w, &o->stride_h);
	if (!ret)
		ret = read_positive(fb, t, 3, "filter_width", 0, &o->filter_w);
	if (!ret)
		ret = read_positive(fb, t, 4, "filter_height", 0, &o->filter_h);
	return ret ? ret : read_act(fb, t, 5, &o->act);
}

static int opt_fc(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_fc_opts *o = &op->fc;
	int ret;

	ret = read_act(fb, t, 0, &o->act);
	if (!ret)
		ret = fb_i8(fb, t, 1, "weights_format", 0, &o->weights_format);
	if (!ret && o->weights_format)
		ret = hearth_err_set(fb->err, -EOPNOTSUPP,
				     "tflite: %s: weights_format %d is not supported (0 is)",
				     fb->where, o->weights_format);
	if (!ret)
		ret = fb_bool(fb, t, 2, "keep_num_dims", false, &o->keep_num_dims);
	return ret ? ret : fb_bool(fb, t, 3, "asymmetric_quantize_inputs", false,
				   &o->asymmetric_quantize_inputs);
}

static int opt_lstm(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_lstm_opts *o = &op->lstm;
	int ret;

	ret = read_act(fb, t, 0, &o->act);
	if (!ret)
		ret = read_finite(fb, t, 1, "cell_clip", &o->cell_clip);
	if (!ret)
		ret = read_finite(fb, t, 2, "proj_clip", &o->proj_clip);
	if (!ret)
		ret = fb_bool(fb, t, 3, "time_major", false, &o->time_major);
	if (!ret)
		ret = fb_bool(fb, t, 4, "asymmetric_quantize_inputs", false,
			      &o->asymmetric_quantize_inputs);
	return ret ? ret : fb_bool(fb, t, 5, "diagonal_recurrent_tensors", false,
				   &o->diagonal_recurrent_tensors);
}

static int opt_strided_slice(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct tflite_strided_slice_opts *o = &op->strided_slice;
	int ret;

	ret = fb_i32(fb, t, 0, "begin_mask", 0, &o->begin_mask);
	if (!ret)
		ret = fb_i32(fb, t, 1, "end_mask", 0, &o->end_mask);
	if (!ret)
		ret = fb_i32(fb, t, 2, "ellipsis_mask", 0, &o->ellipsis_mask);
	if (!ret)
		ret = fb_i32(fb, t, 3, "new_axis_mask", 0, &o->new_axis_mask);
	if (!ret)
		ret = fb_i32(fb, t, 4, "shrink_axis_mask", 0, &o->shrink_axis_mask);
	return ret ? ret : fb_bool(fb, t, 5, "offset", false, &o->offset);
}

static int opt_softmax(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return read_finite(fb, t, 0, "beta", &op->softmax.beta);
}

static int opt_concat(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = fb_i32(fb, t, 0, "axis", 0, &op->concat.axis);

	return ret ? ret : read_act(fb, t, 1, &op->concat.act);
}

static int opt_add_sub(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = read_act(fb, t, 0, &op->arith.act);

	return ret ? ret : fb_bool(fb, t, 1, "pot_scale_int16", true, &op->arith.pot_scale_int16);
}

static int opt_mul_div(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return read_act(fb, t, 0, &op->arith.act);
}

static int opt_shape(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct fb_vec v;
	int ret = fb_walk(fb, t, 0, 4, op->code == TFLITE_OP_RESHAPE ? "new_shape" :
			  "squeeze_dims", &v);

	if (ret || !v.pos)
		return ret;
	op->shape.dims = (const int32_t *)(fb->base + v.pos);
	op->shape.n = v.n;
	return 0;
}

static int opt_reduce(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return fb_bool(fb, t, 0, "keep_dims", false, &op->reduce.keep_dims);
}

/* The bilinear options begin with two fields that are gone. */
static int opt_resize(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int id = op->code == TFLITE_OP_RESIZE_BILINEAR ? 2 : 0;
	int ret = fb_bool(fb, t, id, "align_corners", false, &op->resize.align_corners);

	return ret ? ret : fb_bool(fb, t, id + 1, "half_pixel_centers", false,
				   &op->resize.half_pixel_centers);
}

static int opt_leaky_relu(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return read_finite(fb, t, 0, "alpha", &op->leaky_relu.alpha);
}

static int opt_gather(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = fb_i32(fb, t, 0, "axis", 0, &op->axis.axis);

	return ret ? ret : fb_i32(fb, t, 1, "batch_dims", 0, &op->axis.count);
}

static int opt_pack(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = fb_i32(fb, t, 0, "values_count", 0, &op->axis.count);

	return ret ? ret : fb_i32(fb, t, 1, "axis", 0, &op->axis.axis);
}

static int opt_num(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return read_positive(fb, t, 0, op->code == TFLITE_OP_SPLIT ? "num_splits" : "block_size",
			     0, &op->num.n);
}

static int opt_cast(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = read_type(fb, t, 0, "in_data_type", &op->types.in);

	return ret ? ret : read_type(fb, t, 1, "out_data_type", &op->types.out);
}

static int opt_arg_max(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return read_type(fb, t, 0, "output_type", &op->types.out);
}

static int opt_mirror_pad(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int v, ret = fb_i8(fb, t, 0, "mode", 0, &v);

	if (!ret && v != 0 && v != 1)
		ret = bad_value(fb, "mode", v, "is neither REFLECT (0) nor SYMMETRIC (1)");
	if (!ret)
		op->mirror_pad.symmetric = v;
	return ret;
}

static int opt_matmul(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	int ret = fb_bool(fb, t, 0, "adj_x", false, &op->matmul.adj_x);

	return ret ? ret : fb_bool(fb, t, 1, "adj_y", false, &op->matmul.adj_y);
}

static int opt_gelu(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	return fb_bool(fb, t, 0, "approximate", false, &op->gelu.approximate);
}

/*
 * @kind is the number of the options' table in the schema's union. Where the
 * schema's defaults make no sense (a stride of 0) the table is needed.
 */
static const struct decoder {
	int32_t code;
	int kind;
	bool needed;
	int (*read)(struct fb *fb, const struct fb_table *t, struct tflite_op *op);
} decoders[] = {
	{ TFLITE_OP_ADD, 11, false, opt_add_sub },
	{ TFLITE_OP_AVERAGE_POOL_2D, 5, true, opt_pool },
	{ TFLITE_OP_CONCATENATION, 10, true, opt_concat },
	{ TFLITE_OP_CONV_2D, 1, true, opt_conv },
	{ TFLITE_OP_DEPTHWISE_CONV_2D, 2, true, opt_depthwise },
	{ TFLITE_OP_DEPTH_TO_SPACE, 94, true, opt_num },
	{ TFLITE_OP_DEQUANTIZE, 38, false, NULL },
	{ TFLITE_OP_FULLY_CONNECTED, 8, true, opt_fc },
	{ TFLITE_OP_LOGISTIC, 0, false, NULL },
	{ TFLITE_OP_MAX_POOL_2D, 5, true, opt_pool },
	{ TFLITE_OP_MUL, 21, false, opt_mul_div },
	{ TFLITE_OP_RELU, 0, false, NULL },
	{ TFLITE_OP_RELU_N1_TO_1, 0, false, NULL },
	{ TFLITE_OP_RELU6, 0, false, NULL },
	{ TFLITE_OP_RESHAPE, 17, false, opt_shape },
	{ TFLITE_OP_RESIZE_BILINEAR, 15, true, opt_resize },
	{ TFLITE_OP_SOFTMAX, 9, true, opt_softmax },
	{ TFLITE_OP_SPACE_TO_DEPTH, 19, true, opt_num },
	{ TFLITE_OP_TANH, 0, false, NULL },
	{ TFLITE_OP_PAD, 22, false, NULL },
	{ TFLITE_OP_GATHER, 23, true, opt_gather },
	{ TFLITE_OP_TRANSPOSE, 26, false, NULL },
	{ TFLITE_OP_MEAN, 27, true, opt_reduce },
	{ TFLITE_OP_SUB, 28, false, opt_add_sub },
	{ TFLITE_OP_DIV, 29, false, opt_mul_div },
	{ TFLITE_OP_SQUEEZE, 30, false, opt_shape },
	{ TFLITE_OP_UNIDIRECTIONAL_SEQUENCE_LSTM, 71, true, opt_lstm },
	{ TFLITE_OP_STRIDED_SLICE, 32, true, opt_strided_slice },
	{ TFLITE_OP_SPLIT, 35, true, opt_num },
	{ TFLITE_OP_CAST, 37, false, opt_cast },
	{ TFLITE_OP_PRELU, 0, false, NULL },
	{ TFLITE_OP_MAXIMUM, 39, false, NULL },
	{ TFLITE_OP_ARG_MAX, 40, true, opt_arg_max },
	{ TFLITE_OP_MINIMUM, 39, false, NULL },
	{ TFLITE_OP_PADV2, 43, false, NULL },
	{ TFLITE_OP_SLICE, 48, false, NULL },
	{ TFLITE_OP_TRANSPOSE_CONV, 49, true, opt_transpose_conv },
	{ TFLITE_OP_EXPAND_DIMS, 52, false, NULL },
	{ TFLITE_OP_SUM, 27, true, opt_reduce },
	{ TFLITE_OP_REDUCE_MAX, 27, true, opt_reduce },
	{ TFLITE_OP_PACK, 59, true, opt_pack },
	{ TFLITE_OP_UNPACK, 64, true, opt_pack },
	{ TFLITE_OP_REDUCE_MIN, 27, true, opt_reduce },
	{ TFLITE_OP_RESIZE_NEAREST_NEIGHBOR, 74, true, opt_resize },
	{ TFLITE_OP_LEAKY_RELU, 75, true, opt_leaky_relu },
	{ TFLITE_OP_MIRROR_PAD, 77, true, opt_mirror_pad },
	{ TFLITE_OP_QUANTIZE, 89, false, NULL },
	{ TFLITE_OP_HARD_SWISH, 91, false, NULL },
	{ TFLITE_OP_BATCH_MATMUL, 101, false, opt_matmul },
	{ TFLITE_OP_GELU, 116, false, opt_gelu },
};

static const struct decoder *find_decoder(int32_t code)
{
	for (size_t i = 0; i < sizeof(decoders) / sizeof(decoders[0]); i++)
		if (decoders[i].code == code)
			return &decoders[i];
	return NULL;
}

int tflite_read_options(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	const struct decoder *d = find_decoder(op->code);
	struct fb_table opts = { 0 };
	int kind, ret;

	if (!d)
		return 0;
	ret = fb_u8(fb, t, 3, "builtin_options_type", 0, &kind);
	if (ret)
		return ret;
	if (kind && d->kind && kind != d->kind)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: builtin_options_type %d where %d is needed",
				      fb->where, kind, d->kind);
	if (kind && d->kind)
		ret = fb_sub(fb, t, 4, "builtin_options", &opts);
	if (ret)
		return ret;
	if (!opts.pos && d->needed)
		return hearth_err_set(fb->err, -EINVAL, "tflite: %s: builtin_options is missing",
				      fb->where);
	op->decoded = true;
	if (op->code == TFLITE_OP_CAST && !opts.pos) {
		/* The tensors' own types tell. */
		op->types.in = -1;
		op->types.out = -1;
		return 0;
	}
	return d->read ? d->read(fb, &opts, op) : 0;
}
