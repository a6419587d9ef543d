// SPDX-License-Identifier: MIT
/*
 * Is admission ever wrong? In random situations (a hog, models of others,
 * reservations) a question is asked, and then it is done: what was admitted must
 * load and kill nobody, and what was refused must not fit with 5 % to spare. Every
 * other question is asked in the situation that the one before has left.
 *
 * Those who load are in the background, for the kernel is to end them first; the
 * question is asked from there too, for the class of a model depends on it.
 */
#include <argp.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <hearth.h>

#include "child.h"
#include "meter.h"
#include "roles.h"
#include "watch.h"

#define MAX_FILES	16
#define MAX_OTHERS	3
#define SECONDS		120
/* A load that was refused and takes so long does not fit. */
#define REFUSED_SECONDS	8
/* `Wait' is an answer too: what one before has left may be on its way out. */
#define WAIT_NS		1000000000ull
/* Sizes are parts of the memory: a small phone tells what a large one would. */
#define LARGE_STATE	6
#define SMALL_STATE	96
#define OTHERS_STATE	48
#define HOG_FLOOR	8	/* what the hog leaves: the guest lives on it */
#define SPARE		64	/* what must be left after a load */

struct trial {
	const char *device, *folder;
	unsigned int count;
	uint64_t seed;
	struct hearth_device *dev;
	char file[MAX_FILES][256];
	uint64_t bytes[MAX_FILES];
	unsigned int n_files;
	struct child hog, other[MAX_OTHERS];
	unsigned int n_others;
	int reservation;
	uint64_t memory, promised;
};

static const struct argp_option options[] = {
	{ .name = "device", .key = 'd', .arg = "NAME", .doc = "device (npu)" },
	{ .name = "folder", .key = 'f', .arg = "DIR", .doc = "folder with files of many sizes" },
	{ .name = "count", .key = 'n', .arg = "N", .doc = "situations (200)" },
	{ .name = "seed", .key = 's', .arg = "N", .doc = "of the random numbers (1)" },
	{ }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct trial *t = state->input;

	switch (key) {
	case 'd': t->device = arg; break;
	case 'f': t->folder = arg; break;
	case 'n': t->count = (unsigned int)atoi(arg); break;
	case 's': t->seed = strtoull(arg, NULL, 10); break;
	case ARGP_KEY_END:
		if (!t->folder)
			argp_error(state, "--folder is needed");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* splitmix64 */
static uint64_t random_below(struct trial *t, uint64_t n)
{
	uint64_t z = t->seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return n ? (z ^ (z >> 31)) % n : 0;
}

static int find_files(struct trial *t)
{
	DIR *d = opendir(t->folder);
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)) && t->n_files < MAX_FILES) {
		snprintf(t->file[t->n_files], sizeof(t->file[0]), "%.200s/%.50s", t->folder, e->d_name);
		if (stat(t->file[t->n_files], &st) || !S_ISREG(st.st_mode) || !st.st_size)
			continue;
		t->bytes[t->n_files++] = (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
	return t->n_files ? 0 : -1;
}

/* Its answer, or NULL if it was killed. */
static const char *start_loader(struct trial *t, struct child *c, unsigned int file,
				uint64_t state, enum hearth_model_class class, bool watched)
{
	char bytes[32];
	char *argv[] = { "loader", (char *)t->device, t->file[file], bytes,
			 (char *)hearth_class_name(class), watched ? "watched" : NULL, NULL };

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)state);
	return child_start(c, argv) ? NULL : child_ask(c, NULL, watched ? REFUSED_SECONDS : SECONDS);
}

/* Who is there already: some models, maybe a hog, maybe a reservation. */
static void set_up(struct trial *t)
{
	char *hog[] = { "app", NULL };
	char line[64];

	t->n_others = (unsigned int)random_below(t, MAX_OTHERS + 1);
	for (unsigned int i = 0; i < t->n_others; i++)
		start_loader(t, &t->other[i], (unsigned int)random_below(t, t->n_files),
			     random_below(t, t->memory / OTHERS_STATE),
			     HEARTH_CLASS_DROPPABLE + (enum hearth_model_class)random_below(t, 3),
			     false);
	if (random_below(t, 3)) {
		snprintf(line, sizeof(line), "hog %llu %llu",
			 (unsigned long long)random_below(t, t->memory), (unsigned long long)t->memory / HOG_FLOOR);
		if (!child_start(&t->hog, hog) && child_ask(&t->hog, NULL, 60))
			child_ask(&t->hog, line, SECONDS);
	}
	t->promised = 1 + random_below(t, t->memory / 4);
	if (random_below(t, 3) ||
	    hearth_reserve(t->dev, t->promised, HEARTH_CLASS_NORMAL, &t->reservation))
		t->reservation = -1;
}

static void tear_down(struct trial *t)
{
	if (t->reservation >= 0)
		close(t->reservation);
	t->reservation = -1;
	for (unsigned int i = 0; i < t->n_others; i++)
		child_stop(&t->other[i]);
	t->n_others = 0;
	child_stop(&t->hog);
}

/* What became of a load. */
struct outcome {
	/** loaded: All of it at some time, and nobody died for it. */
	bool loaded;
	/** missing: So much of it was dropped meanwhile. */
	unsigned long long missing;
	/** taken: What others lost that admission does not take from them. */
	long long taken;
	/**
	 * left: What the system has available beyond what it promised, without the
	 * weights of the new model and of dearer ones, which it takes for page cache.
	 */
	long long left;
	char why[160];
};

struct dearer {
	enum hearth_model_class class;
	long long bytes;
};

static int add_dearer(const struct hearth_model_info *info, void *arg)
{
	struct dearer *d = arg;

	if (info->effective_class > d->class)
		d->bytes += (long long)info->resident_bytes;
	return 0;
}

/* Weights in memory that a model of @class does not displace: of dearer models, and pinned ones. */
static long long dearer_bytes(const struct trial *t, enum hearth_model_class class)
{
	struct dearer d = { .class = class < HEARTH_CLASS_NORMAL ? class : HEARTH_CLASS_NORMAL };

	hearth_model_list(t->dev, add_dearer, &d);
	return d.bytes;
}

static void try_load(struct trial *t, unsigned int file, uint64_t state,
		     enum hearth_model_class class, bool watched, struct outcome *o)
{
	uint64_t oom = vmstat("oom_kill");
	long long dearer = dearer_bytes(t, class), after;
	struct child c;
	const char *answer = start_loader(t, &c, file, state, class, watched);
	struct meminfo m;

	*o = (struct outcome){ 0 };
	o->loaded = answer && sscanf(answer, "loaded %llu", &o->missing) == 1;
	snprintf(o->why, sizeof(o->why), "%.150s", answer ? answer : "killed");
	read_meminfo(&m);
	child_stop(&c);
	after = dearer_bytes(t, class);
	o->taken = dearer - after;
	o->left = (long long)(m.available - t->bytes[file] - (t->reservation < 0 ? 0 : t->promised)) -
		  after;
	if (vmstat("oom_kill") != oom) {
		o->loaded = false;
		snprintf(o->why, sizeof(o->why), "somebody was killed");
	}
}

/*
 * Refused, and yet it would have fit: it is all there, so are dearer models and what
 * was promised to others, and the system did not have to touch its last reserves.
 */
static bool fits(const struct trial *t, const struct outcome *o)
{
	return o->loaded && !o->missing && o->taken <= 0 && o->left > (long long)(t->memory / SPARE);
}

struct question {
	unsigned int file;
	uint64_t state;
	enum hearth_model_class class;
};

static struct question random_question(struct trial *t)
{
	struct question q = { .file = (unsigned int)random_below(t, t->n_files) };

	q.state = random_below(t, t->memory / (random_below(t, 2) ? LARGE_STATE : SMALL_STATE));
	q.class = HEARTH_CLASS_DROPPABLE + (enum hearth_model_class)random_below(t, 3);
	return q;
}

static int ask(struct trial *t, const struct question *q, struct hearth_answer *answer)
{
	HEARTH_OPTS(hearth_admit_opts, opts, .wait_ns = WAIT_NS);
	HEARTH_OPTS(hearth_demand, demand,
		    .weights_bytes = t->bytes[q->file],
		    .state_bytes = q->state,
		    .model_class = q->class,
		    .has_weights_fd = true,
		    .weights_fd = open(t->file[q->file], O_RDONLY | O_CLOEXEC));
	int ret;

	set_oom_score_adj(BACKGROUND);
	ret = hearth_admit(t->dev, &demand, &opts, answer);
	set_oom_score_adj(0);
	close(demand.weights_fd);
	if (ret)
		say("{\"error\": \"admit: %s\"}", hearth_errmsg());
	return ret;
}

/*
 * Tries what was refused, with five percent more than it needs, as state. `Wait' was
 * right if the room came meanwhile: asked again, it is admitted.
 */
static int try_refused(struct trial *t, const struct question *q,
		       const struct hearth_answer *answer, struct outcome *o, bool *came)
{
	struct question more = *q;
	struct hearth_answer again = { .sz = sizeof(again) };

	more.state += answer->needed_bytes / 20;
	try_load(t, more.file, more.state, more.class, true, o);
	if (!fits(t, o))
		return 0;
	if (answer->verdict == HEARTH_ADMIT_WAIT && ask(t, &more, &again))
		return -1;
	*came = answer->verdict == HEARTH_ADMIT_WAIT && again.verdict <= HEARTH_ADMIT_AFTER_DROP;
	return !*came;
}

static int one(struct trial *t, unsigned int number)
{
	struct hearth_answer answer = { .sz = sizeof(answer) };
	uint64_t start = now_ns(), asked;
	struct question q;
	struct outcome o;
	bool came = false;
	int wrong;

	if (!number || random_below(t, 2)) {
		tear_down(t);
		set_up(t);
	}
	asked = now_ns();
	q = random_question(t);
	if (ask(t, &q, &answer))
		return 1;
	if (answer.verdict > HEARTH_ADMIT_AFTER_DROP) {
		wrong = try_refused(t, &q, &answer, &o, &came);
	} else {
		try_load(t, q.file, q.state, q.class, false, &o);
		wrong = !o.loaded;
	}
	if (wrong < 0)
		return 1;
	say("{\"situation\": %u, \"verdict\": %d, \"limit\": %d, \"class\": %d, \"needed\": %llu, "
	    "\"available\": %llu, \"after_drop\": %llu, \"loads\": %d, \"missing\": %llu, \"left\": %lld, "
	    "\"taken\": %lld, \"wrong\": %d, \"came\": %d, \"hog\": %d, \"others\": %u, \"reserved\": %d, "
	    "\"file\": %llu, \"state\": %llu, \"set_up_ns\": %llu, \"ns\": %llu, \"why\": \"%.150s\"}",
	    number, (int)answer.verdict, (int)answer.limit, (int)q.class,
	    (unsigned long long)answer.needed_bytes, (unsigned long long)answer.available_bytes,
	    (unsigned long long)answer.after_drop_bytes, o.loaded, o.missing, o.left, o.taken, wrong,
	    came, t->hog.pid > 0, t->n_others, t->reservation >= 0,
	    (unsigned long long)t->bytes[q.file], (unsigned long long)q.state,
	    (unsigned long long)(asked - start), (unsigned long long)(now_ns() - start),
	    o.loaded ? "" : o.why);
	return 0;
}

int role_admission(int argc, char **argv)
{
	static const struct argp argp = { .options = options, .parser = parse, .doc = "Asks, then does it." };
	struct trial t = { .device = "npu", .count = 200, .seed = 1,
			   .reservation = -1, .hog = { .pid = -1, .in = -1, .out = -1 } };

	struct meminfo m;

	argp_parse(&argp, argc, argv, 0, NULL, &t);
	read_meminfo(&m);
	t.memory = m.total;
	if (find_files(&t) || hearth_device_open(t.device, NULL, &t.dev)) {
		say("{\"error\": \"%s: no files, or no device: %s\"}", t.folder, hearth_errmsg());
		return 1;
	}
	for (unsigned int i = 0; i < t.count; i++)
		if (one(&t, i))
			return 1;
	tear_down(&t);
	hearth_device_close(t.dev);
	return 0;
}
