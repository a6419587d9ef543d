/* SPDX-License-Identifier: MIT */
/*
 * Options, errors, the version: what every layer uses.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_BASE_H
#define HEARTH_BASE_H

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_API __attribute__((visibility("default")))

/**
 * HEARTH_OPTS() - declare and fill an options struct
 *
 * Zeroes it with its padding and sets sz, so that a program built with an
 * older header works with a newer library.
 *
 *	HEARTH_OPTS(hearth_device_opts, opts, .threads = 2);
 */
#define HEARTH_OPTS(TYPE, NAME, ...)					\
	struct TYPE NAME = ({						\
		struct TYPE ___opts;					\
		memset(&___opts, 0, sizeof(___opts));			\
		___opts = (struct TYPE){ .sz = sizeof(___opts),		\
					 __VA_ARGS__ };			\
		___opts;						\
	})

/** hearth_version() - "0.1.0" */
HEARTH_API const char *hearth_version(void);

/**
 * hearth_errmsg() - why the last call of this thread failed
 *
 * Returns a string that is valid until the thread's next call; "" if no call
 * failed yet.
 */
HEARTH_API const char *hearth_errmsg(void);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_BASE_H */
