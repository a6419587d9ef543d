/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_PACK_H
#define HEARTH_LLM_PACK_H

struct gguf;

/*
 * What of a model would be read faster in rows of eight: fills, for each tensor of
 * the file, NULL if so, or why it stays as it is. Fails, with the message set, for a
 * file that cannot be run.
 */
int llm_pack_plan(const struct gguf *g, const char **why);

#endif
