// SPDX-License-Identifier: MIT
/*
 * Weights in a region of their own: blocks of 2 MiB that are there once, each
 * limit of the region, and that nothing of it is lost.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define OTHER	WEIGHTS_FOLDER "/other"
/* Two whole blocks and one that is not; two such files and one more fill it. */
#define BYTES	(2 * WEIGHTS_EXTENT + 12345)
#define BLOCKS	3
#define SEED	5

FIXTURE(region)
{
	struct weights w;
	int64_t bytes;
};

FIXTURE_SETUP(region)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	self->bytes = npu_debugfs("objects", "region_bytes");
	/* What tests/qemu/region.dts reserves. */
	if (rig_boot_is("dt-region"))
		ASSERT_EQ(self->bytes, 8 * (int64_t)WEIGHTS_EXTENT);
	if (self->bytes <= 0)
		SKIP("no region, or no debugfs");
	/* More would take long to fill. */
	ASSERT_GE(self->bytes, 2 * BLOCKS * (int64_t)WEIGHTS_EXTENT);
	ASSERT_LE(self->bytes, 32 * (int64_t)WEIGHTS_EXTENT);
	ASSERT_EQ(weights_make(&self->w, PATH, BYTES, SEED), 0);
}

FIXTURE_TEARDOWN(region)
{
	rig_gate_open();
	weights_close(&self->w);
	unlink(PATH);
	unlink(OTHER);
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(npu_debugfs("objects", "region_used"), 0);
}

static int64_t blocks(void)
{
	return npu_debugfs("objects", "region_used") / (int64_t)WEIGHTS_EXTENT;
}

TEST_F(region, whole_blocks)
{
	struct weights *w = &self->w, second;

	EXPECT_EQ(blocks(), BLOCKS);
	EXPECT_EQ(npu_debugfs("objects", "extents"), BLOCKS);
	/* The last one, which ends with the file. The others need no table. */
	EXPECT_EQ(npu_debugfs("objects", "leaves"), 1);

	/* Once for all. */
	ASSERT_EQ(weights_open(&second, PATH), 0);
	EXPECT_EQ(weights_run(&second), 0);
	EXPECT_TRUE(weights_are(&second, SEED));
	EXPECT_EQ(blocks(), BLOCKS);
	weights_close(&second);

	ASSERT_EQ(weights_evict(1), 0);
	EXPECT_EQ(blocks(), BLOCKS - 1);
	ASSERT_EQ(weights_shrink(BYTES), 0);
	EXPECT_EQ(blocks(), 0);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_EQ(weights_stat("restores"), 2);
	EXPECT_GT(weights_stat("ns"), 0);
}

/* The page cache keeps no second copy. */
TEST_F(region, one_copy)
{
	uint8_t resident[BLOCKS] = { 0 };
	uint8_t *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->w.file, 0);
	int i;

	ASSERT_NE(p, MAP_FAILED);
	for (i = 0; i < BLOCKS; i++) {
		ASSERT_EQ(mincore(p + i * WEIGHTS_EXTENT, NPU_PAGE, &resident[i]), 0);
		EXPECT_EQ(resident[i] & 1, 0);
	}
	munmap(p, BYTES);
}

/* A file of as many bytes as the region fills it: the other one goes. */
TEST_F(region, full)
{
	struct weights *w = &self->w, other;

	ASSERT_EQ(weights_write(OTHER, self->bytes, SEED + 1), 0);
	ASSERT_EQ(weights_open(&other, OTHER), 0);
	EXPECT_EQ(weights_probe(&other, SEED + 1), 0);
	EXPECT_EQ(npu_debugfs("objects", "region_used"), self->bytes);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_EQ(npu_debugfs("objects", "region_used"), self->bytes);
	EXPECT_EQ(weights_probe(&other, SEED + 1), 0);
	weights_close(&other);
}

/* Touches memory until what is asked for next comes out of the region; how many bytes. */
static size_t hog_all_but_the_region(uint8_t *hog, size_t bytes)
{
	const int64_t all = npu_number("/proc/meminfo", "CmaFree");
	size_t at;

	for (at = 0; at + WEIGHTS_EXTENT <= bytes; at += WEIGHTS_EXTENT) {
		if (npu_number("/proc/meminfo", "CmaFree") < all - 2 * (int64_t)WEIGHTS_EXTENT)
			break;
		memset(hog + at, 1, WEIGHTS_EXTENT);
	}
	return at;
}

/*
 * The page cache has the file where its blocks shall be. A page that is held to be
 * copied cannot be moved, so the block is there before the pages are.
 */
TEST_F(region, the_file_is_in_it)
{
	const size_t bytes = npu_number("/proc/meminfo", "MemFree");
	struct weights other;
	uint8_t *hog;

	if (!rig_boot_is("dt-region"))
		SKIP("the region is no part of the page cache's memory");
	hog = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(hog, MAP_FAILED);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_LT(hog_all_but_the_region(hog, bytes) + WEIGHTS_EXTENT, bytes);
	ASSERT_EQ(weights_write(OTHER, self->bytes, SEED + 1), 0);
	munmap(hog, bytes);

	ASSERT_EQ(weights_open(&other, OTHER), 0);
	EXPECT_EQ(weights_probe(&other, SEED + 1), 0);
	EXPECT_EQ(npu_debugfs("objects", "region_used"), self->bytes);
	weights_close(&other);
}

/* What a job uses stays: then there is no memory for the other one. */
TEST_F(region, full_and_in_use)
{
	struct weights *w = &self->w, other;
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(weights_write(OTHER, self->bytes, SEED + 1), 0);
	ASSERT_EQ(weights_open(&other, OTHER), 0);
	if (npu_inject("slow=100"))
		SKIP("no control channel");
	ASSERT_EQ(weights_submit(w), 0);
	EXPECT_TRUE(RIG_UNTIL(*(volatile uint8_t *)(w->out + 1) == weights_byte(SEED, 1), 10));

	EXPECT_EQ(weights_probe(&other, SEED + 1), -ENOMEM);
	ASSERT_EQ(npu_query_fault(other.ctx.fd, other.ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_RESTORE);
	EXPECT_EQ(fault.error, (uint32_t)ENOMEM);
	EXPECT_EQ(npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, 0), -ETIME);

	rig_gate_open();
	ASSERT_EQ(weights_wait(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	weights_close(&other);

	/* Nothing of that is left: it fits now. */
	ASSERT_EQ(weights_open(&other, OTHER), 0);
	EXPECT_EQ(weights_probe(&other, SEED + 1), 0);
	weights_close(&other);
}

/* A part of a file may fit where all of it never could. */
TEST_F(region, larger_than_the_region)
{
	int fd = self->w.ctx.fd, file;

	file = open(OTHER, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_GE(file, 0);
	ASSERT_EQ(ftruncate(file, self->bytes + 1), 0);
	close(file);
	file = open(OTHER, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(file, 0);
	EXPECT_EQ(weights_bo(fd, file, 0, 0), -EFBIG);
	EXPECT_EQ(weights_bo(fd, file, 0, self->bytes + 1), -EFBIG);
	EXPECT_GT(weights_bo(fd, file, 0, self->bytes), 0);
	EXPECT_GT(weights_bo(fd, file, WEIGHTS_EXTENT, 0), 0);
	close(file);
}

static int admit(struct weights *w, struct drm_hearth_admit *args, uint64_t bytes)
{
	return keep_admit(w->ctx.fd, args, bytes, 0, 0, DRM_HEARTH_CLASS_NORMAL);
}

TEST_F(region, admit)
{
	const uint64_t free = self->bytes - BLOCKS * WEIGHTS_EXTENT;
	struct weights *w = &self->w;
	struct drm_hearth_admit args;

	ASSERT_EQ(admit(w, &args, free), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_EQ(args.available_bytes, free);

	/* One byte takes a block. */
	ASSERT_EQ(admit(w, &args, free + 1), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_AFTER_DROP);
	EXPECT_EQ(args.limit, (uint32_t)DRM_HEARTH_LIMIT_REGION);
	EXPECT_EQ(args.limit_bytes, (uint64_t)self->bytes);

	/* The last extent of what would go has a block to itself. */
	ASSERT_EQ(admit(w, &args, self->bytes), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_AFTER_DROP);
	EXPECT_EQ(args.limit, (uint32_t)DRM_HEARTH_LIMIT_REGION);

	ASSERT_EQ(admit(w, &args, self->bytes + 1), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_EQ(args.limit, (uint32_t)DRM_HEARTH_LIMIT_REGION);
	EXPECT_EQ(args.limit_bytes, (uint64_t)self->bytes);

	/* State lives elsewhere. */
	ASSERT_EQ(keep_admit(w->ctx.fd, &args, free, self->bytes, 0, DRM_HEARTH_CLASS_NORMAL), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);

	if (npu_inject("slow=100"))
		SKIP("no control channel");
	ASSERT_EQ(weights_submit(w), 0);
	EXPECT_TRUE(RIG_UNTIL(*(volatile uint8_t *)(w->out + 1) == weights_byte(SEED, 1), 10));
	ASSERT_EQ(admit(w, &args, free + 1), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(args.limit, (uint32_t)DRM_HEARTH_LIMIT_REGION);
	rig_gate_open();
	ASSERT_EQ(weights_wait(w), 0);
}

/* What is there counts as there. */
TEST_F(region, admit_of_what_is_there)
{
	struct drm_hearth_admit args = {
		.demand = { .weights_bytes = BYTES, .weights_fd = self->w.file,
			    .model_class = DRM_HEARTH_CLASS_NORMAL },
	};
	struct drm_hearth_memory memory;

	ASSERT_EQ(npu_ioctl(self->w.ctx.fd, DRM_IOCTL_HEARTH_ADMIT, &args), 0);
	EXPECT_EQ(args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_EQ(args.needed_bytes, 0ull);

	ASSERT_EQ(keep_memory(self->w.ctx.fd, &memory), 0);
	EXPECT_EQ(memory.droppable, (BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE);
	EXPECT_GE(memory.resident, memory.droppable);
	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(keep_memory(self->w.ctx.fd, &memory), 0);
	EXPECT_EQ(memory.droppable, 0ull);
}

/* The copy is none of the file any more. */
TEST_F(region, stale)
{
	struct weights *w = &self->w;
	struct drm_hearth_query_fault fault;
	int writer = open(PATH, O_WRONLY | O_CLOEXEC);

	ASSERT_GE(writer, 0);
	ASSERT_EQ(pwrite(writer, "x", 1, WEIGHTS_EXTENT), 1);
	close(writer);
	EXPECT_EQ(weights_run(w), -ESTALE);
	weights_close(w);

	ASSERT_EQ(weights_open(w, PATH), 0);
	ASSERT_EQ(weights_run(w), 0);
	EXPECT_EQ(w->out[WEIGHTS_EXTENT], 'x');
	EXPECT_EQ(w->out[WEIGHTS_EXTENT + 1], weights_byte(SEED, WEIGHTS_EXTENT + 1));
	EXPECT_EQ(npu_query_fault(w->ctx.fd, w->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_NONE);
}

/* Swap goes through the cache: only to a device that snoops. That of the device tree does not. */
TEST_F(region, state_lives_elsewhere)
{
	int bo = npu_bo_create(self->w.ctx.fd, WEIGHTS_EXTENT, DRM_HEARTH_BO_STATE);

	if (rig_boot_is("dt-region"))
		EXPECT_EQ(bo, -EOPNOTSUPP);
	else
		EXPECT_GT(bo, 0);
	EXPECT_EQ(blocks(), BLOCKS);
}

TEST_F(region, device_unbound)
{
	ASSERT_EQ(rig_unbind(), 0);
	weights_close(&self->w);
	ASSERT_EQ(rig_bind(), 0);
	EXPECT_EQ(npu_debugfs("objects", "region_bytes"), self->bytes);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "region_bytes") <= 0)
		SKIP("no region, or no debugfs");
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(npu_debugfs("objects", "region_used"), 0);
}

TEST_HARNESS_MAIN
