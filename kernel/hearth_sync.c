// SPDX-License-Identifier: GPL-2.0
/*
 * Syncobjs: fences in, fences out.
 */
#include <linux/dma-fence-chain.h>
#include <linux/errno.h>
#include <linux/slab.h>

#include <drm/drm_syncobj.h>
#include <drm/gpu_scheduler.h>
#include <drm/hearth_accel.h>

#include "hearth_device.h"
#include "hearth_sync.h"
#include "hearth_uobj.h"

/* What it takes to signal one point. */
struct hearth_sync_out {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
};

void hearth_sync_batch_init(struct hearth_sync_batch *batch)
{
	xa_init(&batch->signals);
}

void hearth_sync_batch_fini(struct hearth_sync_batch *batch)
{
	xa_destroy(&batch->signals);
}

static int hearth_sync_out_init(struct hearth_sync_out *out, struct drm_file *file,
				const struct drm_hearth_sync *sync)
{
	out->syncobj = drm_syncobj_find(file, sync->handle);
	if (!out->syncobj)
		return -ENOENT;

	if (sync->point) {
		out->chain = dma_fence_chain_alloc();
		if (!out->chain)
			return -ENOMEM;
	}
	return 0;
}

static int hearth_sync_check(const struct drm_hearth_sync *sync)
{
	if (sync->flags != DRM_HEARTH_SYNC_WAIT && sync->flags != DRM_HEARTH_SYNC_SIGNAL)
		return -EINVAL;
	return 0;
}

/* Copies, checks and allocates; after an error nothing is left to free. */
int hearth_syncs_init(struct hearth_syncs *s, struct drm_file *file,
		      const struct drm_hearth_array *array)
{
	int ret = 0;
	u32 i;

	memset(s, 0, sizeof(*s));
	s->syncs = hearth_array_copy_in(array, sizeof(*s->syncs), sizeof(*s->syncs),
					HEARTH_MAX_SYNCS);
	if (IS_ERR(s->syncs)) {
		ret = PTR_ERR(s->syncs);
		s->syncs = NULL;
		return ret;
	}
	if (!s->syncs)
		return 0;

	s->out = kcalloc(array->count, sizeof(*s->out), GFP_KERNEL);
	if (!s->out)
		ret = -ENOMEM;
	else
		s->count = array->count;

	for (i = 0; i < s->count && !ret; i++) {
		ret = hearth_sync_check(&s->syncs[i]);
		if (!ret && s->syncs[i].flags == DRM_HEARTH_SYNC_SIGNAL)
			ret = hearth_sync_out_init(&s->out[i], file, &s->syncs[i]);
	}

	if (ret)
		hearth_syncs_fini(s);
	return ret;
}

static bool hearth_sync_in_batch(struct hearth_sync_batch *batch,
				 const struct drm_hearth_sync *wait)
{
	const struct drm_hearth_sync *signal = xa_load(&batch->signals, wait->handle);

	return signal && signal->point >= wait->point;
}

static int hearth_sync_batch_add(struct hearth_sync_batch *batch, struct drm_hearth_sync *signal)
{
	if (hearth_sync_in_batch(batch, signal))
		return 0;
	return xa_err(xa_store(&batch->signals, signal->handle, signal, GFP_KERNEL));
}

static int hearth_sync_wait(const struct drm_hearth_sync *sync, struct drm_sched_job *job,
			    struct drm_file *file)
{
	struct dma_fence *fence;
	int ret;

	ret = drm_syncobj_find_fence(file, sync->handle, sync->point, 0, &fence);
	if (ret)
		return ret;
	return drm_sched_job_add_dependency(job, fence);
}

int hearth_syncs_add_deps(struct hearth_syncs *s, struct drm_sched_job *job,
			  struct drm_file *file, struct hearth_sync_batch *batch)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < s->count && !ret; i++) {
		if (s->syncs[i].flags == DRM_HEARTH_SYNC_WAIT &&
		    !hearth_sync_in_batch(batch, &s->syncs[i]))
			ret = hearth_sync_wait(&s->syncs[i], job, file);
	}
	for (i = 0; i < s->count && !ret; i++) {
		if (s->syncs[i].flags == DRM_HEARTH_SYNC_SIGNAL)
			ret = hearth_sync_batch_add(batch, &s->syncs[i]);
	}
	return ret;
}

/* Publishes @fence in all that is to be signalled. Once. */
void hearth_syncs_signal(struct hearth_syncs *s, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < s->count; i++) {
		struct hearth_sync_out *out = &s->out[i];

		if (!out->syncobj)
			continue;
		if (out->chain)
			drm_syncobj_add_point(out->syncobj, out->chain, fence,
					      s->syncs[i].point);
		else
			drm_syncobj_replace_fence(out->syncobj, fence);
		out->chain = NULL;
	}
}

void hearth_syncs_fini(struct hearth_syncs *s)
{
	u32 i;

	for (i = 0; i < s->count; i++) {
		dma_fence_chain_free(s->out[i].chain);
		if (s->out[i].syncobj)
			drm_syncobj_put(s->out[i].syncobj);
	}
	kfree(s->out);
	kvfree(s->syncs);
	memset(s, 0, sizeof(*s));
}
