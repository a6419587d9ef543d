// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/opts.h"

static uint64_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

static int buffer_alloc(struct hearth_device *dev, uint64_t bytes,
			const struct hearth_buffer_opts *opts,
			struct hearth_buffer **out)
{
	HEARTH_OPTS_LOCAL(hearth_buffer_opts, o, opts, ret);
	uint64_t page = page_size();
	struct hearth_buffer *buf;

	if (ret)
		return ret;
	if (!bytes || bytes > dev->table.va_end)
		return hearth_seterr(-EINVAL,
				     "buffer of %llu bytes: 1 to %llu are possible",
				     (unsigned long long)bytes,
				     (unsigned long long)dev->table.va_end);
	if (o.flags & ~(uint32_t)(HEARTH_BUFFER_READONLY | HEARTH_BUFFER_STATE))
		return hearth_seterr(-EINVAL, "unknown buffer flags %#x",
				     o.flags);
	if (o.used > bytes || (o.used && !(o.flags & HEARTH_BUFFER_STATE)))
		return hearth_seterr(-EINVAL, "%llu bytes in use, of a %s of %llu",
				     (unsigned long long)o.used,
				     o.flags & HEARTH_BUFFER_STATE ? "state" : "buffer",
				     (unsigned long long)bytes);
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		return hearth_seterr(-ENOMEM, "no memory for a buffer");
	buf->dev = dev;
	buf->file_fd = -1;
	buf->bytes = (bytes + page - 1) & ~(page - 1);
	buf->used = o.used ? (o.used + page - 1) & ~(page - 1) : buf->bytes;
	buf->readonly = o.flags & HEARTH_BUFFER_READONLY;
	buf->state = o.flags & HEARTH_BUFFER_STATE;
	*out = buf;
	return 0;
}

static void buffer_free(struct hearth_buffer *buf)
{
	if (buf->file_fd >= 0)
		close(buf->file_fd);
	free(buf);
}

/* The memory is there: give it an address on the device. */
static int buffer_publish(struct hearth_buffer *buf)
{
	struct hearth_device *dev = buf->dev;
	struct hearth_range r = {
		.bytes = buf->lead + buf->used,
		.span = buf->span ? buf->span : buf->lead + buf->bytes,
		.ptr = (unsigned char *)buf->ptr - buf->lead,
		/* what the CPU executes obeys the device's rights */
		.writable = !buf->readonly && !buf->sealed,
	};
	int ret = hearth_table_add(&dev->table, &r);

	if (ret)
		return hearth_seterr(ret, "no device address for %llu bytes",
				     (unsigned long long)buf->bytes);
	buf->va = r.va + buf->lead;
	ret = dev->backend->buffer_bind(buf);
	if (ret)
		hearth_table_remove(&dev->table, r.va);
	return ret;
}

/* After the backend's half: publish, or undo everything. */
static int buffer_finish(struct hearth_buffer *buf, int ret,
			 struct hearth_buffer **out)
{
	if (ret)
		goto err_free;
	ret = buffer_publish(buf);
	if (ret)
		goto err_destroy;
	*out = buf;
	return 0;

err_destroy:
	buf->dev->backend->buffer_destroy(buf);
err_free:
	buffer_free(buf);
	return ret;
}

int hearth_buffer_create(struct hearth_device *dev, uint64_t bytes,
			 const struct hearth_buffer_opts *opts,
			 struct hearth_buffer **out)
{
	struct hearth_buffer *buf;
	int ret = buffer_alloc(dev, bytes, opts, &buf);

	if (ret)
		return ret;
	return buffer_finish(buf, dev->backend->buffer_create(buf), out);
}

static int check_range(int fd, uint64_t offset, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return hearth_seterr(-errno, "fstat: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return hearth_seterr(-EINVAL, "weights must be a regular file");
	if (offset & (page_size() - 1))
		return hearth_seterr(-EINVAL,
				     "file offset %llu is not a multiple of %llu",
				     (unsigned long long)offset,
				     (unsigned long long)page_size());
	if (offset > (uint64_t)st.st_size ||
	    bytes > (uint64_t)st.st_size - offset)
		return hearth_seterr(-EINVAL,
				     "%llu bytes at %llu exceed the file's %lld",
				     (unsigned long long)bytes,
				     (unsigned long long)offset,
				     (long long)st.st_size);
	return 0;
}

/* Before the backend reads or maps: what changes later is seen. */
static int keep_file(struct hearth_buffer *buf, int fd)
{
	buf->file_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (buf->file_fd < 0)
		return hearth_seterr(-errno, "weights file: %s", strerror(errno));
	return hearth_stamp_take(fd, &buf->stamp);
}

int hearth_buffer_from_file(struct hearth_device *dev, int file_fd,
			    uint64_t offset, uint64_t bytes,
			    const struct hearth_buffer_opts *opts,
			    struct hearth_buffer **out)
{
	struct hearth_buffer *buf;
	int ret = check_range(file_fd, offset, bytes);

	if (!ret)
		ret = buffer_alloc(dev, bytes, opts, &buf);
	if (ret)
		return ret;
	buf->readonly = true;
	buf->sealed = true;
	ret = keep_file(buf, file_fd);
	if (!ret)
		ret = dev->backend->buffer_from_file(buf, file_fd, offset);
	return buffer_finish(buf, ret, out);
}

bool hearth_buffer_is_shared(const struct hearth_buffer *buf)
{
	return buf->file_fd >= 0;
}

int hearth_buffer_check_file(const struct hearth_buffer *buf)
{
	return buf->file_fd < 0 ? 0 : hearth_stamp_check(buf->file_fd, &buf->stamp);
}

int hearth_buffer_import(struct hearth_device *dev, int dmabuf_fd,
			 const struct hearth_buffer_opts *opts,
			 struct hearth_buffer **out)
{
	off_t bytes = lseek(dmabuf_fd, 0, SEEK_END);
	struct hearth_buffer *buf;
	int ret;

	if (bytes < 0)
		return hearth_seterr(-errno, "not a dma-buf: %s",
				     strerror(errno));
	ret = buffer_alloc(dev, bytes, opts, &buf);
	if (ret)
		return ret;
	return buffer_finish(buf, dev->backend->buffer_import(buf, dmabuf_fd),
			     out);
}

int hearth_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd)
{
	return buf->dev->backend->buffer_export(buf, dmabuf_fd);
}

void hearth_buffer_destroy(struct hearth_buffer *buf)
{
	if (!buf)
		return;
	buf->dev->backend->buffer_unbind(buf);
	hearth_table_remove(&buf->dev->table, buf->va - buf->lead);
	buf->dev->backend->buffer_destroy(buf);
	buffer_free(buf);
}

void *hearth_buffer_data(const struct hearth_buffer *buf)
{
	return buf->ptr;
}

uint64_t hearth_buffer_bytes(const struct hearth_buffer *buf)
{
	return buf->bytes;
}

uint64_t hearth_buffer_address(const struct hearth_buffer *buf)
{
	return buf->va;
}

static int check_state(const struct hearth_buffer *buf)
{
	return buf->state ? 0 :
		hearth_seterr(-EINVAL, "the buffer was not made with HEARTH_BUFFER_STATE");
}

int hearth_buffer_resize(struct hearth_buffer *buf, uint64_t bytes)
{
	uint64_t page = page_size();
	int ret = check_state(buf);

	if (ret)
		return ret;
	if (bytes > buf->bytes)
		return hearth_seterr(-EINVAL,
				     "state of %llu bytes: the buffer was made for %llu",
				     (unsigned long long)bytes,
				     (unsigned long long)buf->bytes);
	bytes = (bytes + page - 1) & ~(page - 1);
	ret = buf->dev->backend->buffer_resize(buf, bytes);
	if (ret)
		return ret;
	buf->used = bytes;
	/* for the CPU as well what is beyond is a fault */
	hearth_table_resize(&buf->dev->table, buf->va - buf->lead, buf->lead + bytes);
	return 0;
}

int hearth_buffer_advise(struct hearth_buffer *buf, bool needed, bool *retained)
{
	bool all = true;
	int ret = check_state(buf);

	if (!ret)
		ret = buf->dev->backend->buffer_advise(buf, needed, &all);
	if (!ret && retained)
		*retained = all;
	return ret;
}
