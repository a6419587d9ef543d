/* SPDX-License-Identifier: MIT */
/*
 * Where a worker of a pool runs, for cores that others use too.
 *
 * A worker that loses its core keeps the task that it holds, and everybody waits for
 * some milliseconds of scheduling. The caller, who has nothing else to do, gives it the
 * core that the caller has; it goes elsewhere when its tasks are done. And a worker that
 * wakes up on the caller's core goes elsewhere too: there it waits for the caller, who
 * waits for it.
 */
#ifndef HEARTH_KERNELS_POOL_PLACE_H
#define HEARTH_KERNELS_POOL_PLACE_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* @HK_PLACE_MOVES: somebody is about to; @HK_PLACE_FETCHED: the worker itself may undo it. */
enum hk_place_state { HK_PLACE_FREE, HK_PLACE_MOVES, HK_PLACE_FETCHED };

struct hk_place {
	pthread_t thread;
	clockid_t clock;	/* what the thread has run */

	/* The core that it works on, as of when it began; -1: it does not work. */
	_Atomic int cpu;

	/* Who may move it; where it was fetched, @home is where it could run before. */
	_Atomic int state;
	cpu_set_t home;

	uint64_t left_ns;	/* its last leave, for the worker */
	uint64_t ran_ns;	/* what @clock was, for who fetches */
};

/* What a worker says of itself: one load of its core each. */
static inline void hk_place_enter(struct hk_place *p)
{
	atomic_store_explicit(&p->cpu, sched_getcpu(), memory_order_relaxed);
}

static inline void hk_place_leave(struct hk_place *p)
{
	atomic_store_explicit(&p->cpu, -1, memory_order_relaxed);
}

static inline bool hk_place_works(const struct hk_place *p)
{
	return atomic_load_explicit(&p->cpu, memory_order_relaxed) >= 0;
}

static inline bool hk_place_works_on(const struct hk_place *p, int cpu)
{
	return atomic_load_explicit(&p->cpu, memory_order_relaxed) == cpu;
}

/* Before the worker's thread begins, and by its maker once it has. */
void hk_place_init(struct hk_place *p);
void hk_place_begin(struct hk_place *p, pthread_t thread);

/**
 * hk_place_look() - begin to watch whether a worker runs
 *
 * hk_place_is_off() tells some microseconds later: it has not run since.
 */
void hk_place_look(struct hk_place *p);
bool hk_place_is_off(struct hk_place *p);

/**
 * hk_place_fetch() - let a worker of another thread run on this core alone
 *
 * The caller should sleep then. hk_place_return() by the worker, when it has done
 * what was waited for, undoes it, and takes it from the core @cpu.
 */
void hk_place_fetch(struct hk_place *p);
void hk_place_return(struct hk_place *p, int cpu);

/**
 * hk_place_part() - take the calling worker from core @cpu, if there are others
 *
 * Returns false where it has done so only just, or could not.
 */
bool hk_place_part(struct hk_place *p, int cpu);

#endif /* HEARTH_KERNELS_POOL_PLACE_H */
