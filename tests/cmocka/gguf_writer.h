/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_GGUF_WRITER_H
#define HEARTH_TESTS_GGUF_WRITER_H

#include "bytes.h"
#include "formats/gguf.h"

static inline void gw_strn(struct bytes *b, const void *s, size_t n)
{
	bytes_u64(b, n);
	bytes_add(b, s, n);
}

static inline void gw_str(struct bytes *b, const char *s)
{
	gw_strn(b, s, strlen(s));
}

/* Returns where n_tensors stands; n_kv follows it. */
static inline size_t gw_header(struct bytes *b, uint32_t version, uint64_t n_tensors,
			       uint64_t n_kv)
{
	bytes_add(b, "GGUF", 4);
	bytes_u32(b, version);
	bytes_u64(b, n_tensors);
	bytes_u64(b, n_kv);
	return 8;
}

/* These return where the value stands. */
static inline size_t gw_key(struct bytes *b, const char *key, uint32_t type)
{
	gw_str(b, key);
	bytes_u32(b, type);
	return b->n;
}

static inline size_t gw_kv_u32(struct bytes *b, const char *key, uint32_t v)
{
	size_t at = gw_key(b, key, GGUF_VT_U32);

	bytes_u32(b, v);
	return at;
}

static inline size_t gw_kv_bool(struct bytes *b, const char *key, uint8_t v)
{
	size_t at = gw_key(b, key, GGUF_VT_BOOL);

	bytes_u8(b, v);
	return at;
}

static inline size_t gw_kv_str(struct bytes *b, const char *key, const char *v)
{
	size_t at = gw_key(b, key, GGUF_VT_STR);

	gw_str(b, v);
	return at;
}

/* The elements are the caller's to add. */
static inline size_t gw_kv_arr(struct bytes *b, const char *key, uint32_t type, uint64_t n)
{
	size_t at = gw_key(b, key, GGUF_VT_ARR);

	bytes_u32(b, type);
	bytes_u64(b, n);
	return at;
}

/* Returns where n_dims stands: then dims, type (u32) and offset (u64). */
static inline size_t gw_tensor(struct bytes *b, const char *name, uint32_t type, uint32_t n_dims,
			       const uint64_t *dims, uint64_t offset)
{
	size_t at;

	gw_str(b, name);
	at = b->n;
	bytes_u32(b, n_dims);
	for (uint32_t i = 0; i < n_dims; i++)
		bytes_u64(b, dims[i]);
	bytes_u32(b, type);
	bytes_u64(b, offset);
	return at;
}

#endif
