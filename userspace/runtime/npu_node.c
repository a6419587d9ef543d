// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <xf86drm.h>

#include "runtime/error.h"
#include "runtime/npu_node.h"

static bool is_hearth(int fd)
{
	drmVersionPtr v = drmGetVersion(fd);
	bool yes = v && v->name && !strcmp(v->name, "hearth");

	drmFreeVersion(v);
	return yes;
}

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (is_hearth(fd))
		return fd;
	close(fd);
	return -ENODEV;
}

static int open_error(const char *path, int ret)
{
	if (ret == -EACCES || ret == -EPERM)
		return hearth_seterr(-EACCES,
				     "%s: permission denied; add your user to the group 'render'",
				     path);
	if (ret == -ENODEV)
		return hearth_seterr(ret, "%s is not a Hearth NPU", path);
	return hearth_seterr(ret, "%s: %s", path, strerror(-ret));
}

static int first_node(char *found, size_t size)
{
	int fd = -ENODEV, denied = 0;
	glob_t g = { 0 };
	char no[64] = "";

	glob("/dev/accel/accel*", 0, NULL, &g);
	glob("/dev/dri/renderD*", GLOB_APPEND, NULL, &g);
	for (size_t i = 0; i < g.gl_pathc && fd < 0; i++) {
		fd = open_node(g.gl_pathv[i]);
		if (fd >= 0)
			snprintf(found, size, "%s", g.gl_pathv[i]);
		/* an accel node may be ours; any GPU has a render node */
		if (fd == -EACCES && strstr(g.gl_pathv[i], "accel")) {
			denied = fd;
			snprintf(no, sizeof(no), "%s", g.gl_pathv[i]);
		}
	}
	globfree(&g);
	if (fd >= 0)
		return fd;
	if (denied)
		return open_error(no, denied);
	return hearth_seterr(-ENODEV, "no Hearth NPU found; is hearth.ko loaded?");
}

int hearth_npu_node_open(const char *path, char *found, size_t size)
{
	int fd;

	if (!path)
		return first_node(found, size);
	fd = open_node(path);
	if (fd < 0)
		return open_error(path, fd);
	snprintf(found, size, "%s", path);
	return fd;
}
