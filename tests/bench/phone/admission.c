// SPDX-License-Identifier: MIT
/*
 * Is admission ever wrong? In random situations (a hog, models of others,
 * reservations) a question is asked, and then it is done: what was admitted must
 * load and kill nobody, and what was refused must not fit with 5 % to spare.
 */
#include <argp.h>
#include <dirent.h>
#include <fcntl.h>
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
/* A load that was refused and grinds for so long does not fit. */
#define REFUSED_SECONDS	20
/* What the hog leaves: the guest itself lives on it. */
#define HOG_FLOOR	(128 * MIB)

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
				uint64_t state, enum hearth_model_class class,
				unsigned int seconds)
{
	char bytes[32];
	char *argv[] = { "loader", (char *)t->device, t->file[file], bytes,
			 (char *)hearth_class_name(class), NULL };

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)state);
	return child_start(c, argv) ? NULL : child_ask(c, NULL, seconds);
}

/* Who is there already: some models, maybe a hog, maybe a reservation. */
static void set_up(struct trial *t)
{
	char *hog[] = { "app", NULL };
	struct meminfo m;
	char line[64];

	t->reservation = -1;
	t->n_others = (unsigned int)random_below(t, MAX_OTHERS + 1);
	for (unsigned int i = 0; i < t->n_others; i++)
		start_loader(t, &t->other[i], (unsigned int)random_below(t, t->n_files),
			     random_below(t, 64 * MIB),
			     HEARTH_CLASS_DROPPABLE + (enum hearth_model_class)random_below(t, 3),
			     SECONDS);
	read_meminfo(&m);
	if (random_below(t, 3)) {
		snprintf(line, sizeof(line), "hog %llu %llu",
			 (unsigned long long)random_below(t, m.total), (unsigned long long)HOG_FLOOR);
		if (!child_start(&t->hog, hog) && child_ask(&t->hog, NULL, 60))
			child_ask(&t->hog, line, SECONDS);
	}
	if (!random_below(t, 3) &&
	    hearth_reserve(t->dev, 1 + random_below(t, m.total / 4), HEARTH_CLASS_NORMAL,
			   &t->reservation))
		t->reservation = -1;
}

static void tear_down(struct trial *t)
{
	if (t->reservation >= 0)
		close(t->reservation);
	for (unsigned int i = 0; i < t->n_others; i++)
		child_stop(&t->other[i]);
	child_stop(&t->hog);
}

/* 1: it loaded and nobody died for it. */
static int try_load(struct trial *t, unsigned int file, uint64_t state,
		    enum hearth_model_class class, unsigned int seconds, char *why,
		    size_t why_bytes)
{
	uint64_t oom = vmstat("oom_kill");
	struct child c;
	const char *answer = start_loader(t, &c, file, state, class, seconds);
	int good = answer && !strcmp(answer, "loaded");

	snprintf(why, why_bytes, "%.150s", answer ? answer : "killed");
	child_stop(&c);
	if (vmstat("oom_kill") != oom) {
		snprintf(why, why_bytes, "somebody was killed");
		return 0;
	}
	return good;
}

static int one(struct trial *t, unsigned int number)
{
	unsigned int file;
	HEARTH_OPTS(hearth_demand, demand);
	struct hearth_answer answer = { .sz = sizeof(answer) };
	uint64_t state;
	char why[200];
	int fd, ret, loads, wrong;

	set_up(t);
	file = (unsigned int)random_below(t, t->n_files);
	state = random_below(t, 2) ? random_below(t, 512 * MIB) : random_below(t, 32 * MIB);
	fd = open(t->file[file], O_RDONLY | O_CLOEXEC);
	demand.weights_bytes = t->bytes[file];
	demand.state_bytes = state;
	demand.model_class = HEARTH_CLASS_DROPPABLE +
			     (enum hearth_model_class)random_below(t, 3);
	demand.has_weights_fd = true;
	demand.weights_fd = fd;
	ret = hearth_admit(t->dev, &demand, NULL, &answer);
	close(fd);
	if (ret) {
		say("{\"error\": \"admit: %s\"}", hearth_errmsg());
		tear_down(t);
		return 1;
	}
	if (answer.verdict > HEARTH_ADMIT_AFTER_DROP) {
		/* Five percent more than what is needed, as state. */
		loads = try_load(t, file, state + answer.needed_bytes / 20, demand.model_class,
				 REFUSED_SECONDS, why, sizeof(why));
		wrong = loads;
	} else {
		loads = try_load(t, file, state, demand.model_class, SECONDS, why, sizeof(why));
		wrong = !loads;
	}
	say("{\"situation\": %u, \"verdict\": %d, \"limit\": %d, \"needed\": %llu, \"available\": %llu, "
	    "\"after_drop\": %llu, \"loads\": %d, \"wrong\": %d, \"hog\": %d, \"others\": %u, "
	    "\"reserved\": %d, \"why\": \"%.150s\"}", number, (int)answer.verdict, (int)answer.limit,
	    (unsigned long long)answer.needed_bytes, (unsigned long long)answer.available_bytes,
	    (unsigned long long)answer.after_drop_bytes, loads, wrong, t->hog.pid > 0, t->n_others,
	    t->reservation >= 0, wrong ? why : "");
	tear_down(t);
	return 0;
}

int role_admission(int argc, char **argv)
{
	static const struct argp argp = { .options = options, .parser = parse, .doc = "Asks, then does it." };
	struct trial t = { .device = "npu", .count = 200, .seed = 1,
			   .hog = { .pid = -1, .in = -1, .out = -1 } };

	argp_parse(&argp, argc, argv, 0, NULL, &t);
	if (find_files(&t) || hearth_device_open(t.device, NULL, &t.dev)) {
		say("{\"error\": \"%s: no files, or no device: %s\"}", t.folder, hearth_errmsg());
		return 1;
	}
	for (unsigned int i = 0; i < t.count; i++)
		if (one(&t, i))
			return 1;
	hearth_device_close(t.dev);
	return 0;
}
