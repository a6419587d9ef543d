// SPDX-License-Identifier: MIT
/* hearth admit MODEL: would it fit? The status tells scripts. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/tool.h"

/* Exit status by verdict; 1 and 2 are errors of other kinds */
static const int status_of[] = {
	[HEARTH_ADMIT_NOW] = 0,
	[HEARTH_ADMIT_AFTER_DROP] = 3,
	[HEARTH_ADMIT_WAIT] = 4,
	[HEARTH_ADMIT_NEVER] = 5,
};

static const char *const verdict_names[] = {
	[HEARTH_ADMIT_NOW] = "now",
	[HEARTH_ADMIT_AFTER_DROP] = "after dropping",
	[HEARTH_ADMIT_WAIT] = "wait",
	[HEARTH_ADMIT_NEVER] = "never",
};

struct admit_args {
	struct device_args device;
	const char *model;
	struct hearth_llm_opts llm;
	struct hearth_model_opts keep;
	unsigned long wait_s;
};

enum {
	OPT_KV = 256,
	OPT_BATCH,
	OPT_CLASS,
	OPT_WAIT,
};

static const struct argp_option options[] = {
	{ "context", 'c', "N", 0, "positions of the KV cache (default: the model's, at most 4096)", 0 },
	{ "ctx", 0, NULL, OPTION_ALIAS, NULL, 0 },
	{ "kv", OPT_KV, "TYPE", 0, "type of the KV cache: f16 (default), f32 or q8_0", 0 },
	{ "batch", OPT_BATCH, "N", 0, "prompt tokens of the largest step", 0 },
	{ "class", OPT_CLASS, "NAME", 0, "droppable, normal (default), protected or pinned", 0 },
	{ "wait", OPT_WAIT, "SECONDS", 0, "wait so long for others to make room (NPU)", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct admit_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case 'c':
		a->llm.n_ctx = parse_number(state, "context", arg, 1, 1u << 24);
		return 0;
	case OPT_KV:
		a->llm.kv_type = parse_kv(state, arg);
		return 0;
	case OPT_BATCH:
		a->llm.n_batch = parse_number(state, "batch", arg, 1, 1024);
		return 0;
	case OPT_CLASS:
		parse_class(state, arg, &a->keep);
		return 0;
	case OPT_WAIT:
		a->wait_s = parse_number(state, "wait", arg, 0, 1u << 24);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "one model is asked for at a time: '%s' is one too many", arg);
		a->model = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which model? A GGUF file is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "MODEL.gguf",
	.doc = "Tell whether a model could be opened, with the first step of its KV cache, and whom it would drive out; "
	       "and whether it fits with all of its KV cache."
	       "\v"
	       "Exit status: 0 it fits now, 3 after dropping others, 4 not now, 5 never on this device or for "
	       "this user; 1 and 2 mean that nobody could tell.",
	.children = device_children,
};

static int print_victim(const struct hearth_model_info *m, void *arg)
{
	bool *first = arg;

	printf("%s  %-28s uid %u pid %u, %s, %s resident, KV %s\n", *first ? "models  " : "        ",
	       m->name[0] ? m->name : "another user's", m->uid, m->pid, hearth_class_name(m->effective_class),
	       human_bytes(m->resident_bytes), human_bytes(m->state_bytes));
	*first = false;
	return 0;
}

static void print_answer(const struct hearth_demand *d, const struct hearth_answer *a)
{
	bool grows = d->state_first_bytes < d->state_bytes;

	printf("demand    weights %s, KV %s%s%s, scratch %s\n", human_bytes(d->weights_bytes),
	       grows ? human_bytes(d->state_first_bytes) : "", grows ? " at first, up to " : "",
	       human_bytes(d->state_bytes), human_bytes(d->scratch_bytes));
	printf("needed    %llu bytes (%s)\n", (unsigned long long)a->needed_bytes, human_bytes(a->needed_bytes));
	printf("available %llu bytes now, %llu after dropping\n", (unsigned long long)a->available_bytes,
	       (unsigned long long)a->after_drop_bytes);
	if (a->restore_ns)
		printf("read in   %.2f s, from history\n", a->restore_ns * 1e-9);
	if (a->estimated)
		printf("no driver keeps the books: an estimate of the kernel's\n");
	printf("verdict   %s: %s\n", verdict_names[a->verdict], a->text);
}

/* Does it fit when its KV cache is full? */
static void print_whole(struct hearth_device *dev, const struct hearth_demand *d)
{
	struct hearth_answer a = { .sz = sizeof(a) };

	if (d->state_first_bytes >= d->state_bytes || hearth_admit(dev, d, NULL, &a) ||
	    a.verdict > HEARTH_ADMIT_NEVER)
		return;
	printf("full      %s, with all of its KV cache: %s\n", verdict_names[a.verdict], a.text);
}

static int ask(const struct admit_args *a, struct hearth_device *dev)
{
	struct hearth_demand whole = { .sz = sizeof(whole) }, d;
	struct hearth_answer answer = { .sz = sizeof(answer) };
	bool first = true;
	HEARTH_OPTS(hearth_admit_opts, o, .wait_ns = a->wait_s * 1000000000ull, .victim = print_victim,
		    .arg = &first);
	int fd, ret;

	if (hearth_llm_demand(a->model, dev, &a->llm, &whole, &fd))
		return fail_model(a->model);
	/* as hearth_llm_open() asks */
	d = whole;
	d.state_bytes = d.state_first_bytes;
	ret = hearth_admit(dev, &d, &o, &answer);
	if (!ret && answer.verdict <= HEARTH_ADMIT_NEVER) {
		print_answer(&whole, &answer);
		print_whole(dev, &whole);
	}
	close(fd);
	if (ret)
		return fail("cannot tell");
	if (answer.verdict > HEARTH_ADMIT_NEVER)
		return fail("the driver gave a verdict that is not known");
	return status_of[answer.verdict];
}

int cmd_admit(int argc, char **argv)
{
	struct admit_args a = {
		.llm = { .sz = sizeof(a.llm) },
		.keep = { .sz = sizeof(a.keep) },
	};
	struct hearth_device *dev;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	a.llm.model = &a.keep;
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	ret = ask(&a, dev);
	hearth_device_close(dev);
	return ret;
}
