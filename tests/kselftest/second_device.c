// SPDX-License-Identifier: MIT
/*
 * Weights that one NPU has, mapped by another one: the same pages, read only, which
 * stay for as long as the other one has them.
 */
#include <fcntl.h>

#include "harness.h"
#include "weights.h"

#define PATH	WEIGHTS_FOLDER "/weights"
#define EXT	WEIGHTS_EXTENT
#define BYTES	(2 * EXT + 99)
/* What the dma-buf is: no more than whole pages of the file. */
#define SIZE	(2 * EXT + NPU_PAGE)
#define SEED	33

FIXTURE(second_device)
{
	struct weights w;
	int dma_buf;
	int other;
};

FIXTURE_SETUP(second_device)
{
	SKIP_WITHOUT(0);
	self->other = npu_open_nth(1);
	if (self->other == -ENOENT)
		SKIP("no second NPU");
	ASSERT_GE(self->other, 0);
	if (npu_debugfs("objects", "stores") < 0)
		SKIP("no debugfs");
	ASSERT_EQ(weights_write(PATH, BYTES, SEED), 0);
	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	ASSERT_EQ(weights_run(&self->w), 0);
	self->dma_buf = npu_export(self->w.ctx.fd, self->w.bo, DRM_CLOEXEC);
	ASSERT_GE(self->dma_buf, 0);
}

FIXTURE_TEARDOWN(second_device)
{
	weights_close(&self->w);
	close(self->dma_buf);
	unlink(PATH);
	EXPECT_EQ(npu_debugfs_until("objects", "stores", 0), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
}

static bool reads_all(struct npu_ctx *ctx)
{
	uint64_t at;

	for (at = 0; at < BYTES - 64; at += EXT / 4) {
		if (weights_read_part(ctx, SEED, at, at))
			return false;
	}
	return true;
}

TEST_F(second_device, reads_what_the_first_has)
{
	const int64_t restores = weights_stat("restores");
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	EXPECT_TRUE(reads_all(&ctx));
	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
	/* Nothing was read for it. */
	EXPECT_EQ(weights_stat("restores"), restores);
	weights_let_go(&ctx);
}

TEST_F(second_device, reads_only)
{
	struct npu_ctx ctx;
	int bo;
	size_t n;

	bo = weights_receive(&ctx, self->other, self->dma_buf, SIZE);
	ASSERT_GT(bo, 0);
	EXPECT_EQ(npu_map(ctx.fd, ctx.vm, bo, 0, WEIGHTS_VA + 4 * EXT, SIZE, 0), -EACCES);
	n = npu_cmd_copy(ctx.stream, WEIGHTS_VA, ctx.stream_va, 64);
	EXPECT_EQ(npu_ctx_run(&ctx, n, RIG_DEADLINE), -EFAULT);
	weights_let_go(&ctx);

	EXPECT_EQ(weights_run(&self->w), 0);
	EXPECT_TRUE(weights_are(&self->w, SEED));
}

static int write_at(off_t at)
{
	int fd = open(PATH, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0 || pwrite(fd, "x", 1, at) != 1)
		ret = -errno;
	close(fd);
	return ret;
}

/* Until it maps them no more, even in part. */
TEST_F(second_device, is_told_that_the_file_changed)
{
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	ASSERT_EQ(weights_read_part(&ctx, SEED, 0, 0), 0);
	ASSERT_EQ(write_at(EXT), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, 0), -ESTALE);
	EXPECT_EQ(weights_submit(&self->w), -ESTALE);

	ASSERT_EQ(npu_unmap(ctx.fd, ctx.vm, WEIGHTS_VA + EXT, NPU_PAGE), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, 0), -ESTALE);
	ASSERT_EQ(npu_unmap(ctx.fd, ctx.vm, WEIGHTS_VA, SIZE), 0);
	EXPECT_EQ(npu_ctx_run(&ctx, npu_cmd_nop(ctx.stream), RIG_DEADLINE), 0);
	weights_let_go(&ctx);
}

/* It cannot be told to let go, so what it has is in use; and droppable once it is not. */
TEST_F(second_device, nothing_is_dropped_under_it)
{
	const int64_t extents = npu_debugfs("objects", "extents");
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	EXPECT_EQ(weights_stat("droppable"), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), extents);
	EXPECT_TRUE(reads_all(&ctx));
	weights_let_go(&ctx);

	EXPECT_TRUE(RIG_UNTIL(weights_stat("droppable") > 0, 10));
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
}

/* What was dropped is read again to be mapped. */
TEST_F(second_device, restores_what_was_dropped)
{
	struct npu_ctx ctx;

	ASSERT_EQ(weights_evict(BYTES), 0);
	ASSERT_EQ(npu_debugfs("objects", "extents"), 0);
	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	EXPECT_TRUE(reads_all(&ctx));
	weights_let_go(&ctx);
}

TEST_F(second_device, outlives_the_client_of_the_first)
{
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	weights_close(&self->w);
	close(self->dma_buf);
	EXPECT_TRUE(reads_all(&ctx));
	EXPECT_EQ(npu_debugfs("objects", "stores"), 1);
	weights_let_go(&ctx);
	EXPECT_EQ(npu_debugfs_until("objects", "stores", 0), 0);

	ASSERT_EQ(weights_open(&self->w, PATH), 0);
	self->dma_buf = -1;
}

/* The pages are the file's and go to nobody while the other one has them. */
TEST_F(second_device, outlives_the_first)
{
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	ASSERT_EQ(rig_unbind(), 0);
	EXPECT_TRUE(reads_all(&ctx));
	weights_let_go(&ctx);
	ASSERT_EQ(rig_bind(), 0);
}

/* The other one goes while it has them: then they are droppable. */
TEST_F(second_device, goes_before_the_first)
{
	struct npu_ctx ctx;

	ASSERT_GT(weights_receive(&ctx, self->other, self->dma_buf, SIZE), 0);
	ASSERT_EQ(rig_unbind_nth(1), 0);
	EXPECT_EQ(weights_read_part(&ctx, SEED, 0, 0), -ENODEV);
	EXPECT_GT(weights_stat("droppable"), 0);
	ASSERT_EQ(weights_evict(BYTES), 0);
	EXPECT_EQ(npu_debugfs("objects", "extents"), 0);
	weights_let_go(&ctx);
	ASSERT_EQ(rig_bind_nth(1), 0);
}

TEST_HARNESS_MAIN
