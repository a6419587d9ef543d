/* SPDX-License-Identifier: MIT */
/*
 * The cosines and sines that ROPE reads. Made by whoever runs a model's graph; the
 * same bits on any host, for libm is not asked.
 */
#ifndef HEARTH_KERNELS_ROPE_TABLE_H
#define HEARTH_KERNELS_ROPE_TABLE_H

#include <stdint.h>

/**
 * struct hk_rope_params - angle of position p, pair i:
 *	p * scale * freq_base^(-2 i / n_rot) / factors[i]
 */
struct hk_rope_params {
	/** @n_ctx: Positions that there may be. */
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

/**
 * hk_rope_freqs() - fill @freqs, the angle of each pair at position 1 / scale
 *
 * Returns 0, or -EINVAL: dimensions out of range, a number that is not finite
 * or not positive, or an angle above 2^24, where its sine means nothing.
 */
int hk_rope_freqs(const struct hk_rope_params *p, double *freqs);

/** hk_rope_rows() - fill @rows, f32 [n][n_rot / 2][2], cosine first, from position @first on */
void hk_rope_rows(const struct hk_rope_params *p, const double *freqs, uint32_t first, uint32_t n,
		  float *rows);

#endif /* HEARTH_KERNELS_ROPE_TABLE_H */
