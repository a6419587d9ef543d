// SPDX-License-Identifier: MIT
/*
 * Which weights may stand in rows of eight. The network itself tells: those that
 * nothing but MATMUL reads, and in whole groups of rows.
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

/* Why an op cannot read its weights @w, rows of @t, in groups; NULL: it can. */
static const char *op_refusal(const struct hg_op *op, const struct hg_tensor *w,
			      const struct gguf_tensor *t)
{
	uint64_t first = (w->offset - t->file_offset) / t->row_bytes;

	if (op->kind == HEARTH_GET_ROWS)
		return "single rows of it are read, by get_rows";
	if (op->kind != HEARTH_MATMUL)
		return "matmul is not what reads it";
	if (first % GGUF_R8_ROWS || w->dims[0] % GGUF_R8_ROWS)
		return "parts of it are read that are no multiple of eight rows";
	return NULL;
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
		if (k < gguf_n_tensors(g) && !why[k])
			why[k] = op_refusal(op, w, gguf_tensor_at(g, k));
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
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
		why[i] = gguf_pack_refusal(gguf_tensor_at(g, i));
	for (uint32_t i = 0; i < step.graph->n_ops; i++)
		ask_op(g, step.graph, &step.graph->ops[i], why);
	hearth_graph_destroy(step.graph);
	return 0;
}
