/* SPDX-License-Identifier: MIT */
/*
 * A device: what the two backends, NPU and CPU, have in common. Every device
 * can execute a stream on the CPU, for ops that an NPU lacks.
 */
#ifndef HEARTH_RUNTIME_DEVICE_H
#define HEARTH_RUNTIME_DEVICE_H

#include <pthread.h>

#include "hearth.h"
#include "kernels/exec.h"
#include "runtime/stamp.h"
#include "runtime/table.h"

struct hearth_model_ops;

/**
 * struct hearth_backend - what differs between NPU and CPU
 *
 * Functions return 0 or a negative errno with the thread's message set.
 */
struct hearth_backend {
	const char *name;
	void (*close)(struct hearth_device *dev);

	/* memory: fill buf->ptr and whatever the backend keeps in buf */
	int (*buffer_create)(struct hearth_buffer *buf);
	int (*buffer_from_file)(struct hearth_buffer *buf, int fd,
				uint64_t offset);
	int (*buffer_import)(struct hearth_buffer *buf, int dmabuf_fd);
	int (*buffer_export)(struct hearth_buffer *buf, int *dmabuf_fd);
	/* after the address is known; before it is forgotten */
	int (*buffer_bind)(struct hearth_buffer *buf);
	void (*buffer_unbind)(struct hearth_buffer *buf);
	void (*buffer_destroy)(struct hearth_buffer *buf);
	/* of state buffers; page multiples up to buf->bytes */
	int (*buffer_resize)(struct hearth_buffer *buf, uint64_t bytes);
	int (*buffer_advise)(struct hearth_buffer *buf, bool needed, bool *retained);

	int (*queue_create)(struct hearth_queue *q,
			    const struct hearth_queue_opts *opts);
	void (*queue_destroy)(struct hearth_queue *q);
	int (*submit)(struct hearth_queue *q, uint64_t va, uint64_t bytes,
		      const struct hearth_submit_opts *opts);
	int (*wait)(struct hearth_queue *q, uint64_t timeout_ns);

	const struct hearth_model_ops *models;
};

struct hearth_device {
	const struct hearth_backend *backend;
	struct hearth_table table;
	struct hearth_device_info info;

	/** run_lock: one stream at a time uses @pool and @exec. */
	pthread_mutex_t run_lock;
	struct hk_pool *pool;
	struct hk_exec *exec;

	/* NPU only */
	int fd;
	uint32_t vm_id;
	char path[64];
};

struct hearth_buffer {
	struct hearth_device *dev;
	uint64_t bytes;
	uint64_t va;
	void *ptr;
	/**
	 * lead: bytes in front of @va and @ptr that are mapped with them: an
	 * extent of the device begins at a lower offset of the file.
	 */
	uint64_t lead;
	/** span: bytes at the device from @va - @lead on; 0: all of the above. */
	uint64_t span;
	/** used: bytes of a state buffer that are in use. */
	uint64_t used;
	/** file_fd: the file whose pages these are, or -1; as @stamp saw it. */
	int file_fd;
	struct hearth_stamp stamp;
	/** readonly: for the device. */
	bool readonly;
	/** sealed: for the CPU too. */
	bool sealed;
	/** state: HEARTH_BUFFER_STATE; kept: the driver knows it as one. */
	bool state, kept;
	/** handle: GEM handle (NPU). */
	uint32_t handle;
};

struct hearth_queue {
	struct hearth_device *dev;
	/* NPU */
	uint32_t id;
	/** timeline: syncobj, @submitted is its last point. */
	uint32_t timeline;
	/** fence: binary syncobj to pass sync_files through. */
	uint32_t fence;
	uint64_t submitted;
	/** last_va, last_bytes: stream of the last job. */
	uint64_t last_va, last_bytes;
	/** error: of the first job that failed (CPU), and its message. */
	int error;
	char message[256];
};

/* -ESTALE if the buffer's pages are a file's, and that changed since. */
int hearth_buffer_check_file(const struct hearth_buffer *buf);

extern const struct hearth_backend hearth_backend_cpu;
extern const struct hearth_backend hearth_backend_npu;

/*
 * Open the NPU at @path, or the first one if NULL. Fills fd, path, vm_id and
 * the info. -ENODEV if there is none.
 */
int hearth_npu_open(struct hearth_device *dev, const char *path);

/*
 * Execute the stream at @va on the CPU, in the caller's thread and the
 * device's pool. Errors as hearth_queue_wait().
 */
int hearth_device_run_cpu(struct hearth_device *dev, uint64_t va,
			  uint64_t bytes);

/* "command 3 (matmul): field 'rows' ...": for messages of both backends */
void hearth_fault_describe(char *buf, size_t size, const char *engine,
			   const struct hk_fault *fault);

#endif
