// SPDX-License-Identifier: MIT
/*
 * ATTENTION, ATTENTION_2 and ATTENTION_PAGED. A query is one head of one row; a task
 * has some queries that read the same key/value head. Of the caches, only the part from
 * the first to the last position in use is mapped, some heads at a time: each head by
 * itself, or, where there are pages, those heads of each page.
 */
#include <errno.h>
#include <string.h>

#include "kernels/f16.h"
#include "kernels/float.h"
#include "kernels/kv_cache.h"

/* Key/value heads mapped at a time. */
#define HEADS	8

/* Maps of a cache at a time: heads, or pages. */
#define MAPS	HEARTH_KV_MAX_PAGES
_Static_assert(MAPS >= HEADS, "a map for each head");

/* Rows at a time. */
#define MAX_ROWS	64

/* Maps grow in steps, so that their sizes repeat from token to token. */
#define STEP	64

/* What only the longer command says; zeros for the other. */
struct extra {
	uint32_t window, softcap;
};

static struct extra extra(const struct hearth_cmd_attention *c)
{
	const struct hearth_cmd_attention_2 *c2 = (const void *)c;

	if (c->hdr.op == HEARTH_OP_ATTENTION)
		return (struct extra){ 0 };
	return (struct extra){ c2->window, c2->softcap };
}

static const struct hearth_cmd_kv_pages *pages_of(const struct hearth_cmd_attention *c)
{
	return c->hdr.op == HEARTH_OP_ATTENTION_PAGED ?
	       &((const struct hearth_cmd_attention_paged *)c)->pages : NULL;
}

static int check_fields(const struct hearth_cmd_attention *c, uint64_t *n, uint64_t *cache,
			struct hk_fault *fault)
{
	for (unsigned int i = 0; i < sizeof(c->reserved); i++) {
		if (c->reserved[i])
			return hk_bad(fault, "reserved");
	}
	if (c->type != HEARTH_TYPE_F32 && c->type != HEARTH_TYPE_F16 &&
	    (c->type != HEARTH_TYPE_Q8_0 || c->hdr.op == HEARTH_OP_ATTENTION))
		return hk_bad(fault, "type");
	if (hk_elements((uint32_t[]){ c->rows, c->heads, c->head_dim }, 3, n))
		return hk_bad(fault, "rows");
	if (hk_kv_cache_bytes(c->type, (uint32_t[]){ c->kv_heads, c->n_ctx, c->head_dim },
			      pages_of(c), cache, fault))
		return -EINVAL;
	if (c->heads % c->kv_heads)
		return hk_bad(fault, "kv_heads");
	return hk_finite_bits(c->scale) ? 0 : hk_bad(fault, "scale");
}

int hk_attention_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_attention *c = cmd;
	unsigned int align = c->type == HEARTH_TYPE_F32 ? 4 : 2;
	uint64_t n, cache;

	if (check_fields(c, &n, &cache, fault) ||
	    hk_operand(&op[0], "q", c->q, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "k", c->k, cache, align, HK_READ, fault) ||
	    hk_operand(&op[2], "v", c->v, cache, align, HK_READ, fault) ||
	    hk_operand(&op[3], "pos", c->pos, c->rows * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[4], "dst", c->dst, n * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[4], &op[0], true, fault) ||
	    hk_disjoint(&op[4], &op[1], false, fault) ||
	    hk_disjoint(&op[4], &op[2], false, fault) ||
	    hk_disjoint(&op[4], &op[3], false, fault))
		return -EINVAL;
	return 5;
}

int hk_attention_2_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_attention_2 *c = cmd;

	if (c->window > HEARTH_CMD_MAX_DIM)
		return hk_bad(fault, "window");
	if (c->softcap && !hk_positive_bits(c->softcap))
		return hk_bad(fault, "softcap");
	return hk_attention_operands(cmd, op, fault);
}

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static size_t scores_bytes(const struct hearth_cmd_attention *c)
{
	return align64(c->n_ctx * sizeof(float));
}

size_t hk_attention_scratch(const void *cmd, unsigned int threads)
{
	const struct hearth_cmd_attention *c = cmd;

	return align64(c->rows * sizeof(int32_t)) + threads * HK_QUERIES * scores_bytes(c);
}

struct job {
	const struct hearth_cmd_attention *c;
	const struct hk_float_kernels *flt;
	const float *q;
	float *dst;
	const int32_t *pos;
	uint8_t *scores;
	uint32_t rows, first_head, heads;
	/* Queries of a task. */
	uint32_t tile;
	struct hk_kv_cache l;
	/* Positions [from, to) are mapped. */
	uint32_t from, to;
	const struct hk_map *k, *v;
};

/* First position that a row at @pos attends to. */
static uint32_t first_of(const struct hearth_cmd_attention *c, uint32_t pos)
{
	uint32_t window = extra(c).window;

	return window && pos >= window ? pos + 1 - window : 0;
}

/* A query of key/value head @kv, and the positions [first, end) that it sees. */
struct query {
	uint64_t at;
	uint32_t first, end;
};

static struct query query(const struct job *j, uint32_t kv, uint32_t i)
{
	const struct hearth_cmd_attention *c = j->c;
	uint32_t per_kv = c->heads / c->kv_heads, row = i / per_kv;
	uint32_t head = (j->first_head + kv) * per_kv + i % per_kv;
	uint32_t pos = (uint32_t)j->pos[row];

	return (struct query){ ((uint64_t)row * c->heads + head) * c->head_dim,
			       first_of(c, pos), pos + 1 };
}

/* Entry @t of head @kv of those that are mapped; others follow up to the page's end. */
static const uint8_t *entry(const struct job *j, const struct hk_map *maps, uint32_t kv,
			    uint32_t t)
{
	uint32_t page = j->l.page;

	if (!pages_of(j->c))
		return (uint8_t *)maps[kv].ptr + (t - j->from) * j->l.row;
	return (uint8_t *)maps[t / page - j->from / page].ptr +
	       ((uint64_t)kv * page + t % page) * j->l.row;
}

static float *scores_of(const struct job *j, unsigned int worker, unsigned int i)
{
	return (float *)(j->scores + (worker * HK_QUERIES + i) * scores_bytes(j->c));
}

/* From scores to probabilities */
static void finish(const struct job *j, float *s, uint32_t n)
{
	uint32_t cap = extra(j->c).softcap;

	if (cap)
		j->flt->softcap(s, s, hk_f32_from_bits(cap), n);
	j->flt->softmax(s, n);
}

static void one_query(const struct job *j, uint32_t kv, const struct query *q,
		      unsigned int worker)
{
	const struct hearth_cmd_attention *c = j->c;
	bool f16 = c->type == HEARTH_TYPE_F16, q8 = c->type == HEARTH_TYPE_Q8_0;
	float scale = hk_f32_from_bits(c->scale), *s = scores_of(j, worker, 0);
	float *out = j->dst + q->at;

	for (uint32_t t = q->first, n; t < q->end; t += n) {
		const uint8_t *k = entry(j, j->k, kv, t);

		n = hk_kv_run(&j->l, t, q->end);
		if (q8)
			j->flt->scores_q8(s + (t - q->first), j->q + q->at, k, n, c->head_dim,
					  scale);
		else
			j->flt->scores(s + (t - q->first), j->q + q->at, k, f16, n, c->head_dim,
				       scale);
	}
	finish(j, s, q->end - q->first);
	/* the query is done with, and may lie here */
	memset(out, 0, c->head_dim * sizeof(*out));
	for (uint32_t t = q->first, n; t < q->end; t += n) {
		const uint8_t *v = entry(j, j->v, kv, t);

		n = hk_kv_run(&j->l, t, q->end);
		if (q8)
			j->flt->weighted_sum_q8(out, s + (t - q->first), v, n, c->head_dim);
		else
			j->flt->weighted_sum(out, s + (t - q->first), v, f16, n, c->head_dim);
	}
}

/* @n queries add what positions [from, to) give; p[i] belongs to position @base. */
static void add_part(const struct job *j, uint32_t kv, float *const out[], float *const p[],
		     uint32_t n, uint32_t base, uint32_t from, uint32_t to)
{
	const float *at[HK_QUERIES];

	for (uint32_t t = from, run; t < to; t += run) {
		run = hk_kv_run(&j->l, t, to);
		for (uint32_t i = 0; i < n; i++)
			at[i] = p[i] + (t - base);
		j->flt->weighted_add(out, at, n, entry(j, j->v, kv, t), j->c->type, run,
				     j->c->head_dim);
	}
}

/* Scores of four queries at positions [from, to), into s[i] from @from on. */
static void four_scores(const struct job *j, uint32_t kv, float *const s[HK_QUERIES],
			const float *const q[HK_QUERIES], uint32_t from, uint32_t to)
{
	float *at[HK_QUERIES];

	for (uint32_t t = from, n; t < to; t += n) {
		n = hk_kv_run(&j->l, t, to);
		for (int i = 0; i < HK_QUERIES; i++)
			at[i] = s[i] + (t - from);
		j->flt->scores_4(at, q, entry(j, j->k, kv, t), j->c->type, n, j->c->head_dim,
				 hk_f32_from_bits(j->c->scale));
	}
}

/*
 * Scores from the first position that any of the four sees to the last; of
 * the values each takes its own, in ascending order, and all at once those
 * that all of them see. [base, end) and [first, last).
 */
static void four_queries(const struct job *j, uint32_t kv, const struct query q[HK_QUERIES],
			 unsigned int worker)
{
	const struct hearth_cmd_attention *c = j->c;
	uint32_t base = UINT32_MAX, end = 0, first = 0, last = UINT32_MAX;
	const float *in[HK_QUERIES];
	float *s[HK_QUERIES], *out[HK_QUERIES];

	for (int i = 0; i < HK_QUERIES; i++) {
		base = q[i].first < base ? q[i].first : base;
		end = q[i].end > end ? q[i].end : end;
		first = q[i].first > first ? q[i].first : first;
		last = q[i].end < last ? q[i].end : last;
		in[i] = j->q + q[i].at;
		out[i] = j->dst + q[i].at;
		s[i] = scores_of(j, worker, i);
	}
	four_scores(j, kv, s, in, base, end);
	for (int i = 0; i < HK_QUERIES; i++) {
		finish(j, s[i] + (q[i].first - base), q[i].end - q[i].first);
		memset(out[i], 0, c->head_dim * sizeof(*out[i]));
		add_part(j, kv, out + i, s + i, 1, base, q[i].first,
			 first < q[i].end ? first : q[i].end);
	}
	add_part(j, kv, out, s, HK_QUERIES, base, first, last);
	for (int i = 0; i < HK_QUERIES; i++)
		add_part(j, kv, out + i, s + i, 1, base, last > first ? last : first, q[i].end);
}

/* Tasks count tiles of queries and the mapped heads, heads innermost. */
static void tiles(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	uint32_t queries = j->rows * (j->c->heads / j->c->kv_heads);

	for (uint32_t t = first; t < last; t++) {
		uint32_t kv = t % j->heads, at = t / j->heads * j->tile, n = queries - at;
		struct query q[HK_QUERIES];

		n = n < j->tile ? n : j->tile;
		for (uint32_t i = 0; i < n; i++)
			q[i] = query(j, kv, at + i);
		if (n == HK_QUERIES)
			four_queries(j, kv, q, worker);
		for (uint32_t i = 0; i < n && n < HK_QUERIES; i++)
			one_query(j, kv, &q[i], worker);
	}
}

/* Where map @i of the group is: a head's positions, or a page's heads. */
static void find_map(const struct job *j, uint32_t i, uint64_t *at, uint64_t *bytes)
{
	if (pages_of(j->c)) {
		*at = hk_kv_at(&j->l, j->first_head, (j->from / j->l.page + i) * j->l.page);
		*bytes = (uint64_t)j->heads * j->l.page * j->l.row;
	} else {
		*at = hk_kv_at(&j->l, j->first_head + i, j->from);
		*bytes = (j->to - j->from) * j->l.row;
	}
}

static uint32_t count_maps(const struct job *j)
{
	return pages_of(j->c) ? (j->to - 1) / j->l.page - j->from / j->l.page + 1 : j->heads;
}

static int map_both(const struct job *j, uint32_t i, struct hk_map *k, struct hk_map *v,
		    struct hk_space *space, struct hk_fault *fault)
{
	struct hk_operand op = { .access = HK_READ };
	uint64_t at;
	int ret;

	find_map(j, i, &at, &op.bytes);
	op.va = j->c->k + at;
	op.name = "k";
	ret = hk_map(space, k, &op, fault);
	if (ret)
		return ret;
	op.va = j->c->v + at;
	op.name = "v";
	ret = hk_map(space, v, &op, fault);
	return ret ? hk_unmap(space, k, ret, fault) : 0;
}

static int one_group(struct job *j, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_attention *c = j->c;
	uint64_t per_head = (uint64_t)(j->to - j->from) * c->head_dim;
	uint32_t i, n = count_maps(j);
	struct hk_map k[MAPS], v[MAPS];
	int ret = 0;

	j->k = k;
	j->v = v;
	for (i = 0; i < n; i++) {
		ret = map_both(j, i, &k[i], &v[i], space, r->fault);
		if (ret)
			break;
	}
	/* rows * heads is below 2^36 / head_dim, but may pass 32 bits. */
	for (uint32_t row = 0; !ret && row < c->rows; row += MAX_ROWS) {
		struct job part = *j;

		part.rows = c->rows - row < MAX_ROWS ? c->rows - row : MAX_ROWS;
		part.q += (uint64_t)row * c->heads * c->head_dim;
		part.dst += (uint64_t)row * c->heads * c->head_dim;
		part.pos += row;
		n = part.rows * (c->heads / c->kv_heads);
		hk_for_rows(r->pool, tiles, &part, (n + j->tile - 1) / j->tile * j->heads,
			    (uint32_t)(16384 / (per_head * j->tile) + 1));
	}
	while (i-- > 0) {
		ret = hk_unmap(space, &v[i], ret, r->fault);
		ret = hk_unmap(space, &k[i], ret, r->fault);
	}
	/* They are ours, and end with us. */
	j->k = NULL;
	j->v = NULL;
	return ret;
}

/* The positions that any row attends to, in steps. */
static void find_range(struct job *j, uint32_t largest)
{
	const struct hearth_cmd_attention *c = j->c;
	uint32_t smallest = largest;

	for (uint32_t i = 0; i < c->rows; i++) {
		if ((uint32_t)j->pos[i] < smallest)
			smallest = (uint32_t)j->pos[i];
	}
	j->from = first_of(c, smallest) / STEP * STEP;
	j->to = (largest + STEP) / STEP * STEP;
	j->to = j->to < c->n_ctx ? j->to : c->n_ctx;
	/* a page behind it need not be there */
	if (pages_of(c))
		j->to = largest + 1;
}

static int all_groups(struct job *j, const int32_t *pos, struct hk_space *space,
		      struct hk_run *r)
{
	const struct hearth_cmd_attention *c = j->c;
	uint32_t largest;
	int ret;

	ret = hk_check_index(pos, r->scratch, c->rows, c->n_ctx, &largest, "pos", r->fault);
	if (ret)
		return ret;
	j->pos = r->scratch;
	j->scores = (uint8_t *)r->scratch + align64(c->rows * sizeof(int32_t));
	find_range(j, largest);
	for (uint32_t h = 0; !ret && h < c->kv_heads; h += HEADS) {
		j->first_head = h;
		j->heads = c->kv_heads - h < HEADS ? c->kv_heads - h : HEADS;
		ret = one_group(j, space, r);
	}
	return ret;
}

int hk_attention_exec(const void *cmd, struct hk_space *space, struct hk_run *r)
{
	const struct hearth_cmd_attention *c = cmd;
	uint64_t bytes = (uint64_t)c->rows * c->heads * c->head_dim * 4;
	struct hk_operand op[3] = {
		{ c->q, bytes, HK_READ, "q" },
		{ c->pos, c->rows * 4ull, HK_READ, "pos" },
		{ c->dst, bytes, HK_WRITE, "dst" },
	};
	bool four = hk_flt(r)->scores_4 && c->head_dim % 8 == 0;
	struct job j = {
		.c = c, .flt = hk_flt(r), .tile = four ? HK_QUERIES : 1,
		.l = hk_kv_cache(c->type, c->head_dim, c->n_ctx, pages_of(c)),
	};
	struct hk_map map[3];
	int ret = 0, i;

	for (i = 0; i < 3; i++) {
		ret = hk_map(space, &map[i], &op[i], r->fault);
		if (ret)
			break;
	}
	if (!ret) {
		j.q = map[0].ptr;
		j.dst = map[2].ptr;
		ret = all_groups(&j, map[1].ptr, space, r);
	}
	while (i-- > 0)
		ret = hk_unmap(space, &map[i], ret, r->fault);
	return ret;
}
