/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_CHAT_TABLE_H
#define HEARTH_LLM_CHAT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

/* In a table: the vocabulary's end token. */
#define CHAT_EOS	"\1"

enum chat_role {
	CHAT_SYSTEM,
	CHAT_USER,
	CHAT_ASSISTANT,
	CHAT_ROLES,
};

/*
 * What stands around a message. Control tokens are spelled out; where the
 * vocabulary has none of that spelling it is text, unless needs[] names it.
 */
struct chat_template {
	const char *name;
	/* in the model's template: all of these, none of those */
	const char *has[3], *lacks[1];
	/* tokens that the vocabulary must have */
	const char *needs[3];
	const char *before[CHAT_ROLES], *after[CHAT_ROLES];
	/* makes the model answer */
	const char *answer;
	/* text begins with BOS, whatever the vocabulary says; and so does each question */
	bool bos, bos_each;
	/* white space around a message is dropped; around the assistant's */
	bool trim, trim_answers;
	/* the system message is the beginning of the first question */
	bool system_in_question;
	/* "</think>" ends a thought, which later turns do not show */
	bool thinks;
};

/* Ends with a row whose name is NULL; the first that matches counts. */
extern const struct chat_template chat_templates[];

#endif
