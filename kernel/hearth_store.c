// SPDX-License-Identifier: GPL-2.0
/*
 * Stores: lives and look-up. What happens to their extents is in
 * hearth_extent.c, hearth_restore.c and hearth_evict.c.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_mm.h"
#include "hearth_store.h"

struct workqueue_struct *hearth_restore_wq;

int hearth_store_module_init(void)
{
	/* Several stores are read at once; each of them by one at a time. */
	hearth_restore_wq = alloc_workqueue("hearth-restore", WQ_UNBOUND, 0);
	return hearth_restore_wq ? 0 : -ENOMEM;
}

void hearth_store_module_exit(void)
{
	destroy_workqueue(hearth_restore_wq);
}

struct hearth_store *hearth_store_get(struct hearth_store *store)
{
	kref_get(&store->refs);
	return store;
}

static void hearth_store_free(struct hearth_store *store)
{
	struct hearth_device *hdev = store->hdev;

	hearth_restore_fini(store);
	store->ops->free(store);
	WARN_ON(store->nr_charged);
	hearth_keep_fini(&store->keep);
	kvfree(store->extents);
	mutex_destroy(&store->vms_lock);
	kfree(store);
	drm_dev_put(&hdev->base);
}

static void hearth_store_release_work(struct work_struct *work)
{
	struct hearth_store *store = container_of(work, struct hearth_store, release_work);
	struct hearth_mm *mm = &store->hdev->mm;

	cancel_work_sync(&store->restore.work);
	cancel_delayed_work_sync(&store->restore.watchdog);
	cancel_work_sync(&store->evict_work);
	hearth_restore_abort(store, -ECANCELED);
	hearth_store_drop_all(store);

	spin_lock(&mm->stores_lock);
	list_del(&store->node);
	spin_unlock(&mm->stores_lock);
	atomic_dec(&mm->nr_stores);
	wake_up_all(&mm->bo_gone);
	hearth_store_free(store);
}

static void hearth_store_release(struct kref *refs)
{
	struct hearth_store *store = container_of(refs, struct hearth_store, refs);

	/* The restore work goes by it: it stops at the next extent. */
	WRITE_ONCE(store->closing, true);
	queue_work(hearth_free_wq, &store->release_work);
}

void hearth_store_put(struct hearth_store *store)
{
	kref_put(&store->refs, hearth_store_release);
}

static int hearth_store_alloc_extents(struct hearth_store *store)
{
	u32 i;

	store->nr_extents = DIV_ROUND_UP_ULL(store->bytes, HEARTH_EXTENT_BYTES);
	store->extents = kvcalloc(store->nr_extents, sizeof(*store->extents),
				  GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!store->extents)
		return -ENOMEM;
	for (i = 0; i < store->nr_extents; i++)
		INIT_LIST_HEAD(&store->extents[i].lru);
	return 0;
}

static void hearth_store_list_locked(struct hearth_mm *mm, struct hearth_store *store)
{
	lockdep_assert_held(&mm->stores_lock);

	store->id = ++mm->store_id;
	list_add_tail(&store->node, &mm->stores);
	atomic_inc(&mm->nr_stores);
}

static struct hearth_store *hearth_store_alloc(struct hearth_device *hdev)
{
	struct hearth_store *store = kzalloc(sizeof(*store), GFP_KERNEL_ACCOUNT);

	if (!store)
		return NULL;

	kref_init(&store->refs);
	store->hdev = hdev;
	INIT_LIST_HEAD(&store->node);
	INIT_LIST_HEAD(&store->maps);
	INIT_LIST_HEAD(&store->lru);
	INIT_WORK(&store->release_work, hearth_store_release_work);
	INIT_WORK(&store->evict_work, hearth_evict_work);
	mutex_init(&store->vms_lock);
	spin_lock_init(&store->lock);
	init_waitqueue_head(&store->wait);
	store->last_used = ktime_get();
	hearth_keep_init(&store->keep);
	hearth_restore_init(store);
	drm_dev_get(&hdev->base);
	return store;
}

static struct hearth_store *hearth_store_create_file(struct hearth_device *hdev,
						     struct file *file)
{
	struct hearth_store *store = hearth_store_alloc(hdev);
	int ret;

	if (!store)
		return ERR_PTR(-ENOMEM);

	ret = hearth_store_file_init(store, file);
	if (!ret)
		ret = hearth_store_alloc_extents(store);
	if (ret) {
		hearth_store_free(store);
		return ERR_PTR(ret);
	}
	store->nr_usable = store->nr_extents;
	return store;
}

struct hearth_store *hearth_store_create_state(struct hearth_device *hdev, struct file *shmem)
{
	struct hearth_store *store = hearth_store_alloc(hdev);
	int ret;

	if (!store)
		return ERR_PTR(-ENOMEM);

	hearth_store_state_init(store, shmem);
	ret = hearth_store_alloc_extents(store);
	if (ret) {
		hearth_store_free(store);
		return ERR_PTR(ret);
	}

	spin_lock(&hdev->mm.stores_lock);
	hearth_store_list_locked(&hdev->mm, store);
	spin_unlock(&hdev->mm.stores_lock);
	return store;
}

/* The store over the same source as @fresh, with a reference, or NULL. */
static struct hearth_store *hearth_store_find_locked(struct hearth_mm *mm,
						     const struct hearth_store *fresh)
{
	struct hearth_store *store;

	lockdep_assert_held(&mm->stores_lock);

	list_for_each_entry(store, &mm->stores, node) {
		if (store->ops != fresh->ops || !hearth_store_file_is(store, fresh))
			continue;
		if (!hearth_store_check_stale(store) && kref_get_unless_zero(&store->refs))
			return store;
	}
	return NULL;
}

struct hearth_store *hearth_store_get_file(struct hearth_device *hdev, struct file *file)
{
	struct hearth_mm *mm = &hdev->mm;
	struct hearth_store *store, *fresh;
	int ret;

	ret = hearth_store_file_check(file);
	if (ret)
		return ERR_PTR(ret);
	fresh = hearth_store_create_file(hdev, file);
	if (IS_ERR(fresh))
		return fresh;

	spin_lock(&mm->stores_lock);
	store = hearth_store_find_locked(mm, fresh);
	if (!store)
		hearth_store_list_locked(mm, fresh);
	spin_unlock(&mm->stores_lock);

	if (!store)
		return fresh;
	hearth_store_free(fresh);
	return store;
}

/* The store behind @prev, with a reference; that of @prev is dropped. */
static struct hearth_store *hearth_store_next(struct hearth_mm *mm, struct hearth_store *prev)
{
	struct hearth_store *store, *found = NULL;

	spin_lock(&mm->stores_lock);
	store = list_prepare_entry(prev, &mm->stores, node);
	list_for_each_entry_continue(store, &mm->stores, node) {
		if (kref_get_unless_zero(&store->refs)) {
			found = store;
			break;
		}
	}
	spin_unlock(&mm->stores_lock);

	if (prev)
		hearth_store_put(prev);
	return found;
}

void hearth_store_for_each(struct hearth_device *hdev,
			   bool (*fn)(struct hearth_store *store, void *arg), void *arg)
{
	struct hearth_store *store = NULL;

	while ((store = hearth_store_next(&hdev->mm, store))) {
		if (fn(store, arg)) {
			hearth_store_put(store);
			return;
		}
	}
}

bool hearth_store_check_stale(struct hearth_store *store)
{
	if (READ_ONCE(store->stale))
		return true;
	if (!store->ops->changed(store))
		return false;
	WRITE_ONCE(store->stale, true);
	hearth_model_store_event(store, DRM_HEARTH_EVENT_STALE);
	return true;
}

u64 hearth_store_resident_bytes(struct hearth_store *store, u32 first, u32 count)
{
	u64 bytes = 0;
	u32 i;

	spin_lock(&store->lock);
	for (i = first; i < first + count; i++) {
		if (store->extents[i].state == HEARTH_EXTENT_RESIDENT)
			bytes += hearth_extent_bytes(store, i);
	}
	spin_unlock(&store->lock);
	return bytes;
}

static bool hearth_store_unplug_one(struct hearth_store *store, void *arg)
{
	WRITE_ONCE(store->closing, true);
	hearth_restore_abort(store, -ENODEV);
	hearth_store_drop_all(store);
	return false;
}

/*
 * The device is gone. No restore maps pages for it any more: it looks under
 * drm_dev_enter(). Those whose last reference had gone drop by themselves.
 */
void hearth_store_unplug(struct hearth_device *hdev)
{
	struct hearth_mm *mm = &hdev->mm;

	hearth_store_for_each(hdev, hearth_store_unplug_one, NULL);
	wait_event(mm->bo_gone, !atomic_read(&mm->nr_extents) && !atomic_read(&mm->nr_leaves));
}

static bool hearth_debugfs_store(struct hearth_store *store, void *arg)
{
	u64 resident = hearth_store_resident_bytes(store, 0, store->nr_extents);
	u64 droppable = hearth_store_droppable(store) << PAGE_SHIFT;
	struct seq_file *m = arg;

	spin_lock(&store->lock);
	seq_printf(m, "store %llu %s bytes %llu resident %llu droppable %llu maps %zu restores %llu read %llu ns %llu dropped %llu idle %lld ms%s%s%s\n",
		   store->id, store->ops->name, store->bytes, resident, droppable,
		   list_count_nodes(&store->maps), store->stats.restores,
		   store->stats.restored_bytes, store->stats.restored_ns,
		   store->stats.dropped_bytes,
		   ktime_ms_delta(ktime_get(), store->last_used),
		   store->restore.fence ? " restoring" : "", store->stale ? " stale" : "",
		   store->state.dontneed ? " dontneed" : "");
	spin_unlock(&store->lock);
	return false;
}

void hearth_debugfs_stores(struct seq_file *m, struct hearth_device *hdev)
{
	hearth_store_for_each(hdev, hearth_debugfs_store, m);
}
