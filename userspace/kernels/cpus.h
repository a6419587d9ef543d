/* SPDX-License-Identifier: MIT */
/*
 * Which cores are worth threads: on a machine whose cores differ, the small
 * ones would hold up every op.
 */
#ifndef HEARTH_KERNELS_CPUS_H
#define HEARTH_KERNELS_CPUS_H

#include <sched.h>
#include <stdbool.h>

#define HK_CPUS_SYSFS	"/sys/devices/system/cpu"

/**
 * struct hk_cpus - cores for a pool
 */
struct hk_cpus {
	/** @n: Cores in @set, 1 at least. */
	unsigned int n;
	/** @mixed: The machine has cores of different capacity. */
	bool mixed;
	cpu_set_t set;
};

/**
 * hk_cpus_choose() - the cores for @threads threads
 * @sysfs: HK_CPUS_SYSFS, or a test's copy of it
 * @allowed: what the caller may run on, see sched_getaffinity()
 * @threads: 0 for the big cores, those with more than half of the capacity of
 *	the largest; else the @threads largest (all, if there are fewer), with
 *	the others of the same capacity as the smallest one chosen
 *
 * A core without a cpu_capacity is as large as any: most machines have none.
 */
void hk_cpus_choose(const char *sysfs, const cpu_set_t *allowed, unsigned int threads,
		    struct hk_cpus *out);

#endif /* HEARTH_KERNELS_CPUS_H */
