// SPDX-License-Identifier: MIT
/* What a GGUF file holds and what a run of it needs, also of one that cannot be run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/chat.h"
#include "llm/chat_table.h"
#include "llm/hparams.h"
#include "llm/tokenizer.h"
#include "tools/info.h"
#include "tools/tool.h"

#define MAX_TYPES 64

void put_str(struct gguf_str s, uint64_t max)
{
	unsigned char last = 0;

	for (uint64_t i = 0; i < s.len && i < max; i++) {
		unsigned char c = s.ptr[i];
		bool c1 = last == 0xc2 && c >= 0x80 && c < 0xa0;

		putchar(c < 0x20 || c == 0x7f || c1 ? '?' : c);
		last = c;
	}
	if (s.len > max)
		fputs("...", stdout);
}

static void print_name(const struct gguf *g)
{
	struct gguf_str name = { "unnamed", 7 }, arch = { "no architecture", 15 };

	gguf_get_str(g, "general.name", &name, NULL);
	gguf_get_str(g, "general.architecture", &arch, NULL);
	fputs("model      ", stdout);
	put_str(name, 60);
	fputs(" (", stdout);
	put_str(arch, 30);
	puts(")");
}

struct type_sum {
	uint32_t type;
	const char *name;
	uint64_t n, bytes;
};

static int by_bytes(const void *a, const void *b)
{
	const struct type_sum *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static void print_tensors(const struct gguf *g)
{
	struct type_sum sums[MAX_TYPES];
	unsigned int n = 0, k;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		for (k = 0; k < n && sums[k].type != t->type; k++)
			;
		if (k == MAX_TYPES)
			continue;
		if (k == n)
			sums[n++] = (struct type_sum){ t->type, t->info ? t->info->name : NULL, 0, 0 };
		sums[k].n++;
		sums[k].bytes += t->nbytes;
		bytes += t->nbytes;
	}
	qsort(sums, n, sizeof(*sums), by_bytes);
	printf("tensors    %llu, %s\n", (unsigned long long)gguf_n_tensors(g), human_bytes(bytes));
	for (k = 0; k < n; k++) {
		char unknown[24];

		snprintf(unknown, sizeof(unknown), "type %u", sums[k].type);
		printf("           %-8s %6llu  %s\n", sums[k].name ? sums[k].name : unknown,
		       (unsigned long long)sums[k].n,
		       sums[k].bytes ? human_bytes(sums[k].bytes) : "of a size that is not known");
	}
}

static void print_token(const struct tok *t, const char *what, int32_t id)
{
	char piece[40];
	int n = id >= 0 ? tok_piece(t, id, piece, sizeof(piece)) : 0;

	if (id < 0)
		return;
	printf(", %s %d '", what, id);
	put_str((struct gguf_str){ piece, n < 40 ? n : 40 }, 40);
	putchar('\'');
}

static void print_tokenizer(const struct gguf *g)
{
	struct gguf_str pre = { NULL, 0 };
	struct hearth_err err;
	struct tok *t;

	if (tok_open(g, &t, &err)) {
		printf("tokenizer  none that can be used: %s\n", err.msg);
		return;
	}
	printf("tokenizer  %s", tok_kind(t));
	if (!strcmp(tok_kind(t), "bpe") && !gguf_get_str(g, "tokenizer.ggml.pre", &pre, NULL)) {
		putchar(' ');
		put_str(pre, 30);
	}
	printf(", %d tokens", tok_n_vocab(t));
	print_token(t, "begin", tok_bos(t));
	print_token(t, "end", tok_eos(t));
	if (tok_eot(t) != tok_eos(t))
		print_token(t, "end of turn", tok_eot(t));
	putchar('\n');
	tok_close(t);
}

static void print_template(const struct gguf *g)
{
	const struct chat_template *c;
	struct gguf_str text;
	struct hearth_err err;

	fputs("template   ", stdout);
	if (gguf_get_str(g, "tokenizer.chat_template", &text, NULL))
		puts("none: this model continues texts");
	else if (chat_detect(text.ptr, text.len, &c, &err))
		puts("of its own, not known: --template has to name one");
	else
		puts(c->name);
}

/* Bytes of both caches of all layers for @n positions; blocks of 32 as of a type. */
static uint64_t kv_bytes(const struct llm_hparams *hp, uint64_t n, unsigned int block_bytes)
{
	return 2ull * hp->n_layer * hp->n_head_kv * hp->head_dim * n * block_bytes / 32;
}

static void print_shape(const struct llm_hparams *hp)
{
	printf("shape      %u layers, width %u, %u heads of %u over %u, feed-forward %u\n",
	       hp->n_layer, hp->n_embd, hp->n_head, hp->head_dim, hp->n_head_kv, hp->n_ff);
	printf("context    %u tokens", hp->n_ctx);
	if (hp->window)
		printf(", of which some layers see the last %u", hp->window);
	putchar('\n');
}

static void print_memory(const struct hearth_llm_info *i, const struct llm_hparams *hp)
{
	static const struct {
		const char *name;
		unsigned int block_bytes;
	} types[] = { { "f16", 64 }, { "q8_0", 34 }, { "f32", 128 } };

	printf("memory     weights %s, shared by all who run this file; activations %s\n",
	       human_bytes(i->weights_bytes), human_bytes(i->activation_bytes));
	for (size_t k = 0; k < sizeof(types) / sizeof(*types); k++) {
		unsigned int block = types[k].block_bytes;

		if (block == 34 && hp->head_dim % 32)
			continue;
		printf("           KV cache %-4s  %s for %u tokens", types[k].name,
		       human_bytes(kv_bytes(hp, i->n_ctx, block)), i->n_ctx);
		if (hp->n_ctx != i->n_ctx)
			printf(", %s for all %u", human_bytes(kv_bytes(hp, hp->n_ctx, block)),
			       hp->n_ctx);
		putchar('\n');
	}
}

/* It describes also what cannot be run, and says why it cannot. */
static void print_run(const struct gguf *g, const char *path, struct hearth_device *dev)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	struct llm_hparams hp;
	struct hearth_err err;
	struct hearth_llm *llm;

	if (llm_hparams_read(g, &hp, &err)) {
		printf("runs       no: %s\n", err.msg);
		return;
	}
	print_shape(&hp);
	if (hearth_llm_open(path, dev, NULL, &llm)) {
		printf("runs       no: %s\n", hearth_errmsg());
		return;
	}
	hearth_llm_get_info(llm, &i);
	print_memory(&i, &hp);
	hearth_llm_close(llm);
}

int print_gguf(const char *path, struct hearth_device *dev)
{
	struct hearth_err err;
	struct gguf *g;

	if (gguf_open(path, &g, &err)) {
		fprintf(stderr, "hearth: %s: %s\n", path, err.msg);
		return 1;
	}
	print_name(g);
	print_tensors(g);
	print_tokenizer(g);
	print_template(g);
	print_run(g, path, dev);
	gguf_close(g);
	return 0;
}
