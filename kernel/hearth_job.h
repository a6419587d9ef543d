/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_JOB_H__
#define __HEARTH_JOB_H__

#include <linux/list.h>
#include <linux/sizes.h>
#include <linux/types.h>

#include <drm/gpu_scheduler.h>

struct dma_fence;
struct drm_device;
struct drm_file;
struct hearth_queue;

#define HEARTH_MAX_JOBS		64		/* of one submit */
#define HEARTH_MAX_STREAM	SZ_64M		/* bytes of a command stream */

/**
 * struct hearth_job - one job
 */
struct hearth_job {
	/** @base: The scheduler's part. */
	struct drm_sched_job base;

	/** @queue: Its queue. */
	struct hearth_queue *queue;

	/** @fence: Signals when the hardware is done with it. Made beforehand. */
	struct dma_fence *fence;

	/** @node: In hearth_queue.pending or .running. */
	struct list_head node;

	/** @seqno: Sequence number, the job's number in the queue + 1. */
	u64 seqno;

	/** @stream_va: Command stream. */
	u64 stream_va;

	/** @stream_bytes: Its size. */
	u32 stream_bytes;

	/** @armed: The fence was initialized, the scheduler owns the job. */
	bool armed;

	/** @active: Counted in hearth_vm.nr_active. */
	bool active;

	/** @charged: Counted in hearth_vm.nr_jobs. */
	bool charged;

	/** @error: It cannot run. Set by the scheduler's work, ahead of running it. */
	int error;

	/** @restore: Restore that it waited for last, or NULL. */
	struct dma_fence *restore;
};

static inline struct hearth_job *to_hearth_job(struct drm_sched_job *job)
{
	return container_of(job, struct hearth_job, base);
}

extern const struct drm_sched_backend_ops hearth_sched_ops;

struct hearth_job *hearth_job_create(struct hearth_queue *queue, struct drm_file *file);
void hearth_job_destroy(struct hearth_job *job);

/* Numbers the job; with the reservation of its address space held until the push. */
void hearth_job_arm(struct hearth_job *job);

/*
 * Signals the fence of a job that is on no list any more. The job may be gone
 * when this returns.
 */
void hearth_job_finish(struct hearth_job *job, int error);

int hearth_ioctl_submit(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_JOB_H__ */
