/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_FB_WRITER_H
#define HEARTH_TESTS_FB_WRITER_H

#include "bytes.h"

/*
 * FlatBuffers, parents before children: a table gets a slot of 8 bytes for
 * each field that it has, and an offset is linked when its target is written.
 */

/* A table at the end of @b with the fields of @mask; returns its position. */
static inline size_t fw_table(struct bytes *b, uint32_t mask)
{
	int n = mask ? 32 - __builtin_clz(mask) : 0;
	size_t vtable, at;

	bytes_pad(b, 2);
	vtable = b->n;
	bytes_u16(b, 4 + 2 * n);
	bytes_u16(b, 8 + 8 * n);
	for (int i = 0; i < n; i++)
		bytes_u16(b, mask >> i & 1 ? 8 + 8 * i : 0);
	bytes_pad(b, 8);
	at = b->n;
	bytes_u32(b, at - vtable);
	bytes_add(b, NULL, 4 + 8 * n);
	return at;
}

static inline size_t fw_field(size_t table, int id)
{
	return table + 8 + 8 * id;
}

static inline void fw_set(struct bytes *b, size_t table, int id, uint64_t v, size_t width)
{
	bytes_set(b, fw_field(table, id), v, width);
}

/* Let the offset at @slot lead to @target, which comes later in the file. */
static inline void fw_link(struct bytes *b, size_t slot, size_t target)
{
	bytes_set(b, slot, target - slot, 4);
}

static inline size_t fw_sub(struct bytes *b, size_t table, int id, uint32_t mask)
{
	size_t at = fw_table(b, mask);

	fw_link(b, fw_field(table, id), at);
	return at;
}

/* A vector for @slot; returns the position of its first element. */
static inline size_t fw_vec_at(struct bytes *b, size_t slot, size_t elem, uint32_t n,
			       const void *data)
{
	while (b->n % 4 || (b->n + 4) % elem)
		bytes_add(b, NULL, 1);
	fw_link(b, slot, b->n);
	bytes_u32(b, n);
	bytes_add(b, data, elem * n);
	return b->n - elem * n;
}

static inline size_t fw_vec(struct bytes *b, size_t table, int id, size_t elem, uint32_t n,
			    const void *data)
{
	return fw_vec_at(b, fw_field(table, id), elem, n, data);
}

static inline size_t fw_str(struct bytes *b, size_t table, int id, const char *s)
{
	return fw_vec(b, table, id, 1, strlen(s), s);
}

#endif
