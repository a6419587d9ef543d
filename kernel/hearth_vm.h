/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces.
 *
 * Order of locks, outermost first:
 *
 *	reservations (drm_exec)		of the address space, then of its buffers
 *	hearth_mm.lock
 *	hearth_bo.lock			pages are allocated under it
 *	hearth_vm.op_lock		fences are signalled under it: no allocation
 *	hearth_bo.gpuva_lock
 *	the firmware's admin ring
 */
#ifndef __HEARTH_VM_H__
#define __HEARTH_VM_H__

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_gpuvm.h>

#include "hearth_mmu.h"

struct dma_fence;
struct drm_device;
struct drm_exec;
struct drm_file;
struct drm_sched_job;
struct hearth_bind_op;
struct hearth_bind_queue;
struct hearth_client;
struct hearth_device;
struct hearth_file;

#define HEARTH_MAX_VMS		16	/* of one client */
#define HEARTH_MAX_BINDS	1024	/* of one DRM_IOCTL_HEARTH_VM_BIND */

/* Address 0 stays unmapped, so that a null pointer in a stream faults. */
#define HEARTH_VA_START		SZ_4K

/**
 * struct hearth_vms - address spaces of one open of the device
 */
struct hearth_vms {
	/** @xa: &struct hearth_vm by id, from 1. Has its own lock. */
	struct xarray xa;
};

/**
 * struct hearth_vm - address space
 */
struct hearth_vm {
	/**
	 * @base: Ranges and the buffers behind them. The tree is protected by
	 * @op_lock, the list of external objects by the reservation.
	 */
	struct drm_gpuvm base;

	/**
	 * @refs: Ids, queues, jobs and binds that hold the address space. @base
	 * counts by itself, but each mapping holds it: only when @refs is zero
	 * and all is unmapped does it go.
	 */
	struct kref refs;

	/** @hdev: Device. */
	struct hearth_device *hdev;

	/** @client: Whose it is, for what its jobs have read; with a reference. */
	struct hearth_client *client;

	/** @ctx: Context id in the firmware. Immutable. */
	u32 ctx;

	/** @pgd_dma: Bus address of the root of the tables. Immutable. */
	dma_addr_t pgd_dma;

	/** @unusable: A bind failed half-way, or the device is gone. */
	bool unusable;

	/** @nr_pending: Asynchronous binds that have not ended. */
	atomic_t nr_pending;

	/**
	 * @op_lock: Serializes changes to @base and @mmu. Taken in the path
	 * that signals fences: no memory is allocated and no reservation taken
	 * under it.
	 */
	struct mutex op_lock;

	/** @mmu: Page tables; @op_lock, see &struct hearth_mmu. */
	struct hearth_mmu mmu;

	/** @bindq_lock: Protects the making of @bindq. */
	struct mutex bindq_lock;

	/** @bindq: Scheduler of asynchronous binds, made by the first one. */
	struct hearth_bind_queue *bindq;

	/** @maps_lock: Protects @maps, @peers, @nr_maps. */
	spinlock_t maps_lock;

	/** @maps: Every &struct hearth_store_map, those of queued binds included. */
	struct list_head maps;

	/** @peers: Those of weights that another of our devices has. */
	struct list_head peers;

	/** @nr_maps: Entries of both. */
	unsigned int nr_maps;

	/** @nr_active: Jobs that may use what is mapped: not evicted. */
	atomic_t nr_active;

	/** @nr_jobs: Jobs that were submitted and have not ended; see hearth_dmem.h. */
	atomic_t nr_jobs;

	/** @node: Entry in hearth_mm.vms. */
	struct list_head node;

	/** @release_work: Frees it where reservations may be waited for. */
	struct work_struct release_work;
};

static inline struct hearth_vm *to_hearth_vm(struct drm_gpuvm *gpuvm)
{
	return container_of(gpuvm, struct hearth_vm, base);
}

void hearth_vm_file_open(struct hearth_file *hfile);
void hearth_vm_file_close(struct hearth_file *hfile);

struct hearth_vm *hearth_vm_lookup(struct hearth_file *hfile, u32 id);
struct hearth_vm *hearth_vm_get(struct hearth_vm *vm);
void hearth_vm_put(struct hearth_vm *vm);

bool hearth_vm_usable(struct hearth_vm *vm);
u64 hearth_vm_end(struct hearth_device *hdev);

static inline struct dma_resv *hearth_vm_resv(struct hearth_vm *vm)
{
	return drm_gpuvm_resv(&vm->base);
}

/*
 * A submit, in this order, with an exec that ignores duplicates:
 *
 *	drm_exec_until_all_locked(&exec) {
 *		ret = hearth_vm_lock(vm, &exec, number of jobs);
 *		drm_exec_retry_on_contention(&exec);
 *		...
 *	}
 *	for each job: hearth_vm_add_deps(vm, job), may fail
 *	for each job: arm, hearth_vm_add_fence(vm, &exec, finished), push
 */
int hearth_vm_lock(struct hearth_vm *vm, struct drm_exec *exec, unsigned int num_fences);
int hearth_vm_add_deps(struct hearth_vm *vm, struct drm_sched_job *job);
void hearth_vm_add_fence(struct hearth_vm *vm, struct drm_exec *exec, struct dma_fence *fence);

/*
 * From when its dependencies are met until its end a job keeps the stores of
 * its address space from being evicted.
 */
void hearth_vm_job_begin(struct hearth_vm *vm);
void hearth_vm_job_end(struct hearth_vm *vm);

/* Has a file changed that it maps? */
bool hearth_vm_is_stale(struct hearth_vm *vm);

void hearth_vm_unplug(struct hearth_vm *vm);

int hearth_ioctl_vm_create(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_vm_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_vm_bind(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_vm_get_state(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_VM_H__ */
