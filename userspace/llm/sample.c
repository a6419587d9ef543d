// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "hearth.h"
#include "kernels/mathf.h"
#include "llm/sample.h"

/* exp(-87) is the last that is not denormal: what is less likely is dropped */
#define MIN_EXPONENT	(-87.0f)

struct candidate {
	float logit;
	float p;
	int32_t id;
};

struct llm_sampler {
	struct hearth_generate_opts opts;
	uint64_t state;
	uint32_t n_vocab;
	struct candidate list[];
};

struct llm_sampler *llm_sampler_create(uint32_t n_vocab)
{
	struct llm_sampler *s = malloc(sizeof(*s) +
				       (size_t)n_vocab * sizeof(s->list[0]));

	if (s)
		s->n_vocab = n_vocab;
	return s;
}

void llm_sampler_destroy(struct llm_sampler *s)
{
	free(s);
}

void llm_sampler_start(struct llm_sampler *s,
		       const struct hearth_generate_opts *opts)
{
	s->opts = *opts;
	s->state = opts->seed;
}

/* SplitMix64 (Steele, Lea, Flood 2014); the top 53 bits as [0, 1). */
static double uniform(struct llm_sampler *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* The first of the largest; NaN compares false and is never taken. */
static int32_t argmax(const float *logits, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		if (logits[i] > logits[best] || logits[best] != logits[best])
			best = i;
	return best;
}

static int by_logit(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->logit != y->logit)
		return x->logit > y->logit ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

/* Candidates by falling logit, ties by id. */
static uint32_t collect(struct llm_sampler *s, const float *logits)
{
	float max = logits[argmax(logits, s->n_vocab)];
	float t = s->opts.temperature;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_vocab; i++) {
		float x = (logits[i] - max) / t;

		if (x >= MIN_EXPONENT)
			s->list[n++] = (struct candidate){
				.logit = logits[i],
				.p = hk_expf(x),
				.id = i,
			};
	}
	qsort(s->list, n, sizeof(s->list[0]), by_logit);
	return n;
}

static uint32_t cut(struct llm_sampler *s, uint32_t n)
{
	const struct hearth_generate_opts *o = &s->opts;
	double sum = 0.0, part = 0.0;
	uint32_t i;

	if (o->top_k && n > o->top_k)
		n = o->top_k;
	/* the likeliest has p = 1, so min_p needs no scaling */
	while (n > 1 && s->list[n - 1].p < o->min_p)
		n--;
	if (!(o->top_p > 0.0f && o->top_p < 1.0f))
		return n;
	for (i = 0; i < n; i++)
		sum += s->list[i].p;
	for (i = 0; i < n && part < o->top_p * sum; i++)
		part += s->list[i].p;
	return i;
}

int32_t llm_sampler_next(struct llm_sampler *s, const float *logits)
{
	double sum = 0.0, r;
	uint32_t n, i;

	if (!(s->opts.temperature > 0.0f))
		return argmax(logits, s->n_vocab);
	n = collect(s, logits);
	if (!n)	/* nothing but NaN and infinities */
		return argmax(logits, s->n_vocab);
	n = cut(s, n);
	for (i = 0; i < n; i++)
		sum += s->list[i].p;
	r = uniform(s) * sum;
	for (i = 0; i + 1 < n; i++) {
		r -= s->list[i].p;
		if (r < 0.0)
			break;
	}
	return s->list[i].id;
}
