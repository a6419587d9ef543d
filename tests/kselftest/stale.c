// SPDX-License-Identifier: MIT
/* Files that change under their clients: -ESTALE, never a mix of old and new. */
#include <fcntl.h>
#include <sys/stat.h>

#include "harness.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define BYTES	(2 * WEIGHTS_EXTENT + 777)
#define SEED	3

FIXTURE(stale)
{
	struct weights w;
};

FIXTURE_SETUP(stale)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	ASSERT_EQ(weights_make(&self->w, PATH, BYTES, SEED), 0);
}

FIXTURE_TEARDOWN(stale)
{
	npu_host("throttle 0");
	weights_close(&self->w);
	unlink(PATH);
}

static int change(off_t at, const void *bytes, size_t count)
{
	int fd = open(PATH, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, bytes, count, at) != (ssize_t)count)
		ret = -errno;
	close(fd);
	return ret;
}

/* What the first job after the change is told, and all later ones. */
static void refused(struct harness_report *_report, struct weights *w)
{
	EXPECT_EQ(weights_submit(w), -ESTALE);
	EXPECT_EQ(weights_submit(w), -ESTALE);
}

/* Who opens it anew gets what is in it now. */
static void anew(struct harness_report *_report, uint32_t seed, uint64_t bytes)
{
	struct weights w;

	ASSERT_EQ(weights_write(PATH, bytes, seed), 0);
	ASSERT_EQ(weights_open(&w, PATH), 0);
	EXPECT_EQ(weights_run(&w), 0);
	EXPECT_TRUE(weights_are(&w, seed));
	weights_close(&w);
}

TEST_F(stale, one_byte_written)
{
	ASSERT_EQ(change(WEIGHTS_EXTENT, "x", 1), 0);
	refused(_report, &self->w);
	EXPECT_EQ(weights_stat("resident") > 0, true);
	anew(_report, SEED + 1, BYTES);
	refused(_report, &self->w);
}

TEST_F(stale, written_while_dropped)
{
	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(change(0, "x", 1), 0);
	refused(_report, &self->w);
}

TEST_F(stale, cut)
{
	ASSERT_EQ(truncate(PATH, WEIGHTS_EXTENT), 0);
	refused(_report, &self->w);
	anew(_report, SEED + 2, WEIGHTS_EXTENT);
}

TEST_F(stale, cut_to_nothing_and_rewritten)
{
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	refused(_report, &self->w);
}

TEST_F(stale, appended)
{
	ASSERT_EQ(change(BYTES, "x", 1), 0);
	refused(_report, &self->w);
}

TEST_F(stale, hole_punched)
{
	int fd = open(PATH, O_WRONLY);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, NPU_PAGE), 0);
	close(fd);
	refused(_report, &self->w);
}

TEST_F(stale, written_by_a_mapping)
{
	int fd = open(PATH, O_RDWR);
	uint8_t *p;

	ASSERT_GE(fd, 0);
	p = mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(p, MAP_FAILED);
	/* As long as nobody writes, all is well. */
	EXPECT_EQ(p[0], weights_byte(SEED, 0));
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	p[0] ^= 1;
	refused(_report, &self->w);
	munmap(p, NPU_PAGE);
	close(fd);
}

/* Opened for writing, not written. */
TEST_F(stale, a_writer_that_does_not_write)
{
	int fd = open(PATH, O_RDWR);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	close(fd);
	EXPECT_EQ(weights_run(&self->w), 0);
}

/* The name is another file's now; this one has not changed. */
TEST_F(stale, replaced)
{
	ASSERT_EQ(weights_write(PATH ".new", BYTES, SEED + 1), 0);
	ASSERT_EQ(rename(PATH ".new", PATH), 0);
	ASSERT_EQ(weights_evict(2 * BYTES), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	ASSERT_EQ(unlink(PATH), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

/* The job was on the device when it happened. */
TEST_F(stale, written_while_a_job_runs)
{
	struct drm_hearth_query_fault fault;
	struct weights *w = &self->w;
	int inject = npu_inject("slow=20");

	if (inject == -EOPNOTSUPP)
		SKIP("no control channel");
	ASSERT_EQ(inject, 0);
	ASSERT_EQ(weights_submit(w), 0);
	/* It has copied something, and is not done. */
	EXPECT_TRUE(RIG_UNTIL(*(volatile uint8_t *)(w->out + 1) == weights_byte(SEED, 1), 10));
	EXPECT_EQ(npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, 0), -ETIME);
	ASSERT_EQ(change(BYTES - 1, "x", 1), 0);
	rig_gate_open();
	EXPECT_EQ(weights_wait(w), -ESTALE);
	ASSERT_EQ(npu_query_fault(w->ctx.fd, w->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_STALE);
	EXPECT_EQ(fault.error, (uint32_t)ESTALE);
	EXPECT_EQ(fault.flags, 0u);
	refused(_report, w);
}

/* The job waited for something else when it happened. */
TEST_F(stale, written_while_a_job_waits)
{
	struct weights *w = &self->w;
	struct drm_hearth_query_fault fault;
	int gate = npu_syncobj_create(w->ctx.fd, false);
	struct drm_hearth_sync syncs[] = { npu_wait(gate, 1), npu_signal(w->ctx.syncobj, 0) };
	size_t n = npu_cmd_copy(w->ctx.stream, WEIGHTS_OUT_VA, WEIGHTS_VA, 64);

	ASSERT_GT(gate, 0);
	ASSERT_EQ(npu_syncobj_signal(w->ctx.fd, gate, 2), 0);
	syncs[0] = npu_wait(gate, 2);
	ASSERT_EQ(npu_submit(w->ctx.fd, w->ctx.queue, w->ctx.stream_va, n, syncs, 2), 0);
	EXPECT_EQ(weights_wait(w), 0);

	/* Behind a job that is on the device. */
	if (npu_inject("slow=20"))
		SKIP("no control channel");
	ASSERT_EQ(rig_submit(&w->ctx, RIG_DATA / 2, rig_nops(&w->ctx, RIG_DATA / 2, 20),
			     w->ctx.syncobj, 0), 0);
	ASSERT_EQ(npu_submit(w->ctx.fd, w->ctx.queue, w->ctx.stream_va, n, syncs + 1, 1), 0);
	ASSERT_EQ(change(0, "x", 1), 0);
	rig_gate_open();
	EXPECT_LT(weights_wait(w), 0);
	ASSERT_EQ(npu_query_fault(w->ctx.fd, w->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_STALE);
	refused(_report, w);
}

TEST_F(stale, written_while_it_is_read)
{
	struct weights *w = &self->w;
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(weights_evict(BYTES), 0);
	if (npu_host("throttle 1000000") == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(weights_submit(w), 0);
	ASSERT_EQ(truncate(PATH, BYTES + 1), 0);
	ASSERT_EQ(npu_host("throttle 0"), 0);
	EXPECT_EQ(weights_wait(w), -ESTALE);
	ASSERT_EQ(npu_query_fault(w->ctx.fd, w->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_STALE);
	refused(_report, w);
}

/* Without the file the address space is as good as ever. */
TEST_F(stale, unbound)
{
	struct npu_ctx *ctx = &self->w.ctx;
	int queue;

	ASSERT_EQ(change(0, "x", 1), 0);
	EXPECT_EQ(rig_copy_works(ctx, 1), -ESTALE);
	EXPECT_EQ(rig_other_process_works(), 0);
	ASSERT_EQ(npu_unmap(ctx->fd, ctx->vm, WEIGHTS_VA, 3 * WEIGHTS_EXTENT), 0);
	queue = npu_queue_create(ctx->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
	ASSERT_GT(queue, 0);
	npu_queue_destroy(ctx->fd, ctx->queue);
	ctx->queue = queue;
	EXPECT_EQ(rig_copy_works(ctx, 1), 0);
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
