/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_VOCAB_SAMPLE_H
#define HEARTH_TESTS_VOCAB_SAMPLE_H

#include <math.h>
#include <stdio.h>

#include "gguf_writer.h"

/* A SentencePiece vocabulary: specials, 256 bytes, a few letters and pairs. */
enum {
	SPM_BYTE0 = 3,
	SPM_SPACE = SPM_BYTE0 + 256,
	SPM_A,
	SPM_B,
	SPM_C,
	SPM_AB,
	SPM_BC,
	SPM_ABAB,
	SPM_USER,
	SPM_USER2,
	SPM_N,
};

#define SPM_BYTE(b) (SPM_BYTE0 + (b))

enum spm_fault {
	SPM_GOOD,
	SPM_NO_TOKENS,
	SPM_FEW_SCORES,
	SPM_FEW_TYPES,
	SPM_BAD_TYPE,
	SPM_NAN_SCORE,
	SPM_BAD_BYTE,
	SPM_BAD_BOS,
	SPM_NO_BYTES,
};

static inline const char *spm_text(int id, enum spm_fault fault, char *buf)
{
	static const char *const texts[] = {
		[0] = "<unk>", [1] = "<s>", [2] = "</s>", [SPM_SPACE] = "\xe2\x96\x81",
		[SPM_A] = "a", [SPM_B] = "b", [SPM_C] = "c", [SPM_AB] = "ab", [SPM_BC] = "bc",
		[SPM_ABAB] = "abab", [SPM_USER] = "[U]", [SPM_USER2] = "[U][U]",
	};

	if (texts[id])
		return texts[id];
	if (fault == SPM_BAD_BYTE && id == 4)
		return "<0xG1>";
	sprintf(buf, fault == SPM_NO_BYTES ? "<none %02X>" : "<0x%02X>", id - SPM_BYTE0);
	return buf;
}

static inline uint32_t spm_type(int id, enum spm_fault fault)
{
	if (fault == SPM_BAD_TYPE && id == 4)
		return 9;
	if (id < SPM_BYTE0)
		return id ? 3 : 2;
	if (id < SPM_SPACE)
		return fault == SPM_NO_BYTES ? 1 : 6;
	return id >= SPM_USER ? 4 : 1;
}

static inline float spm_score(int id, enum spm_fault fault)
{
	if (fault == SPM_NAN_SCORE && id == 4)
		return NAN;
	return id == SPM_AB ? -1 : id == SPM_BC ? -2 : id == SPM_ABAB ? -3 : -10;
}

static inline struct bytes spm_broken(enum spm_fault fault)
{
	int n = fault == SPM_NO_TOKENS ? 0 : SPM_N;
	struct bytes b = { 0 };
	char buf[16];

	gw_header(&b, 3, 0, 5);
	gw_kv_str(&b, "tokenizer.ggml.model", "llama");
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, n);
	for (int i = 0; i < n; i++)
		gw_str(&b, spm_text(i, fault, buf));
	if (fault == SPM_FEW_SCORES)
		n = 3;
	gw_kv_arr(&b, "tokenizer.ggml.scores", GGUF_VT_F32, n);
	for (int i = 0; i < n; i++)
		bytes_add(&b, &(float){ spm_score(i, fault) }, 4);
	n = fault == SPM_FEW_TYPES ? 3 : fault == SPM_NO_TOKENS ? 0 : SPM_N;
	gw_kv_arr(&b, "tokenizer.ggml.token_type", GGUF_VT_I32, n);
	for (int i = 0; i < n; i++)
		bytes_u32(&b, spm_type(i, fault));
	gw_kv_u32(&b, "tokenizer.ggml.bos_token_id", fault == SPM_BAD_BOS ? 5000 : 1);
	return b;
}

static inline struct bytes spm_sample(void)
{
	return spm_broken(SPM_GOOD);
}

/* A byte-level vocabulary: 256 bytes, a few merges, one control token. */
enum {
	BPE_IN = 256,
	BPE_SPACE_IN,
	BPE_TAB_IN,
	BPE_11,
	BPE_1111,
	BPE_SPACE_1,
	BPE_SPACES,
	BPE_QUOTE_S,
	BPE_BANG_NL,
	BPE_NI,
	BPE_END,
	BPE_N,
};

#define BPE_BYTE(b) (b)

static const char *const bpe_merges[] = {
	"i n", "\xc4\xa0 in", "\xc4\x89 in", "1 1", "11 11", "\xc4\xa0 1", "\xc4\xa0 \xc4\xa0",
	"' S", "! \xc4\x8a", "n i",
};

/* The code point that stands for byte @b, as UTF-8. */
static inline void bpe_byte(int b, char *out)
{
	int cp = b, k = 0;

	if (!((b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad))) {
		for (int i = 0; i < b; i++)
			k += !((i >= 0x21 && i <= 0x7e) || (i >= 0xa1 && i != 0xad));
		cp = 0x100 + k;
	}
	if (cp < 0x80) {
		*out++ = cp;
	} else {
		*out++ = 0xc0 | cp >> 6;
		*out++ = 0x80 | (cp & 0x3f);
	}
	*out = '\0';
}

/* A merge without its space is the token that it makes. */
static inline void bpe_joined(struct bytes *b, const char *merge)
{
	const char *space = strchr(merge, ' ');
	char buf[32];

	snprintf(buf, sizeof(buf), "%.*s%s", (int)(space - merge), merge, space + 1);
	gw_str(b, buf);
}

/* @first: The merge of the lowest rank; the others follow it, around. */
static inline struct bytes bpe_file(const char *pre, const char *only_merge, size_t first)
{
	const size_t n = sizeof(bpe_merges) / sizeof(bpe_merges[0]);
	struct bytes b = { 0 };
	char buf[8];

	gw_header(&b, 3, 0, pre ? 5 : 4);
	gw_kv_str(&b, "tokenizer.ggml.model", "gpt2");
	if (pre)
		gw_kv_str(&b, "tokenizer.ggml.pre", pre);
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, BPE_N);
	for (int i = 0; i < 256; i++) {
		bpe_byte(i, buf);
		gw_str(&b, buf);
	}
	for (size_t i = 0; i < n; i++)
		bpe_joined(&b, bpe_merges[i]);
	gw_str(&b, "<|end|>");
	gw_kv_arr(&b, "tokenizer.ggml.token_type", GGUF_VT_I32, BPE_N);
	for (int i = 0; i < BPE_N; i++)
		bytes_u32(&b, i == BPE_END ? 3 : 1);
	gw_kv_arr(&b, "tokenizer.ggml.merges", GGUF_VT_STR, only_merge ? 1 : n);
	for (size_t i = 0; i < (only_merge ? 1 : n); i++)
		gw_str(&b, only_merge ? only_merge : bpe_merges[(first + i) % n]);
	return b;
}

static inline struct bytes bpe_sample(const char *pre)
{
	return bpe_file(pre, NULL, 0);
}

static inline struct bytes bpe_broken(const char *merge)
{
	return bpe_file("gpt-2", merge, 0);
}

/* A WordPiece vocabulary: words begin with U+2581, their continuations do not. */
enum {
	WPM_CLS,
	WPM_SEP,
	WPM_UNK,
	WPM_CAFE,
	WPM_CAF,
	WPM_E,
	WPM_S,
	WPM_COMMA,
	WPM_ZHONG,
	WPM_HANGUL,
	WPM_N,
};

static inline struct bytes wpm_sample(void)
{
	static const char *const texts[WPM_N] = {
		"[CLS]", "[SEP]", "[UNK]", "\xe2\x96\x81" "cafe", "\xe2\x96\x81" "caf", "e", "s",
		"\xe2\x96\x81,", "\xe2\x96\x81\xe4\xb8\xad",
		"\xe2\x96\x81\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab",
	};
	struct bytes b = { 0 };

	gw_header(&b, 3, 0, 6);
	gw_kv_str(&b, "tokenizer.ggml.model", "bert");
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, WPM_N);
	for (int i = 0; i < WPM_N; i++)
		gw_str(&b, texts[i]);
	gw_kv_arr(&b, "tokenizer.ggml.token_type", GGUF_VT_I32, WPM_N);
	for (int i = 0; i < WPM_N; i++)
		bytes_u32(&b, i <= WPM_UNK ? 3 : 1);
	gw_kv_u32(&b, "tokenizer.ggml.cls_token_id", WPM_CLS);
	gw_kv_u32(&b, "tokenizer.ggml.seperator_token_id", WPM_SEP);
	gw_kv_u32(&b, "tokenizer.ggml.unknown_token_id", WPM_UNK);
	return b;
}

/*
 * A vocabulary of bytes and the specials of chat templates: id k + 3 is the
 * k-th, after <unk>, <s> and </s>. User-defined ones begin with '+' here.
 */
static const char *const chat_specials[] = {
	"<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|start_header_id|>", "<|end_header_id|>",
	"<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<|user|>",
	"<|assistant|>", "<|system|>", "<|end|>", "+<tool>", "<\xef\xbd\x9cUser\xef\xbd\x9c>",
	"<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>",
};

#define CHAT_SPECIALS ((int)(sizeof(chat_specials) / sizeof(chat_specials[0])))

static inline struct bytes chat_sample(const char *const *specials, int n, const char *template)
{
	struct bytes b = { 0 };
	char buf[8];

	gw_header(&b, 3, 0, template ? 6 : 5);
	gw_kv_str(&b, "tokenizer.ggml.model", "llama");
	if (template)
		gw_kv_str(&b, "tokenizer.chat_template", template);
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, 3 + n + 256);
	gw_str(&b, "<unk>");
	gw_str(&b, "<s>");
	gw_str(&b, "</s>");
	for (int i = 0; i < n; i++)
		gw_str(&b, specials[i] + (specials[i][0] == '+'));
	for (int i = 0; i < 256; i++) {
		snprintf(buf, sizeof(buf), "<0x%02X>", i);
		gw_str(&b, buf);
	}
	gw_kv_arr(&b, "tokenizer.ggml.token_type", GGUF_VT_I32, 3 + n + 256);
	for (int i = 0; i < 3 + n + 256; i++)
		bytes_u32(&b, !i ? 2 : i < 3 ? 3 : i >= 3 + n ? 6 :
			      specials[i - 3][0] == '+' ? 4 : 3);
	gw_key(&b, "tokenizer.ggml.add_space_prefix", GGUF_VT_BOOL);
	bytes_u8(&b, 0);
	gw_key(&b, "tokenizer.ggml.add_bos_token", GGUF_VT_BOOL);
	bytes_u8(&b, 0);
	return b;
}

/* One letter, and no way to spell another; with an end token if @eos. */
static inline struct bytes bpe_one_letter(bool eos)
{
	struct bytes b = { 0 };

	gw_header(&b, 3, 0, eos ? 5 : 4);
	if (eos)
		gw_kv_u32(&b, "tokenizer.ggml.eos_token_id", 0);
	gw_kv_str(&b, "tokenizer.ggml.model", "gpt2");
	gw_kv_str(&b, "tokenizer.ggml.pre", "gpt-2");
	gw_kv_arr(&b, "tokenizer.ggml.tokens", GGUF_VT_STR, 1);
	gw_str(&b, "a");
	gw_kv_arr(&b, "tokenizer.ggml.merges", GGUF_VT_STR, 0);
	return b;
}

static inline struct bytes bpe_without_bytes(void)
{
	return bpe_one_letter(false);
}

static inline struct bytes bpe_few_bytes(void)
{
	return bpe_one_letter(true);
}

#endif
