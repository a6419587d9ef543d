// SPDX-License-Identifier: MIT
/*
 * The app that wants memory. Commands:
 *
 *	take BYTES FLOOR	touch so many more, as long as FLOOR bytes are available;
 *				FLOOR 0: until the kernel ends it
 *	hog BYTES FLOOR		the same, as fast as the kernel can
 *	work SECONDS CHUNK	map, touch and unmap CHUNK bytes, again and again
 *	stats			latencies since the last time: stats P50 P99 MAX
 *	free			give all back
 *
 * Each page that is touched is timed, but those of a hog.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "meter.h"
#include "roles.h"

#define PAGE		4096u
#define STEP		(8 * MIB)
#define MAX_STEPS	8192
#define SAMPLES		(8u << 20)

struct app {
	void *step[MAX_STEPS];
	size_t n;
	struct latencies lat;
};

static void *map_small_pages(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void touch(struct app *a, char *p, uint64_t bytes)
{
	uint64_t before = now_ns();

	for (uint64_t at = 0; at < bytes; at += PAGE) {
		uint64_t after;

		*(volatile char *)(p + at) = 1;
		after = now_ns();
		latencies_add(&a->lat, after - before);
		before = after;
	}
}

static void stats(struct app *a)
{
	printf("stats %llu %llu %llu\n", (unsigned long long)latencies_at(&a->lat, 500),
	       (unsigned long long)latencies_at(&a->lat, 990), (unsigned long long)a->lat.max_ns);
	a->lat.n = 0;
	a->lat.max_ns = 0;
}

static bool fill(struct app *a, char *p, bool fast)
{
	if (fast)
		return !madvise(p, STEP, MADV_POPULATE_WRITE);
	touch(a, p, STEP);
	return true;
}

static void take(struct app *a, uint64_t bytes, uint64_t floor, bool fast)
{
	uint64_t start = now_ns(), done = 0;
	struct meminfo m;

	while (done < bytes && a->n < MAX_STEPS) {
		read_meminfo(&m);
		if (floor && m.available < floor + STEP)
			break;
		a->step[a->n] = map_small_pages(STEP);
		if (!a->step[a->n] || !fill(a, a->step[a->n++], fast))
			break;
		done += STEP;
	}
	printf("took %llu %llu\n", (unsigned long long)done, (unsigned long long)(now_ns() - start));
}

static void work(struct app *a, double seconds, uint64_t chunk)
{
	uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), done = 0;

	while (now_ns() < end) {
		char *p = map_small_pages(chunk);

		if (!p)
			break;
		touch(a, p, chunk);
		munmap(p, chunk);
		done += chunk;
	}
	printf("worked %llu %llu\n", (unsigned long long)done, (unsigned long long)(now_ns() - start));
}

static void give_back(struct app *a)
{
	while (a->n)
		munmap(a->step[--a->n], STEP);
	printf("freed\n");
}

int role_app(int argc, char **argv)
{
	static struct app a;
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (latencies_init(&a.lat, SAMPLES))
		return 1;
	printf("ready\n");
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long long x, y;
		double s;

		if (sscanf(line, "take %llu %llu", &x, &y) == 2)
			take(&a, x, y, false);
		else if (sscanf(line, "hog %llu %llu", &x, &y) == 2)
			take(&a, x, y, true);
		else if (sscanf(line, "work %lf %llu", &s, &x) == 2)
			work(&a, s, x);
		else if (!strcmp(line, "stats\n"))
			stats(&a);
		else if (!strcmp(line, "free\n"))
			give_back(&a);
		else
			printf("error unknown command\n");
	}
	latencies_fini(&a.lat);
	return 0;
}
