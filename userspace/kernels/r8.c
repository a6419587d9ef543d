// SPDX-License-Identifier: MIT
#include <string.h>

#include <hw/hearth_cmd.h>

#include "kernels/r8.h"
#include "kernels/types.h"

static const struct hk_r8_field q4_0[] = { { 0, 2, 1 }, { 2, 4, 4 }, { 0 } };
static const struct hk_r8_field q8_0[] = { { 0, 2, 1 }, { 2, 4, 8 }, { 0 } };

/* d, dmin, scales, qh, qs */
static const struct hk_r8_field q4_k[] = {
	{ 0, 2, 1 }, { 2, 2, 1 }, { 4, 4, 3 }, { 16, 4, 32 }, { 0 }
};
static const struct hk_r8_field q5_k[] = {
	{ 0, 2, 1 }, { 2, 2, 1 }, { 4, 4, 3 }, { 16, 4, 8 }, { 48, 4, 32 }, { 0 }
};

/* d, scales, ql, qh */
static const struct hk_r8_field q6_k[] = {
	{ 208, 2, 1 }, { 192, 4, 4 }, { 0, 4, 32 }, { 128, 4, 16 }, { 0 }
};

const struct hk_r8_field *hk_r8_fields(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0_R8:
		return q4_0;
	case HEARTH_TYPE_Q8_0_R8:
		return q8_0;
	case HEARTH_TYPE_Q4_K_R8:
		return q4_k;
	case HEARTH_TYPE_Q5_K_R8:
		return q5_k;
	default:
		return q6_k;
	}
}

void hk_r8_unpack(unsigned int type, const uint8_t *column, unsigned int row, uint8_t *block)
{
	for (const struct hk_r8_field *f = hk_r8_fields(type); f->unit; f++) {
		const uint8_t *from = column + row * f->unit;

		for (int i = 0; i < f->count; i++, from += HK_R8_ROWS * f->unit)
			memcpy(block + f->at + i * f->unit, from, f->unit);
		column += HK_R8_ROWS * f->unit * f->count;
	}
}

void hk_r8_pack(unsigned int type, uint8_t *column, unsigned int row, const uint8_t *block)
{
	for (const struct hk_r8_field *f = hk_r8_fields(type); f->unit; f++) {
		uint8_t *to = column + row * f->unit;

		for (int i = 0; i < f->count; i++, to += HK_R8_ROWS * f->unit)
			memcpy(to, block + f->at + i * f->unit, f->unit);
		column += HK_R8_ROWS * f->unit * f->count;
	}
}
