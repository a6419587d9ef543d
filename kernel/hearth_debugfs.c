// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>

#include <drm/drm_debugfs.h>

#include "hearth_debugfs.h"
#include "hearth_device.h"
#include "hearth_fw.h"
#include "hearth_queue.h"
#include "hearth_slot.h"
#include "hearth_store.h"
#include "hearth_vm.h"

static struct hearth_device *hearth_debugfs_device(struct seq_file *m)
{
	struct drm_debugfs_entry *entry = m->private;

	return to_hearth_device(entry->dev);
}

static int hearth_debugfs_show_gems(struct seq_file *m, void *data)
{
	hearth_debugfs_gems(m, hearth_debugfs_device(m));
	return 0;
}

static int hearth_debugfs_show_stores(struct seq_file *m, void *data)
{
	hearth_debugfs_stores(m, hearth_debugfs_device(m));
	return 0;
}

static void hearth_debugfs_queue(struct seq_file *m, struct hearth_queue *queue)
{
	u64 busy = hearth_queue_busy_ns(queue);

	spin_lock(&queue->lock);
	seq_printf(m, "queue %llu pid %d context %u priority %u slot %d%s pending %zu running %zu jobs %llu busy %llu ns dead %d cause %d\n",
		   queue->fence_context, queue->pid, queue->vm->ctx, queue->priority,
		   queue->slot, queue->yielding ? " yielding" : "",
		   list_count_nodes(&queue->pending), list_count_nodes(&queue->running),
		   queue->jobs_armed, busy, queue->dead, queue->fault.cause);
	spin_unlock(&queue->lock);
}

static int hearth_debugfs_show_queues(struct seq_file *m, void *data)
{
	struct hearth_device *hdev = hearth_debugfs_device(m);
	struct hearth_queue *queue;

	mutex_lock(&hdev->queues_lock);
	list_for_each_entry(queue, &hdev->queues, node)
		hearth_debugfs_queue(m, queue);
	mutex_unlock(&hdev->queues_lock);
	return 0;
}

static int hearth_debugfs_show_slots(struct seq_file *m, void *data)
{
	static const char * const states[] = {
		[HEARTH_FW_STOPPED] = "stopped",
		[HEARTH_FW_RUNNING] = "running",
		[HEARTH_FW_DEAD] = "dead",
	};
	struct hearth_device *hdev = hearth_debugfs_device(m);
	struct hearth_queue *queue;
	u32 slot;

	seq_printf(m, "firmware %s%s, %d resets\n", states[READ_ONCE(hdev->fw->state)],
		   hdev->wedged ? ", given up" : "", atomic_read(&hdev->reset_count));
	for (slot = 0; slot < hdev->caps.slots; slot++) {
		queue = hearth_slot_owner(hdev, slot);
		if (!queue)
			continue;
		seq_printf(m, "slot %u: ", slot);
		hearth_debugfs_queue(m, queue);
		hearth_queue_put(queue);
	}
	return 0;
}

/* Each is back at its old value when all that was opened is closed. */
static int hearth_debugfs_show_objects(struct seq_file *m, void *data)
{
	struct hearth_device *hdev = hearth_debugfs_device(m);
	u32 contexts;

	spin_lock(&hdev->fw->lock);
	contexts = bitmap_weight(hdev->fw->contexts, hdev->caps.contexts);
	spin_unlock(&hdev->fw->lock);

	seq_printf(m, "files %d\n", atomic_read(&hdev->count.files));
	seq_printf(m, "bos %d\n", atomic_read(&hdev->mm.nr_bos));
	seq_printf(m, "vms %d\n", atomic_read(&hdev->mm.nr_vms));
	seq_printf(m, "tables %d\n", atomic_read(&hdev->mm.nr_tables));
	seq_printf(m, "stores %d\n", atomic_read(&hdev->mm.nr_stores));
	seq_printf(m, "extents %d\n", atomic_read(&hdev->mm.nr_extents));
	seq_printf(m, "leaves %d\n", atomic_read(&hdev->mm.nr_leaves));
	seq_printf(m, "region_bytes %llu\n", hdev->region.bytes);
	seq_printf(m, "region_used %lld\n", atomic64_read(&hdev->region.used));
	seq_printf(m, "queues %d\n", atomic_read(&hdev->count.queues));
	seq_printf(m, "jobs %d\n", atomic_read(&hdev->count.jobs));
	seq_printf(m, "contexts %u\n", contexts);
	seq_printf(m, "models %u\n", READ_ONCE(hdev->models.count));
	return 0;
}

static int hearth_debugfs_show_models(struct seq_file *m, void *data)
{
	hearth_debugfs_models(m, hearth_debugfs_device(m));
	return 0;
}

static int hearth_debugfs_show_budget(struct seq_file *m, void *data)
{
	hearth_debugfs_budget(m, hearth_debugfs_device(m));
	return 0;
}

static const struct drm_debugfs_info hearth_debugfs_files[] = {
	{ "budget", hearth_debugfs_show_budget },
	{ "gems", hearth_debugfs_show_gems },
	{ "models", hearth_debugfs_show_models },
	{ "objects", hearth_debugfs_show_objects },
	{ "queues", hearth_debugfs_show_queues },
	{ "slots", hearth_debugfs_show_slots },
	{ "stores", hearth_debugfs_show_stores },
};

/* What is left to drop, and how. */
struct hearth_debugfs_drop {
	u64 pages;
	unsigned int flags;
};

static bool hearth_debugfs_drop_store(struct hearth_store *store, void *arg)
{
	struct hearth_debugfs_drop *drop = arg;

	drop->pages -= min(drop->pages, hearth_store_evict(store, drop->pages, drop->flags, NULL));
	return !drop->pages;
}

static int hearth_debugfs_drop(struct hearth_device *hdev, u64 bytes, unsigned int flags)
{
	struct hearth_debugfs_drop drop = { DIV_ROUND_UP_ULL(bytes, PAGE_SIZE), flags };

	hearth_store_for_each(hdev, hearth_debugfs_drop_store, &drop);
	return 0;
}

/* Bytes to drop, from the page cache too. */
static int hearth_debugfs_evict(void *data, u64 bytes)
{
	return hearth_debugfs_drop(data, bytes, HEARTH_EVICT_CACHE);
}
DEFINE_DEBUGFS_ATTRIBUTE(hearth_debugfs_evict_fops, NULL, hearth_debugfs_evict, "%llu\n");

/* As reclaim does it. */
static int hearth_debugfs_shrink(void *data, u64 bytes)
{
	int ret;

	fs_reclaim_acquire(GFP_KERNEL);
	ret = hearth_debugfs_drop(data, bytes, HEARTH_EVICT_NOWAIT);
	fs_reclaim_release(GFP_KERNEL);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(hearth_debugfs_shrink_fops, NULL, hearth_debugfs_shrink, "%llu\n");

void hearth_debugfs_init(struct hearth_device *hdev)
{
	struct dentry *root = hdev->base.debugfs_root;

	debugfs_create_file_unsafe("evict", 0200, root, hdev, &hearth_debugfs_evict_fops);
	debugfs_create_file_unsafe("shrink", 0200, root, hdev, &hearth_debugfs_shrink_fops);
	drm_debugfs_add_files(&hdev->base, hearth_debugfs_files,
			      ARRAY_SIZE(hearth_debugfs_files));
}
