// SPDX-License-Identifier: MIT
/* Ollama's grammar of keep_alive, and the names of classes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hearth.h"

#define S	1000000000ll
#define SIZE(A)	(sizeof(A) / sizeof(*(A)))

static void good_texts_give_nanoseconds(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = {
		{ "300", 300 * S }, { "5m", 300 * S }, { "1h30m", 5400 * S },
		{ "1.5h", 5400 * S }, { "0.5", S / 2 }, { ".5s", S / 2 }, { "1.s", S },
		{ "250ms", S / 4 }, { "7us", 7000 }, { "9ns", 9 }, { "+10s", 10 * S },
		{ "1m0.000000001s", 60 * S + 1 }, { "1.999999999999s", 1999999999 },
		{ "0.000000001h", 3600 }, { "24h", 86400 * S },
		{ "9223372036s", 9223372036 * S }, { "2562047h", 2562047ll * 3600 * S },
		{ "0", HEARTH_KEEP_NONE }, { "0s", HEARTH_KEEP_NONE },
		{ "-0", HEARTH_KEEP_NONE }, { "0.1ns", HEARTH_KEEP_NONE },
		{ "-1", HEARTH_KEEP_FOREVER }, { "-1m", HEARTH_KEEP_FOREVER },
		{ "-300", HEARTH_KEEP_FOREVER },
	};

	for (size_t i = 0; i < SIZE(rows); i++) {
		int64_t ns = 77;

		assert_int_equal(hearth_keep_alive_parse(rows[i].text, &ns), 0);
		if (ns != rows[i].ns)
			fail_msg("%s: %lld, not %lld", rows[i].text, (long long)ns,
				 (long long)rows[i].ns);
	}
}

static void bad_texts_are_refused_by_name(void **state)
{
	static const char *const rows[] = {
		"", "-", "+", "m", "5x", "5 m", " 5", "5m ", "1h30", "5m5", "forever", ".",
		".s", "1..5s", "--1", "1e3", "0x10", "5mm", "1,5s", "5M", "inf",
	};

	for (size_t i = 0; i < SIZE(rows); i++) {
		int64_t ns = 77;

		if (hearth_keep_alive_parse(rows[i], &ns) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(ns, 77);
		assert_non_null(strstr(hearth_errmsg(), rows[i]));
	}
}

static void what_exceeds_64_bits_is_refused(void **state)
{
	static const char *const rows[] = {
		"9223372037", "2562048h", "99999999999999999999", "-99999999999999999999h",
		"9223372036s999999999ns", "2562047h99999h",
	};

	for (size_t i = 0; i < SIZE(rows); i++) {
		int64_t ns = 77;

		if (hearth_keep_alive_parse(rows[i], &ns) != -ERANGE)
			fail_msg("'%s' was taken", rows[i]);
		assert_int_equal(ns, 77);
		assert_non_null(strstr(hearth_errmsg(), "292 years"));
	}
}

static void classes_have_names(void **state)
{
	enum hearth_model_class c;

	for (int i = HEARTH_CLASS_DROPPABLE; i <= HEARTH_CLASS_PINNED; i++) {
		assert_int_equal(hearth_class_parse(hearth_class_name(i), &c), 0);
		assert_int_equal(c, i);
	}
	assert_string_equal(hearth_class_name(HEARTH_CLASS_DEFAULT), "normal");
	assert_string_equal(hearth_class_name(77), "?");
	assert_int_equal(hearth_class_parse("precious", &c), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "precious"));
	assert_string_equal(hearth_model_state_name(HEARTH_MODEL_PARTLY), "partly");
	assert_string_equal(hearth_model_state_name(77), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts_give_nanoseconds),
		cmocka_unit_test(bad_texts_are_refused_by_name),
		cmocka_unit_test(what_exceeds_64_bits_is_refused),
		cmocka_unit_test(classes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
