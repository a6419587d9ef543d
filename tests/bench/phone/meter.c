// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "meter.h"

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The number behind "name" at the beginning of a line, times @unit. */
static uint64_t field(const char *path, const char *name, uint64_t unit)
{
	size_t n = strlen(name);
	uint64_t value = 0;
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, n) || (line[n] != ':' && line[n] != ' '))
			continue;
		value = strtoull(line + n + 1, NULL, 10) * unit;
		break;
	}
	if (f)
		fclose(f);
	return value;
}

void read_meminfo(struct meminfo *m)
{
	m->total = field("/proc/meminfo", "MemTotal", 1024);
	m->free = field("/proc/meminfo", "MemFree", 1024);
	m->available = field("/proc/meminfo", "MemAvailable", 1024);
	m->cached = field("/proc/meminfo", "Cached", 1024);
	m->anon = field("/proc/meminfo", "AnonPages", 1024);
}

uint64_t used_bytes(void)
{
	struct meminfo m;

	read_meminfo(&m);
	return m.total - m.free;
}

uint64_t vmstat(const char *name)
{
	return field("/proc/vmstat", name, 1);
}

uint64_t rollup(int pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return field(path, name, 1024);
}

uint64_t page_table_bytes(int pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return field(path, "VmPTE", 1024);
}

/* Memory in fdinfo may be in bytes, KiB or MiB. */
static uint64_t fdinfo_bytes(const char *line)
{
	char *end;
	uint64_t n = strtoull(line, &end, 10);

	return !strncmp(end, " KiB", 4) ? n << 10 : !strncmp(end, " MiB", 4) ? n << 20 : n;
}

static bool read_fdinfo(const char *path, struct client_usage *u)
{
	uint64_t total = 0, shared = 0;
	bool ours = false;
	char line[256];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		ours |= !strncmp(line, "drm-driver:\thearth", 18);
		if (!strncmp(line, "drm-total-memory:", 17))
			total = fdinfo_bytes(line + 17);
		else if (!strncmp(line, "drm-shared-memory:", 18))
			shared = fdinfo_bytes(line + 18);
		else if (!strncmp(line, "drm-engine-npu:", 15))
			u->busy_ns = strtoull(line + 15, NULL, 10);
	}
	if (f)
		fclose(f);
	u->private_bytes = total - shared;
	return ours;
}

void read_client(int pid, struct client_usage *u)
{
	char pattern[64];
	bool found = false;
	glob_t g;

	*u = (struct client_usage){ 0 };
	snprintf(pattern, sizeof(pattern), "/proc/%d/fdinfo/*", pid);
	if (glob(pattern, 0, NULL, &g))
		return;
	for (size_t i = 0; i < g.gl_pathc && !found; i++)
		found = read_fdinfo(g.gl_pathv[i], u);
	globfree(&g);
	if (!found)
		*u = (struct client_usage){ 0 };
}

uint64_t npu_table_bytes(void)
{
	uint64_t n = 0;
	glob_t g;

	if (glob("/sys/kernel/debug/accel/*/objects", 0, NULL, &g))
		return 0;
	n = field(g.gl_pathv[0], "tables", (uint64_t)sysconf(_SC_PAGESIZE));
	globfree(&g);
	return n;
}

uint64_t cached_bytes(const char *path)
{
	uint64_t pages = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned char *vec = NULL;
	struct stat st;
	void *p = MAP_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && !fstat(fd, &st) && st.st_size)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED) {
		size_t n = ((uint64_t)st.st_size + page - 1) / page;

		vec = malloc(n);
		if (vec && !mincore(p, (size_t)st.st_size, vec))
			for (size_t i = 0; i < n; i++)
				pages += vec[i] & 1;
		munmap(p, (size_t)st.st_size);
	}
	free(vec);
	if (fd >= 0)
		close(fd);
	return pages * page;
}

void drop_caches(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	sync();
	if (fd < 0)
		return;
	if (write(fd, "3", 1) != 1)
		perror("drop_caches");
	close(fd);
}

void set_oom_score_adj(int adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (dprintf(fd, "%d", adj) < 0)
		perror("oom_score_adj");
	close(fd);
}

uint64_t read_file(const char *path, uint64_t *bytes)
{
	uint64_t start = now_ns();
	char *buf = malloc(MIB);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	*bytes = 0;
	if (fd >= 0 && buf) {
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
		while ((n = read(fd, buf, MIB)) > 0)
			*bytes += (uint64_t)n;
	}
	if (fd >= 0)
		close(fd);
	free(buf);
	return n < 0 ? 0 : now_ns() - start;
}

int latencies_init(struct latencies *l, size_t cap)
{
	*l = (struct latencies){ .ns = malloc(cap * sizeof(*l->ns)), .cap = cap };
	return l->ns ? 0 : -1;
}

void latencies_add(struct latencies *l, uint64_t ns)
{
	if (ns > l->max_ns)
		l->max_ns = ns;
	if (l->n < l->cap)
		l->ns[l->n++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint64_t latencies_at(struct latencies *l, unsigned int permille)
{
	if (!l->n)
		return 0;
	qsort(l->ns, l->n, sizeof(*l->ns), compare);
	return l->ns[(l->n - 1) * permille / 1000];
}

void latencies_fini(struct latencies *l)
{
	free(l->ns);
}
