// SPDX-License-Identifier: MIT
/*
 * A process takes memory until the machine is full. Weights go before anybody
 * is killed: the droppable before the normal, the protected at the last moment,
 * the pinned and what a job needs never.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "harness.h"
#include "keep.h"
#include "weights.h"

#define BYTES		(4 * WEIGHTS_EXTENT)
#define STEP		(4 * KEEP_MB)
#define CLASSES		4
#define IN_USE		CLASSES
#define MODELS		(CLASSES + 1)
#define DROPPABLE	DRM_HEARTH_CLASS_DROPPABLE
#define NORMAL		DRM_HEARTH_CLASS_NORMAL
#define PROTECTED	DRM_HEARTH_CLASS_PROTECTED
#define PINNED		DRM_HEARTH_CLASS_PINNED

FIXTURE(pressure)
{
	struct weights w[MODELS];
	int ids[MODELS];
	uint64_t resident[MODELS];
	int64_t kills;
	int hog;
	pid_t pid;
};

static const char *path_of(unsigned int i)
{
	static char path[64];

	snprintf(path, sizeof(path), WEIGHTS_FOLDER "/pressure%u", i);
	return path;
}

/*
 * What a drop frees is on lists of the CPU at first, 20 MiB at most in this
 * machine: the last resort must be more than that to help.
 */
static uint64_t bytes_of(unsigned int i)
{
	return i == PROTECTED ? 5 * BYTES : BYTES;
}

static int64_t oom_kills(void)
{
	char line[128];
	long long n = -ENOENT;
	FILE *f = fopen("/proc/vmstat", "r");

	if (!f)
		return -ENOENT;
	while (fgets(line, sizeof(line), f))
		sscanf(line, "oom_kill %lld", &n);
	fclose(f);
	return n;
}

/* Takes a step for each byte that it reads, and keeps it. */
static void be_hog(int socket)
{
	char byte;
	void *p;

	if (rig_write("/proc/self/oom_score_adj", "1000"))
		_exit(1);
	while (read(socket, &byte, 1) == 1) {
		p = mmap(NULL, STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			_exit(1);
		memset(p, 1, STEP);
		if (write(socket, "x", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

FIXTURE_SETUP(pressure)
{
	unsigned int i;
	int sockets[2];

	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	self->kills = oom_kills();
	if (self->kills == -ENOENT)
		SKIP("the kernel does not count whom it kills");
	ASSERT_GE(self->kills, 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	fflush(stdout);
	self->pid = fork();
	if (!self->pid) {
		close(sockets[0]);
		be_hog(sockets[1]);
	}
	close(sockets[1]);
	self->hog = sockets[0];
	for (i = 0; i < MODELS; i++) {
		ASSERT_EQ(weights_write(path_of(i), bytes_of(i), i), 0);
		ASSERT_EQ(weights_open(&self->w[i], path_of(i)), 0);
		self->ids[i] = keep_model(self->w[i].ctx.fd, self->w[i].bo,
					  i == IN_USE ? DROPPABLE : i,
					  DRM_HEARTH_KEEP_FOREVER, "m");
		ASSERT_GT(self->ids[i], 0);
		ASSERT_EQ(weights_run(&self->w[i]), 0);
	}
}

FIXTURE_TEARDOWN(pressure)
{
	unsigned int i;
	int status;

	close(self->hog);
	EXPECT_EQ(waitpid(self->pid, &status, 0), self->pid);
	EXPECT_EQ(status, 0);
	rig_gate_open();
	for (i = 0; i < MODELS; i++) {
		weights_close(&self->w[i]);
		unlink(path_of(i));
	}
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(oom_kills(), self->kills);
}

/* False if the hog is no more. */
static bool step(int hog)
{
	char byte;

	return write(hog, "x", 1) == 1 && read(hog, &byte, 1) == 1;
}

static int look(struct fixture_pressure *self)
{
	struct drm_hearth_model_info info;
	unsigned int i;
	int ret = 0;

	/* The dearest first: what goes meanwhile is cheaper. */
	for (i = MODELS; i-- > 0 && !ret;) {
		ret = keep_model_get(self->w[i].ctx.fd, self->ids[i], &info);
		self->resident[i] = info.resident_bytes;
	}
	return ret;
}

/* Pages of an extent that is on its way count for nobody. */
static bool in_order(const uint64_t *resident)
{
	if (resident[NORMAL] < BYTES && resident[DROPPABLE])
		return false;
	if (resident[PROTECTED] < bytes_of(PROTECTED) && resident[NORMAL])
		return false;
	return resident[PINNED] == BYTES && resident[IN_USE] == BYTES;
}

TEST_F_TIMEOUT(pressure, order, 170)
{
	unsigned int i, steps = 0;

	if (npu_inject("slow=5"))
		SKIP("no control channel to the NPU");
	/* Some minutes of work. */
	for (i = 0; i < 10; i++)
		ASSERT_EQ(rig_submit(&self->w[IN_USE].ctx, 0,
				     rig_nops(&self->w[IN_USE].ctx, 0, 4000),
				     self->w[IN_USE].ctx.syncobj, 0), 0);
	ASSERT_EQ(look(self), 0);
	for (i = 0; i < MODELS; i++)
		ASSERT_EQ(self->resident[i], bytes_of(i));

	while (self->resident[PROTECTED] == bytes_of(PROTECTED)) {
		ASSERT_TRUE(step(self->hog));
		ASSERT_EQ(look(self), 0);
		steps++;
		if (!in_order(self->resident)) {
			for (i = 0; i < MODELS; i++)
				printf("# model %u has %llu\n", i,
				       (unsigned long long)self->resident[i]);
			ASSERT_TRUE(in_order(self->resident));
		}
		ASSERT_LT(steps, 4096u);
	}
	printf("# %u MiB were taken until the protected had to go\n",
	       steps * (unsigned int)(STEP / KEEP_MB));
	EXPECT_EQ(self->resident[DROPPABLE], 0ull);
	EXPECT_EQ(self->resident[NORMAL], 0ull);
	EXPECT_EQ(oom_kills(), self->kills);
}

/* What went comes back when there is room again, and is what it was. */
TEST_F_TIMEOUT(pressure, comes_back, 170)
{
	unsigned int i;

	do {
		ASSERT_TRUE(step(self->hog));
		ASSERT_EQ(look(self), 0);
	} while (self->resident[NORMAL] == BYTES);
	EXPECT_EQ(self->resident[DROPPABLE], 0ull);
	/* An end of file ends it. */
	ASSERT_EQ(shutdown(self->hog, SHUT_WR), 0);
	for (i = 0; i < MODELS; i++) {
		memset(self->w[i].out, 0, bytes_of(i));
		ASSERT_TRUE(RIG_UNTIL(weights_run(&self->w[i]) == 0, 1));
		EXPECT_TRUE(weights_are(&self->w[i], i));
	}
}

TEST_HARNESS_MAIN
