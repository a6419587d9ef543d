// SPDX-License-Identifier: MIT
/* Buffer objects: creation, mapping by the CPU, lives. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "harness.h"
#include "npu.h"

#define SIZE	(16 * NPU_PAGE)

FIXTURE(bo)
{
	int fd;
	struct drm_hearth_limits limits;
};

FIXTURE_SETUP(bo)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_limits(self->fd, &self->limits), 0);
}

FIXTURE_TEARDOWN(bo)
{
	close(self->fd);
}

static int create(int fd, uint64_t size, uint32_t flags, struct drm_hearth_bo_create *args)
{
	*args = (struct drm_hearth_bo_create){ .size = size, .flags = flags };
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE, args);
}

TEST_F(bo, size_is_rounded_up)
{
	struct drm_hearth_bo_create args;

	ASSERT_EQ(create(self->fd, 1, 0, &args), 0);
	EXPECT_EQ(args.size, (uint64_t)sysconf(_SC_PAGESIZE));
	EXPECT_NE(args.handle, 0u);
	ASSERT_EQ(create(self->fd, SIZE + 1, 0, &args), 0);
	EXPECT_EQ(args.size, SIZE + (uint64_t)sysconf(_SC_PAGESIZE));
}

TEST_F(bo, bad_sizes)
{
	const uint64_t sizes[] = {
		0, self->limits.max_bo_bytes + 1, 1ull << 39, 1ull << 63,
		UINT64_MAX - 4094, UINT64_MAX,
	};
	struct drm_hearth_bo_create args;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EXPECT_EQ(create(self->fd, sizes[i], 0, &args), -EINVAL);
		EXPECT_EQ(args.handle, 0u);
		EXPECT_EQ(args.size, sizes[i]);
	}
}

TEST_F(bo, largest_size_costs_nothing_until_used)
{
	struct drm_hearth_bo_create args;

	EXPECT_GT(self->limits.max_bo_bytes, 0u);
	ASSERT_EQ(create(self->fd, self->limits.max_bo_bytes, 0, &args), 0);
	EXPECT_EQ(args.size, self->limits.max_bo_bytes);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-resident-memory"), 0);
	EXPECT_EQ(npu_bo_close(self->fd, args.handle), 0);
}

TEST_F(bo, bad_flags)
{
	struct drm_hearth_bo_create args;
	int bit;

	for (bit = 2; bit < 32; bit++)
		EXPECT_EQ(create(self->fd, SIZE, 1u << bit, &args), -EINVAL);
}

/* The struct of a newer caller: fine as long as what is new is zero. */
TEST_F(bo, longer_struct)
{
	struct {
		struct drm_hearth_bo_create known;
		uint64_t unknown;
	} args = { .known.size = SIZE };
	unsigned long nr = DRM_IOWR(DRM_COMMAND_BASE + DRM_HEARTH_BO_CREATE, args);

	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), 0);
	EXPECT_NE(args.known.handle, 0u);
	args.known.handle = 0;
	args.unknown = 1;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -E2BIG);
	EXPECT_EQ(args.known.handle, 0u);
}

/* That of an older one, which ends behind flags: the rest is zero. */
TEST_F(bo, shorter_struct)
{
	struct {
		uint64_t size;
	} args = { .size = SIZE };
	unsigned long nr = DRM_IOWR(DRM_COMMAND_BASE + DRM_HEARTH_BO_CREATE, args);

	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), 0);
	EXPECT_EQ(args.size, SIZE);
}

TEST_F(bo, bad_pointer)
{
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, (void *)8), -EFAULT);
}

TEST_F(bo, memory_is_zero_and_keeps_what_is_written)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	uint8_t *p, *q;
	size_t i, dirt = 0;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	for (i = 0; i < SIZE; i++)
		dirt += p[i] != 0;
	EXPECT_EQ(dirt, 0u);

	memset(p, 0x5a, SIZE);
	q = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(q, MAP_FAILED);
	EXPECT_EQ(memcmp(p, q, SIZE), 0);
	munmap(p, SIZE);
	EXPECT_EQ(q[SIZE - 1], 0x5a);
	munmap(q, SIZE);
}

/* What one process wrote must not show in another's new buffer. */
TEST_F(bo, recycled_memory_is_zero)
{
	int round, bo;
	uint8_t *p;
	size_t i, dirt = 0;

	for (round = 0; round < 8; round++) {
		bo = npu_bo_create(self->fd, 4 << 20, 0);
		ASSERT_GT(bo, 0);
		p = npu_bo_map(self->fd, bo, 4 << 20);
		ASSERT_NE(p, MAP_FAILED);
		for (i = 0; i < 4 << 20; i += 64)
			dirt += p[i] != 0;
		memset(p, 0xff, 4 << 20);
		munmap(p, 4 << 20);
		ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	}
	EXPECT_EQ(dirt, 0u);
}

TEST_F(bo, mapping_outlives_handle_and_file)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	uint8_t *p;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 1;
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	ASSERT_EQ(close(self->fd), 0);
	self->fd = -1;
	EXPECT_EQ(p[0], 1);
	p[SIZE - 1] = 2;
	EXPECT_EQ(p[SIZE - 1], 2);
	munmap(p, SIZE);
}

TEST_F(bo, resident_from_first_touch)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	uint8_t *p;

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-total-memory"), (int64_t)SIZE);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-resident-memory"), 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-resident-memory"), 0);
	p[0] = 1;
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-resident-memory"), (int64_t)SIZE);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-total-memory"), 0);
	munmap(p, SIZE);
}

/* Pages have references, so the kernel can read a file right into them. */
TEST_F(bo, direct_io)
{
	int bo = npu_bo_create(self->fd, SIZE, 0), file, pipes[2];
	struct iovec iov;
	uint8_t *p;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);

	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(file, 0);
	EXPECT_EQ(read(file, p, NPU_PAGE), (ssize_t)NPU_PAGE);
	EXPECT_EQ(memcmp(p, "\177ELF", 4), 0);

	/* vmsplice() takes the pages themselves, as O_DIRECT does. */
	ASSERT_EQ(pipe(pipes), 0);
	iov = (struct iovec){ .iov_base = p, .iov_len = NPU_PAGE };
	EXPECT_EQ(vmsplice(pipes[1], &iov, 1, 0), (ssize_t)NPU_PAGE);
	munmap(p, SIZE);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	iov.iov_base = malloc(NPU_PAGE);
	EXPECT_EQ(read(pipes[0], iov.iov_base, NPU_PAGE), (ssize_t)NPU_PAGE);
	EXPECT_EQ(memcmp(iov.iov_base, "\177ELF", 4), 0);
}

TEST_F(bo, no_mmap)
{
	int bo = npu_bo_create(self->fd, SIZE, DRM_HEARTH_BO_NO_MMAP);
	struct drm_hearth_bo_mmap_offset args = { .handle = bo };

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -EPERM);
	EXPECT_EQ(args.offset, 0u);
}

/* Offsets are small and can be guessed; that must not help. */
TEST_F(bo, no_mmap_by_a_guessed_offset)
{
	int open_bo = npu_bo_create(self->fd, SIZE, 0);
	int shut_bo = npu_bo_create(self->fd, SIZE, DRM_HEARTH_BO_NO_MMAP);
	struct drm_hearth_bo_mmap_offset args = { .handle = open_bo };
	uint64_t at;
	void *p;

	ASSERT_GT(open_bo, 0);
	ASSERT_GT(shut_bo, 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), 0);
	for (at = args.offset + SIZE; at < args.offset + 8 * SIZE; at += NPU_PAGE) {
		p = mmap(NULL, NPU_PAGE, PROT_READ, MAP_SHARED, self->fd, at);
		EXPECT_EQ(p, MAP_FAILED);
	}
}

TEST_F(bo, another_file_may_not_map_it)
{
	int bo = npu_bo_create(self->fd, SIZE, 0), other = npu_open();
	struct drm_hearth_bo_mmap_offset args = { .handle = bo };
	void *p;

	ASSERT_GT(bo, 0);
	ASSERT_GE(other, 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), 0);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, other, args.offset);
	EXPECT_EQ(p, MAP_FAILED);
	EXPECT_EQ(errno, EACCES);
	close(other);
}

TEST_F(bo, mapping_has_bounds)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	struct drm_hearth_bo_mmap_offset args = { .handle = bo };
	void *p;

	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), 0);
	p = mmap(NULL, SIZE + NPU_PAGE, PROT_READ, MAP_SHARED, self->fd, args.offset);
	EXPECT_EQ(p, MAP_FAILED);
	p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, self->fd, args.offset);
	EXPECT_EQ(p, MAP_FAILED);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->fd, args.offset);
	EXPECT_NE(p, MAP_FAILED);
	EXPECT_EQ(mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE), MAP_FAILED);
}

TEST_F(bo, mmap_offset_bad_input)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	struct drm_hearth_bo_mmap_offset args = { .handle = bo, .pad = 1 };

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -EINVAL);
	args = (struct drm_hearth_bo_mmap_offset){ .handle = bo + 1000 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -ENOENT);
	args = (struct drm_hearth_bo_mmap_offset){ .handle = 0 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -ENOENT);
}

TEST_F(bo, close_twice)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);

	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_bo_close(self->fd, bo), 0);
	EXPECT_EQ(npu_bo_close(self->fd, bo), -EINVAL);
}

/* Part of a mapping goes, a fork shares the rest. */
TEST_F(bo, split_mapping_and_fork)
{
	int bo = npu_bo_create(self->fd, SIZE, 0), status;
	uint8_t *p;
	pid_t pid;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	ASSERT_EQ(munmap(p + 4 * NPU_PAGE, 4 * NPU_PAGE), 0);
	p[9 * NPU_PAGE] = 9;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		p[0] = p[9 * NPU_PAGE] == 9 ? 7 : 1;
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(p[0], 7);
}

TEST_F(bo, nothing_is_left)
{
	int64_t bos = npu_debugfs("objects", "bos"), i;
	int fd;

	if (bos < 0)
		SKIP("no debugfs");
	bos = npu_debugfs_until("objects", "bos", 0);
	fd = npu_open();
	ASSERT_GE(fd, 0);
	for (i = 0; i < 100; i++)
		ASSERT_GT(npu_bo_create(fd, SIZE, 0), 0);
	EXPECT_EQ(npu_debugfs("objects", "bos"), bos + 100);
	close(fd);
	EXPECT_EQ(npu_debugfs_until("objects", "bos", bos), bos);
}

TEST_HARNESS_MAIN
