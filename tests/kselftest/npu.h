/* SPDX-License-Identifier: MIT */
/*
 * What every program needs of the device: nodes, ioctls, syncobjs, command
 * streams, and the emulated NPU's control channel. Functions that return int
 * return 0 (or what they were asked for) or a negative errno; the caller
 * checks.
 */
#ifndef NPU_H
#define NPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <drm/hearth_accel.h>

#define NPU_PAGE	0x1000ull
#define NPU_SECOND	1000000000ull

/* 64 bits of user pointer. */
#define NPU_PTR(p)	((uint64_t)(uintptr_t)(p))

/* An array of @n elements at @p; of one element. */
#define NPU_ARRAY(p, n)                                                                  \
	((struct drm_hearth_array){ .stride = sizeof(*(p)), .count = (n), .array = NPU_PTR(p) })

/* Opens the NPU: an accel node, else a render node. -ENOENT if there is none. */
int npu_open(void);
/* The same for the NPU that has @n others before it. */
int npu_open_nth(int n);
/* Path of the node that npu_open() opens, for processes that open it anew. */
int npu_path(char *path, size_t bytes);

/* ioctl() with the errno as result. */
int npu_ioctl(int fd, unsigned long request, void *arg);

int npu_limits(int fd, struct drm_hearth_limits *limits);

int npu_vm_create(int fd);
int npu_vm_destroy(int fd, uint32_t vm);
int npu_vm_state(int fd, uint32_t vm);

int npu_bo_create(int fd, uint64_t size, uint32_t flags);
int npu_bo_close(int fd, uint32_t handle);

/* A dma-buf of a buffer, with DRM_CLOEXEC and DRM_RDWR as @flags; its descriptor. */
int npu_export(int fd, uint32_t handle, uint32_t flags);
/* The handle of a dma-buf. */
int npu_import(int fd, int dma_buf);
/* The address, or MAP_FAILED with errno. */
void *npu_bo_map(int fd, uint32_t handle, uint64_t size);

int npu_map(int fd, uint32_t vm, uint32_t bo, uint64_t offset, uint64_t va, uint64_t size,
	    uint32_t flags);
int npu_unmap(int fd, uint32_t vm, uint64_t va, uint64_t size);

int npu_queue_create(int fd, uint32_t vm, uint32_t priority);
int npu_queue_destroy(int fd, uint32_t queue);
int npu_submit(int fd, uint32_t queue, uint64_t stream_va, uint64_t bytes,
	       struct drm_hearth_sync *syncs, uint32_t num_syncs);
int npu_query_fault(int fd, uint32_t queue, struct drm_hearth_query_fault *fault);

int npu_syncobj_create(int fd, bool signaled);
int npu_syncobj_destroy(int fd, uint32_t handle);
int npu_syncobj_signal(int fd, uint32_t handle, uint64_t point);
/* -ETIME if it does not signal in @ns from now. Point 0: binary. */
int npu_syncobj_wait(int fd, uint32_t handle, uint64_t point, uint64_t ns);
/* The error of its fence, 0, or -EBUSY while it has not signalled. */
int npu_syncobj_status(int fd, uint32_t handle, uint64_t point);

/* The same of a sync_file, once it has signalled; -ETIME after @ms. */
int npu_sync_file_wait(int sync_fd, int ms);
/* The fence of a binary syncobj as a sync_file, which outlives the device. */
int npu_syncobj_export(int fd, uint32_t handle);

struct drm_hearth_sync npu_wait(uint32_t handle, uint64_t point);
struct drm_hearth_sync npu_signal(uint32_t handle, uint64_t point);

/* Commands, written at @p; the number of bytes. */
size_t npu_cmd_nop(void *p);
size_t npu_cmd_copy(void *p, uint64_t dst, uint64_t src, uint32_t bytes);

/*
 * A queue with a stream of its own in an address space of its own, for those
 * who only want jobs to run.
 */
struct npu_ctx {
	int fd;
	uint32_t vm;
	uint32_t queue;
	uint32_t bo;
	uint32_t syncobj;
	uint8_t *stream;
	uint64_t stream_va;
	uint64_t stream_bytes;
};

#define NPU_STREAM_VA		0x40000000ull
#define NPU_STREAM_BYTES	0x10000ull

int npu_ctx_init(struct npu_ctx *ctx, int fd, uint32_t priority);
void npu_ctx_fini(struct npu_ctx *ctx);
/* Runs what is in the stream and waits; the error of the job's fence. */
int npu_ctx_run(struct npu_ctx *ctx, size_t bytes, uint64_t timeout_ns);

/* One line to the emulated NPU's control socket; -EOPNOTSUPP without a line. */
int npu_ctl(const char *command, char *answer, size_t bytes);
int npu_inject(const char *what);

/* One line to the machine: "unplug", "plug", "throttle BYTES_PER_SECOND" of reads. */
int npu_host(const char *wish);

/* A number behind @key in the fdinfo of @fd, in a file, or in one of debugfs; -ENOENT. */
int64_t npu_fdinfo(int fd, const char *key);
int64_t npu_number(const char *path, const char *key);
int64_t npu_debugfs(const char *file, const char *key);

/*
 * What a debugfs file says once it says @value, or at the end of 10 seconds:
 * queues and address spaces are freed when the device has let go of them.
 */
int64_t npu_debugfs_until(const char *file, const char *key, int64_t value);

#endif /* NPU_H */
