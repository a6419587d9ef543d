// SPDX-License-Identifier: MIT
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

static int map_fd(struct hearth_map *map, const char *what, struct hearth_err *err)
{
	struct stat st;
	void *base;

	if (fstat(map->fd, &st))
		return hearth_err_set(err, -errno, "%s: stat: %s", what, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return hearth_err_set(err, -EINVAL, "%s: not a regular file", what);
	if (!st.st_size)
		return hearth_err_set(err, -ENODATA, "%s: the file is empty", what);
	if ((uint64_t)st.st_size > SIZE_MAX)
		return hearth_err_set(err, -EFBIG, "%s: %lld bytes exceed the address space",
				      what, (long long)st.st_size);

	base = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, map->fd, 0);
	if (base == MAP_FAILED)
		return hearth_err_set(err, -errno, "%s: mmap of %lld bytes: %s", what,
				      (long long)st.st_size, strerror(errno));
	map->base = base;
	map->size = st.st_size;
	return 0;
}

int hearth_map_open(struct hearth_map *map, const char *path, const char *what,
		    struct hearth_err *err)
{
	int ret;

	*map = (struct hearth_map){ .fd = -1 };
	/* O_NONBLOCK: a FIFO in the model's place must be refused, not waited for. */
	map->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (map->fd < 0)
		return hearth_err_set(err, -errno, "%s: %s", what, strerror(errno));
	ret = map_fd(map, what, err);
	if (ret)
		hearth_map_close(map);
	return ret;
}

void hearth_map_close(struct hearth_map *map)
{
	if (map->base)
		munmap((void *)map->base, map->size);
	if (map->fd >= 0)
		close(map->fd);
	*map = (struct hearth_map){ .fd = -1 };
}
