/* SPDX-License-Identifier: MIT */
/*
 * From an int32 sum to 8 bits: x * multiplier * 2^(shift - 31), rounded twice.
 *
 * All arithmetic is modulo 2^32 where it can wrap, so that no value in memory
 * can make it undefined.
 */
#ifndef HEARTH_KERNELS_REQUANT_H
#define HEARTH_KERNELS_REQUANT_H

#include <stdbool.h>
#include <stdint.h>

#include <hw/hearth_cmd.h>

static inline int32_t hk_wrap_add(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t hk_wrap_sub(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a - (uint32_t)b);
}

static inline int32_t hk_wrap_mul(int32_t a, int32_t b)
{
	return (int32_t)((uint32_t)a * (uint32_t)b);
}

static inline int32_t hk_clamp(int32_t x, int32_t min, int32_t max)
{
	return x < min ? min : x > max ? max : x;
}

static inline bool hk_requant_ok(const struct hearth_requant *rq)
{
	int32_t shift = (int32_t)rq->shift;

	return shift >= -31 && shift <= 30 && rq->multiplier <= INT32_MAX;
}

/* x * m / 2^31, halves towards plus infinity; m is not negative. */
static inline int32_t hk_mul_high(int32_t x, int32_t m)
{
	return (int32_t)(((int64_t)x * m + (1ll << 30)) >> 31);
}

/* x / 2^n for n in 0..31, halves away from zero */
static inline int32_t hk_round_shift(int32_t x, unsigned int n)
{
	uint32_t mask = (uint32_t)((1ull << n) - 1);
	uint32_t rest = (uint32_t)x & mask;

	return (x >> n) + (rest > (mask >> 1) + (x < 0));
}

/* TFLite's MultiplyByQuantizedMultiplier with its two roundings */
static inline int32_t hk_requantize(int32_t x, int32_t multiplier, int shift)
{
	unsigned int left = shift > 0 ? shift : 0;
	unsigned int right = shift > 0 ? 0 : -shift;

	x = (int32_t)((uint32_t)x << left);
	return hk_round_shift(hk_mul_high(x, multiplier), right);
}

static inline int32_t hk_requantize_by(int32_t x, const struct hearth_requant *rq)
{
	return hk_requantize(x, (int32_t)rq->multiplier, (int32_t)rq->shift);
}

#endif /* HEARTH_KERNELS_REQUANT_H */
