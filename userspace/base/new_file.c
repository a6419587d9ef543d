// SPDX-License-Identifier: MIT
#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"

static int no_room(const struct hearth_new_file *f, uint64_t free_bytes, struct hearth_err *err)
{
	return hearth_err_set(err, -ENOSPC,
			      "%" PRIu64 " bytes are needed, %" PRIu64 " are free on the disk",
			      f->left, free_bytes);
}

static int failed(const struct hearth_new_file *f, struct hearth_err *err)
{
	struct statvfs v;
	int code = errno;

	if (code == ENOSPC && f->left && !fstatvfs(f->fd, &v))
		return no_room(f, (uint64_t)v.f_bavail * v.f_frsize, err);
	return hearth_err_set(err, -code, "%s", strerror(code));
}

/* What is there already, if anything, may it go? */
static int check_old(const struct hearth_new_file *f, struct hearth_err *err)
{
	struct stat st;

	if (lstat(f->path, &st))
		return errno == ENOENT ? 0 : failed(f, err);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return hearth_err_set(err, -EINVAL, "is no regular file");
	return f->replace ? 0 : hearth_err_set(err, -EEXIST, "exists");
}

/* A full disk is better known before the work than after it. */
static int check_room(const struct hearth_new_file *f, struct hearth_err *err)
{
	struct statvfs v;

	if (fstatvfs(f->fd, &v))
		return failed(f, err);
	if ((uint64_t)v.f_bavail * v.f_frsize < f->left)
		return no_room(f, (uint64_t)v.f_bavail * v.f_frsize, err);
	return 0;
}

int hearth_new_file_begin(struct hearth_new_file *f, const char *path, uint64_t bytes,
			  bool replace, struct hearth_err *err)
{
	int ret;

	*f = (struct hearth_new_file){ .path = path, .fd = -1, .replace = replace, .left = bytes };
	ret = check_old(f, err);
	if (ret)
		return ret;
	if (asprintf(&f->tmp, "%s.tmp-%d", path, getpid()) < 0) {
		f->tmp = NULL;
		return hearth_err_set(err, -ENOMEM, "no memory");
	}
	f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (f->fd < 0) {
		ret = failed(f, err);
		free(f->tmp);
		f->tmp = NULL;
		return ret;
	}
	ret = check_room(f, err);
	if (ret)
		hearth_new_file_drop(f);
	return ret;
}

int hearth_new_file_write(struct hearth_new_file *f, const void *data, size_t n,
			  struct hearth_err *err)
{
	for (const char *p = data; n; ) {
		ssize_t done = write(f->fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return failed(f, err);
		p += done;
		n -= done;
		f->left -= (uint64_t)done < f->left ? (uint64_t)done : f->left;
	}
	return 0;
}

/* Who made a file of that name meanwhile keeps it, where the file system can tell. */
static int give_name(const struct hearth_new_file *f)
{
	if (f->replace)
		return rename(f->tmp, f->path);
	if (!renameat2(AT_FDCWD, f->tmp, AT_FDCWD, f->path, RENAME_NOREPLACE))
		return 0;
	return errno == EINVAL ? rename(f->tmp, f->path) : -1;
}

int hearth_new_file_commit(struct hearth_new_file *f, struct hearth_err *err)
{
	int ret = 0;

	if (fsync(f->fd) || give_name(f)) {
		ret = failed(f, err);
		hearth_new_file_drop(f);
		return ret;
	}
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	close(f->fd);
	f->fd = -1;
	free(f->tmp);
	f->tmp = NULL;
	return 0;
}

void hearth_new_file_drop(struct hearth_new_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->tmp)
		unlink(f->tmp);
	free(f->tmp);
	f->tmp = NULL;
}
