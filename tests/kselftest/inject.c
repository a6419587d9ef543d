// SPDX-License-Identifier: MIT
/*
 * Firmware that misbehaves: each job ends, with the error that fits, and then
 * the next one of another process is right.
 */
#include <sys/klog.h>

#include "harness.h"
#include "rig.h"

#define PROGRESS	(1 * NPU_SECOND)
#define PATIENCE	(8 * NPU_SECOND)

FIXTURE(inject)
{
	int fd;
	struct npu_ctx ctx;
	int64_t resets;
};

FIXTURE_SETUP(inject)
{
	char answer[256];

	if (npu_ctl("clear", answer, sizeof(answer)))
		SKIP("no control channel to the NPU");
	self->fd = npu_open();
	if (self->fd == -ENOENT && !rig_rebind())
		self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	close(self->fd);
	ASSERT_EQ(rig_idle(), 0);
	self->resets = rig_resets();
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(rig_ctx_init(&self->ctx, self->fd, PROGRESS), 0);
}

FIXTURE_TEARDOWN(inject)
{
	EXPECT_EQ(rig_other_process_works(), 0);
	EXPECT_EQ(rig_gate_open(), 0);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	EXPECT_EQ(rig_idle(), 0);
}

/* The job's fence signals in time and QUERY_FAULT agrees with it. */
static int job_fails(struct npu_ctx *ctx, int error, uint32_t cause)
{
	struct drm_hearth_query_fault fault;
	int ret;

	ret = npu_ctx_run(ctx, rig_nops(ctx, 0, 8), RIG_DEADLINE);
	if (ret != error) {
		printf("# fence says %d, wanted %d\n", ret, error);
		return -1;
	}
	ret = npu_query_fault(ctx->fd, ctx->queue, &fault);
	if (ret || fault.cause != cause || fault.error != (uint32_t)-error || fault.flags) {
		printf("# ret %d cause %u, wanted %u, error %u flags %u\n", ret, fault.cause,
		       cause, fault.error, fault.flags);
		return -1;
	}
	ret = npu_submit(ctx->fd, ctx->queue, ctx->stream_va, 8, NULL, 0);
	if (ret != -ECANCELED) {
		printf("# the next submit says %d\n", ret);
		return -1;
	}
	return 0;
}

/* The queue is killed; the rest of the device does not notice. */
TEST_F(inject, hang)
{
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(npu_inject("hang op=5"), 0);
	EXPECT_EQ(job_fails(&self->ctx, -ETIMEDOUT, DRM_HEARTH_FAULT_TIMEOUT), 0);
	ASSERT_EQ(npu_query_fault(self->fd, self->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.op_index, 5u);
	EXPECT_EQ(fault.job, 0u);
	EXPECT_EQ(rig_resets(), self->resets);
}

TEST_F(inject, hang_is_found_out_in_time)
{
	uint64_t start = rig_now_ns();

	ASSERT_EQ(npu_inject("hang"), 0);
	EXPECT_EQ(job_fails(&self->ctx, -ETIMEDOUT, DRM_HEARTH_FAULT_TIMEOUT), 0);
	EXPECT_GE(rig_now_ns() - start, PROGRESS / 2);
	EXPECT_LE(rig_now_ns() - start, 5 * PROGRESS);
}

/* What cannot be stopped costs a reset. */
TEST_F(inject, hard_hang)
{
	ASSERT_EQ(npu_inject("hard-hang"), 0);
	EXPECT_EQ(job_fails(&self->ctx, -ETIMEDOUT, DRM_HEARTH_FAULT_TIMEOUT), 0);
	EXPECT_TRUE(RIG_UNTIL(rig_resets() == self->resets + 1, 10));
}

/* One who was in the way of a reset loses the job that ran, and goes on. */
TEST_F(inject, innocent_in_a_reset)
{
	struct npu_ctx *ctx = &self->ctx, victim;
	struct drm_hearth_query_fault fault;
	int behind = npu_syncobj_create(self->fd, false);
	int64_t taken = rig_stat("injected");

	ASSERT_EQ(npu_ctx_init(&victim, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_inject("hard-hang"), 0);
	ASSERT_EQ(rig_submit(ctx, 0, rig_nops(ctx, 0, 4), ctx->syncobj, 0), 0);
	ASSERT_TRUE(RIG_UNTIL(rig_stat("injected") > taken, 10));
	ASSERT_EQ(rig_gate_shut(&victim, victim.syncobj, 0), 0);
	ASSERT_EQ(rig_submit(&victim, 0, 8, behind, 0), 0);

	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), -ETIMEDOUT);
	ASSERT_EQ(npu_syncobj_wait(self->fd, victim.syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, victim.syncobj, 0), -EIO);
	ASSERT_EQ(npu_syncobj_wait(self->fd, behind, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, behind, 0), 0);
	ASSERT_EQ(npu_query_fault(self->fd, victim.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_FIRMWARE);
	EXPECT_EQ(fault.flags, (uint32_t)DRM_HEARTH_FAULT_INNOCENT);
	EXPECT_EQ(fault.job, 0u);
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(rig_copy_works(&victim, 1), 0);
	npu_ctx_fini(&victim);
}

/* The event is lost: the next one tells of this job as well. */
TEST_F(inject, no_completion_of_a_job_that_has_a_follower)
{
	struct npu_ctx *ctx = &self->ctx;
	struct drm_hearth_sync last = npu_signal(ctx->syncobj, 0);
	int first = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync sync = npu_signal(first, 0);
	struct drm_hearth_job jobs[2];

	rig_nops(ctx, 0, 1);
	jobs[0] = (struct drm_hearth_job){ ctx->stream_va, 8, NPU_ARRAY(&sync, 1) };
	jobs[1] = (struct drm_hearth_job){ ctx->stream_va, 8, NPU_ARRAY(&last, 1) };
	ASSERT_EQ(npu_inject("no-completion"), 0);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &(struct drm_hearth_submit){
		.queue_id = ctx->queue, .jobs = NPU_ARRAY(jobs, 2) }), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, first, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, first, 0), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), 0);
}

TEST_F(inject, no_completion)
{
	ASSERT_EQ(npu_inject("no-completion"), 0);
	EXPECT_EQ(job_fails(&self->ctx, -ETIMEDOUT, DRM_HEARTH_FAULT_TIMEOUT), 0);
}

/*
 * Nonsense on the event ring: firmware is not to be trusted any more. The queue
 * is alone, so it has the first slot; other events are left alone.
 */
#define TEST_NONSENSE(name, what)                                                        \
	TEST_F(inject, name)                                                             \
	{                                                                                \
		ASSERT_EQ(npu_inject(what " slot=0"), 0);                                \
		EXPECT_EQ(job_fails(&self->ctx, -EIO, DRM_HEARTH_FAULT_FIRMWARE), 0);    \
		EXPECT_TRUE(RIG_UNTIL(rig_resets() == self->resets + 1, 10));            \
	}

TEST_NONSENSE(wrong_seqno, "wrong-seqno")
TEST_NONSENSE(bad_slot, "bad-slot")
TEST_NONSENSE(bad_event_index, "bad-event-index")
TEST_NONSENSE(garbage_event, "garbage-event")
TEST_NONSENSE(partial_write, "partial-write")

/* The same in an answer to the driver, of which no job has to suffer. */
TEST_F(inject, garbage_answer)
{
	ASSERT_EQ(npu_inject("garbage-event"), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_EQ(rig_resets(), self->resets + 1);
}

/* Nothing is wrong but that nobody was told. */
TEST_F(inject, lost_irq)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(npu_inject("lost-irq"), 0);
		EXPECT_EQ(rig_copy_works(&self->ctx, i), 0);
	}
	EXPECT_EQ(rig_resets(), self->resets);
}

TEST_F(inject, mmu_fault)
{
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(npu_inject("mmu-fault"), 0);
	EXPECT_EQ(job_fails(&self->ctx, -EFAULT, DRM_HEARTH_FAULT_MMU_READ), 0);
	ASSERT_EQ(npu_query_fault(self->fd, self->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.address, 0xdead000u);
	EXPECT_EQ(fault.opcode, ~0u);
	EXPECT_EQ(rig_resets(), self->resets);
}

/* Keeps the device awake, so that there is firmware to harm. */
static int stay_awake(bool awake)
{
	char path[160];
	int ret = rig_sysfs(path, sizeof(path), "power/control");

	return ret ? ret : rig_write(path, awake ? "on" : "auto");
}

/* A job that is executed, for sure. */
static int start_long_job(struct npu_ctx *ctx)
{
	int64_t commands = rig_stat("commands");
	int ret = rig_gate_shut(ctx, ctx->syncobj, 0);

	if (ret)
		return ret;
	return RIG_UNTIL(rig_stat("commands") > commands, 10) ? 0 : -ETIME;
}

TEST_F(inject, crash_with_a_job)
{
	struct npu_ctx *ctx = &self->ctx;
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(start_long_job(ctx), 0);
	ASSERT_EQ(npu_inject("crash"), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), -EIO);
	ASSERT_EQ(npu_query_fault(self->fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_FIRMWARE);
	EXPECT_TRUE(RIG_UNTIL(rig_resets() == self->resets + 1, 10));
	EXPECT_EQ(rig_gate_open(), 0);
}

TEST_F(inject, crash_while_idle)
{
	ASSERT_EQ(stay_awake(true), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	ASSERT_EQ(npu_inject("crash"), 0);
	EXPECT_TRUE(RIG_UNTIL(rig_resets() == self->resets + 1, 10));
	/* Whoever had nothing on the device has lost nothing. */
	EXPECT_EQ(rig_copy_works(&self->ctx, 2), 0);
	EXPECT_EQ(stay_awake(false), 0);
}

TEST_F(inject, ten_crashes)
{
	struct npu_ctx ctx;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
		ASSERT_EQ(start_long_job(&ctx), 0);
		ASSERT_EQ(npu_inject("crash"), 0);
		ASSERT_EQ(npu_syncobj_wait(self->fd, ctx.syncobj, 0, RIG_DEADLINE), 0);
		EXPECT_EQ(npu_syncobj_status(self->fd, ctx.syncobj, 0), -EIO);
		npu_ctx_fini(&ctx);
	}
	EXPECT_EQ(rig_gate_open(), 0);
}

/* Slow is not hung: as long as there is progress, nobody is killed. */
TEST_F(inject, slow)
{
	uint64_t start = rig_now_ns();

	ASSERT_EQ(npu_inject("slow=100"), 0);
	EXPECT_EQ(npu_ctx_run(&self->ctx, rig_nops(&self->ctx, 0, 30), RIG_DEADLINE), 0);
	EXPECT_GT(rig_now_ns() - start, 2 * PROGRESS);
}

/* But there is a limit to a job as a whole. */
TEST_F(inject, slow_beyond_the_limit_of_a_job)
{
	struct npu_ctx *ctx = &self->ctx;
	int ret;

	ASSERT_EQ(npu_queue_destroy(self->fd, ctx->queue), 0);
	ret = rig_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL, 0, PROGRESS);
	ASSERT_GT(ret, 0);
	ctx->queue = ret;
	ASSERT_EQ(rig_gate_shut(ctx, ctx->syncobj, 0), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), -ETIMEDOUT);
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(rig_resets(), self->resets);
}

/* Text of the firmware is not to be printed as it is. */
TEST_F(inject, log)
{
	static char text[1 << 18];
	int bytes;

	ASSERT_EQ(stay_awake(true), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	ASSERT_EQ(npu_inject("log"), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 2), 0);
	bytes = klogctl(3, text, sizeof(text) - 1);
	ASSERT_GT(bytes, 0);
	text[bytes] = 0;
	EXPECT_EQ(strstr(text, "\033[31m"), NULL);
	EXPECT_EQ(stay_awake(false), 0);
	EXPECT_EQ(rig_resets(), self->resets);
}

TEST_F(inject, boot_that_fails_once)
{
	ASSERT_EQ(start_long_job(&self->ctx), 0);
	ASSERT_EQ(npu_inject("boot-fail"), 0);
	ASSERT_EQ(npu_inject("crash"), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, self->ctx.syncobj, 0), -EIO);
	EXPECT_EQ(rig_gate_open(), 0);
}

TEST_F(inject, boot_that_hangs_once)
{
	ASSERT_EQ(start_long_job(&self->ctx), 0);
	ASSERT_EQ(npu_inject("boot-hang"), 0);
	ASSERT_EQ(npu_inject("crash"), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, self->ctx.syncobj, 0), -EIO);
	/* Another process waits for the second attempt. */
}

/* A boot that fails at the wake-up, with nobody's job on the device. */
TEST_F(inject, wake_up_that_fails_once)
{
	char path[160], status[32];

	ASSERT_EQ(rig_sysfs(path, sizeof(path), "power/runtime_status"), 0);
	ASSERT_TRUE(RIG_UNTIL(!rig_read(path, status, sizeof(status)) &&
			      !strcmp(status, "suspended"), 10));
	ASSERT_EQ(npu_inject("boot-fail"), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
}

/* The device is there again, and bound: opened, with a context. */
static int begin_anew(struct npu_ctx *ctx)
{
	int fd, ret = rig_gate_open() ?: rig_rebind();

	if (ret)
		return ret;
	fd = npu_open();
	ret = fd < 0 ? fd : npu_ctx_init(ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	return ret ? ret : fd;
}

/*
 * Takes the device from under a job; @status: what its fence says. As a file, because
 * the ioctls of a device that is gone say ENODEV to all.
 */
static int lose_under_job(struct npu_ctx *ctx, int fd, int *status)
{
	int fence, ret = start_long_job(ctx);

	if (ret)
		return ret;
	fence = npu_syncobj_export(fd, ctx->syncobj);
	if (fence < 0)
		return fence;
	ret = npu_inject("surprise-removal");
	if (!ret)
		*status = npu_sync_file_wait(fence, 20000);
	close(fence);
	return ret;
}

/* The tests below lose the device for good, and bind it anew. */
TEST_F(inject, surprise_removal)
{
	struct npu_ctx *ctx = &self->ctx;
	int fd = self->fd, status;

	ASSERT_EQ(lose_under_job(ctx, fd, &status), 0);
	EXPECT_EQ(status, -ENODEV);
	EXPECT_EQ(npu_submit(fd, ctx->queue, ctx->stream_va, 8, NULL, 0), -ENODEV);
	EXPECT_LT(npu_vm_create(fd), 0);
	/* What the CPU has mapped stays memory. */
	ctx->stream[RIG_DATA] = 0x5a;
	EXPECT_EQ(ctx->stream[RIG_DATA], 0x5a);
	EXPECT_EQ(npu_open(), -ENOENT);

	npu_ctx_fini(ctx);
	close(fd);
	self->fd = begin_anew(ctx);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(rig_copy_works(ctx, 1), 0);
}

/* Its heart stops before a job has taken too long: not as if the firmware had died. */
TEST_F(inject, surprise_removal_of_a_patient_job)
{
	struct npu_ctx *ctx = &self->ctx;
	int fd = self->fd, status;

	npu_ctx_fini(ctx);
	ASSERT_EQ(rig_ctx_init(ctx, fd, PATIENCE), 0);
	ASSERT_EQ(lose_under_job(ctx, fd, &status), 0);
	EXPECT_EQ(status, -ENODEV);

	npu_ctx_fini(ctx);
	close(fd);
	self->fd = begin_anew(ctx);
	ASSERT_GE(self->fd, 0);
	EXPECT_EQ(rig_copy_works(ctx, 1), 0);
}

TEST_F(inject, firmware_of_another_version)
{
	struct npu_ctx *ctx = &self->ctx;
	struct drm_hearth_query_fault fault;
	int fd = self->fd;

	ASSERT_EQ(start_long_job(ctx), 0);
	ASSERT_EQ(npu_inject("fw-version"), 0);
	ASSERT_EQ(npu_inject("crash"), 0);
	ASSERT_EQ(npu_syncobj_wait(fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(fd, ctx->syncobj, 0), -EIO);
	ASSERT_EQ(npu_query_fault(fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_FIRMWARE);
	/* It does not boot any more; that is found out soon. */
	EXPECT_TRUE(RIG_UNTIL(npu_queue_create(fd, ctx->vm, 1) == -ENODEV, 10));

	npu_ctx_fini(ctx);
	close(fd);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_LT(rig_bind(), 0);
	EXPECT_EQ(rig_gate_open(), 0);
	ASSERT_EQ(rig_bind(), 0);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(rig_copy_works(ctx, 1), 0);
}

TEST_F(inject, probe_with_a_boot_that_fails_once)
{
	struct npu_ctx *ctx = &self->ctx;

	npu_ctx_fini(ctx);
	close(self->fd);
	ASSERT_EQ(rig_unbind(), 0);
	ASSERT_EQ(npu_inject("boot-fail"), 0);
	ASSERT_EQ(rig_bind(), 0);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(rig_copy_works(ctx, 1), 0);
}

TEST_HARNESS_MAIN
