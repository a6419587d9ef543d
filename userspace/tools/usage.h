/* SPDX-License-Identifier: MIT */
/* Who uses the NPU, from the fdinfo of all processes. */
#ifndef HEARTH_TOOLS_USAGE_H
#define HEARTH_TOOLS_USAGE_H

#include <stddef.h>
#include <stdint.h>

#define USAGE_MAX	256

/** struct usage - one open of the device */
struct usage {
	uint32_t pid;
	/** client: drm-client-id; one per open, however many descriptors. */
	uint64_t client;
	/** busy_ns: of the engine, in all. */
	uint64_t busy_ns;
	/** memory, in bytes */
	uint64_t total, shared, resident, purgeable, active;
	char command[32];
};

/*
 * Read those that @proc (procfs) has of the driver "hearth"; up to @room of
 * them. Processes that may not be looked at are left out.
 */
size_t usage_read(const char *proc, struct usage *list, size_t room);

#endif
