// SPDX-License-Identifier: MIT
/* Whoever goes first: files, queues, address spaces, buffers, processes. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"
#include "rig.h"

FIXTURE(lifetime)
{
	int fd;
	struct npu_ctx ctx;
};

FIXTURE_SETUP(lifetime)
{
	if (rig_gate_open())
		SKIP("no control channel to the NPU");
	ASSERT_EQ(rig_idle(), 0);
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

FIXTURE_TEARDOWN(lifetime)
{
	rig_gate_open();
	if (self->fd >= 0) {
		npu_ctx_fini(&self->ctx);
		close(self->fd);
	}
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(rig_other_process_works(), 0);
}

/* A job in execution and some behind it; the fence of the last as a sync_file. */
static int jobs_in_flight(struct npu_ctx *ctx)
{
	int64_t commands = rig_stat("commands");
	int ret, i;

	ret = rig_gate_shut(ctx, ctx->syncobj, 0);
	for (i = 0; i < 10 && !ret; i++)
		ret = rig_submit(ctx, 0, 8, ctx->syncobj, 0);
	if (!ret && !RIG_UNTIL(rig_stat("commands") > commands, 10))
		ret = -ETIME;
	return ret ? ret : npu_syncobj_export(ctx->fd, ctx->syncobj);
}

TEST_F(lifetime, close_the_file)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	munmap(self->ctx.stream, self->ctx.stream_bytes);
	ASSERT_EQ(close(self->fd), 0);
	self->fd = -1;
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), -ECANCELED);
	close(sync_fd);
}

TEST_F(lifetime, destroy_the_queue)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_queue_destroy(self->fd, self->ctx.queue), 0);
	self->ctx.queue = 0;
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), -ECANCELED);
	close(sync_fd);
}

/* The queue keeps what its jobs run in. */
TEST_F(lifetime, destroy_the_address_space)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_vm_destroy(self->fd, self->ctx.vm), 0);
	self->ctx.vm = 0;
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	close(sync_fd);
}

/* A map keeps its buffer. */
TEST_F(lifetime, close_the_buffer)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_bo_close(self->fd, self->ctx.bo), 0);
	self->ctx.bo = 0;
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 7), 0);
	close(sync_fd);
}

TEST_F(lifetime, destroy_the_syncobj)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_syncobj_destroy(self->fd, self->ctx.syncobj), 0);
	self->ctx.syncobj = 0;
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	close(sync_fd);
}

TEST_F(lifetime, everything_at_once)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	npu_bo_close(self->fd, self->ctx.bo);
	npu_vm_destroy(self->fd, self->ctx.vm);
	npu_queue_destroy(self->fd, self->ctx.queue);
	self->ctx.bo = self->ctx.vm = self->ctx.queue = 0;
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), -ECANCELED);
	close(sync_fd);
}

/* A job that waits for another queue's when its own is destroyed. */
TEST_F(lifetime, destroy_a_queue_that_waits)
{
	int sync_fd = jobs_in_flight(&self->ctx), ret;
	struct drm_hearth_sync syncs[2];
	struct npu_ctx waiter;

	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_ctx_init(&waiter, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	syncs[0] = npu_wait(self->ctx.syncobj, 0);
	syncs[1] = npu_signal(waiter.syncobj, 0);
	ASSERT_EQ(npu_submit(self->fd, waiter.queue, waiter.stream_va,
			     npu_cmd_nop(waiter.stream), syncs, 2), 0);
	ASSERT_EQ(npu_queue_destroy(self->fd, waiter.queue), 0);
	waiter.queue = 0;
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, waiter.syncobj, 0, RIG_DEADLINE), 0);
	ret = npu_syncobj_status(self->fd, waiter.syncobj, 0);
	EXPECT_EQ(ret, -ECANCELED);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	npu_ctx_fini(&waiter);
	close(sync_fd);
}

/* The file is open as long as a child has it. */
static int use_after_parent(void *arg)
{
	return rig_copy_works(arg, 5);
}

TEST_F(lifetime, a_child_inherits_the_file)
{
	EXPECT_EQ(rig_in_child(use_after_parent, &self->ctx), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 6), 0);
}

static int make_and_send(void *arg)
{
	const int *sockets = arg;
	int fd = npu_open(), ret;
	struct npu_ctx ctx;

	if (fd < 0)
		return fd;
	ret = npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_copy_works(&ctx, 1);
	return ret ? ret : rig_send_fd(sockets[1], fd);
}

/* One that is passed on outlives the process that opened it, with its ids. */
TEST_F(lifetime, a_file_is_passed_on)
{
	struct drm_hearth_query_fault fault;
	int sockets[2], fd;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	ASSERT_EQ(rig_in_child(make_and_send, sockets), 0);
	fd = rig_receive_fd(sockets[0]);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(npu_query_fault(fd, 1, &fault), 0);
	EXPECT_EQ(npu_queue_destroy(fd, 1), 0);
	EXPECT_EQ(npu_vm_destroy(fd, 1), 0);
	close(fd);
}

/* Submits until it is killed. */
static void submit_for_ever(int pipe_fd)
{
	struct npu_ctx ctx;
	int fd = npu_open();

	if (fd < 0 || npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL))
		_exit(1);
	rig_nops(&ctx, 0, 100);
	if (write(pipe_fd, "x", 1) != 1)
		_exit(2);
	for (;;)
		if (rig_submit(&ctx, 0, 800, ctx.syncobj, 0))
			_exit(3);
}

TEST_F(lifetime, kill_during_submit)
{
	int round, pipes[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(pipe(pipes), 0);
	for (round = 0; round < 10; round++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			submit_for_ever(pipes[1]);
		ASSERT_EQ(read(pipes[0], &byte, 1), 1);
		rig_breathe();
		EXPECT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_EQ(rig_copy_works(&self->ctx, 8), 0);
}

/* A process that is killed while the device is busy with its job. */
TEST_F(lifetime, kill_with_jobs_in_flight)
{
	int pipes[2], status;
	struct npu_ctx ctx;
	char byte;
	pid_t pid;

	ASSERT_EQ(pipe(pipes), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd = npu_open();

		if (fd < 0 || npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL) ||
		    jobs_in_flight(&ctx) < 0 || write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(read(pipes[0], &byte, 1), 1);
	EXPECT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 8), 0);
}

/* What the CPU has mapped is its memory, whatever became of the rest. */
TEST_F(lifetime, mapping_outlives_all)
{
	uint8_t *p = self->ctx.stream;

	p[RIG_DATA] = 0x42;
	self->ctx.stream = NULL;
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(p[RIG_DATA], 0x42);
	p[RIG_DATA + 1] = 1;
	EXPECT_EQ(npu_debugfs("objects", "bos"), 1);
	munmap(p, NPU_STREAM_BYTES);
}

/* A fence of a job that ended tells its end for ever. */
TEST_F(lifetime, fence_outlives_all)
{
	int sync_fd = jobs_in_flight(&self->ctx);

	ASSERT_GE(sync_fd, 0);
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), 0);
	close(sync_fd);
}

TEST_HARNESS_MAIN
