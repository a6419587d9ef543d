// SPDX-License-Identifier: GPL-2.0
/*
 * A region as the home of weights. The file is read through the page cache as
 * ever, with no device in the way; then an extent is copied into a block that is
 * contiguous for the device, and the page cache may forget it. All else - states,
 * eviction, restores, changes of the file - is that of any store.
 *
 * In a device tree the region is a reusable pool (CMA), so that others have the
 * memory while we have not. A block comes from there by dma_alloc_pages(), for a
 * device that is there for this alone, and is mapped as any other pages are: the
 * CPU writes it through its cache, which is cleaned then, so the NPU needs no
 * snooping.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>

#include <drm/drm_managed.h>

#include "hearth_device.h"
#include "hearth_mmu.h"
#include "hearth_region.h"
#include "hearth_store.h"

/* As for extents of files: rather none than that others are killed for it. */
#define HEARTH_REGION_GFP	(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)

/* How often, and how far apart, a block is asked for again that has room but is not had. */
#define HEARTH_REGION_LOOKS	5
#define HEARTH_REGION_MS	20

static unsigned int weights_region_mb;
module_param(weights_region_mb, uint, 0444);
MODULE_PARM_DESC(weights_region_mb,
		 "Weights live in contiguous memory, this much, on boards that have no memory-region (default 0: in the page cache)");

static void hearth_region_free_pool(struct device *pool)
{
	kfree(pool);
}

static void hearth_region_detach(struct drm_device *drm, void *pool)
{
	of_reserved_mem_device_release(pool);
	put_device(pool);
}

/*
 * Were the region that of the device itself, its page tables and rings would come from
 * there as well, and leave no room for the last blocks.
 */
static int hearth_region_create_pool(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev, *pool;

	pool = kzalloc(sizeof(*pool), GFP_KERNEL);
	if (!pool)
		return -ENOMEM;
	device_initialize(pool);
	pool->release = hearth_region_free_pool;
	pool->coherent_dma_mask = dev->coherent_dma_mask;
	pool->dma_mask = &pool->coherent_dma_mask;
	hdev->region.pool = pool;
	return dev_set_name(pool, "%s:weights", dev_name(dev)) ?:
	       drmm_add_action_or_reset(&hdev->base, hearth_region_detach, pool);
}

static int hearth_region_attach(struct hearth_device *hdev, struct device_node *node)
{
	struct reserved_mem *rmem = of_reserved_mem_lookup(node);
	struct hearth_region *region = &hdev->region;
	struct device *dev = hdev->base.dev;
	int ret;

	if (!rmem || !of_property_read_bool(node, "reusable"))
		return dev_err_probe(dev, -EINVAL,
				     "%pOF: memory-region has to be a reusable pool\n", node);
	ret = of_reserved_mem_device_init_by_idx(region->pool, dev->of_node, 0);
	if (ret)
		return dev_err_probe(dev, ret, "%pOF: cannot use memory-region\n", node);
	region->bytes = round_down((u64)rmem->size, HEARTH_EXTENT_BYTES);
	region->first = rmem->base;
	region->last = rmem->base + rmem->size - 1;
	return 0;
}

int hearth_region_init(struct hearth_device *hdev)
{
	struct device_node *node;
	int ret;

	ret = hearth_region_create_pool(hdev);
	if (ret)
		return ret;
	node = of_parse_phandle(hdev->base.dev->of_node, "memory-region", 0);
	if (node)
		ret = hearth_region_attach(hdev, node);
	else
		hdev->region.bytes = round_down((u64)weights_region_mb * SZ_1M,
						HEARTH_EXTENT_BYTES);
	of_node_put(node);
	return ret;
}

u64 hearth_region_free_bytes(struct hearth_device *hdev)
{
	return hearth_room(hdev->region.bytes, atomic64_read(&hdev->region.used));
}

static void hearth_region_free(struct hearth_region *region, struct page *block, dma_addr_t dma)
{
	dma_free_pages(region->pool, HEARTH_EXTENT_BYTES, block, dma, DMA_TO_DEVICE);
}

/* Of what is reserved, where something is: the allocator also has other memory. */
static struct page *hearth_region_alloc(struct hearth_region *region, dma_addr_t *dma)
{
	struct page *block;

	block = dma_alloc_pages(region->pool, HEARTH_EXTENT_BYTES, dma, DMA_TO_DEVICE,
				HEARTH_REGION_GFP);
	if (block && region->last &&
	    (page_to_phys(block) < region->first || page_to_phys(block) > region->last)) {
		hearth_region_free(region, block, *dma);
		return NULL;
	}
	return block;
}

static struct page *hearth_region_try(struct hearth_region *region, dma_addr_t *dma)
{
	struct page *block = NULL;

	if (atomic64_add_return(HEARTH_EXTENT_BYTES, &region->used) <= region->bytes)
		block = hearth_region_alloc(region, dma);
	if (!block)
		atomic64_sub(HEARTH_EXTENT_BYTES, &region->used);
	return block;
}

/*
 * There is room, but what others keep there could not be moved: a page under I/O or that
 * somebody holds. That passes, mostly, and nobody's weights need to go for it.
 */
static bool hearth_region_wait(struct hearth_store *store, unsigned int look)
{
	if (look >= HEARTH_REGION_LOOKS || READ_ONCE(store->closing) ||
	    hearth_region_free_bytes(store->hdev) < HEARTH_EXTENT_BYTES)
		return false;
	msleep(HEARTH_REGION_MS);
	return true;
}

/* Others may take what was dropped for us; but not for ever. */
int hearth_region_take(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];
	unsigned int round;

	for (round = 0; round < HEARTH_CHARGE_ROUNDS; round++) {
		extent->block = hearth_region_try(&store->hdev->region, &extent->block_dma);
		if (extent->block)
			return 0;
		if (!hearth_region_wait(store, round) && !hearth_reclaim_region(store))
			break;
	}
	return -ENOMEM;
}

void hearth_region_give(struct hearth_store *store, u32 index)
{
	struct hearth_extent *extent = &store->extents[index];
	struct hearth_region *region = &store->hdev->region;

	hearth_region_free(region, extent->block, extent->block_dma);
	extent->block = NULL;
	atomic64_sub(HEARTH_EXTENT_BYTES, &region->used);
}

/*
 * Whoever writes to the file meanwhile has moved its version before, which is
 * looked at when a job begins and when it ends.
 */
static void hearth_region_copy(void *to, struct page **pages, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		memcpy_from_page(to + i * PAGE_SIZE, pages[i], 0, PAGE_SIZE);
}

int hearth_region_place(struct hearth_store *store, u32 index, struct page **pages,
			unsigned int count)
{
	struct hearth_extent *extent = &store->extents[index];
	struct device *dev = store->hdev->base.dev;
	size_t bytes = (size_t)count << PAGE_SHIFT;
	struct sg_table *sgt = &extent->sgt;
	int ret;

	ret = sg_alloc_table(sgt, 1, HEARTH_REGION_GFP);
	if (ret)
		return ret;
	hearth_region_copy(page_address(extent->block), pages, count);

	/* What is behind the end of the file belongs to somebody else: not mapped. */
	sg_set_page(sgt->sgl, extent->block, bytes, 0);
	ret = dma_map_sgtable(dev, sgt, DMA_TO_DEVICE, 0);
	if (ret)
		goto err_free;
	ret = hearth_sg_check(sgt, bytes);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	dma_unmap_sgtable(dev, sgt, DMA_TO_DEVICE, 0);
err_free:
	sg_free_table(sgt);
	return ret;
}
