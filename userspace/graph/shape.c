// SPDX-License-Identifier: MIT
/*
 * What the checks of all ops share, and the table of ops.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "graph/shape.h"
#include "kernels/exec.h"
#include "kernels/types.h"
#include "runtime/error.h"

static const struct op_row {
	enum hearth_op kind;
	const char *name;
	uint8_t min_in, max_in;
	int (*check)(const struct hg_check *c);
} rows[] = {
	{ HEARTH_CONV_2D, "conv_2d", 2, 3, hg_check_conv },
	{ HEARTH_DEPTHWISE_CONV_2D, "depthwise_conv_2d", 2, 3, hg_check_conv },
	{ HEARTH_FULLY_CONNECTED, "fully_connected", 2, 3, hg_check_fully_connected },
	{ HEARTH_AVERAGE_POOL_2D, "average_pool_2d", 1, 1, hg_check_pool },
	{ HEARTH_MAX_POOL_2D, "max_pool_2d", 1, 1, hg_check_pool },
	{ HEARTH_ADD, "add", 2, 2, hg_check_binary },
	{ HEARTH_MUL, "mul", 2, 2, hg_check_binary },
	{ HEARTH_SOFTMAX, "softmax", 1, 1, hg_check_softmax },
	{ HEARTH_RESHAPE, "reshape", 1, 1, hg_check_reshape },
	{ HEARTH_PAD, "pad", 1, 1, hg_check_pad },
	{ HEARTH_CONCAT, "concat", 1, HG_MAX_INPUTS - 1, hg_check_concat },
	{ HEARTH_MEAN, "mean", 1, 1, hg_check_mean },
	{ HEARTH_QUANTIZE, "quantize", 1, 1, hg_check_quantize },
	{ HEARTH_RELU, "relu", 1, 1, hg_check_table },
	{ HEARTH_RELU6, "relu6", 1, 1, hg_check_table },
	{ HEARTH_LOGISTIC, "logistic", 1, 1, hg_check_table },
	{ HEARTH_TANH, "tanh", 1, 1, hg_check_table },
	{ HEARTH_LEAKY_RELU, "leaky_relu", 1, 1, hg_check_table },
	{ HEARTH_HARD_SWISH, "hard_swish", 1, 1, hg_check_table },
	{ HEARTH_GET_ROWS, "get_rows", 2, 2, hg_check_get_rows },
	{ HEARTH_MATMUL, "matmul", 2, 2, hg_check_matmul },
	{ HEARTH_RMS_NORM, "rms_norm", 2, 2, hg_check_rms_norm },
	{ HEARTH_ROPE, "rope", 2, 3, hg_check_rope },
	{ HEARTH_KV_WRITE, "kv_write", 2, 2, hg_check_kv_write },
	{ HEARTH_ATTENTION, "attention", 4, 4, hg_check_attention },
	{ HEARTH_SWIGLU, "swiglu", 2, 2, hg_check_glu },
	{ HEARTH_ARGMAX, "argmax", 1, 1, hg_check_argmax },
	{ HEARTH_GEGLU, "geglu", 2, 2, hg_check_glu },
	{ HEARTH_SOFTCAP, "softcap", 1, 1, hg_check_softcap },
	{ HEARTH_KV_SHIFT, "kv_shift", 1, 2, hg_check_kv_shift },
};

static const struct op_row *find(enum hearth_op kind)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].kind == kind)
			return &rows[i];
	}
	return NULL;
}

const char *hg_op_name(enum hearth_op kind)
{
	const struct op_row *row = find(kind);

	return row ? row->name : NULL;
}

int hg_refuse(const struct hg_op *op, int code, const char *fmt, ...)
{
	char msg[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	return hearth_seterr(code, "%s '%.100s': %s", hg_op_name(op->kind), op->name, msg);
}

struct hg_shape_text hg_shape(const struct hg_tensor *t)
{
	struct hg_shape_text text;
	int n = 0;

	for (unsigned int i = 0; i < t->n_dims; i++)
		n += snprintf(text.s + n, sizeof(text.s) - n, "%s%u", i ? ", " : "(",
			      t->dims[i]);
	snprintf(text.s + n, sizeof(text.s) - n, ")");
	return text;
}

uint32_t hg_window_out(uint32_t in, uint32_t k, uint32_t stride, uint32_t dilation,
		       enum hearth_padding padding)
{
	uint64_t reach = (uint64_t)(k - 1) * dilation + 1;

	if (padding == HEARTH_PADDING_SAME)
		return ((uint64_t)in + stride - 1) / stride;
	return in < reach ? 0 : (in - reach) / stride + 1;
}

uint32_t hg_window_pad(uint32_t in, uint32_t out, uint32_t k, uint32_t stride,
		       uint32_t dilation, enum hearth_padding padding)
{
	int64_t reach = (int64_t)(k - 1) * dilation + 1;
	int64_t total = (int64_t)(out - 1) * stride + reach - in;

	return padding == HEARTH_PADDING_SAME && total > 0 ? total / 2 : 0;
}

int hg_want_rank(const struct hg_check *c, const struct hg_tensor *t, unsigned int rank)
{
	if (t->n_dims == rank)
		return 0;
	return hg_refuse(c->op, -EINVAL, "'%s' is %s: %u dimensions are wanted", t->name,
			 hg_shape(t).s, rank);
}

int hg_want_type(const struct hg_check *c, const struct hg_tensor *t, unsigned int type)
{
	if (t->type == type)
		return 0;
	return hg_refuse(c->op, -EINVAL, "'%s' is of type %s: %s is wanted", t->name,
			 hk_type_name(t->type), hk_type_name(type));
}

int hg_want_dims(const struct hg_check *c, const struct hg_tensor *t, unsigned int n,
		 const uint32_t *dims)
{
	struct hg_tensor want = { .n_dims = n };
	bool same = t->n_dims == n;

	for (unsigned int i = 0; i < n; i++) {
		want.dims[i] = dims[i];
		same = same && t->dims[i] == dims[i];
	}
	if (same)
		return 0;
	return hg_refuse(c->op, -EINVAL, "'%s' is %s: %s is wanted", t->name, hg_shape(t).s,
			 hg_shape(&want).s);
}

int hg_want_same_shape(const struct hg_check *c, const struct hg_tensor *t,
		       const struct hg_tensor *as)
{
	return hg_want_dims(c, t, as->n_dims, as->dims);
}

bool hg_is_8bit(const struct hg_tensor *t)
{
	return t->type == HEARTH_TYPE_I8 || t->type == HEARTH_TYPE_U8;
}

int hg_want_8bit(const struct hg_check *c, const struct hg_tensor *t)
{
	if (!hg_is_8bit(t))
		return hg_refuse(c->op, -EINVAL, "'%s' is of type %s: i8 or u8 is wanted",
				 t->name, hk_type_name(t->type));
	if (t->n_scales != 1)
		return hg_refuse(c->op, -EINVAL, "'%s' has %u scales: one is wanted", t->name,
				 t->n_scales);
	/* Commands take no denormal. */
	if (!isnormal(t->scales[0]))
		return hg_refuse(c->op, -EINVAL, "'%s' has scale %g", t->name,
				 (double)t->scales[0]);
	return 0;
}

int hg_want_same_quantization(const struct hg_check *c, const struct hg_tensor *a,
			      const struct hg_tensor *b)
{
	float d = a->scales[0] - b->scales[0];

	if (a->type == b->type && a->zero_point == b->zero_point && d <= 1e-6f && d >= -1e-6f)
		return 0;
	return hg_refuse(c->op, -EINVAL,
			 "'%s' (%s, scale %g, zero %d) and '%s' (%s, scale %g, zero %d) must be quantized alike",
			 a->name, hk_type_name(a->type), (double)a->scales[0], a->zero_point,
			 b->name, hk_type_name(b->type), (double)b->scales[0], b->zero_point);
}

int hg_want_weights(const struct hg_check *c, const struct hg_tensor *t)
{
	if (hk_type_is_weights(t->type))
		return 0;
	return hg_refuse(c->op, -EINVAL, "'%s' is of type %s: f32, f16, bf16 or blocks are wanted",
			 t->name, hk_type_name(t->type));
}

static int check_options(const struct hg_op *op)
{
	if ((unsigned int)op->opts.padding > HEARTH_PADDING_SAME)
		return hg_refuse(op, -EINVAL, "padding %u is not known",
				 (unsigned int)op->opts.padding);
	if ((unsigned int)op->opts.activation > HEARTH_ACT_RELU_N1_TO_1)
		return hg_refuse(op, -EINVAL, "activation %u is not known",
				 (unsigned int)op->opts.activation);
	return 0;
}

int hg_check_op(const struct hearth_graph *g, struct hg_op *op)
{
	const struct op_row *row = find(op->kind);
	struct hg_check c = { .g = g, .op = op, .o = &op->opts, .out = hg_tensor(g, op->out) };
	int ret = check_options(op);

	if (ret)
		return ret;
	if (op->n_in < row->min_in || op->n_in > row->max_in)
		return hg_refuse(op, -EINVAL, "%u inputs: %u to %u are wanted", op->n_in,
				 row->min_in, row->max_in);
	for (unsigned int i = 0; i < op->n_in; i++) {
		/* A list of any length has no optional members. */
		bool optional = i >= row->min_in && row->max_in <= HG_CHECK_INPUTS;

		if (!optional && op->in[i] == HEARTH_NO_TENSOR)
			return hg_refuse(op, -EINVAL, "input %u is missing", i);
		if (i < HG_CHECK_INPUTS)
			c.in[i] = hg_tensor(g, op->in[i]);
	}
	return row->check(&c);
}
