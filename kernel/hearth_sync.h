/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Syncobjs of one job or bind: looked up and allocated for before the job is
 * armed, so that signalling them cannot fail.
 */
#ifndef __HEARTH_SYNC_H__
#define __HEARTH_SYNC_H__

#include <linux/types.h>

struct dma_fence;
struct drm_file;
struct drm_hearth_array;
struct drm_hearth_sync;
struct drm_sched_job;
struct hearth_sync_out;

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

int hearth_syncs_init(struct hearth_syncs *s, struct drm_file *file,
		      const struct drm_hearth_array *array);
int hearth_syncs_add_deps(struct hearth_syncs *s, struct drm_sched_job *job,
			  struct drm_file *file);
bool hearth_syncs_signals(const struct hearth_syncs *s, u32 handle, u64 point);
void hearth_syncs_signal(struct hearth_syncs *s, struct dma_fence *fence);
void hearth_syncs_fini(struct hearth_syncs *s);

#endif /* __HEARTH_SYNC_H__ */
