// SPDX-License-Identifier: MIT
/*
 * Which weights shall stand in rows of eight. The network itself tells: those that
 * MATMUL reads, where all that is read of them are whole groups of rows. GET_ROWS may
 * read them too, as of an embedding that is the output matrix as well; what it alone
 * reads is a row of many, which is as fast where it lies by itself.
 */
#include "llm/pack.h"

#include "base/err.h"
#include "formats/gguf.h"
#include "formats/gguf_pack.h"
#include "graph/graph.h"
#include "llm/build.h"
#include "runtime/error.h"

/* The tensor of the file in which a graph's tensor lies. */
static uint64_t find(const struct gguf *g, const struct hg_tensor *t)
{
	uint64_t i = 0;

	for (; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *f = gguf_tensor_at(g, i);

		if (t->offset >= f->file_offset && t->offset - f->file_offset < f->nbytes)
			break;
	}
	return i;
}

/* Reasons that hold until an op is found that multiplies. */
static const char unread[] = "no matmul reads it";
static const char looked_up[] = "only single rows of it are read, by get_rows";

/* Why a tensor @t stays, now that @op reads of it the rows @w; NULL: it does not. */
static const char *reason(const struct hg_op *op, const struct hg_tensor *w,
			  const struct gguf_tensor *t, const char *why)
{
	uint64_t first = (w->offset - t->file_offset) / t->row_bytes;

	if (why && why != unread && why != looked_up)
		return why;
	if (op->kind != HEARTH_MATMUL && op->kind != HEARTH_GET_ROWS)
		return "what reads it is neither matmul nor get_rows";
	if (first % GGUF_R8_ROWS || w->dims[0] % GGUF_R8_ROWS)
		return "parts of it are read that are no multiple of eight rows";
	if (op->kind == HEARTH_MATMUL)
		return NULL;
	return why ? looked_up : NULL;
}

static void ask_op(const struct gguf *g, const struct hearth_graph *graph,
		   const struct hg_op *op, const char **why)
{
	for (uint32_t i = 0; i < op->n_in; i++) {
		const struct hg_tensor *w = hg_in(graph, op, i);
		uint64_t k;

		if (!w || w->role != HEARTH_TENSOR_WEIGHTS)
			continue;
		k = find(g, w);
		if (k < gguf_n_tensors(g))
			why[k] = reason(op, w, gguf_tensor_at(g, k), why[k]);
	}
}

int llm_pack_plan(const struct gguf *g, const char **why)
{
	struct llm_hparams hp;
	struct hearth_err err;
	struct llm_step step;
	int ret;

	if (llm_hparams_read(g, &hp, &err))
		return hearth_seterr_from(&err);
	ret = llm_build_step(g, &hp, 1, 1, 1, HEARTH_TYPE_F16, &step);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		why[i] = gguf_pack_refusal(gguf_tensor_at(g, i));
		if (!why[i])
			why[i] = unread;
	}
	for (uint32_t i = 0; i < step.graph->n_ops; i++)
		ask_op(g, step.graph, &step.graph->ops[i], why);
	hearth_graph_destroy(step.graph);
	return 0;
}
