// SPDX-License-Identifier: GPL-2.0
/*
 * States of extents and their order: what became resident first goes first.
 * All jobs of an address space use all that it maps, so there is no better
 * order inside of a store.
 */
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

#include "hearth_store.h"

void hearth_extent_set_resident_locked(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];

	lockdep_assert_held(&store->lock);

	extent->state = HEARTH_EXTENT_RESIDENT;
	extent->wanted = false;
	list_add_tail(&extent->lru, &store->lru);
	store->nr_resident++;
	store->resident_bytes += hearth_extent_bytes(store, index);
}

void hearth_extent_set_dropped_locked(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];

	lockdep_assert_held(&store->lock);

	if (extent->state == HEARTH_EXTENT_EVICTING)
		store->nr_evicting--;
	extent->state = HEARTH_EXTENT_DROPPED;
	extent->entry = 0;
}

static void hearth_extent_set_evicting_locked(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];

	extent->state = HEARTH_EXTENT_EVICTING;
	list_del_init(&extent->lru);
	store->nr_resident--;
	store->resident_bytes -= hearth_extent_bytes(store, index);
	store->nr_evicting++;
}

/* What nobody needs is gone from here on: who asks is told so, even if it lingers. */
static void hearth_extent_set_discard_locked(struct hearth_store *store, u32 index)
{
	store->extents[index].discard = store->state.dontneed;
	if (store->state.dontneed)
		store->state.discarded = true;
}

/* Makes extents EVICTING until they are @nr_pages; at most @max, their number. */
unsigned int hearth_extent_choose_locked(struct hearth_store *store, u32 *indices,
					 unsigned int max, u64 nr_pages,
					 struct hearth_chooser *chooser)
{
	struct hearth_extent *extent, *next;
	unsigned int count = 0;
	u64 pages = 0;

	lockdep_assert_held(&store->lock);

	list_for_each_entry_safe(extent, next, &store->lru, lru) {
		u32 index = extent - store->extents;

		if (pages >= nr_pages || count == max)
			break;
		if (chooser && !chooser->may_go(chooser, extent))
			continue;
		hearth_extent_set_evicting_locked(store, index);
		hearth_extent_set_discard_locked(store, index);
		pages += hearth_extent_bytes(store, index) >> PAGE_SHIFT;
		indices[count++] = index;
	}
	return count;
}

/* The same of all from @first on, with their contents kept by the source. */
unsigned int hearth_extent_choose_from_locked(struct hearth_store *store, u32 *indices,
					      unsigned int max, u32 first)
{
	unsigned int count = 0;
	u32 i;

	lockdep_assert_held(&store->lock);

	for (i = first; i < store->nr_extents && count < max; i++) {
		if (store->extents[i].state != HEARTH_EXTENT_RESIDENT)
			continue;
		hearth_extent_set_evicting_locked(store, i);
		store->extents[i].discard = false;
		indices[count++] = i;
	}
	return count;
}
