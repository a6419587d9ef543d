// SPDX-License-Identifier: GPL-2.0
/*
 * Page tables: their memory. What is written in them is in hearth_mmu_walk.c.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "hw/hearth_mmu.h"

#include "hearth_mmu.h"

/* Enough for binds of some 100 MiB not to allocate, little enough to forget. */
#define HEARTH_MMU_CACHE_MAX	64

static void *hearth_mmu_dma_alloc(struct device *dev, dma_addr_t *dma)
{
	return dma_alloc_coherent(dev, SZ_4K, dma, GFP_KERNEL | __GFP_NOWARN);
}

static void hearth_mmu_dma_free(struct device *dev, void *cpu, dma_addr_t dma)
{
	dma_free_coherent(dev, SZ_4K, cpu, dma);
}

const struct hearth_mmu_mem hearth_mmu_dma_mem = {
	.alloc = hearth_mmu_dma_alloc,
	.free = hearth_mmu_dma_free,
};

static void hearth_mmu_count(struct hearth_mmu *mmu, int n)
{
	mmu->nr_tables += n;
	if (mmu->nr_total)
		atomic_add(n, mmu->nr_total);
}

static struct hearth_mmu_table *hearth_mmu_table_alloc(struct hearth_mmu *mmu, bool leaf)
{
	struct hearth_mmu_table *t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);

	if (!t)
		return NULL;
	if (!leaf) {
		t->children = kcalloc(HEARTH_MMU_ENTRIES, sizeof(*t->children),
				      GFP_KERNEL_ACCOUNT);
		if (!t->children)
			goto err_free;
	}
	t->entries = mmu->mem->alloc(mmu->dev, &t->dma);
	if (!t->entries)
		goto err_free;

	INIT_LIST_HEAD(&t->node);
	return t;

err_free:
	kfree(t->children);
	kfree(t);
	return NULL;
}

static void hearth_mmu_table_free(struct hearth_mmu *mmu, struct hearth_mmu_table *t)
{
	lockdep_assert_held(&mmu->lock);

	list_del(&t->all);
	hearth_mmu_count(mmu, -1);
	if (t->entries)
		mmu->mem->free(mmu->dev, t->entries, t->dma);
	kfree(t->children);
	kfree(t);
}

/* Adds the table to the MMU's list, unless the device has gone meanwhile. */
static int hearth_mmu_table_add(struct hearth_mmu *mmu, struct hearth_mmu_table *t)
{
	lockdep_assert_held(&mmu->lock);

	list_add_tail(&t->all, &mmu->tables);
	hearth_mmu_count(mmu, 1);
	if (!mmu->gone)
		return 0;

	hearth_mmu_table_free(mmu, t);
	return -ENODEV;
}

static struct hearth_mmu_table *hearth_mmu_table_get(struct hearth_mmu *mmu, bool leaf)
{
	struct hearth_mmu_table *t = NULL;
	int ret;

	mutex_lock(&mmu->lock);
	if (leaf && mmu->nr_cache) {
		t = list_first_entry(&mmu->cache, struct hearth_mmu_table, node);
		list_del_init(&t->node);
		mmu->nr_cache--;
	}
	mutex_unlock(&mmu->lock);
	if (t)
		return t;

	t = hearth_mmu_table_alloc(mmu, leaf);
	if (!t)
		return ERR_PTR(-ENOMEM);

	mutex_lock(&mmu->lock);
	ret = hearth_mmu_table_add(mmu, t);
	mutex_unlock(&mmu->lock);
	return ret ? ERR_PTR(ret) : t;
}

void hearth_mmu_pool_init(struct hearth_mmu_pool *pool)
{
	INIT_LIST_HEAD(&pool->dirs);
	INIT_LIST_HEAD(&pool->leaves);
	pool->nr_dirs = 0;
	pool->nr_leaves = 0;
}

/* Fills the pool up to the given numbers; what is there at an error stays. */
int hearth_mmu_pool_fill(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool,
			 unsigned int nr_dirs, unsigned int nr_leaves)
{
	struct hearth_mmu_table *t;

	while (pool->nr_dirs < nr_dirs) {
		t = hearth_mmu_table_get(mmu, false);
		if (IS_ERR(t))
			return PTR_ERR(t);
		list_add(&t->node, &pool->dirs);
		pool->nr_dirs++;
	}
	while (pool->nr_leaves < nr_leaves) {
		t = hearth_mmu_table_get(mmu, true);
		if (IS_ERR(t))
			return PTR_ERR(t);
		list_add(&t->node, &pool->leaves);
		pool->nr_leaves++;
	}
	return 0;
}

/* Takes a table, or NULL if whoever filled the pool counted wrong. */
struct hearth_mmu_table *hearth_mmu_pool_take(struct hearth_mmu_pool *pool, bool leaf)
{
	struct list_head *list = leaf ? &pool->leaves : &pool->dirs;
	struct hearth_mmu_table *t;

	t = list_first_entry_or_null(list, struct hearth_mmu_table, node);
	if (!t)
		return NULL;

	list_del_init(&t->node);
	if (leaf)
		pool->nr_leaves--;
	else
		pool->nr_dirs--;
	return t;
}

/* Gives back what an operation did not use, and what it cut off. */
void hearth_mmu_pool_fini(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool)
{
	struct hearth_mmu_table *t, *next;

	mutex_lock(&mmu->lock);
	list_for_each_entry_safe(t, next, &pool->leaves, node) {
		list_del_init(&t->node);
		if (mmu->nr_cache < HEARTH_MMU_CACHE_MAX && t->entries) {
			list_add(&t->node, &mmu->cache);
			mmu->nr_cache++;
		} else {
			hearth_mmu_table_free(mmu, t);
		}
	}
	list_for_each_entry_safe(t, next, &pool->dirs, node)
		hearth_mmu_table_free(mmu, t);
	mutex_unlock(&mmu->lock);
	hearth_mmu_pool_init(pool);
}

int hearth_mmu_init(struct hearth_mmu *mmu)
{
	INIT_LIST_HEAD(&mmu->stale);
	INIT_LIST_HEAD(&mmu->tables);
	INIT_LIST_HEAD(&mmu->cache);
	mutex_init(&mmu->lock);
	mmu->stale_start = U64_MAX;

	mmu->root = hearth_mmu_table_get(mmu, false);
	if (IS_ERR(mmu->root)) {
		mutex_destroy(&mmu->lock);
		return PTR_ERR(mmu->root);
	}
	return 0;
}

/* Frees all tables. The device must not walk them any more. */
void hearth_mmu_fini(struct hearth_mmu *mmu)
{
	struct hearth_mmu_table *t, *next;

	mutex_lock(&mmu->lock);
	list_for_each_entry_safe(t, next, &mmu->tables, all)
		hearth_mmu_table_free(mmu, t);
	mutex_unlock(&mmu->lock);
	mutex_destroy(&mmu->lock);
}

/*
 * The device is gone: gives back memory that belongs to it, while there is
 * still a struct device with an IOMMU to unmap from. The tables' shells stay
 * until whoever holds them lets go.
 */
void hearth_mmu_unplug(struct hearth_mmu *mmu)
{
	struct hearth_mmu_table *t;

	mutex_lock(&mmu->lock);
	mmu->gone = true;
	list_for_each_entry(t, &mmu->tables, all) {
		if (t->entries)
			mmu->mem->free(mmu->dev, t->entries, t->dma);
		t->entries = NULL;
	}
	mutex_unlock(&mmu->lock);
}

/* Notes that the device may hold translations of the range. */
void hearth_mmu_add_stale(struct hearth_mmu *mmu, u64 start, u64 end)
{
	mmu->stale_start = min(mmu->stale_start, start);
	mmu->stale_end = max(mmu->stale_end, end);
}

/* Is there anything to flush, and where? */
bool hearth_mmu_stale(const struct hearth_mmu *mmu, u64 *va, u64 *size)
{
	if (mmu->stale_end <= mmu->stale_start)
		return false;

	*va = mmu->stale_start;
	*size = mmu->stale_end - mmu->stale_start;
	return true;
}

/* The range was flushed: tables that were cut off may be used again. */
void hearth_mmu_flushed(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool)
{
	struct hearth_mmu_table *t, *next;

	mmu->stale_start = U64_MAX;
	mmu->stale_end = 0;
	list_for_each_entry_safe(t, next, &mmu->stale, node) {
		if (t->children) {
			list_move(&t->node, &pool->dirs);
			pool->nr_dirs++;
		} else {
			list_move(&t->node, &pool->leaves);
			pool->nr_leaves++;
		}
	}
}
