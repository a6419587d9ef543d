// SPDX-License-Identifier: MIT
/*
 * Runs a fuzzer without libFuzzer, in bounded time, with TAP as its output:
 *
 *   fuzz_gguf                     HEARTH_FUZZ_SECONDS (10) from HEARTH_FUZZ_SEED (1)
 *   fuzz_gguf -n 100000 -s 7      so many inputs, from another seed
 *   fuzz_gguf -c DIR              with the files of DIR as further seeds
 *   fuzz_gguf -w DIR              write the seeds to DIR, for libFuzzer
 *   fuzz_gguf FILE...             these inputs only, unchanged: to look at a crash
 *
 * A crash, an input that takes longer than HANG_SECONDS, or one that takes
 * more memory than its size allows leaves it in crash-NAME in $TMPDIR or /tmp.
 */
#include "driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS 10
#define MAX_SEEDS 256
#define MAX_SEED_BYTES (256u << 10)
/* Inputs between two looks at the clock. */
#define BATCH 64

struct input {
	uint8_t *p;
	size_t n;
};

static struct input seeds[MAX_SEEDS];
static size_t n_seeds;
static struct input now;	/* what runs at the moment */
static uint64_t rng;

/* Provided by the sanitizer; not there in a plain build. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *p) __attribute__((weak));
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
					      void (*on_free)(const volatile void *))
	__attribute__((weak));

static size_t heap, heap_peak;

static void on_malloc(const volatile void *p, size_t n)
{
	heap += n;
	if (heap > heap_peak)
		heap_peak = heap;
}

static void on_free(const volatile void *p)
{
	size_t n = p ? __sanitizer_get_allocated_size(p) : 0;

	heap -= n < heap ? n : heap;
}

static void keep_input(void)
{
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/crash-%s", dir ? dir : "/tmp", fuzz_name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd >= 0 && write(fd, now.p, now.n) == (ssize_t)now.n)
		dprintf(2, "# the input is in %s\n", path);
	if (fd >= 0)
		close(fd);
}

static void on_alarm(int sig)
{
	dprintf(2, "# an input of %zu bytes takes longer than %d s\n", now.n, HANG_SECONDS);
	abort();
}

static void on_abort(int sig)
{
	keep_input();
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
}

static void watch(void)
{
	signal(SIGALRM, on_alarm);
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(keep_input);
	if (__sanitizer_install_malloc_and_free_hooks)
		__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}

static void run(struct input in)
{
	size_t before = heap, limit = fuzz_heap_limit(in.n);

	now = in;
	heap_peak = heap;
	alarm(HANG_SECONDS);
	LLVMFuzzerTestOneInput(in.p, in.n);
	alarm(0);
	if (heap_peak - before > limit) {
		dprintf(2, "# an input of %zu bytes took %zu bytes of heap, limit %zu\n", in.n,
			heap_peak - before, limit);
		abort();
	}
}

static void add_seed(const void *data, size_t n)
{
	struct input *s = &seeds[n_seeds];

	if (n_seeds == MAX_SEEDS || n > MAX_SEED_BYTES)
		return;
	s->p = malloc(n + 1);
	if (!s->p)
		abort();
	memcpy(s->p, data, n);
	s->n = n;
	n_seeds++;
}

static bool read_input(const char *path, struct input *in)
{
	struct stat st;
	int fd = open(path, O_RDONLY);

	*in = (struct input){ 0 };
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	in->p = malloc(st.st_size + 1);
	if (in->p && read(fd, in->p, st.st_size) == st.st_size)
		in->n = st.st_size;
	close(fd);
	return in->p;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* In the order of their names: the folder's own order is no fixed seed. */
static void add_folder(const char *dir, size_t max)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		struct input in;

		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		if (!read_input(path, &in))
			goto next;
		if (in.n <= max)
			add_seed(in.p, in.n);
		free(in.p);
next:
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

void fuzz_add_models(const char *folder, size_t max)
{
	const char *dir = getenv("HEARTH_MODELS");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir && *dir ? dir : "../shared/models", folder);
	add_folder(path, max);
}

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t z = rng += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return n ? next() % n : 0;
}

static uint64_t odd_value(size_t size)
{
	switch (below(4)) {
	case 0:
		return fuzz_values[below(fuzz_n_values)];
	case 1:
		return size + below(17) - 8;
	case 2:
		return 1ull << below(64);
	default:
		return next();
	}
}

static void overwrite(struct input *in)
{
	static const size_t widths[] = { 1, 2, 4, 4, 8, 8 };
	size_t width = widths[below(6)], at;
	uint64_t v = odd_value(in->n);

	if (in->n < width)
		return;
	at = below(in->n - width + 1);
	/* Most fields lie at multiples of four. */
	if (below(2))
		at -= at % 4;
	memcpy(in->p + at, &v, width);
}

static void move_bytes(struct input *in)
{
	size_t n = 1 + below(below(8) ? 16 : 256), from, to;

	if (in->n <= n)
		return;
	from = below(in->n - n);
	to = below(in->n - n);
	memmove(in->p + to, in->p + from, n);
}

static void cut(struct input *in)
{
	size_t at = below(in->n), n = 1 + below(32);

	if (below(4)) {
		if (n > in->n - at)
			n = in->n - at;
		memmove(in->p + at, in->p + at + n, in->n - at - n);
		in->n -= n;
	} else {
		in->n = at;
	}
}

/* The other half of another seed. */
static void cross(struct input *in)
{
	const struct input *s = &seeds[below(n_seeds)];
	size_t at = below(in->n < s->n ? in->n : s->n);

	memcpy(in->p + at, s->p + at, s->n - at);
	in->n = s->n;
}

static void mutate(struct input *in)
{
	for (size_t k = 1 + below(below(3) ? 3 : 20); k; k--) {
		if (!in->n)
			return;
		switch (below(12)) {
		case 0:
			in->p[below(in->n)] ^= 1u << below(8);
			break;
		case 1:
			in->p[below(in->n)] = next();
			break;
		case 2:
			move_bytes(in);
			break;
		case 3:
			if (!below(8))
				cut(in);
			break;
		case 4:
			if (!below(8))
				cross(in);
			break;
		default:
			overwrite(in);
		}
	}
}

/* Small seeds more often: a large one takes the time of many. */
static const struct input *pick(void)
{
	const struct input *a = &seeds[below(n_seeds)], *b = &seeds[below(n_seeds)];

	return a->n < b->n ? a : b;
}

static void run_mutated(uint8_t *buf)
{
	const struct input *s = pick();
	struct input in = { buf, s->n }, exact;

	memcpy(buf, s->p, s->n);
	mutate(&in);
	/* Of its own size, so that a read behind its end is seen. */
	exact.n = in.n;
	if (posix_memalign((void **)&exact.p, 64, in.n ? in.n : 1))
		abort();
	memcpy(exact.p, in.p, in.n);
	run(exact);
	free(exact.p);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static long env_number(const char *name, long def)
{
	const char *s = getenv(name);

	return s && *s ? strtol(s, NULL, 10) : def;
}

static int run_files(char **paths, int n)
{
	for (int i = 0; i < n; i++) {
		struct input in;

		if (!read_input(paths[i], &in)) {
			fprintf(stderr, "%s: cannot be read\n", paths[i]);
			return 1;
		}
		run(in);
		free(in.p);
		printf("%s: done\n", paths[i]);
	}
	return 0;
}

static int write_seeds(const char *dir)
{
	fuzz_seeds(add_seed);
	for (size_t i = 0; i < n_seeds; i++) {
		char path[PATH_MAX];
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s-%03zu", dir, fuzz_name, i);
		f = fopen(path, "wb");
		if (!f || fwrite(seeds[i].p, 1, seeds[i].n, f) != seeds[i].n || fclose(f)) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

static void run_all(long count, double until)
{
	uint8_t *buf = malloc(MAX_SEED_BYTES);
	double start = seconds();
	long done = 0;

	if (!buf)
		abort();
	while (count ? done < count : seconds() - start < until) {
		for (int i = 0; i < BATCH && (!count || done < count); i++, done++)
			run_mutated(buf);
	}
	free(buf);
	printf("ok 2 %s: %ld mutated inputs in %.1f s\n", fuzz_name, done, seconds() - start);
}

int main(int argc, char **argv)
{
	long count = env_number("HEARTH_FUZZ_COUNT", 0);
	double until = env_number("HEARTH_FUZZ_SECONDS", 10);
	int opt;

	rng = env_number("HEARTH_FUZZ_SEED", 1);
	while ((opt = getopt(argc, argv, "n:s:c:w:")) != -1) {
		if (opt == 'n')
			count = strtol(optarg, NULL, 10);
		else if (opt == 's')
			rng = strtoul(optarg, NULL, 10);
		else if (opt == 'c')
			add_folder(optarg, MAX_SEED_BYTES);
		else if (opt == 'w')
			return write_seeds(optarg);
		else
			return 2;
	}
	watch();
	if (optind < argc)
		return run_files(argv + optind, argc - optind);

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	fuzz_seeds(add_seed);
	for (size_t i = 0; i < n_seeds; i++)
		run(seeds[i]);
	printf("%sok 1 %s: %zu seeds\n", n_seeds ? "" : "not ", fuzz_name, n_seeds);
	if (n_seeds)
		run_all(count, until);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].p);
	return !n_seeds;
}
