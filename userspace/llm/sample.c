// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"
#include "kernels/mathf.h"
#include "llm/sample.h"
#include "runtime/error.h"

/* exp(-87) is the last that is not denormal: what is less likely is dropped */
#define MIN_EXPONENT	(-87.0f)
#define REPEAT_DEFAULT	64
#define FIRST_LOOK	256	/* candidates */

struct candidate {
	float logit;
	float p;	/* relative to the likeliest, which has 1 */
	int32_t id;
};

struct llm_sampler {
	struct hearth_generate_opts opts;
	uint64_t state;
	uint32_t n_vocab;
	/* the last tokens, as a ring; NULL if repeating is free */
	int32_t *ring;
	uint64_t n_told;
	float *punished;
	struct candidate list[];
};

struct llm_sampler *llm_sampler_create(uint32_t n_vocab)
{
	struct llm_sampler *s = calloc(1, sizeof(*s) +
				       (size_t)n_vocab * sizeof(s->list[0]));

	if (s)
		s->n_vocab = n_vocab;
	return s;
}

static void drop_ring(struct llm_sampler *s)
{
	free(s->ring);
	free(s->punished);
	s->ring = NULL;
	s->punished = NULL;
}

void llm_sampler_destroy(struct llm_sampler *s)
{
	if (!s)
		return;
	drop_ring(s);
	free(s);
}

static int check(const struct hearth_generate_opts *o)
{
	if (!(o->temperature >= 0.0f && o->temperature <= 1e6f))
		return hearth_seterr(-EINVAL, "temperature is %g: 0 to 1e6 is possible",
				     o->temperature);
	if (!(o->top_p >= 0.0f && o->top_p <= 1.0f))
		return hearth_seterr(-EINVAL, "top_p is %g: 0 to 1 is possible", o->top_p);
	if (!(o->min_p >= 0.0f && o->min_p <= 1.0f))
		return hearth_seterr(-EINVAL, "min_p is %g: 0 to 1 is possible", o->min_p);
	if (o->repeat_penalty != 0.0f &&
	    !(o->repeat_penalty >= 0.01f && o->repeat_penalty <= 100.0f))
		return hearth_seterr(-EINVAL, "repeat_penalty is %g: 0.01 to 100 is possible",
				     o->repeat_penalty);
	if (o->repeat_window > HEARTH_MAX_REPEAT_WINDOW)
		return hearth_seterr(-EINVAL, "repeat_window is %u: at most %u are possible",
				     o->repeat_window, HEARTH_MAX_REPEAT_WINDOW);
	return 0;
}

int llm_sampler_start(struct llm_sampler *s,
		      const struct hearth_generate_opts *opts)
{
	int ret = check(opts);

	if (ret)
		return ret;
	s->opts = *opts;
	s->state = opts->seed;
	s->n_told = 0;
	drop_ring(s);
	if (opts->repeat_penalty == 0.0f || opts->repeat_penalty == 1.0f)
		return 0;
	if (!s->opts.repeat_window)
		s->opts.repeat_window = REPEAT_DEFAULT;
	s->ring = malloc(s->opts.repeat_window * sizeof(*s->ring));
	s->punished = malloc((size_t)s->n_vocab * sizeof(*s->punished));
	if (!s->ring || !s->punished)
		return hearth_seterr(-ENOMEM, "no memory for %u logits", s->n_vocab);
	return 0;
}

/* SplitMix64 (Steele, Lea, Flood 2014); the top 53 bits as [0, 1). */
static double uniform(struct llm_sampler *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* As the op of that name: the first of the largest, NaN below every number. */
static int32_t argmax(const float *logits, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++)
		if (logits[i] > logits[best] ||
		    (logits[best] != logits[best] && logits[i] == logits[i]))
			best = i;
	return best;
}

/* A token that was told lately is less likely, once, however often it was. */
static const float *punish(struct llm_sampler *s, const float *logits)
{
	uint64_t n = s->n_told < s->opts.repeat_window ? s->n_told : s->opts.repeat_window;
	float penalty = s->opts.repeat_penalty;

	memcpy(s->punished, logits, (size_t)s->n_vocab * sizeof(*logits));
	for (uint64_t i = 0; i < n; i++) {
		int32_t id = s->ring[i];

		s->punished[id] = logits[id] > 0.0f ? logits[id] / penalty :
						      logits[id] * penalty;
	}
	return s->punished;
}

/*
 * All of a large vocabulary go through here, so the processor's fused
 * multiply-add is worth a second version: the bits are those of fmaf().
 */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("fma", "default")))
#endif
static void exp_all(struct candidate *list, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		list[i].p = hk_expf(list[i].p);
}

/*
 * What is likely enough, in the order of the ids; p is its exponent yet. What
 * min_p will drop for certain is dropped before it costs an exp().
 */
static uint32_t collect(struct llm_sampler *s, const float *logits)
{
	float max = logits[argmax(logits, s->n_vocab)], t = s->opts.temperature;
	float least = s->opts.min_p > 0.0f ? logf(s->opts.min_p) - 0.01f : MIN_EXPONENT;
	uint32_t n = 0;

	if (least < MIN_EXPONENT)
		least = MIN_EXPONENT;
	for (uint32_t i = 0; i < s->n_vocab; i++) {
		float x = (logits[i] - max) / t;

		if (x >= least)
			s->list[n++] = (struct candidate){ .logit = logits[i], .p = x, .id = i };
	}
	return n;
}

/* Keep what has at least min_p; the likeliest is always kept. */
static uint32_t drop_unlikely(struct candidate *list, uint32_t n, float min_p)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (list[i].p >= min_p)
			list[kept++] = list[i];
	return kept;
}

/* Likelier ones first, of equal ones the lower id. */
static bool before(const struct candidate *a, const struct candidate *b)
{
	return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

/* Restore the heap at @i; its top is the likeliest, or with @least the least likely. */
static void sift(struct candidate *heap, uint32_t n, uint32_t i, bool least)
{
	struct candidate c = heap[i];
	uint32_t down;

	while ((down = 2 * i + 1) < n) {
		if (down + 1 < n && before(&heap[down + 1], &heap[down]) != least)
			down++;
		if (before(&heap[down], &c) == least)
			break;
		heap[i] = heap[down];
		i = down;
	}
	heap[i] = c;
}

static void make_heap(struct candidate *list, uint32_t n, bool least)
{
	for (uint32_t i = n / 2; i-- > 0;)
		sift(list, n, i, least);
}

/* Bring the @k likeliest of @n to the front, in no order that matters. */
static void bring_to_front(struct candidate *list, uint32_t n, uint32_t k)
{
	make_heap(list, k, true);
	for (uint32_t i = k; i < n; i++) {
		struct candidate c = list[i];

		if (!before(&c, &list[0]))
			continue;
		list[i] = list[0];
		list[0] = c;
		sift(list, k, 0, true);
	}
}

/*
 * Of list[0] to list[n - 1] take the likeliest, until there are @most or their
 * p sum up to @enough: from a heap, because few are wanted of many. They come
 * to stand at the end of the list, the likeliest last. Returns their number.
 */
static uint32_t take(struct candidate *list, uint32_t n, uint32_t most, double enough)
{
	uint32_t taken = 0;
	double sum = 0.0;

	make_heap(list, n, false);
	while (taken < most && sum < enough) {
		struct candidate top = list[0];

		sum += top.p;
		taken++;
		list[0] = list[n - taken];
		list[n - taken] = top;
		sift(list, n - taken, 0, false);
	}
	return taken;
}

static double mass(const struct candidate *list, uint32_t n)
{
	double sum = 0.0;

	for (uint32_t i = 0; i < n; i++)
		sum += list[i].p;
	return sum;
}

/* One of them, each as often as its p says. */
static int32_t draw(struct llm_sampler *s, const struct candidate *list, uint32_t n)
{
	double r = uniform(s) * mass(list, n);
	uint32_t i;

	for (i = 0; i + 1 < n; i++) {
		r -= list[i].p;
		if (r < 0.0)
			break;
	}
	return list[i].id;
}

struct span {
	struct candidate *list;
	uint32_t n;
};

static struct span take_top_k(struct span s, uint32_t k)
{
	bring_to_front(s.list, s.n, k);
	take(s.list, k, k, INFINITY);
	return (struct span){ s.list, k };
}

/* A few likeliest mostly suffice: they are looked at first. */
static struct span take_top_p(struct span s, float top_p)
{
	double enough = top_p * mass(s.list, s.n);
	uint32_t some = s.n < FIRST_LOOK ? s.n : FIRST_LOOK, taken;

	bring_to_front(s.list, s.n, some);
	taken = take(s.list, some, some, enough);
	if (taken == some) {
		some = s.n;
		taken = take(s.list, some, some, enough);
	}
	return (struct span){ s.list + some - taken, taken };
}

static int32_t choose(struct llm_sampler *s, const float *logits)
{
	const struct hearth_generate_opts *o = &s->opts;
	struct span c = { s->list, 0 };

	if (o->temperature == 0.0f)
		return argmax(logits, s->n_vocab);
	c.n = collect(s, logits);
	if (!c.n)	/* nothing but NaN and infinities */
		return argmax(logits, s->n_vocab);
	if (o->top_k && o->top_k < c.n)
		c = take_top_k(c, o->top_k);
	exp_all(c.list, c.n);
	c.n = drop_unlikely(c.list, c.n, o->min_p);
	if (o->top_p > 0.0f && o->top_p < 1.0f)
		c = take_top_p(c, o->top_p);
	return draw(s, c.list, c.n);
}

int32_t llm_sampler_next(struct llm_sampler *s, const float *logits)
{
	int32_t id = choose(s, s->ring ? punish(s, logits) : logits);

	if (s->ring)
		s->ring[s->n_told++ % s->opts.repeat_window] = id;
	return id;
}
