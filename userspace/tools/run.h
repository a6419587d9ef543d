/* SPDX-License-Identifier: MIT */
/* hearth run: what its two ways, one text and a conversation, share. */
#ifndef HEARTH_TOOLS_RUN_H
#define HEARTH_TOOLS_RUN_H

#include "tools/digest.h"
#include "tools/tool.h"

#define MAX_STOPS 16

struct run_args {
	struct device_args device;
	const char *model;
	const char *prompt;	/* to go on from; NULL: none given */
	const char *file;	/* where that is read from */
	const char *ask;
	bool chat;
	const char *system;
	struct hearth_chat_opts format;
	struct hearth_generate_opts gen;
	struct hearth_llm_opts llm;
	struct hearth_model_opts keep;
	const char *stop[MAX_STOPS];
	bool quiet;
	bool ids;
	bool digest;
};

/* Tokens and seconds, for the line at the end. */
struct speed {
	size_t prompt, reused, text, steps;
	double prompt_s, text_s;
};

void print_speed(const struct speed *s);

/* What one stream of tokens does with them. */
struct stream {
	const struct run_args *args;
	uint32_t n_vocab, n_ctx;
	size_t tokens;
	enum hearth_llm_end end;
	struct digest digest;
	/* beside standard output; may be NULL */
	int (*also)(const struct hearth_llm_token *t, void *arg);
	void *arg;
};

/* For hearth_llm_generate(): prints a token at once; -EIO if it cannot be. */
int put_token(const struct hearth_llm_token *t, void *stream);

/* That a template has to be named, if that is why @code came. */
void hint_template(int code);

/* Questions from standard input until its end; 0 or 1, as main() returns it. */
int talk(const struct run_args *a, struct hearth_llm *llm);

#endif
