/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_LLM_SAMPLE_H
#define HEARTH_LLM_SAMPLE_H

#include <stdint.h>

struct hearth_generate_opts;
struct llm_sampler;

/* Room for @n_vocab candidates; NULL if out of memory. */
struct llm_sampler *llm_sampler_create(uint32_t n_vocab);
void llm_sampler_destroy(struct llm_sampler *s);

/*
 * Start a stream: checks and remembers the options and seeds the generator.
 * -EINVAL, -ENOMEM with the thread's message.
 */
int llm_sampler_start(struct llm_sampler *s,
		       const struct hearth_generate_opts *opts);

/*
 * Choose a token. Depends on the logits, the options, the seed and the number
 * of calls since the start, and on nothing else: arithmetic.rst fixes the
 * order of every sum. NaN is taken as minus infinity. A repeat penalty looks at
 * what was chosen since the start.
 */
int32_t llm_sampler_next(struct llm_sampler *s, const float *logits);

#endif
