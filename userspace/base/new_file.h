/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_BASE_NEW_FILE_H
#define HEARTH_BASE_NEW_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hearth_err;

/*
 * A file that has its name when it is complete and on the disk, or never. Until
 * then it grows beside that, under a name of its own.
 */
struct hearth_new_file {
	const char *path;	/* the caller's */
	char *tmp;
	int fd;
	bool replace;
	uint64_t left;	/* bytes of those announced */
};

/*
 * Begin one of @bytes. -EEXIST there is one and it is not to be replaced, -ENOSPC it
 * does not fit the disk. The path is the caller's to add to a message.
 */
int hearth_new_file_begin(struct hearth_new_file *f, const char *path, uint64_t bytes,
			  bool replace, struct hearth_err *err);
int hearth_new_file_write(struct hearth_new_file *f, const void *data, size_t n,
			  struct hearth_err *err);
/*
 * Each of these ends it. What is committed leaves the page cache: written, it lies there
 * in small pages, and read again it comes in large ones, which are quicker to find.
 */
int hearth_new_file_commit(struct hearth_new_file *f, struct hearth_err *err);
void hearth_new_file_drop(struct hearth_new_file *f);

#endif
