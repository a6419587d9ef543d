// SPDX-License-Identifier: MIT
/* What becomes of memory when the device is pulled out. */
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include "harness.h"
#include "npu.h"

#define VA	0x10000000ull
#define SIZE	(64 * NPU_PAGE)

FIXTURE(unplug)
{
	int fd;
	struct npu_ctx ctx;
	int bo;
	uint8_t *p;
};

FIXTURE_SETUP(unplug)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	self->bo = npu_bo_create(self->fd, SIZE, 0);
	ASSERT_GT(self->bo, 0);
	self->p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(self->p, MAP_FAILED);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	memset(self->p, 0x6b, SIZE);
}

/* The node of the new device takes a moment. */
static int wait_for_node(void)
{
	int i, fd = -ENOENT;

	for (i = 0; i < 500 && fd < 0; i++) {
		fd = npu_open();
		if (fd < 0)
			usleep(20000);
	}
	return fd;
}

FIXTURE_TEARDOWN(unplug)
{
	char answer[256];
	int fd;

	/* A fault that no job was there to take would hit the next program. */
	npu_ctl("clear", answer, sizeof(answer));
	close(self->fd);
	EXPECT_EQ(npu_host("plug"), 0);
	fd = wait_for_node();
	EXPECT_GE(fd, 0);
	close(fd);
}

static int foreign(int fd)
{
	int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	struct udmabuf_create create = { .size = SIZE };

	if (dev < 0)
		return -ENOENT;
	create.memfd = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(create.memfd, SIZE) || fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		return -errno;
	return npu_import(fd, ioctl(dev, UDMABUF_CREATE, &create));
}

#define UNPLUG_OR_SKIP()                                                                 \
	do {                                                                             \
		int _ret = npu_host("unplug");                                           \
		if (_ret == -EOPNOTSUPP)                                                 \
			SKIP("nobody to pull it out");                                   \
		ASSERT_EQ(_ret, 0);                                                      \
	} while (0)

TEST_F(unplug, mappings_stay)
{
	int fresh = npu_bo_create(self->fd, SIZE, 0), alien;
	uint8_t *q = npu_bo_map(self->fd, fresh, SIZE);
	struct drm_hearth_bo_create create = { .size = SIZE };
	size_t i, changed = 0;

	ASSERT_NE(q, MAP_FAILED);
	alien = foreign(self->fd);
	if (alien > 0) {
		ASSERT_EQ(npu_map(self->fd, self->ctx.vm, alien, 0, 2 * VA, SIZE, 0), 0);
		ASSERT_EQ(npu_map(self->fd, self->ctx.vm, alien, 0, 3 * VA, SIZE,
				  DRM_HEARTH_BIND_READONLY), 0);
	}
	UNPLUG_OR_SKIP();

	for (i = 0; i < SIZE; i++)
		changed += self->p[i] != 0x6b;
	EXPECT_EQ(changed, 0u);
	self->p[0] = 1;
	/* One that was not touched before gets its memory now. */
	EXPECT_EQ(q[SIZE - 1], 0);
	q[0] = 1;

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_BO_CREATE, &create), -ENODEV);
	EXPECT_EQ(npu_map(self->fd, self->ctx.vm, self->bo, 0, VA, SIZE, 0), -ENODEV);
	EXPECT_EQ(npu_unmap(self->fd, self->ctx.vm, VA, SIZE), -ENODEV);
	EXPECT_EQ(npu_vm_create(self->fd), -ENODEV);
	munmap(self->p, SIZE);
	munmap(q, SIZE);
}

TEST_F(unplug, dma_buf_stays)
{
	int dma_buf = npu_export(self->fd, self->bo, DRM_CLOEXEC | DRM_RDWR);
	uint8_t *q;

	ASSERT_GE(dma_buf, 0);
	UNPLUG_OR_SKIP();
	q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dma_buf, 0);
	ASSERT_NE(q, MAP_FAILED);
	EXPECT_EQ(q[100], 0x6b);
	munmap(q, SIZE);
	close(dma_buf);
}

/* Binds that wait for a fence of the device, which ends as the device does. */
TEST_F(unplug, queued_binds_fail)
{
	uint32_t before = npu_syncobj_create(self->fd, false);
	uint32_t after = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync hung = npu_signal(before, 0);
	struct drm_hearth_sync syncs[2] = { npu_wait(before, 0), npu_signal(after, 0) };
	struct drm_hearth_bind_op op = {
		.op = DRM_HEARTH_BIND_MAP, .bo_handle = self->bo, .va = VA + SIZE, .size = SIZE,
		.syncs = NPU_ARRAY(syncs, 2),
	};
	struct drm_hearth_vm_bind args = {
		.vm_id = self->ctx.vm, .flags = DRM_HEARTH_VM_BIND_ASYNC, .ops = NPU_ARRAY(&op, 1),
	};
	struct drm_syncobj_handle file = {
		.handle = after, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
	};
	int ret = npu_inject("hang");

	if (ret == -EOPNOTSUPP)
		SKIP("no emulated NPU");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(npu_submit(self->fd, self->ctx.queue, self->ctx.stream_va,
			     npu_cmd_nop(self->ctx.stream), &hung, 1), 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &file), 0);
	UNPLUG_OR_SKIP();
	/* The node's ioctls are gone, its fences are not. */
	EXPECT_EQ(npu_sync_file_wait(file.fd, 10000), -ENODEV);
	close(file.fd);
}

TEST_HARNESS_MAIN
