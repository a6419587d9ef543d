// SPDX-License-Identifier: MIT
/* What /proc says of a client: its driver, engine time, memory. */
#include <fcntl.h>

#include "harness.h"
#include "rig.h"

#define SIZE	(64 * NPU_PAGE)

FIXTURE(fdinfo)
{
	int fd;
	struct npu_ctx ctx;
};

FIXTURE_SETUP(fdinfo)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

FIXTURE_TEARDOWN(fdinfo)
{
	rig_gate_open();
	npu_ctx_fini(&self->ctx);
	close(self->fd);
}

/* The text behind "KEY:" of a client's fdinfo. */
static int text_of(int fd, const char *key, char *text, size_t bytes)
{
	size_t length = strlen(key);
	char path[64], line[256];
	int ret = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, length) || line[length] != ':')
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(text, bytes, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
		ret = 0;
	}
	fclose(f);
	return ret;
}

TEST_F(fdinfo, says_who_it_is)
{
	char text[64];

	ASSERT_EQ(text_of(self->fd, "drm-driver", text, sizeof(text)), 0);
	EXPECT_EQ(strcmp(text, "hearth"), 0);
	ASSERT_EQ(text_of(self->fd, "drm-pdev", text, sizeof(text)), 0);
	EXPECT_NE(strchr(text, ':'), NULL);
	EXPECT_EQ(text_of(self->fd, "drm-client-id", text, sizeof(text)), 0);
}

TEST_F(fdinfo, each_open_is_a_client)
{
	int other = npu_open();

	ASSERT_GE(other, 0);
	EXPECT_NE(npu_fdinfo(self->fd, "drm-client-id"), npu_fdinfo(other, "drm-client-id"));
	close(other);
}

/* Nanoseconds, as the key says, and a unit for each of memory. */
TEST_F(fdinfo, units)
{
	static const char *const memory[] = {
		"drm-total-memory", "drm-shared-memory", "drm-resident-memory",
		"drm-active-memory",
	};
	char text[64];
	size_t i;

	ASSERT_EQ(text_of(self->fd, "drm-engine-npu", text, sizeof(text)), 0);
	EXPECT_NE(strstr(text, " ns"), NULL);
	ASSERT_EQ(text_of(self->fd, "drm-engine-capacity-npu", text, sizeof(text)), 0);
	EXPECT_GT(atoi(text), 0);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(text_of(self->fd, memory[i], text, sizeof(text)), 0);
	ASSERT_EQ(text_of(self->fd, memory[0], text, sizeof(text)), 0);
	EXPECT_NE(strstr(text, "KiB"), NULL);
}

TEST_F(fdinfo, engine_time_grows_with_work)
{
	int64_t before = npu_fdinfo(self->fd, "drm-engine-npu"), after;
	uint64_t start = rig_now_ns();

	ASSERT_GE(before, 0);
	if (npu_inject("slow=5"))
		SKIP("no control channel to the NPU");
	ASSERT_EQ(npu_ctx_run(&self->ctx, rig_nops(&self->ctx, 0, 40), RIG_DEADLINE), 0);
	after = npu_fdinfo(self->fd, "drm-engine-npu");
	/* 40 commands of 5 ms, and not more than the clock allows. */
	EXPECT_GE(after - before, 200000000);
	EXPECT_LE(after - before, (int64_t)(rig_now_ns() - start));
	/* No work, no time. */
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-engine-npu"), after);
}

TEST_F(fdinfo, engine_time_grows_during_a_job)
{
	int64_t seen;

	if (rig_gate_shut(&self->ctx, self->ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	EXPECT_TRUE(RIG_UNTIL(npu_fdinfo(self->fd, "drm-engine-npu") > 0, 10));
	seen = npu_fdinfo(self->fd, "drm-engine-npu");
	EXPECT_TRUE(RIG_UNTIL(npu_fdinfo(self->fd, "drm-engine-npu") > seen, 10));
	EXPECT_EQ(npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, 0), -ETIME);
}

TEST_F(fdinfo, engine_time_survives_the_queue)
{
	int64_t seen;

	ASSERT_EQ(rig_copy_works(&self->ctx, 1), 0);
	seen = npu_fdinfo(self->fd, "drm-engine-npu");
	EXPECT_GT(seen, 0);
	ASSERT_EQ(npu_queue_destroy(self->fd, self->ctx.queue), 0);
	self->ctx.queue = 0;
	EXPECT_GE(npu_fdinfo(self->fd, "drm-engine-npu"), seen);
}

TEST_F(fdinfo, engine_time_survives_suspend)
{
	char path[160], status[32];
	int64_t seen;

	ASSERT_EQ(rig_copy_works(&self->ctx, 1), 0);
	seen = npu_fdinfo(self->fd, "drm-engine-npu");
	ASSERT_EQ(rig_sysfs(path, sizeof(path), "power/runtime_status"), 0);
	ASSERT_TRUE(RIG_UNTIL(!rig_read(path, status, sizeof(status)) &&
			      !strcmp(status, "suspended"), 10));
	EXPECT_GE(npu_fdinfo(self->fd, "drm-engine-npu"), seen);
	ASSERT_EQ(rig_copy_works(&self->ctx, 2), 0);
	EXPECT_GT(npu_fdinfo(self->fd, "drm-engine-npu"), seen);
}

/* One's work is not on the other's bill. */
TEST_F(fdinfo, two_clients)
{
	struct npu_ctx other;
	int fd = npu_open(), bo;
	int64_t mine;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(npu_ctx_init(&other, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(npu_fdinfo(fd, "drm-engine-npu"), 0);
	ASSERT_EQ(rig_copy_works(&self->ctx, 1), 0);
	EXPECT_EQ(npu_fdinfo(fd, "drm-engine-npu"), 0);
	mine = npu_fdinfo(self->fd, "drm-engine-npu");
	EXPECT_GT(mine, 0);
	ASSERT_EQ(rig_copy_works(&other, 2), 0);
	EXPECT_GT(npu_fdinfo(fd, "drm-engine-npu"), 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-engine-npu"), mine);

	mine = npu_fdinfo(self->fd, "drm-total-memory");
	bo = npu_bo_create(fd, SIZE, 0);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_fdinfo(fd, "drm-total-memory"), (int64_t)(NPU_STREAM_BYTES + SIZE));
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-total-memory"), mine);
	npu_ctx_fini(&other);
	close(fd);
}

TEST_F(fdinfo, shared_memory)
{
	int bo = npu_bo_create(self->fd, SIZE, 0), other = npu_open(), dma_buf;

	ASSERT_GT(bo, 0);
	ASSERT_GE(other, 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-shared-memory"), 0);
	dma_buf = npu_export(self->fd, bo, DRM_CLOEXEC | DRM_RDWR);
	ASSERT_GE(dma_buf, 0);
	ASSERT_GT(npu_import(other, dma_buf), 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-shared-memory"), (int64_t)SIZE);
	EXPECT_EQ(npu_fdinfo(other, "drm-shared-memory"), (int64_t)SIZE);
	close(dma_buf);
	close(other);
}

TEST_F(fdinfo, resident_by_use_of_the_device)
{
	int bo = npu_bo_create(self->fd, SIZE, 0);
	int64_t before = npu_fdinfo(self->fd, "drm-resident-memory");

	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_map(self->fd, self->ctx.vm, bo, 0, 0x70000000, SIZE, 0), 0);
	EXPECT_EQ(npu_fdinfo(self->fd, "drm-resident-memory"), before + (int64_t)SIZE);
}

TEST_HARNESS_MAIN
