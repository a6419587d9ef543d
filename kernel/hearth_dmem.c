// SPDX-License-Identifier: GPL-2.0
/*
 * Extents as cgroups count device memory. Each has one charge, of the cgroup that
 * asked for it first; others that share it pay nothing.
 *
 * A charge that is over a limit drops extents that are charged below that limit, and
 * so does a limit that is lowered. Stores that submitted jobs map are left alone then:
 * their charges stay, for a work must be able to restore them with no process at hand
 * that could be charged.
 */
#include <linux/cgroup_dmem.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_reclaim.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/**
 * struct hearth_dmem_choice - what may go for a limit
 */
struct hearth_dmem_choice {
	/** @base: For those who evict. */
	struct hearth_chooser base;
	/** @limit: Where the limit is. */
	struct dmem_cgroup_pool_state *limit;
	/** @pool: The pool that was looked at last: neighbours have the same. */
	struct dmem_cgroup_pool_state *pool;
	/** @pool_may: What was found. */
	bool pool_may;
	/** @ignore_low: What is below dmem.low may go too. */
	bool ignore_low;
	/** @hit_low: It would help. */
	bool hit_low;
};

static bool hearth_dmem_may_go(struct hearth_chooser *chooser, const struct hearth_extent *extent)
{
	struct hearth_dmem_choice *choice = container_of(chooser, struct hearth_dmem_choice, base);

	if (!extent->pool)
		return false;
	if (extent->pool != choice->pool) {
		choice->pool = extent->pool;
		choice->pool_may = dmem_cgroup_state_evict_valuable(choice->limit, extent->pool,
								    choice->ignore_low,
								    &choice->hit_low);
	}
	return choice->pool_may;
}

/* Drops an extent, of others than @store, that is charged below @limit. */
static bool hearth_dmem_make_room(struct hearth_device *hdev, struct hearth_store *store,
				  struct dmem_cgroup_pool_state *limit)
{
	struct hearth_dmem_choice choice = {
		.base.may_go = hearth_dmem_may_go,
		.limit = limit,
	};
	bool freed;

	freed = hearth_reclaim_chosen(hdev, store, &choice.base);
	if (freed || !choice.hit_low)
		return freed;
	choice.ignore_low = true;
	choice.pool = NULL;
	return hearth_reclaim_chosen(hdev, store, &choice.base);
}

/* A limit was lowered. The kernel comes again until it is kept or nothing can go. */
static int hearth_dmem_reclaim(struct dmem_cgroup_pool_state *pool, u64 bytes, void *arg)
{
	return hearth_dmem_make_room(arg, NULL, pool) ? 0 : -ENOSPC;
}

static const struct dmem_cgroup_ops hearth_dmem_ops = {
	.reclaim = hearth_dmem_reclaim,
};

/* All of RAM: that is the most that the budget may be. */
int hearth_dmem_init(struct hearth_device *hdev)
{
	const struct dmem_cgroup_init init = {
		.size = (u64)totalram_pages() << PAGE_SHIFT,
		.ops = &hearth_dmem_ops,
		.reclaim_priv = hdev,
	};

	hdev->dmem = drmm_cgroup_register_region(&hdev->base, "models", &init);
	return PTR_ERR_OR_ZERO(hdev->dmem);
}

static int hearth_dmem_try_charge(struct hearth_store *store, u64 bytes,
				  struct dmem_cgroup_pool_state **pool)
{
	struct dmem_cgroup_pool_state *limit;
	unsigned int round;
	bool freed = true;
	int ret = -EAGAIN;

	for (round = 0; round < HEARTH_CHARGE_ROUNDS && freed; round++) {
		ret = dmem_cgroup_try_charge(store->hdev->dmem, bytes, pool, &limit);
		if (ret != -EAGAIN)
			break;
		freed = hearth_dmem_make_room(store->hdev, store, limit);
		dmem_cgroup_pool_state_put(limit);
	}
	return ret == -EAGAIN ? -EDQUOT : ret;
}

int hearth_dmem_charge_extent(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];
	u64 bytes = hearth_extent_bytes(store, index);
	struct dmem_cgroup_pool_state *pool;
	int ret;

	if (READ_ONCE(extent->pool))
		return 0;
	ret = hearth_dmem_try_charge(store, bytes, &pool);
	if (ret)
		return ret;

	spin_lock(&store->lock);
	if (READ_ONCE(store->closing)) {
		ret = -ENODEV;
	} else if (!extent->pool) {
		swap(extent->pool, pool);
		store->nr_charged++;
	}
	spin_unlock(&store->lock);
	/* NULL, unless somebody was faster. */
	dmem_cgroup_uncharge(pool, bytes);
	return ret;
}

int hearth_dmem_charge(struct hearth_store *store, u32 first, u32 count)
{
	int ret = 0;
	u32 i;

	for (i = first; i < first + count && !ret; i++)
		ret = hearth_dmem_charge_extent(store, i);
	return ret;
}

/* Is it paid in part, or not at all? Then the range that is not. */
static bool hearth_dmem_is_unpaid(const struct hearth_store_map *map, u32 *first, u32 *count)
{
	struct hearth_store *store = map->store;
	u32 end = min(map->first + map->count, READ_ONCE(store->nr_usable));
	u32 i = map->first;

	if (READ_ONCE(store->nr_charged) == store->nr_extents)
		return false;
	while (i < end && READ_ONCE(store->extents[i].pool))
		i++;
	*first = i;
	*count = end - min(i, end);
	return *count;
}

/* The store of a mapping of which that is so, with a reference. */
static struct hearth_store *hearth_dmem_find_unpaid(struct hearth_vm *vm, u32 *first, u32 *count)
{
	struct hearth_store *found = NULL;
	struct hearth_store_map *map;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		if (hearth_dmem_is_unpaid(map, first, count)) {
			found = hearth_store_get(map->store);
			break;
		}
	}
	spin_unlock(&vm->maps_lock);
	return found;
}

int hearth_dmem_charge_vm(struct hearth_vm *vm)
{
	struct hearth_store *store;
	u32 first, count;
	int ret = 0;

	while (!ret && (store = hearth_dmem_find_unpaid(vm, &first, &count))) {
		ret = hearth_dmem_charge(store, first, count);
		hearth_store_put(store);
	}
	return ret;
}

int hearth_dmem_charge_bind(struct hearth_vm *vm)
{
	int ret;

	/* The mapping is there: either we see a job, or its submit sees the mapping. */
	smp_mb();
	if (!atomic_inc_not_zero(&vm->nr_jobs))
		return 0;
	ret = hearth_dmem_charge_vm(vm);
	hearth_dmem_job_end(vm);
	return ret;
}

bool hearth_dmem_is_held_locked(struct hearth_store *store)
{
	struct hearth_store_map *map;

	lockdep_assert_held(&store->lock);

	if (store->nr_pins)
		return true;
	list_for_each_entry(map, &store->maps, store_node) {
		if (atomic_read(&map->vm->nr_jobs))
			return true;
	}
	return false;
}

static void hearth_dmem_uncharge_locked(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];

	lockdep_assert_held(&store->lock);

	if (extent->state != HEARTH_EXTENT_DROPPED || !extent->pool)
		return;
	dmem_cgroup_uncharge(extent->pool, hearth_extent_bytes(store, index));
	extent->pool = NULL;
	store->nr_charged--;
}

void hearth_dmem_settle_locked(struct hearth_store *store, u32 index)
{
	if (!store->extents[index].wanted && !hearth_dmem_is_held_locked(store))
		hearth_dmem_uncharge_locked(store, index);
}

void hearth_dmem_settle(struct hearth_store *store)
{
	u32 i;

	spin_lock(&store->lock);
	if (store->nr_charged > store->nr_resident && !hearth_dmem_is_held_locked(store)) {
		for (i = 0; i < store->nr_extents; i++) {
			if (!store->extents[i].wanted)
				hearth_dmem_uncharge_locked(store, i);
		}
	}
	spin_unlock(&store->lock);
}

void hearth_dmem_uncharge(struct hearth_store *store)
{
	u32 i;

	spin_lock(&store->lock);
	for (i = 0; i < store->nr_extents; i++)
		hearth_dmem_uncharge_locked(store, i);
	spin_unlock(&store->lock);
}

void hearth_dmem_job_begin(struct hearth_vm *vm)
{
	atomic_inc(&vm->nr_jobs);
	/* Then it looks at the mappings; pairs with hearth_dmem_charge_bind(). */
	smp_mb__after_atomic();
}

void hearth_dmem_job_end(struct hearth_vm *vm)
{
	struct hearth_store_map *map;

	if (!atomic_dec_and_test(&vm->nr_jobs))
		return;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node)
		hearth_dmem_settle(map->store);
	spin_unlock(&vm->maps_lock);
}
