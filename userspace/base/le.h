/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_BASE_LE_H
#define HEARTH_BASE_LE_H

#include <stdint.h>
#include <string.h>

/*
 * Loads of little-endian fields at any address: model files promise no
 * alignment. Every target of this project is little-endian.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts only");

static inline uint16_t le_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t le_u32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t le_u64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline float le_f32(const void *p)
{
	float v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline double le_f64(const void *p)
{
	double v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#endif
