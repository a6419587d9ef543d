// SPDX-License-Identifier: MIT
/*
 * Two processes over one model, for tests/e2e/resident: prints what the driver
 * tells at each step as "NAME VALUE" lines.
 *
 *	resident_run MODEL.gguf OTHER.gguf
 *
 * Needs root: it changes the device's budget.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hearth.h"

#define TOKENS	8

static const char *path;

struct open_model {
	struct hearth_device *dev;
	struct hearth_llm *llm;
	struct hearth_model *model;
};

static void need(int ret, const char *what)
{
	if (!ret)
		return;
	printf("error %s: %s\n", what, hearth_errmsg());
	exit(1);
}

__attribute__((format(printf, 2, 3)))
static void say(uint64_t value, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(" %llu\n", (unsigned long long)value);
	fflush(stdout);
}

static void open_model(struct open_model *m, const char *name)
{
	HEARTH_OPTS(hearth_model_opts, keep, .name = name, .keep_alive_ns = HEARTH_KEEP_FOREVER);
	HEARTH_OPTS(hearth_llm_opts, o, .n_batch = 1, .model = &keep);

	need(hearth_device_open("npu", NULL, &m->dev), "open");
	need(hearth_llm_open(path, m->dev, &o, &m->llm), "model");
	m->model = hearth_llm_model(m->llm);
}

static void close_model(struct open_model *m)
{
	hearth_llm_close(m->llm);
	hearth_device_close(m->dev);
}

/* FNV-1a of the logits after the same tokens from the beginning. */
static uint64_t feed(struct open_model *m)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	uint64_t hash = 0xcbf29ce484222325;
	const unsigned char *p;
	const float *logits;
	int32_t ids[TOKENS];

	for (int k = 0; k < TOKENS; k++)
		ids[k] = 1 + 3 * k;
	need(hearth_llm_get_info(m->llm, &i), "info");
	need(hearth_llm_rewind(m->llm, 0), "rewind");
	need(hearth_llm_eval(m->llm, ids, TOKENS, &logits), "eval");
	p = (const unsigned char *)logits;
	for (size_t k = 0; k < i.n_vocab * sizeof(*logits); k++)
		hash = (hash ^ p[k]) * 0x100000001b3;
	return hash;
}

static uint64_t resident(struct open_model *m)
{
	struct hearth_memory_info i = { .sz = sizeof(i) };

	need(hearth_device_get_memory(m->dev, &i), "memory");
	return i.resident;
}

static void tell_model(struct open_model *m, const char *when)
{
	struct hearth_model_info i = { .sz = sizeof(i) };

	need(hearth_model_get_info(m->model, &i), "model info");
	say(i.state, "%s.state", when);
	say(i.weights_bytes, "%s.weights", when);
	say(i.resident_bytes, "%s.resident", when);
	say(i.state_bytes, "%s.kv", when);
	say(i.sharers, "%s.sharers", when);
	say(i.restored_bytes, "%s.restored", when);
	say(i.restored_ns, "%s.restored_ns", when);
	say(i.dropped_bytes, "%s.dropped", when);
}

static void wait_for(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		exit(1);
}

static void go_on(int fd)
{
	if (write(fd, "x", 1) != 1)
		exit(1);
}

/* The second process: opens when it is told, closes when it is told. */
static void second(int in, int out)
{
	struct open_model m;

	wait_for(in);
	open_model(&m, "second");
	say(feed(&m), "second.digest");
	tell_model(&m, "second");
	go_on(out);
	wait_for(in);
	close_model(&m);
	exit(0);
}

/* Nothing is lost, it is only summed up: what has come so far. */
static uint32_t events(int fd)
{
	struct hearth_model_event e = { .sz = sizeof(e) };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint32_t all = 0;

	while (poll(&p, 1, 0) == 1 && !hearth_model_read_event(fd, &e))
		all |= e.events;
	return all;
}

static void drop_and_restore(struct open_model *m)
{
	uint64_t bytes = 0;
	int fd;

	need(hearth_model_events(m->model, &fd), "events");
	events(fd);
	need(hearth_model_drop(m->model, HEARTH_DROP_CACHE, &bytes), "drop");
	say(bytes, "drop.bytes");
	tell_model(m, "drop");
	say(resident(m), "drop.memory");
	say(events(fd), "drop.events");
	say(feed(m), "again.digest");
	tell_model(m, "again");
	say(resident(m), "again.memory");
	say(events(fd), "again.events");
	close(fd);
}

__attribute__((format(printf, 2, 3)))
static void run_tool(const char *what, const char *fmt, ...)
{
	char args[400], command[512];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	printf("begin %s\n", what);
	fflush(stdout);
	snprintf(command, sizeof(command), "hearth %s 2>&1", args);
	status = system(command);
	printf("end %s\n", what);
	say(WIFEXITED(status) ? WEXITSTATUS(status) : 255, "%s.status", what);
}

static void set_budget(uint64_t bytes)
{
	FILE *f = fopen("/sys/class/accel/accel0/device/hearth/memory_budget", "w");

	if (!f || fprintf(f, "%llu\n", (unsigned long long)bytes) < 0 || fclose(f)) {
		perror("memory_budget");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int down[2], up[2];
	struct open_model m;
	pid_t child;

	if (argc != 3 || pipe(down) || pipe(up))
		return 2;
	path = argv[1];
	child = fork();
	if (!child)
		second(down[0], up[1]);
	open_model(&m, "first");
	say(resident(&m), "open.memory");
	say(feed(&m), "first.digest");
	tell_model(&m, "first");
	say(resident(&m), "first.memory");
	go_on(down[1]);
	wait_for(up[0]);
	say(resident(&m), "both.memory");
	tell_model(&m, "both");
	run_tool("ps", "ps");
	run_tool("json", "ps --json");
	run_tool("top", "top -s 0.2");
	run_tool("admit", "admit %s", path);
	go_on(down[1]);
	waitpid(child, NULL, 0);
	tell_model(&m, "alone");
	drop_and_restore(&m);
	/* the other model fits beside this one's cache, not beside its weights */
	set_budget(10 << 20);
	run_tool("displace", "admit %s", argv[2]);
	run_tool("dearer", "admit %s --class droppable", argv[2]);
	close_model(&m);
	set_budget(4 << 20);
	run_tool("never", "admit %s", path);
	run_tool("refused", "run -p x %s", path);
	return 0;
}
