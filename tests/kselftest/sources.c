// SPDX-License-Identifier: MIT
/*
 * Files that are told from each other, and from what they were, in other ways
 * than most: by their fs-verity digest, by the time of their last change.
 */
#include <fcntl.h>
#include <linux/fsverity.h>
#include <stdlib.h>
#include <sys/mount.h>

#include "harness.h"
#include "weights.h"

#define FIRST	WEIGHTS_FOLDER "/first"
#define SECOND	WEIGHTS_FOLDER "/second"
#define BYTES	(2 * WEIGHTS_EXTENT + 777)
#define PAGES	((BYTES + NPU_PAGE - 1) / NPU_PAGE * NPU_PAGE)
#define SEED	11

FIXTURE(verity)
{
	struct weights w;
};

static int seal(const char *path)
{
	struct fsverity_enable_arg args = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = NPU_PAGE,
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = ioctl(fd, FS_IOC_ENABLE_VERITY, &args) ? -errno : 0;
	close(fd);
	return ret;
}

FIXTURE_SETUP(verity)
{
	int ret;

	SKIP_WITHOUT(WEIGHTS_NEED_NPU | WEIGHTS_NEED_DEBUGFS);
	ASSERT_EQ(weights_write(FIRST, BYTES, SEED), 0);
	ret = seal(FIRST);
	if (ret == -EOPNOTSUPP || ret == -ENOTTY) {
		unlink(FIRST);
		SKIP("no fs-verity");
	}
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(weights_open(&self->w, FIRST), 0);
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_TRUE(weights_are(&self->w, SEED));
}

FIXTURE_TEARDOWN(verity)
{
	weights_close(&self->w);
	unlink(FIRST);
	unlink(SECOND);
	EXPECT_EQ(rig_idle(), 0);
}

static int64_t stores(void)
{
	return npu_debugfs("objects", "stores");
}

/* Two files of the same digest are in memory once, and the first may go. */
TEST_F(verity, same_digest_same_store)
{
	struct weights other;

	ASSERT_EQ(weights_write(SECOND, BYTES, SEED), 0);
	ASSERT_EQ(seal(SECOND), 0);
	ASSERT_EQ(weights_open(&other, SECOND), 0);
	EXPECT_EQ(stores(), 1);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED));
	EXPECT_EQ(weights_stat("restores"), 1);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 3);

	weights_close(&self->w);
	ASSERT_EQ(unlink(FIRST), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED));
	EXPECT_EQ(weights_stat("read"), 2 * (int64_t)PAGES);
	self->w = other;
}

/* The same bytes without a seal could be others tomorrow. */
TEST_F(verity, unsealed_is_another_store)
{
	struct weights other;

	ASSERT_EQ(weights_write(SECOND, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&other, SECOND), 0);
	EXPECT_EQ(stores(), 2);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED));
	EXPECT_EQ(npu_debugfs("objects", "extents"), 6);
	weights_close(&other);
}

TEST_F(verity, another_digest_is_another_store)
{
	struct weights other;

	ASSERT_EQ(weights_write(SECOND, BYTES, SEED + 1), 0);
	ASSERT_EQ(seal(SECOND), 0);
	ASSERT_EQ(weights_open(&other, SECOND), 0);
	EXPECT_EQ(stores(), 2);
	EXPECT_EQ(weights_run(&other), 0);
	EXPECT_TRUE(weights_are(&other, SEED + 1));
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	weights_close(&other);
}

#define IMAGE	WEIGHTS_FOLDER "/image"
#define MOUNT	"/run/fat"
#define ON_FAT	MOUNT "/weights"

/* FAT keeps no version, and the time in steps of two seconds. */
FIXTURE(fat)
{
	struct weights w;
};

FIXTURE_SETUP(fat)
{
	SKIP_WITHOUT(WEIGHTS_NEED_NPU);
	ASSERT_EQ(system("truncate -s 16M " IMAGE " && mkdosfs " IMAGE " >/dev/null && mkdir -p "
			 MOUNT), 0);
	if (system("mount -t vfat -o loop " IMAGE " " MOUNT " 2>/dev/null")) {
		unlink(IMAGE);
		SKIP("no FAT");
	}
	ASSERT_EQ(weights_write(ON_FAT, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&self->w, ON_FAT), 0);
}

FIXTURE_TEARDOWN(fat)
{
	weights_close(&self->w);
	EXPECT_EQ(rig_idle(), 0);
	EXPECT_TRUE(RIG_UNTIL(!umount(MOUNT), 10));
	unlink(IMAGE);
}

static int change(const char *path, off_t at)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (pwrite(fd, "x", 1, at) != 1)
		ret = -errno;
	close(fd);
	return ret;
}

TEST_F(fat, unchanged)
{
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

/* As soon as it may be: the change before was in the same two seconds, were it not for us. */
TEST_F(fat, changed_at_once)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(change(ON_FAT, WEIGHTS_EXTENT), 0);
		EXPECT_EQ(weights_submit(&self->w), -ESTALE);
		weights_close(&self->w);
		ASSERT_EQ(weights_open(&self->w, ON_FAT), 0);
	}
	EXPECT_EQ(weights_run(&self->w), 0);
}

TEST_F(fat, changed_while_dropped)
{
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(change(ON_FAT, 0), 0);
	EXPECT_EQ(weights_submit(&self->w), -ESTALE);
}

TEST_F(fat, cut)
{
	ASSERT_EQ(weights_run(&self->w), 0);
	ASSERT_EQ(truncate(ON_FAT, WEIGHTS_EXTENT), 0);
	EXPECT_EQ(weights_submit(&self->w), -ESTALE);
}

TEST_HARNESS_MAIN
