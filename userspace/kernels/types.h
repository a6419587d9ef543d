/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_TYPES_H
#define HEARTH_KERNELS_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define HK_MAX_BLOCK	256

/**
 * struct hk_type - a data type's row in the table
 */
struct hk_type {
	const char *name;
	/** @elements: Elements and bytes of a block; 1 and the size if none. */
	uint16_t elements, bytes;
	/** @unit: Elements that share a scale, 16 or 32; 0: not a block type. */
	uint8_t unit;
	/** @min: Each unit has an offset besides the scale. */
	bool min;
	/** @r8: In rows of eight: the type of the blocks, see r8.h. 0: in rows. */
	uint8_t r8;
};

/**
 * struct hk_qblock - a block taken apart: element i is q[i] * d[i / unit] + m[i / unit]
 */
struct hk_qblock {
	int8_t q[HK_MAX_BLOCK];
	float d[HK_MAX_BLOCK / 16];
	float m[HK_MAX_BLOCK / 16];
	/** @scale: Blocks of 256: d[u] is scale * sc[u], m[u] is -(min * mn[u]). */
	float scale, min;
	int16_t sc[HK_MAX_BLOCK / 16];
	int16_t mn[HK_MAX_BLOCK / 16];
};

/* NULL if the number is no type. */
const struct hk_type *hk_type(unsigned int type);

/* A type that MATMUL and GET_ROWS read: F32, F16, BF16, blocks. */
bool hk_type_is_weights(unsigned int type);

/* Rows of a group, of which a matrix has a multiple: eight, see r8.h, or else one. */
uint32_t hk_group_rows(unsigned int type);

/*
 * Bytes of a row of @n elements, in rows of eight its share of them; 0 if @n is no
 * multiple of the block.
 */
uint64_t hk_row_bytes(unsigned int type, uint64_t n);

#endif /* HEARTH_KERNELS_TYPES_H */
