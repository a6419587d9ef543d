// SPDX-License-Identifier: MIT
/* A thousand lives of a client, and nothing is left of any of them. */
#include <fcntl.h>

#include "harness.h"
#include "rig.h"

#define WARM_UP	100
#define CYCLES	1000

FIXTURE(cycles)
{
};

FIXTURE_SETUP(cycles)
{
	int fd = npu_open();

	if (fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(rig_idle(), 0);
}

FIXTURE_TEARDOWN(cycles)
{
	EXPECT_EQ(rig_idle(), 0);
}

/* Opens, makes all there is to make, runs a job, leaves all of it to close(). */
static int live_once(const char *path, bool tidy, uint8_t seed)
{
	struct npu_ctx ctx;
	int fd, ret;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_copy_works(&ctx, seed);
	if (!ret && tidy)
		npu_ctx_fini(&ctx);
	else if (!ret)
		munmap(ctx.stream, ctx.stream_bytes);
	close(fd);
	return ret;
}

/* Objects of each slab cache, and areas of kernel addresses. */
struct slabs {
	int count;
	struct {
		char name[64];
		long objects;
	} cache[512];
};

/* Areas that are freed wait for a while before the kernel forgets them. */
static long vmalloc_areas(void)
{
	char line[512];
	long areas = 0;
	FILE *f;

	f = fopen("/proc/vmallocinfo", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		areas += !strstr(line, "unpurged");
	fclose(f);
	return areas;
}

static int read_slabs(struct slabs *slabs)
{
	char line[512];
	FILE *f;

	f = fopen("/proc/slabinfo", "re");
	if (!f)
		return -errno;
	slabs->count = 0;
	while (slabs->count < 511 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld", slabs->cache[slabs->count].name,
			   &slabs->cache[slabs->count].objects) == 2)
			slabs->count += strcmp(slabs->cache[slabs->count].name, "vmap_area") != 0;
	}
	fclose(f);
	if (!slabs->count)
		return -ENOENT;
	strcpy(slabs->cache[slabs->count].name, "vmalloc areas");
	slabs->cache[slabs->count++].objects = vmalloc_areas();
	return 0;
}

static long objects_of(const struct slabs *slabs, const char *name)
{
	int i;

	for (i = 0; i < slabs->count; i++) {
		if (!strcmp(slabs->cache[i].name, name))
			return slabs->cache[i].objects;
	}
	return 0;
}

/* True if no cache has grown by an object for each cycle. */
static bool slabs_are_flat(const struct slabs *before, bool tell)
{
	static struct slabs now;
	bool flat = true;
	long grown;
	int i;

	/* Gives back what is only kept for the next one. */
	rig_write("/proc/sys/vm/drop_caches", "2");
	if (read_slabs(&now))
		return false;
	for (i = 0; i < now.count; i++) {
		grown = now.cache[i].objects - objects_of(before, now.cache[i].name);
		if (grown < CYCLES * 9 / 10)
			continue;
		flat = false;
		if (tell)
			printf("# %s grew by %ld objects\n", now.cache[i].name, grown);
	}
	return flat;
}

static long free_kib(void)
{
	long total = 0, kib;
	char line[128];
	FILE *f;

	f = fopen("/proc/meminfo", "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %ld", &kib) == 1)
			total = kib;
	}
	fclose(f);
	return total;
}

/* Whether a page is gone for each of a thousand lives; or a negative errno. */
static int thousand_cost_pages(const char *path)
{
	long memory = free_kib();
	int i, ret = 0;

	for (i = 0; i < CYCLES && !ret; i++)
		ret = live_once(path, i & 1, i);
	ret = ret ? ret : rig_idle();
	return ret ? ret : !RIG_UNTIL(free_kib() > memory - CYCLES * 4, 10);
}

/* What a CPU keeps for its next allocation counts as taken, but once: a leak comes again. */
#define ROUNDS	3

TEST_F_TIMEOUT(cycles, a_thousand_lives, 230)
{
	static struct slabs before;
	int i, cost = 1;
	char path[64];

	ASSERT_EQ(npu_path(path, sizeof(path)), 0);
	for (i = 0; i < WARM_UP; i++)
		ASSERT_EQ(live_once(path, i & 1, i), 0);
	ASSERT_EQ(rig_idle(), 0);
	if (read_slabs(&before))
		SKIP("no slabinfo");

	for (i = 0; i < ROUNDS && cost > 0; i++)
		cost = thousand_cost_pages(path);
	EXPECT_EQ(cost, 0);
	if (!RIG_UNTIL(slabs_are_flat(&before, false), 10))
		EXPECT_TRUE(slabs_are_flat(&before, true));
}

/* The same within one open of the device. */
TEST_F_TIMEOUT(cycles, a_hundred_queues_and_spaces_in_one_file, 150)
{
	struct npu_ctx ctx;
	int i, fd = npu_open();

	ASSERT_GE(fd, 0);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
		ASSERT_EQ(rig_copy_works(&ctx, i), 0);
		npu_ctx_fini(&ctx);
	}
	close(fd);
}

TEST_HARNESS_MAIN
