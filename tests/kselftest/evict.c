// SPDX-License-Identifier: MIT
/* Eviction: what is asked for, nothing in use, and nobody sees what was there. */
#include <fcntl.h>
#include <stdlib.h>

#include "harness.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define BYTES	(3 * WEIGHTS_EXTENT + 99)
#define SEED	11

#define SMALL	WEIGHTS_FOLDER "/small"

/* Of kill -9, in the first boot; a quiet machine needs a quarter of the time. */
#define KILLS		1000
#define KILL_SECONDS	200
/* Twice in each: about as long as a life. */
#define KILL_NAP_NS	8000000u

FIXTURE(evict)
{
	struct weights w;
};

FIXTURE_SETUP(evict)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU | WEIGHTS_NEED_DEBUGFS);
	ASSERT_EQ(weights_make(&self->w, PATH, BYTES, SEED), 0);
}

FIXTURE_TEARDOWN(evict)
{
	rig_gate_open();
	weights_close(&self->w);
	unlink(PATH);
}

static int64_t extents(void)
{
	return npu_debugfs("objects", "extents");
}

TEST_F(evict, what_was_asked_for)
{
	ASSERT_EQ(extents(), 4);
	ASSERT_EQ(weights_evict(0), 0);
	EXPECT_EQ(extents(), 4);
	ASSERT_EQ(weights_evict(1), 0);
	EXPECT_EQ(extents(), 3);
	ASSERT_EQ(weights_evict(WEIGHTS_EXTENT), 0);
	EXPECT_EQ(extents(), 2);
	EXPECT_EQ(weights_stat("dropped"), 2 * (int64_t)WEIGHTS_EXTENT);
	ASSERT_EQ(weights_shrink(WEIGHTS_EXTENT + NPU_PAGE), 0);
	EXPECT_EQ(extents(), 0);
	ASSERT_EQ(weights_evict(WEIGHTS_EXTENT), 0);
	EXPECT_EQ(extents(), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

TEST_F(evict, pages_leave_the_page_cache)
{
	uint8_t resident[4] = { 0 };
	void *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, self->w.file, 0);

	ASSERT_NE(p, MAP_FAILED);
	ASSERT_EQ(weights_shrink(BYTES), 0);
	ASSERT_EQ(mincore(p, 4 * NPU_PAGE, resident), 0);
	/* In a region there is a copy, and one is enough. */
	EXPECT_EQ(resident[0] & 1, npu_debugfs("objects", "region_bytes") ? 0 : 1);
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(mincore(p, 4 * NPU_PAGE, resident), 0);
	EXPECT_EQ(resident[0] & 1, 0);
	EXPECT_EQ(resident[3] & 1, 0);
	munmap(p, BYTES);
}

TEST_F(evict, nothing_in_use)
{
	struct weights *w = &self->w;

	if (npu_inject("slow=5"))
		SKIP("no control channel");
	ASSERT_EQ(weights_submit(w), 0);
	EXPECT_TRUE(RIG_UNTIL(*(volatile uint8_t *)(w->out + 1) == weights_byte(SEED, 1), 10));
	EXPECT_EQ(weights_stat("droppable"), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(weights_shrink(BYTES), 0);
	EXPECT_EQ(extents(), 4);
	EXPECT_EQ(npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, 0), -ETIME);
	rig_gate_open();
	ASSERT_EQ(weights_wait(w), 0);
	EXPECT_TRUE(weights_are(w, SEED));

	/* From when its fence has signalled. */
	EXPECT_GT(weights_stat("droppable"), (int64_t)BYTES);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(extents(), 0);
}

/* Whoever waits for something else, perhaps for ever, keeps no memory. */
TEST_F(evict, a_job_that_waits_is_no_use)
{
	struct weights *w = &self->w;
	struct npu_ctx other = { 0 };
	struct drm_hearth_sync syncs[2];
	int gate, fd = w->ctx.fd;
	size_t n;

	gate = npu_syncobj_create(fd, false);
	ASSERT_GT(gate, 0);
	ASSERT_EQ(npu_ctx_init(&other, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	if (rig_gate_shut(&other, gate, 0))
		SKIP("no control channel");

	syncs[0] = npu_wait(gate, 0);
	syncs[1] = npu_signal(w->ctx.syncobj, 0);
	n = npu_cmd_copy(w->ctx.stream, WEIGHTS_OUT_VA, WEIGHTS_VA, 64);
	ASSERT_EQ(npu_submit(fd, w->ctx.queue, w->ctx.stream_va, n, syncs, 2), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(extents(), 0);
	EXPECT_EQ(npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, 0), -ETIME);

	rig_gate_open();
	ASSERT_EQ(weights_wait(w), 0);
	EXPECT_EQ(w->out[1], weights_byte(SEED, 1));
	EXPECT_EQ(extents(), 4);
}

/* Jobs that are queued already find what is evicted between them read again. */
TEST_F(evict, between_queued_jobs)
{
	struct weights *w = &self->w;
	struct npu_ctx *ctx = &w->ctx;
	int line = npu_syncobj_create(ctx->fd, false), round, i;
	size_t n;

	ASSERT_GT(line, 0);
	n = npu_cmd_copy(ctx->stream, WEIGHTS_OUT_VA, WEIGHTS_VA + WEIGHTS_EXTENT, 64);
	for (round = 0; round < 5; round++) {
		for (i = 1; i <= 40; i++)
			ASSERT_EQ(rig_submit(ctx, 0, n, line, round * 40 + i), 0);
		for (i = 1; i <= 40; i++) {
			ASSERT_EQ(weights_shrink(BYTES), 0);
			ASSERT_EQ(npu_syncobj_wait(ctx->fd, line, round * 40 + i, RIG_DEADLINE), 0);
			ASSERT_EQ(npu_syncobj_status(ctx->fd, line, round * 40 + i), 0);
		}
	}
	EXPECT_EQ(w->out[1], weights_byte(SEED, WEIGHTS_EXTENT + 1));
}

/* The NPU forgets where an extent was, in each address space that had it. */
TEST_F_TIMEOUT(evict, a_hundred_times, 120)
{
	struct weights second, *all[] = { &self->w, &second };
	int i, k;

	ASSERT_EQ(weights_open(&second, PATH), 0);
	for (i = 0; i < 50; i++) {
		for (k = 0; k < 2; k++) {
			if (i % 3)
				ASSERT_EQ(weights_evict((i % 5) * WEIGHTS_EXTENT), 0);
			else
				ASSERT_EQ(weights_shrink(BYTES), 0);
			ASSERT_EQ(weights_probe(all[k], SEED), 0);
		}
	}
	EXPECT_EQ(weights_run(&second), 0);
	EXPECT_TRUE(weights_are(&second, SEED));
	weights_close(&second);
}

/* Binds and unbinds meet evictions. */
TEST_F_TIMEOUT(evict, binds_meanwhile, 120)
{
	struct npu_ctx *ctx = &self->w.ctx;
	uint64_t end = rig_now_ns() + 3 * NPU_SECOND;
	int evictor = fork();

	ASSERT_GE(evictor, 0);
	if (!evictor) {
		while (rig_now_ns() < end)
			weights_shrink((rand() % 5) * WEIGHTS_EXTENT);
		_exit(0);
	}
	while (rig_now_ns() < end) {
		ASSERT_EQ(npu_unmap(ctx->fd, ctx->vm, WEIGHTS_VA, 4 * WEIGHTS_EXTENT), 0);
		ASSERT_EQ(npu_map(ctx->fd, ctx->vm, self->w.bo, 0, WEIGHTS_VA, 4 * WEIGHTS_EXTENT,
				  DRM_HEARTH_BIND_READONLY), 0);
		ASSERT_EQ(weights_run(&self->w), 0);
		ASSERT_TRUE(weights_are(&self->w, SEED));
	}
	waitpid(evictor, NULL, 0);
}

/* Little to load, so that all points of it come soon: 2 extents, and no buffer as large. */
static int one_life(void)
{
	struct weights w = { .file = open(SMALL, O_RDONLY | O_CLOEXEC) };
	struct npu_ctx *ctx = &w.ctx;
	int bo, ret, fd = npu_open();
	size_t n;

	ret = npu_ctx_init(ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (ret)
		return ret;
	bo = weights_bo(fd, w.file, 0, 0);
	if (bo < 0)
		return bo;
	ret = npu_map(fd, ctx->vm, bo, 0, WEIGHTS_VA, 2 * WEIGHTS_EXTENT, DRM_HEARTH_BIND_READONLY);
	if (ret)
		return ret;
	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA, 64);
	n += npu_cmd_copy(ctx->stream + n, ctx->stream_va + RIG_DATA + 64,
			  WEIGHTS_VA + WEIGHTS_EXTENT, 64);
	ret = npu_ctx_run(ctx, n, RIG_DEADLINE);
	if (!ret && (ctx->stream[RIG_DATA + 1] != weights_byte(SEED, 1) ||
		     ctx->stream[RIG_DATA + 65] != weights_byte(SEED, WEIGHTS_EXTENT + 1)))
		ret = -EBADMSG;
	weights_close(&w);
	return ret;
}

/* Once it has lived through one life it says so; it goes on until it is killed. */
static void live_for_ever(uint32_t *lives)
{
	while (!one_life())
		__atomic_fetch_add(lives, 1, __ATOMIC_RELAXED);
	_exit(1);
}

static void nap(uint64_t longest_ns)
{
	const struct timespec ts = { .tv_nsec = (long)((uint64_t)rand() % longest_ns) };

	nanosleep(&ts, NULL);
}

/* At any point of loading, running, evicting, restoring. */
TEST_F_TIMEOUT(evict, killed_at_any_point, KILL_SECONDS)
{
	uint32_t *lives = mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			       -1, 0);
	uint64_t start, longest;
	int i, status, wrong = 0;
	pid_t pid;

	ASSERT_NE(lives, MAP_FAILED);
	srand(1);
	weights_close(&self->w);
	ASSERT_EQ(weights_write(SMALL, WEIGHTS_EXTENT + 99, SEED), 0);
	/* On a kernel that checks itself a life takes longer: two naps are about one. */
	start = rig_now_ns();
	ASSERT_EQ(one_life(), 0);
	longest = rig_now_ns() - start;
	longest = longest < KILL_NAP_NS ? KILL_NAP_NS : longest;
	longest = longest > 5 * KILL_NAP_NS ? 5 * KILL_NAP_NS : longest;
	start = rig_now_ns();
	for (i = 0; i < rig_rounds(KILLS); i++) {
		fflush(stdout);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			live_for_ever(lives);
		nap(longest);
		if (i % 2)
			weights_shrink((rand() % 3) * WEIGHTS_EXTENT);
		else
			weights_evict((rand() % 3) * WEIGHTS_EXTENT);
		nap(longest);
		kill(pid, SIGKILL);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		wrong += !WIFSIGNALED(status);
	}
	printf("# killed %d times in %u lives, %llu ms\n", i, *lives,
	       (unsigned long long)((rig_now_ns() - start) / 1000000));
	EXPECT_EQ(wrong, 0);
	/* Else none got as far as the end. */
	EXPECT_GT(*lives, 0u);
	munmap(lives, NPU_PAGE);
	unlink(SMALL);
	EXPECT_EQ(rig_idle(), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

TEST(nothing_is_left)
{
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
