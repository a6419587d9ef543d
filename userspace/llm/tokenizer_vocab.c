// SPDX-License-Identifier: MIT
/* The vocabulary, from a GGUF file's metadata. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/tokenizer_internal.h"

#define KEY(k) "tokenizer.ggml." k
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The byte that byte-level vocabularies write as code point @cp, or -1. */
static int unmap_byte(uint32_t cp)
{
	if ((cp >= 0x21 && cp <= 0x7e) || (cp >= 0xa1 && cp <= 0xff && cp != 0xad))
		return cp;
	/* The 68 bytes that do not print stand in a row from U+0100. */
	if (cp < 0x100 || cp > 0x143)
		return -1;
	cp -= 0x100;
	return cp < 0x21 ? cp : cp < 0x43 ? cp - 0x21 + 0x7f : 0xad;
}

/* Spell out the bytes of a byte-level token; what is no mapped byte stays. */
static uint32_t unmap(char *out, struct gguf_str s)
{
	uint32_t n = 0, cp;

	for (uint64_t i = 0; i < s.len;) {
		size_t k = tok_utf8(s.ptr + i, s.len - i, &cp);
		int b = unmap_byte(cp);

		if (b >= 0) {
			out[n++] = (char)b;
		} else {
			memcpy(out + n, s.ptr + i, k);
			n += k;
		}
		i += k;
	}
	return n;
}

/* SentencePiece writes a space as U+2581. */
static uint32_t unescape(char *out, struct gguf_str s)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < s.len;) {
		if (s.len - i >= 3 && !memcmp(s.ptr + i, "\xe2\x96\x81", 3)) {
			out[n++] = ' ';
			i += 3;
		} else {
			out[n++] = s.ptr[i++];
		}
	}
	return n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>" */
static int parse_byte(struct gguf_str s)
{
	if (s.len != 6 || memcmp(s.ptr, "<0x", 3) || s.ptr[5] != '>' || hex(s.ptr[3]) < 0 ||
	    hex(s.ptr[4]) < 0)
		return -1;
	return hex(s.ptr[3]) * 16 + hex(s.ptr[4]);
}

/* Token @i begins, or for t->n the last one ends, at @off. */
static int set_begin(struct tok *t, int32_t i, uint32_t off, struct hearth_err *err)
{
	uint32_t *group = &t->group[i / TOK_GROUP];

	if (i % TOK_GROUP == 0)
		*group = off;
	if (off - *group > UINT16_MAX)
		return hearth_err_set(err, -ERANGE,
				      "tokenizer: " KEY("tokens") "[%d]: %d tokens up to it have %u bytes, more than %u",
				      i - 1, i % TOK_GROUP, off - *group, UINT16_MAX);
	t->behind[i] = (uint16_t)(off - *group);
	return 0;
}

static int load_token(struct tok *t, int32_t i, struct gguf_str s, uint32_t off,
		      struct hearth_err *err)
{
	enum tok_type type = tok_type(t, i);
	char *out = t->pool + off;
	uint32_t len;
	int b;

	if (type == TOK_TYPE_BYTE) {
		b = parse_byte(s);
		if (b < 0)
			return hearth_err_set(err, -EINVAL,
					      "tokenizer: " KEY("tokens") "[%d]: '%.*s' is no byte token",
					      i, (int)(s.len < 40 ? s.len : 40), s.ptr);
		t->byte_id[b] = i;
		out[0] = (char)b;
		len = 1;
	} else if (type == TOK_TYPE_NORMAL || type == TOK_TYPE_UNUSED) {
		len = t->kind == TOK_BPE ? unmap(out, s) : unescape(out, s);
	} else if (type == TOK_TYPE_USER && t->kind == TOK_SPM) {
		/* most converters have done it, some have not */
		len = unescape(out, s);
	} else {
		memcpy(out, s.ptr, s.len);
		len = s.len;
	}
	if (len > t->max_bytes)
		t->max_bytes = len;
	return set_begin(t, i + 1, off + len, err);
}

static int load_types(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	struct gguf_arr a;
	int ret;

	for (int32_t i = 0; i < t->n; i++)
		t->attr[i] = TOK_TYPE_NORMAL;
	ret = gguf_get_arr(g, KEY("token_type"), GGUF_VT_I32, &a, err);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	if (a.n != (uint64_t)t->n)
		return hearth_err_set(err, -EINVAL,
				      "tokenizer: " KEY("token_type") ": %" PRIu64
				      " entries for %d tokens", a.n, t->n);
	for (int32_t i = 0; i < t->n; i++) {
		uint32_t type = gguf_arr_u32(&a, i);

		if (type > TOK_TYPE_BYTE)
			return hearth_err_set(err, -ERANGE,
					      "tokenizer: " KEY("token_type") "[%d]: %d is outside 0..6",
					      i, (int32_t)type);
		t->attr[i] = type ? type : TOK_TYPE_NORMAL;
	}
	return 0;
}

static int load_scores(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	struct gguf_arr a;
	int ret;

	ret = gguf_get_arr(g, KEY("scores"), GGUF_VT_F32, &a, err);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (a.n != (uint64_t)t->n)
		return hearth_err_set(err, -EINVAL,
				      "tokenizer: " KEY("scores") ": %" PRIu64
				      " entries for %d tokens", a.n, t->n);
	for (int32_t i = 0; i < t->n; i++) {
		t->score[i] = gguf_arr_f32(&a, i);
		if (isnan(t->score[i]))
			return hearth_err_set(err, -ERANGE,
					      "tokenizer: " KEY("scores") "[%d]: is not a number", i);
	}
	return 0;
}

/* Scores are wanted by SPM alone, and are mostly no more than the order of the ids. */
static bool need_scores(const struct tok *t)
{
	float last = INFINITY;

	for (int32_t i = 0; t->kind == TOK_SPM && i < t->n; i++) {
		if (!tok_mergeable(t, i))
			continue;
		if (!(t->score[i] < last))
			return true;
		last = t->score[i];
	}
	return false;
}

/* Every process has its own of these tables, so they are no larger than they must be. */
static void drop_spare(struct tok *t)
{
	char *pool = realloc(t->pool, tok_begin(t, t->n) + 1);

	if (pool)
		t->pool = pool;
	if (need_scores(t))
		return;
	free(t->score);
	t->score = NULL;
}

static int load_tokens(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	uint64_t pos = 0;
	struct gguf_arr a;
	struct gguf_str s;
	int ret;

	ret = gguf_get_arr(g, KEY("tokens"), GGUF_VT_STR, &a, err);
	if (ret)
		return ret;
	if (!a.n || a.n > TOK_MAX_ENTRIES || a.len > UINT32_MAX)
		return hearth_err_set(err, -ERANGE,
				      "tokenizer: " KEY("tokens") ": %" PRIu64
				      " tokens are outside 1..%d", a.n, TOK_MAX_ENTRIES);
	t->n = a.n;
	t->group = calloc((size_t)t->n / TOK_GROUP + 1, sizeof(*t->group));
	t->behind = calloc((size_t)t->n + 1, sizeof(*t->behind));
	t->attr = malloc(t->n);
	t->score = calloc(t->n, sizeof(*t->score));
	/* No spelling grows by being unescaped. */
	t->pool = malloc(a.len);
	if (!t->group || !t->behind || !t->attr || !t->score || !t->pool)
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory for %d tokens", t->n);
	ret = load_types(t, g, err);
	if (!ret)
		ret = load_scores(t, g, err);
	for (int32_t i = 0; !ret && i < t->n && gguf_arr_next_str(&a, &pos, &s); i++)
		ret = load_token(t, i, s, tok_begin(t, i), err);
	if (!ret)
		drop_spare(t);
	return ret;
}

static int load_id(const struct tok *t, const struct gguf *g, const char *key, int32_t def,
		   int32_t *out, struct hearth_err *err)
{
	uint32_t v;
	int ret;

	*out = def < t->n ? def : -1;
	ret = gguf_get_u32(g, key, &v, err);
	if (ret == -ENOENT)
		return 0;
	if (ret)
		return ret;
	if (v >= (uint32_t)t->n)
		return hearth_err_set(err, -ERANGE, "tokenizer: %s: %u is outside the %d tokens",
				      key, v, t->n);
	*out = v;
	return 0;
}

static int load_flag(const struct gguf *g, const char *key, bool *out, struct hearth_err *err)
{
	int ret = gguf_get_bool(g, key, out, err);

	return ret == -ENOENT ? 0 : ret;
}

/* Keys and defaults by kind; the separator's key is misspelled in the format itself. */
static const struct {
	const char *bos, *eos;
	int32_t bos_def, eos_def, unk_def;
} id_keys[] = {
	[TOK_SPM] = { KEY("bos_token_id"), KEY("eos_token_id"), 1, 2, 0 },
	[TOK_BPE] = { KEY("bos_token_id"), KEY("eos_token_id"), -1, -1, -1 },
	[TOK_WPM] = { KEY("cls_token_id"), KEY("seperator_token_id"), 101, 102, 100 },
};

static int load_ids(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	int ret;

	ret = load_id(t, g, id_keys[t->kind].bos, id_keys[t->kind].bos_def, &t->bos, err);
	if (!ret)
		ret = load_id(t, g, id_keys[t->kind].eos, id_keys[t->kind].eos_def, &t->eos, err);
	if (!ret)
		ret = load_id(t, g, KEY("unknown_token_id"), id_keys[t->kind].unk_def, &t->unk, err);
	if (!ret)
		ret = load_id(t, g, KEY("eot_token_id"), -1, &t->eot, err);
	if (!ret)
		ret = load_flag(g, KEY("add_bos_token"), &t->add_bos, err);
	if (!ret)
		ret = load_flag(g, KEY("add_eos_token"), &t->add_eos, err);
	if (!ret)
		ret = load_flag(g, KEY("add_space_prefix"), &t->add_space, err);
	return ret;
}

static const struct {
	const char *name;
	enum tok_pre pre;
	/* as Llama 3: BOS first, and a piece that is a token is not merged from parts */
	bool whole;
} pres[] = {
	{ "gpt-2", TOK_PRE_GPT2, false },
	{ "phi-2", TOK_PRE_GPT2, false },
	{ "mpt", TOK_PRE_GPT2, false },
	{ "olmo", TOK_PRE_GPT2, false },
	{ "roberta-bpe", TOK_PRE_GPT2, false },
	{ "qwen2", TOK_PRE_QWEN2, false },
	{ "deepseek-r1-qwen", TOK_PRE_QWEN2, false },
	{ "stablelm2", TOK_PRE_QWEN2, false },
	{ "llama-bpe", TOK_PRE_LLAMA3, true },
	{ "llama3", TOK_PRE_LLAMA3, true },
	{ "llama-v3", TOK_PRE_LLAMA3, true },
	{ "falcon3", TOK_PRE_LLAMA3, true },
	{ "smaug-bpe", TOK_PRE_LLAMA3, false },
	{ "smollm", TOK_PRE_SMOLLM, false },
	{ "starcoder", TOK_PRE_SMOLLM, false },
	{ "refact", TOK_PRE_SMOLLM, false },
	{ "command-r", TOK_PRE_SMOLLM, false },
	{ "tekken", TOK_PRE_TEKKEN, true },
	{ "gpt-4o", TOK_PRE_GPT4O, false },
};

static int unknown_pre(struct gguf_str s, struct hearth_err *err)
{
	char list[192];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pres) && n < sizeof(list); i++)
		n += snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", pres[i].name);
	return hearth_err_set(err, -EOPNOTSUPP, KEY("pre") " '%.*s' is not supported; these are: %s",
			      (int)(s.len < 20 ? s.len : 20), s.ptr, list);
}

static int load_pre(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	struct gguf_str s;
	int ret;

	ret = gguf_get_str(g, KEY("pre"), &s, err);
	if (ret == -ENOENT)
		return hearth_err_set(err, ret, "key '" KEY("pre") "' is missing: without it nobody knows how this vocabulary cuts a text; convert the model anew");
	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(pres); i++) {
		if (!gguf_str_eq(s, pres[i].name))
			continue;
		t->pre = pres[i].pre;
		t->ignore_merges = pres[i].whole;
		t->add_bos = pres[i].whole;
		return 0;
	}
	return unknown_pre(s, err);
}

static int load_kind(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	struct gguf_str s;
	int ret;

	ret = gguf_get_str(g, KEY("model"), &s, err);
	if (ret)
		return ret;
	if (gguf_str_eq(s, "llama")) {
		t->kind = TOK_SPM;
		t->add_bos = true;
		t->add_space = true;
		return 0;
	}
	if (gguf_str_eq(s, "gpt2")) {
		t->kind = TOK_BPE;
		return load_pre(t, g, err);
	}
	if (gguf_str_eq(s, "bert")) {
		t->kind = TOK_WPM;
		t->add_bos = true;
		t->add_eos = true;
		return 0;
	}
	return hearth_err_set(err, -EOPNOTSUPP,
			      "tokenizer: " KEY("model") ": '%.*s' is not supported (llama, gpt2 and bert are)",
			      (int)(s.len < 40 ? s.len : 40), s.ptr);
}

static int bad_merge(struct hearth_err *err, uint64_t i, struct gguf_str s, const char *why)
{
	return hearth_err_set(err, -EINVAL, "tokenizer: " KEY("merges") "[%" PRIu64 "]: '%.*s' %s",
			      i, (int)(s.len < 60 ? s.len : 60), s.ptr, why);
}

/* "left right"; @buf is large enough for both. */
static int load_merge(struct tok *t, uint64_t i, struct gguf_str s, char *buf,
		      struct hearth_err *err)
{
	const char *space = s.len > 1 ? memchr(s.ptr + 1, ' ', s.len - 1) : NULL;
	struct gguf_str part[2];
	uint32_t len[2];
	int32_t left, right, id;

	if (!space || space + 1 == s.ptr + s.len)
		return bad_merge(err, i, s, "is not two tokens");
	part[0] = (struct gguf_str){ s.ptr, space - s.ptr };
	part[1] = (struct gguf_str){ space + 1, s.len - part[0].len - 1 };
	len[0] = unmap(buf, part[0]);
	len[1] = unmap(buf + len[0], part[1]);
	left = tok_lookup(t, buf, len[0]);
	right = tok_lookup(t, buf + len[0], len[1]);
	id = tok_lookup(t, buf, len[0] + len[1]);
	if (left < 0 || right < 0 || id < 0)
		return bad_merge(err, i, s, "is not made of tokens of the vocabulary");
	tok_add_merge(t, left, right, id);
	return 0;
}

static int load_merges(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	uint64_t pos = 0, longest = 0;
	struct gguf_arr a;
	struct gguf_str s;
	char *buf;
	int ret;

	ret = gguf_get_arr(g, KEY("merges"), GGUF_VT_STR, &a, err);
	if (!ret && a.n > TOK_MAX_ENTRIES)
		ret = hearth_err_set(err, -ERANGE, "tokenizer: " KEY("merges") ": %" PRIu64
				     " merges exceed %d", a.n, TOK_MAX_ENTRIES);
	if (!ret)
		ret = tok_alloc_merges(t, a.n, err);
	if (ret)
		return ret;
	while (gguf_arr_next_str(&a, &pos, &s))
		longest = s.len > longest ? s.len : longest;
	buf = malloc(longest + 1);
	if (!buf)
		return hearth_err_set(err, -ENOMEM, "tokenizer: no memory for a merge of %" PRIu64
				      " bytes", longest);
	pos = 0;
	for (uint64_t i = 0; !ret && gguf_arr_next_str(&a, &pos, &s); i++)
		ret = load_merge(t, i, s, buf, err);
	if (!ret)
		tok_end_merges(t);
	free(buf);
	return ret;
}

/* Tokens that end a turn, by the spelling of the known families. */
static const char *const ends[] = {
	"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
	"<EOT>", "_<EOT>", "<|end_of_text|>",
};

/* Tokens that begin one, or stand in its head. */
static const char *const heads[] = {
	"<|im_start|>", "<|im_sep|>", "<|start_header_id|>", "<|end_header_id|>",
	"<start_of_turn>", "<|user|>", "<|assistant|>", "<|system|>", "[INST]", "[/INST]",
	"<\xef\xbd\x9cUser\xef\xbd\x9c>", "<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>",
};

/* Some files have them as parts of the text, so that any text could end a turn. */
static void make_control(struct tok *t, int32_t id)
{
	if (tok_type(t, id) == TOK_TYPE_USER)
		t->attr[id] = (t->attr[id] & ~TOK_TYPE_MASK) | TOK_TYPE_CONTROL;
}

static void set_end(struct tok *t, int32_t id)
{
	if (id < 0)
		return;
	t->attr[id] |= TOK_EOG;
	make_control(t, id);
}

static void find_ends(struct tok *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		int32_t id = tok_find_special(t, ends[i], strlen(ends[i]));

		set_end(t, id);
		if (t->eot < 0)
			t->eot = id;
	}
	set_end(t, t->eos);
	set_end(t, t->eot);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		int32_t id = tok_find_special(t, heads[i], strlen(heads[i]));

		if (id >= 0)
			make_control(t, id);
	}
}

static bool contains_fold(struct gguf_str s, const char *word)
{
	size_t n = strlen(word);

	for (uint64_t i = 0; i + n <= s.len; i++)
		if (!strncasecmp(s.ptr + i, word, n))
			return true;
	return false;
}

/*
 * Phi-3's special tokens swallow the white space behind them. The file format
 * has no field for that, so the model's name has to tell.
 */
static void set_rstrip(struct tok *t, const struct gguf *g)
{
	static const char *const keep[] = { "<unk>", "<s>", "<|endoftext|>" };
	struct gguf_str name;

	if (gguf_get_str(g, "general.name", &name, NULL) ||
	    (!contains_fold(name, "phi-3") && !contains_fold(name, "phi3")))
		return;
	for (int32_t i = 0; i < t->special.n; i++)
		t->attr[t->special.ids[i]] |= TOK_RSTRIP;
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		int32_t id = tok_find_special(t, keep[i], strlen(keep[i]));

		if (id >= 0)
			t->attr[id] &= ~TOK_RSTRIP;
	}
}

int tok_load(struct tok *t, const struct gguf *g, struct hearth_err *err)
{
	int ret;

	memset(t->byte_id, 0xff, sizeof(t->byte_id));
	ret = load_kind(t, g, err);
	if (!ret)
		ret = load_tokens(t, g, err);
	if (!ret)
		ret = load_ids(t, g, err);
	if (!ret)
		ret = tok_index_tokens(t, err);
	if (!ret)
		ret = tok_index_sorted(t, err);
	if (!ret && t->kind == TOK_BPE)
		ret = load_merges(t, g, err);
	if (ret)
		return ret;
	find_ends(t);
	set_rstrip(t, g);
	return 0;
}
