// SPDX-License-Identifier: GPL-2.0
/*
 * The tables of the device contract (hw/hearth_mmu.h): level 1 is the root,
 * level 2 holds directories ("dir") of 1 GiB each, level 3 leaves of 2 MiB.
 *
 * The device walks the tables while they change. What keeps it safe:
 *
 * - An entry is written in one piece, a table before the entry that leads to
 *   it. A new map needs no flush, the device keeps nothing that was invalid.
 * - What is cut off is noted as stale: neither its pages nor its tables are
 *   used again before the device has answered a flush of that range.
 * - A block that loses a part is replaced by a table that maps the rest as
 *   before, in one write, and a contiguous run loses its mark while it is
 *   valid. The rest stays valid all the time: jobs that use it are running.
 *
 * An extent of a store is one entry of level 2. Several address spaces lead to
 * the same leaf there, so that belongs to none of them: it is only cut off, and
 * its entries are written while no device can find it.
 */
#include <linux/align.h>
#include <linux/bug.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <asm/barrier.h>

#include "hw/hearth_mmu.h"

#include "hearth_mmu.h"

#define DIR_BYTES	BIT_ULL(HEARTH_MMU_L1_SHIFT)
#define REGION_BYTES	BIT_ULL(HEARTH_MMU_BLOCK_SHIFT)
#define RUN_BYTES	BIT_ULL(HEARTH_MMU_CONT_SHIFT)
#define PAGE_BYTES	BIT_ULL(HEARTH_MMU_PAGE_SHIFT)

/* In hearth_mmu_table.children: the entry is that of an extent, valid or not. */
#define HELD		((struct hearth_mmu_table *)ERR_PTR(-EBUSY))

static unsigned int dir_index(u64 va)
{
	return (va >> HEARTH_MMU_L1_SHIFT) & (HEARTH_MMU_ENTRIES - 1);
}

static unsigned int leaf_index(u64 va)
{
	return (va >> HEARTH_MMU_BLOCK_SHIFT) & (HEARTH_MMU_ENTRIES - 1);
}

static unsigned int page_index(u64 va)
{
	return (va >> HEARTH_MMU_PAGE_SHIFT) & (HEARTH_MMU_ENTRIES - 1);
}

static u64 entry_read(const struct hearth_mmu_table *t, unsigned int i)
{
	return le64_to_cpu(READ_ONCE(t->entries[i]));
}

static void entry_write(struct hearth_mmu_table *t, unsigned int i, u64 pte)
{
	WRITE_ONCE(t->entries[i], cpu_to_le64(pte));
}

/* Bytes up to the next boundary of @step, at most @size. */
static u64 step_bytes(u64 va, u64 size, u64 step)
{
	return min(size, step - (va & (step - 1)));
}

/* Puts a table, or in its place the block that it splits, under @parent. */
static void table_link(struct hearth_mmu_table *parent, unsigned int i,
		       struct hearth_mmu_table *t)
{
	/* The device must not find the table before its entries. */
	dma_wmb();
	entry_write(parent, i, t->dma | HEARTH_PTE_VALID | HEARTH_PTE_TABLE);
	parent->children[i] = t;
}

static void table_cut(struct hearth_mmu *mmu, struct hearth_mmu_table *parent,
		      unsigned int i)
{
	list_add(&parent->children[i]->node, &mmu->stale);
	entry_write(parent, i, 0);
	parent->children[i] = NULL;
	parent->used--;
}

static struct hearth_mmu_table *table_get(struct hearth_mmu_pool *pool,
					  struct hearth_mmu_table *parent, unsigned int i,
					  bool leaf)
{
	struct hearth_mmu_table *t = parent->children[i];

	if (WARN_ON_ONCE(t == HELD))
		return NULL;
	if (t)
		return t;

	t = hearth_mmu_pool_take(pool, leaf);
	if (WARN_ON_ONCE(!t))
		return NULL;

	table_link(parent, i, t);
	parent->used++;
	return t;
}

/* Is this the start of @bytes that one block can map? */
static bool is_block(u64 page_sizes, u64 bytes, const struct hearth_sg_cursor *cur,
		     dma_addr_t *dma)
{
	return bytes == REGION_BYTES && (page_sizes & REGION_BYTES) &&
	       hearth_sg_peek(cur, REGION_BYTES, dma) == REGION_BYTES &&
	       IS_ALIGNED(*dma, REGION_BYTES);
}

static bool is_cont(u64 page_sizes, u64 va, u64 bytes, dma_addr_t dma)
{
	return bytes >= RUN_BYTES && (page_sizes & RUN_BYTES) &&
	       IS_ALIGNED(va | dma, RUN_BYTES);
}

/* Maps what is contiguous for the device, within one leaf. */
static void leaf_fill(u64 page_sizes, struct hearth_mmu_table *leaf, u64 va, u64 bytes,
		      dma_addr_t dma, u64 attrs)
{
	while (bytes) {
		bool cont = is_cont(page_sizes, va, bytes, dma);
		u64 pte = attrs | HEARTH_PTE_PAGE | (cont ? HEARTH_PTE_CONT : 0);
		u64 end = va + (cont ? RUN_BYTES : PAGE_BYTES);

		for (; va < end; va += PAGE_BYTES) {
			entry_write(leaf, page_index(va), dma | pte);
			leaf->used++;
			dma += PAGE_BYTES;
			bytes -= PAGE_BYTES;
		}
	}
}

static int map_pages(u64 page_sizes, struct hearth_mmu_table *leaf, u64 va, u64 bytes,
		     struct hearth_sg_cursor cur, u64 attrs)
{
	while (bytes) {
		dma_addr_t dma;
		u64 run = hearth_sg_peek(&cur, bytes, &dma);

		if (WARN_ON_ONCE(!run))
			return -EINVAL;

		leaf_fill(page_sizes, leaf, va, run, dma, attrs);
		hearth_sg_advance(&cur, run);
		va += run;
		bytes -= run;
	}
	return 0;
}

/* Maps @bytes that one entry of level 2 is responsible for. */
static int map_region(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 bytes,
		      const struct hearth_sg_cursor *cur, u64 attrs)
{
	struct hearth_mmu_table *dir, *leaf;
	dma_addr_t dma;

	dir = table_get(pool, mmu->root, dir_index(va), false);
	if (!dir)
		return -ENOMEM;

	if (is_block(mmu->page_sizes, bytes, cur, &dma)) {
		if (WARN_ON_ONCE(entry_read(dir, leaf_index(va)) || dir->children[leaf_index(va)]))
			return -EEXIST;
		entry_write(dir, leaf_index(va), dma | attrs);
		dir->used++;
		return 0;
	}

	leaf = table_get(pool, dir, leaf_index(va), true);
	if (!leaf)
		return -ENOMEM;

	return map_pages(mmu->page_sizes, leaf, va, bytes, *cur, attrs);
}

static int walker_map(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 size,
		      struct hearth_sg_cursor cur, bool readonly)
{
	u64 attrs = HEARTH_PTE_VALID | HEARTH_PTE_AF | (readonly ? HEARTH_PTE_RO : 0);
	int ret = 0;

	if (mmu->gone)
		return -ENODEV;

	while (size && !ret) {
		u64 bytes = step_bytes(va, size, REGION_BYTES);

		ret = map_region(mmu, pool, va, bytes, &cur, attrs);
		hearth_sg_advance(&cur, bytes);
		va += bytes;
		size -= bytes;
	}

	/* Before whatever tells the device to use the range. */
	dma_wmb();
	return ret;
}

/* Replaces a block by a table that maps it without [va, va + bytes). */
static int block_split(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool,
		       struct hearth_mmu_table *dir, u64 va, u64 bytes)
{
	u64 start = ALIGN_DOWN(va, REGION_BYTES), end = start + REGION_BYTES;
	u64 pte = entry_read(dir, leaf_index(va));
	dma_addr_t dma = pte & HEARTH_PTE_ADDR;
	u64 attrs = pte & ~HEARTH_PTE_ADDR;
	struct hearth_mmu_table *leaf;

	leaf = hearth_mmu_pool_take(pool, true);
	if (WARN_ON_ONCE(!leaf))
		return -ENOMEM;

	leaf_fill(mmu->page_sizes, leaf, start, va - start, dma, attrs);
	leaf_fill(mmu->page_sizes, leaf, va + bytes, end - va - bytes,
		  dma + (va + bytes - start), attrs);
	table_link(dir, leaf_index(va), leaf);
	hearth_mmu_add_stale(mmu, start, end);
	return 0;
}

/* If @va cuts a contiguous run in two, takes the mark off its pages. */
static void cont_break(struct hearth_mmu *mmu, struct hearth_mmu_table *leaf, u64 va)
{
	u64 start = ALIGN_DOWN(va, RUN_BYTES), p;

	if (va == start || !(entry_read(leaf, page_index(va)) & HEARTH_PTE_CONT))
		return;

	for (p = start; p < start + RUN_BYTES; p += PAGE_BYTES) {
		unsigned int i = page_index(p);

		entry_write(leaf, i, entry_read(leaf, i) & ~HEARTH_PTE_CONT);
	}
	hearth_mmu_add_stale(mmu, start, start + RUN_BYTES);
}

static void unmap_pages(struct hearth_mmu *mmu, struct hearth_mmu_table *leaf, u64 va,
			u64 bytes)
{
	u64 end = va + bytes;

	cont_break(mmu, leaf, va);
	if (!IS_ALIGNED(end, REGION_BYTES))
		cont_break(mmu, leaf, end);

	for (; va < end; va += PAGE_BYTES) {
		if (!entry_read(leaf, page_index(va)))
			continue;
		entry_write(leaf, page_index(va), 0);
		leaf->used--;
		hearth_mmu_add_stale(mmu, va, va + PAGE_BYTES);
	}
}

static void held_write(struct hearth_mmu *mmu, struct hearth_mmu_table *dir, u64 va, u64 entry)
{
	unsigned int i = leaf_index(va);
	u64 old = entry_read(dir, i);

	if (old == entry)
		return;
	entry_write(dir, i, entry);
	if (old)
		hearth_mmu_add_stale(mmu, va, va + REGION_BYTES);
}

static int held_unmap(struct hearth_mmu *mmu, struct hearth_mmu_table *dir, u64 va, u64 bytes)
{
	/* Binds that would cut an extent are refused. */
	if (WARN_ON_ONCE(bytes != REGION_BYTES))
		return -EINVAL;

	held_write(mmu, dir, va, 0);
	dir->children[leaf_index(va)] = NULL;
	dir->used--;
	return 0;
}

/* Unmaps @bytes that one entry of level 2 is responsible for. */
static int unmap_region(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool,
			struct hearth_mmu_table *dir, u64 va, u64 bytes)
{
	unsigned int i = leaf_index(va);
	struct hearth_mmu_table *leaf = dir->children[i];

	if (leaf == HELD)
		return held_unmap(mmu, dir, va, bytes);

	if (leaf) {
		unmap_pages(mmu, leaf, va, bytes);
		if (!leaf->used)
			table_cut(mmu, dir, i);
		return 0;
	}

	if (!entry_read(dir, i))
		return 0;

	if (bytes < REGION_BYTES)
		return block_split(mmu, pool, dir, va, bytes);

	entry_write(dir, i, 0);
	dir->used--;
	hearth_mmu_add_stale(mmu, va, va + REGION_BYTES);
	return 0;
}

/* Unmaps @bytes that one entry of level 1 is responsible for. */
static int unmap_dir(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 bytes)
{
	unsigned int i = dir_index(va);
	struct hearth_mmu_table *dir = mmu->root->children[i];
	u64 start = va;
	int ret = 0;

	while (dir && bytes && !ret) {
		u64 n = step_bytes(va, bytes, REGION_BYTES);

		ret = unmap_region(mmu, pool, dir, va, n);
		va += n;
		bytes -= n;
	}
	if (dir && !dir->used) {
		/* Extents that were not resident left nothing else to flush. */
		hearth_mmu_add_stale(mmu, start, start + PAGE_BYTES);
		table_cut(mmu, mmu->root, i);
	}
	return ret;
}

static int walker_unmap(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			u64 size)
{
	int ret = 0;

	if (mmu->gone)
		return -ENODEV;

	while (size && !ret) {
		u64 bytes = step_bytes(va, size, DIR_BYTES);

		ret = unmap_dir(mmu, pool, va, bytes);
		va += bytes;
		size -= bytes;
	}

	/* Before the flush is asked for. */
	dma_wmb();
	return ret;
}

/*
 * A leaf for each 2 MiB that no block maps; that of a region which is only
 * partly in the range serves also if a block is split there. What is mapped
 * there now does not matter: it may have changed when the map is done.
 */
static int walker_prepare_map(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			      u64 size, struct hearth_sg_cursor cur)
{
	unsigned int leaves = 0;
	unsigned int dirs = ((va + size - 1) >> HEARTH_MMU_L1_SHIFT) -
			    (va >> HEARTH_MMU_L1_SHIFT) + 1;

	while (size) {
		u64 bytes = step_bytes(va, size, REGION_BYTES);
		dma_addr_t dma;

		if (!is_block(mmu->page_sizes, bytes, &cur, &dma))
			leaves++;
		hearth_sg_advance(&cur, bytes);
		va += bytes;
		size -= bytes;
	}

	return hearth_mmu_pool_fill(mmu, pool, dirs, leaves);
}

static int walker_prepare_hold(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
			       u64 size)
{
	unsigned int dirs = ((va + size - 1) >> HEARTH_MMU_L1_SHIFT) -
			    (va >> HEARTH_MMU_L1_SHIFT) + 1;

	return hearth_mmu_pool_fill(mmu, pool, dirs, 0);
}

static int walker_hold(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va, u64 size)
{
	u64 end = va + size;

	if (mmu->gone)
		return -ENODEV;
	if (WARN_ON_ONCE(!IS_ALIGNED(va | size, REGION_BYTES)))
		return -EINVAL;

	for (; va < end; va += REGION_BYTES) {
		struct hearth_mmu_table *dir = table_get(pool, mmu->root, dir_index(va), false);
		unsigned int i = leaf_index(va);

		if (!dir)
			return -ENOMEM;
		if (WARN_ON_ONCE(dir->children[i] || entry_read(dir, i)))
			return -EEXIST;
		dir->children[i] = HELD;
		dir->used++;
	}
	return 0;
}

static int walker_set(struct hearth_mmu *mmu, u64 va, u64 entry)
{
	struct hearth_mmu_table *dir;

	if (mmu->gone)
		return -ENODEV;

	dir = mmu->root->children[dir_index(va)];
	if (WARN_ON_ONCE(!dir || dir->children[leaf_index(va)] != HELD))
		return -EINVAL;

	/* The device must not find a leaf before its entries. */
	dma_wmb();
	held_write(mmu, dir, va, entry);
	return 0;
}

u64 hearth_mmu_fill_extent(u64 page_sizes, __le64 *leaf, dma_addr_t leaf_dma,
			   struct sg_table *sgt, u64 bytes, bool readonly)
{
	u64 attrs = HEARTH_PTE_VALID | HEARTH_PTE_AF | (readonly ? HEARTH_PTE_RO : 0);
	struct hearth_mmu_table table = { .entries = leaf, .dma = leaf_dma };
	struct hearth_sg_cursor cur;
	dma_addr_t dma;

	hearth_sg_cursor_init(&cur, sgt, 0);
	if (is_block(page_sizes, bytes, &cur, &dma))
		return dma | attrs;
	if (!leaf || map_pages(page_sizes, &table, 0, bytes, cur, attrs))
		return 0;
	return leaf_dma | HEARTH_PTE_VALID | HEARTH_PTE_TABLE;
}

/* A leaf for a block to split at each end. */
static int walker_prepare_unmap(struct hearth_mmu *mmu, struct hearth_mmu_pool *pool, u64 va,
				u64 size)
{
	u64 end = va + size;
	unsigned int leaves = 0;

	if (mmu->page_sizes & REGION_BYTES) {
		leaves += !IS_ALIGNED(va, REGION_BYTES);
		leaves += !IS_ALIGNED(end, REGION_BYTES);
		if (leaves == 2 && ALIGN_DOWN(va, REGION_BYTES) == ALIGN_DOWN(end, REGION_BYTES))
			leaves = 1;
	}

	return hearth_mmu_pool_fill(mmu, pool, 0, leaves);
}

const struct hearth_mmu_ops hearth_mmu_walker_ops = {
	.prepare_map = walker_prepare_map,
	.prepare_unmap = walker_prepare_unmap,
	.map = walker_map,
	.unmap = walker_unmap,
	.prepare_hold = walker_prepare_hold,
	.hold = walker_hold,
	.set = walker_set,
};
