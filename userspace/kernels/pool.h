/* SPDX-License-Identifier: MIT */
/*
 * Thread pool: the caller bounds it, nobody else makes threads.
 */
#ifndef HEARTH_KERNELS_POOL_H
#define HEARTH_KERNELS_POOL_H

#include <sched.h>

struct hk_pool;

typedef void (*hk_task_fn)(void *arg, unsigned int task, unsigned int worker);

/* Tasks @first to @last - 1, never none */
typedef void (*hk_tasks_fn)(void *arg, unsigned int first, unsigned int last,
			    unsigned int worker);

/**
 * hk_pool_create() - make a pool of @threads workers, the caller included
 * @threads: 1 to 64; 1 makes no thread.
 *
 * Returns the pool or NULL (errno set).
 */
struct hk_pool *hk_pool_create(unsigned int threads);

/**
 * hk_pool_create_on() - the same with the threads on the cores of @cpus
 *
 * The caller of hk_pool_run() runs wherever it runs: it is not moved. A set
 * that the kernel refuses (no core of it may be used any more) is left aside.
 */
struct hk_pool *hk_pool_create_on(unsigned int threads, const cpu_set_t *cpus);
void hk_pool_destroy(struct hk_pool *pool);
unsigned int hk_pool_threads(const struct hk_pool *pool);

/**
 * hk_pool_run() - run fn(arg, 0..tasks-1, worker) and wait for all
 *
 * worker is below hk_pool_threads() and no two tasks run on one worker at a
 * time. Not reentrant. A NULL pool runs everything in the caller.
 */
void hk_pool_run(struct hk_pool *pool, hk_task_fn fn, void *arg,
		 unsigned int tasks);

/**
 * hk_pool_run_many() - the same, for tasks that are better done several at a time
 *
 * @fn gets up to a quarter of a worker's share at first, and less towards its end:
 * small tasks let all workers end together and cost little.
 */
void hk_pool_run_many(struct hk_pool *pool, hk_tasks_fn fn, void *arg, unsigned int tasks);

#endif /* HEARTH_KERNELS_POOL_H */
