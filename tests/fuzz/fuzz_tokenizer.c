// SPDX-License-Identifier: MIT
/*
 * An input is the length of a text (u16), the text, and a GGUF file whose
 * vocabulary shall encode it, as it is and as a message in each chat template.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "driver.h"
#include "formats/gguf.h"
#include "hearth.h"
#include "llm/chat.h"
#include "llm/chat_table.h"
#include "llm/tokenizer_internal.h"
#include "vocab_sample.h"

const char *const fuzz_name = "tokenizer";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, ' ', 0x81962020, 0x20a0c4, '<', '>', '\'', '\n', '1', 'a', 'i',
	255, 256, 267, 268, 65535, 0xbf800000, 0x7fc00000, 0xff800000, INT32_MAX, UINT32_MAX,
	UINT64_MAX,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* The file's own tables, those of the vocabulary, and what a text needs to merge. */
size_t fuzz_heap_limit(size_t size)
{
	return 65536 + 256 * size;
}

static void check(int good)
{
	if (!good)
		abort();
}

/* Whole characters only, whatever the tokens are. */
static void check_utf8(const unsigned char *s, int n)
{
	for (int i = 0; i < n;) {
		int k = s[i] < 0x80 ? 1 : s[i] < 0xe0 ? 2 : s[i] < 0xf0 ? 3 : 4;

		check(s[i] < 0x80 || (s[i] >= 0xc2 && s[i] < 0xf5));
		check(i + k <= n);
		for (int j = 1; j < k; j++)
			check((s[i + j] & 0xc0) == 0x80);
		i += k;
	}
}

static void decode_all(const struct tok *t, const int32_t *ids, int64_t n)
{
	size_t room = tok_stream_room(t);
	char *out = malloc(room);
	struct tok_stream s;
	int k;

	check(out != NULL);
	tok_stream_init(&s, t, true);
	for (int64_t i = 0; i < n; i++) {
		check(ids[i] >= 0 && ids[i] < tok_n_vocab(t));
		k = tok_stream_put(&s, t, ids[i], out, room);
		check(k >= 0 && (size_t)k <= room);
		check_utf8((unsigned char *)out, k);
	}
	k = tok_stream_end(&s, out, room);
	check(k >= 0);
	check_utf8((unsigned char *)out, k);
	free(out);
}

static void encode(const struct tok *t, const char *text, size_t len, unsigned int flags)
{
	int64_t cap = len + 4, n;
	int32_t *ids = malloc(cap * sizeof(*ids));

	check(ids != NULL);
	n = tok_encode(t, text, len, flags, ids, cap);
	/* Never more tokens than bytes, but for BOS, EOS and a space per special. */
	check(n >= 0 ? n <= 2 * (int64_t)len + 3 : n == -EILSEQ);
	check(tok_encode(t, text, len, flags, NULL, 0) == n);
	if (n > 0)
		decode_all(t, ids, n < cap ? n : cap);
	free(ids);
}

/* But for the unknown token, which stands for text. */
static int64_t controls(const struct tok *t, const int32_t *ids, int64_t n)
{
	int64_t count = 0;

	for (int64_t i = 0; i < n; i++) {
		check(ids[i] >= 0 && ids[i] < tok_n_vocab(t));
		count += tok_is_control(t, ids[i]) && ids[i] != t->unk;
	}
	return count;
}

/* However the vocabulary cuts it, a message makes no control tokens. */
static void converse(const struct tok *t, const struct chat_template *c, const char *text,
		     const char *system, size_t n_system)
{
	struct hearth_chat_message m[] = { { "user", "a" }, { "assistant", "a" }, { "user", "a" } };
	struct hearth_chat_opts opts = { 0 };
	size_t cap = 3 * strlen(text) + n_system + 1024;
	int32_t *ids = malloc(cap * sizeof(*ids));
	struct hearth_err err = { 0 };
	int64_t plain, n;

	check(ids != NULL);
	plain = chat_format(c, t, &opts, system, n_system, m, 3, ids, cap, &err);
	check(plain >= 0 || (err.code == plain && err.msg[0]));
	if (plain >= 0) {
		check(plain <= (int64_t)cap);
		plain = controls(t, ids, plain);
	}
	m[0].text = m[1].text = m[2].text = text;
	n = chat_format(c, t, &opts, system, n_system, m, 3, ids, cap, &err);
	check(n >= 0 ? n <= 2 * (int64_t)cap : err.msg[0] != 0);
	if (n >= 0 && plain >= 0 && n <= (int64_t)cap)
		check(controls(t, ids, n) == plain);
	free(ids);
}

static void converse_all(const struct gguf *g, const struct tok *t, const char *data, size_t len)
{
	const struct chat_template *c;
	struct gguf_str own = { "", 0 };
	char *text = malloc(len + 1);
	const char *system = NULL;
	struct hearth_err err;
	size_t n_system;

	check(text != NULL);
	memcpy(text, data, len);
	text[len] = '\0';
	gguf_get_str(g, "tokenizer.chat_template", &own, NULL);
	n_system = chat_default_system(own.ptr, own.len, &system);
	if (!chat_detect(own.ptr, own.len, &c, &err))
		converse(t, c, text, system, n_system);
	for (unsigned int i = 0; hearth_chat_template_name(i); i++)
		if (!chat_find(hearth_chat_template_name(i), &c, &err))
			converse(t, c, text, NULL, 0);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < 2 ? 0 : le_u16(data);
	struct hearth_err err = { 0 };
	struct tok *t = NULL;
	struct gguf *g;

	if (size < 2 || len > size - 2 ||
	    gguf_open_mem(data + 2 + len, size - 2 - len, &g, NULL))
		return 0;
	if (tok_open(g, &t, &err)) {
		check(err.code < 0 && err.msg[0]);
	} else {
		encode(t, (const char *)data + 2, len, 0);
		encode(t, (const char *)data + 2, len, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL);
		/* of small inputs: there are a dozen templates */
		if (len <= 256)
			converse_all(g, t, (const char *)data + 2, len);
	}
	tok_close(t);
	gguf_close(g);
	return 0;
}

static void add_vocab(void (*add)(const void *data, size_t size), struct bytes vocab)
{
	static const char text[] = "abc abab'S  in1111!\n\t[U]<|end|>\xc3\xa9\xf0\x9f\xa6\x99"
				   "\xe2\x96\x81</s>z Caf\xc3\xa9s,\xe4\xb8\xad\xed\x95\x9c";
	struct bytes b = { 0 };

	bytes_u16(&b, sizeof(text) - 1);
	bytes_add(&b, text, sizeof(text) - 1);
	bytes_add(&b, vocab.p, vocab.n);
	add(b.p, b.n);
	bytes_free(&b);
	bytes_free(&vocab);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	add_vocab(add, spm_sample());
	add_vocab(add, spm_broken(SPM_NO_BYTES));
	add_vocab(add, bpe_sample("gpt-2"));
	add_vocab(add, bpe_sample("qwen2"));
	add_vocab(add, bpe_sample("llama-bpe"));
	add_vocab(add, bpe_sample("smollm"));
	add_vocab(add, bpe_without_bytes());
	add_vocab(add, wpm_sample());
	add_vocab(add, bpe_sample("tekken"));
	add_vocab(add, bpe_sample("gpt-4o"));
	add_vocab(add, chat_sample(chat_specials, CHAT_SPECIALS, NULL));
	add_vocab(add, chat_sample(chat_specials, CHAT_SPECIALS,
				   "'<|im_start|>system\\nBe.<|im_end|>' '<|im_start|>user'"));
	add_vocab(add, chat_sample(chat_specials, CHAT_SPECIALS, "[INST] <<SYS>>"));
}
