/* SPDX-License-Identifier: MIT */
/*
 * The buffers of a device by device address: allocates addresses, and is the
 * address space in which the CPU executes command streams.
 */
#ifndef HEARTH_RUNTIME_TABLE_H
#define HEARTH_RUNTIME_TABLE_H

#include <pthread.h>

#include "kernels/space.h"

/* First address given out; below it a null pointer plus offset faults. */
#define HEARTH_VA_FIRST		(1ull << 20)

struct hearth_range {
	uint64_t va;
	/** bytes: that may be used. */
	uint64_t bytes;
	/** span: addresses that it takes, at least @bytes; 0: @bytes. */
	uint64_t span;
	unsigned char *ptr;
	bool writable;
};

struct hearth_table {
	struct hk_space space;
	/** lock: protects the array; read-locked for the length of a lookup. */
	pthread_rwlock_t lock;
	/** ranges: sorted by va, never overlapping. */
	struct hearth_range *ranges;
	size_t count, room;
	/** va_end: first address beyond the usable range. */
	uint64_t va_end;
};

int hearth_table_init(struct hearth_table *t, uint64_t va_end);
void hearth_table_fini(struct hearth_table *t);

/*
 * Find an address for r->span (page multiple) and add the range. Fills r->va,
 * a multiple of 2 MiB if the span is as large. -ENOMEM, -ENOSPC.
 */
int hearth_table_add(struct hearth_table *t, struct hearth_range *r);
void hearth_table_remove(struct hearth_table *t, uint64_t va);
/* How much of the range at @va may be used from now on; up to its span. */
void hearth_table_resize(struct hearth_table *t, uint64_t va, uint64_t bytes);

/*
 * CPU pointer of [va, va + bytes), or NULL: not in one range, or @access is
 * not allowed there.
 */
void *hearth_table_find(struct hearth_table *t, uint64_t va, uint64_t bytes,
			enum hk_access access);

#endif
