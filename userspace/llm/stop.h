/* SPDX-License-Identifier: MIT */
/* Stop strings: the text that a caller may see, while one could still be coming. */
#ifndef HEARTH_LLM_STOP_H
#define HEARTH_LLM_STOP_H

#include <stdbool.h>
#include <stddef.h>

#define LLM_MAX_STOPS		16
#define LLM_MAX_STOP_BYTES	1024

struct llm_stop {
	const char *const *list;
	size_t lens[LLM_MAX_STOPS];
	unsigned int n;
	size_t longest;
	char *text;		/* what was added and not yet shown, and what was last shown */
	size_t n_text, n_shown;
};

/*
 * Begin a text to which at most @chunk bytes are added at a time. @list stays
 * the caller's. 0, -EINVAL with the thread's message (too many, too long,
 * empty, no UTF-8), -ENOMEM. llm_stop_end() frees.
 */
int llm_stop_start(struct llm_stop *s, const char *const *list, unsigned int n, size_t chunk);
void llm_stop_end(struct llm_stop *s);

/*
 * Add whole characters, the @last of the text or not. Returns how many bytes at
 * the front of s->text can be shown: up to a stop string (*found; nothing may
 * be added after that), or up to what may still become one. They stay until the
 * next call.
 */
size_t llm_stop_put(struct llm_stop *s, const char *text, size_t len, bool last, bool *found);

#endif
