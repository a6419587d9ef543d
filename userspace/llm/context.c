// SPDX-License-Identifier: MIT
/*
 * What the KV cache holds, and the steps that fill it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "kernels/types.h"
#include "llm/build.h"
#include "llm/llm.h"
#include "runtime/error.h"

#define BATCH_DEFAULT	256
#define BATCH_MAX	1024
/* Each step has so many times the rows of the one before. */
#define BATCH_RATIO	4
/* So few rows cost little more than a row: the weights are read once. */
#define BATCH_CHEAP	16

/* A step of the cache, unless it is told: so many positions, and bytes. */
#define KV_STEP_MIN	128
#define KV_STEP_BYTES	(2u << 20)

/* Where the tables lie that a program reads */
static void find_turns(struct hearth_program *p, const hearth_tensor *tensors, float **turns)
{
	for (unsigned int i = 0; i < LLM_ROPES; i++)
		turns[i] = tensors[i] == HEARTH_NO_TENSOR ? NULL :
			   hearth_program_data(p, tensors[i], NULL);
}

static int runner_create(struct hearth_llm *llm, uint32_t rows, uint32_t n_logits,
			 struct llm_runner *r)
{
	struct llm_step step;
	int ret = llm_build_step(llm->gguf, &llm->hp, rows, n_logits, llm->n_ctx,
				 llm->kv_type, &step);

	if (ret)
		return ret;
	HEARTH_OPTS(hearth_compile_opts, co,
		.priority = llm->opts.priority,
		.share = llm->runners[0].program,
		.model = llm->opts.model,
		.state_page = llm->kv_step);
	ret = hearth_compile(step.graph, llm->dev, &co, &r->program);
	if (!ret) {
		r->rows = rows;
		r->n_logits = n_logits;
		r->ids = hearth_program_data(r->program, step.ids, NULL);
		r->pos = hearth_program_data(r->program, step.pos, NULL);
		r->last = hearth_program_data(r->program, step.last, NULL);
		r->logits = hearth_program_data(r->program, step.logits, NULL);
		find_turns(r->program, step.turns, r->turns);
	}
	hearth_graph_destroy(step.graph);
	llm_give_back_heap();
	return ret;
}

static int need_runner(struct hearth_llm *llm, struct llm_runner *r)
{
	return r->program ? 0 : runner_create(llm, r->rows, 1, r);
}

/* One row, and at last the batch, which was divided by 4 again and again. */
static void pick_sizes(struct hearth_llm *llm)
{
	uint32_t batch = llm->opts.n_batch ? llm->opts.n_batch : BATCH_DEFAULT;
	uint32_t sizes[LLM_RUNNERS];
	unsigned int n = 0;

	if (batch > llm->n_ctx)
		batch = llm->n_ctx;
	for (; batch > 1 && n < LLM_RUNNERS - 1; batch /= BATCH_RATIO)
		sizes[n++] = batch;
	sizes[n++] = 1;
	while (n)
		llm->runners[llm->n_runners++].rows = sizes[--n];
}

static int pick_kv_type(struct hearth_llm *llm, const struct hearth_llm_opts *opts)
{
	switch (opts->kv_type) {
	case HEARTH_KV_DEFAULT:
		llm->kv_type = opts->kv_f32 ? HEARTH_TYPE_F32 : HEARTH_TYPE_F16;
		return 0;
	case HEARTH_KV_F16:
		llm->kv_type = HEARTH_TYPE_F16;
		return 0;
	case HEARTH_KV_F32:
		llm->kv_type = HEARTH_TYPE_F32;
		return 0;
	case HEARTH_KV_Q8_0:
		llm->kv_type = HEARTH_TYPE_Q8_0;
		if (llm->hp.head_dim % 32 == 0)
			return 0;
		return hearth_seterr(-EINVAL,
				     "kv_type q8_0: heads of the model have %u elements, a multiple of 32 is wanted: take f16",
				     llm->hp.head_dim);
	default:
		return hearth_seterr(-EINVAL, "kv_type is %u: 0 to %u are possible",
				     (unsigned int)opts->kv_type, HEARTH_KV_Q8_0);
	}
}

/* Of the caches of all layers */
static uint64_t position_bytes(const struct hearth_llm *llm)
{
	const struct llm_hparams *hp = &llm->hp;

	return 2ull * hp->n_layer * hp->n_head_kv * hk_row_bytes(llm->kv_type, hp->head_dim);
}

static int pick_kv_step(struct hearth_llm *llm, uint32_t step)
{
	uint64_t bytes = position_bytes(llm);
	uint32_t least = (llm->n_ctx - 1) / HEARTH_KV_MAX_PAGES + 1;

	if (step && step < llm->n_ctx &&
	    (step & (step - 1) || step < HEARTH_KV_MIN_PAGE || step < least))
		return hearth_seterr(-EINVAL,
				     "kv_step is %u: a power of two is wanted, at least %u and a %uth of the context of %u",
				     step, HEARTH_KV_MIN_PAGE, HEARTH_KV_MAX_PAGES, llm->n_ctx);
	if (!step) {
		step = KV_STEP_MIN;
		while (step < llm->n_ctx && (step < least || step * bytes < KV_STEP_BYTES))
			step *= 2;
	}
	llm->kv_step = step < llm->n_ctx ? step : 0;
	return 0;
}

int llm_context_init(struct hearth_llm *llm, struct hearth_device *dev,
		     const struct hearth_llm_opts *opts)
{
	int ret;

	if (opts->n_batch > BATCH_MAX)
		return hearth_seterr(-EINVAL, "n_batch is %u: at most %u are possible",
				     opts->n_batch, BATCH_MAX);
	llm->dev = dev;
	llm->opts = *opts;
	pick_sizes(llm);
	ret = pick_kv_type(llm, opts);
	return ret ? ret : pick_kv_step(llm, opts->kv_step);
}

/* How the device has made the cache */
static int see_room(struct hearth_llm *llm)
{
	struct hearth_program_info info = { .sz = sizeof(info) };
	int ret = hearth_program_get_info(llm->runners[0].program, &info);

	llm->kv_step = info.state_page;
	llm->room = info.state_page ? info.state_page : llm->n_ctx;
	return ret;
}

static int measure(struct hearth_llm *llm, struct llm_runner *r)
{
	struct llm_step step;
	int ret;

	r->measured.sz = sizeof(r->measured);
	ret = llm_build_step(llm->gguf, &llm->hp, r->rows, 1, llm->n_ctx, llm->kv_type, &step);
	if (ret)
		return ret;
	ret = hearth_graph_measure(step.graph, llm->dev, &r->measured);
	hearth_graph_destroy(step.graph);
	return ret;
}

/* What each step takes, if admission has not asked for it before */
static int measure_all(struct hearth_llm *llm)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < llm->n_runners; i++) {
		if (!llm->runners[i].measured.sz)
			ret = measure(llm, &llm->runners[i]);
	}
	return ret;
}

int llm_context_open(struct hearth_llm *llm)
{
	int ret;

	llm->fed = calloc(llm->n_ctx, sizeof(*llm->fed));
	if (!llm->fed)
		return hearth_seterr(-ENOMEM, "no memory for a context of %u tokens",
				     llm->n_ctx);
	ret = measure_all(llm);
	/*
	 * It owns what all share. The others are made when so many tokens come for the
	 * first time: many programs never have some of them.
	 */
	if (!ret)
		ret = need_runner(llm, &llm->runners[0]);
	if (!ret)
		ret = llm_ropes_open(llm);
	if (!ret)
		ret = see_room(llm);
	/* it was the caller's, and the model is made */
	llm->opts.model = NULL;
	return ret;
}

int llm_context_demand(struct hearth_llm *llm, struct hearth_demand *d)
{
	int ret = measure_all(llm);

	d->scratch_bytes = 0;
	for (unsigned int i = 0; i < llm->n_runners; i++) {
		const struct hearth_program_info *info = &llm->runners[i].measured;

		d->state_bytes = info->state_bytes;
		/* a bound: later steps share some constants of the first */
		d->scratch_bytes += info->activation_bytes + info->constant_bytes +
				    info->stream_bytes;
		/* two commands that write and one that reads say what a page is */
		if (llm->kv_step)
			d->scratch_bytes += 3ull * llm->hp.n_layer *
					    sizeof(struct hearth_cmd_kv_pages);
	}
	d->state_first_bytes = d->state_bytes;
	if (llm->kv_step)
		d->state_first_bytes = llm->kv_step * position_bytes(llm);
	return ret;
}

void llm_context_activations(const struct hearth_llm *llm, uint64_t *all, uint64_t *used)
{
	*all = 0;
	*used = 0;
	for (unsigned int i = 0; i < llm->n_runners; i++) {
		const struct llm_runner *r = &llm->runners[i];

		*all += r->measured.activation_bytes;
		*used += r->program ? r->measured.activation_bytes : 0;
	}
}

void llm_context_close(struct hearth_llm *llm)
{
	/* all share what the first one owns */
	hearth_program_destroy(llm->each.program);
	while (llm->n_runners)
		hearth_program_destroy(llm->runners[--llm->n_runners].program);
	llm_ropes_close(llm);
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
	for (uint32_t i = 0; i < r->n_logits; i++)
		r->last[i] = r->n_logits > 1 && i < n ? i : n - 1;
	/* of a run that fails they are nobody's */
	llm->logits = NULL;
	ret = llm_ropes_fill(llm, r->turns, llm->position, n, r->rows);
	if (!ret)
		ret = hearth_program_run(r->program);
	if (ret)
		return ret;
	/* when a lost cache is filled again, these are the same */
	memmove(llm->fed + llm->position, ids, n * sizeof(*ids));
	if (llm->exact == llm->position)
		llm->exact += n;
	llm->position += n;
	llm->logits = r->logits;
	return 0;
}

/* The step for the next of @n tokens: little padding, or so few rows that it is cheap. */
static unsigned int pick_runner(const struct hearth_llm *llm, size_t n, unsigned int most)
{
	unsigned int i = 0;

	while (i < most && llm->runners[i].rows < n)
		i++;
	if (i && llm->runners[i].rows > BATCH_CHEAP && n * 4 < llm->runners[i].rows * 3ull)
		i--;
	return i;
}

/* @most: The largest step that there may be memory for. */
static int get_runner(struct hearth_llm *llm, size_t n, unsigned int *most, struct llm_runner **r)
{
	unsigned int i = pick_runner(llm, n, *most);
	int ret = need_runner(llm, &llm->runners[i]);

	/* where there is no memory for so many rows, fewer do it, and one is always there */
	while (i && (ret == -ENOMEM || ret == -EDQUOT)) {
		*most = --i;
		ret = need_runner(llm, &llm->runners[i]);
	}
	*r = &llm->runners[i];
	return ret;
}

static int check_feed(const struct hearth_llm *llm, size_t n)
{
	if (!n)
		return hearth_seterr(-EINVAL, "no token to feed");
	if (n > llm->n_ctx - llm->position)
		return hearth_seterr(-ENOSPC,
				     "%zu tokens after %u exceed the context of %u",
				     n, llm->position, llm->n_ctx);
	return 0;
}

/* Memory for @positions, or for no more than that. */
static int resize(struct hearth_llm *llm, uint32_t positions)
{
	uint32_t step = llm->kv_step, room;
	int ret;

	if (!step)
		return 0;
	room = positions > step ? (positions - 1) / step * step + step : step;
	room = room < llm->n_ctx ? room : llm->n_ctx;
	ret = room == llm->room ? 0 :
	      hearth_program_resize_state(llm->runners[0].program, room);
	if (!ret)
		llm->room = room;
	return ret;
}

/* Before anything is changed: memory for the first @positions. */
static int grow(struct hearth_llm *llm, uint32_t positions)
{
	char why[256];
	int ret = positions > llm->room ? resize(llm, positions) : 0;

	if (!ret)
		return 0;
	snprintf(why, sizeof(why), "%s", hearth_errmsg());
	return hearth_seterr(ret, "the KV cache has memory for %u of %u positions, and finds none for %u: %s",
			     llm->room, llm->n_ctx, positions, why);
}

static int feed(struct hearth_llm *llm, const int32_t *ids, size_t n)
{
	/* what was refused is not tried again for these tokens */
	unsigned int most = llm->n_runners - 1;
	int ret;

	while (n) {
		struct llm_runner *r;
		uint32_t part;

		ret = get_runner(llm, n, &most, &r);
		if (ret)
			return ret;
		part = n < r->rows ? n : r->rows;
		ret = step(llm, r, ids, part);
		if (ret)
			return ret;
		ids += part;
		n -= part;
	}
	return 0;
}

int hearth_llm_idle(struct hearth_llm *llm)
{
	int ret;

	/* what a longer text has left; if it cannot be given back it stays */
	resize(llm, llm->position);
	if (llm->exact < llm->position)
		return 0;
	ret = hearth_model_advise_state(hearth_llm_model(llm), false, NULL);
	llm->idle = !ret;
	return ret;
}

/* Before anything reads the cache: is it there still? If not, fill it again. */
static int wake(struct hearth_llm *llm)
{
	uint32_t n = llm->position;
	bool retained = true;
	int ret;

	if (llm->idle) {
		ret = hearth_model_advise_state(hearth_llm_model(llm), true, &retained);
		if (ret)
			return ret;
		llm->idle = false;
		llm->lost |= !retained;
	}
	if (!llm->lost)
		return 0;
	llm->position = 0;
	llm->exact = 0;
	ret = feed(llm, llm->fed, n);
	/* what was fed stays known if it failed: the next call tries again */
	llm->position = n;
	llm->exact = n;
	llm->lost = ret;
	return ret;
}

int hearth_llm_eval(struct hearth_llm *llm, const int32_t *ids, size_t n,
		    const float **logits)
{
	int ret = check_feed(llm, n);

	if (!ret)
		ret = grow(llm, llm->position + n);
	if (!ret)
		ret = wake(llm);
	if (!ret)
		ret = feed(llm, ids, n);
	/* the step of the cache may have taken the place of the weights: what was, fitted */
	if (ret == -EDQUOT || ret == -ENOMEM)
		resize(llm, llm->position);
	if (!ret && logits)
		*logits = llm->logits;
	return ret;
}

/* The logits of the @n tokens that were just fed, told one by one. */
static int tell_each(struct hearth_llm *llm, const struct llm_runner *r, uint32_t n,
		     int (*fn)(const float *logits, void *arg), void *arg)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < n; i++)
		ret = fn(r->logits + (size_t)i * llm->hp.n_vocab, arg);
	llm->logits = r->logits + (size_t)(n - 1) * llm->hp.n_vocab;
	return ret;
}

int hearth_llm_eval_each(struct hearth_llm *llm, const int32_t *ids, size_t n,
			 int (*fn)(const float *logits, void *arg), void *arg)
{
	uint32_t rows = llm->runners[llm->n_runners - 1].rows;
	struct llm_runner *r = &llm->each;
	int ret = check_feed(llm, n);

	if (!ret)
		ret = grow(llm, llm->position + n);
	if (!ret)
		ret = wake(llm);
	if (!ret && !r->program) {
		rows = rows < HEARTH_EVAL_EACH ? rows : HEARTH_EVAL_EACH;
		ret = runner_create(llm, rows, rows, r);
	}
	for (size_t at = 0, part; !ret && at < n; at += part) {
		part = n - at < r->rows ? n - at : r->rows;
		ret = step(llm, r, ids + at, part);
		if (!ret)
			ret = tell_each(llm, r, part, fn, arg);
	}
	return ret;
}

int hearth_llm_prefill(struct hearth_llm *llm, const int32_t *ids, size_t n,
		       size_t *reused, const float **logits)
{
	size_t same = 0;
	int ret;

	if (!n)
		return hearth_seterr(-EINVAL, "no token to feed");
	if (n > llm->n_ctx)
		return hearth_seterr(-ENOSPC, "%zu tokens exceed the context of %u", n,
				     llm->n_ctx);
	ret = grow(llm, n);
	if (ret)
		return ret;
	while (same < n && same < llm->exact && llm->fed[same] == ids[same])
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
	if (llm->exact > position)
		llm->exact = position;
	return 0;
}

/* @shift: first, by, n */
static int fill_shift(struct hearth_llm *llm, const struct llm_shift *s, struct hearth_program *p,
		      const uint32_t shift[3])
{
	float *turns[LLM_ROPES];

	memcpy(hearth_program_data(p, s->shift, NULL), shift, 3 * sizeof(*shift));
	find_turns(p, s->turns, turns);
	return llm_ropes_fill_shift(llm, turns, shift[1]);
}

/*
 * Made for each shift, and not kept: its table of turns has a row for each position,
 * of which one is read.
 */
static int create_shift(struct hearth_llm *llm, const uint32_t shift[3],
			struct hearth_program **program)
{
	struct llm_shift s;
	int ret = llm_build_shift(llm->gguf, &llm->hp, llm->n_ctx, llm->kv_type, &s);

	if (ret)
		return ret;
	HEARTH_OPTS(hearth_compile_opts, co,
		.priority = llm->opts.priority,
		.share = llm->runners[0].program);
	ret = hearth_compile(s.graph, llm->dev, &co, program);
	if (!ret)
		ret = fill_shift(llm, &s, *program, shift);
	if (ret)
		hearth_program_destroy(*program);
	hearth_graph_destroy(s.graph);
	return ret;
}

int hearth_llm_shift(struct hearth_llm *llm, uint32_t n_keep, uint32_t n_drop)
{
	struct hearth_program *program;
	uint32_t moved;
	int ret = 0;

	if (n_keep > llm->position || n_drop > llm->position - n_keep)
		return hearth_seterr(-EINVAL,
				     "shift: %u tokens to keep and %u to drop, only %u were fed",
				     n_keep, n_drop, llm->position);
	moved = llm->position - n_keep - n_drop;
	if (n_drop && moved) {
		ret = wake(llm);
		if (!ret)
			ret = create_shift(llm, (uint32_t[]){ n_keep, n_drop, moved }, &program);
		if (ret)
			return ret;
		ret = hearth_program_run(program);
		hearth_program_destroy(program);
		memmove(llm->fed + n_keep, llm->fed + n_keep + n_drop, moved * sizeof(*llm->fed));
	}
	/* a run that failed may have moved some caches and not others */
	llm->position = ret ? 0 : n_keep + moved;
	if (ret)
		llm->logits = NULL;
	if (n_drop && llm->exact > n_keep)
		llm->exact = n_keep;
	if (llm->exact > llm->position)
		llm->exact = llm->position;
	return ret;
}
