// SPDX-License-Identifier: MIT
/*
 * The NPU as a device: one address space per open, buffers bound when they
 * are made, one timeline syncobj per queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drm/hearth_accel.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/npu.h"
#include "runtime/npu_node.h"

/* Largest single read: keeps a long load interruptible. */
#define READ_CHUNK	(8u << 20)

int hearth_npu_ioctl(struct hearth_device *dev, unsigned long req, void *arg,
		     const char *what)
{
	if (!drmIoctl(dev->fd, req, arg))
		return 0;
	return hearth_seterr(-errno, "%s: %s: %s", dev->path, what,
			     strerror(errno));
}

int hearth_npu_query(struct hearth_device *dev, uint32_t type, void *p, size_t size)
{
	struct drm_hearth_dev_query q = {
		.type = type,
		.size = size,
		.pointer = (uintptr_t)p,
	};

	return hearth_npu_ioctl(dev, DRM_IOCTL_HEARTH_DEV_QUERY, &q, "query");
}

static int read_info(struct hearth_device *dev)
{
	struct drm_hearth_npu_info npu = { 0 };
	struct drm_hearth_limits limits = { 0 };
	int ret = hearth_npu_query(dev, DRM_HEARTH_DEV_QUERY_NPU_INFO, &npu, sizeof(npu));

	if (!ret)
		ret = hearth_npu_query(dev, DRM_HEARTH_DEV_QUERY_LIMITS, &limits,
			    sizeof(limits));
	if (ret)
		return ret;
	dev->info.ops = npu.ops;
	dev->info.types = npu.types;
	dev->info.sram_bytes = npu.sram_bytes;
	dev->info.fw_version = npu.fw_version;
	dev->info.extent_bytes = limits.extent_bytes;
	dev->info.max_models = limits.max_models;
	dev->table.va_end = limits.va_end;
	return 0;
}

int hearth_npu_open(struct hearth_device *dev, const char *path)
{
	struct drm_hearth_vm_create vm = { 0 };
	int ret = hearth_npu_node_open(path, dev->path, sizeof(dev->path));

	if (ret < 0)
		return ret;
	dev->fd = ret;
	ret = read_info(dev);
	if (!ret)
		ret = hearth_npu_ioctl(dev, DRM_IOCTL_HEARTH_VM_CREATE, &vm,
				"create address space");
	if (ret) {
		close(dev->fd);
		dev->fd = -1;
		return ret;
	}
	dev->vm_id = vm.vm_id;
	dev->backend = &hearth_backend_npu;
	dev->info.path = dev->path;
	return 0;
}

/* Closing the node frees the address space and whatever was left in it. */
static void npu_close(struct hearth_device *dev)
{
	close(dev->fd);
}

/* ---- buffers ---- */

static int map_handle(struct hearth_buffer *buf)
{
	struct drm_hearth_bo_mmap_offset arg = { .handle = buf->handle };
	int ret = hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &arg,
			    "map buffer");
	void *p;

	if (ret)
		return ret;
	p = mmap(NULL, buf->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		 buf->dev->fd, arg.offset);
	if (p == MAP_FAILED)
		return hearth_seterr(-errno, "cannot map %llu bytes: %s",
				     (unsigned long long)buf->bytes,
				     strerror(errno));
	buf->ptr = p;
	return 0;
}

static void close_handle(struct hearth_buffer *buf)
{
	struct drm_gem_close arg = { .handle = buf->handle };

	drmIoctl(buf->dev->fd, DRM_IOCTL_GEM_CLOSE, &arg);
}

static int resize(struct hearth_buffer *buf, uint64_t bytes)
{
	struct drm_hearth_bo_resize arg = { .handle = buf->handle, .size = bytes };

	return hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_BO_RESIZE, &arg, "resize buffer");
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* -EINVAL of a driver that has buffers of files, but none of states. */
static int create_state(struct hearth_buffer *buf)
{
	struct drm_hearth_bo_create arg = {
		.size = round_up(buf->bytes, buf->dev->info.extent_bytes),
		.flags = DRM_HEARTH_BO_STATE,
	};
	int ret = hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_BO_CREATE, &arg, "create state");

	if (ret)
		return ret;
	buf->handle = arg.handle;
	ret = resize(buf, buf->bytes);
	if (ret) {
		close_handle(buf);
		return ret;
	}
	buf->span = arg.size;
	buf->kept = true;
	return 0;
}

static int create_plain(struct hearth_buffer *buf)
{
	struct drm_hearth_bo_create arg = { .size = buf->bytes };
	int ret = hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_BO_CREATE, &arg,
				   "create buffer");

	buf->handle = arg.handle;
	return ret;
}

static int npu_buffer_create(struct hearth_buffer *buf)
{
	int ret = -EINVAL;

	if (buf->state && buf->dev->info.extent_bytes)
		ret = create_state(buf);
	/* without the driver's help it is a buffer like others */
	if (ret == -EINVAL)
		ret = create_plain(buf);
	if (ret)
		return ret;
	ret = map_handle(buf);
	if (ret)
		close_handle(buf);
	return ret;
}

static void npu_buffer_destroy(struct hearth_buffer *buf)
{
	munmap((char *)buf->ptr - buf->lead, buf->lead + buf->bytes);
	close_handle(buf);
}

/* The file may end inside of the last page; the rest of it stays zero. */
static int read_file(struct hearth_buffer *buf, int fd, uint64_t offset)
{
	uint64_t at = 0;

	while (at < buf->bytes) {
		uint64_t left = buf->bytes - at;
		ssize_t n = pread(fd, (char *)buf->ptr + at,
				  left < READ_CHUNK ? left : READ_CHUNK,
				  offset + at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hearth_seterr(-errno, "read at %llu: %s",
					     (unsigned long long)(offset + at),
					     strerror(errno));
		if (!n)
			break;
		at += n;
	}
	return 0;
}

static int copy_file(struct hearth_buffer *buf, int fd, uint64_t offset)
{
	int ret = npu_buffer_create(buf);

	if (ret)
		return ret;
	ret = read_file(buf, fd, offset);
	if (ret)
		npu_buffer_destroy(buf);
	else
		mprotect(buf->ptr, buf->bytes, PROT_READ);
	return ret;
}

/*
 * The file's own pages, for the device in whole extents. The CPU sees them by
 * a mapping of the file, for ops that the device lacks.
 */
static int share_file(struct hearth_buffer *buf, int fd, uint64_t offset)
{
	uint64_t extent = buf->dev->info.extent_bytes;
	uint64_t lead = offset % extent, bytes = lead + buf->bytes;
	struct drm_hearth_bo_create_file arg = {
		.offset = offset - lead,
		.size = round_up(bytes, extent),
		.fd = fd,
	};
	char *p;

	if (drmIoctl(buf->dev->fd, DRM_IOCTL_HEARTH_BO_CREATE_FILE, &arg))
		return -errno;
	buf->handle = arg.handle;
	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, arg.offset);
	if (p == MAP_FAILED) {
		int ret = hearth_seterr(-errno, "cannot map %llu bytes of the file: %s",
					(unsigned long long)bytes, strerror(errno));

		close_handle(buf);
		return ret;
	}
	buf->ptr = p + lead;
	buf->lead = lead;
	buf->span = arg.size;
	return 0;
}

static int share_error(struct hearth_buffer *buf, int ret)
{
	if (ret == -ETXTBSY)
		return hearth_seterr(ret,
				     "the weights file is open for writing: wait until whoever writes it is done");
	return hearth_seterr(ret, "%s: buffer from a file: %s", buf->dev->path,
			     strerror(-ret));
}

static int npu_buffer_from_file(struct hearth_buffer *buf, int fd,
				uint64_t offset)
{
	int ret = -EOPNOTSUPP;

	if (buf->dev->info.extent_bytes)
		ret = share_file(buf, fd, offset);
	if (!ret)
		return 0;
	if (ret != -EOPNOTSUPP && ret != -ENOTTY)
		return share_error(buf, ret);
	/* a copy does not care what becomes of the file */
	close(buf->file_fd);
	buf->file_fd = -1;
	return copy_file(buf, fd, offset);
}

static int npu_buffer_import(struct hearth_buffer *buf, int dmabuf_fd)
{
	int ret;

	if (drmPrimeFDToHandle(buf->dev->fd, dmabuf_fd, &buf->handle))
		return hearth_seterr(-errno, "import dma-buf: %s",
				     strerror(errno));
	ret = map_handle(buf);
	if (ret)
		close_handle(buf);
	return ret;
}

static int npu_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd)
{
	if (drmPrimeHandleToFD(buf->dev->fd, buf->handle, DRM_CLOEXEC | DRM_RDWR,
			       dmabuf_fd))
		return hearth_seterr(-errno, "export dma-buf: %s",
				     strerror(errno));
	return 0;
}

static int bind(struct hearth_buffer *buf, struct drm_hearth_bind_op *op,
		const char *what)
{
	struct drm_hearth_vm_bind arg = {
		.vm_id = buf->dev->vm_id,
		.ops = {
			.stride = sizeof(*op),
			.count = 1,
			.array = (uintptr_t)op,
		},
	};

	op->va = buf->va - buf->lead;
	op->size = buf->span ? buf->span : buf->bytes;
	op->syncs.stride = sizeof(struct drm_hearth_sync);
	return hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_VM_BIND, &arg, what);
}

static int npu_buffer_bind(struct hearth_buffer *buf)
{
	struct drm_hearth_bind_op op = {
		.op = DRM_HEARTH_BIND_MAP,
		.flags = buf->readonly ? DRM_HEARTH_BIND_READONLY : 0,
		.bo_handle = buf->handle,
	};

	return bind(buf, &op, "bind buffer");
}

static void npu_buffer_unbind(struct hearth_buffer *buf)
{
	struct drm_hearth_bind_op op = { .op = DRM_HEARTH_BIND_UNMAP };

	bind(buf, &op, "unbind buffer");
}

static int npu_buffer_resize(struct hearth_buffer *buf, uint64_t bytes)
{
	return buf->kept ? resize(buf, bytes) : 0;
}

static int npu_buffer_advise(struct hearth_buffer *buf, bool needed, bool *retained)
{
	struct drm_hearth_bo_advise arg = {
		.handle = buf->handle,
		.advice = needed ? DRM_HEARTH_BO_WILLNEED : DRM_HEARTH_BO_DONTNEED,
		.retained = 0,
	};
	int ret;

	if (!buf->kept)
		return 0;
	ret = hearth_npu_ioctl(buf->dev, DRM_IOCTL_HEARTH_BO_ADVISE, &arg, "advise buffer");
	if (!ret)
		*retained = arg.retained;
	return ret;
}

/* ---- queues ---- */

static uint32_t drm_priority(enum hearth_priority p)
{
	return p == HEARTH_PRIORITY_DEFAULT ? DRM_HEARTH_QUEUE_NORMAL : p - 1;
}

static int npu_queue_create(struct hearth_queue *q,
			    const struct hearth_queue_opts *opts)
{
	struct drm_hearth_queue_create arg = {
		.vm_id = q->dev->vm_id,
		.priority = drm_priority(opts->priority),
		.progress_timeout_ns = opts->progress_timeout_ns,
		.job_timeout_ns = opts->job_timeout_ns,
	};
	int fd = q->dev->fd, ret;

	if (drmSyncobjCreate(fd, 0, &q->timeline))
		return hearth_seterr(-errno, "create syncobj: %s", strerror(errno));
	if (drmSyncobjCreate(fd, 0, &q->fence)) {
		ret = hearth_seterr(-errno, "create syncobj: %s", strerror(errno));
		goto err_timeline;
	}
	ret = hearth_npu_ioctl(q->dev, DRM_IOCTL_HEARTH_QUEUE_CREATE, &arg,
			"create queue");
	if (ret)
		goto err_fence;
	q->id = arg.queue_id;
	return 0;

err_fence:
	drmSyncobjDestroy(fd, q->fence);
err_timeline:
	drmSyncobjDestroy(fd, q->timeline);
	return ret;
}

static void npu_queue_destroy(struct hearth_queue *q)
{
	struct drm_hearth_queue_destroy arg = { .queue_id = q->id };

	drmIoctl(q->dev->fd, DRM_IOCTL_HEARTH_QUEUE_DESTROY, &arg);
	drmSyncobjDestroy(q->dev->fd, q->fence);
	drmSyncobjDestroy(q->dev->fd, q->timeline);
}

static int submit_job(struct hearth_queue *q, uint64_t va, uint64_t bytes,
		      bool wait)
{
	struct drm_hearth_sync syncs[2] = {
		{
			.handle = q->timeline,
			.flags = DRM_HEARTH_SYNC_SIGNAL,
			.point = q->submitted + 1,
		}, {
			.handle = q->fence,
			.flags = DRM_HEARTH_SYNC_WAIT,
		},
	};
	struct drm_hearth_job job = {
		.stream_va = va,
		.stream_bytes = bytes,
		.syncs = {
			.stride = sizeof(*syncs),
			.count = wait ? 2 : 1,
			.array = (uintptr_t)syncs,
		},
	};
	struct drm_hearth_submit arg = {
		.queue_id = q->id,
		.jobs = {
			.stride = sizeof(job),
			.count = 1,
			.array = (uintptr_t)&job,
		},
	};
	int ret = hearth_npu_ioctl(q->dev, DRM_IOCTL_HEARTH_SUBMIT, &arg, "submit");

	if (!ret) {
		q->submitted++;
		q->last_va = va;
		q->last_bytes = bytes;
	}
	return ret;
}

/* The queue's last point as a sync_file of its own. */
static int export_fence(struct hearth_queue *q, int *fence_fd)
{
	int fd = q->dev->fd;

	if (drmSyncobjTransfer(fd, q->fence, 0, q->timeline, q->submitted, 0) ||
	    drmSyncobjExportSyncFile(fd, q->fence, fence_fd))
		return hearth_seterr(-errno, "export fence: %s", strerror(errno));
	return 0;
}

static int npu_submit(struct hearth_queue *q, uint64_t va, uint64_t bytes,
		      const struct hearth_submit_opts *opts)
{
	int ret;

	if (opts->has_wait_fd &&
	    drmSyncobjImportSyncFile(q->dev->fd, q->fence, opts->wait_fd))
		return hearth_seterr(-errno, "import fence: %s", strerror(errno));
	ret = submit_job(q, va, bytes, opts->has_wait_fd);
	if (!ret && opts->signal_fd)
		ret = export_fence(q, opts->signal_fd);
	return ret;
}

static void describe_restore(char *buf, size_t size, unsigned int error)
{
	const char *why = error == EDQUOT ? "the budget has no room for them" :
			  error == ENOMEM ? "there is no memory for them" :
			  strerror(error);

	snprintf(buf, size, "npu: weights could not be brought into memory: %s", why);
}

static void describe(char *buf, size_t size,
		     const struct drm_hearth_query_fault *f)
{
	static const uint32_t hw_error[] = {
		[DRM_HEARTH_FAULT_MMU_READ] = HEARTH_HW_ERR_READ,
		[DRM_HEARTH_FAULT_MMU_WRITE] = HEARTH_HW_ERR_WRITE,
		[DRM_HEARTH_FAULT_BUS] = HEARTH_HW_ERR_BUS,
		[DRM_HEARTH_FAULT_OPCODE] = HEARTH_HW_ERR_OPCODE,
		[DRM_HEARTH_FAULT_OPERAND] = HEARTH_HW_ERR_OPERAND,
	};
	const char *op = hk_op_name(f->opcode);
	struct hk_fault fault = {
		.op_index = f->op_index,
		.opcode = f->opcode,
		.addr = f->address,
	};

	switch (f->cause) {
	case DRM_HEARTH_FAULT_MMU_READ ... DRM_HEARTH_FAULT_OPERAND:
		fault.error = hw_error[f->cause];
		hearth_fault_describe(buf, size, "npu", &fault);
		break;
	case DRM_HEARTH_FAULT_TIMEOUT:
		snprintf(buf, size, "npu: command %u (%s) hangs or takes too long",
			 f->op_index, op ? op : "unknown");
		break;
	case DRM_HEARTH_FAULT_FIRMWARE:
		snprintf(buf, size, "npu: the firmware died; the device was reset");
		break;
	case DRM_HEARTH_FAULT_GONE:
		snprintf(buf, size, "npu: the device was removed");
		break;
	case DRM_HEARTH_FAULT_STALE:
		snprintf(buf, size, "npu: the weights file was changed after it was opened: open it anew");
		break;
	case DRM_HEARTH_FAULT_RESTORE:
		describe_restore(buf, size, f->error);
		break;
	default:
		snprintf(buf, size, "npu: job %llu was cancelled",
			 (unsigned long long)f->job);
	}
}

/*
 * Of a command that never ended the device tells only the index. The stream of
 * the last job is at hand: what is at that index in it?
 */
static void find_opcode(struct hearth_queue *q, struct drm_hearth_query_fault *f)
{
	const char *stream = hearth_table_find(&q->dev->table, q->last_va,
					       q->last_bytes, HK_READ);
	uint64_t at = 0;

	if (f->opcode != ~0u || f->cause != DRM_HEARTH_FAULT_TIMEOUT ||
	    f->job + 1 != q->submitted || !stream)
		return;
	for (uint32_t i = 0; ; i++) {
		struct hearth_cmd_header cmd;

		if (q->last_bytes - at < sizeof(cmd))
			return;
		memcpy(&cmd, stream + at, sizeof(cmd));
		if (i == f->op_index) {
			f->opcode = cmd.op;
			return;
		}
		if (cmd.bytes < sizeof(cmd) || cmd.bytes > q->last_bytes - at)
			return;
		at += cmd.bytes;
	}
}

/* A syncobj wait does not tell whether the work failed: the queue does. */
static int check_fault(struct hearth_queue *q)
{
	struct drm_hearth_query_fault f = { .queue_id = q->id };
	char msg[256];
	int ret = hearth_npu_ioctl(q->dev, DRM_IOCTL_HEARTH_QUERY_FAULT, &f,
			    "query fault");

	if (ret || !f.error)
		return ret;
	find_opcode(q, &f);
	describe(msg, sizeof(msg), &f);
	return hearth_seterr(-(int)f.error, "%s%s", msg,
			     f.flags & DRM_HEARTH_FAULT_INNOCENT ?
			     " (another queue was the cause)" : "");
}

/* Relative to absolute CLOCK_MONOTONIC, saturating. */
static int64_t deadline(uint64_t timeout_ns)
{
	struct timespec ts;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec * 1000000000ll + ts.tv_nsec;
	return timeout_ns > (uint64_t)(INT64_MAX - now) ?
		INT64_MAX : now + (int64_t)timeout_ns;
}

static int npu_wait(struct hearth_queue *q, uint64_t timeout_ns)
{
	int ret;

	if (!q->submitted)
		return 0;
	ret = drmSyncobjTimelineWait(q->dev->fd, &q->timeline, &q->submitted, 1,
				     deadline(timeout_ns), 0, NULL);
	if (ret == -ETIME)
		return hearth_seterr(ret, "npu: not finished after %llu ms",
				     (unsigned long long)timeout_ns / 1000000);
	if (ret)
		return hearth_seterr(ret, "%s: wait: %s", q->dev->path,
				     strerror(-ret));
	return check_fault(q);
}

const struct hearth_backend hearth_backend_npu = {
	.name = "npu",
	.close = npu_close,
	.buffer_create = npu_buffer_create,
	.buffer_from_file = npu_buffer_from_file,
	.buffer_import = npu_buffer_import,
	.buffer_export = npu_buffer_export,
	.buffer_bind = npu_buffer_bind,
	.buffer_unbind = npu_buffer_unbind,
	.buffer_destroy = npu_buffer_destroy,
	.buffer_resize = npu_buffer_resize,
	.buffer_advise = npu_buffer_advise,
	.queue_create = npu_queue_create,
	.queue_destroy = npu_queue_destroy,
	.submit = npu_submit,
	.wait = npu_wait,
	.models = &hearth_models_npu,
};
