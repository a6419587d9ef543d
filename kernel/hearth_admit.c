// SPDX-License-Identifier: GPL-2.0
/*
 * The ADMIT ioctl: an answer before a load.
 */
#include <linux/file.h>
#include <linux/jiffies.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_model.h"
#include "hearth_reclaim.h"
#include "hearth_store.h"
#include "hearth_trace.h"

/* The budget says when it has room. The system does not, so it is asked. */
#define HEARTH_ADMIT_LOOK_MS	200

/**
 * struct hearth_admission - one ADMIT
 */
struct hearth_admission {
	/** @hdev: Device. */
	struct hearth_device *hdev;
	/** @account: Who asks. */
	struct hearth_account *account;
	/** @store: Behind demand.weights_fd, if somebody uses it; holds it. */
	struct hearth_store *store;
	/** @demand: What is asked for. */
	struct hearth_demand demand;
	/** @judgement: The answer to the last look. */
	struct hearth_judgement judgement;
};

/**
 * struct hearth_candidate - a model that would go, or stands in the way
 */
struct hearth_candidate {
	/** @info: For user space. */
	struct drm_hearth_model_info info;
	/** @score: Of its best store. */
	u64 score;
	/** @bytes: What of it can go now. */
	u64 bytes;
};

void hearth_admit_judge(struct hearth_device *hdev, struct hearth_account *account,
			const struct hearth_demand *demand, struct hearth_store *except,
			struct hearth_judgement *judgement)
{
	struct hearth_supply supply;

	hearth_supply_read(hdev, account, except, &supply);
	hearth_judge(demand, &supply, judgement);
	trace_hearth_admit(hdev, judgement);
}

static void hearth_admission_look(struct hearth_admission *a)
{
	a->demand.there = a->store ? hearth_keep_resident(a->store) : 0;
	hearth_admit_judge(a->hdev, a->account, &a->demand, a->store, &a->judgement);
}

static bool hearth_admission_waits(struct hearth_admission *a)
{
	hearth_admission_look(a);
	return a->judgement.verdict == DRM_HEARTH_ADMIT_WAIT;
}

/* Looking takes locks that sleep: not as a condition of wait_event(). */
static int hearth_admission_wait(struct hearth_admission *a, u64 *timeout_ns)
{
	wait_queue_head_t *freed = &a->hdev->budget.freed;
	u64 look = msecs_to_jiffies(HEARTH_ADMIT_LOOK_MS);
	u64 end = hearth_sum(ktime_get_ns(), *timeout_ns);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int ret = 0;

	add_wait_queue(freed, &wait);
	while (hearth_admission_waits(a)) {
		u64 left = hearth_room(end, ktime_get_ns());

		if (!left || drm_dev_is_unplugged(&a->hdev->base))
			break;
		if (signal_pending(current)) {
			*timeout_ns = left;
			ret = -EINTR;
			break;
		}
		wait_woken(&wait, TASK_INTERRUPTIBLE, min(nsecs_to_jiffies64(left) + 1, look));
	}
	remove_wait_queue(freed, &wait);
	return ret;
}

/* What is dropped first comes first; what cannot go at all, by its size, last. */
static int hearth_candidate_cmp(const void *pa, const void *pb)
{
	const struct hearth_candidate *a = pa, *b = pb;

	if (!a->bytes != !b->bytes)
		return a->bytes ? -1 : 1;
	if (!a->bytes)
		return a->info.resident_bytes > b->info.resident_bytes ? -1 : 1;
	if (a->info.effective_class != b->info.effective_class)
		return a->info.effective_class < b->info.effective_class ? -1 : 1;
	return a->score > b->score ? -1 : a->score < b->score;
}

static void hearth_candidate_fill_locked(struct hearth_admission *a,
					 const struct hearth_model *model,
					 struct hearth_candidate *c)
{
	u32 i;

	hearth_model_info_locked(model, &c->info);
	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (!store || store == a->store)
			continue;
		c->bytes += READ_ONCE(store->keep.droppable);
		c->score = max(c->score, hearth_keep_score(store));
	}
	if (c->info.effective_class > hearth_class_may_drop(a->demand.class))
		c->bytes = 0;
}

/* Every model that has something; at most @most. */
static u32 hearth_candidates_collect(struct hearth_admission *a, struct hearth_candidate *list,
				     u32 most)
{
	struct hearth_device *hdev = a->hdev;
	struct hearth_model *model;
	u32 count = 0;

	spin_lock(&hdev->models.lock);
	list_for_each_entry(model, &hdev->models.all, node) {
		if (count == most)
			break;
		hearth_candidate_fill_locked(a, model, &list[count]);
		if (list[count].info.resident_bytes || list[count].info.state_bytes)
			count++;
		else
			memset(&list[count], 0, sizeof(list[count]));
	}
	spin_unlock(&hdev->models.lock);
	return count;
}

/* Those that must go, and no more. Of those that stand in the way, all. */
static u32 hearth_candidates_needed(const struct hearth_admission *a,
				    const struct hearth_candidate *list, u32 count)
{
	u64 missing = hearth_room(a->judgement.needed, a->judgement.available), bytes = 0;
	u32 i;

	if (a->judgement.verdict == DRM_HEARTH_ADMIT_NOW ||
	    a->judgement.verdict == DRM_HEARTH_ADMIT_NEVER)
		return 0;
	if (a->judgement.verdict == DRM_HEARTH_ADMIT_WAIT)
		return count;
	for (i = 0; i < count && list[i].bytes && bytes < missing; i++)
		bytes += list[i].bytes;
	return i;
}

static int hearth_admission_victims(struct hearth_admission *a, struct drm_hearth_array *array)
{
	u32 i, most = READ_ONCE(a->hdev->models.count), count;
	struct drm_hearth_model_info *infos;
	struct hearth_candidate *list;
	bool all = hearth_model_info_all();
	int ret = -ENOMEM;

	list = kvcalloc(most + 1, sizeof(*list), GFP_KERNEL_ACCOUNT);
	infos = kvcalloc(most + 1, sizeof(*infos), GFP_KERNEL_ACCOUNT);
	if (list && infos) {
		count = hearth_candidates_collect(a, list, most);
		sort(list, count, sizeof(*list), hearth_candidate_cmp, NULL);
		count = hearth_candidates_needed(a, list, count);
		for (i = 0; i < count; i++) {
			infos[i] = list[i].info;
			hearth_model_info_mask(&infos[i], all);
		}
		ret = hearth_model_infos_copy(array, infos, count);
	}
	kvfree(infos);
	kvfree(list);
	return ret;
}

/* From this file's history, else the device's; unknown is 0. */
static u64 hearth_admission_restore_ns(struct hearth_admission *a)
{
	u64 bytes = a->store ? READ_ONCE(a->store->stats.restored_bytes) : 0;
	u64 ns = a->store ? READ_ONCE(a->store->stats.restored_ns) : 0;
	u64 missing = hearth_room(a->demand.weights, a->demand.there);

	if (!bytes) {
		bytes = atomic64_read(&a->hdev->reclaim.restored_bytes);
		ns = atomic64_read(&a->hdev->reclaim.restored_ns);
	}
	return bytes && missing ? hearth_restore_ns(missing, bytes, ns) : 0;
}

static void hearth_admission_answer(struct hearth_admission *a, struct drm_hearth_admit *args)
{
	args->needed_bytes = a->judgement.needed;
	args->available_bytes = a->judgement.available;
	args->after_drop_bytes = a->judgement.after_drop;
	args->limit_bytes = a->judgement.limit_bytes;
	args->restore_ns = hearth_admission_restore_ns(a);
	args->verdict = a->judgement.verdict;
	args->limit = a->judgement.limit;
}

static int hearth_admission_init(struct hearth_admission *a, struct drm_file *file,
				 const struct drm_hearth_admit *args)
{
	const struct drm_hearth_demand *demand = &args->demand;
	struct hearth_store *store;
	struct file *weights;

	if (args->flags & ~DRM_HEARTH_ADMIT_BLOCK || args->pad ||
	    demand->model_class >= HEARTH_CLASSES || demand->weights_fd < -1 ||
	    (args->timeout_ns && !(args->flags & DRM_HEARTH_ADMIT_BLOCK)))
		return -EINVAL;

	*a = (struct hearth_admission){
		.hdev = to_hearth_file(file)->hdev,
		.account = to_hearth_file(file)->account,
		.demand = {
			.weights = demand->weights_bytes, .state = demand->state_bytes,
			.scratch = demand->scratch_bytes,
			.class = hearth_class_effective(demand->model_class,
							hearth_file_in_background(file), false),
		},
	};
	if (demand->weights_fd == -1)
		return 0;

	weights = fget(demand->weights_fd);
	if (!weights)
		return -EBADF;
	store = hearth_store_get_file(a->hdev, weights);
	fput(weights);
	if (!IS_ERR(store))
		a->store = store;
	/* What cannot be shared is read into a buffer. */
	else if (PTR_ERR(store) != -EOPNOTSUPP)
		return PTR_ERR(store);
	return 0;
}

int hearth_ioctl_admit(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_admit *args = data;
	struct hearth_admission a;
	int ret;

	ret = hearth_admission_init(&a, file, args);
	if (ret)
		return ret;

	hearth_admission_look(&a);
	if (args->flags & DRM_HEARTH_ADMIT_BLOCK)
		ret = hearth_admission_wait(&a, &args->timeout_ns);
	if (!ret)
		ret = hearth_admission_victims(&a, &args->victims);
	if (!ret)
		hearth_admission_answer(&a, args);
	if (a.store)
		hearth_store_put(a.store);
	return ret;
}
