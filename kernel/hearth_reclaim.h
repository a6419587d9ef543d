/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Making room: who goes when the system, the budget or a user's quota is full.
 */
#ifndef __HEARTH_RECLAIM_H__
#define __HEARTH_RECLAIM_H__

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/types.h>

#include "hearth_verdict.h"

/* Others may take what was freed for us; but not for ever. */
#define HEARTH_CHARGE_ROUNDS	16

struct drm_device;
struct drm_file;
struct hearth_account;
struct hearth_charge;
struct hearth_chooser;
struct hearth_device;
struct hearth_lack;
struct hearth_reservation;
struct hearth_store;
struct seq_file;
struct shrinker;

/**
 * struct hearth_reclaim - embedded in struct hearth_device
 */
struct hearth_reclaim {
	/** @shrinker: Asked by the system's reclaim. */
	struct shrinker *shrinker;

	/** @oom: Asked before somebody is killed. */
	struct notifier_block oom;

	/**
	 * @lock: One walk at a time. Ahead of what hearth_store_evict() takes; no
	 * memory is allocated under it.
	 */
	struct mutex lock;

	/** @walk: Number of the last walk; @lock. */
	u64 walk;

	/** @restored_bytes: Read back so far, by all stores. */
	atomic64_t restored_bytes;

	/** @restored_ns: Time that took. */
	atomic64_t restored_ns;
};

int hearth_budget_init_device(struct hearth_device *hdev);
int hearth_reclaim_start(struct hearth_device *hdev);
/* Nobody asks any more. Before stores go with their device. */
void hearth_reclaim_stop(struct hearth_device *hdev);

/*
 * Charges @bytes, and drops others for it as far as a load of @class may.
 * -EDQUOT. May sleep; takes hearth_reclaim.lock.
 */
int hearth_budget_charge(struct hearth_device *hdev, struct hearth_charge *charge, u64 bytes,
			 u32 class);
void hearth_budget_uncharge(struct hearth_device *hdev, struct hearth_charge *charge, u64 bytes);
/* Drops for @charge, or a reservation of @account; pages, 0 if nothing could go. */
u64 hearth_reclaim_for(struct hearth_device *hdev, struct hearth_charge *charge,
		       struct hearth_account *account, const struct hearth_lack *lack, u32 class);
/* Drops a block of the region, of others, for @store; pages, 0 if nothing could go. */
u64 hearth_reclaim_region(struct hearth_store *store);
/* Drops an extent that @chooser lets go: for @store and of others, or NULL. Could one go? */
bool hearth_reclaim_chosen(struct hearth_device *hdev, struct hearth_store *store,
			   struct hearth_chooser *chooser);
/* A charge for extents of a store, by the class of its models. */
int hearth_store_charge(struct hearth_device *hdev, struct hearth_store *store, u64 bytes);
/* Drops until the budget is kept again, after it was made smaller. */
void hearth_budget_enforce(struct hearth_device *hdev);

/* A store was read back. */
void hearth_reclaim_restored(struct hearth_device *hdev, u64 bytes, u64 ns);

/* hearth_supply_could_give(), for a restore of @store. Takes hearth_reclaim.lock. */
bool hearth_reclaim_could_give(struct hearth_store *store, u64 bytes);

/* What there is now, for a load by @account; @except is what it loads, or NULL. */
void hearth_supply_read(struct hearth_device *hdev, struct hearth_account *account,
			struct hearth_store *except, struct hearth_supply *supply);
/* Sees anew what each store could drop; for hearth_keep_score(), hearth_keep_idle_ns(). */
void hearth_reclaim_refresh(struct hearth_device *hdev);
void hearth_query_memory(struct hearth_device *hdev, struct hearth_account *account,
			 struct drm_hearth_memory *memory);

/* Who has the highest of its class goes first; as of the last look. */
u64 hearth_keep_score(struct hearth_store *store);

void hearth_debugfs_budget(struct seq_file *m, struct hearth_device *hdev);

/* hearth_admit.c, hearth_reserve.c */
int hearth_ioctl_admit(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_reserve(struct drm_device *drm, void *data, struct drm_file *file);
void hearth_admit_judge(struct hearth_device *hdev, struct hearth_account *account,
			const struct hearth_demand *demand, struct hearth_store *except,
			struct hearth_judgement *judgement);
/* Borrowed; ERR_PTR(-EBADF), or -EINVAL for a file that is none of @hdev. */
struct hearth_reservation *hearth_reservation_from_fd(struct hearth_device *hdev, int fd);

#endif /* __HEARTH_RECLAIM_H__ */
