// SPDX-License-Identifier: GPL-2.0
/*
 * Walks the device's view of a buffer, in runs that are contiguous for it:
 * neighbours in a table of segments are often contiguous, because a segment
 * has a largest size.
 */
#include <linux/align.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/minmax.h>

#include "hw/hearth_mmu.h"

#include "hearth_mmu.h"

void hearth_sg_cursor_init(struct hearth_sg_cursor *cur, struct sg_table *sgt, u64 offset)
{
	cur->sg = sgt->sgl;
	cur->skip = 0;
	hearth_sg_advance(cur, offset);
}

void hearth_sg_advance(struct hearth_sg_cursor *cur, u64 bytes)
{
	cur->skip += bytes;
	while (cur->sg && cur->skip >= sg_dma_len(cur->sg)) {
		cur->skip -= sg_dma_len(cur->sg);
		cur->sg = sg_next(cur->sg);
	}
}

/* Contiguous bytes from here, at most @max, and where they begin. */
u64 hearth_sg_peek(const struct hearth_sg_cursor *cur, u64 max, dma_addr_t *dma)
{
	struct scatterlist *sg = cur->sg;
	u64 bytes;

	if (!sg)
		return 0;

	*dma = sg_dma_address(sg) + cur->skip;
	bytes = sg_dma_len(sg) - cur->skip;
	while (bytes < max && (sg = sg_next(sg)) && sg_dma_len(sg) &&
	       sg_dma_address(sg) == *dma + bytes)
		bytes += sg_dma_len(sg);

	return min(bytes, max);
}

/* Can @size bytes of it be mapped at all? Foreign exporters may do as they like. */
int hearth_sg_check(struct sg_table *sgt, u64 size)
{
	const u64 page = BIT_ULL(HEARTH_MMU_PAGE_SHIFT);
	struct scatterlist *sg;
	u64 bytes = 0;
	int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 last = sg_dma_address(sg) + sg_dma_len(sg) - 1;

		if (!IS_ALIGNED(sg_dma_address(sg) | sg_dma_len(sg), page) || !sg_dma_len(sg))
			return -EINVAL;
		if (last & ~(HEARTH_PTE_ADDR | (page - 1)))
			return -EINVAL;
		bytes += sg_dma_len(sg);
	}

	return bytes < size ? -EINVAL : 0;
}
