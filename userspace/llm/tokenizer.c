// SPDX-License-Identifier: MIT
#include "llm/tokenizer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "llm/tokenizer_internal.h"

int tok_open(const struct gguf *g, struct tok **out, struct hearth_err *err)
{
	struct tok *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory");
	ret = tok_load(t, g, err);
	if (ret) {
		tok_close(t);
		return ret;
	}
	*out = t;
	return 0;
}

void tok_close(struct tok *t)
{
	if (!t)
		return;
	free(t->group);
	free(t->behind);
	free(t->attr);
	free(t->score);
	free(t->pool);
	free(t->spelled.slots);
	free(t->merges);
	free(t->merged_id);
	free(t->merged.slots);
	free(t->special.ids);
	free(t->words.ids);
	free(t);
}

/* Merging sees U+2581 as the space that it stands for. */
static size_t fold_spaces(char *out, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		if (len - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3)) {
			out[n++] = ' ';
			i += 3;
		} else {
			out[n++] = text[i++];
		}
	}
	return n;
}

static int encode_spm(const struct tok *t, struct tok_work *w, const char *text, size_t len,
		      bool after_special, struct tok_out *out)
{
	char *buf = malloc(len + 1);
	size_t n = 0;
	int ret;

	if (!buf)
		return -ENOMEM;
	if (t->add_space && after_special)
		buf[n++] = ' ';
	n += fold_spaces(buf + n, text, len);
	ret = tok_merge_text(t, w, buf, n, out);
	free(buf);
	return ret;
}

static int encode_bpe(const struct tok *t, struct tok_work *w, const char *text, size_t len,
		      struct tok_out *out)
{
	while (len) {
		size_t n = tok_next_piece(t->pre, text, len);
		int32_t id = t->ignore_merges ? tok_lookup(t, text, n) : -1;
		int ret = 0;

		if (id >= 0)
			tok_emit(out, id);
		else
			ret = tok_merge_text(t, w, text, n, out);
		if (ret)
			return ret;
		text += n;
		len -= n;
	}
	return 0;
}

/* The text between two special tokens. */
static int encode_plain(const struct tok *t, struct tok_work *w, const char *text, size_t len,
			bool after_special, struct tok_out *out)
{
	if (!len)
		return 0;
	if (t->kind == TOK_SPM)
		return encode_spm(t, w, text, len, after_special, out);
	if (t->kind == TOK_WPM)
		return tok_encode_wpm(t, text, len, out);
	return encode_bpe(t, w, text, len, out);
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space that belongs to the special token @id in front of it. */
static size_t swallowed(const struct tok *t, int32_t id, const char *text, size_t len)
{
	size_t n = 0;

	while ((t->attr[id] & TOK_RSTRIP) && n < len && is_space(text[n]))
		n++;
	return n;
}

static int encode_text(const struct tok *t, struct tok_work *w, const char *text, size_t len,
		       bool control, struct tok_out *out)
{
	size_t start = 0, at = 0;
	bool after_special = true;

	while (at < len) {
		int32_t id = tok_match_special(t, text + at, len - at, control);
		int ret;

		if (id < 0) {
			at++;
			continue;
		}
		ret = encode_plain(t, w, text + start, at - start, after_special, out);
		if (ret)
			return ret;
		tok_emit(out, id);
		after_special = true;
		at += tok_len(t, id);
		at += swallowed(t, id, text + at, len - at);
		start = at;
	}
	return encode_plain(t, w, text + start, len - start, after_special, out);
}

int64_t tok_encode(const struct tok *t, const char *text, size_t len, unsigned int flags,
		   int32_t *ids, size_t cap)
{
	struct tok_out out = { .ids = ids, .cap = cap };
	struct tok_work w = { 0 };
	int ret;

	if (len > TOK_MAX_TEXT)
		return -E2BIG;
	if ((flags & TOK_ADD_SPECIAL) && t->add_bos && t->bos >= 0)
		tok_emit(&out, t->bos);
	ret = encode_text(t, &w, text, len, flags & TOK_PARSE_SPECIAL, &out);
	tok_work_free(&w);
	if (ret)
		return ret;
	if ((flags & TOK_ADD_SPECIAL) && t->add_eos && t->eos >= 0)
		tok_emit(&out, t->eos);
	return out.n;
}

int64_t tok_encode_behind(const struct tok *t, int32_t special, const char *text, size_t len,
			  int32_t *ids, size_t cap)
{
	size_t skip = special >= 0 ? swallowed(t, special, text, len) : 0;

	return tok_encode(t, text + skip, len - skip, 0, ids, cap);
}

int tok_piece(const struct tok *t, int32_t id, char *buf, size_t cap)
{
	uint32_t len;

	if (id < 0 || id >= t->n)
		return -ERANGE;
	len = tok_len(t, id);
	if (cap)
		memcpy(buf, tok_text(t, id), len < cap ? len : cap);
	return len;
}

bool tok_is_control(const struct tok *t, int32_t id)
{
	return id >= 0 && id < t->n && tok_type(t, id) == TOK_TYPE_CONTROL;
}

int tok_decode(const struct tok *t, int32_t id, char *buf, size_t cap)
{
	if (tok_is_control(t, id))
		return 0;
	return tok_piece(t, id, buf, cap);
}

int32_t tok_find_special(const struct tok *t, const char *text, size_t len)
{
	int32_t id = tok_match_special(t, text, len, true);

	return id >= 0 && tok_len(t, id) == len ? id : -1;
}

int32_t tok_n_vocab(const struct tok *t)
{
	return t->n;
}

int32_t tok_bos(const struct tok *t)
{
	return t->bos;
}

int32_t tok_eos(const struct tok *t)
{
	return t->eos;
}

int32_t tok_eot(const struct tok *t)
{
	return t->eot;
}

bool tok_is_eog(const struct tok *t, int32_t id)
{
	return id >= 0 && id < t->n && (t->attr[id] & TOK_EOG);
}

bool tok_adds_bos(const struct tok *t)
{
	return t->add_bos && t->bos >= 0;
}

bool tok_adds_space(const struct tok *t)
{
	return t->add_space;
}

const char *tok_kind(const struct tok *t)
{
	static const char *const names[] = {
		[TOK_SPM] = "spm", [TOK_BPE] = "bpe", [TOK_WPM] = "wpm",
	};

	return names[t->kind];
}
