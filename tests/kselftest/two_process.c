// SPDX-License-Identifier: MIT
/* Two processes on one device: apart where they must be, together where they want. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"
#include "rig.h"

#define NOWHERE	0x60000000ull
#define SHARED	0x70000000ull
#define SIZE	(16 * NPU_PAGE)

FIXTURE(two)
{
	int fd;
	struct npu_ctx ctx;
	int sockets[2];
};

FIXTURE_SETUP(two)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, self->sockets), 0);
}

FIXTURE_TEARDOWN(two)
{
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	EXPECT_EQ(rig_idle(), 0);
}

/* A process beside ours with a device file of its own. */
struct neighbour {
	int (*body)(struct npu_ctx *ctx, int socket);
	int socket;
};

static int be_neighbour(void *arg)
{
	struct neighbour *n = arg;
	struct npu_ctx ctx;
	int fd = npu_open(), ret;

	if (fd < 0)
		return fd;
	ret = npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	return ret ? ret : n->body(&ctx, n->socket);
}

static pid_t start(struct neighbour *n)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(40);
		_exit(-be_neighbour(n));
	}
	return pid;
}

static int end(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int tell(int socket)
{
	return write(socket, "x", 1) == 1 ? 0 : -EIO;
}

static int hear(int socket)
{
	char byte;

	return read(socket, &byte, 1) == 1 ? 0 : -EIO;
}

static int copy_often(struct npu_ctx *ctx, int socket)
{
	int i, ret = 0;

	(void)socket;
	for (i = 0; i < 50 && !ret; i++)
		ret = rig_copy_works(ctx, i + getpid());
	return ret;
}

/* The same device addresses in both, other bytes behind them. */
TEST_F(two, copy_side_by_side)
{
	struct neighbour n = { .body = copy_often };
	pid_t first = start(&n), second = start(&n);

	EXPECT_EQ(copy_often(&self->ctx, 0), 0);
	EXPECT_EQ(end(first), 0);
	EXPECT_EQ(end(second), 0);
}

static int fault_often(struct npu_ctx *ctx, int socket)
{
	int i, ret;
	size_t n;

	for (i = 0; i < 10; i++) {
		n = npu_cmd_copy(ctx->stream, NOWHERE, ctx->stream_va, 8);
		ret = npu_ctx_run(ctx, n, RIG_DEADLINE);
		if (ret != -EFAULT)
			return ret ? ret : -EBADE;
		ret = npu_queue_destroy(ctx->fd, ctx->queue);
		if (!ret)
			ret = npu_queue_create(ctx->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
		if (ret < 0)
			return ret;
		ctx->queue = ret;
	}
	return tell(socket);
}

TEST_F(two, faults_of_one_are_not_the_others)
{
	struct neighbour n = { .body = fault_often, .socket = self->sockets[1] };
	struct drm_hearth_query_fault fault;
	pid_t pid = start(&n);

	EXPECT_EQ(copy_often(&self->ctx, 0), 0);
	EXPECT_EQ(end(pid), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	ASSERT_EQ(npu_query_fault(self->fd, self->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_NONE);
}

/* What one has mapped there, another does not see there. */
static int read_of_the_other(struct npu_ctx *ctx, int socket)
{
	struct drm_hearth_query_fault fault;
	size_t n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, SHARED, 64);
	int ret;

	(void)socket;
	ret = npu_ctx_run(ctx, n, RIG_DEADLINE);
	if (ret != -EFAULT || npu_query_fault(ctx->fd, ctx->queue, &fault))
		return -EBADE;
	return fault.address == SHARED ? 0 : -EBADE;
}

TEST_F(two, address_spaces_are_apart)
{
	struct neighbour n = { .body = read_of_the_other };
	int bo = npu_bo_create(self->fd, SIZE, 0);

	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, SHARED, SIZE, 0), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_EQ(end(start(&n)), 0);
}

static int use_handles_of_the_other(struct npu_ctx *ctx, int socket)
{
	uint32_t handle;

	(void)socket;
	/* Ours are 1 each: the others' are above. */
	for (handle = 2; handle < 20; handle++) {
		if (npu_map(ctx->fd, ctx->vm, handle, 0, SHARED, NPU_PAGE, 0) != -ENOENT ||
		    npu_map(ctx->fd, handle, ctx->bo, 0, SHARED, NPU_PAGE, 0) != -ENOENT ||
		    npu_submit(ctx->fd, handle, ctx->stream_va, 8, NULL, 0) != -ENOENT ||
		    npu_queue_destroy(ctx->fd, handle) != -ENOENT ||
		    npu_vm_destroy(ctx->fd, handle) != -ENOENT ||
		    npu_bo_close(ctx->fd, handle) != -EINVAL)
			return -EBADE;
	}
	return 0;
}

TEST_F(two, handles_are_private)
{
	struct neighbour n = { .body = use_handles_of_the_other };
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_GT(npu_bo_create(self->fd, SIZE, 0), 0);
		ASSERT_GT(npu_vm_create(self->fd), 0);
		ASSERT_GT(npu_queue_create(self->fd, self->ctx.vm, 0), 0);
	}
	EXPECT_EQ(end(start(&n)), 0);
}

static int pass_prime(int fd, uint32_t handle, int socket)
{
	int dma_buf = npu_export(fd, handle, DRM_CLOEXEC | DRM_RDWR), ret;

	if (dma_buf < 0)
		return dma_buf;
	ret = rig_send_fd(socket, dma_buf);
	close(dma_buf);
	return ret;
}

static int take_prime(int fd, int socket)
{
	int dma_buf = rig_receive_fd(socket), ret;

	if (dma_buf < 0)
		return dma_buf;
	ret = npu_import(fd, dma_buf);
	close(dma_buf);
	return ret;
}

static int pass_syncobj(int fd, uint32_t handle, int socket)
{
	struct drm_syncobj_handle args = { .handle = handle, .fd = -1 };
	int ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	if (!ret) {
		ret = rig_send_fd(socket, args.fd);
		close(args.fd);
	}
	return ret;
}

static int take_syncobj(int fd, int socket)
{
	struct drm_syncobj_handle args = { .fd = rig_receive_fd(socket) };
	int ret;

	if (args.fd < 0)
		return args.fd;
	ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &args);
	close(args.fd);
	return ret ? ret : (int)args.handle;
}

/*
 * Its job waits for point 1 of the other's, then moves the byte on in the
 * shared buffer and signals point 2.
 */
static int second_in_the_chain(struct npu_ctx *ctx, int socket)
{
	int bo = take_prime(ctx->fd, socket);
	int line = take_syncobj(ctx->fd, socket);
	struct drm_hearth_sync syncs[2];
	size_t n;
	int ret;

	if (bo < 0 || line < 0)
		return bo < 0 ? bo : line;
	ret = npu_map(ctx->fd, ctx->vm, bo, 0, SHARED + SIZE, SIZE, 0);
	if (ret || hear(socket))
		return ret ? ret : -EIO;
	syncs[0] = npu_wait(line, 1);
	syncs[1] = npu_signal(line, 2);
	n = npu_cmd_copy(ctx->stream, SHARED + SIZE + 2, SHARED + SIZE + 1, 1);
	ret = npu_submit(ctx->fd, ctx->queue, ctx->stream_va, n, syncs, 2);
	if (!ret)
		ret = npu_syncobj_wait(ctx->fd, line, 2, RIG_DEADLINE);
	return ret;
}

TEST_F(two, a_buffer_and_a_timeline_for_both)
{
	struct neighbour n = { .body = second_in_the_chain, .socket = self->sockets[1] };
	struct npu_ctx *ctx = &self->ctx;
	int bo = npu_bo_create(self->fd, SIZE, 0);
	int line = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync first = npu_signal(line, 1);
	pid_t pid = start(&n);
	uint8_t *p;
	size_t m;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 0x99;
	ASSERT_EQ(npu_map(self->fd, ctx->vm, bo, 0, SHARED, SIZE, 0), 0);
	EXPECT_EQ(pass_prime(self->fd, bo, self->sockets[0]), 0);
	EXPECT_EQ(pass_syncobj(self->fd, line, self->sockets[0]), 0);

	m = npu_cmd_copy(ctx->stream, SHARED + 1, SHARED, 1);
	ASSERT_EQ(npu_submit(self->fd, ctx->queue, ctx->stream_va, m, &first, 1), 0);
	EXPECT_EQ(tell(self->sockets[0]), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, line, 2, RIG_DEADLINE), 0);
	EXPECT_EQ(p[2], 0x99);
	EXPECT_EQ(end(pid), 0);
	munmap(p, SIZE);
}

/* It is killed while ours waits for its job: the wait ends with it. */
static int promise_and_wait(struct npu_ctx *ctx, int socket)
{
	int line = take_syncobj(ctx->fd, socket), ret;

	if (line < 0)
		return line;
	ret = rig_gate_shut(ctx, line, 1);
	if (!ret)
		ret = tell(socket);
	while (!ret)
		pause();
	return ret;
}

TEST_F(two, the_one_waited_for_is_killed)
{
	struct neighbour n = { .body = promise_and_wait, .socket = self->sockets[1] };
	struct npu_ctx *ctx = &self->ctx;
	int line = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync syncs[2];
	pid_t pid;

	if (rig_gate_open())
		SKIP("no control channel to the NPU");
	pid = start(&n);
	ASSERT_EQ(pass_syncobj(self->fd, line, self->sockets[0]), 0);
	ASSERT_EQ(hear(self->sockets[0]), 0);
	syncs[0] = npu_wait(line, 1);
	syncs[1] = npu_signal(ctx->syncobj, 0);
	ASSERT_EQ(npu_submit(self->fd, ctx->queue, ctx->stream_va, npu_cmd_nop(ctx->stream),
			     syncs, 2), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, 0), -ETIME);
	EXPECT_EQ(kill(pid, SIGKILL), 0);
	EXPECT_EQ(end(pid), -EINTR);
	EXPECT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), 0);
	EXPECT_EQ(rig_gate_open(), 0);
}

TEST_HARNESS_MAIN
