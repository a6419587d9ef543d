/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_STAMP_H
#define HEARTH_RUNTIME_STAMP_H

#include <stdint.h>
#include <time.h>

/*
 * How a file looked: enough to see that it was written or truncated since, but
 * blind to a change of its name, links or mode. A write within the same tick of
 * the file system's clock (4 ms, before Linux 6.13) as the stamp is not seen.
 */
struct hearth_stamp {
	uint64_t bytes;
	struct timespec mtime;
};

/* 0, or a negative errno with the message set; -ESTALE if it changed. */
int hearth_stamp_take(int fd, struct hearth_stamp *s);
int hearth_stamp_check(int fd, const struct hearth_stamp *s);

#endif
