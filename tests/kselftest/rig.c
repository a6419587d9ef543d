// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hw/hearth_regs.h>

#include "rig.h"

#define DRIVER	"/sys/bus/pci/drivers/hearth/"

uint64_t rig_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NPU_SECOND + now.tv_nsec;
}

void rig_breathe(void)
{
	const struct timespec step = { .tv_nsec = 2000000 };

	nanosleep(&step, NULL);
}

int rig_queue_create(int fd, uint32_t vm, uint32_t priority, uint64_t progress_ns,
		     uint64_t job_ns)
{
	struct drm_hearth_queue_create args = {
		.vm_id = vm, .priority = priority,
		.progress_timeout_ns = progress_ns, .job_timeout_ns = job_ns,
	};
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_CREATE, &args);

	return ret ? ret : (int)args.queue_id;
}

int rig_ctx_init(struct npu_ctx *ctx, int fd, uint64_t progress_ns)
{
	int ret = npu_ctx_init(ctx, fd, DRM_HEARTH_QUEUE_NORMAL);

	if (ret)
		return ret;
	ret = npu_queue_destroy(fd, ctx->queue);
	if (!ret)
		ret = rig_queue_create(fd, ctx->vm, DRM_HEARTH_QUEUE_NORMAL, progress_ns, 0);
	ctx->queue = ret < 0 ? 0 : ret;
	return ret < 0 ? ret : 0;
}

size_t rig_nops(struct npu_ctx *ctx, size_t at, unsigned int count)
{
	size_t n = 0;

	while (count--)
		n += npu_cmd_nop(ctx->stream + at + n);
	return n;
}

int rig_submit(struct npu_ctx *ctx, size_t at, size_t bytes, uint32_t syncobj, uint64_t point)
{
	struct drm_hearth_sync sync = npu_signal(syncobj, point);

	return npu_submit(ctx->fd, ctx->queue, ctx->stream_va + at, bytes, &sync, 1);
}

int rig_copy_works(struct npu_ctx *ctx, uint8_t seed)
{
	uint8_t *src = ctx->stream + 0xc000, *dst = ctx->stream + 0xe000;
	size_t i, n;
	int ret;

	/* Apart from the start, where a job may still be reading. */
	n = npu_cmd_copy(ctx->stream + 0xf000, ctx->stream_va + 0xe000,
			 ctx->stream_va + 0xc000, NPU_PAGE);
	for (i = 0; i < NPU_PAGE; i++)
		src[i] = seed + i * 7;
	memset(dst, ~seed, NPU_PAGE);
	ret = rig_submit(ctx, 0xf000, n, ctx->syncobj, 0);
	if (!ret)
		ret = npu_syncobj_wait(ctx->fd, ctx->syncobj, 0, RIG_DEADLINE);
	if (!ret)
		ret = npu_syncobj_status(ctx->fd, ctx->syncobj, 0);
	if (!ret && memcmp(src, dst, NPU_PAGE))
		ret = -EBADMSG;
	return ret;
}

/* 4000 commands of 5 ms: longer than any test waits. */
int rig_gate_shut(struct npu_ctx *ctx, uint32_t syncobj, uint64_t point)
{
	int ret = npu_inject("slow=5");

	return ret ? ret : rig_submit(ctx, 0, rig_nops(ctx, 0, 4000), syncobj, point);
}

int rig_gate_open(void)
{
	char answer[256];

	return npu_ctl("clear", answer, sizeof(answer));
}

int rig_in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		alarm(40);
		status = body(arg);
		fflush(stdout);
		_exit(-status);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int open_and_copy(void *arg)
{
	struct npu_ctx ctx;
	int fd, ret;

	(void)arg;
	fd = npu_open();
	if (fd < 0)
		return fd;
	ret = npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (!ret)
		ret = rig_copy_works(&ctx, getpid());
	return ret;
}

int rig_other_process_works(void)
{
	return rig_in_child(open_and_copy, NULL);
}

int rig_send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

int rig_receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -EIO;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

int64_t rig_resets(void)
{
	char text[256], *at;
	glob_t found;
	int ret;

	if (glob("/sys/kernel/debug/accel/*/slots", 0, NULL, &found) &&
	    glob("/sys/kernel/debug/dri/*/slots", 0, NULL, &found))
		return -ENOENT;
	ret = rig_read(found.gl_pathv[0], text, sizeof(text));
	globfree(&found);
	at = ret ? NULL : strstr(text, ", ");
	return at ? strtoll(at + 2, NULL, 10) : -ENOENT;
}

int64_t rig_stat(const char *key)
{
	char answer[1024], word[64], *at;
	int ret;

	ret = npu_ctl("stats", answer, sizeof(answer));
	if (ret)
		return ret;
	snprintf(word, sizeof(word), " %s=", key);
	at = strstr(answer, word);
	return at ? strtoll(at + strlen(word), NULL, 10) : -ENOENT;
}

static const char *const kinds[] = {
	"files", "bos", "vms", "tables", "stores", "extents", "queues", "jobs", "contexts",
	"models",
};

#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

static int64_t count_objects(int64_t *counts)
{
	int64_t total = 0;
	size_t i;

	for (i = 0; i < KINDS; i++) {
		counts[i] = npu_debugfs("objects", kinds[i]);
		if (counts[i] < 0)
			return counts[i];
		total += counts[i];
	}
	return total;
}

int rig_idle(void)
{
	int64_t counts[KINDS], total;
	size_t i;

	if (RIG_UNTIL((total = count_objects(counts)) <= 0, 15))
		return total;
	for (i = 0; i < KINDS; i++) {
		if (counts[i])
			printf("# %lld %s are left\n", (long long)counts[i], kinds[i]);
	}
	return -ETIME;
}

int rig_write(const char *path, const char *text)
{
	size_t bytes = strlen(text);
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, bytes) != (ssize_t)bytes)
		ret = -errno;
	close(fd);
	return ret;
}

int rig_read(const char *path, char *text, size_t bytes)
{
	ssize_t got;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = read(fd, text, bytes - 1);
	close(fd);
	if (got < 0)
		return -errno;
	text[got] = 0;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

static bool is_npu(const char *folder)
{
	char path[160], vendor[16], device[16];

	snprintf(path, sizeof(path), "%s/vendor", folder);
	if (rig_read(path, vendor, sizeof(vendor)))
		return false;
	snprintf(path, sizeof(path), "%s/device", folder);
	if (rig_read(path, device, sizeof(device)))
		return false;
	return strtoul(vendor, NULL, 16) == HEARTH_PCI_VENDOR &&
	       strtoul(device, NULL, 16) == HEARTH_PCI_DEVICE;
}

static int sysfs_nth(char *path, size_t bytes, const char *attribute, int n)
{
	int ret = -ENODEV;
	glob_t found;
	size_t i;

	if (glob("/sys/bus/pci/devices/*", 0, NULL, &found))
		return -ENODEV;
	for (i = 0; i < found.gl_pathc && ret; i++) {
		if (!is_npu(found.gl_pathv[i]) || n--)
			continue;
		snprintf(path, bytes, "%s/%s", found.gl_pathv[i], attribute);
		ret = 0;
	}
	globfree(&found);
	return ret;
}

int rig_sysfs(char *path, size_t bytes, const char *attribute)
{
	return sysfs_nth(path, bytes, attribute, 0);
}

static int tell_driver(const char *file, int n)
{
	char path[160], *name;
	int ret;

	ret = sysfs_nth(path, sizeof(path), "", n);
	if (ret)
		return ret;
	path[strlen(path) - 1] = 0;
	name = strrchr(path, '/') + 1;
	return rig_write(file, name);
}

int rig_unbind_nth(int n)
{
	return tell_driver(DRIVER "unbind", n);
}

int rig_bind_nth(int n)
{
	return tell_driver(DRIVER "bind", n);
}

int rig_unbind(void)
{
	return rig_unbind_nth(0);
}

int rig_bind(void)
{
	return rig_bind_nth(0);
}

bool rig_boot_is(const char *name)
{
	const char *boot = getenv("HEARTH_BOOT");

	return !strcmp(boot ? boot : "msi", name);
}

int rig_rounds(int full)
{
	return rig_boot_is("msi") ? full : full / 5;
}

int rig_rebind(void)
{
	char path[160];
	int ret;

	ret = rig_sysfs(path, sizeof(path), "driver");
	if (ret)
		return ret;
	if (!access(path, F_OK))
		ret = rig_unbind();
	return ret ? ret : rig_bind();
}
