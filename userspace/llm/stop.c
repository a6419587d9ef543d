// SPDX-License-Identifier: MIT
#include "llm/stop.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "llm/tokenizer_internal.h"
#include "runtime/error.h"

static bool is_utf8(const char *s, size_t len)
{
	uint32_t cp;

	for (size_t at = 0; at < len;) {
		at += tok_utf8(s + at, len - at, &cp);
		if (cp == TOK_BAD_CP)
			return false;
	}
	return true;
}

static int check(struct llm_stop *s, unsigned int i)
{
	size_t len = s->list[i] ? strlen(s->list[i]) : 0;

	if (!len || len > LLM_MAX_STOP_BYTES)
		return hearth_seterr(-EINVAL, "stop string %u has %zu bytes: 1 to %d are possible",
				     i, len, LLM_MAX_STOP_BYTES);
	/* Text comes in whole characters: half a one could only match inside of one. */
	if (!is_utf8(s->list[i], len))
		return hearth_seterr(-EINVAL, "stop string %u is no UTF-8", i);
	s->lens[i] = len;
	if (len > s->longest)
		s->longest = len;
	return 0;
}

int llm_stop_start(struct llm_stop *s, const char *const *list, unsigned int n, size_t chunk)
{
	*s = (struct llm_stop){ .list = list, .n = n };
	if (n > LLM_MAX_STOPS)
		return hearth_seterr(-EINVAL, "%u stop strings: at most %d are possible", n,
				     LLM_MAX_STOPS);
	for (unsigned int i = 0; i < n; i++) {
		int ret = check(s, i);

		if (ret)
			return ret;
	}
	/* what is held back is shorter than a stop string, then comes one chunk */
	s->text = malloc(s->longest + chunk + 1);
	if (!s->text)
		return hearth_seterr(-ENOMEM, "no memory for %zu bytes of text",
				     s->longest + chunk);
	return 0;
}

void llm_stop_end(struct llm_stop *s)
{
	free(s->text);
	s->text = NULL;
}

/* Does stop string @i stand at @at, all of it or what the text has of it? */
static bool stands(const struct llm_stop *s, unsigned int i, size_t at, bool whole)
{
	size_t left = s->n_text - at, n = s->lens[i];

	if (n > left) {
		if (whole)
			return false;
		n = left;
	}
	return !memcmp(s->text + at, s->list[i], n);
}

/* Where the first one stands, whole or cut off by the end; the end if none does. */
static size_t first(const struct llm_stop *s, bool whole)
{
	for (size_t at = 0; at < s->n_text; at++)
		for (unsigned int i = 0; i < s->n; i++)
			if (stands(s, i, at, whole))
				return at;
	return s->n_text;
}

size_t llm_stop_put(struct llm_stop *s, const char *text, size_t len, bool last, bool *found)
{
	s->n_text -= s->n_shown;
	memmove(s->text, s->text + s->n_shown, s->n_text);
	memcpy(s->text + s->n_text, text, len);
	s->n_text += len;
	s->n_shown = first(s, true);
	*found = s->n_shown < s->n_text;
	if (!*found)
		s->n_shown = last ? s->n_text : first(s, false);
	return s->n_shown;
}
