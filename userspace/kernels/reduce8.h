/* SPDX-License-Identifier: MIT */
/*
 * The loops of pools over bytes in plain C: all of them where there is no ISA
 * for it, and what is left where its vectors end.
 */
#ifndef HEARTH_KERNELS_REDUCE8_H
#define HEARTH_KERNELS_REDUCE8_H

#include "kernels/int8.h"

static inline void hk_max8(uint8_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t v = src[i] ^ flip;

		x[i] = v > x[i] ? v : x[i];
	}
}

static inline void hk_sum8(int32_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += src[i] ^ flip;
}

static inline void hk_divide8(uint8_t *dst, const int32_t *x, int32_t bias, int32_t count,
			      int32_t min, int32_t max, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int32_t v = x[i] - bias;

		v = (v + (v > 0 ? count / 2 : -(count / 2))) / count;
		dst[i] = (uint8_t)hk_clamp(v, min, max);
	}
}

#endif /* HEARTH_KERNELS_REDUCE8_H */
