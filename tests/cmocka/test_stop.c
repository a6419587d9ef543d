// SPDX-License-Identifier: MIT
/* Stop strings across pieces of a text: nothing of a match is shown, all else is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hearth.h"
#include "llm/stop.h"

/* Pieces are cut at '|'; in the answer '|' stands behind what each piece let out. */
static void check(const char *const *stops, unsigned int n, const char *pieces, const char *want)
{
	char text[256], out[256] = "";
	bool found = false;
	struct llm_stop s;
	char *at = text;

	strcpy(text, pieces);
	assert_int_equal(llm_stop_start(&s, stops, n, 64), 0);
	for (bool last = false; !last && !found; ) {
		size_t len = strcspn(at, "|"), k;

		last = !at[len];
		k = llm_stop_put(&s, at, len, last, &found);
		strncat(out, s.text, k);
		strcat(out, found ? "!" : "|");
		at += len + 1;
	}
	llm_stop_end(&s);
	assert_string_equal(out, want);
}

#define CHECK(PIECES, WANT, ...) do {					\
	static const char *const stops_[] = { __VA_ARGS__ };		\
	check(stops_, sizeof(stops_) / sizeof(*stops_), PIECES, WANT);	\
} while (0)

static void nothing_is_held_without_stops(void **state)
{
	check(NULL, 0, "a|bc||d", "a|bc||d|");
}

static void a_match_ends_the_text(void **state)
{
	CHECK("one two three", "one !", "two");
	CHECK("two", "!", "two");
	CHECK("one|tw|o three", "one||!", "two");
	CHECK("t|w|o", "||!", "two");
	/* the first in the text counts, whatever the order of the list */
	CHECK("a.b;c", "a!", ";", ".");
	CHECK("ab", "!", "ab", "a");
}

static void what_may_become_one_is_held(void **state)
{
	CHECK("one t|ea", "one |tea|", "two");
	CHECK("one tw", "one tw|", "two");
	CHECK("aa|ab", "|a!", "aab");
	CHECK("aaa|b", "a|!", "aab");
	CHECK("User|:|", "||User:|", "User: ");
	/* a shorter one ends it though a longer one could still come */
	CHECK("abc", "a!", "abcd", "bc");
}

static void characters_stay_whole(void **state)
{
	/* U+1F999 and U+1F600 begin with the same three bytes */
	CHECK("x\xf0\x9f\xa6\x99|\xf0\x9f\x98\x80", "x|!", "\xf0\x9f\xa6\x99\xf0\x9f\x98\x80");
	CHECK("x\xf0\x9f\xa6\x99", "x\xf0\x9f\xa6\x99|", "\xf0\x9f\xa6\xa0");
	CHECK("\xc3\xa9|\xc3\xa9t", "|\xc3\xa9!", "\xc3\xa9t");
}

static void long_texts_need_no_room(void **state)
{
	static const char *const stops[] = { "aaaaaaab" };
	char chunk[64];
	size_t shown = 0;
	struct llm_stop s;
	bool found;

	memset(chunk, 'a', sizeof(chunk));
	assert_int_equal(llm_stop_start(&s, stops, 1, sizeof(chunk)), 0);
	for (int i = 0; i < 10000; i++) {
		shown += llm_stop_put(&s, chunk, sizeof(chunk), false, &found);
		assert_false(found);
	}
	assert_int_equal(shown, 640000 - 7);
	assert_int_equal(llm_stop_put(&s, "b", 1, false, &found), 0);
	assert_true(found);
	llm_stop_end(&s);
}

static void bad_ones_are_refused(void **state)
{
	char longest[LLM_MAX_STOP_BYTES + 2];
	const char *list[LLM_MAX_STOPS + 1];
	struct llm_stop s;

	memset(longest, 'x', sizeof(longest));
	longest[LLM_MAX_STOP_BYTES + 1] = '\0';
	for (int i = 0; i <= LLM_MAX_STOPS; i++)
		list[i] = "x";
	assert_int_equal(llm_stop_start(&s, list, LLM_MAX_STOPS + 1, 1), -EINVAL);
	assert_string_equal(hearth_errmsg(), "17 stop strings: at most 16 are possible");
	list[1] = "";
	assert_int_equal(llm_stop_start(&s, list, 2, 1), -EINVAL);
	assert_string_equal(hearth_errmsg(), "stop string 1 has 0 bytes: 1 to 1024 are possible");
	list[1] = NULL;
	assert_int_equal(llm_stop_start(&s, list, 2, 1), -EINVAL);
	list[0] = longest;
	assert_int_equal(llm_stop_start(&s, list, 1, 1), -EINVAL);
	assert_string_equal(hearth_errmsg(), "stop string 0 has 1025 bytes: 1 to 1024 are possible");
	list[0] = "\xa6\x99";
	assert_int_equal(llm_stop_start(&s, list, 1, 1), -EINVAL);
	assert_string_equal(hearth_errmsg(), "stop string 0 is no UTF-8");
	longest[LLM_MAX_STOP_BYTES] = '\0';
	list[0] = longest;
	assert_int_equal(llm_stop_start(&s, list, 1, 1), 0);
	llm_stop_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_held_without_stops),
		cmocka_unit_test(a_match_ends_the_text),
		cmocka_unit_test(what_may_become_one_is_held),
		cmocka_unit_test(characters_stay_whole),
		cmocka_unit_test(long_texts_need_no_room),
		cmocka_unit_test(bad_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
