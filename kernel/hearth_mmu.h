/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The NPU's own MMU: one set of page tables per address space.
 *
 * Tables are allocated by the prepare operations, in process context and for
 * the worst case, so that map and unmap can run where fences are signalled:
 * they allocate nothing and cannot run out.
 */
#ifndef __HEARTH_MMU_H__
#define __HEARTH_MMU_H__

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

struct device;
struct hearth_mmu;

/**
 * struct hearth_sg_cursor - position in the device's view of a buffer
 */
struct hearth_sg_cursor {
	/** @sg: Segment. */
	struct scatterlist *sg;

	/** @skip: Bytes of it that are behind us. */
	u64 skip;
};

/**
 * struct hearth_mmu_table - one table and the CPU's knowledge of it
 */
struct hearth_mmu_table {
	/** @entries: What the device reads; NULL once the device is gone. */
	__le64 *entries;

	/** @dma: Bus address of @entries. */
	dma_addr_t dma;

	/** @children: Tables of the next level by index; NULL in level 3. */
	struct hearth_mmu_table **children;

	/** @used: Valid entries. */
	u32 used;

	/** @node: Entry in a list of free tables. */
	struct list_head node;

	/** @all: Entry in hearth_mmu.tables. */
	struct list_head all;
};

/**
 * struct hearth_mmu_pool - tables that one operation may use
 */
struct hearth_mmu_pool {
	/** @dirs: Tables of level 2. */
	struct list_head dirs;

	/** @leaves: Tables of level 3. */
	struct list_head leaves;

	/** @nr_dirs: Entries of @dirs. */
	unsigned int nr_dirs;

	/** @nr_leaves: Entries of @leaves. */
	unsigned int nr_leaves;
};

/**
 * struct hearth_mmu_mem - where tables come from; tests bring their own
 */
struct hearth_mmu_mem {
	/** @alloc: A zeroed page that the device sees at @dma; may sleep. */
	void *(*alloc)(struct device *dev, dma_addr_t *dma);

	/** @free: Gives it back. */
	void (*free)(struct device *dev, void *cpu, dma_addr_t dma);
};

extern const struct hearth_mmu_mem hearth_mmu_dma_mem;

/**
 * struct hearth_mmu_ops - one format of page tables
 */
struct hearth_mmu_ops {
	/** @prepare_map: Fill @pool for any map of @size bytes at @va from @cur. */
	int (*prepare_map)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			   u64 size, struct hearth_sg_cursor cur);

	/** @prepare_unmap: Fill @pool for any unmap of @size bytes at @va. */
	int (*prepare_unmap)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			     u64 size);

	/** @map: Map an empty range. No flush is needed. */
	int (*map)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 size,
		   struct hearth_sg_cursor cur, bool readonly);

	/**
	 * @unmap: Unmap a range, holes are fine. Adds to the range that must
	 * be flushed, see hearth_mmu_stale().
	 */
	int (*unmap)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 size);

	/** @prepare_hold: Fill @pool for any hold of @size bytes at @va. */
	int (*prepare_hold)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			    u64 size);

	/**
	 * @hold: Keep an empty range of whole extents for entries that @set
	 * writes. @unmap ends it, in whole extents.
	 */
	int (*hold)(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 size);

	/**
	 * @set: Write the entry of one held extent: a block, a leaf of which
	 * the caller takes care, or zero. What was there must be flushed.
	 */
	int (*set)(struct hearth_mmu *mmu, u64 va, u64 entry);
};

extern const struct hearth_mmu_ops hearth_mmu_walker_ops;

/**
 * struct hearth_mmu - page tables of an address space
 */
struct hearth_mmu {
	/** @ops: Format. */
	const struct hearth_mmu_ops *ops;

	/** @mem: Allocator. */
	const struct hearth_mmu_mem *mem;

	/** @dev: Device that reads the tables. */
	struct device *dev;

	/** @nr_total: Count of tables of the device, or NULL. */
	atomic_t *nr_total;

	/** @page_sizes: Bit n is set if blocks of 1 << n bytes are mapped. */
	u64 page_sizes;

	/** @root: Level 1. All entries are protected by hearth_vm.op_lock. */
	struct hearth_mmu_table *root;

	/** @stale_start: First address to flush; hearth_vm.op_lock. */
	u64 stale_start;

	/** @stale_end: End of the range to flush; same lock. */
	u64 stale_end;

	/** @stale: Tables cut off, in use by the device until flushed; same lock. */
	struct list_head stale;

	/**
	 * @lock: Protects @tables, @cache, @nr_tables, @nr_cache, @gone. Never
	 * taken where fences are signalled; @gone is set with op_lock held too.
	 */
	struct mutex lock;

	/** @tables: Every table. */
	struct list_head tables;

	/** @cache: Empty tables of level 3 for the next operations. */
	struct list_head cache;

	/** @nr_tables: Entries of @tables. */
	unsigned int nr_tables;

	/** @nr_cache: Entries of @cache. */
	unsigned int nr_cache;

	/** @gone: The device is gone and so is the memory of the tables. */
	bool gone;
};

void hearth_sg_cursor_init(struct hearth_sg_cursor *cur, struct sg_table *sgt, u64 offset);
u64 hearth_sg_peek(const struct hearth_sg_cursor *cur, u64 max, dma_addr_t *dma);
void hearth_sg_advance(struct hearth_sg_cursor *cur, u64 bytes);
int hearth_sg_check(struct sg_table *sgt, u64 size);

int hearth_mmu_init(struct hearth_mmu *mmu);
void hearth_mmu_fini(struct hearth_mmu *mmu);
void hearth_mmu_unplug(struct hearth_mmu *mmu);

void hearth_mmu_pool_init(struct hearth_mmu_pool *pool);
void hearth_mmu_pool_fini(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool);

/* For the formats. */
int hearth_mmu_pool_fill(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool,
			 unsigned int nr_dirs, unsigned int nr_leaves);
struct hearth_mmu_table *hearth_mmu_pool_take(struct hearth_mmu_pool *pool, bool leaf);
void hearth_mmu_add_stale(struct hearth_mmu *mmu, u64 start, u64 end);

/*
 * Fills a leaf that no device walks with @bytes from @sgt, unless one block maps
 * them. Returns the entry that leads there, for hearth_mmu_ops.set, or zero if
 * it takes a leaf and @leaf is NULL.
 */
u64 hearth_mmu_fill_extent(u64 page_sizes, __le64 *leaf, dma_addr_t leaf_dma,
			   struct sg_table *sgt, u64 bytes, bool readonly);

bool hearth_mmu_stale(const struct hearth_mmu *mmu, u64 *va, u64 *size);
void hearth_mmu_flushed(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool);

#endif /* __HEARTH_MMU_H__ */
