// SPDX-License-Identifier: MIT
/*
 * The CPU as a device: buffers are memory of the process, a submit executes
 * the stream before it returns.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"

static void cpu_close(struct hearth_device *dev)
{
}

static int cpu_map(struct hearth_buffer *buf, int prot, int flags, int fd,
		   uint64_t offset)
{
	void *p = mmap(NULL, buf->bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return hearth_seterr(-errno, "cannot map %llu bytes: %s",
				     (unsigned long long)buf->bytes,
				     strerror(errno));
	buf->ptr = p;
	return 0;
}

static int cannot_grow(uint64_t bytes)
{
	return hearth_seterr(-errno, "no memory for a state of %llu bytes: %s",
			     (unsigned long long)bytes, strerror(errno));
}

/*
 * Addresses for all of a state, memory for what is in use: the kernel counts what may
 * be written when it is made so, and refuses it then rather than at a page fault.
 */
static int create_state(struct hearth_buffer *buf)
{
	int ret = cpu_map(buf, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ret || !mprotect(buf->ptr, buf->used, PROT_READ | PROT_WRITE))
		return ret;
	ret = cannot_grow(buf->used);
	munmap(buf->ptr, buf->bytes);
	return ret;
}

static int cpu_buffer_create(struct hearth_buffer *buf)
{
	if (buf->state)
		return create_state(buf);
	return cpu_map(buf, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
}

static int cpu_buffer_from_file(struct hearth_buffer *buf, int fd,
				uint64_t offset)
{
	int ret = cpu_map(buf, PROT_READ, MAP_SHARED, fd, offset);

	/*
	 * Where the file system has large folios, what is read from now on
	 * comes in pages of 2 MiB, and finding pages no longer takes longer
	 * than reading them. Only a hint.
	 */
	if (!ret)
		madvise(buf->ptr, buf->bytes, MADV_HUGEPAGE);
	return ret;
}

static int cpu_buffer_import(struct hearth_buffer *buf, int dmabuf_fd)
{
	return hearth_seterr(-EOPNOTSUPP, "the CPU device imports no dma-buf");
}

static int cpu_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd)
{
	return hearth_seterr(-EOPNOTSUPP, "the CPU device exports no dma-buf");
}

static int cpu_buffer_bind(struct hearth_buffer *buf)
{
	return 0;
}

static void cpu_buffer_unbind(struct hearth_buffer *buf)
{
}

static void cpu_buffer_destroy(struct hearth_buffer *buf)
{
	munmap(buf->ptr, buf->bytes);
}

/* What is cut off is mapped anew: not counted, and zero if it comes back. */
static int cpu_buffer_resize(struct hearth_buffer *buf, uint64_t bytes)
{
	if (bytes < buf->used &&
	    mmap((char *)buf->ptr + bytes, buf->used - bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		return hearth_seterr(-errno, "cannot shrink a buffer: %s", strerror(errno));
	if (bytes > buf->used &&
	    mprotect((char *)buf->ptr + buf->used, bytes - buf->used, PROT_READ | PROT_WRITE))
		return cannot_grow(bytes);
	return 0;
}

/* With MADV_FREE nobody could tell what was discarded: nothing is. */
static int cpu_buffer_advise(struct hearth_buffer *buf, bool needed, bool *retained)
{
	*retained = true;
	return 0;
}

static int cpu_queue_create(struct hearth_queue *q,
			    const struct hearth_queue_opts *opts)
{
	return 0;
}

static void cpu_queue_destroy(struct hearth_queue *q)
{
}

/* Like on an NPU, the error of the work itself is for the one who waits. */
static int cpu_submit(struct hearth_queue *q, uint64_t va, uint64_t bytes,
		      const struct hearth_submit_opts *opts)
{
	if (opts->has_wait_fd || opts->signal_fd)
		return hearth_seterr(-EOPNOTSUPP, "the CPU device has no fences");
	if (q->error)
		return hearth_seterr(-ECANCELED, "queue stopped by: %s",
				     q->message);
	q->error = hearth_device_run_cpu(q->dev, va, bytes);
	if (q->error)
		snprintf(q->message, sizeof(q->message), "%s", hearth_errmsg());
	return 0;
}

static int cpu_wait(struct hearth_queue *q, uint64_t timeout_ns)
{
	return q->error ? hearth_seterr(q->error, "%s", q->message) : 0;
}

const struct hearth_backend hearth_backend_cpu = {
	.name = "cpu",
	.close = cpu_close,
	.buffer_create = cpu_buffer_create,
	.buffer_from_file = cpu_buffer_from_file,
	.buffer_import = cpu_buffer_import,
	.buffer_export = cpu_buffer_export,
	.buffer_bind = cpu_buffer_bind,
	.buffer_unbind = cpu_buffer_unbind,
	.buffer_destroy = cpu_buffer_destroy,
	.buffer_resize = cpu_buffer_resize,
	.buffer_advise = cpu_buffer_advise,
	.queue_create = cpu_queue_create,
	.queue_destroy = cpu_queue_destroy,
	.submit = cpu_submit,
	.wait = cpu_wait,
	.models = &hearth_models_cpu,
};
