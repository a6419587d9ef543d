// SPDX-License-Identifier: GPL-2.0
/*
 * The page tables against a walker that knows the device contract only, and
 * against an array of what should be mapped. They need no device.
 */
#include <kunit/test.h>

#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/slab.h>

/* What is tested, with what it has to itself. */
#include "hearth_sg.c"
#include "hearth_mmu.c"
#include "hearth_mmu_walk.c"

#include "hearth_mmu_kunit.h"

#define ALL_SIZES	(SZ_4K | SZ_64K | SZ_2M)
#define MAX_SEGMENTS	1024

struct mmu_test {
	struct hearth_mmu mmu;
	struct hearth_mmu_pool pool;
	struct sg_table sgt;
	struct scatterlist sgl[MAX_SEGMENTS];
};

/* The pages of a marked run agree, and are aligned on both sides. */
static bool cont_is_sound(const struct hearth_mmu *mmu, u64 va)
{
	u64 start = ALIGN_DOWN(va, SZ_64K);
	struct translation first = walk(mmu, start);
	int i;

	if (!IS_ALIGNED(first.dma, SZ_64K))
		return false;
	for (i = 0; i < 16; i++) {
		struct translation t = walk(mmu, start + i * SZ_4K);

		if (!t.valid || !t.cont || t.readonly != first.readonly ||
		    t.dma != first.dma + i * SZ_4K)
			return false;
	}
	return true;
}

static void segments_reset(struct mmu_test *t)
{
	sg_init_table(t->sgl, MAX_SEGMENTS);
	t->sgt.sgl = t->sgl;
	t->sgt.nents = 0;
	t->sgt.orig_nents = MAX_SEGMENTS;
}

static void segment_add(struct mmu_test *t, u64 dma, u32 bytes)
{
	struct scatterlist *sg = &t->sgl[t->sgt.nents++];

	sg_dma_address(sg) = dma;
	sg_dma_len(sg) = bytes;
}

static int map(struct mmu_test *t, u64 va, u64 size, u64 offset, bool readonly)
{
	struct hearth_sg_cursor cur;
	int ret;

	hearth_sg_cursor_init(&cur, &t->sgt, offset);
	ret = t->mmu.ops->prepare_map(&t->mmu, &t->pool, va, size, cur);
	if (!ret)
		ret = t->mmu.ops->map(&t->mmu, &t->pool, va, size, cur, readonly);
	return ret;
}

static int unmap(struct mmu_test *t, u64 va, u64 size)
{
	int ret = t->mmu.ops->prepare_unmap(&t->mmu, &t->pool, va, size);

	return ret ?: t->mmu.ops->unmap(&t->mmu, &t->pool, va, size);
}

/* The device has answered the flush; what is left over goes back. */
static void finish(struct mmu_test *t)
{
	hearth_mmu_flushed(&t->mmu, &t->pool);
	hearth_mmu_pool_fini(&t->mmu, &t->pool);
}

static int map_contiguous(struct mmu_test *t, u64 va, u64 dma, u64 size, bool readonly)
{
	int ret;

	segments_reset(t);
	segment_add(t, dma, size);
	ret = map(t, va, size, 0, readonly);
	finish(t);
	return ret;
}

static void expect_mapped(struct kunit *test, u64 va, u64 dma, u64 size, bool readonly)
{
	struct mmu_test *t = test->priv;
	u64 at;

	for (at = 0; at < size; at += SZ_4K) {
		struct translation seen = walk(&t->mmu, va + at);

		KUNIT_ASSERT_TRUE(test, seen.valid);
		KUNIT_ASSERT_EQ(test, seen.dma, dma + at);
		KUNIT_ASSERT_EQ(test, seen.readonly, readonly);
		if (seen.cont)
			KUNIT_ASSERT_TRUE(test, cont_is_sound(&t->mmu, va + at));
	}
}

static void expect_empty(struct kunit *test, u64 va, u64 size)
{
	struct mmu_test *t = test->priv;
	u64 at;

	for (at = 0; at < size; at += SZ_4K)
		KUNIT_ASSERT_FALSE(test, walk(&t->mmu, va + at).valid);
}

static void expect_stale(struct kunit *test, u64 va, u64 size)
{
	struct mmu_test *t = test->priv;
	u64 start, bytes;

	KUNIT_ASSERT_TRUE(test, hearth_mmu_stale(&t->mmu, &start, &bytes));
	KUNIT_EXPECT_LE(test, start, va);
	KUNIT_EXPECT_GE(test, start + bytes, va + size);
}

static unsigned int tables_in_use(const struct hearth_mmu *mmu)
{
	return mmu->nr_tables - mmu->nr_cache;
}

static int mmu_test_init(struct kunit *test)
{
	struct mmu_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	pages_out = 0;
	alloc_budget = INT_MAX;
	t->mmu.ops = &hearth_mmu_walker_ops;
	t->mmu.mem = &test_mem;
	t->mmu.page_sizes = ALL_SIZES;
	hearth_mmu_pool_init(&t->pool);
	segments_reset(t);
	KUNIT_ASSERT_EQ(test, hearth_mmu_init(&t->mmu), 0);
	KUNIT_ASSERT_EQ(test, tables_in_use(&t->mmu), 1);
	return 0;
}

static void mmu_test_exit(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	finish(t);
	hearth_mmu_fini(&t->mmu);
	KUNIT_EXPECT_EQ(test, pages_out, 0);
	KUNIT_EXPECT_EQ(test, t->mmu.nr_tables, 0);
}

static void one_page(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = 0x12345000, start, bytes;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, 0x4567000, SZ_4K, false), 0);
	expect_mapped(test, va, 0x4567000, SZ_4K, false);
	expect_empty(test, va - SZ_4K, SZ_4K);
	expect_empty(test, va + SZ_4K, SZ_4K);
	KUNIT_EXPECT_EQ(test, tables_in_use(&t->mmu), 3);
	/* A map into nothing has nothing to flush. */
	KUNIT_EXPECT_FALSE(test, hearth_mmu_stale(&t->mmu, &start, &bytes));
}

static void last_page(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = BIT_ULL(HEARTH_MMU_VA_BITS) - SZ_4K;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, 0xffffffffff000, SZ_4K, true), 0);
	expect_mapped(test, va, 0xffffffffff000, SZ_4K, true);
	KUNIT_ASSERT_EQ(test, unmap(t, va, SZ_4K), 0);
	expect_empty(test, va, SZ_4K);
}

static void read_only(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_2M, SZ_2M, SZ_2M, true), 0);
	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_4M, SZ_4M, SZ_64K + SZ_4K, true), 0);
	expect_mapped(test, SZ_2M, SZ_2M, SZ_2M, true);
	expect_mapped(test, SZ_4M, SZ_4M, SZ_64K + SZ_4K, true);
}

static void block(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_4M, SZ_2M * 7, SZ_4M, false), 0);
	expect_mapped(test, SZ_4M, SZ_2M * 7, SZ_4M, false);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu, SZ_4M).level, 2);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu, SZ_4M + SZ_2M).level, 2);
	KUNIT_EXPECT_EQ(test, tables_in_use(&t->mmu), 2);
}

/* Blocks also where segments end inside of them, but not where memory does. */
static void block_of_segments(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	segment_add(t, SZ_2M * 3, SZ_1M);
	segment_add(t, SZ_2M * 3 + SZ_1M, SZ_1M);
	segment_add(t, SZ_2M * 9, SZ_1M);
	segment_add(t, SZ_2M * 11, SZ_1M);
	KUNIT_ASSERT_EQ(test, map(t, SZ_2M, SZ_4M, 0, false), 0);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu, SZ_2M).level, 2);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu, SZ_4M).level, 3);
	expect_mapped(test, SZ_2M, SZ_2M * 3, SZ_2M, false);
	expect_mapped(test, SZ_4M, SZ_2M * 9, SZ_1M, false);
	expect_mapped(test, SZ_4M + SZ_1M, SZ_2M * 11, SZ_1M, false);
}

static void cont(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = SZ_2M + SZ_64K - SZ_4K;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, SZ_1M - SZ_4K, SZ_64K + SZ_8K, false), 0);
	expect_mapped(test, va, SZ_1M - SZ_4K, SZ_64K + SZ_8K, false);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, va).cont);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu, va + SZ_4K).cont);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu, va + SZ_64K).cont);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, va + SZ_64K + SZ_4K).cont);
}

static void no_cont_out_of_step(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 at;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_2M, SZ_1M + SZ_4K, SZ_1M, false), 0);
	for (at = 0; at < SZ_1M; at += SZ_4K)
		KUNIT_ASSERT_FALSE(test, walk(&t->mmu, SZ_2M + at).cont);
}

static void small_pages_only(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	t->mmu.page_sizes = SZ_4K;
	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_2M, SZ_2M, SZ_4M, false), 0);
	KUNIT_EXPECT_EQ(test, walk(&t->mmu, SZ_2M).level, 3);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, SZ_2M).cont);
	expect_mapped(test, SZ_2M, SZ_2M, SZ_4M, false);
}

static void unmap_frees_tables(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = SZ_1G - SZ_2M - SZ_4K;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, SZ_1G, SZ_8M, false), 0);
	KUNIT_EXPECT_GT(test, tables_in_use(&t->mmu), 3);
	KUNIT_ASSERT_EQ(test, unmap(t, va, SZ_8M), 0);
	expect_stale(test, va, SZ_8M);
	/* Not before the flush: the device may be walking them. */
	KUNIT_EXPECT_FALSE(test, list_empty(&t->mmu.stale));
	finish(t);
	expect_empty(test, va, SZ_8M);
	KUNIT_EXPECT_EQ(test, tables_in_use(&t->mmu), 1);
	KUNIT_EXPECT_EQ(test, t->mmu.root->used, 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->mmu.root->entries, 0, SZ_4K));
}

static void unmap_holes(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 start, bytes;

	KUNIT_ASSERT_EQ(test, unmap(t, SZ_4K, BIT_ULL(HEARTH_MMU_VA_BITS) - SZ_4K), 0);
	KUNIT_EXPECT_FALSE(test, hearth_mmu_stale(&t->mmu, &start, &bytes));

	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_1G * 5ull, SZ_1G, SZ_4K, false), 0);
	KUNIT_ASSERT_EQ(test, unmap(t, SZ_4K, BIT_ULL(HEARTH_MMU_VA_BITS) - SZ_4K), 0);
	KUNIT_ASSERT_TRUE(test, hearth_mmu_stale(&t->mmu, &start, &bytes));
	KUNIT_EXPECT_EQ(test, start, SZ_1G * 5ull);
	KUNIT_EXPECT_EQ(test, bytes, SZ_4K);
}

static void split_block(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = SZ_4M, dma = SZ_1G, hole = SZ_64K * 5 + SZ_8K;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, dma, SZ_2M, true), 0);
	KUNIT_ASSERT_EQ(test, unmap(t, va + hole, SZ_4K), 0);
	expect_stale(test, va, SZ_2M);
	finish(t);
	expect_mapped(test, va, dma, hole, true);
	expect_empty(test, va + hole, SZ_4K);
	expect_mapped(test, va + hole + SZ_4K, dma + hole + SZ_4K, SZ_2M - hole - SZ_4K, true);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu, va).cont);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, va + hole - SZ_4K).cont);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu, va + SZ_2M - SZ_4K).cont);
}

static void split_two_blocks(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = SZ_4M, dma = SZ_1G;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, dma, SZ_2M * 3, false), 0);
	KUNIT_ASSERT_EQ(test, unmap(t, va + SZ_4K, SZ_2M * 3 - SZ_8K), 0);
	expect_stale(test, va, SZ_2M * 3);
	finish(t);
	expect_mapped(test, va, dma, SZ_4K, false);
	expect_empty(test, va + SZ_4K, SZ_2M * 3 - SZ_8K);
	expect_mapped(test, va + SZ_2M * 3 - SZ_4K, dma + SZ_2M * 3 - SZ_4K, SZ_4K, false);
}

static void break_cont(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	u64 va = SZ_2M, dma = SZ_1M;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, va, dma, SZ_64K * 3, false), 0);
	KUNIT_ASSERT_EQ(test, unmap(t, va + SZ_32K, SZ_64K), 0);
	/* The device may hold all of both runs in one translation each. */
	expect_stale(test, va, SZ_64K * 2);
	finish(t);
	expect_mapped(test, va, dma, SZ_32K, false);
	expect_empty(test, va + SZ_32K, SZ_64K);
	expect_mapped(test, va + SZ_32K + SZ_64K, dma + SZ_32K + SZ_64K, SZ_64K + SZ_32K, false);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, va).cont);
	KUNIT_EXPECT_FALSE(test, walk(&t->mmu, va + SZ_64K + SZ_32K).cont);
	KUNIT_EXPECT_TRUE(test, walk(&t->mmu, va + SZ_64K * 2).cont);
}

static void contiguous_needs_no_leaves(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	struct hearth_sg_cursor cur;

	segment_add(t, SZ_1G, SZ_2G);
	segment_add(t, SZ_1G + SZ_2G, SZ_2G);
	hearth_sg_cursor_init(&cur, &t->sgt, 0);
	KUNIT_ASSERT_EQ(test, t->mmu.ops->prepare_map(&t->mmu, &t->pool, SZ_1G,
						      SZ_4G, cur), 0);
	KUNIT_EXPECT_EQ(test, t->pool.nr_dirs, 4);
	KUNIT_EXPECT_EQ(test, t->pool.nr_leaves, 0);
}

static void prepare_without_memory(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	struct hearth_sg_cursor cur;

	segment_add(t, SZ_4K, SZ_16M);
	hearth_sg_cursor_init(&cur, &t->sgt, 0);
	alloc_budget = 4;
	KUNIT_EXPECT_EQ(test, t->mmu.ops->prepare_map(&t->mmu, &t->pool, SZ_2M, SZ_16M, cur),
			-ENOMEM);
	alloc_budget = INT_MAX;
	finish(t);
	expect_empty(test, SZ_2M, SZ_16M);
	KUNIT_EXPECT_EQ(test, tables_in_use(&t->mmu), 1);
}

static void device_goes(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, map_contiguous(t, SZ_2M, SZ_1M, SZ_4M, false), 0);
	hearth_mmu_unplug(&t->mmu);
	KUNIT_EXPECT_EQ(test, pages_out, 0);
	KUNIT_EXPECT_EQ(test, unmap(t, SZ_2M, SZ_4M), -ENODEV);
	KUNIT_EXPECT_EQ(test, map_contiguous(t, SZ_16M, SZ_1M, SZ_4M, false), -ENODEV);
}

static void cursor(struct kunit *test)
{
	struct mmu_test *t = test->priv;
	struct hearth_sg_cursor cur;
	dma_addr_t dma;

	segment_add(t, SZ_1M, SZ_8K);
	segment_add(t, SZ_1M + SZ_8K, SZ_4K);
	segment_add(t, SZ_2M, SZ_4K);

	hearth_sg_cursor_init(&cur, &t->sgt, SZ_4K);
	KUNIT_EXPECT_EQ(test, hearth_sg_peek(&cur, SZ_1M, &dma), SZ_8K);
	KUNIT_EXPECT_EQ(test, dma, SZ_1M + SZ_4K);
	KUNIT_EXPECT_EQ(test, hearth_sg_peek(&cur, SZ_4K, &dma), SZ_4K);
	hearth_sg_advance(&cur, SZ_8K);
	KUNIT_EXPECT_EQ(test, hearth_sg_peek(&cur, SZ_1M, &dma), SZ_4K);
	KUNIT_EXPECT_EQ(test, dma, SZ_2M);
}

static void segments_are_checked(struct kunit *test)
{
	struct mmu_test *t = test->priv;

	/* A table with entries to spare, as the mapping of one leaves it. */
	segment_add(t, SZ_1M, SZ_8K);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_8K), 0);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_8K + SZ_4K), -EINVAL);
	segment_add(t, SZ_2M + 512, SZ_4K);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_8K), -EINVAL);

	segments_reset(t);
	segment_add(t, SZ_2M, SZ_4K + 512);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_4K), -EINVAL);

	segments_reset(t);
	segment_add(t, BIT_ULL(52), SZ_4K);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_4K), -EINVAL);

	segments_reset(t);
	segment_add(t, BIT_ULL(52) - SZ_4K, SZ_4K);
	KUNIT_EXPECT_EQ(test, hearth_sg_check(&t->sgt, SZ_4K), 0);
}

/* The window straddles a directory, so that those come and go as well. */
#define WINDOW_PAGES	(4 * 512)
#define WINDOW_VA	(SZ_1G - SZ_2M * 2)

struct shadow {
	u64 dma;
	bool valid;
	bool readonly;
};

static void random_segments(struct mmu_test *t, struct rnd_state *rnd, u64 bytes)
{
	u64 dma = (u64)prandom_u32_state(rnd) << 12;

	segments_reset(t);
	while (bytes) {
		u64 n = min(bytes, (u64)(prandom_u32_state(rnd) % 1024 + 1) << 12);

		if (t->sgt.nents == MAX_SEGMENTS - 1)
			n = bytes;
		switch (prandom_u32_state(rnd) % 4) {
		case 0:
			dma = (u64)prandom_u32_state(rnd) << 12;
			break;
		case 1:
			dma = (u64)(prandom_u32_state(rnd) >> 2) << 21;
			break;
		}
		segment_add(t, dma, n);
		dma += n;
		bytes -= n;
	}
}

static void shadow_clear(struct shadow *shadow, u32 first, u32 count)
{
	memset(&shadow[first], 0, count * sizeof(*shadow));
}

static void shadow_map(struct mmu_test *t, struct shadow *shadow, u32 first, u32 count,
		       bool readonly)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(&t->sgt, sg, i) {
		u64 at;

		for (at = 0; at < sg_dma_len(sg) && count; at += SZ_4K, count--)
			shadow[first++] = (struct shadow){
				.dma = sg_dma_address(sg) + at,
				.valid = true,
				.readonly = readonly,
			};
	}
}

static void compare(struct kunit *test, const struct shadow *shadow)
{
	struct mmu_test *t = test->priv;
	u32 i;

	for (i = 0; i < WINDOW_PAGES; i++) {
		u64 va = WINDOW_VA + (u64)i * SZ_4K;
		struct translation seen = walk(&t->mmu, va);

		KUNIT_ASSERT_EQ_MSG(test, seen.valid, shadow[i].valid, "page %u", i);
		if (!seen.valid)
			continue;
		KUNIT_ASSERT_EQ_MSG(test, seen.dma, shadow[i].dma, "page %u", i);
		KUNIT_ASSERT_EQ_MSG(test, seen.readonly, shadow[i].readonly, "page %u", i);
		if (seen.cont)
			KUNIT_ASSERT_TRUE_MSG(test, cont_is_sound(&t->mmu, va), "page %u", i);
	}
}

/* What was valid and is to change must be covered by the flush. */
static void check_stale(struct kunit *test, const struct shadow *shadow, u32 first, u32 count)
{
	u32 i;

	for (i = first; i < first + count; i++) {
		if (shadow[i].valid)
			expect_stale(test, WINDOW_VA + (u64)i * SZ_4K, SZ_4K);
	}
}

/* As a bind does it: both halves run with what one prepare has allocated. */
static void random_map(struct kunit *test, struct rnd_state *rnd, struct shadow *shadow,
		       u32 first, u32 count)
{
	u64 va = WINDOW_VA + (u64)first * SZ_4K, size = (u64)count * SZ_4K;
	bool readonly = prandom_u32_state(rnd) & 1;
	struct mmu_test *t = test->priv;
	struct hearth_sg_cursor cur;
	int budget;

	random_segments(t, rnd, size);
	hearth_sg_cursor_init(&cur, &t->sgt, 0);
	KUNIT_ASSERT_EQ(test, t->mmu.ops->prepare_map(&t->mmu, &t->pool, va, size, cur), 0);
	budget = alloc_budget;
	KUNIT_ASSERT_EQ(test, t->mmu.ops->unmap(&t->mmu, &t->pool, va, size), 0);
	check_stale(test, shadow, first, count);
	hearth_mmu_flushed(&t->mmu, &t->pool);
	KUNIT_ASSERT_EQ(test, t->mmu.ops->map(&t->mmu, &t->pool, va, size, cur, readonly), 0);
	KUNIT_ASSERT_EQ(test, alloc_budget, budget);
	finish(t);
	shadow_map(t, shadow, first, count, readonly);
}

static void random_unmap(struct kunit *test, struct shadow *shadow, u32 first, u32 count)
{
	u64 va = WINDOW_VA + (u64)first * SZ_4K, size = (u64)count * SZ_4K;
	struct mmu_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, unmap(t, va, size), 0);
	check_stale(test, shadow, first, count);
	finish(t);
	shadow_clear(shadow, first, count);
}

static void random_sequence(struct kunit *test)
{
	struct shadow *shadow = kunit_kcalloc(test, WINDOW_PAGES, sizeof(*shadow), GFP_KERNEL);
	struct mmu_test *t = test->priv;
	struct rnd_state rnd;
	int round;

	KUNIT_ASSERT_NOT_NULL(test, shadow);
	prandom_seed_state(&rnd, 0x48545248);

	for (round = 0; round < 2000; round++) {
		u32 first = prandom_u32_state(&rnd) % WINDOW_PAGES;
		u32 most = round & 1 ? WINDOW_PAGES : 40;
		u32 count = min(prandom_u32_state(&rnd) % most + 1, WINDOW_PAGES - first);

		/* Often at the boundaries that matter. */
		if (round % 5 == 0)
			first = ALIGN_DOWN(first, 16);
		if (prandom_u32_state(&rnd) % 3)
			random_map(test, &rnd, shadow, first, count);
		else
			random_unmap(test, shadow, first, count);
		if (round % 10 == 0)
			compare(test, shadow);
	}

	random_unmap(test, shadow, 0, WINDOW_PAGES);
	compare(test, shadow);
	KUNIT_EXPECT_EQ(test, tables_in_use(&t->mmu), 1);
	KUNIT_EXPECT_NULL(test, memchr_inv(t->mmu.root->entries, 0, SZ_4K));
}

static struct kunit_case mmu_cases[] = {
	KUNIT_CASE(one_page),
	KUNIT_CASE(last_page),
	KUNIT_CASE(read_only),
	KUNIT_CASE(block),
	KUNIT_CASE(block_of_segments),
	KUNIT_CASE(cont),
	KUNIT_CASE(no_cont_out_of_step),
	KUNIT_CASE(small_pages_only),
	KUNIT_CASE(unmap_frees_tables),
	KUNIT_CASE(unmap_holes),
	KUNIT_CASE(split_block),
	KUNIT_CASE(split_two_blocks),
	KUNIT_CASE(break_cont),
	KUNIT_CASE(contiguous_needs_no_leaves),
	KUNIT_CASE(prepare_without_memory),
	KUNIT_CASE(device_goes),
	KUNIT_CASE(cursor),
	KUNIT_CASE(segments_are_checked),
	KUNIT_CASE_SLOW(random_sequence),
	{}
};

static struct kunit_suite mmu_suite = {
	.name = "hearth_mmu",
	.init = mmu_test_init,
	.exit = mmu_test_exit,
	.test_cases = mmu_cases,
};

kunit_test_suite(mmu_suite);

MODULE_DESCRIPTION("KUnit tests of the Hearth NPU's page tables");
MODULE_LICENSE("GPL");
