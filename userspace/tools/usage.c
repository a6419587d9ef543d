// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/usage.h"

/* "123 KiB", "5 ns", "7": the number times its unit */
static uint64_t value_of(const char *text)
{
	char unit[8] = "";
	unsigned long long n = 0;

	sscanf(text, "%llu %7s", &n, unit);
	return !strcmp(unit, "KiB") ? n << 10 : !strcmp(unit, "MiB") ? n << 20 : n;
}

/* The region's name follows: memory of all regions is summed up. */
static void take_line(struct usage *u, const char *key, const char *text, bool *ours)
{
	const struct {
		const char *prefix;
		uint64_t *value;
	} rows[] = {
		{ "drm-total-", &u->total },
		{ "drm-shared-", &u->shared },
		{ "drm-resident-", &u->resident },
		{ "drm-purgeable-", &u->purgeable },
		{ "drm-active-", &u->active },
	};

	if (!strcmp(key, "drm-driver"))
		*ours = !strcmp(text, "hearth");
	else if (!strcmp(key, "drm-client-id"))
		u->client = value_of(text);
	else if (!strcmp(key, "drm-engine-npu"))
		u->busy_ns = value_of(text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!strncmp(key, rows[i].prefix, strlen(rows[i].prefix)))
			*rows[i].value += value_of(text);
	}
}

static bool read_fdinfo(const char *path, struct usage *u)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool ours = false;

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		char *text = strchr(line, ':');

		if (!text || strncmp(line, "drm-", 4))
			continue;
		*text++ = '\0';
		text += strspn(text, " \t");
		text[strcspn(text, "\n")] = '\0';
		take_line(u, line, text, &ours);
	}
	fclose(f);
	return ours;
}

static void read_command(const char *proc, struct usage *u)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%u/comm", proc, u->pid);
	f = fopen(path, "re");
	if (!f || !fgets(u->command, sizeof(u->command), f))
		strcpy(u->command, "?");
	u->command[strcspn(u->command, "\n")] = '\0';
	for (char *p = u->command; *p; p++)
		*p = isprint((unsigned char)*p) ? *p : '?';
	if (f)
		fclose(f);
}

/* A descriptor that was duplicated, or passed on, is the same client. */
static bool known(const struct usage *list, size_t n, const struct usage *u)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].client == u->client && list[i].pid == u->pid)
			return true;
	}
	return false;
}

static size_t read_process(const char *proc, const char *pid, struct usage *list, size_t n, size_t room)
{
	char path[PATH_MAX / 2], file[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s/fdinfo", proc, pid);
	dir = opendir(path);
	while (dir && n < room && (e = readdir(dir))) {
		struct usage *u = &list[n];

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		memset(u, 0, sizeof(*u));
		u->pid = strtoul(pid, NULL, 10);
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (!read_fdinfo(file, u) || known(list, n, u))
			continue;
		read_command(proc, u);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

size_t usage_read(const char *proc, struct usage *list, size_t room)
{
	DIR *dir = opendir(proc);
	struct dirent *e;
	size_t n = 0;

	while (dir && (e = readdir(dir))) {
		if (isdigit((unsigned char)e->d_name[0]))
			n = read_process(proc, e->d_name, list, n, room);
	}
	if (dir)
		closedir(dir);
	return n;
}
