/* SPDX-License-Identifier: MIT */
/* What an open model consists of; internal to llm/. */
#ifndef HEARTH_LLM_LLM_H
#define HEARTH_LLM_LLM_H

#include "hearth.h"
#include "llm/hparams.h"

struct gguf;
struct tok;
struct llm_sampler;

/* A compiled step and where its changing tensors lie. */
struct llm_runner {
	struct hearth_program *program;
	uint32_t rows;
	int32_t *ids;
	int32_t *pos;
	int32_t *last;
	const float *logits;
};

struct hearth_llm {
	struct gguf *gguf;
	struct tok *tok;
	struct llm_hparams hp;
	uint32_t n_ctx;
	uint32_t position;
	/* one token; a batch of them (program NULL if n_batch is 1) */
	struct llm_runner one, batch;
	/* of the last token fed; NULL if nothing was fed */
	const float *logits;
	struct llm_sampler *sampler;
	/* text of one token */
	char *text;
	size_t text_room;
};

#endif
