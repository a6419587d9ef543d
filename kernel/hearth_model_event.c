// SPDX-License-Identifier: GPL-2.0
/*
 * Event files. Each has a sum of its own, so that two who watch do not take
 * from each other.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_model.h"

/**
 * struct hearth_model_watch - an event file
 */
struct hearth_model_watch {
	/** @hdev: Device; holds it. */
	struct hearth_device *hdev;

	/** @model: The model, NULL when it is gone; hearth_models.lock. */
	struct hearth_model *model;

	/** @node: Entry in hearth_model.watches; hearth_models.lock. */
	struct list_head node;

	/** @events: Since the last read; hearth_models.lock. */
	u32 events;

	/** @wait: Who reads. */
	wait_queue_head_t wait;
};

void hearth_model_notify_locked(struct hearth_model *model, u32 events)
{
	struct hearth_model_watch *watch;

	lockdep_assert_held(&model->hdev->models.lock);

	if (!events)
		return;
	list_for_each_entry(watch, &model->watches, node) {
		watch->events |= events;
		wake_up_all(&watch->wait);
	}
}

void hearth_model_hangup_locked(struct hearth_model *model)
{
	struct hearth_model_watch *watch, *next;

	lockdep_assert_held(&model->hdev->models.lock);

	list_for_each_entry_safe(watch, next, &model->watches, node) {
		list_del_init(&watch->node);
		watch->model = NULL;
		wake_up_all(&watch->wait);
	}
}

static bool hearth_watch_ready(struct hearth_model_watch *watch)
{
	return READ_ONCE(watch->events) || !READ_ONCE(watch->model);
}

/* False if there is nothing to tell, not even the end. */
static bool hearth_watch_take(struct hearth_model_watch *watch,
			      struct drm_hearth_model_event *event, bool *end)
{
	struct hearth_models *models = &watch->hdev->models;
	struct drm_hearth_model_info info = { };
	bool ready;

	spin_lock(&models->lock);
	ready = hearth_watch_ready(watch);
	*end = ready && !watch->model;
	if (ready && watch->model) {
		hearth_model_info_locked(watch->model, &info);
		*event = (struct drm_hearth_model_event){
			.events = watch->events, .state = info.state,
			.resident_bytes = info.resident_bytes,
		};
		watch->events = 0;
	}
	spin_unlock(&models->lock);
	return ready;
}

static ssize_t hearth_watch_read(struct file *file, char __user *buffer, size_t bytes, loff_t *at)
{
	struct hearth_model_watch *watch = file->private_data;
	struct drm_hearth_model_event event;
	bool end;
	int ret;

	if (bytes < sizeof(event))
		return -EINVAL;
	while (!hearth_watch_take(watch, &event, &end)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(watch->wait, hearth_watch_ready(watch));
		if (ret)
			return ret;
	}
	if (end)
		return 0;
	return copy_to_user(buffer, &event, sizeof(event)) ? -EFAULT : sizeof(event);
}

static __poll_t hearth_watch_poll(struct file *file, poll_table *table)
{
	struct hearth_model_watch *watch = file->private_data;

	poll_wait(file, &watch->wait, table);
	if (!READ_ONCE(watch->model))
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return READ_ONCE(watch->events) ? EPOLLIN | EPOLLRDNORM : 0;
}

static void hearth_watch_free(struct hearth_model_watch *watch)
{
	struct hearth_models *models = &watch->hdev->models;

	spin_lock(&models->lock);
	list_del_init(&watch->node);
	spin_unlock(&models->lock);
	drm_dev_put(&watch->hdev->base);
	kfree(watch);
}

static int hearth_watch_release(struct inode *inode, struct file *file)
{
	hearth_watch_free(file->private_data);
	return 0;
}

static const struct file_operations hearth_watch_fops = {
	.owner = THIS_MODULE,
	.read = hearth_watch_read,
	.poll = hearth_watch_poll,
	.release = hearth_watch_release,
	.llseek = noop_llseek,
};

int hearth_model_watch(struct hearth_model *model)
{
	struct hearth_model_watch *watch = kzalloc(sizeof(*watch), GFP_KERNEL_ACCOUNT);
	struct hearth_device *hdev = model->hdev;
	int fd;

	if (!watch)
		return -ENOMEM;
	init_waitqueue_head(&watch->wait);
	drm_dev_get(&hdev->base);
	watch->hdev = hdev;
	INIT_LIST_HEAD(&watch->node);

	spin_lock(&hdev->models.lock);
	if (!model->gone) {
		watch->model = model;
		list_add_tail(&watch->node, &model->watches);
	}
	spin_unlock(&hdev->models.lock);

	fd = anon_inode_getfd("[hearth_model]", &hearth_watch_fops, watch, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		hearth_watch_free(watch);
	return fd;
}

int hearth_ioctl_model_events(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_model_events *args = data;
	struct hearth_model *model;

	if (args->flags || args->pad)
		return -EINVAL;
	model = hearth_model_lookup(to_hearth_file(file), args->model_id);
	if (!model)
		return -ENOENT;
	args->fd = hearth_model_watch(model);
	hearth_model_put(model);
	return args->fd < 0 ? args->fd : 0;
}
