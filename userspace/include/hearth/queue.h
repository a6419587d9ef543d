/* SPDX-License-Identifier: MIT */
/*
 * The queue layer: devices, buffers, command streams, fences.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_QUEUE_H
#define HEARTH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hearth/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hearth_device;
struct hearth_buffer;
struct hearth_queue;

struct hearth_device_opts {
	size_t sz;
	/**
	 * threads: CPU threads for what runs on the CPU, the caller's included;
	 * 0 = one per big core that the caller may run on. Where cores differ
	 * (cpu_capacity in sysfs), the threads keep to the largest.
	 */
	unsigned int threads;
	/**
	 * isa: "plain", "avx2", "avx512", ...; NULL = what HEARTH_ISA in the
	 * environment names, or else the fastest that the CPU has. A name that is
	 * unknown, or that the CPU lacks, is -EINVAL. All give the same bits.
	 */
	const char *isa;
	size_t :0;
};

/**
 * hearth_device_open() - open a device
 * @name: "npu" (the first one), "cpu", a device node, or NULL for the first
 *	NPU and, where there is none, the CPU.
 *
 * Errors: -ENODEV no such device, -EACCES the node exists but may not be
 * opened (the message names the group), -EPROTO driver too old.
 */
HEARTH_API int hearth_device_open(const char *name,
				  const struct hearth_device_opts *opts,
				  struct hearth_device **dev);
HEARTH_API void hearth_device_close(struct hearth_device *dev);

struct hearth_device_info {
	size_t sz;
	/** name: "npu" or "cpu". */
	const char *name;
	/** path: Device node, or NULL. Valid as long as the device. */
	const char *path;
	/** isa: Kernels that the CPU side uses. */
	const char *isa;
	/** ops: Bit n: opcode n is executed by the device itself. */
	uint64_t ops;
	/** types: Bit n: data type n is known to the device itself. */
	uint64_t types;
	uint64_t sram_bytes;
	/** fw_version: major << 16 | minor; 0 on the CPU. */
	uint32_t fw_version;
	unsigned int threads;
	/**
	 * extent_bytes: Unit in which weights are in memory. 0: the driver is
	 * too old to share a file's pages, weights are copied.
	 */
	uint64_t extent_bytes;
	/** max_models: Models of one device handle; 0: the driver knows none. */
	uint32_t max_models;
	size_t :0;
};

/** hearth_device_get_info() - fill @info, as much of it as info->sz says */
HEARTH_API int hearth_device_get_info(const struct hearth_device *dev,
				      struct hearth_device_info *info);

enum hearth_buffer_flags {
	/** The device may only read it. */
	HEARTH_BUFFER_READONLY = 1 << 0,
	/**
	 * Kept between jobs, a KV cache: counted as state, may be resized and
	 * given up; under pressure swapped between jobs.
	 */
	HEARTH_BUFFER_STATE = 1 << 1,
};

struct hearth_buffer_opts {
	size_t sz;
	/** flags: Mask of enum hearth_buffer_flags. */
	uint32_t flags;
	/** used: Of a state buffer: bytes in use at first; 0 = all. */
	uint64_t used;
	size_t :0;
};

/**
 * hearth_buffer_create() - zeroed memory that CPU and device both see
 * @bytes: 1 or more; rounded up to pages.
 */
HEARTH_API int hearth_buffer_create(struct hearth_device *dev, uint64_t bytes,
				    const struct hearth_buffer_opts *opts,
				    struct hearth_buffer **buf);

/**
 * hearth_buffer_from_file() - a range of a file, read-only, as a buffer
 * @file_fd: Borrowed; the buffer stays valid after it is closed.
 * @offset: Multiple of the page size.
 * @bytes: The file must reach so far.
 *
 * No copy: the pages are the page cache's, for the CPU and for the NPU, and so
 * the same for all who open the file. Two cases are read into a buffer instead
 * (hearth_buffer_is_shared() tells): a driver that cannot share, and a file
 * system without pages to share (tmpfs, DAX).
 *
 * The file must not change while the buffer lives. hearth_program_run() looks
 * at its size and modification time before and after it ran and gives -ESTALE;
 * the NPU's driver looks by itself. A file that shrinks under a run on the CPU
 * ends the process with SIGBUS, as every mapping does. To replace a file,
 * rename another over it: who has the old one open keeps it.
 *
 * Errors: -EINVAL no regular file, or the range is not in it, -ETXTBSY the file
 * is open for writing (NPU).
 */
HEARTH_API int hearth_buffer_from_file(struct hearth_device *dev, int file_fd,
				       uint64_t offset, uint64_t bytes,
				       const struct hearth_buffer_opts *opts,
				       struct hearth_buffer **buf);

/**
 * hearth_buffer_resize() - how much of a state buffer is in use
 * @bytes: Up to the size that it was made with, which is what it begins with
 *	unless opts->used said less.
 *
 * What is cut off is gone, what is added is zero; nothing is copied. Address and
 * CPU pointer stay; neither side may use what is beyond @bytes. -EINVAL no state
 * buffer or too many bytes, -EBUSY a job is in flight, -EDQUOT the budget has no
 * room, -ENOMEM the system has none; after an error the size is as it was. With a
 * driver that knows no states all of it is there from the beginning.
 */
HEARTH_API int hearth_buffer_resize(struct hearth_buffer *buf, uint64_t bytes);

/**
 * hearth_buffer_advise() - are the contents of a state buffer needed?
 * @needed: false: they can be computed again; discard them rather than swap.
 *	true: they are needed from now on; before the next job that uses them.
 * @retained: Returned if not NULL: whether they are all still there. If not,
 *	they read as zero.
 *
 * On the CPU nothing is discarded.
 */
HEARTH_API int hearth_buffer_advise(struct hearth_buffer *buf, bool needed,
				    bool *retained);

/** hearth_buffer_is_shared() - are its pages those of a file? */
HEARTH_API bool hearth_buffer_is_shared(const struct hearth_buffer *buf);

/** hearth_buffer_import() - a dma-buf as a buffer; NPU only (-EOPNOTSUPP) */
HEARTH_API int hearth_buffer_import(struct hearth_device *dev, int dmabuf_fd,
				    const struct hearth_buffer_opts *opts,
				    struct hearth_buffer **buf);

/** hearth_buffer_export() - a new dma-buf fd; NPU only (-EOPNOTSUPP) */
HEARTH_API int hearth_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd);

/** hearth_buffer_destroy() - work that uses it must have finished */
HEARTH_API void hearth_buffer_destroy(struct hearth_buffer *buf);

/** hearth_buffer_data() - CPU address; not writable if made from a file */
HEARTH_API void *hearth_buffer_data(const struct hearth_buffer *buf);
HEARTH_API uint64_t hearth_buffer_bytes(const struct hearth_buffer *buf);

/** hearth_buffer_address() - device address, for command streams */
HEARTH_API uint64_t hearth_buffer_address(const struct hearth_buffer *buf);

/** enum hearth_priority - as enum drm_hearth_queue_priority */
enum hearth_priority {
	HEARTH_PRIORITY_DEFAULT = 0,
	HEARTH_PRIORITY_IDLE,
	HEARTH_PRIORITY_NORMAL,
	HEARTH_PRIORITY_FOCUS,
	HEARTH_PRIORITY_REALTIME,
};

struct hearth_queue_opts {
	size_t sz;
	/** priority: FOCUS and REALTIME need CAP_SYS_NICE (-EACCES). */
	enum hearth_priority priority;
	/** progress_timeout_ns: 0 = the driver's. */
	uint64_t progress_timeout_ns;
	/** job_timeout_ns: 0 = the driver's. */
	uint64_t job_timeout_ns;
	size_t :0;
};

HEARTH_API int hearth_queue_create(struct hearth_device *dev,
				   const struct hearth_queue_opts *opts,
				   struct hearth_queue **queue);

/** hearth_queue_destroy() - cancels what has not finished */
HEARTH_API void hearth_queue_destroy(struct hearth_queue *queue);

struct hearth_submit_opts {
	size_t sz;
	/** has_wait_fd: @wait_fd is given. */
	bool has_wait_fd;
	/** wait_fd: sync_file; the work starts after it signals. Borrowed. */
	int wait_fd;
	/** signal_fd: If not NULL, gets a sync_file that signals at the end. */
	int *signal_fd;
	size_t :0;
};

/**
 * hearth_queue_submit() - queue a command stream
 * @address: Device address of the stream (uapi/hw/hearth_cmd.h), in a buffer.
 * @bytes: Its size.
 *
 * Work of one queue is done in order. On the CPU the stream is executed
 * before the call returns, and fences give -EOPNOTSUPP.
 */
HEARTH_API int hearth_queue_submit(struct hearth_queue *queue, uint64_t address,
				   uint64_t bytes,
				   const struct hearth_submit_opts *opts);

/**
 * hearth_queue_wait() - wait for all that was submitted
 * @timeout_ns: 0 = poll, UINT64_MAX = no limit.
 *
 * Returns 0, -ETIME if the time ran out, or the error of the first job that
 * failed: -ETIMEDOUT (hang), -EFAULT (MMU fault), -EINVAL (bad stream), -EIO
 * (firmware died, or a file could not be read), -ESTALE (a file behind a buffer
 * changed), -EDQUOT, -ENOMEM (no room to bring a file's pages back), -ENODEV
 * (device gone), -ECANCELED. hearth_errmsg() has the command's index and opcode
 * and the address. After an error the queue takes no more work: destroy it and
 * make another.
 */
HEARTH_API int hearth_queue_wait(struct hearth_queue *queue, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_QUEUE_H */
