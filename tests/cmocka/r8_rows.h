/* SPDX-License-Identifier: MIT */
/* Matrices in rows of eight, of those that tests have in rows. */
#ifndef HEARTH_TESTS_R8_ROWS_H
#define HEARTH_TESTS_R8_ROWS_H

#include <hw/hearth_cmd.h>

#include "kernels/r8.h"
#include "kernels/types.h"

/* The type in rows of eight whose blocks are of @type; 0: there is none. */
static inline unsigned int r8_of(unsigned int type)
{
	for (unsigned int t = HEARTH_TYPE_Q4_0_R8; t <= HEARTH_TYPE_Q6_K_R8; t++) {
		if (hk_type(t)->r8 == type)
			return t;
	}
	return 0;
}

/* @rows of @cols from @from, where each lies by itself, to type @type. */
static inline void r8_pack_rows(uint8_t *to, const uint8_t *from, unsigned int type,
				uint32_t rows, uint32_t cols)
{
	const uint64_t row = hk_row_bytes(type, cols), block = hk_type(type)->bytes;

	for (uint32_t i = 0; i < rows; i++) {
		uint8_t *group = to + i / HK_R8_ROWS * HK_R8_ROWS * row;

		for (uint64_t at = 0; at < row; at += block)
			hk_r8_pack(type, group + HK_R8_ROWS * at, i % HK_R8_ROWS,
				   from + i * row + at);
	}
}

#endif /* HEARTH_TESTS_R8_ROWS_H */
