// SPDX-License-Identifier: MIT
/*
 * The life of a phone: programs that share a large model, an app that wants all
 * the memory there is, a prompt after it.
 */
#include <argp.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hearth.h>

#include "child.h"
#include "meter.h"
#include "roles.h"
#include "watch.h"

#define MAX_CLIENTS	8
#define OPENS		5
/* Of what is opened to be timed: the model, not a KV cache. */
#define OPEN_CONTEXT	32
/* Enough for a prompt, and what any small model was trained for. */
#define SMALL_CONTEXT	256
#define RESTORES	3
/* How often caches are dropped until nothing of the weights is resident. */
#define DROPS		16
/* So many that the NPU has work for as long as the large model's few give it. */
#define SMALL_TOKENS	64
#define DIGEST		80
/* What the app in the foreground maps, touches and unmaps. */
#define CHUNK		(64 * MIB)
#define ANSWER_SECONDS	900
/* The driver's default, half of memory, is too little for a 7B model on 8 GB. */
#define BUDGET_FILE	"/sys/bus/pci/drivers/hearth/*/hearth/memory_budget"

struct scene {
	const char *device, *model, *small;
	unsigned int clients, context, tokens;
	uint64_t floor, work_bytes;
	double work_seconds;
	struct hearth_device *dev;
	struct hearth_model *weights;
	struct child client[MAX_CLIENTS];
	char digest[MAX_CLIENTS][DIGEST];
};

static const struct argp_option options[] = {
	{ .name = "device", .key = 'd', .arg = "NAME", .doc = "device that the clients use (npu)" },
	{ .name = "model", .key = 'm', .arg = "FILE", .doc = "the large model" },
	{ .name = "small", .key = 's', .arg = "FILE", .doc = "the small model that opening is compared with" },
	{ .name = "clients", .key = 'c', .arg = "N", .doc = "programs that share it (3)" },
	{ .name = "context", .key = 'x', .arg = "N", .doc = "positions of their KV caches (256)" },
	{ .name = "tokens", .key = 't', .arg = "N", .doc = "tokens of a prompt (8)" },
	{ .name = "floor", .key = 'f', .arg = "MIB", .doc = "what the foreground app leaves available (32)" },
	{ .name = "work-mib", .key = 'w', .arg = "MIB", .doc = "what the foreground app holds (what the model leaves)" },
	{ .name = "work-seconds", .key = 'W', .arg = "S", .doc = "how long it works (20)" },
	{ }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct scene *s = state->input;

	switch (key) {
	case 'd': s->device = arg; break;
	case 'm': s->model = arg; break;
	case 's': s->small = arg; break;
	case 'c': s->clients = (unsigned int)atoi(arg); break;
	case 'x': s->context = (unsigned int)atoi(arg); break;
	case 't': s->tokens = (unsigned int)atoi(arg); break;
	case 'f': s->floor = strtoull(arg, NULL, 10) * MIB; break;
	case 'w': s->work_bytes = strtoull(arg, NULL, 10) * MIB; break;
	case 'W': s->work_seconds = atof(arg); break;
	case ARGP_KEY_END:
		if (!s->model || !s->small || !s->clients || s->clients > MAX_CLIENTS)
			argp_error(state, "--model, --small and 1 to %d --clients are needed", MAX_CLIENTS);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static int fail(const char *what, const char *why)
{
	say("{\"error\": \"%s: %s\"}", what, why ? why : "no answer");
	return 1;
}

static struct hearth_model_info weights(struct scene *s)
{
	struct hearth_model_info info = { .sz = sizeof(info) };

	hearth_model_get_info(s->weights, &info);
	return info;
}

/*
 * The KV cache and the activations of a client: as large as the cache may become,
 * which is what the driver counts, and as far as there is memory for it yet.
 */
struct own {
	unsigned long long all, used;
};

/* Starts a client; ns that opening took, or -1. */
static int open_client(struct scene *s, struct child *c, const char *path, unsigned int n_ctx,
		       uint64_t *ns)
{
	char context[16];
	char *argv[] = { "client", (char *)s->device, (char *)path, context, NULL };
	const char *answer;
	unsigned long long a;

	snprintf(context, sizeof(context), "%u", n_ctx);
	if (child_start(c, argv))
		return fail("client", "cannot start");
	answer = child_ask(c, NULL, ANSWER_SECONDS);
	if (!answer || sscanf(answer, "open %llu", &a) != 1)
		return fail("open", answer);
	*ns = a;
	return 0;
}

static int prompt_of(struct child *c, unsigned int tokens, uint64_t *ns, char digest[DIGEST],
		     struct own *own)
{
	unsigned long long a;
	char line[64];
	const char *answer;

	snprintf(line, sizeof(line), "prompt %u", tokens);
	answer = child_ask(c, line, ANSWER_SECONDS);
	if (!answer || sscanf(answer, "prompt %llu %79s %llu %llu", &a, digest, &own->all, &own->used) != 4)
		return fail("prompt", answer);
	*ns = a;
	return 0;
}

static int prompt(struct scene *s, unsigned int i, uint64_t *ns, struct own *own)
{
	return prompt_of(&s->client[i], s->tokens, ns, s->digest[i], own);
}

/* What a program has, by the books of the kernel and of the driver. */
struct books {
	unsigned long long anon, page_tables, driver, npu_tables;
};

static struct books read_books(const struct child *c, uint64_t npu_tables_before)
{
	struct client_usage u;

	read_client(c->pid, &u);
	return (struct books){
		.anon = rollup(c->pid, "Anonymous"),
		.page_tables = page_table_bytes(c->pid),
		.driver = u.private_bytes,
		.npu_tables = npu_table_bytes() - npu_tables_before,
	};
}

/*
 * What each program adds, beyond its KV cache and activations. What became of
 * free memory is told too, but the kernel's own caches come and go in it.
 */
static int share(struct scene *s)
{
	uint64_t base, before, own_sum = 0;
	struct hearth_model_info info = weights(s);

	watch_mark("programs open the model");
	drop_caches();
	base = before = used_bytes();
	for (unsigned int i = 0; i < s->clients; i++) {
		uint64_t ns, prompt_ns, used, tables = npu_table_bytes();
		struct own own;
		struct books b;

		if (open_client(s, &s->client[i], s->model, s->context, &ns) ||
		    prompt(s, i, &prompt_ns, &own))
			return 1;
		b = read_books(&s->client[i], tables);
		used = used_bytes();
		own_sum += own.used;
		say("{\"share\": %u, \"open_ns\": %llu, \"prompt_ns\": %llu, \"own\": %llu, \"own_used\": %llu, \"added\": %llu, "
		    "\"anon\": %llu, \"page_tables\": %llu, \"driver\": %llu, \"npu_tables\": %llu, "
		    "\"added_used\": %lld, \"digest\": \"%s\"}", i, (unsigned long long)ns,
		    (unsigned long long)prompt_ns, own.all, own.used,
		    b.anon + b.page_tables + b.driver + b.npu_tables, b.anon, b.page_tables, b.driver,
		    b.npu_tables, (long long)(used - before), s->digest[i]);
		before = used;
	}
	info = weights(s);
	say("{\"shared\": 1, \"file\": %llu, \"resident\": %llu, \"cached\": %llu, \"used\": %llu, "
	    "\"own\": %llu, \"state\": %d}", (unsigned long long)info.weights_bytes,
	    (unsigned long long)info.resident_bytes, (unsigned long long)cached_bytes(s->model),
	    (unsigned long long)(before - base), (unsigned long long)own_sum, (int)info.state);
	return 0;
}

/* Opening what is in memory already: large and small in turn. */
static int opens(struct scene *s)
{
	struct child c;
	uint64_t big, small, bytes;

	watch_mark("open, large and small");
	read_file(s->small, &bytes);
	for (int i = 0; i < OPENS; i++) {
		if (open_client(s, &c, s->small, OPEN_CONTEXT, &small))
			return 1;
		child_stop(&c);
		if (open_client(s, &c, s->model, OPEN_CONTEXT, &big))
			return 1;
		child_stop(&c);
		say("{\"opened\": %d, \"big_ns\": %llu, \"small_ns\": %llu}", i,
		    (unsigned long long)big, (unsigned long long)small);
	}
	return 0;
}

static int start_app(struct child *app)
{
	char *argv[] = { "app", NULL };
	const char *answer;

	if (child_start(app, argv))
		return fail("app", "cannot start");
	answer = child_ask(app, NULL, 60);
	if (!answer)
		return fail("app", answer);
	watch_app(app->pid);
	return 0;
}

/* Latencies of the app's page faults, in ns. */
struct faults {
	unsigned long long p50, p99, max;
};

static int ask_faults(struct child *app, struct faults *f)
{
	const char *answer = child_ask(app, "stats", ANSWER_SECONDS);

	if (!answer || sscanf(answer, "stats %llu %llu %llu", &f->p50, &f->p99, &f->max) != 3)
		return fail("app", answer);
	return 0;
}

/* What it took; 0 if it could not or was killed. */
static uint64_t take(struct child *app, uint64_t bytes, uint64_t floor)
{
	unsigned long long took;
	char line[64];
	const char *answer;

	snprintf(line, sizeof(line), "take %llu %llu", (unsigned long long)bytes,
		 (unsigned long long)floor);
	answer = child_ask(app, line, ANSWER_SECONDS);
	return answer && sscanf(answer, "took %llu", &took) == 1 ? took : 0;
}

/*
 * Takes memory until the phone is full: nothing droppable is left, or the app is
 * killed. In large steps while there is plenty.
 */
static uint64_t fill(struct scene *s, struct child *app, uint64_t enough)
{
	uint64_t sum = 0, step = 1;
	struct meminfo m;

	while (step && weights(s).resident_bytes > enough) {
		read_meminfo(&m);
		step = take(app, m.available > m.total / 8 ? 64 * MIB : 8 * MIB, 0);
		sum += step;
	}
	return sum;
}

/* The app takes all there is; then a prompt. */
static int pressure(struct scene *s)
{
	struct hearth_model_info before = weights(s), after;
	uint64_t oom = vmstat("oom_kill"), ns, took;
	struct faults f;
	struct own own;
	struct child app;
	int ret = 1;

	watch_mark("the app takes its memory");
	if (start_app(&app))
		return 1;
	ns = now_ns();
	took = fill(s, &app, before.resident_bytes / 50);
	ns = now_ns() - ns;
	after = weights(s);
	if (!ask_faults(&app, &f)) {
		say("{\"pressure\": 1, \"before\": %llu, \"after\": %llu, \"dropped\": %llu, \"app\": %llu, "
		    "\"app_ns\": %llu, \"p50\": %llu, \"p99\": %llu, \"max\": %llu, \"oom\": %llu}",
		    (unsigned long long)before.resident_bytes,
		    (unsigned long long)after.resident_bytes,
		    (unsigned long long)(after.dropped_bytes - before.dropped_bytes),
		    (unsigned long long)took, (unsigned long long)ns, f.p50, f.p99, f.max,
		    (unsigned long long)(vmstat("oom_kill") - oom));
		ret = 0;
	}
	watch_mark("the app ends");
	child_stop(&app);
	watch_app(0);
	if (ret)
		return ret;
	watch_mark("a prompt after it");
	if (prompt(s, 0, &ns, &own))
		return 1;
	say("{\"again\": 1, \"prompt_ns\": %llu, \"digest\": \"%s\"}", (unsigned long long)ns,
	    s->digest[0]);
	return 0;
}

/*
 * The reclaim that this begins only tries locks, so it may leave something. What
 * is left is not dropped by the model's own call: the clients still want it.
 */
static void drop_weights(struct scene *s)
{
	for (int i = 0; i < DROPS && (!i || weights(s).resident_bytes); i++)
		drop_caches();
}

/* Restores against plain reads of the same file, in turn, each from the disk. */
static int restores(struct scene *s)
{
	for (int i = 0; i < RESTORES; i++) {
		struct hearth_model_info before, after;
		uint64_t bytes, plain, ns;
		struct own own;

		watch_mark("a plain read, a restore");
		drop_weights(s);
		plain = read_file(s->model, &bytes);
		drop_weights(s);
		before = weights(s);
		if (prompt(s, 0, &ns, &own))
			return 1;
		after = weights(s);
		say("{\"restore\": %d, \"plain_bytes\": %llu, \"plain_ns\": %llu, \"bytes\": %llu, \"ns\": %llu, "
		    "\"prompt_ns\": %llu, \"left\": %llu, \"digest\": \"%s\"}", i, (unsigned long long)bytes,
		    (unsigned long long)plain,
		    (unsigned long long)(after.restored_bytes - before.restored_bytes),
		    (unsigned long long)(after.restored_ns - before.restored_ns),
		    (unsigned long long)ns, (unsigned long long)before.resident_bytes,
		    s->digest[0]);
	}
	return 0;
}

/* Who else is there while the app in the foreground works. */
enum company {
	ALONE,
	PROMPTS,	/* of the large model */
	SAME_CPU,	/* of the small one: the NPU as busy, hardly any memory */
	COMPANIES,
};

static const char *const company_name[] = {
	[ALONE] = "alone", [PROMPTS] = "with prompts", [SAME_CPU] = "with the small model's prompts",
};

/* Prompts of one client, and whether all of them had the same logits. */
struct prompts {
	uint64_t n, longest_ns;
	char digest[DIGEST];
	bool equal;
};

/* Prompts, one after the other, for so long. */
static int keep_prompting(struct child *c, unsigned int tokens, uint64_t end, struct prompts *p)
{
	char digest[DIGEST];
	struct own own;
	uint64_t ns;

	while (now_ns() < end) {
		if (prompt_of(c, tokens, &ns, digest, &own))
			return 1;
		if (!p->n++)
			memcpy(p->digest, digest, sizeof(digest));
		p->equal = p->equal && !strcmp(p->digest, digest);
		p->longest_ns = ns > p->longest_ns ? ns : p->longest_ns;
	}
	return 0;
}

static int foreground_once(struct scene *s, struct child *app, struct child *small,
			   enum company company)
{
	struct child *c = company == SAME_CPU ? small : &s->client[0];
	uint64_t oom = vmstat("oom_kill"), start = now_ns();
	uint64_t end = start + (uint64_t)(s->work_seconds * 1e9);
	uint64_t restored = weights(s).restored_bytes;
	struct client_usage before, after;
	struct prompts p = { .equal = true };
	unsigned long long bytes;
	struct faults f;
	const char *answer;
	char line[64];

	snprintf(line, sizeof(line), "work %.1f %llu", s->work_seconds, CHUNK);
	if (!child_tell(app, line))
		return fail("app", "gone");
	read_client(c->pid, &before);
	if (company != ALONE &&
	    keep_prompting(c, company == SAME_CPU ? SMALL_TOKENS : s->tokens, end, &p))
		return 1;
	answer = child_ask(app, NULL, ANSWER_SECONDS);
	if (!answer || sscanf(answer, "worked %llu", &bytes) != 1)
		return fail("app", answer);
	read_client(c->pid, &after);
	if (ask_faults(app, &f))
		return 1;
	say("{\"foreground\": %d, \"prompts\": %llu, \"longest_ns\": %llu, \"equal\": %s, \"digest\": \"%s\", "
	    "\"bytes\": %llu, \"p50\": %llu, \"p99\": %llu, \"max\": %llu, \"npu_busy\": %.3f, "
	    "\"restored\": %llu, \"oom\": %llu}", company, (unsigned long long)p.n,
	    (unsigned long long)p.longest_ns, p.equal ? "true" : "false", p.digest, bytes, f.p50, f.p99, f.max,
	    (double)(after.busy_ns - before.busy_ns) / (double)(now_ns() - start),
	    (unsigned long long)(weights(s).restored_bytes - restored),
	    (unsigned long long)(vmstat("oom_kill") - oom));
	return 0;
}

/*
 * So much that the whole model still fits beside it: what is available, which the
 * weights are counted in, less them, a chunk, and a little for the system.
 */
static uint64_t foreground_bytes(struct scene *s)
{
	uint64_t others = weights(s).weights_bytes + CHUNK;
	struct meminfo m;

	read_meminfo(&m);
	others += m.total / 64;
	return m.available > others ? m.available - others : 0;
}

static int foreground(struct scene *s)
{
	struct child app, small;
	uint64_t ns, bytes;
	struct faults f;
	int ret;

	watch_mark("an app in the foreground");
	if (open_client(s, &small, s->small, SMALL_CONTEXT, &ns) || start_app(&app))
		return 1;
	bytes = s->work_bytes ?: foreground_bytes(s);
	bytes = take(&app, bytes, s->floor);
	say("{\"foreground_app\": %llu}", (unsigned long long)bytes);
	ret = ask_faults(&app, &f);
	for (int i = 0; i < 2 * COMPANIES && !ret; i++) {
		watch_mark(company_name[i % COMPANIES]);
		ret = foreground_once(s, &app, &small, i % COMPANIES);
	}
	child_stop(&app);
	child_stop(&small);
	watch_app(0);
	return ret;
}

/* Lets models have three quarters of memory. */
static int set_budget(uint64_t total)
{
	glob_t g;
	FILE *f;
	int ret;

	if (glob(BUDGET_FILE, 0, NULL, &g))
		return fail("budget", "no " BUDGET_FILE);
	f = fopen(g.gl_pathv[0], "we");
	globfree(&g);
	if (!f)
		return fail("budget", "cannot write " BUDGET_FILE);
	fprintf(f, "%llu\n", (unsigned long long)(total / 4 * 3));
	ret = fclose(f);
	return ret ? fail("budget", "refused") : 0;
}

static int play(struct scene *s)
{
	int ret;

	ret = share(s) || opens(s) || pressure(s) || restores(s) || foreground(s);
	for (unsigned int i = 0; i < s->clients; i++)
		child_stop(&s->client[i]);
	return ret;
}

int role_scene(int argc, char **argv)
{
	static const struct argp argp = { .options = options, .parser = parse, .doc = "Measures a phone's life." };
	HEARTH_OPTS(hearth_model_opts, opts, .model_class = HEARTH_CLASS_DROPPABLE,
		    .name = "the scene");
	struct scene s = { .device = "npu", .clients = 3, .context = 256, .tokens = 8,
			   .floor = 32 * MIB, .work_seconds = 20 };
	struct meminfo m;
	int ret;

	for (int i = 0; i < MAX_CLIENTS; i++)
		s.client[i] = (struct child){ .pid = -1, .in = -1, .out = -1 };
	argp_parse(&argp, argc, argv, 0, NULL, &s);
	read_meminfo(&m);
	if (!strcmp(s.device, "npu") && set_budget(m.total))
		return 1;
	if (hearth_device_open(s.device, NULL, &s.dev) ||
	    hearth_model_open(s.model, s.dev, &opts, &s.weights) || watch_start(s.dev, s.model))
		return fail(s.model, hearth_errmsg());
	say("{\"phone\": \"%s\", \"total\": %llu}", s.device, (unsigned long long)m.total);
	ret = play(&s);
	watch_stop();
	hearth_model_close(s.weights);
	hearth_device_close(s.dev);
	return ret;
}
