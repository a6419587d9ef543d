// SPDX-License-Identifier: MIT
/*
 * Merging: the text starts as single characters, and again and again the best
 * pair of neighbours becomes one, until no pair is a token. Pairs wait in a
 * heap, so a text of n characters costs n log n.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "llm/tokenizer_internal.h"

struct tok_sym {
	uint32_t pos, len;	/* len 0: merged into its left neighbour */
	int32_t prev, next;	/* -1: none */
	int32_t id;		/* byte-level BPE: always a token; SPM: -1 until merged */
};

struct tok_pair {
	uint32_t key;		/* lowest first */
	int32_t left, right;
	uint32_t len;		/* of both; differs once one of them has changed */
	int32_t id;
};

static bool before(const struct tok_pair *a, const struct tok_pair *b)
{
	return a->key != b->key ? a->key < b->key : a->left < b->left;
}

static void heap_push(struct tok_work *w, struct tok_pair p)
{
	size_t i = w->n_heap++;

	while (i) {
		size_t up = (i - 1) / 2;

		if (!before(&p, &w->heap[up]))
			break;
		w->heap[i] = w->heap[up];
		i = up;
	}
	w->heap[i] = p;
}

static struct tok_pair heap_pop(struct tok_work *w)
{
	struct tok_pair top = w->heap[0], p = w->heap[--w->n_heap];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < w->n_heap) {
		if (down + 1 < w->n_heap && before(&w->heap[down + 1], &w->heap[down]))
			down++;
		if (!before(&w->heap[down], &p))
			break;
		w->heap[i] = w->heap[down];
		i = down;
	}
	w->heap[i] = p;
	return top;
}

static int reserve(struct tok_work *w, size_t n)
{
	if (n <= w->cap)
		return 0;
	tok_work_free(w);
	w->syms = malloc(n * sizeof(*w->syms));
	/* n - 1 pairs at first, then two for each of at most n - 1 merges. */
	w->heap = malloc(3 * n * sizeof(*w->heap));
	if (!w->syms || !w->heap) {
		tok_work_free(w);
		return -ENOMEM;
	}
	w->cap = n;
	return 0;
}

void tok_work_free(struct tok_work *w)
{
	free(w->syms);
	free(w->heap);
	*w = (struct tok_work){ 0 };
}

/* Floats to integers that ascend as scores descend. */
static uint32_t score_key(float score)
{
	uint32_t u;

	if (score == 0)
		score = 0;	/* -0 too */
	memcpy(&u, &score, sizeof(u));
	return u & 0x80000000 ? u : ~(u | 0x80000000);
}

static void try_pair(const struct tok *t, struct tok_work *w, const char *text, int32_t left,
		     int32_t right)
{
	const struct tok_sym *l, *r;
	struct tok_pair p;

	if (left < 0 || right < 0)
		return;
	l = &w->syms[left];
	r = &w->syms[right];
	p = (struct tok_pair){ .left = left, .right = right, .len = l->len + r->len };
	if (t->kind == TOK_SPM) {
		p.id = tok_lookup(t, text + l->pos, p.len);
		if (p.id < 0)
			return;
		p.key = t->score ? score_key(t->score[p.id]) : (uint32_t)p.id;
	} else {
		int32_t rank = tok_find_merge(t, l->id, r->id, &p.id);

		if (rank < 0)
			return;
		p.key = (uint32_t)rank;
	}
	heap_push(w, p);
}

static void merge_all(const struct tok *t, struct tok_work *w, const char *text)
{
	while (w->n_heap) {
		struct tok_pair p = heap_pop(w);
		struct tok_sym *l = &w->syms[p.left], *r = &w->syms[p.right];

		if (!l->len || !r->len || l->len + r->len != p.len)
			continue;
		l->len = p.len;
		l->id = p.id;
		l->next = r->next;
		r->len = 0;
		if (l->next >= 0)
			w->syms[l->next].prev = p.left;
		try_pair(t, w, text, l->prev, p.left);
		try_pair(t, w, text, p.left, l->next);
	}
}

/* Lengths follow the lead byte alone, as in the models' own tokenizers. */
static size_t lead_len(unsigned char c, size_t left)
{
	size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return n < left ? n : left;
}

static int split(const struct tok *t, struct tok_work *w, const char *text, size_t len)
{
	int32_t n = 0;

	for (size_t pos = 0; pos < len; n++) {
		struct tok_sym *s = &w->syms[n];
		unsigned char c = text[pos];

		*s = (struct tok_sym){ .pos = pos, .len = 1, .prev = n - 1, .next = n + 1 };
		if (t->kind == TOK_SPM) {
			s->len = lead_len(c, len - pos);
			s->id = tok_lookup(t, text + pos, s->len);
		} else {
			s->id = t->byte_id[c];
			if (s->id < 0)
				return -EILSEQ;
		}
		pos += s->len;
	}
	w->syms[n - 1].next = -1;
	return n;
}

static int emit_bytes(const struct tok *t, const char *s, uint32_t len, struct tok_out *out)
{
	for (uint32_t i = 0; i < len; i++) {
		int32_t id = t->byte_id[(unsigned char)s[i]];

		if (id < 0)
			id = t->unk;
		if (id < 0)
			return -EILSEQ;
		tok_emit(out, id);
	}
	return 0;
}

int tok_merge_text(const struct tok *t, struct tok_work *w, const char *text, size_t len,
		   struct tok_out *out)
{
	int n, ret;

	if (!len)
		return 0;
	ret = reserve(w, len);
	if (ret)
		return ret;
	n = split(t, w, text, len);
	if (n < 0)
		return n;
	w->n_heap = 0;
	for (int32_t i = 1; i < n; i++)
		try_pair(t, w, text, i - 1, i);
	merge_all(t, w, text);

	for (int32_t i = 0; i >= 0; i = w->syms[i].next) {
		const struct tok_sym *s = &w->syms[i];

		if (s->id >= 0) {
			tok_emit(out, s->id);
			continue;
		}
		ret = emit_bytes(t, text + s->pos, s->len, out);
		if (ret)
			return ret;
	}
	return 0;
}
