/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_FENCE_H__
#define __HEARTH_FENCE_H__

#include <linux/types.h>

struct dma_fence;

/*
 * Fences that user space gets to see. The finished fence of drm_sched is not
 * handed out: it reads the scheduler's name, and a scheduler of ours goes with
 * its queue while a sync_file may stay.
 *
 * Allocated early, initialized when the job is armed. One that was never
 * initialized is freed with hearth_fence_free(), else with dma_fence_put().
 */
struct dma_fence *hearth_fence_alloc(void);
void hearth_fence_init(struct dma_fence *fence, u64 context, u64 seqno);
void hearth_fence_free(struct dma_fence *fence);

#endif /* __HEARTH_FENCE_H__ */
