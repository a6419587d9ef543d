// SPDX-License-Identifier: MIT
/*
 * Greedy planning: values one after another into the smallest gap that is
 * free during their life. No single order is best for all networks, so a few
 * are tried and the smallest result is taken.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "graph/plan.h"
#include "runtime/error.h"

typedef int (*order_fn)(const void *, const void *);

static int cmp(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static const struct hg_life *life_of(const void *p)
{
	return *(struct hg_life *const *)p;
}

static int by_first(const void *a, const void *b)
{
	const struct hg_life *x = life_of(a), *y = life_of(b);
	int c = cmp(x->first, y->first);

	if (!c)
		c = cmp(y->bytes, x->bytes);
	return c ? c : cmp((uintptr_t)x, (uintptr_t)y);
}

static int by_size(const void *a, const void *b)
{
	int c = cmp(life_of(b)->bytes, life_of(a)->bytes);

	return c ? c : by_first(a, b);
}

static int by_length(const void *a, const void *b)
{
	const struct hg_life *x = life_of(a), *y = life_of(b);
	int c = cmp(y->last - y->first, x->last - x->first);

	return c ? c : by_size(a, b);
}

static int by_area(const void *a, const void *b)
{
	const struct hg_life *x = life_of(a), *y = life_of(b);
	double p = (double)x->bytes * (x->last - x->first + 1.0);
	double q = (double)y->bytes * (y->last - y->first + 1.0);

	return p > q ? -1 : p < q ? 1 : by_size(a, b);
}

static const order_fn orders[] = { by_size, by_area, by_first, by_length };

static uint64_t rounded(const struct hg_life *v)
{
	return (v->bytes + HG_VALUE_ALIGN - 1) & ~(uint64_t)(HG_VALUE_ALIGN - 1);
}

/* @placed, @n of them, are sorted by offset; finds the place of @v among them. */
static uint32_t place(struct hg_life *const *placed, uint32_t n, struct hg_life *v)
{
	uint64_t end = 0, best_gap = UINT64_MAX, bytes = rounded(v);
	bool found = false;
	uint32_t at;

	for (uint32_t i = 0; i < n; i++) {
		const struct hg_life *p = placed[i];
		uint64_t gap;

		if (p->last < v->first || p->first > v->last)
			continue;
		gap = p->offset > end ? p->offset - end : 0;
		if (gap >= bytes && gap < best_gap) {
			v->offset = end;
			best_gap = gap;
			found = true;
		}
		if (p->offset + rounded(p) > end)
			end = p->offset + rounded(p);
	}
	if (!found)
		v->offset = end;
	for (at = n; at && placed[at - 1]->offset > v->offset; at--)
		;
	return at;
}

/* Places all in the order in which they stand; returns the size. */
static uint64_t run(struct hg_life **todo, struct hg_life **placed, uint32_t n)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct hg_life *v = todo[i];
		uint32_t at = place(placed, i, v);

		memmove(placed + at + 1, placed + at, (i - at) * sizeof(*placed));
		placed[at] = v;
		if (v->offset + rounded(v) > bytes)
			bytes = v->offset + rounded(v);
	}
	return bytes;
}

struct edge {
	uint32_t at;
	int64_t bytes;
};

/* What ends makes room before what begins at the same time. */
static int by_edge(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;
	int c = cmp(x->at, y->at);

	return c ? c : x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int most_at_one_time(struct hg_life *const *life, uint32_t n, uint64_t *most)
{
	struct edge *edges = malloc((2 * (size_t)n + 1) * sizeof(*edges));
	int64_t sum = 0;

	if (!edges)
		return hearth_seterr(-ENOMEM, "no memory to plan %u values", n);
	for (uint32_t i = 0; i < n; i++) {
		edges[2 * i] = (struct edge){ life[i]->first, (int64_t)rounded(life[i]) };
		edges[2 * i + 1] = (struct edge){ life[i]->last + 1,
						  -(int64_t)rounded(life[i]) };
	}
	qsort(edges, 2 * (size_t)n, sizeof(*edges), by_edge);
	for (uint32_t i = 0; i < 2 * n; i++) {
		sum += edges[i].bytes;
		if (sum > (int64_t)*most)
			*most = sum;
	}
	free(edges);
	return 0;
}

/* Tries the orders until one gives @least; leaves the best one's offsets. */
static uint64_t try_orders(struct hg_life **todo, struct hg_life **placed, uint32_t n,
			   uint64_t least)
{
	const unsigned int count = sizeof(orders) / sizeof(*orders);
	uint64_t best = UINT64_MAX, bytes;
	unsigned int winner = 0;

	for (unsigned int i = 0; i < count; i++) {
		qsort(todo, n, sizeof(*todo), orders[i]);
		bytes = run(todo, placed, n);
		if (bytes < best) {
			best = bytes;
			winner = i;
		}
		if (bytes == least)
			return bytes;
	}
	if (winner != count - 1) {
		qsort(todo, n, sizeof(*todo), orders[winner]);
		run(todo, placed, n);
	}
	return best;
}

int hg_plan(struct hg_life *life, uint32_t n, uint64_t *bytes, uint64_t *least)
{
	struct hg_life **todo = malloc(2 * ((size_t)n + 1) * sizeof(*todo));
	uint64_t most = 0;
	uint32_t count = 0;
	int ret;

	if (!todo)
		return hearth_seterr(-ENOMEM, "no memory to plan %u values", n);
	for (uint32_t i = 0; i < n; i++) {
		life[i].offset = 0;
		if (life[i].bytes)
			todo[count++] = &life[i];
	}
	ret = most_at_one_time(todo, count, &most);
	if (!ret) {
		*bytes = try_orders(todo, todo + n + 1, count, most);
		if (least)
			*least = most;
	}
	free(todo);
	return ret;
}
