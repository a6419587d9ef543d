// SPDX-License-Identifier: MIT
/*
 * The NPU's MMU: every kind of entry, random tables against a walk of our
 * own, flushes, and copies through the space that kernels see.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stub_host.h"

#define LEAF	(HEARTH_PTE_VALID | HEARTH_PTE_AF)
#define PAGE	(LEAF | HEARTH_PTE_PAGE)
#define TABLE	(HEARTH_PTE_VALID | HEARTH_PTE_TABLE)
#define BLOCK	(2u << 20)

static struct host host;
static struct npu_ctx *ctx;
static uint64_t root;

static int start(void **state)
{
	host_start(&host, NULL, false);
	root = host_tables(&host);
	ctx = npu_ctx_create(&host.c.npu->vfu.dma, root);
	assert_non_null(ctx);
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	npu_ctx_destroy(ctx);
	host_stop(*state);
	return 0;
}

static int translate(uint64_t va, bool write, uint64_t *bus, uint64_t *bytes,
		     struct hk_fault *f)
{
	int ret;

	memset(f, 0, sizeof(*f));
	pthread_mutex_lock(&ctx->lock);
	ret = npu_mmu_translate(ctx, va, write, bus, bytes, f);
	pthread_mutex_unlock(&ctx->lock);
	return ret;
}

static void expect_bus(uint64_t va, bool write, uint64_t want, uint64_t want_bytes)
{
	uint64_t bus = 0, bytes = ~0ull;
	struct hk_fault f;

	assert_int_equal(translate(va, write, &bus, &bytes, &f), 0);
	assert_int_equal(bus, want);
	assert_int_equal(bytes, want_bytes);
}

static void expect_fault(uint64_t va, bool write, uint32_t error, uint64_t addr)
{
	uint64_t bus, bytes = 1;
	struct hk_fault f;

	assert_int_equal(translate(va, write, &bus, &bytes, &f), -EFAULT);
	assert_int_equal(f.error, error);
	assert_int_equal(f.addr, addr);
}

static void flush_all(void)
{
	npu_mmu_flush(ctx, 0, 1ull << HEARTH_MMU_VA_BITS);
}

static void test_pages(void **state)
{
	struct host *h = *state;
	uint64_t *pte = host_pte(h, root, 0x123456000, 3);

	expect_fault(0x123456789, false, HEARTH_HW_ERR_READ, 0x123456789);
	expect_fault(0x123456789, true, HEARTH_HW_ERR_WRITE, 0x123456789);
	/* a translation that did not exist is not remembered */
	*pte = 0xabc000 | PAGE;
	expect_bus(0x123456789, true, 0xabc789, 0x877);
	flush_all();
	*pte = 0xabc000 | PAGE | HEARTH_PTE_RO;
	expect_bus(0x123456789, false, 0xabc789, 0x877);
	expect_fault(0x123456789, true, HEARTH_HW_ERR_WRITE, 0x123456789);
	/* the last page, the first page, and beyond */
	*host_pte(h, root, (1ull << 39) - 4096, 3) = 0x000ffffffffff000 | PAGE;
	expect_bus((1ull << 39) - 1, true, 0xfffffffffffff, 1);
	*host_pte(h, root, 0, 3) = PAGE;
	expect_bus(0, true, 0, 4096);
	expect_fault(1ull << 39, false, HEARTH_HW_ERR_READ, 1ull << 39);
	expect_fault(~0ull, true, HEARTH_HW_ERR_WRITE, ~0ull);
}

static void test_bad_entries(void **state)
{
	struct host *h = *state;
	const uint64_t va = 0x4040404000;
	uint64_t *l3 = host_pte(h, root, va, 3);
	uint64_t *l2 = host_pte(h, root, va, 2), *l1 = host_pte(h, root, va, 1);
	uint64_t good1 = *l1, good2 = *l2;
	static const uint64_t bad3[] = {
		0, PAGE & ~HEARTH_PTE_VALID, PAGE & ~HEARTH_PTE_AF, PAGE & ~HEARTH_PTE_PAGE,
		PAGE | 1ull << 2, PAGE | 1ull << 6, PAGE | 1ull << 11, PAGE | 1ull << 53,
		PAGE | 1ull << 63,
	};

	for (unsigned int i = 0; i < sizeof(bad3) / sizeof(bad3[0]); i++) {
		*l3 = bad3[i];
		expect_fault(va, false, HEARTH_HW_ERR_READ, va);
	}
	*l3 = RAM_BUS | PAGE;
	expect_bus(va, false, RAM_BUS, 4096);
	flush_all();
	for (unsigned int bit = 2; bit < 64; bit++) {
		if (HEARTH_PTE_ADDR >> bit & 1)
			continue;
		*l2 = good2 | 1ull << bit;
		expect_fault(va, true, HEARTH_HW_ERR_WRITE, va);
		*l2 = good2;
		*l1 = good1 | 1ull << bit;
		expect_fault(va, true, HEARTH_HW_ERR_WRITE, va);
		*l1 = good1;
	}
	/* no block at level 1 */
	*l1 = LEAF;
	expect_fault(va, false, HEARTH_HW_ERR_READ, va);
	*l1 = good1;
	/* a block that is not aligned, or carries what only pages may */
	*l2 = LEAF | 0x1000;
	expect_fault(va, false, HEARTH_HW_ERR_READ, va);
	*l2 = LEAF | HEARTH_PTE_CONT;
	expect_fault(va, false, HEARTH_HW_ERR_READ, va);
	*l2 = HEARTH_PTE_VALID;
	expect_fault(va, false, HEARTH_HW_ERR_READ, va);
	*l2 = good2;
	expect_bus(va, false, RAM_BUS, 4096);
}

static void test_unreachable_tables(void **state)
{
	struct host *h = *state;
	const uint64_t va = 0x40000000 + 5 * BLOCK + 7 * 4096;

	*host_pte(h, root, va, 2) = 0x1000 | TABLE;
	expect_fault(va, true, HEARTH_HW_ERR_BUS, 0x1000 + 7 * 8);
	*host_pte(h, root, va, 1) = 0x2000 | TABLE;
	expect_fault(va, false, HEARTH_HW_ERR_BUS, 0x2000 + 5 * 8);
	ctx->root = 0x3000;
	expect_fault(va, false, HEARTH_HW_ERR_BUS, 0x3000 + 8);
	ctx->root = root;
	assert_int_equal(client_unmap(&h->c, RAM_BUS, RAM_BYTES), 0);
	expect_fault(0, false, HEARTH_HW_ERR_BUS, root);
}

static void test_blocks(void **state)
{
	struct host *h = *state;
	const uint64_t va = 0x80000000;
	uint64_t walks;

	*host_pte(h, root, va, 2) = 0x40000000 | LEAF;
	expect_bus(va + 0x12345, true, 0x40012345, BLOCK - 0x12345);
	walks = ctx->walks;
	expect_bus(va + BLOCK - 1, true, 0x401fffff, 1);
	/* one translation for all of it */
	assert_int_equal(ctx->walks, walks);
	expect_fault(va + BLOCK, true, HEARTH_HW_ERR_WRITE, va + BLOCK);
	/* a flush of any byte of it forgets it */
	*host_pte(h, root, va, 2) = 0;
	npu_mmu_flush(ctx, va + BLOCK, 4096);
	expect_bus(va, true, 0x40000000, BLOCK);
	npu_mmu_flush(ctx, va + BLOCK - 1, 1);
	expect_fault(va, true, HEARTH_HW_ERR_WRITE, va);
}

static void test_cont(void **state)
{
	struct host *h = *state;
	const uint64_t va = 0x90000;
	uint64_t walks;

	for (int i = 0; i < 16; i++)
		*host_pte(h, root, va + i * 4096, 3) =
			(0x7f0000 + i * 4096) | PAGE | HEARTH_PTE_CONT | HEARTH_PTE_RO;
	expect_bus(va + 0x5123, false, 0x7f5123, 0x10000 - 0x5123);
	walks = ctx->walks;
	expect_bus(va, false, 0x7f0000, 0x10000);
	expect_fault(va + 0xffff, true, HEARTH_HW_ERR_WRITE, va + 0xffff);
	assert_int_equal(ctx->walks, walks);
	flush_all();
	/* an entry that maps another part than its own */
	*host_pte(h, root, va + 0x3000, 3) = 0x7f4000 | PAGE | HEARTH_PTE_CONT;
	expect_fault(va + 0x3000, false, HEARTH_HW_ERR_READ, va + 0x3000);
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* What the tables say, told by somebody who has never seen the device's code. */
static int model(struct host *h, uint64_t va, bool write, uint64_t *bus)
{
	uint64_t table = root, pte = 0;

	for (int level = 1; level <= 3; level++) {
		unsigned int shift = 39 - 9 * level;

		pte = ((uint64_t *)host_ptr(h, table - RAM_BUS))[va >> shift & 511];
		if (!(pte & 1))
			return -EFAULT;
		if (level == 3 || !(pte & 2)) {
			if (write && (pte & 0x80))
				return -EFAULT;
			*bus = (pte & 0x000ffffffffff000) + (va & ((1ull << shift) - 1));
			return 0;
		}
		table = pte & 0x000ffffffffff000;
	}
	return -EFAULT;
}

static void random_entry(struct host *h, uint64_t *seed, uint64_t va)
{
	uint64_t *l2 = host_pte(h, root, va, 2);
	uint64_t kind = next(seed) % 8, ro = next(seed) & HEARTH_PTE_RO;

	if (kind == 0) {
		*l2 = (next(seed) & 0xfffffe00000) | LEAF | ro;
	} else if ((*l2 & TABLE) == TABLE || !*l2) {
		*host_pte(h, root, va, 3) = kind == 1 ? 0 :
			(next(seed) & 0xffffffff000) | PAGE | ro;
	} else if (kind == 1) {
		*l2 = 0;
	}
}

static uint64_t random_va(uint64_t *seed)
{
	/* few enough places that most of them meet again */
	uint64_t r = next(seed);

	return (r % 3) * 0x1fc0000000 + (r >> 8) % 4 * BLOCK + (r >> 16) % 512 * 4096 +
	       (r >> 32) % 4096;
}

static void test_random(void **state)
{
	struct host *h = *state;
	uint64_t seed = 0x9e3779b97f4a7c15;
	unsigned int hits = 0;

	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 50; i++)
			random_entry(h, &seed, random_va(&seed));
		flush_all();
		for (int i = 0; i < 500; i++) {
			uint64_t va = random_va(&seed), bus = 0, want = 0, bytes = 1;
			bool write = next(&seed) & 1;
			struct hk_fault f;
			int ret = translate(va, write, &bus, &bytes, &f);

			assert_int_equal(ret, model(h, va, write, &want));
			if (ret)
				assert_int_equal(f.addr, va);
			else
				assert_int_equal(bus, want);
			hits += !ret;
		}
	}
	/* the test means something */
	assert_true(hits > 10000 && hits < 90000);
}

/* Ranges of all sizes over pages in disorder come through whole. */
static void test_space(void **state)
{
	struct host *h = *state;
	struct npu_space *s = calloc(1, sizeof(*s));
	const unsigned int pages = 64;
	uint64_t seed = 77;
	uint8_t want[64 * 4096];

	npu_space_init(s);
	s->ctx = ctx;
	for (unsigned int i = 0; i < pages; i++)
		host_map(h, root, i * 4096, RAM_BUS + AT_DATA + (i * 37 % pages) * 4096, 4096, 0);
	memset(want, 0, sizeof(want));
	for (int i = 0; i < 400; i++) {
		struct hk_map m = { .va = next(&seed) % sizeof(want), .access = HK_READ_WRITE };
		struct hk_fault f;

		m.bytes = 1 + next(&seed) % (sizeof(want) - m.va);
		assert_int_equal(s->base.ops->map(&s->base, &m, &f), 0);
		assert_memory_equal(m.ptr, want + m.va, m.bytes);
		for (uint64_t b = 0; b < m.bytes; b += 1 + next(&seed) % 900)
			want[m.va + b] = ((uint8_t *)m.ptr)[b] = next(&seed);
		assert_int_equal(s->base.ops->unmap(&s->base, &m, &f), 0);
	}
	for (unsigned int i = 0; i < pages; i++)
		assert_memory_equal(host_ptr(h, AT_DATA + (i * 37 % pages) * 4096),
				    want + i * 4096, 4096);
	assert_true(s->gathered > 0);
	npu_space_fini(s);
	free(s);
}

/* Every page of the range is checked before anything happens. */
static void test_space_faults(void **state)
{
	struct host *h = *state;
	struct npu_space *s = calloc(1, sizeof(*s));
	struct hk_map m = { .va = 0x800, .bytes = 0x3000, .access = HK_WRITE };
	struct hk_fault f;

	npu_space_init(s);
	s->ctx = ctx;
	host_map(h, root, 0, RAM_BUS + AT_DATA, 0x3000, 0);
	assert_int_equal(s->base.ops->map(&s->base, &m, &f), -EFAULT);
	assert_int_equal(f.error, HEARTH_HW_ERR_WRITE);
	assert_int_equal(f.addr, 0x3000);
	host_map(h, root, 0x3000, RAM_BUS + AT_DATA + 0x3000, 4096, HEARTH_PTE_RO);
	assert_int_equal(s->base.ops->map(&s->base, &m, &f), -EFAULT);
	assert_int_equal(f.addr, 0x3000);
	m.access = HK_READ;
	assert_int_equal(s->base.ops->map(&s->base, &m, &f), 0);
	/* contiguous: a pointer, no copy */
	assert_int_equal(s->gathered, 0);
	assert_int_equal(s->base.ops->unmap(&s->base, &m, &f), 0);
	assert_null(ctx->accesses);
	npu_space_fini(s);
	free(s);
}

struct unmapper {
	struct host *h;
	bool done;
};

static void *unmap_main(void *arg)
{
	struct unmapper *u = arg;

	client_unmap(&u->h->c, RAM_BUS, RAM_BYTES);
	__atomic_store_n(&u->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void *flush_main(void *arg)
{
	struct unmapper *u = arg;

	npu_mmu_flush(ctx, 0x1000, 1);
	__atomic_store_n(&u->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Has the other thread come to where it has to wait? */
static bool unmap_started(struct host *h)
{
	struct vfu_dma *dma = &h->c.npu->vfu.dma;
	bool started;

	pthread_mutex_lock(&dma->lock);
	started = dma->unmapping;
	pthread_mutex_unlock(&dma->lock);
	return started;
}

static bool flush_started(struct host *h)
{
	bool started;

	(void)h;
	pthread_mutex_lock(&ctx->lock);
	started = ctx->generation;
	pthread_mutex_unlock(&ctx->lock);
	return started;
}

/* @main must not get through while the range is in use. */
static void expect_wait(struct host *h, void *(*main)(void *), bool (*started)(struct host *))
{
	struct npu_space *s = calloc(1, sizeof(*s));
	struct hk_map m = { .va = 0x1000, .bytes = 8192, .access = HK_READ };
	struct unmapper u = { .h = h };
	struct hk_fault f;
	pthread_t thread;

	npu_space_init(s);
	s->ctx = ctx;
	host_map(h, root, 0x1000, RAM_BUS + AT_DATA, 8192, 0);
	memset(host_ptr(h, AT_DATA), 0x42, 8192);
	assert_int_equal(s->base.ops->map(&s->base, &m, &f), 0);
	assert_int_equal(pthread_create(&thread, NULL, main, &u), 0);
	while (!started(h) && !__atomic_load_n(&u.done, __ATOMIC_ACQUIRE))
		sched_yield();
	assert_false(__atomic_load_n(&u.done, __ATOMIC_ACQUIRE));
	assert_int_equal(((uint8_t *)m.ptr)[8191], 0x42);
	assert_int_equal(s->base.ops->unmap(&s->base, &m, &f), 0);
	pthread_join(thread, NULL);
	assert_true(u.done);
	npu_space_fini(s);
	free(s);
}

static void test_unmap_waits(void **state)
{
	struct host *h = *state;

	expect_wait(h, unmap_main, unmap_started);
	flush_all();
	expect_fault(0x1000, false, HEARTH_HW_ERR_BUS, root);
}

static void test_flush_waits(void **state)
{
	expect_wait(*state, flush_main, flush_started);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		ROW(test_pages),
		ROW(test_bad_entries),
		ROW(test_unreachable_tables),
		ROW(test_blocks),
		ROW(test_cont),
		ROW(test_random),
		ROW(test_space),
		ROW(test_space_faults),
		ROW(test_unmap_waits),
		ROW(test_flush_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
