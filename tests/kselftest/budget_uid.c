// SPDX-License-Identifier: MIT
/* Two users: what each may have, and that sharing costs nothing twice. */
#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/uid"
#define BYTES	(8 * WEIGHTS_EXTENT)
#define SEED	6
#define ALICE	2001
#define BOB	2002

FIXTURE(uid)
{
	int fd;
};

FIXTURE_SETUP(uid)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(keep_open_node(), 0);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(keep_set_attribute("uid_quota", BYTES), 0);
}

FIXTURE_TEARDOWN(uid)
{
	EXPECT_EQ(keep_set_attribute_text("uid_quota", "max"), 0);
	close(self->fd);
	unlink(PATH);
	EXPECT_EQ(rig_idle(), 0);
}

static int take_quota(void *arg)
{
	int fd = npu_open(), again, ret;

	(void)arg;
	if (fd < 0)
		return fd;
	ret = keep_take(fd, BYTES);
	if (ret < 0)
		return ret;
	/* All files of a user count together. */
	again = npu_open();
	ret = keep_take(again, NPU_PAGE);
	return ret == -EDQUOT ? 0 : -EBADE;
}

TEST_F(uid, each_has_a_quota)
{
	EXPECT_EQ(keep_as_user(ALICE, take_quota, NULL), 0);
	EXPECT_EQ(keep_as_user(BOB, take_quota, NULL), 0);
	/* What one has is not on the other's. */
	ASSERT_GT(keep_take(self->fd, BYTES), 0);
	EXPECT_EQ(keep_as_user(ALICE, take_quota, NULL), 0);
}

struct shared {
	int self_pipe[2], other_pipe[2];
};

/* Opens the file, makes it resident, says what the user has then. */
static int load(struct weights *w, uint64_t *used)
{
	struct drm_hearth_memory memory;
	int ret = weights_open(w, PATH);

	if (!ret)
		ret = keep_model(w->ctx.fd, w->bo, DRM_HEARTH_CLASS_NORMAL, -1, "m");
	if (ret < 0)
		return ret;
	ret = weights_run(w);
	if (!ret)
		ret = keep_memory(w->ctx.fd, &memory);
	*used = memory.uid_used;
	return ret;
}

#define OWN	(BYTES + NPU_STREAM_BYTES)	/* what is not shared */

/* Everything but the weights is one's own. */
static int load_shared(void *arg)
{
	struct weights w;
	uint64_t used;
	int ret = load(&w, &used);

	(void)arg;
	if (ret)
		return ret;
	return used == OWN ? 0 : -EBADE;
}

TEST_F(uid, shared_costs_nothing_twice)
{
	struct drm_hearth_memory before, after;
	struct weights w;
	uint64_t used;

	ASSERT_EQ(keep_set_attribute("uid_quota", 2 * BYTES + NPU_STREAM_BYTES), 0);
	ASSERT_EQ(load(&w, &used), 0);
	EXPECT_EQ(used, OWN + BYTES);
	ASSERT_EQ(keep_memory(self->fd, &before), 0);
	/* Who comes second has no room for a copy, and needs none. */
	ASSERT_EQ(keep_set_attribute("uid_quota", OWN), 0);
	EXPECT_EQ(keep_as_user(ALICE, load_shared, NULL), 0);
	ASSERT_EQ(keep_set_attribute("uid_quota", 2 * BYTES + NPU_STREAM_BYTES), 0);
	EXPECT_TRUE(RIG_UNTIL(!keep_memory(self->fd, &after) &&
			      after.resident == before.resident, 10));
	weights_close(&w);
}

static int hold(void *arg)
{
	struct shared *s = arg;
	struct drm_hearth_memory memory;
	struct weights w;
	uint64_t used;
	char byte;
	int ret;

	if (read(s->other_pipe[0], &byte, 1) != 1)
		return -EIO;
	ret = load(&w, &used);
	if (ret)
		return ret;
	if (write(s->self_pipe[1], "x", 1) != 1 || read(s->other_pipe[0], &byte, 1) != 1)
		return -EIO;
	/* The first is gone: who is left pays. */
	ret = RIG_UNTIL(!keep_memory(w.ctx.fd, &memory) && memory.uid_used == OWN + BYTES, 10);
	return ret && used == OWN ? 0 : -EBADE;
}

static int hold_as_alice(void *arg)
{
	return keep_as_user(ALICE, hold, arg);
}

TEST_F(uid, who_is_left_pays)
{
	struct shared s;
	struct weights w;
	uint64_t used;
	int status;
	char byte;
	pid_t pid;

	ASSERT_EQ(keep_set_attribute_text("uid_quota", "max"), 0);
	ASSERT_EQ(pipe(s.self_pipe), 0);
	ASSERT_EQ(pipe(s.other_pipe), 0);
	/* Before there is anything that it would inherit. */
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(-hold_as_alice(&s));
	ASSERT_EQ(load(&w, &used), 0);
	ASSERT_EQ(write(s.other_pipe[1], "x", 1), 1);
	ASSERT_EQ(read(s.self_pipe[0], &byte, 1), 1);
	weights_close(&w);
	ASSERT_EQ(write(s.other_pipe[1], "x", 1), 1);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* A user's own idle weights go for the user's next, and nobody else's. */
static int next_for_quota(void *arg)
{
	struct drm_hearth_admit admit;
	struct weights w;
	uint64_t used;
	int ret = load(&w, &used);

	(void)arg;
	if (ret)
		return ret;
	/* The fence signals a moment before the job has ended. */
	if (!RIG_UNTIL(keep_attribute("memory_droppable") == BYTES, 10))
		return -ETIME;
	ret = keep_admit(w.ctx.fd, &admit, 0, 0, BYTES / 2, DRM_HEARTH_CLASS_NORMAL);
	if (ret)
		return ret;
	if (admit.verdict != DRM_HEARTH_ADMIT_AFTER_DROP ||
	    admit.limit != DRM_HEARTH_LIMIT_QUOTA)
		return -EBADE;
	ret = keep_take(w.ctx.fd, BYTES / 2);
	if (ret < 0)
		return ret;
	return keep_state(w.ctx.fd, 1) == DRM_HEARTH_MODEL_PARTLY ? 0 : -EBADMSG;
}

TEST_F(uid, quota_drops_ones_own)
{
	ASSERT_EQ(keep_set_attribute("uid_quota", OWN + BYTES), 0);
	EXPECT_EQ(keep_as_user(ALICE, next_for_quota, NULL), 0);
}

TEST_HARNESS_MAIN
