// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

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
};

static void meet_task(void *arg, unsigned int task, unsigned int worker)
{
	struct meet *m = arg;

	pthread_barrier_wait(&m->barrier);
}

/* Returns only if that many tasks are under way at a time. */
static void test_runs_in_parallel(void **state)
{
	struct hk_pool *pool = hk_pool_create(4);
	struct meet m;

	pthread_barrier_init(&m.barrier, NULL, 4);
	for (int i = 0; i < 50; i++)
		hk_pool_run(pool, meet_task, &m, 4);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_task_once),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_null_pool),
		cmocka_unit_test(test_runs_in_parallel),
		cmocka_unit_test(test_idle_workers_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
