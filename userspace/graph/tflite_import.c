// SPDX-License-Identifier: MIT
/*
 * A graph from a TFLite file. Constants stay where they are: they become
 * weights of the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "formats/tflite.h"
#include "graph/graph.h"
#include "graph/tflite_import.h"
#include "runtime/error.h"

#define TYPE(t)		(1u << (t))
#define TYPES_8BIT	(TYPE(TFLITE_INT8) | TYPE(TFLITE_UINT8))
#define TYPES_8BIT_F32	(TYPES_8BIT | TYPE(TFLITE_FLOAT32))
#define TYPES_ANY	(TYPES_8BIT_F32 | TYPE(TFLITE_INT32) | TYPE(TFLITE_INT16))

struct import {
	const struct tflite_model *m;
	struct hearth_graph *g;
	/** map: Tensor of the graph for each of the file, or HEARTH_NO_TENSOR. */
	hearth_tensor *map;
	/** op: The one at hand, and its index. */
	const struct tflite_op *op;
	uint32_t index;
};

struct text {
	char s[HG_MAX_NAME + 1];
};

/* A string of the file, fit to be printed */
static struct text text_of(const struct tflite_str *from)
{
	uint32_t n = from->len < HG_MAX_NAME ? from->len : HG_MAX_NAME;
	struct text text = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		unsigned char c = from->ptr[i];

		text.s[i] = c < ' ' || c == 0x7f ? '?' : c;
	}
	return text;
}

static struct text name_of(const struct import *im, uint32_t t)
{
	struct text name = text_of(&im->m->tensors[t].name);

	if (!name.s[0])
		snprintf(name.s, sizeof(name.s), "tensor %u", t);
	return name;
}

/* "op 3 (CONV_2D): " and the message; returns @code. */
#define REFUSE(im, code, fmt, ...)						\
	hearth_seterr(code, "op %u (%s): " fmt, (im)->index, (im)->op->name,	\
		      ##__VA_ARGS__)

static int to_type(int type)
{
	switch (type) {
	case TFLITE_FLOAT32:
		return HEARTH_TYPE_F32;
	case TFLITE_INT8:
		return HEARTH_TYPE_I8;
	case TFLITE_UINT8:
		return HEARTH_TYPE_U8;
	case TFLITE_INT16:
		return HEARTH_TYPE_I16;
	case TFLITE_INT32:
		return HEARTH_TYPE_I32;
	default:
		return -1;
	}
}

static int set_shape(const struct import *im, uint32_t t, struct hearth_tensor_opts *o)
{
	const struct tflite_tensor *from = &im->m->tensors[t];

	if (from->rank > HEARTH_MAX_DIMS)
		return hearth_seterr(-EOPNOTSUPP, "tensor %u '%.100s': %u dimensions, at most %u are supported",
				     t, o->name, from->rank, HEARTH_MAX_DIMS);
	if (!from->n_elems)
		return hearth_seterr(-EOPNOTSUPP, "tensor %u '%.100s' has no elements, or no known shape",
				     t, o->name);
	o->n_dims = from->rank ? from->rank : 1;
	o->dims[0] = 1;
	for (uint32_t i = 0; i < from->rank; i++)
		o->dims[i] = from->shape[i];
	return 0;
}

static int set_quantization(const struct import *im, uint32_t t, struct hearth_tensor_opts *o)
{
	const struct tflite_tensor *from = &im->m->tensors[t];

	if (!from->n_scales || (from->type != TFLITE_INT8 && from->type != TFLITE_UINT8))
		return 0;
	for (uint32_t i = 1; i < from->n_scales; i++) {
		if (from->zero_point[i] != from->zero_point[0])
			return hearth_seterr(-EOPNOTSUPP,
					     "tensor %u '%.100s': zero points differ by channel: %d and %d",
					     t, o->name, (int)from->zero_point[0],
					     (int)from->zero_point[i]);
	}
	o->n_scales = from->n_scales;
	o->scales = from->scale;
	o->zero_point = from->zero_point[0];
	o->channel_dim = from->rank ? from->quant_dim : 0;
	return 0;
}

static void set_data(const struct import *im, uint32_t t, struct hearth_tensor_opts *o)
{
	const struct tflite_tensor *from = &im->m->tensors[t];

	if (im->m->map.fd >= 0 && from->file_offset % hg_type_align(o->type) == 0) {
		o->role = HEARTH_TENSOR_WEIGHTS;
		o->offset = from->file_offset;
	} else {
		o->role = HEARTH_TENSOR_CONSTANT;
		o->data = from->data;
	}
}

/* Adds tensor @t of the file; @role is for those that are no constants. */
static int add_tensor(struct import *im, uint32_t t, enum hearth_tensor_role role)
{
	const struct tflite_tensor *from = &im->m->tensors[t];
	struct text name = name_of(im, t);
	int type = to_type(from->type), ret;
	HEARTH_OPTS(hearth_tensor_opts, o, .name = name.s, .type = type, .role = role);

	if (type < 0)
		return hearth_seterr(-EOPNOTSUPP, "tensor %u '%.100s': type %s is not supported",
				     t, name.s, tflite_type_name(from->type));
	if (from->is_variable)
		return hearth_seterr(-EOPNOTSUPP, "tensor %u '%.100s': variables are not supported",
				     t, name.s);
	ret = set_shape(im, t, &o);
	if (!ret)
		ret = set_quantization(im, t, &o);
	if (ret)
		return ret;
	if (from->is_const)
		set_data(im, t, &o);
	ret = hearth_graph_add_tensor(im->g, &o);
	if (ret < 0)
		return ret;
	im->map[t] = ret;
	return 0;
}

static int map_tensor(struct import *im, int32_t t, hearth_tensor *out)
{
	int ret = 0;

	*out = HEARTH_NO_TENSOR;
	if (t < 0)
		return 0;
	if (im->map[t] == HEARTH_NO_TENSOR)
		ret = add_tensor(im, t, HEARTH_TENSOR_ACTIVATION);
	*out = im->map[t];
	return ret;
}

/* Add the op with its first @n_in inputs. */
static int add_op(struct import *im, enum hearth_op kind, unsigned int n_in,
		  struct hearth_op_opts *o)
{
	hearth_tensor in[HG_MAX_INPUTS], out;
	struct text name = name_of(im, im->op->outputs[0]);
	int ret = 0;

	if (n_in > im->op->n_inputs)
		n_in = im->op->n_inputs;
	if (n_in > HG_MAX_INPUTS)
		return REFUSE(im, -EOPNOTSUPP, "%u inputs, at most %u are supported", n_in,
			      HG_MAX_INPUTS);
	for (unsigned int i = 0; !ret && i < n_in; i++)
		ret = map_tensor(im, im->op->inputs[i], &in[i]);
	if (!ret)
		ret = map_tensor(im, im->op->outputs[0], &out);
	if (ret)
		return ret;
	o->name = name.s;
	return hearth_graph_add_op(im->g, kind, in, n_in, out, o);
}

static int set_activation(const struct import *im, enum tflite_act act,
			  struct hearth_op_opts *o)
{
	switch (act) {
	case TFLITE_ACT_NONE:
		o->activation = HEARTH_ACT_NONE;
		return 0;
	case TFLITE_ACT_RELU:
		o->activation = HEARTH_ACT_RELU;
		return 0;
	case TFLITE_ACT_RELU6:
		o->activation = HEARTH_ACT_RELU6;
		return 0;
	case TFLITE_ACT_RELU_N1_TO_1:
		o->activation = HEARTH_ACT_RELU_N1_TO_1;
		return 0;
	default:
		return REFUSE(im, -EOPNOTSUPP, "fused activation %d is not supported", (int)act);
	}
}

static enum hearth_padding padding(enum tflite_padding p)
{
	return p == TFLITE_PADDING_SAME ? HEARTH_PADDING_SAME : HEARTH_PADDING_VALID;
}

static const struct tflite_tensor *input(const struct import *im, unsigned int i)
{
	if (i >= im->op->n_inputs || im->op->inputs[i] < 0)
		return NULL;
	return &im->m->tensors[im->op->inputs[i]];
}

static int import_conv(struct import *im, enum hearth_op kind)
{
	const struct tflite_conv_opts *c = &im->op->conv;
	HEARTH_OPTS(hearth_op_opts, o,
		.padding = padding(c->padding),
		.stride_h = c->stride_h,
		.stride_w = c->stride_w,
		.dilation_h = c->dilation_h,
		.dilation_w = c->dilation_w);
	int ret = set_activation(im, c->act, &o);

	return ret ? ret : add_op(im, kind, 3, &o);
}

static int import_fully_connected(struct import *im, enum hearth_op kind)
{
	HEARTH_OPTS(hearth_op_opts, o);
	int ret = set_activation(im, im->op->fc.act, &o);

	return ret ? ret : add_op(im, kind, 3, &o);
}

static int import_pool(struct import *im, enum hearth_op kind)
{
	const struct tflite_pool_opts *p = &im->op->pool;
	HEARTH_OPTS(hearth_op_opts, o,
		.padding = padding(p->padding),
		.stride_h = p->stride_h,
		.stride_w = p->stride_w,
		.filter_h = p->filter_h,
		.filter_w = p->filter_w);
	int ret = set_activation(im, p->act, &o);

	return ret ? ret : add_op(im, kind, 1, &o);
}

static int import_arith(struct import *im, enum hearth_op kind)
{
	HEARTH_OPTS(hearth_op_opts, o);
	int ret = set_activation(im, im->op->arith.act, &o);

	return ret ? ret : add_op(im, kind, 2, &o);
}

static int import_softmax(struct import *im, enum hearth_op kind)
{
	HEARTH_OPTS(hearth_op_opts, o, .beta = im->op->softmax.beta);

	if (!(im->op->softmax.beta > 0))
		return REFUSE(im, -EOPNOTSUPP, "beta is %g", (double)im->op->softmax.beta);
	return add_op(im, kind, 1, &o);
}

/* RESHAPE, SQUEEZE, EXPAND_DIMS: the shape of the output says it all. */
static int import_reshape(struct import *im, enum hearth_op kind)
{
	const struct tflite_tensor *shape = input(im, 1);
	HEARTH_OPTS(hearth_op_opts, o);

	if (shape && !shape->is_const)
		return REFUSE(im, -EOPNOTSUPP, "a shape that is computed is not supported");
	return add_op(im, kind, 1, &o);
}

static int import_concat(struct import *im, enum hearth_op kind)
{
	int32_t axis = im->op->concat.axis;
	int32_t rank = im->m->tensors[im->op->outputs[0]].rank;
	HEARTH_OPTS(hearth_op_opts, o);

	if (im->op->concat.act != TFLITE_ACT_NONE)
		return REFUSE(im, -EOPNOTSUPP, "fused activation %d is not supported",
			      (int)im->op->concat.act);
	if (axis < -rank || axis >= rank)
		return REFUSE(im, -EINVAL, "axis %d where there are %d dimensions", axis, rank);
	o.axis = axis < 0 ? axis + rank : axis;
	return add_op(im, kind, im->op->n_inputs, &o);
}

/* Constant integers of input @i, at most @most */
static int read_integers(const struct import *im, unsigned int i, int64_t *v, uint32_t most,
			 uint32_t *n)
{
	const struct tflite_tensor *t = input(im, i);

	if (!t || !t->is_const || (t->type != TFLITE_INT32 && t->type != TFLITE_INT64))
		return REFUSE(im, -EOPNOTSUPP, "input %u is not a constant of INT32 or INT64", i);
	if (t->n_elems > most)
		return REFUSE(im, -EINVAL, "input %u has %llu elements, at most %u make sense", i,
			      (unsigned long long)t->n_elems, most);
	*n = t->n_elems;
	for (uint32_t k = 0; k < *n; k++) {
		const uint8_t *p = t->data;

		v[k] = t->type == TFLITE_INT64 ? (int64_t)le_u64(p + 8 * k) :
						 (int32_t)le_u32(p + 4 * k);
	}
	return 0;
}

/* PADV2's value must be the zero point, which is what PAD takes. */
static int check_pad_value(const struct import *im)
{
	const struct tflite_tensor *v = input(im, 2), *src = input(im, 0);
	int value;

	if (!v)
		return 0;
	if (!v->is_const || v->n_elems != 1 || v->type != src->type || !src->n_scales)
		return REFUSE(im, -EOPNOTSUPP, "the value is not a constant of the input's type");
	value = v->type == TFLITE_UINT8 ? *(const uint8_t *)v->data : *(const int8_t *)v->data;
	if (value == src->zero_point[0])
		return 0;
	return REFUSE(im, -EOPNOTSUPP, "value %d is not the zero point %d", value,
		      (int)src->zero_point[0]);
}

static int import_pad(struct import *im, enum hearth_op kind)
{
	uint32_t rank = input(im, 0)->rank, n;
	int64_t v[2 * HEARTH_MAX_DIMS];
	HEARTH_OPTS(hearth_op_opts, o);
	int ret = read_integers(im, 1, v, 2 * HEARTH_MAX_DIMS, &n);

	if (!ret && n != 2 * rank)
		ret = REFUSE(im, -EINVAL, "%u paddings for %u dimensions", n, rank);
	if (!ret)
		ret = check_pad_value(im);
	for (uint32_t i = 0; !ret && i < n; i++) {
		if (v[i] < 0 || v[i] > HEARTH_CMD_MAX_DIM)
			ret = REFUSE(im, -EINVAL, "padding %lld: 0 to %u are possible",
				     (long long)v[i], HEARTH_CMD_MAX_DIM);
		else
			(i % 2 ? o.pad_after : o.pad_before)[i / 2] = v[i];
	}
	return ret ? ret : add_op(im, kind, 1, &o);
}

static int import_mean(struct import *im, enum hearth_op kind)
{
	int32_t rank = input(im, 0)->rank;
	int64_t v[HEARTH_MAX_DIMS];
	HEARTH_OPTS(hearth_op_opts, o);
	uint32_t n;
	int ret = read_integers(im, 1, v, HEARTH_MAX_DIMS, &n);

	for (uint32_t i = 0; !ret && i < n; i++) {
		if (v[i] < -rank || v[i] >= rank)
			ret = REFUSE(im, -EINVAL, "axis %lld where there are %d dimensions",
				     (long long)v[i], rank);
		else
			o.axes |= 1u << (v[i] < 0 ? v[i] + rank : v[i]);
	}
	return ret ? ret : add_op(im, kind, 1, &o);
}

static int import_leaky_relu(struct import *im, enum hearth_op kind)
{
	HEARTH_OPTS(hearth_op_opts, o, .alpha = im->op->leaky_relu.alpha);

	return add_op(im, kind, 1, &o);
}

static int import_simple(struct import *im, enum hearth_op kind)
{
	HEARTH_OPTS(hearth_op_opts, o);

	return add_op(im, kind, 1, &o);
}

/* @data: Inputs that carry data of @types; others are parameters. */
static const struct row {
	int32_t code;
	enum hearth_op kind;
	uint8_t data;
	uint32_t types;
	int (*import)(struct import *im, enum hearth_op kind);
} rows[] = {
	{ TFLITE_OP_CONV_2D, HEARTH_CONV_2D, 2, TYPES_8BIT, import_conv },
	{ TFLITE_OP_DEPTHWISE_CONV_2D, HEARTH_DEPTHWISE_CONV_2D, 2, TYPES_8BIT, import_conv },
	{ TFLITE_OP_FULLY_CONNECTED, HEARTH_FULLY_CONNECTED, 2, TYPES_8BIT,
	  import_fully_connected },
	{ TFLITE_OP_AVERAGE_POOL_2D, HEARTH_AVERAGE_POOL_2D, 1, TYPES_8BIT, import_pool },
	{ TFLITE_OP_MAX_POOL_2D, HEARTH_MAX_POOL_2D, 1, TYPES_8BIT, import_pool },
	{ TFLITE_OP_ADD, HEARTH_ADD, 2, TYPES_8BIT_F32, import_arith },
	{ TFLITE_OP_MUL, HEARTH_MUL, 2, TYPES_8BIT_F32, import_arith },
	{ TFLITE_OP_SOFTMAX, HEARTH_SOFTMAX, 1, TYPES_8BIT, import_softmax },
	{ TFLITE_OP_RESHAPE, HEARTH_RESHAPE, 1, TYPES_ANY, import_reshape },
	{ TFLITE_OP_SQUEEZE, HEARTH_RESHAPE, 1, TYPES_ANY, import_reshape },
	{ TFLITE_OP_EXPAND_DIMS, HEARTH_RESHAPE, 1, TYPES_ANY, import_reshape },
	{ TFLITE_OP_PAD, HEARTH_PAD, 1, TYPES_8BIT, import_pad },
	{ TFLITE_OP_PADV2, HEARTH_PAD, 1, TYPES_8BIT, import_pad },
	{ TFLITE_OP_CONCATENATION, HEARTH_CONCAT, 255, TYPES_ANY, import_concat },
	{ TFLITE_OP_MEAN, HEARTH_MEAN, 1, TYPES_8BIT, import_mean },
	{ TFLITE_OP_QUANTIZE, HEARTH_QUANTIZE, 1, TYPES_8BIT_F32, import_simple },
	{ TFLITE_OP_DEQUANTIZE, HEARTH_QUANTIZE, 1, TYPES_8BIT_F32, import_simple },
	{ TFLITE_OP_RELU, HEARTH_RELU, 1, TYPES_8BIT, import_simple },
	{ TFLITE_OP_RELU6, HEARTH_RELU6, 1, TYPES_8BIT, import_simple },
	{ TFLITE_OP_LOGISTIC, HEARTH_LOGISTIC, 1, TYPES_8BIT, import_simple },
	{ TFLITE_OP_TANH, HEARTH_TANH, 1, TYPES_8BIT, import_simple },
	{ TFLITE_OP_LEAKY_RELU, HEARTH_LEAKY_RELU, 1, TYPES_8BIT, import_leaky_relu },
	{ TFLITE_OP_HARD_SWISH, HEARTH_HARD_SWISH, 1, TYPES_8BIT, import_simple },
};

static int check_type(const struct import *im, const struct row *row, int32_t t)
{
	int type = im->m->tensors[t].type;
	bool known = type >= 0 && type < 32 && row->types >> type & 1;

	if (!known)
		return REFUSE(im, -EOPNOTSUPP, "type %s of '%.100s' is not supported for this op",
			      tflite_type_name(type), name_of(im, t).s);
	if ((TYPES_8BIT >> type & 1) && row->kind != HEARTH_RESHAPE &&
	    row->kind != HEARTH_CONCAT && !im->m->tensors[t].n_scales)
		return REFUSE(im, -EOPNOTSUPP, "'%.100s' is %s without a scale",
			      name_of(im, t).s, tflite_type_name(type));
	return 0;
}

static int check_types(const struct import *im, const struct row *row)
{
	const struct tflite_op *op = im->op;
	int ret = 0;

	if (!op->n_inputs || op->inputs[0] < 0 || op->n_outputs != 1)
		return REFUSE(im, -EINVAL, "%u inputs and %u outputs make no sense", op->n_inputs,
			      op->n_outputs);
	for (uint32_t i = 0; !ret && i < op->n_inputs && i < row->data; i++) {
		if (op->inputs[i] >= 0)
			ret = check_type(im, row, op->inputs[i]);
	}
	return ret ? ret : check_type(im, row, op->outputs[0]);
}

static int import_op(struct import *im)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int ret;

		if (rows[i].code != im->op->code)
			continue;
		ret = check_types(im, &rows[i]);
		return ret ? ret : rows[i].import(im, rows[i].kind);
	}
	if (im->op->custom_code.len)
		return REFUSE(im, -EOPNOTSUPP, "custom op '%.100s' is not supported",
			      text_of(&im->op->custom_code).s);
	return REFUSE(im, -EOPNOTSUPP, "this op is not supported");
}

/* Inputs, then outputs, in the order of the file */
static int import_ends(struct import *im)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < im->m->n_inputs; i++) {
		if (im->map[im->m->inputs[i]] != HEARTH_NO_TENSOR)
			return hearth_seterr(-EOPNOTSUPP, "inputs[%u]: tensor %d is an input twice",
					     i, im->m->inputs[i]);
		ret = add_tensor(im, im->m->inputs[i], HEARTH_TENSOR_INPUT);
	}
	for (uint32_t i = 0; !ret && i < im->m->n_outputs; i++) {
		int32_t t = im->m->outputs[i];

		if (im->map[t] != HEARTH_NO_TENSOR || im->m->tensors[t].is_const)
			return hearth_seterr(-EOPNOTSUPP,
					     "outputs[%u]: tensor %d is an input, a constant or an output twice",
					     i, t);
		ret = add_tensor(im, t, HEARTH_TENSOR_OUTPUT);
	}
	return ret;
}

/*
 * An op that is not supported is a better answer than the type of an end that
 * comes with it.
 */
static int check_ops(struct import *im)
{
	for (im->index = 0; im->index < im->m->n_ops; im->index++) {
		bool found = false;

		im->op = &im->m->ops[im->index];
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
			found |= rows[i].code == im->op->code;
		if (!found)
			return import_op(im);
	}
	return 0;
}

static int import_all(struct import *im)
{
	int ret = check_ops(im);

	im->map = malloc((im->m->n_tensors + 1) * sizeof(*im->map));
	if (!ret && !im->map)
		ret = hearth_seterr(-ENOMEM, "no memory for %u tensors", im->m->n_tensors);
	if (!ret && im->m->map.fd >= 0)
		ret = hearth_graph_set_weights(im->g, im->m->map.fd);
	for (uint32_t i = 0; !ret && i < im->m->n_tensors; i++)
		im->map[i] = HEARTH_NO_TENSOR;
	if (!ret)
		ret = import_ends(im);
	for (im->index = 0; !ret && im->index < im->m->n_ops; im->index++) {
		im->op = &im->m->ops[im->index];
		ret = import_op(im);
	}
	free(im->map);
	return ret;
}

static void free_model(void *m)
{
	tflite_close(m);
}

int hg_import_tflite(struct tflite_model *m, struct hearth_graph **graph)
{
	struct import im = { .m = m };
	int ret = hearth_graph_create(&im.g);

	if (ret) {
		tflite_close(m);
		return ret;
	}
	im.g->owner = m;
	im.g->owner_free = free_model;
	ret = import_all(&im);
	if (ret) {
		hearth_graph_destroy(im.g);
		return ret;
	}
	*graph = im.g;
	return 0;
}

/* An op that is refused is named by the graph; which file it was in, here. */
static int name_file(int ret, const char *path)
{
	struct hearth_err err;

	hearth_err_set(&err, ret, "%s: %s", path, hearth_errmsg());
	return hearth_seterr_from(&err);
}

int hearth_graph_load_tflite(const char *path, struct hearth_graph **graph)
{
	struct tflite_model *m;
	struct hearth_err err;
	int ret;

	ret = tflite_open(path, &m, &err);
	if (ret)
		return hearth_seterr(ret, "%s: %s", path, err.msg);
	ret = hg_import_tflite(m, graph);
	return ret ? name_file(ret, path) : 0;
}
