/* SPDX-License-Identifier: MIT */
/* What the kernel says of the memory of the system and of our cgroup. */
#ifndef HEARTH_RUNTIME_SYSTEM_MEMORY_H
#define HEARTH_RUNTIME_SYSTEM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct hearth_system_memory {
	/** total, free, available: MemTotal, MemFree, MemAvailable of meminfo. */
	uint64_t total, free, available;
	/** limited: a memory.max holds for us: the tightest of all ancestors'. */
	bool limited;
	/** limit, used, cache: memory.max, memory.current, its file pages. */
	uint64_t limit, used, cache;
};

/*
 * Reads @root/proc/meminfo, and of cgroup v2 @root/proc/self/cgroup and
 * @root/sys/fs/cgroup; @root is "" but for tests. -EIO if meminfo lacks a line.
 */
int hearth_system_memory_read(const char *root, struct hearth_system_memory *m);

#endif
