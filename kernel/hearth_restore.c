// SPDX-License-Identifier: GPL-2.0
/*
 * Restores: whoever wants extents marks them and gets the store's fence; one
 * work per store reads what is marked until nothing is, and signals it.
 *
 * The work allocates memory and waits for disks, which a fence may not depend
 * on: so a watchdog gives up for it. It looks at progress only, and allocates
 * nothing; the fence of the next restore is there before it is needed.
 */
#include <linux/delay.h>
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_fence.h"
#include "hearth_store.h"
#include "hearth_trace.h"
#include "hearth_vm.h"

/* How often, and how far apart, a restore looks for memory before it gives up. */
#define HEARTH_ROOM_LOOKS	6
#define HEARTH_ROOM_MS		100

static unsigned int restore_timeout_ms = 30000;
module_param(restore_timeout_ms, uint, 0644);
MODULE_PARM_DESC(restore_timeout_ms, "Longest time to read 2 MiB of weights (default 30000)");

static unsigned long hearth_restore_timeout(void)
{
	return msecs_to_jiffies(max(READ_ONCE(restore_timeout_ms), 1U));
}

struct hearth_client *hearth_client_alloc(void)
{
	struct hearth_client *client = kzalloc(sizeof(*client), GFP_KERNEL);

	if (client)
		kref_init(&client->refs);
	return client;
}

struct hearth_client *hearth_client_get(struct hearth_client *client)
{
	kref_get(&client->refs);
	return client;
}

static void hearth_client_release(struct kref *refs)
{
	kfree(container_of(refs, struct hearth_client, refs));
}

void hearth_client_put(struct hearth_client *client)
{
	if (client)
		kref_put(&client->refs, hearth_client_release);
}

/* Who began it caused it; those who came to want the same got it for nothing. */
static void hearth_restore_bill_locked(struct hearth_restore *restore, u64 ns)
{
	struct hearth_client *client = restore->client;

	if (!client)
		return;
	restore->client = NULL;
	atomic64_inc(&client->restores);
	atomic64_add(restore->bytes, &client->restored_bytes);
	atomic64_add(ns, &client->restored_ns);
	hearth_client_put(client);
}

/* The caller signals what it gets, and puts it. */
static struct dma_fence *hearth_restore_end_locked(struct hearth_store *store, int error)
{
	struct hearth_restore *restore = &store->restore;
	struct dma_fence *fence = restore->fence;
	u64 ns;
	u32 i;

	lockdep_assert_held(&store->lock);

	if (!fence)
		return NULL;
	restore->fence = NULL;
	if (error) {
		dma_fence_set_error(fence, error);
		for (i = 0; i < store->nr_extents; i++)
			store->extents[i].wanted = false;
	}

	ns = ktime_to_ns(ktime_sub(ktime_get(), restore->started));
	store->stats.restores++;
	store->stats.restored_bytes += restore->bytes;
	store->stats.restored_ns += ns;
	hearth_restore_bill_locked(restore, ns);
	/* Swapped memory, or none yet, tells nothing about the speed of files. */
	if (hearth_keep_is_file(store))
		hearth_reclaim_restored(store->hdev, restore->bytes, ns);
	hearth_model_store_event(store, DRM_HEARTH_EVENT_RESTORED);
	trace_hearth_restore(store->id, restore->bytes, ns, error);
	return fence;
}

static void hearth_restore_signal(struct dma_fence *fence)
{
	if (!fence)
		return;
	dma_fence_signal(fence);
	dma_fence_put(fence);
}

void hearth_restore_abort(struct hearth_store *store, int error)
{
	struct dma_fence *fence;

	spin_lock(&store->lock);
	fence = hearth_restore_end_locked(store, error);
	spin_unlock(&store->lock);
	hearth_restore_signal(fence);
}

static void hearth_restore_watchdog(struct work_struct *work)
{
	struct hearth_restore *restore = container_of(to_delayed_work(work),
						      struct hearth_restore, watchdog);
	struct hearth_store *store = container_of(restore, struct hearth_store, restore);
	struct dma_fence *fence = NULL;
	bool cookie;

	cookie = dma_fence_begin_signalling();
	spin_lock(&store->lock);
	if (restore->fence && restore->progress == restore->watched)
		fence = hearth_restore_end_locked(store, -ETIMEDOUT);
	restore->watched = restore->progress;
	if (restore->fence)
		queue_delayed_work(store->hdev->wq, &restore->watchdog,
				   hearth_restore_timeout());
	spin_unlock(&store->lock);
	hearth_restore_signal(fence);
	dma_fence_end_signalling(cookie);
}

/* The next extent that is wanted, and nobody else's; -ENOENT, or why to stop. */
static int hearth_restore_claim(struct hearth_store *store, u32 from, u32 *index)
{
	struct hearth_extent *extent;
	u32 i;

	lockdep_assert_held(&store->lock);

	if (READ_ONCE(store->closing))
		return -ECANCELED;
	for (i = 0; i < store->nr_extents; i++) {
		*index = (from + i) % store->nr_extents;
		extent = &store->extents[*index];
		if (!extent->wanted)
			continue;
		if (extent->state == HEARTH_EXTENT_EVICTING)
			return -EAGAIN;
		extent->state = HEARTH_EXTENT_RESTORING;
		return 0;
	}
	return -ENOENT;
}

/* Claims an extent, or ends the restore under the same lock, so that no wish is lost. */
static bool hearth_restore_next(struct hearth_store *store, u32 from, u32 *index)
{
	struct dma_fence *fence = NULL;
	bool claimed;
	int ret;

	for (;;) {
		spin_lock(&store->lock);
		ret = hearth_restore_claim(store, from, index);
		claimed = !ret;
		if (ret && ret != -EAGAIN)
			fence = hearth_restore_end_locked(store, ret == -ENOENT ? 0 : ret);
		spin_unlock(&store->lock);
		if (ret != -EAGAIN)
			break;
		wait_event(store->wait, READ_ONCE(store->extents[*index].state) !=
					HEARTH_EXTENT_EVICTING);
	}
	hearth_restore_signal(fence);
	return claimed;
}

/* What is wanted and not there, unless the restore has ended meanwhile: then 0. */
static u64 hearth_restore_missing(struct hearth_store *store)
{
	u64 bytes = 0;
	u32 i;

	spin_lock(&store->lock);
	for (i = 0; i < store->nr_extents && store->restore.fence && !store->closing; i++) {
		if (store->extents[i].wanted)
			bytes += hearth_extent_bytes(store, i);
	}
	spin_unlock(&store->lock);
	return hearth_room(bytes, store->ops->cached(store));
}

/*
 * Where memory for the whole rest cannot be had, nothing more of it is read:
 * jobs need all of it or none, and the system would turn over all that it has
 * for nothing. A process may be about to end, though, or a job of others.
 */
static bool hearth_restore_has_room(struct hearth_store *store)
{
	unsigned int look;
	u64 bytes;

	if (!store->ops->cached)
		return true;
	for (look = 0; look < HEARTH_ROOM_LOOKS; look++) {
		if (look)
			msleep(HEARTH_ROOM_MS);
		bytes = hearth_restore_missing(store);
		if (hearth_reclaim_could_give(store, bytes))
			return true;
	}
	drm_dbg(&store->hdev->base, "store %llu: no memory for the %llu bytes that are missing\n",
		store->id, bytes);
	return false;
}

static int hearth_restore_one(struct hearth_store *store, u32 index, struct page **pages,
			      struct file_ra_state *ra)
{
	int ret;

	ret = -ENOMEM;
	if (hearth_restore_has_room(store))
		ret = hearth_extent_load(store, index, pages, ra);
	if (ret) {
		spin_lock(&store->lock);
		hearth_extent_set_dropped_locked(store, index);
		hearth_dmem_settle_locked(store, index);
		spin_unlock(&store->lock);
		return ret;
	}

	spin_lock(&store->lock);
	store->restore.bytes += hearth_extent_bytes(store, index);
	store->restore.progress++;
	spin_unlock(&store->lock);
	return 0;
}

static int hearth_restore_add_spare(struct hearth_store *store)
{
	struct dma_fence *spare = hearth_fence_alloc();

	if (!spare)
		return -ENOMEM;

	spin_lock(&store->lock);
	if (!store->restore.spare)
		swap(store->restore.spare, spare);
	spin_unlock(&store->lock);
	hearth_fence_free(spare);
	return 0;
}

static void hearth_restore_work(struct work_struct *work)
{
	struct hearth_store *store = container_of(work, struct hearth_store, restore.work);
	struct file_ra_state ra = { .prev_pos = -1 };
	struct page **pages;
	u32 index = 0;
	int ret;

	/* While this one is under way: the next may begin as soon as it has ended. */
	ret = hearth_restore_add_spare(store);
	pages = kmalloc_array(HEARTH_EXTENT_PAGES, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		ret = -ENOMEM;
	while (!ret && hearth_restore_next(store, index, &index))
		ret = hearth_restore_one(store, index, pages, &ra);
	kfree(pages);
	if (ret)
		hearth_restore_abort(store, ret);
}

void hearth_restore_init(struct hearth_store *store)
{
	INIT_WORK(&store->restore.work, hearth_restore_work);
	INIT_DELAYED_WORK(&store->restore.watchdog, hearth_restore_watchdog);
	store->restore.context = dma_fence_context_alloc(1);
}

void hearth_restore_fini(struct hearth_store *store)
{
	hearth_fence_free(store->restore.spare);
}

static bool hearth_restore_is_needed(struct hearth_store *store, u32 first, u32 count)
{
	u32 i;

	lockdep_assert_held(&store->lock);

	if (store->nr_resident == store->nr_extents)
		return false;
	for (i = first; i < min(first + count, store->nr_usable); i++) {
		if (store->extents[i].state != HEARTH_EXTENT_RESIDENT)
			return true;
	}
	return false;
}

/* Allocates nothing and cannot wait: for submits and for the scheduler. */
static int hearth_restore_begin_locked(struct hearth_store *store, u32 first, u32 count,
				       struct hearth_client *client)
{
	struct hearth_restore *restore = &store->restore;
	u32 i;

	lockdep_assert_held(&store->lock);

	if (READ_ONCE(store->closing))
		return -ENODEV;
	if (!restore->fence) {
		if (!restore->spare)
			return -ENOMEM;
		swap(restore->fence, restore->spare);
		hearth_fence_init(restore->fence, restore->context, ++restore->seqno);
		restore->client = client ? hearth_client_get(client) : NULL;
		restore->started = ktime_get();
		restore->bytes = 0;
		restore->watched = restore->progress;
		mod_delayed_work(store->hdev->wq, &restore->watchdog,
				 hearth_restore_timeout());
	}
	for (i = first; i < min(first + count, store->nr_usable); i++) {
		if (store->extents[i].state != HEARTH_EXTENT_RESIDENT)
			store->extents[i].wanted = true;
	}
	queue_work(hearth_restore_wq, &restore->work);
	return 0;
}

/* Begins what is needed; the fence with a reference, NULL if all is resident. */
static struct dma_fence *hearth_restore_begin(struct hearth_store *store, u32 first, u32 count,
					      struct hearth_client *client)
{
	struct dma_fence *fence = NULL;
	int ret = 0;

	if (hearth_store_check_stale(store))
		return ERR_PTR(-ESTALE);

	spin_lock(&store->lock);
	if (hearth_restore_is_needed(store, first, count)) {
		ret = hearth_restore_begin_locked(store, first, count, client);
		if (!ret)
			fence = dma_fence_get(store->restore.fence);
	}
	spin_unlock(&store->lock);
	return ret ? ERR_PTR(ret) : fence;
}

int hearth_restore_range(struct hearth_store *store, u32 first, u32 count)
{
	struct dma_fence *fence;
	int ret;

	ret = hearth_restore_add_spare(store);
	if (ret)
		return ret;
	fence = hearth_restore_begin(store, first, count, NULL);
	if (IS_ERR_OR_NULL(fence))
		return PTR_ERR_OR_ZERO(fence);

	/* The watchdog sees to it that this ends. */
	dma_fence_wait(fence, false);
	ret = dma_fence_get_status(fence);
	dma_fence_put(fence);
	return min(ret, 0);
}

/*
 * All stores at once, so that they are read at once; the scheduler comes again
 * when the fence that it gets has signalled.
 */
struct dma_fence *hearth_restore_vm_fence(struct hearth_vm *vm)
{
	struct dma_fence *first = NULL, *fence;
	struct hearth_store_map *map;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		fence = hearth_restore_begin(map->store, map->first, map->count, vm->client);
		if (IS_ERR(fence)) {
			dma_fence_put(first);
			first = fence;
			break;
		}
		if (!first)
			first = fence;
		else
			dma_fence_put(fence);
	}
	spin_unlock(&vm->maps_lock);
	return first;
}

/* A store that has no fence for its next restore, with a reference. */
static struct hearth_store *hearth_restore_find_bare(struct hearth_vm *vm)
{
	struct hearth_store *found = NULL;
	struct hearth_store_map *map;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		if (!READ_ONCE(map->store->restore.spare)) {
			found = hearth_store_get(map->store);
			break;
		}
	}
	spin_unlock(&vm->maps_lock);
	return found;
}

int hearth_restore_vm(struct hearth_vm *vm)
{
	struct hearth_store *store;
	struct dma_fence *fence;
	int ret;

	if (list_empty_careful(&vm->maps))
		return 0;

	ret = hearth_dmem_charge_vm(vm);
	while (!ret && (store = hearth_restore_find_bare(vm))) {
		ret = hearth_restore_add_spare(store);
		hearth_store_put(store);
	}
	if (ret)
		return ret;

	fence = hearth_restore_vm_fence(vm);
	if (IS_ERR(fence))
		return PTR_ERR(fence);
	dma_fence_put(fence);
	return 0;
}
