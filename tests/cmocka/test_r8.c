// SPDX-License-Identifier: MIT
/* Where the bytes of blocks are in rows of eight: Documentation/arithmetic.rst. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/exec.h"
#include "kernels/r8.h"
#include "kernels/types.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Bytes @from to @from + @bytes - 1 of a block, in units of @unit. */
struct part {
	unsigned int from, bytes, unit;
};

static const struct {
	unsigned int type, rows;
	struct part part[6];
} layouts[] = {
	{ HEARTH_TYPE_Q4_0_R8, HEARTH_TYPE_Q4_0, { { 0, 2, 2 }, { 2, 16, 4 } } },
	{ HEARTH_TYPE_Q8_0_R8, HEARTH_TYPE_Q8_0, { { 0, 2, 2 }, { 2, 32, 4 } } },
	{ HEARTH_TYPE_Q4_K_R8, HEARTH_TYPE_Q4_K,
	  { { 0, 2, 2 }, { 2, 2, 2 }, { 4, 12, 4 }, { 16, 128, 4 } } },
	{ HEARTH_TYPE_Q5_K_R8, HEARTH_TYPE_Q5_K,
	  { { 0, 2, 2 }, { 2, 2, 2 }, { 4, 12, 4 }, { 16, 32, 4 }, { 48, 128, 4 } } },
	{ HEARTH_TYPE_Q6_K_R8, HEARTH_TYPE_Q6_K,
	  { { 208, 2, 2 }, { 192, 16, 4 }, { 0, 128, 4 }, { 128, 64, 4 } } },
};

/* A byte that tells where it is from. */
static uint8_t mark(unsigned int row, unsigned int at)
{
	return (uint8_t)(row * 37 + at * 11);
}

static void check_layout(size_t l)
{
	uint8_t column[8 * HK_R8_MAX_BYTES], block[HK_R8_MAX_BYTES], back[HK_R8_MAX_BYTES];
	const unsigned int bytes = hk_type(layouts[l].type)->bytes;
	unsigned int at = 0;

	memset(column, 0, sizeof(column));
	for (unsigned int row = 0; row < 8; row++) {
		for (unsigned int i = 0; i < bytes; i++)
			block[i] = mark(row, i);
		hk_r8_pack(layouts[l].type, column, row, block);
		memset(back, 0, sizeof(back));
		hk_r8_unpack(layouts[l].type, column, row, back);
		assert_memory_equal(back, block, bytes);
	}
	for (const struct part *p = layouts[l].part; p->unit; p++) {
		for (unsigned int i = 0; i < p->bytes * 8; i++, at++) {
			unsigned int unit = i / p->unit;

			assert_int_equal(column[at], mark(unit % 8, p->from + unit / 8 * p->unit +
							  i % p->unit));
		}
	}
	assert_int_equal(at, 8 * bytes);
}

static void columns_hold_units_of_rows_in_turn(void **state)
{
	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++)
		check_layout(l);
}

/* A type differs from that of its blocks in the layout alone, and no other has one. */
static void types_are_those_of_their_blocks(void **state)
{
	unsigned int found = 0;

	for (unsigned int t = 0; t < HEARTH_TYPE_COUNT; t++) {
		if (!hk_type(t))
			continue;
		found += hk_type(t)->r8 != 0;
	}
	assert_int_equal(found, ARRAY_SIZE(layouts));
	for (size_t l = 0; l < ARRAY_SIZE(layouts); l++) {
		const struct hk_type *r8 = hk_type(layouts[l].type), *t = hk_type(layouts[l].rows);

		assert_int_equal(r8->r8, layouts[l].rows);
		assert_int_equal(t->r8, 0);
		assert_int_equal(r8->elements, t->elements);
		assert_int_equal(r8->bytes, t->bytes);
		assert_int_equal(r8->unit, t->unit);
		assert_int_equal(r8->min, t->min);
		assert_true(hk_types_mask() >> layouts[l].type & 1);
		assert_true(hk_type_is_weights(layouts[l].type));
		assert_int_equal(hk_group_rows(layouts[l].type), 8);
		assert_int_equal(hk_group_rows(layouts[l].rows), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_hold_units_of_rows_in_turn),
		cmocka_unit_test(types_are_those_of_their_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
