/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_ISA_H
#define HEARTH_KERNELS_ISA_H

/*
 * Each level runs what the ones below it do: an op that has nothing special
 * for a level takes the next lower one.
 */
enum hk_isa_level {
	HK_ISA_PLAIN,
	HK_ISA_AVX2,	/* AVX2, FMA, F16C */
	HK_ISA_AVX512,	/* AVX-512 F, BW, DQ, VL, VNNI */
	HK_ISA_COUNT,
};

struct hk_float_kernels;
struct hk_int8_isa;

/**
 * struct hk_isa - a set of kernels; all sets give the same bits
 */
struct hk_isa {
	const char *name;
	enum hk_isa_level level;
	const struct hk_float_kernels *flt;
	/** @int8: NULL: plain C. */
	const struct hk_int8_isa *int8;
};

#endif /* HEARTH_KERNELS_ISA_H */
