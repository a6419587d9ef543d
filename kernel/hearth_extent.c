// SPDX-License-Identifier: GPL-2.0
/*
 * One extent: its pages, the device's view of them, its page table. The table
 * is written while no address space leads to it.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_mmu.h"
#include "hearth_store.h"

/* Rather none than that others are killed for it: a restore may fail. */
#define HEARTH_EXTENT_GFP	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

static void hearth_pages_put(struct page **pages, unsigned int count)
{
	while (count--)
		put_page(pages[count]);
}

static int hearth_extent_map_dma(struct hearth_store *store, struct hearth_extent *extent,
				 struct page **pages, unsigned int count)
{
	struct device *dev = store->hdev->base.dev;
	size_t segment = min_t(size_t, dma_max_mapping_size(dev), HEARTH_EXTENT_BYTES);
	int ret;

	ret = sg_alloc_table_from_pages_segment(&extent->sgt, pages, count, 0,
						(unsigned long)count << PAGE_SHIFT, segment,
						HEARTH_EXTENT_GFP);
	if (ret)
		return ret;
	ret = dma_map_sgtable(dev, &extent->sgt, store->ops->dir, 0);
	if (ret)
		goto err_free;
	ret = hearth_sg_check(&extent->sgt, (u64)count << PAGE_SHIFT);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	dma_unmap_sgtable(dev, &extent->sgt, store->ops->dir, 0);
err_free:
	sg_free_table(&extent->sgt);
	return ret;
}

static int hearth_extent_place(struct hearth_store *store, u32 index, struct page **pages,
			       unsigned int count)
{
	if (store->ops->place)
		return store->ops->place(store, index, pages, count);
	return hearth_extent_map_dma(store, &store->extents[index], pages, count);
}

static void hearth_extent_displace(struct hearth_store *store, u32 index)
{
	struct sg_table *sgt = &store->extents[index].sgt;

	dma_unmap_sgtable(store->hdev->base.dev, sgt, store->ops->dir, 0);
	sg_free_table(sgt);
}

static int hearth_extent_fill(struct hearth_store *store, struct hearth_extent *extent,
			      u64 bytes, u64 *entry)
{
	struct hearth_device *hdev = store->hdev;
	bool readonly = store->ops->dir == DMA_TO_DEVICE;

	*entry = hearth_mmu_fill_extent(hdev->caps.page_sizes, extent->leaf, extent->leaf_dma,
					&extent->sgt, bytes, readonly);
	if (*entry || extent->leaf)
		return *entry ? 0 : -EINVAL;

	extent->leaf = hearth_mmu_dma_mem.alloc(hdev->base.dev, &extent->leaf_dma);
	if (!extent->leaf)
		return -ENOMEM;
	atomic_inc(&hdev->mm.nr_tables);
	atomic_inc(&hdev->mm.nr_leaves);
	*entry = hearth_mmu_fill_extent(hdev->caps.page_sizes, extent->leaf, extent->leaf_dma,
					&extent->sgt, bytes, readonly);
	return *entry ? 0 : -EINVAL;
}

/*
 * It is resident when all address spaces have it, not before: else a submit
 * would take it for theirs.
 */
static void hearth_extent_publish(struct hearth_store *store, u32 index, u64 entry)
{
	mutex_lock(&store->vms_lock);
	spin_lock(&store->lock);
	store->extents[index].entry = entry;
	spin_unlock(&store->lock);

	hearth_map_sync(store, &index, 1, false);

	spin_lock(&store->lock);
	hearth_extent_set_resident_locked(store, index);
	spin_unlock(&store->lock);
	mutex_unlock(&store->vms_lock);
}

static int hearth_extent_map(struct hearth_store *store, u32 index, struct page **pages,
			     unsigned int count)
{
	u64 entry;
	int ret;

	ret = hearth_extent_place(store, index, pages, count);
	if (ret)
		return ret;

	ret = hearth_extent_fill(store, &store->extents[index], (u64)count << PAGE_SHIFT,
				 &entry);
	if (ret) {
		hearth_extent_displace(store, index);
		return ret;
	}

	atomic_inc(&store->hdev->mm.nr_extents);
	hearth_extent_publish(store, index, entry);
	return 0;
}

/* Makes a RESTORING extent resident. */
int hearth_extent_load(struct hearth_store *store, u32 index, struct page **pages,
		       struct file_ra_state *ra)
{
	unsigned int count = hearth_extent_bytes(store, index) >> PAGE_SHIFT;
	int ret, idx;

	ret = hearth_dmem_charge_extent(store, index) ?:
	      hearth_store_charge(store->hdev, store, (u64)count << PAGE_SHIFT);
	if (ret)
		return ret;
	if (store->ops->take) {
		ret = store->ops->take(store, index);
		if (ret)
			goto err_uncharge;
	}
	ret = store->ops->read(store, index, pages, count, ra);
	if (ret) {
		ret = hearth_store_check_stale(store) ? -ESTALE : ret;
		goto err_give;
	}

	/* What was read before the change and what was read after it do not mix. */
	if (hearth_store_check_stale(store)) {
		ret = -ESTALE;
		goto err_put;
	}
	if (!drm_dev_enter(&store->hdev->base, &idx)) {
		ret = -ENODEV;
		goto err_put;
	}
	ret = hearth_extent_map(store, index, pages, count);
	drm_dev_exit(idx);
	if (ret)
		goto err_put;

	if (store->ops->place) {
		/* There is a copy: one is enough. */
		hearth_pages_put(pages, count);
		store->ops->forget(store, index);
	}
	return 0;

err_put:
	hearth_pages_put(pages, count);
err_give:
	if (store->ops->give)
		store->ops->give(store, index);
err_uncharge:
	hearth_budget_uncharge(store->hdev, &store->keep.charge, (u64)count << PAGE_SHIFT);
	return ret;
}

static void hearth_extent_release_pages(struct hearth_store *store, u32 index)
{
	struct sg_table *sgt = &store->extents[index].sgt;
	struct sg_page_iter iter;

	dma_unmap_sgtable(store->hdev->base.dev, sgt, store->ops->dir, 0);
	for_each_sgtable_page(sgt, &iter, 0) {
		/* Else it would be taken for what the swap has already. */
		if (store->ops->dir != DMA_TO_DEVICE)
			set_page_dirty(sg_page_iter_page(&iter));
		put_page(sg_page_iter_page(&iter));
	}
	sg_free_table(sgt);
}

/* Lets go of the pages of an EVICTING extent, which no address space has. */
void hearth_extent_unload(struct hearth_store *store, u32 index)
{
	struct hearth_mm *mm = &store->hdev->mm;

	if (store->ops->give) {
		hearth_extent_displace(store, index);
		store->ops->give(store, index);
	} else {
		hearth_extent_release_pages(store, index);
	}
	hearth_budget_uncharge(store->hdev, &store->keep.charge,
			       hearth_extent_bytes(store, index));

	if (atomic_dec_and_test(&mm->nr_extents))
		wake_up_all(&mm->bo_gone);
}

/* At the end of the store, or of the device. */
void hearth_extent_free_leaf(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];
	struct hearth_mm *mm = &store->hdev->mm;

	if (!extent->leaf)
		return;
	hearth_mmu_dma_mem.free(store->hdev->base.dev, extent->leaf, extent->leaf_dma);
	extent->leaf = NULL;
	atomic_dec(&mm->nr_tables);
	if (atomic_dec_and_test(&mm->nr_leaves))
		wake_up_all(&mm->bo_gone);
}
