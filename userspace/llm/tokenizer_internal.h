/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_TOKENIZER_INTERNAL_H
#define HEARTH_LLM_TOKENIZER_INTERNAL_H

#include "llm/tokenizer.h"

enum tok_kind {
	TOK_SPM,	/* SentencePiece BPE: merges by score, byte fallback */
	TOK_BPE,	/* byte-level BPE: merges by rank within pieces of text */
	TOK_WPM,	/* WordPiece: the longest token, again and again, in folded words */
};

enum tok_pre {
	TOK_PRE_GPT2,
	TOK_PRE_QWEN2,
	TOK_PRE_LLAMA3,
	TOK_PRE_SMOLLM,
	TOK_PRE_TEKKEN,
	TOK_PRE_GPT4O,
};

/* Token types of the file format. */
enum tok_type {
	TOK_TYPE_NORMAL = 1,
	TOK_TYPE_UNKNOWN = 2,
	TOK_TYPE_CONTROL = 3,
	TOK_TYPE_USER = 4,
	TOK_TYPE_UNUSED = 5,
	TOK_TYPE_BYTE = 6,
};

/* Beside the type, in a token's byte of struct tok.attr. */
#define TOK_TYPE_MASK	0x0f
#define TOK_RSTRIP	0x10	/* swallows the white space that follows */
#define TOK_EOG		0x20

/* Two tokens that become one; its rank is its place. */
struct tok_merge {
	int32_t left, right;
};

/*
 * An index by hash, open addressing: the number of an entry, 1 for the first, and
 * above it bits of its hash that the number leaves free, which tell most others
 * from it without a look at them. 0: an empty slot. Three bytes each, the lowest
 * first, for every process has its own.
 */
#define TOK_SLOT_BYTES	3
#define TOK_MAX_ENTRIES	((1 << 8 * TOK_SLOT_BYTES) - 1)

struct tok_table {
	uint8_t *slots;
	uint32_t n;
	uint32_t mask;		/* of the number */
};

/* Tokens in the order of their spelling, none spelled as another. */
struct tok_sorted {
	int32_t *ids;
	int32_t n;
};

struct tok {
	enum tok_kind kind;
	enum tok_pre pre;
	bool add_bos, add_eos, add_space, ignore_merges;
	int32_t bos, eos, eot, unk;	/* WordPiece: bos is CLS, eos is SEP */

	int32_t n;
	/*
	 * Where each token begins in the pool, and where the last one ends: for
	 * TOK_GROUP tokens the first's place, for each how far behind that.
	 */
	uint32_t *group;
	uint16_t *behind;
	uint8_t *attr;		/* enum tok_type and flags */
	float *score;		/* SPM; NULL: the lower of two ids has the higher score */
	char *pool;		/* the tokens' bytes, spaces and raw bytes unescaped */
	uint32_t max_len;	/* of a token that text can turn into */
	uint32_t max_bytes;	/* of any token */
	int32_t byte_id[256];	/* -1: the vocabulary has no such byte */

	/*
	 * Spelling to id. The vocabulary comes from a file, so the hash is keyed:
	 * nobody can choose tokens that collide.
	 */
	uint64_t key[2];
	struct tok_table spelled;

	struct tok_merge *merges;
	uint32_t n_merges;
	int32_t *merged_id;	/* what each becomes; NULL: they follow each other in the vocabulary */
	int32_t merged_first;	/* what the first becomes */
	struct tok_table merged;

	struct tok_sorted special;	/* control, unknown and user-defined tokens */
	struct tok_sorted words;	/* WordPiece: all others */
	bool special_first[256];	/* some special starts with this byte */
};

/* Vocabulary (tokenizer_vocab.c) */
int tok_load(struct tok *t, const struct gguf *g, struct hearth_err *err);
/* Index tables over the loaded tokens (tokenizer_index.c) */
int tok_index_tokens(struct tok *t, struct hearth_err *err);
int tok_index_sorted(struct tok *t, struct hearth_err *err);
int tok_alloc_merges(struct tok *t, uint64_t n, struct hearth_err *err);
/* The next by rank; no more than were allocated. */
void tok_add_merge(struct tok *t, int32_t left, int32_t right, int32_t id);
/* After the last. */
void tok_end_merges(struct tok *t);
bool tok_mergeable(const struct tok *t, int32_t id);
int32_t tok_lookup(const struct tok *t, const char *s, size_t len);
/* The rank of a pair, and in *id what it becomes; -1: the two do not merge. */
int32_t tok_find_merge(const struct tok *t, int32_t left, int32_t right, int32_t *id);
/* The longest special that @s starts with, or -1. */
int32_t tok_match_special(const struct tok *t, const char *s, size_t len, bool control);
/* The longest word or piece of one that @s starts with, or -1. */
int32_t tok_match_word(const struct tok *t, const char *s, size_t len);

#define TOK_GROUP	64

/* Up to t->n, which is the end of the last token. */
static inline uint32_t tok_begin(const struct tok *t, int32_t id)
{
	return t->group[(uint32_t)id / TOK_GROUP] + t->behind[id];
}

static inline const char *tok_text(const struct tok *t, int32_t id)
{
	return t->pool + tok_begin(t, id);
}

static inline uint32_t tok_len(const struct tok *t, int32_t id)
{
	return tok_begin(t, id + 1) - tok_begin(t, id);
}

static inline enum tok_type tok_type(const struct tok *t, int32_t id)
{
	return t->attr[id] & TOK_TYPE_MASK;
}

/* Where ids go: counts all, stores what fits. */
struct tok_out {
	int32_t *ids;
	size_t cap;
	int64_t n;
};

static inline void tok_emit(struct tok_out *o, int32_t id)
{
	if ((uint64_t)o->n < o->cap)
		o->ids[o->n] = id;
	o->n++;
}

/* Merging (tokenizer_merge.c): scratch memory that grows to the longest text. */
struct tok_work {
	struct tok_sym *syms;
	struct tok_pair *heap;
	size_t cap;		/* symbols; the heap holds three times as many */
	size_t n_heap;
};

int tok_merge_text(const struct tok *t, struct tok_work *w, const char *text, size_t len,
		   struct tok_out *out);
void tok_work_free(struct tok_work *w);

/* WordPiece (tokenizer_wpm.c) */
int tok_encode_wpm(const struct tok *t, const char *text, size_t len, struct tok_out *out);

/* Pre-tokenizers (tokenizer_pre.c): bytes of the first piece of a text; 0 < n <= len. */
size_t tok_next_piece(enum tok_pre pre, const char *text, size_t len);

/* Unicode (tokenizer_unicode.c) */
enum tok_class {
	TOK_OTHER,
	TOK_LETTER,
	TOK_NUMBER,
	TOK_SPACE,
	TOK_PUNCTUATION,
	TOK_CONTROL,
	TOK_MARK,	/* non-spacing */
};

enum tok_class tok_class(uint32_t cp);

/* Letters and marks, as those see them who cut where a word's case changes. */
enum tok_case {
	TOK_NO_CASE,		/* no letter, no mark */
	TOK_UPPER,		/* and title */
	TOK_LOWER,
	TOK_EITHER,		/* letters without case, marks */
};

enum tok_case tok_case(uint32_t cp);
/* The letter without its accents and its case. */
uint32_t tok_fold(uint32_t cp);
/*
 * Length of the character at @s and its code point. A byte that starts no
 * well-formed character is one of its own, with a code point beyond Unicode.
 */
#define TOK_BAD_CP 0x110000u
size_t tok_utf8(const char *s, size_t len, uint32_t *cp);

#endif
