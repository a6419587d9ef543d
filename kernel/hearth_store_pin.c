// SPDX-License-Identifier: GPL-2.0
/*
 * Extents for another device that imports a buffer: it cannot be told to let go
 * of pages, so they stay while it has them.
 */
#include <linux/mm.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_store.h"

u64 hearth_store_range_pages(const struct hearth_store *store, u32 first, u32 count)
{
	u64 start = (u64)first << HEARTH_EXTENT_SHIFT;

	/* The last extent of a file may be a short one. */
	return min_t(u64, PAGE_ALIGN(store->bytes) - start,
		     (u64)count << HEARTH_EXTENT_SHIFT) >> PAGE_SHIFT;
}

static unsigned int hearth_extent_get_pages(struct hearth_extent *extent, struct page **pages)
{
	struct sg_page_iter iter;
	unsigned int n = 0;

	for_each_sgtable_page(&extent->sgt, &iter, 0) {
		pages[n] = sg_page_iter_page(&iter);
		get_page(pages[n++]);
	}
	return n;
}

/* Pinned, so only the removal of the device could have taken any of them. */
static int hearth_store_get_pages(struct hearth_store *store, u32 first, u32 count,
				  struct page **pages)
{
	u64 n = 0;
	u32 i;

	lockdep_assert_held(&store->vms_lock);

	for (i = first; i < first + count; i++) {
		if (READ_ONCE(store->extents[i].state) != HEARTH_EXTENT_RESIDENT)
			goto err_put;
		n += hearth_extent_get_pages(&store->extents[i], pages + n);
	}
	return 0;

err_put:
	while (n--)
		put_page(pages[n]);
	return -ENODEV;
}

void hearth_store_hold(struct hearth_store *store)
{
	spin_lock(&store->lock);
	store->nr_pins++;
	spin_unlock(&store->lock);
}

int hearth_store_pin(struct hearth_store *store, u32 first, u32 count, struct page **pages)
{
	int ret;

	/* Blocks of a region are our device's, and go with it. */
	if (store->ops->place)
		return -EOPNOTSUPP;

	/* First, so that nothing that is there by then goes again. */
	hearth_store_hold(store);
	ret = hearth_dmem_charge(store, first, count) ?: hearth_restore_range(store, first, count);
	if (!ret) {
		mutex_lock(&store->vms_lock);
		ret = hearth_store_get_pages(store, first, count, pages);
		mutex_unlock(&store->vms_lock);
	}
	if (ret)
		hearth_store_unpin(store);
	return ret;
}

void hearth_store_unpin(struct hearth_store *store)
{
	spin_lock(&store->lock);
	store->nr_pins--;
	spin_unlock(&store->lock);
	hearth_dmem_settle(store);
	wake_up_all(&store->hdev->budget.freed);
}
