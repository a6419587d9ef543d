// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-resv.h>
#include <linux/idr.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_print.h>

#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fdinfo.h"
#include "hearth_gem.h"
#include "hearth_queue.h"
#include "hearth_store.h"

static u64 hearth_fdinfo_engine_ns(struct hearth_file *hfile)
{
	u64 ns = atomic64_read(&hfile->retired_ns);
	struct hearth_queue *queue;
	unsigned long id = 0;

	for (id = 1; id <= HEARTH_MAX_QUEUES; id++) {
		queue = hearth_queue_lookup(hfile, id);
		if (!queue)
			continue;
		ns += hearth_queue_busy_ns(queue);
		hearth_queue_put(queue);
	}
	return ns;
}

/**
 * struct hearth_fdinfo - memory of one client
 */
struct hearth_fdinfo {
	/** @stats: By the rules of drm-usage-stats, but by extents where there are some. */
	struct drm_memory_stats stats;

	/** @proportional: What is resident, divided by those who share it. */
	u64 proportional;
};

/* Weights are shared by all with a buffer over the same file, or with the same buffer. */
static u32 hearth_fdinfo_sharers(struct hearth_bo *bo)
{
	if (bo->store)
		return max(atomic_read(&bo->store->keep.nr_bos), 1) - 1 +
		       max(bo->base.handle_count, 1U);
	return max(bo->base.handle_count, 1U);
}

static void hearth_fdinfo_add_bo(struct hearth_fdinfo *info, struct drm_gem_object *obj)
{
	struct hearth_bo *bo = to_hearth_bo(obj);
	u64 resident = hearth_bo_resident_bytes(bo);
	u32 sharers = hearth_fdinfo_sharers(bo);
	bool active;

	if (sharers > 1 || drm_gem_object_is_shared_for_memory_stats(obj))
		info->stats.shared += obj->size;
	else
		info->stats.private += obj->size;

	active = bo->store ? hearth_store_in_use(bo->store) :
			     !dma_resv_test_signaled(obj->resv, dma_resv_usage_rw(true));
	info->stats.resident += resident;
	info->proportional += div_u64(resident, sharers);
	if (active)
		info->stats.active += resident;
	else if (bo->store && hearth_store_droppable(bo->store))
		info->stats.purgeable += resident;
}

static void hearth_fdinfo_memory(struct drm_printer *p, struct drm_file *file)
{
	struct hearth_fdinfo info = { };
	struct drm_gem_object *obj;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, obj, id)
		hearth_fdinfo_add_bo(&info, obj);
	spin_unlock(&file->table_lock);

	drm_print_memory_stats(p, &info.stats,
			       HEARTH_GEM_OBJECT_ACTIVE | DRM_GEM_OBJECT_RESIDENT |
			       DRM_GEM_OBJECT_PURGEABLE, "memory");
	drm_printf(p, "hearth-proportional-memory:\t%llu KiB\n", info.proportional >> 10);
}

static void hearth_fdinfo_restores(struct drm_printer *p, const struct hearth_client *client)
{
	drm_printf(p, "hearth-restores:\t%lld\n", (s64)atomic64_read(&client->restores));
	drm_printf(p, "hearth-restored-memory:\t%lld KiB\n",
		   (s64)atomic64_read(&client->restored_bytes) >> 10);
	drm_printf(p, "hearth-restored-time:\t%lld ns\n",
		   (s64)atomic64_read(&client->restored_ns));
}

void hearth_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct hearth_file *hfile = to_hearth_file(file);

	drm_printf(p, "drm-engine-npu:\t%llu ns\n", hearth_fdinfo_engine_ns(hfile));
	drm_printf(p, "drm-engine-capacity-npu:\t%u\n", hfile->hdev->caps.slots);
	hearth_fdinfo_memory(p, file);
	hearth_fdinfo_restores(p, hfile->client);
}
