// SPDX-License-Identifier: MIT
/* Weights as dma-bufs: who gets one reads that range of the file, and nothing else. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/shared"
#define EXT	WEIGHTS_EXTENT
#define BYTES	(2 * EXT + 99)
#define SIZE	(3 * EXT)
#define PAGES	(2 * EXT + NPU_PAGE)
#define SEED	21
#define OTHER	12345

FIXTURE(share)
{
	struct weights w;
	int dma_buf;
	int sockets[2];
};

FIXTURE_SETUP(share)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU | WEIGHTS_NEED_DEBUGFS);
	ASSERT_EQ(keep_open_node(), 0);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(chmod(PATH, 0600), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(weights_are(&self->w, SEED));
	self->dma_buf = npu_export(self->w.ctx.fd, self->w.bo, DRM_CLOEXEC);
	ASSERT_GE(self->dma_buf, 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, self->sockets), 0);
}

FIXTURE_TEARDOWN(share)
{
	weights_close(&self->w);
	close(self->dma_buf);
	unlink(PATH);
}

/* A buffer has one dma-buf: who asks for it again gets it as it is. */
static bool again_is_read_only(int fd, uint32_t bo)
{
	int dma_buf = npu_export(fd, bo, DRM_CLOEXEC | DRM_RDWR);
	bool ret = dma_buf >= 0 && (fcntl(dma_buf, F_GETFL) & O_ACCMODE) == O_RDONLY;

	close(dma_buf);
	return ret;
}

TEST_F(share, is_read_only)
{
	int fresh = weights_bo(self->w.ctx.fd, self->w.file, 0, 0);

	EXPECT_EQ(npu_export(self->w.ctx.fd, fresh, DRM_CLOEXEC | DRM_RDWR), -EACCES);
	EXPECT_TRUE(again_is_read_only(self->w.ctx.fd, self->w.bo));
	EXPECT_EQ(lseek(self->dma_buf, 0, SEEK_END), (off_t)PAGES);
	EXPECT_EQ(mmap(NULL, NPU_PAGE, PROT_READ, MAP_SHARED, self->dma_buf, 0), MAP_FAILED);
	EXPECT_EQ(errno, EPERM);
	EXPECT_EQ(mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->dma_buf, 0),
		  MAP_FAILED);
}

TEST_F(share, state_is_private)
{
	int bo = npu_bo_create(self->w.ctx.fd, EXT, DRM_HEARTH_BO_STATE);

	if (bo == -EOPNOTSUPP)
		SKIP("a device that is not coherent has no state buffers");
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_export(self->w.ctx.fd, bo, DRM_CLOEXEC), -EOPNOTSUPP);
	EXPECT_EQ(npu_export(self->w.ctx.fd, bo, DRM_CLOEXEC | DRM_RDWR), -EOPNOTSUPP);
}

TEST_F(share, comes_home_and_is_counted_once)
{
	const int64_t extents = npu_debugfs("objects", "extents");
	struct drm_hearth_memory before, after;
	struct npu_ctx ctx;
	int bo;

	EXPECT_EQ(npu_import(self->w.ctx.fd, self->dma_buf), (int)self->w.bo);
	ASSERT_EQ(npu_bo_close(self->w.ctx.fd, self->w.bo), 0);
	ASSERT_EQ(keep_memory(self->w.ctx.fd, &before), 0);
	bo = weights_receive(&ctx, npu_open(), self->dma_buf, SIZE);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, EXT, EXT), 0);
	EXPECT_EQ(npu_debugfs("objects", "stores"), 1);
	EXPECT_EQ(npu_debugfs("objects", "extents"), extents);
	ASSERT_EQ(keep_memory(self->w.ctx.fd, &after), 0);
	/* No more than the page buffers of the other client. */
	EXPECT_LE(after.resident - before.resident, NPU_STREAM_BYTES);
	weights_let_go(&ctx);
}

TEST_F(share, nothing_beyond_the_range)
{
	int part = weights_bo(self->w.ctx.fd, self->w.file, EXT, EXT);
	const uint32_t ro = DRM_HEARTH_BIND_READONLY;
	struct npu_ctx ctx;
	int fd, bo, dma_buf;
	size_t n;

	ASSERT_GT(part, 0);
	dma_buf = npu_export(self->w.ctx.fd, part, DRM_CLOEXEC);
	ASSERT_GE(dma_buf, 0);
	EXPECT_EQ(lseek(dma_buf, 0, SEEK_END), (off_t)EXT);
	fd = npu_open();
	ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	bo = npu_import(fd, dma_buf);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_map(fd, ctx.vm, bo, 0, WEIGHTS_VA, 2 * EXT, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, ctx.vm, bo, EXT, WEIGHTS_VA, EXT, ro), -EINVAL);
	EXPECT_EQ(npu_map(fd, ctx.vm, bo, 0, WEIGHTS_VA, EXT, 0), -EACCES);
	ASSERT_EQ(npu_map(fd, ctx.vm, bo, 0, WEIGHTS_VA, EXT, ro), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, EXT), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, EXT - 64, 2 * EXT - 64), 0);
	n = npu_cmd_copy(ctx.stream, WEIGHTS_VA, ctx.stream_va, 64);
	EXPECT_EQ(npu_ctx_run(&ctx, n, RIG_DEADLINE), -EFAULT);
	weights_let_go(&ctx);
	close(dma_buf);
}

/* Somebody who may not open the file, and has only what comes over the socket. */
static int be_other_user(void *arg)
{
	int *socket = arg, dma_buf, bo;
	struct npu_ctx ctx;
	char path[32];

	if (open(PATH, O_RDONLY) >= 0 || errno != EACCES)
		return -EBADE;
	dma_buf = rig_receive_fd(*socket);
	if (dma_buf < 0)
		return dma_buf;
	/* Neither is it the file under another name. */
	if (read(dma_buf, path, 1) >= 0 || weights_bo(npu_open(), dma_buf, 0, 0) != -EINVAL)
		return -EBADF;
	bo = weights_receive(&ctx, npu_open(), dma_buf, SIZE);
	if (bo < 0)
		return bo;
	if (npu_map(ctx.fd, ctx.vm, bo, 0, WEIGHTS_VA, SIZE, 0) != -EACCES)
		return -EPERM;
	if (!again_is_read_only(ctx.fd, bo))
		return -EPERM;
	return weights_read_part(&ctx, SEED, 2 * EXT, 2 * EXT);
}

TEST_F(share, with_another_user)
{
	ASSERT_EQ(rig_send_fd(self->sockets[0], self->dma_buf), 0);
	EXPECT_EQ(keep_as_user(OTHER, be_other_user, &self->sockets[1]), 0);
	/* Nor when it was dropped: it is read again for whoever has the buffer. */
	ASSERT_EQ(weights_evict(SIZE), 0);
	ASSERT_EQ(rig_send_fd(self->sockets[0], self->dma_buf), 0);
	EXPECT_EQ(keep_as_user(OTHER, be_other_user, &self->sockets[1]), 0);
}

static void export_and_wait(int socket)
{
	struct weights w;

	if (weights_open(&w, PATH) || weights_run(&w) ||
	    rig_send_fd(socket, npu_export(w.ctx.fd, w.bo, DRM_CLOEXEC)))
		_exit(1);
	for (;;)
		pause();
}

TEST_F(share, its_owner_is_killed)
{
	struct npu_ctx ctx;
	int dma_buf;
	pid_t pid;

	weights_close(&self->w);
	close(self->dma_buf);
	fflush(stdout);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		export_and_wait(self->sockets[1]);
	dma_buf = rig_receive_fd(self->sockets[0]);
	ASSERT_GE(dma_buf, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	ASSERT_GT(weights_receive(&ctx, npu_open(), dma_buf, SIZE), 0);
	close(dma_buf);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 64, 64), 0);
	ASSERT_EQ(weights_shrink(SIZE), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 2 * EXT, 2 * EXT), 0);
	weights_let_go(&ctx);
	EXPECT_EQ(npu_debugfs_until("objects", "stores", 0), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	self->dma_buf = -1;
}

TEST_F(share, stale_for_all)
{
	struct npu_ctx ctx;
	int writer;

	ASSERT_GT(weights_receive(&ctx, npu_open(), self->dma_buf, SIZE), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, 0), 0);
	writer = open(PATH, O_WRONLY);
	ASSERT_EQ(pwrite(writer, "x", 1, EXT), 1);
	close(writer);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, 0), -ESTALE);
	weights_let_go(&ctx);
}

static int open_vgem(void)
{
	char path[32], name[16];
	int i, fd;

	for (i = 128; i < 192; i++) {
		struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };

		snprintf(path, sizeof(path), "/dev/dri/renderD%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		memset(name, 0, sizeof(name));
		if (fd >= 0 && !npu_ioctl(fd, DRM_IOCTL_VERSION, &version) &&
		    !strcmp(name, "vgem"))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

/* Another device, which maps all that it imports in both directions; a newer vgem never does. */
TEST_F(share, a_device_that_would_write)
{
	int vgem = open_vgem(), handle;

	if (vgem < 0)
		SKIP("no vgem");
	handle = npu_import(vgem, self->dma_buf);
	EXPECT_TRUE(handle == -EACCES || handle > 0);
	/* What were mapped could not go. */
	EXPECT_GT(weights_stat("droppable"), 0);
	ASSERT_EQ(weights_evict(SIZE), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
	close(vgem);
}

/* To a device that came later it is foreign, and its pages are gone with the old one. */
TEST_F(share, the_device_goes)
{
	/* Blocks of a region are for no other device. */
	int gone = npu_debugfs("objects", "region_bytes") > 0 ? -EOPNOTSUPP : -ENODEV;
	int fd, vm, bo;

	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_EQ(npu_import(self->w.ctx.fd, self->dma_buf), -ENODEV);
	ASSERT_EQ(rig_bind(), 0);
	ASSERT_TRUE(RIG_UNTIL((fd = npu_open()) >= 0, 10));
	vm = npu_vm_create(fd);
	bo = npu_import(fd, self->dma_buf);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, WEIGHTS_VA, PAGES, 0), -EACCES);
	EXPECT_EQ(npu_map(fd, vm, bo, 0, WEIGHTS_VA, PAGES, DRM_HEARTH_BIND_READONLY), gone);
	close(fd);
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
