// SPDX-License-Identifier: MIT
/* Models: classes, keep-alive, states, events, lists, and what is refused. */
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH		WEIGHTS_FOLDER "/model"
#define BYTES		(3 * WEIGHTS_EXTENT + 5000)
#define PAGES		(3 * WEIGHTS_EXTENT + 8192)
#define SEED		3
#define FOREVER		DRM_HEARTH_KEEP_FOREVER
#define DROPPABLE	DRM_HEARTH_CLASS_DROPPABLE
#define NORMAL		DRM_HEARTH_CLASS_NORMAL
#define PROTECTED	DRM_HEARTH_CLASS_PROTECTED
#define PINNED		DRM_HEARTH_CLASS_PINNED
#define DROPPED		DRM_HEARTH_MODEL_DROPPED
#define RESIDENT	DRM_HEARTH_MODEL_RESIDENT
#define USER		1234

FIXTURE(model)
{
	struct weights w;
	int fd;
};

FIXTURE_SETUP(model)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	self->fd = self->w.ctx.fd;
}

FIXTURE_TEARDOWN(model)
{
	rig_gate_open();
	weights_close(&self->w);
	unlink(PATH);
	EXPECT_EQ(rig_idle(), 0);
}

#define MODEL(class, keep)                                                               \
	({                                                                               \
		int _id = keep_model(self->fd, self->w.bo, class, keep, "test");         \
		ASSERT_GT(_id, 0);                                                       \
		(uint32_t)_id;                                                           \
	})

TEST_F(model, create_rejects)
{
	uint32_t bos[2] = { self->w.bo, self->w.bo };
	struct drm_hearth_model_create good = {
		.bos = NPU_ARRAY(bos, 1), .keep_alive_ns = FOREVER, .model_class = NORMAL,
		.reservation_fd = -1,
	}, args;
	const unsigned long nr = DRM_IOCTL_HEARTH_MODEL_CREATE;

	args = good;
	args.bos.count = 0;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.bos.count = 100000;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -E2BIG);
	args = good;
	args.bos.stride = 2;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.bos.array = 8;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EFAULT);
	/* Twice the same. */
	args = good;
	args.bos.count = 2;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	/* One that is none. */
	bos[1] = 999;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -ENOENT);
	/* One that is not kept by us. */
	bos[1] = self->w.out_bo;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.keep_alive_ns = -2;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.model_class = PINNED + 1;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.flags = 1;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	args.reservation_fd = -2;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args.reservation_fd = 999;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EBADF);
	args.reservation_fd = self->w.file;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	args = good;
	memset(args.name, 'x', sizeof(args.name));
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	strcpy(args.name, "a\x1b[31m");
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), -EINVAL);
	EXPECT_EQ(npu_debugfs("objects", "models"), 0);
	args = good;
	EXPECT_EQ(npu_ioctl(self->fd, nr, &args), 0);
}

TEST_F(model, others_reject)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	struct drm_hearth_model_destroy destroy = { .model_id = id, .pad = 1 };
	struct drm_hearth_model_events events = { .model_id = id, .flags = 1 };
	struct drm_hearth_model_set set = { .model_id = id, .fields = 1, .pad = 1 };
	struct drm_hearth_model_info info;
	struct drm_hearth_model_get get = {
		.model_id = id, .size = 8192, .pointer = NPU_PTR(&info),
	};
	struct drm_hearth_model_list list = { .models = NPU_ARRAY(&info, 1) };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_DESTROY, &destroy), -EINVAL);
	EXPECT_EQ(keep_model_destroy(self->fd, 0), -ENOENT);
	EXPECT_EQ(keep_model_destroy(self->fd, id + 1), -ENOENT);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_EVENTS, &events), -EINVAL);
	events = (struct drm_hearth_model_events){ .model_id = id, .pad = 1 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_EVENTS, &events), -EINVAL);
	EXPECT_EQ(keep_model_events(self->fd, id + 1), -ENOENT);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_SET, &set), -EINVAL);
	EXPECT_EQ(keep_model_set(self->fd, id, 0, NORMAL, 0), -EINVAL);
	EXPECT_EQ(keep_model_set(self->fd, id, 4, NORMAL, 0), -EINVAL);
	EXPECT_EQ(keep_model_set(self->fd, id, 1, PINNED + 1, 0), -EINVAL);
	EXPECT_EQ(keep_model_set(self->fd, id, 2, NORMAL, -2), -EINVAL);
	EXPECT_EQ(keep_model_set(self->fd, id + 1, 1, NORMAL, 0), -ENOENT);
	EXPECT_EQ(keep_model_drop(self->fd, id, 2), -EINVAL);
	EXPECT_EQ(keep_model_drop(self->fd, id + 1, 0), -ENOENT);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_GET, &get), -E2BIG);
	EXPECT_EQ(keep_model_get(self->fd, id + 1, &info), -ENOENT);
	get = (struct drm_hearth_model_get){ .model_id = id, .size = 8, .pointer = 8 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_GET, &get), -EFAULT);
	list.models.stride = 4;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), -EINVAL);
	list.models.stride = 8192;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), -E2BIG);
	list.models = (struct drm_hearth_array){ .stride = sizeof(info), .count = 1, .array = 8 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), -EFAULT);
	/* A model of another client. */
	list.models.count = npu_open();
	EXPECT_EQ(keep_model_get(list.models.count, id, &info), -ENOENT);
	close(list.models.count);
}

TEST_F(model, at_most_so_many)
{
	int i, id = 0;

	for (i = 0; i < 64; i++)
		ASSERT_GT(keep_model(self->fd, self->w.bo, NORMAL, FOREVER, "m"), 0);
	EXPECT_EQ(keep_model(self->fd, self->w.bo, NORMAL, FOREVER, "m"), -ENOSPC);
	EXPECT_EQ(npu_debugfs("objects", "models"), 64);
	ASSERT_EQ(keep_model_destroy(self->fd, 7), 0);
	id = keep_model(self->fd, self->w.bo, NORMAL, FOREVER, "m");
	EXPECT_EQ(id, 7);
}

TEST_F(model, states)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	struct drm_hearth_model_info info;

	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.state, (uint32_t)DROPPED);
	EXPECT_EQ(info.weights_bytes, PAGES);
	EXPECT_EQ(info.resident_bytes, 0ull);
	EXPECT_EQ(info.restored_bytes, 0ull);
	EXPECT_EQ(info.sharers, 1u);
	EXPECT_EQ(info.model_class, (uint32_t)NORMAL);
	EXPECT_EQ(info.effective_class, (uint32_t)NORMAL);
	EXPECT_EQ(info.keep_alive_ns, FOREVER);
	EXPECT_EQ(info.uid, getuid());
	EXPECT_EQ(info.pid, (uint32_t)getpid());
	EXPECT_EQ(strcmp(info.name, "test"), 0);
	EXPECT_GT(info.serial, 0ull);

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(weights_are(&self->w, SEED));
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.state, (uint32_t)RESIDENT);
	EXPECT_EQ(info.resident_bytes, PAGES);
	EXPECT_EQ(info.restored_bytes, PAGES);
	EXPECT_GT(info.restored_ns, 0ull);

	EXPECT_EQ(keep_model_drop(self->fd, id, 0), (int64_t)PAGES);
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.state, (uint32_t)DROPPED);
	EXPECT_EQ(info.dropped_bytes, PAGES);
	EXPECT_EQ(info.effective_class, (uint32_t)DROPPABLE);
	EXPECT_EQ(keep_model_drop(self->fd, id, DRM_HEARTH_DROP_CACHE), 0);

	/* It comes back with the next job, and its class too. */
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(weights_are(&self->w, SEED));
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.state, (uint32_t)RESIDENT);
	EXPECT_EQ(info.effective_class, (uint32_t)NORMAL);
	EXPECT_EQ(info.restored_bytes, 2 * PAGES);
	EXPECT_EQ(keep_model_drop(self->fd, id, DRM_HEARTH_DROP_CACHE), (int64_t)PAGES);
	EXPECT_EQ(keep_model_destroy(self->fd, id), 0);
	EXPECT_EQ(keep_state(self->fd, id), -ENOENT);
}

TEST_F(model, idle_time)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	struct drm_hearth_model_info info;

	ASSERT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(RIG_UNTIL(!keep_model_get(self->fd, id, &info) &&
			      info.idle_ns > NPU_SECOND / 10, 10));
	if (rig_gate_shut(&self->w.ctx, self->w.ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	EXPECT_TRUE(RIG_UNTIL(!keep_model_get(self->fd, id, &info) && !info.idle_ns, 10));
	/* And nothing of it goes meanwhile. */
	EXPECT_EQ(keep_model_drop(self->fd, id, 0), -EBUSY);
	EXPECT_EQ(keep_state(self->fd, id), RESIDENT);
	ASSERT_EQ(npu_queue_destroy(self->fd, self->w.ctx.queue), 0);
	self->w.ctx.queue = 0;
	EXPECT_TRUE(RIG_UNTIL(keep_model_drop(self->fd, id, 0) == (int64_t)PAGES, 10));
}

static uint32_t take_events(int events)
{
	struct drm_hearth_model_event event;

	return read(events, &event, sizeof(event)) == sizeof(event) ? event.events : 0;
}

static short polled(int events)
{
	struct pollfd p = { .fd = events, .events = POLLIN };

	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

TEST_F(model, events)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	int events = keep_model_events(self->fd, id), second = keep_model_events(self->fd, id);
	struct drm_hearth_model_event event;

	ASSERT_GE(events, 0);
	ASSERT_GE(second, 0);
	EXPECT_TRUE(fcntl(events, F_GETFD) & FD_CLOEXEC);
	EXPECT_EQ(polled(events), 0);
	EXPECT_EQ(read(events, &event, sizeof(event)), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(read(events, &event, sizeof(event) - 1), -1);
	EXPECT_EQ(errno, EINVAL);

	ASSERT_EQ(weights_run(&self->w), 0);
	EXPECT_EQ(polled(events), POLLIN);
	ASSERT_EQ(read(events, &event, sizeof(event)), (ssize_t)sizeof(event));
	EXPECT_EQ(event.events, (uint32_t)DRM_HEARTH_EVENT_RESTORED);
	EXPECT_EQ(event.state, (uint32_t)RESIDENT);
	EXPECT_EQ(event.resident_bytes, PAGES);
	EXPECT_EQ(polled(events), 0);

	EXPECT_GT(keep_model_drop(self->fd, id, 0), 0);
	EXPECT_EQ(take_events(events),
		  (uint32_t)(DRM_HEARTH_EVENT_ABOUT_TO_DROP | DRM_HEARTH_EVENT_DROPPED));
	/* Who did not look hears of all of it at once. */
	EXPECT_EQ(take_events(second), (uint32_t)(DRM_HEARTH_EVENT_RESTORED |
						  DRM_HEARTH_EVENT_ABOUT_TO_DROP |
						  DRM_HEARTH_EVENT_DROPPED));
	close(second);
	ASSERT_EQ(keep_model_destroy(self->fd, id), 0);
	EXPECT_TRUE(polled(events) & POLLHUP);
	EXPECT_EQ(read(events, &event, sizeof(event)), 0);
	close(events);
}

TEST_F(model, event_wakes_a_reader)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	int events = keep_model_events(self->fd, id);
	struct pollfd p = { .fd = events, .events = POLLIN };

	ASSERT_GE(events, 0);
	ASSERT_EQ(weights_submit(&self->w), 0);
	EXPECT_EQ(poll(&p, 1, 20000), 1);
	EXPECT_EQ(p.revents, POLLIN);
	ASSERT_EQ(weights_wait(&self->w), 0);
	close(events);
}

TEST_F(model, hangs_up_with_the_client)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	int events = keep_model_events(self->fd, id);

	ASSERT_GE(events, 0);
	weights_close(&self->w);
	EXPECT_TRUE(RIG_UNTIL(polled(events) & POLLHUP, 10));
	close(events);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	self->fd = self->w.ctx.fd;
}

TEST_F(model, stale)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	int events = keep_model_events(self->fd, id);

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(take_events(events), (uint32_t)DRM_HEARTH_EVENT_RESTORED);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED + 1), 0);
	EXPECT_EQ(weights_submit(&self->w), -ESTALE);
	EXPECT_EQ(keep_state(self->fd, id), DRM_HEARTH_MODEL_STALE);
	EXPECT_TRUE(take_events(events) & DRM_HEARTH_EVENT_STALE);
	close(events);
}

TEST_F(model, keep_alive_none)
{
	uint32_t id = MODEL(PROTECTED, 0);

	/* Not before it was used. */
	EXPECT_EQ(keep_state(self->fd, id), DROPPED);
	ASSERT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(RIG_UNTIL(keep_state(self->fd, id) == DROPPED, 10));
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(weights_are(&self->w, SEED));
}

TEST_F(model, keep_alive_for_a_while)
{
	uint32_t id = MODEL(NORMAL, NPU_SECOND);
	uint64_t start;

	ASSERT_EQ(weights_run(&self->w), 0);
	start = rig_now_ns();
	EXPECT_EQ(keep_state(self->fd, id), RESIDENT);
	EXPECT_TRUE(RIG_UNTIL(keep_state(self->fd, id) == DROPPED, 20));
	EXPECT_GE(rig_now_ns() - start, NPU_SECOND / 2);
}

TEST_F(model, keep_alive_is_set)
{
	uint32_t id = MODEL(NORMAL, FOREVER);
	struct drm_hearth_model_info info;

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(keep_model_set(self->fd, id, DRM_HEARTH_MODEL_SET_KEEP_ALIVE, 0, NPU_SECOND / 10),
		  0);
	EXPECT_TRUE(RIG_UNTIL(keep_state(self->fd, id) == DROPPED, 10));
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.keep_alive_ns, (int64_t)NPU_SECOND / 10);
	EXPECT_EQ(info.effective_class, (uint32_t)DROPPABLE);
	ASSERT_EQ(keep_model_set(self->fd, id, DRM_HEARTH_MODEL_SET_KEEP_ALIVE, 0, FOREVER), 0);
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.effective_class, (uint32_t)NORMAL);
}

/* The dearest of those who share keeps it for all. */
TEST_F(model, shared_is_kept_for_the_other)
{
	uint32_t id = MODEL(NORMAL, FOREVER), theirs;
	struct drm_hearth_model_info info;
	struct weights other;

	ASSERT_EQ(weights_open(&other, PATH), 0);
	theirs = keep_model(other.ctx.fd, other.bo, PROTECTED, FOREVER, "other");
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(keep_model_get(other.ctx.fd, theirs, &info), 0);
	EXPECT_EQ(info.sharers, 2u);
	EXPECT_EQ(info.state, (uint32_t)RESIDENT);
	EXPECT_EQ(keep_model_drop(self->fd, id, 0), 0);
	EXPECT_EQ(keep_state(self->fd, id), RESIDENT);
	/* Now that both have given it up. */
	EXPECT_EQ(keep_model_drop(other.ctx.fd, theirs, 0), (int64_t)PAGES);
	EXPECT_EQ(keep_state(self->fd, id), DROPPED);
	weights_close(&other);
	ASSERT_EQ(keep_model_get(self->fd, id, &info), 0);
	EXPECT_EQ(info.sharers, 1u);
}

TEST_F(model, two_buffers_of_one_file)
{
	uint32_t bos[2] = { self->w.bo, weights_bo(self->fd, self->w.file, WEIGHTS_EXTENT, 0) };
	struct drm_hearth_model_create args = {
		.bos = NPU_ARRAY(bos, 2), .keep_alive_ns = FOREVER, .model_class = NORMAL,
		.reservation_fd = -1,
	};
	struct drm_hearth_model_info info;

	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_CREATE, &args), 0);
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(keep_model_get(self->fd, args.model_id, &info), 0);
	EXPECT_EQ(info.weights_bytes, PAGES);
	EXPECT_EQ(info.resident_bytes, PAGES);
	EXPECT_EQ(info.sharers, 1u);
}

static int pin_as_user(void *arg)
{
	struct weights w;
	int ret = weights_open(&w, PATH), id;

	(void)arg;
	if (ret)
		return ret;
	ret = keep_model(w.ctx.fd, w.bo, PINNED, FOREVER, "p");
	if (ret > 0 && keep_attribute("pinned_quota") > 0) {
		/* The quota is for all models of the user. */
		id = keep_model(w.ctx.fd, w.bo, NORMAL, FOREVER, "q");
		ret = keep_model_set(w.ctx.fd, id, DRM_HEARTH_MODEL_SET_CLASS, PINNED, 0);
		if (ret != -EDQUOT)
			return ret ? ret : -EBADE;
		ret = keep_model_set(w.ctx.fd, 1, DRM_HEARTH_MODEL_SET_CLASS, NORMAL, 0);
		if (!ret)
			ret = keep_model_set(w.ctx.fd, id, DRM_HEARTH_MODEL_SET_CLASS, PINNED, 0);
	}
	return ret > 0 ? 0 : ret;
}

TEST_F(model, pinned_needs_a_privilege)
{
	ASSERT_EQ(keep_open_node(), 0);
	/* Root has it. */
	EXPECT_GT(keep_model(self->fd, self->w.bo, PINNED, FOREVER, "p"), 0);
	EXPECT_EQ(keep_as_user(USER, pin_as_user, NULL), -EPERM);
	ASSERT_EQ(keep_set_attribute("pinned_quota", WEIGHTS_EXTENT), 0);
	EXPECT_EQ(keep_as_user(USER, pin_as_user, NULL), -EDQUOT);
	ASSERT_EQ(keep_set_attribute("pinned_quota", 4 * WEIGHTS_EXTENT), 0);
	EXPECT_EQ(keep_as_user(USER, pin_as_user, NULL), 0);
	/* All was given back. */
	EXPECT_EQ(keep_as_user(USER, pin_as_user, NULL), 0);
	ASSERT_EQ(keep_set_attribute("pinned_quota", 0), 0);
}

static uint32_t effective(int fd, uint32_t id)
{
	struct drm_hearth_model_info info;

	return keep_model_get(fd, id, &info) ? UINT32_MAX : info.effective_class;
}

TEST_F(model, background_lowers)
{
	uint32_t id = MODEL(PROTECTED, FOREVER), pinned = MODEL(PINNED, FOREVER);
	uint32_t last = MODEL(DROPPABLE, FOREVER);

	EXPECT_EQ(effective(self->fd, id), (uint32_t)PROTECTED);
	ASSERT_EQ(rig_write("/proc/self/oom_score_adj", "200"), 0);
	EXPECT_EQ(effective(self->fd, id), (uint32_t)PROTECTED);
	ASSERT_EQ(rig_write("/proc/self/oom_score_adj", "201"), 0);
	EXPECT_EQ(effective(self->fd, id), (uint32_t)NORMAL);
	EXPECT_EQ(effective(self->fd, pinned), (uint32_t)PINNED);
	EXPECT_EQ(effective(self->fd, last), (uint32_t)DROPPABLE);
	ASSERT_EQ(rig_write("/proc/self/oom_score_adj", "0"), 0);
	EXPECT_EQ(effective(self->fd, id), (uint32_t)PROTECTED);
}


/* All there are; names of one's own only. */
static int list_all(void *arg)
{
	struct drm_hearth_model_info infos[8];
	struct drm_hearth_model_list list = { .models = NPU_ARRAY(infos, 8) };
	unsigned int *want = arg, i, named = 0;
	int fd = npu_open(), ret;

	if (fd < 0)
		return fd;
	memset(infos, 0xff, sizeof(infos));
	ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list);
	if (ret)
		return ret;
	for (i = 0; i < list.models.count && i < 8; i++)
		named += infos[i].name[0] != 0;
	return list.models.count != want[0] || named != want[1] ? -EBADE : 0;
}

TEST_F(model, list)
{
	struct drm_hearth_model_list list = { };
	struct drm_hearth_model_info info[2];
	unsigned int root[2] = { 2, 2 }, user[2] = { 2, 0 };
	uint64_t serials[2];
	uint32_t ids[2];

	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), 0);
	EXPECT_EQ(list.models.count, 0u);
	ids[0] = MODEL(NORMAL, FOREVER);
	ids[1] = MODEL(PROTECTED, 17);
	ASSERT_EQ(keep_open_node(), 0);
	EXPECT_EQ(rig_in_child(list_all, root), 0);
	EXPECT_EQ(keep_as_user(USER, list_all, user), 0);

	/* No more than there is room for, but how many there are. */
	memset(info, 0x55, sizeof(info));
	list.models = (struct drm_hearth_array)NPU_ARRAY(info, 1);
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), 0);
	EXPECT_EQ(list.models.count, 2u);
	EXPECT_EQ(info[1].state, 0x55555555u);
	serials[0] = info[0].serial;
	ASSERT_EQ(keep_model_get(self->fd, ids[1], &info[1]), 0);
	serials[1] = info[1].serial;
	EXPECT_GT(serials[1], serials[0]);

	/* Who was built with less gets less. */
	memset(info, 0x55, sizeof(info));
	list.models = (struct drm_hearth_array){ .stride = 16, .count = 2, .array = NPU_PTR(info) };
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list), 0);
	EXPECT_EQ(info[0].serial, serials[0]);
	EXPECT_EQ(((uint64_t *)info)[2], serials[1]);
	EXPECT_EQ(((uint64_t *)info)[4], 0x5555555555555555ull);
}

static int make_and_die(void *arg)
{
	struct weights w;

	(void)arg;
	if (weights_open(&w, PATH) || keep_model(w.ctx.fd, w.bo, NORMAL, FOREVER, "dead") < 0)
		return -EBADE;
	if (weights_submit(&w))
		return -EBADE;
	raise(SIGKILL);
	return 0;
}

TEST_F(model, gone_with_its_process)
{
	int i;

	for (i = 0; i < 20; i++)
		EXPECT_EQ(rig_in_child(make_and_die, NULL), -EINTR);
	EXPECT_EQ(npu_debugfs_until("objects", "models", 0), 0);
}

/* Jobs, drops, sets and ends of models at the same time, by several clients. */
static int churn(void *arg)
{
	unsigned int seed = (uintptr_t)arg, i;
	struct weights w;
	int id, ret = weights_open(&w, PATH);

	for (i = 0; i < 30 && !ret; i++) {
		id = keep_model(w.ctx.fd, w.bo, rand_r(&seed) % 4, rand_r(&seed) % 2 ? -1 : 1, "c");
		if (id < 0)
			return id;
		ret = weights_submit(&w);
		keep_model_drop(w.ctx.fd, id, rand_r(&seed) % 2);
		keep_model_set(w.ctx.fd, id, 3, rand_r(&seed) % 4, 0);
		if (!ret)
			ret = weights_wait(&w);
		if (!ret && !weights_are(&w, SEED))
			ret = -EBADMSG;
		if (rand_r(&seed) % 2)
			keep_model_destroy(w.ctx.fd, id);
	}
	return ret;
}

TEST_F_TIMEOUT(model, churn, 150)
{
	pid_t pids[3];
	int i, status;

	for (i = 0; i < 3; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (!pids[i]) {
			alarm(140);
			_exit(-churn((void *)(uintptr_t)(i + 1)));
		}
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(waitpid(pids[i], &status, 0), pids[i]);
		EXPECT_EQ(status, 0);
	}
}

TEST_HARNESS_MAIN
