/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Weights in memory of their own: for boards whose NPU wants it contiguous.
 * Extents are blocks of 2 MiB then, and what the file says is copied there.
 */
#ifndef __HEARTH_REGION_H__
#define __HEARTH_REGION_H__

#include <linux/atomic.h>
#include <linux/types.h>

struct device;
struct hearth_device;
struct hearth_store;
struct page;

/**
 * struct hearth_region - embedded in struct hearth_device
 */
struct hearth_region {
	/** @bytes: Its size in whole blocks, or zero: weights live in the page cache. */
	u64 bytes;

	/** @pool: Whom blocks are allocated for; nothing else is. */
	struct device *pool;

	/** @first: Physical address of what is reserved. */
	phys_addr_t first;

	/** @last: Its last byte; zero if nothing is reserved. */
	phys_addr_t last;

	/** @used: Bytes of blocks that are taken. */
	atomic64_t used;
};

/* The device tree's memory-region, or the module's parameter. */
int hearth_region_init(struct hearth_device *hdev);
u64 hearth_region_free_bytes(struct hearth_device *hdev);

/* &hearth_store_ops.take, &hearth_store_ops.place, &hearth_store_ops.give */
int hearth_region_take(struct hearth_store *store, u32 index);
int hearth_region_place(struct hearth_store *store, u32 index, struct page **pages,
			unsigned int count);
void hearth_region_give(struct hearth_store *store, u32 index);

#endif /* __HEARTH_REGION_H__ */
