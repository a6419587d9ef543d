// SPDX-License-Identifier: MIT
/*
 * A GGUF file with its weights in rows of eight, and the way back. A tensor has as
 * many bytes in either form, so offsets stay as they are; what changes is a key
 * behind the others, the types in the table, and the order of bytes in a group.
 */
#include "formats/gguf_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "base/err.h"
#include "formats/gguf_internal.h"
#include "kernels/r8.h"

#define HEADER_BYTES	24
/* The key of the version: length, text, type, value */
#define KEY_BYTES	(8 + sizeof(GGUF_PACK_KEY) - 1 + 4 + 4)
#define BUFFER_BYTES	(1u << 20)

/* After the first failure every step is a no-op. */
struct packer {
	const struct gguf *g;
	const bool *pack;	/* by tensor; NULL: the way back */
	gguf_put put;
	void *arg;
	struct hearth_err *err;
	uint8_t *buf;
	size_t n;	/* of the buffer */
	uint64_t pos;	/* in the new file */
	int ret;
};

static void flush(struct packer *p)
{
	if (!p->ret && p->n)
		p->ret = p->put(p->arg, p->buf, p->n);
	p->n = 0;
}

/* The next @n bytes, which the caller fills in; at most BUFFER_BYTES. */
static uint8_t *next(struct packer *p, size_t n)
{
	if (p->n + n > BUFFER_BYTES)
		flush(p);
	p->n += n;
	p->pos += n;
	return p->buf + p->n - n;
}

static void add(struct packer *p, const void *data, uint64_t n)
{
	for (const uint8_t *from = data; n && !p->ret; ) {
		size_t part = n < BUFFER_BYTES ? n : BUFFER_BYTES;

		memcpy(next(p, part), from, part);
		from += part;
		n -= part;
	}
}

/* What lies between two places of the old file. */
static void copy(struct packer *p, const void *from, const void *to)
{
	add(p, from, (const uint8_t *)to - (const uint8_t *)from);
}

static void add_u32(struct packer *p, uint32_t v)
{
	add(p, &v, sizeof(v));
}

static void add_u64(struct packer *p, uint64_t v)
{
	add(p, &v, sizeof(v));
}

/* The type in rows of eight whose blocks those of a tensor are; 0: none. */
static unsigned int r8_type(const struct gguf_tensor *t)
{
	switch (gguf_type_of_blocks(t->type)) {
	case GGUF_TYPE_Q4_0:
		return HEARTH_TYPE_Q4_0_R8;
	case GGUF_TYPE_Q8_0:
		return HEARTH_TYPE_Q8_0_R8;
	case GGUF_TYPE_Q4_K:
		return HEARTH_TYPE_Q4_K_R8;
	case GGUF_TYPE_Q5_K:
		return HEARTH_TYPE_Q5_K_R8;
	case GGUF_TYPE_Q6_K:
		return HEARTH_TYPE_Q6_K_R8;
	default:
		return 0;
	}
}

const char *gguf_pack_refusal(const struct gguf_tensor *t)
{
	if (!r8_type(t))
		return "the type has no form in rows of eight";
	if (t->n_dims != 2)
		return "it is no matrix";
	if (t->dims[1] % GGUF_R8_ROWS)
		return "its rows are no multiple of eight";
	return NULL;
}

/* Where the table has a tensor's type; its offset follows, then the next one. */
static const uint8_t *type_in_table(const struct gguf_tensor *t)
{
	return (const uint8_t *)t->name.ptr + t->name.len + 4 + 8 * t->n_dims;
}

static const uint8_t *entry_in_table(const struct gguf_tensor *t)
{
	return (const uint8_t *)t->name.ptr - 8;
}

/* Is the tensor's form another one in the new file? */
static bool changes(const struct packer *p, const struct gguf_tensor *t)
{
	return p->pack ? p->pack[t - p->g->tensors] : t->info && t->info->group_rows;
}

/* All keys, with that of the version added or left out. */
static void add_keys(struct packer *p)
{
	const uint8_t *from = p->g->base + HEADER_BYTES;
	const uint8_t *to = entry_in_table(p->g->tensors);
	const struct gguf_kv *kv;

	if (p->pack) {
		copy(p, from, to);
		add_u64(p, sizeof(GGUF_PACK_KEY) - 1);
		add(p, GGUF_PACK_KEY, sizeof(GGUF_PACK_KEY) - 1);
		add_u32(p, GGUF_VT_U32);
		add_u32(p, GGUF_PACK_VERSION);
		return;
	}
	kv = gguf_find_kv(p->g, GGUF_PACK_KEY);
	copy(p, from, kv->key.ptr - 8);
	copy(p, kv->val + gguf_vtype_size(kv->type), to);
}

static void add_table(struct packer *p)
{
	for (uint64_t i = 0; i < p->g->n_tensors; i++) {
		const struct gguf_tensor *t = &p->g->tensors[i];
		const uint8_t *type = type_in_table(t);
		uint32_t blocks = gguf_type_of_blocks(t->type);

		copy(p, entry_in_table(t), type);
		add_u32(p, !changes(p, t) ? t->type : p->pack ? (uint32_t)GGUF_R8(blocks) : blocks);
		copy(p, type + 4, type + 12);
	}
}

static void add_padding(struct packer *p)
{
	while (p->pos & (p->g->alignment - 1))
		*next(p, 1) = 0;
}

static void pack_group(struct packer *p, const struct gguf_tensor *t, const uint8_t *group)
{
	const uint32_t bytes = t->info->block_bytes;
	const unsigned int type = r8_type(t);

	for (uint64_t at = 0; at < t->row_bytes && !p->ret; at += bytes) {
		uint8_t *column = next(p, (size_t)GGUF_R8_ROWS * bytes);

		for (unsigned int i = 0; i < GGUF_R8_ROWS; i++)
			hk_r8_pack(type, column, i, group + i * t->row_bytes + at);
	}
}

static void unpack_group(struct packer *p, const struct gguf_tensor *t, const uint8_t *group)
{
	const uint32_t bytes = t->info->block_bytes;
	const unsigned int type = r8_type(t);

	for (unsigned int i = 0; i < GGUF_R8_ROWS; i++)
		for (uint64_t at = 0; at < t->row_bytes && !p->ret; at += bytes)
			hk_r8_unpack(type, group + GGUF_R8_ROWS * at, i, next(p, bytes));
}

static void add_changed(struct packer *p, const struct gguf_tensor *t)
{
	const uint8_t *group = t->data;

	for (uint64_t row = 0; row < t->dims[1] && !p->ret; row += GGUF_R8_ROWS) {
		(p->pack ? pack_group : unpack_group)(p, t, group);
		group += GGUF_R8_ROWS * t->row_bytes;
	}
}

static int by_place(const void *a, const void *b)
{
	const struct gguf_tensor *const *x = a, *const *y = b;

	return (*x)->file_offset < (*y)->file_offset ? -1 : 1;
}

/* What changes, in the order of the file, and all that lies between. */
static void add_data(struct packer *p, const struct gguf_tensor **list)
{
	const uint8_t *from = p->g->base + p->g->data_offset;
	uint64_t n = 0;

	for (uint64_t i = 0; i < p->g->n_tensors; i++)
		if (changes(p, &p->g->tensors[i]))
			list[n++] = &p->g->tensors[i];
	qsort(list, n, sizeof(*list), by_place);
	for (uint64_t i = 0; i < n; i++) {
		copy(p, from, list[i]->data);
		add_changed(p, list[i]);
		from = (const uint8_t *)list[i]->data + list[i]->nbytes;
	}
	copy(p, from, p->g->base + p->g->size);
}

static int write_all(struct packer *p)
{
	const struct gguf_tensor **list = calloc(p->g->n_tensors + 1, sizeof(*list));

	p->buf = malloc(BUFFER_BYTES);
	if (list && p->buf) {
		copy(p, p->g->base, p->g->base + HEADER_BYTES - 8);
		add_u64(p, p->g->n_kv + (p->pack ? 1 : -1));
		add_keys(p);
		add_table(p);
		add_padding(p);
		add_data(p, list);
		flush(p);
	} else {
		p->ret = hearth_err_set(p->err, -ENOMEM, "gguf: no memory for a buffer");
	}
	free(p->buf);
	free(list);
	return p->ret;
}

int gguf_pack(const struct gguf *g, const bool *pack, gguf_put put, void *arg,
	      struct hearth_err *err)
{
	struct packer p = { .g = g, .pack = pack, .put = put, .arg = arg, .err = err };

	if (g->pack_version)
		return hearth_err_set(err, -EEXIST, "gguf: the file is packed already");
	if (!g->n_tensors)
		return hearth_err_set(err, -EINVAL, "gguf: n_tensors is 0: nothing to pack");
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = &g->tensors[i];
		const char *why = pack[i] ? gguf_pack_refusal(t) : NULL;

		if (why)
			return hearth_err_set(err, -EINVAL, "gguf: tensor '%.*s' cannot be packed: %s",
					      GGUF_STR_ARG(t->name), why);
	}
	return write_all(&p);
}

int gguf_unpack(const struct gguf *g, gguf_put put, void *arg, struct hearth_err *err)
{
	struct packer p = { .g = g, .put = put, .arg = arg, .err = err };

	if (!g->pack_version || !g->n_tensors)
		return hearth_err_set(err, -EINVAL, "gguf: the file is not packed");
	return write_all(&p);
}

uint64_t gguf_pack_bytes(const struct gguf *g)
{
	const struct gguf_kv *kv = gguf_find_kv(g, GGUF_PACK_KEY);
	uint64_t table_end = type_in_table(&g->tensors[g->n_tensors - 1]) + 12 - g->base;

	if (kv)
		table_end -= kv->val + gguf_vtype_size(kv->type) - (const uint8_t *)kv->key.ptr + 8;
	else
		table_end += KEY_BYTES;
	return (table_end + g->alignment - 1) / g->alignment * g->alignment +
	       g->size - g->data_offset;
}
