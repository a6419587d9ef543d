// SPDX-License-Identifier: MIT
/*
 * What the KV cache holds, and the steps that fill it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "llm/build.h"
#include "llm/llm.h"
#include "runtime/error.h"

#define BATCH_DEFAULT	256
#define BATCH_MAX	1024
/* Each step has so many times the rows of the one before. */
#define BATCH_RATIO	4
/* So few rows cost little more than a row: the weights are read once. */
#define BATCH_CHEAP	16

static int runner_create(struct hearth_llm *llm, struct hearth_device *dev,
			 const struct hearth_llm_opts *opts, uint32_t rows)
{
	struct llm_runner *r = &llm->runners[llm->n_runners];
	struct llm_step step;
	int ret = llm_build_step(llm->gguf, &llm->hp, rows, llm->n_ctx,
				 opts->kv_f32, &step);

	if (ret)
		return ret;
	HEARTH_OPTS(hearth_compile_opts, co,
		.priority = opts->priority,
		.share = llm->runners[0].program);
	ret = hearth_compile(step.graph, dev, &co, &r->program);
	if (!ret) {
		r->rows = rows;
		r->ids = hearth_program_data(r->program, step.ids, NULL);
		r->pos = hearth_program_data(r->program, step.pos, NULL);
		r->last = hearth_program_data(r->program, step.last, NULL);
		r->logits = hearth_program_data(r->program, step.logits, NULL);
		llm->n_runners++;
	}
	hearth_graph_destroy(step.graph);
	return ret;
}

/* One row, then the batch divided by 4 again and again, the least first. */
static int create_runners(struct hearth_llm *llm, struct hearth_device *dev,
			  const struct hearth_llm_opts *opts, uint32_t batch)
{
	uint32_t sizes[LLM_RUNNERS - 1];
	unsigned int n = 0;
	int ret = runner_create(llm, dev, opts, 1);

	for (; batch > 1 && n < LLM_RUNNERS - 1; batch /= BATCH_RATIO)
		sizes[n++] = batch;
	while (!ret && n--)
		ret = runner_create(llm, dev, opts, sizes[n]);
	return ret;
}

int llm_context_open(struct hearth_llm *llm, struct hearth_device *dev,
		     const struct hearth_llm_opts *opts)
{
	uint32_t batch = opts->n_batch ? opts->n_batch : BATCH_DEFAULT;

	if (batch > BATCH_MAX)
		return hearth_seterr(-EINVAL, "n_batch is %u: at most %u are possible",
				     batch, BATCH_MAX);
	llm->fed = calloc(llm->n_ctx, sizeof(*llm->fed));
	if (!llm->fed)
		return hearth_seterr(-ENOMEM, "no memory for a context of %u tokens",
				     llm->n_ctx);
	return create_runners(llm, dev, opts,
			      batch < llm->n_ctx ? batch : llm->n_ctx);
}

void llm_context_close(struct hearth_llm *llm)
{
	/* all share what the first one owns */
	while (llm->n_runners)
		hearth_program_destroy(llm->runners[--llm->n_runners].program);
	free(llm->fed);
}

/*
 * Feed up to r->rows tokens. Rows behind the last one repeat it: they compute
 * and store what it stores, once more.
 */
static int step(struct hearth_llm *llm, struct llm_runner *r, const int32_t *ids,
		uint32_t n)
{
	int ret;

	for (uint32_t i = 0; i < r->rows; i++) {
		uint32_t j = i < n ? i : n - 1;

		r->ids[i] = ids[j];
		r->pos[i] = llm->position + j;
	}
	*r->last = n - 1;
	/* of a run that fails they are nobody's */
	llm->logits = NULL;
	ret = hearth_program_run(r->program);
	if (ret)
		return ret;
	memcpy(llm->fed + llm->position, ids, n * sizeof(*ids));
	llm->position += n;
	llm->logits = r->logits;
	return 0;
}

/* The step for the next of @n tokens: little padding, or so few rows that it is cheap. */
static struct llm_runner *pick_runner(struct hearth_llm *llm, size_t n)
{
	unsigned int i = 0;

	while (i + 1 < llm->n_runners && llm->runners[i].rows < n)
		i++;
	if (i && llm->runners[i].rows > BATCH_CHEAP && n * 4 < llm->runners[i].rows * 3ull)
		i--;
	return &llm->runners[i];
}

int hearth_llm_eval(struct hearth_llm *llm, const int32_t *ids, size_t n,
		    const float **logits)
{
	int ret;

	if (!n)
		return hearth_seterr(-EINVAL, "no token to feed");
	if (n > llm->n_ctx - llm->position)
		return hearth_seterr(-ENOSPC,
				     "%zu tokens after %u exceed the context of %u",
				     n, llm->position, llm->n_ctx);
	while (n) {
		struct llm_runner *r = pick_runner(llm, n);
		uint32_t part = n < r->rows ? n : r->rows;

		ret = step(llm, r, ids, part);
		if (ret)
			return ret;
		ids += part;
		n -= part;
	}
	if (logits)
		*logits = llm->logits;
	return 0;
}

int hearth_llm_prefill(struct hearth_llm *llm, const int32_t *ids, size_t n,
		       size_t *reused, const float **logits)
{
	size_t same = 0;

	if (!n)
		return hearth_seterr(-EINVAL, "no token to feed");
	if (n > llm->n_ctx)
		return hearth_seterr(-ENOSPC, "%zu tokens exceed the context of %u", n,
				     llm->n_ctx);
	while (same < n && same < llm->position && llm->fed[same] == ids[same])
		same++;
	/* the last token is fed again for its logits, unless they are still there */
	if (same == n && (same < llm->position || !llm->logits))
		same--;
	hearth_llm_rewind(llm, same);
	if (reused)
		*reused = same;
	if (logits)
		*logits = llm->logits;
	return same == n ? 0 : hearth_llm_eval(llm, ids + same, n - same, logits);
}

uint32_t hearth_llm_position(const struct hearth_llm *llm)
{
	return llm->position;
}

int hearth_llm_rewind(struct hearth_llm *llm, uint32_t position)
{
	if (position > llm->position)
		return hearth_seterr(-EINVAL, "rewind to %u: only %u tokens were fed",
				     position, llm->position);
	if (position != llm->position)
		llm->logits = NULL;
	llm->position = position;
	return 0;
}
