/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Hearth NPU: the ioctl ABI between the DRM/accel driver and userspace.
 *
 * Conventions, the same for every ioctl:
 *
 * - Structs grow at their end. The size encoded in the ioctl number is what
 *   the caller was built with: a shorter struct is extended with zeros, a
 *   longer one is accepted only if what the driver does not know is zero
 *   (-E2BIG else).
 * - Arrays are passed as &struct drm_hearth_array with the caller's stride,
 *   under the same rule for each element.
 * - Padding and unknown flags must be zero, else -EINVAL.
 * - Sizes, offsets and device addresses are bytes in a __u64. Timeouts are
 *   nanoseconds.
 * - No ioctl needs a privilege beyond opening the node, except where a field
 *   says so. None is subject to RLIMIT_MEMLOCK.
 * - An error leaves everything as it was before the call.
 */
#ifndef _UAPI_HEARTH_ACCEL_H_
#define _UAPI_HEARTH_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * enum drm_hearth_ioctl_id - ioctl numbers
 *
 * New ioctls are added at the end. Numbers are never reused.
 */
enum drm_hearth_ioctl_id {
	/** @DRM_HEARTH_DEV_QUERY: Query properties of the device. */
	DRM_HEARTH_DEV_QUERY = 0,

	/** @DRM_HEARTH_VM_CREATE: Create a device address space. */
	DRM_HEARTH_VM_CREATE,

	/** @DRM_HEARTH_VM_DESTROY: Destroy a device address space. */
	DRM_HEARTH_VM_DESTROY,

	/** @DRM_HEARTH_VM_BIND: Map and unmap buffers in an address space. */
	DRM_HEARTH_VM_BIND,

	/** @DRM_HEARTH_VM_GET_STATE: Ask whether an address space is usable. */
	DRM_HEARTH_VM_GET_STATE,

	/** @DRM_HEARTH_BO_CREATE: Create a buffer object. */
	DRM_HEARTH_BO_CREATE,

	/** @DRM_HEARTH_BO_MMAP_OFFSET: Get the offset to mmap() a buffer at. */
	DRM_HEARTH_BO_MMAP_OFFSET,

	/** @DRM_HEARTH_QUEUE_CREATE: Create a command queue. */
	DRM_HEARTH_QUEUE_CREATE,

	/** @DRM_HEARTH_QUEUE_DESTROY: Destroy a command queue. */
	DRM_HEARTH_QUEUE_DESTROY,

	/** @DRM_HEARTH_SUBMIT: Submit jobs to a queue. */
	DRM_HEARTH_SUBMIT,

	/** @DRM_HEARTH_QUERY_FAULT: Read the first fault of a queue. */
	DRM_HEARTH_QUERY_FAULT,

	/** @DRM_HEARTH_BO_CREATE_FILE: Create a buffer from a range of a file. */
	DRM_HEARTH_BO_CREATE_FILE,

	/** @DRM_HEARTH_BO_RESIZE: Grow or shrink a state buffer. */
	DRM_HEARTH_BO_RESIZE,

	/** @DRM_HEARTH_BO_ADVISE: Say whether the contents of a state buffer matter. */
	DRM_HEARTH_BO_ADVISE,

	/** @DRM_HEARTH_MODEL_CREATE: Group buffers to a model. */
	DRM_HEARTH_MODEL_CREATE,

	/** @DRM_HEARTH_MODEL_DESTROY: Destroy a model; its buffers stay. */
	DRM_HEARTH_MODEL_DESTROY,

	/** @DRM_HEARTH_MODEL_SET: Change class or keep-alive of a model. */
	DRM_HEARTH_MODEL_SET,

	/** @DRM_HEARTH_MODEL_GET: Read state and statistics of a model. */
	DRM_HEARTH_MODEL_GET,

	/** @DRM_HEARTH_MODEL_EVENTS: Get a file descriptor of a model's events. */
	DRM_HEARTH_MODEL_EVENTS,

	/** @DRM_HEARTH_MODEL_DROP: Drop the weights of a model now. */
	DRM_HEARTH_MODEL_DROP,

	/** @DRM_HEARTH_MODEL_LIST: Read all models of the device. */
	DRM_HEARTH_MODEL_LIST,

	/** @DRM_HEARTH_ADMIT: Ask whether a model would fit. */
	DRM_HEARTH_ADMIT,

	/** @DRM_HEARTH_RESERVE: Have bytes kept for a model that will come. */
	DRM_HEARTH_RESERVE,
};

/**
 * struct drm_hearth_array - array of objects in user memory
 */
struct drm_hearth_array {
	/** @stride: Size of one element as the caller knows it. */
	__u32 stride;

	/** @count: Number of elements. */
	__u32 count;

	/** @array: User pointer to the first element. */
	__u64 array;
};

/**
 * enum drm_hearth_dev_query_type - what DRM_IOCTL_HEARTH_DEV_QUERY returns
 */
enum drm_hearth_dev_query_type {
	/** @DRM_HEARTH_DEV_QUERY_NPU_INFO: &struct drm_hearth_npu_info. */
	DRM_HEARTH_DEV_QUERY_NPU_INFO = 0,

	/** @DRM_HEARTH_DEV_QUERY_LIMITS: &struct drm_hearth_limits. */
	DRM_HEARTH_DEV_QUERY_LIMITS,

	/** @DRM_HEARTH_DEV_QUERY_MEMORY: &struct drm_hearth_memory. */
	DRM_HEARTH_DEV_QUERY_MEMORY,
};

/**
 * struct drm_hearth_npu_info - what the hardware and its firmware can do
 */
struct drm_hearth_npu_info {
	/** @ops: Bit n is set if opcode n of the command stream is executed. */
	__u64 ops;

	/** @types: Bit n is set if data type n of the command stream is known. */
	__u64 types;

	/** @sram_bytes: On-chip memory of the device. */
	__u64 sram_bytes;

	/** @contract: Version of the device contract, major << 16 | minor. */
	__u32 contract;

	/** @fw_version: Version of the running firmware, major << 16 | minor. */
	__u32 fw_version;

	/** @slots: Number of hardware queue slots. */
	__u32 slots;

	/** @freq_mhz: Nominal clock. */
	__u32 freq_mhz;
};

/**
 * struct drm_hearth_limits - limits of the driver for this client
 */
struct drm_hearth_limits {
	/** @va_start: Lowest device address that may be bound. */
	__u64 va_start;

	/** @va_end: First device address beyond the usable range. */
	__u64 va_end;

	/** @page_sizes: Bit n is set if the MMU maps blocks of 1 << n bytes. */
	__u64 page_sizes;

	/** @max_bo_bytes: Largest buffer object. */
	__u64 max_bo_bytes;

	/** @max_stream_bytes: Largest command stream of a job. */
	__u64 max_stream_bytes;

	/** @max_jobs: Most jobs in one DRM_IOCTL_HEARTH_SUBMIT. */
	__u32 max_jobs;

	/** @max_syncs: Most sync operations of one job or bind operation. */
	__u32 max_syncs;

	/** @max_binds: Most operations in one DRM_IOCTL_HEARTH_VM_BIND. */
	__u32 max_binds;

	/** @max_queues: Most queues of one client. */
	__u32 max_queues;

	/** @max_vms: Most address spaces of one client. */
	__u32 max_vms;

	/**
	 * @priorities: Bit n is set if this client may create a queue of
	 * priority n (&enum drm_hearth_queue_priority).
	 */
	__u32 priorities;

	/**
	 * @extent_bytes: Unit in which file and state buffers are resident:
	 * their offsets, sizes and device addresses are multiples of it. Zero
	 * if the driver has no such buffers.
	 */
	__u64 extent_bytes;

	/** @max_models: Most models of one client; zero if it has none. */
	__u32 max_models;

	/** @max_model_bos: Most buffers of one model. */
	__u32 max_model_bos;
};

/**
 * struct drm_hearth_memory - the device's budget now, in bytes
 *
 * Numbers of one moment; only a reservation makes them hold.
 */
struct drm_hearth_memory {
	/** @budget: What weights, state and scratch may take together. */
	__u64 budget;

	/** @resident: What they take. */
	__u64 resident;

	/** @reserved: Promised to reservations and not used by them yet. */
	__u64 reserved;

	/** @droppable: Part of @resident that can be dropped: of no job in flight. */
	__u64 droppable;

	/** @pinned: Part of @resident that is never dropped. */
	__u64 pinned;

	/** @uid_quota: What the caller's user may have resident unshared. */
	__u64 uid_quota;

	/** @uid_used: What it has, reservations included. */
	__u64 uid_used;

	/** @system_available: What the system could give without swapping. */
	__u64 system_available;
};

/**
 * struct drm_hearth_dev_query - arguments of DRM_IOCTL_HEARTH_DEV_QUERY
 */
struct drm_hearth_dev_query {
	/** @type: One of &enum drm_hearth_dev_query_type. */
	__u32 type;

	/**
	 * @size: Bytes at @pointer; on return, bytes written. With @pointer
	 * zero nothing is written and the driver's size is returned.
	 */
	__u32 size;

	/** @pointer: User pointer to the struct of @type. */
	__u64 pointer;
};

/**
 * struct drm_hearth_vm_create - arguments of DRM_IOCTL_HEARTH_VM_CREATE
 */
struct drm_hearth_vm_create {
	/** @flags: Must be zero. */
	__u32 flags;

	/** @vm_id: Returned id, valid for this open of the device. */
	__u32 vm_id;
};

/**
 * struct drm_hearth_vm_destroy - arguments of DRM_IOCTL_HEARTH_VM_DESTROY
 *
 * Queues on the address space keep it alive until they are destroyed, but
 * nothing can be bound in it any more.
 */
struct drm_hearth_vm_destroy {
	/** @vm_id: Id to destroy. */
	__u32 vm_id;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * enum drm_hearth_sync_flags - flags of &struct drm_hearth_sync
 */
enum drm_hearth_sync_flags {
	/** @DRM_HEARTH_SYNC_WAIT: Wait for the point before the work starts. */
	DRM_HEARTH_SYNC_WAIT = 1 << 0,

	/** @DRM_HEARTH_SYNC_SIGNAL: Signal the point when the work is done. */
	DRM_HEARTH_SYNC_SIGNAL = 1 << 1,
};

/**
 * struct drm_hearth_sync - one syncobj to wait for or to signal
 */
struct drm_hearth_sync {
	/** @handle: DRM syncobj. */
	__u32 handle;

	/** @flags: Exactly one of &enum drm_hearth_sync_flags. */
	__u32 flags;

	/** @point: Timeline point, or zero for a binary syncobj. */
	__u64 point;
};

/**
 * enum drm_hearth_bind_op_type - what a bind operation does
 */
enum drm_hearth_bind_op_type {
	/** @DRM_HEARTH_BIND_MAP: Map a range of a buffer. */
	DRM_HEARTH_BIND_MAP = 0,

	/** @DRM_HEARTH_BIND_UNMAP: Unmap a range; holes in it are fine. */
	DRM_HEARTH_BIND_UNMAP,
};

/**
 * enum drm_hearth_bind_op_flags - flags of &struct drm_hearth_bind_op
 */
enum drm_hearth_bind_op_flags {
	/** @DRM_HEARTH_BIND_READONLY: The device may only read (MAP). */
	DRM_HEARTH_BIND_READONLY = 1 << 0,
};

/**
 * struct drm_hearth_bind_op - one map or unmap operation
 */
struct drm_hearth_bind_op {
	/** @op: One of &enum drm_hearth_bind_op_type. */
	__u32 op;

	/** @flags: Mask of &enum drm_hearth_bind_op_flags. */
	__u32 flags;

	/** @bo_handle: Buffer to map; zero for UNMAP. */
	__u32 bo_handle;

	/** @pad: Must be zero. */
	__u32 pad;

	/** @bo_offset: Offset in the buffer, page aligned; zero for UNMAP. */
	__u64 bo_offset;

	/** @va: Device address, page aligned. */
	__u64 va;

	/** @size: Bytes, page aligned, not zero. */
	__u64 size;

	/** @syncs: Array of &struct drm_hearth_sync; empty if not ASYNC. */
	struct drm_hearth_array syncs;
};

/**
 * enum drm_hearth_vm_bind_flags - flags of &struct drm_hearth_vm_bind
 */
enum drm_hearth_vm_bind_flags {
	/**
	 * @DRM_HEARTH_VM_BIND_ASYNC: Queue the operations on the address
	 * space's bind queue. Without it they are done when the ioctl returns,
	 * in the caller's thread, ahead of what is queued.
	 */
	DRM_HEARTH_VM_BIND_ASYNC = 1 << 0,
};

/**
 * struct drm_hearth_vm_bind - arguments of DRM_IOCTL_HEARTH_VM_BIND
 *
 * A map over existing maps replaces them. All operations are checked before
 * the first one is done. -EDQUOT if a job is in flight and what is mapped for it
 * is beyond the dmem.max of the caller's cgroup.
 */
struct drm_hearth_vm_bind {
	/** @vm_id: Address space. */
	__u32 vm_id;

	/** @flags: Mask of &enum drm_hearth_vm_bind_flags. */
	__u32 flags;

	/** @ops: Array of &struct drm_hearth_bind_op. */
	struct drm_hearth_array ops;
};

/**
 * enum drm_hearth_vm_state - health of an address space
 */
enum drm_hearth_vm_state {
	/** @DRM_HEARTH_VM_USABLE: All is well. */
	DRM_HEARTH_VM_USABLE = 0,

	/**
	 * @DRM_HEARTH_VM_UNUSABLE: An asynchronous bind failed. Submits and
	 * binds get -EINVAL; destroy it and make another.
	 */
	DRM_HEARTH_VM_UNUSABLE,
};

/**
 * struct drm_hearth_vm_get_state - arguments of DRM_IOCTL_HEARTH_VM_GET_STATE
 */
struct drm_hearth_vm_get_state {
	/** @vm_id: Address space. */
	__u32 vm_id;

	/** @state: Returned &enum drm_hearth_vm_state. */
	__u32 state;
};

/**
 * enum drm_hearth_bo_flags - flags of &struct drm_hearth_bo_create
 */
enum drm_hearth_bo_flags {
	/** @DRM_HEARTH_BO_NO_MMAP: The CPU may not map the buffer. */
	DRM_HEARTH_BO_NO_MMAP = 1 << 0,

	/**
	 * @DRM_HEARTH_BO_STATE: State between jobs, a KV cache. It is resident
	 * by extents, empty at first (DRM_IOCTL_HEARTH_BO_RESIZE), up to the
	 * size given here. Under pressure, while no job is in flight, it is
	 * swapped, or discarded after DRM_HEARTH_BO_DONTNEED. It comes back
	 * before the next job runs.
	 */
	DRM_HEARTH_BO_STATE = 1 << 1,
};

/**
 * struct drm_hearth_bo_create - arguments of DRM_IOCTL_HEARTH_BO_CREATE
 *
 * The buffer is zeroed, private to the client until it is exported, and its
 * pages are allocated when it is first mapped, on either side. That mmap() or
 * bind is where -EDQUOT tells that the budget or the quota is full.
 */
struct drm_hearth_bo_create {
	/** @size: Bytes, not zero; rounded up to pages, returned. */
	__u64 size;

	/** @flags: Mask of &enum drm_hearth_bo_flags. */
	__u32 flags;

	/** @handle: Returned GEM handle; DRM_IOCTL_GEM_CLOSE frees it. */
	__u32 handle;
};

/**
 * struct drm_hearth_bo_create_file - arguments of DRM_IOCTL_HEARTH_BO_CREATE_FILE
 *
 * The buffer is the file's page cache: nothing is copied, and all buffers of
 * all clients over the same file are the same memory. It is read from the file
 * before a job of an address space that maps it runs, and dropped under
 * pressure while no such job is in flight. The device may only read it, the
 * CPU maps the file instead. Beyond the end of the file nothing is mapped.
 *
 * If the file changes, jobs that use it and later submits get -ESTALE: see
 * DRM_HEARTH_FAULT_STALE.
 *
 * -EBADF no such fd, -EACCES not opened for reading, -EINVAL no regular file,
 * or an offset beyond its end or not a multiple of the extent, -EOPNOTSUPP a
 * file system that has no page cache to share or to re-read (tmpfs, DAX),
 * -ETXTBSY somebody has the file open for writing, -EFBIG a file larger than the
 * device can address, or a size beyond that of the region that weights live in.
 */
struct drm_hearth_bo_create_file {
	/** @offset: Where it begins in the file, a multiple of extent_bytes. */
	__u64 offset;

	/**
	 * @size: Bytes, zero for all up to the end of the file. Rounded up to
	 * extents and returned; may reach less than an extent beyond the end.
	 */
	__u64 size;

	/** @fd: File, borrowed. */
	__s32 fd;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @handle: Returned GEM handle; DRM_IOCTL_GEM_CLOSE frees it. */
	__u32 handle;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct drm_hearth_bo_resize - arguments of DRM_IOCTL_HEARTH_BO_RESIZE
 *
 * For buffers made with DRM_HEARTH_BO_STATE. What is added reads as zero, what
 * is cut off is gone. -EBUSY if something is cut off while a job is in flight,
 * -ENOSPC beyond the size that it was made with, -EDQUOT beyond the budget or
 * the dmem.max of the caller's cgroup.
 */
struct drm_hearth_bo_resize {
	/** @handle: GEM handle. */
	__u32 handle;

	/** @pad: Must be zero. */
	__u32 pad;

	/** @size: Bytes that jobs may use from now on; rounded up to extents, returned. */
	__u64 size;
};

/**
 * enum drm_hearth_bo_advice - does anybody need the contents?
 */
enum drm_hearth_bo_advice {
	/** @DRM_HEARTH_BO_WILLNEED: Yes: swap, do not discard. */
	DRM_HEARTH_BO_WILLNEED = 0,

	/** @DRM_HEARTH_BO_DONTNEED: They can be computed again: discard rather than swap. */
	DRM_HEARTH_BO_DONTNEED,
};

/**
 * struct drm_hearth_bo_advise - arguments of DRM_IOCTL_HEARTH_BO_ADVISE
 *
 * A submit that finds discarded contents runs on zeros: say WILLNEED and look
 * at @retained before it.
 */
struct drm_hearth_bo_advise {
	/** @handle: GEM handle of a DRM_HEARTH_BO_STATE buffer. */
	__u32 handle;

	/** @advice: One of &enum drm_hearth_bo_advice. */
	__u32 advice;

	/** @retained: Returned: 1 if all contents are still there, 0 if any was discarded. */
	__u32 retained;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct drm_hearth_bo_mmap_offset - arguments of DRM_IOCTL_HEARTH_BO_MMAP_OFFSET
 */
struct drm_hearth_bo_mmap_offset {
	/** @handle: GEM handle. */
	__u32 handle;

	/** @pad: Must be zero. */
	__u32 pad;

	/** @offset: Returned offset for mmap() on the device's fd. */
	__u64 offset;
};

/**
 * enum drm_hearth_queue_priority - priority of a queue
 *
 * The device serves the highest first and preempts lower ones at the next
 * command boundary.
 */
enum drm_hearth_queue_priority {
	/** @DRM_HEARTH_QUEUE_IDLE: Only when nothing else runs. */
	DRM_HEARTH_QUEUE_IDLE = 0,

	/** @DRM_HEARTH_QUEUE_NORMAL: The default. */
	DRM_HEARTH_QUEUE_NORMAL,

	/** @DRM_HEARTH_QUEUE_FOCUS: Foreground. Needs CAP_SYS_NICE or DRM master. */
	DRM_HEARTH_QUEUE_FOCUS,

	/** @DRM_HEARTH_QUEUE_REALTIME: Needs CAP_SYS_NICE or DRM master. */
	DRM_HEARTH_QUEUE_REALTIME,
};

/**
 * struct drm_hearth_queue_create - arguments of DRM_IOCTL_HEARTH_QUEUE_CREATE
 */
struct drm_hearth_queue_create {
	/** @vm_id: Address space that the jobs run in. */
	__u32 vm_id;

	/** @priority: One of &enum drm_hearth_queue_priority. */
	__u32 priority;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @queue_id: Returned id, valid for this open of the device. */
	__u32 queue_id;

	/**
	 * @progress_timeout_ns: A job that completes no command for this long
	 * is killed. Zero for the driver's default; at most the default.
	 */
	__u64 progress_timeout_ns;

	/**
	 * @job_timeout_ns: A job that runs for longer is killed, progress or
	 * not. Zero for the driver's default; at most the default.
	 */
	__u64 job_timeout_ns;
};

/**
 * struct drm_hearth_queue_destroy - arguments of DRM_IOCTL_HEARTH_QUEUE_DESTROY
 *
 * Jobs that have not finished are cancelled: their fences signal with
 * -ECANCELED.
 */
struct drm_hearth_queue_destroy {
	/** @queue_id: Id to destroy. */
	__u32 queue_id;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * struct drm_hearth_job - one job of a submit
 */
struct drm_hearth_job {
	/** @stream_va: Device address of the command stream, 8-byte aligned. */
	__u64 stream_va;

	/** @stream_bytes: Its size, a multiple of 8, not zero. */
	__u64 stream_bytes;

	/** @syncs: Array of &struct drm_hearth_sync. */
	struct drm_hearth_array syncs;
};

/**
 * struct drm_hearth_submit - arguments of DRM_IOCTL_HEARTH_SUBMIT
 *
 * Jobs of a queue run in the order in which they were submitted. Either all
 * jobs of the array are queued or none; -EDQUOT if what their address space maps
 * is beyond the dmem.max of the caller's cgroup.
 *
 * A job that fails signals its fence with an error (see sync_file's status
 * or the error of a wait): -ETIMEDOUT no progress or too long, -EFAULT MMU
 * fault, -EINVAL malformed command stream, -ENOMEM an operand is too large
 * for the firmware, -ECANCELED its queue was destroyed or an earlier job of
 * the queue failed, -EIO firmware died or a file could not be read, -ESTALE a
 * file behind a buffer changed, -EDQUOT its weights found no room in the budget
 * or the quota, -ENODEV the device is gone. After any error the queue takes no
 * more jobs (-ECANCELED), with one exception: -EIO with
 * DRM_HEARTH_FAULT_INNOCENT. The job in execution was lost in a reset
 * that another queue caused; the jobs behind it run, and the queue takes more.
 */
struct drm_hearth_submit {
	/** @queue_id: Queue. */
	__u32 queue_id;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @jobs: Array of &struct drm_hearth_job. */
	struct drm_hearth_array jobs;
};

/**
 * enum drm_hearth_fault_cause - why a queue stopped
 */
enum drm_hearth_fault_cause {
	/** @DRM_HEARTH_FAULT_NONE: No fault so far. */
	DRM_HEARTH_FAULT_NONE = 0,

	/** @DRM_HEARTH_FAULT_MMU_READ: Read of an address that is not mapped. */
	DRM_HEARTH_FAULT_MMU_READ,

	/** @DRM_HEARTH_FAULT_MMU_WRITE: Write to one not mapped or read-only. */
	DRM_HEARTH_FAULT_MMU_WRITE,

	/** @DRM_HEARTH_FAULT_BUS: The bus refused an access of the device. */
	DRM_HEARTH_FAULT_BUS,

	/** @DRM_HEARTH_FAULT_OPCODE: Unknown opcode, or one that is not in caps. */
	DRM_HEARTH_FAULT_OPCODE,

	/** @DRM_HEARTH_FAULT_OPERAND: A field of a command is out of its range. */
	DRM_HEARTH_FAULT_OPERAND,

	/** @DRM_HEARTH_FAULT_TIMEOUT: No progress, or ran for too long. */
	DRM_HEARTH_FAULT_TIMEOUT,

	/** @DRM_HEARTH_FAULT_FIRMWARE: The firmware died or spoke nonsense. */
	DRM_HEARTH_FAULT_FIRMWARE,

	/** @DRM_HEARTH_FAULT_GONE: The device was removed. */
	DRM_HEARTH_FAULT_GONE,

	/** @DRM_HEARTH_FAULT_STALE: The file behind a buffer was changed. */
	DRM_HEARTH_FAULT_STALE,

	/** @DRM_HEARTH_FAULT_RESTORE: A buffer could not be made resident. */
	DRM_HEARTH_FAULT_RESTORE,
};

/**
 * enum drm_hearth_fault_flags - flags of &struct drm_hearth_query_fault
 */
enum drm_hearth_fault_flags {
	/**
	 * @DRM_HEARTH_FAULT_INNOCENT: Another queue was guilty, this one was
	 * lost with it.
	 */
	DRM_HEARTH_FAULT_INNOCENT = 1 << 0,
};

/**
 * struct drm_hearth_query_fault - arguments of DRM_IOCTL_HEARTH_QUERY_FAULT
 *
 * The first fault of a queue stays readable until the queue is destroyed.
 */
struct drm_hearth_query_fault {
	/** @queue_id: Queue. */
	__u32 queue_id;

	/** @flags: Returned mask of &enum drm_hearth_fault_flags; zero on entry. */
	__u32 flags;

	/** @cause: Returned &enum drm_hearth_fault_cause. */
	__u32 cause;

	/** @error: Returned errno (positive) of the fence, or zero. */
	__u32 error;

	/** @job: Returned number of the job in its queue, from 0. */
	__u64 job;

	/** @op_index: Returned index of the command in the stream. */
	__u32 op_index;

	/** @opcode: Returned opcode of that command, or ~0 if unknown. */
	__u32 opcode;

	/** @address: Returned device address of an MMU fault, else zero. */
	__u64 address;
};

/**
 * enum drm_hearth_model_class - how dearly a model is kept
 */
enum drm_hearth_model_class {
	/** @DRM_HEARTH_CLASS_DROPPABLE: The first to go. */
	DRM_HEARTH_CLASS_DROPPABLE = 0,

	/** @DRM_HEARTH_CLASS_NORMAL: The default. */
	DRM_HEARTH_CLASS_NORMAL,

	/** @DRM_HEARTH_CLASS_PROTECTED: Only before somebody would be killed. */
	DRM_HEARTH_CLASS_PROTECTED,

	/** @DRM_HEARTH_CLASS_PINNED: Never. Needs CAP_SYS_RESOURCE or the pinned quota. */
	DRM_HEARTH_CLASS_PINNED,
};

/**
 * enum drm_hearth_model_state - is a model in memory?
 */
enum drm_hearth_model_state {
	/** @DRM_HEARTH_MODEL_DROPPED: Nothing of its weights is. */
	DRM_HEARTH_MODEL_DROPPED = 0,

	/** @DRM_HEARTH_MODEL_PARTLY: Some is. */
	DRM_HEARTH_MODEL_PARTLY,

	/** @DRM_HEARTH_MODEL_RESTORING: It is being read. */
	DRM_HEARTH_MODEL_RESTORING,

	/** @DRM_HEARTH_MODEL_RESIDENT: All is. */
	DRM_HEARTH_MODEL_RESIDENT,

	/** @DRM_HEARTH_MODEL_STALE: Its file changed; close it and open it anew. */
	DRM_HEARTH_MODEL_STALE,
};

#define DRM_HEARTH_KEEP_FOREVER	(-1)
#define DRM_HEARTH_NAME_BYTES	64

/**
 * struct drm_hearth_model_create - arguments of DRM_IOCTL_HEARTH_MODEL_CREATE
 *
 * A model is the unit of keeping and dropping. Weights that several models
 * share are kept as the dearest of them wants. The class counts for less while
 * all its users are in the background (oom_score_adj), unless it is pinned.
 */
struct drm_hearth_model_create {
	/** @bos: Array of __u32 GEM handles: file and state buffers. */
	struct drm_hearth_array bos;

	/**
	 * @keep_alive_ns: How long after its last job the class holds; then its
	 * weights are given up. Zero: at once. DRM_HEARTH_KEEP_FOREVER.
	 */
	__s64 keep_alive_ns;

	/** @model_class: One of &enum drm_hearth_model_class. */
	__u32 model_class;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @reservation_fd: Reservation that pays for it, borrowed, or -1. */
	__s32 reservation_fd;

	/** @model_id: Returned id, valid for this open of the device. */
	__u32 model_id;

	/** @name: For lists; printable, NUL-terminated. */
	char name[DRM_HEARTH_NAME_BYTES];
};

/**
 * struct drm_hearth_model_destroy - arguments of DRM_IOCTL_HEARTH_MODEL_DESTROY
 */
struct drm_hearth_model_destroy {
	/** @model_id: Model. */
	__u32 model_id;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * enum drm_hearth_model_set_fields - what MODEL_SET changes
 */
enum drm_hearth_model_set_fields {
	/** @DRM_HEARTH_MODEL_SET_CLASS: &drm_hearth_model_set.model_class. */
	DRM_HEARTH_MODEL_SET_CLASS = 1 << 0,

	/** @DRM_HEARTH_MODEL_SET_KEEP_ALIVE: &drm_hearth_model_set.keep_alive_ns. */
	DRM_HEARTH_MODEL_SET_KEEP_ALIVE = 1 << 1,
};

/**
 * struct drm_hearth_model_set - arguments of DRM_IOCTL_HEARTH_MODEL_SET
 */
struct drm_hearth_model_set {
	/** @model_id: Model. */
	__u32 model_id;

	/** @fields: Mask of &enum drm_hearth_model_set_fields, not zero. */
	__u32 fields;

	/** @model_class: As in &struct drm_hearth_model_create. */
	__u32 model_class;

	/** @pad: Must be zero. */
	__u32 pad;

	/** @keep_alive_ns: As in &struct drm_hearth_model_create. */
	__s64 keep_alive_ns;
};

/**
 * struct drm_hearth_model_info - a model, as MODEL_GET and MODEL_LIST tell it
 */
struct drm_hearth_model_info {
	/** @serial: Number of the model on this device, never used again. */
	__u64 serial;

	/** @weights_bytes: Size of its file buffers. */
	__u64 weights_bytes;

	/** @resident_bytes: What of it is in memory. */
	__u64 resident_bytes;

	/** @state_bytes: What of its state buffers is in memory. */
	__u64 state_bytes;

	/** @restored_bytes: Read from the file so far, on behalf of anybody. */
	__u64 restored_bytes;

	/** @restored_ns: Time that these reads took. */
	__u64 restored_ns;

	/** @dropped_bytes: Dropped so far. */
	__u64 dropped_bytes;

	/** @idle_ns: Time since its last job ended; 0 while one is in flight. */
	__u64 idle_ns;

	/** @keep_alive_ns: As it was set. */
	__s64 keep_alive_ns;

	/** @sharers: Models over the same weights, this one included. */
	__u32 sharers;

	/** @state: &enum drm_hearth_model_state. */
	__u32 state;

	/** @model_class: As it was set. */
	__u32 model_class;

	/** @effective_class: As it counts now. */
	__u32 effective_class;

	/** @uid: User of the client. */
	__u32 uid;

	/** @pid: Process that made it, in the caller's namespace, or 0. */
	__u32 pid;

	/** @name: Empty if it is another user's and the caller lacks CAP_SYS_ADMIN. */
	char name[DRM_HEARTH_NAME_BYTES];
};

/**
 * struct drm_hearth_model_get - arguments of DRM_IOCTL_HEARTH_MODEL_GET
 */
struct drm_hearth_model_get {
	/** @model_id: Model. */
	__u32 model_id;

	/** @size: Bytes at @pointer; on return, bytes written. */
	__u32 size;

	/** @pointer: User pointer to &struct drm_hearth_model_info. */
	__u64 pointer;
};

/**
 * enum drm_hearth_model_event_flags - what happened
 */
enum drm_hearth_model_event_flags {
	/** @DRM_HEARTH_EVENT_ABOUT_TO_DROP: Dropping begins. */
	DRM_HEARTH_EVENT_ABOUT_TO_DROP = 1 << 0,

	/** @DRM_HEARTH_EVENT_DROPPED: Nothing is resident any more. */
	DRM_HEARTH_EVENT_DROPPED = 1 << 1,

	/** @DRM_HEARTH_EVENT_RESTORED: All is resident again. */
	DRM_HEARTH_EVENT_RESTORED = 1 << 2,

	/** @DRM_HEARTH_EVENT_STALE: The file changed. */
	DRM_HEARTH_EVENT_STALE = 1 << 3,
};

/**
 * struct drm_hearth_model_event - what read() of an event file returns
 *
 * One of these per read, readable (POLLIN) as soon as something happened since
 * the last one. Nothing is ever lost, it is only summed up.
 */
struct drm_hearth_model_event {
	/** @events: Mask of &enum drm_hearth_model_event_flags since the last read. */
	__u32 events;

	/** @state: &enum drm_hearth_model_state now. */
	__u32 state;

	/** @resident_bytes: Of its weights, now. */
	__u64 resident_bytes;
};

/**
 * struct drm_hearth_model_events - arguments of DRM_IOCTL_HEARTH_MODEL_EVENTS
 *
 * The file reads as at its end (POLLHUP) when the model is gone.
 */
struct drm_hearth_model_events {
	/** @model_id: Model. */
	__u32 model_id;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @fd: Returned file descriptor, close-on-exec. */
	__s32 fd;

	/** @pad: Must be zero. */
	__u32 pad;
};

/**
 * enum drm_hearth_model_drop_flags - flags of &struct drm_hearth_model_drop
 */
enum drm_hearth_model_drop_flags {
	/** @DRM_HEARTH_DROP_CACHE: From the page cache as well: the memory is free. */
	DRM_HEARTH_DROP_CACHE = 1 << 0,
};

/**
 * struct drm_hearth_model_drop - arguments of DRM_IOCTL_HEARTH_MODEL_DROP
 *
 * Weights that another model shares stay unless that one gave them up.
 * -EBUSY while a job that uses the model is in flight.
 */
struct drm_hearth_model_drop {
	/** @model_id: Model. */
	__u32 model_id;

	/** @flags: Mask of &enum drm_hearth_model_drop_flags. */
	__u32 flags;

	/** @bytes: Returned: what was dropped. */
	__u64 bytes;
};

/**
 * struct drm_hearth_model_list - arguments of DRM_IOCTL_HEARTH_MODEL_LIST
 */
struct drm_hearth_model_list {
	/**
	 * @models: Array of &struct drm_hearth_model_info to fill; on return
	 * count is the number of models that there are, of which no more were
	 * written than there was room for.
	 */
	struct drm_hearth_array models;
};

/**
 * enum drm_hearth_verdict - would it fit?
 */
enum drm_hearth_verdict {
	/** @DRM_HEARTH_ADMIT_NOW: Yes. */
	DRM_HEARTH_ADMIT_NOW = 0,

	/** @DRM_HEARTH_ADMIT_AFTER_DROP: Yes, others will be dropped for it. */
	DRM_HEARTH_ADMIT_AFTER_DROP,

	/** @DRM_HEARTH_ADMIT_WAIT: Not now: what holds the memory is in use, or dearer. */
	DRM_HEARTH_ADMIT_WAIT,

	/** @DRM_HEARTH_ADMIT_NEVER: Not on this device, or not for this user. */
	DRM_HEARTH_ADMIT_NEVER,
};

/**
 * enum drm_hearth_admit_limit - which limit bound the answer
 */
enum drm_hearth_admit_limit {
	/** @DRM_HEARTH_LIMIT_NONE: None. */
	DRM_HEARTH_LIMIT_NONE = 0,

	/** @DRM_HEARTH_LIMIT_BUDGET: The device's budget. */
	DRM_HEARTH_LIMIT_BUDGET,

	/** @DRM_HEARTH_LIMIT_QUOTA: The quota of the caller's user. */
	DRM_HEARTH_LIMIT_QUOTA,

	/** @DRM_HEARTH_LIMIT_RESERVATION: What is reserved for others. */
	DRM_HEARTH_LIMIT_RESERVATION,

	/** @DRM_HEARTH_LIMIT_SYSTEM: The memory of the system. */
	DRM_HEARTH_LIMIT_SYSTEM,

	/** @DRM_HEARTH_LIMIT_REGION: The reserved region that weights live in. */
	DRM_HEARTH_LIMIT_REGION,

	/** @DRM_HEARTH_LIMIT_VA: The device's address space. */
	DRM_HEARTH_LIMIT_VA,
};

/**
 * struct drm_hearth_demand - what a model will take
 */
struct drm_hearth_demand {
	/** @weights_bytes: Weights, all of the file. */
	__u64 weights_bytes;

	/** @state_bytes: State at its largest. */
	__u64 state_bytes;

	/** @scratch_bytes: Activations, command streams and the like. */
	__u64 scratch_bytes;

	/** @model_class: &enum drm_hearth_model_class that it will have. */
	__u32 model_class;

	/**
	 * @weights_fd: The file, borrowed, or -1. What of it is resident for
	 * others already is not counted again.
	 */
	__s32 weights_fd;
};

/**
 * enum drm_hearth_admit_flags - flags of &struct drm_hearth_admit
 */
enum drm_hearth_admit_flags {
	/** @DRM_HEARTH_ADMIT_BLOCK: Wait, interruptibly, while the verdict is WAIT. */
	DRM_HEARTH_ADMIT_BLOCK = 1 << 0,
};

/**
 * struct drm_hearth_admit - arguments of DRM_IOCTL_HEARTH_ADMIT
 *
 * Changes nothing. Between the answer and the load others may come: only
 * DRM_IOCTL_HEARTH_RESERVE makes a yes last. A file that cannot be shared is no
 * error: nothing of it is there. Other errors are those of
 * DRM_IOCTL_HEARTH_BO_CREATE_FILE.
 */
struct drm_hearth_admit {
	/** @demand: What is asked for. */
	struct drm_hearth_demand demand;

	/** @flags: Mask of &enum drm_hearth_admit_flags. */
	__u32 flags;

	/** @pad: Must be zero. */
	__u32 pad;

	/**
	 * @timeout_ns: With BLOCK: the longest wait; then the verdict is WAIT.
	 * After -EINTR what is left of it, for those who call again.
	 */
	__u64 timeout_ns;

	/**
	 * @victims: Array of &struct drm_hearth_model_info, or empty: models that
	 * would be dropped, or that hold what is waited for; the first to go
	 * first. count is returned as in &struct drm_hearth_model_list.
	 */
	struct drm_hearth_array victims;

	/** @needed_bytes: Returned: what of the demand is not there yet. */
	__u64 needed_bytes;

	/** @available_bytes: Returned: what is free for it now. */
	__u64 available_bytes;

	/** @after_drop_bytes: Returned: what would be after all droppable was dropped. */
	__u64 after_drop_bytes;

	/** @limit_bytes: Returned: value of the limit in @limit. */
	__u64 limit_bytes;

	/** @restore_ns: Returned: expected time to read the weights, 0 if unknown. */
	__u64 restore_ns;

	/** @verdict: Returned &enum drm_hearth_verdict. */
	__u32 verdict;

	/** @limit: Returned &enum drm_hearth_admit_limit. */
	__u32 limit;
};

/**
 * struct drm_hearth_reserve - arguments of DRM_IOCTL_HEARTH_RESERVE
 *
 * Keeps @bytes against every later load by others until the file descriptor
 * is closed. Drops others for it if it must. -EDQUOT if ADMIT would say NEVER,
 * -EBUSY if it would say WAIT (libdrm repeats what gives -EAGAIN).
 */
struct drm_hearth_reserve {
	/** @bytes: Bytes to keep, not zero; rounded up to extents, returned. */
	__u64 bytes;

	/** @model_class: &enum drm_hearth_model_class of what will use it. */
	__u32 model_class;

	/** @flags: Must be zero. */
	__u32 flags;

	/** @fd: Returned file descriptor, close-on-exec; may be passed on. */
	__s32 fd;

	/** @pad: Must be zero. */
	__u32 pad;
};

#define DRM_IOCTL_HEARTH(__access, __id, __type) \
	DRM_IO ## __access(DRM_COMMAND_BASE + DRM_HEARTH_ ## __id, \
			   struct drm_hearth_ ## __type)

enum {
	DRM_IOCTL_HEARTH_DEV_QUERY = DRM_IOCTL_HEARTH(WR, DEV_QUERY, dev_query),
	DRM_IOCTL_HEARTH_VM_CREATE = DRM_IOCTL_HEARTH(WR, VM_CREATE, vm_create),
	DRM_IOCTL_HEARTH_VM_DESTROY = DRM_IOCTL_HEARTH(WR, VM_DESTROY, vm_destroy),
	DRM_IOCTL_HEARTH_VM_BIND = DRM_IOCTL_HEARTH(WR, VM_BIND, vm_bind),
	DRM_IOCTL_HEARTH_VM_GET_STATE = DRM_IOCTL_HEARTH(WR, VM_GET_STATE, vm_get_state),
	DRM_IOCTL_HEARTH_BO_CREATE = DRM_IOCTL_HEARTH(WR, BO_CREATE, bo_create),
	DRM_IOCTL_HEARTH_BO_MMAP_OFFSET =
		DRM_IOCTL_HEARTH(WR, BO_MMAP_OFFSET, bo_mmap_offset),
	DRM_IOCTL_HEARTH_QUEUE_CREATE = DRM_IOCTL_HEARTH(WR, QUEUE_CREATE, queue_create),
	DRM_IOCTL_HEARTH_QUEUE_DESTROY = DRM_IOCTL_HEARTH(WR, QUEUE_DESTROY, queue_destroy),
	DRM_IOCTL_HEARTH_SUBMIT = DRM_IOCTL_HEARTH(WR, SUBMIT, submit),
	DRM_IOCTL_HEARTH_QUERY_FAULT = DRM_IOCTL_HEARTH(WR, QUERY_FAULT, query_fault),
	DRM_IOCTL_HEARTH_BO_CREATE_FILE = DRM_IOCTL_HEARTH(WR, BO_CREATE_FILE, bo_create_file),
	DRM_IOCTL_HEARTH_BO_RESIZE = DRM_IOCTL_HEARTH(WR, BO_RESIZE, bo_resize),
	DRM_IOCTL_HEARTH_BO_ADVISE = DRM_IOCTL_HEARTH(WR, BO_ADVISE, bo_advise),
	DRM_IOCTL_HEARTH_MODEL_CREATE = DRM_IOCTL_HEARTH(WR, MODEL_CREATE, model_create),
	DRM_IOCTL_HEARTH_MODEL_DESTROY = DRM_IOCTL_HEARTH(WR, MODEL_DESTROY, model_destroy),
	DRM_IOCTL_HEARTH_MODEL_SET = DRM_IOCTL_HEARTH(WR, MODEL_SET, model_set),
	DRM_IOCTL_HEARTH_MODEL_GET = DRM_IOCTL_HEARTH(WR, MODEL_GET, model_get),
	DRM_IOCTL_HEARTH_MODEL_EVENTS = DRM_IOCTL_HEARTH(WR, MODEL_EVENTS, model_events),
	DRM_IOCTL_HEARTH_MODEL_DROP = DRM_IOCTL_HEARTH(WR, MODEL_DROP, model_drop),
	DRM_IOCTL_HEARTH_MODEL_LIST = DRM_IOCTL_HEARTH(WR, MODEL_LIST, model_list),
	DRM_IOCTL_HEARTH_ADMIT = DRM_IOCTL_HEARTH(WR, ADMIT, admit),
	DRM_IOCTL_HEARTH_RESERVE = DRM_IOCTL_HEARTH(WR, RESERVE, reserve),
};

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_HEARTH_ACCEL_H_ */
