// SPDX-License-Identifier: MIT
/* Buffers that come and go as dma-bufs. */
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "harness.h"
#include "npu.h"

#define VA	0x10000000ull
#define SIZE	(16 * NPU_PAGE)
#define WAIT	(10 * NPU_SECOND)

FIXTURE(prime)
{
	int fd;
	struct npu_ctx ctx;
	int bo;
};

FIXTURE_SETUP(prime)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	self->bo = npu_bo_create(self->fd, SIZE, 0);
	ASSERT_GT(self->bo, 0);
}

FIXTURE_TEARDOWN(prime)
{
	close(self->fd);
}

static int copy(struct npu_ctx *ctx, uint64_t dst, uint64_t src, uint32_t bytes)
{
	return npu_ctx_run(ctx, npu_cmd_copy(ctx->stream, dst, src, bytes), WAIT);
}

/* Foreign memory: a memfd as a dma-buf. -ENOENT where there is no udmabuf. */
static int udmabuf(size_t size, int *memfd)
{
	struct udmabuf_create create = { .size = size, .flags = UDMABUF_FLAGS_CLOEXEC };
	int dev, ret;

	dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return -ENOENT;
	*memfd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*memfd < 0 || ftruncate(*memfd, size) || fcntl(*memfd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		close(dev);
		return -errno;
	}
	create.memfd = *memfd;
	ret = ioctl(dev, UDMABUF_CREATE, &create);
	close(dev);
	return ret < 0 ? -errno : ret;
}

TEST_F(prime, own_buffer_comes_home)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC | DRM_RDWR);

	ASSERT_GE(dma_buf, 0);
	EXPECT_EQ(npu_import(self->fd, dma_buf), self->bo);
	EXPECT_EQ(lseek(dma_buf, 0, SEEK_END), (off_t)SIZE);
	close(dma_buf);
}

TEST_F(prime, other_file_shares_memory)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC | DRM_RDWR);
	int other = npu_open(), bo;
	uint8_t *p, *q;

	ASSERT_GE(dma_buf, 0);
	ASSERT_GE(other, 0);
	bo = npu_import(other, dma_buf);
	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	q = npu_bo_map(other, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	ASSERT_NE(q, MAP_FAILED);
	p[5] = 0x42;
	EXPECT_EQ(q[5], 0x42);
	close(dma_buf);

	/* The last of many names holds it. */
	ASSERT_EQ(npu_bo_close(self->fd, self->bo), 0);
	munmap(p, SIZE);
	EXPECT_EQ(q[5], 0x42);
	munmap(q, SIZE);
	EXPECT_EQ(npu_map(other, npu_vm_create(other), bo, 0, VA, SIZE, 0), 0);
	close(other);
}

/* Two clients, one buffer: what one's device work writes, the other's reads. */
TEST_F(prime, two_clients_on_the_device)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC | DRM_RDWR);
	int other = npu_open(), bo;
	struct npu_ctx ctx;

	ASSERT_GE(dma_buf, 0);
	ASSERT_GE(other, 0);
	ASSERT_EQ(npu_ctx_init(&ctx, other, DRM_HEARTH_QUEUE_NORMAL), 0);
	bo = npu_import(other, dma_buf);
	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	ASSERT_EQ(npu_map(other, ctx.vm, bo, 0, 2 * VA, SIZE, DRM_HEARTH_BIND_READONLY), 0);

	memset(self->ctx.stream + 4096, 0x66, 64);
	EXPECT_EQ(copy(&self->ctx, VA, self->ctx.stream_va + 4096, 64), 0);
	EXPECT_EQ(copy(&ctx, ctx.stream_va + 4096, 2 * VA, 64), 0);
	EXPECT_EQ(ctx.stream[4096 + 63], 0x66);
	EXPECT_EQ(copy(&ctx, 2 * VA, ctx.stream_va, 64), -EFAULT);
	close(other);
	close(dma_buf);
}

TEST_F(prime, cpu_maps_the_dma_buf)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC | DRM_RDWR);
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	uint8_t *p, *q;

	ASSERT_GE(dma_buf, 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	ASSERT_NE(p, MAP_FAILED);
	EXPECT_EQ(npu_ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	p[SIZE - 1] = 0x19;
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	EXPECT_EQ(npu_ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	q = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(q, MAP_FAILED);
	EXPECT_EQ(q[SIZE - 1], 0x19);

	/* From the middle, and past the end. */
	q = mmap(NULL, NPU_PAGE, PROT_READ, MAP_SHARED, dma_buf, SIZE - NPU_PAGE);
	ASSERT_NE(q, MAP_FAILED);
	EXPECT_EQ(q[NPU_PAGE - 1], 0x19);
	EXPECT_EQ(mmap(NULL, 2 * NPU_PAGE, PROT_READ, MAP_SHARED, dma_buf, SIZE - NPU_PAGE),
		  MAP_FAILED);
	close(dma_buf);
}

TEST_F(prime, read_only_dma_buf)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC);

	ASSERT_GE(dma_buf, 0);
	EXPECT_EQ(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0), MAP_FAILED);
	EXPECT_NE(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, dma_buf, 0), MAP_FAILED);
	close(dma_buf);
}

TEST_F(prime, no_mmap_holds_for_the_dma_buf)
{
	int bo = npu_bo_create(self->fd, SIZE, DRM_HEARTH_BO_NO_MMAP);
	int dma_buf = npu_export(self->fd, bo, DRM_CLOEXEC | DRM_RDWR);

	ASSERT_GE(dma_buf, 0);
	EXPECT_EQ(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, dma_buf, 0), MAP_FAILED);
	EXPECT_EQ(errno, EPERM);
	EXPECT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, VA, SIZE, 0), 0);
	close(dma_buf);
}

TEST_F(prime, dma_buf_outlives_the_file)
{
	int fd = npu_open(), bo, dma_buf;
	uint8_t *p;

	ASSERT_GE(fd, 0);
	bo = npu_bo_create(fd, SIZE, 0);
	dma_buf = npu_export(fd, bo, DRM_CLOEXEC | DRM_RDWR);
	ASSERT_GE(dma_buf, 0);
	close(fd);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 1;
	bo = npu_import(self->fd, dma_buf);
	ASSERT_GT(bo, 0);
	close(dma_buf);
	EXPECT_EQ(p[0], 1);
	EXPECT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, VA, SIZE, 0), 0);
}

TEST_F(prime, foreign_buffer)
{
	int memfd, dma_buf, bo;
	uint8_t *p;

	dma_buf = udmabuf(SIZE, &memfd);
	if (dma_buf == -ENOENT)
		SKIP("no udmabuf");
	ASSERT_GE(dma_buf, 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(p, MAP_FAILED);
	memset(p, 0x3c, 64);

	bo = npu_import(self->fd, dma_buf);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_import(self->fd, dma_buf), bo);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, VA, SIZE, 0), 0);
	EXPECT_EQ(copy(&self->ctx, VA + 64, VA, 64), 0);
	EXPECT_EQ(p[127], 0x3c);
	close(dma_buf);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	EXPECT_EQ(copy(&self->ctx, VA + 128, VA, 64), 0);
	EXPECT_EQ(p[191], 0x3c);
}

/* First only to read, then to write as well: two directions of one buffer. */
TEST_F(prime, foreign_buffer_read_only)
{
	int memfd, dma_buf, bo;
	uint8_t *p;

	dma_buf = udmabuf(SIZE, &memfd);
	if (dma_buf == -ENOENT)
		SKIP("no udmabuf");
	ASSERT_GE(dma_buf, 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ASSERT_NE(p, MAP_FAILED);
	memset(p, 0x5e, 64);
	bo = npu_import(self->fd, dma_buf);
	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, VA, SIZE, DRM_HEARTH_BIND_READONLY), 0);
	EXPECT_EQ(copy(&self->ctx, self->ctx.stream_va + 4096, VA, 64), 0);
	EXPECT_EQ(self->ctx.stream[4096], 0x5e);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, 2 * VA, SIZE, 0), 0);
	EXPECT_EQ(copy(&self->ctx, 2 * VA + 64, VA, 64), 0);
	EXPECT_EQ(p[127], 0x5e);
	EXPECT_EQ(copy(&self->ctx, VA + 192, VA, 64), -EFAULT);
	EXPECT_EQ(p[192], 0);
	close(dma_buf);
}

TEST_F(prime, foreign_buffer_is_mapped_by_its_owner)
{
	struct drm_hearth_bo_mmap_offset args = { 0 };
	int memfd, dma_buf, bo;

	dma_buf = udmabuf(SIZE, &memfd);
	if (dma_buf == -ENOENT)
		SKIP("no udmabuf");
	ASSERT_GE(dma_buf, 0);
	bo = npu_import(self->fd, dma_buf);
	ASSERT_GT(bo, 0);
	args.handle = bo;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args), -EINVAL);
	close(dma_buf);
}

/* Where Android's HALs have their buffers from. */
static int heap_buffer(size_t bytes)
{
	struct dma_heap_allocation_data args = { .len = bytes, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC), ret;

	if (heap < 0)
		return -errno;
	ret = ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &args) ? -errno : (int)args.fd;
	close(heap);
	return ret;
}

TEST_F(prime, heap_buffer)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	int dma_buf = heap_buffer(SIZE), bo;
	uint8_t *p;

	if (dma_buf == -ENOENT)
		SKIP("no dma-heap");
	ASSERT_GE(dma_buf, 0);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	ASSERT_NE(p, MAP_FAILED);
	ASSERT_EQ(ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	memset(p, 0x4d, 64);
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
	ASSERT_EQ(ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync), 0);

	bo = npu_import(self->fd, dma_buf);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_import(self->fd, dma_buf), bo);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, VA, SIZE, 0), 0);
	/* From its first page to its last. */
	EXPECT_EQ(copy(&self->ctx, VA + SIZE - 64, VA, 64), 0);
	sync.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ;
	ASSERT_EQ(ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync), 0);
	EXPECT_EQ(p[SIZE - 1], 0x4d);
	EXPECT_EQ(p[SIZE - 65], 0);
	munmap(p, SIZE);
	/* The heap's memory stays for as long as the device has it mapped. */
	close(dma_buf);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	EXPECT_EQ(copy(&self->ctx, self->ctx.stream_va + 4096, VA, 64), 0);
	EXPECT_EQ(self->ctx.stream[4096], 0x4d);
}

TEST_F(prime, not_a_dma_buf)
{
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ASSERT_GE(file, 0);
	EXPECT_EQ(npu_import(self->fd, file), -EINVAL);
	EXPECT_EQ(npu_import(self->fd, -1), -EBADF);
	EXPECT_EQ(npu_export(self->fd, 0, DRM_CLOEXEC), -ENOENT);
	EXPECT_EQ(npu_export(self->fd, self->bo + 1000, DRM_CLOEXEC), -ENOENT);
}

TEST_F(prime, nothing_is_left)
{
	int64_t bos = npu_debugfs("objects", "bos");
	int fd, memfd, dma_buf, own, bo;

	if (bos < 0)
		SKIP("no debugfs");
	bos = npu_debugfs_until("objects", "bos", 2);
	dma_buf = udmabuf(SIZE, &memfd);
	if (dma_buf == -ENOENT)
		SKIP("no udmabuf");
	ASSERT_GE(dma_buf, 0);
	fd = npu_open();
	ASSERT_GE(fd, 0);
	bo = npu_import(fd, dma_buf);
	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_map(fd, npu_vm_create(fd), bo, 0, VA, SIZE, 0), 0);
	own = npu_export(fd, npu_bo_create(fd, SIZE, 0), DRM_CLOEXEC);
	ASSERT_GE(own, 0);
	EXPECT_EQ(npu_debugfs("objects", "bos"), bos + 2);
	close(fd);
	EXPECT_EQ(npu_debugfs("objects", "bos"), bos + 1);
	close(own);
	EXPECT_EQ(npu_debugfs_until("objects", "bos", bos), bos);
}

TEST_HARNESS_MAIN
