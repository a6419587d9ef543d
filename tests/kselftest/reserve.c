// SPDX-License-Identifier: MIT
/*
 * Reservations: kept against every later load, in whatever order things happen,
 * and gone with the last file descriptor.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "harness.h"
#include "keep.h"

#define BUDGET	(64 * KEEP_MB)
#define NORMAL	DRM_HEARTH_CLASS_NORMAL

FIXTURE(reserve)
{
	int fd;
	int64_t budget;
};

FIXTURE_SETUP(reserve)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	self->budget = keep_attribute("memory_budget");
	ASSERT_GT(self->budget, 0);
	ASSERT_EQ(keep_set_attribute("memory_budget", BUDGET), 0);
}

FIXTURE_TEARDOWN(reserve)
{
	close(self->fd);
	EXPECT_EQ(keep_set_attribute("memory_budget", self->budget), 0);
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(keep_attribute("memory_reserved"), 0);
}

static uint64_t reserved(int fd)
{
	struct drm_hearth_memory memory;

	return keep_memory(fd, &memory) ? UINT64_MAX : memory.reserved;
}

TEST_F(reserve, rejects)
{
	struct drm_hearth_reserve good = { .bytes = KEEP_EXTENT, .model_class = NORMAL }, args;

	args = good;
	args.bytes = 0;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EINVAL);
	args = good;
	args.model_class = DRM_HEARTH_CLASS_PINNED + 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EINVAL);
	args = good;
	args.flags = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EINVAL);
	args = good;
	args.pad = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EINVAL);
	args = good;
	args.bytes = UINT64_MAX;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EDQUOT);
	args.bytes = BUDGET + 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), -EDQUOT);
	EXPECT_EQ(reserved(self->fd), 0ull);
}

TEST_F(reserve, rounds_up_and_says_so)
{
	struct drm_hearth_reserve args = { .bytes = 1, .model_class = NORMAL };

	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_RESERVE, &args), 0);
	EXPECT_EQ(args.bytes, KEEP_EXTENT);
	EXPECT_EQ(reserved(self->fd), KEEP_EXTENT);
	EXPECT_EQ(fcntl(args.fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(npu_fdinfo(args.fd, "hearth-reserved"), (int64_t)KEEP_EXTENT);
	close(args.fd);
	EXPECT_EQ(reserved(self->fd), 0ull);
}

TEST_F(reserve, kept_against_later_loads)
{
	int r = keep_reserve(self->fd, BUDGET / 2, NORMAL), bo;

	ASSERT_GE(r, 0);
	/* What is free beside it can be had, and not a page more. */
	EXPECT_EQ(keep_take(self->fd, BUDGET / 2 + NPU_PAGE), -EDQUOT);
	bo = keep_take(self->fd, BUDGET / 2);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(keep_take(self->fd, NPU_PAGE), -EDQUOT);
	EXPECT_EQ(keep_reserve(self->fd, KEEP_EXTENT, NORMAL), -EBUSY);
	/* And all of it when the promise has ended. */
	close(r);
	EXPECT_GT(keep_take(self->fd, BUDGET / 2), 0);
}

TEST_F(reserve, more_than_is_free_waits)
{
	int bo = keep_take(self->fd, BUDGET / 2), r;

	ASSERT_GT(bo, 0);
	EXPECT_EQ(keep_reserve(self->fd, BUDGET / 2 + KEEP_EXTENT, NORMAL), -EBUSY);
	ASSERT_EQ(npu_bo_close(self->fd, bo), 0);
	r = keep_reserve(self->fd, BUDGET / 2 + KEEP_EXTENT, NORMAL);
	EXPECT_GE(r, 0);
	close(r);
}

TEST_F(reserve, outlives_the_client)
{
	int r = keep_reserve(self->fd, BUDGET / 2, NORMAL), other = npu_open();

	ASSERT_GE(r, 0);
	ASSERT_GE(other, 0);
	close(self->fd);
	self->fd = other;
	EXPECT_EQ(reserved(other), BUDGET / 2);
	EXPECT_EQ(keep_take(other, BUDGET / 2 + NPU_PAGE), -EDQUOT);
	close(r);
	EXPECT_EQ(reserved(other), 0ull);
}

/* The last copy of the file counts, wherever it is. */
TEST_F(reserve, passed_to_another_process)
{
	int sockets[2], r = keep_reserve(self->fd, BUDGET / 2, NORMAL), status;
	pid_t pid;

	ASSERT_GE(r, 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	if (!pid) {
		char byte;

		close(r);
		close(self->fd);
		close(sockets[0]);
		r = rig_receive_fd(sockets[1]);
		/* Until the other end closes. */
		status = write(sockets[1], "x", 1) != 1 || read(sockets[1], &byte, 1) != 0;
		_exit(r < 0 || status);
	}
	close(sockets[1]);
	ASSERT_EQ(rig_send_fd(sockets[0], r), 0);
	close(r);
	ASSERT_EQ(read(sockets[0], &status, 1), 1);
	EXPECT_EQ(reserved(self->fd), BUDGET / 2);
	close(sockets[0]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(reserved(self->fd), 0ull);
}

TEST_F(reserve, released_when_killed)
{
	int sockets[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	if (!pid) {
		int fd = npu_open();

		if (keep_reserve(fd, BUDGET / 2, NORMAL) < 0 || write(sockets[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(1);
	}
	ASSERT_EQ(read(sockets[0], &byte, 1), 1);
	EXPECT_EQ(reserved(self->fd), BUDGET / 2);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(reserved(self->fd), 0ull);
}

/* Many want what only some can have: never more is promised than there is. */
struct racer {
	pthread_t thread;
	int fd;
	unsigned int seed, had, refused, wrong;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	unsigned int i;

	for (i = 0; i < 400; i++) {
		uint64_t bytes = (1 + rand_r(&racer->seed) % 8) * KEEP_EXTENT;
		int r, bo;

		if (rand_r(&racer->seed) % 2) {
			r = keep_reserve(racer->fd, bytes, NORMAL);
			racer->had += r >= 0;
			racer->refused += r == -EBUSY;
			racer->wrong += r < 0 && r != -EBUSY;
			if (reserved(racer->fd) > BUDGET)
				racer->wrong++;
			if (r >= 0)
				close(r);
		} else {
			bo = keep_take(racer->fd, bytes);
			racer->had += bo > 0;
			racer->refused += bo == -EDQUOT;
			racer->wrong += bo < 0 && bo != -EDQUOT;
			if (bo > 0)
				npu_bo_close(racer->fd, bo);
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(reserve, races, 120)
{
	struct racer racers[6] = { };
	unsigned int i, had = 0, refused = 0;
	struct drm_hearth_memory memory;
	int r = keep_reserve(self->fd, 3 * BUDGET / 4, NORMAL);

	ASSERT_GE(r, 0);
	for (i = 0; i < 6; i++) {
		racers[i].fd = npu_open();
		racers[i].seed = i + 1;
		ASSERT_EQ(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	/* All the while what was promised first can be had. */
	EXPECT_GE(reserved(self->fd), 3 * BUDGET / 4);
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(pthread_join(racers[i].thread, NULL), 0);
		EXPECT_EQ(racers[i].wrong, 0u);
		had += racers[i].had;
		refused += racers[i].refused;
		close(racers[i].fd);
	}
	printf("# %u had it, %u were refused\n", had, refused);
	EXPECT_GT(had, 10u);
	EXPECT_GT(refused, 10u);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(memory.reserved, 3 * BUDGET / 4);
	EXPECT_EQ(memory.resident, 0ull);
	close(r);
}

TEST_F(reserve, is_nothing_to_read)
{
	int r = keep_reserve(self->fd, KEEP_EXTENT, NORMAL);
	char byte;

	ASSERT_GE(r, 0);
	EXPECT_EQ(read(r, &byte, 1), -1);
	EXPECT_EQ(write(r, &byte, 1), -1);
	close(r);
}

TEST_F(reserve, survives_unbind)
{
	int r;

	if (rig_boot_is("msix"))
		SKIP("QEMU does not take an unbind with MSI-X");
	r = keep_reserve(self->fd, KEEP_EXTENT, NORMAL);
	ASSERT_GE(r, 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_LT(keep_reserve(self->fd, KEEP_EXTENT, NORMAL), 0);
	close(r);
	close(self->fd);
	ASSERT_EQ(rig_bind(), 0);
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
}

TEST_HARNESS_MAIN
