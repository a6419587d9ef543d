// SPDX-License-Identifier: MIT
/* BO_CREATE_FILE: which files, which ranges, which binds, and that they are shared. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "harness.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define BYTES	(2 * WEIGHTS_EXTENT + 12345)
#define SIZE	(3 * WEIGHTS_EXTENT)
#define SEED	1

FIXTURE(file_bo)
{
	int fd;
	int file;
	int vm;
};

FIXTURE_SETUP(file_bo)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	self->file = open(PATH, O_RDONLY | O_CLOEXEC);
	ASSERT_GE(self->file, 0);
	self->vm = npu_vm_create(self->fd);
	ASSERT_GT(self->vm, 0);
}

FIXTURE_TEARDOWN(file_bo)
{
	close(self->file);
	close(self->fd);
	unlink(PATH);
	EXPECT_EQ(rig_idle(), 0);
}

static int create(int fd, struct drm_hearth_bo_create_file *args)
{
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE_FILE, args);
}

TEST_F(file_bo, sizes)
{
	const struct {
		uint64_t offset, size, want;
	} rows[] = {
		{ 0, 0, SIZE },
		{ 0, 1, WEIGHTS_EXTENT },
		{ 0, WEIGHTS_EXTENT, WEIGHTS_EXTENT },
		{ 0, WEIGHTS_EXTENT + 1, 2 * WEIGHTS_EXTENT },
		{ 0, BYTES, SIZE },
		{ 0, SIZE, SIZE },
		{ WEIGHTS_EXTENT, 0, 2 * WEIGHTS_EXTENT },
		{ 2 * WEIGHTS_EXTENT, 12345, WEIGHTS_EXTENT },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct drm_hearth_bo_create_file args = {
			.fd = self->file, .offset = rows[i].offset, .size = rows[i].size,
		};

		EXPECT_EQ(create(self->fd, &args), 0);
		EXPECT_NE(args.handle, 0u);
		EXPECT_EQ(args.size, rows[i].want);
	}
}

TEST_F(file_bo, bad_ranges)
{
	const struct {
		uint64_t offset, size;
	} rows[] = {
		{ 1, 0 }, { NPU_PAGE, 0 }, { WEIGHTS_EXTENT / 2, 0 }, { SIZE, 0 }, { SIZE, 1 },
		{ 1ull << 40, 0 }, { UINT64_MAX - WEIGHTS_EXTENT + 1, WEIGHTS_EXTENT },
		{ 0, SIZE + 1 }, { 2 * WEIGHTS_EXTENT, WEIGHTS_EXTENT + 1 }, { 0, UINT64_MAX },
		{ WEIGHTS_EXTENT, UINT64_MAX - NPU_PAGE },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct drm_hearth_bo_create_file args = {
			.fd = self->file, .offset = rows[i].offset, .size = rows[i].size,
		};

		EXPECT_EQ(create(self->fd, &args), -EINVAL);
		EXPECT_EQ(args.handle, 0u);
		EXPECT_EQ(args.size, rows[i].size);
	}
}

TEST_F(file_bo, bad_flags)
{
	struct drm_hearth_bo_create_file args;
	int bit;

	for (bit = 0; bit < 32; bit++) {
		args = (struct drm_hearth_bo_create_file){ .fd = self->file, .flags = 1u << bit };
		EXPECT_EQ(create(self->fd, &args), -EINVAL);
	}
	args = (struct drm_hearth_bo_create_file){ .fd = self->file, .pad = 1 };
	EXPECT_EQ(create(self->fd, &args), -EINVAL);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE_FILE, (void *)8), -EFAULT);
}

TEST_F(file_bo, bad_fds)
{
	int pipes[2], path = open(PATH, O_PATH), writer = open(PATH, O_WRONLY);
	int null = open("/dev/null", O_RDONLY), folder = open("/tmp", O_RDONLY);
	int proc = open("/proc/self/status", O_RDONLY), self_exe = open("/proc/self/exe", O_RDONLY);

	ASSERT_EQ(pipe(pipes), 0);
	EXPECT_EQ(weights_bo(self->fd, -1, 0, 0), -EBADF);
	EXPECT_EQ(weights_bo(self->fd, 4000, 0, 0), -EBADF);
	EXPECT_EQ(weights_bo(self->fd, path, 0, 0), -EBADF);
	EXPECT_EQ(weights_bo(self->fd, writer, 0, 0), -EACCES);
	EXPECT_EQ(weights_bo(self->fd, pipes[0], 0, 0), -EINVAL);
	EXPECT_EQ(weights_bo(self->fd, null, 0, 0), -EINVAL);
	EXPECT_EQ(weights_bo(self->fd, folder, 0, 0), -EINVAL);
	EXPECT_EQ(weights_bo(self->fd, self->fd, 0, 0), -EINVAL);
	EXPECT_LT(weights_bo(self->fd, proc, 0, 0), 0);
	/* The root of the guest has no disk behind it. */
	EXPECT_EQ(weights_bo(self->fd, self_exe, 0, 0), -EOPNOTSUPP);
}

TEST_F(file_bo, file_systems_without_a_page_cache_to_drop)
{
	int memfd = memfd_create("weights", MFD_CLOEXEC), file;

	ASSERT_EQ(weights_write("/tmp/weights", BYTES, SEED), 0);
	file = open("/tmp/weights", O_RDONLY);
	EXPECT_EQ(weights_bo(self->fd, file, 0, 0), -EOPNOTSUPP);
	unlink("/tmp/weights");
	ASSERT_EQ(ftruncate(memfd, BYTES), 0);
	EXPECT_EQ(weights_bo(self->fd, memfd, 0, 0), -EOPNOTSUPP);
}

TEST_F(file_bo, empty_and_huge_files)
{
	int file = open(WEIGHTS_FOLDER "/odd", O_RDWR | O_CREAT, 0644), reader;

	ASSERT_GE(file, 0);
	reader = open(WEIGHTS_FOLDER "/odd", O_RDONLY);
	ASSERT_EQ(close(file), 0);
	EXPECT_EQ(weights_bo(self->fd, reader, 0, 0), -EINVAL);
	ASSERT_EQ(truncate(WEIGHTS_FOLDER "/odd", 1ll << 40), 0);
	EXPECT_EQ(weights_bo(self->fd, reader, 0, 0), -EFBIG);
	close(reader);
	unlink(WEIGHTS_FOLDER "/odd");
}

TEST_F(file_bo, somebody_may_write)
{
	int writer = open(PATH, O_RDWR);
	void *p;

	ASSERT_GE(writer, 0);
	EXPECT_EQ(weights_bo(self->fd, self->file, 0, 0), -ETXTBSY);
	EXPECT_EQ(weights_bo(self->fd, writer, 0, 0), -ETXTBSY);
	p = mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, writer, 0);
	ASSERT_NE(p, MAP_FAILED);
	close(writer);
	EXPECT_EQ(weights_bo(self->fd, self->file, 0, 0), -ETXTBSY);
	munmap(p, NPU_PAGE);
	EXPECT_GT(weights_bo(self->fd, self->file, 0, 0), 0);
}

TEST_F(file_bo, no_mmap_no_export_to_write)
{
	int bo = weights_bo(self->fd, self->file, 0, 0);
	struct drm_hearth_bo_mmap_offset offset = { .handle = bo };
	struct drm_prime_handle prime = { .handle = bo, .flags = DRM_RDWR, .fd = -1 };

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &offset), -EPERM);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime), -EACCES);
}

TEST_F(file_bo, binds)
{
	int bo = weights_bo(self->fd, self->file, 0, 0), plain = npu_bo_create(self->fd, SIZE, 0);
	const uint32_t ro = DRM_HEARTH_BIND_READONLY;
	const uint64_t va = WEIGHTS_VA, ext = WEIGHTS_EXTENT;
	int fd = self->fd, vm = self->vm;

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, va, SIZE, 0), -EACCES);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, va + NPU_PAGE, SIZE, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, va, SIZE - NPU_PAGE, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, bo, NPU_PAGE, va, ext, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, bo, NPU_PAGE, va + NPU_PAGE, ext, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, bo, ext, va, SIZE, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, va, SIZE, ro), 0);

	/* What would cut an extent changes nothing. */
	EXPECT_EQ(npu_unmap(fd, vm, va + NPU_PAGE, NPU_PAGE), -EINVAL);
	EXPECT_EQ(npu_unmap(fd, vm, va - ext, ext + NPU_PAGE), -EINVAL);
	EXPECT_EQ(npu_unmap(fd, vm, va + SIZE - NPU_PAGE, ext), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, plain, 0, va + NPU_PAGE, NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(fd, vm, plain, 0, va + SIZE - NPU_PAGE, 2 * NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_vm_state(fd, vm), DRM_HEARTH_VM_USABLE);

	/* Whole extents may go. */
	EXPECT_EQ(npu_unmap(fd, vm, va + ext, ext), 0);
	EXPECT_EQ(npu_map(fd, vm, plain, 0, va + ext + NPU_PAGE, NPU_PAGE, 0), 0);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, va, SIZE, ro), 0);
	EXPECT_EQ(npu_map(fd, vm, bo, ext, va, ext, ro), 0);
	EXPECT_EQ(npu_unmap(fd, vm, 0x1000000, 2 * SIZE + va), 0);
	EXPECT_EQ(npu_vm_state(fd, vm), DRM_HEARTH_VM_USABLE);
}

/* Submits look at each mapping of a file, so there is a limit. */
TEST_F(file_bo, number_of_mappings)
{
	int bo = weights_bo(self->fd, self->file, 0, WEIGHTS_EXTENT), i, ret = 0;

	ASSERT_GT(bo, 0);
	for (i = 0; i < 1100 && !ret; i++)
		ret = npu_map(self->fd, self->vm, bo, 0, WEIGHTS_VA + 2 * i * WEIGHTS_EXTENT,
			      WEIGHTS_EXTENT, DRM_HEARTH_BIND_READONLY);
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_EQ(i - 1, 1024);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, WEIGHTS_VA, WEIGHTS_EXTENT), 0);
	EXPECT_EQ(npu_map(self->fd, self->vm, bo, 0, WEIGHTS_VA, WEIGHTS_EXTENT,
			  DRM_HEARTH_BIND_READONLY), 0);
}

FIXTURE(weights)
{
	struct weights w;
};

FIXTURE_SETUP(weights)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
}

FIXTURE_TEARDOWN(weights)
{
	weights_close(&self->w);
	unlink(PATH);
}

TEST_F(weights, are_what_the_file_says)
{
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

/* Up to the end of the page there are zeros, behind it nothing. */
TEST_F(weights, end_of_the_file)
{
	struct npu_ctx *ctx = &self->w.ctx;
	const uint64_t end = (BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE;
	struct drm_hearth_query_fault fault;
	size_t n, i, dirt = 0;

	memset(ctx->stream + RIG_DATA, 1, NPU_PAGE);
	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA + BYTES, end - BYTES);
	ASSERT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), 0);
	for (i = 0; i < end - BYTES; i++)
		dirt += ctx->stream[RIG_DATA + i] != 0;
	EXPECT_EQ(dirt, 0u);

	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA + end, 1);
	EXPECT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), -EFAULT);
	ASSERT_EQ(npu_query_fault(ctx->fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_MMU_READ);
	EXPECT_EQ(fault.address, WEIGHTS_VA + end);
}

TEST_F(weights, the_device_may_not_write)
{
	struct npu_ctx *ctx = &self->w.ctx;
	struct drm_hearth_query_fault fault;
	size_t n = npu_cmd_copy(ctx->stream, WEIGHTS_VA, ctx->stream_va, 64);
	uint8_t first;

	EXPECT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), -EFAULT);
	ASSERT_EQ(npu_query_fault(ctx->fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_MMU_WRITE);
	ASSERT_EQ(pread(self->w.file, &first, 1, 0), 1);
	EXPECT_EQ(first, weights_byte(SEED, 0));
}

/* Whole extents unmapped and moved: the rest is where it was. */
TEST_F(weights, mappings_are_split)
{
	struct npu_ctx *ctx = &self->w.ctx;
	struct drm_hearth_query_fault fault;
	size_t n;

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(npu_unmap(ctx->fd, ctx->vm, WEIGHTS_VA + WEIGHTS_EXTENT, WEIGHTS_EXTENT), 0);
	ASSERT_EQ(weights_evict(SIZE), 0);
	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA + 64, 64);
	n += npu_cmd_copy(ctx->stream + n, ctx->stream_va + RIG_DATA + 64,
			  WEIGHTS_VA + 2 * WEIGHTS_EXTENT, 64);
	ASSERT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA], weights_byte(SEED, 64));
	EXPECT_EQ(ctx->stream[RIG_DATA + 64], weights_byte(SEED, 2 * WEIGHTS_EXTENT));
	/* What nobody maps was not read. */
	EXPECT_EQ(npu_debugfs("objects", "extents"), 2);

	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA + WEIGHTS_EXTENT, 64);
	EXPECT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), -EFAULT);
	ASSERT_EQ(npu_query_fault(ctx->fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.address, WEIGHTS_VA + WEIGHTS_EXTENT);
}

static int run_and_compare(struct weights *w)
{
	int ret = weights_run(w);

	return ret ? ret : weights_are(w, SEED) ? 0 : -EBADMSG;
}

/* A process that opens all anew, and counts what it adds. */
static int second_sharer(void *arg)
{
	int64_t *tables = arg, before = npu_debugfs("objects", "tables");
	struct weights w;
	int ret;

	ret = weights_open(&w, PATH);
	if (ret)
		return ret;
	ret = run_and_compare(&w);
	/* Those of the buffers that are its own: the stream's, and what it wrote to. */
	tables[0] = npu_debugfs("objects", "tables") - before;
	tables[1] = npu_debugfs("objects", "stores");
	tables[2] = npu_debugfs("objects", "extents");
	weights_close(&w);
	return ret;
}

TEST_F(weights, two_processes_have_one_copy)
{
	int64_t *seen = mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			     -1, 0);
	int64_t restored;

	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	ASSERT_EQ(run_and_compare(&self->w), 0);
	restored = weights_stat("read");
	EXPECT_EQ(restored, (int64_t)((BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE));
	EXPECT_EQ(rig_in_child(second_sharer, seen), 0);
	EXPECT_EQ(seen[1], 1);
	EXPECT_EQ(seen[2], 3);
	/*
	 * A root; directories of 1 GiB for the stream, the file, the output; and
	 * leaves for the first and the last. None for the file, which has 3.
	 */
	EXPECT_LE(seen[0], 1 + 3 + 1 + 3);
	EXPECT_EQ(weights_stat("read"), restored);
	EXPECT_EQ(run_and_compare(&self->w), 0);
}

/* A name that is put over the old one is another file; the old one goes on. */
TEST_F(weights, another_file_is_another_store)
{
	struct weights other;

	ASSERT_EQ(run_and_compare(&self->w), 0);
	ASSERT_EQ(weights_write(PATH ".new", BYTES, SEED + 1), 0);
	ASSERT_EQ(rename(PATH ".new", PATH), 0);
	ASSERT_EQ(weights_open(&other, PATH), 0);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED + 1));
	EXPECT_EQ(run_and_compare(&self->w), 0);
	EXPECT_EQ(npu_debugfs("objects", "stores"), 2);
	weights_close(&other);
}

TEST_F(weights, resident_memory_is_told)
{
	const int64_t before = npu_fdinfo(self->w.ctx.fd, "drm-resident-memory");
	const int64_t pages = (BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE;

	ASSERT_EQ(run_and_compare(&self->w), 0);
	EXPECT_EQ(weights_stat("resident"), pages);
	EXPECT_EQ(npu_fdinfo(self->w.ctx.fd, "drm-resident-memory"), before + pages);
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
