// SPDX-License-Identifier: MIT
/*
 * Buffers of the NPU: memory of the driver's, of a file, of a state. Each is
 * bound when it is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drm/hearth_accel.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/npu.h"

/* Largest single read: keeps a long load interruptible. */
#define READ_CHUNK	(8u << 20)

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

/*
 * -EINVAL of a driver that has buffers of files, but none of states,
 * -EOPNOTSUPP of one that has none on this device.
 */
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
	ret = resize(buf, buf->used);
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

int hearth_npu_buffer_create(struct hearth_buffer *buf)
{
	int ret = -EINVAL;

	if (buf->state && buf->dev->info.extent_bytes)
		ret = create_state(buf);
	/* without the driver's help it is a buffer like others */
	if (ret == -EINVAL || ret == -EOPNOTSUPP)
		ret = create_plain(buf);
	if (ret)
		return ret;
	ret = map_handle(buf);
	if (ret)
		close_handle(buf);
	return ret;
}

void hearth_npu_buffer_destroy(struct hearth_buffer *buf)
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
	int ret = hearth_npu_buffer_create(buf);

	if (ret)
		return ret;
	ret = read_file(buf, fd, offset);
	if (ret)
		hearth_npu_buffer_destroy(buf);
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

int hearth_npu_buffer_from_file(struct hearth_buffer *buf, int fd,
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

int hearth_npu_buffer_import(struct hearth_buffer *buf, int dmabuf_fd)
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

int hearth_npu_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd)
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

int hearth_npu_buffer_bind(struct hearth_buffer *buf)
{
	struct drm_hearth_bind_op op = {
		.op = DRM_HEARTH_BIND_MAP,
		.flags = buf->readonly ? DRM_HEARTH_BIND_READONLY : 0,
		.bo_handle = buf->handle,
	};

	return bind(buf, &op, "bind buffer");
}

void hearth_npu_buffer_unbind(struct hearth_buffer *buf)
{
	struct drm_hearth_bind_op op = { .op = DRM_HEARTH_BIND_UNMAP };

	bind(buf, &op, "unbind buffer");
}

int hearth_npu_buffer_resize(struct hearth_buffer *buf, uint64_t bytes)
{
	return buf->kept ? resize(buf, bytes) : 0;
}

int hearth_npu_buffer_advise(struct hearth_buffer *buf, bool needed, bool *retained)
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
