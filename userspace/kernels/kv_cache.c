// SPDX-License-Identifier: MIT
#include <errno.h>

#include <hw/hearth_mmu.h>

#include "kernels/kv_cache.h"

/* @dims: kv_heads, n_ctx, head_dim. */
int hk_kv_cache_bytes(unsigned int type, const uint32_t dims[3],
		      const struct hearth_cmd_kv_pages *pages, uint64_t *bytes,
		      struct hk_fault *fault)
{
	uint64_t n, row, page, last;

	if (hk_elements(dims, 3, &n))
		return hk_bad(fault, "n_ctx");
	row = hk_row_bytes(type, dims[2]);
	if (!row)
		return hk_bad(fault, "head_dim");
	*bytes = (uint64_t)dims[0] * dims[1] * row;
	if (!pages)
		return 0;
	if (pages->reserved)
		return hk_bad(fault, "reserved");
	page = pages->positions;
	if (page < HEARTH_KV_MIN_PAGE || page > HEARTH_CMD_MAX_DIM || page & (page - 1) ||
	    (dims[1] - 1) / page >= HEARTH_KV_MAX_PAGES)
		return hk_bad(fault, "positions");
	last = (dims[1] - 1) / page;
	/* each at most 2^24, and a row less than 2^27 bytes */
	if (__builtin_mul_overflow(dims[0] * page, row, &page) || pages->stride < page ||
	    pages->stride % 4 || pages->stride >> HEARTH_MMU_VA_BITS)
		return hk_bad(fault, "stride");
	*bytes = last * pages->stride + page;
	return 0;
}
