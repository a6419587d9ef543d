// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>

#include "kernels/cpus.h"

/* What the kernel calls the largest core; the limit is far above any figure. */
#define CAPACITY_FULL	1024
#define CAPACITY_MAX	(1 << 20)

static unsigned int capacity(const char *sysfs, int cpu)
{
	unsigned int value = 0;
	char path[4096];
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/cpu%d/cpu_capacity", sysfs, cpu) >=
	    (int)sizeof(path))
		return CAPACITY_FULL;
	f = fopen(path, "re");
	if (!f)
		return CAPACITY_FULL;
	if (fscanf(f, "%u", &value) != 1 || !value || value > CAPACITY_MAX)
		value = CAPACITY_FULL;
	fclose(f);
	return value;
}

static int descending(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return (x < y) - (x > y);
}

/* The smallest capacity that is still chosen, of @n sorted ones. */
static unsigned int least(const unsigned int *sorted, unsigned int n, unsigned int threads)
{
	if (!threads)
		return sorted[0] / 2 + 1;
	return sorted[threads < n ? threads - 1 : n - 1];
}

void hk_cpus_choose(const char *sysfs, const cpu_set_t *allowed, unsigned int threads,
		    struct hk_cpus *out)
{
	unsigned int of[CPU_SETSIZE] = { 0 }, sorted[CPU_SETSIZE], n = 0, limit;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, allowed))
			sorted[n++] = of[cpu] = capacity(sysfs, cpu);
	}
	*out = (struct hk_cpus){ .n = 1 };
	if (!n)
		return;
	qsort(sorted, n, sizeof(sorted[0]), descending);
	limit = least(sorted, n, threads);
	out->mixed = sorted[0] != sorted[n - 1];
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (of[cpu] >= limit)
			CPU_SET(cpu, &out->set);
	}
	out->n = (unsigned int)CPU_COUNT(&out->set);
}
