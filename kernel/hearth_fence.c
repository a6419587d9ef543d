// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "hearth_compat.h"
#include "hearth_fence.h"

struct hearth_fence {
	struct dma_fence base;
	spinlock_t lock;	/* of @base, where it does not bring its own */
};

static const char *hearth_fence_driver_name(struct dma_fence *fence)
{
	return "hearth";
}

static const char *hearth_fence_timeline_name(struct dma_fence *fence)
{
	return "hearth-queue";
}

static void hearth_fence_release(struct dma_fence *fence)
{
	kfree_rcu(container_of(fence, struct hearth_fence, base), base.rcu);
	module_put(THIS_MODULE);
}

static const struct dma_fence_ops hearth_fence_ops = {
	.get_driver_name = hearth_fence_driver_name,
	.get_timeline_name = hearth_fence_timeline_name,
	.release = hearth_fence_release,
};

struct dma_fence *hearth_fence_alloc(void)
{
	struct hearth_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);

	return fence ? &fence->base : NULL;
}

void hearth_fence_init(struct dma_fence *base, u64 context, u64 seqno)
{
	struct hearth_fence *fence = container_of(base, struct hearth_fence, base);

	/* A fence in a sync_file outlives the device, its operations may not go. */
	__module_get(THIS_MODULE);
	spin_lock_init(&fence->lock);
	dma_fence_init(base, &hearth_fence_ops, hearth_fence_lock(&fence->lock), context,
		       seqno);
}

void hearth_fence_free(struct dma_fence *base)
{
	kfree(base ? container_of(base, struct hearth_fence, base) : NULL);
}
