/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_TFLITE_H
#define HEARTH_FORMATS_TFLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct hearth_err;

#define TFLITE_MAX_RANK 8

/* The numbers of the file format. */
enum tflite_type {
	TFLITE_FLOAT32 = 0,
	TFLITE_FLOAT16 = 1,
	TFLITE_INT32 = 2,
	TFLITE_UINT8 = 3,
	TFLITE_INT64 = 4,
	TFLITE_STRING = 5,
	TFLITE_BOOL = 6,
	TFLITE_INT16 = 7,
	TFLITE_COMPLEX64 = 8,
	TFLITE_INT8 = 9,
	TFLITE_FLOAT64 = 10,
	TFLITE_COMPLEX128 = 11,
	TFLITE_UINT64 = 12,
	TFLITE_RESOURCE = 13,
	TFLITE_VARIANT = 14,
	TFLITE_UINT32 = 15,
	TFLITE_UINT16 = 16,
	TFLITE_INT4 = 17,
	TFLITE_BFLOAT16 = 18,
};

enum tflite_padding {
	TFLITE_PADDING_SAME = 0,
	TFLITE_PADDING_VALID = 1,
};

enum tflite_act {
	TFLITE_ACT_NONE = 0,
	TFLITE_ACT_RELU = 1,
	TFLITE_ACT_RELU_N1_TO_1 = 2,
	TFLITE_ACT_RELU6 = 3,
	TFLITE_ACT_TANH = 4,
	TFLITE_ACT_SIGN_BIT = 5,
};

/* Builtin operators whose options are decoded, and those that have none. */
enum tflite_op_code {
	TFLITE_OP_ADD = 0,
	TFLITE_OP_AVERAGE_POOL_2D = 1,
	TFLITE_OP_CONCATENATION = 2,
	TFLITE_OP_CONV_2D = 3,
	TFLITE_OP_DEPTHWISE_CONV_2D = 4,
	TFLITE_OP_DEPTH_TO_SPACE = 5,
	TFLITE_OP_DEQUANTIZE = 6,
	TFLITE_OP_FULLY_CONNECTED = 9,
	TFLITE_OP_LOGISTIC = 14,
	TFLITE_OP_MAX_POOL_2D = 17,
	TFLITE_OP_MUL = 18,
	TFLITE_OP_RELU = 19,
	TFLITE_OP_RELU_N1_TO_1 = 20,
	TFLITE_OP_RELU6 = 21,
	TFLITE_OP_RESHAPE = 22,
	TFLITE_OP_RESIZE_BILINEAR = 23,
	TFLITE_OP_SOFTMAX = 25,
	TFLITE_OP_SPACE_TO_DEPTH = 26,
	TFLITE_OP_TANH = 28,
	TFLITE_OP_CUSTOM = 32,
	TFLITE_OP_PAD = 34,
	TFLITE_OP_GATHER = 36,
	TFLITE_OP_TRANSPOSE = 39,
	TFLITE_OP_MEAN = 40,
	TFLITE_OP_SUB = 41,
	TFLITE_OP_DIV = 42,
	TFLITE_OP_SQUEEZE = 43,
	TFLITE_OP_UNIDIRECTIONAL_SEQUENCE_LSTM = 44,
	TFLITE_OP_STRIDED_SLICE = 45,
	TFLITE_OP_SPLIT = 49,
	TFLITE_OP_CAST = 53,
	TFLITE_OP_PRELU = 54,
	TFLITE_OP_MAXIMUM = 55,
	TFLITE_OP_ARG_MAX = 56,
	TFLITE_OP_MINIMUM = 57,
	TFLITE_OP_PADV2 = 60,
	TFLITE_OP_SLICE = 65,
	TFLITE_OP_TRANSPOSE_CONV = 67,
	TFLITE_OP_EXPAND_DIMS = 70,
	TFLITE_OP_SUM = 74,
	TFLITE_OP_REDUCE_MAX = 82,
	TFLITE_OP_PACK = 83,
	TFLITE_OP_UNPACK = 88,
	TFLITE_OP_REDUCE_MIN = 89,
	TFLITE_OP_RESIZE_NEAREST_NEIGHBOR = 97,
	TFLITE_OP_LEAKY_RELU = 98,
	TFLITE_OP_MIRROR_PAD = 100,
	TFLITE_OP_QUANTIZE = 114,
	TFLITE_OP_HARD_SWISH = 117,
	TFLITE_OP_BATCH_MATMUL = 126,
	TFLITE_OP_GELU = 150,
};

/* A view into the file: not NUL-terminated, may hold any byte. */
struct tflite_str {
	const char *ptr;
	uint32_t len;
};

struct tflite_tensor {
	struct tflite_str name;
	int type;			/* enum tflite_type */
	uint32_t rank;			/* 0: a scalar */
	int32_t shape[TFLITE_MAX_RANK];	/* unused ones are 1 */
	bool dynamic;			/* a -1 in shape_signature: shape is a guess */
	bool is_variable;		/* keeps its value between runs, starts as zeros */
	uint64_t n_elems;
	uint64_t nbytes;		/* 0 for STRING, RESOURCE, VARIANT */

	/* real = scale * (q - zero_point); n_scales 0: not quantized, 1: per tensor,
	 * else one per index of dimension quant_dim.
	 */
	uint32_t n_scales;
	uint32_t quant_dim;
	const float *scale;
	const int64_t *zero_point;

	/* A constant: nbytes bytes of the mapping, aligned to min(element, 4). */
	bool is_const;
	const void *data;
	uint64_t data_len;
	uint64_t file_offset;
};

struct tflite_conv_opts {		/* CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV */
	enum tflite_padding padding;
	int32_t stride_w, stride_h;
	int32_t dilation_w, dilation_h;
	int32_t depth_multiplier;	/* depthwise only; may be 0, the shapes tell it */
	enum tflite_act act;
};

struct tflite_pool_opts {
	enum tflite_padding padding;
	int32_t stride_w, stride_h;
	int32_t filter_w, filter_h;
	enum tflite_act act;
};

struct tflite_fc_opts {
	enum tflite_act act;
	bool keep_num_dims;
	bool asymmetric_quantize_inputs;
	int weights_format;		/* 0 only: shuffled weights are refused */
};

struct tflite_lstm_opts {
	enum tflite_act act;
	float cell_clip, proj_clip;
	bool time_major;
	bool asymmetric_quantize_inputs;
	bool diagonal_recurrent_tensors;
};

struct tflite_strided_slice_opts {
	int32_t begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask;
	bool offset;
};

struct tflite_op {
	int32_t code;			/* enum tflite_op_code, or another builtin */
	int32_t version;
	const char *name;		/* the builtin's; "CUSTOM" for custom ops */
	struct tflite_str custom_code;	/* custom ops only */
	struct tflite_str custom_options;
	const int32_t *inputs;		/* tensor indices; -1: optional and absent */
	uint32_t n_inputs;
	const int32_t *outputs;		/* never -1 */
	uint32_t n_outputs;
	bool decoded;			/* the options below are valid, or the op has none */
	union {
		struct tflite_conv_opts conv;
		struct tflite_pool_opts pool;
		struct tflite_fc_opts fc;
		struct tflite_lstm_opts lstm;
		struct tflite_strided_slice_opts strided_slice;
		struct {
			float beta;
		} softmax;
		struct {
			int32_t axis;
			enum tflite_act act;
		} concat;
		struct {		/* ADD, SUB, MUL, DIV */
			enum tflite_act act;
			bool pot_scale_int16;
		} arith;
		struct {		/* RESHAPE, SQUEEZE; NULL: see the second input */
			const int32_t *dims;
			uint32_t n;
		} shape;
		struct {		/* MEAN, SUM, REDUCE_MAX, REDUCE_MIN */
			bool keep_dims;
		} reduce;
		struct {
			bool align_corners, half_pixel_centers;
		} resize;
		struct {
			float alpha;
		} leaky_relu;
		struct {		/* GATHER, PACK, UNPACK */
			int32_t axis;
			int32_t count;	/* PACK, UNPACK: tensors; GATHER: batch_dims */
		} axis;
		struct {		/* SPLIT: outputs; *_TO_*: block size */
			int32_t n;
		} num;
		struct {		/* CAST: in and out; ARG_MAX: out */
			int in, out;
		} types;
		struct {
			bool symmetric;
		} mirror_pad;
		struct {
			bool adj_x, adj_y;
		} matmul;
		struct {
			bool approximate;
		} gelu;
	};
};

/*
 * Subgraph 0 of a file, checked so that every index in it can be followed:
 * ops are in an order in which each input is a graph input, a constant, a
 * variable or the output of an earlier op. What a shape means to an op is
 * the graph layer's to check.
 */
struct tflite_model {
	struct hearth_map map;
	const uint8_t *base;
	uint64_t size;
	uint32_t n_subgraphs;
	struct tflite_tensor *tensors;
	uint32_t n_tensors;
	struct tflite_op *ops;
	uint32_t n_ops;
	const int32_t *inputs;
	uint32_t n_inputs;
	const int32_t *outputs;
	uint32_t n_outputs;
	struct tflite_str description;
};

/*
 * 0 or -errno: -ENOEXEC not a TFLite file, -ENODATA ends too early, -EOVERFLOW
 * a size does not fit 64 bits, -ERANGE an index or parameter is out of its
 * range, -EOPNOTSUPP a feature that this reader does not know, -EINVAL the rest.
 */
int tflite_open(const char *path, struct tflite_model **out, struct hearth_err *err);
/* @buf must be aligned to 16 bytes, stays the caller's and must outlive @out. */
int tflite_open_mem(const void *buf, size_t size, struct tflite_model **out,
		    struct hearth_err *err);
void tflite_close(struct tflite_model *m);

const char *tflite_op_name(int32_t code);	/* "UNKNOWN" if the format has no such op */
const char *tflite_type_name(int type);
/* Bits of an element; 0: the type has no fixed size. -1: unknown type. */
int tflite_type_bits(int type);

#endif
