// SPDX-License-Identifier: MIT
/*
 * What monitors see of weights: by client in fdinfo, by device in sysfs. And
 * what they see is what there is.
 */
#include "harness.h"
#include "keep.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/fdinfo"
#define BYTES	(4 * WEIGHTS_EXTENT)
#define SEED	5

FIXTURE(memory)
{
	struct weights w;
	int fd;
	int64_t before;
};

static int64_t device(const char *name)
{
	char path[160], text[64];
	int ret = rig_sysfs(path, sizeof(path), name);

	if (!ret)
		ret = rig_read(path, text, sizeof(text));
	return ret ? ret : strtoll(text, NULL, 10);
}

FIXTURE_SETUP(memory)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	self->fd = self->w.ctx.fd;
	self->before = device("npu_memory_utilization");
	ASSERT_GE(self->before, 0);
}

FIXTURE_TEARDOWN(memory)
{
	rig_gate_open();
	weights_close(&self->w);
	unlink(PATH);
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_EQ(device("npu_memory_utilization"), 0);
}

static int64_t memory(int fd, const char *what)
{
	char key[64];

	snprintf(key, sizeof(key), "drm-%s-memory", what);
	return npu_fdinfo(fd, key);
}

TEST_F(memory, resident_and_purgeable_by_extents)
{
	int64_t resident = memory(self->fd, "resident"), total = memory(self->fd, "total");

	EXPECT_EQ(memory(self->fd, "purgeable"), 0);
	EXPECT_EQ(memory(self->fd, "shared"), 0);
	EXPECT_EQ(total, (int64_t)(2 * BYTES + NPU_STREAM_BYTES));
	ASSERT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(RIG_UNTIL(memory(self->fd, "purgeable") == BYTES, 10));
	EXPECT_EQ(memory(self->fd, "resident"), resident + (int64_t)BYTES);
	EXPECT_EQ(memory(self->fd, "total"), total);
	EXPECT_EQ(device("npu_memory_utilization"), self->before + (int64_t)BYTES);
	ASSERT_EQ(weights_evict(WEIGHTS_EXTENT), 0);
	EXPECT_EQ(memory(self->fd, "resident"), resident + (int64_t)(BYTES - WEIGHTS_EXTENT));
	EXPECT_EQ(memory(self->fd, "purgeable"), (int64_t)(BYTES - WEIGHTS_EXTENT));
	EXPECT_EQ(device("npu_memory_utilization"),
		  self->before + (int64_t)(BYTES - WEIGHTS_EXTENT));
}

TEST_F(memory, active_is_not_purgeable)
{
	ASSERT_EQ(weights_run(&self->w), 0);
	if (rig_gate_shut(&self->w.ctx, self->w.ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	EXPECT_TRUE(RIG_UNTIL(memory(self->fd, "active") >= (int64_t)BYTES, 10));
	EXPECT_EQ(memory(self->fd, "purgeable"), 0);
	EXPECT_EQ(keep_attribute("memory_droppable"), 0);
}

/* One copy, one charge; each client's share of it, and the shares add up. */
TEST_F(memory, shared_is_there_once)
{
	struct weights other;
	int64_t mine, theirs, alone = npu_fdinfo(self->fd, "hearth-proportional-memory");

	ASSERT_EQ(weights_open(&other, PATH), 0);
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(weights_run(&other), 0);
	EXPECT_EQ(memory(self->fd, "shared"), (int64_t)BYTES);
	EXPECT_EQ(memory(other.ctx.fd, "shared"), (int64_t)BYTES);
	mine = npu_fdinfo(self->fd, "hearth-proportional-memory");
	theirs = npu_fdinfo(other.ctx.fd, "hearth-proportional-memory");
	EXPECT_EQ(mine, alone + (int64_t)BYTES / 2);
	EXPECT_EQ(mine, theirs);
	EXPECT_EQ(device("npu_memory_utilization"), mine + theirs);
	weights_close(&other);
	EXPECT_TRUE(RIG_UNTIL(npu_fdinfo(self->fd, "hearth-proportional-memory") ==
			      alone + (int64_t)BYTES, 10));
	EXPECT_EQ(memory(self->fd, "shared"), 0);
}

TEST_F(memory, device_files)
{
	struct drm_hearth_memory memory;

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(keep_memory(self->fd, &memory), 0);
	EXPECT_EQ(device("npu_memory_total"), (int64_t)memory.budget);
	EXPECT_EQ(device("npu_memory_utilization"), (int64_t)memory.resident);
	EXPECT_EQ(keep_attribute("memory_budget"), (int64_t)memory.budget);
	EXPECT_TRUE(RIG_UNTIL(keep_attribute("memory_droppable") == BYTES, 10));
	EXPECT_GE(keep_attribute("restored_bytes"), (int64_t)BYTES);
	EXPECT_GT(keep_attribute("restored_ns"), 0);
	EXPECT_EQ(memory.uid_used, memory.resident);
	EXPECT_GT(memory.system_available, 0ull);
	EXPECT_EQ(memory.pinned, 0ull);
}

#define TRACING		"/sys/kernel/tracing/"
#define GPU_MEM		TRACING "events/gpu_mem/gpu_mem_total/enable"

/* The size that the last event of the device's total told, and how many there were. */
static int64_t last_total(unsigned int *count)
{
	unsigned long long size;
	int64_t last = -ENOENT;
	unsigned int pid;
	char line[256], *at;
	FILE *f = fopen(TRACING "trace", "re");

	*count = 0;
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, "gpu_mem_total: gpu_id=");
		if (!at || sscanf(strstr(at, "pid="), "pid=%u size=%llu", &pid, &size) != 2 || pid)
			continue;
		last = size;
		++*count;
	}
	fclose(f);
	return last;
}

/* Each change of the total is told, as Android's memory monitors want it. */
TEST_F(memory, event_of_the_total)
{
	unsigned int before, after;

	if (access(GPU_MEM, F_OK))
		SKIP("the kernel has no event for it (CONFIG_TRACE_GPU_MEM)");
	ASSERT_EQ(rig_write(TRACING "trace", ""), 0);
	ASSERT_EQ(rig_write(GPU_MEM, "1"), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_EQ(last_total(&before), device("npu_memory_utilization"));
	EXPECT_GE(before, (unsigned int)(BYTES / WEIGHTS_EXTENT));
	EXPECT_TRUE(RIG_UNTIL(memory(self->fd, "purgeable") == BYTES, 10));
	EXPECT_EQ(weights_evict(WEIGHTS_EXTENT), 0);
	EXPECT_EQ(last_total(&after), device("npu_memory_utilization"));
	EXPECT_EQ(after, before + 1);
	EXPECT_EQ(rig_write(GPU_MEM, "0"), 0);
}

TEST_F(memory, attributes_reject)
{
	static const char *const files[] = { "memory_budget", "uid_quota", "pinned_quota" };
	static const char *const texts[] = { "", "-1", "much", "12 kB", "99999999999999999999" };
	size_t i, j;

	for (i = 0; i < 3; i++) {
		int64_t value = keep_attribute(files[i]);

		for (j = 1; j < sizeof(texts) / sizeof(texts[0]); j++)
			EXPECT_LT(keep_set_attribute_text(files[i], texts[j]), 0);
		EXPECT_EQ(keep_set_attribute(files[i], 1ull << 60), -EINVAL);
		EXPECT_EQ(keep_attribute(files[i]), value);
	}
	EXPECT_LT(keep_set_attribute("memory_reserved", 1), 0);
	EXPECT_EQ(keep_set_attribute_text("uid_quota", "max"), 0);
	EXPECT_LT(keep_set_attribute_text("memory_budget", "max"), 0);
}

/* A smaller budget makes room at once. */
TEST_F(memory, budget_is_enforced)
{
	int64_t budget = keep_attribute("memory_budget"), left;

	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(RIG_UNTIL(keep_attribute("memory_droppable") == BYTES, 10));
	left = device("npu_memory_utilization") - 2 * WEIGHTS_EXTENT;
	EXPECT_EQ(keep_set_attribute("memory_budget", left), 0);
	EXPECT_LE(device("npu_memory_utilization"), left);
	/* And it does not come back. */
	EXPECT_EQ(weights_run(&self->w), -EDQUOT);
	EXPECT_EQ(keep_set_attribute("memory_budget", budget), 0);
}

TEST_F(memory, busy_percent)
{
	int64_t percent;

	ASSERT_GE(device("npu_busy_percent"), 0);
	if (rig_gate_shut(&self->w.ctx, self->w.ctx.syncobj, 0))
		SKIP("no control channel to the NPU");
	EXPECT_TRUE(RIG_UNTIL((percent = device("npu_busy_percent")) > 20, 20));
	EXPECT_LE(percent, 100);
	ASSERT_EQ(npu_queue_destroy(self->fd, self->w.ctx.queue), 0);
	self->w.ctx.queue = 0;
	EXPECT_TRUE(RIG_UNTIL(device("npu_busy_percent") == 0, 20));
}

TEST_HARNESS_MAIN
