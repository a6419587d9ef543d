// SPDX-License-Identifier: MIT
/*
 * Models on the NPU: the driver keeps them. With a driver that knows none,
 * weights are a copy or stay with their file, and nobody drops them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xf86drm.h>

#include <drm/hearth_accel.h>
#include <hw/hearth_cmd.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/npu.h"
#include "runtime/opts.h"

/* Models that are listed in one call, and holders that an answer names */
#define LIST_ROOM	64
#define LIST_TRIES	8
#define VICTIMS_ROOM	32

static int too_old(const struct hearth_device *dev)
{
	if (dev->info.max_models)
		return 0;
	return hearth_seterr(-EOPNOTSUPP, "%s: the driver is too old: it knows no models",
			     dev->path);
}

/* ---- between the driver's words and ours ---- */

static uint32_t drm_class(enum hearth_model_class c)
{
	return c - HEARTH_CLASS_DROPPABLE;
}

static enum hearth_model_class our_class(uint32_t c)
{
	return c + HEARTH_CLASS_DROPPABLE;
}

static int64_t drm_keep_alive(int64_t ns)
{
	return ns == HEARTH_KEEP_NONE ? 0 :
	       ns == HEARTH_KEEP_FOREVER ? DRM_HEARTH_KEEP_FOREVER : ns;
}

static int64_t our_keep_alive(int64_t ns)
{
	return ns == 0 ? HEARTH_KEEP_NONE : ns < 0 ? HEARTH_KEEP_FOREVER : ns;
}

static void take_info(const struct drm_hearth_model_info *from, struct hearth_model_info *to)
{
	to->serial = from->serial;
	to->weights_bytes = from->weights_bytes;
	to->resident_bytes = from->resident_bytes;
	to->state_bytes = from->state_bytes;
	to->restored_bytes = from->restored_bytes;
	to->restored_ns = from->restored_ns;
	to->dropped_bytes = from->dropped_bytes;
	to->idle_ns = from->idle_ns;
	to->keep_alive_ns = our_keep_alive(from->keep_alive_ns);
	to->sharers = from->sharers;
	to->state = (enum hearth_model_state)from->state;
	to->model_class = our_class(from->model_class);
	to->effective_class = our_class(from->effective_class);
	to->uid = from->uid;
	to->pid = from->pid;
	to->shared = true;
	memcpy(to->name, from->name, sizeof(to->name));
	to->name[sizeof(to->name) - 1] = '\0';
}

/* ---- one model ---- */

static int npu_model_create(struct hearth_model *m, int reservation_fd)
{
	struct drm_hearth_model_create arg = {
		.keep_alive_ns = drm_keep_alive(m->keep_alive_ns),
		.model_class = drm_class(m->model_class),
		.reservation_fd = reservation_fd,
	};
	uint32_t bos[2], n = 0;
	int ret;

	if (!m->dev->info.max_models)
		return m->model_class == HEARTH_CLASS_PINNED || reservation_fd >= 0 ?
			too_old(m->dev) : 0;
	/* a copy is a plain buffer, which is no part of a model */
	if (m->weights && hearth_buffer_is_shared(m->weights))
		bos[n++] = m->weights->handle;
	if (m->state && m->state->kept)
		bos[n++] = m->state->handle;
	if (!n)
		return 0;
	arg.bos.stride = sizeof(*bos);
	arg.bos.count = n;
	arg.bos.array = (uintptr_t)bos;
	memcpy(arg.name, m->name, sizeof(arg.name));
	ret = hearth_npu_ioctl(m->dev, DRM_IOCTL_HEARTH_MODEL_CREATE, &arg, "create model");
	if (ret == -EPERM || ret == -EACCES)
		return hearth_seterr(-EPERM,
				     "%s: model '%s' may not be %s: that needs CAP_SYS_RESOURCE or a quota for it",
				     m->dev->path, m->name, hearth_class_name(m->model_class));
	m->id = ret ? 0 : arg.model_id;
	return ret;
}

static void npu_model_destroy(struct hearth_model *m)
{
	struct drm_hearth_model_destroy arg = { .model_id = m->id };

	if (m->id)
		drmIoctl(m->dev->fd, DRM_IOCTL_HEARTH_MODEL_DESTROY, &arg);
}

static int npu_model_info(struct hearth_model *m, struct hearth_model_info *info)
{
	struct drm_hearth_model_info from = { 0 };
	struct drm_hearth_model_get arg = {
		.model_id = m->id,
		.size = sizeof(from),
		.pointer = (uintptr_t)&from,
	};
	int ret;

	if (!m->id) {
		info->state = HEARTH_MODEL_RESIDENT;
		info->resident_bytes = info->weights_bytes;
		info->state_bytes = m->state ? m->state->bytes : 0;
		info->sharers = 1;
		info->estimated = info->shared;
		return 0;
	}
	ret = hearth_npu_ioctl(m->dev, DRM_IOCTL_HEARTH_MODEL_GET, &arg, "read model");
	if (!ret)
		take_info(&from, info);
	return ret;
}

static int npu_model_set(struct hearth_model *m)
{
	struct drm_hearth_model_set arg = {
		.model_id = m->id,
		.fields = DRM_HEARTH_MODEL_SET_CLASS | DRM_HEARTH_MODEL_SET_KEEP_ALIVE,
		.model_class = drm_class(m->model_class),
		.keep_alive_ns = drm_keep_alive(m->keep_alive_ns),
	};

	if (!m->id)
		return m->model_class == HEARTH_CLASS_PINNED ? too_old(m->dev) : 0;
	return hearth_npu_ioctl(m->dev, DRM_IOCTL_HEARTH_MODEL_SET, &arg, "change model");
}

/* A job that does nothing: all that its address space maps comes before it. */
static int npu_model_load(struct hearth_model *m)
{
	struct hearth_queue *q = NULL;
	struct hearth_cmd_header *nop;
	struct hearth_buffer *b;
	int ret;

	if (!hearth_buffer_is_shared(m->weights))
		return 0;
	ret = hearth_buffer_create(m->dev, sizeof(*nop), NULL, &b);
	if (ret)
		return ret;
	nop = hearth_buffer_data(b);
	nop->op = HEARTH_OP_NOP;
	nop->bytes = sizeof(*nop);
	ret = hearth_queue_create(m->dev, NULL, &q);
	if (!ret)
		ret = hearth_queue_submit(q, hearth_buffer_address(b), sizeof(*nop), NULL);
	if (!ret)
		ret = hearth_queue_wait(q, UINT64_MAX);
	hearth_queue_destroy(q);
	hearth_buffer_destroy(b);
	return ret;
}

static int npu_model_drop(struct hearth_model *m, uint32_t flags, uint64_t *bytes)
{
	struct drm_hearth_model_drop arg = {
		.model_id = m->id,
		.flags = flags & HEARTH_DROP_CACHE ? DRM_HEARTH_DROP_CACHE : 0,
	};
	int ret = m->id ? 0 : too_old(m->dev);

	if (ret)
		return ret;
	ret = hearth_npu_ioctl(m->dev, DRM_IOCTL_HEARTH_MODEL_DROP, &arg, "drop model");
	if (ret == -EBUSY)
		return hearth_seterr(ret, "%s: model '%s' is in use by a job", m->dev->path,
				     m->name);
	*bytes = arg.bytes;
	return ret;
}

static int npu_model_events(struct hearth_model *m, int *fd)
{
	struct drm_hearth_model_events arg = { .model_id = m->id };
	int ret = too_old(m->dev);

	if (!ret && !m->id)
		ret = hearth_seterr(-EOPNOTSUPP, "model '%s' has nothing that could be dropped",
				    m->name);
	if (ret)
		return ret;
	ret = hearth_npu_ioctl(m->dev, DRM_IOCTL_HEARTH_MODEL_EVENTS, &arg, "watch model");
	if (!ret)
		*fd = arg.fd;
	return ret;
}

int hearth_model_read_event(int event_fd, struct hearth_model_event *event)
{
	struct hearth_model_event e = { .sz = sizeof(e) };
	struct drm_hearth_model_event from;
	ssize_t n;

	do {
		n = read(event_fd, &from, sizeof(from));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return hearth_seterr(-errno, "read of an event: %s", strerror(errno));
	if (!n)
		return hearth_seterr(-EPIPE, "the model of these events was closed");
	if (n != sizeof(from))
		return hearth_seterr(-EIO, "event of %zd bytes, %zu were expected", n,
				     sizeof(from));
	e.events = from.events;
	e.state = (enum hearth_model_state)from.state;
	e.resident_bytes = from.resident_bytes;
	return hearth_opts_give(event, &e, sizeof(e), "hearth_model_event");
}

/* ---- all models ---- */

/* Returns the count of models, which may exceed @room. */
static int read_list(struct hearth_device *dev, struct drm_hearth_model_info *list,
		     uint32_t room, uint32_t *count)
{
	struct drm_hearth_model_list arg = {
		.models = {
			.stride = sizeof(*list),
			.count = room,
			.array = (uintptr_t)list,
		},
	};
	int ret = hearth_npu_ioctl(dev, DRM_IOCTL_HEARTH_MODEL_LIST, &arg, "list models");

	*count = arg.models.count;
	return ret;
}

static int tell(const struct drm_hearth_model_info *list, uint32_t n,
		int (*fn)(const struct hearth_model_info *info, void *arg), void *arg)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < n; i++) {
		struct hearth_model_info m = { .sz = sizeof(m) };

		take_info(&list[i], &m);
		ret = fn(&m, arg);
	}
	return ret;
}

/* Others open models meanwhile: ask again with more room, a few times. */
static int npu_model_list(struct hearth_device *dev,
			  int (*fn)(const struct hearth_model_info *info, void *arg),
			  void *arg)
{
	struct drm_hearth_model_info *list = NULL;
	uint32_t room = LIST_ROOM, count = 0;
	int ret = too_old(dev);

	for (unsigned int i = 0; !ret && i < LIST_TRIES; i++) {
		struct drm_hearth_model_info *p = reallocarray(list, room, sizeof(*p));

		if (!p) {
			ret = hearth_seterr(-ENOMEM, "no memory for %u models", room);
			break;
		}
		list = p;
		ret = read_list(dev, list, room, &count);
		if (count <= room)
			break;
		if (i + 1 < LIST_TRIES)
			room = count + LIST_ROOM;
	}
	if (!ret)
		ret = tell(list, count < room ? count : room, fn, arg);
	free(list);
	return ret;
}

/* ---- memory ---- */

static int npu_memory(struct hearth_device *dev, struct hearth_memory_info *info)
{
	struct drm_hearth_memory m = { 0 };
	int ret = too_old(dev);

	if (!ret)
		ret = hearth_npu_query(dev, DRM_HEARTH_DEV_QUERY_MEMORY, &m, sizeof(m));
	if (ret)
		return ret;
	info->budget = m.budget;
	info->resident = m.resident;
	info->reserved = m.reserved;
	info->droppable = m.droppable;
	info->pinned = m.pinned;
	info->uid_quota = m.uid_quota;
	info->uid_used = m.uid_used;
	info->system_available = m.system_available;
	return 0;
}

static int npu_admit(struct hearth_device *dev, const struct hearth_demand *d,
		     const struct hearth_admit_opts *o, struct hearth_answer *a)
{
	struct drm_hearth_model_info victims[VICTIMS_ROOM];
	struct drm_hearth_admit arg = {
		.demand = {
			.weights_bytes = d->weights_bytes,
			.state_bytes = d->state_bytes,
			.scratch_bytes = d->scratch_bytes,
			.model_class = drm_class(d->model_class),
			.weights_fd = d->has_weights_fd ? d->weights_fd : -1,
		},
		.flags = o->wait_ns ? DRM_HEARTH_ADMIT_BLOCK : 0,
		.timeout_ns = o->wait_ns,
		.victims = {
			.stride = sizeof(*victims),
			.count = VICTIMS_ROOM,
			.array = (uintptr_t)victims,
		},
	};

	if (!dev->info.max_models)
		return hearth_system_admit(d, a);
	/* not by libdrm, which would begin the wait anew after each signal */
	if (ioctl(dev->fd, DRM_IOCTL_HEARTH_ADMIT, &arg))
		return hearth_seterr(-errno, "%s: admit: %s", dev->path,
				     errno == EINTR ? "interrupted" : strerror(errno));
	a->verdict = (enum hearth_verdict)arg.verdict;
	a->limit = (enum hearth_limit)arg.limit;
	a->limit_bytes = arg.limit_bytes;
	a->needed_bytes = arg.needed_bytes;
	a->available_bytes = arg.available_bytes;
	a->after_drop_bytes = arg.after_drop_bytes;
	a->restore_ns = arg.restore_ns;
	a->n_victims = arg.victims.count;
	return tell(victims, a->n_victims < VICTIMS_ROOM ? a->n_victims : VICTIMS_ROOM,
		    o->victim, o->arg);
}

static int npu_reserve(struct hearth_device *dev, uint64_t bytes,
		       enum hearth_model_class model_class, int *fd)
{
	struct drm_hearth_reserve arg = {
		.bytes = bytes,
		.model_class = drm_class(model_class),
	};
	int ret = too_old(dev);

	if (!ret)
		ret = hearth_npu_ioctl(dev, DRM_IOCTL_HEARTH_RESERVE, &arg, "reserve");
	if (!ret)
		*fd = arg.fd;
	return ret;
}

const struct hearth_model_ops hearth_models_npu = {
	.create = npu_model_create,
	.destroy = npu_model_destroy,
	.info = npu_model_info,
	.set = npu_model_set,
	.load = npu_model_load,
	.drop = npu_model_drop,
	.events = npu_model_events,
	.list = npu_model_list,
	.memory = npu_memory,
	.admit = npu_admit,
	.reserve = npu_reserve,
};
