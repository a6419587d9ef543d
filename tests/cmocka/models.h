/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_MODELS_H
#define HEARTH_TESTS_MODELS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folder of real models, or NULL (and why on stderr) where there is none. */
static inline const char *models_dir(void)
{
	const char *dir = getenv("HEARTH_MODELS");
	struct stat st;

	if (!dir || !*dir)
		dir = "../shared/models";
	if (!stat(dir, &st) && S_ISDIR(st.st_mode))
		return dir;
	fprintf(stderr, "# no models at '%s'; set HEARTH_MODELS to where they are\n", dir);
	return NULL;
}

static inline bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

/* Call @fn for each file below @dir whose name ends in @end; returns how many. */
static inline int for_each_file(const char *dir, const char *end,
				void (*fn)(const char *path, void *arg), void *arg)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	if (!d)
		return 0;
	while ((e = readdir(d))) {
		struct stat st;
		char *path;

		if (e->d_name[0] == '.' || asprintf(&path, "%s/%s", dir, e->d_name) < 0)
			continue;
		if (!stat(path, &st) && S_ISDIR(st.st_mode)) {
			n += for_each_file(path, end, fn, arg);
		} else if (ends_with(path, end)) {
			fn(path, arg);
			n++;
		}
		free(path);
	}
	closedir(d);
	return n;
}

/* A whole file, NUL-terminated; the caller frees it. NULL if it cannot be read. */
static inline char *read_whole(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *buf = NULL;
	long n;

	if (f && !fseek(f, 0, SEEK_END) && (n = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
		buf = malloc(n + 1);
		if (buf && fread(buf, 1, n, f) != (size_t)n) {
			free(buf);
			buf = NULL;
		}
		if (buf) {
			buf[n] = '\0';
			*len = n;
		}
	}
	if (f)
		fclose(f);
	return buf;
}

#endif
