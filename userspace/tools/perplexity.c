// SPDX-License-Identifier: MIT
/*
 * hearth perplexity MODEL.gguf TEXT
 *
 * As llama.cpp counts, so that figures compare: the text's tokens in windows of
 * the context's size, each begun with BOS and seen alone, and of each the second
 * half is counted.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/mathf.h"
#include "tools/tool.h"

#define DEFAULT_CTX 512

struct perplexity_args {
	struct device_args device;
	const char *model, *text;
	struct hearth_llm_opts llm;
	unsigned int windows;
	bool quiet;
};

enum {
	OPT_CTX = 256,
	OPT_KV,
	OPT_WINDOWS,
};

static const struct argp_option options[] = {
	{ "context", OPT_CTX, "N", 0, "tokens of a window, 4 or more (default: 512, or the model's)", 0 },
	{ "windows", OPT_WINDOWS, "N", 0, "stop after N windows (default: the whole text)", 0 },
	{ "kv", OPT_KV, "TYPE", 0, "type of the KV cache: f16 (default), f32, q8_0", 0 },
	{ "quiet", 'q', NULL, 0, "the result alone, no progress on a terminal", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct perplexity_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case OPT_CTX:
		a->llm.n_ctx = parse_number(state, "context", arg, 4, 1u << 24);
		return 0;
	case OPT_WINDOWS:
		a->windows = parse_number(state, "windows", arg, 1, 1u << 30);
		return 0;
	case OPT_KV:
		a->llm.kv_type = parse_kv(state, arg);
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	default:
		return parse_two_files(key, arg, state, &a->model, &a->text,
				       "a model and a text file");
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "MODEL.gguf TEXT",
	.doc = "Tell how well a model foresees a text (- is standard input): the lower the better."
	       "\v"
	       "Figures compare with those of llama.cpp for the same context size. The value behind +/- is the standard error.",
	.children = device_children,
};

/* What was counted so far, and the window that is being scored. */
struct score {
	uint32_t n_vocab;
	const int32_t *next;	/* what should have come */
	double sum, squares;
	size_t n;
};

/* -log of the probability of the token that does come. */
static int count(const float *logits, void *arg)
{
	struct score *s = arg;
	float max = logits[0];
	double sum = 0.0, nll;

	for (uint32_t i = 1; i < s->n_vocab; i++)
		max = logits[i] > max ? logits[i] : max;
	for (uint32_t i = 0; i < s->n_vocab; i++)
		sum += hk_expf(logits[i] - max);
	nll = log(sum) - (logits[*s->next++] - max);
	s->sum += nll;
	s->squares += nll * nll;
	s->n++;
	return 0;
}

static double mean_error(const struct score *s)
{
	double mean = s->sum / s->n, variance = s->squares / s->n - mean * mean;

	return variance > 0 && s->n > 1 ? sqrt(variance / (s->n - 1)) : 0;
}

static int score_window(struct hearth_llm *llm, int32_t *ids, uint32_t n_ctx, int32_t bos,
			struct score *s)
{
	uint32_t half = n_ctx / 2;
	int32_t first = ids[0];
	int ret;

	if (bos >= 0)
		ids[0] = bos;
	ret = hearth_llm_rewind(llm, 0);
	if (!ret)
		ret = hearth_llm_eval(llm, ids, half, NULL);
	s->next = ids + half + 1;
	if (!ret)
		ret = hearth_llm_eval_each(llm, ids + half, n_ctx - half - 1, count, s);
	ids[0] = first;
	return ret;
}

/* The text's tokens; NULL after a message. */
static int32_t *read_ids(const struct perplexity_args *a, struct hearth_llm *llm, int *n)
{
	size_t len;
	char *text = read_text(a->text, &len);
	int32_t *ids = NULL;

	if (!text)
		return NULL;
	*n = hearth_llm_tokenize(llm, text, len, true, NULL, 0);
	if (*n > 0)
		ids = calloc(*n, sizeof(*ids));
	if (*n < 0)
		fail("%s", a->text);
	else if (!ids)
		fprintf(stderr, *n ? "hearth: %s: no memory for its tokens\n" :
				     "hearth: %s: is empty\n", a->text);
	else
		hearth_llm_tokenize(llm, text, len, true, ids, *n);
	free(text);
	return ids;
}

static int score_text(const struct perplexity_args *a, struct hearth_llm *llm)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	struct score s = { 0 };
	unsigned int windows, w;
	int32_t *ids, bos;
	bool progress = !a->quiet && isatty(STDERR_FILENO);
	int n, ret = 0;

	hearth_llm_get_info(llm, &info);
	ids = read_ids(a, llm, &n);
	if (!ids)
		return 1;
	s.n_vocab = info.n_vocab;
	windows = n / info.n_ctx;
	if (a->windows && windows > a->windows)
		windows = a->windows;
	/* a model whose texts do not begin with BOS has windows that do not either */
	bos = hearth_llm_tokenize(llm, "", 0, true, NULL, 0) > 0 ? info.bos : -1;
	if (!windows) {
		fprintf(stderr, "hearth: %s: has %d tokens, and a window is %u: take a longer text or a smaller --context\n",
			a->text, n, info.n_ctx);
		ret = 1;
	}
	for (w = 0; !ret && w < windows; w++) {
		ret = score_window(llm, ids + (size_t)w * info.n_ctx, info.n_ctx, bos, &s);
		if (ret)
			fail("window %u", w);
		else if (progress)
			fprintf(stderr, "\rwindow %u of %u: %.4f", w + 1, windows, exp(s.sum / s.n));
	}
	if (progress && w)
		fputc('\n', stderr);
	if (!ret)
		printf("perplexity %.4f +/- %.5f (%zu tokens in %u windows of %u)\n",
		       exp(s.sum / s.n), exp(s.sum / s.n) * mean_error(&s), s.n, windows, info.n_ctx);
	free(ids);
	return ret ? 1 : 0;
}

/* The context that was asked for, else 512 or what the model has. */
static int open_llm(struct perplexity_args *a, struct hearth_device *dev, struct hearth_llm **llm)
{
	bool wanted = a->llm.n_ctx;

	if (!wanted)
		a->llm.n_ctx = DEFAULT_CTX;
	if (!hearth_llm_open(a->model, dev, &a->llm, llm))
		return 0;
	a->llm.n_ctx = 0;
	if (!wanted && !hearth_llm_open(a->model, dev, &a->llm, llm))
		return 0;
	return fail_model(a->model);
}

int cmd_perplexity(int argc, char **argv)
{
	struct perplexity_args a = { .llm = { .sz = sizeof(a.llm) } };
	struct hearth_device *dev;
	struct hearth_llm *llm;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	ret = open_llm(&a, dev, &llm);
	if (!ret) {
		ret = score_text(&a, llm);
		hearth_llm_close(llm);
	}
	hearth_device_close(dev);
	return ret;
}
