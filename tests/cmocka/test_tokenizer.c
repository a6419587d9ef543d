// SPDX-License-Identifier: MIT
/* Tokenizers: small vocabularies made here, and real ones with known answers. */
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/err.h"
#include "gguf_writer.h"
#include "llm/tokenizer_internal.h"
#include "models.h"
#include "vocab_sample.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int open_bytes(struct bytes *b, struct tok **t, struct hearth_err *err)
{
	struct gguf *g;
	int ret;

	if (gguf_open_mem(b->p, b->n, &g, err))
		fail_msg("%s", err->msg);
	ret = tok_open(g, t, err);
	/* The tokenizer keeps nothing of the file. */
	gguf_close(g);
	memset(b->p, 0xee, b->n);
	bytes_free(b);
	return ret;
}

static struct tok *open_good(struct bytes b)
{
	struct hearth_err err;
	struct tok *t = NULL;

	if (open_bytes(&b, &t, &err))
		fail_msg("%s", err.msg);
	return t;
}

static void check(const struct tok *t, const char *text, size_t len, unsigned int flags,
		  const int32_t *want, int64_t n)
{
	int32_t ids[64];
	int64_t got = tok_encode(t, text, len, flags, ids, ARRAY_SIZE(ids));

	if (got != n)
		fail_msg("'%s': %lld tokens, wanted %lld", text, (long long)got, (long long)n);
	for (int64_t i = 0; i < n; i++)
		if (ids[i] != want[i])
			fail_msg("'%s': token %lld is %d, wanted %d", text, (long long)i, ids[i],
				 want[i]);
}

#define CHECK(t, text, flags, ...) do {						\
	const int32_t want_[] = { __VA_ARGS__ };				\
	check(t, text, strlen(text), flags, want_, ARRAY_SIZE(want_));		\
} while (0)

static void test_spm(void **state)
{
	struct tok *t = open_good(spm_sample());

	(void)state;
	assert_string_equal(tok_kind(t), "spm");
	assert_int_equal(tok_n_vocab(t), SPM_N);
	assert_int_equal(tok_bos(t), 1);
	assert_int_equal(tok_eos(t), 2);
	/* "ab" beats "bc" by score; a space is put in front. */
	CHECK(t, "abc", 0, SPM_SPACE, SPM_AB, SPM_C);
	CHECK(t, "abc", TOK_ADD_SPECIAL, 1, SPM_SPACE, SPM_AB, SPM_C);
	CHECK(t, "bcb", 0, SPM_SPACE, SPM_BC, SPM_B);
	/* Equal scores: the left pair first. */
	CHECK(t, "ababab", 0, SPM_SPACE, SPM_ABAB, SPM_AB);
	/* What the vocabulary lacks becomes bytes. */
	CHECK(t, "z", 0, SPM_SPACE, SPM_BYTE('z'));
	CHECK(t, "\xc3\xa9", 0, SPM_SPACE, SPM_BYTE(0xc3), SPM_BYTE(0xa9));
	CHECK(t, "\xff", 0, SPM_SPACE, SPM_BYTE(0xff));
	/* U+2581 is how the vocabulary writes a space. */
	CHECK(t, "\xe2\x96\x81", 0, SPM_SPACE, SPM_SPACE);
	assert_int_equal(tok_encode(t, "", 0, 0, NULL, 0), 0);
	tok_close(t);
}

static void test_special_tokens(void **state)
{
	struct tok *t = open_good(spm_sample());

	(void)state;
	/* Text cannot spell control tokens unless the caller lets it. */
	CHECK(t, "a</s>", 0, SPM_SPACE, SPM_A, SPM_BYTE('<'), SPM_BYTE('/'), SPM_BYTE('s'),
	      SPM_BYTE('>'));
	CHECK(t, "a</s>b", TOK_PARSE_SPECIAL, SPM_SPACE, SPM_A, 2, SPM_SPACE, SPM_B);
	/* User-defined ones are part of the text; the longest counts. */
	CHECK(t, "a[U]b", 0, SPM_SPACE, SPM_A, SPM_USER, SPM_SPACE, SPM_B);
	CHECK(t, "[U][U]x", 0, SPM_USER2, SPM_SPACE, SPM_BYTE('x'));
	CHECK(t, "[U", 0, SPM_SPACE, SPM_BYTE('['), SPM_BYTE('U'));
	assert_int_equal(tok_find_special(t, "[U]", 3), SPM_USER);
	assert_int_equal(tok_find_special(t, "[U", 2), -1);
	assert_int_equal(tok_find_special(t, "ab", 2), -1);
	assert_true(tok_is_control(t, 2));
	assert_false(tok_is_control(t, SPM_A));
	assert_true(tok_is_eog(t, 2));
	assert_false(tok_is_eog(t, -1));
	assert_false(tok_is_eog(t, SPM_N));
	tok_close(t);
}

/* Gemma has runs of spaces as user-defined tokens; some files spell them U+2581. */
static void test_user_defined_spaces(void **state)
{
	static const char *const list[] = { "+\xe2\x96\x81\xe2\x96\x81", "+   " };
	struct tok *t = open_good(chat_sample(list, 2, NULL));
	char buf[8];

	(void)state;
	CHECK(t, "x  y   z", 0, 5 + 'x', 3, 5 + 'y', 4, 5 + 'z');
	assert_int_equal(tok_decode(t, 3, buf, sizeof(buf)), 2);
	assert_memory_equal(buf, "  ", 2);
	tok_close(t);
}

static void test_counts_like_snprintf(void **state)
{
	struct tok *t = open_good(spm_sample());
	int32_t ids[3] = { -7, -7, -7 };

	(void)state;
	assert_int_equal(tok_encode(t, "abc", 3, TOK_ADD_SPECIAL, ids, 2), 4);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[1], SPM_SPACE);
	assert_int_equal(ids[2], -7);
	assert_int_equal(tok_encode(t, "abc", 3, 0, NULL, 0), 3);
	assert_int_equal(tok_encode(t, "abc", TOK_MAX_TEXT + 1ul, 0, NULL, 0), -E2BIG);
	tok_close(t);
}

static void test_decode(void **state)
{
	struct tok *t = open_good(spm_sample());
	char buf[8];

	(void)state;
	assert_int_equal(tok_decode(t, SPM_ABAB, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "abab", 4);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(tok_decode(t, SPM_ABAB, buf, 2), 4);
	assert_memory_equal(buf, "abxx", 4);
	assert_int_equal(tok_decode(t, SPM_SPACE, buf, sizeof(buf)), 1);
	assert_int_equal(buf[0], ' ');
	assert_int_equal(tok_decode(t, SPM_BYTE(0xc3), buf, sizeof(buf)), 1);
	assert_int_equal((unsigned char)buf[0], 0xc3);
	assert_int_equal(tok_decode(t, 2, buf, sizeof(buf)), 0);
	assert_int_equal(tok_piece(t, 2, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "</s>", 4);
	assert_int_equal(tok_decode(t, -1, buf, sizeof(buf)), -ERANGE);
	assert_int_equal(tok_decode(t, SPM_N, buf, sizeof(buf)), -ERANGE);
	tok_close(t);
}

/* Bytes in, text out after each, and at the end. */
static void check_stream(const struct tok *t, const char *bytes, const char *steps,
			 const char *end)
{
	size_t room = tok_stream_room(t);
	struct tok_stream s;
	char *out = malloc(room), all[64] = "";

	tok_stream_init(&s, t, false);
	for (const char *p = bytes; *p; p++) {
		int n = tok_stream_put(&s, t, SPM_BYTE((unsigned char)*p), out, room);

		assert_true(n >= 0);
		strncat(all, out, n);
		strcat(all, "|");
	}
	assert_string_equal(all, steps);
	all[0] = '\0';
	strncat(all, out, tok_stream_end(&s, out, room));
	assert_string_equal(all, end);
	free(out);
}

static void test_stream(void **state)
{
	struct tok *t = open_good(spm_sample());
	struct tok_stream s;
	char out[512];

	(void)state;
	check_stream(t, "x\xc3\xa9y", "x||\xc3\xa9|y|", "");
	check_stream(t, "\xf0\x9f\xa6\x99", "|||\xf0\x9f\xa6\x99|", "");
	/* Broken: each byte becomes U+FFFD as soon as it cannot become anything else. */
	check_stream(t, "\xff", "\xef\xbf\xbd|", "");
	check_stream(t, "\xc3x", "|\xef\xbf\xbdx|", "");
	check_stream(t, "\xe2\x96" "a", "||\xef\xbf\xbd\xef\xbf\xbd" "a|", "");
	check_stream(t, "\xed\xa0", "|\xef\xbf\xbd\xef\xbf\xbd|", "");
	check_stream(t, "\xf4\x90", "|\xef\xbf\xbd\xef\xbf\xbd|", "");
	check_stream(t, "a\xe2\x96", "a|||", "\xef\xbf\xbd\xef\xbf\xbd");

	/* The space that encoding put in front goes, but no other. */
	tok_stream_init(&s, t, true);
	assert_int_equal(tok_stream_put(&s, t, 1, out, sizeof(out)), 0);
	assert_int_equal(tok_stream_put(&s, t, SPM_SPACE, out, sizeof(out)), 0);
	assert_int_equal(tok_stream_put(&s, t, SPM_SPACE, out, sizeof(out)), 1);
	assert_int_equal(tok_stream_put(&s, t, SPM_A, out, 1), -ENOSPC);
	assert_int_equal(tok_stream_put(&s, t, SPM_A, out, sizeof(out)), 1);
	assert_int_equal(out[0], 'a');
	tok_close(t);
}

static void test_bpe(void **state)
{
	struct tok *t = open_good(bpe_sample("gpt-2"));

	(void)state;
	assert_string_equal(tok_kind(t), "bpe");
	assert_int_equal(tok_bos(t), -1);
	/* The lower rank merges first: "in" before "ni". */
	CHECK(t, "nin", 0, BPE_BYTE('n'), BPE_IN);
	CHECK(t, "ini", 0, BPE_IN, BPE_BYTE('i'));
	CHECK(t, "ining", 0, BPE_IN, BPE_IN, BPE_BYTE('g'));
	/* A space belongs to the piece behind it. */
	CHECK(t, "a in", 0, BPE_BYTE('a'), BPE_SPACE_IN);
	CHECK(t, "a  in", 0, BPE_BYTE('a'), BPE_BYTE(' '), BPE_SPACE_IN);
	/* Merges do not cross pieces: a digit ends the word. */
	CHECK(t, "i1n", 0, BPE_BYTE('i'), BPE_BYTE('1'), BPE_BYTE('n'));
	CHECK(t, "\xff\x01", 0, BPE_BYTE(0xff), BPE_BYTE(1));
	CHECK(t, "<|end|>", 0, BPE_BYTE('<'), BPE_BYTE('|'), BPE_BYTE('e'), BPE_BYTE('n'),
	      BPE_BYTE('d'), BPE_BYTE('|'), BPE_BYTE('>'));
	CHECK(t, "in<|end|>in", TOK_PARSE_SPECIAL, BPE_IN, BPE_END, BPE_IN);
	assert_int_equal(tok_eot(t), BPE_END);
	tok_close(t);
}

/* Merges need not have the order of what they make. */
static void test_bpe_in_another_order(void **state)
{
	struct tok *t = open_good(bpe_file("gpt-2", NULL, BPE_NI - BPE_IN));

	(void)state;
	CHECK(t, "nin", 0, BPE_NI, BPE_BYTE('n'));
	CHECK(t, "in", 0, BPE_IN);
	CHECK(t, "a in", 0, BPE_BYTE('a'), BPE_SPACE_IN);
	CHECK(t, "1111", 0, BPE_1111);
	tok_close(t);
}

/* How many tokens a text of unmergeable bytes has does not tell; its pieces do. */
static void test_pre_tokenizers(void **state)
{
	static const struct {
		const char *pre, *text;
		int32_t want[8];
		int n;
	} rows[] = {
		/* Only Llama 3 and Qwen 2 let any character lead a word. */
		{ "gpt-2", "\tin", { BPE_BYTE('\t'), BPE_IN }, 2 },
		{ "qwen2", "\tin", { BPE_TAB_IN }, 1 },
		{ "llama-bpe", "\tin", { BPE_TAB_IN }, 1 },
		{ "smollm", "\tin", { BPE_BYTE('\t'), BPE_IN }, 2 },
		/* Numbers: whole, one by one, by three. */
		{ "gpt-2", "1111", { BPE_1111 }, 1 },
		{ "qwen2", "1111", { BPE_BYTE('1'), BPE_BYTE('1'), BPE_BYTE('1'), BPE_BYTE('1') }, 4 },
		{ "llama-bpe", "1111", { BPE_11, BPE_BYTE('1'), BPE_BYTE('1') }, 4 - 1 },
		{ "smollm", "1111", { BPE_BYTE('1'), BPE_BYTE('1'), BPE_BYTE('1'), BPE_BYTE('1') }, 4 },
		{ "gpt-2", " 1", { BPE_SPACE_1 }, 1 },
		{ "smollm", "  1", { BPE_SPACES, BPE_BYTE('1') }, 2 },
		{ "gpt-2", "  1", { BPE_BYTE(' '), BPE_SPACE_1 }, 2 },
		/* Contractions: in lower case only, or in any. */
		{ "gpt-2", "'S", { BPE_BYTE('\''), BPE_BYTE('S') }, 2 },
		{ "qwen2", "'S", { BPE_QUOTE_S }, 1 },
		/* Line ends belong to the white space, or to the signs, before them. */
		{ "qwen2", "  \n", { BPE_SPACES, BPE_BYTE('\n') }, 2 },
		{ "qwen2", "!\n", { BPE_BANG_NL }, 1 },
		{ "gpt-2", "!\n", { BPE_BYTE('!'), BPE_BYTE('\n') }, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tok *t = open_good(bpe_sample(rows[i].pre));

		check(t, rows[i].text, strlen(rows[i].text), 0, rows[i].want, rows[i].n);
		tok_close(t);
	}
}

/* Pieces in '|', as the expressions of the models' authors cut. */
static void test_pieces(void **state)
{
	static const struct {
		enum tok_pre pre;
		const char *pieces;
	} rows[] = {
		{ TOK_PRE_TEKKEN, "|Hello|World|HTTPServer|" },
		{ TOK_PRE_GPT4O, "|Hello|World|HTTPServer|" },
		/* letters without case, and marks, are of both kinds */
		{ TOK_PRE_TEKKEN, "|\xe6\x97\xa5|A|" },
		{ TOK_PRE_TEKKEN, "|e\xcc\x81" "a|" },
		{ TOK_PRE_GPT4O, "|A|" },
		{ TOK_PRE_TEKKEN, "|1|2|3|" },
		{ TOK_PRE_GPT4O, "|123|4|" },
		{ TOK_PRE_TEKKEN, "|it|'s|" },
		{ TOK_PRE_GPT4O, "|it's| WE'VE| a|'b|" },
		{ TOK_PRE_TEKKEN, "| a|.b| ...//\n|" },
		{ TOK_PRE_TEKKEN, "|!\n/|" },
		{ TOK_PRE_QWEN2, "|!\n|/|" },
		{ TOK_PRE_TEKKEN, "|  | a|\n\n|  |" },
		{ TOK_PRE_SMOLLM, "| a|1|2|  |3| b|" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[64], got[128] = "|";
		size_t len = 0, n;

		for (const char *p = rows[i].pieces; *p; p++)
			if (*p != '|')
				text[len++] = *p;
		for (size_t at = 0; at < len; at += n) {
			n = tok_next_piece(rows[i].pre, text + at, len - at);
			strncat(got, text + at, n);
			strcat(got, "|");
		}
		assert_string_equal(got, rows[i].pieces);
	}
}

static void test_wpm(void **state)
{
	struct tok *t = open_good(wpm_sample());

	(void)state;
	assert_string_equal(tok_kind(t), "wpm");
	CHECK(t, "cafe", TOK_ADD_SPECIAL, WPM_CLS, WPM_CAFE, WPM_SEP);
	/* No case, no accents, composed or not, and the longest piece first. */
	CHECK(t, " CAF\xc3\x89 ", 0, WPM_CAFE);
	CHECK(t, "cafe\xcc\x81", 0, WPM_CAFE);
	CHECK(t, "cafes cafs", 0, WPM_CAFE, WPM_S, WPM_CAF, WPM_S);
	/* Punctuation and ideographs stand alone. */
	CHECK(t, "cafe,cafe", 0, WPM_CAFE, WPM_COMMA, WPM_CAFE);
	CHECK(t, "\xe4\xb8\xad\xe4\xb8\xad", 0, WPM_ZHONG, WPM_ZHONG);
	/* A word that cannot be cut into tokens is unknown as a whole. */
	CHECK(t, "cafex cafe", 0, WPM_UNK, WPM_CAFE);
	/* A Hangul syllable is its letters; controls and broken bytes are nothing. */
	CHECK(t, "\xed\x95\x9c", 0, WPM_HANGUL);
	CHECK(t, "ca\x01" "f\xff" "e", 0, WPM_CAFE);
	assert_int_equal(tok_encode(t, " \t\n", 3, 0, NULL, 0), 0);
	tok_close(t);
}

static void refuse(struct bytes b, int code, const char *msg)
{
	struct hearth_err err = { 0 };
	struct tok *t = NULL;
	int ret = open_bytes(&b, &t, &err);

	if (ret != code || !strstr(err.msg, msg))
		fail_msg("%d '%s', wanted %d '%s'", ret, err.msg, code, msg);
	assert_null(t);
}

static void test_refuses_kinds(void **state)
{
	struct bytes b = { 0 };

	(void)state;
	gw_header(&b, 3, 0, 0);
	refuse(b, -ENOENT, "key 'tokenizer.ggml.model' is missing");
	b = (struct bytes){ 0 };
	gw_header(&b, 3, 0, 1);
	gw_kv_str(&b, "tokenizer.ggml.model", "rwkv");
	refuse(b, -EOPNOTSUPP, "tokenizer.ggml.model: 'rwkv' is not supported (llama, gpt2 and bert are)");
	refuse(bpe_sample("viking"), -EOPNOTSUPP,
	       "tokenizer.ggml.pre 'viking' is not supported; these are: gpt-2, phi-2, mpt, olmo, roberta-bpe, qwen2, deepseek-r1-qwen, stablelm2, llama-bpe, llama3, llama-v3, falcon3, smaug-bpe, smollm, starcoder, refact, command-r, tekken, gpt-4o");
	refuse(bpe_sample(NULL), -ENOENT, "key 'tokenizer.ggml.pre' is missing");
}

static void test_refuses_spm(void **state)
{
	(void)state;
	refuse(spm_broken(SPM_NO_TOKENS), -ERANGE, "tokenizer.ggml.tokens: 0 tokens");
	refuse(spm_broken(SPM_FEW_SCORES), -EINVAL, "tokenizer.ggml.scores: 3 entries for");
	refuse(spm_broken(SPM_FEW_TYPES), -EINVAL, "tokenizer.ggml.token_type: 3 entries for");
	refuse(spm_broken(SPM_BAD_TYPE), -ERANGE, "tokenizer.ggml.token_type[4]: 9 is outside 0..6");
	refuse(spm_broken(SPM_NAN_SCORE), -ERANGE, "tokenizer.ggml.scores[4]: is not a number");
	refuse(spm_broken(SPM_BAD_BYTE), -EINVAL, "tokenizer.ggml.tokens[4]: '<0xG1>' is no byte token");
	refuse(spm_broken(SPM_BAD_BOS), -ERANGE, "tokenizer.ggml.bos_token_id: 5000 is outside the");
}

/* A token may be long; 64 of them in a row may not be longer than offsets tell. */
static void test_refuses_long_tokens(void **state)
{
	char *text = malloc(40001);

	(void)state;
	memset(text, 'x', 40000);
	text[40000] = '\0';
	for (int n = 1; n <= 2; n++) {
		struct bytes b = { 0 };

		gw_header(&b, 3, 0, 2);
		gw_kv_str(&b, "tokenizer.ggml.model", "llama");
		gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, n);
		for (int i = 0; i < n; i++)
			gw_str(&b, text);
		if (n == 1)
			tok_close(open_good(b));
		else
			refuse(b, -ERANGE, "tokenizer.ggml.tokens[1]: 2 tokens up to it have 80000 bytes, more than 65535");
	}
	free(text);
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Of a vocabulary each process has its texts, and less than eight bytes for each. */
static void test_takes_little(void **state)
{
	const int n = 32000, text = 6;
	struct bytes b = { 0 };
	struct hearth_err err;
	struct gguf *g;
	struct tok *t;
	char buf[16];
	size_t before;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();	/* its heap does not count for mallinfo2() */
#endif
	gw_header(&b, 3, 0, 3);
	gw_kv_str(&b, "tokenizer.ggml.model", "llama");
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, n);
	for (int i = 0; i < n; i++) {
		snprintf(buf, sizeof(buf), "t%05d", i);
		gw_str(&b, buf);
	}
	gw_kv_arr(&b, "tokenizer.ggml.scores", GGUF_VT_F32, n);
	for (int i = 0; i < n; i++)
		bytes_add(&b, &(float){ -i }, 4);
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	before = heap();
	assert_int_equal(tok_open(g, &t, &err), 0);
	assert_in_range(heap() - before, (size_t)n * text, (size_t)n * (text + 8) - n / 4);
	assert_int_equal(tok_lookup(t, "t31999", 6), 31999);
	tok_close(t);
	gguf_close(g);
	bytes_free(&b);
}

static void test_refuses_bpe(void **state)
{
	(void)state;
	refuse(bpe_broken("in"), -EINVAL, "tokenizer.ggml.merges[0]: 'in' is not two tokens");
	refuse(bpe_broken("i "), -EINVAL, "tokenizer.ggml.merges[0]: 'i ' is not two tokens");
	refuse(bpe_broken(" i"), -EINVAL, "is not two tokens");
	refuse(bpe_broken(""), -EINVAL, "is not two tokens");
	refuse(bpe_broken("i zz"), -EINVAL, "'i zz' is not made of tokens of the vocabulary");
	refuse(bpe_broken("g g"), -EINVAL, "is not made of tokens");
}

/* A vocabulary without bytes cannot spell every text, and says so. */
static void test_unspeakable(void **state)
{
	struct tok *t = open_good(spm_broken(SPM_NO_BYTES));
	int32_t id;

	(void)state;
	/* SentencePiece has an unknown token for that. */
	assert_int_equal(tok_encode(t, "z", 1, 0, &id, 1), 2);
	tok_close(t);
	t = open_good(bpe_without_bytes());
	assert_int_equal(tok_encode(t, "z", 1, 0, &id, 1), -EILSEQ);
	tok_close(t);
}

/* A megabyte of one letter, whose pairs all merge: quadratic work would not end. */
static void test_long_text(void **state)
{
	struct tok *t = open_good(spm_sample());
	size_t n = 1 << 20;
	char *text = malloc(n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		text[i] = "ab"[i % 2];
	assert_int_equal(tok_encode(t, text, n, 0, NULL, 0), 1 + n / 4);
	tok_close(t);
	t = open_good(bpe_sample("qwen2"));
	memset(text, 'i', n);
	assert_int_equal(tok_encode(t, text, n, 0, NULL, 0), n);
	memset(text, ' ', n);
	assert_int_equal(tok_encode(t, text, n, 0, NULL, 0), n / 2);
	tok_close(t);
	free(text);
}

/* ids of one line, "1 2 3". */
static int64_t parse_ids(const char *line, size_t len, int32_t *ids, int64_t cap)
{
	const char *p = line, *end = line + len;
	int64_t n = 0;

	while (p < end) {
		char *next;
		long v = strtol(p, &next, 10);

		if (next == p || next > end || n == cap)
			break;
		ids[n++] = v;
		p = next;
	}
	return n;
}

static void check_case(const struct tok *t, const char *file, int i, const char *text, size_t len,
		       const int32_t *want, int64_t n)
{
	size_t skip = tok_adds_space(t) && len ? 1 : 0, got = 0;
	int32_t ids[512];
	char back[1024];
	int64_t k = tok_encode(t, text, len, 0, ids, ARRAY_SIZE(ids));

	if (k != n || memcmp(ids, want, n * sizeof(*ids)))
		fail_msg("%s: case %d '%.*s'", file, i, (int)len, text);
	/* WordPiece has dropped case, accents and white space. */
	if (!strcmp(tok_kind(t), "wpm"))
		return;
	for (int64_t j = 0; j < k; j++)
		got += tok_decode(t, ids[j], back + got, sizeof(back) - got);
	if (got - skip != len || memcmp(back + skip, text, len))
		fail_msg("%s: case %d comes back as '%.*s'", file, i, (int)got, back);
}

static int check_cases(const struct tok *t, const char *file, const char *in, const char *out)
{
	static const char separator[] = "\n__ggml_vocab_test__\n";
	int i = 0;

	while (*out) {
		const char *in_end = strstr(in, separator);
		const char *out_end = strchrnul(out, '\n');
		size_t len = in_end ? (size_t)(in_end - in) : strlen(in);
		int32_t want[512];
		int64_t n = parse_ids(out, out_end - out, want, ARRAY_SIZE(want));

		check_case(t, file, i++, in, len, want, n);
		if (!in_end)
			break;
		in = in_end + strlen(separator);
		out = out_end + (*out_end == '\n');
	}
	return i;
}

static struct tok *open_file(const char *dir, const char *sub, const char *file)
{
	struct hearth_err err;
	struct tok *t = NULL;
	struct gguf *g;
	char *path;

	assert_true(asprintf(&path, "%s/%s/%s", dir, sub, file) > 0);
	if (gguf_open(path, &g, &err) || tok_open(g, &t, &err))
		fail_msg("%s: %s", path, err.msg);
	gguf_close(g);
	free(path);
	return t;
}

static char *read_case(const char *dir, const char *base, const char *end)
{
	size_t len;
	char *path, *text;

	assert_true(asprintf(&path, "%s/gguf-vocab/%s%s", dir, base, end) > 0);
	text = read_whole(path, &len);
	if (!text)
		fail_msg("%s: cannot be read", path);
	free(path);
	return text;
}

static void test_real_vocabularies(void **state)
{
	static const char *const files[][2] = {
		{ "ggml-vocab-llama-spm.gguf", "ggml-vocab-llama-spm.gguf" },
		{ "ggml-vocab-phi-3.gguf", "ggml-vocab-phi-3.gguf" },
		{ "ggml-vocab-gpt-2.gguf", "ggml-vocab-gpt-2.gguf" },
		{ "ggml-vocab-bert-bge.gguf", "ggml-vocab-bert-bge.gguf" },
		{ "qwen2.5-vocab.gguf", "ggml-vocab-qwen2.gguf" },
	};
	const char *dir = models_dir();

	(void)state;
	if (!dir)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct tok *t = open_file(dir, "gguf-vocab", files[i][0]);
		char *in = read_case(dir, files[i][1], ".inp");
		char *out = read_case(dir, files[i][1], ".out");

		assert_int_equal(check_cases(t, files[i][0], in, out), 46);
		free(in);
		free(out);
		tok_close(t);
	}
}

/* Line @k of prompts.txt against prompt_ids of one answer. */
static void check_prompt(const struct tok *t, const char *prompts, int k, const cJSON *want)
{
	int32_t ids[256];
	int64_t n;

	while (k--)
		prompts = strchrnul(prompts, '\n') + 1;
	n = tok_encode(t, prompts, strchrnul(prompts, '\n') - prompts, TOK_ADD_SPECIAL, ids,
		       ARRAY_SIZE(ids));
	assert_int_equal(n, cJSON_GetArraySize(want));
	for (int64_t i = 0; i < n; i++)
		assert_int_equal(ids[i], cJSON_GetArrayItem(want, i)->valueint);
}

static size_t append_text(const struct tok *t, struct tok_stream *s, const cJSON *ids, char *text,
			  size_t cap)
{
	size_t n = 0;

	for (int i = 0; i < cJSON_GetArraySize(ids); i++) {
		int k = tok_stream_put(s, t, cJSON_GetArrayItem(ids, i)->valueint, text + n, cap - n);

		assert_true(k >= 0);
		n += k;
	}
	return n;
}

/* Prompt and generated ids, as text, are what llama.cpp printed. */
static void check_text(const struct tok *t, const cJSON *ref)
{
	struct tok_stream s;
	char text[16384];
	size_t n;

	tok_stream_init(&s, t, false);
	n = append_text(t, &s, cJSON_GetObjectItem(ref, "prompt_ids"), text, sizeof(text));
	n += append_text(t, &s, cJSON_GetObjectItem(ref, "generated_ids"), text + n,
			 sizeof(text) - n);
	text[n] = '\0';
	assert_string_equal(text, cJSON_GetObjectItem(ref, "text")->valuestring);
}

/* Answer @k of @model. */
static void check_ref(const struct tok *t, const char *dir, const char *model, int k,
		      const char *prompts)
{
	char *path, *json;
	size_t len;
	cJSON *ref;

	assert_true(asprintf(&path, "%s/llm-gguf/refs/%s.p%d.json", dir, model, k) > 0);
	json = read_whole(path, &len);
	ref = json ? cJSON_Parse(json) : NULL;
	if (!ref)
		fail_msg("%s: cannot be read", path);
	check_prompt(t, prompts, k, cJSON_GetObjectItem(ref, "prompt_ids"));
	check_text(t, ref);
	cJSON_Delete(ref);
	free(json);
	free(path);
}

static void test_real_prompts(void **state)
{
	static const char *const models[] = { "stories260K-Q8_0", "stories3M-Q8_0" };
	const char *dir = models_dir();
	char *path, *prompts;
	size_t len;

	(void)state;
	if (!dir)
		skip();
	assert_true(asprintf(&path, "%s/llm-gguf/prompts.txt", dir) > 0);
	prompts = read_whole(path, &len);
	assert_non_null(prompts);
	free(path);
	for (size_t m = 0; m < ARRAY_SIZE(models); m++) {
		struct tok *t;

		assert_true(asprintf(&path, "%s.gguf", models[m]) > 0);
		t = open_file(dir, "llm-gguf", path);
		free(path);
		for (int k = 0; k < 4; k++)
			check_ref(t, dir, models[m], k, prompts);
		tok_close(t);
	}
	free(prompts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spm),
		cmocka_unit_test(test_special_tokens),
		cmocka_unit_test(test_user_defined_spaces),
		cmocka_unit_test(test_counts_like_snprintf),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_bpe),
		cmocka_unit_test(test_bpe_in_another_order),
		cmocka_unit_test(test_pre_tokenizers),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_wpm),
		cmocka_unit_test(test_refuses_kinds),
		cmocka_unit_test(test_refuses_spm),
		cmocka_unit_test(test_refuses_long_tokens),
		cmocka_unit_test(test_takes_little),
		cmocka_unit_test(test_refuses_bpe),
		cmocka_unit_test(test_unspeakable),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_real_vocabularies),
		cmocka_unit_test(test_real_prompts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
