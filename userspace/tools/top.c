// SPDX-License-Identifier: MIT
/* hearth top: who uses the NPU and its memory, again and again. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "tools/tool.h"
#include "tools/usage.h"

struct top_args {
	struct device_args device;
	double seconds;
	unsigned long rounds;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case 's':
		a->seconds = parse_float(state, "seconds", arg, 0.1f, 3600);
		return 0;
	case 'n':
		a->rounds = parse_number(state, "rounds", arg, 1, 1u << 30);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "seconds", 's', "S", 0, "time between two looks (default: 1)", 0 },
	{ "rounds", 'n', "N", 0, "end after N of them (default: at q, in a pipe 1)", 0 },
	{ 0 }
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Watch who uses the NPU and its memory. Ends at q. In a pipe it prints plain text, once unless told "
	       "otherwise.",
	.children = device_children,
};

/* What was seen, and when */
struct look {
	struct usage list[USAGE_MAX];
	size_t n;
	double at;
};

static void take_look(struct look *l)
{
	l->n = usage_read("/proc", l->list, USAGE_MAX);
	l->at = now_seconds();
}

/* Percent of one slot since the last look; of a newcomer 0. */
static double busy(const struct look *now, const struct look *last, const struct usage *u)
{
	for (size_t i = 0; i < last->n; i++) {
		const struct usage *old = &last->list[i];

		if (old->client == u->client && old->pid == u->pid && now->at > last->at &&
		    u->busy_ns >= old->busy_ns)
			return (u->busy_ns - old->busy_ns) * 1e-7 / (now->at - last->at);
	}
	return 0;
}

static void print_clients(const struct look *now, const struct look *last)
{
	printf("%7s %-16s %6s %10s %10s %10s %10s\n", "PID", "COMMAND", "NPU %", "TOTAL", "SHARED", "RESIDENT",
	       "PURGEABLE");
	for (size_t i = 0; i < now->n; i++) {
		const struct usage *u = &now->list[i];

		printf("%7u %-16.16s %6.1f %10s", u->pid, u->command, busy(now, last, u), human_bytes(u->total));
		printf(" %10s %10s %10s\n", human_bytes(u->shared), human_bytes(u->resident),
		       human_bytes(u->purgeable));
	}
	if (!now->n)
		printf("        nobody has it open, as far as this user may see\n");
}

static int print_model(const struct hearth_model_info *m, void *arg)
{
	unsigned int *n = arg;

	if (!(*n)++)
		printf("\n%7s %-28s %-9s %-9s %10s %10s\n", "PID", "MODEL", "STATE", "CLASS", "RESIDENT", "OF");
	printf("%7u %-28.28s %-9s %-9s %10s %10s\n", m->pid, m->name[0] ? m->name : "-",
	       hearth_model_state_name(m->state), hearth_class_name(m->effective_class),
	       human_bytes(m->resident_bytes), human_bytes(m->weights_bytes));
	return 0;
}

static void print_look(struct hearth_device *dev, const struct look *now, const struct look *last)
{
	struct hearth_device_info d = { .sz = sizeof(d) };
	unsigned int n = 0;

	hearth_device_get_info(dev, &d);
	printf("device   %s%s%s\n", d.name, d.path ? " " : "",
	       d.path ? d.path : ": no NPU, these are the processes that have GGUF files mapped");
	print_device_memory(dev);
	if (d.path) {
		putchar('\n');
		print_clients(now, last);
	}
	/* with an old driver there are none to be listed */
	hearth_model_list(dev, print_model, &n);
	fflush(stdout);
}

/* Returns true at q, at the end of input, or when nobody reads any more. */
static bool wait_for_key(double seconds, bool keys)
{
	struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	double end = now_seconds() + seconds;
	char c;

	for (double left = seconds; left > 0; left = end - now_seconds()) {
		if (poll(&p, 1, left * 1000 + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &c, 1) != 1 || c == 'q' || c == 'Q')
			return true;
	}
	return ferror(stdout);
}

static void watch(const struct top_args *a, struct hearth_device *dev, bool screen, bool keys)
{
	struct look *look = calloc(2, sizeof(*look));
	unsigned long left = a->rounds;

	if (!look)
		return;
	/* a share of time needs two looks */
	take_look(&look[0]);
	for (unsigned int turn = 1; !wait_for_key(a->seconds, keys); turn ^= 1) {
		take_look(&look[turn]);
		if (screen)
			fputs("\033[H\033[J", stdout);
		print_look(dev, &look[turn], &look[turn ^ 1]);
		if (left && !--left)
			break;
	}
	free(look);
}

int cmd_top(int argc, char **argv)
{
	struct top_args a = { .seconds = 1 };
	bool screen = isatty(STDOUT_FILENO), keys = screen && isatty(STDIN_FILENO);
	struct hearth_device *dev;
	struct termios old, raw;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!screen && !a.rounds)
		a.rounds = 1;
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	keys = keys && !tcgetattr(STDIN_FILENO, &old);
	if (keys) {
		raw = old;
		raw.c_lflag &= ~(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	watch(&a, dev, screen, keys);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &old);
	hearth_device_close(dev);
	return 0;
}
