// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "hw/hearth_cmd.h"
#include "npu.h"

#define CTL_PORT	"/dev/virtio-ports/hearth.ctl"
#define HOST_PORT	"/dev/virtio-ports/hearth.host"

int npu_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	return ret < 0 ? -errno : 0;
}

/*
 * By the places of the devices, not by the numbers of their nodes: a number is free
 * again when the last reference to the one that had it is gone.
 */
static int open_nth(char *path, size_t bytes, int n)
{
	static const char *const nodes[][2] = {
		{ "/sys/bus/pci/drivers/hearth/*/accel/accel*", "/dev/accel/" },
		{ "/sys/bus/pci/drivers/hearth/*/drm/renderD*", "/dev/dri/" },
	};
	int i, fd = -ENOENT;

	for (i = 0; i < 2 && fd < 0; i++) {
		glob_t found;

		if (!glob(nodes[i][0], 0, NULL, &found) && (size_t)n < found.gl_pathc) {
			snprintf(path, bytes, "%s%s", nodes[i][1],
				 strrchr(found.gl_pathv[n], '/') + 1);
			fd = open(path, O_RDWR | O_CLOEXEC);
			fd = fd < 0 ? -errno : fd;
		}
		globfree(&found);
	}
	return fd;
}

int npu_path(char *path, size_t bytes)
{
	int fd = open_nth(path, bytes, 0);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int npu_open(void)
{
	return npu_open_nth(0);
}

int npu_open_nth(int n)
{
	char path[64];

	return open_nth(path, sizeof(path), n);
}

int npu_limits(int fd, struct drm_hearth_limits *limits)
{
	struct drm_hearth_dev_query args = {
		.type = DRM_HEARTH_DEV_QUERY_LIMITS, .size = sizeof(*limits),
		.pointer = NPU_PTR(limits),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_DEV_QUERY, &args);
}

int npu_vm_create(int fd)
{
	struct drm_hearth_vm_create args = { 0 };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_CREATE, &args);

	return ret ? ret : (int)args.vm_id;
}

int npu_vm_destroy(int fd, uint32_t vm)
{
	struct drm_hearth_vm_destroy args = { .vm_id = vm };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_DESTROY, &args);
}

int npu_vm_state(int fd, uint32_t vm)
{
	struct drm_hearth_vm_get_state args = { .vm_id = vm };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_GET_STATE, &args);

	return ret ? ret : (int)args.state;
}

int npu_bo_create(int fd, uint64_t size, uint32_t flags)
{
	struct drm_hearth_bo_create args = { .size = size, .flags = flags };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE, &args);

	return ret ? ret : (int)args.handle;
}

int npu_bo_close(int fd, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	return npu_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &args);
}

int npu_export(int fd, uint32_t handle, uint32_t flags)
{
	struct drm_prime_handle args = { .handle = handle, .flags = flags, .fd = -1 };
	int ret = npu_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

int npu_import(int fd, int dma_buf)
{
	struct drm_prime_handle args = { .fd = dma_buf };
	int ret = npu_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &args);

	return ret ? ret : (int)args.handle;
}

void *npu_bo_map(int fd, uint32_t handle, uint64_t size)
{
	struct drm_hearth_bo_mmap_offset args = { .handle = handle };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &args);

	if (ret) {
		errno = -ret;
		return MAP_FAILED;
	}
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, args.offset);
}

static int bind_one(int fd, uint32_t vm, struct drm_hearth_bind_op *op)
{
	struct drm_hearth_vm_bind args = { .vm_id = vm, .ops = NPU_ARRAY(op, 1) };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_BIND, &args);
}

int npu_map(int fd, uint32_t vm, uint32_t bo, uint64_t offset, uint64_t va, uint64_t size,
	    uint32_t flags)
{
	struct drm_hearth_bind_op op = {
		.op = DRM_HEARTH_BIND_MAP, .flags = flags, .bo_handle = bo,
		.bo_offset = offset, .va = va, .size = size,
	};

	return bind_one(fd, vm, &op);
}

int npu_unmap(int fd, uint32_t vm, uint64_t va, uint64_t size)
{
	struct drm_hearth_bind_op op = {
		.op = DRM_HEARTH_BIND_UNMAP, .va = va, .size = size,
	};

	return bind_one(fd, vm, &op);
}

int npu_queue_create(int fd, uint32_t vm, uint32_t priority)
{
	struct drm_hearth_queue_create args = { .vm_id = vm, .priority = priority };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_CREATE, &args);

	return ret ? ret : (int)args.queue_id;
}

int npu_queue_destroy(int fd, uint32_t queue)
{
	struct drm_hearth_queue_destroy args = { .queue_id = queue };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_DESTROY, &args);
}

int npu_submit(int fd, uint32_t queue, uint64_t stream_va, uint64_t bytes,
	       struct drm_hearth_sync *syncs, uint32_t num_syncs)
{
	struct drm_hearth_job job = {
		.stream_va = stream_va, .stream_bytes = bytes,
		.syncs = NPU_ARRAY(syncs, num_syncs),
	};
	struct drm_hearth_submit args = { .queue_id = queue, .jobs = NPU_ARRAY(&job, 1) };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_SUBMIT, &args);
}

int npu_query_fault(int fd, uint32_t queue, struct drm_hearth_query_fault *fault)
{
	memset(fault, 0, sizeof(*fault));
	fault->queue_id = queue;
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_QUERY_FAULT, fault);
}

int npu_syncobj_create(int fd, bool signaled)
{
	struct drm_syncobj_create args = {
		.flags = signaled ? DRM_SYNCOBJ_CREATE_SIGNALED : 0,
	};
	int ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &args);

	return ret ? ret : (int)args.handle;
}

int npu_syncobj_destroy(int fd, uint32_t handle)
{
	struct drm_syncobj_destroy args = { .handle = handle };

	return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &args);
}

int npu_syncobj_signal(int fd, uint32_t handle, uint64_t point)
{
	struct drm_syncobj_timeline_array args = {
		.handles = NPU_PTR(&handle), .points = NPU_PTR(&point), .count_handles = 1,
	};

	return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL, &args);
}

static int64_t deadline(uint64_t ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * (int64_t)NPU_SECOND + now.tv_nsec + (int64_t)ns;
}

int npu_syncobj_wait(int fd, uint32_t handle, uint64_t point, uint64_t ns)
{
	struct drm_syncobj_timeline_wait args = {
		.handles = NPU_PTR(&handle), .points = NPU_PTR(&point), .count_handles = 1,
		.timeout_nsec = deadline(ns), .flags = DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT,
	};

	return npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &args);
}

/* A sync_file tells the error of a fence; a syncobj does not. */
static int sync_file_status(int sync_fd)
{
	struct {
		char name[32];
		int32_t status;
		uint32_t flags, num_fences, pad;
		uint64_t sync_fence_info;
	} info = { 0 };
	int ret;

	ret = npu_ioctl(sync_fd, _IOWR('>', 4, info), &info);
	if (ret)
		return ret;
	return info.status == 1 ? 0 : info.status ? info.status : -EBUSY;
}

int npu_sync_file_wait(int sync_fd, int ms)
{
	struct pollfd pfd = { .fd = sync_fd, .events = POLLIN };

	return poll(&pfd, 1, ms) == 1 ? sync_file_status(sync_fd) : -ETIME;
}

int npu_syncobj_export(int fd, uint32_t handle)
{
	struct drm_syncobj_handle args = {
		.handle = handle, .flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
		.fd = -1,
	};
	int ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &args);

	return ret ? ret : args.fd;
}

int npu_syncobj_status(int fd, uint32_t handle, uint64_t point)
{
	struct drm_syncobj_transfer transfer = { .src_handle = handle, .src_point = point };
	int binary, sync_fd, ret;

	/* Only a binary syncobj can be exported as a sync_file. */
	binary = npu_syncobj_create(fd, false);
	if (binary < 0)
		return binary;
	transfer.dst_handle = binary;
	ret = npu_ioctl(fd, DRM_IOCTL_SYNCOBJ_TRANSFER, &transfer);
	if (!ret) {
		sync_fd = npu_syncobj_export(fd, binary);
		ret = sync_fd < 0 ? sync_fd : sync_file_status(sync_fd);
		if (sync_fd >= 0)
			close(sync_fd);
	}
	npu_syncobj_destroy(fd, binary);
	return ret;
}

struct drm_hearth_sync npu_wait(uint32_t handle, uint64_t point)
{
	return (struct drm_hearth_sync){
		.handle = handle, .flags = DRM_HEARTH_SYNC_WAIT, .point = point,
	};
}

struct drm_hearth_sync npu_signal(uint32_t handle, uint64_t point)
{
	return (struct drm_hearth_sync){
		.handle = handle, .flags = DRM_HEARTH_SYNC_SIGNAL, .point = point,
	};
}

size_t npu_cmd_nop(void *p)
{
	struct hearth_cmd_header cmd = { .op = HEARTH_OP_NOP, .bytes = sizeof(cmd) };

	memcpy(p, &cmd, sizeof(cmd));
	return sizeof(cmd);
}

size_t npu_cmd_copy(void *p, uint64_t dst, uint64_t src, uint32_t bytes)
{
	struct hearth_cmd_copy_2d cmd = {
		.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(cmd) },
		.src = src, .dst = dst, .src_stride = bytes, .dst_stride = bytes,
		.row_bytes = bytes, .rows = 1,
	};

	memcpy(p, &cmd, sizeof(cmd));
	return sizeof(cmd);
}

static int ctx_objects(struct npu_ctx *ctx, uint32_t priority)
{
	int ret;

	ret = npu_vm_create(ctx->fd);
	if (ret < 0)
		return ret;
	ctx->vm = ret;
	ret = npu_bo_create(ctx->fd, NPU_STREAM_BYTES, 0);
	if (ret < 0)
		return ret;
	ctx->bo = ret;
	ret = npu_syncobj_create(ctx->fd, false);
	if (ret < 0)
		return ret;
	ctx->syncobj = ret;
	ret = npu_queue_create(ctx->fd, ctx->vm, priority);
	if (ret < 0)
		return ret;
	ctx->queue = ret;
	return 0;
}

int npu_ctx_init(struct npu_ctx *ctx, int fd, uint32_t priority)
{
	int ret;

	memset(ctx, 0, sizeof(*ctx));
	ctx->fd = fd;
	ctx->stream_va = NPU_STREAM_VA;
	ctx->stream_bytes = NPU_STREAM_BYTES;
	ret = ctx_objects(ctx, priority);
	if (!ret)
		ret = npu_map(fd, ctx->vm, ctx->bo, 0, ctx->stream_va, ctx->stream_bytes, 0);
	if (!ret) {
		ctx->stream = npu_bo_map(fd, ctx->bo, ctx->stream_bytes);
		if (ctx->stream == MAP_FAILED) {
			ctx->stream = NULL;
			ret = -errno;
		}
	}
	if (ret)
		npu_ctx_fini(ctx);
	return ret;
}

void npu_ctx_fini(struct npu_ctx *ctx)
{
	if (ctx->stream)
		munmap(ctx->stream, ctx->stream_bytes);
	if (ctx->queue)
		npu_queue_destroy(ctx->fd, ctx->queue);
	if (ctx->syncobj)
		npu_syncobj_destroy(ctx->fd, ctx->syncobj);
	if (ctx->bo)
		npu_bo_close(ctx->fd, ctx->bo);
	if (ctx->vm)
		npu_vm_destroy(ctx->fd, ctx->vm);
	memset(ctx, 0, sizeof(*ctx));
}

int npu_ctx_run(struct npu_ctx *ctx, size_t bytes, uint64_t timeout_ns)
{
	struct drm_hearth_sync sync = npu_signal(ctx->syncobj, 0);
	int ret;

	ret = npu_submit(ctx->fd, ctx->queue, ctx->stream_va, bytes, &sync, 1);
	if (!ret)
		ret = npu_syncobj_wait(ctx->fd, ctx->syncobj, 0, timeout_ns);
	return ret ? ret : npu_syncobj_status(ctx->fd, ctx->syncobj, 0);
}

/* Sends a line and reads the answer up to its newline. */
static int port_talk(const char *port, const char *line, char *answer, size_t bytes)
{
	size_t n = 0;
	ssize_t got;
	int fd;

	fd = open(port, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -EOPNOTSUPP;
	if (dprintf(fd, "%s\n", line) < 0) {
		close(fd);
		return -EIO;
	}
	while (n + 1 < bytes) {
		got = read(fd, answer + n, 1);
		if (got <= 0 || answer[n] == '\n')
			break;
		n++;
	}
	answer[n] = 0;
	close(fd);
	return strncmp(answer, "ok", 2) ? -EIO : 0;
}

int npu_ctl(const char *command, char *answer, size_t bytes)
{
	return port_talk(CTL_PORT, command, answer, bytes);
}

int npu_inject(const char *what)
{
	char line[128], answer[512];

	snprintf(line, sizeof(line), "inject %s", what);
	return npu_ctl(line, answer, sizeof(answer));
}

int npu_host(const char *wish)
{
	char answer[512];

	return port_talk(HOST_PORT, wish, answer, sizeof(answer));
}

/* The number behind the first "KEY" that is followed by blanks or a colon. */
int64_t npu_number(const char *path, const char *key)
{
	size_t length = strlen(key);
	int64_t value = -ENOENT;
	char line[512], *at;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (value == -ENOENT && fgets(line, sizeof(line), f)) {
		at = strstr(line, key);
		if (!at || !strchr(": \t", at[length]))
			continue;
		value = strtoll(at + length + strspn(at + length, ": \t"), NULL, 0);
		if (strstr(at, " KiB") || strstr(at, " kB"))
			value *= 1024;
		else if (strstr(at, " MiB"))
			value *= 1024 * 1024;
	}
	fclose(f);
	return value;
}

int64_t npu_fdinfo(int fd, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return npu_number(path, key);
}

/* The directory is named by the device or by the minor, as the kernel likes. */
int64_t npu_debugfs(const char *file, const char *key)
{
	static const char *const roots[] = { "accel", "dri" };
	int64_t value = -ENOENT;
	char pattern[128];
	glob_t found;
	int i;

	for (i = 0; i < 2 && value == -ENOENT; i++) {
		snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/%s/*/%s", roots[i], file);
		if (!glob(pattern, 0, NULL, &found))
			value = npu_number(found.gl_pathv[0], key);
		globfree(&found);
	}
	return value;
}

int64_t npu_debugfs_until(const char *file, const char *key, int64_t value)
{
	const struct timespec step = { .tv_nsec = 10000000 };
	int64_t seen = npu_debugfs(file, key);
	int i;

	for (i = 0; i < 1000 && seen >= 0 && seen != value; i++) {
		nanosleep(&step, NULL);
		seen = npu_debugfs(file, key);
	}
	return seen;
}
