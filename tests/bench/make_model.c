// SPDX-License-Identifier: MIT
/*
 * make_model SHAPE TYPE FILE: a GGUF file of the shape of a known model with
 * random weights. Speed depends on the shape and the types, not on the values,
 * so that engines can be measured without anybody's trained model.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/new_file.h"
#include "cmocka/gguf_writer.h"
#include "model_shape.h"
#include "random_blocks.h"

#define CHUNK		(4u << 20)
#define ALIGN		32u
#define BYTE_TOKENS	256
#define FIRST_PIECE	(3 + BYTE_TOKENS)
#define MIB		(1u << 20)
/* What must stay free on the disk. */
#define MARGIN		(512ull * MIB)

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_BYTE = 6 };

/* The file that grows, to be gone if it does not become complete. */
static struct hearth_new_file file = { .fd = -1 };
static volatile sig_atomic_t stopped;

static void die(const char *what, const char *why)
{
	hearth_new_file_drop(&file);
	fprintf(stderr, "make_model: %s: %s\n", what, why);
	exit(stopped ? 128 + stopped : 1);
}

static void stop(int number)
{
	stopped = number;
}

/*
 * The n-th piece of a vocabulary in which each has its beginnings: a space,
 * letters, pairs, triples, each with and without a space before it. Then
 * fours. Returns its length in letters, for the score.
 */
static int piece(uint32_t n, char *out)
{
	static const char space[] = "\xe2\x96\x81";
	uint32_t count = 26;
	int letters = 1;
	char *p = out;

	if (!n) {
		strcpy(out, space);
		return 0;
	}
	for (n--; n >= 2 * count; letters++) {
		n -= 2 * count;
		count *= 26;
	}
	if (n >= count) {
		n -= count;
		p = stpcpy(p, space);
	}
	p[letters] = '\0';
	for (int i = letters - 1; i >= 0; i--, n /= 26)
		p[i] = 'a' + n % 26;
	return letters;
}

/* Text, score and kind of a token. */
static void token(uint32_t i, char *text, float *score, int32_t *kind)
{
	static const char *const special[] = { "<unk>", "<s>", "</s>" };

	*score = 0;
	*kind = TOKEN_NORMAL;
	if (i < 3) {
		strcpy(text, special[i]);
		*kind = i ? TOKEN_CONTROL : TOKEN_UNKNOWN;
	} else if (i < FIRST_PIECE) {
		sprintf(text, "<0x%02X>", i - 3);
		*kind = TOKEN_BYTE;
	} else {
		piece(i - FIRST_PIECE, text);
		*score = -(float)(i - FIRST_PIECE);
	}
}

static size_t vocabulary(struct bytes *b, uint32_t n)
{
	char text[32];
	float score;
	int32_t kind;

	gw_kv_arr(b, "tokenizer.ggml.tokens", GGUF_VT_STR, n);
	for (uint32_t i = 0; i < n; i++) {
		token(i, text, &score, &kind);
		gw_str(b, text);
	}
	gw_kv_arr(b, "tokenizer.ggml.scores", GGUF_VT_F32, n);
	for (uint32_t i = 0; i < n; i++) {
		token(i, text, &score, &kind);
		bytes_add(b, &score, sizeof(score));
	}
	gw_kv_arr(b, "tokenizer.ggml.token_type", GGUF_VT_I32, n);
	for (uint32_t i = 0; i < n; i++) {
		token(i, text, &score, &kind);
		bytes_u32(b, kind);
	}
	return 3;
}

static size_t tokenizer(struct bytes *b, const struct model_shape *s)
{
	size_t n = 0;

	gw_kv_str(b, "tokenizer.ggml.model", "llama"), n++;
	gw_kv_str(b, "tokenizer.ggml.pre", "default"), n++;
	gw_kv_u32(b, "tokenizer.ggml.bos_token_id", 1), n++;
	gw_kv_u32(b, "tokenizer.ggml.eos_token_id", 2), n++;
	gw_kv_u32(b, "tokenizer.ggml.unknown_token_id", 0), n++;
	gw_kv_bool(b, "tokenizer.ggml.add_bos_token", 1), n++;
	gw_kv_bool(b, "tokenizer.ggml.add_eos_token", 0), n++;
	return n + vocabulary(b, s->n_vocab);
}

static size_t numbers(struct bytes *b, const struct model_shape *s)
{
	const struct {
		const char *key;
		uint32_t v;
	} u32[] = {
		{ "context_length", s->n_ctx }, { "embedding_length", s->n_embd },
		{ "block_count", s->n_layer }, { "feed_forward_length", s->n_ff },
		{ "attention.head_count", s->n_head }, { "attention.head_count_kv", s->n_head_kv },
		{ "rope.dimension_count", s->n_embd / s->n_head }, { "vocab_size", s->n_vocab },
	};
	const struct {
		const char *key;
		float v;
	} f32[] = {
		{ "attention.layer_norm_rms_epsilon", s->rms_eps },
		{ "rope.freq_base", s->rope_base },
	};
	const size_t n_u32 = sizeof(u32) / sizeof(u32[0]), n_f32 = sizeof(f32) / sizeof(f32[0]);
	char key[96];

	for (size_t i = 0; i < n_u32; i++) {
		snprintf(key, sizeof(key), "%s.%s", s->arch, u32[i].key);
		gw_kv_u32(b, key, u32[i].v);
	}
	for (size_t i = 0; i < n_f32; i++) {
		snprintf(key, sizeof(key), "%s.%s", s->arch, f32[i].key);
		gw_key(b, key, GGUF_VT_F32);
		bytes_add(b, &f32[i].v, sizeof(f32[i].v));
	}
	return n_u32 + n_f32;
}

static size_t metadata(struct bytes *b, const struct model_shape *s, const struct model_mix *m)
{
	char name[96];
	size_t n = 0;

	snprintf(name, sizeof(name), "%s shape, random weights", s->title);
	gw_kv_str(b, "general.architecture", s->arch), n++;
	gw_kv_str(b, "general.name", name), n++;
	gw_kv_u32(b, "general.alignment", ALIGN), n++;
	gw_kv_u32(b, "general.file_type", m->file_type), n++;
	gw_kv_u32(b, "general.quantization_version", 2), n++;
	n += numbers(b, s);
	return n + tokenizer(b, s);
}

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* All before the tensors' data; *total gets the size of the file. */
static struct bytes head(const struct model_shape *s, const struct model_mix *m,
			 const struct model_tensor *t, size_t n, uint64_t *total)
{
	struct bytes b = { 0 };
	size_t counts = gw_header(&b, 3, n, 0);
	uint64_t at = 0;

	bytes_set(&b, counts + 8, metadata(&b, s, m), 8);
	for (size_t i = 0; i < n; i++) {
		gw_tensor(&b, t[i].name, t[i].type, t[i].rows ? 2 : 1,
			  (uint64_t[]){ t[i].cols, t[i].rows }, at);
		at = aligned(at + model_tensor_bytes(&t[i]));
	}
	bytes_pad(&b, ALIGN);
	*total = b.n + at;
	return b;
}

static void put(const void *data, size_t bytes)
{
	struct hearth_err err;

	if (stopped)
		die(file.path, strsignal(stopped));
	if (hearth_new_file_write(&file, data, bytes, &err))
		die(file.path, err.msg);
}

/* Its data and the padding up to the next one. */
static void put_tensor(const struct model_tensor *t, struct random_blocks *r, uint8_t *chunk)
{
	const uint64_t bytes = model_tensor_bytes(t), pad = aligned(bytes) - bytes;
	const size_t block = gguf_type_info(t->type)->block_bytes;
	static const uint8_t zero[ALIGN];

	for (uint64_t left = bytes / block; left; ) {
		size_t n = left < CHUNK / block ? left : CHUNK / block;

		random_blocks_fill(r, t->type, chunk, n);
		put(chunk, n * block);
		left -= n;
	}
	put(zero, pad);
}

/* Some of the disk stays free beside it. */
static void begin(const char *path, uint64_t bytes)
{
	struct hearth_err err;

	for (int i = 0; i < 3; i++)
		signal((const int[]){ SIGINT, SIGTERM, SIGHUP }[i], stop);
	if (hearth_new_file_begin(&file, path, bytes + MARGIN, true, &err))
		die(path, err.msg);
}

static void end(void)
{
	const char *path = file.path;
	struct hearth_err err;

	if (hearth_new_file_commit(&file, &err))
		die(path, err.msg);
}

static void make(const struct model_shape *s, const struct model_mix *m, const char *path,
		 bool only_size)
{
	size_t n;
	struct model_tensor *t = model_tensors(s, m, &n);
	uint8_t *chunk = malloc(CHUNK);
	struct random_blocks r;
	struct bytes b;
	uint64_t total;

	if (!t || !chunk)
		die(path, "no memory");
	b = head(s, m, t, n, &total);
	if (only_size) {
		printf("%llu\n", (unsigned long long)total);
	} else {
		begin(path, total);
		random_blocks_seed(&r, 1);
		put(b.p, b.n);
		for (size_t i = 0; i < n; i++)
			put_tensor(&t[i], &r, chunk);
		end();
	}
	bytes_free(&b);
	free(chunk);
	free(t);
}

static int usage(FILE *f)
{
	fprintf(f, "Usage: make_model SHAPE TYPE FILE\n       make_model SHAPE TYPE --size\n\nshapes:");
	for (size_t i = 0; i < n_model_shapes; i++)
		fprintf(f, " %s", model_shapes[i].name);
	fprintf(f, "\ntypes:");
	for (size_t i = 0; i < n_model_mixes; i++)
		fprintf(f, " %s", model_mixes[i].name);
	fputc('\n', f);
	return f == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	const struct model_shape *s;
	const struct model_mix *m;

	if (argc == 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	if (argc != 4)
		return usage(stderr);
	s = model_shape_find(argv[1]);
	m = model_mix_find(argv[2]);
	if (!s || !m) {
		fprintf(stderr, "make_model: there is no %s '%s'\n", s ? "type" : "shape",
			argv[s ? 2 : 1]);
		return usage(stderr);
	}
	make(s, m, argv[3], !strcmp(argv[3], "--size"));
	return 0;
}
