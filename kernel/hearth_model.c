// SPDX-License-Identifier: GPL-2.0
/*
 * Models: what is kept together, how dearly and for how long.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>

#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_model.h"
#include "hearth_reclaim.h"
#include "hearth_store.h"
#include "hearth_uobj.h"

void hearth_models_init(struct hearth_models *models)
{
	spin_lock_init(&models->lock);
	INIT_LIST_HEAD(&models->all);
}

/* Calls on a model that was destroyed meanwhile still find its buffers. */
static void hearth_model_free(struct kref *kref)
{
	struct hearth_model *model = container_of(kref, struct hearth_model, refs);
	struct hearth_device *hdev = model->hdev;
	u32 i;

	for (i = 0; i < model->num_bos; i++) {
		if (model->bos[i].bo)
			drm_gem_object_put(&model->bos[i].bo->base);
	}
	put_pid(model->pid);
	hearth_account_put(model->account);
	kfree(model);
	drm_dev_put(&hdev->base);
}

void hearth_model_put(struct hearth_model *model)
{
	kref_put(&model->refs, hearth_model_free);
}

struct hearth_model *hearth_model_lookup(struct hearth_file *hfile, u32 id)
{
	struct hearth_model *model;

	xa_lock(&hfile->models);
	model = xa_load(&hfile->models, id);
	if (model)
		kref_get(&model->refs);
	xa_unlock(&hfile->models);
	return model;
}

/*
 * The process that uses the file now, not the one that opened it. Its score is
 * what the system's own choice of whom to kill goes by.
 */
bool hearth_file_in_background(struct drm_file *file)
{
	struct task_struct *task;
	bool background = false;

	rcu_read_lock();
	task = pid_task(rcu_dereference(file->pid), PIDTYPE_TGID);
	if (task)
		background = READ_ONCE(task->signal->oom_score_adj) > HEARTH_BACKGROUND_ADJ;
	rcu_read_unlock();
	return background;
}

static u32 hearth_model_class_locked(const struct hearth_model *model, bool expired)
{
	return hearth_class_effective(model->class,
				      model->file && hearth_file_in_background(model->file),
				      expired);
}

u32 hearth_model_effective_locked(const struct hearth_model *model)
{
	return hearth_model_class_locked(model, model->expired);
}

u32 hearth_model_store_class(struct hearth_store *store)
{
	struct hearth_models *models = &store->hdev->models;
	u32 class = DRM_HEARTH_CLASS_DROPPABLE;
	struct hearth_model_bo *link;

	/* Its owner says so, whatever its model is. */
	if (READ_ONCE(store->state.dontneed))
		return class;

	spin_lock(&models->lock);
	list_for_each_entry(link, &store->keep.models, node)
		class = max(class, hearth_model_class_locked(link->model, link->model->expired));
	spin_unlock(&models->lock);
	return class;
}

/* Who makes no model of it gets what a model gets by default. */
u32 hearth_model_store_wants(struct hearth_store *store)
{
	struct hearth_models *models = &store->hdev->models;
	u32 class = DRM_HEARTH_CLASS_DROPPABLE;
	struct hearth_model_bo *link;

	spin_lock(&models->lock);
	if (list_empty(&store->keep.models))
		class = DRM_HEARTH_CLASS_NORMAL;
	list_for_each_entry(link, &store->keep.models, node)
		class = max(class, hearth_model_class_locked(link->model, false));
	spin_unlock(&models->lock);
	return class;
}

static void hearth_model_arm_locked(struct hearth_model *model)
{
	if (model->gone || model->keep_alive_ns < 0)
		return;
	mod_delayed_work(hearth_free_wq, &model->expire,
			 min_t(u64, nsecs_to_jiffies64(model->keep_alive_ns), MAX_JIFFY_OFFSET));
}

void hearth_model_store_used(struct hearth_store *store)
{
	struct hearth_models *models = &store->hdev->models;
	struct hearth_model_bo *link;

	spin_lock(&models->lock);
	list_for_each_entry(link, &store->keep.models, node) {
		link->model->expired = false;
		hearth_model_arm_locked(link->model);
	}
	spin_unlock(&models->lock);
	/* It may be dropped now, for those who wait for room. */
	wake_up_all(&store->hdev->budget.freed);
}

void hearth_model_store_event(struct hearth_store *store, u32 events)
{
	struct hearth_models *models = &store->hdev->models;
	struct hearth_model_bo *link;

	/* Events are about weights. */
	if (!hearth_keep_is_file(store))
		return;

	spin_lock(&models->lock);
	list_for_each_entry(link, &store->keep.models, node) {
		u32 state = hearth_model_state_locked(link->model), told = events;

		/* Of several files the last one completes it. */
		if (state != DRM_HEARTH_MODEL_DROPPED)
			told &= ~DRM_HEARTH_EVENT_DROPPED;
		if (state != DRM_HEARTH_MODEL_RESIDENT)
			told &= ~DRM_HEARTH_EVENT_RESTORED;
		hearth_model_notify_locked(link->model, told);
	}
	spin_unlock(&models->lock);
}

/* Does any other model over the store still want it? */
static bool hearth_model_shared_locked(const struct hearth_model *model,
				       struct hearth_store *store)
{
	struct hearth_model_bo *link;

	list_for_each_entry(link, &store->keep.models, node) {
		if (link->model != model && !link->model->expired)
			return true;
	}
	return false;
}

/* Drops what nobody else wants; bytes. */
static u64 hearth_model_give_up(struct hearth_model *model, unsigned int flags)
{
	struct hearth_device *hdev = model->hdev;
	bool shared;
	u64 pages = 0;
	u32 i;

	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (!store || !hearth_keep_is_file(store))
			continue;
		spin_lock(&hdev->models.lock);
		shared = hearth_model_shared_locked(model, store);
		spin_unlock(&hdev->models.lock);
		if (!shared)
			pages += hearth_store_evict(store, U64_MAX, flags, NULL);
	}
	return pages << PAGE_SHIFT;
}

static void hearth_model_expire_work(struct work_struct *work)
{
	struct hearth_model *model = container_of(to_delayed_work(work), struct hearth_model,
						  expire);
	struct hearth_device *hdev = model->hdev;

	spin_lock(&hdev->models.lock);
	model->expired = !model->gone && model->keep_alive_ns >= 0;
	spin_unlock(&hdev->models.lock);
	if (model->expired)
		hearth_model_give_up(model, 0);
	wake_up_all(&hdev->budget.freed);
}

/* Another user's bytes are this one's while only this one has a model over them. */
static void hearth_model_pay_locked(struct hearth_model *model, struct hearth_store *store)
{
	struct hearth_charge *charge = &store->keep.charge;
	struct hearth_model_bo *link;

	list_for_each_entry(link, &store->keep.models, node) {
		if (link->model->account == charge->account)
			return;
	}
	hearth_charge_move(charge, model->account);
}

static void hearth_model_link(struct hearth_model *model)
{
	struct hearth_models *models = &model->hdev->models;
	u32 i;

	spin_lock(&models->lock);
	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (!store)
			continue;
		hearth_model_pay_locked(model, store);
		list_add_tail(&model->bos[i].node, &store->keep.models);
	}
	model->serial = ++models->serial;
	list_add_tail(&model->node, &models->all);
	models->count++;
	/* Who never runs a job does not keep it for ever either. */
	if (model->keep_alive_ns)
		hearth_model_arm_locked(model);
	spin_unlock(&models->lock);
}

static void hearth_model_unlink(struct hearth_model *model)
{
	struct hearth_models *models = &model->hdev->models;
	struct hearth_model_bo *heir;
	u32 i;

	spin_lock(&models->lock);
	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (!store)
			continue;
		list_del(&model->bos[i].node);
		heir = list_first_entry_or_null(&store->keep.models, struct hearth_model_bo, node);
		if (heir)
			hearth_model_pay_locked(heir->model, store);
	}
	list_del(&model->node);
	models->count--;
	model->file = NULL;
	model->gone = true;
	hearth_model_hangup_locked(model);
	spin_unlock(&models->lock);
}

/* Its id is gone already. */
static void hearth_model_destroy(struct hearth_model *model)
{
	hearth_model_unlink(model);
	cancel_delayed_work_sync(&model->expire);
	hearth_account_unpin(model->account, model->pinned);
	wake_up_all(&model->hdev->budget.freed);
	hearth_model_put(model);
}

void hearth_model_file_close(struct hearth_file *hfile)
{
	struct hearth_model *model;
	unsigned long id;

	xa_for_each(&hfile->models, id, model) {
		xa_erase(&hfile->models, id);
		hearth_model_destroy(model);
	}
	xa_destroy(&hfile->models);
}

static int hearth_model_take_bo(struct hearth_model *model, u32 at, struct drm_file *file,
				u32 handle)
{
	struct drm_gem_object *obj = drm_gem_object_lookup(file, handle);
	u32 i;

	if (!obj)
		return -ENOENT;
	model->bos[at].model = model;
	model->bos[at].bo = to_hearth_bo(obj);
	/* Foreign and anonymous buffers are not kept by us, or for good. */
	if (obj->import_attach || !model->bos[at].bo->store)
		return -EINVAL;
	for (i = 0; i < at; i++) {
		if (model->bos[i].bo == model->bos[at].bo)
			return -EINVAL;
		if (model->bos[i].bo->store == model->bos[at].bo->store)
			return 0;
	}
	model->bos[at].store = model->bos[at].bo->store;
	model->bytes += model->bos[at].store->bytes;
	return 0;
}

static int hearth_model_take_bos(struct hearth_model *model, struct drm_file *file,
				 const u32 *handles)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < model->num_bos && !ret; i++)
		ret = hearth_model_take_bo(model, i, file, handles[i]);
	return ret;
}

static struct hearth_model *hearth_model_alloc(struct drm_file *file, u32 num_bos)
{
	struct hearth_file *hfile = to_hearth_file(file);
	struct hearth_model *model;

	model = kzalloc(struct_size(model, bos, num_bos), GFP_KERNEL_ACCOUNT);
	if (!model)
		return NULL;
	model->num_bos = num_bos;
	kref_init(&model->refs);
	drm_dev_get(&hfile->hdev->base);
	model->hdev = hfile->hdev;
	model->account = hearth_account_ref(hfile->account);
	model->pid = get_pid(task_tgid(current));
	model->file = file;
	INIT_DELAYED_WORK(&model->expire, hearth_model_expire_work);
	INIT_LIST_HEAD(&model->watches);
	return model;
}

static int hearth_model_pin(struct hearth_model *model, u32 class)
{
	int ret;

	if (class != DRM_HEARTH_CLASS_PINNED)
		return 0;
	ret = hearth_account_pin(model->account, model->bytes, capable(CAP_SYS_RESOURCE));
	if (!ret)
		model->pinned = model->bytes;
	return ret;
}

static bool hearth_model_name_ok(const char *name)
{
	size_t i;

	for (i = 0; i < DRM_HEARTH_NAME_BYTES && name[i]; i++) {
		if (name[i] < ' ' || name[i] > '~')
			return false;
	}
	return i < DRM_HEARTH_NAME_BYTES;
}

static bool hearth_model_args_ok(const struct drm_hearth_model_create *args)
{
	return args->bos.count && args->model_class < HEARTH_CLASSES && !args->flags &&
	       args->keep_alive_ns >= DRM_HEARTH_KEEP_FOREVER && args->reservation_fd >= -1 &&
	       hearth_model_name_ok(args->name);
}

static void hearth_model_reserve(struct hearth_model *model,
				 struct hearth_reservation *reservation)
{
	u32 i;

	for (i = 0; reservation && i < model->num_bos; i++) {
		if (model->bos[i].store)
			hearth_charge_attach(&model->bos[i].store->keep.charge, reservation);
	}
}

/* Nobody sees the model before all is done: the id is taken first and filled last. */
static int hearth_model_publish(struct hearth_file *hfile, struct hearth_model *model,
				struct hearth_reservation *reservation, u32 *id)
{
	int ret = xa_alloc(&hfile->models, id, NULL, XA_LIMIT(1, HEARTH_MAX_MODELS), GFP_KERNEL);

	if (ret)
		return ret == -EBUSY ? -ENOSPC : ret;
	hearth_model_link(model);
	hearth_model_reserve(model, reservation);
	xa_store(&hfile->models, *id, model, GFP_KERNEL);
	return 0;
}

static int hearth_model_fill(struct hearth_model *model, struct drm_file *file,
			     struct drm_hearth_model_create *args, const u32 *handles)
{
	struct hearth_file *hfile = to_hearth_file(file);
	struct hearth_reservation *reservation = NULL;
	int ret;

	if (args->reservation_fd >= 0)
		reservation = hearth_reservation_from_fd(hfile->hdev, args->reservation_fd);
	if (IS_ERR(reservation))
		return PTR_ERR(reservation);

	ret = hearth_model_take_bos(model, file, handles) ?:
	      hearth_model_pin(model, args->model_class);
	if (!ret) {
		ret = hearth_model_publish(hfile, model, reservation, &args->model_id);
		if (ret)
			hearth_account_unpin(model->account, model->pinned);
	}
	hearth_reservation_put(reservation);
	return ret;
}

static int hearth_model_create(struct drm_file *file, struct drm_hearth_model_create *args,
			       const u32 *handles)
{
	struct hearth_model *model = hearth_model_alloc(file, args->bos.count);
	int ret;

	if (!model)
		return -ENOMEM;
	model->class = args->model_class;
	model->keep_alive_ns = args->keep_alive_ns;
	memcpy(model->name, args->name, sizeof(model->name));
	ret = hearth_model_fill(model, file, args, handles);
	if (ret)
		hearth_model_put(model);
	return ret;
}

int hearth_ioctl_model_create(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_model_create *args = data;
	u32 *handles;
	int ret;

	if (!hearth_model_args_ok(args))
		return -EINVAL;
	handles = hearth_array_copy_in(&args->bos, sizeof(u32), sizeof(u32), HEARTH_MAX_MODEL_BOS);
	if (IS_ERR(handles))
		return PTR_ERR(handles);
	ret = hearth_model_create(file, args, handles);
	kvfree(handles);
	return ret;
}

int hearth_ioctl_model_destroy(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct xarray *models = &to_hearth_file(file)->models;
	struct drm_hearth_model_destroy *args = data;
	struct hearth_model *model;

	if (args->pad)
		return -EINVAL;
	/* An id that is taken and not filled yet stays. */
	xa_lock(models);
	model = xa_load(models, args->model_id);
	if (model)
		__xa_erase(models, args->model_id);
	xa_unlock(models);
	if (!model)
		return -ENOENT;
	hearth_model_destroy(model);
	return 0;
}

static void hearth_model_set_locked(struct hearth_model *model,
				    const struct drm_hearth_model_set *args)
{
	if (args->fields & DRM_HEARTH_MODEL_SET_KEEP_ALIVE) {
		model->keep_alive_ns = args->keep_alive_ns;
		model->expired = false;
		/* Counted from now: a set is as good as a use. */
		if (args->keep_alive_ns < 0)
			cancel_delayed_work(&model->expire);
		else
			hearth_model_arm_locked(model);
	}
	if (args->fields & DRM_HEARTH_MODEL_SET_CLASS)
		model->class = args->model_class;
}

/* Pins first and unpins last: at no moment is it pinned and not paid for. */
static int hearth_model_set(struct hearth_model *model, const struct drm_hearth_model_set *args)
{
	struct hearth_device *hdev = model->hdev;
	u64 unpin = 0, pin = 0;
	int ret = 0;

	if (args->fields & DRM_HEARTH_MODEL_SET_CLASS &&
	    args->model_class == DRM_HEARTH_CLASS_PINNED) {
		pin = model->bytes;
		ret = hearth_account_pin(model->account, pin, capable(CAP_SYS_RESOURCE));
		if (ret)
			return ret;
	}

	spin_lock(&hdev->models.lock);
	if (model->gone) {
		ret = -ENOENT;
		unpin = pin;
	} else {
		hearth_model_set_locked(model, args);
		if (args->fields & DRM_HEARTH_MODEL_SET_CLASS) {
			unpin = model->pinned;
			model->pinned = pin;
		}
	}
	spin_unlock(&hdev->models.lock);

	hearth_account_unpin(model->account, unpin);
	wake_up_all(&hdev->budget.freed);
	return ret;
}

int hearth_ioctl_model_set(struct drm_device *drm, void *data, struct drm_file *file)
{
	const u32 known = DRM_HEARTH_MODEL_SET_CLASS | DRM_HEARTH_MODEL_SET_KEEP_ALIVE;
	struct drm_hearth_model_set *args = data;
	struct hearth_model *model;
	int ret;

	if (!args->fields || args->fields & ~known || args->pad ||
	    args->model_class >= HEARTH_CLASSES || args->keep_alive_ns < DRM_HEARTH_KEEP_FOREVER)
		return -EINVAL;
	model = hearth_model_lookup(to_hearth_file(file), args->model_id);
	if (!model)
		return -ENOENT;
	ret = hearth_model_set(model, args);
	hearth_model_put(model);
	return ret;
}

static bool hearth_model_in_flight(const struct hearth_model *model)
{
	u32 i;

	for (i = 0; i < model->num_bos; i++) {
		struct hearth_store *store = model->bos[i].store;

		if (store && hearth_keep_resident(store) && hearth_store_in_use(store))
			return true;
	}
	return false;
}

int hearth_ioctl_model_drop(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_model_drop *args = data;
	struct hearth_model *model;
	int ret = 0;

	if (args->flags & ~DRM_HEARTH_DROP_CACHE)
		return -EINVAL;
	model = hearth_model_lookup(to_hearth_file(file), args->model_id);
	if (!model)
		return -ENOENT;
	if (hearth_model_in_flight(model)) {
		ret = -EBUSY;
	} else {
		spin_lock(&model->hdev->models.lock);
		model->expired = true;
		spin_unlock(&model->hdev->models.lock);
		args->bytes = hearth_model_give_up(model, args->flags & DRM_HEARTH_DROP_CACHE ?
						   HEARTH_EVICT_CACHE : 0);
	}
	hearth_model_put(model);
	return ret;
}
