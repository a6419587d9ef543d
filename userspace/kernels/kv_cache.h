/* SPDX-License-Identifier: MIT */
/*
 * Where the entries of a KV cache lie: [kv_heads][n_ctx][head_dim], or the same
 * for each page of some positions. Internal to kernels/.
 */
#ifndef HEARTH_KERNELS_KV_CACHE_H
#define HEARTH_KERNELS_KV_CACHE_H

#include "kernels/op.h"
#include "kernels/types.h"

struct hk_kv_cache {
	/** row: Bytes of an entry. */
	uint64_t row;
	/** page: Positions of a page; all of them where there are none. */
	uint32_t page;
	/** stride: Bytes from a page to the next. */
	uint64_t stride;
};

/* @pages: Of the command; NULL: it has none. Of commands that were checked. */
static inline struct hk_kv_cache hk_kv_cache(unsigned int type, uint32_t head_dim, uint32_t n_ctx,
					     const struct hearth_cmd_kv_pages *pages)
{
	return (struct hk_kv_cache){ hk_row_bytes(type, head_dim),
				     pages ? pages->positions : n_ctx,
				     pages ? pages->stride : 0 };
}

/* Offset of the entry of @head at position @t. */
static inline uint64_t hk_kv_at(const struct hk_kv_cache *l, uint32_t head, uint32_t t)
{
	return t / l->page * l->stride +
	       ((uint64_t)head * l->page + t % l->page) * l->row;
}

/* Positions of [t, end) that lie in a row. */
static inline uint32_t hk_kv_run(const struct hk_kv_cache *l, uint32_t t, uint32_t end)
{
	uint32_t n = l->page - t % l->page;

	return n < end - t ? n : end - t;
}

/*
 * From the first byte to the last, in *bytes; hk_bad() if the dimensions or the
 * pages are refused.
 */
int hk_kv_cache_bytes(unsigned int type, const uint32_t dims[3],
		      const struct hearth_cmd_kv_pages *pages, uint64_t *bytes,
		      struct hk_fault *fault);

#endif /* HEARTH_KERNELS_KV_CACHE_H */
