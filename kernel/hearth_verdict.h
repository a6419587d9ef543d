/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The judgements, as functions of numbers and of nothing else: would it fit,
 * and who goes first.
 */
#ifndef __HEARTH_VERDICT_H__
#define __HEARTH_VERDICT_H__

#include <linux/types.h>

#include <drm/hearth_accel.h>

#define HEARTH_CLASSES	(DRM_HEARTH_CLASS_PINNED + 1)

/**
 * struct hearth_demand - what ADMIT is asked for, and what of it is there
 */
struct hearth_demand {
	/** @weights: Bytes of weights. */
	u64 weights;
	/** @there: What of @weights is resident already, for whomever. */
	u64 there;
	/** @state: Bytes of state. */
	u64 state;
	/** @scratch: Bytes of scratch. */
	u64 scratch;
	/** @class: &enum drm_hearth_model_class. */
	u32 class;
};

/**
 * struct hearth_supply - what there is at one moment
 */
struct hearth_supply {
	/** @budget: Of the device. */
	u64 budget;
	/** @plain: Charged, and paid by no reservation. */
	u64 plain;
	/** @promised: To reservations. */
	u64 promised;
	/** @promised_used: Part of it that is charged. */
	u64 promised_used;
	/** @quota: Of the user. */
	u64 quota;
	/** @used: By the user. */
	u64 used;
	/** @droppable: By class: free for all if it was dropped. */
	u64 droppable[HEARTH_CLASSES];
	/** @own: By class: free in the user's quota if it was dropped. */
	u64 own[HEARTH_CLASSES];
	/** @physical: By class: free in the system if it was dropped. */
	u64 physical[HEARTH_CLASSES];
	/** @system: What the system can give now. */
	u64 system;
	/** @utmost: What it could with no reserve and no cache left, and others swapped out. */
	u64 utmost;
	/** @ram: What it has. */
	u64 ram;
	/** @region: Size of the region that weights live in, 0 if there is none. */
	u64 region;
	/** @region_free: What of it is free. */
	u64 region_free;
	/** @in_region: By class: free in the region, in whole blocks, if it was dropped. */
	u64 in_region[HEARTH_CLASSES];
	/** @va: Size of a device address space. */
	u64 va;
};

/**
 * struct hearth_judgement - the answer
 */
struct hearth_judgement {
	/** @needed: What of the demand is not there yet. */
	u64 needed;
	/** @available: What is free for it now. */
	u64 available;
	/** @after_drop: What would be after all that may be dropped for it was. */
	u64 after_drop;
	/** @limit_bytes: Value of @limit. */
	u64 limit_bytes;
	/** @verdict: &enum drm_hearth_verdict. */
	u32 verdict;
	/** @limit: &enum drm_hearth_admit_limit. */
	u32 limit;
};

void hearth_judge(const struct hearth_demand *demand, const struct hearth_supply *supply,
		  struct hearth_judgement *judgement);

/*
 * Could the system give @bytes to a restore, if its reclaim did all it may? What
 * is not known counts as a yes: so a yes may be wrong, a no is not.
 */
bool hearth_supply_could_give(const struct hearth_supply *supply, u64 bytes);

/* Why something is dropped. */
enum hearth_pressure {
	/* The system's reclaim wants pages. */
	HEARTH_PRESSURE_RECLAIM = BIT(0),
	/* The budget is full, and somebody loads. */
	HEARTH_PRESSURE_BUDGET = BIT(1),
	/* Else somebody would be killed. */
	HEARTH_PRESSURE_OOM = BIT(2),
};

/**
 * struct hearth_stage - a stage of dropping
 */
struct hearth_stage {
	/** @class: Effective class that may go. */
	u32 class;

	/** @when: Mask of &enum hearth_pressure. */
	unsigned int when;
};

#define HEARTH_STAGES	3

/* From the first to the last that goes. Nothing else is ever dropped. */
extern const struct hearth_stage hearth_stages[HEARTH_STAGES];

/* The dearest class that a load of @class may drop. */
u32 hearth_class_may_drop(u32 class);

/* The class of a model whose users are all in the background or not, and so on. */
u32 hearth_class_effective(u32 class, bool background, bool expired);

/**
 * struct hearth_totals - what the weights of a model add up to, in bytes
 */
struct hearth_totals {
	/** @all: In all. */
	u64 all;
	/** @resident: In memory. */
	u64 resident;
	/** @restoring: Some are being read. */
	bool restoring;
	/** @stale: Some file has changed. */
	bool stale;
};

/* &enum drm_hearth_model_state. */
u32 hearth_totals_state(const struct hearth_totals *totals);

/**
 * struct hearth_victim - who could go
 */
struct hearth_victim {
	/** @bytes: What would be free. */
	u64 bytes;
	/** @restored_bytes: Read back so far, of it or of all on the device. */
	u64 restored_bytes;
	/** @restored_ns: Time that took. */
	u64 restored_ns;
	/** @idle_ns: Time since its last job. */
	u64 idle_ns;
};

/* Time to read @bytes, from history. */
u64 hearth_restore_ns(u64 bytes, u64 restored_bytes, u64 restored_ns);

/*
 * Bytes against what it costs to have them back, and how likely that is. Never
 * zero if there are bytes.
 */
u64 hearth_victim_score(const struct hearth_victim *victim);

#endif /* __HEARTH_VERDICT_H__ */
