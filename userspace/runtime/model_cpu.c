// SPDX-License-Identifier: MIT
/*
 * Models on the CPU: the kernel's page cache keeps and drops them as it likes.
 * What it tells is passed on, what it can't promise is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/model_scan.h"
#include "runtime/residency.h"

/* Largest part that is populated at once: keeps a long load interruptible. */
#define LOAD_CHUNK	(64u << 20)

static int check_class(struct hearth_model *m)
{
	if (m->model_class != HEARTH_CLASS_PINNED)
		return 0;
	return hearth_seterr(-EOPNOTSUPP,
			     "the CPU device cannot pin a model: the kernel drops cached pages when it needs memory");
}

static int cpu_model_create(struct hearth_model *m, int reservation_fd)
{
	if (reservation_fd >= 0)
		return hearth_seterr(-EOPNOTSUPP, "the CPU device has no reservations");
	return check_class(m);
}

static void cpu_model_destroy(struct hearth_model *m)
{
}

static uint64_t resident(const struct hearth_model *m, bool *estimated)
{
	return hearth_resident_bytes(m->weights->ptr, m->weights->bytes,
				     m->weights->file_fd, estimated);
}

static void weights_info(const struct hearth_model *m, struct hearth_model_info *info)
{
	/* the last page of the file counts as far as the file reaches */
	if (info->shared)
		info->weights_bytes = m->weights->stamp.bytes;
	info->resident_bytes = resident(m, &info->estimated);
	if (info->resident_bytes > info->weights_bytes)
		info->resident_bytes = info->weights_bytes;
}

static int cpu_model_info(struct hearth_model *m, struct hearth_model_info *info)
{
	bool estimated;

	if (m->weights)
		weights_info(m, info);
	if (m->state)
		info->state_bytes = hearth_resident_bytes(m->state->ptr, m->state->bytes,
							  -1, &estimated);
	info->effective_class = HEARTH_CLASS_DROPPABLE;
	info->restored_bytes = m->restored_bytes;
	info->restored_ns = m->restored_ns;
	info->dropped_bytes = m->dropped_bytes;
	info->state = info->resident_bytes >= info->weights_bytes ? HEARTH_MODEL_RESIDENT :
		      info->resident_bytes ? HEARTH_MODEL_PARTLY : HEARTH_MODEL_DROPPED;
	if (m->weights && hearth_buffer_check_file(m->weights))
		info->state = HEARTH_MODEL_STALE;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int populate(struct hearth_buffer *b)
{
	for (uint64_t at = 0; at < b->bytes; at += LOAD_CHUNK) {
		uint64_t left = b->bytes - at;

		if (madvise((char *)b->ptr + at, left < LOAD_CHUNK ? left : LOAD_CHUNK,
			    MADV_POPULATE_READ))
			return hearth_seterr(-errno, "read of the weights at %llu: %s",
					     (unsigned long long)at, strerror(errno));
	}
	return 0;
}

static int cpu_model_load(struct hearth_model *m)
{
	bool estimated;
	uint64_t before = resident(m, &estimated), start = now_ns(), after;
	int ret = populate(m->weights);

	if (ret)
		return ret;
	after = resident(m, &estimated);
	if (after > before) {
		m->restored_ns += now_ns() - start;
		m->restored_bytes += after - before;
	}
	return 0;
}

/* Out of our page table first: what is mapped stays in the cache. */
static int cpu_model_drop(struct hearth_model *m, uint32_t flags, uint64_t *bytes)
{
	bool estimated;
	uint64_t before = resident(m, &estimated), after;
	int ret;

	if (madvise(m->weights->ptr, m->weights->bytes, MADV_DONTNEED))
		return hearth_seterr(-errno, "drop weights: %s", strerror(errno));
	ret = posix_fadvise(m->weights->file_fd, 0, 0, POSIX_FADV_DONTNEED);
	if (ret)
		return hearth_seterr(-ret, "drop weights from the cache: %s", strerror(ret));
	after = resident(m, &estimated);
	*bytes = before > after ? before - after : 0;
	m->dropped_bytes += *bytes;
	return 0;
}

static int cpu_model_events(struct hearth_model *m, int *fd)
{
	return hearth_seterr(-EOPNOTSUPP,
			     "the CPU device has no events: the kernel does not tell when it drops cached pages");
}

static int cpu_model_list(struct hearth_device *dev,
			  int (*fn)(const struct hearth_model_info *info, void *arg),
			  void *arg)
{
	return hearth_model_scan("/proc", fn, arg);
}

static int cpu_memory(struct hearth_device *dev, struct hearth_memory_info *info)
{
	return hearth_system_memory(info);
}

static int cpu_admit(struct hearth_device *dev, const struct hearth_demand *d,
		     const struct hearth_admit_opts *o, struct hearth_answer *a)
{
	return hearth_system_admit(d, a);
}

static int cpu_reserve(struct hearth_device *dev, uint64_t bytes,
		       enum hearth_model_class model_class, int *fd)
{
	return hearth_seterr(-EOPNOTSUPP,
			     "the CPU device cannot reserve memory: no one keeps it from others");
}

const struct hearth_model_ops hearth_models_cpu = {
	.create = cpu_model_create,
	.destroy = cpu_model_destroy,
	.info = cpu_model_info,
	.set = check_class,
	.load = cpu_model_load,
	.drop = cpu_model_drop,
	.events = cpu_model_events,
	.list = cpu_model_list,
	.memory = cpu_memory,
	.admit = cpu_admit,
	.reserve = cpu_reserve,
};
