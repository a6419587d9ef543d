// SPDX-License-Identifier: MIT
/* Power: asleep when nobody works, awake for the next job, and system sleep. */
#include "harness.h"
#include "rig.h"

FIXTURE(pm)
{
	int fd;
	struct npu_ctx ctx;
};

static bool status_is(const char *wanted)
{
	char path[160], status[32];

	return !rig_sysfs(path, sizeof(path), "power/runtime_status") &&
	       !rig_read(path, status, sizeof(status)) && !strcmp(status, wanted);
}

static int64_t counter(const char *name)
{
	char path[160], text[32], attribute[64];

	snprintf(attribute, sizeof(attribute), "power/%s", name);
	if (rig_sysfs(path, sizeof(path), attribute) || rig_read(path, text, sizeof(text)))
		return -ENOENT;
	return strtoll(text, NULL, 10);
}

FIXTURE_SETUP(pm)
{
	if (counter("runtime_suspended_time") < 0)
		SKIP("no runtime power management");
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

FIXTURE_TEARDOWN(pm)
{
	rig_gate_open();
	EXPECT_EQ(rig_copy_works(&self->ctx, 3), 0);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
}

#define ASLEEP	RIG_UNTIL(status_is("suspended"), 10)

/* An open file with a queue on a slot does not keep it awake. */
TEST_F(pm, sleeps_after_work)
{
	int i;

	for (i = 0; i < 5; i++) {
		EXPECT_EQ(rig_copy_works(&self->ctx, i), 0);
		EXPECT_TRUE(ASLEEP);
	}
}

TEST_F(pm, the_firmware_sleeps_too)
{
	int64_t admin = rig_stat("admin");

	if (admin < 0)
		SKIP("no control channel to the NPU");
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_TRUE(ASLEEP);
	EXPECT_GT(rig_stat("admin"), admin);
	EXPECT_EQ(rig_stat("slots"), 0);
	EXPECT_NE(rig_stat("status"), 2);
}

/* Of the NPU, on all CPUs: "28:  3  9  PCI-MSI-0000:01:00.0  0-edge  0000:01:00.0". */
static int64_t interrupts(void)
{
	char path[160], line[512], *name, *p, *end;
	int64_t count = 0;
	FILE *f;

	if (rig_sysfs(path, sizeof(path), ""))
		return -ENODEV;
	path[strlen(path) - 1] = 0;
	name = strrchr(path, '/') + 1;
	f = fopen("/proc/interrupts", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, name) || !(end = strchr(line, ':')))
			continue;
		do {
			p = end + (*end == ':');
			count += strtoll(p, &end, 10);
		} while (end != p);
	}
	if (f)
		fclose(f);
	return count;
}

/* An interrupt may be under way for long: a device that sleeps is not gone. */
TEST_F(pm, sleeps_through_a_late_interrupt)
{
	int64_t before;
	int i;

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(rig_copy_works(&self->ctx, i), 0);
		EXPECT_TRUE(ASLEEP);
		before = interrupts();
		if (npu_inject("late-irq"))
			SKIP("no control channel to the NPU");
		EXPECT_TRUE(RIG_UNTIL(interrupts() > before, 10));
		EXPECT_TRUE(status_is("suspended"));
	}
	EXPECT_EQ(rig_copy_works(&self->ctx, i), 0);
}

/* The same on the way to sleep, and on the way back. */
TEST_F(pm, late_interrupts_at_any_time)
{
	int i;

	if (npu_inject("late-irq"))
		SKIP("no control channel to the NPU");
	for (i = 0; i < 40; i++) {
		while (!status_is("suspended"))
			ASSERT_EQ(npu_inject("late-irq"), 0);
		ASSERT_EQ(rig_copy_works(&self->ctx, i), 0);
	}
}

TEST_F(pm, awake_while_it_works)
{
	int i;

	if (rig_gate_shut(&self->ctx, self->ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	for (i = 0; i < 300; i++) {
		ASSERT_TRUE(status_is("active"));
		rig_breathe();
	}
	EXPECT_EQ(npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, 0), -ETIME);
	EXPECT_EQ(rig_gate_open(), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, self->ctx.syncobj, 0), 0);
	EXPECT_TRUE(ASLEEP);
}

/* Memory is the kernel's: what only concerns it wakes nobody. */
TEST_F(pm, binds_and_queries_do_not_wake_it)
{
	struct drm_hearth_limits limits;
	int64_t active;
	int bo;

	ASSERT_TRUE(ASLEEP);
	active = counter("runtime_active_time");
	bo = npu_bo_create(self->fd, 16 * NPU_PAGE, 0);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, 0x70000000, 16 * NPU_PAGE, 0), 0);
	EXPECT_EQ(npu_unmap(self->fd, self->ctx.vm, 0x70000000, 16 * NPU_PAGE), 0);
	EXPECT_EQ(npu_bo_close(self->fd, bo), 0);
	EXPECT_EQ(npu_limits(self->fd, &limits), 0);
	EXPECT_GE(npu_fdinfo(self->fd, "drm-engine-npu"), 0);
	EXPECT_GE(npu_debugfs("objects", "files"), 1);
	EXPECT_TRUE(status_is("suspended"));
	EXPECT_EQ(counter("runtime_active_time"), active);
}

/* What was unmapped while it slept must not be there when it wakes up. */
TEST_F(pm, maps_change_while_it_sleeps)
{
	struct npu_ctx *ctx = &self->ctx;
	int bo = npu_bo_create(self->fd, NPU_PAGE, 0), other = npu_bo_create(self->fd, NPU_PAGE, 0);
	uint8_t *p = npu_bo_map(self->fd, bo, NPU_PAGE), *q = npu_bo_map(self->fd, other, NPU_PAGE);
	size_t n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, 0x70000000, 1);

	ASSERT_NE(p, MAP_FAILED);
	ASSERT_NE(q, MAP_FAILED);
	p[0] = 1;
	q[0] = 2;
	ASSERT_EQ(npu_map(self->fd, ctx->vm, bo, 0, 0x70000000, NPU_PAGE, 0), 0);
	ASSERT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA], 1);
	EXPECT_TRUE(ASLEEP);
	ASSERT_EQ(npu_map(self->fd, ctx->vm, other, 0, 0x70000000, NPU_PAGE, 0), 0);
	ASSERT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA], 2);
}

TEST_F(pm, time_is_counted)
{
	int64_t asleep = counter("runtime_suspended_time"), awake = counter("runtime_active_time");

	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_TRUE(RIG_UNTIL(counter("runtime_active_time") > awake, 10));
	EXPECT_TRUE(RIG_UNTIL(counter("runtime_suspended_time") > asleep, 10));
}

TEST_F(pm, control_on_keeps_it_awake)
{
	char path[160];
	int i;

	ASSERT_EQ(rig_sysfs(path, sizeof(path), "power/control"), 0);
	ASSERT_EQ(rig_write(path, "on"), 0);
	for (i = 0; i < 200; i++) {
		ASSERT_TRUE(status_is("active"));
		rig_breathe();
	}
	EXPECT_EQ(rig_write(path, "auto"), 0);
	EXPECT_TRUE(ASLEEP);
}

/* Its driver does not survive a suspend: the first map afterwards hangs the CPU. */
static bool has_virtio_iommu(void)
{
	return !access("/sys/bus/virtio/drivers/virtio_iommu/virtio0", F_OK);
}

/* All the kernel's own steps of a suspend but the last. */
static int sleep_and_wake(void)
{
	int ret;

	rig_write("/sys/module/suspend/parameters/pm_test_delay", "1");
	ret = rig_write("/sys/power/pm_test", "devices");
	if (!ret)
		ret = rig_write("/sys/power/state", "freeze");
	rig_write("/sys/power/pm_test", "none");
	return ret;
}

TEST_F(pm, system_sleep)
{
	char text[64];

	if (rig_read("/sys/power/pm_test", text, sizeof(text)))
		SKIP("the kernel cannot test suspend");
	if (has_virtio_iommu())
		SKIP("virtio-iommu does not survive a suspend");
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_EQ(sleep_and_wake(), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 2), 0);
	EXPECT_TRUE(ASLEEP);
	EXPECT_EQ(sleep_and_wake(), 0);
	EXPECT_EQ(rig_copy_works(&self->ctx, 3), 0);
}

/* Jobs that are on their way are finished before or after, and right. */
TEST_F(pm, system_sleep_with_jobs_in_flight)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t data = ctx->stream_va + RIG_DATA;
	size_t n = 0, bytes;
	char text[64];
	int i;

	if (rig_read("/sys/power/pm_test", text, sizeof(text)))
		SKIP("the kernel cannot test suspend");
	if (has_virtio_iommu())
		SKIP("virtio-iommu does not survive a suspend");
	if (npu_inject("slow=5"))
		SKIP("no control channel to the NPU");
	memset(ctx->stream + RIG_DATA, 0, 256);
	ctx->stream[RIG_DATA] = 0x21;
	for (i = 0; i < 200; i++) {
		bytes = npu_cmd_copy(ctx->stream + n, data + i + 1, data + i, 1);
		ASSERT_EQ(rig_submit(ctx, n, bytes, ctx->syncobj, 0), 0);
		n += bytes;
	}
	EXPECT_EQ(sleep_and_wake(), 0);
	ASSERT_EQ(npu_syncobj_wait(self->fd, ctx->syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx->syncobj, 0), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + 200], 0x21);
}

TEST_HARNESS_MAIN
