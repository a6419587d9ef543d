// SPDX-License-Identifier: MIT
/* What was dropped is read again before a job runs, and nobody else waits for it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "harness.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define BYTES	(3 * WEIGHTS_EXTENT + 4321)
#define PAGES	((BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE)
#define SEED	7

/* Reading it all takes seconds then, and reading one extent does as well. */
#define SLOW	"throttle 1000000"

#define TIMEOUT	"/sys/module/hearth/parameters/restore_timeout_ms"

FIXTURE(restore)
{
	struct weights w;
};

FIXTURE_SETUP(restore)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU | WEIGHTS_NEED_DEBUGFS);
	ASSERT_EQ(weights_make(&self->w, PATH, BYTES, SEED), 0);
}

FIXTURE_TEARDOWN(restore)
{
	npu_host("throttle 0");
	rig_write(TIMEOUT, "30000");
	weights_close(&self->w);
	unlink(PATH);
}

static int64_t extents(void)
{
	return npu_debugfs("objects", "extents");
}

TEST_F(restore, same_bytes)
{
	struct weights *w = &self->w;

	ASSERT_EQ(extents(), 4);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(extents(), 0);
	EXPECT_EQ(weights_stat("resident"), 0);
	EXPECT_EQ(weights_stat("dropped"), (int64_t)PAGES);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_EQ(weights_stat("restores"), 2);
	EXPECT_EQ(weights_stat("read"), 2 * (int64_t)PAGES);
	EXPECT_GT(weights_stat("ns"), 0);
}

/* Reclaim's way: the page cache keeps them until the system wants them. */
TEST_F(restore, from_the_page_cache_or_the_disk)
{
	struct weights *w = &self->w;
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(weights_shrink(BYTES), 0);
		EXPECT_EQ(extents(), 0);
		if (i % 2)
			ASSERT_EQ(rig_write("/proc/sys/vm/drop_caches", "3"), 0);
		EXPECT_EQ(weights_run(w), 0);
		EXPECT_TRUE(weights_are(w, SEED));
	}
	/* What is resident is held, as long as nobody asks our shrinker: that would be 2. */
	ASSERT_EQ(rig_write("/proc/sys/vm/drop_caches", "1"), 0);
	EXPECT_EQ(extents(), 4);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_EQ(weights_stat("restores"), 5);
}

TEST_F(restore, only_what_is_missing)
{
	struct weights *w = &self->w;
	int64_t read = weights_stat("read");

	ASSERT_EQ(weights_evict(1), 0);
	EXPECT_EQ(extents(), 3);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_EQ(weights_stat("read"), read + (int64_t)WEIGHTS_EXTENT);
}

static int throttle(void)
{
	int ret = weights_evict(BYTES);

	return ret ? ret : npu_host(SLOW);
}

TEST_F(restore, nobody_else_waits)
{
	struct weights *w = &self->w;
	struct npu_ctx other;
	uint64_t start;
	int i, fd;

	fd = npu_open();
	ASSERT_GE(fd, 0);
	ASSERT_EQ(npu_ctx_init(&other, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");

	start = rig_now_ns();
	ASSERT_EQ(weights_submit(w), 0);
	EXPECT_LT(rig_now_ns() - start, NPU_SECOND);

	/* Another client, and another queue and binds of the same address space. */
	for (i = 0; i < 5; i++)
		EXPECT_EQ(rig_copy_works(&other, i), 0);
	EXPECT_EQ(npu_unmap(w->ctx.fd, w->ctx.vm, WEIGHTS_OUT_VA - NPU_PAGE, NPU_PAGE), 0);
	EXPECT_EQ(npu_map(w->ctx.fd, w->ctx.vm, w->ctx.bo, 0, WEIGHTS_OUT_VA - NPU_PAGE, NPU_PAGE,
			  0), 0);
	EXPECT_EQ(npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, 0), -ETIME);

	ASSERT_EQ(npu_host("throttle 0"), 0);
	EXPECT_EQ(weights_wait(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
}

static int64_t restored(const struct weights *w, const char *what)
{
	char key[64];

	snprintf(key, sizeof(key), "hearth-%s", what);
	return npu_fdinfo(w->ctx.fd, key);
}

/* A client is told what its own jobs had to wait for, and only that. */
TEST_F(restore, told_to_who_caused_it)
{
	struct weights *w = &self->w, other;
	int64_t ns;

	EXPECT_EQ(restored(w, "restores"), 1);
	EXPECT_EQ(restored(w, "restored-memory"), (int64_t)PAGES);
	ns = restored(w, "restored-time");
	EXPECT_GT(ns, 0);

	/* It finds all there. */
	ASSERT_EQ(weights_open(&other, PATH), 0);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_EQ(restored(&other, "restores"), 0);
	EXPECT_EQ(restored(&other, "restored-memory"), 0);
	EXPECT_EQ(restored(&other, "restored-time"), 0);

	/* And this time one extent is missing. */
	ASSERT_EQ(weights_evict(1), 0);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_EQ(restored(&other, "restores"), 1);
	EXPECT_EQ(restored(&other, "restored-memory"), (int64_t)WEIGHTS_EXTENT);
	EXPECT_GT(restored(&other, "restored-time"), 0);
	EXPECT_EQ(restored(w, "restores"), 1);
	EXPECT_EQ(restored(w, "restored-memory"), (int64_t)PAGES);
	EXPECT_EQ(restored(w, "restored-time"), ns);
	EXPECT_EQ(restored(w, "restored-time") + restored(&other, "restored-time"),
		  weights_stat("ns"));
	weights_close(&other);
}

/* Both want it, one restore serves them, and is told to the first. */
TEST_F(restore, two_clients_one_restore)
{
	struct weights *w = &self->w, second;
	int64_t restores = weights_stat("restores");

	ASSERT_EQ(weights_open(&second, PATH), 0);
	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(weights_submit(w), 0);
	ASSERT_EQ(weights_submit(&second), 0);
	ASSERT_EQ(npu_host("throttle 0"), 0);
	EXPECT_EQ(weights_wait(w), 0);
	EXPECT_EQ(weights_wait(&second), 0);
	EXPECT_TRUE(weights_are(w, SEED));
	EXPECT_TRUE(weights_are(&second, SEED));
	EXPECT_EQ(weights_stat("restores"), restores + 1);
	EXPECT_EQ(restored(w, "restores"), 2);
	EXPECT_EQ(restored(&second, "restores"), 0);
	weights_close(&second);
}

TEST_F(restore, queue_destroyed_meanwhile)
{
	struct weights *w = &self->w;
	int sync_fd;

	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(weights_submit(w), 0);
	sync_fd = npu_syncobj_export(w->ctx.fd, w->ctx.syncobj);
	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(npu_queue_destroy(w->ctx.fd, w->ctx.queue), 0);
	w->ctx.queue = 0;
	ASSERT_EQ(npu_host("throttle 0"), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), -ECANCELED);
}

TEST_F(restore, closed_meanwhile)
{
	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(weights_submit(&self->w), 0);
	weights_close(&self->w);
	ASSERT_EQ(npu_host("throttle 0"), 0);
	EXPECT_EQ(rig_idle(), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

/* A disk that does not answer: the fence signals all the same. */
TEST_F(restore, takes_too_long)
{
	struct weights *w = &self->w;
	struct drm_hearth_query_fault fault;

	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(npu_host("throttle 100000"), 0);
	ASSERT_EQ(rig_write(TIMEOUT, "300"), 0);
	EXPECT_EQ(weights_run(w), -ETIMEDOUT);
	ASSERT_EQ(npu_query_fault(w->ctx.fd, w->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_RESTORE);
	EXPECT_EQ(fault.error, (uint32_t)ETIMEDOUT);
	EXPECT_EQ(weights_submit(w), -ECANCELED);

	ASSERT_EQ(npu_host("throttle 0"), 0);
	ASSERT_EQ(rig_write(TIMEOUT, "30000"), 0);
	weights_close(w);
	ASSERT_EQ(weights_open(w, PATH), 0);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
}

TEST_F(restore, device_unbound_meanwhile)
{
	struct weights *w = &self->w;
	int sync_fd;

	if (throttle() == -EOPNOTSUPP)
		SKIP("the machine grants no wish");
	ASSERT_EQ(weights_submit(w), 0);
	sync_fd = npu_syncobj_export(w->ctx.fd, w->ctx.syncobj);
	ASSERT_GE(sync_fd, 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_EQ(npu_sync_file_wait(sync_fd, 20000), -ENODEV);
	ASSERT_EQ(npu_host("throttle 0"), 0);
	weights_close(w);
	ASSERT_EQ(rig_bind(), 0);
	ASSERT_EQ(weights_open(w, PATH), 0);
	EXPECT_EQ(weights_run(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));
}

#define IMAGE	WEIGHTS_FOLDER "/image"
#define MOUNT	"/run/mnt"
#define LOOPED	MOUNT "/weights"

/* A disk that loses its contents: reads beyond the end of its file fail. */
TEST_F(restore, read_error)
{
	struct drm_hearth_query_fault fault;
	struct weights w;

	if (access("/dev/loop-control", F_OK))
		SKIP("no loop devices");
	ASSERT_EQ(system("truncate -s 16M " IMAGE " && mke2fs -q -F " IMAGE " >/dev/null && "
			 "mkdir -p " MOUNT " && "
			 "mount -t ext4 -o loop " IMAGE " " MOUNT), 0);
	ASSERT_EQ(weights_write(LOOPED, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&w, LOOPED), 0);
	ASSERT_EQ(weights_run(&w), 0);
	ASSERT_EQ(weights_evict(2 * BYTES), 0);
	ASSERT_EQ(truncate(IMAGE, WEIGHTS_EXTENT), 0);

	EXPECT_EQ(weights_run(&w), -EIO);
	ASSERT_EQ(npu_query_fault(w.ctx.fd, w.ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_RESTORE);
	EXPECT_EQ(fault.error, (uint32_t)EIO);
	EXPECT_EQ(weights_submit(&w), -ECANCELED);
	/* Another file, another store. */
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	weights_close(&w);
	printf("# expect-log: I/O error, dev loop\n");
	/* Stores go a moment after the last client. */
	EXPECT_TRUE(RIG_UNTIL(!umount(MOUNT), 10));
	unlink(IMAGE);
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
