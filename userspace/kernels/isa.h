/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_ISA_H
#define HEARTH_KERNELS_ISA_H

#include <stdbool.h>

struct hk_float_kernels;
struct hk_int8_isa;

/**
 * struct hk_isa - a set of kernels; all sets give the same bits
 */
struct hk_isa {
	const char *name;
	/** @runs: Does this CPU, under this kernel, run it? NULL: any does. */
	bool (*runs)(void);
	const struct hk_float_kernels *flt;
	/** @int8: NULL: plain C. */
	const struct hk_int8_isa *int8;
};

/*
 * The sets of the architecture that is built for, in isa_x86_64.c or
 * isa_aarch64.c: plain C first, then each that runs where the ones after it
 * do. The last one has no name.
 */
extern const struct hk_isa hk_isas[];

#endif /* HEARTH_KERNELS_ISA_H */
