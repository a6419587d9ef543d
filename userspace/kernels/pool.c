// SPDX-License-Identifier: MIT
/*
 * Each worker has its own share of the tasks, the same one from run to run: it
 * meets the memory that its cache holds, and no line is written by two. Small tasks
 * are taken several at a time, fewer towards the end. Who is done takes from the end
 * of others' shares, so a worker whose core was taken away delays no more than the
 * tasks that it holds, and for that it is fetched (pool_place.h). Between runs workers
 * spin for some microseconds, the time between two ops, then sleep.
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
#include "kernels/pool_place.h"

#define HK_POOL_MAX	64
#define HK_POOL_SPINS	4000

/* How long a caller that waits sleeps at first. */
#define HK_POOL_FIRST_NS	250000l

/* Turns of a spinning loop between looks at what costs more than a line. */
#define HK_POOL_LOOK	32

struct hk_worker {
	/*
	 * Tasks of its share that nobody has taken: the next one below, the end
	 * in the upper half. Whoever changes it owns a task, and until that is
	 * done @fn and @arg hold. The caller writes all of these, @range last.
	 */
	_Alignas(64) _Atomic uint64_t range;
	/* How many it may take at a time; only a hint, it may be of another run. */
	_Atomic uint32_t most;
	hk_tasks_fn fn;
	void *arg;

	/* Tasks of any share that it has finished, ever. */
	_Alignas(64) _Atomic uint32_t done;
	struct hk_place place;
	struct hk_pool *pool;
	unsigned int index;
};

struct hk_pool {
	unsigned int threads;
	atomic_bool stop;

	/* There is a core for each: else it is no wonder that one has none. */
	bool may_fetch;

	/* The core that the caller has, as of the begin of a run. */
	_Atomic int caller_cpu;

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

/* @limit: NULL for none */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *limit)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, limit, NULL, 0);
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

/* Of @left tasks: the last ones are small steps, so nobody has much more to do than others. */
static uint32_t some_of(uint32_t left, uint32_t most)
{
	uint32_t half = (left + 1) / 2;

	return half < most ? half : most;
}

/* The next tasks of a share, or for somebody else the last one. How many; 0: none was left. */
static uint32_t take(struct hk_worker *from, bool own, unsigned int *first)
{
	uint64_t range = atomic_load_explicit(&from->range, memory_order_acquire);

	while (!is_empty(range)) {
		uint32_t next = (uint32_t)range, end = range >> 32, n = 1;

		if (own)
			n = some_of(end - next, atomic_load_explicit(&from->most,
								     memory_order_relaxed));
		*first = own ? next : end - 1;
		if (atomic_compare_exchange_weak_explicit(&from->range, &range,
							  own ? range + n : range - (1ull << 32),
							  memory_order_acquire,
							  memory_order_acquire))
			return n;
	}
	return 0;
}

static int caller_cpu(struct hk_pool *p)
{
	return atomic_load_explicit(&p->caller_cpu, memory_order_relaxed);
}

/* Its own share, then the others': what is left of them when it is done. */
static void work(struct hk_worker *w)
{
	struct hk_pool *p = w->pool;
	uint32_t done = 0, n;
	unsigned int first;

	for (unsigned int i = 0; i < p->threads; i++) {
		struct hk_worker *from = &p->worker[(w->index + i) % p->threads];

		for (; (n = take(from, !i, &first)); done += n)
			from->fn(from->arg, first, first + n, w->index);
	}
	/* Both sequentially consistent: the caller sees the sum, or we see it sleep. */
	atomic_fetch_add(&w->done, done);
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
		/* Who has the caller's core waits for nobody but itself. */
		if (!(i % HK_POOL_LOOK) && sched_getcpu() == caller_cpu(p) &&
		    !hk_place_part(&w->place, caller_cpu(p)))
			break;
		relax();
	}
	atomic_fetch_add(&p->sleepers, 1);
	for (;;) {
		uint32_t seen = atomic_load(&p->wakeups);

		if (must_go_on(w))
			break;
		futex_wait(&p->wakeups, seen, NULL);
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
		hk_place_enter(&w->place);
		work(w);
		hk_place_leave(&w->place);
		hk_place_return(&w->place, caller_cpu(w->pool));
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
		pthread_join(p->worker[i].place.thread, NULL);
	free(p);
}

struct hk_pool *hk_pool_create(unsigned int threads)
{
	return hk_pool_create_on(threads, NULL);
}

struct hk_pool *hk_pool_create_on(unsigned int threads, const cpu_set_t *cpus)
{
	struct hk_pool *p;
	pthread_t thread;
	cpu_set_t mine;
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
	p->caller_cpu = -1;
	if (!cpus && !sched_getaffinity(0, sizeof(mine), &mine))
		p->may_fetch = threads <= (unsigned int)CPU_COUNT(&mine);
	else if (cpus)
		p->may_fetch = threads <= (unsigned int)CPU_COUNT(cpus);
	for (unsigned int i = 0; i < threads; i++) {
		p->worker[i].pool = p;
		p->worker[i].index = i;
		hk_place_init(&p->worker[i].place);
		if (!i)
			continue;
		err = pthread_create(&thread, NULL, worker_main, &p->worker[i]);
		if (err) {
			end_pool(p, i);
			errno = err;
			return NULL;
		}
		hk_place_begin(&p->worker[i].place, thread);
		if (cpus)
			pthread_setaffinity_np(thread, sizeof(*cpus), cpus);
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

/* Does a worker need the caller's core to go on? */
static bool has_our_core(struct hk_pool *p)
{
	int cpu = sched_getcpu();

	for (unsigned int i = 1; i < p->threads; i++) {
		if (hk_place_works_on(&p->worker[i].place, cpu))
			return true;
	}
	return false;
}

static bool spin_for_tasks(struct hk_pool *p, int turns)
{
	for (int i = 0; i < turns; i++) {
		if (all_done(p))
			return true;
		if (!(i % HK_POOL_LOOK) && has_our_core(p))
			break;
		relax();
	}
	return false;
}

static void look_at_workers(struct hk_pool *p)
{
	for (unsigned int i = 1; i < p->threads; i++)
		hk_place_look(&p->worker[i].place);
}

/* Those who hold a task and have not run since we looked get our core. */
static void fetch_workers(struct hk_pool *p)
{
	for (unsigned int i = 1; i < p->threads; i++) {
		struct hk_place *place = &p->worker[i].place;

		if (hk_place_works(place) && hk_place_is_off(place))
			hk_place_fetch(place);
	}
}

/* Until something ends; less and less often we look who has no core. */
static void sleep_for_tasks(struct hk_pool *p, uint32_t seen, unsigned int turn)
{
	struct timespec limit = { .tv_nsec = HK_POOL_FIRST_NS << (turn < 8 ? turn : 8) };

	if (!p->may_fetch) {
		futex_wait(&p->ends, seen, NULL);
		return;
	}
	look_at_workers(p);
	futex_wait(&p->ends, seen, &limit);
	if (atomic_load(&p->ends) == seen)
		fetch_workers(p);
}

static void wait_for_tasks(struct hk_pool *p)
{
	if (spin_for_tasks(p, HK_POOL_SPINS))
		return;
	if (p->may_fetch && !has_our_core(p)) {
		look_at_workers(p);
		if (spin_for_tasks(p, HK_POOL_SPINS / 8))
			return;
		fetch_workers(p);
	}
	atomic_store(&p->caller_sleeps, true);
	for (unsigned int turn = 0;; turn++) {
		uint32_t seen = atomic_load(&p->ends);

		if (all_done(p))
			break;
		sleep_for_tasks(p, seen, turn);
	}
	atomic_store(&p->caller_sleeps, false);
}

/* The first task of a worker's share; of few tasks the caller has one. */
static uint64_t share(const struct hk_pool *p, unsigned int tasks, unsigned int worker)
{
	return ((uint64_t)tasks * worker + p->threads - 1) / p->threads;
}

/* Workers may take up to @most tasks at a time. */
static void run(struct hk_pool *p, hk_tasks_fn fn, void *arg, unsigned int tasks, uint32_t most)
{
	if (hk_pool_threads(p) == 1 || tasks <= 1) {
		if (tasks)
			fn(arg, 0, tasks, 0);
		return;
	}
	p->started += tasks;
	atomic_store_explicit(&p->caller_cpu, sched_getcpu(), memory_order_relaxed);
	/* From the last one on: the caller's own share is for taking at once. */
	for (unsigned int i = p->threads; i--;) {
		struct hk_worker *w = &p->worker[i];

		w->fn = fn;
		w->arg = arg;
		atomic_store_explicit(&w->most, most, memory_order_relaxed);
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

struct one_by_one {
	hk_task_fn fn;
	void *arg;
};

static void each_task(void *arg, unsigned int first, unsigned int last, unsigned int worker)
{
	const struct one_by_one *o = arg;

	for (; first < last; first++)
		o->fn(o->arg, first, worker);
}

void hk_pool_run(struct hk_pool *p, hk_task_fn fn, void *arg, unsigned int tasks)
{
	run(p, each_task, &(struct one_by_one){ fn, arg }, tasks, 1);
}

void hk_pool_run_many(struct hk_pool *p, hk_tasks_fn fn, void *arg, unsigned int tasks)
{
	uint32_t quarter = tasks / (4 * hk_pool_threads(p));

	run(p, fn, arg, tasks, quarter ? quarter : 1);
}
