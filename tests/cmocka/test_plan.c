// SPDX-License-Identifier: MIT
/* The planner of activations: nothing that lives at one time may overlap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "graph/plan.h"

static uint64_t up(uint64_t bytes)
{
	return (bytes + HG_VALUE_ALIGN - 1) / HG_VALUE_ALIGN * HG_VALUE_ALIGN;
}

static void assert_sound(const struct hg_life *v, uint32_t n, uint64_t bytes)
{
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(v[i].offset % HG_VALUE_ALIGN, 0);
		assert_true(v[i].offset + v[i].bytes <= bytes);
		for (uint32_t k = 0; k < i; k++) {
			if (!v[i].bytes || !v[k].bytes || v[i].last < v[k].first ||
			    v[k].last < v[i].first)
				continue;
			assert_true(v[i].offset + v[i].bytes <= v[k].offset ||
				    v[k].offset + v[k].bytes <= v[i].offset);
		}
	}
}

/* The most that lives at one time, by trying all times */
static uint64_t most(const struct hg_life *v, uint32_t n, uint32_t end)
{
	uint64_t best = 0;

	for (uint32_t t = 0; t <= end; t++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < n; i++)
			sum += v[i].first <= t && t <= v[i].last ? up(v[i].bytes) : 0;
		best = sum > best ? sum : best;
	}
	return best;
}

static void nothing_needs_nothing(void **state)
{
	uint64_t bytes = 1, least = 1;

	assert_int_equal(hg_plan(NULL, 0, &bytes, &least), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(least, 0);
}

static void a_chain_needs_two_neighbours(void **state)
{
	struct hg_life v[10];
	uint64_t bytes, least;

	for (uint32_t i = 0; i < 10; i++)
		v[i] = (struct hg_life){ .bytes = 100 * (i + 1), .first = i, .last = i + 1 };
	assert_int_equal(hg_plan(v, 10, &bytes, &least), 0);
	assert_sound(v, 10, bytes);
	assert_int_equal(least, up(1000) + up(900));
	assert_int_equal(bytes, least);
}

static void what_never_meets_shares_a_place(void **state)
{
	struct hg_life v[3] = {
		{ .bytes = 4096, .first = 0, .last = 0 },
		{ .bytes = 4096, .first = 1, .last = 1 },
		{ .bytes = 1, .first = 2, .last = 2 },
	};
	uint64_t bytes;

	assert_int_equal(hg_plan(v, 3, &bytes, NULL), 0);
	assert_int_equal(bytes, 4096);
	for (int i = 0; i < 3; i++)
		assert_int_equal(v[i].offset, 0);
}

static void empty_values_take_no_place(void **state)
{
	struct hg_life v[2] = { { .bytes = 0, .last = 5 }, { .bytes = 64, .last = 5 } };
	uint64_t bytes;

	assert_int_equal(hg_plan(v, 2, &bytes, NULL), 0);
	assert_int_equal(bytes, 64);
}

/* Largest first alone needs 1216 bytes here. */
static void several_orders_are_tried(void **state)
{
	struct hg_life v[] = {
		{ .bytes = 192, .first = 2, .last = 2 }, { .bytes = 512, .first = 3, .last = 4 },
		{ .bytes = 576, .first = 1, .last = 2 }, { .bytes = 64, .first = 2, .last = 3 },
		{ .bytes = 640, .first = 4, .last = 4 },
	};
	uint64_t bytes, least;

	assert_int_equal(hg_plan(v, 5, &bytes, &least), 0);
	assert_sound(v, 5, bytes);
	assert_int_equal(least, most(v, 5, 4));
	assert_int_equal(bytes, least);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void random_lives_never_collide(void **state)
{
	uint32_t seed = 1;

	for (int round = 0; round < 300; round++) {
		uint32_t n = 1 + next(&seed) % 60, end = 1 + next(&seed) % 40;
		uint64_t bytes, least, total = 0;
		struct hg_life v[60];

		for (uint32_t i = 0; i < n; i++) {
			v[i].bytes = next(&seed) % 5000;
			v[i].first = next(&seed) % end;
			v[i].last = v[i].first + next(&seed) % (end - v[i].first);
			total += up(v[i].bytes);
		}
		assert_int_equal(hg_plan(v, n, &bytes, &least), 0);
		assert_sound(v, n, bytes);
		assert_int_equal(least, most(v, n, end));
		assert_in_range(bytes, least, total);
	}
}

/* As large as a graph may be: quadratic time must stay bearable. */
static void many_values(void **state)
{
	const uint32_t n = 16384;
	struct hg_life *v = calloc(n, sizeof(*v));
	uint64_t bytes, least;

	assert_non_null(v);
	for (uint32_t i = 0; i < n; i++)
		v[i] = (struct hg_life){ .bytes = 64 + i % 7 * 64, .first = i, .last = i + 2 };
	assert_int_equal(hg_plan(v, n, &bytes, &least), 0);
	assert_in_range(bytes, least, 2 * least);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_needs_nothing),
		cmocka_unit_test(a_chain_needs_two_neighbours),
		cmocka_unit_test(what_never_meets_shares_a_place),
		cmocka_unit_test(empty_values_take_no_place),
		cmocka_unit_test(several_orders_are_tried),
		cmocka_unit_test(random_lives_never_collide),
		cmocka_unit_test(many_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
