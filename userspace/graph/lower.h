/* SPDX-License-Identifier: MIT */
/*
 * From ops to commands. Internal to graph/.
 */
#ifndef HEARTH_GRAPH_LOWER_H
#define HEARTH_GRAPH_LOWER_H

#include "graph/graph.h"
#include "graph/program.h"
#include "graph/stream.h"

/** struct hg_value - memory that is computed during a run */
struct hg_value {
	uint64_t bytes;
	/** last_op: Last op that reads it, under any of its names. */
	uint32_t last_op;
	/** input: Written by the caller: kept as it is. */
	bool input;
	/** output: Read by the caller: kept to the end. */
	bool output;
};

/** struct hg_const - memory that only the compiler writes */
struct hg_const {
	const void *data;
	/** owned: Ours to free. */
	void *owned;
	uint64_t bytes;
	/** va: Filled when the memory is there. */
	uint64_t va;
};

struct hg_lower {
	const struct hearth_graph *g;
	/** paging: Of the caches. */
	struct hg_paging paging;
	struct hg_stream stream;
	struct hg_value *values;
	uint32_t n_values, value_room;
	struct hg_const *consts;
	uint32_t n_consts, const_room;
	/** refs: Where each tensor of the graph is. */
	struct hg_ref *refs;
	/** last_op: Last op that reads each tensor, 0 if none. */
	uint32_t *last_op;
	/** op: The one being lowered, and its index. */
	const struct hg_op *op;
	uint32_t op_index;
};

/* All ops to commands: 0, or a negative errno with the message set. */
int hg_lower(struct hg_lower *l, const struct hearth_graph *g, const struct hg_paging *paging);
void hg_lower_free(struct hg_lower *l);

/* Helpers of the op's functions. */

#define HG_NO_REF	((struct hg_ref){ .place = HG_NONE })

static inline const struct hg_tensor *hg_lower_in(const struct hg_lower *l, unsigned int i)
{
	return hg_in(l->g, l->op, i);
}

static inline const struct hg_tensor *hg_lower_out(const struct hg_lower *l)
{
	return hg_tensor(l->g, l->op->out);
}

static inline struct hg_ref hg_ref_in(const struct hg_lower *l, unsigned int i)
{
	if (i >= l->op->n_in || l->op->in[i] < 0)
		return HG_NO_REF;
	return l->refs[l->op->in[i]];
}

static inline struct hg_ref hg_ref_out(const struct hg_lower *l)
{
	return l->refs[l->op->out];
}

static inline bool hg_same_ref(struct hg_ref a, struct hg_ref b)
{
	return a.place == b.place && a.index == b.index && a.offset == b.offset;
}

static inline struct hg_ref hg_ref_at(struct hg_ref ref, uint64_t offset)
{
	ref.offset += offset;
	return ref;
}

/* What a command on caches says of their pages. */
static inline struct hearth_cmd_kv_pages hg_kv_pages(const struct hg_lower *l)
{
	return (struct hearth_cmd_kv_pages){ .positions = l->paging.page,
					     .stride = l->paging.stride };
}

/* Product of dimensions [from, to) */
uint64_t hg_product(const struct hg_tensor *t, unsigned int from, unsigned int to);

/* A constant of our own making; takes @data over, also on failure. */
int hg_add_const(struct hg_lower *l, void *data, uint64_t bytes, struct hg_ref *ref);
/* Any constant; takes what @c owns over, also on failure. */
int hg_put_const(struct hg_lower *l, const struct hg_const *c, struct hg_ref *ref);
/* Memory for the time of this op. */
int hg_add_temp(struct hg_lower *l, uint64_t bytes, struct hg_ref *ref);

int hg_emit(struct hg_lower *l, unsigned int opcode, struct hearth_cmd_header *cmd,
	    uint32_t bytes, const struct hg_field *fields, unsigned int n_fields);

#define HG_EMIT(l, opcode, cmd, ...)						\
	({									\
		const struct hg_field _fields[] = { __VA_ARGS__ };		\
		hg_emit(l, opcode, &(cmd).hdr, sizeof(cmd), _fields,		\
			sizeof(_fields) / sizeof(*_fields));			\
	})

/* COPY_2D of @bytes bytes in one piece */
int hg_emit_copy(struct hg_lower *l, struct hg_ref src, struct hg_ref dst, uint64_t bytes);

int hg_lower_conv(struct hg_lower *l);
int hg_lower_fully_connected(struct hg_lower *l);
int hg_lower_pool(struct hg_lower *l);
int hg_lower_binary_q(struct hg_lower *l);
int hg_lower_softmax(struct hg_lower *l);
int hg_lower_reshape(struct hg_lower *l);
int hg_lower_pad(struct hg_lower *l);
int hg_lower_concat(struct hg_lower *l);
int hg_lower_mean(struct hg_lower *l);
int hg_lower_quantize(struct hg_lower *l);
int hg_lower_table(struct hg_lower *l);

int hg_lower_get_rows(struct hg_lower *l);
int hg_lower_matmul(struct hg_lower *l);
int hg_lower_rms_norm(struct hg_lower *l);
int hg_lower_rope(struct hg_lower *l);
int hg_lower_kv_write(struct hg_lower *l);
int hg_lower_attention(struct hg_lower *l);
int hg_lower_binary(struct hg_lower *l);
int hg_lower_glu(struct hg_lower *l);
int hg_lower_softcap(struct hg_lower *l);
int hg_lower_kv_shift(struct hg_lower *l);
int hg_lower_argmax(struct hg_lower *l);

#endif /* HEARTH_GRAPH_LOWER_H */
