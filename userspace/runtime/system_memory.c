// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/system_memory.h"

/* Find "KEY NUMBER" in a file of such lines; the number times @unit. */
static bool read_key(const char *path, const char *key, uint64_t unit, uint64_t *value)
{
	FILE *f = fopen(path, "re");
	size_t len = strlen(key);
	bool found = false;
	char line[256];

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		found = !strncmp(line, key, len) &&
			sscanf(line + len, " %" SCNu64, value) == 1;
	}
	fclose(f);
	return found && !__builtin_mul_overflow(*value, unit, value);
}

static int read_meminfo(const char *root, struct hearth_system_memory *m)
{
	const struct {
		const char *key;
		uint64_t *value;
	} rows[] = {
		{ "MemTotal:", &m->total },
		{ "MemFree:", &m->free },
		{ "MemAvailable:", &m->available },
	};
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!read_key(path, rows[i].key, 1024, rows[i].value))
			return hearth_seterr(-EIO, "%s has no line '%s'", path, rows[i].key);
	}
	return 0;
}

static uint64_t room(const struct hearth_system_memory *m)
{
	return m->limit + m->cache > m->used ? m->limit + m->cache - m->used : 0;
}

/* "max" is no number, and so no limit. */
static void read_group(const char *group, struct hearth_system_memory *m)
{
	struct hearth_system_memory g = { 0 };
	uint64_t active = 0, inactive = 0;
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (!read_key(path, "", 1, &g.limit))
		return;
	snprintf(path, sizeof(path), "%s/memory.current", group);
	if (!read_key(path, "", 1, &g.used))
		return;
	snprintf(path, sizeof(path), "%s/memory.stat", group);
	read_key(path, "active_file", 1, &active);
	read_key(path, "inactive_file", 1, &inactive);
	g.cache = active + inactive;
	if (m->limited && room(m) <= room(&g))
		return;
	m->limited = true;
	m->limit = g.limit;
	m->used = g.used;
	m->cache = g.cache;
}

/* Our cgroup and all above it: each may limit. */
static void read_groups(const char *root, struct hearth_system_memory *m)
{
	char path[PATH_MAX], line[PATH_MAX / 2] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f) && strncmp(line, "0::/", 4))
		line[0] = '\0';
	fclose(f);
	if (strncmp(line, "0::/", 4))
		return;
	line[strcspn(line, "\n")] = '\0';
	for (char *end = line + strlen(line); end; end = strrchr(line + 3, '/')) {
		*end = '\0';
		snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s", root, line + 3);
		read_group(path, m);
	}
}

int hearth_system_memory_read(const char *root, struct hearth_system_memory *m)
{
	int ret;

	memset(m, 0, sizeof(*m));
	ret = read_meminfo(root, m);
	if (!ret)
		read_groups(root, m);
	return ret;
}
