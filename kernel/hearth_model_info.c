// SPDX-License-Identifier: GPL-2.0
/*
 * What can be seen of models: MODEL_GET, MODEL_LIST, debugfs.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_model.h"
#include "hearth_reclaim.h"
#include "hearth_store.h"

static void hearth_model_totals(const struct hearth_model *model, struct hearth_totals *totals)
{
	u32 i;

	*totals = (struct hearth_totals){ };
	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (!store || !hearth_keep_is_file(store))
			continue;
		totals->all += PAGE_ALIGN(store->bytes);
		totals->resident += hearth_keep_resident(store);
		totals->restoring |= !!READ_ONCE(store->restore.fence);
		totals->stale |= READ_ONCE(store->stale);
	}
}

u32 hearth_model_state_locked(const struct hearth_model *model)
{
	struct hearth_totals totals;

	lockdep_assert_held(&model->hdev->models.lock);

	hearth_model_totals(model, &totals);
	return hearth_totals_state(&totals);
}

static void hearth_model_info_store(struct hearth_store *store,
				    struct drm_hearth_model_info *info)
{
	u64 idle = hearth_keep_idle_ns(store);
	struct hearth_model_bo *link;
	u32 sharers = 0;

	info->idle_ns = min(info->idle_ns, idle);
	if (!hearth_keep_is_file(store)) {
		info->state_bytes += hearth_keep_resident(store);
		return;
	}
	list_for_each_entry(link, &store->keep.models, node)
		sharers++;
	info->sharers = max(info->sharers, sharers);
	info->restored_bytes += READ_ONCE(store->stats.restored_bytes);
	info->restored_ns += READ_ONCE(store->stats.restored_ns);
	info->dropped_bytes += READ_ONCE(store->stats.dropped_bytes);
}

void hearth_model_info_locked(const struct hearth_model *model,
			      struct drm_hearth_model_info *info)
{
	struct hearth_totals totals;
	u32 i;

	lockdep_assert_held(&model->hdev->models.lock);

	hearth_model_totals(model, &totals);
	*info = (struct drm_hearth_model_info){
		.serial = model->serial, .weights_bytes = totals.all,
		.resident_bytes = totals.resident, .idle_ns = U64_MAX,
		.keep_alive_ns = model->keep_alive_ns, .sharers = 1,
		.state = hearth_totals_state(&totals), .model_class = model->class,
		.effective_class = hearth_model_effective_locked(model),
		.uid = from_kuid_munged(current_user_ns(), model->account->uid),
		.pid = pid_nr_ns(model->pid, task_active_pid_ns(current)),
	};
	memcpy(info->name, model->name, sizeof(info->name));
	for (i = 0; i < model->num_bos; i++) {
		if (model->bos[i].store)
			hearth_model_info_store(model->bos[i].store, info);
	}
}

bool hearth_model_info_all(void)
{
	/* Who may not is told less; that is no offence to be logged. */
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

void hearth_model_info_mask(struct drm_hearth_model_info *info, bool all)
{
	if (!all && info->uid != from_kuid_munged(current_user_ns(), current_euid()))
		memset(info->name, 0, sizeof(info->name));
}

/* As much as the caller knows; what we do not know is zero. */
static int hearth_model_info_copy(u64 to, u32 bytes, const struct drm_hearth_model_info *info)
{
	u32 known = min_t(u32, bytes, sizeof(*info));
	void __user *dst = u64_to_user_ptr(to);

	if (copy_to_user(dst, info, known) || clear_user(dst + known, bytes - known))
		return -EFAULT;
	return 0;
}

int hearth_model_infos_copy(struct drm_hearth_array *array,
			    const struct drm_hearth_model_info *infos, u32 count)
{
	u32 i, most = min(array->count, count);
	int ret = 0;

	if (array->count && (array->stride < sizeof(u64) || array->stride > PAGE_SIZE))
		return array->stride > PAGE_SIZE ? -E2BIG : -EINVAL;
	for (i = 0; i < most && !ret; i++)
		ret = hearth_model_info_copy(array->array + (u64)i * array->stride, array->stride,
					     &infos[i]);
	if (!ret)
		array->count = count;
	return ret;
}

int hearth_ioctl_model_get(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_model_get *args = data;
	struct drm_hearth_model_info info;
	struct hearth_model *model;
	int ret = 0;

	if (args->pointer && args->size > PAGE_SIZE)
		return -E2BIG;
	model = hearth_model_lookup(to_hearth_file(file), args->model_id);
	if (!model)
		return -ENOENT;

	hearth_reclaim_refresh(model->hdev);
	spin_lock(&model->hdev->models.lock);
	hearth_model_info_locked(model, &info);
	spin_unlock(&model->hdev->models.lock);
	hearth_model_put(model);

	if (args->pointer)
		ret = hearth_model_info_copy(args->pointer, args->size, &info);
	args->size = args->pointer ? min_t(u32, args->size, sizeof(info)) : sizeof(info);
	return ret;
}

int hearth_ioctl_model_list(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct hearth_models *models = &to_hearth_device(drm)->models;
	u32 count = 0, most = READ_ONCE(models->count);
	struct drm_hearth_model_list *args = data;
	bool all = hearth_model_info_all();
	struct drm_hearth_model_info *infos;
	struct hearth_model *model;
	int ret;

	infos = kvcalloc(most + 1, sizeof(*infos), GFP_KERNEL_ACCOUNT);
	if (!infos)
		return -ENOMEM;
	hearth_reclaim_refresh(to_hearth_device(drm));
	/* Those that came since are not there yet. */
	spin_lock(&models->lock);
	list_for_each_entry(model, &models->all, node) {
		if (count == most)
			break;
		hearth_model_info_locked(model, &infos[count]);
		hearth_model_info_mask(&infos[count++], all);
	}
	spin_unlock(&models->lock);

	ret = hearth_model_infos_copy(&args->models, infos, count);
	kvfree(infos);
	return ret;
}

void hearth_debugfs_models(struct seq_file *m, struct hearth_device *hdev)
{
	static const char * const states[] = { "dropped", "partly", "restoring", "resident",
					       "stale" };
	static const char * const classes[] = { "droppable", "normal", "protected", "pinned" };
	struct drm_hearth_model_info info;
	struct hearth_model *model;

	spin_lock(&hdev->models.lock);
	seq_printf(m, "models %u\n", hdev->models.count);
	list_for_each_entry(model, &hdev->models.all, node) {
		hearth_model_info_locked(model, &info);
		seq_printf(m, "model %llu uid %u pid %u %s class %s effective %s resident %llu of %llu state %llu sharers %u restored %llu in %llu ns dropped %llu idle %llu ns keep %lld ns name %s\n",
			   info.serial, info.uid, info.pid, states[info.state],
			   classes[info.model_class], classes[info.effective_class],
			   info.resident_bytes, info.weights_bytes, info.state_bytes,
			   info.sharers, info.restored_bytes, info.restored_ns,
			   info.dropped_bytes, info.idle_ns, info.keep_alive_ns, info.name);
	}
	spin_unlock(&hdev->models.lock);
}
