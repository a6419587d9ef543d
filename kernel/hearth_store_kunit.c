// SPDX-License-Identifier: GPL-2.0
/*
 * Extents: one leaf in several address spaces, and the order in which they go.
 * They need no device.
 */
#include <kunit/test.h>

#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/slab.h>

/* What is tested, with what it has to itself. */
#include "hearth_sg.c"
#include "hearth_mmu.c"
#include "hearth_mmu_walk.c"
#include "hearth_extent_lru.c"

#include "hearth_mmu_kunit.h"

#define ALL_SIZES	(SZ_4K | SZ_64K | SZ_2M)
#define SPACES		3
#define EXTENTS		40
#define VA		(SZ_1G - 4ull * SZ_2M)	/* the window lies on both sides of 1 GiB */

struct store_test {
	struct hearth_mmu mmu[SPACES];
	struct hearth_mmu_pool pool;
	struct scatterlist sgl[512];
	struct sg_table sgt;
	struct hearth_store store;
	struct hearth_extent extents[EXTENTS];
	__le64 *leaf;
	dma_addr_t leaf_dma;
};

static int store_test_init(struct kunit *test)
{
	struct store_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	pages_out = 0;
	alloc_budget = INT_MAX;
	hearth_mmu_pool_init(&t->pool);
	for (i = 0; i < SPACES; i++) {
		t->mmu[i].ops = &hearth_mmu_walker_ops;
		t->mmu[i].mem = &test_mem;
		t->mmu[i].page_sizes = ALL_SIZES;
		KUNIT_ASSERT_EQ(test, hearth_mmu_init(&t->mmu[i]), 0);
	}
	t->leaf = test_mem.alloc(NULL, &t->leaf_dma);
	KUNIT_ASSERT_NOT_NULL(test, t->leaf);
	spin_lock_init(&t->store.lock);
	INIT_LIST_HEAD(&t->store.lru);
	t->store.extents = t->extents;
	t->store.nr_extents = EXTENTS;
	t->store.bytes = EXTENTS * HEARTH_EXTENT_BYTES;
	for (i = 0; i < EXTENTS; i++)
		INIT_LIST_HEAD(&t->extents[i].lru);
	return 0;
}

static void store_test_exit(struct kunit *test)
{
	struct store_test *t = test->priv;
	int i;

	for (i = 0; i < SPACES; i++) {
		hearth_mmu_flushed(&t->mmu[i], &t->pool);
		hearth_mmu_pool_fini(&t->mmu[i], &t->pool);
		hearth_mmu_fini(&t->mmu[i]);
		KUNIT_EXPECT_EQ(test, t->mmu[i].nr_tables, 0);
	}
	test_mem.free(NULL, t->leaf, t->leaf_dma);
	KUNIT_EXPECT_EQ(test, pages_out, 0);
}

/* Pages at twice their place: none has a neighbour. */
static u64 fill_scattered(struct store_test *t, unsigned int count)
{
	unsigned int i;

	sg_init_table(t->sgl, count);
	for (i = 0; i < count; i++) {
		sg_dma_address(&t->sgl[i]) = SZ_4G + i * SZ_8K;
		sg_dma_len(&t->sgl[i]) = SZ_4K;
	}
	t->sgt = (struct sg_table){ .sgl = t->sgl, .nents = count, .orig_nents = count };
	return hearth_mmu_fill_extent(ALL_SIZES, t->leaf, t->leaf_dma, &t->sgt, count * SZ_4K,
				      true);
}

static u64 fill_contiguous(struct store_test *t, __le64 *leaf, u64 dma, u64 bytes)
{
	sg_init_table(t->sgl, 1);
	sg_dma_address(t->sgl) = dma;
	sg_dma_len(t->sgl) = bytes;
	t->sgt = (struct sg_table){ .sgl = t->sgl, .nents = 1, .orig_nents = 1 };
	return hearth_mmu_fill_extent(ALL_SIZES, leaf, t->leaf_dma, &t->sgt, bytes, true);
}

static void hold(struct kunit *test, int i, u64 va, u64 size)
{
	struct store_test *t = test->priv;
	struct hearth_mmu *mmu = &t->mmu[i];

	KUNIT_ASSERT_EQ(test, mmu->ops->prepare_hold(mmu, &t->pool, va, size), 0);
	KUNIT_ASSERT_EQ(test, mmu->ops->hold(mmu, &t->pool, va, size), 0);
	hearth_mmu_pool_fini(mmu, &t->pool);
}

static void unmap(struct kunit *test, int i, u64 va, u64 size)
{
	struct store_test *t = test->priv;
	struct hearth_mmu *mmu = &t->mmu[i];

	KUNIT_ASSERT_EQ(test, mmu->ops->prepare_unmap(mmu, &t->pool, va, size), 0);
	KUNIT_ASSERT_EQ(test, mmu->ops->unmap(mmu, &t->pool, va, size), 0);
}

static void flush(struct store_test *t, int i)
{
	hearth_mmu_flushed(&t->mmu[i], &t->pool);
	hearth_mmu_pool_fini(&t->mmu[i], &t->pool);
}

static void set(struct kunit *test, int i, u64 va, u64 entry)
{
	struct store_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, t->mmu[i].ops->set(&t->mmu[i], va, entry), 0);
}

static void one_leaf_in_all(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 entry = fill_scattered(t, 512), start, bytes, at;
	int i;

	KUNIT_ASSERT_NE(test, entry, 0);
	for (i = 0; i < SPACES; i++) {
		hold(test, i, VA + i * SZ_2M, SZ_2M);
		KUNIT_EXPECT_FALSE(test, walk(&t->mmu[i], VA + i * SZ_2M).valid);
		set(test, i, VA + i * SZ_2M, entry);
		/* Nothing was there that the device could know. */
		KUNIT_EXPECT_FALSE(test, hearth_mmu_stale(&t->mmu[i], &start, &bytes));
		/* The root and one directory. */
		KUNIT_EXPECT_EQ(test, t->mmu[i].nr_tables - t->mmu[i].nr_cache, 2);
	}
	for (i = 0; i < SPACES; i++) {
		for (at = 0; at < SZ_2M; at += SZ_4K) {
			struct translation seen = walk(&t->mmu[i], VA + i * SZ_2M + at);

			KUNIT_ASSERT_TRUE(test, seen.valid);
			KUNIT_ASSERT_TRUE(test, seen.readonly);
			KUNIT_ASSERT_EQ(test, seen.dma, SZ_4G + 2 * at);
		}
	}
}

/* One of them unbinds: its entry goes, the leaf and the others stay. */
static void one_of_them_goes(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 entry = fill_scattered(t, 512), start, bytes;

	hold(test, 0, VA, SZ_2M);
	hold(test, 1, VA, SZ_2M);
	set(test, 0, VA, entry);
	set(test, 1, VA, entry);
	unmap(test, 0, VA, SZ_2M);
	KUNIT_ASSERT_TRUE(test, hearth_mmu_stale(&t->mmu[0], &start, &bytes));
	KUNIT_EXPECT_LE(test, start, VA);
	KUNIT_EXPECT_GE(test, start + bytes, VA + SZ_2M);
	flush(t, 0);
	KUNIT_EXPECT_EQ(test, t->mmu[0].nr_tables - t->mmu[0].nr_cache, 1);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA).valid);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu[1], VA).valid);
	KUNIT_EXPECT_NE(test, le64_to_cpu(t->leaf[511]), 0);
}

static void evicted_and_back(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 entry = fill_scattered(t, 512), start, bytes;

	hold(test, 0, VA, SZ_4M);
	set(test, 0, VA + SZ_2M, entry);
	set(test, 0, VA + SZ_2M, entry);
	KUNIT_EXPECT_FALSE(test, hearth_mmu_stale(&t->mmu[0], &start, &bytes));
	set(test, 0, VA + SZ_2M, 0);
	KUNIT_ASSERT_TRUE(test, hearth_mmu_stale(&t->mmu[0], &start, &bytes));
	KUNIT_EXPECT_EQ(test, start, VA + SZ_2M);
	KUNIT_EXPECT_EQ(test, bytes, SZ_2M);
	flush(t, 0);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA + SZ_2M).valid);
	/* The place for it is kept: nothing is allocated to bring it back. */
	alloc_budget = 0;
	set(test, 0, VA + SZ_2M, entry);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu[0], VA + SZ_2M).valid);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA).valid);
}

/* Nothing was resident, but the device may know the way to where it would be. */
static void unmapped_while_dropped(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 start, bytes;

	hold(test, 0, VA, 8 * SZ_2M);
	KUNIT_EXPECT_EQ(test, t->mmu[0].nr_tables, 3);
	unmap(test, 0, VA, 8 * SZ_2M);
	KUNIT_ASSERT_TRUE(test, hearth_mmu_stale(&t->mmu[0], &start, &bytes));
	KUNIT_EXPECT_LT(test, start, SZ_1G);
	KUNIT_EXPECT_GT(test, start + bytes, SZ_1G);
	KUNIT_EXPECT_FALSE(test, list_empty(&t->mmu[0].stale));
	flush(t, 0);
	KUNIT_EXPECT_EQ(test, t->mmu[0].nr_tables, 1);
}

static void blocks(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 entry;

	entry = fill_contiguous(t, NULL, SZ_2M * 77, SZ_2M);
	KUNIT_ASSERT_NE(test, entry, 0);
	hold(test, 0, VA, SZ_2M);
	set(test, 0, VA, entry);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu[0], VA).level, 2);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu[0], VA + SZ_2M - SZ_4K).dma, SZ_2M * 78 - SZ_4K);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu[0], VA).readonly);

	/* Out of step, or too short: that takes a leaf. */
	KUNIT_EXPECT_EQ(test, fill_contiguous(t, NULL, SZ_2M * 77 + SZ_4K, SZ_2M), 0);
	KUNIT_EXPECT_EQ(test, fill_contiguous(t, NULL, SZ_2M * 77, SZ_1M), 0);
}

/* The end of a file: behind it nothing is mapped; runs of 64 KiB where they fit. */
static void short_extent(struct kunit *test)
{
	struct store_test *t = test->priv;
	u64 entry = fill_contiguous(t, t->leaf, SZ_64K * 5, SZ_64K + SZ_8K);

	KUNIT_ASSERT_NE(test, entry, 0);
	hold(test, 0, VA, SZ_2M);
	set(test, 0, VA, entry);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu[0], VA).cont);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu[0], VA + SZ_64K + SZ_4K).valid);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA + SZ_64K).cont);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA + SZ_64K + SZ_8K).valid);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu[0], VA + SZ_2M - SZ_4K).valid);
}

static void device_goes(struct kunit *test)
{
	struct store_test *t = test->priv;
	struct hearth_mmu *mmu = &t->mmu[0];

	hold(test, 0, VA, SZ_2M);
	hearth_mmu_unplug(mmu);
	KUNIT_EXPECT_EQ(test, mmu->ops->set(mmu, VA, 0), -ENODEV);
	KUNIT_EXPECT_EQ(test, mmu->ops->hold(mmu, &t->pool, VA + SZ_2M, SZ_2M), -ENODEV);
}

/* Binds, unbinds, evictions and restores at random against what should be there. */
static void random_extents(struct kunit *test)
{
	struct store_test *t = test->priv;
	enum { NONE, HELD_ONLY, SET } shadow[SPACES][EXTENTS] = { };
	u64 entry = fill_scattered(t, 512);
	struct rnd_state rnd;
	int round, i, k;

	prandom_seed_state(&rnd, 3);
	for (round = 0; round < 4000; round++) {
		u64 va;

		i = prandom_u32_state(&rnd) % SPACES;
		k = prandom_u32_state(&rnd) % EXTENTS;
		va = VA + (u64)k * SZ_2M;
		if (shadow[i][k] == NONE) {
			hold(test, i, va, SZ_2M);
			shadow[i][k] = HELD_ONLY;
		} else if (prandom_u32_state(&rnd) % 4 == 0) {
			unmap(test, i, va, SZ_2M);
			flush(t, i);
			shadow[i][k] = NONE;
		} else {
			shadow[i][k] = shadow[i][k] == SET ? HELD_ONLY : SET;
			set(test, i, va, shadow[i][k] == SET ? entry : 0);
			flush(t, i);
		}
		for (k = 0; k < EXTENTS; k++)
			KUNIT_ASSERT_EQ(test, walk(&t->mmu[i], VA + (u64)k * SZ_2M).valid,
					shadow[i][k] == SET);
	}
	for (i = 0; i < SPACES; i++) {
		unmap(test, i, VA, EXTENTS * SZ_2M);
		flush(t, i);
		KUNIT_EXPECT_EQ(test, t->mmu[i].nr_tables - t->mmu[i].nr_cache, 1);
	}
}

static void make_resident(struct store_test *t, const u32 *indices, unsigned int count)
{
	unsigned int i;

	spin_lock(&t->store.lock);
	for (i = 0; i < count; i++)
		hearth_extent_set_resident_locked(&t->store, indices[i]);
	spin_unlock(&t->store.lock);
}

static unsigned int choose_by(struct store_test *t, u32 *indices, unsigned int max, u64 pages,
			      struct hearth_chooser *chooser)
{
	unsigned int count;

	spin_lock(&t->store.lock);
	count = hearth_extent_choose_locked(&t->store, indices, max, pages, chooser);
	spin_unlock(&t->store.lock);
	return count;
}

static unsigned int choose(struct store_test *t, u32 *indices, unsigned int max, u64 pages)
{
	return choose_by(t, indices, max, pages, NULL);
}

static void first_in_first_out(struct kunit *test)
{
	static const u32 order[] = { 7, 2, 39, 11 };
	struct store_test *t = test->priv;
	u32 got[EXTENTS];

	make_resident(t, order, 4);
	KUNIT_EXPECT_EQ(test, t->store.resident_bytes, 4 * HEARTH_EXTENT_BYTES);
	KUNIT_ASSERT_EQ(test, choose(t, got, EXTENTS, 2 * HEARTH_EXTENT_PAGES), 2);
	KUNIT_EXPECT_EQ(test, got[0], 7);
	KUNIT_EXPECT_EQ(test, got[1], 2);
	KUNIT_EXPECT_EQ(test, t->extents[7].state, HEARTH_EXTENT_EVICTING);
	KUNIT_EXPECT_EQ(test, t->store.nr_evicting, 2);
	KUNIT_EXPECT_EQ(test, t->store.nr_resident, 2);

	/* One that comes back is the last. */
	spin_lock(&t->store.lock);
	hearth_extent_set_dropped_locked(&t->store, 7);
	spin_unlock(&t->store.lock);
	KUNIT_EXPECT_EQ(test, t->store.nr_evicting, 1);
	make_resident(t, order, 1);
	KUNIT_ASSERT_EQ(test, choose(t, got, EXTENTS, U64_MAX), 3);
	KUNIT_EXPECT_EQ(test, got[0], 39);
	KUNIT_EXPECT_EQ(test, got[2], 7);
	KUNIT_EXPECT_EQ(test, t->store.resident_bytes, 0);
	KUNIT_EXPECT_EQ(test, choose(t, got, EXTENTS, U64_MAX), 0);
}

static void no_more_than_asked(struct kunit *test)
{
	static const u32 order[] = { 0, 1, 2, 3, 4, 39 };
	struct store_test *t = test->priv;
	u32 got[EXTENTS];

	/* The last one is two pages. */
	t->store.bytes -= HEARTH_EXTENT_BYTES - PAGE_SIZE - 1;
	make_resident(t, order, 6);
	KUNIT_EXPECT_EQ(test, t->store.resident_bytes, 5 * HEARTH_EXTENT_BYTES + 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, choose(t, got, EXTENTS, 0), 0);
	KUNIT_EXPECT_EQ(test, choose(t, got, EXTENTS, 1), 1);
	KUNIT_EXPECT_EQ(test, choose(t, got, EXTENTS, HEARTH_EXTENT_PAGES + 1), 2);
	KUNIT_EXPECT_EQ(test, choose(t, got, 1, U64_MAX), 1);
	KUNIT_EXPECT_EQ(test, t->store.resident_bytes, HEARTH_EXTENT_BYTES + 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, choose(t, got, EXTENTS, U64_MAX), 2);
}

static bool may_go_if_leafed(struct hearth_chooser *chooser, const struct hearth_extent *extent)
{
	return extent->leaf;
}

static void only_what_may_go(struct kunit *test)
{
	static const u32 order[] = { 5, 4, 3, 2, 1 };
	struct hearth_chooser chooser = { .may_go = may_go_if_leafed };
	struct store_test *t = test->priv;
	u32 got[EXTENTS];

	make_resident(t, order, 5);
	KUNIT_EXPECT_EQ(test, choose_by(t, got, EXTENTS, U64_MAX, &chooser), 0);
	t->extents[4].leaf = t->leaf;
	t->extents[1].leaf = t->leaf;
	KUNIT_ASSERT_EQ(test, choose_by(t, got, EXTENTS, 1, &chooser), 1);
	KUNIT_EXPECT_EQ(test, got[0], 4);
	KUNIT_ASSERT_EQ(test, choose_by(t, got, EXTENTS, U64_MAX, &chooser), 1);
	KUNIT_EXPECT_EQ(test, got[0], 1);
	/* The others keep their order. */
	KUNIT_ASSERT_EQ(test, choose(t, got, EXTENTS, U64_MAX), 3);
	KUNIT_EXPECT_EQ(test, got[0], 5);
	KUNIT_EXPECT_EQ(test, got[2], 2);
}

static struct kunit_case store_cases[] = {
	KUNIT_CASE(one_leaf_in_all),
	KUNIT_CASE(one_of_them_goes),
	KUNIT_CASE(evicted_and_back),
	KUNIT_CASE(unmapped_while_dropped),
	KUNIT_CASE(blocks),
	KUNIT_CASE(short_extent),
	KUNIT_CASE(device_goes),
	KUNIT_CASE(first_in_first_out),
	KUNIT_CASE(no_more_than_asked),
	KUNIT_CASE(only_what_may_go),
	KUNIT_CASE_SLOW(random_extents),
	{}
};

static struct kunit_suite store_suite = {
	.name = "hearth_store",
	.init = store_test_init,
	.exit = store_test_exit,
	.test_cases = store_cases,
};

kunit_test_suite(store_suite);

MODULE_DESCRIPTION("KUnit tests of the Hearth NPU's extents");
MODULE_LICENSE("GPL");
