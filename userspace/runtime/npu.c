// SPDX-License-Identifier: MIT
/*
 * The NPU as a device: one address space per open, one timeline syncobj per
 * queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drm/hearth_accel.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/npu.h"
#include "runtime/npu_node.h"

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
	.buffer_create = hearth_npu_buffer_create,
	.buffer_from_file = hearth_npu_buffer_from_file,
	.buffer_import = hearth_npu_buffer_import,
	.buffer_export = hearth_npu_buffer_export,
	.buffer_bind = hearth_npu_buffer_bind,
	.buffer_unbind = hearth_npu_buffer_unbind,
	.buffer_destroy = hearth_npu_buffer_destroy,
	.buffer_resize = hearth_npu_buffer_resize,
	.buffer_advise = hearth_npu_buffer_advise,
	.queue_create = npu_queue_create,
	.queue_destroy = npu_queue_destroy,
	.submit = npu_submit,
	.wait = npu_wait,
	.models = &hearth_models_npu,
};
