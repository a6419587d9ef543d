// SPDX-License-Identifier: MIT
/* hearth bench MODEL.gguf: how fast a model is, and how near to what the machine can do. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench.h"
#include "tools/tool.h"

#define FIRST_TOKEN_SECONDS	300
/* Tokens that are drawn: behind the special ones, as far as the vocabulary goes. */
#define FIRST_ID	3u
#define DRAM_EVERY_SECONDS	.25

struct bench_args {
	struct device_args device;
	const char *model;
	uint32_t prefill[BENCH_MAX_PREFILLS];	/* tokens; n_prefill of them */
	unsigned int n_prefill;
	uint32_t decode;
	unsigned int reps;
	struct hearth_llm_opts llm;
	bool json, machine_only, no_machine, no_first;
};

enum {
	OPT_JSON = 256,
	OPT_MACHINE,
	OPT_NO_MACHINE,
	OPT_NO_FIRST,
};

static const struct argp_option options[] = {
	{ "prefill", 'p', "N[,N...]", 0, "prompt tokens; 0: no prefill (default: 512)", 0 },
	{ "decode", 'n', "N", 0, "tokens made one by one; 0: none (default: 64)", 0 },
	{ "reps", 'r', "N", 0, "how often each is measured (default: 3)", 0 },
	{ "batch", 'b', "N", 0, "prompt tokens per step (default: the library's)", 1 },
	{ "json", OPT_JSON, NULL, 0, "JSON in place of the table", 2 },
	{ "machine", OPT_MACHINE, NULL, 0, "the machine's limits alone; takes no MODEL", 2 },
	{ "no-machine", OPT_NO_MACHINE, NULL, 0, "do not measure the machine's limits", 2 },
	{ "no-first-token", OPT_NO_FIRST, NULL, 0, "do not start a process to time its first token", 2 },
	{ 0 }
};

static void parse_prefill(struct argp_state *state, char *arg, struct bench_args *a)
{
	char *part, *save = NULL;

	a->n_prefill = 0;
	for (part = strtok_r(arg, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		if (a->n_prefill == BENCH_MAX_PREFILLS)
			argp_error(state, "--prefill: at most %d numbers are possible", BENCH_MAX_PREFILLS);
		a->prefill[a->n_prefill] = parse_number(state, "prefill", part, 0, 1u << 20);
		if (a->prefill[a->n_prefill])
			a->n_prefill++;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		break;
	case 'p':
		parse_prefill(state, arg, a);
		break;
	case 'n':
		a->decode = parse_number(state, "decode", arg, 0, 1u << 20);
		break;
	case 'r':
		a->reps = parse_number(state, "reps", arg, 1, BENCH_MAX_REPS);
		break;
	case 'b':
		a->llm.n_batch = parse_number(state, "batch", arg, 1, 1024);
		break;
	case OPT_JSON:
		a->json = true;
		break;
	case OPT_MACHINE:
		a->machine_only = true;
		break;
	case OPT_NO_MACHINE:
		a->no_machine = true;
		break;
	case OPT_NO_FIRST:
		a->no_first = true;
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_usage(state);
		a->model = arg;
		break;
	case ARGP_KEY_END:
		if (!a->model == !a->machine_only)
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
	.doc = "Measure prefill, decode and the time to the first token of a GGUF model, "
	       "and this machine's limits.",
	.children = device_children,
};

static int add_matmul(const struct hearth_op_report *op, void *arg)
{
	struct bench_result *r = arg;

	if (strcmp(op->op, "matmul"))
		return 0;
	r->decode_bytes += op->bytes;
	r->decode_macs += op->macs;
	r->head_macs = op->macs;	/* the last one stays */
	return 0;
}

static void draw_ids(const struct bench_result *r, uint32_t *state, int32_t *ids, uint32_t n)
{
	uint32_t first = r->model.n_vocab > 2 * FIRST_ID ? FIRST_ID : 0;

	for (uint32_t i = 0; i < n; i++) {
		*state = *state * 1664525u + 1013904223u;
		ids[i] = first + (*state >> 8) % (r->model.n_vocab - first);
	}
}

/* One pass; its speed, or a negative value after a message. */
static double prefill(struct hearth_llm *llm, const int32_t *ids, uint32_t n)
{
	double t;

	hearth_llm_rewind(llm, 0);
	t = now_seconds();
	if (hearth_llm_eval(llm, ids, n, NULL)) {
		fail("prefill of %u tokens", n);
		return -1;
	}
	return n / (now_seconds() - t);
}

/* Tokens from *@at on, up to @n, until @seconds have passed; the time, or a negative value. */
static double decode_part(struct hearth_llm *llm, const int32_t *ids, uint32_t *at, uint32_t n,
			  double seconds)
{
	double start = now_seconds(), t = 0;

	while (*at < n && t < seconds) {
		if (hearth_llm_eval(llm, &ids[*at], 1, NULL)) {
			fail("decode of token %u", *at);
			return -1;
		}
		++*at;
		t = now_seconds() - start;
	}
	return t;
}

/*
 * One pass, as above. The memory's other users may come and go within a second, so what DRAM
 * gives is measured between the tokens as well: @dram_gbs is the mean over the pass. The
 * measurements are not part of its time.
 */
static double decode(struct hearth_llm *llm, const int32_t *ids, uint32_t n,
		     struct machine_probe *probe, double *dram_gbs)
{
	double seconds = 0, bytes = 0, now = 0, before, t;
	uint32_t at = 0;

	hearth_llm_rewind(llm, 0);
	if (probe)
		now = machine_measure_dram(probe);
	while (at < n) {
		t = decode_part(llm, ids, &at, n, probe ? DRAM_EVERY_SECONDS : INFINITY);
		if (t < 0)
			return -1;
		before = now;
		if (probe)
			now = machine_measure_dram(probe);
		bytes += t * (before + now) / 2;
		seconds += t;
	}
	*dram_gbs = bytes / seconds;
	return n / seconds;
}

static int measure(const struct bench_args *a, struct hearth_llm *llm, struct machine_probe *probe,
		   struct bench_result *r, struct bench_series *s, int32_t *ids)
{
	uint32_t state = 1;

	for (unsigned int i = 0; i < a->reps; i++) {
		draw_ids(r, &state, ids, s->tokens);
		s->speed[s->n] = s->prefill ? prefill(llm, ids, s->tokens) :
				 decode(llm, ids, s->tokens, probe, &s->dram_gbs[s->n]);
		if (s->speed[s->n++] < 0)
			return 1;
	}
	return 0;
}

static uint32_t most_tokens(const struct bench_args *a)
{
	uint32_t n = a->decode;

	for (unsigned int i = 0; i < a->n_prefill; i++)
		n = a->prefill[i] > n ? a->prefill[i] : n;
	return n;
}

static int measure_all(const struct bench_args *a, struct hearth_llm *llm,
		       struct machine_probe *probe, struct bench_result *r)
{
	uint32_t most = most_tokens(a), state = 7;
	int32_t *ids = calloc(most ? most : 1, sizeof(*ids));
	double unused;
	int ret = 0;

	if (!ids)
		return fail("no memory for %u tokens", most);
	/* The first pass reads the file's pages in: it is not measured. */
	if (most) {
		draw_ids(r, &state, ids, 1);
		ret = decode(llm, ids, 1, NULL, &unused) < 0;
	}
	for (unsigned int i = 0; i < a->n_prefill + !!a->decode && !ret; i++) {
		struct bench_series *s = &r->series[r->n_series++];

		s->prefill = i < a->n_prefill;
		s->tokens = s->prefill ? a->prefill[i] : a->decode;
		ret = measure(a, llm, probe, r, s, ids);
	}
	free(ids);
	return ret;
}

static int open_and_measure(const struct bench_args *a, struct hearth_device *dev,
			    struct machine_probe *probe, struct bench_result *r)
{
	struct hearth_llm_opts o = a->llm;
	double t = now_seconds();
	struct hearth_llm *llm;
	int ret;

	r->path = a->model;
	o.n_ctx = most_tokens(a);
	if (hearth_llm_open(a->model, dev, &o, &llm))
		return fail("cannot open the model");
	r->open_s = now_seconds() - t;
	r->model.sz = sizeof(r->model);
	ret = hearth_llm_get_info(llm, &r->model) ||
	      hearth_program_explain(hearth_llm_program(llm), add_matmul, r);
	if (ret)
		ret = fail("%s", a->model);
	else
		ret = measure_all(a, llm, probe, r);
	/* While the model's own mapping keeps the pages where they are. */
	if (!ret && probe) {
		ret = machine_measure_file(probe, a->model, &r->machine);
		if (ret)
			ret = fail("cannot measure how fast %s is read: %s", a->model,
				   strerror(-ret));
	}
	/* They are the model's strings. */
	r->model.name = strdup(r->model.name ? r->model.name : "");
	r->model.arch = strdup(r->model.arch ? r->model.arch : "");
	hearth_llm_close(llm);
	return ret;
}

/* Seconds until @fd has something to read; negative if nothing came. */
static double until_readable(int fd, double start)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	if (poll(&p, 1, FIRST_TOKEN_SECONDS * 1000) != 1 || read(fd, &c, 1) != 1)
		return -1;
	return now_seconds() - start;
}

/* As a user sees it: from exec of `hearth run' to the first token that it prints. */
static int first_token(const struct bench_args *a, const struct bench_result *r, double *seconds)
{
	char threads[16];
	char *argv[] = { "hearth", "run", (char *)a->model, "-p", "a", "-n", "1", "--ids", "-q",
			 "--ignore-eos", "-d", (char *)r->device.name, "-t", threads, "-i",
			 (char *)r->device.isa, NULL };
	posix_spawn_file_actions_t fa;
	double start = now_seconds();
	int fds[2], status, err;
	pid_t pid;

	snprintf(threads, sizeof(threads), "%u", r->device.threads);
	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fds[1], STDOUT_FILENO);
	err = posix_spawn(&pid, "/proc/self/exe", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fds[1]);
	*seconds = err ? -1 : until_readable(fds[0], start);
	close(fds[0]);
	if (!err)
		waitpid(pid, &status, 0);
	return *seconds > 0 ? 0 : fail("hearth run printed no token");
}

/* @probe NULL: without the machine's limits. */
static int bench(const struct bench_args *a, struct hearth_device *dev, struct machine_probe *probe,
		 struct bench_result *r)
{
	int ret = 0;

	if (probe) {
		machine_measure(probe, r->device.isa, &r->machine);
		r->has_machine = true;
	}
	if (a->machine_only)
		return bench_print_machine(&r->machine, a->json);
	ret = open_and_measure(a, dev, probe, r);
	if (!ret && !a->no_first)
		ret = first_token(a, r, &r->first_s);
	return ret ? ret : bench_print(r, a->json);
}

int cmd_bench(int argc, char **argv)
{
	struct bench_args a = {
		.prefill = { 512 },
		.n_prefill = 1,
		.decode = 64,
		.reps = 3,
		.llm = { .sz = sizeof(a.llm) },
	};
	struct bench_result *r = calloc(1, sizeof(*r));
	struct machine_probe *probe = NULL;
	struct hearth_device *dev;
	int ret = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	dev = r ? open_device(&a.device) : NULL;
	if (!dev) {
		free(r);
		return 1;
	}
	r->device.sz = sizeof(r->device);
	hearth_device_get_info(dev, &r->device);
	if (a.machine_only || !a.no_machine)
		ret = machine_probe_open(r->device.threads, &probe);
	if (ret)
		ret = fail("cannot measure the machine: %s", strerror(-ret));
	else
		ret = bench(&a, dev, probe, r);
	machine_probe_close(probe);
	hearth_device_close(dev);
	free((char *)r->model.name);
	free((char *)r->model.arch);
	free(r);
	return ret;
}
