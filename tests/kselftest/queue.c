// SPDX-License-Identifier: MIT
/* Queues: creation, each refused field, who may have which priority, limits. */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "harness.h"
#include "rig.h"

FIXTURE(queue)
{
	int fd;
	int vm;
	struct drm_hearth_limits limits;
};

FIXTURE_SETUP(queue)
{
	self->fd = npu_open();
	if (self->fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(npu_limits(self->fd, &self->limits), 0);
	self->vm = npu_vm_create(self->fd);
	ASSERT_GT(self->vm, 0);
}

FIXTURE_TEARDOWN(queue)
{
	close(self->fd);
}

static int create(int fd, struct drm_hearth_queue_create args)
{
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_CREATE, &args);

	return ret ? ret : (int)args.queue_id;
}

TEST_F(queue, create_and_destroy)
{
	int first = npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL);
	int second = npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_IDLE);

	ASSERT_GT(first, 0);
	ASSERT_GT(second, 0);
	EXPECT_NE(first, second);
	EXPECT_EQ(npu_queue_destroy(self->fd, first), 0);
	EXPECT_EQ(npu_queue_destroy(self->fd, first), -ENOENT);
	EXPECT_EQ(npu_queue_destroy(self->fd, second), 0);
}

TEST_F(queue, bad_flags)
{
	int bit;

	for (bit = 0; bit < 32; bit++)
		EXPECT_EQ(create(self->fd, (struct drm_hearth_queue_create){
				 .vm_id = self->vm, .flags = 1u << bit }), -EINVAL);
}

TEST_F(queue, bad_priority)
{
	const uint32_t priorities[] = { 4, 5, 0x80000000, UINT32_MAX };
	size_t i;

	for (i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++)
		EXPECT_EQ(npu_queue_create(self->fd, self->vm, priorities[i]), -EINVAL);
}

TEST_F(queue, bad_vm)
{
	EXPECT_EQ(npu_queue_create(self->fd, 0, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
	EXPECT_EQ(npu_queue_create(self->fd, self->vm + 1, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
	EXPECT_EQ(npu_queue_create(self->fd, UINT32_MAX, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
	ASSERT_EQ(npu_vm_destroy(self->fd, self->vm), 0);
	EXPECT_EQ(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
}

static uint64_t parameter_ns(const char *name)
{
	char path[80], text[32];

	snprintf(path, sizeof(path), "/sys/module/hearth/parameters/%s", name);
	return rig_read(path, text, sizeof(text)) ? 0 : strtoull(text, NULL, 10) * 1000000;
}

/* Less than the driver's default, never more. */
TEST_F(queue, timeouts_have_a_limit)
{
	const uint64_t progress = parameter_ns("progress_timeout_ms");
	const uint64_t job = parameter_ns("job_timeout_ms");

	ASSERT_GT(progress, 0u);
	ASSERT_GT(job, 0u);
	EXPECT_GT(rig_queue_create(self->fd, self->vm, 0, progress, job), 0);
	EXPECT_GT(rig_queue_create(self->fd, self->vm, 0, 1, 1), 0);
	EXPECT_EQ(rig_queue_create(self->fd, self->vm, 0, progress + 1, 0), -EINVAL);
	EXPECT_EQ(rig_queue_create(self->fd, self->vm, 0, 0, job + 1), -EINVAL);
	EXPECT_EQ(rig_queue_create(self->fd, self->vm, 0, UINT64_MAX, 0), -EINVAL);
	EXPECT_EQ(rig_queue_create(self->fd, self->vm, 0, 0, UINT64_MAX), -EINVAL);
}

TEST_F(queue, an_error_returns_no_id)
{
	struct drm_hearth_queue_create args = { .vm_id = self->vm, .flags = 1 };

	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_QUEUE_CREATE, &args), -EINVAL);
	EXPECT_EQ(args.queue_id, 0u);
}

TEST_F(queue, destroy_bad_input)
{
	int queue = npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL);
	struct drm_hearth_queue_destroy args = { .queue_id = queue, .pad = 1 };

	ASSERT_GT(queue, 0);
	EXPECT_EQ(npu_ioctl(self->fd, DRM_IOCTL_HEARTH_QUEUE_DESTROY, &args), -EINVAL);
	EXPECT_EQ(npu_queue_destroy(self->fd, 0), -ENOENT);
	EXPECT_EQ(npu_queue_destroy(self->fd, queue + 1), -ENOENT);
	EXPECT_EQ(npu_queue_destroy(self->fd, UINT32_MAX), -ENOENT);
	EXPECT_EQ(npu_queue_destroy(self->fd, queue), 0);
}

/* Ids are of one open of the device. */
TEST_F(queue, another_file_does_not_know_it)
{
	int queue = npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL);
	struct drm_hearth_query_fault fault;
	int other = npu_open();

	ASSERT_GT(queue, 0);
	ASSERT_GE(other, 0);
	EXPECT_EQ(npu_queue_destroy(other, queue), -ENOENT);
	EXPECT_EQ(npu_query_fault(other, queue, &fault), -ENOENT);
	EXPECT_EQ(npu_submit(other, queue, NPU_STREAM_VA, 8, NULL, 0), -ENOENT);
	EXPECT_EQ(npu_queue_create(other, self->vm, DRM_HEARTH_QUEUE_NORMAL), -ENOENT);
	close(other);
	EXPECT_EQ(npu_queue_destroy(self->fd, queue), 0);
}

TEST_F(queue, most_queues_of_a_client)
{
	int other = npu_open(), vm, queue = 0;
	uint32_t i;

	for (i = 0; i < self->limits.max_queues; i++) {
		queue = npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL);
		ASSERT_GT(queue, 0);
	}
	EXPECT_EQ(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL), -ENOSPC);

	/* Another client has its own. */
	ASSERT_GE(other, 0);
	vm = npu_vm_create(other);
	ASSERT_GT(vm, 0);
	EXPECT_GT(npu_queue_create(other, vm, DRM_HEARTH_QUEUE_NORMAL), 0);
	close(other);

	EXPECT_EQ(npu_queue_destroy(self->fd, queue), 0);
	EXPECT_GT(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL), 0);
}

TEST_F(queue, outlives_its_address_space)
{
	struct npu_ctx ctx;

	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	ASSERT_EQ(npu_vm_destroy(self->fd, ctx.vm), 0);
	EXPECT_EQ(rig_copy_works(&ctx, 1), 0);
	ctx.vm = 0;
	npu_ctx_fini(&ctx);
}

TEST_F(queue, root_may_have_each_priority)
{
	uint32_t priority;

	EXPECT_EQ(self->limits.priorities, 15u);
	for (priority = 0; priority < 4; priority++)
		EXPECT_GT(npu_queue_create(self->fd, self->vm, priority), 0);
}

/* Becomes an ordinary user, with CAP_SYS_NICE or without any capability. */
static int become_user(bool nice)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (nice)
		data[0].effective = data[0].permitted = 1u << CAP_SYS_NICE;
	if (prctl(PR_SET_KEEPCAPS, 1) || setresgid(1000, 1000, 1000) ||
	    setresuid(1000, 1000, 1000) || syscall(SYS_capset, &head, data))
		return -errno;
	return 0;
}

static uint32_t allowed(int fd)
{
	struct drm_hearth_limits limits = { 0 };

	return npu_limits(fd, &limits) ? 0 : limits.priorities;
}

TEST_F(queue, a_user_may_have_the_lower_priorities)
{
	ASSERT_EQ(become_user(false), 0);
	EXPECT_EQ(allowed(self->fd), 3u);
	EXPECT_GT(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_IDLE), 0);
	EXPECT_GT(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_FOCUS), -EACCES);
	EXPECT_EQ(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_REALTIME), -EACCES);
}

TEST_F(queue, cap_sys_nice_gives_the_higher_ones)
{
	ASSERT_EQ(become_user(true), 0);
	EXPECT_EQ(allowed(self->fd), 15u);
	EXPECT_GT(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_FOCUS), 0);
	EXPECT_GT(npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_REALTIME), 0);
}

/* Nothing but the node's own permissions is needed for the rest. */
TEST_F(queue, a_user_runs_jobs)
{
	struct npu_ctx ctx;

	ASSERT_EQ(become_user(false), 0);
	ASSERT_EQ(npu_ctx_init(&ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(rig_copy_works(&ctx, 2), 0);
	npu_ctx_fini(&ctx);
}

TEST_F(queue, nothing_is_left)
{
	int i, fd, ret;

	close(self->fd);
	self->fd = -1;
	ret = rig_idle();
	if (ret == -ENOENT)
		SKIP("no debugfs");
	ASSERT_EQ(ret, 0);
	fd = npu_open();
	ASSERT_GE(fd, 0);
	self->vm = npu_vm_create(fd);
	for (i = 0; i < 20; i++)
		ASSERT_GT(npu_queue_create(fd, self->vm, DRM_HEARTH_QUEUE_NORMAL), 0);
	EXPECT_EQ(npu_debugfs("objects", "queues"), 20);
	close(fd);
	EXPECT_EQ(rig_idle(), 0);
}

TEST_HARNESS_MAIN
