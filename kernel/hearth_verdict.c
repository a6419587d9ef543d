// SPDX-License-Identifier: GPL-2.0
#include <linux/bits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sizes.h>
#include <linux/time64.h>

#include "hearth_budget.h"
#include "hearth_verdict.h"

/* What a restore costs before its first byte: a fence, a worker, a queue of the disk. */
#define HEARTH_RESTORE_LATENCY_NS	(2 * NSEC_PER_MSEC)
/* Without history: 1 byte for each of these. */
#define HEARTH_RESTORE_NS_PER_BYTE	1

#define HEARTH_REGION_BLOCK	((u64)SZ_2M)

const struct hearth_stage hearth_stages[HEARTH_STAGES] = {
	{ DRM_HEARTH_CLASS_DROPPABLE,
	  HEARTH_PRESSURE_RECLAIM | HEARTH_PRESSURE_BUDGET | HEARTH_PRESSURE_OOM },
	{ DRM_HEARTH_CLASS_NORMAL,
	  HEARTH_PRESSURE_RECLAIM | HEARTH_PRESSURE_BUDGET | HEARTH_PRESSURE_OOM },
	{ DRM_HEARTH_CLASS_PROTECTED, HEARTH_PRESSURE_OOM },
};

u32 hearth_class_may_drop(u32 class)
{
	return min_t(u32, class, DRM_HEARTH_CLASS_NORMAL);
}

u32 hearth_class_effective(u32 class, bool background, bool expired)
{
	if (expired)
		return DRM_HEARTH_CLASS_DROPPABLE;
	if (background && class != DRM_HEARTH_CLASS_PINNED && class != DRM_HEARTH_CLASS_DROPPABLE)
		return class - 1;
	return class;
}

u32 hearth_totals_state(const struct hearth_totals *totals)
{
	if (totals->stale)
		return DRM_HEARTH_MODEL_STALE;
	if (totals->restoring)
		return DRM_HEARTH_MODEL_RESTORING;
	/* Without weights, none are missing. */
	if (totals->resident >= totals->all)
		return DRM_HEARTH_MODEL_RESIDENT;
	return totals->resident ? DRM_HEARTH_MODEL_PARTLY : DRM_HEARTH_MODEL_DROPPED;
}

/**
 * struct hearth_bound - the demand against one limit
 */
struct hearth_bound {
	/** @limit: &enum drm_hearth_admit_limit. */
	u32 limit;
	/** @value: Of the limit, for the caller. */
	u64 value;
	/** @all: What it takes of the limit with nothing there. */
	u64 all;
	/** @need: What it takes now. */
	u64 need;
	/** @now: What is free. */
	u64 now;
	/** @after: What would be. */
	u64 after;
	/** @most: What would be if nobody else had anything. */
	u64 most;
};

static u32 hearth_bound_verdict(const struct hearth_bound *bound)
{
	if (bound->all > bound->most)
		return DRM_HEARTH_ADMIT_NEVER;
	if (bound->need > bound->after)
		return DRM_HEARTH_ADMIT_WAIT;
	if (bound->need > bound->now)
		return DRM_HEARTH_ADMIT_AFTER_DROP;
	return DRM_HEARTH_ADMIT_NOW;
}

static u64 hearth_sum_droppable(const u64 *bytes, u32 class)
{
	u32 i, most = hearth_class_may_drop(class);
	u64 sum = 0;

	for (i = 0; i <= most; i++)
		sum = hearth_sum(sum, bytes[i]);
	return sum;
}

static u64 hearth_demand_all(const struct hearth_demand *demand)
{
	return hearth_sum(demand->weights, hearth_sum(demand->state, demand->scratch));
}

/* A region is given away by whole blocks. */
static u64 hearth_in_blocks(u64 bytes)
{
	return round_down(hearth_sum(bytes, HEARTH_REGION_BLOCK - 1), HEARTH_REGION_BLOCK);
}

/* Of two limits that say the same, the first is told. */
static unsigned int hearth_bounds(const struct hearth_demand *demand,
				  const struct hearth_supply *supply, struct hearth_bound *bounds)
{
	u64 dropped = hearth_sum_droppable(supply->droppable, demand->class);
	u64 own = hearth_sum_droppable(supply->own, demand->class);
	u64 physical = hearth_sum_droppable(supply->physical, demand->class);
	u64 in_region = hearth_sum_droppable(supply->in_region, demand->class);
	u64 unused = hearth_room(supply->promised, supply->promised_used);
	u64 all = hearth_demand_all(demand);
	u64 need = hearth_room(all, min(demand->there, demand->weights));
	struct hearth_bound *b = bounds;
	u64 room;

	*b++ = (struct hearth_bound){
		.limit = DRM_HEARTH_LIMIT_VA, .value = supply->va, .all = all, .need = all,
		.now = supply->va, .after = supply->va, .most = supply->va,
	};
	if (supply->region)
		*b++ = (struct hearth_bound){
			.limit = DRM_HEARTH_LIMIT_REGION, .value = supply->region,
			.all = hearth_in_blocks(demand->weights),
			.need = hearth_room(hearth_in_blocks(demand->weights),
					    hearth_in_blocks(demand->there)),
			.now = supply->region_free,
			.after = min(supply->region, hearth_sum(supply->region_free, in_region)),
			.most = supply->region,
		};

	/* As if nothing was promised but what is charged; that is the next limit. */
	room = hearth_room(supply->budget, hearth_sum(supply->plain, supply->promised_used));
	*b++ = (struct hearth_bound){
		.limit = DRM_HEARTH_LIMIT_BUDGET, .value = supply->budget, .all = all,
		.need = need, .now = room, .after = hearth_sum(room, dropped),
		.most = supply->budget,
	};
	room = hearth_room(supply->budget, hearth_sum(supply->plain, supply->promised));
	*b++ = (struct hearth_bound){
		.limit = DRM_HEARTH_LIMIT_RESERVATION, .value = supply->promised, .all = all,
		.need = need, .now = room, .after = hearth_sum(room, dropped),
		.most = supply->budget,
	};
	room = hearth_room(supply->quota, supply->used);
	*b++ = (struct hearth_bound){
		.limit = DRM_HEARTH_LIMIT_QUOTA, .value = supply->quota, .all = need,
		.need = need, .now = room, .after = hearth_sum(room, own), .most = supply->quota,
	};
	room = hearth_room(supply->system, unused);
	*b++ = (struct hearth_bound){
		.limit = DRM_HEARTH_LIMIT_SYSTEM, .value = supply->ram, .all = all,
		.need = need, .now = room, .after = hearth_sum(room, physical),
		.most = supply->ram,
	};
	return b - bounds;
}

void hearth_judge(const struct hearth_demand *demand, const struct hearth_supply *supply,
		  struct hearth_judgement *judgement)
{
	struct hearth_bound bounds[DRM_HEARTH_LIMIT_VA + 1];
	unsigned int i, count = hearth_bounds(demand, supply, bounds);

	*judgement = (struct hearth_judgement){
		.needed = hearth_room(hearth_demand_all(demand),
				      min(demand->there, demand->weights)),
		.available = U64_MAX,
		.after_drop = U64_MAX,
	};
	for (i = 0; i < count; i++) {
		u32 verdict = hearth_bound_verdict(&bounds[i]);

		judgement->available = min(judgement->available, bounds[i].now);
		judgement->after_drop = min(judgement->after_drop, bounds[i].after);
		if (verdict <= judgement->verdict)
			continue;
		judgement->verdict = verdict;
		judgement->limit = bounds[i].limit;
		judgement->limit_bytes = bounds[i].value;
	}
}

bool hearth_supply_could_give(const struct hearth_supply *supply, u64 bytes)
{
	u64 most = max(supply->system, supply->utmost);
	size_t i;

	for (i = 0; i < HEARTH_STAGES; i++) {
		if (hearth_stages[i].when & HEARTH_PRESSURE_RECLAIM)
			most = hearth_sum(most, supply->physical[hearth_stages[i].class]);
	}
	return bytes <= most;
}

u64 hearth_restore_ns(u64 bytes, u64 restored_bytes, u64 restored_ns)
{
	/* Far beyond any memory, and no product below leaves 64 bits. */
	bytes = min_t(u64, bytes, BIT_ULL(50));
	restored_bytes = min_t(u64, restored_bytes, BIT_ULL(50));
	if (!restored_bytes)
		return HEARTH_RESTORE_LATENCY_NS + bytes * HEARTH_RESTORE_NS_PER_BYTE;

	/* A device that takes more than 1 us for a byte has no speed. */
	restored_ns = min(restored_ns, restored_bytes * NSEC_PER_USEC);
	return HEARTH_RESTORE_LATENCY_NS +
	       mul_u64_u64_div_u64(bytes, restored_ns, restored_bytes);
}

u64 hearth_victim_score(const struct hearth_victim *victim)
{
	u64 ns = hearth_restore_ns(victim->bytes, victim->restored_bytes, victim->restored_ns);
	/* Idle for weeks is as good as for years. */
	u64 idle = min_t(u64, div_u64(victim->idle_ns, NSEC_PER_MSEC) + 1, BIT_ULL(31));
	u64 bytes = min_t(u64, victim->bytes, BIT_ULL(40));

	if (!bytes)
		return 0;
	return max_t(u64, mul_u64_u64_div_u64(bytes, idle << 8, ns), 1);
}
