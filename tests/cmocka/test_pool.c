// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/cpus.h"
#include "kernels/float.h"
#include "kernels/pool.h"

#define TASKS	1000

struct count {
	struct hk_pool *pool;
	atomic_int runs[TASKS];
	atomic_int inside[64];
	atomic_int wrong;
};

static void count_task(void *arg, unsigned int task, unsigned int worker)
{
	struct count *c = arg;

	if (task >= TASKS || worker >= hk_pool_threads(c->pool)) {
		atomic_fetch_add(&c->wrong, 1);
		return;
	}
	/* One task on a worker at a time. */
	if (atomic_fetch_add(&c->inside[worker], 1))
		atomic_fetch_add(&c->wrong, 1);
	atomic_fetch_add(&c->runs[task], 1);
	atomic_fetch_sub(&c->inside[worker], 1);
}

static void check_counts(unsigned int threads, unsigned int tasks, int repeat)
{
	struct count c = { .pool = hk_pool_create(threads) };

	assert_non_null(c.pool);
	assert_int_equal(hk_pool_threads(c.pool), threads);
	for (int k = 0; k < repeat; k++)
		hk_pool_run(c.pool, count_task, &c, tasks);
	for (unsigned int i = 0; i < TASKS; i++)
		assert_int_equal(c.runs[i], i < tasks ? repeat : 0);
	assert_int_equal(c.wrong, 0);
	hk_pool_destroy(c.pool);
}

static void test_every_task_once(void **state)
{
	static const unsigned int threads[] = { 1, 2, 3, 8, 64 };

	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		check_counts(threads[i], 0, 3);
		check_counts(threads[i], 1, 3);
		check_counts(threads[i], 2, 100);
		check_counts(threads[i], TASKS, 20);
	}
	/* Runs that follow each other closely: no task leaks into the next. */
	check_counts(4, 5, 20000);
}

struct rows {
	uint32_t rows, grain;
	atomic_int seen[TASKS];
	atomic_int wrong;
};

static void count_rows(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	struct rows *r = arg;

	if (first >= last || last > r->rows || first % r->grain ||
	    (last % r->grain && last != r->rows)) {
		atomic_fetch_add(&r->wrong, 1);
		return;
	}
	for (uint32_t i = first; i < last; i++)
		atomic_fetch_add(&r->seen[i], 1);
}

/* Pieces begin at whole grains, and none is empty. */
static void test_every_row_once(void **state)
{
	static const uint32_t counts[] = { 0, 1, 7, 16, 95, 96, 97, 640, TASKS };
	static const uint32_t grains[] = { 1, 3, 16, 2 * TASKS };

	for (unsigned int threads = 1; threads <= 5; threads++) {
		struct hk_pool *pool = hk_pool_create(threads);

		assert_non_null(pool);
		for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]) * 4; i++) {
			struct rows r = { .rows = counts[i / 4], .grain = grains[i % 4] };

			hk_for_rows(pool, count_rows, &r, r.rows, r.grain);
			assert_int_equal(r.wrong, 0);
			for (uint32_t k = 0; k < TASKS; k++)
				assert_int_equal(r.seen[k], k < r.rows);
		}
		hk_pool_destroy(pool);
	}
}

struct many {
	unsigned int calls, most, wrong;
	bool seen[TASKS];
};

/* For one worker's tasks, in their order. */
static void count_many(void *arg, unsigned int first, unsigned int last, unsigned int worker)
{
	struct many *m = (struct many *)arg + worker;
	unsigned int n = last - first;

	m->calls++;
	m->wrong += first >= last || last > TASKS;
	m->most = n > m->most ? n : m->most;
	for (; first < last && first < TASKS; first++) {
		m->wrong += m->seen[first];
		m->seen[first] = true;
	}
}

/* Several at a time, but never much of a share. */
static void test_many_at_a_time(void **state)
{
	for (unsigned int threads = 1; threads <= 3; threads++) {
		struct hk_pool *pool = hk_pool_create(threads);

		assert_non_null(pool);
		for (unsigned int tasks = 0; tasks <= TASKS; tasks = 3 * tasks + 1) {
			unsigned int quarter = tasks / (4 * threads), calls = 0;
			struct many m[3] = { 0 };

			hk_pool_run_many(pool, count_many, m, tasks);
			for (unsigned int i = 0; i < tasks; i++)
				assert_int_equal(m[0].seen[i] + m[1].seen[i] + m[2].seen[i], 1);
			for (unsigned int w = 0; w < threads; w++) {
				calls += m[w].calls;
				assert_int_equal(m[w].wrong, 0);
				if (threads > 1)
					assert_true(m[w].most <= (quarter ? quarter : 1));
			}
			if (threads == 1)
				assert_int_equal(calls, tasks != 0);
			else if (tasks > 40 * threads)
				assert_true(calls < tasks);
		}
		hk_pool_destroy(pool);
	}
}

static void test_bounds(void **state)
{
	errno = 0;
	assert_null(hk_pool_create(0));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(hk_pool_create(65));
	assert_int_equal(errno, EINVAL);
	hk_pool_destroy(NULL);
	assert_int_equal(hk_pool_threads(NULL), 1);
}

static void test_null_pool(void **state)
{
	static struct count c;

	hk_pool_run(NULL, count_task, &c, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(c.runs[i], 1);
}

struct meet {
	pthread_barrier_t barrier;
	atomic_int elsewhere;
};

static void meet_task(void *arg, unsigned int task, unsigned int worker)
{
	struct meet *m = arg;

	if (task != worker)
		atomic_fetch_add(&m->elsewhere, 1);
	pthread_barrier_wait(&m->barrier);
}

/*
 * Returns only if that many tasks are under way at a time. None is taken from a
 * worker that comes late: each meets its own share again, run after run.
 */
static void test_runs_in_parallel(void **state)
{
	struct hk_pool *pool = hk_pool_create(4);
	struct meet m = { 0 };

	pthread_barrier_init(&m.barrier, NULL, 4);
	for (int i = 0; i < 50; i++)
		hk_pool_run(pool, meet_task, &m, 4);
	assert_int_equal(m.elsewhere, 0);
	pthread_barrier_destroy(&m.barrier);
	hk_pool_destroy(pool);
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Workers without work sleep: while we do, the process uses next to no CPU. */
static void test_idle_workers_sleep(void **state)
{
	struct hk_pool *pool = hk_pool_create(8);
	struct timespec pause = { .tv_nsec = 300000000 };
	struct count c = { .pool = pool };
	double before;

	hk_pool_run(pool, count_task, &c, 64);
	before = cpu_seconds();
	nanosleep(&pause, NULL);
	assert_true(cpu_seconds() - before < 0.1);
	/* And wake again. */
	hk_pool_run(pool, count_task, &c, 64);
	for (int i = 0; i < 64; i++)
		assert_int_equal(c.runs[i], 2);
	hk_pool_destroy(pool);
}

/* A worker that holds a task while the caller has none: the caller sleeps. */
struct hold {
	atomic_bool held, release;
};

static void hold_task(void *arg, unsigned int task, unsigned int worker)
{
	struct hold *h = arg;
	struct timespec pause = { .tv_nsec = 200000000 };

	if (worker) {
		atomic_store(&h->held, true);
		nanosleep(&pause, NULL);
		atomic_store(&h->release, true);
		return;
	}
	/* Leave the other task to a worker. */
	while (!atomic_load(&h->held))
		sched_yield();
}

static void test_waiting_caller_sleeps(void **state)
{
	struct hk_pool *pool = hk_pool_create(2);
	struct hold h = { 0 };
	struct timespec t0, t1;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
	hk_pool_run(pool, hold_task, &h, 2);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
	assert_true(atomic_load(&h.release));
	assert_true((t1.tv_sec - t0.tv_sec) * 1000000000ll + t1.tv_nsec - t0.tv_nsec < 150000000);
	hk_pool_destroy(pool);
}

static pthread_t found;
static int stopped[2], go_on[2];

static void find_task(void *arg, unsigned int task, unsigned int worker)
{
	if (worker)
		found = pthread_self();
	meet_task(arg, task, worker);
}

static void stop_here(int sig)
{
	char byte = 0;

	if (write(stopped[1], &byte, 1) != 1 || read(go_on[0], &byte, 1) != 1)
		abort();
}

/* A worker that has no core, and no task either, delays nobody. */
static void test_late_worker_is_not_waited_for(void **state)
{
	struct sigaction stop = { .sa_handler = stop_here };
	struct hk_pool *pool = hk_pool_create(2);
	struct count c = { .pool = pool };
	struct meet m = { 0 };
	char byte = 0;

	assert_int_equal(pipe(stopped) | pipe(go_on) | sigaction(SIGUSR1, &stop, NULL), 0);
	pthread_barrier_init(&m.barrier, NULL, 2);
	hk_pool_run(pool, find_task, &m, 2);
	pthread_barrier_destroy(&m.barrier);
	assert_int_equal(pthread_kill(found, SIGUSR1), 0);
	assert_int_equal(read(stopped[0], &byte, 1), 1);
	for (int k = 0; k < 100; k++)
		hk_pool_run(pool, count_task, &c, 8);
	assert_int_equal(write(go_on[1], &byte, 1), 1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(c.runs[i], 100);
	hk_pool_run(pool, count_task, &c, TASKS);
	assert_int_equal(c.wrong, 0);
	hk_pool_destroy(pool);
	for (int i = 0; i < 2; i++) {
		close(stopped[i]);
		close(go_on[i]);
	}
}

static char root[] = "/tmp/hearth-cpus-XXXXXX";

static void write_capacity(int cpu, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpu%d", root, cpu);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/cpu%d/cpu_capacity", root, cpu);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void remove_capacities(int cpus)
{
	char path[256];

	for (int i = 0; i < cpus; i++) {
		snprintf(path, sizeof(path), "%s/cpu%d/cpu_capacity", root, i);
		unlink(path);
		snprintf(path, sizeof(path), "%s/cpu%d", root, i);
		rmdir(path);
	}
	rmdir(root);
}

static void check_choice(unsigned int allowed, unsigned int threads, unsigned int want,
			 bool mixed)
{
	struct hk_cpus got;
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < 32; i++) {
		if (allowed >> i & 1)
			CPU_SET(i, &set);
	}
	hk_cpus_choose(root, &set, threads, &got);
	for (int i = 0; i < 32; i++)
		assert_int_equal(!!CPU_ISSET(i, &got.set), want >> i & 1);
	assert_int_equal(got.n, want ? __builtin_popcount(want) : 1);
	assert_int_equal(got.mixed, mixed);
}

/* Four small cores, three middle ones and a large one, as phones have. */
static void test_big_cores(void **state)
{
	assert_non_null(mkdtemp(root));
	/* None known: all are alike. */
	check_choice(0xff, 0, 0xff, false);
	check_choice(0xff, 3, 0xff, false);
	for (int i = 0; i < 8; i++)
		write_capacity(i, i < 4 ? "325\n" : i < 7 ? "871\n" : "1024\n");
	check_choice(0xff, 0, 0xf0, true);
	check_choice(0xff, 1, 0x80, true);
	check_choice(0xff, 2, 0xf0, true);
	check_choice(0xff, 4, 0xf0, true);
	check_choice(0xff, 5, 0xff, true);
	check_choice(0xff, 64, 0xff, true);
	/* What the caller may not use is not chosen, nor compared with. */
	check_choice(0x0f, 0, 0x0f, false);
	check_choice(0x1f, 0, 0x10, true);
	check_choice(0x81, 1, 0x80, true);
	check_choice(0x00, 0, 0x00, false);
	/* Exactly half is small. */
	write_capacity(4, "512\n");
	check_choice(0xff, 0, 0xe0, true);
	/* A file that is no number, and a core without one: as large as any. */
	write_capacity(0, "big\n");
	check_choice(0xff, 0, 0xe1, true);
	check_choice(0x1ff, 0, 0x1e1, true);
	write_capacity(0, "0\n");
	check_choice(0xff, 1, 0x81, true);
	write_capacity(0, "99999999999999999999\n");
	check_choice(0xff, 1, 0x81, true);
	remove_capacities(8);
}

/* Threads are where they shall be, the caller stays where it is. */
static void cpu_task(void *arg, unsigned int task, unsigned int worker)
{
	const cpu_set_t *want = arg;
	cpu_set_t set;

	if (worker && (sched_getaffinity(0, sizeof(set), &set) || !CPU_EQUAL(&set, want)))
		fail();
}

static void test_pool_on_cores(void **state)
{
	cpu_set_t before, after, one, none;
	struct hk_pool *pool;
	int cpu = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	while (!CPU_ISSET(cpu, &before))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pool = hk_pool_create_on(3, &one);
	assert_non_null(pool);
	for (int i = 0; i < 100; i++)
		hk_pool_run(pool, cpu_task, &one, 6);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
	hk_pool_destroy(pool);
	/* Refused by the kernel: the threads are there all the same. */
	CPU_ZERO(&none);
	pool = hk_pool_create_on(2, &none);
	assert_int_equal(hk_pool_threads(pool), 2);
	hk_pool_run(pool, cpu_task, &before, 6);
	hk_pool_destroy(pool);
}

/*
 * A worker that holds a task and does not run, as one whose core others have: it
 * sleeps until somebody moves it.
 */
struct stuck {
	pthread_barrier_t barrier;
	cpu_set_t home;
	int caller_cpu, cpu, returned;
	bool left_home;
};

static bool has_home(const struct stuck *s)
{
	cpu_set_t now;

	return !sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&now, &s->home);
}

static void stuck_task(void *arg, unsigned int task, unsigned int worker)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	struct stuck *s = arg;

	pthread_barrier_wait(&s->barrier);
	if (!worker) {
		s->caller_cpu = sched_getcpu();
		return;
	}
	for (int i = 0; i < 100 && has_home(s); i++)
		nanosleep(&pause, NULL);
	s->left_home = !has_home(s);
	s->cpu = sched_getcpu();
}

/* The caller has a task as well until the worker has looked: it fetches nobody before. */
static void home_task(void *arg, unsigned int task, unsigned int worker)
{
	struct stuck *s = arg;

	pthread_barrier_wait(&s->barrier);
	if (worker)
		s->returned += has_home(s);
	pthread_barrier_wait(&s->barrier);
}

static void test_stuck_worker_is_fetched(void **state)
{
	struct stuck s = { .cpu = -1 };
	cpu_set_t before, one;
	struct hk_pool *pool;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	s.home = before;
	if (CPU_COUNT(&before) < 2) {
		print_message("SKIP: one core only\n");
		skip();
	}
	pool = hk_pool_create(2);
	pthread_barrier_init(&s.barrier, NULL, 2);
	/* The caller stays where it is, so that the test knows where that is. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	for (int k = 1; k <= 3; k++) {
		s.left_home = false;
		hk_pool_run(pool, stuck_task, &s, 2);
		assert_true(s.left_home);
		assert_int_equal(s.cpu, s.caller_cpu);
		/* Its next task finds it free to go where it could before. */
		hk_pool_run(pool, home_task, &s, 2);
		assert_int_equal(s.returned, k);
	}
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
	pthread_barrier_destroy(&s.barrier);
	hk_pool_destroy(pool);
}

/* More workers than cores: who has none is no exception, and nobody is moved. */
static void test_crowd_is_left_alone(void **state)
{
	struct stuck s = { 0 };
	struct hk_pool *pool;
	struct hold h = { 0 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	pool = hk_pool_create_on(2, &one);
	s.home = one;
	hk_pool_run(pool, hold_task, &h, 2);
	pthread_barrier_init(&s.barrier, NULL, 2);
	hk_pool_run(pool, home_task, &s, 2);
	assert_int_equal(s.returned, 1);
	pthread_barrier_destroy(&s.barrier);
	hk_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_task_once),
		cmocka_unit_test(test_every_row_once),
		cmocka_unit_test(test_many_at_a_time),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_null_pool),
		cmocka_unit_test(test_runs_in_parallel),
		cmocka_unit_test(test_idle_workers_sleep),
		cmocka_unit_test(test_waiting_caller_sleeps),
		cmocka_unit_test(test_late_worker_is_not_waited_for),
		cmocka_unit_test(test_stuck_worker_is_fetched),
		cmocka_unit_test(test_crowd_is_left_alone),
		cmocka_unit_test(test_big_cores),
		cmocka_unit_test(test_pool_on_cores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
