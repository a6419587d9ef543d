// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: extents are chosen under the store's lock, which makes sure that no
 * job in flight may use them; address spaces lose them and the TLB is flushed;
 * then the pages are let go.
 *
 * Reclaim takes no lock that it would have to wait for. What it has chosen when
 * it finds one taken stays chosen, and a work ends it.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_store.h"
#include "hearth_trace.h"
#include "hearth_vm.h"

/* Extents that are taken from address spaces with one flush each. */
#define HEARTH_EVICT_BATCH	32

/* A store that a job in flight may use is left alone as a whole. */
bool hearth_store_in_use_locked(struct hearth_store *store)
{
	struct hearth_store_map *map;

	lockdep_assert_held(&store->lock);

	if (store->nr_pins)
		return true;
	list_for_each_entry(map, &store->maps, store_node) {
		if (atomic_read(&map->vm->nr_active))
			return true;
	}
	return false;
}

bool hearth_store_in_use(struct hearth_store *store)
{
	bool ret;

	spin_lock(&store->lock);
	ret = hearth_store_in_use_locked(store);
	spin_unlock(&store->lock);
	return ret;
}

/* What is chosen by who pays is held by jobs too that have not begun. */
static bool hearth_evict_may_locked(struct hearth_store *store, struct hearth_chooser *chooser)
{
	return !hearth_store_in_use_locked(store) &&
	       !(chooser && hearth_dmem_is_held_locked(store));
}

static u64 hearth_evict_bytes_locked(struct hearth_store *store, struct hearth_chooser *chooser)
{
	struct hearth_extent *extent;
	u64 bytes = 0;

	if (!chooser)
		return store->resident_bytes;
	list_for_each_entry(extent, &store->lru, lru) {
		if (chooser->may_go(chooser, extent))
			bytes += hearth_extent_bytes(store, extent - store->extents);
	}
	return bytes;
}

u64 hearth_store_droppable_by(struct hearth_store *store, struct hearth_chooser *chooser)
{
	u64 pages = 0;

	spin_lock(&store->lock);
	if (hearth_evict_may_locked(store, chooser) &&
	    (!store->ops->helps || store->ops->helps(store)))
		pages = hearth_evict_bytes_locked(store, chooser) >> PAGE_SHIFT;
	spin_unlock(&store->lock);
	return pages;
}

/* Takes up to @nr_pages from the begin of the LRU; the number of extents. */
static unsigned int hearth_evict_choose(struct hearth_store *store, u32 *indices,
					u64 nr_pages, struct hearth_chooser *chooser)
{
	unsigned int count = 0;

	spin_lock(&store->lock);
	if (hearth_evict_may_locked(store, chooser))
		count = hearth_extent_choose_locked(store, indices, HEARTH_EVICT_BATCH, nr_pages,
						    chooser);
	if (count)
		hearth_model_store_event(store, DRM_HEARTH_EVENT_ABOUT_TO_DROP);
	spin_unlock(&store->lock);
	return count;
}

static unsigned int hearth_evict_choose_from(struct hearth_store *store, u32 *indices, u32 first)
{
	unsigned int count;

	spin_lock(&store->lock);
	count = hearth_extent_choose_from_locked(store, indices, HEARTH_EVICT_BATCH, first);
	if (count)
		hearth_model_store_event(store, DRM_HEARTH_EVENT_ABOUT_TO_DROP);
	spin_unlock(&store->lock);
	return count;
}

/* Lets go of chosen extents that no address space has; the number of pages. */
static u64 hearth_evict_finish(struct hearth_store *store, const u32 *indices,
			       unsigned int count)
{
	unsigned int i;
	u64 bytes = 0;

	lockdep_assert_held(&store->vms_lock);

	for (i = 0; i < count; i++) {
		hearth_extent_unload(store, indices[i]);
		if (store->extents[indices[i]].discard)
			store->ops->discard(store, indices[i]);
		bytes += hearth_extent_bytes(store, indices[i]);
	}

	spin_lock(&store->lock);
	for (i = 0; i < count; i++) {
		hearth_extent_set_dropped_locked(store, indices[i]);
		hearth_dmem_settle_locked(store, indices[i]);
	}
	store->stats.dropped_bytes += bytes;
	hearth_model_store_event(store, DRM_HEARTH_EVENT_DROPPED);
	spin_unlock(&store->lock);
	wake_up_all(&store->wait);

	trace_hearth_evict(store->id, bytes);
	return bytes >> PAGE_SHIFT;
}

static void hearth_evict_forget(struct hearth_store *store, const u32 *indices,
				unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count && store->ops->forget; i++)
		store->ops->forget(store, indices[i]);
}

u64 hearth_store_evict(struct hearth_store *store, u64 nr_pages, unsigned int flags,
		       struct hearth_chooser *chooser)
{
	bool try = flags & HEARTH_EVICT_NOWAIT;
	u32 indices[HEARTH_EVICT_BATCH];
	unsigned int count;
	u64 freed = 0;
	int ret = 0;

	while (freed < nr_pages && !ret) {
		if (try && !mutex_trylock(&store->vms_lock))
			break;
		if (!try)
			mutex_lock(&store->vms_lock);

		count = hearth_evict_choose(store, indices, nr_pages - freed, chooser);
		if (count)
			ret = hearth_map_sync(store, indices, count, try);
		if (count && !ret)
			freed += hearth_evict_finish(store, indices, count);
		mutex_unlock(&store->vms_lock);

		if (!count)
			break;
		if (ret)
			queue_work(hearth_free_wq, &store->evict_work);
		else if (flags & HEARTH_EVICT_CACHE)
			hearth_evict_forget(store, indices, count);
	}
	return freed;
}

static unsigned int hearth_evict_find_left(struct hearth_store *store, u32 *indices)
{
	unsigned int count = 0;
	u32 i;

	spin_lock(&store->lock);
	for (i = 0; i < store->nr_extents && store->nr_evicting > count; i++) {
		if (count == HEARTH_EVICT_BATCH)
			break;
		if (store->extents[i].state == HEARTH_EXTENT_EVICTING)
			indices[count++] = i;
	}
	spin_unlock(&store->lock);
	return count;
}

/* Whoever has the lock is in the middle of nothing, so what is EVICTING was left. */
static void hearth_evict_left(struct hearth_store *store)
{
	u32 indices[HEARTH_EVICT_BATCH];
	unsigned int count;

	mutex_lock(&store->vms_lock);
	while ((count = hearth_evict_find_left(store, indices))) {
		hearth_map_sync(store, indices, count, false);
		hearth_evict_finish(store, indices, count);
	}
	mutex_unlock(&store->vms_lock);
}

void hearth_evict_work(struct work_struct *work)
{
	hearth_evict_left(container_of(work, struct hearth_store, evict_work));
}

void hearth_store_drop_from(struct hearth_store *store, u32 first)
{
	u32 indices[HEARTH_EVICT_BATCH];
	unsigned int count;

	mutex_lock(&store->vms_lock);
	while ((count = hearth_evict_choose_from(store, indices, first))) {
		hearth_map_sync(store, indices, count, false);
		hearth_evict_finish(store, indices, count);
	}
	mutex_unlock(&store->vms_lock);
	hearth_evict_left(store);
}

/* No restore of it runs any more, or none that could make anything resident. */
void hearth_store_drop_all(struct hearth_store *store)
{
	u32 i;

	hearth_store_drop_from(store, 0);
	hearth_dmem_uncharge(store);

	mutex_lock(&store->vms_lock);
	for (i = 0; i < store->nr_extents; i++)
		hearth_extent_free_leaf(store, i);
	mutex_unlock(&store->vms_lock);
}
