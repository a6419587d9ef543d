// SPDX-License-Identifier: MIT
/* DEV_QUERY: what it tells, and how it grows. */
#include <sys/mman.h>

#include "harness.h"
#include "npu.h"

FIXTURE(query)
{
	int fd;
};

FIXTURE_SETUP(query)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(query)
{
	close(self->fd);
}

static int query(int fd, uint32_t type, void *p, uint32_t *size)
{
	struct drm_hearth_dev_query args = { .type = type, .size = *size, .pointer = NPU_PTR(p) };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static const uint32_t sizes[] = {
	[DRM_HEARTH_DEV_QUERY_NPU_INFO] = sizeof(struct drm_hearth_npu_info),
	[DRM_HEARTH_DEV_QUERY_LIMITS] = sizeof(struct drm_hearth_limits),
};

TEST_F(query, null_pointer_asks_for_the_size)
{
	uint32_t type, size;

	for (type = 0; type < 2; type++) {
		size = 0;
		EXPECT_EQ(query(self->fd, type, NULL, &size), 0);
		EXPECT_EQ(size, sizes[type]);
		size = UINT32_MAX;
		EXPECT_EQ(query(self->fd, type, NULL, &size), 0);
		EXPECT_EQ(size, sizes[type]);
	}
}

TEST_F(query, info_makes_sense)
{
	struct drm_hearth_npu_info info;
	uint32_t size = sizeof(info);

	memset(&info, 0xff, sizeof(info));
	ASSERT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_NPU_INFO, &info, &size), 0);
	EXPECT_EQ(size, (uint32_t)sizeof(info));
	/* NOP and COPY_2D every device has. */
	EXPECT_EQ(info.ops & 3, 3u);
	EXPECT_EQ(info.contract >> 16, 1u);
	EXPECT_NE(info.fw_version, 0u);
	EXPECT_GE(info.slots, 1u);
	EXPECT_LE(info.slots, 16u);
	EXPECT_NE(info.freq_mhz, 0u);
}

TEST_F(query, limits_make_sense)
{
	struct drm_hearth_limits limits;
	uint32_t size = sizeof(limits);

	memset(&limits, 0xff, sizeof(limits));
	ASSERT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, &limits, &size), 0);
	EXPECT_GT(limits.va_start, 0u);
	EXPECT_LT(limits.va_start, limits.va_end);
	EXPECT_EQ(limits.page_sizes & NPU_PAGE, NPU_PAGE);
	EXPECT_EQ(limits.page_sizes & (NPU_PAGE - 1), 0u);
	EXPECT_GT(limits.max_bo_bytes, 0u);
	EXPECT_EQ(limits.max_stream_bytes % 8, 0u);
	EXPECT_GE(limits.max_jobs, 1u);
	EXPECT_GE(limits.max_syncs, 2u);
	EXPECT_GE(limits.max_binds, 1u);
	EXPECT_GE(limits.max_queues, limits.max_vms);
	EXPECT_EQ(limits.priorities & 3, 3u);
	EXPECT_EQ(limits.priorities >> 4, 0u);
}

/* An older caller gets the start and not a byte more. */
TEST_F(query, shorter_struct)
{
	uint32_t type, size, bytes;
	uint8_t whole[256], part[256];

	for (type = 0; type < 2; type++) {
		size = sizes[type];
		ASSERT_EQ(query(self->fd, type, whole, &size), 0);
		for (bytes = 0; bytes < sizes[type]; bytes += 4) {
			memset(part, 0xa5, sizeof(part));
			size = bytes;
			ASSERT_EQ(query(self->fd, type, part, &size), 0);
			EXPECT_EQ(size, bytes);
			EXPECT_EQ(memcmp(part, whole, bytes), 0);
			EXPECT_EQ(part[bytes], 0xa5);
		}
	}
}

/* A newer one learns how much we know; the rest is zero. */
TEST_F(query, longer_struct)
{
	uint32_t type, size;
	uint8_t p[256];
	size_t i;

	for (type = 0; type < 2; type++) {
		memset(p, 0xa5, sizeof(p));
		size = sizes[type] + 16;
		ASSERT_EQ(query(self->fd, type, p, &size), 0);
		EXPECT_EQ(size, sizes[type]);
		for (i = 0; i < 16; i++)
			EXPECT_EQ(p[sizes[type] + i], 0);
		EXPECT_EQ(p[sizes[type] + 16], 0xa5);
	}
}

TEST_F(query, oversize)
{
	static uint8_t p[8192];
	uint32_t size = 4096;

	EXPECT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, p, &size), 0);
	size = 4097;
	EXPECT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, p, &size), -E2BIG);
	size = UINT32_MAX;
	EXPECT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, p, &size), -E2BIG);
}

TEST_F(query, unknown_types)
{
	const uint32_t types[] = { 3, 4, 64, 0x7fffffff, 0x80000000, UINT32_MAX };
	uint8_t p[256];
	uint32_t size;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size = sizeof(p);
		EXPECT_EQ(query(self->fd, types[i], p, &size), -EINVAL);
		EXPECT_EQ(size, (uint32_t)sizeof(p));
		EXPECT_EQ(query(self->fd, types[i], NULL, &size), -EINVAL);
	}
}

TEST_F(query, bad_pointers)
{
	uint8_t *page = mmap(NULL, 2 * NPU_PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *const pointers[] = {
		(void *)8, (void *)UINTPTR_MAX, (void *)0xffff888000000000ull,
		page + NPU_PAGE - 8,
	};
	uint32_t size;
	size_t i;

	ASSERT_NE(page, MAP_FAILED);
	ASSERT_EQ(mprotect(page + NPU_PAGE, NPU_PAGE, PROT_READ), 0);
	for (i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++) {
		size = sizeof(struct drm_hearth_limits);
		EXPECT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, pointers[i], &size),
			  -EFAULT);
	}
	/* Just up to the end of the page is fine. */
	size = sizeof(struct drm_hearth_limits);
	EXPECT_EQ(query(self->fd, DRM_HEARTH_DEV_QUERY_LIMITS, page + NPU_PAGE - size, &size), 0);
}

TEST_F(query, longer_arguments)
{
	struct {
		struct drm_hearth_dev_query known;
		uint64_t unknown;
	} args = { .known.type = DRM_HEARTH_DEV_QUERY_LIMITS };
	unsigned long nr = DRM_IOWR(DRM_COMMAND_BASE + DRM_HEARTH_DEV_QUERY, args);

	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), 0);
	args.unknown = 1;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -E2BIG);
}

TEST_F(query, unknown_ioctls)
{
	uint64_t args[32] = { 0 };
	unsigned int nr;

	for (nr = DRM_HEARTH_RESERVE + 1; nr < 0x60; nr++)
		EXPECT_EQ(npu_ioctl(self->fd, DRM_IOWR(DRM_COMMAND_BASE + nr, args), args),
			  -EINVAL);
}

TEST_HARNESS_MAIN
