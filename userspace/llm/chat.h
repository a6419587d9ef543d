/* SPDX-License-Identifier: MIT */
/*
 * Chat templates. A model brings its own as a program in its metadata; the
 * known ones are told by their marks and written here as tables, so that
 * nothing of the file is run.
 */
#ifndef HEARTH_LLM_CHAT_H
#define HEARTH_LLM_CHAT_H

#include <stddef.h>
#include <stdint.h>

struct hearth_chat_message;
struct hearth_chat_opts;
struct hearth_err;
struct tok;

struct chat_template;

/* "chatml, gemma, ..." */
const char *chat_names(char *buf, size_t cap);

/* By name; -EOPNOTSUPP with the list. */
int chat_find(const char *name, const struct chat_template **out, struct hearth_err *err);

/* By the text of a model's template, which may hold anything; -EOPNOTSUPP with the list. */
int chat_detect(const char *text, size_t len, const struct chat_template **out,
		struct hearth_err *err);

/*
 * What that text has for a conversation without a system message. Returns its
 * length, 0 if there is none.
 */
size_t chat_default_system(const char *text, size_t len, const char **out);

/*
 * Tokens of a conversation; returns their number, of which the first @cap are
 * stored. The @n_system bytes at @system stand in for a missing system message.
 * Errors as hearth_llm_chat_format().
 */
int64_t chat_format(const struct chat_template *c, const struct tok *t,
		    const struct hearth_chat_opts *opts, const char *system, size_t n_system,
		    const struct hearth_chat_message *messages, size_t n,
		    int32_t *ids, size_t cap, struct hearth_err *err);

#endif
