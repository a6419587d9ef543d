/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the driver is built for. Features are
 * probed in the headers by Kbuild; nothing else in the driver asks. In the
 * kernel's tree this file is not needed.
 */
#ifndef __HEARTH_COMPAT_H__
#define __HEARTH_COMPAT_H__

#include <linux/dma-fence.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/mutex.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

#ifdef HEARTH_HAVE_SCHED_INIT_ARGS
#define hearth_sched_init drm_sched_init
#else
struct drm_sched_init_args {
	const struct drm_sched_backend_ops *ops;
	struct workqueue_struct *submit_wq;
	struct workqueue_struct *timeout_wq;
	u32 num_rqs;
	u32 credit_limit;
	unsigned int hang_limit;
	long timeout;
	atomic_t *score;
	const char *name;
	struct device *dev;
};

static inline int hearth_sched_init(struct drm_gpu_scheduler *sched,
				    const struct drm_sched_init_args *args)
{
	return drm_sched_init(sched, args->ops, args->submit_wq, args->num_rqs,
			      args->credit_limit, args->hang_limit, args->timeout,
			      args->timeout_wq, args->score, args->name, args->dev);
}
#endif

#ifdef HEARTH_HAVE_SCHED_CLIENT_ID
#define hearth_sched_job_init drm_sched_job_init
#else
static inline int hearth_sched_job_init(struct drm_sched_job *job,
					struct drm_sched_entity *entity, u32 credits,
					void *owner, u64 client_id)
{
	return drm_sched_job_init(job, entity, credits, owner);
}
#endif

/* Where it is gone, every GEM object has its list of mappings. */
#ifdef HEARTH_HAVE_DRIVER_GEM_GPUVA
#define HEARTH_DRIVER_GEM_GPUVA DRIVER_GEM_GPUVA
#else
#define HEARTH_DRIVER_GEM_GPUVA 0
#endif

/* Where it is absent, what is active is always told. */
#ifdef HEARTH_HAVE_GEM_OBJECT_ACTIVE
#define HEARTH_GEM_OBJECT_ACTIVE DRM_GEM_OBJECT_ACTIVE
#else
#define HEARTH_GEM_OBJECT_ACTIVE 0
#endif

#ifdef HEARTH_HAVE_SCHED_STAT_RESET
#define HEARTH_SCHED_STAT_RESET DRM_GPU_SCHED_STAT_RESET
#else
#define HEARTH_SCHED_STAT_RESET DRM_GPU_SCHED_STAT_NOMINAL
#endif

/* Binds change lists of mappings where fences are signalled: not under reservations. */
#ifdef HEARTH_HAVE_GPUVM_IMMEDIATE
#define HEARTH_GPUVM_FLAGS (DRM_GPUVM_RESV_PROTECTED | DRM_GPUVM_IMMEDIATE_MODE)
static inline struct mutex *hearth_gem_gpuva_lock(struct drm_gem_object *obj, struct mutex *own)
{
	return &obj->gpuva.lock;
}

static inline void hearth_gem_gpuva_set_lock(struct drm_gem_object *obj, struct mutex *lock)
{
}
#else
#define HEARTH_GPUVM_FLAGS DRM_GPUVM_RESV_PROTECTED
static inline struct mutex *hearth_gem_gpuva_lock(struct drm_gem_object *obj, struct mutex *own)
{
	return own;
}

#define hearth_gem_gpuva_set_lock(obj, lock) drm_gem_gpuva_set_lock(obj, lock)
#endif

static inline int hearth_gpuvm_sm_map(struct drm_gpuvm *gpuvm, void *priv, u64 addr,
				      u64 range, struct drm_gem_object *obj, u64 offset)
{
#ifdef HEARTH_HAVE_GPUVM_MAP_REQ
	const struct drm_gpuvm_map_req req = {
		.map = {
			.va = { .addr = addr, .range = range },
			.gem = { .obj = obj, .offset = offset },
		},
	};

	return drm_gpuvm_sm_map(gpuvm, priv, &req);
#else
	return drm_gpuvm_sm_map(gpuvm, priv, addr, range, obj, offset);
#endif
}

/* @lock, of the list of mappings: where DRM takes it itself, it may not be held. */
static inline struct drm_gpuvm_bo *hearth_gpuvm_bo_obtain(struct drm_gpuvm_bo *fresh,
							  struct mutex *lock)
{
#ifdef HEARTH_HAVE_GPUVM_OBTAIN_LOCKS
	return drm_gpuvm_bo_obtain_prealloc(fresh);
#else
	struct drm_gpuvm_bo *vm_bo;

	mutex_lock(lock);
	vm_bo = drm_gpuvm_bo_obtain_prealloc(fresh);
	mutex_unlock(lock);
	return vm_bo;
#endif
}

/* The new name is of the time when a file may have another kind of mmap as well. */
#ifdef HEARTH_HAVE_VFS_MMAP
#define hearth_vfs_mmap vfs_mmap
#else
#define hearth_vfs_mmap call_mmap
#endif

#ifdef HEARTH_HAVE_VMA_IS_COW_MAPPING
#define hearth_vma_is_cow_mapping vma_is_cow_mapping
#else
#define hearth_vma_is_cow_mapping(vma) is_cow_mapping((vma)->vm_flags)
#endif

#ifdef HEARTH_HAVE_SHMEM_VMA_FLAGS
#define HEARTH_SHMEM_NORESERVE mk_vma_flags(VMA_NORESERVE_BIT)
#else
#define HEARTH_SHMEM_NORESERVE VM_NORESERVE
#endif

/* Newer kernels want the fence to bring its own lock: NULL. */
#ifdef HEARTH_HAVE_FENCE_INLINE_LOCK
static inline spinlock_t *hearth_fence_lock(spinlock_t *lock)
{
	return NULL;
}
#else
static inline spinlock_t *hearth_fence_lock(spinlock_t *lock)
{
	return lock;
}
#endif

/*
 * Tells user space that only a rebind brings the device back. Where there is
 * a drm_dev_wedged_event(), it sends from the primary node: a device of accel
 * has none.
 */
static inline void hearth_wedged_event(struct drm_device *drm)
{
	static const char wedged[] = "WEDGED=rebind";
	struct drm_minor *minor = drm->accel ?: drm->primary;
	char *env[2] = { (char *)wedged, NULL };

	kobject_uevent_env(&minor->kdev->kobj, KOBJ_CHANGE, env);
}

#endif /* __HEARTH_COMPAT_H__ */
