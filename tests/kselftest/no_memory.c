// SPDX-License-Identifier: MIT
/*
 * Every allocation of every ioctl fails once. Needs a kernel with fault
 * injection: SKIP elsewhere.
 */
#include <fcntl.h>

#include "harness.h"
#include "npu.h"

#define VA	0x10000000ull
#define SIZE	(4ull << 20)
#define MAX_NTH	20000

FIXTURE(no_memory)
{
	char path[64];
	int fd;
	int vm;
	int bo;
	int nth;
	struct npu_ctx ctx;
};

static int put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* Also allocations that may wait, and without a trace of each in the log. */
static int inject_everywhere(void)
{
	static const char *const settings[][2] = {
		{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/failslab/verbose", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
	};
	size_t i;
	int ret = 0;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]) && !ret; i++)
		ret = put(settings[i][0], settings[i][1]);
	return ret;
}

FIXTURE_SETUP(no_memory)
{
	if (npu_path(self->path, sizeof(self->path)))
		SKIP("no NPU");
	self->fd = npu_open();
	ASSERT_GE(self->fd, 0);
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0 || inject_everywhere())
		SKIP("no fault injection in this kernel");
	/* A page fault of ours is no allocation of the driver's. */
	ASSERT_EQ(mlockall(MCL_CURRENT), 0);
	ASSERT_EQ(npu_ctx_init(&self->ctx, self->fd, DRM_HEARTH_QUEUE_NORMAL), 0);
	self->vm = self->ctx.vm;
	self->bo = npu_bo_create(self->fd, SIZE, 0);
	ASSERT_GT(self->bo, 0);
}

FIXTURE_TEARDOWN(no_memory)
{
	close(self->fd);
}

/*
 * Has the n-th allocation of @what fail, for all n. It must say -ENOMEM and
 * leave all as it was, or get by without; in the end nothing fails any more.
 * @undo takes back what succeeded.
 */
static int each(struct harness_report *_report, struct fixture_no_memory *self,
		int (*what)(struct fixture_no_memory *self),
		void (*undo)(struct fixture_no_memory *self, int result))
{
	int n, ret, failures = 0;
	char text[16];
	ssize_t got;

	for (n = 1; n < MAX_NTH; n++) {
		snprintf(text, sizeof(text), "%d", n);
		if (pwrite(self->nth, text, strlen(text), 0) < 0)
			return -errno;
		ret = what(self);
		got = pread(self->nth, text, sizeof(text) - 1, 0);
		if (pwrite(self->nth, "0", 1, 0) < 0 || got <= 0)
			return -EIO;
		text[got] = 0;
		if (ret >= 0 && undo)
			undo(self, ret);
		/* shmem says -ENOSPC if it gets no inode. */
		if (ret < 0 && ret != -ENOMEM && ret != -ENOSPC) {
			harness_fail(_report, __FILE__, __LINE__, "allocation %d: %s", n,
				     strerror(-ret));
			return ret;
		}
		failures += ret < 0;
		/* Not reached: there are fewer. */
		if (atoi(text))
			return ret < 0 ? ret : failures;
	}
	return -E2BIG;
}

static int create_bo(struct fixture_no_memory *self)
{
	return npu_bo_create(self->fd, SIZE, 0);
}

static void close_bo(struct fixture_no_memory *self, int bo)
{
	npu_bo_close(self->fd, bo);
}

TEST_F(no_memory, bo_create)
{
	EXPECT_GT(each(_report, self, create_bo, close_bo), 0);
}

static int create_vm(struct fixture_no_memory *self)
{
	return npu_vm_create(self->fd);
}

static void destroy_vm(struct fixture_no_memory *self, int vm)
{
	npu_vm_destroy(self->fd, vm);
}

TEST_F(no_memory, vm_create)
{
	EXPECT_GT(each(_report, self, create_vm, destroy_vm), 0);
}

static int create_queue(struct fixture_no_memory *self)
{
	return npu_queue_create(self->fd, self->vm, DRM_HEARTH_QUEUE_NORMAL);
}

static void destroy_queue(struct fixture_no_memory *self, int queue)
{
	npu_queue_destroy(self->fd, queue);
}

TEST_F(no_memory, queue_create)
{
	EXPECT_GT(each(_report, self, create_queue, destroy_queue), 0);
}

/* Pages, tables, mappings. Each time a buffer without pages. */
static int map_fresh(struct fixture_no_memory *self)
{
	return npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE - NPU_PAGE, 0);
}

static void unmap(struct fixture_no_memory *self, int result)
{
	npu_unmap(self->fd, self->vm, VA, SIZE);
	npu_bo_close(self->fd, self->bo);
	self->bo = npu_bo_create(self->fd, SIZE, 0);
}

TEST_F_TIMEOUT(no_memory, bind, 300)
{
	EXPECT_GT(each(_report, self, map_fresh, unmap), 0);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
	EXPECT_EQ(npu_map(self->fd, self->vm, self->bo, 0, VA, SIZE, 0), 0);
	EXPECT_EQ(npu_ctx_run(&self->ctx, npu_cmd_copy(self->ctx.stream, VA + 64, VA, 64),
			      10 * NPU_SECOND), 0);
}

/* Of several operations one fails: none is done. */
static int bind_many(struct fixture_no_memory *self, uint32_t flags, uint32_t syncobj)
{
	struct drm_hearth_sync sync[2] = { npu_signal(syncobj, 0), npu_signal(syncobj, 0) };
	struct drm_hearth_bind_op ops[4];
	struct drm_hearth_vm_bind args = {
		.vm_id = self->vm, .flags = flags, .ops = NPU_ARRAY(ops, 4),
	};
	int i;

	for (i = 0; i < 4; i++) {
		ops[i] = (struct drm_hearth_bind_op){
			.op = i == 2 ? DRM_HEARTH_BIND_UNMAP : DRM_HEARTH_BIND_MAP,
			.bo_handle = i == 2 ? 0 : self->bo,
			.va = VA + i * SIZE / 2, .size = SIZE,
		};
		if (flags)
			ops[i].syncs = NPU_ARRAY(sync, 1);
	}
	return npu_ioctl(self->fd, DRM_IOCTL_HEARTH_VM_BIND, &args);
}

static int bind_sync(struct fixture_no_memory *self)
{
	return bind_many(self, 0, 0);
}

static int bind_async(struct fixture_no_memory *self)
{
	return bind_many(self, DRM_HEARTH_VM_BIND_ASYNC, self->ctx.syncobj);
}

static void wait_for_bind(struct fixture_no_memory *self, int result)
{
	npu_syncobj_wait(self->fd, self->ctx.syncobj, 0, 10 * NPU_SECOND);
}

TEST_F_TIMEOUT(no_memory, bind_several, 300)
{
	EXPECT_GT(each(_report, self, bind_sync, NULL), 0);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
}

TEST_F_TIMEOUT(no_memory, bind_async, 300)
{
	EXPECT_GT(each(_report, self, bind_async, wait_for_bind), 0);
	EXPECT_EQ(npu_vm_state(self->fd, self->vm), DRM_HEARTH_VM_USABLE);
}

static int submit(struct fixture_no_memory *self)
{
	struct drm_hearth_sync sync = npu_signal(self->ctx.syncobj, 0);

	return npu_submit(self->fd, self->ctx.queue, self->ctx.stream_va,
			  npu_cmd_nop(self->ctx.stream), &sync, 1);
}

TEST_F_TIMEOUT(no_memory, submit, 300)
{
	EXPECT_GT(each(_report, self, submit, wait_for_bind), 0);
	EXPECT_EQ(npu_ctx_run(&self->ctx, npu_cmd_nop(self->ctx.stream), 10 * NPU_SECOND), 0);
}

static int export_and_import(struct fixture_no_memory *self)
{
	/* Not npu_open(), which allocates as it looks for the path. */
	int other = open(self->path, O_RDWR | O_CLOEXEC), ret;

	if (other < 0)
		return -errno;
	ret = npu_export(self->fd, self->bo, DRM_CLOEXEC);
	if (ret >= 0) {
		int dma_buf = ret;

		ret = npu_import(other, dma_buf);
		close(dma_buf);
	}
	close(other);
	return ret < 0 ? ret : 0;
}

TEST_F_TIMEOUT(no_memory, prime, 300)
{
	EXPECT_GT(each(_report, self, export_and_import, NULL), 0);
}

TEST_F(no_memory, z_nothing_is_left)
{
	if (npu_debugfs("objects", "bos") < 0)
		SKIP("no debugfs");
	EXPECT_EQ(npu_debugfs_until("objects", "files", 1), 1);
	EXPECT_EQ(npu_debugfs_until("objects", "vms", 1), 1);
	EXPECT_EQ(npu_debugfs_until("objects", "bos", 2), 2);
	EXPECT_EQ(npu_debugfs_until("objects", "queues", 1), 1);
	EXPECT_EQ(npu_debugfs_until("objects", "jobs", 0), 0);
}

TEST_HARNESS_MAIN
