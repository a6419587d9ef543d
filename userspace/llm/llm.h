/* SPDX-License-Identifier: MIT */
/* What an open model consists of; internal to llm/. */
#ifndef HEARTH_LLM_LLM_H
#define HEARTH_LLM_LLM_H

#include "hearth.h"
#include "llm/hparams.h"

struct gguf;
struct tok;
struct hearth_rope;
struct llm_sampler;

/* A compiled step and where its changing tensors lie. */
struct llm_runner {
	struct hearth_program *program;
	struct hearth_program_info measured;
	uint32_t rows;
	uint32_t n_logits;	/* 1: of the last token; rows: of each */
	int32_t *ids;
	int32_t *pos;
	int32_t *last;
	float *turns[LLM_ROPES];	/* NULL: no layer has that rope */
	const float *logits;
};

#define LLM_RUNNERS	6

struct hearth_llm {
	struct gguf *gguf;
	struct tok *tok;
	struct llm_hparams hp;
	uint32_t n_ctx;
	/* of one token, then of more and more, made when needed; all share what the first owns */
	struct llm_runner runners[LLM_RUNNERS];
	unsigned int n_runners;
	/* a batch with the logits of each token; program NULL until they are wanted */
	struct llm_runner each;
	struct hearth_device *dev;
	struct hearth_llm_opts opts;
	unsigned int kv_type;
	/* positions by which the cache grows; 0: it is whole */
	uint32_t kv_step;
	/* positions that it has memory for */
	uint32_t room;
	/* what the cache holds: the first @position of n_ctx tokens */
	int32_t *fed;
	uint32_t position;
	/* of those, the ones at the start that no shift has touched */
	uint32_t exact;
	/* idle: the cache may be discarded; lost: it was, and is not filled again yet */
	bool idle, lost;
	struct hearth_rope *ropes[LLM_ROPES];
	/* of the last token fed; NULL if nothing was fed */
	const float *logits;
	struct llm_sampler *sampler;
};

/* Check and keep the options; 0, or -errno with the message set. */
int llm_context_init(struct hearth_llm *llm, struct hearth_device *dev,
		     const struct hearth_llm_opts *opts);
/* Fill the bytes of state and scratch: what the next would take. */
int llm_context_demand(struct hearth_llm *llm, struct hearth_demand *d);
/* Bytes of all steps, and of those that are made */
void llm_context_activations(const struct hearth_llm *llm, uint64_t *all, uint64_t *used);
/* Compile the first step; 0, or -errno with the message set. */
int llm_context_open(struct hearth_llm *llm);
void llm_context_close(struct hearth_llm *llm);

int llm_ropes_open(struct hearth_llm *llm);
void llm_ropes_close(struct hearth_llm *llm);
/*
 * Fill the tables that are not NULL: @n positions from @first on, then the last of
 * them until there are @rows.
 */
int llm_ropes_fill(const struct hearth_llm *llm, float *const turns[LLM_ROPES], uint32_t first,
		   uint32_t n, uint32_t rows);
/* Of a shift by so many positions */
int llm_ropes_fill_shift(const struct hearth_llm *llm, float *const turns[LLM_ROPES], uint32_t by);

/*
 * Graphs were built, compiled and thrown away. What they lay in stands between what
 * stays, so the heap keeps it, in every program that opens the model.
 */
void llm_give_back_heap(void);

#endif
