// SPDX-License-Identifier: MIT
/* hearth run MODEL.gguf -p TEXT | -f FILE | --ask TEXT | --chat */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/run.h"

enum {
	OPT_TEMP = 256,
	OPT_TOP_K,
	OPT_TOP_P,
	OPT_MIN_P,
	OPT_REPEAT,
	OPT_WINDOW,
	OPT_SEED,
	OPT_CTX,
	OPT_BATCH,
	OPT_KV,
	OPT_CLASS,
	OPT_KEEP_ALIVE,
	OPT_NO_ADMIT,
	OPT_IGNORE_EOS,
	OPT_IDS,
	OPT_DIGEST,
	OPT_ASK,
	OPT_CHAT,
	OPT_SYSTEM,
	OPT_TEMPLATE,
	OPT_NO_THINK,
	OPT_STOP,
	OPT_SHIFT,
	OPT_KEEP,
};

static const struct argp_option options[] = {
	{ "prompt", 'p', "TEXT", 0, "text to go on from (default: none)", 0 },
	{ "file", 'f', "FILE", 0, "the same from a file; - is standard input (default: none)", 0 },
	{ "ask", OPT_ASK, "TEXT", 0, "one question, put as the model's chat template has it", 0 },
	{ "chat", OPT_CHAT, NULL, 0,
	  "a conversation: questions from standard input, one a line, until its end; a line that ends in \\ goes on", 0 },
	{ "tokens", 'n', "N", 0,
	  "tokens to make (default: 128; with --ask and --chat as many as fit)", 0 },

	{ NULL, 0, NULL, 0, "Conversations:", 1 },
	{ "system", OPT_SYSTEM, "TEXT", 0, "what the model shall be (default: as its template has it)", 1 },
	{ "template", OPT_TEMPLATE, "NAME", 0,
	  "chat template; `list' names them (default: the model's own)", 1 },
	{ "no-think", OPT_NO_THINK, NULL, 0, "qwen3, deepseek: answer without a thought", 1 },

	{ NULL, 0, NULL, 0, "Choice of tokens:", 2 },
	{ "temperature", OPT_TEMP, "T", 0, "0: always the likeliest (default)", 2 },
	{ "top-k", OPT_TOP_K, "K", 0, "choose among the K likeliest (default: 0, all)", 2 },
	{ "top-p", OPT_TOP_P, "P", 0,
	  "choose among the likeliest that sum up to P (default: 0, off)", 2 },
	{ "min-p", OPT_MIN_P, "P", 0,
	  "drop what is less likely than P times the likeliest (default: 0, off)", 2 },
	{ "repeat-penalty", OPT_REPEAT, "X", 0,
	  "divide the logits of what was said lately by X (default: 1, off)", 2 },
	{ "repeat-window", OPT_WINDOW, "N", 0, "how many tokens are lately (default: 64)", 2 },
	{ "seed", OPT_SEED, "N", 0, "same seed, same text (default: 0)", 2 },
	{ "stop", OPT_STOP, "TEXT", 0, "end before this text; can be given 16 times", 2 },
	{ "ignore-eos", OPT_IGNORE_EOS, NULL, 0, "go on after an end token", 2 },

	{ NULL, 0, NULL, 0, "Memory:", 3 },
	{ "context", OPT_CTX, "N", 0,
	  "positions of the KV cache (default: the model's, at most 4096)", 3 },
	{ "batch", OPT_BATCH, "N", 0, "prompt tokens of the largest step (default: 256)", 3 },
	{ "kv", OPT_KV, "TYPE", 0, "type of the KV cache: f16 (default), f32, q8_0", 3 },
	{ "class", OPT_CLASS, "NAME", 0,
	  "how dearly the model is kept: droppable, normal (default), protected, pinned", 3 },
	{ "keep-alive", OPT_KEEP_ALIVE, "TIME", 0,
	  "how long after its last use: 5m (default), 300, 1h30m, 0 for not at all, -1 for ever", 3 },
	{ "no-admit", OPT_NO_ADMIT, NULL, 0, "try it even if it does not fit", 3 },
	{ "shift", OPT_SHIFT, NULL, 0,
	  "when the context is full, forget the first half and go on", 3 },
	{ "keep", OPT_KEEP, "N", 0, "with --shift: but never the first N tokens (default: 0)", 3 },

	{ NULL, 0, NULL, 0, "Output:", 4 },
	{ "quiet", 'q', NULL, 0, "the text alone", 4 },
	{ "ids", OPT_IDS, NULL, 0, "print token ids in place of text", 4 },
	{ "digest", OPT_DIGEST, NULL, 0, "print a digest of all logits", 4 },
	{ 0 }
};

static void parse_stop(struct argp_state *state, const char *arg, struct run_args *a)
{
	if (!*arg)
		argp_error(state, "--stop: an empty text stands everywhere");
	if (a->gen.n_stop == MAX_STOPS)
		argp_error(state, "--stop: more than %d", MAX_STOPS);
	a->stop[a->gen.n_stop++] = arg;
}

static void parse_template(struct argp_state *state, const char *arg, struct run_args *a)
{
	const char *name;
	bool list = !strcmp(arg, "list");

	for (unsigned int i = 0; (name = hearth_chat_template_name(i)); i++) {
		if (list)
			puts(name);
		if (!strcmp(name, arg))
			a->format.template_name = name;
	}
	if (list)
		exit(0);
	if (!a->format.template_name)
		argp_error(state, "--template %s: there is no such template; --template list names them",
			   arg);
}

static error_t parse_choice(int key, char *arg, struct argp_state *state)
{
	struct hearth_generate_opts *gen = &((struct run_args *)state->input)->gen;

	switch (key) {
	case OPT_TEMP:
		gen->temperature = parse_float(state, "temperature", arg, 0, 100);
		return 0;
	case OPT_TOP_K:
		gen->top_k = parse_number(state, "top-k", arg, 0, 1u << 24);
		return 0;
	case OPT_TOP_P:
		gen->top_p = parse_float(state, "top-p", arg, 0, 1);
		return 0;
	case OPT_MIN_P:
		gen->min_p = parse_float(state, "min-p", arg, 0, 1);
		return 0;
	case OPT_REPEAT:
		gen->repeat_penalty = parse_float(state, "repeat-penalty", arg, 0.01f, 100);
		return 0;
	case OPT_WINDOW:
		gen->repeat_window = parse_number(state, "repeat-window", arg, 1,
						  HEARTH_MAX_REPEAT_WINDOW);
		return 0;
	case OPT_SEED:
		gen->seed = parse_number(state, "seed", arg, 0, ~0ul);
		return 0;
	case OPT_STOP:
		parse_stop(state, arg, state->input);
		return 0;
	case OPT_IGNORE_EOS:
		gen->ignore_eos = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_text(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case 'p':
		a->prompt = arg;
		return 0;
	case 'f':
		a->file = arg;
		return 0;
	case OPT_ASK:
		a->ask = arg;
		return 0;
	case OPT_CHAT:
		a->chat = true;
		return 0;
	case 'n':
		a->gen.max_tokens = parse_number(state, "tokens", arg, 1, 1u << 24);
		return 0;
	case OPT_SYSTEM:
		a->system = arg;
		return 0;
	case OPT_TEMPLATE:
		parse_template(state, arg, a);
		return 0;
	case OPT_NO_THINK:
		a->format.no_think = true;
		return 0;
	default:
		return parse_choice(key, arg, state);
	}
}

static error_t parse_other(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case OPT_CTX:
		a->llm.n_ctx = parse_number(state, "context", arg, 1, 1u << 24);
		return 0;
	case OPT_BATCH:
		a->llm.n_batch = parse_number(state, "batch", arg, 1, 1024);
		return 0;
	case OPT_SHIFT:
		a->gen.shift = true;
		return 0;
	case OPT_KEEP:
		a->gen.n_keep = parse_number(state, "keep", arg, 0, 1u << 24);
		return 0;
	case OPT_KV:
		a->llm.kv_type = parse_kv(state, arg);
		return 0;
	case OPT_CLASS:
		parse_class(state, arg, &a->keep);
		return 0;
	case OPT_KEEP_ALIVE:
		parse_keep_alive(state, arg, &a->keep);
		return 0;
	case OPT_NO_ADMIT:
		a->llm.no_admit = true;
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	case OPT_IDS:
		a->ids = true;
		return 0;
	case OPT_DIGEST:
		a->digest = true;
		return 0;
	default:
		return parse_text(key, arg, state);
	}
}

static void check_together(struct argp_state *state, struct run_args *a)
{
	bool talks = a->chat || a->ask;

	if (!!a->prompt + !!a->file + !!a->ask + a->chat > 1)
		argp_error(state, "of --prompt, --file, --ask and --chat one can be given");
	if (!talks && (a->system || a->format.template_name || a->format.no_think))
		argp_error(state, "--system, --template and --no-think need --ask or --chat");
	if (a->gen.n_keep && !a->gen.shift)
		argp_error(state, "--keep needs --shift");
	if (a->gen.shift && talks)
		argp_error(state, "--shift is for --prompt: a conversation is fed anew each time");
	if (a->digest && a->chat)
		argp_error(state, "--digest is of one text: not with --chat");
	if (!talks && !a->gen.max_tokens)
		a->gen.max_tokens = 128;
	a->gen.stop = a->stop;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "one model is run at a time: '%s' is one too many", arg);
		a->model = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which model? A GGUF file is needed");
		return 0;
	case ARGP_KEY_END:
		check_together(state, a);
		return 0;
	default:
		return parse_other(key, arg, state);
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "MODEL.gguf",
	.doc = "Stream text from a GGUF model."
	       "\v"
	       "Examples:\n"
	       "  hearth run story.gguf -p 'Once upon a time'\n"
	       "  hearth run chat.gguf --ask 'What is a hearth?'\n"
	       "  hearth run chat.gguf --chat --system 'Answer in one sentence.'",
	.children = device_children,
};

/*
 * A terminal obeys control characters, and a model may say any: show them as
 * U+FFFD, but for tabs and line ends. The text is whole characters of UTF-8.
 */
static void put_on_terminal(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = text[i], next = i + 1 < n ? text[i + 1] : 0;
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;

		if (c1 || (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) {
			fputs("\xef\xbf\xbd", stdout);
			i += c1;
		} else {
			putchar(c);
		}
	}
}

int put_token(const struct hearth_llm_token *t, void *arg)
{
	struct stream *s = arg;

	s->tokens++;
	s->end = t->end;
	if (s->args->digest)
		digest_add(&s->digest, t->logits,
			   s->n_vocab * sizeof(*t->logits));
	if (s->args->ids)
		printf("%d\n", t->id);
	else if (isatty(STDOUT_FILENO))
		put_on_terminal(t->text, t->text_bytes);
	else
		fwrite(t->text, 1, t->text_bytes, stdout);
	if (fflush(stdout) || ferror(stdout))
		return -EIO;
	return s->also ? s->also(t, s->arg) : 0;
}

void print_speed(const struct speed *s)
{
	fprintf(stderr, "speed:   prompt %zu tokens, %.1f/s", s->prompt,
		s->prompt_s > 0 ? s->prompt / s->prompt_s : 0.0);
	if (s->reused)
		fprintf(stderr, " (and %zu kept from before)", s->reused);
	fprintf(stderr, "; text %zu tokens, %.1f tokens/s\n", s->text,
		s->steps ? s->steps / s->text_s : 0.0);
}

void hint_template(int code)
{
	if (code == -ENOENT || code == -EOPNOTSUPP)
		fprintf(stderr, "hearth: --template NAME names one; -p goes on from a text without any\n");
}

/* Tokens of the prompt, by one of two ways; NULL after a message. */
static int32_t *make_ids(const struct run_args *a, struct hearth_llm *llm, const char *prompt,
			 size_t len, int *n)
{
	const struct hearth_chat_message m[2] = {
		{ "system", a->system }, { "user", a->ask },
	};
	int32_t *ids = NULL;

	for (size_t cap = 0; ; cap = *n) {
		*n = a->ask ? hearth_llm_chat_format(llm, &a->format, m + !a->system,
						     1 + !!a->system, ids, cap) :
			      hearth_llm_tokenize(llm, prompt, len, true, ids, cap);
		if (*n < 0) {
			fail("%s", a->model);
			hint_template(a->ask ? *n : 0);
		} else if (!*n) {
			fprintf(stderr, "hearth: this model cannot begin with nothing: give --prompt\n");
		}
		if (ids || *n <= 0)
			break;
		ids = calloc(*n, sizeof(*ids));
		if (!ids)
			break;
	}
	if (ids && *n > 0)
		return ids;
	free(ids);
	return NULL;
}

/* Returns the number of tokens; 0 after a message. */
static size_t feed_prompt(const struct run_args *a, struct hearth_llm *llm, const char *prompt,
			  size_t len, uint32_t n_ctx)
{
	int n;
	int32_t *ids = make_ids(a, llm, prompt, len, &n);

	if (ids && (uint32_t)n > n_ctx) {
		fprintf(stderr, "hearth: the prompt has %d tokens, the context %u: give a larger --context or a shorter prompt\n",
			n, n_ctx);
		n = 0;
	} else if (ids && hearth_llm_eval(llm, ids, n, NULL)) {
		fail("prompt of %d tokens", n);
		n = 0;
	}
	if (!ids)
		n = 0;
	free(ids);
	return n;
}

static void print_model(const struct hearth_llm_info *i, struct hearth_llm *llm,
			const struct hearth_device *dev)
{
	struct hearth_device_info d = { .sz = sizeof(d) };
	struct hearth_program_info p = { .sz = sizeof(p) };

	hearth_device_get_info(dev, &d);
	hearth_program_get_info(hearth_llm_program(llm), &p);
	fprintf(stderr, "model:   %s (%s), %u layers, context %u\n", i->name,
		i->arch, i->n_layer, i->n_ctx);
	fprintf(stderr, "memory:  weights %llu bytes (%s, %s), KV %s%s%s, activations %s\n",
		(unsigned long long)i->weights_bytes, human_bytes(i->weights_bytes),
		p.weights_shared ? "shared" : "copied",
		i->kv_step ? human_bytes(i->state_used_bytes) : "", i->kv_step ? " at first, up to " : "",
		human_bytes(i->state_bytes), human_bytes(i->activation_bytes));
	fprintf(stderr, "device:  %s%s%s, CPU kernels %s, %u thread%s\n", d.name,
		d.path ? " " : "", d.path ? d.path : "", d.isa, d.threads,
		d.threads == 1 ? "" : "s");
}

static int stream_text(const struct run_args *a, struct hearth_llm *llm,
		       const char *prompt, size_t len, struct stream *s)
{
	struct speed speed = { 0 };
	double t0 = now_seconds(), t1;
	char text[DIGEST_TEXT];
	int ret;

	speed.prompt = feed_prompt(a, llm, prompt, len, s->n_ctx);
	if (!speed.prompt)
		return 1;
	t1 = now_seconds();
	if (!a->ids && !a->ask)
		fwrite(prompt, 1, len, stdout);
	ret = hearth_llm_generate(llm, &a->gen, put_token, s);
	speed.text_s = now_seconds() - t1;
	if (!a->ids)
		putchar('\n');
	if (ret)
		return ret == -EIO && ferror(stdout) ? 1 : fail("%s", a->model);
	fflush(stdout);
	if (s->end == HEARTH_LLM_END_LENGTH && s->tokens != a->gen.max_tokens)
		fprintf(stderr, "hearth: the context of %u tokens is full: the text ends here\n",
			s->n_ctx);
	/* the first token comes with the prompt: it took no step of its own */
	speed.prompt_s = t1 - t0;
	speed.text = s->tokens;
	speed.steps = s->tokens - 1;
	if (!a->quiet)
		print_speed(&speed);
	if (a->digest)
		fprintf(stderr, "digest:  %s\n", digest_text(&s->digest, text));
	return 0;
}

/* The text to go on from; that of a file is read before the model is opened. */
static int run_text(const struct run_args *a, struct hearth_llm *llm, const char *from_file,
		    size_t len, struct stream *s)
{
	const char *prompt = from_file ? from_file : a->prompt ? a->prompt : "";

	return stream_text(a, llm, prompt, from_file ? len : strlen(prompt), s);
}

static int run_model(const struct run_args *a, const char *from_file, size_t len,
		     struct hearth_device *dev)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	struct stream s = { .args = a };
	struct hearth_llm *llm;
	int ret;

	if (hearth_llm_open(a->model, dev, &a->llm, &llm))
		return fail_model(a->model);
	hearth_llm_get_info(llm, &info);
	s.n_vocab = info.n_vocab;
	s.n_ctx = info.n_ctx;
	digest_init(&s.digest);
	if (!a->quiet) {
		print_model(&info, llm, dev);
		print_engines(hearth_llm_program(llm));
	}
	ret = a->chat ? talk(a, llm) : run_text(a, llm, from_file, len, &s);
	hearth_llm_close(llm);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct run_args a = {
		.format = { .sz = sizeof(a.format) },
		.gen = { .sz = sizeof(a.gen) },
		.llm = { .sz = sizeof(a.llm) },
		.keep = { .sz = sizeof(a.keep) },
	};
	struct hearth_device *dev;
	char *text = NULL;
	size_t len = 0;
	int ret = 1;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.llm.model = &a.keep;
	if (a.file) {
		text = read_text(a.file, &len);
		if (!text)
			return 1;
	}
	dev = open_device(&a.device);
	if (dev) {
		ret = run_model(&a, text, len, dev);
		hearth_device_close(dev);
	}
	free(text);
	return ret;
}
