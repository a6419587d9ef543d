// SPDX-License-Identifier: GPL-2.0
/*
 * A region as the home of weights. The file is read through the page cache as
 * ever, with no device in the way; then an extent is copied into a block that is
 * contiguous for the device, and the page cache may forget it. All else - states,
 * eviction, restores, changes of the file - is that of any store.
 *
 * In a device tree the region is a reusable pool (CMA), so that others have the
 * memory while we have not. A block comes from there by dma_alloc_pages(): the
 * CPU writes it through its cache, which is cleaned for the device then, so the
 * device needs no snooping.
 */
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

static unsigned int weights_region_mb;
module_param(weights_region_mb, uint, 0444);
MODULE_PARM_DESC(weights_region_mb,
		 "Weights live in contiguous memory, this much, on boards that have no memory-region (default 0: in the page cache)");

static void hearth_region_detach(struct drm_device *drm, void *unused)
{
	of_reserved_mem_device_release(drm->dev);
}

/* Tables of address spaces come from there too: so it is the last thing to go. */
static int hearth_region_attach(struct hearth_device *hdev, struct device_node *node)
{
	struct reserved_mem *rmem = of_reserved_mem_lookup(node);
	struct device *dev = hdev->base.dev;
	int ret;

	if (!rmem || !of_property_read_bool(node, "reusable"))
		return dev_err_probe(dev, -EINVAL,
				     "%pOF: memory-region has to be a reusable pool\n", node);
	ret = of_reserved_mem_device_init(dev);
	if (ret)
		return dev_err_probe(dev, ret, "%pOF: cannot use memory-region\n", node);
	hdev->region.bytes = round_down((u64)rmem->size, HEARTH_EXTENT_BYTES);
	return drmm_add_action_or_reset(&hdev->base, hearth_region_detach, NULL);
}

int hearth_region_init(struct hearth_device *hdev)
{
	struct device_node *node;
	int ret = 0;

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

static struct page *hearth_region_try(struct hearth_device *hdev, dma_addr_t *dma)
{
	struct hearth_region *region = &hdev->region;
	struct page *block = NULL;

	if (atomic64_add_return(HEARTH_EXTENT_BYTES, &region->used) <= region->bytes)
		block = dma_alloc_pages(hdev->base.dev, HEARTH_EXTENT_BYTES, dma,
					DMA_TO_DEVICE, HEARTH_REGION_GFP);
	if (!block)
		atomic64_sub(HEARTH_EXTENT_BYTES, &region->used);
	return block;
}

/* Others may take what was dropped for us; but not for ever. */
static struct page *hearth_region_take(struct hearth_store *store, dma_addr_t *dma)
{
	struct page *block;
	unsigned int round;

	for (round = 0; round < HEARTH_CHARGE_ROUNDS; round++) {
		block = hearth_region_try(store->hdev, dma);
		if (block || !hearth_reclaim_region(store))
			return block;
	}
	return NULL;
}

static void hearth_region_put(struct hearth_device *hdev, struct page *block, dma_addr_t dma)
{
	dma_free_pages(hdev->base.dev, HEARTH_EXTENT_BYTES, block, dma, DMA_TO_DEVICE);
	atomic64_sub(HEARTH_EXTENT_BYTES, &hdev->region.used);
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
	struct sg_table *sgt = &store->extents[index].sgt;
	struct hearth_device *hdev = store->hdev;
	size_t bytes = (size_t)count << PAGE_SHIFT;
	struct page *block;
	dma_addr_t dma;
	int ret;

	ret = sg_alloc_table(sgt, 1, HEARTH_REGION_GFP);
	if (ret)
		return ret;
	block = hearth_region_take(store, &dma);
	if (!block) {
		ret = -ENOMEM;
		goto err_free;
	}

	hearth_region_copy(page_address(block), pages, count);
	dma_sync_single_for_device(hdev->base.dev, dma, bytes, DMA_TO_DEVICE);

	/* What is behind the end of the file belongs to somebody else: not mapped. */
	sg_set_page(sgt->sgl, block, bytes, 0);
	sg_dma_address(sgt->sgl) = dma;
	sg_dma_len(sgt->sgl) = bytes;
	ret = hearth_sg_check(sgt, bytes);
	if (ret)
		goto err_put;
	return 0;

err_put:
	hearth_region_put(hdev, block, dma);
err_free:
	sg_free_table(sgt);
	return ret;
}

void hearth_region_release(struct hearth_store *store, u32 index)
{
	struct sg_table *sgt = &store->extents[index].sgt;

	hearth_region_put(store->hdev, sg_page(sgt->sgl), sg_dma_address(sgt->sgl));
	sg_free_table(sgt);
}
