/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the device has of models, as cgroups count device memory (dmem): where the
 * kernel does so, and its regions can be asked to make room.
 *
 * dmem charges the cgroup of the process that asks and of nobody else, and extents
 * are read by a work. So they are charged before, by the ioctl after which they may
 * be read, and keep the charge while they are resident, wanted, or may be wanted by
 * a job that was submitted, or by another device.
 */
#ifndef __HEARTH_DMEM_H__
#define __HEARTH_DMEM_H__

#include <linux/types.h>

struct dmem_cgroup_pool_state;
struct hearth_device;
struct hearth_store;
struct hearth_vm;

#ifdef HEARTH_HAVE_CGROUP_DMEM
int hearth_dmem_init(struct hearth_device *hdev);

/*
 * The cgroup of the caller pays for what nobody pays yet: of a range, of all that an
 * address space maps. Drops others in the cgroup whose limit binds; -EDQUOT, -ENOMEM,
 * -ENODEV. Sleeps; takes hearth_reclaim.lock.
 */
int hearth_dmem_charge(struct hearth_store *store, u32 first, u32 count);
int hearth_dmem_charge_vm(struct hearth_vm *vm);
/* One, by whoever restores it: what is resident is charged in any case. */
int hearth_dmem_charge_extent(struct hearth_store *store, u32 index);
/* A bind, after it was added to the mappings: jobs that were submitted want it too. */
int hearth_dmem_charge_bind(struct hearth_vm *vm);

/* An extent was dropped, or not restored: gives back what need not be kept. */
void hearth_dmem_settle_locked(struct hearth_store *store, u32 index);
/* The same of all. Any context that may take spinlocks. */
void hearth_dmem_settle(struct hearth_store *store);
/* Nothing of it is wanted any more. */
void hearth_dmem_uncharge(struct hearth_store *store);

/* From a submit until the job's end. */
void hearth_dmem_job_begin(struct hearth_vm *vm);
void hearth_dmem_job_end(struct hearth_vm *vm);
/* A job that was submitted may want it, or it is pinned: no drop would give anything back. */
bool hearth_dmem_is_held_locked(struct hearth_store *store);
#else
static inline int hearth_dmem_init(struct hearth_device *hdev)
{
	return 0;
}

static inline int hearth_dmem_charge(struct hearth_store *store, u32 first, u32 count)
{
	return 0;
}

static inline int hearth_dmem_charge_vm(struct hearth_vm *vm)
{
	return 0;
}

static inline int hearth_dmem_charge_extent(struct hearth_store *store, u32 index)
{
	return 0;
}

static inline int hearth_dmem_charge_bind(struct hearth_vm *vm)
{
	return 0;
}

static inline void hearth_dmem_settle_locked(struct hearth_store *store, u32 index)
{
}

static inline void hearth_dmem_settle(struct hearth_store *store)
{
}

static inline void hearth_dmem_uncharge(struct hearth_store *store)
{
}

static inline void hearth_dmem_job_begin(struct hearth_vm *vm)
{
}

static inline void hearth_dmem_job_end(struct hearth_vm *vm)
{
}

static inline bool hearth_dmem_is_held_locked(struct hearth_store *store)
{
	return false;
}
#endif

#endif /* __HEARTH_DMEM_H__ */
