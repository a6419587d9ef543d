// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xf86drm.h>

#include "fake_npu_models.h"
#include "kernels/exec.h"

#define MAX_MAPS	64
#define BO_SPACE	(1ull << 32)


struct map {
	uint64_t va, bytes;
	char *ptr;
	bool readonly;
};

struct fake_npu fake;

static int file_fd = -1;
static struct map maps[MAX_MAPS];
static struct drm_hearth_query_fault fault;
static struct hk_exec *executor;
static uint32_t next_syncobj;

void fake_npu_reset(void)
{
	if (file_fd < 0) {
		strcpy(fake.path, "/tmp/fake-npu-XXXXXX");
		file_fd = mkstemp(fake.path);
		unlink(fake.path);
		if (file_fd < 0 || ftruncate(file_fd, MAX_BOS * BO_SPACE))
			abort();
		executor = hk_exec_create(NULL, NULL);
	}
	memset(&fake, 0, sizeof(fake));
	fake_models_reset();
	memset(maps, 0, sizeof(maps));
	memset(&fault, 0, sizeof(fault));
	snprintf(fake.path, sizeof(fake.path), "/proc/self/fd/%d", file_fd);
	fake.ops = hk_ops_mask();
	fake.types = hk_types_mask();
	fake.extent_bytes = 2 << 20;
	fake.max_models = 16;
}

unsigned int fake_npu_leaks(void)
{
	return fake.bos + fake.queues + fake.syncobjs + fake.mappings + fake.models;
}

/* ---- memory, as the device sees it ---- */

static int space_map(struct hk_space *space, struct hk_map *m, struct hk_fault *f)
{
	for (unsigned int i = 0; i < MAX_MAPS; i++) {
		struct map *p = &maps[i];

		if (p->bytes && m->va >= p->va && m->va - p->va <= p->bytes &&
		    m->bytes <= p->bytes - (m->va - p->va) &&
		    !(p->readonly && (m->access & HK_WRITE))) {
			m->ptr = p->ptr + (m->va - p->va);
			return 0;
		}
	}
	f->error = m->access & HK_WRITE ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ;
	f->addr = m->va;
	return -EFAULT;
}

static int space_unmap(struct hk_space *space, struct hk_map *m, struct hk_fault *f)
{
	return 0;
}

static const struct hk_space_ops space_ops = { space_map, space_unmap };

static void set_fault(const struct hk_fault *f, int ret)
{
	static const uint32_t cause[] = {
		[HEARTH_HW_ERR_READ] = DRM_HEARTH_FAULT_MMU_READ,
		[HEARTH_HW_ERR_WRITE] = DRM_HEARTH_FAULT_MMU_WRITE,
		[HEARTH_HW_ERR_OPCODE] = DRM_HEARTH_FAULT_OPCODE,
		[HEARTH_HW_ERR_OPERAND] = DRM_HEARTH_FAULT_OPERAND,
	};

	fault.cause = cause[f->error];
	fault.error = -ret;
	fault.op_index = f->op_index;
	fault.opcode = f->opcode;
	fault.address = f->addr;
}

static void run(uint64_t va, uint64_t bytes)
{
	struct hk_space space = { .ops = &space_ops };
	struct hk_map m = { .va = va, .bytes = bytes, .access = HK_READ };
	struct hk_fault f = { 0 };
	int ret = space_map(&space, &m, &f);
	uint64_t at = 0;

	while (!ret && at < bytes) {
		const struct hearth_cmd_header *cmd = (void *)((char *)m.ptr + at);

		if (!(fake.ops >> (cmd->op & 63) & 1)) {
			f.error = HEARTH_HW_ERR_OPCODE;
			f.opcode = cmd->op;
			ret = -EINVAL;
			break;
		}
		ret = hk_exec_one(executor, &space, cmd, bytes - at, &f);
		if (ret > 0) {
			at += ret;
			f.op_index++;
			ret = 0;
		}
	}
	if (ret)
		set_fault(&f, ret);
}

/* ---- ioctls ---- */

static int do_version(struct drm_version *v)
{
	/* asked twice: for the lengths, then for the strings */
	if (v->name) {
		memcpy(v->name, "hearth", 6);
		memcpy(v->date, "0", 1);
		memcpy(v->desc, "fake", 4);
	}
	v->name_len = 6;
	v->date_len = 1;
	v->desc_len = 4;
	return 0;
}

static int do_query(struct drm_hearth_dev_query *q)
{
	struct drm_hearth_npu_info info = {
		.ops = fake.ops,
		.types = fake.types,
		.sram_bytes = 1 << 20,
		.fw_version = 0x10002,
	};
	struct drm_hearth_limits limits = {
		.va_start = 4096,
		.va_end = 1ull << 39,
		.extent_bytes = fake.extent_bytes,
		.max_models = fake.max_models,
	};
	void *to = (void *)(uintptr_t)q->pointer;

	if (q->type == DRM_HEARTH_DEV_QUERY_NPU_INFO)
		memcpy(to, &info, sizeof(info));
	else if (q->type == DRM_HEARTH_DEV_QUERY_LIMITS)
		memcpy(to, &limits, sizeof(limits));
	else if (fake.max_models)
		memcpy(to, &fake.memory, sizeof(fake.memory));
	else
		return -EINVAL;
	return 0;
}

static int do_bo_create(struct drm_hearth_bo_create *a)
{
	struct fake_bo *bo = fake_bo_new(&a->handle);

	if (!bo)
		return -ENOMEM;
	if (a->flags & DRM_HEARTH_BO_STATE &&
	    (!fake.extent_bytes || fake.no_states || a->size % fake.extent_bytes))
		return -EINVAL;
	bo->bytes = bo->mapped = a->size;
	bo->state = a->flags & DRM_HEARTH_BO_STATE;
	bo->ptr = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd,
		       a->handle * BO_SPACE);
	memset(bo->ptr, 0, a->size);
	fake.bos++;
	return 0;
}

static int do_gem_close(struct drm_gem_close *a)
{
	struct fake_bo *bo = fake_bo_find(a->handle);

	if (!bo)
		return -EINVAL;
	munmap(bo->ptr, bo->mapped);
	bo->bytes = 0;
	fake.bos--;
	return 0;
}

/* Files and states are bound in whole extents, files for reading alone. */
static int check_bind(const struct drm_hearth_bind_op *op, const struct fake_bo *bo)
{
	if (!bo || op->bo_offset > bo->bytes || op->size > bo->bytes - op->bo_offset)
		return -EINVAL;
	if ((bo->file || bo->state) && (op->va | op->bo_offset | op->size) % fake.extent_bytes)
		return -EINVAL;
	return bo->file && !(op->flags & DRM_HEARTH_BIND_READONLY) ? -EACCES : 0;
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int do_bind(struct drm_hearth_vm_bind *a)
{
	const struct drm_hearth_bind_op *op = (void *)(uintptr_t)a->ops.array;
	struct fake_bo *bo = fake_bo_find(op->bo_handle);
	int ret = op->op == DRM_HEARTH_BIND_MAP ? check_bind(op, bo) : 0;

	if (ret)
		return ret;
	for (unsigned int i = 0; i < MAX_MAPS; i++) {
		struct map *m = &maps[i];

		if (op->op == DRM_HEARTH_BIND_MAP && !m->bytes) {
			/* beyond the end of a file nothing is mapped */
			*m = (struct map){ op->va,
					   min(op->size, bo->mapped - op->bo_offset),
					   bo->ptr + op->bo_offset,
					   op->flags & DRM_HEARTH_BIND_READONLY };
			fake.mappings++;
			fake.binds++;
			return 0;
		}
		if (op->op == DRM_HEARTH_BIND_UNMAP && m->bytes && m->va == op->va) {
			m->bytes = 0;
			fake.mappings--;
			return 0;
		}
	}
	return -EINVAL;
}

static int do_queue_create(struct drm_hearth_queue_create *a)
{
	fake.priority = a->priority;
	fake.queues++;
	a->queue_id = 1;
	memset(&fault, 0, sizeof(fault));
	return 0;
}

static int do_submit(struct drm_hearth_submit *a)
{
	const struct drm_hearth_job *job = (void *)(uintptr_t)a->jobs.array;

	if (fault.error)
		return -ECANCELED;
	fake.submits++;
	fake_models_restore();
	if (fake.fault.error)
		fault = fake.fault;
	else
		run(job->stream_va, job->stream_bytes);
	return 0;
}

static int do_fault(struct drm_hearth_query_fault *a)
{
	*a = fault;
	return 0;
}

static int do_wait(struct drm_syncobj_timeline_wait *w)
{
	fake.waits++;
	return fake.never ? -ETIME : 0;
}

static int do_syncobj_create(struct drm_syncobj_create *a)
{
	a->handle = ++next_syncobj;
	fake.syncobjs++;
	return 0;
}

static int do_handle_to_fd(struct drm_syncobj_handle *a)
{
	a->fd = dup(file_fd);
	return 0;
}

static int answer(unsigned long req, void *arg)
{
	switch (req) {
	case DRM_IOCTL_VERSION:
		return do_version(arg);
	case DRM_IOCTL_HEARTH_DEV_QUERY:
		return do_query(arg);
	case DRM_IOCTL_HEARTH_VM_CREATE:
		fake.vms++;
		return 0;
	case DRM_IOCTL_HEARTH_BO_CREATE:
		return do_bo_create(arg);
	case DRM_IOCTL_HEARTH_BO_MMAP_OFFSET:
		((struct drm_hearth_bo_mmap_offset *)arg)->offset =
			((struct drm_hearth_bo_mmap_offset *)arg)->handle * BO_SPACE;
		return 0;
	case DRM_IOCTL_GEM_CLOSE:
		return do_gem_close(arg);
	case DRM_IOCTL_HEARTH_VM_BIND:
		return do_bind(arg);
	case DRM_IOCTL_HEARTH_QUEUE_CREATE:
		return do_queue_create(arg);
	case DRM_IOCTL_HEARTH_QUEUE_DESTROY:
		fake.queues--;
		return 0;
	case DRM_IOCTL_HEARTH_SUBMIT:
		return do_submit(arg);
	case DRM_IOCTL_HEARTH_QUERY_FAULT:
		return do_fault(arg);
	case DRM_IOCTL_SYNCOBJ_CREATE:
		return do_syncobj_create(arg);
	case DRM_IOCTL_SYNCOBJ_DESTROY:
		fake.syncobjs--;
		return 0;
	case DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT:
		return do_wait(arg);
	case DRM_IOCTL_SYNCOBJ_TRANSFER:
	case DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE:
		return 0;
	case DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD:
		return do_handle_to_fd(arg);
	default:
		return fake_models_answer(req, arg);
	}
}

static bool is_fake(int fd)
{
	struct stat a, b;

	return file_fd >= 0 && !fstat(fd, &a) && !fstat(file_fd, &b) &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* In front of libc's, also for libdrm: its prototype is the same. */
int ioctl(int fd, unsigned long req, ...);

int ioctl(int fd, unsigned long req, ...)
{
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, req);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!is_fake(fd))
		return syscall(SYS_ioctl, fd, req, arg);
	fake.failed += fake.fail_request == req;
	ret = fake.fail_request == req ? -fake.fail_errno : answer(req, arg);
	if (!ret)
		return 0;
	errno = -ret;
	return -1;
}
