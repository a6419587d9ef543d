// SPDX-License-Identifier: MIT
/* Tables over the vocabulary: spelling to id, pair to merge, specials. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/le.h"
#include "llm/tokenizer_internal.h"

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash-1-3. */
static uint64_t hash_bytes(const uint64_t key[2], const char *s, size_t len)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
			  key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573 };
	uint64_t last = (uint64_t)len << 56;
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t m = le_u64(s + i);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t k = 0; i + k < len; k++)
		last |= (uint64_t)(unsigned char)s[i + k] << (8 * k);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int k = 0; k < 3; k++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Room for @n entries, at most TOK_MAX_ENTRIES, and @spare empty slots. */
static int table_alloc(struct tok_table *table, uint64_t n, uint64_t spare)
{
	uint64_t slots = n + spare + 64;
	uint32_t bits = 1;

	while (n >> bits)
		bits++;
	/* a slot is read as four bytes */
	table->slots = calloc(slots * TOK_SLOT_BYTES + 1, 1);
	table->n = slots;
	table->mask = (1u << bits) - 1;
	return table->slots ? 0 : -ENOMEM;
}

static uint32_t table_start(const struct tok_table *table, uint64_t hash)
{
	return (hash >> 32) * table->n >> 32;
}

static uint32_t table_next(const struct tok_table *table, uint32_t i)
{
	return i + 1 < table->n ? i + 1 : 0;
}

static uint32_t table_get(const struct tok_table *table, uint32_t i)
{
	return le_u32(table->slots + (size_t)i * TOK_SLOT_BYTES) & TOK_MAX_ENTRIES;
}

/* May a slot with this value hold what has this hash? */
static bool table_may(const struct tok_table *table, uint32_t slot, uint64_t hash)
{
	return !((slot ^ (uint32_t)hash) & TOK_MAX_ENTRIES & ~table->mask);
}

static int32_t table_entry(const struct tok_table *table, uint32_t slot)
{
	return (int32_t)(slot & table->mask) - 1;
}

static void table_set(struct tok_table *table, uint32_t i, uint64_t hash, uint32_t entry)
{
	uint32_t slot = ((uint32_t)hash & ~table->mask) | (entry + 1);
	uint8_t *p = table->slots + (size_t)i * TOK_SLOT_BYTES;

	p[0] = slot;
	p[1] = slot >> 8;
	p[2] = slot >> 16;
}

static bool same(const struct tok *t, int32_t id, const char *s, size_t len)
{
	return tok_len(t, id) == len && !memcmp(tok_text(t, id), s, len);
}

/* Where @s stands or would stand. */
static uint32_t slot(const struct tok *t, const char *s, size_t len, uint64_t hash)
{
	const struct tok_table *table = &t->spelled;
	uint32_t i = table_start(table, hash), at;

	while ((at = table_get(table, i)) &&
	       !(table_may(table, at, hash) && same(t, table_entry(table, at), s, len)))
		i = table_next(table, i);
	return i;
}

int32_t tok_lookup(const struct tok *t, const char *s, size_t len)
{
	if (len > t->max_len)
		return -1;
	return table_entry(&t->spelled,
			   table_get(&t->spelled, slot(t, s, len, hash_bytes(t->key, s, len))));
}

/*
 * Which tokens text can turn into by merging. Control tokens never: only
 * TOK_PARSE_SPECIAL lets text spell them. User-defined ones may be the result
 * of merges too, unless their spelling holds what merging never sees.
 */
bool tok_mergeable(const struct tok *t, int32_t id)
{
	enum tok_type type = tok_type(t, id);
	const char *s = tok_text(t, id);
	uint32_t len = tok_len(t, id);

	if (!len)
		return false;
	if (type == TOK_TYPE_NORMAL || type == TOK_TYPE_UNUSED)
		return true;
	if (type != TOK_TYPE_USER)
		return false;
	for (uint32_t i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] == 0x7f)
			return false;
	return true;
}

static void index_bytes(struct tok *t)
{
	for (int b = 0; b < 256; b++) {
		char c = (char)b;

		if (t->byte_id[b] < 0)
			t->byte_id[b] = tok_lookup(t, &c, 1);
	}
}

int tok_index_tokens(struct tok *t, struct hearth_err *err)
{
	if (table_alloc(&t->spelled, t->n, t->n / 3))
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory for %d tokens", t->n);
	if (getrandom(t->key, sizeof(t->key), GRND_NONBLOCK) != sizeof(t->key))
		t->key[0] = (uintptr_t)t->spelled.slots;

	for (int32_t i = 0; i < t->n; i++) {
		const char *s = tok_text(t, i);
		uint32_t len = tok_len(t, i);
		uint64_t hash;

		if (!tok_mergeable(t, i))
			continue;
		hash = hash_bytes(t->key, s, len);
		/* Of two tokens with one spelling the later counts. */
		table_set(&t->spelled, slot(t, s, len, hash), hash, i);
		if (len > t->max_len)
			t->max_len = len;
	}
	index_bytes(t);
	return 0;
}

int tok_alloc_merges(struct tok *t, uint64_t n, struct hearth_err *err)
{
	t->merges = malloc((n + 1) * sizeof(*t->merges));
	t->merged_id = malloc((n + 1) * sizeof(*t->merged_id));
	if (!t->merges || !t->merged_id || table_alloc(&t->merged, n, 2 * n))
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory for %llu merges",
				      (unsigned long long)n);
	return 0;
}

/* Products with a random odd factor: few collisions for any set of pairs. */
static uint64_t merge_hash(const struct tok *t, int32_t left, int32_t right)
{
	uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * (t->key[0] | 1);

	/* the upper half is the good one; the lower takes from it */
	return hash ^ hash >> 29;
}

static uint32_t merge_slot(const struct tok *t, int32_t left, int32_t right, uint64_t hash)
{
	const struct tok_table *table = &t->merged;
	uint32_t i = table_start(table, hash), at;

	for (; (at = table_get(table, i)); i = table_next(table, i)) {
		const struct tok_merge *m = &t->merges[table_entry(table, at)];

		if (table_may(table, at, hash) && m->left == left && m->right == right)
			break;
	}
	return i;
}

/* The first rank of a pair counts. */
void tok_add_merge(struct tok *t, int32_t left, int32_t right, int32_t id)
{
	uint64_t hash = merge_hash(t, left, right);
	uint32_t i = merge_slot(t, left, right, hash);

	if (!table_get(&t->merged, i))
		table_set(&t->merged, i, hash, t->n_merges);
	t->merged_id[t->n_merges] = id;
	t->merges[t->n_merges++] = (struct tok_merge){ left, right };
}

/* Most vocabularies have what merges make in the order in which they make it. */
void tok_end_merges(struct tok *t)
{
	t->merged_first = t->n_merges ? t->merged_id[0] : 0;
	for (uint32_t i = 0; i < t->n_merges; i++) {
		if ((int64_t)t->merged_id[i] - t->merged_first != i)
			return;
	}
	free(t->merged_id);
	t->merged_id = NULL;
}

int32_t tok_find_merge(const struct tok *t, int32_t left, int32_t right, int32_t *id)
{
	uint32_t at = merge_slot(t, left, right, merge_hash(t, left, right));
	int32_t i = table_entry(&t->merged, table_get(&t->merged, at));

	if (i >= 0)
		*id = t->merged_id ? t->merged_id[i] : t->merged_first + i;
	return i;
}

/*
 * Longer specials would make the search for them slow; none of the known
 * models comes near.
 */
#define MAX_SPECIAL 256

static bool is_special(enum tok_type type)
{
	return type == TOK_TYPE_CONTROL || type == TOK_TYPE_UNKNOWN || type == TOK_TYPE_USER;
}

static int cmp_text(const void *a, const void *b, void *arg)
{
	const struct tok *t = arg;
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	uint32_t p = tok_len(t, x), q = tok_len(t, y);
	int c = memcmp(tok_text(t, x), tok_text(t, y), p < q ? p : q);

	if (c)
		return c;
	if (p != q)
		return p < q ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Sort; of tokens with one spelling the last stays. */
static void sort_tokens(struct tok *t, struct tok_sorted *s)
{
	int32_t n = 0;

	qsort_r(s->ids, s->n, sizeof(*s->ids), cmp_text, t);
	for (int32_t i = 0; i < s->n; i++) {
		int32_t id = s->ids[i];

		if (n && same(t, s->ids[n - 1], tok_text(t, id), tok_len(t, id)))
			n--;
		s->ids[n++] = id;
	}
	s->n = n;
}

static bool is_sorted_kind(const struct tok *t, int32_t id, bool special)
{
	uint32_t len = tok_len(t, id);

	return len && len <= MAX_SPECIAL && is_special(tok_type(t, id)) == special;
}

static int collect(struct tok *t, struct tok_sorted *s, bool special)
{
	int32_t n = 0;

	for (int32_t i = 0; i < t->n; i++)
		n += is_sorted_kind(t, i, special);
	s->ids = calloc((size_t)n + 1, sizeof(*s->ids));
	if (!s->ids)
		return -ENOMEM;
	for (int32_t i = 0; i < t->n; i++)
		if (is_sorted_kind(t, i, special))
			s->ids[s->n++] = i;
	return 0;
}

int tok_index_sorted(struct tok *t, struct hearth_err *err)
{
	if (collect(t, &t->special, true) || (t->kind == TOK_WPM && collect(t, &t->words, false)))
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory for %d tokens", t->n);
	for (int32_t i = 0; i < t->special.n; i++)
		t->special_first[(unsigned char)tok_text(t, t->special.ids[i])[0]] = true;
	sort_tokens(t, &t->special);
	if (t->words.ids)
		sort_tokens(t, &t->words);
	return 0;
}

/* Byte @at of token number @i; -1 behind its end, which sorts first. */
static int sorted_byte(const struct tok *t, const struct tok_sorted *s, int32_t i, uint32_t at)
{
	int32_t id = s->ids[i];

	return at < tok_len(t, id) ? (unsigned char)tok_text(t, id)[at] : -1;
}

/* In [lo, hi), whose members agree before @at: the first with byte @at >= @want. */
static int32_t narrow(const struct tok *t, const struct tok_sorted *s, int32_t lo, int32_t hi,
		      uint32_t at, int want)
{
	while (lo < hi) {
		int32_t mid = lo + (hi - lo) / 2;

		if (sorted_byte(t, s, mid, at) < want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The longest token of @s that @text starts with, of all or of the user-defined ones. */
static int32_t longest(const struct tok *t, const struct tok_sorted *s, const char *text,
		       size_t len, bool all)
{
	int32_t lo = 0, hi = s->n, best = -1;

	for (uint32_t at = 0; lo < hi; at++) {
		int32_t end = narrow(t, s, lo, hi, at, 0);

		/* At most one ends here. */
		if (lo < end && (all || tok_type(t, s->ids[lo]) == TOK_TYPE_USER))
			best = s->ids[lo];
		if (at >= len)
			break;
		lo = narrow(t, s, end, hi, at, (unsigned char)text[at]);
		hi = narrow(t, s, lo, hi, at, (unsigned char)text[at] + 1);
	}
	return best;
}

/* User-defined tokens are part of the text; the others only if the caller says so. */
int32_t tok_match_special(const struct tok *t, const char *s, size_t len, bool control)
{
	if (!len || !t->special_first[(unsigned char)s[0]])
		return -1;
	return longest(t, &t->special, s, len, control);
}

int32_t tok_match_word(const struct tok *t, const char *s, size_t len)
{
	return longest(t, &t->words, s, len, true);
}
