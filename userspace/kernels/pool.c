// SPDX-License-Identifier: MIT
/*
 * Each worker has its own share of the tasks, the same one from run to run: it
 * meets the memory that its cache holds, and no line is written by two. Who is
 * done takes from the end of others' shares, so a worker whose core was taken
 * away delays no more than the task that it holds. Between runs workers spin
 * for some microseconds, the time between two ops, then sleep.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/fpenv.h"
#include "kernels/pool.h"

#define HK_POOL_MAX	64
#define HK_POOL_SPINS	4000

struct hk_worker {
	/*
	 * Tasks of its share that nobody has taken: the next one below, the end
	 * in the upper half. Whoever changes it owns a task, and until that is
	 * done @fn and @arg hold. The caller writes all three, @range last.
	 */
	_Alignas(64) _Atomic uint64_t range;
	hk_task_fn fn;
	void *arg;

	/* Tasks of any share that it has finished, ever. */
	_Alignas(64) _Atomic uint32_t done;
	struct hk_pool *pool;
	pthread_t thread;
	unsigned int index;
};

struct hk_pool {
	unsigned int threads;
	atomic_bool stop;

	/* Tasks of all runs, counted by the caller. */
	uint32_t started;

	/* Sleeping workers wait for a change of @wakeups. */
	_Alignas(64) _Atomic uint32_t wakeups;
	_Atomic uint32_t sleepers;

	/* A sleeping caller waits for a change of @ends. */
	_Alignas(64) _Atomic uint32_t ends;
	atomic_bool caller_sleeps;

	/* The first is the caller. */
	struct hk_worker worker[];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int waiters)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, waiters, NULL, NULL, 0);
}

static inline void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool is_empty(uint64_t range)
{
	return (uint32_t)range == range >> 32;
}

static bool has_work(struct hk_worker *w)
{
	return !is_empty(atomic_load_explicit(&w->range, memory_order_acquire));
}

/* The next task of a share, or for somebody else the last. */
static bool take(struct hk_worker *from, bool own, unsigned int *task)
{
	uint64_t range = atomic_load_explicit(&from->range, memory_order_acquire);

	while (!is_empty(range)) {
		uint64_t less = own ? range + 1 : range - (1ull << 32);

		*task = own ? (uint32_t)range : (uint32_t)(less >> 32);
		if (atomic_compare_exchange_weak_explicit(&from->range, &range, less,
							  memory_order_acquire,
							  memory_order_acquire))
			return true;
	}
	return false;
}

/* Its own share, then the others': what is left of them when it is done. */
static void work(struct hk_worker *w)
{
	struct hk_pool *p = w->pool;
	unsigned int task;
	uint32_t n = 0;

	for (unsigned int i = 0; i < p->threads; i++) {
		struct hk_worker *from = &p->worker[(w->index + i) % p->threads];

		for (; take(from, !i, &task); n++)
			from->fn(from->arg, task, w->index);
	}
	/* Both sequentially consistent: the caller sees the sum, or we see it sleep. */
	atomic_fetch_add(&w->done, n);
	if (w->index && atomic_load(&p->caller_sleeps)) {
		atomic_fetch_add(&p->ends, 1);
		futex_wake(&p->ends, 1);
	}
}

static bool must_go_on(struct hk_worker *w)
{
	return has_work(w) || atomic_load_explicit(&w->pool->stop, memory_order_relaxed);
}

static void wait_for_run(struct hk_worker *w)
{
	struct hk_pool *p = w->pool;

	for (int i = 0; i < HK_POOL_SPINS; i++) {
		if (must_go_on(w))
			return;
		relax();
	}
	atomic_fetch_add(&p->sleepers, 1);
	for (;;) {
		uint32_t seen = atomic_load(&p->wakeups);

		if (must_go_on(w))
			break;
		futex_wait(&p->wakeups, seen);
	}
	atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg)
{
	struct hk_worker *w = arg;

	hk_fpenv_enter();
	for (;;) {
		wait_for_run(w);
		if (atomic_load(&w->pool->stop))
			return NULL;
		work(w);
	}
}

static void wake_workers(struct hk_pool *p)
{
	atomic_fetch_add(&p->wakeups, 1);
	futex_wake(&p->wakeups, INT_MAX);
}

/* Ends a pool of which the first @n workers are there. */
static void end_pool(struct hk_pool *p, unsigned int n)
{
	atomic_store(&p->stop, true);
	wake_workers(p);
	for (unsigned int i = 1; i < n; i++)
		pthread_join(p->worker[i].thread, NULL);
	free(p);
}

struct hk_pool *hk_pool_create(unsigned int threads)
{
	return hk_pool_create_on(threads, NULL);
}

struct hk_pool *hk_pool_create_on(unsigned int threads, const cpu_set_t *cpus)
{
	struct hk_pool *p;
	size_t bytes;
	int err;

	if (!threads || threads > HK_POOL_MAX) {
		errno = EINVAL;
		return NULL;
	}
	bytes = sizeof(*p) + threads * sizeof(p->worker[0]);
	p = aligned_alloc(64, bytes);
	if (!p)
		return NULL;
	memset(p, 0, bytes);
	p->threads = threads;
	for (unsigned int i = 0; i < threads; i++) {
		p->worker[i].pool = p;
		p->worker[i].index = i;
		if (!i)
			continue;
		err = pthread_create(&p->worker[i].thread, NULL, worker_main,
				     &p->worker[i]);
		if (err) {
			end_pool(p, i);
			errno = err;
			return NULL;
		}
		if (cpus)
			pthread_setaffinity_np(p->worker[i].thread, sizeof(*cpus), cpus);
	}
	return p;
}

void hk_pool_destroy(struct hk_pool *p)
{
	if (p)
		end_pool(p, p->threads);
}

unsigned int hk_pool_threads(const struct hk_pool *pool)
{
	return pool ? pool->threads : 1;
}

static bool all_done(struct hk_pool *p)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < p->threads; i++)
		done += atomic_load(&p->worker[i].done);
	return done == p->started;
}

static void wait_for_tasks(struct hk_pool *p)
{
	for (int i = 0; i < HK_POOL_SPINS; i++) {
		if (all_done(p))
			return;
		relax();
	}
	atomic_store(&p->caller_sleeps, true);
	for (;;) {
		uint32_t seen = atomic_load(&p->ends);

		if (all_done(p))
			break;
		futex_wait(&p->ends, seen);
	}
	atomic_store(&p->caller_sleeps, false);
}

/* The first task of a worker's share; of few tasks the caller has one. */
static uint64_t share(const struct hk_pool *p, unsigned int tasks, unsigned int worker)
{
	return ((uint64_t)tasks * worker + p->threads - 1) / p->threads;
}

void hk_pool_run(struct hk_pool *p, hk_task_fn fn, void *arg, unsigned int tasks)
{
	if (hk_pool_threads(p) == 1 || tasks <= 1) {
		for (unsigned int i = 0; i < tasks; i++)
			fn(arg, i, 0);
		return;
	}
	p->started += tasks;
	/* From the last one on: the caller's own share is for taking at once. */
	for (unsigned int i = p->threads; i--;) {
		struct hk_worker *w = &p->worker[i];

		w->fn = fn;
		w->arg = arg;
		atomic_store_explicit(&w->range, share(p, tasks, i) |
				      share(p, tasks, i + 1) << 32, memory_order_release);
	}
	/* A worker sees its share, or we see it sleep. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&p->sleepers))
		wake_workers(p);
	work(&p->worker[0]);
	wait_for_tasks(p);
}
