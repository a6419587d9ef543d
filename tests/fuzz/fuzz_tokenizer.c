// SPDX-License-Identifier: MIT
/*
 * An input is the length of a text (u16), the text, and a GGUF file whose
 * vocabulary shall encode it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "driver.h"
#include "formats/gguf.h"
#include "llm/tokenizer.h"
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
}
