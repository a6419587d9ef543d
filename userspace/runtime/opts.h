/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_OPTS_H
#define HEARTH_RUNTIME_OPTS_H

#include <stddef.h>

/*
 * Copy a caller's options struct, which starts with its size, into @dst of
 * @size bytes: what a shorter one lacks is zero, what a longer one has on top
 * must be zero (-E2BIG). A NULL @src gives zeros, that is, the defaults.
 */
int hearth_opts_copy(void *dst, size_t size, const void *src, const char *name);

/* Copy @from into the caller's struct, as much of it as its sz says. */
int hearth_opts_give(void *to, const void *from, size_t size, const char *name);

/* Declare a checked copy NAME of options SRC; sets ret. */
#define HEARTH_OPTS_LOCAL(TYPE, NAME, SRC, RET)				\
	struct TYPE NAME;						\
	int RET = hearth_opts_copy(&NAME, sizeof(NAME), SRC, #TYPE)

#endif
