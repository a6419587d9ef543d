/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a store is to those who decide whether it is kept: its price, and the
 * models over it.
 */
#ifndef __HEARTH_KEEP_H__
#define __HEARTH_KEEP_H__

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/types.h>

#include "hearth_budget.h"

struct hearth_store;

/**
 * struct hearth_keep - embedded in struct hearth_store
 */
struct hearth_keep {
	/**
	 * @charge: What its resident extents cost, and who pays. Nobody before
	 * the first buffer.
	 */
	struct hearth_charge charge;

	/** @nr_bos: Buffers over it, of all clients. */
	atomic_t nr_bos;

	/** @models: &struct hearth_model_bo, one for each model; hearth_models.lock. */
	struct list_head models;

	/** @walk: Last walk that could take nothing here; hearth_reclaim.lock. */
	u64 walk;

	/** @droppable: Bytes, as the last walk saw them; hearth_reclaim.lock. */
	u64 droppable;
};

static inline void hearth_keep_init(struct hearth_keep *keep)
{
	INIT_LIST_HEAD(&keep->models);
}

static inline void hearth_keep_fini(struct hearth_keep *keep)
{
	WARN_ON(!list_empty(&keep->models));
	hearth_charge_fini(&keep->charge);
}

/* Without a lock: numbers of about now. */
bool hearth_keep_is_file(const struct hearth_store *store);
u64 hearth_keep_resident(const struct hearth_store *store);
u64 hearth_keep_idle_ns(const struct hearth_store *store);

#endif /* __HEARTH_KEEP_H__ */
