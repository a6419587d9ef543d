// SPDX-License-Identifier: MIT
/* Defining graphs: what is taken, and what is refused with which words. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "graph/graph.h"
#include "graph_maker.h"

static struct hearth_graph *g;

static int make_graph(void **state)
{
	return hearth_graph_create(&g);
}

static int destroy_graph(void **state)
{
	hearth_graph_destroy(g);
	return 0;
}

/* ---- tensors ---- */

static void tensors_are_numbered_and_described(void **state)
{
	float scales[3] = { 1, 2, 3 };
	struct hearth_tensor_opts o = gm_opts("w", HEARTH_TYPE_I8, HEARTH_TENSOR_CONSTANT,
					      DIMS(3, 1, 1, 2)), got = { .sz = sizeof(got) };
	int8_t data[6] = { 0 };

	o.n_scales = 3;
	o.scales = scales;
	o.data = data;
	assert_int_equal(gm_tensor(g, "x", HEARTH_TYPE_F32, 0, DIMS(2)), 0);
	assert_int_equal(gm_add(g, &o), 1);
	scales[1] = 9;
	assert_int_equal(hearth_graph_get_tensor(g, 1, &got), 0);
	assert_string_equal(got.name, "w");
	assert_int_equal(got.type, HEARTH_TYPE_I8);
	assert_int_equal(got.role, HEARTH_TENSOR_CONSTANT);
	assert_int_equal(got.n_dims, 4);
	assert_int_equal(got.dims[0], 3);
	assert_int_equal(got.n_scales, 3);
	assert_true(got.scales[1] == 2);
	assert_ptr_equal(got.data, data);
	assert_int_equal(hearth_graph_get_tensor(g, 2, &got), -EINVAL);
	assert_int_equal(hearth_graph_get_tensor(g, -1, &got), -EINVAL);
	got.sz = 4;
	assert_int_equal(hearth_graph_get_tensor(g, 1, &got), -EINVAL);
}

static void names_hold_no_control_characters(void **state)
{
	struct hearth_tensor_opts got = { .sz = sizeof(got) };
	char longest[600];

	memset(longest, 'n', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	gm_tensor(g, "a\x1b[31m\nb", HEARTH_TYPE_F32, 0, DIMS(1));
	gm_tensor(g, longest, HEARTH_TYPE_F32, 0, DIMS(1));
	gm_tensor(g, NULL, HEARTH_TYPE_F32, 0, DIMS(1));
	hearth_graph_get_tensor(g, 0, &got);
	assert_string_equal(got.name, "a?[31m?b");
	hearth_graph_get_tensor(g, 1, &got);
	assert_int_equal(strlen(got.name), HG_MAX_NAME);
	hearth_graph_get_tensor(g, 2, &got);
	assert_string_equal(got.name, "tensor 2");
}

static void ends_are_listed_in_order(void **state)
{
	gm_tensor(g, "o1", HEARTH_TYPE_F32, HEARTH_TENSOR_OUTPUT, DIMS(1));
	gm_tensor(g, "i1", HEARTH_TYPE_F32, HEARTH_TENSOR_INPUT, DIMS(1));
	gm_tensor(g, "a", HEARTH_TYPE_F32, HEARTH_TENSOR_ACTIVATION, DIMS(1));
	gm_tensor(g, "i2", HEARTH_TYPE_F32, HEARTH_TENSOR_INPUT, DIMS(1));
	assert_int_equal(hearth_graph_n_inputs(g), 2);
	assert_int_equal(hearth_graph_n_outputs(g), 1);
	assert_int_equal(hearth_graph_input(g, 0), 1);
	assert_int_equal(hearth_graph_input(g, 1), 3);
	assert_int_equal(hearth_graph_output(g, 0), 0);
	assert_int_equal(hearth_graph_input(g, 2), -ENOENT);
	assert_int_equal(hearth_graph_output(g, 1), -ENOENT);
}

/* A good 8-bit tensor, of which each case spoils something. */
static struct hearth_tensor_opts good(void)
{
	static const float scales[3] = { 0.5f, 0.25f, 0.125f };
	struct hearth_tensor_opts o = gm_opts("t", HEARTH_TYPE_I8, HEARTH_TENSOR_INPUT,
					      DIMS(3, 2));

	o.n_scales = 3;
	o.scales = scales;
	return o;
}

static void refuse(const struct hearth_tensor_opts *o, int error, const char *text)
{
	assert_int_equal(hearth_graph_add_tensor(g, o), error);
	assert_message(text);
}

static void bad_shapes_are_refused(void **state)
{
	struct hearth_tensor_opts o = good();

	o.type = 63;
	refuse(&o, -EINVAL, "'t': type 63");
	o = good();
	o.n_dims = 0;
	refuse(&o, -EINVAL, "0 dimensions");
	o.n_dims = 5;
	refuse(&o, -EINVAL, "5 dimensions, 1 to 4");
	o = good();
	o.dims[1] = 0;
	refuse(&o, -EINVAL, "dimension 1 is 0");
	o.dims[1] = HEARTH_CMD_MAX_DIM + 1;
	refuse(&o, -EINVAL, "dimension 1 is 16777217");
	o = gm_opts("big", HEARTH_TYPE_I8, 0, DIMS(1 << 24, 1 << 12));
	gm_add(g, &o);
	o.dims[1]++;
	refuse(&o, -EINVAL, "more than 68719476736 elements");
	o = gm_opts("q", HEARTH_TYPE_Q8_0, 0, DIMS(2, 33));
	refuse(&o, -EINVAL, "33 is not a multiple of q8_0's block of 32");
}

static void bad_roles_are_refused(void **state)
{
	struct hearth_tensor_opts o = good();

	o.role = 6;
	refuse(&o, -EINVAL, "role 6");
	o.role = HEARTH_TENSOR_CONSTANT;
	refuse(&o, -EINVAL, "a constant without data");
	o = gm_opts("w", HEARTH_TYPE_F32, HEARTH_TENSOR_WEIGHTS, DIMS(4));
	o.offset = 6;
	refuse(&o, -EINVAL, "offset 6 is not a multiple of 4");
	o = gm_opts("w", HEARTH_TYPE_Q4_0, HEARTH_TENSOR_WEIGHTS, DIMS(32));
	o.offset = 7;
	refuse(&o, -EINVAL, "offset 7 is not a multiple of 2");
	o.offset = UINT64_MAX - 1;
	refuse(&o, -EINVAL, "beyond any file");
}

static void bad_quantization_is_refused(void **state)
{
	float bad[3] = { 1, NAN, 1 };
	struct hearth_tensor_opts o = good();

	o.type = HEARTH_TYPE_F32;
	refuse(&o, -EINVAL, "scales do not go with type f32");
	o = good();
	o.channel_dim = 2;
	refuse(&o, -EINVAL, "channel_dim is 2 where there are 2 dimensions");
	o.channel_dim = 1;
	refuse(&o, -EINVAL, "3 scales where dimension 1 has 2");
	o = good();
	o.scales = NULL;
	refuse(&o, -EINVAL, "0 scales");
	o = good();
	o.scales = bad;
	refuse(&o, -EINVAL, "scale 1 is nan");
	bad[1] = -1;
	refuse(&o, -EINVAL, "scale 1 is -1");
	o = good();
	o.zero_point = 128;
	refuse(&o, -EINVAL, "zero point 128 is outside of i8");
	o.type = HEARTH_TYPE_U8;
	o.zero_point = -1;
	refuse(&o, -EINVAL, "zero point -1 is outside of u8");
}

static void options_are_checked(void **state)
{
	struct hearth_tensor_opts o = good();

	o.sz = 3;
	refuse(&o, -EINVAL, "use HEARTH_OPTS");
}

static void tensors_have_a_limit(void **state)
{
	struct hearth_tensor_opts o = gm_opts("t", HEARTH_TYPE_F32, 0, DIMS(1));

	for (unsigned int i = 0; i < HG_MAX_TENSORS; i++)
		gm_add(g, &o);
	refuse(&o, -E2BIG, "32768 tensors, which is the limit");
}

/* ---- ops in general ---- */

static hearth_tensor f32(const char *name, enum hearth_tensor_role role, const uint32_t *dims)
{
	return gm_tensor(g, name, HEARTH_TYPE_F32, role, dims);
}

static hearth_tensor i8(const char *name, enum hearth_tensor_role role, const uint32_t *dims)
{
	return gm_quant(g, name, HEARTH_TYPE_I8, role, dims, 0.5f, 3);
}

#define ACT	HEARTH_TENSOR_ACTIVATION
#define IN	HEARTH_TENSOR_INPUT
#define STATE	HEARTH_TENSOR_STATE

/* The op is refused with -EINVAL, or @error, and the message names it. */
#define refused_as(ERROR, OP, OUT, OPTS, TEXT, ...)				\
	do {									\
		assert_int_equal(hearth_graph_add_op(g, OP, INPUTS(__VA_ARGS__),	\
						     OUT, OPTS), ERROR);	\
		assert_message(TEXT);						\
		assert_message("'op 0'");					\
	} while (0)
#define refused(...)	refused_as(-EINVAL, __VA_ARGS__)

static void ops_need_sound_tensors(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(2, 4)), y = f32("y", ACT, DIMS(2, 4));
	hearth_tensor z = f32("z", ACT, DIMS(2, 4)), s = f32("s", STATE, DIMS(2, 4));
	float data[8] = { 0 };
	hearth_tensor c = gm_const(g, "c", HEARTH_TYPE_F32, DIMS(2, 4), data);

	assert_int_equal(hearth_graph_add_op(g, 200, &x, 1, y, NULL), -EINVAL);
	assert_message("op 200 is not known");
	refused(HEARTH_ADD, y, NULL, "1 inputs: 2 to 2 are wanted", x);
	refused(HEARTH_ADD, y, NULL, "3 inputs", x, x, x);
	refused(HEARTH_ADD, y, NULL, "input 1 is missing", x, HEARTH_NO_TENSOR);
	refused(HEARTH_ADD, y, NULL, "input 1 is tensor 99 of 5", x, 99);
	refused(HEARTH_ADD, y, NULL, "input 0 is tensor -7", -7, x);
	refused(HEARTH_ADD, 99, NULL, "output is tensor 99", x, x);
	refused(HEARTH_ADD, HEARTH_NO_TENSOR, NULL, "output is tensor -1", x, x);
	refused(HEARTH_ADD, y, NULL, "'z', is computed by no op before", x, z);
	refused(HEARTH_ADD, x, NULL, "'x' is an input or a constant", c, c);
	refused(HEARTH_ADD, c, NULL, "'c' is an input or a constant", x, x);
	refused(HEARTH_ADD, s, NULL, "'s' is input 1 and output", x, s);
	gm_op(g, HEARTH_ADD, INPUTS(x, c), y, NULL);
	assert_int_equal(hearth_graph_add_op(g, HEARTH_MUL, INPUTS(x, x), y, NULL), -EINVAL);
	assert_message("'y' is computed by 'op 0' already");
}

static void ops_check_their_options(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(1, 4)), y = i8("y", ACT, DIMS(1, 4));
	HEARTH_OPTS(hearth_op_opts, o, .activation = 9);

	refused(HEARTH_ADD, y, &o, "activation 9", x, x);
	o.activation = 0;
	o.padding = 2;
	refused(HEARTH_ADD, y, &o, "padding 2", x, x);
	o.sz = 1;
	assert_int_equal(hearth_graph_add_op(g, HEARTH_ADD, INPUTS(x, x), y, &o), -EINVAL);
	assert_message("use HEARTH_OPTS");
}

static void ops_have_a_limit(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(1)), in[HG_MAX_INPUTS + 1];

	memset(in, 0, sizeof(in));
	assert_int_equal(hearth_graph_add_op(g, HEARTH_CONCAT, in, HG_MAX_INPUTS + 1, x, NULL),
			 -E2BIG);
	assert_message("257 inputs, 256 are possible");
	for (unsigned int i = 0; i < HG_MAX_OPS; i++)
		gm_op(g, HEARTH_ADD, INPUTS(x, x), f32("y", ACT, DIMS(1)), NULL);
	assert_int_equal(hearth_graph_add_op(g, HEARTH_ADD, INPUTS(x, x),
					     f32("y", ACT, DIMS(1)), NULL), -E2BIG);
	assert_message("16384 ops, which is the limit");
}

/* ---- ops of 8-bit networks ---- */

static void convolutions_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(1, 5, 5, 4)), w = i8("w", IN, DIMS(6, 3, 3, 4));
	hearth_tensor y = i8("y", ACT, DIMS(1, 5, 5, 6)), x3 = i8("x3", IN, DIMS(5, 5, 4));
	hearth_tensor b = gm_tensor(g, "b", HEARTH_TYPE_I32, IN, DIMS(6));
	hearth_tensor b5 = gm_tensor(g, "b5", HEARTH_TYPE_I32, IN, DIMS(5));
	hearth_tensor w3 = i8("w3", IN, DIMS(6, 3, 3, 3)), w9 = i8("w9", IN, DIMS(6, 9, 3, 4));
	hearth_tensor w7 = i8("w7", IN, DIMS(7, 3, 3, 2));
	hearth_tensor raw = gm_tensor(g, "raw", HEARTH_TYPE_I8, IN, DIMS(6, 3, 3, 4));
	HEARTH_OPTS(hearth_op_opts, same, .padding = HEARTH_PADDING_SAME);
	HEARTH_OPTS(hearth_op_opts, huge, .stride_w = HEARTH_CMD_MAX_DIM + 1);

	refused(HEARTH_CONV_2D, y, NULL, "'x3' is (5, 5, 4): 4 dimensions", x3, w);
	refused(HEARTH_CONV_2D, y, &same, "'w3' are (6, 3, 3, 3)", x, w3);
	refused(HEARTH_CONV_2D, y, &same, "groups that divide the 7 outputs", x, w7);
	refused(HEARTH_CONV_2D, y, &same, "'raw' has 0 scales", x, raw);
	refused(HEARTH_CONV_2D, y, &same, "bias 'b5' is i32 (5): 6 of i32", x, w, b5);
	refused(HEARTH_CONV_2D, y, &same, "bias 'w' is i8", x, w, w);
	refused(HEARTH_CONV_2D, y, NULL, "'y' is (1, 5, 5, 6): (1, 3, 3, 6) is wanted", x, w, b);
	refused(HEARTH_CONV_2D, y, NULL, "a window of 9x3 with dilation 1x1 does not fit", x, w9);
	refused(HEARTH_CONV_2D, y, &huge, "stride_w is 16777217", x, w);
	gm_op(g, HEARTH_CONV_2D, INPUTS(x, w, b), y, &same);
}

static void depthwise_convolutions_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(1, 5, 5, 4)), w = i8("w", IN, DIMS(1, 3, 3, 8));
	hearth_tensor w6 = i8("w6", IN, DIMS(1, 3, 3, 6)), w2 = i8("w2", IN, DIMS(2, 3, 3, 8));
	hearth_tensor y = i8("y", ACT, DIMS(1, 3, 3, 8));

	refused(HEARTH_DEPTHWISE_CONV_2D, y, NULL, "a multiple of 4) is wanted", x, w6);
	refused(HEARTH_DEPTHWISE_CONV_2D, y, NULL, "'w2' are (2, 3, 3, 8)", x, w2);
	gm_op(g, HEARTH_DEPTHWISE_CONV_2D, INPUTS(x, w), y, NULL);
}

static void channel_scales_must_run_along_the_outputs(void **state)
{
	static const float scales[4] = { 1, 1, 1, 1 };
	struct hearth_tensor_opts o = gm_opts("w", HEARTH_TYPE_I8, IN, DIMS(4, 1, 1, 4));
	hearth_tensor x = i8("x", IN, DIMS(1, 2, 2, 4)), y = i8("y", ACT, DIMS(1, 2, 2, 4));

	o.n_scales = 4;
	o.scales = scales;
	o.channel_dim = 3;
	refused(HEARTH_CONV_2D, y, NULL, "4 scales along dimension 3: 1 or 4 along 0", x,
		gm_add(g, &o));
	o.channel_dim = 0;
	gm_op(g, HEARTH_CONV_2D, INPUTS(x, gm_add(g, &o)), y, NULL);
}

static void fully_connected_is_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(2, 3, 4)), w = i8("w", IN, DIMS(5, 12));
	hearth_tensor w7 = i8("w7", IN, DIMS(5, 7)), y = i8("y", ACT, DIMS(2, 5));
	hearth_tensor y3 = i8("y3", ACT, DIMS(3, 5)), f = f32("f", ACT, DIMS(2, 5));

	refused(HEARTH_FULLY_CONNECTED, y, NULL, "is not made of rows of 7", x, w7);
	refused(HEARTH_FULLY_CONNECTED, y3, NULL, "'y3' is (3, 5): 2 rows of 5", x, w);
	refused(HEARTH_FULLY_CONNECTED, f, NULL, "'f' is of type f32", x, w);
	gm_op(g, HEARTH_FULLY_CONNECTED, INPUTS(x, w, HEARTH_NO_TENSOR), y, NULL);
}

static void pools_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(1, 4, 4, 2)), y = i8("y", ACT, DIMS(1, 2, 2, 2));
	hearth_tensor z = gm_quant(g, "z", HEARTH_TYPE_I8, ACT, DIMS(1, 2, 2, 2), 0.5f, 4);
	HEARTH_OPTS(hearth_op_opts, o, .filter_h = 2, .filter_w = 2, .stride_h = 2,
		    .stride_w = 2);
	HEARTH_OPTS(hearth_op_opts, dilated, .filter_h = 2, .filter_w = 2, .dilation_h = 2);

	refused(HEARTH_MAX_POOL_2D, y, NULL, "filter is 0x0", x);
	refused(HEARTH_MAX_POOL_2D, y, &dilated, "a pool has no dilation", x);
	refused(HEARTH_MAX_POOL_2D, z, &o, "must be quantized alike", x);
	gm_op(g, HEARTH_MAX_POOL_2D, INPUTS(x), y, &o);
}

static void broadcasts_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(2, 3, 4)), y = i8("y", ACT, DIMS(2, 3, 4));
	hearth_tensor inner = i8("inner", IN, DIMS(4)), outer = i8("outer", IN, DIMS(2, 1, 1));
	hearth_tensor one = i8("one", IN, DIMS(1, 1)), f = f32("f", IN, DIMS(2, 3, 4));
	hearth_tensor small = i8("small", ACT, DIMS(4));
	HEARTH_OPTS(hearth_op_opts, relu, .activation = HEARTH_ACT_RELU);

	refused_as(-EOPNOTSUPP, HEARTH_ADD, y, NULL, "(2, 3, 4) and (2, 1, 1)", x, outer);
	refused(HEARTH_ADD, y, NULL, "'f' is of type f32", x, f);
	refused(HEARTH_ADD, y, NULL, "'x' is of type i8: f32", f, x);
	refused(HEARTH_ADD, small, NULL, "'small' is (4)", x, inner);
	refused_as(-EOPNOTSUPP, HEARTH_ADD, f32("fy", ACT, DIMS(2, 3, 4)), &relu,
		   "f32 with a fused activation", f, f);
	gm_op(g, HEARTH_ADD, INPUTS(x, inner), y, NULL);
	gm_op(g, HEARTH_MUL, INPUTS(one, x), i8("y2", ACT, DIMS(2, 3, 4)), &relu);
}

static void moves_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(2, 3)), y = i8("y", ACT, DIMS(4, 3));
	hearth_tensor f = f32("f", ACT, DIMS(2, 3)), five = i8("five", ACT, DIMS(5));
	HEARTH_OPTS(hearth_op_opts, o, .pad_before = { 1 }, .pad_after = { 2 });
	HEARTH_OPTS(hearth_op_opts, deep, .pad_before = { 0, 0, 1 });
	HEARTH_OPTS(hearth_op_opts, wide, .pad_before = { UINT32_MAX }, .pad_after = { 1 });

	refused(HEARTH_RESHAPE, five, NULL, "type and size must be the same", x);
	refused(HEARTH_RESHAPE, f, NULL, "type and size must be the same", x);
	refused(HEARTH_PAD, y, &o, "'y' is (4, 3): (5, 3) is wanted", x);
	refused(HEARTH_PAD, y, &deep, "1 before and 0 after dimension 2 of (2, 3)", x);
	refused(HEARTH_PAD, y, &wide, "4294967295 before", x);
	o.pad_after[0] = 1;
	gm_op(g, HEARTH_PAD, INPUTS(x), y, &o);
}

static void concatenations_are_checked(void **state)
{
	hearth_tensor a = i8("a", IN, DIMS(2, 3)), b = i8("b", IN, DIMS(2, 5));
	hearth_tensor y = i8("y", ACT, DIMS(2, 8)), f = f32("f", IN, DIMS(2, 5));
	hearth_tensor c = i8("c", IN, DIMS(3, 5)), y9 = i8("y9", ACT, DIMS(2, 9));
	HEARTH_OPTS(hearth_op_opts, o, .axis = 1);
	HEARTH_OPTS(hearth_op_opts, o2, .axis = 2);

	refused(HEARTH_CONCAT, y, &o2, "axis 2 of (2, 8)", a, b);
	refused(HEARTH_CONCAT, y, &o, "'f' is of type f32", a, f);
	refused(HEARTH_CONCAT, y, &o, "may differ along axis 1 only", a, c);
	refused(HEARTH_CONCAT, y9, &o, "the inputs make 8 along axis 1", a, b);
	refused(HEARTH_CONCAT, y, &o, "input 1 is missing", a, HEARTH_NO_TENSOR);
	refused(HEARTH_CONCAT, y, &o, "input 3 is missing", a, b, a, HEARTH_NO_TENSOR);
	gm_op(g, HEARTH_CONCAT, INPUTS(a, b), y, &o);
}

static void means_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(2, 3, 4, 5)), y = i8("y", ACT, DIMS(2, 5));
	hearth_tensor u = gm_quant(g, "u", HEARTH_TYPE_U8, ACT, DIMS(2, 5), 1, 0);
	HEARTH_OPTS(hearth_op_opts, none);
	HEARTH_OPTS(hearth_op_opts, five, .axes = 1 << 4);
	HEARTH_OPTS(hearth_op_opts, apart, .axes = 5);
	HEARTH_OPTS(hearth_op_opts, one, .axes = 2);
	HEARTH_OPTS(hearth_op_opts, good, .axes = 6);

	refused(HEARTH_MEAN, y, &none, "axes 0 of", x);
	refused(HEARTH_MEAN, y, &five, "axes 0x10 of", x);
	refused_as(-EOPNOTSUPP, HEARTH_MEAN, y, &apart, "only neighbouring dimensions", x);
	refused(HEARTH_MEAN, y, &one, "40 elements are left", x);
	refused(HEARTH_MEAN, u, &good, "'u' is of type u8: i8", x);
	gm_op(g, HEARTH_MEAN, INPUTS(x), y, &good);
}

static void tables_are_checked(void **state)
{
	hearth_tensor x = i8("x", IN, DIMS(4)), y = i8("y", ACT, DIMS(4));
	hearth_tensor f = f32("f", IN, DIMS(4)), fy = f32("fy", ACT, DIMS(4));
	hearth_tensor y5 = i8("y5", ACT, DIMS(5));
	hearth_tensor u = gm_quant(g, "u", HEARTH_TYPE_U8, ACT, DIMS(4), 1, 0);
	hearth_tensor zero = gm_quant(g, "zero", HEARTH_TYPE_I8, ACT, DIMS(4), 0, 0);
	HEARTH_OPTS(hearth_op_opts, bad, .alpha = INFINITY, .beta = NAN);

	refused(HEARTH_TANH, y5, NULL, "'y5' is (5): (4) is wanted", x);
	refused(HEARTH_TANH, u, NULL, "'u' is of type u8: i8", x);
	refused(HEARTH_TANH, zero, NULL, "'zero' has scale 0", x);
	refused(HEARTH_LEAKY_RELU, y, &bad, "alpha is inf", x);
	refused(HEARTH_SOFTMAX, y, &bad, "beta is nan", x);
	refused(HEARTH_SOFTMAX, y5, NULL, "'y5' is (5)", x);
	refused(HEARTH_QUANTIZE, fy, NULL, "'fy' is of type f32", f);
	refused(HEARTH_QUANTIZE, y5, NULL, "'y5' is (5)", f);
	gm_op(g, HEARTH_QUANTIZE, INPUTS(x), fy, NULL);
	gm_op(g, HEARTH_SOFTMAX, INPUTS(x), y, NULL);
	gm_op(g, HEARTH_QUANTIZE, INPUTS(y), u, NULL);
}

/* ---- ops of transformers ---- */

static void tables_of_rows_and_matmuls_are_checked(void **state)
{
	hearth_tensor t = f32("t", IN, DIMS(10, 8)), y = f32("y", ACT, DIMS(3, 8));
	hearth_tensor ids = gm_tensor(g, "ids", HEARTH_TYPE_I32, IN, DIMS(3));
	hearth_tensor t8 = i8("t8", IN, DIMS(10, 8)), x = f32("x", IN, DIMS(3, 7));
	hearth_tensor p = f32("p", ACT, DIMS(3, 10)), x8 = f32("x8", IN, DIMS(3, 8));
	hearth_tensor r8 = gm_tensor(g, "r8", HEARTH_TYPE_Q8_0_R8, IN, DIMS(8, 32));
	hearth_tensor r10 = gm_tensor(g, "r10", HEARTH_TYPE_Q8_0_R8, IN, DIMS(10, 32));
	hearth_tensor x32 = f32("x32", IN, DIMS(3, 32)), y32 = f32("y32", ACT, DIMS(3, 32));
	hearth_tensor p8 = f32("p8", ACT, DIMS(3, 8));

	refused(HEARTH_GET_ROWS, y, NULL, "'t8' is of type i8", t8, ids);
	refused(HEARTH_GET_ROWS, y, NULL, "'x' is of type f32: i32", t, x);
	refused(HEARTH_GET_ROWS, p, NULL, "'p' is (3, 10): (3, 8)", t, ids);
	refused(HEARTH_MATMUL, p, NULL, "their last dimensions differ", x, t);
	refused(HEARTH_MATMUL, y, NULL, "'y' is (3, 8): (3, 10)", x8, t);
	refused(HEARTH_MATMUL, p, NULL, "'t8' is of type i8", x8, t8);
	refused(HEARTH_MATMUL, p, NULL, "'ids' is (3): 2 dimensions", ids, t);
	refused(HEARTH_GET_ROWS, y32, NULL, "(10, 32) is of type q8_0_r8: a multiple of 8 rows",
		r10, ids);
	refused(HEARTH_RESHAPE, gm_tensor(g, "r16", HEARTH_TYPE_Q8_0_R8, ACT, DIMS(16, 32)), NULL,
		"'r8b' is of type q8_0_r8, whose rows stand in groups",
		gm_tensor(g, "r8b", HEARTH_TYPE_Q8_0_R8, IN, DIMS(8, 64)));
	refused(HEARTH_MATMUL, p, NULL, "(10, 32) is of type q8_0_r8: a multiple of 8 rows",
		x32, r10);
	gm_op(g, HEARTH_MATMUL, INPUTS(x32, r8), p8, NULL);
	gm_op(g, HEARTH_MATMUL, INPUTS(x8, t), p, NULL);
	gm_op(g, HEARTH_GET_ROWS, INPUTS(t, ids), y, NULL);
	gm_op(g, HEARTH_GET_ROWS, INPUTS(r8, ids), y32, NULL);
}

static void norms_and_gates_are_checked(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(2, 8)), y = f32("y", ACT, DIMS(2, 8));
	hearth_tensor w = f32("w", IN, DIMS(8)), w7 = f32("w7", IN, DIMS(7));
	hearth_tensor y3 = f32("y3", ACT, DIMS(3, 8));
	hearth_tensor n = gm_tensor(g, "n", HEARTH_TYPE_I32, ACT, DIMS(3));
	HEARTH_OPTS(hearth_op_opts, bad, .eps = -1);

	refused(HEARTH_RMS_NORM, y, NULL, "gains 'w7' are (7): 8", x, w7);
	refused(HEARTH_RMS_NORM, y, &bad, "eps is -1", x, w);
	refused(HEARTH_RMS_NORM, y3, NULL, "'y3' is (3, 8)", x, w);
	refused(HEARTH_SWIGLU, y, NULL, "'w' is (8): (2, 8)", x, w);
	refused(HEARTH_SWIGLU, y3, NULL, "'y3' is (3, 8)", x, x);
	refused(HEARTH_ARGMAX, n, NULL, "'n' is (3): 2 are wanted", x);
	refused(HEARTH_ARGMAX, y, NULL, "'y' is of type f32: i32", x);
	gm_op(g, HEARTH_RMS_NORM, INPUTS(x, w), y, NULL);
}

static void ropes_are_checked(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(2, 3, 8)), y = f32("y", ACT, DIMS(2, 3, 8));
	hearth_tensor pos = gm_tensor(g, "pos", HEARTH_TYPE_I32, IN, DIMS(2));
	hearth_tensor pos3 = gm_tensor(g, "pos3", HEARTH_TYPE_I32, IN, DIMS(3));
	hearth_tensor t = f32("t", IN, DIMS(5, 8)), t2 = f32("t2", IN, DIMS(2, 6));
	HEARTH_OPTS(hearth_op_opts, o, .rope_halves = 2);

	refused(HEARTH_ROPE, y, NULL, "1 inputs: 2 to 3 are wanted", x);
	refused(HEARTH_ROPE, y, NULL, "'pos3' is (3): 2 are wanted", x, t, pos3);
	refused(HEARTH_ROPE, y, NULL, "'x' is (2, 3, 8): 2 dimensions are wanted", x, x);
	refused(HEARTH_ROPE, y, NULL, "'ti' is of type i32: f32", x,
		gm_tensor(g, "ti", HEARTH_TYPE_I32, IN, DIMS(2, 8)));
	refused(HEARTH_ROPE, y, NULL, "table 't' is (5, 8): 2 rows are wanted", x, t);
	refused(HEARTH_ROPE, y, NULL, "'t7' is (2, 7): rows of an even number, at most 8", x,
		f32("t7", IN, DIMS(2, 7)));
	refused(HEARTH_ROPE, y, NULL, "'t10' is (2, 10): rows of an even number", x,
		f32("t10", IN, DIMS(2, 10)));
	refused(HEARTH_ROPE, y, &o, "rope_halves is 2", x, t2);
	refused(HEARTH_ROPE, f32("z", ACT, DIMS(2, 8, 3)), NULL, "'z' is (2, 8, 3)", x, t2);
	o.rope_halves = 1;
	gm_op(g, HEARTH_ROPE, INPUTS(x, t2), y, &o);
	gm_op(g, HEARTH_ROPE, INPUTS(x, t, pos), f32("y2", ACT, DIMS(2, 3, 8)), &o);
}

static void caches_are_checked(void **state)
{
	hearth_tensor q = f32("q", IN, DIMS(2, 6, 8)), kv = f32("kv", IN, DIMS(2, 3, 8));
	hearth_tensor k = f32("k", STATE, DIMS(3, 16, 8)), v = f32("v", STATE, DIMS(3, 16, 8));
	hearth_tensor k4 = f32("k4", STATE, DIMS(4, 16, 8)), i = i8("i", STATE, DIMS(3, 16, 8));
	hearth_tensor half = gm_tensor(g, "half", HEARTH_TYPE_F16, STATE, DIMS(3, 16, 8));
	hearth_tensor pos = gm_tensor(g, "pos", HEARTH_TYPE_I32, IN, DIMS(2));
	hearth_tensor y = f32("y", ACT, DIMS(2, 6, 8)), a = f32("a", ACT, DIMS(3, 16, 8));
	HEARTH_OPTS(hearth_op_opts, bad, .scale = NAN);

	refused(HEARTH_KV_WRITE, a, NULL, "'a' is not a state", kv, pos);
	refused(HEARTH_KV_WRITE, k4, NULL, "'k4' is (4, 16, 8): (3, 16, 8)", kv, pos);
	refused(HEARTH_KV_WRITE, i, NULL, "'i' is of type i8: f16, f32 or q8_0", kv, pos);
	refused(HEARTH_ATTENTION, y, NULL, "'kv' is not a state", q, kv, v, pos);
	refused(HEARTH_ATTENTION, y, NULL, "'half' is of type f16: f32", q, k, half, pos);
	refused(HEARTH_ATTENTION, y, NULL, "'v' is (3, 16, 8): (4, 16, 8)", q, k4, v, pos);
	refused(HEARTH_ATTENTION, y, NULL, "6 heads must be a multiple of 4", q, k4, k4, pos);
	refused(HEARTH_ATTENTION, y, &bad, "scale is nan", q, k, v, pos);
	bad = (struct hearth_op_opts){ .sz = sizeof(bad), .softcap = -1 };
	refused(HEARTH_ATTENTION, y, &bad, "softcap is -1", q, k, v, pos);
	bad = (struct hearth_op_opts){ .sz = sizeof(bad), .window = (1 << 24) + 1 };
	refused(HEARTH_ATTENTION, y, &bad, "window is 16777217: at most 16777216", q, k, v, pos);
	gm_op(g, HEARTH_KV_WRITE, INPUTS(kv, pos), k, NULL);
	gm_op(g, HEARTH_ATTENTION, INPUTS(q, k, v, pos), y, NULL);
}

static void shifts_are_checked(void **state)
{
	hearth_tensor v = gm_tensor(g, "v", HEARTH_TYPE_I32, IN, DIMS(3)), x = f32("x", IN, DIMS(3));
	hearth_tensor v4 = gm_tensor(g, "v4", HEARTH_TYPE_I32, IN, DIMS(4));
	hearth_tensor k = f32("k", STATE, DIMS(3, 16, 8)), a = f32("a", ACT, DIMS(3, 16, 8));
	hearth_tensor t = f32("t", IN, DIMS(16, 8));
	HEARTH_OPTS(hearth_op_opts, o, .rope_halves = 2);

	refused(HEARTH_KV_SHIFT, k, NULL, "'x' is of type f32: i32", x);
	refused(HEARTH_KV_SHIFT, k, NULL, "'v4' is (4): 3 are wanted", v4);
	refused(HEARTH_KV_SHIFT, a, NULL, "'a' is not a state", v);
	refused(HEARTH_KV_SHIFT, k, NULL, "'x' is (3): 2 dimensions are wanted", v, x);
	refused(HEARTH_KV_SHIFT, k, NULL, "'t10' is (16, 10): rows of an even number, at most 8", v,
		f32("t10", IN, DIMS(16, 10)));
	refused(HEARTH_KV_SHIFT, k, NULL, "'t15' is (15, 8): 16 rows are wanted", v,
		f32("t15", IN, DIMS(15, 8)));
	refused(HEARTH_KV_SHIFT, k, &o, "rope_halves is 2", v, t);
	gm_op(g, HEARTH_KV_SHIFT, INPUTS(v, t), k, NULL);
}

static void caps_are_checked(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(2, 8)), y = f32("y", ACT, DIMS(2, 8));
	hearth_tensor y3 = f32("y3", ACT, DIMS(3, 8)), b = i8("b", IN, DIMS(2, 8));
	HEARTH_OPTS(hearth_op_opts, o, .softcap = INFINITY);

	refused(HEARTH_SOFTCAP, y, NULL, "softcap is 0", x);
	refused(HEARTH_SOFTCAP, y, &o, "softcap is inf", x);
	o.softcap = 30;
	refused(HEARTH_SOFTCAP, y, &o, "'b' is of type i8: f32", b);
	refused(HEARTH_SOFTCAP, y3, &o, "'y3' is (3, 8): (2, 8)", x);
	refused(HEARTH_GEGLU, y3, NULL, "'y3' is (3, 8)", x, x);
	gm_op(g, HEARTH_SOFTCAP, INPUTS(x), y, &o);
}

static void weights_need_a_descriptor(void **state)
{
	assert_int_equal(hearth_graph_set_weights(g, -1), -EBADF);
	assert_message("descriptor -1");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_graph, destroy_graph)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tensors_are_numbered_and_described),
		TEST(names_hold_no_control_characters),
		TEST(ends_are_listed_in_order),
		TEST(bad_shapes_are_refused),
		TEST(bad_roles_are_refused),
		TEST(bad_quantization_is_refused),
		TEST(options_are_checked),
		TEST(tensors_have_a_limit),
		TEST(ops_need_sound_tensors),
		TEST(ops_check_their_options),
		TEST(ops_have_a_limit),
		TEST(convolutions_are_checked),
		TEST(depthwise_convolutions_are_checked),
		TEST(channel_scales_must_run_along_the_outputs),
		TEST(fully_connected_is_checked),
		TEST(pools_are_checked),
		TEST(broadcasts_are_checked),
		TEST(moves_are_checked),
		TEST(concatenations_are_checked),
		TEST(means_are_checked),
		TEST(tables_are_checked),
		TEST(tables_of_rows_and_matmuls_are_checked),
		TEST(norms_and_gates_are_checked),
		TEST(ropes_are_checked),
		TEST(caches_are_checked),
		TEST(shifts_are_checked),
		TEST(caps_are_checked),
		TEST(weights_need_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
