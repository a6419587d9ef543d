// SPDX-License-Identifier: MIT
/*
 * An answer before a load. Each verdict and each limit is provoked, and then
 * it is tried: what was admitted loads, what was refused does not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define BUDGET	(64 * KEEP_MB)
#define NORMAL	DRM_HEARTH_CLASS_NORMAL

FIXTURE(admit)
{
	int fd;
	int64_t budget;
	struct drm_hearth_admit args;
};

FIXTURE_SETUP(admit)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	self->budget = keep_attribute("memory_budget");
	ASSERT_GT(self->budget, 0);
	ASSERT_EQ(keep_set_attribute("memory_budget", BUDGET), 0);
}

FIXTURE_TEARDOWN(admit)
{
	close(self->fd);
	EXPECT_EQ(keep_set_attribute("memory_budget", self->budget), 0);
	EXPECT_EQ(keep_set_attribute_text("uid_quota", "max"), 0);
	EXPECT_EQ(rig_idle(), 0);
}

#define ADMIT(weights, state, scratch)                                                   \
	ASSERT_EQ(keep_admit(self->fd, &self->args, weights, state, scratch, NORMAL), 0)

TEST_F(admit, rejects)
{
	struct drm_hearth_admit good = { .demand = { .model_class = NORMAL, .weights_fd = -1 } }, args;
	int fd;

	args = good;
	args.flags = DRM_HEARTH_ADMIT_BLOCK << 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args = good;
	args.pad = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args = good;
	args.timeout_ns = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args = good;
	args.demand.model_class = DRM_HEARTH_CLASS_PINNED + 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args = good;
	args.demand.weights_fd = -2;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args = good;
	args.demand.weights_fd = 999;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EBADF);
	args = good;
	args.victims = (struct drm_hearth_array){ .stride = 4, .count = 1, .array = 8 };
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -EINVAL);
	args.victims.stride = 8192;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), -E2BIG);

	/* A file that cannot be shared is loaded as a copy: nothing of it is there. */
	fd = memfd_create("weights", 0);
	ASSERT_GE(fd, 0);
	args = good;
	args.demand.weights_fd = fd;
	args.demand.weights_bytes = KEEP_MB;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &args), 0);
	EXPECT_EQ(args.needed_bytes, KEEP_MB);
	close(fd);
}

TEST_F(admit, now)
{
	ADMIT(BUDGET - 2 * KEEP_MB, KEEP_MB, KEEP_MB);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_NONE);
	EXPECT_EQ(self->args.needed_bytes, BUDGET);
	EXPECT_EQ(self->args.available_bytes, BUDGET);
	EXPECT_EQ(self->args.victims.count, 0u);
	EXPECT_EQ(self->args.restore_ns, 0ull);
	EXPECT_GT(keep_take(self->fd, BUDGET), 0);
}

TEST_F(admit, never_beyond_the_budget)
{
	ADMIT(BUDGET, 0, NPU_PAGE);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_BUDGET);
	EXPECT_EQ(self->args.limit_bytes, BUDGET);
	EXPECT_EQ(self->args.needed_bytes, BUDGET + NPU_PAGE);
	EXPECT_EQ(keep_take(self->fd, BUDGET + NPU_PAGE), -EDQUOT);
}

TEST_F(admit, wait_for_the_budget)
{
	int bo = keep_take(self->fd, BUDGET / 2);

	ASSERT_GT(bo, 0);
	ADMIT(BUDGET / 2 + NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_BUDGET);
	EXPECT_EQ(self->args.available_bytes, BUDGET / 2);
	EXPECT_EQ(self->args.after_drop_bytes, BUDGET / 2);
	EXPECT_EQ(keep_take(self->fd, BUDGET / 2 + NPU_PAGE), -EDQUOT);
	/* What was waited for. */
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	ADMIT(BUDGET / 2 + NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_GT(keep_take(self->fd, BUDGET / 2 + NPU_PAGE), 0);
}

TEST_F(admit, wait_for_a_reservation)
{
	int r = keep_reserve(self->fd, BUDGET / 2, NORMAL);

	ASSERT_GE(r, 0);
	ADMIT(BUDGET / 2 + NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_RESERVATION);
	EXPECT_EQ(self->args.limit_bytes, BUDGET / 2);
	EXPECT_EQ(self->args.available_bytes, BUDGET / 2);
	EXPECT_EQ(keep_take(self->fd, BUDGET / 2 + NPU_PAGE), -EDQUOT);
	ADMIT(BUDGET / 2, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	close(r);
	EXPECT_GT(keep_take(self->fd, BUDGET / 2 + NPU_PAGE), 0);
}

TEST_F(admit, quota)
{
	int bo;

	ASSERT_EQ(keep_set_attribute("uid_quota", BUDGET / 4), 0);
	ADMIT(BUDGET / 4 + NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_QUOTA);
	EXPECT_EQ(self->args.limit_bytes, BUDGET / 4);
	EXPECT_EQ(keep_take(self->fd, BUDGET / 4 + NPU_PAGE), -EDQUOT);
	bo = keep_take(self->fd, BUDGET / 4);
	ASSERT_GT(bo, 0);
	ADMIT(NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_QUOTA);
	EXPECT_EQ(keep_take(self->fd, NPU_PAGE), -EDQUOT);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	ADMIT(NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
}

TEST_F(admit, never_beyond_the_addresses)
{
	struct drm_hearth_limits limits;

	ASSERT_EQ(npu_limits(self->fd, &limits), 0);
	ADMIT(limits.va_end, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_VA);
	EXPECT_EQ(self->args.limit_bytes, limits.va_end - limits.va_start);
	EXPECT_EQ(limits.extent_bytes, KEEP_EXTENT);
	EXPECT_GT(limits.max_models, 0u);
	EXPECT_GT(limits.max_model_bos, 0u);
	ADMIT(UINT64_MAX, UINT64_MAX, UINT64_MAX);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_EQ(self->args.needed_bytes, UINT64_MAX);
}

/* A budget may be larger than what others leave of RAM. */
TEST_F(admit, the_system_is_full)
{
	const uint64_t ram = sysconf(_SC_PHYS_PAGES) * NPU_PAGE, hog_bytes = 128 * KEEP_MB;
	struct drm_hearth_memory memory;
	void *hog;

	ASSERT_EQ(keep_set_attribute("memory_budget", ram), 0);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	ASSERT_LT(memory.system_available, ram - 8 * KEEP_MB);
	ADMIT(memory.system_available + 8 * KEEP_MB, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_SYSTEM);
	EXPECT_EQ(self->args.limit_bytes, ram);

	/* What somebody else takes is missing, until it is given back. */
	hog = mmap(NULL, hog_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(hog, MAP_FAILED);
	memset(hog, 1, hog_bytes);
	ADMIT(memory.system_available - hog_bytes / 2, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	munmap(hog, hog_bytes);
	ADMIT(memory.system_available - hog_bytes / 2, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	ADMIT(ram + NPU_PAGE, 0, 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
}

TEST_F(admit, blocks_no_longer_than_told)
{
	uint64_t start = rig_now_ns();

	ASSERT_GT(keep_take(self->fd, BUDGET), 0);
	self->args = (struct drm_hearth_admit){
		.demand = { .weights_bytes = NPU_PAGE, .model_class = NORMAL, .weights_fd = -1 },
		.flags = DRM_HEARTH_ADMIT_BLOCK, .timeout_ns = NPU_SECOND / 2,
	};
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &self->args), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_GE(rig_now_ns() - start, NPU_SECOND / 2);
	EXPECT_LT(rig_now_ns() - start, 10 * NPU_SECOND);

	/* Nothing to wait for. */
	start = rig_now_ns();
	self->args.timeout_ns = 30 * NPU_SECOND;
	self->args.demand.weights_bytes = BUDGET + NPU_PAGE;
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &self->args), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NEVER);
	EXPECT_LT(rig_now_ns() - start, 10 * NPU_SECOND);
}

struct waiter {
	int fd, ret;
	struct drm_hearth_admit args;
};

static void *wait_for_room(void *arg)
{
	struct waiter *w = arg;

	w->ret = npu_ioctl(w->fd, DRM_IOCTL_HEARTH_ADMIT, &w->args);
	return NULL;
}

TEST_F(admit, blocks_until_there_is_room)
{
	struct waiter w = {
		.fd = self->fd, .args = {
			.demand = { .weights_bytes = BUDGET / 2, .model_class = NORMAL,
				    .weights_fd = -1 },
			.flags = DRM_HEARTH_ADMIT_BLOCK, .timeout_ns = 50 * NPU_SECOND,
		},
	};
	int first = keep_take(self->fd, BUDGET / 2), second = keep_take(self->fd, BUDGET / 2);
	pthread_t thread;

	ASSERT_GT(first, 0);
	ASSERT_GT(second, 0);
	ASSERT_EQ(pthread_create(&thread, NULL, wait_for_room, &w), 0);
	rig_breathe();
	ASSERT_EQ(npu_bo_close(self->fd, first), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(w.ret, 0);
	EXPECT_EQ(w.args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_GT(keep_take(self->fd, BUDGET / 2), 0);
}

static void on_alarm(int number)
{
	(void)number;
}

/* A signal ends the wait. */
TEST_F(admit, is_interruptible)
{
	struct sigaction action = { .sa_handler = on_alarm };

	ASSERT_GT(keep_take(self->fd, BUDGET), 0);
	self->args = (struct drm_hearth_admit){
		.demand = { .weights_bytes = NPU_PAGE, .model_class = NORMAL, .weights_fd = -1 },
		.flags = DRM_HEARTH_ADMIT_BLOCK, .timeout_ns = 50 * NPU_SECOND,
	};
	ASSERT_EQ(sigaction(SIGALRM, &action, NULL), 0);
	alarm(1);
	EXPECT_EQ(ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &self->args), -1);
	EXPECT_EQ(errno, EINTR);
	/* And says how much of it is left, for who calls again. */
	EXPECT_LT(self->args.timeout_ns, 50 * NPU_SECOND);
	EXPECT_GT(self->args.timeout_ns, 10 * NPU_SECOND);
	signal(SIGALRM, SIG_DFL);
	alarm(50);
}

/*
 * Random loads, reservations and demands: what was admitted loads and what was
 * not does not, each time.
 */
TEST_F_TIMEOUT(admit, is_never_wrong, 120)
{
	int bos[16] = { 0 }, promises[4] = { -1, -1, -1, -1 }, i, r;
	unsigned int seed = 1, verdicts[4] = { 0 };

	for (i = 0; i < rig_rounds(600); i++) {
		int *bo = &bos[rand_r(&seed) % 16], *p = &promises[rand_r(&seed) % 4];
		uint64_t bytes = (1 + rand_r(&seed) % 20) * KEEP_MB;

		if (*bo)
			ASSERT_EQ(npu_bo_close(self->fd, *bo), 0);
		*bo = 0;
		if (rand_r(&seed) % 4 == 0) {
			if (*p >= 0)
				close(*p);
			*p = keep_reserve(self->fd, bytes / 2, NORMAL);
		}
		if (rand_r(&seed) % 8 == 0)
			bytes *= 4;
		ADMIT(bytes, 0, 0);
		verdicts[self->args.verdict]++;
		r = keep_take(self->fd, bytes);
		if (self->args.verdict == DRM_HEARTH_ADMIT_NOW) {
			ASSERT_GT(r, 0);
			ASSERT_LE(bytes, self->args.available_bytes);
			*bo = r;
		} else {
			ASSERT_EQ(r, -EDQUOT);
		}
	}
	printf("# now %u, after drop %u, wait %u, never %u\n", verdicts[0], verdicts[1],
	       verdicts[2], verdicts[3]);
	EXPECT_GT(verdicts[DRM_HEARTH_ADMIT_NOW], i / 12u);
	EXPECT_GT(verdicts[DRM_HEARTH_ADMIT_WAIT], i / 12u);
	EXPECT_GT(verdicts[DRM_HEARTH_ADMIT_NEVER], i / 120u);
	for (i = 0; i < 4; i++) {
		if (promises[i] >= 0)
			close(promises[i]);
	}
}

/* With weights in memory: what would go, what is there already, who pays. */
#define FILE_BYTES	(4 * WEIGHTS_EXTENT)
#define OWN		(FILE_BYTES + NPU_STREAM_BYTES)
#define MODELS		2

FIXTURE(weights)
{
	struct weights w[MODELS];
	int ids[MODELS];
	int fd;
	int64_t budget;
	struct drm_hearth_admit args;
	struct drm_hearth_model_info victims[8];
};

static const char *path_of(unsigned int i)
{
	static char path[64];

	snprintf(path, sizeof(path), WEIGHTS_FOLDER "/admit%u", i);
	return path;
}

/* All is in use by what runs until a moment after its fence. */
static bool all_idle(void)
{
	return RIG_UNTIL(keep_attribute("memory_droppable") == MODELS * FILE_BYTES, 10);
}

FIXTURE_SETUP(weights)
{
	unsigned int i;
	char name[8];

	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	self->fd = npu_open();
	for (i = 0; i < MODELS; i++) {
		snprintf(name, sizeof(name), "model%u", i);
		ASSERT_EQ(weights_write(path_of(i), FILE_BYTES, i), 0);
		ASSERT_EQ(weights_open(&self->w[i], path_of(i)), 0);
		/* The second is dearer. */
		self->ids[i] = keep_model(self->w[i].ctx.fd, self->w[i].bo, i,
					  DRM_HEARTH_KEEP_FOREVER, name);
		ASSERT_GT(self->ids[i], 0);
		ASSERT_EQ(weights_run(&self->w[i]), 0);
	}
	self->budget = keep_attribute("memory_budget");
	ASSERT_EQ(keep_set_attribute("memory_budget", MODELS * (OWN + FILE_BYTES) + FILE_BYTES), 0);
	ASSERT_TRUE(all_idle());
}

FIXTURE_TEARDOWN(weights)
{
	unsigned int i;

	rig_gate_open();
	close(self->fd);
	for (i = 0; i < MODELS; i++) {
		weights_close(&self->w[i]);
		unlink(path_of(i));
	}
	EXPECT_EQ(keep_set_attribute("memory_budget", self->budget), 0);
	EXPECT_EQ(rig_idle(), 0);
}

static int ask(struct fixture_weights *self, uint64_t bytes, uint32_t class, int file)
{
	self->args = (struct drm_hearth_admit){
		.demand = { .weights_bytes = bytes, .model_class = class, .weights_fd = file },
		.victims = NPU_ARRAY(self->victims, 8),
	};
	return npu_ioctl(self->fd, DRM_IOCTL_HEARTH_ADMIT, &self->args);
}

TEST_F(weights, after_drop)
{
	/* One goes: the cheap one, and its bytes are enough. */
	ASSERT_EQ(ask(self, 2 * FILE_BYTES, NORMAL, -1), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_AFTER_DROP);
	EXPECT_EQ(self->args.limit, (uint32_t)DRM_HEARTH_LIMIT_BUDGET);
	EXPECT_EQ(self->args.available_bytes, FILE_BYTES);
	EXPECT_EQ(self->args.after_drop_bytes, 3 * FILE_BYTES);
	EXPECT_GT(self->args.restore_ns, 0ull);
	ASSERT_EQ(self->args.victims.count, 1u);
	EXPECT_EQ(strcmp(self->victims[0].name, "model0"), 0);
	EXPECT_GT(keep_take(self->fd, 2 * FILE_BYTES), 0);
	EXPECT_EQ(keep_state(self->w[0].ctx.fd, self->ids[0]), DRM_HEARTH_MODEL_DROPPED);
	EXPECT_EQ(keep_state(self->w[1].ctx.fd, self->ids[1]), DRM_HEARTH_MODEL_RESIDENT);
}

TEST_F(weights, after_drop_of_both)
{
	ASSERT_EQ(ask(self, 3 * FILE_BYTES, NORMAL, -1), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_AFTER_DROP);
	ASSERT_EQ(self->args.victims.count, 2u);
	EXPECT_EQ(strcmp(self->victims[0].name, "model0"), 0);
	EXPECT_EQ(strcmp(self->victims[1].name, "model1"), 0);
	EXPECT_GT(keep_take(self->fd, 3 * FILE_BYTES), 0);
	EXPECT_EQ(keep_state(self->w[1].ctx.fd, self->ids[1]), DRM_HEARTH_MODEL_DROPPED);
}

/* Who is cheap itself drops nothing dearer. */
TEST_F(weights, droppable_does_not_drop_normal)
{
	ASSERT_EQ(ask(self, 3 * FILE_BYTES, DRM_HEARTH_CLASS_DROPPABLE, -1), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(self->args.after_drop_bytes, 2 * FILE_BYTES);
	EXPECT_EQ(self->args.victims.count, 2u);
}

TEST_F(weights, in_use_is_waited_for)
{
	if (rig_gate_shut(&self->w[1].ctx, self->w[1].ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	ASSERT_TRUE(RIG_UNTIL(keep_attribute("memory_droppable") == FILE_BYTES, 10));
	ASSERT_EQ(ask(self, 3 * FILE_BYTES, NORMAL, -1), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_WAIT);
	EXPECT_EQ(keep_take(self->fd, 3 * FILE_BYTES), -EDQUOT);
	EXPECT_EQ(keep_state(self->w[1].ctx.fd, self->ids[1]), DRM_HEARTH_MODEL_RESIDENT);
}

/* What is there for others is not needed again. */
TEST_F(weights, shared_is_there)
{
	ASSERT_EQ(ask(self, FILE_BYTES, NORMAL, self->w[1].file), 0);
	EXPECT_EQ(self->args.verdict, (uint32_t)DRM_HEARTH_ADMIT_NOW);
	EXPECT_EQ(self->args.needed_bytes, 0ull);
	EXPECT_EQ(self->args.restore_ns, 0ull);
	ASSERT_GT(keep_model_drop(self->w[1].ctx.fd, self->ids[1], 0), 0);
	ASSERT_EQ(ask(self, FILE_BYTES, NORMAL, self->w[1].file), 0);
	EXPECT_EQ(self->args.needed_bytes, FILE_BYTES);
	EXPECT_GT(self->args.restore_ns, 0ull);
}

TEST_F(weights, a_reservation_drops)
{
	int r = keep_reserve(self->fd, 2 * FILE_BYTES, NORMAL);

	ASSERT_GE(r, 0);
	EXPECT_EQ(keep_state(self->w[0].ctx.fd, self->ids[0]), DRM_HEARTH_MODEL_DROPPED);
	/* And has no room for what it dropped, nor for anything else. */
	EXPECT_EQ(keep_take(self->fd, 2 * FILE_BYTES), -EDQUOT);
	close(r);
}

/* Weights that a reservation pays for load where nobody else could. */
TEST_F(weights, a_reservation_pays)
{
	struct drm_hearth_model_create args = {
		.bos = NPU_ARRAY(&self->w[0].bo, 1), .model_class = NORMAL,
		.keep_alive_ns = DRM_HEARTH_KEEP_FOREVER,
	};
	struct drm_hearth_memory memory;
	int r;

	ASSERT_GT(keep_model_drop(self->w[0].ctx.fd, self->ids[0], 0), 0);
	ASSERT_EQ(keep_set_attribute("memory_budget", MODELS * OWN + 2 * FILE_BYTES), 0);
	r = keep_reserve(self->fd, FILE_BYTES, NORMAL);
	ASSERT_GE(r, 0);
	/* The other one is in nobody's way while nothing else is free. */
	EXPECT_EQ(keep_take(self->fd, 2 * FILE_BYTES), -EDQUOT);
	args.reservation_fd = r;
	ASSERT_EQ(npu_ioctl(self->w[0].ctx.fd, DRM_IOCTL_HEARTH_MODEL_CREATE, &args), 0);
	ASSERT_EQ(weights_run(&self->w[0]), 0);
	ASSERT_TRUE(weights_are(&self->w[0], 0));
	EXPECT_EQ(npu_fdinfo(r, "hearth-used"), (int64_t)FILE_BYTES);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(memory.reserved, 0ull);
	/* Dropped, it is the reservation's again. */
	ASSERT_TRUE(RIG_UNTIL(keep_model_drop(self->w[0].ctx.fd, args.model_id, 0) >= 0, 10));
	EXPECT_EQ(keep_model_destroy(self->w[0].ctx.fd, args.model_id), 0);
	close(r);
}

TEST_HARNESS_MAIN
