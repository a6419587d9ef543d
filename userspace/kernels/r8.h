/* SPDX-License-Identifier: MIT */
/*
 * Weights in rows of eight: blocks of a type with the fields of eight rows side
 * by side. Documentation/arithmetic.rst has the layout.
 */
#ifndef HEARTH_KERNELS_R8_H
#define HEARTH_KERNELS_R8_H

#include <stdbool.h>
#include <stdint.h>

/* Rows of a group; bytes of a block at most. */
#define HK_R8_ROWS	8
#define HK_R8_MAX_BYTES	210

/**
 * struct hk_r8_field - a part of a block
 */
struct hk_r8_field {
	/** @at: Where it begins in a block of a row. */
	uint8_t at;
	/** @unit: Bytes of which eight rows take turns. */
	uint8_t unit;
	/** @count: How many units it has. */
	uint8_t count;
};

/*
 * The fields of a block in their order in a column, up to one of unit 0. @type is
 * a type in rows of eight.
 */
const struct hk_r8_field *hk_r8_fields(unsigned int type);

/*
 * The block of row @row in a column of eight, and its place there: from one to the
 * other. @type is a type in rows of eight.
 */
void hk_r8_unpack(unsigned int type, const uint8_t *column, unsigned int row, uint8_t *block);
void hk_r8_pack(unsigned int type, uint8_t *column, unsigned int row, const uint8_t *block);

/* Where Q6_K's fields are: in rows of eight their order is another. */
struct hk_q6_fields {
	int d, scales, low, high;
};

static inline struct hk_q6_fields hk_q6_fields(const bool packed)
{
	return packed ? (struct hk_q6_fields){ 0, 2, 18, 146 } :
			(struct hk_q6_fields){ 208, 192, 0, 128 };
}

#endif /* HEARTH_KERNELS_R8_H */
