// SPDX-License-Identifier: MIT
/* More queues than slots, priorities, fairness. */
#include "harness.h"
#include "rig.h"

#define QUEUES	40

FIXTURE(slots)
{
	int fd;
	struct npu_ctx ctx;
};

FIXTURE_SETUP(slots)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

FIXTURE_TEARDOWN(slots)
{
	rig_gate_open();
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	EXPECT_EQ(rig_idle(), 0);
}

/* A copy of one byte of the data to another one, at @at of the stream. */
static size_t copy_byte(struct npu_ctx *ctx, size_t at, uint32_t dst, uint32_t src)
{
	const uint64_t data = ctx->stream_va + RIG_DATA;

	return npu_cmd_copy(ctx->stream + at, data + dst, data + src, 1);
}

/* All work at once, several jobs each; everybody gets a slot in the end. */
TEST_F(slots, many_queues)
{
	struct npu_ctx *ctx = &self->ctx;
	uint8_t *data = ctx->stream + RIG_DATA;
	int syncs[QUEUES], queue, job;
	struct npu_ctx q = *ctx;
	size_t n = 0, bytes;

	memset(data, 0, 4096);
	for (queue = 0; queue < QUEUES; queue++) {
		syncs[queue] = npu_syncobj_create(self->fd, false);
		ASSERT_GT(syncs[queue], 0);
		data[queue * 16] = queue + 1;
	}
	for (queue = 0; queue < QUEUES; queue++) {
		int ret = npu_queue_create(self->fd, ctx->vm, queue % 4);

		ASSERT_GT(ret, 0);
		q.queue = ret;
		for (job = 0; job < 8; job++) {
			bytes = copy_byte(ctx, n, queue * 16 + job + 1, queue * 16 + job);
			ASSERT_EQ(rig_submit(&q, n, bytes, syncs[queue], 0), 0);
			n += bytes;
		}
	}
	for (queue = 0; queue < QUEUES; queue++) {
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[queue], 0, RIG_DEADLINE), 0);
		EXPECT_EQ(npu_syncobj_status(self->fd, syncs[queue], 0), 0);
		EXPECT_EQ(data[queue * 16 + 8], queue + 1);
	}
}

/* A queue that has a slot and work for ever does not keep others off it. */
TEST_F(slots, waiting_queues_get_slots_of_busy_ones)
{
	struct npu_ctx *ctx = &self->ctx, q = *ctx;
	int last[QUEUES], queue, job, ret;

	if (npu_inject("slow=1"))
		SKIP("no control channel to the NPU");
	for (queue = 0; queue < QUEUES; queue++) {
		last[queue] = npu_syncobj_create(self->fd, false);
		ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
		ASSERT_GT(ret, 0);
		q.queue = ret;
		rig_nops(ctx, 0, 4);
		for (job = 0; job < 12; job++)
			ASSERT_EQ(rig_submit(&q, 0, 32, last[queue], 0), 0);
	}
	for (queue = 0; queue < QUEUES; queue++)
		EXPECT_EQ(npu_syncobj_wait(self->fd, last[queue], 0, RIG_DEADLINE), 0);
}

static bool running(const char *key, int64_t more_than)
{
	return rig_stat(key) > more_than;
}

/* Long jobs on all engines; what is urgent does not wait for their end. */
TEST_F(slots, realtime_overtakes_idle)
{
	struct npu_ctx *ctx = &self->ctx, idle = *ctx, urgent = *ctx;
	int syncs[4], i, ret, done = npu_syncobj_create(self->fd, false);
	int64_t preemptions, commands;

	if (rig_gate_open())
		SKIP("no control channel to the NPU");
	commands = rig_stat("commands");
	for (i = 0; i < 4; i++) {
		syncs[i] = npu_syncobj_create(self->fd, false);
		ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_IDLE);
		ASSERT_GT(ret, 0);
		idle.queue = ret;
		ASSERT_EQ(rig_gate_shut(&idle, syncs[i], 0), 0);
	}
	ASSERT_TRUE(RIG_UNTIL(running("commands", commands + 2), 10));
	preemptions = rig_stat("preemptions");

	ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_REALTIME);
	ASSERT_GT(ret, 0);
	urgent.queue = ret;
	ASSERT_EQ(rig_submit(&urgent, 0, 80, done, 0), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, done, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, done, 0), 0);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[i], 0, 0), -ETIME);
	EXPECT_GT(rig_stat("preemptions"), preemptions);

	/* And the ones that gave way go on where they were. */
	EXPECT_EQ(rig_gate_open(), 0);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[i], 0, RIG_DEADLINE), 0);
		EXPECT_EQ(npu_syncobj_status(self->fd, syncs[i], 0), 0);
	}
}

/* All slots are busy with long jobs of low priority, and still. */
TEST_F(slots, realtime_overtakes_when_slots_are_few)
{
	struct npu_ctx *ctx = &self->ctx, q = *ctx;
	int i, job, ret, done = npu_syncobj_create(self->fd, false);
	int last = npu_syncobj_create(self->fd, false);

	if (npu_inject("slow=2"))
		SKIP("no control channel to the NPU");
	rig_nops(ctx, 0, 20);
	for (i = 0; i < 20; i++) {
		ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_IDLE);
		ASSERT_GT(ret, 0);
		q.queue = ret;
		for (job = 0; job < 10; job++)
			ASSERT_EQ(rig_submit(&q, 0, 160, last, 0), 0);
	}
	ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_REALTIME);
	ASSERT_GT(ret, 0);
	q.queue = ret;
	ASSERT_EQ(rig_submit(&q, 0, 8, done, 0), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, done, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, last, 0, 0), -ETIME);
}

/* Equals take turns: when the first of them is done, the last is nearly. */
TEST_F(slots, equals_share)
{
	enum { EQUALS = 6, STEPS = 100 };
	struct npu_ctx *ctx = &self->ctx, q = *ctx;
	uint8_t *data = ctx->stream + RIG_DATA;
	int syncs[EQUALS], i, step, ret, least = STEPS, seen;
	size_t n = 0, start;

	if (npu_inject("slow=3"))
		SKIP("no control channel to the NPU");
	memset(data, 0, 4096);
	for (i = 0; i < EQUALS; i++)
		data[i * 256] = 1;
	for (i = 0; i < EQUALS; i++) {
		start = n;
		for (step = 0; step < STEPS; step++)
			n += copy_byte(ctx, n, i * 256 + step + 1, i * 256 + step);
		syncs[i] = npu_syncobj_create(self->fd, false);
		ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
		ASSERT_GT(ret, 0);
		q.queue = ret;
		ASSERT_LE(n, (size_t)RIG_DATA);
		ASSERT_EQ(rig_submit(&q, start, n - start, syncs[i], 0), 0);
	}
	ASSERT_TRUE(RIG_UNTIL(data[0 * 256 + STEPS] || data[1 * 256 + STEPS] ||
			      data[2 * 256 + STEPS] || data[3 * 256 + STEPS] ||
			      data[4 * 256 + STEPS] || data[5 * 256 + STEPS], 20));
	for (i = 0; i < EQUALS; i++) {
		for (seen = 0; seen < STEPS && data[i * 256 + seen + 1];)
			seen++;
		least = seen < least ? seen : least;
	}
	EXPECT_GE(least, STEPS / 2);
	EXPECT_EQ(rig_gate_open(), 0);
	for (i = 0; i < EQUALS; i++)
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[i], 0, RIG_DEADLINE), 0);
}

/* A low priority waits, but not until it is taken for hung. */
TEST_F(slots, outranked_is_not_hung)
{
	struct npu_ctx *ctx = &self->ctx, idle = *ctx, urgent = *ctx;
	int done = npu_syncobj_create(self->fd, false), busy[2], i, ret;

	if (npu_inject("slow=10"))
		SKIP("no control channel to the NPU");
	for (i = 0; i < 2; i++) {
		busy[i] = npu_syncobj_create(self->fd, false);
		ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_REALTIME);
		ASSERT_GT(ret, 0);
		urgent.queue = ret;
		ASSERT_EQ(rig_submit(&urgent, 0, rig_nops(ctx, 0, 250), busy[i], 0), 0);
	}
	ret = rig_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_IDLE, NPU_SECOND, 0);
	ASSERT_GT(ret, 0);
	idle.queue = ret;
	ASSERT_EQ(rig_submit(&idle, 0, 16, done, 0), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, busy[0], 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, done, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, done, 0), 0);
}

TEST_HARNESS_MAIN
