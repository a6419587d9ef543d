// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <xf86drm.h>

#include "fake_npu_models.h"

#define MAX_MODELS	80

struct model {
	bool used;
	struct drm_hearth_model_info info;
	ino_t ino;
	/* the writing end of its events, or 0 */
	int events;
};

static struct fake_bo bos[MAX_BOS];
static struct model models[MAX_MODELS];

void fake_models_reset(void)
{
	memset(bos, 0, sizeof(bos));
	memset(models, 0, sizeof(models));
}

struct fake_bo *fake_bo_new(uint32_t *handle)
{
	for (uint32_t h = 1; h < MAX_BOS; h++) {
		if (!bos[h].bytes) {
			memset(&bos[h], 0, sizeof(bos[h]));
			*handle = h;
			return &bos[h];
		}
	}
	return NULL;
}

struct fake_bo *fake_bo_find(uint32_t handle)
{
	return handle < MAX_BOS && bos[handle].bytes ? &bos[handle] : NULL;
}

/* ---- buffers ---- */

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static int check_file(const struct drm_hearth_bo_create_file *a, struct stat *st)
{
	struct statfs fs;

	if (fstat(a->fd, st) || fstatfs(a->fd, &fs))
		return -EBADF;
	if (!S_ISREG(st->st_mode) || a->flags || a->pad || a->offset % fake.extent_bytes ||
	    a->offset >= (uint64_t)st->st_size)
		return -EINVAL;
	if (a->size > round_up(st->st_size - a->offset, fake.extent_bytes))
		return -EINVAL;
	return fs.f_type == TMPFS_MAGIC ? -EOPNOTSUPP : 0;
}

static int do_create_file(struct drm_hearth_bo_create_file *a)
{
	struct fake_bo *bo = fake_bo_new(&a->handle);
	struct stat st;
	int ret = check_file(a, &st);

	if (ret || !bo)
		return ret ? ret : -ENOMEM;
	bo->bytes = round_up(a->size, fake.extent_bytes);
	bo->mapped = round_up(st.st_size - a->offset, 4096);
	if (bo->mapped > bo->bytes)
		bo->mapped = bo->bytes;
	bo->ptr = mmap(NULL, bo->mapped, PROT_READ, MAP_SHARED, a->fd, a->offset);
	bo->file = true;
	bo->ino = st.st_ino;
	bo->file_bytes = st.st_size;
	a->size = bo->bytes;
	fake.bos++;
	return 0;
}

static int do_resize(struct drm_hearth_bo_resize *a)
{
	struct fake_bo *bo = fake_bo_find(a->handle);

	if (!bo || !bo->state)
		return -EINVAL;
	a->size = round_up(a->size, fake.extent_bytes);
	fake.size = a->size;
	return a->size > bo->bytes ? -ENOSPC : 0;
}

static int do_advise(struct drm_hearth_bo_advise *a)
{
	struct fake_bo *bo = fake_bo_find(a->handle);

	if (!bo || !bo->state || a->advice > DRM_HEARTH_BO_DONTNEED || a->retained)
		return -EINVAL;
	fake.advice = a->advice;
	a->retained = !fake.discard;
	if (a->advice == DRM_HEARTH_BO_WILLNEED && fake.discard) {
		memset(bo->ptr, 0, bo->bytes);
		fake.discard = false;
	}
	return 0;
}

/* ---- models ---- */

static struct model *find(uint32_t id)
{
	return id && id < MAX_MODELS && models[id].used ? &models[id] : NULL;
}

static int do_create(struct drm_hearth_model_create *a)
{
	const uint32_t *handle = (void *)(uintptr_t)a->bos.array;
	struct model *m = NULL;

	if (a->flags || a->model_class > DRM_HEARTH_CLASS_PINNED || !a->bos.count ||
	    a->bos.stride != 4 || memchr(a->name, 0, sizeof(a->name)) == NULL)
		return -EINVAL;
	for (uint32_t id = 1; id < MAX_MODELS && !m; id++) {
		if (!models[id].used) {
			m = &models[id];
			a->model_id = id;
		}
	}
	if (!m || fake.models == fake.max_models)
		return -EMFILE;
	memset(m, 0, sizeof(*m));
	for (uint32_t i = 0; i < a->bos.count; i++) {
		const struct fake_bo *bo = fake_bo_find(handle[i]);

		if (!bo || (!bo->file && !bo->state))
			return -EINVAL;
		if (bo->file) {
			m->info.weights_bytes += bo->file_bytes;
			m->ino = bo->ino;
		} else {
			m->info.state_bytes += bo->bytes;
		}
	}
	m->used = true;
	m->info.serial = 100 + a->model_id;
	m->info.keep_alive_ns = a->keep_alive_ns;
	m->info.model_class = m->info.effective_class = a->model_class;
	m->info.uid = getuid();
	m->info.pid = getpid();
	memcpy(m->info.name, a->name, sizeof(m->info.name));
	fake.model = *a;
	fake.models++;
	return 0;
}

static int do_destroy(struct drm_hearth_model_destroy *a)
{
	struct model *m = find(a->model_id);

	if (!m)
		return -ENOENT;
	if (m->events)
		close(m->events);
	m->used = false;
	fake.models--;
	return 0;
}

static void fill_info(const struct model *m, struct drm_hearth_model_info *info)
{
	*info = m->info;
	for (uint32_t i = 1; i < MAX_MODELS; i++)
		info->sharers += models[i].used && models[i].ino == m->ino;
	info->state = info->resident_bytes == info->weights_bytes ?
		DRM_HEARTH_MODEL_RESIDENT : DRM_HEARTH_MODEL_DROPPED;
}

static int do_get(struct drm_hearth_model_get *a)
{
	struct model *m = find(a->model_id);

	if (!m)
		return -ENOENT;
	fill_info(m, (void *)(uintptr_t)a->pointer);
	return 0;
}

static int do_set(struct drm_hearth_model_set *a)
{
	struct model *m = find(a->model_id);

	if (!m || !a->fields || a->pad)
		return -EINVAL;
	if (a->fields & DRM_HEARTH_MODEL_SET_CLASS)
		m->info.model_class = m->info.effective_class = a->model_class;
	if (a->fields & DRM_HEARTH_MODEL_SET_KEEP_ALIVE)
		m->info.keep_alive_ns = a->keep_alive_ns;
	return 0;
}

static void event(struct model *m, uint32_t events)
{
	struct drm_hearth_model_event e = {
		.events = events,
		.state = events & DRM_HEARTH_EVENT_DROPPED ? DRM_HEARTH_MODEL_DROPPED :
							     DRM_HEARTH_MODEL_RESIDENT,
		.resident_bytes = m->info.resident_bytes,
	};

	if (m->events && write(m->events, &e, sizeof(e)) != sizeof(e))
		perror("fake event");
}

static uint64_t drop(struct model *m)
{
	uint64_t bytes = m->info.resident_bytes;

	m->info.resident_bytes = 0;
	m->info.dropped_bytes += bytes;
	event(m, DRM_HEARTH_EVENT_ABOUT_TO_DROP | DRM_HEARTH_EVENT_DROPPED);
	return bytes;
}

static int do_drop(struct drm_hearth_model_drop *a)
{
	struct model *m = find(a->model_id);

	if (!m || a->flags & ~DRM_HEARTH_DROP_CACHE)
		return -EINVAL;
	a->bytes = drop(m);
	return 0;
}

void fake_npu_drop(void)
{
	for (uint32_t i = 1; i < MAX_MODELS; i++) {
		if (models[i].used)
			drop(&models[i]);
	}
}

void fake_models_restore(void)
{
	for (uint32_t i = 1; i < MAX_MODELS; i++) {
		struct model *m = &models[i];
		uint64_t bytes = m->info.weights_bytes - m->info.resident_bytes;

		if (!m->used || !bytes)
			continue;
		m->info.resident_bytes += bytes;
		m->info.restored_bytes += bytes;
		m->info.restored_ns += bytes;
		event(m, DRM_HEARTH_EVENT_RESTORED);
	}
}

static int do_events(struct drm_hearth_model_events *a)
{
	struct model *m = find(a->model_id);
	int fd[2];

	if (!m || a->flags || m->events)
		return -EINVAL;
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	m->events = fd[1];
	a->fd = fd[0];
	return 0;
}

/* count says how many there are, of which those that fit are written. */
static void give_list(struct drm_hearth_array *a)
{
	struct drm_hearth_model_info *to = (void *)(uintptr_t)a->array;
	uint32_t n = 0;

	for (uint32_t i = 1; i < MAX_MODELS; i++) {
		if (!models[i].used)
			continue;
		if (n < a->count)
			fill_info(&models[i], &to[n]);
		n++;
	}
	a->count = n;
}

static int do_list(struct drm_hearth_model_list *a)
{
	if (a->models.stride != sizeof(struct drm_hearth_model_info))
		return -EINVAL;
	give_list(&a->models);
	return 0;
}

/* ---- admission ---- */

static int do_admit(struct drm_hearth_admit *a)
{
	struct drm_hearth_array victims = a->victims;

	if (a->pad || a->flags & ~DRM_HEARTH_ADMIT_BLOCK)
		return -EINVAL;
	fake.asked = *a;
	if (fake.answer.verdict == DRM_HEARTH_ADMIT_NOW ||
	    fake.answer.verdict == DRM_HEARTH_ADMIT_NEVER)
		victims.count = 0;
	else
		give_list(&victims);
	a->victims = victims;
	a->verdict = fake.answer.verdict;
	a->limit = fake.answer.limit;
	a->limit_bytes = fake.answer.limit_bytes;
	a->needed_bytes = fake.answer.needed_bytes;
	a->available_bytes = fake.answer.available_bytes;
	a->after_drop_bytes = fake.answer.after_drop_bytes;
	a->restore_ns = fake.answer.restore_ns;
	return 0;
}

static int do_reserve(struct drm_hearth_reserve *a)
{
	a->bytes = round_up(a->bytes, fake.extent_bytes);
	fake.reserved = a->bytes;
	if (fake.answer.verdict == DRM_HEARTH_ADMIT_NEVER)
		return -EDQUOT;
	if (fake.answer.verdict == DRM_HEARTH_ADMIT_WAIT)
		return -EBUSY;
	a->fd = memfd_create("reservation", MFD_CLOEXEC);
	return a->fd < 0 ? -errno : 0;
}

static int answer_file(unsigned long req, void *arg)
{
	switch (req) {
	case DRM_IOCTL_HEARTH_BO_CREATE_FILE:
		return do_create_file(arg);
	case DRM_IOCTL_HEARTH_BO_RESIZE:
		return do_resize(arg);
	case DRM_IOCTL_HEARTH_BO_ADVISE:
		return do_advise(arg);
	default:
		return -ENOTTY;
	}
}

static int answer_model(unsigned long req, void *arg)
{
	switch (req) {
	case DRM_IOCTL_HEARTH_MODEL_CREATE:
		return do_create(arg);
	case DRM_IOCTL_HEARTH_MODEL_DESTROY:
		return do_destroy(arg);
	case DRM_IOCTL_HEARTH_MODEL_SET:
		return do_set(arg);
	case DRM_IOCTL_HEARTH_MODEL_GET:
		return do_get(arg);
	case DRM_IOCTL_HEARTH_MODEL_EVENTS:
		return do_events(arg);
	case DRM_IOCTL_HEARTH_MODEL_DROP:
		return do_drop(arg);
	case DRM_IOCTL_HEARTH_MODEL_LIST:
		return do_list(arg);
	case DRM_IOCTL_HEARTH_ADMIT:
		return do_admit(arg);
	case DRM_IOCTL_HEARTH_RESERVE:
		return do_reserve(arg);
	default:
		return -ENOTTY;
	}
}

/* DRM answers what a driver has not with -EINVAL. */
int fake_models_answer(unsigned long req, void *arg)
{
	int ret = fake.extent_bytes ? answer_file(req, arg) : -ENOTTY;

	if (ret == -ENOTTY)
		ret = fake.max_models ? answer_model(req, arg) : -ENOTTY;
	return ret == -ENOTTY ? -EINVAL : ret;
}
