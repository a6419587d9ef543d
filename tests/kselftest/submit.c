// SPDX-License-Identifier: MIT
/* SUBMIT: streams, order, syncobjs in and out, each refused input. */
#include <linux/sync_file.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "harness.h"
#include "rig.h"

FIXTURE(submit)
{
	int fd;
	struct npu_ctx ctx;
	struct drm_hearth_limits limits;
};

FIXTURE_SETUP(submit)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_limits(self->fd, &self->limits), 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

/* Whatever was refused, the queue still works. */
FIXTURE_TEARDOWN(submit)
{
	if (self->ctx.queue)
		EXPECT_EQ(rig_copy_works(&self->ctx, 3), 0);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
}

static int submit(struct npu_ctx *ctx, struct drm_hearth_job *jobs, uint32_t count)
{
	struct drm_hearth_submit args = {
		.queue_id = ctx->queue, .jobs = NPU_ARRAY(jobs, count),
	};

	return npu_ioctl(ctx->fd, DRM_IOCTL_HEARTH_SUBMIT, &args);
}

static struct drm_hearth_job job_of(struct npu_ctx *ctx, size_t at, size_t bytes,
				    struct drm_hearth_sync *syncs, uint32_t count)
{
	return (struct drm_hearth_job){
		.stream_va = ctx->stream_va + at, .stream_bytes = bytes,
		.syncs = NPU_ARRAY(syncs, count),
	};
}

/* A job of one NOP with one sync. */
static int submit_sync(struct npu_ctx *ctx, struct drm_hearth_sync sync)
{
	return npu_submit(ctx->fd, ctx->queue, ctx->stream_va, npu_cmd_nop(ctx->stream),
			  &sync, 1);
}

TEST_F(submit, nop)
{
	EXPECT_EQ(npu_ctx_run(&self->ctx, npu_cmd_nop(self->ctx.stream), RIG_DEADLINE), 0);
}

TEST_F(submit, copy)
{
	int i;

	for (i = 0; i < 10; i++)
		EXPECT_EQ(rig_copy_works(&self->ctx, i), 0);
}

TEST_F(submit, many_commands)
{
	size_t bytes = rig_nops(&self->ctx, 0, RIG_DATA / 8);

	EXPECT_EQ(bytes, (size_t)RIG_DATA);
	EXPECT_EQ(npu_ctx_run(&self->ctx, bytes, RIG_DEADLINE), 0);
}

/* Each command sees what all before it wrote: a byte walks along. */
TEST_F(submit, commands_run_in_order)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t data = ctx->stream_va + RIG_DATA;
	size_t n = 0;
	int i;

	memset(ctx->stream + RIG_DATA, 0, 256);
	ctx->stream[RIG_DATA] = 0x77;
	for (i = 0; i < 255; i++)
		n += npu_cmd_copy(ctx->stream + n, data + i + 1, data + i, 1);
	ASSERT_LE(n, (size_t)RIG_DATA);
	ASSERT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + 255], 0x77);
}

TEST_F(submit, stream_at_any_8_bytes)
{
	struct npu_ctx *ctx = &self->ctx;
	size_t at, n;

	for (at = 8; at < 4096; at += 1016) {
		ctx->stream[RIG_DATA] = at / 8;
		n = npu_cmd_copy(ctx->stream + at, ctx->stream_va + RIG_DATA + 1,
				 ctx->stream_va + RIG_DATA, 1);
		ASSERT_EQ(rig_submit(ctx, at, n, ctx->syncobj, 0), 0);
		ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
		EXPECT_EQ(ctx->stream[RIG_DATA + 1], ctx->stream[RIG_DATA]);
	}
}

/* Jobs of one call run one after the other; the byte walks over all. */
TEST_F(submit, jobs_of_one_call_run_in_order)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t data = ctx->stream_va + RIG_DATA;
	struct drm_hearth_sync done = npu_signal(ctx->syncobj, 0);
	struct drm_hearth_job jobs[64];
	size_t n = 0, bytes;
	uint32_t i, count = self->limits.max_jobs < 64 ? self->limits.max_jobs : 64;

	memset(ctx->stream + RIG_DATA, 0, 256);
	ctx->stream[RIG_DATA] = 0x33;
	for (i = 0; i < count; i++) {
		bytes = npu_cmd_copy(ctx->stream + n, data + i + 1, data + i, 1);
		jobs[i] = job_of(ctx, n, bytes, &done, i + 1 == count);
		n += bytes;
	}
	ASSERT_EQ(submit(ctx, jobs, count), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + count], 0x33);
}

/* More jobs than the ring has entries, one call each. */
TEST_F(submit, calls_run_in_order)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t data = ctx->stream_va + RIG_DATA;
	struct drm_hearth_sync done = npu_signal(ctx->syncobj, 0);
	size_t n = 0, bytes;
	int i;

	memset(ctx->stream + RIG_DATA, 0, 256);
	ctx->stream[RIG_DATA] = 0x55;
	for (i = 0; i < 200; i++) {
		bytes = npu_cmd_copy(ctx->stream + n, data + i + 1, data + i, 1);
		ASSERT_EQ(npu_submit(self->fd, ctx->queue, ctx->stream_va + n, bytes, &done, 1),
			  0);
		n += bytes;
	}
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + 200], 0x55);
}

TEST_F(submit, binary_syncobj_out_and_in)
{
	int sync = npu_syncobj_create(self->fd, false);

	ASSERT_GT(sync, 0);
	ASSERT_EQ(submit_sync(&self->ctx, npu_signal(sync, 0)), 0);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 0)), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, sync, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, sync, 0), 0);
}

TEST_F(submit, wait_for_what_has_signalled)
{
	int sync = npu_syncobj_create(self->fd, true);

	ASSERT_GT(sync, 0);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 0)), 0);
}

TEST_F(submit, timeline_points)
{
	int line = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync syncs[2];
	uint64_t point;

	ASSERT_GT(line, 0);
	for (point = 1; point <= 20; point++) {
		syncs[0] = npu_wait(line, point - 1);
		syncs[1] = npu_signal(line, point);
		ASSERT_EQ(npu_submit(self->fd, self->ctx.queue, self->ctx.stream_va,
				     npu_cmd_nop(self->ctx.stream), point == 1 ? syncs + 1 : syncs,
				     point == 1 ? 1 : 2), 0);
	}
	EXPECT_EQ(npu_syncobj_wait(self->fd, line, 20, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, line, 7), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, line, 21, 1000000), -ETIME);
}

/* Such a wait may never end; a driver must not promise it. */
TEST_F(submit, wait_before_signal)
{
	int sync = npu_syncobj_create(self->fd, false);

	ASSERT_GT(sync, 0);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 0)), -EINVAL);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 1)), -EINVAL);
	ASSERT_EQ(submit_sync(&self->ctx, npu_signal(sync, 5)), 0);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 6)), -EINVAL);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(sync, 4)), 0);
}

/* Within one call a job may wait for a point that one before it signals. */
TEST_F(submit, wait_within_one_call)
{
	struct npu_ctx *ctx = &self->ctx;
	int line = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync first[] = { npu_signal(line, 1) };
	struct drm_hearth_sync second[] = { npu_wait(line, 1), npu_signal(line, 2) };
	size_t bytes = npu_cmd_nop(ctx->stream);
	struct drm_hearth_job jobs[] = {
		job_of(ctx, 0, bytes, first, 1), job_of(ctx, 0, bytes, second, 2),
	};
	struct drm_hearth_job wrong[] = { jobs[1], jobs[0] };

	ASSERT_GT(line, 0);
	EXPECT_EQ(submit(ctx, wrong, 2), -EINVAL);
	ASSERT_EQ(submit(ctx, jobs, 2), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, line, 2, RIG_DEADLINE), 0);
}

TEST_F(submit, one_job_signals_many)
{
	struct drm_hearth_sync syncs[8];
	uint32_t i;

	for (i = 0; i < 8; i++)
		syncs[i] = npu_signal(npu_syncobj_create(self->fd, false), i % 2 ? i : 0);
	ASSERT_EQ(npu_submit(self->fd, self->ctx.queue, self->ctx.stream_va,
			     npu_cmd_nop(self->ctx.stream), syncs, 8), 0);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[i].handle, syncs[i].point,
					   RIG_DEADLINE), 0);
}

/* A chain over two queues; without the waits its order would be luck. */
TEST_F(submit, queues_depend_on_each_other)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t data = ctx->stream_va + RIG_DATA;
	int line = npu_syncobj_create(self->fd, false);
	uint32_t queues[2] = { ctx->queue };
	struct drm_hearth_sync syncs[2];
	size_t n = 0, bytes;
	int i, ret;

	ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
	ASSERT_GT(ret, 0);
	queues[1] = ret;
	memset(ctx->stream + RIG_DATA, 0, 256);
	ctx->stream[RIG_DATA] = 0x66;
	for (i = 0; i < 100; i++) {
		bytes = npu_cmd_copy(ctx->stream + n, data + i + 1, data + i, 1);
		syncs[0] = npu_signal(line, i + 1);
		syncs[1] = npu_wait(line, i);
		ASSERT_EQ(npu_submit(self->fd, queues[i % 2], ctx->stream_va + n, bytes, syncs,
				     i ? 2 : 1), 0);
		n += bytes;
	}
	ASSERT_EQ(npu_syncobj_wait(self->fd, line, 100, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + 100], 0x66);
}

static int handle_ioctl(int fd, unsigned long request, uint32_t handle, int in_fd, uint32_t flags,
			struct drm_syncobj_handle *args)
{
	*args = (struct drm_syncobj_handle){ .handle = handle, .flags = flags, .fd = in_fd };
	return npu_ioctl(fd, request, args);
}

TEST_F(submit, sync_file_out_and_in)
{
	int out = npu_syncobj_create(self->fd, false), in = npu_syncobj_create(self->fd, false);
	struct drm_syncobj_handle args;
	struct sync_file_info info = { 0 };
	struct pollfd wait;

	ASSERT_EQ(submit_sync(&self->ctx, npu_signal(out, 0)), 0);
	ASSERT_EQ(handle_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, out, -1,
			       DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE, &args), 0);
	wait = (struct pollfd){ .fd = args.fd, .events = POLLIN };
	EXPECT_EQ(poll(&wait, 1, 20000), 1);
	EXPECT_EQ(ioctl(wait.fd, SYNC_IOC_FILE_INFO, &info), 0);
	EXPECT_EQ(info.status, 1);

	ASSERT_EQ(handle_ioctl(self->fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, in, wait.fd,
			       DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE, &args), 0);
	EXPECT_EQ(submit_sync(&self->ctx, npu_wait(in, 0)), 0);
	close(wait.fd);
}

TEST_F(submit, bad_streams)
{
	const struct {
		uint64_t va, bytes;
		int error;
	} bad[] = {
		{ NPU_STREAM_VA, 0, -EINVAL },
		{ NPU_STREAM_VA, 4, -EINVAL },
		{ NPU_STREAM_VA, 9, -EINVAL },
		{ NPU_STREAM_VA + 4, 8, -EINVAL },
		{ NPU_STREAM_VA + 1, 8, -EINVAL },
		{ NPU_STREAM_VA, self->limits.max_stream_bytes + 8, -E2BIG },
		{ NPU_STREAM_VA, 1ull << 32, -E2BIG },
		{ NPU_STREAM_VA, 1ull << 63, -E2BIG },
		{ NPU_STREAM_VA, UINT64_MAX - 7, -E2BIG },
		{ 0, 8, -EINVAL },
		{ self->limits.va_start - 8, 8, -EINVAL },
		{ self->limits.va_end, 8, -EINVAL },
		{ self->limits.va_end - 8, 16, -EINVAL },
		{ UINT64_MAX - 7, 8, -EINVAL },
		{ 1ull << 63, 8, -EINVAL },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_EQ(npu_submit(self->fd, self->ctx.queue, bad[i].va, bad[i].bytes, NULL, 0),
			  bad[i].error);
}

TEST_F(submit, bad_flags)
{
	struct drm_hearth_job job = job_of(&self->ctx, 0, 8, NULL, 0);
	struct drm_hearth_submit args = {
		.queue_id = self->ctx.queue, .jobs = NPU_ARRAY(&job, 1),
	};
	int bit;

	npu_cmd_nop(self->ctx.stream);
	for (bit = 0; bit < 32; bit++) {
		args.flags = 1u << bit;
		EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -EINVAL);
	}
}

TEST_F(submit, bad_queue)
{
	struct npu_ctx other = self->ctx;

	other.queue = 0;
	EXPECT_EQ(submit_sync(&other, npu_signal(other.syncobj, 0)), -ENOENT);
	other.queue = self->ctx.queue + 1;
	EXPECT_EQ(submit_sync(&other, npu_signal(other.syncobj, 0)), -ENOENT);
	other.queue = UINT32_MAX;
	EXPECT_EQ(submit_sync(&other, npu_signal(other.syncobj, 0)), -ENOENT);
}

TEST_F(submit, bad_syncs)
{
	int sync = npu_syncobj_create(self->fd, true);
	const struct {
		struct drm_hearth_sync sync;
		int error;
	} bad[] = {
		{ { .handle = sync, .flags = 0 }, -EINVAL },
		{ { .handle = sync, .flags = 3 }, -EINVAL },
		{ { .handle = sync, .flags = 4 }, -EINVAL },
		{ { .handle = sync, .flags = 5 }, -EINVAL },
		{ { .handle = sync, .flags = 0x80000000 }, -EINVAL },
		{ { .handle = 0, .flags = DRM_HEARTH_SYNC_WAIT }, -ENOENT },
		{ { .handle = 0, .flags = DRM_HEARTH_SYNC_SIGNAL }, -ENOENT },
		{ { .handle = sync + 1, .flags = DRM_HEARTH_SYNC_WAIT }, -ENOENT },
		{ { .handle = UINT32_MAX, .flags = DRM_HEARTH_SYNC_SIGNAL, .point = 1 }, -ENOENT },
	};
	size_t i;

	ASSERT_GT(sync, 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_EQ(submit_sync(&self->ctx, bad[i].sync), bad[i].error);
}

TEST_F(submit, no_job)
{
	struct drm_hearth_job job = job_of(&self->ctx, 0, 8, NULL, 0);

	EXPECT_EQ(submit(&self->ctx, &job, 0), -EINVAL);
}

TEST_F(submit, too_many_jobs)
{
	uint32_t i, count = self->limits.max_jobs;
	struct drm_hearth_job *jobs = calloc(count + 1, sizeof(*jobs));

	npu_cmd_nop(self->ctx.stream);
	for (i = 0; i <= count; i++)
		jobs[i] = job_of(&self->ctx, 0, 8, NULL, 0);
	EXPECT_EQ(submit(&self->ctx, jobs, count), 0);
	EXPECT_EQ(submit(&self->ctx, jobs, count + 1), -E2BIG);
	EXPECT_EQ(submit(&self->ctx, jobs, UINT32_MAX), -E2BIG);
	free(jobs);
}

TEST_F(submit, too_many_syncs)
{
	uint32_t i, count = self->limits.max_syncs;
	struct drm_hearth_sync *syncs = calloc(count + 1, sizeof(*syncs));
	int sync = npu_syncobj_create(self->fd, true);

	npu_cmd_nop(self->ctx.stream);
	for (i = 0; i <= count; i++)
		syncs[i] = npu_wait(sync, 0);
	EXPECT_EQ(npu_submit(self->fd, self->ctx.queue, NPU_STREAM_VA, 8, syncs, count), 0);
	EXPECT_EQ(npu_submit(self->fd, self->ctx.queue, NPU_STREAM_VA, 8, syncs, count + 1),
		  -E2BIG);
	EXPECT_EQ(npu_submit(self->fd, self->ctx.queue, NPU_STREAM_VA, 8, syncs, UINT32_MAX),
		  -E2BIG);
	free(syncs);
}

TEST_F(submit, bad_pointers)
{
	struct drm_hearth_job job = job_of(&self->ctx, 0, 8, (void *)8, 1);
	struct drm_hearth_submit args = {
		.queue_id = self->ctx.queue,
		.jobs = { .stride = sizeof(job), .count = 1, .array = 8 },
	};

	npu_cmd_nop(self->ctx.stream);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -EFAULT);
	args.jobs.array = UINT64_MAX - 7;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -EFAULT);
	EXPECT_EQ(submit(&self->ctx, &job, 1), -EFAULT);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, (void *)8), -EFAULT);
}

/* Elements of a newer caller: fine while what is new is zero. */
TEST_F(submit, strides)
{
	struct {
		struct drm_hearth_job known;
		uint64_t unknown;
	} jobs[2] = { 0 };
	struct drm_hearth_submit args = {
		.queue_id = self->ctx.queue, .jobs = NPU_ARRAY(jobs, 2),
	};

	npu_cmd_nop(self->ctx.stream);
	jobs[0].known = jobs[1].known = job_of(&self->ctx, 0, 8, NULL, 0);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), 0);
	jobs[1].unknown = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -E2BIG);
	jobs[1].unknown = 0;
	args.jobs.stride = UINT32_MAX;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -E2BIG);
	args.jobs.stride = 8;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -EINVAL);
	args.jobs.stride = 0;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &args), -EINVAL);
}

TEST_F(submit, longer_struct)
{
	struct drm_hearth_job job = job_of(&self->ctx, 0, 8, NULL, 0);
	struct {
		struct drm_hearth_submit known;
		uint64_t unknown;
	} args = {
		.known = { .queue_id = self->ctx.queue, .jobs = NPU_ARRAY(&job, 1) },
	};
	unsigned long nr = DRM_IOWR(DRM_COMMAND_BASE + DRM_HEARTH_SUBMIT, args);

	npu_cmd_nop(self->ctx.stream);
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), 0);
	args.unknown = 1;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -E2BIG);
}

/* One bad job among good ones: none runs, no syncobj is touched. */
TEST_F(submit, all_or_nothing)
{
	struct npu_ctx *ctx = &self->ctx;
	int sync = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync signal = npu_signal(sync, 0), bad = { .handle = sync, .flags = 7 };
	size_t bytes = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA,
				    ctx->stream_va + RIG_DATA + 8, 1);
	struct drm_hearth_job good = job_of(ctx, 0, bytes, &signal, 1);
	struct drm_hearth_job jobs[] = { good, good, good };

	ctx->stream[RIG_DATA] = 1;
	ctx->stream[RIG_DATA + 8] = 2;
	jobs[2].syncs = NPU_ARRAY(&bad, 1);
	EXPECT_EQ(submit(ctx, jobs, 3), -EINVAL);
	jobs[2] = good;
	jobs[2].stream_bytes = 3;
	EXPECT_EQ(submit(ctx, jobs, 3), -EINVAL);
	jobs[2] = good;
	jobs[2].syncs.array = 8;
	EXPECT_EQ(submit(ctx, jobs, 3), -EFAULT);

	/* A queue is in order: when this one is done, they would be. */
	ASSERT_EQ(submit_sync(ctx, npu_signal(ctx->syncobj, 0)), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA], 1);
	EXPECT_EQ(npu_syncobj_wait(self->fd, sync, 0, 1000000), -ETIME);
}

TEST_F(submit, longest_stream)
{
	struct npu_ctx *ctx = &self->ctx;

	/* Its end is not mapped: accepted, and a fault when it gets there. */
	rig_nops(ctx, 0, 4);
	EXPECT_EQ(npu_submit(self->fd, ctx->queue, ctx->stream_va,
			     self->limits.max_stream_bytes, NULL, 0), 0);
	npu_queue_destroy(self->fd, ctx->queue);
	ctx->queue = 0;
}

TEST_HARNESS_MAIN
