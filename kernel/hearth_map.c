// SPDX-License-Identifier: GPL-2.0
/*
 * Which extents which address spaces have, and that their page tables say so.
 */
#include <linux/dma-fence.h>
#include <linux/slab.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_fw.h"
#include "hearth_mmu.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/* Address spaces that are looked at in one go; more take more. */
#define HEARTH_SYNC_VMS		16

void hearth_map_init(struct hearth_store_map *map)
{
	map->store = NULL;
	map->peer = NULL;
	INIT_LIST_HEAD(&map->vm_node);
	INIT_LIST_HEAD(&map->store_node);
}

static u64 hearth_map_end(const struct hearth_store_map *map)
{
	return map->va + ((u64)map->count << HEARTH_EXTENT_SHIFT);
}

static void hearth_map_insert(struct hearth_store_map *map)
{
	struct hearth_vm *vm = map->vm;

	lockdep_assert_held(&vm->maps_lock);

	vm->nr_maps++;
	if (map->peer) {
		list_add_tail(&map->vm_node, &vm->peers);
		return;
	}
	list_add_tail(&map->vm_node, &vm->maps);
	spin_lock(&map->store->lock);
	list_add_tail(&map->store_node, &map->store->maps);
	spin_unlock(&map->store->lock);
}

static int hearth_map_insert_within_limit(struct hearth_store_map *map)
{
	struct hearth_vm *vm = map->vm;
	int ret = 0;

	spin_lock(&vm->maps_lock);
	if (vm->nr_maps < HEARTH_MAX_STORE_MAPS)
		hearth_map_insert(map);
	else
		ret = -ENOSPC;
	spin_unlock(&vm->maps_lock);
	if (ret)
		hearth_map_init(map);
	return ret;
}

/* From the bind's ioctl. */
int hearth_map_add(struct hearth_store_map *map, struct hearth_vm *vm,
		   struct hearth_store *store, u64 va, u32 first, u32 count)
{
	map->store = store;
	map->vm = vm;
	map->va = va;
	map->first = first;
	map->count = count;
	map->bound = false;
	return hearth_map_insert_within_limit(map);
}

/* Likewise. */
int hearth_map_watch(struct hearth_store_map *map, struct hearth_vm *vm,
		     struct hearth_store *peer)
{
	map->peer = peer;
	map->vm = vm;
	return hearth_map_insert_within_limit(map);
}

void hearth_map_del(struct hearth_store_map *map)
{
	struct hearth_vm *vm = map->vm;

	if (!map->store && !map->peer)
		return;

	spin_lock(&vm->maps_lock);
	list_del_init(&map->vm_node);
	vm->nr_maps--;
	if (map->store) {
		spin_lock(&map->store->lock);
		list_del_init(&map->store_node);
		spin_unlock(&map->store->lock);
	}
	spin_unlock(&vm->maps_lock);
	if (map->store)
		hearth_dmem_settle(map->store);
	map->store = NULL;
	map->peer = NULL;
}

/* Writes the entry of an extent, which is zero unless its pages are there. */
static void hearth_map_set(struct hearth_store_map *map, u32 index)
{
	const struct hearth_extent *extent = &map->store->extents[index];
	struct hearth_mmu *mmu = &map->vm->mmu;
	u64 va = map->va + ((u64)(index - map->first) << HEARTH_EXTENT_SHIFT);

	lockdep_assert_held(&map->vm->op_lock);
	lockdep_assert_held(&map->store->lock);

	/* It fails for a device that is gone, which looks at no table. */
	mmu->ops->set(mmu, va, extent->state == HEARTH_EXTENT_EVICTING ? 0 : extent->entry);
}

void hearth_map_bind(struct hearth_store_map *map)
{
	struct hearth_store *store = map->store;
	u32 i;

	lockdep_assert_held(&map->vm->op_lock);

	/* Whoever changes the state of an extent from now on comes to us as well. */
	spin_lock(&store->lock);
	map->bound = true;
	for (i = map->first; i < map->first + map->count; i++)
		hearth_map_set(map, i);
	spin_unlock(&store->lock);
}

void hearth_map_split(struct hearth_store_map *part, const struct hearth_store_map *whole,
		      u64 va, u64 size)
{
	lockdep_assert_held(&whole->vm->op_lock);

	part->store = whole->store;
	part->peer = whole->peer;
	part->vm = whole->vm;
	if (whole->store) {
		part->va = va;
		part->first = whole->first + ((va - whole->va) >> HEARTH_EXTENT_SHIFT);
		part->count = size >> HEARTH_EXTENT_SHIFT;
		part->bound = true;
		part->seen = 0;
	}

	spin_lock(&part->vm->maps_lock);
	hearth_map_insert(part);
	spin_unlock(&part->vm->maps_lock);
}

static bool hearth_map_is_cut(const struct hearth_store_map *map, u64 at)
{
	return at > map->va && at < hearth_map_end(map) && !IS_ALIGNED(at, HEARTH_EXTENT_BYTES);
}

/* Binds that are queued count as if they had run. */
int hearth_map_check_cut(struct hearth_vm *vm, u64 va, u64 size)
{
	struct hearth_store_map *map;
	int ret = 0;

	if (list_empty_careful(&vm->maps))
		return 0;

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		if (hearth_map_is_cut(map, va) || hearth_map_is_cut(map, va + size)) {
			ret = -EINVAL;
			break;
		}
	}
	spin_unlock(&vm->maps_lock);
	return ret;
}

static void hearth_map_set_all(struct hearth_store_map *map, const u32 *indices,
			       unsigned int count)
{
	unsigned int i;

	spin_lock(&map->store->lock);
	for (i = 0; i < count; i++) {
		if (indices[i] >= map->first && indices[i] - map->first < map->count)
			hearth_map_set(map, indices[i]);
	}
	spin_unlock(&map->store->lock);
}

static void hearth_map_flush(struct hearth_vm *vm)
{
	struct hearth_mmu_pool none;
	u64 va, size;

	if (!hearth_mmu_stale(&vm->mmu, &va, &size))
		return;
	hearth_fw_tlb_flush(vm->hdev, vm->ctx, va, size);
	/* Binds leave no table behind, and we cut none off. */
	hearth_mmu_pool_init(&none);
	hearth_mmu_flushed(&vm->mmu, &none);
	WARN_ON_ONCE(none.nr_dirs || none.nr_leaves);
}

static int hearth_map_sync_vm(struct hearth_vm *vm, struct hearth_store *store,
			      const u32 *indices, unsigned int count, bool try)
{
	struct hearth_store_map *map;
	bool cookie;

	cookie = dma_fence_begin_signalling();
	if (try && !mutex_trylock(&vm->op_lock)) {
		dma_fence_end_signalling(cookie);
		return -EAGAIN;
	}
	if (!try)
		mutex_lock(&vm->op_lock);

	spin_lock(&vm->maps_lock);
	list_for_each_entry(map, &vm->maps, vm_node) {
		if (map->store == store && map->bound)
			hearth_map_set_all(map, indices, count);
	}
	spin_unlock(&vm->maps_lock);
	hearth_map_flush(vm);

	mutex_unlock(&vm->op_lock);
	dma_fence_end_signalling(cookie);
	return 0;
}

/*
 * Takes address spaces that this walk has not been at. The mapping's place in
 * the list keeps the memory of an address space that is being destroyed too:
 * its tables are in use until the firmware has forgotten the context.
 */
static unsigned int hearth_map_collect(struct hearth_store *store, struct hearth_vm **vms)
{
	struct hearth_store_map *map;
	unsigned int i, count = 0;

	spin_lock(&store->lock);
	list_for_each_entry(map, &store->maps, store_node) {
		if (map->seen == store->seen || !map->bound)
			continue;
		for (i = 0; i < count && vms[i] != map->vm; i++)
			;
		if (i == HEARTH_SYNC_VMS)
			break;
		map->seen = store->seen;
		if (i < count)
			continue;
		drm_gpuvm_get(&map->vm->base);
		vms[count++] = map->vm;
	}
	spin_unlock(&store->lock);
	return count;
}

int hearth_map_sync(struct hearth_store *store, const u32 *indices, unsigned int count,
		    bool try)
{
	struct hearth_vm *vms[HEARTH_SYNC_VMS];
	unsigned int i, n;
	int ret = 0;

	lockdep_assert_held(&store->vms_lock);

	store->seen++;
	do {
		n = hearth_map_collect(store, vms);
		for (i = 0; i < n; i++) {
			if (!ret)
				ret = hearth_map_sync_vm(vms[i], store, indices, count, try);
			drm_gpuvm_put(&vms[i]->base);
		}
	} while (n && !ret);
	return ret;
}
