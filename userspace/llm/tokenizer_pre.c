// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers: byte-level BPE merges only within pieces of text, which the
 * models' authors define by regular expressions. Each is a scanner here; the
 * expressions stand next to the rules that they become.
 */
#include "llm/tokenizer_internal.h"

/* One character ahead in the text. */
struct look {
	size_t n;		/* bytes; 0 at the end */
	uint32_t cp;
	enum tok_class class;
};

static struct look look(const char *s, size_t len, size_t at)
{
	struct look l = { 0 };

	if (at >= len)
		return l;
	l.n = tok_utf8(s + at, len - at, &l.cp);
	l.class = tok_class(l.cp);
	/* The expressions know no other classes. */
	if (l.class > TOK_SPACE)
		l.class = TOK_OTHER;
	return l;
}

/* Bytes of the run of @class at @at, of at most @max characters. */
static size_t run(const char *s, size_t len, size_t at, enum tok_class class, size_t max)
{
	size_t start = at;

	for (size_t i = 0; i < max; i++) {
		struct look l = look(s, len, at);

		if (!l.n || l.class != class)
			break;
		at += l.n;
	}
	return at - start;
}

static size_t newlines(const char *s, size_t len, size_t at)
{
	size_t start = at;

	while (at < len && (s[at] == '\r' || s[at] == '\n'))
		at++;
	return at - start;
}

static char lower(char c, bool fold)
{
	return fold && c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* 's|'t|'re|'ve|'m|'ll|'d, with @fold in any case. */
static size_t contraction(const char *s, size_t len, bool fold)
{
	char a, b;

	if (len < 2 || s[0] != '\'')
		return 0;
	a = lower(s[1], fold);
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return 2;
	if (len < 3)
		return 0;
	b = lower(s[2], fold);
	if (b == 'e' && (a == 'r' || a == 'v'))
		return 3;
	return a == 'l' && b == 'l' ? 3 : 0;
}

/*
 * \s+(?!\S)|\s+ : a run of white space leaves its last character to what
 * follows, unless it is alone or nothing follows. With @split a digit counts as
 * nothing: the text was cut at digits before.
 */
static size_t spaces(const char *s, size_t len, bool split)
{
	size_t at = 0, last = 0;

	for (;;) {
		struct look l = look(s, len, at);

		if (!l.n || (split && l.class == TOK_NUMBER))
			return at;
		if (l.class != TOK_SPACE)
			return last ? last : at;
		last = at;
		at += l.n;
	}
}

/* ' ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+' , digits one by one if @split. */
static size_t gpt2(const char *s, size_t len, bool split)
{
	size_t n = contraction(s, len, false), lead = s[0] == ' ';
	struct look l;

	if (n)
		return n;
	l = look(s, len, lead);
	if (!l.n || l.class == TOK_SPACE)
		return spaces(s, len, split);
	if (split && l.class == TOK_NUMBER)
		return lead ? lead : l.n;
	return lead + run(s, len, lead, l.class, SIZE_MAX);
}

/* A run of white space up to the last line end in it: \s*[\r\n]+ */
static size_t line_ends(const char *s, size_t len)
{
	size_t n = run(s, len, 0, TOK_SPACE, SIZE_MAX);

	while (n && s[n - 1] != '\n' && s[n - 1] != '\r')
		n--;
	return n;
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
 *  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t llama3(const char *s, size_t len, size_t digits)
{
	struct look l = look(s, len, 0), next = look(s, len, l.n);
	size_t n = contraction(s, len, true);

	if (n)
		return n;
	if (l.class == TOK_LETTER)
		return run(s, len, 0, TOK_LETTER, SIZE_MAX);
	if (l.class == TOK_NUMBER)
		return run(s, len, 0, TOK_NUMBER, digits);
	if (l.cp != '\r' && l.cp != '\n' && next.n && next.class == TOK_LETTER)
		return l.n + run(s, len, l.n, TOK_LETTER, SIZE_MAX);

	n = l.cp == ' ' ? 1 : 0;
	if ((n ? next.n && next.class == TOK_OTHER : l.class == TOK_OTHER)) {
		n += run(s, len, n, TOK_OTHER, SIZE_MAX);
		return n + newlines(s, len, n);
	}
	n = line_ends(s, len);
	return n ? n : spaces(s, len, false);
}

/* Bytes of the run at @at of letters that can be @want; *either: behind the last that can be both. */
static size_t case_run(const char *s, size_t len, size_t at, enum tok_case want, size_t *either)
{
	size_t start = at;

	*either = 0;
	for (;;) {
		struct look l = look(s, len, at);
		enum tok_case c = l.n ? tok_case(l.cp) : TOK_NO_CASE;

		if (c != want && c != TOK_EITHER)
			return at - start;
		at += l.n;
		if (c == TOK_EITHER)
			*either = at - start;
	}
}

/* U*L+ at @at, and with @upper U+L*, of which 0 is a mismatch. */
static size_t cased_word(const char *s, size_t len, size_t at, bool upper)
{
	size_t either, unused, u = case_run(s, len, at, TOK_UPPER, &either);
	size_t l = case_run(s, len, at + u, TOK_LOWER, &unused);

	if (upper)
		return u ? u + l : 0;
	/* without a lower one behind them, U* gives back until one of them can be it */
	return l ? u + l : either;
}

/*
 * With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], L = [\p{Ll}\p{Lm}\p{Lo}\p{M}]:
 * [^\r\n\p{L}\p{N}]?U*L+|[^\r\n\p{L}\p{N}]?U+L*, as bytes or 0.
 */
static size_t cased_words(const char *s, size_t len)
{
	struct look l = look(s, len, 0);
	bool lead = l.class != TOK_LETTER && l.class != TOK_NUMBER && l.cp != '\r' && l.cp != '\n';
	size_t n;

	for (int upper = 0; upper < 2; upper++) {
		n = lead ? cased_word(s, len, l.n, upper) : 0;
		if (n)
			return l.n + n;
		n = cased_word(s, len, 0, upper);
		if (n)
			return n;
	}
	return 0;
}

/*
 * Words as above, then, with @contractions, (?i:'s|'t|'re|'ve|'m|'ll|'d)?;
 * |\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static size_t cased(const char *s, size_t len, size_t digits, bool contractions)
{
	struct look l = look(s, len, 0), next = look(s, len, l.n);
	size_t n = cased_words(s, len);

	if (n)
		return n + (contractions ? contraction(s + n, len - n, true) : 0);
	if (l.class == TOK_NUMBER)
		return run(s, len, 0, TOK_NUMBER, digits);
	n = l.cp == ' ' ? 1 : 0;
	if (n ? next.n && next.class == TOK_OTHER : l.class == TOK_OTHER) {
		n += run(s, len, n, TOK_OTHER, SIZE_MAX);
		while (n < len && (s[n] == '\r' || s[n] == '\n' || s[n] == '/'))
			n++;
		return n;
	}
	n = line_ends(s, len);
	return n ? n : spaces(s, len, false);
}

size_t tok_next_piece(enum tok_pre pre, const char *text, size_t len)
{
	switch (pre) {
	case TOK_PRE_QWEN2:
		return llama3(text, len, 1);
	case TOK_PRE_LLAMA3:
		return llama3(text, len, 3);
	case TOK_PRE_SMOLLM:
		return gpt2(text, len, true);
	case TOK_PRE_TEKKEN:
		return cased(text, len, 1, false);
	case TOK_PRE_GPT4O:
		return cased(text, len, 3, true);
	case TOK_PRE_GPT2:
		break;
	}
	return gpt2(text, len, false);
}
