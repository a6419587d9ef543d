/* SPDX-License-Identifier: MIT */
/*
 * A graph: tensors, and ops in the order in which they run. Internal to
 * graph/.
 */
#ifndef HEARTH_GRAPH_GRAPH_H
#define HEARTH_GRAPH_GRAPH_H

#include <hw/hearth_cmd.h>

#include "hearth.h"

/* Bounds of a graph; the planner's time grows with their square. */
#define HG_MAX_TENSORS	(1u << 15)
#define HG_MAX_OPS	(1u << 14)
#define HG_MAX_INPUTS	256
#define HG_MAX_NAME	255

struct hg_tensor {
	char *name;
	uint8_t type;
	uint8_t role;
	uint8_t n_dims;
	uint8_t channel_dim;
	uint32_t dims[HEARTH_MAX_DIMS];
	uint32_t n_scales;
	float *scales;
	int32_t zero_point;
	const void *data;
	uint64_t offset;
	uint64_t elements;
	uint64_t bytes;
	/** writer: The op that computes it, or -1. */
	int32_t writer;
};

struct hg_op {
	enum hearth_op kind;
	char *name;
	struct hearth_op_opts opts;
	hearth_tensor *in;
	uint32_t n_in;
	hearth_tensor out;
};

struct hearth_graph {
	struct hg_tensor *tensors;
	uint32_t n_tensors, tensor_room;
	struct hg_op *ops;
	uint32_t n_ops, op_room;
	/** weights_fd: Or -1. */
	int weights_fd;
	/** owner: What the data of CONSTANT tensors lies in, if not the caller's. */
	void *owner;
	void (*owner_free)(void *owner);
};

/* "conv_2d", or NULL */
const char *hg_op_name(enum hearth_op kind);

/* The tensor behind an index, NULL for HEARTH_NO_TENSOR. */
static inline const struct hg_tensor *hg_tensor(const struct hearth_graph *g,
						hearth_tensor t)
{
	return t < 0 ? NULL : &g->tensors[t];
}

static inline const struct hg_tensor *hg_in(const struct hearth_graph *g,
					    const struct hg_op *op, unsigned int i)
{
	return i < op->n_in ? hg_tensor(g, op->in[i]) : NULL;
}

static inline uint32_t hg_last_dim(const struct hg_tensor *t)
{
	return t->dims[t->n_dims - 1];
}

/* Alignment of a tensor's memory in bytes, as the commands demand it. */
unsigned int hg_type_align(unsigned int type);

/* "(1, 96, 96, 3)" */
struct hg_shape_text {
	char s[64];
};
struct hg_shape_text hg_shape(const struct hg_tensor *t);

/*
 * Shapes, types and quantization of an op with all its options and tensors:
 * 0, or -EINVAL or -EOPNOTSUPP with the message set. Fills in the defaults
 * of op->opts.
 */
int hg_check_op(const struct hearth_graph *g, struct hg_op *op);

/* "conv_2d 'name': " and the message; returns @code. */
__attribute__((format(printf, 3, 4)))
int hg_refuse(const struct hg_op *op, int code, const char *fmt, ...);

/* Output size of a window along one dimension; 0 if the window does not fit. */
uint32_t hg_window_out(uint32_t in, uint32_t k, uint32_t stride, uint32_t dilation,
		       enum hearth_padding padding);

/* Padding before the first element for the output size @out. */
uint32_t hg_window_pad(uint32_t in, uint32_t out, uint32_t k, uint32_t stride,
		       uint32_t dilation, enum hearth_padding padding);

#endif /* HEARTH_GRAPH_GRAPH_H */
