/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Syncobjs of one job or bind: looked up and allocated for before the job is
 * armed, so that signalling them cannot fail.
 */
#ifndef __HEARTH_SYNC_H__
#define __HEARTH_SYNC_H__

#include <linux/types.h>
#include <linux/xarray.h>

struct dma_fence;
struct drm_file;
struct drm_hearth_array;
struct drm_hearth_sync;
struct drm_sched_job;
struct hearth_sync_out;

#define HEARTH_MAX_SYNCS	32	/* of one job or bind */

/**
 * struct hearth_syncs - what one job waits for and signals
 */
struct hearth_syncs {
	/** @syncs: The user's array, checked. */
	struct drm_hearth_sync *syncs;

	/** @out: One for each entry of @syncs, filled if it signals. */
	struct hearth_sync_out *out;

	/** @count: Entries of @syncs. */
	u32 count;
};

/**
 * struct hearth_sync_batch - what the jobs of one ioctl signal, so far
 *
 * They run in order, so a job need not wait for what an earlier one of them
 * signals; and it could not, as nothing is published before all are queued.
 */
struct hearth_sync_batch {
	/** @signals: Signal entry with the highest point, by handle. */
	struct xarray signals;
};

void hearth_sync_batch_init(struct hearth_sync_batch *batch);
void hearth_sync_batch_fini(struct hearth_sync_batch *batch);

/*
 * In this order; all but the last two may fail. The entries of a batch must
 * outlive it.
 */
int hearth_syncs_init(struct hearth_syncs *s, struct drm_file *file,
		      const struct drm_hearth_array *array);
int hearth_syncs_add_deps(struct hearth_syncs *s, struct drm_sched_job *job,
			  struct drm_file *file, struct hearth_sync_batch *batch);
void hearth_syncs_signal(struct hearth_syncs *s, struct dma_fence *fence);
void hearth_syncs_fini(struct hearth_syncs *s);

#endif /* __HEARTH_SYNC_H__ */
