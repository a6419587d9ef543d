/* SPDX-License-Identifier: MIT */
/*
 * Bits of 16-bit floats, without the compiler's help: the same on any host.
 * A NaN becomes the canonical one, in both directions.
 */
#ifndef HEARTH_KERNELS_F16_H
#define HEARTH_KERNELS_F16_H

#include <stdint.h>
#include <string.h>

#define HK_F32_NAN	0x7fc00000u
#define HK_F16_NAN	0x7e00u

static inline float hk_f32_from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline uint32_t hk_f32_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float hk_f32_from_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t mag = h & 0x7fff;
	uint32_t bits;

	if (mag > 0x7c00)
		return hk_f32_from_bits(HK_F32_NAN);
	if (mag == 0x7c00)
		bits = 0x7f800000;
	else if (mag >= 0x0400)
		bits = (mag << 13) + (112u << 23);
	else	/* A denormal is mag * 2^-24, exact in f32. */
		bits = hk_f32_bits((float)mag * 0x1p-24f);
	return hk_f32_from_bits(bits | sign);
}

/* Rounds to nearest, ties to even. */
static inline uint16_t hk_f16_from_f32(float x)
{
	uint32_t bits = hk_f32_bits(x);
	uint32_t sign = (bits >> 16) & 0x8000;
	uint32_t mag = bits & 0x7fffffff;

	if (mag > 0x7f800000)
		return HK_F16_NAN;
	if (mag >= 0x477ff000)	/* 65520 and more */
		return (uint16_t)(sign | 0x7c00);
	if (mag < 0x38800000) {	/* below 2^-14: the sum's last bit is 2^-24 */
		uint32_t sum = hk_f32_bits(hk_f32_from_bits(mag) + 0.5f);

		return (uint16_t)(sign | (sum - 0x3f000000));
	}
	mag += 0x0fff + ((mag >> 13) & 1);
	return (uint16_t)(sign | ((mag - (112u << 23)) >> 13));
}

static inline float hk_f32_from_bf16(uint16_t h)
{
	if ((h & 0x7fff) > 0x7f80)
		return hk_f32_from_bits(HK_F32_NAN);
	return hk_f32_from_bits((uint32_t)h << 16);
}

/* Outputs hold one NaN only: which one an operation makes differs by ISA. */
static inline float hk_canon(float x)
{
	return x == x ? x : hk_f32_from_bits(HK_F32_NAN);
}

#endif /* HEARTH_KERNELS_F16_H */
