// SPDX-License-Identifier: MIT
/*
 * Checks of the ops of 8-bit networks. The rules are TFLite's.
 */
#include <errno.h>
#include <math.h>

#include "graph/shape.h"
#include "kernels/exec.h"
#include "kernels/types.h"

static int default_one(const struct hg_check *c, uint32_t *value, const char *name)
{
	if (!*value)
		*value = 1;
	if (*value > HEARTH_CMD_MAX_DIM)
		return hg_refuse(c->op, -EINVAL, "%s is %u: at most %u", name, *value,
				 HEARTH_CMD_MAX_DIM);
	return 0;
}

static int check_strides(const struct hg_check *c)
{
	struct hearth_op_opts *o = c->o;
	int ret = default_one(c, &o->stride_h, "stride_h");

	if (!ret)
		ret = default_one(c, &o->stride_w, "stride_w");
	if (!ret)
		ret = default_one(c, &o->dilation_h, "dilation_h");
	return ret ? ret : default_one(c, &o->dilation_w, "dilation_w");
}

/* The output of windows of @k_h x @k_w, with @channels. */
static int check_windows(const struct hg_check *c, uint32_t k_h, uint32_t k_w,
			 uint32_t channels)
{
	const struct hearth_op_opts *o = c->o;
	const struct hg_tensor *src = c->in[0];
	uint32_t dims[4] = {
		src->dims[0],
		hg_window_out(src->dims[1], k_h, o->stride_h, o->dilation_h, o->padding),
		hg_window_out(src->dims[2], k_w, o->stride_w, o->dilation_w, o->padding),
		channels,
	};

	if (!dims[1] || !dims[2])
		return hg_refuse(c->op, -EINVAL,
				 "a window of %ux%u with dilation %ux%u does not fit '%s' %s",
				 k_h, k_w, o->dilation_h, o->dilation_w, src->name,
				 hg_shape(src).s);
	return hg_want_dims(c, c->out, 4, dims);
}

/* Weights of @n outputs along @dim: one scale, or one each. */
static int check_weights(const struct hg_check *c, unsigned int dim, uint32_t n)
{
	const struct hg_tensor *w = c->in[1];

	if (!hg_is_8bit(w))
		return hg_refuse(c->op, -EINVAL, "'%s' is of type %s: i8 or u8 is wanted",
				 w->name, hk_type_name(w->type));
	if (!w->n_scales || (w->n_scales > 1 && (w->channel_dim != dim || w->n_scales != n)))
		return hg_refuse(c->op, -EINVAL,
				 "'%s' has %u scales along dimension %u: 1 or %u along %u are wanted",
				 w->name, w->n_scales, w->channel_dim, n, dim);
	return 0;
}

static int check_bias(const struct hg_check *c, uint32_t n)
{
	const struct hg_tensor *bias = c->in[2];

	if (!bias)
		return 0;
	if (bias->type == HEARTH_TYPE_I32 && bias->elements == n)
		return 0;
	return hg_refuse(c->op, -EINVAL, "bias '%s' is %s %s: %u of i32 are wanted", bias->name,
			 hk_type_name(bias->type), hg_shape(bias).s, n);
}

static int check_8bit_ends(const struct hg_check *c)
{
	int ret = hg_want_8bit(c, c->in[0]);

	return ret ? ret : hg_want_8bit(c, c->out);
}

static int check_channels(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *w = c->in[1];
	uint32_t in_c = src->dims[3], groups;

	if (c->op->kind == HEARTH_DEPTHWISE_CONV_2D) {
		if (w->dims[0] == 1 && w->dims[3] % in_c == 0)
			return 0;
		return hg_refuse(c->op, -EINVAL,
				 "weights '%s' are %s: (1, h, w, a multiple of %u) is wanted",
				 w->name, hg_shape(w).s, in_c);
	}
	groups = in_c / w->dims[3];
	if (in_c % w->dims[3] == 0 && w->dims[0] % groups == 0)
		return 0;
	return hg_refuse(c->op, -EINVAL,
			 "weights '%s' are %s: their last dimension must divide the %u input channels into groups that divide the %u outputs",
			 w->name, hg_shape(w).s, in_c, w->dims[0]);
}

int hg_check_conv(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *w = c->in[1];
	unsigned int dim = c->op->kind == HEARTH_CONV_2D ? 0 : 3;
	int ret = hg_want_rank(c, src, 4);

	if (!ret)
		ret = hg_want_rank(c, w, 4);
	if (!ret)
		ret = check_8bit_ends(c);
	if (!ret)
		ret = check_strides(c);
	if (!ret)
		ret = check_channels(c);
	if (!ret)
		ret = check_weights(c, dim, w->dims[dim]);
	if (!ret)
		ret = check_bias(c, w->dims[dim]);
	return ret ? ret : check_windows(c, w->dims[1], w->dims[2], w->dims[dim]);
}

int hg_check_fully_connected(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *w = c->in[1], *out = c->out;
	uint64_t rows;
	int ret = hg_want_rank(c, w, 2);

	if (!ret)
		ret = check_8bit_ends(c);
	if (!ret)
		ret = check_weights(c, 0, w->dims[0]);
	if (!ret)
		ret = check_bias(c, w->dims[0]);
	if (ret)
		return ret;
	if (src->elements % w->dims[1])
		return hg_refuse(c->op, -EINVAL,
				 "input '%s' %s is not made of rows of %u, as weights '%s' %s want",
				 src->name, hg_shape(src).s, w->dims[1], w->name, hg_shape(w).s);
	rows = src->elements / w->dims[1];
	if (hg_last_dim(out) != w->dims[0] || out->elements != rows * w->dims[0])
		return hg_refuse(c->op, -EINVAL, "output '%s' is %s: %llu rows of %u are wanted",
				 out->name, hg_shape(out).s, (unsigned long long)rows,
				 w->dims[0]);
	return 0;
}

int hg_check_pool(const struct hg_check *c)
{
	struct hearth_op_opts *o = c->o;
	int ret = hg_want_rank(c, c->in[0], 4);

	if (!ret)
		ret = check_8bit_ends(c);
	if (!ret)
		ret = hg_want_same_quantization(c, c->in[0], c->out);
	if (!ret)
		ret = check_strides(c);
	if (!ret && (o->dilation_h != 1 || o->dilation_w != 1))
		ret = hg_refuse(c->op, -EINVAL, "a pool has no dilation");
	if (!ret && (!o->filter_h || !o->filter_w || o->filter_h > HEARTH_CMD_MAX_DIM ||
		     o->filter_w > HEARTH_CMD_MAX_DIM))
		ret = hg_refuse(c->op, -EINVAL, "filter is %ux%u: 1 to %u are possible",
				o->filter_h, o->filter_w, HEARTH_CMD_MAX_DIM);
	return ret ? ret : check_windows(c, o->filter_h, o->filter_w, c->in[0]->dims[3]);
}

/* Is @b the end of @a's shape, leading ones aside? */
static bool is_suffix(const struct hg_tensor *a, const struct hg_tensor *b)
{
	unsigned int skip = 0;

	while (skip < b->n_dims && b->dims[skip] == 1)
		skip++;
	if (b->n_dims - skip > a->n_dims)
		return false;
	for (unsigned int i = skip; i < b->n_dims; i++) {
		if (b->dims[i] != a->dims[a->n_dims - b->n_dims + i])
			return false;
	}
	return true;
}

int hg_check_binary(const struct hg_check *c)
{
	const struct hg_tensor *a = c->in[0], *b = c->in[1], *big;
	int ret = 0;

	if (a->type == HEARTH_TYPE_F32) {
		ret = hg_want_type(c, b, HEARTH_TYPE_F32);
		if (!ret)
			ret = hg_want_type(c, c->out, HEARTH_TYPE_F32);
		if (!ret && c->o->activation)
			ret = hg_refuse(c->op, -EOPNOTSUPP, "f32 with a fused activation");
	} else {
		ret = check_8bit_ends(c);
		if (!ret)
			ret = hg_want_8bit(c, b);
	}
	if (ret)
		return ret;
	big = a->elements >= b->elements ? a : b;
	if (!is_suffix(big, big == a ? b : a))
		return hg_refuse(c->op, -EOPNOTSUPP,
				 "%s and %s: one must be the end of the other's shape",
				 hg_shape(a).s, hg_shape(b).s);
	if (c->out->elements == big->elements && is_suffix(c->out, big))
		return 0;
	return hg_want_same_shape(c, c->out, big);
}

int hg_check_softmax(const struct hg_check *c)
{
	int ret = check_8bit_ends(c);

	if (!ret)
		ret = hg_want_same_shape(c, c->out, c->in[0]);
	if (ret)
		return ret;
	if (c->o->beta == 0)
		c->o->beta = 1;
	if (!isfinite(c->o->beta))
		return hg_refuse(c->op, -EINVAL, "beta is %g", (double)c->o->beta);
	return 0;
}

int hg_check_reshape(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *out = c->out;

	/* The same bytes would be other elements. */
	if (hk_type(src->type)->r8)
		return hg_refuse(c->op, -EINVAL, "'%s' is of type %s, whose rows stand in groups",
				 src->name, hk_type_name(src->type));
	if (src->type == out->type && src->bytes == out->bytes)
		return 0;
	return hg_refuse(c->op, -EINVAL,
			 "'%s' is %s %s, '%s' is %s %s: type and size must be the same", src->name,
			 hk_type_name(src->type), hg_shape(src).s, out->name,
			 hk_type_name(out->type), hg_shape(out).s);
}

int hg_check_pad(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0];
	uint32_t dims[HEARTH_MAX_DIMS];
	int ret = check_8bit_ends(c);

	if (!ret)
		ret = hg_want_same_quantization(c, src, c->out);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < HEARTH_MAX_DIMS; i++) {
		uint64_t before = c->o->pad_before[i], after = c->o->pad_after[i];

		if (i >= src->n_dims && !before && !after)
			continue;
		if (i >= src->n_dims || src->dims[i] + before + after > HEARTH_CMD_MAX_DIM)
			return hg_refuse(c->op, -EINVAL,
					 "%llu before and %llu after dimension %u of %s",
					 (unsigned long long)before, (unsigned long long)after,
					 i, hg_shape(src).s);
		dims[i] = src->dims[i] + before + after;
	}
	return hg_want_dims(c, c->out, src->n_dims, dims);
}

static int check_part(const struct hg_check *c, const struct hg_tensor *t, uint64_t *sum)
{
	const struct hg_tensor *out = c->out;
	uint32_t axis = c->o->axis;
	int ret = hg_want_type(c, t, out->type);

	if (!ret)
		ret = hg_want_rank(c, t, out->n_dims);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < out->n_dims; i++) {
		if (i != axis && t->dims[i] != out->dims[i])
			return hg_refuse(c->op, -EINVAL,
					 "'%s' %s and '%s' %s may differ along axis %u only",
					 t->name, hg_shape(t).s, out->name, hg_shape(out).s,
					 axis);
	}
	*sum += t->dims[axis];
	return hg_is_8bit(t) ? hg_want_8bit(c, t) : 0;
}

int hg_check_concat(const struct hg_check *c)
{
	unsigned int elements = 1, bytes = 1;
	uint64_t sum = 0;
	int ret;

	hk_type_block(c->out->type, &elements, &bytes);
	if (elements != 1)
		return hg_refuse(c->op, -EOPNOTSUPP, "type %s", hk_type_name(c->out->type));
	if (c->o->axis >= c->out->n_dims)
		return hg_refuse(c->op, -EINVAL, "axis %u of %s", c->o->axis,
				 hg_shape(c->out).s);
	if (hg_is_8bit(c->out)) {
		ret = hg_want_8bit(c, c->out);
		if (ret)
			return ret;
	}
	for (unsigned int i = 0; i < c->op->n_in; i++) {
		ret = check_part(c, hg_in(c->g, c->op, i), &sum);
		if (ret)
			return ret;
	}
	if (sum == c->out->dims[c->o->axis])
		return 0;
	return hg_refuse(c->op, -EINVAL, "output '%s' is %s: the inputs make %llu along axis %u",
			 c->out->name, hg_shape(c->out).s, (unsigned long long)sum, c->o->axis);
}

/* The dimensions reduced must be neighbours: they become one. */
int hg_check_mean(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0];
	uint32_t axes = c->o->axes, run;
	uint64_t left = 1;
	int ret = check_8bit_ends(c);

	if (!ret)
		ret = hg_want_type(c, c->out, src->type);
	if (ret)
		return ret;
	if (!axes || axes >> src->n_dims)
		return hg_refuse(c->op, -EINVAL, "axes %#x of %s", axes, hg_shape(src).s);
	run = axes >> __builtin_ctz(axes);
	if (run & (run + 1))
		return hg_refuse(c->op, -EOPNOTSUPP,
				 "axes %#x of %s: only neighbouring dimensions", axes,
				 hg_shape(src).s);
	for (unsigned int i = 0; i < src->n_dims; i++)
		left *= axes >> i & 1 ? 1 : src->dims[i];
	if (c->out->elements == left)
		return 0;
	return hg_refuse(c->op, -EINVAL, "output '%s' is %s: %llu elements are left of %s",
			 c->out->name, hg_shape(c->out).s, (unsigned long long)left,
			 hg_shape(src).s);
}

int hg_check_quantize(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *out = c->out;
	int ret = 0;

	if (src->type != HEARTH_TYPE_F32)
		ret = hg_want_8bit(c, src);
	if (!ret && (out->type != HEARTH_TYPE_F32 || src->type == HEARTH_TYPE_F32))
		ret = hg_want_8bit(c, out);
	return ret ? ret : hg_want_same_shape(c, out, src);
}

int hg_check_table(const struct hg_check *c)
{
	int ret = check_8bit_ends(c);

	if (!ret)
		ret = hg_want_type(c, c->out, c->in[0]->type);
	if (!ret && c->op->kind == HEARTH_LEAKY_RELU && !isfinite(c->o->alpha))
		ret = hg_refuse(c->op, -EINVAL, "alpha is %g", (double)c->o->alpha);
	return ret ? ret : hg_want_same_shape(c, c->out, c->in[0]);
}
