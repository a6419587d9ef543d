// SPDX-License-Identifier: GPL-2.0
/*
 * Making room.
 *
 * The stages of hearth_verdict.c are walked from the cheapest class to the
 * dearest that the occasion allows. Inside a stage the store goes first whose
 * bytes cost least to have back. Nothing that a job needs is ever taken: the
 * store says what it can give.
 *
 * The system's reclaim may come from any allocation, so it only tries locks.
 * The others wait for hearth_reclaim.lock; nothing is allocated under it, and
 * lockdep is told so.
 */
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/shrinker.h>
#include <linux/sizes.h>
#include <linux/swap.h>
#include <linux/vmstat.h>

#include <drm/drm_managed.h>

#include "hearth_device.h"
#include "hearth_model.h"
#include "hearth_reclaim.h"
#include "hearth_store.h"
#include "hearth_trace.h"

#ifdef CONFIG_TRACE_GPU_MEM
#include <trace/events/gpu_mem.h>
#endif

/* What one call before a kill frees. */
#define HEARTH_OOM_BYTES	SZ_64M

/* What the device's buffers take, for those who watch GPUs in the same way. */
static void hearth_trace_memory(struct hearth_device *hdev)
{
#ifdef CONFIG_TRACE_GPU_MEM
	struct hearth_budget_sums sums;

	if (!trace_gpu_mem_total_enabled())
		return;
	hearth_budget_read(&hdev->budget, NULL, &sums);
	trace_gpu_mem_total((hdev->base.accel ?: hdev->base.primary)->index, 0,
			    sums.plain + sums.promised_used);
#endif
}

bool hearth_keep_is_file(const struct hearth_store *store)
{
	return store->ops->dir == DMA_TO_DEVICE;
}

u64 hearth_keep_resident(const struct hearth_store *store)
{
	return READ_ONCE(store->resident_bytes);
}

/*
 * A store of a file that could give nothing although it has something is in use;
 * of state there may just be no swap.
 */
u64 hearth_keep_idle_ns(const struct hearth_store *store)
{
	if (hearth_keep_is_file(store) && !READ_ONCE(store->keep.droppable) &&
	    hearth_keep_resident(store))
		return 0;
	return ktime_to_ns(ktime_sub(ktime_get(), READ_ONCE(store->last_used)));
}

/* With the history of the store, or that of all while it has none. */
u64 hearth_keep_score(struct hearth_store *store)
{
	struct hearth_reclaim *reclaim = &store->hdev->reclaim;
	struct hearth_victim victim = {
		.bytes = READ_ONCE(store->keep.droppable),
		.restored_bytes = READ_ONCE(store->stats.restored_bytes),
		.restored_ns = READ_ONCE(store->stats.restored_ns),
		.idle_ns = hearth_keep_idle_ns(store),
	};

	/* What nobody needs costs nothing to have back. */
	if (READ_ONCE(store->state.dontneed) && victim.bytes)
		return U64_MAX;
	if (!victim.restored_bytes) {
		victim.restored_bytes = atomic64_read(&reclaim->restored_bytes);
		victim.restored_ns = atomic64_read(&reclaim->restored_ns);
	}
	return hearth_victim_score(&victim);
}

/**
 * struct hearth_walk - what is looked for, and what was found
 */
struct hearth_walk {
	/** @when: One of &enum hearth_pressure. */
	enum hearth_pressure when;
	/** @flags: For hearth_store_evict(). */
	unsigned int flags;
	/** @most: Dearest class that may go. */
	u32 most;
	/** @charge: Who needs room, or NULL. */
	struct hearth_charge *charge;
	/** @account: Only what this user pays for, or NULL. */
	struct hearth_account *account;
	/** @region: Only what lives in the region. */
	bool region;
	/** @chooser: Only what it lets go, or NULL. */
	struct hearth_chooser *chooser;
	/** @class: Of the stage. */
	u32 class;
	/** @number: hearth_reclaim.walk. */
	u64 number;
	/** @best: The best so far; holds it. */
	struct hearth_store *best;
	/** @best_score: Its score. */
	u64 best_score;
};

/* Does it help to drop this one? */
static bool hearth_walk_wants(const struct hearth_walk *walk, struct hearth_store *store)
{
	struct hearth_charge *charge = &store->keep.charge;

	if (!READ_ONCE(charge->account) || charge == walk->charge ||
	    store->keep.walk == walk->number || (walk->region && !store->ops->place))
		return false;
	if (walk->account)
		return charge->account == walk->account && hearth_charge_plain(charge);
	if (walk->when != HEARTH_PRESSURE_BUDGET)
		return true;
	/* What another reservation pays is free for that one only. */
	return hearth_charge_plain(charge) ||
	       (walk->charge && walk->charge->reservation == charge->reservation);
}

static bool hearth_walk_look(struct hearth_store *store, void *arg)
{
	struct hearth_walk *walk = arg;
	u64 score;

	if (!hearth_walk_wants(walk, store) || hearth_model_store_class(store) != walk->class)
		return false;
	WRITE_ONCE(store->keep.droppable,
		   hearth_store_droppable_by(store, walk->chooser) << PAGE_SHIFT);
	score = hearth_keep_score(store);
	if (score <= walk->best_score)
		return false;
	if (walk->best)
		hearth_store_put(walk->best);
	walk->best = hearth_store_get(store);
	walk->best_score = score;
	return false;
}

/* Drops up to @pages pages of one class; what was dropped. */
static u64 hearth_walk_stage(struct hearth_device *hdev, struct hearth_walk *walk, u64 pages)
{
	u64 freed = 0, now;

	while (freed < pages) {
		walk->best = NULL;
		walk->best_score = 0;
		hearth_store_for_each(hdev, hearth_walk_look, walk);
		if (!walk->best)
			break;
		now = hearth_store_evict(walk->best, pages - freed, walk->flags, walk->chooser);
		trace_hearth_reclaim(hdev, walk->class, walk->when, now << PAGE_SHIFT);
		/* It is in use by now, or somebody has its locks. */
		if (!now)
			walk->best->keep.walk = walk->number;
		hearth_store_put(walk->best);
		freed += now;
	}
	return freed;
}

static u64 hearth_walk_locked(struct hearth_device *hdev, struct hearth_walk *walk, u64 pages)
{
	u64 freed = 0;
	size_t i;

	lockdep_assert_held(&hdev->reclaim.lock);

	walk->number = ++hdev->reclaim.walk;
	for (i = 0; i < HEARTH_STAGES && freed < pages; i++) {
		const struct hearth_stage *stage = &hearth_stages[i];

		if (!(stage->when & walk->when) || stage->class > walk->most)
			continue;
		walk->class = stage->class;
		freed += hearth_walk_stage(hdev, walk, pages - freed);
	}
	return freed;
}

static bool hearth_shrinker_count_one(struct hearth_store *store, void *arg)
{
	u64 *pages = arg;

	if (hearth_model_store_class(store) <= DRM_HEARTH_CLASS_NORMAL)
		*pages += hearth_store_droppable(store);
	return false;
}

static unsigned long hearth_shrinker_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	u64 pages = 0;

	hearth_store_for_each(shrinker->private_data, hearth_shrinker_count_one, &pages);
	return pages ?: SHRINK_EMPTY;
}

static unsigned long hearth_shrinker_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct hearth_device *hdev = shrinker->private_data;
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_RECLAIM,
		.flags = HEARTH_EVICT_CACHE | HEARTH_EVICT_NOWAIT,
		.most = DRM_HEARTH_CLASS_NORMAL,
	};
	u64 freed;

	/* Dropping goes through the file system of the weights. */
	if (!(sc->gfp_mask & __GFP_FS) || !mutex_trylock(&hdev->reclaim.lock))
		return SHRINK_STOP;
	freed = hearth_walk_locked(hdev, &walk, sc->nr_to_scan);
	mutex_unlock(&hdev->reclaim.lock);

	sc->nr_scanned = max_t(unsigned long, freed, sc->nr_to_scan);
	return freed ?: SHRINK_STOP;
}

/* The last call: what is protected goes now, rather than a process. */
static int hearth_oom(struct notifier_block *nb, unsigned long unused, void *arg)
{
	struct hearth_device *hdev = container_of(nb, struct hearth_device, reclaim.oom);
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_OOM,
		.flags = HEARTH_EVICT_CACHE | HEARTH_EVICT_NOWAIT,
		.most = DRM_HEARTH_CLASS_PROTECTED,
	};
	unsigned long *freed = arg;

	/* Who holds it needs no memory to go on. */
	mutex_lock(&hdev->reclaim.lock);
	*freed += hearth_walk_locked(hdev, &walk, HEARTH_OOM_BYTES >> PAGE_SHIFT);
	mutex_unlock(&hdev->reclaim.lock);
	return NOTIFY_OK;
}

u64 hearth_reclaim_for(struct hearth_device *hdev, struct hearth_charge *charge,
		       struct hearth_account *account, const struct hearth_lack *lack, u32 class)
{
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_BUDGET,
		.most = hearth_class_may_drop(class),
		.charge = charge,
		.account = lack->quota ? account : NULL,
	};
	u64 freed;

	mutex_lock(&hdev->reclaim.lock);
	freed = hearth_walk_locked(hdev, &walk, DIV_ROUND_UP_ULL(lack->bytes, PAGE_SIZE));
	mutex_unlock(&hdev->reclaim.lock);
	return freed;
}

u64 hearth_reclaim_region(struct hearth_store *store)
{
	struct hearth_device *hdev = store->hdev;
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_RECLAIM,
		.most = hearth_class_may_drop(hearth_model_store_wants(store)),
		.charge = &store->keep.charge,
		.region = true,
	};
	u64 freed;

	mutex_lock(&hdev->reclaim.lock);
	freed = hearth_walk_locked(hdev, &walk, HEARTH_EXTENT_PAGES);
	mutex_unlock(&hdev->reclaim.lock);
	return freed;
}

bool hearth_reclaim_chosen(struct hearth_device *hdev, struct hearth_store *store,
			   struct hearth_chooser *chooser)
{
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_RECLAIM,
		.most = DRM_HEARTH_CLASS_NORMAL,
		.chooser = chooser,
	};
	bool freed;

	if (store) {
		walk.most = hearth_class_may_drop(hearth_model_store_wants(store));
		walk.charge = &store->keep.charge;
	}
	mutex_lock(&hdev->reclaim.lock);
	freed = hearth_walk_locked(hdev, &walk, HEARTH_EXTENT_PAGES);
	mutex_unlock(&hdev->reclaim.lock);
	return freed;
}

int hearth_budget_charge(struct hearth_device *hdev, struct hearth_charge *charge, u64 bytes,
			 u32 class)
{
	struct hearth_lack lack;
	unsigned int round;
	int ret;

	for (round = 0; round < HEARTH_CHARGE_ROUNDS; round++) {
		ret = hearth_charge_try(charge, bytes, &lack);
		if (!ret || !hearth_reclaim_for(hdev, charge, charge->account, &lack, class))
			break;
	}
	if (!ret)
		hearth_trace_memory(hdev);
	return ret;
}

void hearth_budget_uncharge(struct hearth_device *hdev, struct hearth_charge *charge, u64 bytes)
{
	hearth_charge_drop(charge, bytes);
	hearth_trace_memory(hdev);
}

int hearth_store_charge(struct hearth_device *hdev, struct hearth_store *store, u64 bytes)
{
	return hearth_budget_charge(hdev, &store->keep.charge, bytes,
				    hearth_model_store_wants(store));
}

void hearth_budget_enforce(struct hearth_device *hdev)
{
	struct hearth_walk walk = {
		.when = HEARTH_PRESSURE_BUDGET,
		.most = DRM_HEARTH_CLASS_NORMAL,
	};
	struct hearth_budget_sums sums;
	u64 over;

	hearth_budget_read(&hdev->budget, NULL, &sums);
	over = hearth_room(sums.plain + sums.promised, sums.bytes);
	if (!over)
		return;

	mutex_lock(&hdev->reclaim.lock);
	hearth_walk_locked(hdev, &walk, DIV_ROUND_UP_ULL(over, PAGE_SIZE));
	mutex_unlock(&hdev->reclaim.lock);
}

void hearth_reclaim_restored(struct hearth_device *hdev, u64 bytes, u64 ns)
{
	atomic64_add(bytes, &hdev->reclaim.restored_bytes);
	atomic64_add(ns, &hdev->reclaim.restored_ns);
}

/**
 * struct hearth_look - a look at all stores
 */
struct hearth_look {
	/** @supply: What is filled in. */
	struct hearth_supply *supply;
	/** @account: Whose share of it is told. */
	struct hearth_account *account;
	/** @except: Not this one. */
	struct hearth_store *except;
	/** @cache: Page cache that the system cannot have back now. */
	u64 cache;
};

static bool hearth_look_store(struct hearth_store *store, void *arg)
{
	struct hearth_charge *charge = &store->keep.charge;
	struct hearth_look *look = arg;
	u64 plain, bytes;
	u32 class;

	if (!READ_ONCE(charge->account))
		return false;
	bytes = hearth_store_droppable(store) << PAGE_SHIFT;
	WRITE_ONCE(store->keep.droppable, bytes);
	if (hearth_keep_is_file(store) && !store->ops->place)
		look->cache += hearth_keep_resident(store);
	if (store == look->except)
		return false;

	class = hearth_model_store_class(store);
	plain = min(bytes, hearth_charge_plain(charge));
	look->supply->physical[class] += bytes;
	if (store->ops->place)
		look->supply->in_region[class] += round_up(bytes, HEARTH_EXTENT_BYTES);
	look->supply->droppable[class] += plain;
	if (charge->account == look->account)
		look->supply->own[class] += plain;
	return false;
}

static u64 hearth_utmost_bytes(void)
{
	u64 anon = global_node_page_state(NR_ACTIVE_ANON) +
		   global_node_page_state(NR_INACTIVE_ANON);

	return (min_t(u64, anon, max(get_nr_swap_pages(), 0L)) +
		global_zone_page_state(NR_FREE_PAGES) + global_node_page_state(NR_ACTIVE_FILE) +
		global_node_page_state(NR_INACTIVE_FILE)) << PAGE_SHIFT;
}

void hearth_supply_read(struct hearth_device *hdev, struct hearth_account *account,
			struct hearth_store *except, struct hearth_supply *supply)
{
	struct hearth_look look = { .supply = supply, .account = account, .except = except };
	struct hearth_budget_sums sums;

	*supply = (struct hearth_supply){
		.ram = (u64)totalram_pages() << PAGE_SHIFT,
		.va = hearth_vm_end(hdev) - HEARTH_VA_START,
		.region = hdev->region.bytes,
		.region_free = hearth_region_free_bytes(hdev),
	};
	mutex_lock(&hdev->reclaim.lock);
	hearth_store_for_each(hdev, hearth_look_store, &look);
	mutex_unlock(&hdev->reclaim.lock);
	hearth_budget_read(&hdev->budget, account, &sums);
	supply->budget = sums.bytes;
	supply->plain = sums.plain;
	supply->promised = sums.promised;
	supply->promised_used = sums.promised_used;
	supply->quota = sums.quota;
	supply->used = sums.used;
	/*
	 * The system takes weights for page cache that it could have back; it
	 * cannot while the device maps them.
	 */
	supply->system = hearth_room((u64)max(si_mem_available(), 0L) << PAGE_SHIFT, look.cache);
	supply->utmost = hearth_room(hearth_utmost_bytes(), look.cache);
}

bool hearth_reclaim_could_give(struct hearth_store *store, u64 bytes)
{
	struct hearth_supply supply;

	hearth_supply_read(store->hdev, NULL, store, &supply);
	return hearth_supply_could_give(&supply, bytes);
}

static bool hearth_refresh_store(struct hearth_store *store, void *arg)
{
	WRITE_ONCE(store->keep.droppable, hearth_store_droppable(store) << PAGE_SHIFT);
	return false;
}

void hearth_reclaim_refresh(struct hearth_device *hdev)
{
	mutex_lock(&hdev->reclaim.lock);
	hearth_store_for_each(hdev, hearth_refresh_store, NULL);
	mutex_unlock(&hdev->reclaim.lock);
}

void hearth_query_memory(struct hearth_device *hdev, struct hearth_account *account,
			 struct drm_hearth_memory *memory)
{
	struct hearth_budget_sums sums;
	struct hearth_supply supply;
	u32 class;

	hearth_supply_read(hdev, account, NULL, &supply);
	hearth_budget_read(&hdev->budget, account, &sums);
	memory->budget = supply.budget;
	memory->resident = supply.plain + supply.promised_used;
	memory->reserved = supply.promised - supply.promised_used;
	for (class = 0; class < DRM_HEARTH_CLASS_PINNED; class++)
		memory->droppable += supply.physical[class];
	memory->pinned = min(sums.pinned, memory->resident);
	memory->uid_quota = supply.quota;
	memory->uid_used = supply.used;
	memory->system_available = supply.system;
}

void hearth_debugfs_budget(struct seq_file *m, struct hearth_device *hdev)
{
	struct hearth_budget *budget = &hdev->budget;
	struct hearth_budget_sums sums;
	struct hearth_account *account;

	hearth_budget_read(budget, NULL, &sums);
	seq_printf(m, "budget %llu\nplain %llu\npromised %llu\npromised_used %llu\n",
		   sums.bytes, sums.plain, sums.promised, sums.promised_used);
	seq_printf(m, "restored_bytes %lld\nrestored_ns %lld\n",
		   atomic64_read(&hdev->reclaim.restored_bytes),
		   atomic64_read(&hdev->reclaim.restored_ns));
	spin_lock(&budget->lock);
	list_for_each_entry(account, &budget->accounts, node)
		seq_printf(m, "uid %u used %llu pinned %llu\n",
			   from_kuid_munged(&init_user_ns, account->uid), account->used,
			   account->pinned);
	spin_unlock(&budget->lock);
}

/* So that the first inversion is found, not the first that deadlocks. */
static void hearth_reclaim_teach_lockdep(struct hearth_device *hdev)
{
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&hdev->reclaim.lock);
	fs_reclaim_release(GFP_KERNEL);
}

static void hearth_budget_release(struct drm_device *drm, void *budget)
{
	hearth_budget_fini(budget);
}

/* Half of RAM for models leaves the other half for those who talk to them. */
int hearth_budget_init_device(struct hearth_device *hdev)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;

	hearth_models_init(&hdev->models);
	hearth_budget_init(&hdev->budget, round_down(ram / 2, HEARTH_EXTENT_BYTES));
	return drmm_mutex_init(&hdev->base, &hdev->reclaim.lock) ?:
	       drmm_mutex_init(&hdev->base, &hdev->busy.lock) ?:
	       drmm_add_action_or_reset(&hdev->base, hearth_budget_release, &hdev->budget);
}

int hearth_reclaim_start(struct hearth_device *hdev)
{
	struct shrinker *shrinker;

	hearth_reclaim_teach_lockdep(hdev);

	shrinker = shrinker_alloc(0, "hearth:%s", dev_name(hdev->base.dev));
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = hearth_shrinker_count;
	shrinker->scan_objects = hearth_shrinker_scan;
	shrinker->batch = HEARTH_EXTENT_PAGES;
	shrinker->private_data = hdev;
	hdev->reclaim.shrinker = shrinker;
	shrinker_register(shrinker);

	hdev->reclaim.oom.notifier_call = hearth_oom;
	register_oom_notifier(&hdev->reclaim.oom);
	return 0;
}

void hearth_reclaim_stop(struct hearth_device *hdev)
{
	if (!hdev->reclaim.shrinker)
		return;
	unregister_oom_notifier(&hdev->reclaim.oom);
	shrinker_free(hdev->reclaim.shrinker);
	hdev->reclaim.shrinker = NULL;
}
