// SPDX-License-Identifier: MIT
/* hearth run MODEL.gguf -p PROMPT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/digest.h"
#include "tools/tool.h"

struct run_args {
	struct device_args device;
	const char *model;
	const char *prompt;
	struct hearth_generate_opts gen;
	struct hearth_llm_opts llm;
	bool quiet;
	bool ids;
	bool digest;
};

enum {
	OPT_TEMP = 256,
	OPT_TOP_K,
	OPT_TOP_P,
	OPT_MIN_P,
	OPT_SEED,
	OPT_CTX,
	OPT_BATCH,
	OPT_KV,
	OPT_IGNORE_EOS,
	OPT_IDS,
	OPT_DIGEST,
};

static const struct argp_option options[] = {
	{ "prompt", 'p', "TEXT", 0, "text to go on from (default: none)", 0 },
	{ "tokens", 'n', "N", 0, "tokens to make (default: 128)", 0 },
	{ "temperature", OPT_TEMP, "T", 0, "0: always the likeliest (default)", 1 },
	{ "top-k", OPT_TOP_K, "K", 0, "choose among the K likeliest", 1 },
	{ "top-p", OPT_TOP_P, "P", 0, "choose among the likeliest that sum up to P", 1 },
	{ "min-p", OPT_MIN_P, "P", 0, "drop what is less likely than P times the likeliest", 1 },
	{ "seed", OPT_SEED, "N", 0, "same seed, same text (default: 0)", 1 },
	{ "ignore-eos", OPT_IGNORE_EOS, NULL, 0, "go on after an end token", 1 },
	{ "context", OPT_CTX, "N", 0, "positions of the KV cache", 2 },
	{ "batch", OPT_BATCH, "N", 0, "prompt tokens per step (default: 32)", 2 },
	{ "kv", OPT_KV, "TYPE", 0, "type of the KV cache: f16 (default) or f32", 2 },
	{ "quiet", 'q', NULL, 0, "the text alone", 3 },
	{ "ids", OPT_IDS, NULL, 0, "print token ids in place of text", 3 },
	{ "digest", OPT_DIGEST, NULL, 0, "print a digest of all logits", 3 },
	{ 0 }
};

static void parse_kv(struct argp_state *state, const char *arg, bool *f32)
{
	*f32 = !strcmp(arg, "f32");
	if (!*f32 && strcmp(arg, "f16"))
		argp_error(state, "--kv %s: f16 or f32 is needed", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		break;
	case 'p':
		a->prompt = arg;
		break;
	case 'n':
		a->gen.max_tokens = parse_number(state, "tokens", arg, 1, 1u << 24);
		break;
	case OPT_TEMP:
		a->gen.temperature = parse_float(state, "temperature", arg, 0, 100);
		break;
	case OPT_TOP_K:
		a->gen.top_k = parse_number(state, "top-k", arg, 0, 1u << 24);
		break;
	case OPT_TOP_P:
		a->gen.top_p = parse_float(state, "top-p", arg, 0, 1);
		break;
	case OPT_MIN_P:
		a->gen.min_p = parse_float(state, "min-p", arg, 0, 1);
		break;
	case OPT_SEED:
		a->gen.seed = parse_number(state, "seed", arg, 0, ~0ul);
		break;
	case OPT_IGNORE_EOS:
		a->gen.ignore_eos = true;
		break;
	case OPT_CTX:
		a->llm.n_ctx = parse_number(state, "context", arg, 1, 1u << 24);
		break;
	case OPT_BATCH:
		a->llm.n_batch = parse_number(state, "batch", arg, 1, 1024);
		break;
	case OPT_KV:
		parse_kv(state, arg, &a->llm.kv_f32);
		break;
	case 'q':
		a->quiet = true;
		break;
	case OPT_IDS:
		a->ids = true;
		break;
	case OPT_DIGEST:
		a->digest = true;
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_usage(state);
		a->model = arg;
		break;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "MODEL.gguf",
	.doc = "Stream text from a GGUF model.",
	.children = device_children,
};

struct stream {
	const struct run_args *args;
	uint32_t n_vocab;
	unsigned int tokens;
	struct digest digest;
};

static int put_token(const struct hearth_llm_token *t, void *arg)
{
	struct stream *s = arg;

	s->tokens++;
	if (s->args->digest)
		digest_add(&s->digest, t->logits,
			   s->n_vocab * sizeof(*t->logits));
	if (s->args->ids)
		printf("%d\n", t->id);
	else
		fwrite(t->text, 1, t->text_bytes, stdout);
	fflush(stdout);
	return 0;
}

/* Returns the number of tokens; 0 after a message. */
static size_t feed_prompt(struct hearth_llm *llm, const char *prompt)
{
	size_t len = strlen(prompt);
	int n = hearth_llm_tokenize(llm, prompt, len, true, NULL, 0);
	int32_t *ids;

	if (!n)
		fprintf(stderr, "hearth: this model cannot begin with nothing: give --prompt\n");
	if (n < 0)
		fail("prompt");
	ids = n > 0 ? calloc(n, sizeof(*ids)) : NULL;
	if (!ids)
		return 0;
	hearth_llm_tokenize(llm, prompt, len, true, ids, n);
	if (hearth_llm_eval(llm, ids, n, NULL)) {
		fail("prompt of %d tokens", n);
		n = 0;
	}
	free(ids);
	return n;
}

static void print_model(const struct hearth_llm_info *i,
			const struct hearth_device *dev)
{
	struct hearth_device_info d = { .sz = sizeof(d) };

	hearth_device_get_info(dev, &d);
	fprintf(stderr, "model:   %s (%s), %u layers, context %u\n", i->name,
		i->arch, i->n_layer, i->n_ctx);
	fprintf(stderr, "memory:  weights %llu bytes (%s), KV %s, activations %s\n",
		(unsigned long long)i->weights_bytes,
		human_bytes(i->weights_bytes), human_bytes(i->state_bytes),
		human_bytes(i->activation_bytes));
	fprintf(stderr, "device:  %s%s%s, CPU kernels %s, %u thread%s\n", d.name,
		d.path ? " " : "", d.path ? d.path : "", d.isa, d.threads,
		d.threads == 1 ? "" : "s");
}

static int stream_text(const struct run_args *a, struct hearth_llm *llm,
		       struct stream *s)
{
	double t0 = now_seconds(), t1, t2;
	char text[DIGEST_TEXT];
	size_t n_prompt = feed_prompt(llm, a->prompt);

	if (!n_prompt)
		return 1;
	t1 = now_seconds();
	if (!a->ids)
		fputs(a->prompt, stdout);
	if (hearth_llm_generate(llm, &a->gen, put_token, s)) {
		putchar('\n');
		return fail("%s", a->model);
	}
	t2 = now_seconds();
	if (!a->ids)
		putchar('\n');
	fflush(stdout);
	/* the first token comes with the prompt: it took no step of its own */
	if (!a->quiet)
		fprintf(stderr, "speed:   prompt %zu tokens, %.1f/s; text %u tokens, %.1f tokens/s\n",
			n_prompt, n_prompt / (t1 - t0), s->tokens,
			s->tokens > 1 ? (s->tokens - 1) / (t2 - t1) : 0.0);
	if (a->digest)
		fprintf(stderr, "digest:  %s\n", digest_text(&s->digest, text));
	return 0;
}

static int run_model(const struct run_args *a, struct hearth_device *dev)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	struct stream s = { .args = a };
	struct hearth_llm *llm;
	int ret;

	if (hearth_llm_open(a->model, dev, &a->llm, &llm))
		return fail("cannot open the model");
	hearth_llm_get_info(llm, &info);
	s.n_vocab = info.n_vocab;
	digest_init(&s.digest);
	if (!a->quiet) {
		print_model(&info, dev);
		print_engines(hearth_llm_program(llm));
	}
	ret = stream_text(a, llm, &s);
	hearth_llm_close(llm);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct run_args a = {
		.prompt = "",
		.gen = { .sz = sizeof(a.gen), .max_tokens = 128 },
		.llm = { .sz = sizeof(a.llm) },
	};
	struct hearth_device *dev;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	ret = run_model(&a, dev);
	hearth_device_close(dev);
	return ret;
}
