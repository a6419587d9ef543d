// SPDX-License-Identifier: MIT
/* The TFLite reader: a small network made here, then broken field by field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "formats/tflite.h"
#include "models.h"
#include "tflite_sample.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define INF 0x7f800000u
#define NAN_BITS 0x7fc00000u
#define MINUS_ONE 0xbf800000u

static int open_copy(const struct bytes *b, size_t n, struct hearth_err *err)
{
	uint8_t *copy = bytes_copy(b, n);
	struct tflite_model *m = NULL;
	int ret = tflite_open_mem(copy, n, &m, err);

	if (!ret)
		tflite_close(m);
	else
		assert_null(m);
	free(copy);
	return ret;
}

static void check_tensors(const struct tflite_sample *s, const struct tflite_model *m)
{
	const struct tflite_tensor *w = &m->tensors[TS_W], *x = &m->tensors[TS_X];

	assert_int_equal(m->n_tensors, 5);
	assert_int_equal(w->name.len, 7);
	assert_memory_equal(w->name.ptr, "weights", 7);
	assert_int_equal(w->type, TFLITE_INT8);
	assert_int_equal(w->rank, 4);
	assert_int_equal(w->shape[0], 3);
	assert_int_equal(w->shape[7], 1);
	assert_int_equal(w->n_elems, 6);
	assert_int_equal(w->n_scales, 3);
	assert_int_equal(w->quant_dim, 0);
	assert_true(w->scale[2] == 0.125f);
	assert_true(w->is_const);
	assert_ptr_equal(w->data, s->b.p + s->data[1]);
	assert_int_equal(w->file_offset, s->data[1]);
	assert_int_equal(w->data_len, 6);
	assert_int_equal(m->tensors[TS_B].nbytes, 12);
	assert_false(x->is_const);
	assert_null(x->data);
	assert_int_equal(x->zero_point[0], -3);
	assert_int_equal(x->nbytes, 32);
}

static void test_reads_all(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct tflite_op *op;
	struct tflite_model *m;
	struct hearth_err err;

	(void)state;
	if (tflite_open_mem(s.b.p, s.b.n, &m, &err))
		fail_msg("%s", err.msg);
	check_tensors(&s, m);
	assert_int_equal(m->n_subgraphs, 1);
	assert_int_equal(m->inputs[0], TS_X);
	assert_int_equal(m->outputs[0], TS_FLAT);
	assert_int_equal(m->n_ops, 2);
	op = &m->ops[0];
	assert_int_equal(op->code, TFLITE_OP_CONV_2D);
	assert_string_equal(op->name, "CONV_2D");
	assert_int_equal(op->version, 1);
	assert_int_equal(op->n_inputs, 3);
	assert_int_equal(op->inputs[2], TS_B);
	assert_int_equal(op->outputs[0], TS_Y);
	assert_true(op->decoded);
	assert_int_equal(op->conv.padding, TFLITE_PADDING_VALID);
	assert_int_equal(op->conv.stride_w, 1);
	assert_int_equal(op->conv.stride_h, 2);
	assert_int_equal(op->conv.act, TFLITE_ACT_RELU6);
	op = &m->ops[1];
	assert_int_equal(op->code, TFLITE_OP_RESHAPE);
	assert_int_equal(op->shape.n, 2);
	assert_int_equal(op->shape.dims[1], -1);
	tflite_close(m);
	bytes_free(&s.b);
}

struct change {
	const char *what;
	size_t pos;
	size_t width;
	uint64_t v;
	int code;
	const char *msg;	/* NULL: the file stays good */
};

static void check_changes(const struct change *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct tflite_sample s = make_tflite_sample();
		struct hearth_err err = { 0 };
		int ret;

		bytes_set(&s.b, c[i].pos, c[i].v, c[i].width);
		ret = open_copy(&s.b, s.b.n, &err);
		if (ret != c[i].code || (c[i].msg && (err.code != ret || !strstr(err.msg, c[i].msg))))
			fail_msg("%s: %d '%s', wanted %d '%s'", c[i].what, ret, err.msg, c[i].code,
				 c[i].msg ? c[i].msg : "");
		bytes_free(&s.b);
	}
}

static void test_broken_container(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct change c[] = {
		{ "identifier", 4, 4, 0x324c4654, -ENOEXEC, "tflite: file identifier 'TFL2' is not 'TFL3'" },
		{ "root offset", 0, 4, UINT32_MAX, -ENODATA, "tflite: model: root: 4 bytes at offset 4294967295" },
		{ "vtable before file", s.root, 4, 0x7fffffff, -EINVAL, "model: root: table at offset" },
		{ "vtable behind file", s.root, 4, 0x80000000, -EINVAL, "bad vtable offset" },
		{ "vtable length", 8, 2, 3, -EINVAL, "model: root: table at offset 24: bad vtable length 3" },
		{ "vtable length 65534", 8, 2, 65534, -EINVAL, "bad vtable length 65534" },
		{ "table length", 10, 2, 65535, -EINVAL, "bad table length 65535" },
		{ "field outside table", 12, 2, 60, -EINVAL, "version: table at offset 24: bad field offset 60" },
		{ "field in soffset", 12, 2, 2, -EINVAL, "bad field offset 2" },
		{ "version 2", fw_field(s.root, 0), 4, 2, -EOPNOTSUPP, "tflite: model: version 2 is not supported" },
		{ "codes offset", fw_field(s.root, 1), 4, 0x7fffffff, -ENODATA, "model: operator_codes:" },
		{ "codes length", s.codes_vec - 4, 4, 0x40000000, -ENODATA, "model: operator_codes: 4294967296 bytes" },
		{ "no subgraph", s.graphs_vec - 4, 4, 0, -EINVAL, "model: subgraphs: the file has none" },
		{ "subgraph offset", s.graphs_vec, 4, 0x10000000, -ENODATA, "model: subgraphs: 4 bytes" },
		{ "tensors length", s.tensors_vec - 4, 4, 0x3fffffff, -ENODATA, "model: tensors: 4294967292 bytes" },
		{ "tensor offset", s.tensors_vec + 4, 4, UINT32_MAX, -ENODATA, "tensor 1: tensors:" },
	};

	(void)state;
	check_changes(c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_tensors(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct change c[] = {
		{ "rank", s.shape[TS_W] - 4, 4, 9, -EOPNOTSUPP, "tensor 1 'weights': shape: rank 9 exceeds the limit of 8" },
		{ "negative dim", s.shape[TS_X] + 4, 4, -1, -ERANGE, "tensor 0 'x': shape[1]: -1 is negative" },
		{ "type", fw_field(s.tensor[TS_X], 1), 1, 99, -EOPNOTSUPP, "tensor 0 'x': type 99 is not supported" },
		{ "negative type", fw_field(s.tensor[TS_X], 1), 1, 0xff, -EOPNOTSUPP, "type -1 is not supported" },
		{ "buffer index", fw_field(s.tensor[TS_W], 2), 4, 4, -ERANGE, "tensor 1 'weights': buffer 4 is outside the file's 4 buffers" },
		{ "buffer too small", s.data[1] - 4, 4, 5, -EINVAL, "tensor 1 'weights': buffer of 5 bytes where shape and type need 6" },
		{ "buffer too large", s.data[1] - 4, 4, 7, -EINVAL, "buffer of 7 bytes" },
		{ "buffer length", s.data[2] - 4, 4, 13, -ENODATA, "tensor 2 'bias': buffer.data: 13 bytes" },
		{ "shape grows", s.shape[TS_B], 4, 4, -EINVAL, "tensor 2 'bias': scale has 3 entries where dimension 0 has 4" },
		{ "name offset", fw_field(s.tensor[TS_X], 3), 4, 0x7ffffff0, -ENODATA, "tensor 0: name:" },
	};

	(void)state;
	check_changes(c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_quantization(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct change c[] = {
		{ "dimension", fw_field(s.quant[TS_X], 6), 4, 4, -ERANGE, "tensor 0 'x': quantized_dimension 4 is outside 0..3" },
		{ "dimension -1", fw_field(s.quant[TS_X], 6), 4, -1, -ERANGE, "quantized_dimension -1" },
		{ "dimension of bias", fw_field(s.quant[TS_B], 6), 4, 3, -ERANGE, "tensor 2 'bias': quantized_dimension 3 is outside 0..0 (rank 1)" },
		{ "other dimension", fw_field(s.quant[TS_W], 6), 4, 3, -EINVAL, "tensor 1 'weights': scale has 3 entries where dimension 3 has 2" },
		{ "scales", s.scale[TS_W] - 4, 4, 2, -EINVAL, "tensor 1 'weights': zero_point has 3 entries where scale has 2" },
		{ "no zero points", s.zero[TS_X] - 4, 4, 0, -EINVAL, "zero_point has 0 entries where scale has 1" },
		{ "scales length", s.scale[TS_W] - 4, 4, 0x7fffffff, -ENODATA, "tensor 1 'weights': quantization.scale:" },
		{ "NaN", s.scale[TS_W] + 4, 4, NAN_BITS, -ERANGE, "tensor 1 'weights': scale[1]: nan is not" },
		{ "infinite", s.scale[TS_W] + 8, 4, INF, -ERANGE, "scale[2]: inf is not" },
		{ "negative", s.scale[TS_X], 4, MINUS_ONE, -ERANGE, "scale[0]: -1 is not" },
		{ "zero point", s.zero[TS_X], 8, 128, -ERANGE, "tensor 0 'x': zero_point[0]: 128 is outside -128..127 of INT8" },
		{ "zero point", s.zero[TS_B] + 16, 8, 1ull << 40, -ERANGE, "tensor 2 'bias': zero_point[2]: 1099511627776 is outside" },
		{ "annotation", fw_field(s.quant[TS_X], 4), 1, 1, 0, NULL },
		{ "block-wise", fw_field(s.quant[TS_X], 4), 1, 2, -EOPNOTSUPP, "quantization.details: kind 2" },
		{ "not quantized", s.scale[TS_X] - 4, 4, 0, 0, NULL },
	};

	(void)state;
	check_changes(c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_operators(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct change c[] = {
		{ "opcode index", fw_field(s.op[0], 0), 4, 2, -ERANGE, "op 0: opcode_index 2 is outside the file's 2 operator_codes" },
		{ "code", fw_field(s.code[0], 3), 4, 127, -EINVAL, "op 0: builtin_code 127 is no operator" },
		{ "inputs length", s.op_inputs[0] - 4, 4, 0x3fffffff, -ENODATA, "op 0 (CONV_2D): inputs:" },
		{ "input index", s.op_inputs[0] + 4, 4, 5, -ERANGE, "op 0 (CONV_2D): inputs[1]: tensor 5 is outside the graph's 5 tensors" },
		{ "input -2", s.op_inputs[0] + 8, 4, -2, -ERANGE, "inputs[2]: tensor -2" },
		{ "optional input", s.op_inputs[0] + 8, 4, -1, 0, NULL },
		{ "output index", s.op_outputs[0], 4, -1, -ERANGE, "op 0 (CONV_2D): outputs[0]: tensor -1" },
		{ "options kind", fw_field(s.op[0], 3), 1, 8, -EINVAL, "op 0 (CONV_2D): builtin_options_type 8 where 1 is needed" },
		{ "options missing", fw_field(s.op[0], 3), 1, 0, -EINVAL, "op 0 (CONV_2D): builtin_options is missing" },
		{ "padding", fw_field(s.conv, 0), 1, 2, -ERANGE, "op 0 (CONV_2D): padding: 2" },
		{ "stride 0", fw_field(s.conv, 1), 4, 0, -ERANGE, "op 0 (CONV_2D): stride_w: 0 is not positive" },
		{ "stride -1", fw_field(s.conv, 2), 4, -1, -ERANGE, "stride_h: -1 is not positive" },
		{ "activation", fw_field(s.conv, 3), 1, 6, -ERANGE, "fused_activation_function: 6 is outside 0..5" },
		{ "activation -1", fw_field(s.conv, 3), 1, 0xff, -ERANGE, "fused_activation_function: -1" },
		{ "dilation 0", fw_field(s.conv, 4), 4, 0, -ERANGE, "dilation_w_factor: 0 is not positive" },
		{ "dilation -2", fw_field(s.conv, 5), 4, -2, -ERANGE, "dilation_h_factor: -2 is not positive" },
		{ "unknown op", fw_field(s.code[0], 3), 4, 4000, 0, NULL },
	};

	(void)state;
	check_changes(c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_graph(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	const struct change c[] = {
		{ "input index", s.inputs, 4, 5, -ERANGE, "subgraph 0: inputs[0]: tensor 5 is outside" },
		{ "input -1", s.inputs, 4, -1, -ERANGE, "subgraph 0: inputs[0]: tensor -1 is outside" },
		{ "output index", s.outputs, 4, 77, -ERANGE, "subgraph 0: outputs[0]: tensor 77 is outside" },
		{ "input is constant", s.inputs, 4, TS_W, -EINVAL, "subgraph 0: inputs[0]: tensor 1 is a constant" },
		{ "no input", s.inputs - 4, 4, 0, -EINVAL, "op 0 (CONV_2D): inputs[0]: tensor 0 has no value yet" },
		{ "later value", s.op_inputs[0], 4, TS_FLAT, -EINVAL, "op 0 (CONV_2D): inputs[0]: tensor 4 has no value yet" },
		{ "own output", s.op_inputs[0], 4, TS_Y, -EINVAL, "inputs[0]: tensor 3 has no value yet" },
		{ "writes constant", s.op_outputs[0], 4, TS_W, -EINVAL, "op 0 (CONV_2D): outputs[0]: tensor 1 has a value already" },
		{ "writes input", s.op_outputs[0], 4, TS_X, -EINVAL, "outputs[0]: tensor 0 has a value already" },
		{ "written twice", s.op_outputs[1], 4, TS_Y, -EINVAL, "op 1 (RESHAPE): outputs[0]: tensor 3 has a value already" },
		{ "never written", s.ops_vec - 4, 4, 1, -EINVAL, "subgraph 0: outputs[0]: no op writes tensor 4" },
	};

	(void)state;
	check_changes(c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

/* Ops that are not decoded keep their names, for the refusal that follows. */
static void test_other_operators(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct tflite_model *m;
	struct hearth_err err;

	(void)state;
	fw_set(&s.b, s.code[0], 3, 131, 4);
	fw_set(&s.b, s.code[0], 0, 127, 1);
	assert_int_equal(tflite_open_mem(s.b.p, s.b.n, &m, &err), 0);
	assert_int_equal(m->ops[0].code, 131);
	assert_string_equal(m->ops[0].name, "RFFT2D");
	assert_false(m->ops[0].decoded);
	tflite_close(m);

	fw_set(&s.b, s.code[0], 3, TFLITE_OP_CUSTOM, 4);
	fw_set(&s.b, s.code[0], 0, TFLITE_OP_CUSTOM, 1);
	assert_int_equal(tflite_open_mem(s.b.p, s.b.n, &m, &err), -EINVAL);
	assert_string_equal(err.msg, "tflite: op 0 (CUSTOM): custom operator without custom_code");
	assert_string_equal(tflite_op_name(209), "STABLEHLO_CASE");
	assert_string_equal(tflite_op_name(210), "UNKNOWN");
	assert_string_equal(tflite_op_name(-1), "UNKNOWN");
	bytes_free(&s.b);
}

/* Data behind the FlatBuffer, as in files beyond 2 GB. */
static void test_outside_buffers(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct tflite_model *m;
	struct hearth_err err;
	size_t at = s.b.n;

	(void)state;
	bytes_add(&s.b, "abcdef", 6);
	bytes_set(&s.b, s.data[1] - 4, 0, 4);
	fw_set(&s.b, s.buffer[1], 1, at, 8);
	fw_set(&s.b, s.buffer[1], 2, 6, 8);
	assert_int_equal(tflite_open_mem(s.b.p, s.b.n, &m, &err), 0);
	assert_memory_equal(m->tensors[TS_W].data, "abcdef", 6);
	assert_int_equal(m->tensors[TS_W].file_offset, at);
	tflite_close(m);

	fw_set(&s.b, s.buffer[1], 2, 7, 8);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "tensor 1 'weights': buffer.offset"));
	fw_set(&s.b, s.buffer[1], 1, UINT64_MAX - 2, 8);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -ENODATA);
	fw_set(&s.b, s.buffer[1], 1, at, 8);
	fw_set(&s.b, s.buffer[1], 2, UINT64_MAX, 8);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -ENODATA);
	bytes_free(&s.b);
}

static void test_shape_overflow(void **state)
{
	static const int32_t dims[4] = { INT32_MAX, INT32_MAX, INT32_MAX, 2 };
	struct tflite_sample s = make_tflite_sample();
	struct hearth_err err;

	(void)state;
	memcpy(s.b.p + s.shape[TS_X], dims, sizeof(dims));
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -EOVERFLOW);
	assert_non_null(strstr(err.msg, "tensor 0 'x': shape[2]: 2147483647 makes more than 2^64"));
	bytes_free(&s.b);
}

/*
 * Every op of this file leads to the same long vector of inputs: a few bytes
 * each, but walking them all would be quadratic.
 */
static void test_shared_vectors(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct hearth_err err;
	size_t ops;

	(void)state;
	/* Ten thousand ops, all of them the second, with inputs as long as the file. */
	ops = fw_vec(&s.b, s.graph, 3, 4, 10000, NULL);
	for (int i = 0; i < 10000; i++) {
		size_t t = fw_table(&s.b, F(0) | F(1));

		fw_link(&s.b, ops + 4 * i, t);
		fw_set(&s.b, t, 0, 1, 4);
	}
	s.op_inputs[1] = fw_vec_at(&s.b, s.inputs - 4, 4, 20000, NULL);
	for (int i = 0; i < 10000; i++) {
		uint32_t t;

		memcpy(&t, s.b.p + ops + 4 * i, 4);
		fw_link(&s.b, fw_field(ops + 4 * i + t, 1), s.op_inputs[1] - 4);
	}
	/* The graph's inputs as they were: fw_vec_at() has linked over their length. */
	bytes_set(&s.b, s.inputs - 4, 1, 4);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "add up to more than it holds"));
	bytes_free(&s.b);
}

static void test_alignment(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct tflite_model *m;
	struct hearth_err err;

	(void)state;
	assert_int_equal(tflite_open_mem(s.b.p + 1, s.b.n - 1, &m, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "not aligned to 16"));

	/* The bias begins two bytes early. */
	memmove(s.b.p + s.data[2] - 6, s.b.p + s.data[2] - 4, 16);
	fw_link(&s.b, fw_field(s.buffer[2], 0), s.data[2] - 6);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "tensor 2 'bias': data at offset"));
	bytes_free(&s.b);
}

static void test_every_truncation(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct hearth_err err;

	(void)state;
	assert_int_equal(open_copy(&s.b, s.b.n, &err), 0);
	for (size_t n = 0; n < s.b.n; n++) {
		int ret = open_copy(&s.b, n, &err);

		if (ret != -ENODATA && ret != -EINVAL)
			fail_msg("%zu bytes: %d", n, ret);
		assert_true(!strncmp(err.msg, "tflite: ", 8));
	}
	bytes_free(&s.b);
}

/* Every bit of the file, one at a time: any verdict, but no crash. */
static void test_every_bit(void **state)
{
	struct tflite_sample s = make_tflite_sample();
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < s.b.n * 8; i++) {
		s.b.p[i / 8] ^= 1u << i % 8;
		open_copy(&s.b, s.b.n, &err);
		s.b.p[i / 8] ^= 1u << i % 8;
	}
	bytes_free(&s.b);
}

static void open_real(const char *path, void *arg)
{
	bool refused = ends_with(path, "/person_detect.tflite");
	struct tflite_model *m;
	struct hearth_err err;
	int ret = tflite_open(path, &m, &err);

	if (!ret)
		tflite_close(m);
	if (refused) {
		assert_int_equal(ret, -ERANGE);
		assert_non_null(strstr(err.msg, "quantized_dimension 3 is outside 0..0"));
		++*(int *)arg;
	} else if (ret) {
		fail_msg("%s: %s", path, err.msg);
	}
}

static void test_real_files(void **state)
{
	const char *dir = models_dir();
	int refused = 0;

	(void)state;
	if (!dir)
		skip();
	assert_true(for_each_file(dir, ".tflite", open_real, &refused) >= 200);
	assert_int_equal(refused, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_all),
		cmocka_unit_test(test_broken_container),
		cmocka_unit_test(test_broken_tensors),
		cmocka_unit_test(test_broken_quantization),
		cmocka_unit_test(test_broken_operators),
		cmocka_unit_test(test_broken_graph),
		cmocka_unit_test(test_other_operators),
		cmocka_unit_test(test_outside_buffers),
		cmocka_unit_test(test_shape_overflow),
		cmocka_unit_test(test_shared_vectors),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_real_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
