// SPDX-License-Identifier: MIT
/*
 * Weights for which the system has no memory: the restore says so before it
 * reads, and the system is not turned over for nothing.
 */
#include <fcntl.h>
#include <sys/sysinfo.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH		WEIGHTS_FOLDER "/large"
#define OTHER		WEIGHTS_FOLDER "/other"
#define BYTES		(144 * KEEP_MB)
#define OTHER_BYTES	(96 * KEEP_MB)
/* Left over: too little for the file, enough with the other one dropped. */
#define LEFT		(96 * KEEP_MB)
#define STEP		(2 * KEEP_MB)
#define STEPS		2048

/* For a restore that has to make room first, on a kernel that checks each access. */
#define WAIT		(3 * RIG_DEADLINE)

/* A client with a file bound and no buffer for what it reads. */
struct reader {
	struct npu_ctx ctx;
	int file;
};

FIXTURE(no_room)
{
	struct reader large;
	struct reader other;
	void *hog[STEPS];
	unsigned int steps;
};

/* Holes take no time to write and as much memory as anything when they are read. */
static int reader_open(struct reader *r, const char *path, uint64_t bytes)
{
	int fd, bo;

	r->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (r->file < 0 || ftruncate(r->file, bytes) || fsync(r->file))
		return -errno;
	close(r->file);
	r->file = open(path, O_RDONLY | O_CLOEXEC);
	fd = npu_open();
	if (r->file < 0 || fd < 0)
		return r->file < 0 ? -errno : fd;
	bo = npu_ctx_init(&r->ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!bo)
		bo = weights_bo(fd, r->file, 0, 0);
	if (bo < 0)
		return bo;
	return npu_map(fd, r->ctx.vm, bo, 0, WEIGHTS_VA, bytes, DRM_HEARTH_BIND_READONLY);
}

static void reader_close(struct reader *r)
{
	int fd = r->ctx.fd;

	npu_ctx_fini(&r->ctx);
	close(fd);
	close(r->file);
}

/* A job that reads a little; all that is mapped has to be there for it. */
static int reader_run(struct reader *r)
{
	struct npu_ctx *ctx = &r->ctx;
	size_t n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA, 64);
	int ret = rig_submit(ctx, 0, n, ctx->syncobj, 0);

	ret = ret ? ret : npu_syncobj_wait(ctx->fd, ctx->syncobj, 0, WAIT);
	return ret ? ret : npu_syncobj_status(ctx->fd, ctx->syncobj, 0);
}

/* After an error: what failed has taken the queue with it. */
static int reader_new_queue(struct reader *r)
{
	int queue;

	npu_queue_destroy(r->ctx.fd, r->ctx.queue);
	queue = npu_queue_create(r->ctx.fd, r->ctx.vm, DRM_HEARTH_QUEUE_NORMAL);
	r->ctx.queue = queue > 0 ? queue : 0;
	return queue > 0 ? 0 : queue;
}

static int64_t vmstat(const char *key)
{
	size_t length = strlen(key);
	char line[128];
	int64_t sum = 0;
	FILE *f = fopen("/proc/vmstat", "re");

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, key, length))
			sum += strtoll(line + strcspn(line, " "), NULL, 10);
	}
	fclose(f);
	return sum;
}

/* What a restore could have at the most, with @held bytes of the cache held by stores. */
static int64_t utmost(int64_t held)
{
	return npu_number("/proc/meminfo", "MemFree") +
	       npu_number("/proc/meminfo", "Active(file)") +
	       npu_number("/proc/meminfo", "Inactive(file)") - held;
}

/* Takes memory until no more than LEFT is there. */
static int take(struct fixture_no_room *self, int64_t held)
{
	void *p;

	while (utmost(held) > (int64_t)LEFT) {
		p = self->steps == STEPS ? MAP_FAILED :
			mmap(NULL, STEP, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (p == MAP_FAILED)
			return -ENOMEM;
		self->hog[self->steps++] = p;
	}
	return 0;
}

static void give_back(struct fixture_no_room *self)
{
	while (self->steps)
		munmap(self->hog[--self->steps], STEP);
}

static bool has_swap(void)
{
	struct sysinfo info;

	return !sysinfo(&info) && info.totalswap;
}

FIXTURE_SETUP(no_room)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	if (has_swap())
		SKIP("swap would make room");
	ASSERT_EQ(reader_open(&self->large, PATH, BYTES), 0);
	ASSERT_EQ(reader_open(&self->other, OTHER, OTHER_BYTES), 0);
}

FIXTURE_TEARDOWN(no_room)
{
	give_back(self);
	rig_gate_open();
	reader_close(&self->large);
	reader_close(&self->other);
	unlink(PATH);
	unlink(OTHER);
	EXPECT_EQ(rig_idle(), 0);
}

TEST_F(no_room, nothing_is_read)
{
	struct drm_hearth_query_fault fault;
	int fd = self->large.ctx.fd;
	int64_t scanned;

	ASSERT_EQ(take(self, 0), 0);
	scanned = vmstat("pgscan_");
	ASSERT_GE(scanned, 0);
	EXPECT_EQ(reader_run(&self->large), -ENOMEM);
	EXPECT_EQ(npu_fdinfo(fd, "hearth-restores"), 1);
	EXPECT_EQ(npu_fdinfo(fd, "hearth-restored-memory"), 0);
	/* Less than a look at what the file would have taken. */
	scanned = vmstat("pgscan_") - scanned;
	printf("# %lld pages were scanned\n", (long long)scanned);
	EXPECT_LT(scanned, (int64_t)(BYTES / NPU_PAGE));
	ASSERT_EQ(npu_query_fault(fd, self->large.ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_RESTORE);
	EXPECT_EQ(fault.error, (uint32_t)ENOMEM);

	/* With room it is as if nothing had been. */
	give_back(self);
	ASSERT_EQ(reader_new_queue(&self->large), 0);
	EXPECT_EQ(reader_run(&self->large), 0);
	EXPECT_EQ(npu_fdinfo(fd, "hearth-restored-memory"), (int64_t)BYTES);
}

/* What is there already needs no room. */
TEST_F(no_room, the_rest_fits)
{
	int fd = self->large.ctx.fd;

	ASSERT_EQ(reader_run(&self->large), 0);
	ASSERT_EQ(weights_evict(4 * WEIGHTS_EXTENT), 0);
	ASSERT_EQ(take(self, BYTES - 4 * WEIGHTS_EXTENT), 0);
	EXPECT_EQ(reader_run(&self->large), 0);
	EXPECT_EQ(npu_fdinfo(fd, "hearth-restored-memory"),
		  (int64_t)(BYTES + 4 * WEIGHTS_EXTENT));
}

/* Weights that nobody needs are room, as long as nobody needs them. */
TEST_F_TIMEOUT(no_room, others_make_room, 120)
{
	uint64_t nops;

	ASSERT_EQ(reader_run(&self->other), 0);
	ASSERT_EQ(take(self, OTHER_BYTES), 0);
	if (npu_inject("slow=5"))
		SKIP("no control channel to the NPU");
	nops = rig_nops(&self->other.ctx, 0, 4000);
	ASSERT_EQ(rig_submit(&self->other.ctx, 0, nops, self->other.ctx.syncobj, 0), 0);
	ASSERT_TRUE(RIG_UNTIL(npu_fdinfo(self->other.ctx.fd, "drm-active-memory") >=
			      (int64_t)OTHER_BYTES, 10));
	EXPECT_EQ(reader_run(&self->large), -ENOMEM);
	EXPECT_EQ(npu_fdinfo(self->large.ctx.fd, "hearth-restored-memory"), 0);

	ASSERT_EQ(reader_new_queue(&self->other), 0);
	rig_gate_open();
	ASSERT_TRUE(RIG_UNTIL(npu_fdinfo(self->other.ctx.fd, "drm-purgeable-memory") ==
			      (int64_t)OTHER_BYTES, 10));
	ASSERT_EQ(reader_new_queue(&self->large), 0);
	EXPECT_EQ(reader_run(&self->large), 0);
	EXPECT_LT(npu_fdinfo(self->other.ctx.fd, "drm-purgeable-memory"), (int64_t)OTHER_BYTES);
}

TEST_HARNESS_MAIN
