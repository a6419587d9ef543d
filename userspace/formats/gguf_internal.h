/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_GGUF_INTERNAL_H
#define HEARTH_FORMATS_GGUF_INTERNAL_H

#include "base/map.h"
#include "formats/gguf.h"

/*
 * Names are looked up by binary search in an index sorted by name: a hostile
 * file cannot make it slow, and equal names end up side by side.
 */
struct gguf {
	struct hearth_map map;	/* fd -1 and no unmap for caller's memory */
	const uint8_t *base;
	uint64_t size;
	uint32_t version;
	uint32_t alignment;
	uint32_t pack_version;	/* 0: not packed */
	uint64_t data_offset;
	uint64_t n_kv;
	uint64_t n_tensors;
	struct gguf_kv *kv;
	const struct gguf_kv **kv_sorted;
	struct gguf_tensor *tensors;
	const struct gguf_tensor **tensors_sorted;
};

/* Printf arguments for "%.*s": enough of a name to find it, never all of a huge one. */
#define GGUF_STR_ARG(s) (int)((s).len < 96 ? (s).len : 96), (s).ptr

int gguf_str_cmp(struct gguf_str a, struct gguf_str b);
/* Bytes of a scalar type; 0 for strings, arrays and unknown types. */
uint32_t gguf_vtype_size(uint32_t vtype);
const char *gguf_vtype_name(uint32_t vtype);

#endif
