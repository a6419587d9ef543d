/* SPDX-License-Identifier: MIT */
/* For fuzzers that compare two levels of the CPU by way of the library's calls. */
#ifndef HEARTH_TESTS_FUZZ_CPU_H
#define HEARTH_TESTS_FUZZ_CPU_H

#include <stdio.h>
#include <stdlib.h>

#include "hearth.h"

static inline void check(int good)
{
	if (good)
		return;
	fprintf(stderr, "# last message: %s\n", hearth_errmsg());
	abort();
}

static inline struct hearth_device *device(const char *isa)
{
	HEARTH_OPTS(hearth_device_opts, o, .threads = 1, .isa = isa);
	struct hearth_device *dev;

	check(!hearth_device_open("cpu", &o, &dev));
	return dev;
}

#endif /* HEARTH_TESTS_FUZZ_CPU_H */
