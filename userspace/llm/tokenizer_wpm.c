// SPDX-License-Identifier: MIT
/*
 * WordPiece, as BERT has it: the text is folded (no case, no accents) and cut
 * into words, and a word becomes the longest tokens that it can be cut into.
 * The vocabulary marks those that begin a word with a space.
 */
#include <errno.h>
#include <stdlib.h>

#include "llm/tokenizer_internal.h"

static size_t put_utf8(char *out, uint32_t cp)
{
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	static const unsigned char lead[5] = { 0, 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = n; i-- > 1; cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)(lead[n] | cp);
	return n;
}

/* A Hangul syllable is its two or three letters. */
static size_t put_hangul(char *out, uint32_t cp)
{
	uint32_t s = cp - 0xac00;
	size_t n;

	n = put_utf8(out, 0x1100 + s / 588);
	n += put_utf8(out + n, 0x1161 + s % 588 / 28);
	if (s % 28)
		n += put_utf8(out + n, 0x11a7 + s % 28);
	return n;
}

/* Chinese is cut into characters. */
static bool is_ideograph(uint32_t cp)
{
	return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
	       (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2ceaf) ||
	       (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

static bool stands_alone(uint32_t cp, enum tok_class class)
{
	return class == TOK_PUNCTUATION || is_ideograph(cp) || (cp < 0x7f && class == TOK_OTHER);
}

/* All of a word, or the unknown token for all of it. */
static int emit_word(const struct tok *t, const char *word, size_t len, struct tok_out *out)
{
	int64_t start = out->n;

	for (size_t at = 0; at < len;) {
		int32_t id = tok_match_word(t, word + at, len - at);

		if (id < 0) {
			out->n = start;
			if (t->unk < 0)
				return -EILSEQ;
			tok_emit(out, t->unk);
			return 0;
		}
		tok_emit(out, id);
		at += tok_len(t, id);
	}
	return 0;
}

/* The words so far and the one that grows; buf[0] is the space that begins it. */
struct words {
	const struct tok *t;
	struct tok_out *out;
	char *buf;
	size_t n;
};

static int end_word(struct words *w)
{
	int ret = w->n > 1 ? emit_word(w->t, w->buf, w->n, w->out) : 0;

	w->n = 1;
	return ret;
}

static void add_char(struct words *w, uint32_t cp)
{
	if (cp >= 0xac00 && cp <= 0xd7a3)
		w->n += put_hangul(w->buf + w->n, cp);
	else
		w->n += put_utf8(w->buf + w->n, tok_fold(cp));
}

static int take_char(struct words *w, uint32_t cp)
{
	enum tok_class class = tok_class(cp);
	bool alone = stands_alone(cp, class);
	int ret;

	if (class == TOK_SPACE)
		return end_word(w);
	if (cp == 0 || cp == 0xfffd || cp == TOK_BAD_CP || class == TOK_CONTROL ||
	    class == TOK_MARK)
		return 0;
	ret = alone ? end_word(w) : 0;
	if (ret)
		return ret;
	add_char(w, cp);
	return alone ? end_word(w) : 0;
}

int tok_encode_wpm(const struct tok *t, const char *text, size_t len, struct tok_out *out)
{
	/* Folding makes at most three letters of three bytes from a syllable of three. */
	struct words w = { .t = t, .out = out, .buf = malloc(3 * len + 2), .n = 1 };
	uint32_t cp;
	int ret = 0;

	if (!w.buf)
		return -ENOMEM;
	w.buf[0] = ' ';
	for (size_t at = 0; !ret && at < len;) {
		at += tok_utf8(text + at, len - at, &cp);
		ret = take_char(&w, cp);
	}
	if (!ret)
		ret = end_word(&w);
	free(w.buf);
	return ret;
}
