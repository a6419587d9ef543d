// SPDX-License-Identifier: MIT
/* The driver lets go of the device and takes it again, a hundred times. */
#include "harness.h"
#include "rig.h"

#define CYCLES	100

FIXTURE(rebind)
{
};

FIXTURE_SETUP(rebind)
{
	int fd = npu_open();

	if (fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(rig_idle(), 0);
}

FIXTURE_TEARDOWN(rebind)
{
	EXPECT_EQ(rig_other_process_works(), 0);
	EXPECT_EQ(rig_idle(), 0);
}

TEST_F_TIMEOUT(rebind, hundred_cycles_with_jobs, 230)
{
	struct npu_ctx ctx;
	int i, fd;

	for (i = 0; i < CYCLES; i++) {
		ASSERT_EQ(rig_unbind(), 0);
		ASSERT_EQ(npu_open(), -ENOENT);
		ASSERT_EQ(rig_bind(), 0);
		fd = npu_open();
		ASSERT_GE(fd, 0);
		ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
		ASSERT_EQ(rig_copy_works(&ctx, i), 0);
		npu_ctx_fini(&ctx);
		close(fd);
	}
}

TEST_F(rebind, bind_twice)
{
	EXPECT_LT(rig_bind(), 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_LT(rig_unbind(), 0);
	ASSERT_EQ(rig_bind(), 0);
}

/* An open file does not hold it up, and is of no use afterwards. */
TEST_F(rebind, with_a_file_open)
{
	struct drm_hearth_limits limits;
	struct npu_ctx ctx, next;
	int fd = npu_open(), fresh;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(rig_copy_works(&ctx, 1), 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_EQ(npu_limits(fd, &limits), -ENODEV);
	EXPECT_EQ(npu_submit(fd, ctx.queue, ctx.stream_va, 8, NULL, 0), -ENODEV);
	EXPECT_EQ(npu_queue_create(fd, ctx.vm, DRM_HEARTH_QUEUE_NORMAL), -ENODEV);
	ASSERT_EQ(rig_bind(), 0);

	/* The new device does not know the old one's files. */
	EXPECT_EQ(npu_submit(fd, ctx.queue, ctx.stream_va, 8, NULL, 0), -ENODEV);
	fresh = npu_open();
	ASSERT_GE(fresh, 0);
	ASSERT_EQ(npu_ctx_init(&next, fresh, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(rig_copy_works(&next, 2), 0);
	ctx.stream[RIG_DATA] = 1;
	EXPECT_EQ(ctx.stream[RIG_DATA], 1);
	npu_ctx_fini(&ctx);
	close(fd);
	EXPECT_EQ(rig_copy_works(&next, 3), 0);
	npu_ctx_fini(&next);
	close(fresh);
}

/* The job on the device ends with the device. */
TEST_F(rebind, with_a_job_in_flight)
{
	struct npu_ctx ctx;
	int fd = npu_open(), i;

	ASSERT_GE(fd, 0);
	for (i = 0; i < 5; i++) {
		int64_t commands = rig_stat("commands");

		ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
		if (rig_gate_shut(&ctx, ctx.syncobj, 0))
			SKIP("no control channel to the NPU");
		ASSERT_TRUE(RIG_UNTIL(rig_stat("commands") > commands, 10));
		ASSERT_EQ(rig_unbind(), 0);
		ASSERT_EQ(npu_syncobj_wait(fd, ctx.syncobj, 0, 0), -ENODEV);
		npu_ctx_fini(&ctx);
		close(fd);
		EXPECT_EQ(rig_gate_open(), 0);
		ASSERT_EQ(rig_bind(), 0);
		fd = npu_open();
		ASSERT_GE(fd, 0);
	}
	close(fd);
}

TEST_HARNESS_MAIN
