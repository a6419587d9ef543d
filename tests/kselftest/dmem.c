// SPDX-License-Identifier: MIT
/*
 * Cgroups that count what a device has (dmem): who pays for extents, what a limit
 * does to those that are there and to those that come.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/dmem"
#define OTHER	WEIGHTS_FOLDER "/dmem2"
#define EXT		((int64_t)WEIGHTS_EXTENT)
#define BYTES	(3 * EXT + 99)
#define PAGES		(3 * EXT + (int64_t)NPU_PAGE)	/* what BYTES are in memory */
#define SEED	15
#define ROOT	"/tmp/dmem-cgroup"
#define ALICE	ROOT "/alice"
#define BOB	ROOT "/bob"

FIXTURE(dmem)
{
	char region[64];
};

/* One of dmem's files of a cgroup: the number behind the region. */
static int64_t dmem_number(const char *group, const char *file, const char *region)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/dmem.%s", group, file);
	return npu_number(path, region);
}

static int set_limit(const char *group, const char *file, const char *region, uint64_t bytes)
{
	char path[128], text[96];

	snprintf(path, sizeof(path), "%s/dmem.%s", group, file);
	if (bytes == UINT64_MAX)
		snprintf(text, sizeof(text), "%s max", region);
	else
		snprintf(text, sizeof(text), "%s %llu", region, (unsigned long long)bytes);
	return rig_write(path, text);
}

static int set_max(const char *group, const char *region, uint64_t bytes)
{
	return set_limit(group, "max", region, bytes);
}

static int enter(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return rig_write(path, "0");
}

/* -ENOENT if the kernel does not count so, or not for this device. */
static int find_region(char *region, size_t bytes)
{
	char path[160], *name;
	int64_t capacity;

	if (mkdir(ROOT, 0755) && errno != EEXIST)
		return -errno;
	umount(ROOT);
	if (mount("none", ROOT, "cgroup2", 0, NULL))
		return -ENOENT;
	if (rig_write(ROOT "/cgroup.subtree_control", "+dmem"))
		return -ENOENT;
	if (rig_sysfs(path, sizeof(path), ""))
		return -ENODEV;
	path[strlen(path) - 1] = 0;
	name = strrchr(path, '/') + 1;
	snprintf(region, bytes, "drm/%s/models", name);
	capacity = dmem_number(ROOT, "capacity", region);
	return capacity < 0 ? capacity : 0;
}

FIXTURE_SETUP(dmem)
{
	int ret;

	SKIP_WITHOUT(WEIGHTS_NEED_NPU | WEIGHTS_NEED_DEBUGFS);
	ret = find_region(self->region, sizeof(self->region));
	if (ret == -ENOENT)
		SKIP("the kernel counts no device memory by cgroup");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(rig_idle(), 0);
	/* Of a test that failed. */
	rmdir(ALICE);
	rmdir(BOB);
	ASSERT_EQ(mkdir(ALICE, 0755), 0);
	ASSERT_EQ(mkdir(BOB, 0755), 0);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(weights_write(OTHER, BYTES, SEED + 1), 0);
}

FIXTURE_TEARDOWN(dmem)
{
	rig_gate_open();
	EXPECT_EQ(enter(ROOT), 0);
	EXPECT_EQ(rig_idle(), 0);
	/* Nothing is charged that is not there, and nobody is left. */
	EXPECT_EQ(dmem_number(ROOT, "current", self->region), 0);
	EXPECT_EQ(rmdir(ALICE), 0);
	EXPECT_EQ(rmdir(BOB), 0);
	umount(ROOT);
	unlink(PATH);
	unlink(OTHER);
}

#define CURRENT(group)	dmem_number(group, "current", self->region)

static int open_in(const char *group, struct weights *w, const char *path)
{
	int ret = enter(group);

	return ret ? ret : weights_open(w, path);
}

TEST_F(dmem, what_is_resident)
{
	struct weights w;

	EXPECT_GE(dmem_number(ROOT, "capacity", self->region), keep_attribute("memory_budget"));
	ASSERT_EQ(open_in(ALICE, &w, PATH), 0);
	/* A bind brings nothing. */
	EXPECT_EQ(CURRENT(ALICE), 0);
	ASSERT_EQ(weights_run(&w), 0);
	EXPECT_TRUE(weights_are(&w, SEED));
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	EXPECT_EQ(CURRENT(ROOT), PAGES);
	EXPECT_EQ(CURRENT(BOB), 0);

	ASSERT_EQ(weights_evict(EXT), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES - EXT);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	ASSERT_EQ(weights_run(&w), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	weights_close(&w);
	EXPECT_TRUE(RIG_UNTIL(!CURRENT(ALICE), 10));
}

TEST_F(dmem, shared_is_charged_once)
{
	struct weights a, b;

	ASSERT_EQ(open_in(ALICE, &a, PATH), 0);
	ASSERT_EQ(weights_run(&a), 0);
	ASSERT_EQ(open_in(BOB, &b, PATH), 0);
	ASSERT_EQ(weights_run(&b), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	EXPECT_EQ(CURRENT(BOB), 0);
	/* Who brought it is gone; it is there for the other, on the same bill. */
	weights_close(&a);
	EXPECT_EQ(CURRENT(ROOT), PAGES);
	/* Dropped and brought again it is on that of who did. */
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	ASSERT_EQ(weights_run(&b), 0);
	EXPECT_EQ(CURRENT(BOB), PAGES);
	weights_close(&b);
}

static int resize(int fd, uint32_t bo, uint64_t size)
{
	struct drm_hearth_bo_resize args = { .handle = bo, .size = size };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_RESIZE, &args);
}

TEST_F(dmem, state_too)
{
	int fd, bo;

	ASSERT_EQ(enter(ALICE), 0);
	fd = npu_open();
	ASSERT_GE(fd, 0);
	bo = npu_bo_create(fd, 4 * EXT, DRM_HEARTH_BO_STATE);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	ASSERT_EQ(resize(fd, bo, 2 * EXT), 0);
	EXPECT_EQ(CURRENT(ALICE), 2 * EXT);

	/* What does not fit leaves all as it was. */
	ASSERT_EQ(set_max(ALICE, self->region, 3 * EXT), 0);
	EXPECT_EQ(resize(fd, bo, 4 * EXT), -EDQUOT);
	EXPECT_EQ(CURRENT(ALICE), 2 * EXT);
	EXPECT_EQ(resize(fd, bo, 3 * EXT), 0);
	EXPECT_EQ(CURRENT(ALICE), 3 * EXT);
	EXPECT_EQ(resize(fd, bo, EXT), 0);
	EXPECT_EQ(CURRENT(ALICE), EXT);
	close(fd);
}

TEST_F(dmem, beyond_the_limit)
{
	struct weights w;

	ASSERT_EQ(set_max(ALICE, self->region, 2 * EXT), 0);
	ASSERT_EQ(open_in(ALICE, &w, PATH), 0);
	EXPECT_EQ(weights_submit(&w), -EDQUOT);
	EXPECT_EQ(CURRENT(ALICE), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
	/* The queue lives, and runs it where there is room. */
	ASSERT_EQ(set_max(ALICE, self->region, UINT64_MAX), 0);
	EXPECT_EQ(weights_run(&w), 0);
	EXPECT_TRUE(weights_are(&w, SEED));
	weights_close(&w);
}

TEST_F(dmem, ones_own_goes_first)
{
	struct weights a, other;

	ASSERT_EQ(set_max(ALICE, self->region, 5 * EXT), 0);
	ASSERT_EQ(open_in(ALICE, &a, PATH), 0);
	ASSERT_EQ(weights_run(&a), 0);
	ASSERT_EQ(weights_open(&other, OTHER), 0);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED + 1));
	/* Of the first only what had to go went. */
	EXPECT_GT(CURRENT(ALICE), 4 * EXT);
	EXPECT_LE(CURRENT(ALICE), 5 * EXT);
	EXPECT_EQ(weights_run(&a), 0);
	EXPECT_TRUE(weights_are(&a, SEED));
	EXPECT_LE(CURRENT(ALICE), 5 * EXT);
	weights_close(&other);
	weights_close(&a);
}

TEST_F(dmem, others_are_left_alone)
{
	struct weights a, b;

	ASSERT_EQ(open_in(BOB, &b, OTHER), 0);
	ASSERT_EQ(weights_run(&b), 0);
	ASSERT_EQ(open_in(ALICE, &a, PATH), 0);
	ASSERT_EQ(weights_run(&a), 0);
	/* A lower limit drops what is beyond it, at once. */
	ASSERT_EQ(set_max(ALICE, self->region, 2 * EXT), 0);
	EXPECT_LE(CURRENT(ALICE), 2 * EXT);
	EXPECT_GT(CURRENT(ALICE), 0);
	EXPECT_EQ(CURRENT(BOB), PAGES);
	EXPECT_EQ(weights_submit(&a), -EDQUOT);
	EXPECT_EQ(CURRENT(BOB), PAGES);
	ASSERT_EQ(set_max(ALICE, self->region, 0), 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	/* Whoever may brings it, and the other has it for nothing. */
	weights_close(&b);
	ASSERT_EQ(open_in(BOB, &b, PATH), 0);
	ASSERT_EQ(weights_run(&b), 0);
	EXPECT_EQ(weights_run(&a), 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	weights_close(&a);
	weights_close(&b);
}

#define ONE	BOB "/one"
#define TWO	BOB "/two"

/* Two cgroups below a limit for both. */
static int below_bob(const char *region)
{
	if (rig_write(BOB "/cgroup.subtree_control", "+dmem"))
		return -ENOENT;
	rmdir(ONE);
	rmdir(TWO);
	if (mkdir(ONE, 0755) || mkdir(TWO, 0755))
		return -errno;
	return set_max(BOB, region, 4 * EXT);
}

static int leave_bob(const char *region)
{
	int ret = enter(ROOT);

	if (!ret && !RIG_UNTIL(!dmem_number(BOB, "current", region), 10))
		ret = -ETIME;
	return ret ? ret : rmdir(ONE) || rmdir(TWO) ? -errno : 0;
}

TEST_F(dmem, below_a_limit_for_both)
{
	struct weights a, b;

	ASSERT_EQ(below_bob(self->region), 0);
	ASSERT_EQ(open_in(ONE, &a, PATH), 0);
	ASSERT_EQ(weights_run(&a), 0);
	ASSERT_EQ(open_in(TWO, &b, OTHER), 0);
	EXPECT_EQ(weights_run(&b), 0);
	EXPECT_TRUE(weights_are(&b, SEED + 1));
	EXPECT_EQ(CURRENT(TWO), PAGES);
	EXPECT_LE(CURRENT(BOB), 4 * EXT);
	weights_close(&a);
	weights_close(&b);
	EXPECT_EQ(leave_bob(self->region), 0);
}

TEST_F(dmem, below_a_limit_one_is_protected)
{
	struct weights a, b;

	ASSERT_EQ(below_bob(self->region), 0);
	ASSERT_EQ(set_limit(ONE, "min", self->region, PAGES), 0);
	ASSERT_EQ(open_in(ONE, &a, PATH), 0);
	ASSERT_EQ(weights_run(&a), 0);
	ASSERT_EQ(open_in(TWO, &b, OTHER), 0);
	EXPECT_EQ(weights_submit(&b), -EDQUOT);
	EXPECT_EQ(CURRENT(ONE), PAGES);
	/* What is merely low goes, if there is nothing else. */
	ASSERT_EQ(set_limit(ONE, "min", self->region, 0), 0);
	ASSERT_EQ(set_limit(ONE, "low", self->region, PAGES), 0);
	EXPECT_EQ(weights_run(&b), 0);
	EXPECT_TRUE(weights_are(&b, SEED + 1));
	EXPECT_EQ(CURRENT(TWO), PAGES);
	weights_close(&a);
	weights_close(&b);
	EXPECT_EQ(leave_bob(self->region), 0);
}

/*
 * A job that reads a little of @w, and waits for one of @other until the gate opens.
 * -EOPNOTSUPP: there is no gate.
 */
static int submit_behind_gate(struct weights *w, struct npu_ctx *other)
{
	struct npu_ctx *ctx = &w->ctx;
	int gate = npu_syncobj_create(ctx->fd, false), ret;
	struct drm_hearth_sync syncs[2];

	if (gate < 0)
		return gate;
	ret = npu_ctx_init(other, ctx->fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_gate_shut(other, gate, 0);
	if (ret)
		return ret;
	syncs[0] = npu_wait(gate, 0);
	syncs[1] = npu_signal(ctx->syncobj, 0);
	return npu_submit(ctx->fd, ctx->queue, ctx->stream_va,
			  npu_cmd_copy(ctx->stream, WEIGHTS_OUT_VA, WEIGHTS_VA, 64), syncs, 2);
}

/*
 * A job that was submitted may be restored with nobody at hand: what it needs stays
 * charged even while it is dropped, so that many of them are no way around a limit.
 */
TEST_F(dmem, queued_jobs_hold_their_charges)
{
	struct npu_ctx other = { 0 };
	struct weights a, b;
	int ret;

	ASSERT_EQ(set_max(ALICE, self->region, 5 * EXT), 0);
	ASSERT_EQ(open_in(ALICE, &a, PATH), 0);
	ASSERT_EQ(weights_open(&b, OTHER), 0);
	ret = submit_behind_gate(&a, &other);
	if (ret == -EOPNOTSUPP)
		SKIP("no control channel");
	ASSERT_EQ(ret, 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);

	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	EXPECT_EQ(weights_submit(&b), -EDQUOT);
	/* A lower limit waits for the job. */
	ASSERT_EQ(set_max(ALICE, self->region, EXT), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);

	rig_gate_open();
	ASSERT_EQ(weights_wait(&a), 0);
	EXPECT_EQ(a.out[1], weights_byte(SEED, 1));
	ASSERT_EQ(set_max(ALICE, self->region, EXT), 0);
	EXPECT_LE(CURRENT(ALICE), EXT);
	npu_ctx_fini(&other);
	weights_close(&a);
	weights_close(&b);
}

/* What is bound while a job waits is the job's as well. */
TEST_F(dmem, binds_behind_a_job)
{
	struct npu_ctx other = { 0 };
	struct weights a;
	int file, bo, ret;

	ASSERT_EQ(set_max(ALICE, self->region, 5 * EXT), 0);
	ASSERT_EQ(open_in(ALICE, &a, PATH), 0);
	file = open(OTHER, O_RDONLY);
	bo = weights_bo(a.ctx.fd, file, 0, 0);
	ASSERT_GT(bo, 0);
	ret = submit_behind_gate(&a, &other);
	if (ret == -EOPNOTSUPP)
		SKIP("no control channel");
	ASSERT_EQ(ret, 0);
	EXPECT_EQ(npu_map(a.ctx.fd, a.ctx.vm, bo, 0, WEIGHTS_VA + 16 * EXT, 4 * EXT,
			  DRM_HEARTH_BIND_READONLY), -EDQUOT);
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	EXPECT_EQ(npu_map(a.ctx.fd, a.ctx.vm, bo, 0, WEIGHTS_VA + 16 * EXT, EXT,
			  DRM_HEARTH_BIND_READONLY), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES + EXT);
	/* Who dies with it gives it all back. */
	close(file);
	npu_ctx_fini(&other);
	weights_close(&a);
}

static int load_and_die(void *arg)
{
	struct weights w;
	int ret;

	(void)arg;
	ret = open_in(ALICE, &w, PATH);
	if (!ret)
		ret = weights_run(&w);
	if (!ret)
		ret = weights_submit(&w);
	if (!ret)
		kill(getpid(), SIGKILL);
	return ret;
}

TEST_F(dmem, the_cgroup_may_go_with_its_client)
{
	int i;

	for (i = 0; i < 10; i++) {
		EXPECT_EQ(rig_in_child(load_and_die, NULL), -EINTR);
		/* While the last of it may be there. */
		EXPECT_EQ(rmdir(ALICE), 0);
		ASSERT_EQ(mkdir(ALICE, 0755), 0);
	}
	EXPECT_TRUE(RIG_UNTIL(!CURRENT(ROOT), 10));
}

TEST_F(dmem, the_device_goes)
{
	struct weights w;

	ASSERT_EQ(open_in(ALICE, &w, PATH), 0);
	ASSERT_EQ(weights_run(&w), 0);
	ASSERT_EQ(rig_unbind(), 0);
	weights_close(&w);
	ASSERT_EQ(rig_bind(), 0);
	EXPECT_EQ(CURRENT(ALICE), 0);
	ASSERT_EQ(weights_open(&w, PATH), 0);
	ASSERT_EQ(weights_run(&w), 0);
	EXPECT_EQ(CURRENT(ALICE), PAGES);
	weights_close(&w);
}

TEST_HARNESS_MAIN
