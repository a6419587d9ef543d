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
 * the first one is done.
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
};

/**
 * struct drm_hearth_bo_create - arguments of DRM_IOCTL_HEARTH_BO_CREATE
 *
 * The buffer is zeroed, private to the client until it is exported, and its
 * pages are allocated when it is first mapped, on either side.
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
 * jobs of the array are queued or none.
 *
 * A job that fails signals its fence with an error (see sync_file's status
 * or the error of a wait): -ETIMEDOUT no progress or too long, -EFAULT MMU
 * fault, -EINVAL malformed command stream, -ENOMEM an operand is too large
 * for the firmware, -ECANCELED its queue was destroyed or an earlier job of
 * the queue failed, -EIO firmware died, -ENODEV the device is gone. After any
 * error the queue takes no more jobs (-ECANCELED), with one exception: -EIO
 * with DRM_HEARTH_FAULT_INNOCENT. The job in execution was lost in a reset
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
};

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_HEARTH_ACCEL_H_ */
