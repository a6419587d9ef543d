// SPDX-License-Identifier: MIT
/*
 * The memory of a program: weights in place in their file, states, planned
 * activations, and what only the compiler writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "graph/compile.h"
#include "kernels/exec.h"
#include "runtime/error.h"
#include "runtime/model.h"

static int no_memory(void)
{
	return hearth_seterr(-ENOMEM, "no memory to compile the graph");
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* A caller's memory lives as long as the program, other values while used. */
static void find_lives(struct hg_compile *c)
{
	const struct hg_lower *l = &c->l;
	uint32_t end = l->stream.n_cmds;

	for (uint32_t i = 0; i < l->n_values; i++) {
		c->life[i].bytes = l->values[i].bytes;
		c->life[i].first = l->values[i].input ? 0 : end;
		c->life[i].last = l->values[i].input || l->values[i].output ? end : 0;
	}
	for (uint32_t i = 0; i < l->stream.n_relocs; i++) {
		const struct hg_reloc *r = &l->stream.relocs[i];
		struct hg_life *life = &c->life[r->ref.index];

		if (r->ref.place != HG_VALUE)
			continue;
		if (r->cmd < life->first)
			life->first = r->cmd;
		if (r->cmd > life->last)
			life->last = r->cmd;
	}
	for (uint32_t i = 0; i < l->n_values; i++) {
		if (c->life[i].first > c->life[i].last)
			c->life[i].last = c->life[i].first;
	}
}

static int plan_activations(struct hg_compile *c)
{
	c->life = calloc(c->l.n_values + 1, sizeof(*c->life));
	if (!c->life)
		return no_memory();
	find_lives(c);
	return hg_plan(c->life, c->l.n_values, &c->p->info.activation_bytes, NULL);
}

int hg_make_activations(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	int ret = plan_activations(c);

	if (ret || !p->info.activation_bytes)
		return ret;
	return hearth_buffer_create(p->dev, p->info.activation_bytes, NULL, &p->activations);
}

static const struct hg_port *shared_state(const struct hg_compile *c, const struct hg_tensor *t)
{
	for (uint32_t i = 0; c->share && i < c->share->n_ports; i++) {
		const struct hg_port *port = &c->share->ports[i];

		if (port->state && !strcmp(port->name, t->name))
			return port;
	}
	return NULL;
}

static int share_state(struct hg_compile *c, const struct hg_tensor *t, struct hg_port *port)
{
	const struct hg_port *from = shared_state(c, t);

	if (!from && c->share && c->p->paging.page)
		return hearth_seterr(-EINVAL,
				     "state '%s': the program to share with has its states in pages, and not this one",
				     t->name);
	if (!from) {
		port->name = strdup(t->name);
		port->owns_name = true;
		return port->name ? 0 : no_memory();
	}
	if (from->type != t->type || from->bytes != t->bytes)
		return hearth_seterr(-EINVAL,
				     "state '%s' is %s of %llu bytes, the program to share with has %s of %llu",
				     t->name, hk_type_name(t->type),
				     (unsigned long long)t->bytes, hk_type_name(from->type),
				     (unsigned long long)from->bytes);
	port->data = from->data;
	port->va = from->va;
	port->name = from->name;
	return 0;
}

static int describe_state(struct hg_compile *c, const struct hg_tensor *t,
			  struct hg_port *port)
{
	port->state = true;
	port->type = t->type;
	port->bytes = t->bytes;
	c->p->info.state_bytes += t->bytes;
	return share_state(c, t, port);
}

/* Of a state in the buffer, or in a page of it */
static uint64_t state_room(const struct hg_compile *c, uint64_t bytes)
{
	const struct hg_paging *pg = &c->p->paging;

	return round_up(pg->page ? bytes / pg->n_ctx * pg->page : bytes, HG_VALUE_ALIGN);
}

int hg_make_states(struct hg_compile *c)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE);
	struct hearth_program *p = c->p;
	struct hg_paging *pg = &p->paging;
	uint64_t bytes = 0, at = 0;
	int ret = 0;

	for (uint32_t i = 0; i < p->n_ports; i++) {
		const struct hg_tensor *t = &c->g->tensors[i];

		if (t->role != HEARTH_TENSOR_STATE)
			continue;
		ret = describe_state(c, t, &p->ports[i]);
		if (ret)
			return ret;
		if (!p->ports[i].data)
			bytes += state_room(c, t->bytes);
	}
	if (pg->page && bytes) {
		o.used = pg->stride;
		bytes = round_up(pg->n_ctx, pg->page) / pg->page * pg->stride;
	}
	if (bytes)
		ret = hearth_buffer_create(p->dev, bytes, &o, &p->state);
	if (p->state)
		pg->state = p->state;
	for (uint32_t i = 0; !ret && i < p->n_ports; i++) {
		struct hg_port *port = &p->ports[i];

		if (!port->state || port->data)
			continue;
		port->data = (uint8_t *)hearth_buffer_data(p->state) + at;
		port->va = hearth_buffer_address(p->state) + at;
		at += state_room(c, port->bytes);
	}
	return ret;
}

struct extent {
	uint64_t from, to;
};

static int by_from(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Parts of the file that ops use, sorted, those that touch each other joined. */
static uint32_t used_extents(const struct hg_compile *c, struct extent *e)
{
	uint32_t n = 0, out = 0;

	for (uint32_t i = 0; i < c->g->n_ops; i++) {
		const struct hg_op *op = &c->g->ops[i];

		for (unsigned int k = 0; k < op->n_in; k++) {
			const struct hg_tensor *t = hg_in(c->g, op, k);

			if (t && t->role == HEARTH_TENSOR_WEIGHTS)
				e[n++] = (struct extent){ t->offset, t->offset + t->bytes };
		}
	}
	qsort(e, n, sizeof(*e), by_from);
	for (uint32_t i = 0; i < n; i++) {
		if (out && e[i].from <= e[out - 1].to) {
			if (e[i].to > e[out - 1].to)
				e[out - 1].to = e[i].to;
		} else {
			e[out++] = e[i];
		}
	}
	return out;
}

static uint32_t count_inputs(const struct hearth_graph *g)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->n_ops; i++)
		n += g->ops[i].n_in;
	return n;
}

/* Fills info.weights_bytes: what ops use of the file. */
static int count_weights(struct hg_compile *c)
{
	struct extent *e = malloc((count_inputs(c->g) + 1) * sizeof(*e));
	uint32_t n;

	if (!e)
		return no_memory();
	n = used_extents(c, e);
	for (uint32_t i = 0; i < n; i++)
		c->p->info.weights_bytes += e[i].to - e[i].from;
	free(e);
	return 0;
}

/* Does the file reach so far? If not, a tensor is named. */
static int check_file(const struct hg_compile *c, uint64_t file_bytes)
{
	for (uint32_t i = 0; i < c->g->n_ops; i++) {
		const struct hg_op *op = &c->g->ops[i];

		for (unsigned int k = 0; k < op->n_in; k++) {
			const struct hg_tensor *t = hg_in(c->g, op, k);

			if (t && t->role == HEARTH_TENSOR_WEIGHTS &&
			    t->offset + t->bytes > file_bytes)
				return hearth_seterr(-EINVAL,
						     "weights '%s': %llu bytes at %llu, the file has %llu",
						     t->name, (unsigned long long)t->bytes,
						     (unsigned long long)t->offset,
						     (unsigned long long)file_bytes);
		}
	}
	return 0;
}

int hg_make_weights(struct hg_compile *c)
{
	struct hg_weights *w = &c->p->weights;
	struct stat st;
	int ret = count_weights(c);

	if (ret || !c->p->info.weights_bytes)
		return ret;
	if (c->g->weights_fd < 0)
		return hearth_seterr(-EINVAL,
				     "the graph has weights but no file: hearth_graph_set_weights()");
	if (fstat(c->g->weights_fd, &st))
		return hearth_seterr(-errno, "weights file: %s", strerror(errno));
	ret = check_file(c, st.st_size);
	if (ret)
		return ret;
	w->bytes = st.st_size;
	w->dev = st.st_dev;
	w->ino = st.st_ino;
	if (c->share && c->share->weights.buffer && c->share->weights.dev == w->dev &&
	    c->share->weights.ino == w->ino && c->share->weights.bytes >= w->bytes) {
		*w = c->share->weights;
		w->owned = false;
	} else {
		ret = hearth_buffer_from_file(c->p->dev, c->g->weights_fd, 0, w->bytes, NULL,
					      &w->buffer);
		w->owned = !ret;
	}
	c->p->info.weights_shared = !ret && hearth_buffer_is_shared(w->buffer);
	return ret;
}

int hg_make_model(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	int ret;

	if (c->share) {
		p->model = c->share->model;
		return 0;
	}
	ret = hearth_model_of(p->dev, p->weights.buffer, p->state, c->g->weights_fd, c->model,
			      &p->model);
	p->owns_model = !ret;
	return ret;
}

static bool share_const(const struct hg_compile *c, struct hg_const *k)
{
	for (uint32_t i = 0; c->share && i < c->share->n_kept; i++) {
		const struct hg_kept *kept = &c->share->kept[i];

		if (kept->bytes == k->bytes && (kept->data == k->data ||
						!memcmp(kept->data, k->data, k->bytes))) {
			k->va = kept->va;
			return true;
		}
	}
	return false;
}

/* Which constants do commands use? Those that none does get no memory. */
static void mark_used(const struct hg_compile *c, bool *used)
{
	const struct hg_stream *s = &c->l.stream;

	for (uint32_t i = 0; i < s->n_relocs; i++) {
		if (s->relocs[i].ref.place == HG_CONST)
			used[s->relocs[i].ref.index] = true;
	}
}

/* Offsets of the constants of our own; returns their size. */
static uint64_t layout_consts(struct hg_compile *c, const bool *used, uint64_t *offset)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < c->l.n_consts; i++) {
		struct hg_const *k = &c->l.consts[i];

		offset[i] = UINT64_MAX;
		if (!used[i])
			continue;
		c->p->info.constant_bytes += k->bytes;
		if (share_const(c, k))
			continue;
		offset[i] = at;
		at += round_up(k->bytes, HG_VALUE_ALIGN);
	}
	return at;
}

static int keep_consts(struct hg_compile *c, const bool *used, const uint64_t *offset)
{
	struct hearth_program *p = c->p;
	uint8_t *base = hearth_buffer_data(p->fixed);
	uint32_t old = c->share ? c->share->n_kept : 0;

	p->kept = calloc(old + c->l.n_consts + 1, sizeof(*p->kept));
	if (!p->kept)
		return no_memory();
	if (old)
		memcpy(p->kept, c->share->kept, old * sizeof(*p->kept));
	p->n_kept = old;
	for (uint32_t i = 0; i < c->l.n_consts; i++) {
		struct hg_const *k = &c->l.consts[i];

		if (!used[i] || offset[i] == UINT64_MAX)
			continue;
		memcpy(base + offset[i], k->data, k->bytes);
		k->va = hearth_buffer_address(p->fixed) + offset[i];
		p->kept[p->n_kept++] = (struct hg_kept){ base + offset[i], k->bytes, k->va };
	}
	return 0;
}

uint64_t hg_address(const struct hg_compile *c, struct hg_ref ref)
{
	const struct hearth_program *p = c->p;

	switch (ref.place) {
	case HG_WEIGHTS:
		return hearth_buffer_address(p->weights.buffer) + ref.offset;
	case HG_CONST:
		return c->l.consts[ref.index].va + ref.offset;
	case HG_VALUE:
		return hearth_buffer_address(p->activations) + c->life[ref.index].offset +
		       ref.offset;
	case HG_STATE:
		return p->ports[ref.index].va + ref.offset;
	default:
		return 0;
	}
}

static void fill_addresses(struct hg_compile *c)
{
	struct hg_stream *s = &c->l.stream;

	for (uint32_t i = 0; i < s->n_relocs; i++) {
		uint64_t va = hg_address(c, s->relocs[i].ref);

		memcpy(s->data + s->relocs[i].at, &va, sizeof(va));
	}
}

int hg_make_fixed(struct hg_compile *c)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_READONLY);
	struct hearth_program *p = c->p;
	bool *used = calloc(c->l.n_consts + 1, sizeof(*used));
	uint64_t *offset = calloc(c->l.n_consts + 1, sizeof(*offset));
	uint64_t consts;
	int ret = -ENOMEM;

	if (!used || !offset) {
		no_memory();
		goto out;
	}
	mark_used(c, used);
	consts = layout_consts(c, used, offset);
	p->info.stream_bytes = c->l.stream.bytes;
	ret = hearth_buffer_create(p->dev, consts + c->l.stream.bytes, &o, &p->fixed);
	if (!ret)
		ret = keep_consts(c, used, offset);
	if (ret)
		goto out;
	fill_addresses(c);
	memcpy((uint8_t *)hearth_buffer_data(p->fixed) + consts, c->l.stream.data,
	       c->l.stream.bytes);
	p->stream = (uint8_t *)hearth_buffer_data(p->fixed) + consts;
out:
	free(used);
	free(offset);
	return ret;
}

/* What would be made, without making it. */
int hg_measure(struct hg_compile *c)
{
	bool *used = calloc(c->l.n_consts + 1, sizeof(*used));
	uint64_t *offset = calloc(c->l.n_consts + 1, sizeof(*offset));
	int ret = used && offset ? count_weights(c) : no_memory();

	for (uint32_t i = 0; i < c->g->n_tensors; i++) {
		const struct hg_tensor *t = &c->g->tensors[i];

		if (t->role == HEARTH_TENSOR_STATE)
			c->p->info.state_bytes += round_up(t->bytes, HG_VALUE_ALIGN);
	}
	if (!ret)
		ret = plan_activations(c);
	if (!ret) {
		mark_used(c, used);
		layout_consts(c, used, offset);
		c->p->info.stream_bytes = c->l.stream.bytes;
	}
	free(used);
	free(offset);
	return ret;
}
