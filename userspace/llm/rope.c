// SPDX-License-Identifier: MIT
/*
 * How a model's heads turn: cosines and sines of the positions that a step has, not
 * of all that the context has, which would be megabytes in each program.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "formats/gguf.h"
#include "llm/build.h"
#include "llm/llm.h"
#include "runtime/error.h"

/* The divisors of the frequencies, which may lie at any byte of the file */
static int read_factors(const struct hearth_llm *llm, float **out)
{
	size_t bytes = llm->hp.n_rot / 2 * sizeof(**out);
	const struct gguf_tensor *t;
	int ret = llm_rope_factors(llm->gguf, &llm->hp, llm->n_ctx, &t);

	*out = NULL;
	if (ret || !t)
		return ret;
	*out = malloc(bytes);
	if (!*out)
		return hearth_seterr(-ENOMEM, "no memory for a rope of %u dims", llm->hp.n_rot);
	memcpy(*out, t->data, bytes);
	return 0;
}

static int create(const struct hearth_llm *llm, unsigned int i, float magnitude,
		  struct hearth_rope **rope)
{
	const struct llm_rope *r = i ? &llm->hp.rope_local : &llm->hp.rope;
	float *factors;
	int ret = read_factors(llm, &factors);
	HEARTH_OPTS(hearth_rope_opts, o,
		.n_ctx = llm->n_ctx,
		.dims = llm->hp.n_rot,
		.base = r->base,
		.freq_scale = r->freq_scale,
		.magnitude = magnitude,
		.factors = factors);

	if (!ret)
		ret = hearth_rope_create(&o, rope);
	free(factors);
	return ret;
}

int llm_ropes_open(struct hearth_llm *llm)
{
	int ret = create(llm, 0, llm->hp.rope.magnitude, &llm->ropes[0]);

	return ret ? ret : create(llm, 1, llm->hp.rope_local.magnitude, &llm->ropes[1]);
}

void llm_ropes_close(struct hearth_llm *llm)
{
	for (unsigned int i = 0; i < LLM_ROPES; i++)
		hearth_rope_destroy(llm->ropes[i]);
}

int llm_ropes_fill(const struct hearth_llm *llm, float *const turns[LLM_ROPES], uint32_t first,
		   uint32_t n, uint32_t rows)
{
	size_t row = llm->hp.n_rot;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < LLM_ROPES; i++) {
		if (!turns[i])
			continue;
		ret = hearth_rope_rows(llm->ropes[i], first, n, turns[i]);
		for (uint32_t r = n; r < rows; r++)
			memcpy(turns[i] + r * row, turns[i] + (n - 1) * row, row * sizeof(float));
	}
	return ret;
}

/* A turn only: what is in the cache has the magnitude. */
int llm_ropes_fill_shift(const struct hearth_llm *llm, float *const turns[LLM_ROPES], uint32_t by)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < LLM_ROPES; i++) {
		struct hearth_rope *rope = NULL;

		if (!turns[i])
			continue;
		ret = create(llm, i, 1, &rope);
		if (!ret)
			ret = hearth_rope_rows(rope, by, 1, turns[i] + (size_t)by * llm->hp.n_rot);
		hearth_rope_destroy(rope);
	}
	return ret;
}
