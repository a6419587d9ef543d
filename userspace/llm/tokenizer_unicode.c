// SPDX-License-Identifier: MIT
#include "llm/tokenizer_internal.h"

#include "llm/tokenizer_unicode_table.h"

/* The entry that holds for @cp; the lower @bits of each are its value. */
static uint32_t find(const uint32_t *table, size_t n, unsigned int bits, uint32_t cp)
{
	size_t lo = 0, hi = n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (table[mid] >> bits <= cp)
			lo = mid;
		else
			hi = mid;
	}
	return table[lo] & ((1u << bits) - 1);
}

enum tok_class tok_class(uint32_t cp)
{
	if (cp >= TOK_BAD_CP)
		return TOK_OTHER;
	return find(class_table, sizeof(class_table) / sizeof(class_table[0]), 3, cp);
}

enum tok_case tok_case(uint32_t cp)
{
	if (cp >= TOK_BAD_CP)
		return TOK_NO_CASE;
	return find(case_table, sizeof(case_table) / sizeof(case_table[0]), 2, cp);
}

uint32_t tok_fold(uint32_t cp)
{
	size_t lo = 0, hi = sizeof(fold_table) / sizeof(fold_table[0]);
	uint32_t at, to, mode;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (fold_table[mid][0] >> 8 <= cp)
			lo = mid;
		else
			hi = mid;
	}
	/* Modes: all to one letter, each to its own, every second one. */
	mode = fold_table[lo][1] & 3;
	to = fold_table[lo][1] >> 2;
	at = cp - (fold_table[lo][0] >> 8);
	if (cp < fold_table[lo][0] >> 8 ||
	    at > (fold_table[lo][0] & 0xff) * (mode == 2 ? 2 : 1) || (mode == 2 && at % 2))
		return cp;
	return mode ? to + at : to;
}

static bool tail(const unsigned char *s, size_t n, uint32_t *cp)
{
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return false;
		*cp = *cp << 6 | (s[i] & 0x3f);
	}
	return true;
}

size_t tok_utf8(const char *text, size_t len, uint32_t *cp)
{
	const unsigned char *s = (const unsigned char *)text;
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	*cp = s[0] & (0x7f >> n);
	if (s[0] >= 0xc2 && s[0] < 0xf5 && n <= len && tail(s, n, cp) && *cp >= least[n] &&
	    *cp < 0x110000 && (*cp < 0xd800 || *cp > 0xdfff))
		return n;
	*cp = TOK_BAD_CP;
	return 1;
}
