/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the device keeps about memory: every buffer and address space, for the
 * removal of the device, debugfs and the search for leaks.
 */
#ifndef __HEARTH_MM_H__
#define __HEARTH_MM_H__

#include <linux/atomic.h>
#include <linux/idr.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct hearth_bo;
struct hearth_device;
struct seq_file;
struct vfsmount;
struct workqueue_struct;

/**
 * struct hearth_mm - memory of one device, embedded in struct hearth_device
 */
struct hearth_mm {
	/**
	 * @lock: Protects @bos, @vms, @gone. Taken with reservations held where a last
	 * reference goes, before hearth_vm.op_lock; no memory is allocated under it.
	 */
	struct mutex lock;

	/** @bos: Every &struct hearth_bo, imported ones included. */
	struct list_head bos;

	/** @bo_gone: A buffer left @bos, or a store has nothing left of the device. */
	wait_queue_head_t bo_gone;

	/** @vms: Every &struct hearth_vm. */
	struct list_head vms;

	/** @gone: hearth_mm_unplug() has begun. */
	bool gone;

	/** @ctx_ida: Context ids in use. Has its own lock. */
	struct ida ctx_ida;

	/** @stores_lock: Protects @stores, @store_id. */
	spinlock_t stores_lock;

	/** @stores: Every &struct hearth_store. */
	struct list_head stores;

	/** @store_id: Number of the last one. */
	u64 store_id;

	/** @nr_stores: Entries of @stores. */
	atomic_t nr_stores;

	/** @nr_extents: Extents whose pages are held. */
	atomic_t nr_extents;

	/** @nr_leaves: Page tables of extents; part of @nr_tables. */
	atomic_t nr_leaves;

	/** @nr_bos: Entries of @bos. */
	atomic_t nr_bos;

	/** @nr_vms: Entries of @vms. */
	atomic_t nr_vms;

	/** @nr_tables: Page tables allocated. */
	atomic_t nr_tables;

	/** @huge: Where the memory of states comes from; NULL: where that of all others does. */
	struct vfsmount *huge;
};

/*
 * Binds run on hearth_bind_wq, in the path that signals fences. What may wait
 * for reservations and free memory runs on hearth_free_wq. Both belong to the
 * module: a device's last reference may go in work on one of them.
 */
extern struct workqueue_struct *hearth_bind_wq;
extern struct workqueue_struct *hearth_free_wq;

int hearth_mm_module_init(void);
void hearth_mm_module_exit(void);

int hearth_mm_init(struct hearth_device *hdev);
void hearth_mm_add_bo(struct hearth_mm *mm, struct hearth_bo *bo);
void hearth_mm_del_bo(struct hearth_mm *mm, struct hearth_bo *bo);
void hearth_mm_unplug(struct hearth_device *hdev);
void hearth_mm_flush(struct hearth_device *hdev);
void hearth_debugfs_gems(struct seq_file *m, struct hearth_device *hdev);

#endif /* __HEARTH_MM_H__ */
