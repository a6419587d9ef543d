/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_TFLITE_SAMPLE_H
#define HEARTH_TESTS_TFLITE_SAMPLE_H

#include "fb_writer.h"
#include "formats/tflite.h"

#define F(i) (1u << (i))

/*
 * A small network: x int8 [1,4,4,2], a convolution to 3 channels with weights
 * per channel, a reshape to [1,48]. What a test breaks has its position here.
 */
struct tflite_sample {
	struct bytes b;
	size_t root, graph;
	size_t graphs_vec, codes_vec, buffers_vec, tensors_vec, ops_vec;
	size_t code[2];
	size_t tensor[5], shape[5], quant[5], scale[5], zero[5];
	size_t buffer[4], data[4];
	size_t inputs, outputs;
	size_t op[2], op_inputs[2], op_outputs[2];
	size_t conv, reshape;
};

enum { TS_X, TS_W, TS_B, TS_Y, TS_FLAT };

static inline void ts_tensor(struct tflite_sample *s, int i, const char *name, int type, int rank,
			     const int32_t *shape, uint32_t buffer)
{
	struct bytes *b = &s->b;
	size_t t = fw_table(b, F(0) | F(1) | F(2) | F(3) | F(4));

	s->tensor[i] = t;
	fw_link(b, s->tensors_vec + 4 * i, t);
	fw_set(b, t, 1, type, 1);
	fw_set(b, t, 2, buffer, 4);
	s->shape[i] = fw_vec(b, t, 0, 4, rank, shape);
	fw_str(b, t, 3, name);
}

static inline void ts_quant(struct tflite_sample *s, int i, int n, int dim, int64_t zero)
{
	static const float scales[3] = { 0.5f, 0.25f, 0.125f };
	int64_t zeros[3] = { zero, zero, zero };
	struct bytes *b = &s->b;

	s->quant[i] = fw_sub(b, s->tensor[i], 4, F(2) | F(3) | F(4) | F(6));
	fw_set(b, s->quant[i], 6, dim, 4);
	s->scale[i] = fw_vec(b, s->quant[i], 2, 4, n, scales);
	s->zero[i] = fw_vec(b, s->quant[i], 3, 8, n, zeros);
}

static inline void ts_tensors(struct tflite_sample *s)
{
	static const int32_t x[4] = { 1, 4, 4, 2 }, w[4] = { 3, 1, 1, 2 }, bias[1] = { 3 };
	static const int32_t y[4] = { 1, 4, 4, 3 }, flat[2] = { 1, 48 };

	s->tensors_vec = fw_vec(&s->b, s->graph, 0, 4, 5, NULL);
	ts_tensor(s, TS_X, "x", TFLITE_INT8, 4, x, 0);
	ts_quant(s, TS_X, 1, 0, -3);
	ts_tensor(s, TS_W, "weights", TFLITE_INT8, 4, w, 1);
	ts_quant(s, TS_W, 3, 0, 0);
	ts_tensor(s, TS_B, "bias", TFLITE_INT32, 1, bias, 2);
	ts_quant(s, TS_B, 3, 0, 0);
	ts_tensor(s, TS_Y, "y", TFLITE_INT8, 4, y, 0);
	ts_quant(s, TS_Y, 1, 0, 5);
	ts_tensor(s, TS_FLAT, "flat", TFLITE_INT8, 2, flat, 0);
	ts_quant(s, TS_FLAT, 1, 0, 5);
}

static inline void ts_op(struct tflite_sample *s, int i, int n_in, const int32_t *in, int32_t out,
			 int kind)
{
	struct bytes *b = &s->b;

	s->op[i] = fw_table(b, F(0) | F(1) | F(2) | F(3) | F(4));
	fw_link(b, s->ops_vec + 4 * i, s->op[i]);
	fw_set(b, s->op[i], 0, i, 4);
	fw_set(b, s->op[i], 3, kind, 1);
	s->op_inputs[i] = fw_vec(b, s->op[i], 1, 4, n_in, in);
	s->op_outputs[i] = fw_vec(b, s->op[i], 2, 4, 1, &out);
}

static inline void ts_ops(struct tflite_sample *s)
{
	static const int32_t conv_in[3] = { TS_X, TS_W, TS_B }, reshape_in[1] = { TS_Y };
	static const int32_t new_shape[2] = { 1, -1 };
	struct bytes *b = &s->b;

	s->ops_vec = fw_vec(b, s->graph, 3, 4, 2, NULL);
	ts_op(s, 0, 3, conv_in, TS_Y, 1);
	s->conv = fw_sub(b, s->op[0], 4, F(0) | F(1) | F(2) | F(3) | F(4) | F(5));
	fw_set(b, s->conv, 0, TFLITE_PADDING_VALID, 1);
	fw_set(b, s->conv, 1, 1, 4);
	fw_set(b, s->conv, 2, 2, 4);
	fw_set(b, s->conv, 3, TFLITE_ACT_RELU6, 1);
	fw_set(b, s->conv, 4, 1, 4);
	fw_set(b, s->conv, 5, 1, 4);
	ts_op(s, 1, 1, reshape_in, TS_FLAT, 17);
	s->reshape = fw_sub(b, s->op[1], 4, F(0));
	fw_vec(b, s->reshape, 0, 4, 2, new_shape);
}

static inline void ts_buffers(struct tflite_sample *s)
{
	static const int8_t weights[6] = { 1, 2, 3, 4, 5, 6 };
	static const int32_t bias[3] = { 100, -100, 7 };
	struct bytes *b = &s->b;

	s->buffers_vec = fw_vec(b, s->root, 4, 4, 4, NULL);
	for (int i = 0; i < 4; i++) {
		s->buffer[i] = fw_table(b, i ? F(0) | F(1) | F(2) : 0);
		fw_link(b, s->buffers_vec + 4 * i, s->buffer[i]);
	}
	s->data[1] = fw_vec(b, s->buffer[1], 0, 1, sizeof(weights), weights);
	s->data[3] = fw_vec(b, s->buffer[3], 0, 1, 0, NULL);
	/* The last bytes of the file, so that no shorter one is whole. */
	bytes_pad(b, 16);
	s->data[2] = fw_vec(b, s->buffer[2], 0, 1, sizeof(bias), bias);
}

static inline struct tflite_sample make_tflite_sample(void)
{
	static const int32_t in = TS_X, out = TS_FLAT;
	struct tflite_sample s = { 0 };
	struct bytes *b = &s.b;

	bytes_u32(b, 0);
	bytes_add(b, "TFL3", 4);
	s.root = fw_table(b, F(0) | F(1) | F(2) | F(4));
	fw_link(b, 0, s.root);
	fw_set(b, s.root, 0, 3, 4);
	s.codes_vec = fw_vec(b, s.root, 1, 4, 2, NULL);
	for (int i = 0; i < 2; i++) {
		s.code[i] = fw_table(b, F(0) | F(2) | F(3));
		fw_link(b, s.codes_vec + 4 * i, s.code[i]);
		fw_set(b, s.code[i], 0, i ? TFLITE_OP_RESHAPE : TFLITE_OP_CONV_2D, 1);
		fw_set(b, s.code[i], 2, i + 1, 4);
		fw_set(b, s.code[i], 3, i ? TFLITE_OP_RESHAPE : TFLITE_OP_CONV_2D, 4);
	}
	s.graphs_vec = fw_vec(b, s.root, 2, 4, 1, NULL);
	s.graph = fw_table(b, F(0) | F(1) | F(2) | F(3));
	fw_link(b, s.graphs_vec, s.graph);
	ts_tensors(&s);
	s.inputs = fw_vec(b, s.graph, 1, 4, 1, &in);
	s.outputs = fw_vec(b, s.graph, 2, 4, 1, &out);
	ts_ops(&s);
	ts_buffers(&s);
	return s;
}

#endif
