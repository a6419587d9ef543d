/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Models: groups of buffers that are kept and dropped together.
 *
 * Order of locks: hearth_reclaim.lock, hearth_store.lock, hearth_models.lock,
 * hearth_budget.lock. Under hearth_models.lock nothing of a store is called;
 * its counters are read as they are.
 */
#ifndef __HEARTH_MODEL_H__
#define __HEARTH_MODEL_H__

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/hearth_accel.h>

struct drm_device;
struct drm_file;
struct hearth_account;
struct hearth_bo;
struct hearth_device;
struct hearth_file;
struct hearth_store;
struct pid;
struct seq_file;

#define HEARTH_MAX_MODELS	64	/* of one client */
#define HEARTH_MAX_MODEL_BOS	256	/* of one model */

/* Whoever is above this is in the background: Android's PERCEPTIBLE_APP_ADJ. */
#define HEARTH_BACKGROUND_ADJ	200

/**
 * struct hearth_models - models of one device, embedded in struct hearth_device
 */
struct hearth_models {
	/**
	 * @lock: Protects @all, @count, @serial, hearth_keep.models and what
	 * struct hearth_model says. Taken in reclaim and where fences are
	 * signalled.
	 */
	spinlock_t lock;

	/** @all: Every model that has an id. */
	struct list_head all;

	/** @count: Entries of @all. */
	unsigned int count;

	/** @serial: Of the last model. */
	u64 serial;
};

/**
 * struct hearth_model_bo - a model over a buffer
 */
struct hearth_model_bo {
	/** @model: The model. */
	struct hearth_model *model;

	/** @bo: The buffer; holds it. */
	struct hearth_bo *bo;

	/** @store: Its store; NULL if an earlier buffer of the model has it too. */
	struct hearth_store *store;

	/** @node: Entry in hearth_keep.models of its store; hearth_models.lock. */
	struct list_head node;
};

/**
 * struct hearth_model - a model
 */
struct hearth_model {
	/** @refs: Its id, and calls on it. */
	struct kref refs;

	/** @hdev: Device; holds it. */
	struct hearth_device *hdev;

	/** @node: Entry in hearth_models.all; hearth_models.lock. */
	struct list_head node;

	/** @account: Of the user who made it; holds it. Immutable. */
	struct hearth_account *account;

	/** @pid: Process that made it. Immutable. */
	struct pid *pid;

	/** @file: Client, until @gone; hearth_models.lock. */
	struct drm_file *file;

	/** @serial: Number on this device. Immutable. */
	u64 serial;

	/** @class: As set; hearth_models.lock. */
	u32 class;

	/** @keep_alive_ns: As set; hearth_models.lock. */
	s64 keep_alive_ns;

	/** @expired: Idle for longer than that, or dropped on demand; hearth_models.lock. */
	bool expired;

	/** @gone: Has no id any more; hearth_models.lock. */
	bool gone;

	/** @pinned: Charged to the pinned quota; hearth_models.lock. */
	u64 pinned;

	/** @expire: Gives up the weights. */
	struct delayed_work expire;

	/** @watches: &struct hearth_model_watch; hearth_models.lock. */
	struct list_head watches;

	/** @bytes: Size of all buffers that are not the same. Immutable. */
	u64 bytes;

	/** @name: For lists. Immutable. */
	char name[DRM_HEARTH_NAME_BYTES];

	/** @num_bos: Entries of @bos. */
	u32 num_bos;

	/** @bos: Buffers, each once. */
	struct hearth_model_bo bos[] __counted_by(num_bos);
};

void hearth_models_init(struct hearth_models *models);
void hearth_model_file_close(struct hearth_file *hfile);

struct hearth_model *hearth_model_lookup(struct hearth_file *hfile, u32 id);
void hearth_model_put(struct hearth_model *model);

/* From the store. Any context that may take hearth_models.lock. */
void hearth_model_store_event(struct hearth_store *store, u32 events);
void hearth_model_store_used(struct hearth_store *store);
/* How dearly it is kept; droppable if no model is over it. */
u32 hearth_model_store_class(struct hearth_store *store);
/* What it may drop to come back: as if no keep-alive had expired. */
u32 hearth_model_store_wants(struct hearth_store *store);

/* Is the client's process in the background? */
bool hearth_file_in_background(struct drm_file *file);

u32 hearth_model_effective_locked(const struct hearth_model *model);
u32 hearth_model_state_locked(const struct hearth_model *model);
void hearth_model_info_locked(const struct hearth_model *model,
			      struct drm_hearth_model_info *info);
/* Hides what another user shall not see. */
void hearth_model_info_mask(struct drm_hearth_model_info *info, bool all);
bool hearth_model_info_all(void);
/* Copies @count infos to a user's array of at most array->count; sets that. */
int hearth_model_infos_copy(struct drm_hearth_array *array,
			    const struct drm_hearth_model_info *infos, u32 count);

/* hearth_model_event.c */
int hearth_model_watch(struct hearth_model *model);
void hearth_model_notify_locked(struct hearth_model *model, u32 events);
void hearth_model_hangup_locked(struct hearth_model *model);

void hearth_debugfs_models(struct seq_file *m, struct hearth_device *hdev);

int hearth_ioctl_model_create(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_destroy(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_set(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_get(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_events(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_drop(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_model_list(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_MODEL_H__ */
