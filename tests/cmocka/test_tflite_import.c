// SPDX-License-Identifier: MIT
/* From a TFLite model to a graph: each op once, and what is refused. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "graph/graph.h"
#include "graph/tflite_import.h"
#include "graph_maker.h"
#include "models.h"
#include "tflite_sample.h"

/* A model in C structs, as the reader would give it: at most 8 tensors, 2 ops. */
struct maker {
	struct tflite_model *m;
	int32_t in[2], out[2];
	int32_t op_in[2][4], op_out[2][2];
};

static struct maker mk;
static struct hearth_graph *g;
static float scale = 0.5f;
static int64_t zero = 3;

static int begin(void **state)
{
	memset(&mk, 0, sizeof(mk));
	g = NULL;
	mk.m = calloc(1, sizeof(*mk.m));
	mk.m->map.fd = -1;
	mk.m->tensors = calloc(8, sizeof(*mk.m->tensors));
	mk.m->ops = calloc(2, sizeof(*mk.m->ops));
	mk.m->inputs = mk.in;
	mk.m->outputs = mk.out;
	return 0;
}

static int end(void **state)
{
	tflite_close(mk.m);
	hearth_graph_destroy(g);
	return 0;
}

/* A tensor; 8-bit ones are quantized. Dimensions end with 0. */
static int32_t tensor(int type, const int32_t *dims)
{
	struct tflite_tensor *t = &mk.m->tensors[mk.m->n_tensors];

	t->type = type;
	t->name = (struct tflite_str){ "tensor", 6 };
	t->n_elems = 1;
	for (int i = 0; i < TFLITE_MAX_RANK; i++)
		t->shape[i] = 1;
	for (; dims[t->rank]; t->rank++) {
		t->shape[t->rank] = dims[t->rank];
		t->n_elems *= dims[t->rank];
	}
	t->nbytes = t->n_elems * (unsigned int)tflite_type_bits(type) / 8;
	if (type == TFLITE_INT8 || type == TFLITE_UINT8) {
		t->n_scales = 1;
		t->scale = &scale;
		t->zero_point = &zero;
	}
	return mk.m->n_tensors++;
}

#define T(type, ...)	tensor(TFLITE_##type, (const int32_t[9]){ __VA_ARGS__ })

static int32_t constant(int32_t t, const void *data)
{
	mk.m->tensors[t].is_const = true;
	mk.m->tensors[t].data = data;
	mk.m->tensors[t].data_len = mk.m->tensors[t].nbytes;
	return t;
}

/* An op from up to three tensors to one; the first and the result are the ends. */
static struct tflite_op *op(int32_t code, int32_t a, int32_t b, int32_t c, int32_t y)
{
	struct tflite_op *o = &mk.m->ops[mk.m->n_ops];
	int32_t *in = mk.op_in[mk.m->n_ops];

	in[0] = a;
	in[1] = b;
	in[2] = c;
	mk.op_out[mk.m->n_ops][0] = y;
	*o = (struct tflite_op){
		.code = code,
		.name = tflite_op_name(code),
		.inputs = in,
		.n_inputs = c >= 0 ? 3 : b >= 0 ? 2 : 1,
		.outputs = mk.op_out[mk.m->n_ops],
		.n_outputs = 1,
		.decoded = true,
	};
	if (!mk.m->n_ops++) {
		mk.in[0] = a;
		mk.out[0] = y;
		mk.m->n_inputs = mk.m->n_outputs = 1;
	}
	return o;
}

/* The same tensor as both inputs */
static struct tflite_op *op_twice(int32_t code, int32_t a, int32_t y)
{
	return op(code, a, a, -1, y);
}

static int import(void)
{
	struct tflite_model *m = mk.m;

	mk.m = NULL;
	return hg_import_tflite(m, &g);
}

static void imported(enum hearth_op kind)
{
	if (import())
		fail_msg("%s", hearth_errmsg());
	assert_int_equal(g->n_ops, 1);
	assert_int_equal(g->ops[0].kind, kind);
}

static void refused(int error, const char *text)
{
	assert_int_equal(import(), error);
	assert_null(g);
	assert_message(text);
}

/* A fresh start within a test */
static void again(void)
{
	end(NULL);
	begin(NULL);
}

static struct tflite_op *conv(int32_t code, int32_t x, int32_t w, int32_t y)
{
	struct tflite_op *o = op(code, x, w, -1, y);

	o->conv = (struct tflite_conv_opts){ .padding = TFLITE_PADDING_VALID, .stride_w = 1,
					     .stride_h = 2, .dilation_w = 3, .dilation_h = 1,
					     .act = TFLITE_ACT_RELU6 };
	return o;
}

/* ---- what is taken ---- */

static void convolutions_keep_their_options(void **state)
{
	static const int8_t w[2 * 1 * 2 * 3];
	const struct hearth_op_opts *o;
	struct hearth_tensor_opts t = { .sz = sizeof(t) };

	conv(TFLITE_OP_CONV_2D, T(INT8, 1, 5, 7, 3), constant(T(INT8, 2, 1, 2, 3), w),
	     T(INT8, 1, 3, 4, 2));
	imported(HEARTH_CONV_2D);
	o = &g->ops[0].opts;
	assert_int_equal(o->padding, HEARTH_PADDING_VALID);
	assert_int_equal(o->stride_w, 1);
	assert_int_equal(o->stride_h, 2);
	assert_int_equal(o->dilation_w, 3);
	assert_int_equal(o->dilation_h, 1);
	assert_int_equal(o->activation, HEARTH_ACT_RELU6);
	assert_string_equal(g->ops[0].name, "tensor");
	/* Without a file the data is the caller's. */
	hearth_graph_get_tensor(g, g->ops[0].in[1], &t);
	assert_int_equal(t.role, HEARTH_TENSOR_CONSTANT);
	assert_ptr_equal(t.data, w);
	assert_int_equal(t.zero_point, 3);
}

static void depthwise_and_pools_are_taken(void **state)
{
	static const int8_t w[1 * 1 * 2 * 3];
	struct tflite_op *o;

	conv(TFLITE_OP_DEPTHWISE_CONV_2D, T(INT8, 1, 5, 7, 3),
	     constant(T(INT8, 1, 1, 2, 3), w), T(INT8, 1, 3, 4, 3));
	imported(HEARTH_DEPTHWISE_CONV_2D);
	again();
	o = op(TFLITE_OP_MAX_POOL_2D, T(UINT8, 1, 4, 4, 3), -1, -1, T(UINT8, 1, 2, 4, 3));
	o->pool = (struct tflite_pool_opts){ .padding = TFLITE_PADDING_SAME, .stride_w = 1,
					     .stride_h = 2, .filter_w = 3, .filter_h = 2 };
	imported(HEARTH_MAX_POOL_2D);
	assert_int_equal(g->ops[0].opts.filter_w, 3);
	assert_int_equal(g->ops[0].opts.filter_h, 2);
	assert_int_equal(g->ops[0].opts.padding, HEARTH_PADDING_SAME);
}

static void elementwise_ops_are_taken(void **state)
{
	static const struct {
		int32_t code;
		enum hearth_op kind;
	} cases[] = {
		{ TFLITE_OP_RELU, HEARTH_RELU }, { TFLITE_OP_RELU6, HEARTH_RELU6 },
		{ TFLITE_OP_LOGISTIC, HEARTH_LOGISTIC }, { TFLITE_OP_TANH, HEARTH_TANH },
		{ TFLITE_OP_HARD_SWISH, HEARTH_HARD_SWISH },
		{ TFLITE_OP_LEAKY_RELU, HEARTH_LEAKY_RELU },
		{ TFLITE_OP_QUANTIZE, HEARTH_QUANTIZE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		again();
		op(cases[i].code, T(INT8, 2, 3), -1, -1, T(INT8, 2, 3))->leaky_relu.alpha = 0.5f;
		imported(cases[i].kind);
		if (cases[i].kind == HEARTH_LEAKY_RELU)
			assert_true(g->ops[0].opts.alpha == 0.5f);
	}
	again();
	op(TFLITE_OP_DEQUANTIZE, T(INT8, 4), -1, -1, T(FLOAT32, 4));
	imported(HEARTH_QUANTIZE);
	again();
	op(TFLITE_OP_MUL, T(INT8, 4), constant(T(INT8, 1), "\1"), -1, T(INT8, 4))->arith.act =
		TFLITE_ACT_RELU;
	imported(HEARTH_MUL);
	assert_int_equal(g->ops[0].opts.activation, HEARTH_ACT_RELU);
	again();
	op(TFLITE_OP_SOFTMAX, T(INT8, 4), -1, -1, T(INT8, 4))->softmax.beta = 2;
	imported(HEARTH_SOFTMAX);
	assert_true(g->ops[0].opts.beta == 2);
}

static void shapes_come_from_the_output(void **state)
{
	static const int32_t codes[] = { TFLITE_OP_RESHAPE, TFLITE_OP_SQUEEZE,
					 TFLITE_OP_EXPAND_DIMS };

	for (int i = 0; i < 3; i++) {
		again();
		op(codes[i], T(INT32, 1, 6), -1, -1, T(INT32, 2, 3));
		imported(HEARTH_RESHAPE);
	}
}

static void axes_count_from_both_ends(void **state)
{
	static const int32_t axes[2] = { -2, 1 };
	static const int64_t wide[1] = { 2 };

	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4, 5), constant(T(INT32, 2), axes), -1, T(INT8, 2, 5));
	imported(HEARTH_MEAN);
	assert_int_equal(g->ops[0].opts.axes, 6);
	again();
	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4),
	   constant(tensor(TFLITE_INT64, (const int32_t[1]){ 0 }), wide), -1,
	   T(INT8, 2, 3));
	imported(HEARTH_MEAN);
	assert_int_equal(g->ops[0].opts.axes, 4);
	again();
	op_twice(TFLITE_OP_CONCATENATION, T(INT8, 2, 3), T(INT8, 2, 6))->concat.axis = -1;
	imported(HEARTH_CONCAT);
	assert_int_equal(g->ops[0].opts.axis, 1);
	assert_int_equal(g->ops[0].n_in, 2);
}

static void paddings_are_read(void **state)
{
	static const int32_t pads[4] = { 1, 0, 2, 3 };
	static const int8_t value = 3;

	op(TFLITE_OP_PADV2, T(INT8, 2, 3), constant(T(INT32, 2, 2), pads),
	   constant(T(INT8, 1), &value), T(INT8, 3, 8));
	imported(HEARTH_PAD);
	assert_int_equal(g->ops[0].n_in, 1);
	assert_int_equal(g->ops[0].opts.pad_before[0], 1);
	assert_int_equal(g->ops[0].opts.pad_after[0], 0);
	assert_int_equal(g->ops[0].opts.pad_before[1], 2);
	assert_int_equal(g->ops[0].opts.pad_after[1], 3);
}

/* ---- what is not ---- */

static void unknown_ops_are_named(void **state)
{
	op(TFLITE_OP_LOGISTIC, T(INT8, 4), -1, -1, T(INT8, 4));
	op(TFLITE_OP_TRANSPOSE, 1, -1, -1, T(INT8, 4));
	refused(-EOPNOTSUPP, "op 1 (TRANSPOSE): this op is not supported");
	again();
	op(TFLITE_OP_CUSTOM, T(INT8, 4), -1, -1, T(INT8, 4))->custom_code =
		(struct tflite_str){ "my\nop", 5 };
	refused(-EOPNOTSUPP, "op 0 (CUSTOM): custom op 'my?op'");
}

static void types_are_named(void **state)
{
	conv(TFLITE_OP_CONV_2D, T(FLOAT32, 1, 5, 5, 3), T(FLOAT32, 2, 1, 1, 3),
	     T(FLOAT32, 1, 5, 5, 2));
	refused(-EOPNOTSUPP, "op 0 (CONV_2D): type FLOAT32 of 'tensor'");
	again();
	op_twice(TFLITE_OP_ADD, T(INT16, 4), T(INT16, 4));
	refused(-EOPNOTSUPP, "op 0 (ADD): type INT16");
	again();
	op(TFLITE_OP_RESHAPE, T(INT64, 4), -1, -1, T(INT64, 2, 2));
	refused(-EOPNOTSUPP, "'tensor': type INT64");
	again();
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
	mk.m->tensors[mk.out[0]].n_scales = 0;
	refused(-EOPNOTSUPP, "'tensor' is INT8 without a scale");
}

static void tensors_that_are_no_arrays_are_refused(void **state)
{
	op(TFLITE_OP_RELU, T(INT8, 1, 1, 1, 2, 2), -1, -1, T(INT8, 4));
	refused(-EOPNOTSUPP, "5 dimensions, at most 4");
	again();
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
	mk.m->tensors[mk.out[0]].n_elems = 0;
	refused(-EOPNOTSUPP, "'tensor' has no elements");
	again();
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
	mk.m->tensors[mk.in[0]].is_variable = true;
	refused(-EOPNOTSUPP, "variables are not supported");
}

static void zero_points_must_agree(void **state)
{
	static const float scales[2] = { 1, 1 };
	static const int64_t zeros[2] = { 0, 1 };
	static const int8_t w[2];
	int32_t k = constant(T(INT8, 2, 1, 1, 1), w);

	mk.m->tensors[k].n_scales = 2;
	mk.m->tensors[k].scale = scales;
	mk.m->tensors[k].zero_point = zeros;
	conv(TFLITE_OP_CONV_2D, T(INT8, 1, 2, 2, 1), k, T(INT8, 1, 1, 2, 2));
	refused(-EOPNOTSUPP, "zero points differ by channel: 0 and 1");
}

static void activations_are_named(void **state)
{
	op_twice(TFLITE_OP_ADD, T(INT8, 4), T(INT8, 4))->arith.act = TFLITE_ACT_TANH;
	refused(-EOPNOTSUPP, "op 0 (ADD): fused activation 4");
	again();
	op_twice(TFLITE_OP_CONCATENATION, T(INT8, 4), T(INT8, 8))->concat.act = TFLITE_ACT_RELU;
	refused(-EOPNOTSUPP, "op 0 (CONCATENATION): fused activation 1");
}

static void ends_must_be_distinct(void **state)
{
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
	mk.m->n_inputs = 2;
	mk.in[1] = mk.in[0];
	refused(-EOPNOTSUPP, "is an input twice");
	assert_message("inputs[1]: tensor");
	for (int i = 0; i < 2; i++) {
		again();
		op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
		mk.m->n_outputs = 2;
		mk.out[1] = i ? mk.in[0] : mk.out[0];
		refused(-EOPNOTSUPP, "is an input, a constant or an output twice");
		assert_message("outputs[1]: tensor");
	}
}

static void ops_need_their_tensors(void **state)
{
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4))->n_inputs = 0;
	refused(-EINVAL, "op 0 (RELU): 0 inputs and 1 outputs");
	again();
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4))->n_outputs = 2;
	refused(-EINVAL, "op 0 (RELU): 1 inputs and 2 outputs");
	again();
	op(TFLITE_OP_RELU, T(INT8, 4), -1, -1, T(INT8, 4));
	mk.op_in[0][0] = -1;
	refused(-EINVAL, "op 0 (RELU): 1 inputs");
	again();
	op(TFLITE_OP_ADD, T(INT8, 4), -1, -1, T(INT8, 4));
	refused(-EINVAL, "1 inputs: 2 to 2 are wanted");
}

static void parameters_must_be_constants_in_range(void **state)
{
	static const int32_t axis[2] = { 4, -5 }, pads[5] = { 0, 0, -1, 0 };
	static const int32_t none[4];
	static const int8_t value = 4;

	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4, 5), T(INT32, 1), -1, T(INT8, 2));
	refused(-EOPNOTSUPP, "op 0 (MEAN): input 1 is not a constant");
	again();
	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4, 5), constant(T(INT32, 1), axis), -1, T(INT8, 2));
	refused(-EINVAL, "axis 4 where there are 4 dimensions");
	again();
	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4, 5), constant(T(INT32, 1), axis + 1), -1, T(INT8, 2));
	refused(-EINVAL, "axis -5 where there are 4");
	again();
	op(TFLITE_OP_MEAN, T(INT8, 2, 3, 4, 5), constant(T(INT32, 5), pads), -1, T(INT8, 2));
	refused(-EINVAL, "input 1 has 5 elements, at most 4");
	again();
	op(TFLITE_OP_PAD, T(INT8, 2, 3), constant(T(INT32, 1, 2), pads), -1, T(INT8, 2, 3));
	refused(-EINVAL, "2 paddings for 2 dimensions");
	again();
	op(TFLITE_OP_PAD, T(INT8, 2, 3), constant(T(INT32, 2, 2), pads), -1, T(INT8, 2, 3));
	refused(-EINVAL, "padding -1");
	again();
	op(TFLITE_OP_PADV2, T(INT8, 2, 3), constant(T(INT32, 2, 2), none),
	   constant(T(INT8, 1), &value), T(INT8, 2, 3));
	refused(-EOPNOTSUPP, "value 4 is not the zero point 3");
	again();
	op(TFLITE_OP_RESHAPE, T(INT8, 4), T(INT32, 2), -1, T(INT8, 2, 2));
	refused(-EOPNOTSUPP, "a shape that is computed");
	again();
	op_twice(TFLITE_OP_CONCATENATION, T(INT8, 4), T(INT8, 8))->concat.axis = 1;
	refused(-EINVAL, "axis 1 where there are 1 dimensions");
	again();
	op(TFLITE_OP_SOFTMAX, T(INT8, 4), -1, -1, T(INT8, 4))->softmax.beta = -1;
	refused(-EOPNOTSUPP, "beta is -1");
}

static void shapes_are_checked_by_the_graph(void **state)
{
	op(TFLITE_OP_RESHAPE, T(INT8, 4), -1, -1, T(INT8, 5));
	refused(-EINVAL, "reshape 'tensor': 'tensor' is i8 (4)");
}

/* ---- files ---- */

static char *sample_file(void)
{
	static char path[] = "/tmp/hearth-sample-XXXXXX";
	struct tflite_sample s = make_tflite_sample();
	int fd;

	fw_set(&s.b, s.conv, 2, 1, 4);	/* stride_h */
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, s.b.p, s.b.n), s.b.n);
	close(fd);
	free(s.b.p);
	return path;
}

/* x [1,4,4,2] at 0.5 * (q + 3), a 1x1 convolution with ReLU6, y at 0.5 * (q - 5) */
static void a_file_runs_with_its_weights_in_place(void **state)
{
	char *path = sample_file();
	struct hearth_program_info info = { .sz = sizeof(info) };
	struct hearth_program *p;
	struct hearth_device *dev;
	struct hearth_graph *f;
	int8_t *x, *y;
	uint64_t n;

	if (hearth_graph_load_tflite(path, &f))
		fail_msg("%s", hearth_errmsg());
	unlink(path);
	assert_int_equal(hearth_device_open("cpu", NULL, &dev), 0);
	if (hearth_compile(f, dev, NULL, &p))
		fail_msg("%s", hearth_errmsg());
	x = hearth_program_data(p, hearth_graph_input(f, 0), &n);
	assert_int_equal(n, 32);
	y = hearth_program_data(p, hearth_graph_output(f, 0), &n);
	hearth_graph_destroy(f);
	memset(x, 0, 32);
	assert_int_equal(hearth_program_run(p), 0);
	/* Both inputs are 3 steps above zero; the sums are 109, -79, 40 steps. */
	assert_int_equal(hearth_program_get_info(p, &info), 0);
	assert_int_equal(info.weights_bytes, 6 + 12);
	assert_int_equal(info.n_ops, 1);
	for (uint64_t i = 0; i < n; i++) {
		static const float weights[3] = { 0.5f, 0.25f, 0.125f };
		static const int sums[3] = { 3 * 3 + 100, 7 * 3 - 100, 11 * 3 + 7 };
		float v = 0.5f * weights[i % 3] * sums[i % 3];
		float want = v < 0 ? 0 : v > 6 ? 6 : v;

		assert_true(fabsf(0.5f * (y[i] - 5) - want) <= 0.251f);
	}
	hearth_program_destroy(p);
	hearth_device_close(dev);
}

static void broken_files_are_refused(void **state)
{
	assert_int_equal(hearth_graph_load_tflite("/nonexistent.tflite", &g), -ENOENT);
	assert_message("/nonexistent.tflite");
	assert_int_equal(hearth_graph_load_tflite("/dev/null", &g), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(convolutions_keep_their_options),
		TEST(depthwise_and_pools_are_taken),
		TEST(elementwise_ops_are_taken),
		TEST(shapes_come_from_the_output),
		TEST(axes_count_from_both_ends),
		TEST(paddings_are_read),
		TEST(unknown_ops_are_named),
		TEST(types_are_named),
		TEST(tensors_that_are_no_arrays_are_refused),
		TEST(zero_points_must_agree),
		TEST(activations_are_named),
		TEST(ends_must_be_distinct),
		TEST(ops_need_their_tensors),
		TEST(parameters_must_be_constants_in_range),
		TEST(shapes_are_checked_by_the_graph),
		TEST(a_file_runs_with_its_weights_in_place),
		TEST(broken_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
