// SPDX-License-Identifier: MIT
/* Tokens are bytes; text is characters. The stream holds back what is not one yet. */
#include <errno.h>
#include <string.h>

#include "llm/tokenizer_internal.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define REPLACEMENT_LEN 3

_Static_assert(TOK_STREAM_END >= REPLACEMENT_LEN * sizeof(((struct tok_stream *)0)->held),
	       "each held byte becomes one");

void tok_stream_init(struct tok_stream *s, const struct tok *t, bool from_start)
{
	*s = (struct tok_stream){ .drop_space = from_start && tok_adds_space(t) };
}

size_t tok_stream_room(const struct tok *t)
{
	return REPLACEMENT_LEN * (sizeof(((struct tok_stream *)0)->held) + (size_t)t->max_bytes);
}

/* May the @n held bytes still become a character? */
static bool open_ended(const unsigned char *b, unsigned int n)
{
	unsigned int need = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;

	if (b[0] < 0xc2 || b[0] > 0xf4 || n >= need)
		return false;
	if (n < 2)
		return true;
	/* The second byte's range excludes overlong forms, surrogates, beyond U+10FFFF. */
	if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) ||
	    (b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f))
		return false;
	for (unsigned int i = 1; i < n; i++)
		if ((b[i] & 0xc0) != 0x80)
			return false;
	return true;
}

/* Give out what the held bytes have become; false if they wait for more. */
static bool give(struct tok_stream *s, char *out, int *n)
{
	uint32_t cp;
	size_t len;

	if (!s->n_held || open_ended(s->held, s->n_held))
		return false;
	len = tok_utf8((const char *)s->held, s->n_held, &cp);
	if (cp == TOK_BAD_CP) {
		memcpy(out + *n, REPLACEMENT, REPLACEMENT_LEN);
		*n += REPLACEMENT_LEN;
	} else {
		memcpy(out + *n, s->held, len);
		*n += len;
	}
	s->n_held -= len;
	memmove(s->held, s->held + len, s->n_held);
	return true;
}

int tok_stream_put(struct tok_stream *s, const struct tok *t, int32_t id, char *out, size_t cap)
{
	const char *text;
	int len, n = 0;

	len = tok_decode(t, id, NULL, 0);
	if (len < 0)
		return len;
	if (cap < tok_stream_room(t))
		return -ENOSPC;
	if (!len)
		return 0;
	text = tok_text(t, id);
	if (s->drop_space && text[0] == ' ') {
		text++;
		len--;
	}
	s->drop_space = false;
	for (int i = 0; i < len; i++) {
		s->held[s->n_held++] = text[i];
		while (give(s, out, &n))
			;
	}
	return n;
}

int tok_stream_end(struct tok_stream *s, char *out, size_t cap)
{
	int n = 0;

	if (cap < TOK_STREAM_END)
		return -ENOSPC;
	for (; s->n_held; s->n_held--) {
		memcpy(out + n, REPLACEMENT, REPLACEMENT_LEN);
		n += REPLACEMENT_LEN;
	}
	return n;
}
