// SPDX-License-Identifier: MIT
/* Jobs that go wrong by themselves: what their fences and QUERY_FAULT say. */
#include <hw/hearth_cmd.h>

#include "harness.h"
#include "rig.h"

#define NOWHERE		0x60000000ull
#define READ_ONLY	0x50000000ull

FIXTURE(fault)
{
	int fd;
	struct npu_ctx ctx;
};

FIXTURE_SETUP(fault)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
}

/* Nobody else has noticed, and nothing is left. */
FIXTURE_TEARDOWN(fault)
{
	EXPECT_EQ(rig_other_process_works(), 0);
	npu_ctx_fini(&self->ctx);
	close(self->fd);
	EXPECT_EQ(rig_idle(), 0);
}

/* Runs the stream; 0 if it fails with @error and the fault is @want. */
static int fails(struct npu_ctx *ctx, size_t bytes, const struct drm_hearth_query_fault *want)
{
	struct drm_hearth_query_fault got;
	int ret;

	ret = npu_ctx_run(ctx, bytes, RIG_DEADLINE);
	if (ret != -(int)want->error) {
		printf("# fence says %d, wanted %d\n", ret, -(int)want->error);
		return -1;
	}
	ret = npu_query_fault(ctx->fd, ctx->queue, &got);
	if (ret)
		return ret;
	if (got.flags || got.cause != want->cause || got.error != want->error ||
	    got.job != want->job || got.op_index != want->op_index ||
	    got.opcode != want->opcode || got.address != want->address) {
		printf("# flags %u cause %u error %u job %llu op %u opcode %#x address %#llx\n",
		       got.flags, got.cause, got.error, (unsigned long long)got.job,
		       got.op_index, got.opcode, (unsigned long long)got.address);
		return -1;
	}
	/* It stays so, and the queue takes no more. */
	ret = npu_submit(ctx->fd, ctx->queue, ctx->stream_va, 8, NULL, 0);
	if (ret != -ECANCELED) {
		printf("# the next submit says %d\n", ret);
		return -1;
	}
	return 0;
}

TEST_F(fault, none_so_far)
{
	struct drm_hearth_query_fault fault;

	ASSERT_EQ(npu_query_fault(self->fd, self->ctx.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_NONE);
	EXPECT_EQ(fault.error, 0u);
	EXPECT_EQ(fault.flags, 0u);
	EXPECT_EQ(fault.address, 0u);
	EXPECT_EQ(rig_copy_works(&self->ctx, 1), 0);
}

TEST_F(fault, query_bad_input)
{
	struct drm_hearth_query_fault fault = { .queue_id = self->ctx.queue, .flags = 1 };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_QUERY_FAULT, &fault), -EINVAL);
	EXPECT_EQ(npu_query_fault(self->fd, self->ctx.queue + 1, &fault), -ENOENT);
	EXPECT_EQ(npu_query_fault(self->fd, 0, &fault), -ENOENT);
}

TEST_F(fault, read_where_nothing_is)
{
	struct npu_ctx *ctx = &self->ctx;
	size_t n = rig_nops(ctx, 0, 3);

	n += npu_cmd_copy(ctx->stream + n, ctx->stream_va + RIG_DATA, NOWHERE + 0x40, 16);
	EXPECT_EQ(fails(ctx, n, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_READ, .error = EFAULT, .op_index = 3,
		.opcode = HEARTH_OP_COPY_2D, .address = NOWHERE + 0x40 }), 0);
}

TEST_F(fault, write_where_nothing_is)
{
	struct npu_ctx *ctx = &self->ctx;
	size_t n = npu_cmd_copy(ctx->stream, NOWHERE, ctx->stream_va + RIG_DATA, 16);

	EXPECT_EQ(fails(ctx, n, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_WRITE, .error = EFAULT,
		.opcode = HEARTH_OP_COPY_2D, .address = NOWHERE }), 0);
}

TEST_F(fault, write_of_a_read_only_map)
{
	struct npu_ctx *ctx = &self->ctx;
	size_t n;

	ASSERT_EQ(npu_map(self->fd, ctx->vm, ctx->bo, 0, READ_ONLY, NPU_STREAM_BYTES,
			  DRM_HEARTH_BIND_READONLY), 0);
	ctx->stream[RIG_DATA] = 0x12;
	ctx->stream[RIG_DATA + 64] = 0x34;
	/* Read it may. */
	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA + 1, READ_ONLY + RIG_DATA, 1);
	n += npu_cmd_copy(ctx->stream + n, READ_ONLY + RIG_DATA, ctx->stream_va + RIG_DATA + 64, 1);
	EXPECT_EQ(fails(ctx, n, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_WRITE, .error = EFAULT, .op_index = 1,
		.opcode = HEARTH_OP_COPY_2D, .address = READ_ONLY + RIG_DATA }), 0);
	EXPECT_EQ(ctx->stream[RIG_DATA + 1], 0x12);
	EXPECT_EQ(ctx->stream[RIG_DATA], 0x12);
}

/* Starts well and runs over the end of the map: the first bad byte is named. */
TEST_F(fault, over_the_end_of_a_map)
{
	struct npu_ctx *ctx = &self->ctx;
	const uint64_t end = ctx->stream_va + NPU_STREAM_BYTES;
	size_t n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, end - 64, 128);

	EXPECT_EQ(fails(ctx, n, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_READ, .error = EFAULT,
		.opcode = HEARTH_OP_COPY_2D, .address = end }), 0);
}

TEST_F(fault, the_stream_is_not_mapped)
{
	struct npu_ctx *ctx = &self->ctx;

	ctx->stream_va = NOWHERE;
	EXPECT_EQ(fails(ctx, 8, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_READ, .error = EFAULT, .opcode = ~0u,
		.address = NOWHERE }), 0);
}

TEST_F(fault, unmapped_meanwhile)
{
	struct npu_ctx *ctx = &self->ctx;

	ASSERT_EQ(rig_copy_works(ctx, 9), 0);
	ASSERT_EQ(npu_unmap(self->fd, ctx->vm, ctx->stream_va, NPU_STREAM_BYTES), 0);
	EXPECT_EQ(fails(ctx, 8, &(struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_MMU_READ, .error = EFAULT, .opcode = ~0u, .job = 1,
		.address = ctx->stream_va }), 0);
}

static size_t header(void *p, uint16_t op, uint16_t reserved, uint32_t bytes)
{
	struct hearth_cmd_header cmd = { .op = op, .reserved = reserved, .bytes = bytes };

	memcpy(p, &cmd, sizeof(cmd));
	return sizeof(cmd);
}

/* For each command that is broken: a queue of its own, cause and opcode. */
static int broken(struct npu_ctx *ctx, const void *command, size_t bytes, uint32_t cause)
{
	struct hearth_cmd_header cmd;
	size_t n = rig_nops(ctx, 0, 2);
	int ret;

	ret = npu_queue_destroy(ctx->fd, ctx->queue);
	ctx->queue = 0;
	if (!ret)
		ret = npu_queue_create(ctx->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
	if (ret < 0)
		return ret;
	ctx->queue = ret;
	memcpy(&cmd, command, sizeof(cmd));
	memcpy(ctx->stream + n, command, bytes);
	return fails(ctx, n + bytes, &(struct drm_hearth_query_fault){
		.cause = cause, .error = EINVAL, .op_index = 2, .opcode = cmd.op });
}

TEST_F(fault, unknown_opcodes)
{
	const uint16_t ops[] = { 63, 64, 255, 256, 0x7fff, 0xffff };
	uint8_t cmd[8];
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		header(cmd, ops[i], 0, 8);
		EXPECT_EQ(broken(&self->ctx, cmd, 8, DRM_HEARTH_FAULT_OPCODE), 0);
	}
}

TEST_F(fault, bad_command_sizes)
{
	const uint32_t sizes[] = { 0, 4, 12, 16, 264, 0x80000000, 0xfffffff8 };
	uint8_t cmd[8];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		header(cmd, HEARTH_OP_NOP, 0, sizes[i]);
		EXPECT_EQ(broken(&self->ctx, cmd, 8, DRM_HEARTH_FAULT_OPERAND), 0);
	}
}

TEST_F(fault, bad_operands)
{
	const uint64_t data = self->ctx.stream_va + RIG_DATA;
	struct hearth_cmd_copy_2d good, bad;

	npu_cmd_copy(&good, data + 256, data, 16);
	bad = good;
	bad.rows = 0;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	bad = good;
	bad.row_bytes = 0;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	bad = good;
	bad.src_stride = 15;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	bad = good;
	bad.dst_stride = 1ull << 63;
	bad.rows = 3;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	bad = good;
	bad.hdr.reserved = 1;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	bad = good;
	bad.hdr.bytes = sizeof(bad) - 8;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
	/* Overlap: the result would depend on the order of the bytes. */
	bad = good;
	bad.dst = bad.src + 8;
	EXPECT_EQ(broken(&self->ctx, &bad, sizeof(bad), DRM_HEARTH_FAULT_OPERAND), 0);
}

/* Those ahead of it ended well, those behind it never run. */
TEST_F(fault, jobs_ahead_and_behind)
{
	struct npu_ctx *ctx = &self->ctx;
	struct drm_hearth_query_fault fault;
	struct drm_hearth_sync syncs[6];
	struct drm_hearth_job jobs[6];
	size_t bad = 1024;
	int i;

	rig_nops(ctx, 0, 1);
	npu_cmd_copy(ctx->stream + bad, NOWHERE, ctx->stream_va, 8);
	for (i = 0; i < 6; i++) {
		/* Binary: a point of a timeline forgets the error of its fence. */
		syncs[i] = npu_signal(npu_syncobj_create(self->fd, false), 0);
		jobs[i] = (struct drm_hearth_job){
			.stream_va = ctx->stream_va + (i == 2 ? bad : 0),
			.stream_bytes = i == 2 ? sizeof(struct hearth_cmd_copy_2d) : 8,
			.syncs = NPU_ARRAY(&syncs[i], 1),
		};
	}
	ASSERT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_SUBMIT, &(struct drm_hearth_submit){
		.queue_id = ctx->queue, .jobs = NPU_ARRAY(jobs, 6) }), 0);
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(npu_syncobj_wait(self->fd, syncs[i].handle, 0, RIG_DEADLINE), 0);
		EXPECT_EQ(npu_syncobj_status(self->fd, syncs[i].handle, 0),
			  i < 2 ? 0 : i == 2 ? -EFAULT : -ECANCELED);
	}
	ASSERT_EQ(npu_query_fault(self->fd, ctx->queue, &fault), 0);
	EXPECT_EQ(fault.job, 2u);
}

/* Isolation is by queue: one in the same address space goes on. */
TEST_F(fault, a_sister_queue_goes_on)
{
	struct npu_ctx *ctx = &self->ctx, sister = *ctx;
	struct drm_hearth_query_fault fault;
	int ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
	size_t n;

	ASSERT_GT(ret, 0);
	sister.queue = ret;
	n = npu_cmd_copy(ctx->stream, NOWHERE, ctx->stream_va, 8);
	EXPECT_EQ(npu_ctx_run(ctx, n, RIG_DEADLINE), -EFAULT);
	EXPECT_EQ(rig_copy_works(&sister, 4), 0);
	ASSERT_EQ(npu_query_fault(self->fd, sister.queue, &fault), 0);
	EXPECT_EQ(fault.cause, (uint32_t)DRM_HEARTH_FAULT_NONE);
	EXPECT_EQ(npu_vm_state(self->fd, ctx->vm), DRM_HEARTH_VM_USABLE);

	/* And a new queue makes up for the lost one. */
	ASSERT_EQ(npu_queue_destroy(self->fd, ctx->queue), 0);
	ret = npu_queue_create(self->fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL);
	ASSERT_GT(ret, 0);
	ctx->queue = ret;
	EXPECT_EQ(rig_copy_works(ctx, 5), 0);
}

/* A fault needs no reset of the device. */
TEST_F(fault, no_reset)
{
	int64_t resets = rig_resets();
	size_t n = npu_cmd_copy(self->ctx.stream, NOWHERE, self->ctx.stream_va, 8);

	if (resets < 0)
		SKIP("no debugfs");
	EXPECT_EQ(npu_ctx_run(&self->ctx, n, RIG_DEADLINE), -EFAULT);
	EXPECT_EQ(rig_other_process_works(), 0);
	EXPECT_EQ(rig_resets(), resets);
}

/* The error of a fence is no reason not to wait for it. */
TEST_F(fault, who_waits_for_a_failed_job_runs)
{
	struct npu_ctx *ctx = &self->ctx, other;
	struct drm_hearth_sync syncs[2];
	size_t n = npu_cmd_copy(ctx->stream, NOWHERE, ctx->stream_va, 8);

	ASSERT_EQ(npu_ctx_init(&other, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(rig_submit(ctx, 0, n, ctx->syncobj, 0), 0);
	syncs[0] = npu_wait(ctx->syncobj, 0);
	syncs[1] = npu_signal(other.syncobj, 0);
	ASSERT_EQ(npu_submit(self->fd, other.queue, other.stream_va, npu_cmd_nop(other.stream),
			     syncs, 2), 0);
	EXPECT_EQ(npu_syncobj_wait(self->fd, other.syncobj, 0, RIG_DEADLINE), 0);
	EXPECT_EQ(npu_syncobj_status(self->fd, other.syncobj, 0), 0);
	npu_ctx_fini(&other);
}

TEST_HARNESS_MAIN
