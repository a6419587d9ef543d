// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keep.h"

static int attribute_path(const char *name, char *path, size_t bytes)
{
	char relative[64];

	snprintf(relative, sizeof(relative), "hearth/%s", name);
	return rig_sysfs(path, bytes, relative);
}

int64_t keep_attribute(const char *name)
{
	char path[160], text[64];
	int ret = attribute_path(name, path, sizeof(path));

	if (!ret)
		ret = rig_read(path, text, sizeof(text));
	return ret ? ret : strtoll(text, NULL, 10);
}

int keep_set_attribute_text(const char *name, const char *text)
{
	char path[160];
	int ret = attribute_path(name, path, sizeof(path));

	return ret ? ret : rig_write(path, text);
}

int keep_set_attribute(const char *name, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)bytes);
	return keep_set_attribute_text(name, text);
}

int keep_memory(int fd, struct drm_hearth_memory *memory)
{
	struct drm_hearth_dev_query args = {
		.type = DRM_HEARTH_DEV_QUERY_MEMORY, .size = sizeof(*memory),
		.pointer = NPU_PTR(memory),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_DEV_QUERY, &args);
}

int keep_admit(int fd, struct drm_hearth_admit *args, uint64_t weights, uint64_t state,
	       uint64_t scratch, uint32_t class)
{
	*args = (struct drm_hearth_admit){
		.demand = {
			.weights_bytes = weights, .state_bytes = state, .scratch_bytes = scratch,
			.model_class = class, .weights_fd = -1,
		},
	};
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_ADMIT, args);
}

int keep_reserve(int fd, uint64_t bytes, uint32_t class)
{
	struct drm_hearth_reserve args = { .bytes = bytes, .model_class = class };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_RESERVE, &args);

	return ret ? ret : args.fd;
}

int keep_take(int fd, uint64_t bytes)
{
	int bo = npu_bo_create(fd, bytes, 0);
	void *p;

	if (bo < 0)
		return bo;
	p = npu_bo_map(fd, bo, bytes);
	if (p == MAP_FAILED) {
		int ret = -errno;

		npu_bo_close(fd, bo);
		return ret;
	}
	/* The object keeps its pages and its price. */
	munmap(p, bytes);
	return bo;
}

struct user {
	uint32_t uid;
	int (*body)(void *arg);
	void *arg;
};

static int be_user(void *arg)
{
	struct user *user = arg;

	if (setgroups(0, NULL) || setresgid(user->uid, user->uid, user->uid) ||
	    setresuid(user->uid, user->uid, user->uid))
		return -errno;
	return user->body(user->arg);
}

int keep_as_user(uint32_t uid, int (*body)(void *arg), void *arg)
{
	struct user user = { .uid = uid, .body = body, .arg = arg };

	return rig_in_child(be_user, &user);
}

int keep_open_node(void)
{
	char path[64];
	int ret = npu_path(path, sizeof(path));

	return ret ? ret : chmod(path, 0666) ? -errno : 0;
}

int keep_model(int fd, uint32_t bo, uint32_t class, int64_t keep_alive_ns, const char *name)
{
	struct drm_hearth_model_create args = {
		.bos = NPU_ARRAY(&bo, 1), .keep_alive_ns = keep_alive_ns, .model_class = class,
		.reservation_fd = -1,
	};
	int ret;

	snprintf(args.name, sizeof(args.name), "%s", name);
	ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_CREATE, &args);
	return ret ? ret : (int)args.model_id;
}

int keep_model_set(int fd, uint32_t model, uint32_t fields, uint32_t class,
		   int64_t keep_alive_ns)
{
	struct drm_hearth_model_set args = {
		.model_id = model, .fields = fields, .model_class = class,
		.keep_alive_ns = keep_alive_ns,
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_SET, &args);
}

int keep_model_get(int fd, uint32_t model, struct drm_hearth_model_info *info)
{
	struct drm_hearth_model_get args = {
		.model_id = model, .size = sizeof(*info), .pointer = NPU_PTR(info),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_GET, &args);
}

int keep_model_destroy(int fd, uint32_t model)
{
	struct drm_hearth_model_destroy args = { .model_id = model };

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_DESTROY, &args);
}

int64_t keep_model_drop(int fd, uint32_t model, uint32_t flags)
{
	struct drm_hearth_model_drop args = { .model_id = model, .flags = flags };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_DROP, &args);

	return ret ? ret : (int64_t)args.bytes;
}

int keep_model_events(int fd, uint32_t model)
{
	struct drm_hearth_model_events args = { .model_id = model };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_EVENTS, &args);

	if (ret)
		return ret;
	return fcntl(args.fd, F_SETFL, O_NONBLOCK) ? -errno : args.fd;
}

int keep_state(int fd, uint32_t model)
{
	struct drm_hearth_model_info info;
	int ret = keep_model_get(fd, model, &info);

	return ret ? ret : (int)info.state;
}
