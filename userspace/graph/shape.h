/* SPDX-License-Identifier: MIT */
/*
 * Checks of one op each: 0, or a negative errno with the message set. They
 * fill in the defaults of the op's options.
 */
#ifndef HEARTH_GRAPH_SHAPE_H
#define HEARTH_GRAPH_SHAPE_H

#include "graph/graph.h"

#define HG_CHECK_INPUTS	4

struct hg_check {
	const struct hearth_graph *g;
	const struct hg_op *op;
	struct hearth_op_opts *o;
	/** in: The first inputs; NULL if absent. */
	const struct hg_tensor *in[HG_CHECK_INPUTS];
	const struct hg_tensor *out;
};

int hg_check_conv(const struct hg_check *c);
int hg_check_fully_connected(const struct hg_check *c);
int hg_check_pool(const struct hg_check *c);
int hg_check_binary(const struct hg_check *c);
int hg_check_softmax(const struct hg_check *c);
int hg_check_reshape(const struct hg_check *c);
int hg_check_pad(const struct hg_check *c);
int hg_check_concat(const struct hg_check *c);
int hg_check_mean(const struct hg_check *c);
int hg_check_quantize(const struct hg_check *c);
int hg_check_table(const struct hg_check *c);

int hg_check_get_rows(const struct hg_check *c);
int hg_check_matmul(const struct hg_check *c);
int hg_check_rms_norm(const struct hg_check *c);
int hg_check_rope(const struct hg_check *c);
int hg_check_kv_write(const struct hg_check *c);
int hg_check_attention(const struct hg_check *c);
int hg_check_glu(const struct hg_check *c);
int hg_check_softcap(const struct hg_check *c);
int hg_check_kv_shift(const struct hg_check *c);
int hg_check_argmax(const struct hg_check *c);

int hg_want_rank(const struct hg_check *c, const struct hg_tensor *t, unsigned int rank);
int hg_want_type(const struct hg_check *c, const struct hg_tensor *t, unsigned int type);
int hg_want_dims(const struct hg_check *c, const struct hg_tensor *t, unsigned int n,
		 const uint32_t *dims);
int hg_want_same_shape(const struct hg_check *c, const struct hg_tensor *t,
		       const struct hg_tensor *as);
/* I8 or U8 with one scale */
int hg_want_8bit(const struct hg_check *c, const struct hg_tensor *t);
int hg_want_same_quantization(const struct hg_check *c, const struct hg_tensor *a,
			      const struct hg_tensor *b);
/* A type that MATMUL and GET_ROWS read */
int hg_want_weights(const struct hg_check *c, const struct hg_tensor *t);
bool hg_is_8bit(const struct hg_tensor *t);

#endif /* HEARTH_GRAPH_SHAPE_H */
