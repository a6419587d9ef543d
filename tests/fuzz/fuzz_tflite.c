// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "driver.h"
#include "formats/tflite.h"
#include "tflite_sample.h"

const char *const fuzz_name = "tflite";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 17, 18, 22, 25, 32, 34, 40, 45, 49, 53, 97,
	114, 117, 127, 128, 255, 32767, 65535, INT32_MAX, 0x80000000, UINT32_MAX, UINT32_MAX - 3,
	0x3fffffff, 0x40000000, 0x7fc00000, 0x7f800000, UINT64_MAX, INT64_MAX,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* A tensor may cost four bytes of the file and about 200 of memory. */
size_t fuzz_heap_limit(size_t size)
{
	return 4096 + 64 * size;
}

static volatile unsigned int sink;

static void check(int good)
{
	if (!good)
		abort();
}

static void touch(const struct tflite_model *m, const void *p, uint64_t n)
{
	const unsigned char *b = p;

	if (!n)
		return;
	check(b >= m->base && n <= m->size && (uint64_t)(b - m->base) <= m->size - n);
	for (uint64_t i = 0; i < n; i++)
		sink += b[i];
}

/* What an open model promises to everyone who uses it. */
static void touch_tensor(const struct tflite_model *m, const struct tflite_tensor *t)
{
	uint64_t n = 1;

	check(t->rank <= TFLITE_MAX_RANK);
	for (int i = 0; i < TFLITE_MAX_RANK; i++) {
		check(t->shape[i] >= 0);
		n *= t->shape[i];
	}
	check(n == t->n_elems);
	check(tflite_type_bits(t->type) >= 0);
	touch(m, t->name.ptr, t->name.len);
	touch(m, t->scale, 4ull * t->n_scales);
	touch(m, t->zero_point, 8ull * t->n_scales);
	check(t->n_scales <= 1 || (t->quant_dim < t->rank &&
				   t->n_scales == (uint32_t)t->shape[t->quant_dim]));
	if (t->is_const) {
		check(!tflite_type_bits(t->type) || t->data_len == t->nbytes);
		touch(m, t->data, t->data_len);
	}
}

static void touch_indices(const struct tflite_model *m, const int32_t *idx, uint32_t n, int min)
{
	for (uint32_t i = 0; i < n; i++)
		check(idx[i] >= min && (idx[i] < 0 || (uint32_t)idx[i] < m->n_tensors));
}

static void touch_op(const struct tflite_model *m, const struct tflite_op *op)
{
	check(op->code >= 0 && op->name && *op->name);
	touch_indices(m, op->inputs, op->n_inputs, -1);
	touch_indices(m, op->outputs, op->n_outputs, 0);
	touch(m, op->custom_code.ptr, op->custom_code.len);
	touch(m, op->custom_options.ptr, op->custom_options.len);
	if (!op->decoded)
		return;
	if (op->code == TFLITE_OP_CONV_2D || op->code == TFLITE_OP_DEPTHWISE_CONV_2D)
		check(op->conv.stride_w > 0 && op->conv.stride_h > 0 && op->conv.dilation_w > 0 &&
		      op->conv.dilation_h > 0 && op->conv.act <= TFLITE_ACT_SIGN_BIT);
	if (op->code == TFLITE_OP_MAX_POOL_2D || op->code == TFLITE_OP_AVERAGE_POOL_2D)
		check(op->pool.filter_w > 0 && op->pool.filter_h > 0 && op->pool.stride_w > 0);
	if (op->code == TFLITE_OP_RESHAPE || op->code == TFLITE_OP_SQUEEZE)
		touch(m, op->shape.dims, 4ull * op->shape.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hearth_err err = { 0 };
	struct tflite_model *m;
	int ret = tflite_open_mem(data, size, &m, &err);

	if (ret) {
		check(err.code == ret && !strncmp(err.msg, "tflite: ", 8));
		return 0;
	}
	for (uint32_t i = 0; i < m->n_tensors; i++)
		touch_tensor(m, &m->tensors[i]);
	for (uint32_t i = 0; i < m->n_ops; i++)
		touch_op(m, &m->ops[i]);
	touch_indices(m, m->inputs, m->n_inputs, 0);
	touch_indices(m, m->outputs, m->n_outputs, 0);
	tflite_close(m);
	return 0;
}

/* The sample with another operator in the place of its first. */
static void add_variant(void (*add)(const void *data, size_t size), int code, int kind)
{
	struct tflite_sample s = make_tflite_sample();

	fw_set(&s.b, s.code[0], 0, code, 1);
	fw_set(&s.b, s.code[0], 3, code, 4);
	fw_set(&s.b, s.op[0], 3, kind, 1);
	add(s.b.p, s.b.n);
	bytes_free(&s.b);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static const uint8_t variants[][2] = {
		{ TFLITE_OP_CONV_2D, 1 }, { TFLITE_OP_DEPTHWISE_CONV_2D, 2 },
		{ TFLITE_OP_MAX_POOL_2D, 5 }, { TFLITE_OP_FULLY_CONNECTED, 8 },
		{ TFLITE_OP_SOFTMAX, 9 }, { TFLITE_OP_CONCATENATION, 10 }, { TFLITE_OP_ADD, 11 },
		{ TFLITE_OP_RESIZE_BILINEAR, 15 }, { TFLITE_OP_MEAN, 27 },
		{ TFLITE_OP_STRIDED_SLICE, 32 }, { TFLITE_OP_SPLIT, 35 }, { TFLITE_OP_CAST, 37 },
		{ TFLITE_OP_ARG_MAX, 40 }, { TFLITE_OP_TRANSPOSE_CONV, 49 },
		{ TFLITE_OP_UNIDIRECTIONAL_SEQUENCE_LSTM, 71 }, { TFLITE_OP_LEAKY_RELU, 75 },
		{ TFLITE_OP_MIRROR_PAD, 77 },
	};

	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		add_variant(add, variants[i][0], variants[i][1]);
	/* Real ones, where there are any. */
	fuzz_add_models("tflite-mesa-teflon", 2048);
	fuzz_add_models("tflite-micro", 4096);
}
