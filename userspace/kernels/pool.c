// SPDX-License-Identifier: MIT
/*
 * Workers take task numbers from one counter, so a worker whose core was
 * taken away delays no more than the task that it holds. Between runs they
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
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/fpenv.h"
#include "kernels/pool.h"

#define HK_POOL_MAX	64
#define HK_POOL_SPINS	4000

struct hk_worker {
	struct hk_pool *pool;
	pthread_t thread;
	unsigned int index;
};

struct hk_pool {
	unsigned int threads;

	/* Written before @left is raised, stable until all tasks are done. */
	hk_task_fn fn;
	void *arg;
	unsigned int tasks;

	/* Counts up with each run; sleeping workers wait for its change. */
	_Alignas(64) _Atomic uint32_t run;
	_Atomic uint32_t sleepers;
	atomic_bool stop;

	/* Tasks that nobody has taken; whoever lowers it owns one. */
	_Alignas(64) _Atomic uint32_t left;

	/* Tasks that are not finished; the caller waits for 0. */
	_Alignas(64) _Atomic uint32_t busy;
	atomic_bool caller_sleeps;

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

static bool take(struct hk_pool *p, unsigned int *task)
{
	uint32_t left = atomic_load_explicit(&p->left, memory_order_acquire);

	while (left) {
		if (atomic_compare_exchange_weak_explicit(&p->left, &left, left - 1,
							  memory_order_acq_rel,
							  memory_order_acquire)) {
			/* The run cannot end before this task: its fields hold. */
			*task = p->tasks - left;
			return true;
		}
	}
	return false;
}

static void work(struct hk_pool *p, unsigned int worker)
{
	unsigned int task;

	while (take(p, &task)) {
		p->fn(p->arg, task, worker);
		if (atomic_fetch_sub(&p->busy, 1) == 1 && atomic_load(&p->caller_sleeps))
			futex_wake(&p->busy, 1);
	}
}

static void wait_for_run(struct hk_pool *p, uint32_t seen)
{
	for (int i = 0; i < HK_POOL_SPINS; i++) {
		if (atomic_load_explicit(&p->run, memory_order_acquire) != seen)
			return;
		relax();
	}
	atomic_fetch_add(&p->sleepers, 1);
	while (atomic_load(&p->run) == seen)
		futex_wait(&p->run, seen);
	atomic_fetch_sub(&p->sleepers, 1);
}

static void *worker_main(void *arg)
{
	struct hk_worker *w = arg;
	struct hk_pool *p = w->pool;
	uint32_t seen = 0;

	hk_fpenv_enter();
	for (;;) {
		wait_for_run(p, seen);
		seen = atomic_load(&p->run);
		if (atomic_load(&p->stop))
			return NULL;
		work(p, w->index);
	}
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
	bytes = sizeof(*p) + (threads - 1) * sizeof(p->worker[0]);
	p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (!p)
		return NULL;
	*p = (struct hk_pool){ .threads = 1 };
	for (unsigned int i = 0; i + 1 < threads; i++) {
		p->worker[i].pool = p;
		p->worker[i].index = i + 1;
		err = pthread_create(&p->worker[i].thread, NULL, worker_main,
				     &p->worker[i]);
		if (err) {
			hk_pool_destroy(p);
			errno = err;
			return NULL;
		}
		p->threads++;
		if (cpus)
			pthread_setaffinity_np(p->worker[i].thread, sizeof(*cpus), cpus);
	}
	return p;
}

static void wake_workers(struct hk_pool *p)
{
	/* Both sequentially consistent: a worker sees the run, or we see it sleep. */
	atomic_fetch_add(&p->run, 1);
	if (atomic_load(&p->sleepers))
		futex_wake(&p->run, INT_MAX);
}

void hk_pool_destroy(struct hk_pool *p)
{
	if (!p)
		return;
	atomic_store(&p->stop, true);
	wake_workers(p);
	for (unsigned int i = 0; i + 1 < p->threads; i++)
		pthread_join(p->worker[i].thread, NULL);
	free(p);
}

unsigned int hk_pool_threads(const struct hk_pool *pool)
{
	return pool ? pool->threads : 1;
}

static void wait_for_tasks(struct hk_pool *p)
{
	uint32_t busy;

	for (int i = 0; i < HK_POOL_SPINS; i++) {
		if (!atomic_load_explicit(&p->busy, memory_order_acquire))
			return;
		relax();
	}
	atomic_store(&p->caller_sleeps, true);
	while ((busy = atomic_load(&p->busy)))
		futex_wait(&p->busy, busy);
	atomic_store(&p->caller_sleeps, false);
}

void hk_pool_run(struct hk_pool *p, hk_task_fn fn, void *arg, unsigned int tasks)
{
	if (hk_pool_threads(p) == 1 || tasks <= 1) {
		for (unsigned int i = 0; i < tasks; i++)
			fn(arg, i, 0);
		return;
	}
	p->fn = fn;
	p->arg = arg;
	p->tasks = tasks;
	atomic_store(&p->busy, tasks);
	atomic_store_explicit(&p->left, tasks, memory_order_release);
	wake_workers(p);
	work(p, 0);
	wait_for_tasks(p);
}
