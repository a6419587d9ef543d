/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_RESIDENCY_H
#define HEARTH_RUNTIME_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes of the mapping [@p, @p + @bytes) of @fd that are in memory, for whoever
 * uses them. The kernel tells that only who owns or may write the file: to
 * others *estimated is set, and what counts is what this mapping has touched.
 * @p is page aligned; @fd -1 for memory of the process.
 */
uint64_t hearth_resident_bytes(void *p, uint64_t bytes, int fd, bool *estimated);

/* The same for a whole file that is not mapped; 0 if it can't be. */
uint64_t hearth_cached_bytes(int fd, bool *estimated);

#endif
