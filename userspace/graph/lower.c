// SPDX-License-Identifier: MIT
/*
 * Which memory each tensor uses, and op by op into commands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/lower.h"
#include "kernels/exec.h"
#include "runtime/error.h"

static int no_memory(void)
{
	return hearth_seterr(-ENOMEM, "no memory to compile the graph");
}

uint64_t hg_product(const struct hg_tensor *t, unsigned int from, unsigned int to)
{
	uint64_t n = 1;

	for (unsigned int i = from; i < to; i++)
		n *= t->dims[i];
	return n;
}

static void *grow(void *array, uint32_t n, uint32_t *room, size_t size)
{
	uint32_t want = *room ? *room * 2 : 64;
	void *p;

	if (n < *room)
		return array;
	p = realloc(array, want * size);
	if (p)
		*room = want;
	return p;
}

static int add_value(struct hg_lower *l, const struct hg_value *v, struct hg_ref *ref)
{
	struct hg_value *p = grow(l->values, l->n_values, &l->value_room, sizeof(*p));

	if (!p)
		return no_memory();
	l->values = p;
	*ref = (struct hg_ref){ .place = HG_VALUE, .index = l->n_values };
	p[l->n_values++] = *v;
	return 0;
}

int hg_add_temp(struct hg_lower *l, uint64_t bytes, struct hg_ref *ref)
{
	return add_value(l, &(struct hg_value){ .bytes = bytes, .last_op = l->op_index }, ref);
}

int hg_put_const(struct hg_lower *l, const struct hg_const *c, struct hg_ref *ref)
{
	struct hg_const *p;

	for (uint32_t i = 0; i < l->n_consts; i++) {
		if (l->consts[i].bytes != c->bytes ||
		    memcmp(l->consts[i].data, c->data, c->bytes))
			continue;
		free(c->owned);
		*ref = (struct hg_ref){ .place = HG_CONST, .index = i };
		return 0;
	}
	p = grow(l->consts, l->n_consts, &l->const_room, sizeof(*p));
	if (!p) {
		free(c->owned);
		return no_memory();
	}
	l->consts = p;
	*ref = (struct hg_ref){ .place = HG_CONST, .index = l->n_consts };
	p[l->n_consts++] = *c;
	return 0;
}

int hg_add_const(struct hg_lower *l, void *data, uint64_t bytes, struct hg_ref *ref)
{
	return hg_put_const(l, &(struct hg_const){ .data = data, .owned = data, .bytes = bytes },
			    ref);
}

int hg_emit(struct hg_lower *l, unsigned int opcode, struct hearth_cmd_header *cmd,
	    uint32_t bytes, const struct hg_field *fields, unsigned int n_fields)
{
	return hg_stream_append(&l->stream, opcode, cmd, bytes, l->op_index, fields, n_fields);
}

int hg_emit_copy(struct hg_lower *l, struct hg_ref src, struct hg_ref dst, uint64_t bytes)
{
	const uint64_t most = 1u << 30;

	for (uint64_t at = 0; at < bytes; at += most) {
		uint64_t n = bytes - at < most ? bytes - at : most;
		struct hearth_cmd_copy_2d cmd = {
			.src_stride = n,
			.dst_stride = n,
			.row_bytes = n,
			.rows = 1,
		};
		int ret = HG_EMIT(l, HEARTH_OP_COPY_2D, cmd,
				  HG_FIELD(cmd, src, hg_ref_at(src, at)),
				  HG_FIELD(cmd, dst, hg_ref_at(dst, at)));

		if (ret)
			return ret;
	}
	return 0;
}

/* May the current op write over the memory of @ref? */
static bool can_overwrite(const struct hg_lower *l, struct hg_ref ref)
{
	const struct hg_value *v;

	if (ref.place != HG_VALUE)
		return false;
	v = &l->values[ref.index];
	return !v->input && !v->output && v->last_op == l->op_index;
}

/* Inputs whose memory the output may take over; -1 ends the list. */
static void in_place_inputs(enum hearth_op kind, int list[3])
{
	list[0] = list[1] = list[2] = -1;
	switch (kind) {
	case HEARTH_ADD:
	case HEARTH_MUL:
	case HEARTH_SWIGLU:
	case HEARTH_GEGLU:
		list[0] = 0;
		list[1] = 1;
		break;
	case HEARTH_SOFTMAX:
	case HEARTH_QUANTIZE:
	case HEARTH_RELU:
	case HEARTH_RELU6:
	case HEARTH_LOGISTIC:
	case HEARTH_TANH:
	case HEARTH_LEAKY_RELU:
	case HEARTH_HARD_SWISH:
	case HEARTH_RMS_NORM:
	case HEARTH_ROPE:
	case HEARTH_ATTENTION:
	case HEARTH_SOFTCAP:
		list[0] = 0;
		break;
	default:
		break;
	}
}

/* Is the memory of input @i also that of an input that must stay? */
static bool read_elsewhere(const struct hg_lower *l, unsigned int i, const int list[3])
{
	for (unsigned int k = 0; k < l->op->n_in; k++) {
		if (k != i && (int)k != list[0] && (int)k != list[1] &&
		    hg_same_ref(hg_ref_in(l, k), hg_ref_in(l, i)))
			return true;
	}
	return false;
}

static bool take_over(struct hg_lower *l, struct hg_ref *ref)
{
	const struct hg_tensor *out = hg_lower_out(l);
	int list[3];

	in_place_inputs(l->op->kind, list);
	for (int i = 0; list[i] >= 0; i++) {
		const struct hg_tensor *in = hg_lower_in(l, list[i]);

		if (in->bytes == out->bytes && can_overwrite(l, hg_ref_in(l, list[i])) &&
		    !read_elsewhere(l, list[i], list)) {
			*ref = hg_ref_in(l, list[i]);
			return true;
		}
	}
	return false;
}

/*
 * A RESHAPE needs no command if nobody can tell the two names apart: not if
 * the caller holds the memory of both, nor if it could change between them.
 */
static bool can_rename(const struct hg_lower *l)
{
	struct hg_ref in = hg_ref_in(l, 0);
	bool wanted = hg_lower_out(l)->role == HEARTH_TENSOR_OUTPUT;

	if (l->op->kind != HEARTH_RESHAPE)
		return false;
	if (in.place == HG_WEIGHTS || in.place == HG_CONST)
		return !wanted;
	if (in.place != HG_VALUE)
		return false;
	return !wanted || (!l->values[in.index].input && !l->values[in.index].output);
}

/* The memory of the current op's output. */
static int place_output(struct hg_lower *l)
{
	const struct hg_tensor *out = hg_lower_out(l);
	struct hg_ref *ref = &l->refs[l->op->out];
	uint32_t last = l->last_op[l->op->out];
	struct hg_value *v;

	if (out->role == HEARTH_TENSOR_STATE)
		return 0;
	if (can_rename(l)) {
		*ref = hg_ref_in(l, 0);
	} else if (!take_over(l, ref)) {
		int ret = add_value(l, &(struct hg_value){ .bytes = out->bytes }, ref);

		if (ret)
			return ret;
	}
	if (ref->place != HG_VALUE)
		return 0;
	v = &l->values[ref->index];
	v->output |= out->role == HEARTH_TENSOR_OUTPUT;
	if (last > v->last_op)
		v->last_op = last;
	return 0;
}

static int lower_either_binary(struct hg_lower *l)
{
	return hg_lower_out(l)->type == HEARTH_TYPE_F32 ? hg_lower_binary(l) :
							  hg_lower_binary_q(l);
}

static int lower_op(struct hg_lower *l)
{
	static int (*const by_kind[])(struct hg_lower *l) = {
		[HEARTH_CONV_2D] = hg_lower_conv,
		[HEARTH_DEPTHWISE_CONV_2D] = hg_lower_conv,
		[HEARTH_FULLY_CONNECTED] = hg_lower_fully_connected,
		[HEARTH_AVERAGE_POOL_2D] = hg_lower_pool,
		[HEARTH_MAX_POOL_2D] = hg_lower_pool,
		[HEARTH_ADD] = lower_either_binary,
		[HEARTH_MUL] = lower_either_binary,
		[HEARTH_SOFTMAX] = hg_lower_softmax,
		[HEARTH_RESHAPE] = hg_lower_reshape,
		[HEARTH_PAD] = hg_lower_pad,
		[HEARTH_CONCAT] = hg_lower_concat,
		[HEARTH_MEAN] = hg_lower_mean,
		[HEARTH_QUANTIZE] = hg_lower_quantize,
		[HEARTH_RELU ... HEARTH_HARD_SWISH] = hg_lower_table,
		[HEARTH_GET_ROWS] = hg_lower_get_rows,
		[HEARTH_MATMUL] = hg_lower_matmul,
		[HEARTH_RMS_NORM] = hg_lower_rms_norm,
		[HEARTH_ROPE] = hg_lower_rope,
		[HEARTH_KV_WRITE] = hg_lower_kv_write,
		[HEARTH_ATTENTION] = hg_lower_attention,
		[HEARTH_SWIGLU] = hg_lower_glu,
		[HEARTH_ARGMAX] = hg_lower_argmax,
		[HEARTH_GEGLU] = hg_lower_glu,
		[HEARTH_SOFTCAP] = hg_lower_softcap,
		[HEARTH_KV_SHIFT] = hg_lower_kv_shift,
	};

	return by_kind[l->op->kind](l);
}

/* Tensors that are there before the first op */
static int place_tensor(struct hg_lower *l, uint32_t i)
{
	const struct hg_tensor *t = &l->g->tensors[i];
	struct hg_value v = { .bytes = t->bytes, .last_op = l->last_op[i], .input = true };

	switch (t->role) {
	case HEARTH_TENSOR_INPUT:
		return add_value(l, &v, &l->refs[i]);
	case HEARTH_TENSOR_CONSTANT:
		return hg_put_const(l, &(struct hg_const){ .data = t->data, .bytes = t->bytes },
				    &l->refs[i]);
	case HEARTH_TENSOR_WEIGHTS:
		l->refs[i] = (struct hg_ref){ .place = HG_WEIGHTS, .offset = t->offset };
		return 0;
	case HEARTH_TENSOR_STATE:
		l->refs[i] = (struct hg_ref){ .place = HG_STATE, .index = i };
		return 0;
	case HEARTH_TENSOR_OUTPUT:
		if (t->writer < 0)
			return hearth_seterr(-EINVAL, "output '%s' is computed by no op",
					     t->name);
		return 0;
	default:
		return 0;
	}
}

static void find_last_uses(struct hg_lower *l)
{
	for (uint32_t i = 0; i < l->g->n_ops; i++) {
		const struct hg_op *op = &l->g->ops[i];

		for (unsigned int k = 0; k < op->n_in; k++) {
			if (op->in[k] >= 0)
				l->last_op[op->in[k]] = i;
		}
	}
}

int hg_lower(struct hg_lower *l, const struct hearth_graph *g, const struct hg_paging *paging)
{
	int ret = 0;

	*l = (struct hg_lower){ .g = g, .paging = *paging };
	l->refs = calloc(g->n_tensors + 1, sizeof(*l->refs));
	l->last_op = calloc(g->n_tensors + 1, sizeof(*l->last_op));
	if (!l->refs || !l->last_op)
		return no_memory();
	find_last_uses(l);
	for (uint32_t i = 0; !ret && i < g->n_tensors; i++)
		ret = place_tensor(l, i);
	for (l->op_index = 0; !ret && l->op_index < g->n_ops; l->op_index++) {
		l->op = &g->ops[l->op_index];
		ret = place_output(l);
		if (!ret)
			ret = lower_op(l);
	}
	if (!ret && !l->stream.n_cmds)
		ret = hearth_seterr(-EINVAL, "the graph has nothing to compute");
	return ret;
}

void hg_lower_free(struct hg_lower *l)
{
	for (uint32_t i = 0; i < l->n_consts; i++)
		free(l->consts[i].owned);
	free(l->consts);
	free(l->values);
	free(l->refs);
	free(l->last_op);
	hg_stream_free(&l->stream);
}
