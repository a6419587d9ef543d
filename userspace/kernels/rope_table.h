/* SPDX-License-Identifier: MIT */
/*
 * The table of cosines and sines that ROPE reads. Made by whoever builds a
 * model's graph; the same bits on any host, for libm is not asked.
 */
#ifndef HEARTH_KERNELS_ROPE_TABLE_H
#define HEARTH_KERNELS_ROPE_TABLE_H

#include <stdint.h>

/**
 * struct hk_rope_params - angle of position p, pair i:
 *	p * scale * freq_base^(-2 i / n_rot) / factors[i]
 */
struct hk_rope_params {
	uint32_t n_ctx;
	/** @n_rot: Even. */
	uint32_t n_rot;
	/** @freq_base: 1 or more; 10000 in most models. */
	double freq_base;
	/** @scale: Linear position scaling, 1 for none. */
	double scale;
	/**
	 * @factors: Positive divisors of the frequencies, f32 [n_rot / 2], as
	 * the tensor rope_freqs.weight gives them, or NULL for ones.
	 */
	const float *factors;
	/** @magnitude: Multiplies cosines and sines, not negative; 0 for 1. */
	double magnitude;
};

/** hk_rope_table_bytes() - size of the table, 0 if the parameters are refused */
uint64_t hk_rope_table_bytes(const struct hk_rope_params *p);

/**
 * hk_rope_table() - fill @table, f32 [n_ctx][n_rot / 2][2], cosine first
 *
 * Returns 0, or -EINVAL: dimensions out of range, a number that is not finite
 * or not positive, or an angle above 2^24, where its sine means nothing.
 */
int hk_rope_table(const struct hk_rope_params *p, float *table);

#endif /* HEARTH_KERNELS_ROPE_TABLE_H */
