// SPDX-License-Identifier: MIT
/* State between jobs: it grows, shrinks, is swapped, given up and comes back. */
#include <fcntl.h>
#include <sys/swap.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define EXT	WEIGHTS_EXTENT
#define MAX	(4 * EXT)
#define VA	WEIGHTS_VA

FIXTURE(state)
{
	struct npu_ctx ctx;
	int fd;
	uint32_t bo;
	uint8_t *p;
};

static int resize(int fd, uint32_t bo, uint64_t size)
{
	struct drm_hearth_bo_resize args = { .handle = bo, .size = size };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_RESIZE, &args);
}

/* Whether the contents are retained. */
static int advise(int fd, uint32_t bo, uint32_t advice)
{
	struct drm_hearth_bo_advise args = { .handle = bo, .advice = advice };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_ADVISE, &args);

	return ret ? ret : (int)args.retained;
}

FIXTURE_SETUP(state)
{
	char path[64];
	int bo;

	if (npu_path(path, sizeof(path)))
		SKIP("no NPU");
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	/* What the test before had counts until it is freed. */
	ASSERT_EQ(rig_idle(), 0);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	bo = npu_bo_create(self->fd, MAX, DRM_HEARTH_BO_STATE);
	if (bo == -EOPNOTSUPP)
		SKIP("a device that is not coherent has no state buffers");
	ASSERT_GT(bo, 0);
	self->bo = bo;
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, self->bo, 0, VA, MAX, 0), 0);
	self->p = npu_bo_map(self->fd, self->bo, MAX);
	ASSERT_NE(self->p, MAP_FAILED);
}

FIXTURE_TEARDOWN(state)
{
	rig_gate_open();
	munmap(self->p, MAX);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
}

static int64_t extents(void)
{
	return npu_debugfs("objects", "extents");
}

/* A job that writes 64 bytes of @value to @offset of the state. */
static int device_write(struct npu_ctx *ctx, uint64_t offset, uint8_t value)
{
	memset(ctx->stream + RIG_DATA, value, 64);
	return npu_ctx_run(ctx, npu_cmd_copy(ctx->stream, VA + offset, ctx->stream_va + RIG_DATA, 64),
			   RIG_DEADLINE);
}

/* One that reads 64 bytes there, all the same; their value. */
static int device_read(struct npu_ctx *ctx, uint64_t offset)
{
	uint8_t *got = ctx->stream + RIG_DATA + 64;
	size_t n;
	int ret;

	memset(got, 0xee, 64);
	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA + 64, VA + offset, 64);
	ret = npu_ctx_run(ctx, n, RIG_DEADLINE);
	if (ret)
		return ret;
	return got[0] == got[63] ? got[0] : -EBADMSG;
}

struct touch {
	uint8_t *at;
};

static int read_byte(void *arg)
{
	struct touch *touch = arg;

	return *(volatile uint8_t *)touch->at & 0;
}

/* -EINTR if it is a SIGBUS. */
static int cpu_touches(uint8_t *at)
{
	struct touch touch = { at };

	return rig_in_child(read_byte, &touch);
}

TEST_F(state, rejects_to_be_made)
{
	struct drm_hearth_bo_create args = { .size = EXT, .flags = DRM_HEARTH_BO_STATE << 1 };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, &args), -EINVAL);
	args.flags = DRM_HEARTH_BO_STATE;
	args.size = 0;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, &args), -EINVAL);
	args.size = UINT64_MAX;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, &args), -EINVAL);
	args.size = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, &args), 0);
	EXPECT_EQ(args.size, EXT);
}

TEST_F(state, rejects_resize)
{
	struct drm_hearth_bo_resize args = { .handle = self->bo, .size = EXT, .pad = 1 };
	int plain = npu_bo_create(self->fd, EXT, 0);

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_RESIZE, &args), -EINVAL);
	EXPECT_EQ(resize(self->fd, 0, EXT), -ENOENT);
	EXPECT_EQ(resize(self->fd, self->bo + 1000, EXT), -ENOENT);
	EXPECT_EQ(resize(self->fd, plain, EXT), -EINVAL);
	EXPECT_EQ(resize(self->fd, self->bo, MAX + 1), -ENOSPC);
	EXPECT_EQ(resize(self->fd, self->bo, UINT64_MAX), -ENOSPC);
	EXPECT_EQ(extents(), 0);

	args.pad = 0;
	args.size = EXT + 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_RESIZE, &args), 0);
	EXPECT_EQ(args.size, 2 * EXT);
	EXPECT_EQ(extents(), 2);
}

TEST_F(state, rejects_advice)
{
	struct drm_hearth_bo_advise good = { .handle = self->bo }, args;
	int plain = npu_bo_create(self->fd, EXT, 0);

	args = good;
	args.pad = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_ADVISE, &args), -EINVAL);
	args = good;
	args.retained = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_ADVISE, &args), -EINVAL);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_DONTNEED + 1), -EINVAL);
	EXPECT_EQ(advise(self->fd, self->bo + 1000, DRM_HEARTH_BO_DONTNEED), -ENOENT);
	EXPECT_EQ(advise(self->fd, plain, DRM_HEARTH_BO_DONTNEED), -EINVAL);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), 1);
}

TEST_F(state, rejects_binds)
{
	int fd = self->fd, vm = self->ctx.vm;

	EXPECT_EQ(npu_map(fd, vm, self->bo, 0, VA, MAX, DRM_HEARTH_BIND_READONLY), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, self->bo, 0, VA + NPU_PAGE, MAX, 0), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, self->bo, 0, VA, MAX - NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, self->bo, NPU_PAGE, VA, EXT, 0), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, self->bo, EXT, VA, MAX, 0), -EINVAL);
	EXPECT_EQ(npu_unmap(fd, vm, VA + NPU_PAGE, NPU_PAGE), -EINVAL);
	EXPECT_EQ(npu_vm_state(fd, vm), DRM_HEARTH_VM_USABLE);
}

TEST_F(state, rejects_mappings)
{
	int hidden = npu_bo_create(self->fd, EXT, DRM_HEARTH_BO_STATE | DRM_HEARTH_BO_NO_MMAP);
	struct drm_hearth_bo_mmap_offset args = { .handle = hidden };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -EPERM);
	args.handle = self->bo;
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), 0);
	EXPECT_EQ(mmap(NULL, EXT, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, args.offset),
		  MAP_FAILED);
	EXPECT_EQ(mmap(NULL, MAX + NPU_PAGE, PROT_READ, MAP_SHARED, self->fd, args.offset),
		  MAP_FAILED);
}

TEST_F(state, empty_at_first)
{
	struct drm_hearth_query_fault fault;

	EXPECT_EQ(extents(), 0);
	EXPECT_EQ(cpu_touches(self->p), -EINTR);
	EXPECT_EQ(device_read(&self->ctx, 0), -EFAULT);
	ASSERT_EQ(npu_query_fault(self->fd, self->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_MMU_READ);
	EXPECT_EQ(fault.address, VA);
}

TEST_F(state, grows_by_zeros_and_is_one_memory)
{
	struct npu_ctx *ctx = &self->ctx;

	ASSERT_EQ(resize(self->fd, self->bo, EXT), 0);
	EXPECT_EQ(extents(), 1);
	EXPECT_EQ(device_read(ctx, 64), 0);
	EXPECT_EQ(self->p[EXT - 1], 0);
	EXPECT_EQ(cpu_touches(self->p + EXT), -EINTR);

	ASSERT_EQ(device_write(ctx, 128, 0x31), 0);
	EXPECT_EQ(self->p[128 + 63], 0x31);
	memset(self->p + 4096, 0x32, 64);
	EXPECT_EQ(device_read(ctx, 4096), 0x32);

	ASSERT_EQ(resize(self->fd, self->bo, MAX), 0);
	EXPECT_EQ(extents(), 4);
	EXPECT_EQ(device_read(ctx, 128), 0x31);
	EXPECT_EQ(device_read(ctx, MAX - 64), 0);
	EXPECT_EQ(resize(self->fd, self->bo, MAX), 0);
}

/* Bytes of a huge page of the system; 0: there are none. */
static uint64_t huge_bytes(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
	unsigned long long n = 0;

	if (f) {
		if (fscanf(f, "%llu", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

/* An extent in a huge page is an entry of level 2: no table, in none of the address spaces. */
TEST_F(state, huge_pages_need_no_tables)
{
	int64_t tables = npu_debugfs("objects", "tables"), n = MAX / EXT;

	if (huge_bytes() != EXT)
		SKIP("no huge pages, or larger ones than an extent");
	if (rig_write("/proc/sys/vm/compact_memory", "1"))
		SKIP("no compaction: memory may be in pieces");
	ASSERT_EQ(resize(self->fd, self->bo, MAX), 0);
	EXPECT_EQ(extents(), n);
	EXPECT_LT(npu_debugfs("objects", "tables") - tables, n / 2);
	for (int i = 0; i < n; i++)
		ASSERT_EQ(device_write(&self->ctx, i * EXT + NPU_PAGE, i + 1), 0);
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(device_read(&self->ctx, i * EXT + NPU_PAGE), i + 1);
		EXPECT_EQ(self->p[i * EXT + NPU_PAGE], i + 1);
	}
	/* one of them goes, and comes back as zeros */
	ASSERT_EQ(resize(self->fd, self->bo, MAX - EXT), 0);
	EXPECT_EQ(cpu_touches(self->p + MAX - EXT), -EINTR);
	ASSERT_EQ(resize(self->fd, self->bo, MAX), 0);
	EXPECT_EQ(device_read(&self->ctx, MAX - EXT + NPU_PAGE), 0);
	EXPECT_EQ(self->p[MAX - EXT + NPU_PAGE], 0);
	EXPECT_EQ(self->p[MAX - 2 * EXT + NPU_PAGE], n - 1);
}

TEST_F(state, what_is_cut_off_is_gone)
{
	struct npu_ctx *ctx = &self->ctx;

	ASSERT_EQ(resize(self->fd, self->bo, MAX), 0);
	ASSERT_EQ(device_write(ctx, EXT - 64, 0x41), 0);
	ASSERT_EQ(device_write(ctx, EXT, 0x42), 0);
	memset(self->p + 3 * EXT, 0x43, 64);
	ASSERT_EQ(resize(self->fd, self->bo, EXT), 0);
	EXPECT_EQ(extents(), 1);
	EXPECT_EQ(cpu_touches(self->p + EXT), -EINTR);

	ASSERT_EQ(resize(self->fd, self->bo, MAX), 0);
	EXPECT_EQ(device_read(ctx, EXT - 64), 0x41);
	EXPECT_EQ(device_read(ctx, EXT), 0);
	EXPECT_EQ(self->p[EXT], 0);
	EXPECT_EQ(self->p[3 * EXT], 0);
	EXPECT_EQ(device_read(ctx, 3 * EXT), 0);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), 1);

	ASSERT_EQ(resize(self->fd, self->bo, EXT), 0);
	EXPECT_EQ(device_read(ctx, EXT), -EFAULT);
}

TEST_F(state, comes_back_before_the_next_job)
{
	struct npu_ctx *ctx = &self->ctx;
	int i;

	ASSERT_EQ(resize(self->fd, self->bo, 3 * EXT), 0);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(device_write(ctx, i * EXT + 64, 0x51 + i), 0);
	ASSERT_EQ(weights_evict(EXT), 0);
	EXPECT_EQ(extents(), 2);
	ASSERT_EQ(weights_shrink(MAX), 0);
	EXPECT_EQ(extents(), 0);

	/* The CPU's mapping is the same memory, whether the device has it or not. */
	EXPECT_EQ(self->p[64], 0x51);
	memset(self->p + EXT + 64, 0x61, 64);
	EXPECT_EQ(extents(), 0);
	EXPECT_EQ(device_read(ctx, 64), 0x51);
	EXPECT_EQ(extents(), 3);
	EXPECT_EQ(device_read(ctx, EXT + 64), 0x61);
	EXPECT_EQ(device_read(ctx, 2 * EXT + 64), 0x53);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), 1);
}

TEST_F(state, discarded_when_nobody_needs_it)
{
	const uint32_t need = DRM_HEARTH_BO_WILLNEED, dont = DRM_HEARTH_BO_DONTNEED;
	struct npu_ctx *ctx = &self->ctx;

	ASSERT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	memset(self->p, 0x71, 2 * EXT);

	/* Advice alone discards nothing, nor does an eviction after it was taken back. */
	EXPECT_EQ(advise(self->fd, self->bo, dont), 1);
	EXPECT_EQ(device_read(ctx, 0), 0x71);
	EXPECT_EQ(advise(self->fd, self->bo, need), 1);
	ASSERT_EQ(weights_evict(MAX), 0);
	EXPECT_EQ(advise(self->fd, self->bo, need), 1);
	EXPECT_EQ(device_read(ctx, 0), 0x71);

	EXPECT_EQ(advise(self->fd, self->bo, dont), 1);
	ASSERT_EQ(weights_shrink(1), 0);
	EXPECT_EQ(extents(), 1);
	EXPECT_EQ(self->p[0], 0);
	EXPECT_EQ(self->p[EXT], 0x71);
	/* So it is said until WILLNEED was told. */
	EXPECT_EQ(advise(self->fd, self->bo, dont), 0);
	EXPECT_EQ(advise(self->fd, self->bo, dont), 0);
	EXPECT_EQ(advise(self->fd, self->bo, need), 0);
	EXPECT_EQ(advise(self->fd, self->bo, need), 1);
	EXPECT_EQ(device_read(ctx, 0), 0);
	EXPECT_EQ(device_read(ctx, EXT), 0x71);
}

TEST_F(state, in_use)
{
	struct npu_ctx *ctx = &self->ctx;

	ASSERT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	self->p[EXT] = 0x81;
	if (rig_gate_shut(ctx, ctx->syncobj, 0))
		SKIP("no control channel");
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_DONTNEED), 1);
	ASSERT_TRUE(RIG_UNTIL(!weights_stat("droppable"), 10));
	EXPECT_EQ(resize(self->fd, self->bo, EXT), -EBUSY);
	EXPECT_EQ(resize(self->fd, self->bo, 0), -EBUSY);
	EXPECT_EQ(self->p[EXT], 0x81);
	EXPECT_EQ(resize(self->fd, self->bo, 3 * EXT), 0);
	EXPECT_EQ(self->p[2 * EXT], 0);
	ASSERT_EQ(weights_evict(MAX), 0);
	ASSERT_EQ(weights_shrink(MAX), 0);
	EXPECT_EQ(extents(), 3);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), 1);

	rig_gate_open();
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(self->p[EXT], 0x81);
	EXPECT_EQ(resize(self->fd, self->bo, 0), 0);
	EXPECT_EQ(extents(), 0);
}

/* The budget is what is there and one extent. */
static int leave_one_extent(int fd)
{
	struct drm_hearth_memory memory;
	int ret = keep_memory(fd, &memory);

	return ret ? ret : keep_set_attribute("memory_budget",
					      (memory.resident / EXT + 2) * EXT - 1);
}

TEST_F(state, budget)
{
	int64_t budget = keep_attribute("memory_budget");
	struct npu_ctx *ctx = &self->ctx;
	struct drm_hearth_memory memory;
	int other = npu_bo_create(self->fd, MAX, DRM_HEARTH_BO_STATE);
	uint64_t before;

	ASSERT_GT(budget, 0);
	ASSERT_EQ(resize(self->fd, self->bo, EXT), 0);
	memset(self->p, 0x91, 64);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	before = memory.resident;
	ASSERT_EQ(leave_one_extent(self->fd), 0);

	/* An error leaves everything as it was. */
	EXPECT_EQ(resize(self->fd, self->bo, 4 * EXT), -EDQUOT);
	EXPECT_EQ(cpu_touches(self->p + EXT), -EINTR);
	EXPECT_EQ(device_read(ctx, 0), 0x91);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(memory.resident, before);
	EXPECT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(memory.resident, before + EXT);

	/* Others' state that is needed stays, there is nowhere to put it. */
	EXPECT_EQ(memory.droppable, 0ull);
	EXPECT_EQ(resize(self->fd, other, EXT), -EDQUOT);
	EXPECT_EQ(extents(), 2);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_DONTNEED), 1);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(memory.droppable, 2 * EXT);
	EXPECT_EQ(resize(self->fd, other, EXT), 0);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), 0);

	EXPECT_EQ(keep_set_attribute("memory_budget", budget), 0);
}

TEST_F(state, of_a_model)
{
	struct drm_hearth_model_info info;
	int model;

	ASSERT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	model = keep_model(self->fd, self->bo, DRM_HEARTH_CLASS_NORMAL, DRM_HEARTH_KEEP_FOREVER,
			   "state");
	ASSERT_GT(model, 0);
	ASSERT_EQ(keep_model_get(self->fd, model, &info), 0);
	EXPECT_EQ(info.state_bytes, 2 * EXT);
	EXPECT_EQ(info.weights_bytes, 0ull);
	EXPECT_EQ(info.resident_bytes, 0ull);
	ASSERT_EQ(weights_evict(EXT), 0);
	ASSERT_EQ(keep_model_get(self->fd, model, &info), 0);
	EXPECT_EQ(info.state_bytes, EXT);
	EXPECT_EQ(info.dropped_bytes, 0ull);
}

static int64_t swap_used(void)
{
	long long size, used = 0;
	char line[256];
	FILE *f = fopen("/proc/swaps", "r");

	if (!f)
		return -ENOENT;
	while (fgets(line, sizeof(line), f))
		sscanf(line, "%*s %*s %lld %lld", &size, &used);
	fclose(f);
	return used << 10;
}

#define SWAP		WEIGHTS_FOLDER "/swap"
#define SWAP_BYTES	(16ull << 20)

/* mkswap(8): a page whose last bytes are the magic, and at 1024 version and last page. */
static int swap_on(void)
{
	static uint8_t block[1 << 16];
	uint32_t header[2] = { 1, SWAP_BYTES / NPU_PAGE - 1 };
	int fd = open(SWAP, O_RDWR | O_CREAT | O_TRUNC, 0600), ret = 0;
	uint64_t at;

	if (fd < 0)
		return -errno;
	memset(block, 0, sizeof(block));
	for (at = 0; at < SWAP_BYTES && !ret; at += sizeof(block))
		ret = pwrite(fd, block, sizeof(block), at) == sizeof(block) ? 0 : -EIO;
	if (pwrite(fd, header, sizeof(header), 1024) != sizeof(header) ||
	    pwrite(fd, "SWAPSPACE2", 10, NPU_PAGE - 10) != 10 || fsync(fd))
		ret = -EIO;
	close(fd);
	if (!ret && swapon(SWAP, 0))
		ret = -errno;
	return ret;
}

TEST_F_TIMEOUT(state, is_swapped_and_comes_back, 120)
{
	struct npu_ctx *ctx = &self->ctx;
	uint64_t i, wrong = 0;
	int64_t before, used;
	int ret, round;

	SKIP_WITHOUT(0);
	ASSERT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	for (i = 0; i < 2 * EXT; i++)
		self->p[i] = weights_byte(3, i);
	EXPECT_EQ(weights_stat("droppable"), 0);
	ret = swap_on();
	if (ret) {
		printf("# swapon: %s\n", strerror(-ret));
		SKIP("no swap");
	}
	EXPECT_EQ(weights_stat("droppable"), 2 * (int64_t)EXT);

	/* While the device has it, nobody swaps it. */
	before = swap_used();
	ASSERT_EQ(madvise(self->p, 2 * EXT, MADV_PAGEOUT), 0);
	EXPECT_EQ(swap_used(), before);
	ASSERT_EQ(weights_shrink(MAX), 0);
	/*
	 * It goes by what is mapped, and has unmapped it. So it does with a huge page that
	 * lies across two page tables of the CPU: that is split, and written by the next.
	 */
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 2 * EXT; i += NPU_PAGE)
			wrong += self->p[i] != weights_byte(3, i);
		ASSERT_EQ(madvise(self->p, 2 * EXT, MADV_PAGEOUT), 0);
	}
	EXPECT_EQ(wrong, 0u);
	used = swap_used() - before;
	printf("# %lld KiB of 4096 in the swap\n", (long long)used >> 10);
	EXPECT_GT(used, (int64_t)EXT);

	/* Through the device first: that is what reads it back. */
	EXPECT_EQ(device_write(ctx, 5 * NPU_PAGE, 0xa5), 0);
	for (i = 0; i < 2 * EXT; i++)
		wrong += self->p[i] != (i - 5 * NPU_PAGE < 64 ? 0xa5 : weights_byte(3, i));
	EXPECT_EQ(wrong, 0u);
	EXPECT_EQ(extents(), 2);
	EXPECT_EQ(swapoff(SWAP), 0);
	unlink(SWAP);
}

/* Two clients of one buffer are the same client twice: it is private until it is exported. */
TEST_F_TIMEOUT(state, sizes_meet_jobs_and_evictions, 120)
{
	uint64_t end = rig_now_ns() + 3 * NPU_SECOND;
	struct npu_ctx *ctx = &self->ctx;
	unsigned int i = 0, busy = 0;
	int evictor, ret;

	ASSERT_EQ(resize(self->fd, self->bo, EXT), 0);
	self->p[7] = 0xb7;
	fflush(stdout);
	evictor = fork();
	ASSERT_GE(evictor, 0);
	if (!evictor) {
		while (rig_now_ns() < end)
			weights_shrink((rand() % 5) * EXT);
		_exit(0);
	}
	for (; rig_now_ns() < end; i++) {
		ret = resize(self->fd, self->bo, (1 + i % 4) * EXT);
		busy += ret == -EBUSY;
		ASSERT_TRUE(!ret || ret == -EBUSY);
		ASSERT_EQ(device_read(ctx, 0) < 0 ? -1 : 0, 0);
		if (i % 4 == 3) {
			ASSERT_EQ(device_write(ctx, MAX - 64, i | 1), 0);
			ASSERT_EQ(device_read(ctx, MAX - 64), (uint8_t)(i | 1));
		} else if (i % 4 == 2) {
			ASSERT_EQ(device_read(ctx, 3 * EXT - 64), 0);
		}
	}
	waitpid(evictor, NULL, 0);
	printf("# %u sizes, %u busy\n", i, busy);
	EXPECT_EQ(self->p[7], 0xb7);
}

static int resize_for_ever(void *arg)
{
	int fd = npu_open(), bo, vm;
	unsigned int i;

	(void)arg;
	vm = npu_vm_create(fd);
	bo = npu_bo_create(fd, MAX, DRM_HEARTH_BO_STATE);
	for (i = 0;; i++) {
		if (npu_map(fd, vm, bo, 0, VA, MAX, 0) || resize(fd, bo, i % 5 * EXT))
			return -EIO;
	}
}

TEST_F_TIMEOUT(state, killed_at_any_point, 120)
{
	int i, wrong = 0, status;

	srand(2);
	for (i = 0; i < 50; i++) {
		const struct timespec nap = { .tv_nsec = rand() % 20 * 1000000 };
		pid_t pid;

		fflush(stdout);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			_exit(-resize_for_ever(NULL));
		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		wrong += !WIFSIGNALED(status);
	}
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(npu_debugfs_until("objects", "stores", 1), 1);
	EXPECT_EQ(extents(), 0);
}

/* What the CPU has mapped stays, and the contents are what they were. */
TEST_F(state, device_is_taken_away)
{
	ASSERT_EQ(resize(self->fd, self->bo, 2 * EXT), 0);
	ASSERT_EQ(device_write(&self->ctx, EXT, 0xc1), 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_EQ(self->p[EXT + 63], 0xc1);
	self->p[0] = 1;
	EXPECT_EQ(resize(self->fd, self->bo, 3 * EXT), -ENODEV);
	EXPECT_EQ(advise(self->fd, self->bo, DRM_HEARTH_BO_WILLNEED), -ENODEV);
	EXPECT_EQ(rig_bind(), 0);
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
