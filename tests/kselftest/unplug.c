// SPDX-License-Identifier: MIT
/*
 * The device is taken away under load and comes back. The machine's NPU goes
 * by itself ("host unplug"), or the kernel lets go of it (sysfs).
 */
#include <sys/wait.h>

#include "harness.h"
#include "rig.h"

FIXTURE(unplug)
{
	int fd;
	struct npu_ctx ctx;
};

FIXTURE_SETUP(unplug)
{
	if (rig_boot_is("msix"))
		SKIP("QEMU aborts when a device with MSI-X is unplugged");
	if (rig_gate_open())
		SKIP("no control channel to the NPU");
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

/* Works again, and nothing of the old life is left in the new one. */
FIXTURE_TEARDOWN(unplug)
{
	char path[160];

	rig_gate_open();
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	/* A test that failed may have left it out. */
	if (rig_sysfs(path, sizeof(path), "driver"))
		npu_host("plug");
	EXPECT_TRUE(RIG_UNTIL(npu_path(path, sizeof(path)) == 0, 20));
	EXPECT_EQ(rig_other_process_works(), 0);
	EXPECT_EQ(rig_idle(), 0);
}

static bool is_there(void)
{
	char path[64];

	return !npu_path(path, sizeof(path));
}

static int plug(void)
{
	int ret = npu_host("plug");

	if (ret)
		return ret;
	return RIG_UNTIL(is_there(), 20) ? 0 : -ETIME;
}

/* All an old file is good for: an error that says so, and close(). */
static int is_dead(struct npu_ctx *ctx)
{
	struct drm_hearth_limits limits;
	struct drm_hearth_query_fault fault;
	int fd = ctx->fd;

	if (npu_limits(fd, &limits) != -ENODEV)
		return -1;
	if (npu_vm_create(fd) != -ENODEV)
		return -2;
	if (npu_bo_create(fd, NPU_PAGE, 0) != -ENODEV)
		return -3;
	if (npu_map(fd, ctx->vm, ctx->bo, 0, 0x70000000, NPU_PAGE, 0) != -ENODEV)
		return -4;
	if (npu_queue_create(fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL) != -ENODEV)
		return -5;
	if (npu_submit(fd, ctx->queue, ctx->stream_va, 8, NULL, 0) != -ENODEV)
		return -6;
	if (npu_query_fault(fd, ctx->queue, &fault) != -ENODEV)
		return -7;
	return 0;
}

TEST_F(unplug, idle)
{
	ASSERT_EQ(npu_host("unplug"), 0);
	EXPECT_FALSE(is_there());
	EXPECT_EQ(is_dead(&self->ctx), 0);
	ASSERT_EQ(plug(), 0);
	EXPECT_EQ(is_dead(&self->ctx), 0);
}

TEST_F(unplug, five_times)
{
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(npu_host("unplug"), 0);
		ASSERT_EQ(plug(), 0);
		EXPECT_EQ(rig_other_process_works(), 0);
	}
}

/* One job in execution, some on the ring, some that wait for another queue. */
static int put_load(struct npu_ctx *ctx, struct npu_ctx *waiter, int *fences)
{
	int64_t commands = rig_stat("commands");
	struct drm_hearth_sync syncs[2];
	int ret;

	ret = npu_ctx_init(waiter, ctx->fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_gate_shut(ctx, ctx->syncobj, 0);
	if (ret)
		return ret;
	fences[0] = npu_syncobj_export(ctx->fd, ctx->syncobj);
	ret = rig_submit(ctx, 0, 8, ctx->syncobj, 0);
	fences[1] = npu_syncobj_export(ctx->fd, ctx->syncobj);
	syncs[0] = npu_wait(ctx->syncobj, 0);
	syncs[1] = npu_signal(waiter->syncobj, 0);
	if (!ret)
		ret = npu_submit(ctx->fd, waiter->queue, waiter->stream_va,
				 npu_cmd_nop(waiter->stream), syncs, 2);
	fences[2] = npu_syncobj_export(ctx->fd, waiter->syncobj);
	if (!ret && !RIG_UNTIL(rig_stat("commands") > commands, 10))
		ret = -ETIME;
	return ret;
}

static void check_load(struct harness_report *_report, struct npu_ctx *ctx,
		       struct npu_ctx *waiter, const int *fences)
{
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(npu_sync_file_wait(fences[i], 20000), -ENODEV);
		close(fences[i]);
	}
	EXPECT_EQ(is_dead(ctx), 0);
	/* What the CPU has mapped is memory as before. */
	memset(ctx->stream, 0x3c, ctx->stream_bytes);
	EXPECT_EQ(ctx->stream[ctx->stream_bytes - 1], 0x3c);
	npu_ctx_fini(waiter);
}

TEST_F(unplug, with_jobs_in_flight)
{
	struct npu_ctx waiter;
	int fences[3];

	ASSERT_EQ(put_load(&self->ctx, &waiter, fences), 0);
	ASSERT_EQ(npu_host("unplug"), 0);
	check_load(_report, &self->ctx, &waiter, fences);
	EXPECT_EQ(rig_gate_open(), 0);
	ASSERT_EQ(plug(), 0);
}

/* A buffer that is mapped but was never touched gets its pages now. */
TEST_F(unplug, first_touch_afterwards)
{
	int bo = npu_bo_create(self->fd, 16 * NPU_PAGE, 0);
	uint8_t *p;

	ASSERT_GT(bo, 0);
	p = npu_bo_map(self->fd, bo, 16 * NPU_PAGE);
	ASSERT_NE(p, MAP_FAILED);
	ASSERT_EQ(npu_host("unplug"), 0);
	p[0] = 1;
	EXPECT_EQ(p[0], 1);
	EXPECT_EQ(p[NPU_PAGE], 0);
	munmap(p, 16 * NPU_PAGE);
	ASSERT_EQ(plug(), 0);
}

/* Works until it is told that there is nothing to work on. */
static int work_until_gone(int ready)
{
	struct npu_ctx ctx;
	int fd = npu_open(), ret;

	if (fd < 0)
		return fd;
	ret = npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_copy_works(&ctx, 1);
	if (!ret && write(ready, "x", 1) != 1)
		ret = -EIO;
	while (!ret)
		ret = rig_copy_works(&ctx, 1);
	if (ret != -ENODEV)
		return ret;
	/* The first call may notice it while the kernel still takes it down. */
	return RIG_UNTIL(!is_dead(&ctx), 10) ? 0 : is_dead(&ctx);
}

/* Returns when all of them are at work. */
static int start_workers(pid_t *pids, int count)
{
	int i, pipes[2];
	char byte;

	if (pipe(pipes))
		return -errno;
	for (i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return -errno;
		if (!pids[i]) {
			alarm(40);
			_exit(-work_until_gone(pipes[1]));
		}
	}
	close(pipes[1]);
	for (i = 0; i < count; i++) {
		if (read(pipes[0], &byte, 1) != 1)
			return -EIO;
	}
	close(pipes[0]);
	return 0;
}

static int end_workers(pid_t *pids, int count)
{
	int i, status, bad = 0;

	for (i = 0; i < count; i++) {
		if (waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) &&
		    !WEXITSTATUS(status))
			continue;
		printf("# worker %d: status %#x\n", i, status);
		bad++;
	}
	return bad;
}

TEST_F(unplug, under_the_load_of_processes)
{
	pid_t pids[4];

	ASSERT_EQ(start_workers(pids, 4), 0);
	ASSERT_EQ(npu_host("unplug"), 0);
	EXPECT_EQ(end_workers(pids, 4), 0);
	ASSERT_EQ(plug(), 0);
}

TEST_F(unplug, unbind_under_the_load_of_processes)
{
	pid_t pids[4];
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(start_workers(pids, 4), 0);
		ASSERT_EQ(rig_unbind(), 0);
		EXPECT_EQ(end_workers(pids, 4), 0);
		ASSERT_EQ(rig_bind(), 0);
	}
}

static int remove_by_sysfs(void)
{
	char path[160];
	int ret = rig_sysfs(path, sizeof(path), "remove");

	return ret ? ret : rig_write(path, "1");
}

TEST_F(unplug, remove_and_rescan)
{
	struct npu_ctx waiter;
	int fences[3];

	ASSERT_EQ(put_load(&self->ctx, &waiter, fences), 0);
	ASSERT_EQ(remove_by_sysfs(), 0);
	EXPECT_FALSE(is_there());
	check_load(_report, &self->ctx, &waiter, fences);
	EXPECT_EQ(rig_gate_open(), 0);
	ASSERT_EQ(rig_write("/sys/bus/pci/rescan", "1"), 0);
	EXPECT_TRUE(RIG_UNTIL(is_there(), 20));
}

/* Removed without a word: the driver finds all ones where registers were. */
TEST_F(unplug, after_a_surprise_removal)
{
	struct npu_ctx waiter;
	int fences[3];

	ASSERT_EQ(put_load(&self->ctx, &waiter, fences), 0);
	ASSERT_EQ(npu_inject("surprise-removal"), 0);
	ASSERT_EQ(npu_host("unplug"), 0);
	check_load(_report, &self->ctx, &waiter, fences);
	EXPECT_EQ(rig_gate_open(), 0);
	ASSERT_EQ(plug(), 0);
}

TEST_HARNESS_MAIN
