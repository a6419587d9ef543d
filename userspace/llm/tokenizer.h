/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_TOKENIZER_H
#define HEARTH_LLM_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct hearth_err;
struct tok;

enum tok_flags {
	TOK_ADD_SPECIAL = 1 << 0,	/* BOS and EOS, as the model asks for */
	TOK_PARSE_SPECIAL = 1 << 1,	/* control tokens may be spelled in the text */
};

/* The longest text that one call encodes. */
#define TOK_MAX_TEXT (1u << 30)

/*
 * Build the tokenizer that a GGUF file describes; the file may be closed
 * afterwards. -ENOENT: the file has none; -EOPNOTSUPP: a kind that is not
 * supported, named; -EINVAL, -ERANGE, -EEXIST: broken metadata.
 */
int tok_open(const struct gguf *g, struct tok **out, struct hearth_err *err);
void tok_close(struct tok *t);

/*
 * Token ids of @text. Returns how many there are, of which the first @cap are
 * stored; -E2BIG, -ENOMEM, or -EILSEQ: a byte that the vocabulary cannot spell.
 * Any bytes are taken, also broken UTF-8. Threads may share @t. WordPiece
 * folds case and accents and drops white space, so it cannot be decoded back.
 */
int64_t tok_encode(const struct tok *t, const char *text, size_t len, unsigned int flags,
		   int32_t *ids, size_t cap);

/* The same for text that stands behind token @special (-1: none), without flags. */
int64_t tok_encode_behind(const struct tok *t, int32_t special, const char *text, size_t len,
			  int32_t *ids, size_t cap);

/*
 * Bytes of a token, as they are to be shown: none for control tokens. Returns
 * their number, of which the first @cap are stored. Not NUL-terminated, and
 * not whole characters: see tok_stream. -ERANGE: no such token.
 */
int tok_decode(const struct tok *t, int32_t id, char *buf, size_t cap);
/* The spelling of any token, control tokens included. */
int tok_piece(const struct tok *t, int32_t id, char *buf, size_t cap);
/* The id of a control or user-defined token by its spelling, or -1. */
int32_t tok_find_special(const struct tok *t, const char *text, size_t len);

int32_t tok_n_vocab(const struct tok *t);
int32_t tok_bos(const struct tok *t);	/* these three: -1 where there is none */
int32_t tok_eos(const struct tok *t);
int32_t tok_eot(const struct tok *t);
bool tok_is_eog(const struct tok *t, int32_t id);	/* generation ends with this one */
bool tok_is_control(const struct tok *t, int32_t id);
bool tok_adds_bos(const struct tok *t);
/* Encoding puts a space in front, which decoding from the start should drop. */
bool tok_adds_space(const struct tok *t);
const char *tok_kind(const struct tok *t);	/* "spm", "bpe", "wpm" */

/*
 * Text of a growing sequence of tokens, in whole UTF-8 characters. Bytes that
 * are no UTF-8 come out as U+FFFD, one for each.
 */
struct tok_stream {
	unsigned char held[4];
	unsigned int n_held;
	bool drop_space;
};

/* @from_start: the first token begins the text, so an added space is dropped. */
void tok_stream_init(struct tok_stream *s, const struct tok *t, bool from_start);
/*
 * Add a token. Returns the bytes written to @out, maybe 0; -ENOSPC (and nothing
 * is taken) if @cap is below tok_stream_room().
 */
int tok_stream_put(struct tok_stream *s, const struct tok *t, int32_t id, char *out, size_t cap);
/* What is held at the end of the text can only be broken. -ENOSPC if @cap is less. */
#define TOK_STREAM_END 12
int tok_stream_end(struct tok_stream *s, char *out, size_t cap);
size_t tok_stream_room(const struct tok *t);

#endif
