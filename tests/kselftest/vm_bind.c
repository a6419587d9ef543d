// SPDX-License-Identifier: MIT
/* Address spaces and binds: use, every refused input, order, lives. */
#include <pthread.h>

#include "harness.h"
#include "npu.h"

#define VA	0x10000000ull
#define SIZE	(16 * NPU_PAGE)
#define BLOCK	(2ull << 20)
#define WAIT	(10 * NPU_SECOND)

FIXTURE(bind)
{
	int fd;
	int vm;
	int bo;
	struct drm_hearth_limits limits;
};

FIXTURE_SETUP(bind)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_limits(self->fd, &self->limits), 0);
	self->vm = npu_vm_create(self->fd);
	ASSERT_GT(self->vm, 0);
	self->bo = npu_bo_create(self->fd, SIZE, 0);
	ASSERT_GT(self->bo, 0);
}

FIXTURE_TEARDOWN(bind)
{
	close(self->fd);
}

static int bind_ops(int fd, uint32_t vm, uint32_t flags, struct drm_hearth_bind_op *ops,
		    uint32_t count)
{
	struct drm_hearth_vm_bind args = {
		.vm_id = vm, .flags = flags, .ops = NPU_ARRAY(ops, count),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_BIND, &args);
}

static struct drm_hearth_bind_op map_op(uint32_t bo, uint64_t va, uint64_t size)
{
	return (struct drm_hearth_bind_op){
		.op = DRM_HEARTH_BIND_MAP, .bo_handle = bo, .va = va, .size = size,
	};
}

static struct drm_hearth_bind_op unmap_op(uint64_t va, uint64_t size)
{
	return (struct drm_hearth_bind_op){
		.op = DRM_HEARTH_BIND_UNMAP, .va = va, .size = size,
	};
}

/* Has the device copy @bytes; the error of the job. */
static int copy(struct npu_ctx *ctx, uint64_t dst, uint64_t src, uint32_t bytes)
{
	return npu_ctx_run(ctx, npu_cmd_copy(ctx->stream, dst, src, bytes), WAIT);
}

TEST_F(bind, vm_bad_input)
{
	struct drm_hearth_vm_create create = { .flags = 1 };
	struct drm_hearth_vm_destroy destroy = { .vm_id = self->vm, .pad = 1 };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_CREATE, &create), -EINVAL);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_DESTROY, &destroy), -EINVAL);
	EXPECT_EQ(npu_vm_destroy(self->fd, 0), -ENOENT);
	EXPECT_EQ(npu_vm_destroy(self->fd, self->vm + 1), -ENOENT);
	EXPECT_EQ(npu_vm_destroy(self->fd, UINT32_MAX), -ENOENT);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm + 1), -ENOENT);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
	EXPECT_EQ(npu_vm_destroy(self->fd, self->vm), 0);
	EXPECT_EQ(npu_vm_destroy(self->fd, self->vm), -ENOENT);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), -ENOENT);
}

TEST_F(bind, vm_limit)
{
	uint32_t i;
	int vm = 0;

	for (i = 1; i < self->limits.max_vms; i++) {
		vm = npu_vm_create(self->fd);
		ASSERT_GT(vm, 0);
	}
	EXPECT_EQ(npu_vm_create(self->fd), -ENOSPC);
	EXPECT_EQ(npu_vm_destroy(self->fd, vm), 0);
	EXPECT_GT(npu_vm_create(self->fd), 0);
}

/* Ids belong to the open of the device. */
TEST_F(bind, vm_of_another_file)
{
	int other = npu_open();

	ASSERT_GE(other, 0);
	EXPECT_EQ(npu_vm_state(other, self->vm), -ENOENT);
	EXPECT_EQ(npu_vm_destroy(other, self->vm), -ENOENT);
	EXPECT_EQ(npu_unmap(other, self->vm, VA, SIZE), -ENOENT);
	close(other);
}

/* More address spaces than contexts: an error, and it passes. */
TEST_F(bind, contexts_run_out)
{
	int fds[64], num, made = 0, vm = 0;

	for (num = 0; num < 64 && vm >= 0; num++) {
		fds[num] = npu_open();
		ASSERT_GE(fds[num], 0);
		for (vm = 0; vm >= 0 && vm < (int)self->limits.max_vms; made += vm > 0)
			vm = npu_vm_create(fds[num]);
		if (vm == -ENOSPC && made < (int)self->limits.max_vms * (num + 1))
			break;
		vm = 0;
	}
	EXPECT_EQ(vm, -ENOSPC);
	for (; num >= 0; num--)
		close(fds[num]);
	EXPECT_GT(npu_vm_create(self->fd), 0);
}

TEST_F(bind, map_and_unmap)
{
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE, 0), 0);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA, SIZE), 0);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA, SIZE), 0);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE,
			  DRM_HEARTH_BIND_READONLY), 0);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
}

TEST_F(bind, ends_of_the_range)
{
	uint64_t start = self->limits.va_start, end = self->limits.va_end;

	EXPECT_GE(start, NPU_PAGE);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, start, SIZE, 0), 0);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, end - SIZE, SIZE, 0), 0);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, start - NPU_PAGE, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, end - SIZE + NPU_PAGE, SIZE, 0),
		  -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, end, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, 1ull << 40, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, -SIZE, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, start, end - start), 0);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, start, end - start + NPU_PAGE), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, NPU_PAGE * 2, -NPU_PAGE), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, 0, SIZE), -EINVAL);
}

TEST_F(bind, bad_ranges)
{
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, 0, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA + 1, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA + 2048, NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE - 1, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 512, VA, NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE + NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, NPU_PAGE, VA, SIZE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, SIZE, VA, NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, -NPU_PAGE, VA, 2 * NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, -NPU_PAGE, 0), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA, 0), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA + 1, SIZE), -EINVAL);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA, SIZE - 1), -EINVAL);
}

TEST_F(bind, bad_handles)
{
	EXPECT_EQ(npu_map(self->fd, self->vm, 0, 0, VA, SIZE, 0), -ENOENT);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo + 1, 0, VA, SIZE, 0), -ENOENT);
	EXPECT_EQ(npu_map(self->fd, self->vm + 1, self->bo, 0, VA, SIZE, 0), -ENOENT);
	EXPECT_EQ(npu_map(self->fd, 0, self->bo, 0, VA, SIZE, 0), -ENOENT);
}

TEST_F(bind, bad_fields)
{
	struct drm_hearth_bind_op op;
	int bit;

	for (bit = 1; bit < 32; bit++) {
		op = map_op(self->bo, VA, SIZE);
		op.flags = 1u << bit;
		EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
		op = map_op(self->bo, VA, SIZE);
		EXPECT_EQ(bind_ops(self->fd, self->vm, 1u << bit, &op, 1), -EINVAL);
	}
	op = map_op(self->bo, VA, SIZE);
	op.op = 2;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
	op.op = UINT32_MAX;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
	op = map_op(self->bo, VA, SIZE);
	op.pad = 1;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);

	op = unmap_op(VA, SIZE);
	op.bo_handle = self->bo;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
	op = unmap_op(VA, SIZE);
	op.bo_offset = NPU_PAGE;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
	op = unmap_op(VA, SIZE);
	op.flags = DRM_HEARTH_BIND_READONLY;
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
}

TEST_F(bind, bad_arrays)
{
	struct drm_hearth_bind_op op = map_op(self->bo, VA, SIZE);
	struct drm_hearth_vm_bind args = { .vm_id = self->vm, .ops = NPU_ARRAY(&op, 0) };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -EINVAL);
	args.ops = NPU_ARRAY(&op, 1);
	args.ops.stride = sizeof(op) - 8;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -EINVAL);
	args.ops.stride = 0;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -EINVAL);
	args.ops = NPU_ARRAY(&op, 1);
	args.ops.array = 0;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -EFAULT);
	args.ops.array = -8ull;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -EFAULT);
	args.ops = NPU_ARRAY(&op, self->limits.max_binds + 1);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -E2BIG);
	args.ops.count = UINT32_MAX;
	args.ops.stride = UINT32_MAX;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -E2BIG);
}

/* Elements of a newer caller. */
TEST_F(bind, longer_elements)
{
	struct {
		struct drm_hearth_bind_op known;
		uint64_t unknown;
	} ops[2] = {
		{ .known = map_op(self->bo, VA, SIZE) },
		{ .known = unmap_op(VA, SIZE) },
	};
	struct drm_hearth_vm_bind args = { .vm_id = self->vm, .ops = NPU_ARRAY(ops, 2) };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), 0);
	ops[1].unknown = 1;
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args), -E2BIG);
}

TEST_F(bind, syncs_need_async)
{
	struct drm_hearth_sync sync = npu_signal(npu_syncobj_create(self->fd, false), 0);
	struct drm_hearth_bind_op op = map_op(self->bo, VA, SIZE);

	op.syncs = NPU_ARRAY(&sync, 1);
	EXPECT_EQ(bind_ops(self->fd, self->vm, 0, &op, 1), -EINVAL);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, sync.handle, 0, WAIT), 0);
}

TEST_F(bind, bad_syncs)
{
	uint32_t obj = npu_syncobj_create(self->fd, true), i;
	struct drm_hearth_bind_op op = map_op(self->bo, VA, SIZE);
	struct drm_hearth_sync many[64], sync;
	const uint32_t flags[] = { 0, 3, 4, 1u << 31 };

	op.syncs = NPU_ARRAY(&sync, 1);
	for (i = 0; i < 4; i++) {
		sync = (struct drm_hearth_sync){ .handle = obj, .flags = flags[i] };
		EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -EINVAL);
	}
	sync = npu_wait(obj + 1, 0);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -ENOENT);
	sync = npu_signal(obj + 1, 0);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -ENOENT);
	sync = npu_signal(0, 0);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -ENOENT);
	/* A point that nobody has submitted cannot be waited for. */
	sync = npu_wait(obj, 7);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -EINVAL);

	for (i = 0; i < 64; i++)
		many[i] = npu_wait(obj, 0);
	ASSERT_LT(self->limits.max_syncs, 64u);
	op.syncs = NPU_ARRAY(many, self->limits.max_syncs);
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), 0);
	op.syncs.count++;
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), -E2BIG);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
}

/* One bad operation among good ones: none is done. */
TEST_F(bind, all_or_none)
{
	struct drm_hearth_bind_op ops[3] = {
		map_op(self->bo, VA + SIZE, SIZE), unmap_op(VA, SIZE), map_op(self->bo, VA, 0),
	};
	struct npu_ctx ctx;
	uint8_t *p;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	EXPECT_EQ(bind_ops(self->fd, ctx.vm, 0, ops, 3), -EINVAL);
	ops[2] = map_op(self->bo + 1000, VA, SIZE);
	EXPECT_EQ(bind_ops(self->fd, ctx.vm, 0, ops, 3), -ENOENT);

	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 0x77;
	EXPECT_EQ(copy(&ctx, VA + 64, VA, 64), 0);
	EXPECT_EQ(p[64], 0x77);
	EXPECT_EQ(copy(&ctx, VA + SIZE, VA, 64), -EFAULT);
}

TEST_F(bind, device_reads_and_writes)
{
	struct npu_ctx ctx;
	uint8_t *p;
	size_t i;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	for (i = 0; i < SIZE / 2; i++)
		p[i] = i * 7 + (i >> 8);
	EXPECT_EQ(copy(&ctx, VA + SIZE / 2, VA, SIZE / 2), 0);
	EXPECT_EQ(memcmp(p, p + SIZE / 2, SIZE / 2), 0);
}

TEST_F(bind, offset_in_buffer)
{
	struct npu_ctx ctx;
	uint8_t *p;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 5 * NPU_PAGE, VA, NPU_PAGE, 0), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	memset(p + 5 * NPU_PAGE, 0x55, 8);
	EXPECT_EQ(copy(&ctx, VA + 8, VA, 8), 0);
	EXPECT_EQ(p[5 * NPU_PAGE + 15], 0x55);
	EXPECT_EQ(copy(&ctx, VA + NPU_PAGE, VA, 8), -EFAULT);
}

static int expect_fault(struct npu_ctx *ctx, uint32_t cause, uint64_t address)
{
	struct drm_hearth_query_fault fault;
	int ret = npu_query_fault(ctx->fd, ctx->queue, &fault);

	if (ret)
		return ret;
	return fault.cause == cause && fault.address == address && fault.error == EFAULT ? 0 :
	       -EPROTO;
}

TEST_F(bind, read_only_is_enforced)
{
	struct npu_ctx ctx;
	uint8_t *p;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, DRM_HEARTH_BIND_READONLY), 0);
	/* The same buffer, writable beside it. */
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA + SIZE, SIZE, 0), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 0x21;
	EXPECT_EQ(copy(&ctx, VA + SIZE + 64, VA, 64), 0);
	EXPECT_EQ(p[64], 0x21);
	EXPECT_EQ(copy(&ctx, VA + 128, VA, 64), -EFAULT);
	EXPECT_EQ(p[128], 0);
	EXPECT_EQ(expect_fault(&ctx, DRM_HEARTH_FAULT_MMU_WRITE, VA + 128), 0);
}

TEST_F(bind, unmapped_faults)
{
	struct npu_ctx ctx;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	EXPECT_EQ(copy(&ctx, VA + 64, VA, 64), 0);
	ASSERT_EQ(npu_unmap(self->fd, ctx.vm, VA, NPU_PAGE), 0);
	EXPECT_EQ(copy(&ctx, VA + NPU_PAGE, VA, 64), -EFAULT);
	EXPECT_EQ(expect_fault(&ctx, DRM_HEARTH_FAULT_MMU_READ, VA), 0);
}

/* A map over another one replaces it, in the middle and at both ends. */
TEST_F(bind, map_replaces)
{
	int other = npu_bo_create(self->fd, SIZE, 0);
	struct npu_ctx ctx;
	uint8_t *p, *q;
	uint64_t i;

	ASSERT_GT(other, 0);
	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	q = npu_bo_map(self->fd, other, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	ASSERT_NE(q, MAP_FAILED);
	for (i = 0; i < SIZE; i += NPU_PAGE) {
		p[i] = 0x80 | i >> 12;
		q[i] = 0x40 | i >> 12;
	}
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, other, 4 * NPU_PAGE, VA + 6 * NPU_PAGE,
			  2 * NPU_PAGE, 0), 0);
	for (i = 0; i < SIZE; i += NPU_PAGE) {
		uint64_t n = i >> 12;

		ASSERT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + i, 8), 0);
		EXPECT_EQ(ctx.stream[4096], n == 6 || n == 7 ? 0x40 | (n - 2) : 0x80 | n);
	}
	ASSERT_EQ(npu_map(self->fd, ctx.vm, other, 0, VA - SIZE / 2, SIZE, 0), 0);
	ASSERT_EQ(copy(&ctx, ctx.stream_va + 4096, VA, 8), 0);
	EXPECT_EQ(ctx.stream[4096], 0x48);
	ASSERT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + SIZE / 2, 8), 0);
	EXPECT_EQ(ctx.stream[4096], 0x88);
}

/* Large enough for blocks and runs, if memory is kind; pieces go and come. */
TEST_F(bind, large_buffer_in_pieces)
{
	const uint64_t size = 16 * BLOCK;
	int bo = npu_bo_create(self->fd, size, 0);
	struct npu_ctx ctx;
	uint64_t i;
	uint8_t *p;

	ASSERT_GT(bo, 0);
	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	p = npu_bo_map(self->fd, bo, size);
	ASSERT_NE(p, MAP_FAILED);
	for (i = 0; i < size; i += NPU_PAGE)
		memcpy(p + i, &i, sizeof(i));
	ASSERT_EQ(npu_map(self->fd, ctx.vm, bo, 0, VA, size, 0), 0);
	for (i = 3 * NPU_PAGE; i + 37 * NPU_PAGE < size; i += 301 * NPU_PAGE) {
		uint64_t seen, at = i - NPU_PAGE;

		ASSERT_EQ(npu_unmap(self->fd, ctx.vm, VA + i, 37 * NPU_PAGE), 0);
		ASSERT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + at, 8), 0);
		memcpy(&seen, ctx.stream + 4096, sizeof(seen));
		EXPECT_EQ(seen, at);
		at = i + 37 * NPU_PAGE;
		ASSERT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + at, 8), 0);
		memcpy(&seen, ctx.stream + 4096, sizeof(seen));
		EXPECT_EQ(seen, at);
	}
	EXPECT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + 3 * NPU_PAGE, 8), -EFAULT);
}

/* Jobs on the part of a block that stays must not notice the part that goes. */
struct cutter {
	int fd;
	uint32_t vm, bo;
	volatile bool stop;
	int error;
};

static void *cut(void *arg)
{
	struct cutter *c = arg;
	uint64_t i;

	for (i = 1; !c->stop && !c->error; i = i % 500 + 1) {
		uint64_t at = i * NPU_PAGE;

		c->error = npu_unmap(c->fd, c->vm, VA + at, 3 * NPU_PAGE);
		if (!c->error)
			c->error = npu_map(c->fd, c->vm, c->bo, at, VA + at, 3 * NPU_PAGE, 0);
	}
	return NULL;
}

TEST_F_TIMEOUT(bind, neighbours_do_not_fault, 120)
{
	struct cutter c = { .fd = self->fd };
	struct npu_ctx ctx;
	pthread_t thread;
	int i;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	c.vm = ctx.vm;
	c.bo = npu_bo_create(self->fd, BLOCK, 0);
	ASSERT_GT((int)c.bo, 0);
	ASSERT_EQ(npu_map(self->fd, c.vm, c.bo, 0, VA, BLOCK, 0), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, cut, &c), 0);
	for (i = 0; i < 300; i++)
		ASSERT_EQ(copy(&ctx, VA + 64, VA, 64), 0);
	c.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(c.error, 0);
}

TEST_F(bind, async_in_order)
{
	uint32_t obj = npu_syncobj_create(self->fd, false), i;
	struct drm_hearth_sync sync[64][2];
	struct drm_hearth_bind_op ops[64];

	for (i = 0; i < 64; i++) {
		ops[i] = i % 2 ? unmap_op(VA, SIZE) : map_op(self->bo, VA, SIZE);
		/* Each waits for what the one before signals in the same call. */
		sync[i][0] = npu_signal(obj, i + 1);
		sync[i][1] = npu_wait(obj, i);
		ops[i].syncs = NPU_ARRAY(sync[i], i ? 2 : 1);
	}
	EXPECT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, ops, 64), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, obj, 64, WAIT), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, obj, 64), 0);
}

/* Holds binds back: a job that hangs until the fault is cleared. */
static int hang(struct npu_ctx *ctx, int fd, uint32_t obj)
{
	struct drm_hearth_sync sync = npu_signal(obj, 0);
	int ret;

	ret = npu_ctx_init(ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = npu_inject("hang");
	if (!ret)
		ret = npu_submit(fd, ctx->queue, ctx->stream_va, npu_cmd_nop(ctx->stream), &sync, 1);
	return ret;
}

TEST_F(bind, async_waits)
{
	uint32_t before = npu_syncobj_create(self->fd, false);
	uint32_t after = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync sync[2] = { npu_wait(before, 0), npu_signal(after, 0) };
	struct drm_hearth_bind_op op = map_op(self->bo, VA, SIZE);
	struct npu_ctx ctx;
	int ret;

	ret = hang(&ctx, self->fd, before);
	if (ret == -EOPNOTSUPP)
		SKIP("no emulated NPU");
	ASSERT_EQ(ret, 0);
	op.syncs = NPU_ARRAY(sync, 2);
	ASSERT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, after, 0, NPU_SECOND / 5), -ETIME);
	/* Those that do not wait are not held up by those that do. */
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA + SIZE, SIZE, 0), 0);
	ASSERT_EQ(npu_queue_destroy(self->fd, ctx.queue), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, after, 0, WAIT), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, after, 0), 0);
}

/* A job that is submitted behind a bind runs behind it, without a syncobj. */
TEST_F(bind, job_waits_for_queued_bind)
{
	uint32_t before = npu_syncobj_create(self->fd, false);
	struct drm_hearth_sync wait = npu_wait(before, 0), done;
	struct drm_hearth_bind_op op = map_op(self->bo, VA, SIZE);
	struct npu_ctx guilty, ctx;
	uint8_t *p;
	int ret;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 0x33;
	ret = hang(&guilty, self->fd, before);
	if (ret == -EOPNOTSUPP)
		SKIP("no emulated NPU");
	ASSERT_EQ(ret, 0);

	op.syncs = NPU_ARRAY(&wait, 1);
	ASSERT_EQ(bind_ops(self->fd, ctx.vm, DRM_HEARTH_VM_BIND_ASYNC, &op, 1), 0);
	done = npu_signal(ctx.syncobj, 0);
	ASSERT_EQ(npu_submit(self->fd, ctx.queue, ctx.stream_va,
			     npu_cmd_copy(ctx.stream, VA + 64, VA, 8), &done, 1), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, ctx.syncobj, 0, NPU_SECOND / 5), -ETIME);
	ASSERT_EQ(npu_queue_destroy(self->fd, guilty.queue), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, ctx.syncobj, 0, WAIT), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, ctx.syncobj, 0), 0);
	EXPECT_EQ(p[64], 0x33);
}

TEST_F(bind, queue_keeps_vm)
{
	struct npu_ctx ctx;
	uint8_t *p;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	p = npu_bo_map(self->fd, self->bo, SIZE);
	ASSERT_NE(p, MAP_FAILED);
	p[0] = 0x11;
	ASSERT_EQ(npu_vm_destroy(self->fd, ctx.vm), 0);
	EXPECT_EQ(npu_unmap(self->fd, ctx.vm, VA, SIZE), -ENOENT);
	EXPECT_EQ(npu_queue_create(self->fd, ctx.vm, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
	EXPECT_EQ(copy(&ctx, VA + 64, VA, 8), 0);
	EXPECT_EQ(p[64], 0x11);
}

/* A mapping holds its buffer when the handle has gone. */
TEST_F(bind, map_keeps_buffer)
{
	struct npu_ctx ctx;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_map(self->fd, ctx.vm, self->bo, 0, VA, SIZE, 0), 0);
	ASSERT_EQ(npu_bo_close(self->fd, self->bo), 0);
	EXPECT_EQ(copy(&ctx, VA + 64, VA, 64), 0);
	EXPECT_EQ(copy(&ctx, ctx.stream_va + 4096, VA + 64, 64), 0);
}

TEST_F(bind, closed_with_binds_queued)
{
	uint32_t before = npu_syncobj_create(self->fd, false), i;
	struct drm_hearth_sync wait = npu_wait(before, 0);
	struct drm_hearth_bind_op ops[16];
	struct npu_ctx ctx;
	int ret;

	ret = hang(&ctx, self->fd, before);
	if (ret == -EOPNOTSUPP)
		SKIP("no emulated NPU");
	ASSERT_EQ(ret, 0);
	for (i = 0; i < 16; i++) {
		ops[i] = map_op(self->bo, VA + i * SIZE, SIZE);
		ops[i].syncs = NPU_ARRAY(&wait, 1);
	}
	ASSERT_EQ(bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, ops, 16), 0);
	ASSERT_EQ(npu_vm_destroy(self->fd, self->vm), 0);
}

TEST_F(bind, too_many_queued)
{
	uint32_t before = npu_syncobj_create(self->fd, false), i;
	struct drm_hearth_sync wait = npu_wait(before, 0);
	struct drm_hearth_bind_op *ops;
	struct npu_ctx ctx;
	int ret;

	ret = hang(&ctx, self->fd, before);
	if (ret == -EOPNOTSUPP)
		SKIP("no emulated NPU");
	ASSERT_EQ(ret, 0);
	ops = calloc(self->limits.max_binds, sizeof(*ops));
	ASSERT_NE(ops, NULL);
	for (i = 0; i < self->limits.max_binds; i++) {
		ops[i] = unmap_op(VA, SIZE);
		ops[i].syncs = NPU_ARRAY(&wait, 1);
	}
	for (i = 0; i < 64 && !ret; i++)
		ret = bind_ops(self->fd, self->vm, DRM_HEARTH_VM_BIND_ASYNC, ops,
			       self->limits.max_binds);
	EXPECT_EQ(ret, -EBUSY);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
	EXPECT_EQ(npu_unmap(self->fd, self->vm, VA, SIZE), 0);
	ASSERT_EQ(npu_queue_destroy(self->fd, ctx.queue), 0);
}

/* Two threads on one address space, each in its own part of it. */
struct binder {
	int fd;
	uint32_t vm, bo;
	uint64_t va;
	int error;
};

static void *bind_much(void *arg)
{
	struct binder *b = arg;
	uint32_t i;

	for (i = 0; i < 200 && !b->error; i++) {
		b->error = npu_map(b->fd, b->vm, b->bo, 0, b->va + i % 7 * NPU_PAGE, SIZE, 0);
		if (!b->error)
			b->error = npu_unmap(b->fd, b->vm, b->va + i % 5 * NPU_PAGE, 8 * NPU_PAGE);
	}
	return NULL;
}

TEST_F(bind, two_threads)
{
	struct binder b[2];
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++) {
		b[i] = (struct binder){ self->fd, self->vm, self->bo, VA + i * (BLOCK + SIZE), 0 };
		ASSERT_EQ(pthread_create(&threads[i], NULL, bind_much, &b[i]), 0);
	}
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(b[i].error, 0);
	}
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
}

/* All that was made goes with the file, whatever order it was made in. */
TEST_F(bind, nothing_is_left)
{
	static const char *const kinds[] = { "bos", "vms", "tables", "queues", "contexts" };
	int64_t base[5], i;
	struct npu_ctx ctx;
	int fd, bo;

	if (npu_debugfs("objects", "vms") < 0)
		SKIP("no debugfs");
	/* Earlier tests may still be on their way out. */
	EXPECT_EQ(npu_debugfs_until("objects", "vms", 1), 1);
	for (i = 0; i < 5; i++)
		base[i] = npu_debugfs("objects", kinds[i]);
	fd = npu_open();
	ASSERT_GE(fd, 0);
	ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	bo = npu_bo_create(fd, 4 * BLOCK, 0);
	ASSERT_GT(bo, 0);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(npu_map(fd, ctx.vm, bo, 0, VA + i * (4 * BLOCK + NPU_PAGE), 4 * BLOCK, 0),
			  0);
	EXPECT_EQ(copy(&ctx, VA + 64, VA, 64), 0);
	EXPECT_GT(npu_debugfs("objects", "tables"), base[2]);
	/* A mapping would hold the file. */
	munmap(ctx.stream, ctx.stream_bytes);
	close(fd);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(npu_debugfs_until("objects", kinds[i], base[i]), base[i]);
}

TEST_F_TIMEOUT(bind, a_thousand_address_spaces, 120)
{
	int i, vm;

	for (i = 0; i < 1000; i++) {
		vm = npu_vm_create(self->fd);
		ASSERT_GT(vm, 0);
		ASSERT_EQ(npu_map(self->fd, vm, self->bo, 0, VA, SIZE, 0), 0);
		ASSERT_EQ(npu_vm_destroy(self->fd, vm), 0);
	}
}

TEST_HARNESS_MAIN
