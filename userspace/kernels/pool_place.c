// SPDX-License-Identifier: MIT
#include "kernels/pool_place.h"

/* A scheduler's tick is as long: no sooner is there another choice. */
#define PART_NS	2000000

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void hk_place_init(struct hk_place *p)
{
	hk_place_leave(p);
}

void hk_place_begin(struct hk_place *p, pthread_t thread)
{
	p->thread = thread;
	if (pthread_getcpuclockid(thread, &p->clock))
		p->clock = CLOCK_MONOTONIC;	/* it always runs, then */
}

void hk_place_look(struct hk_place *p)
{
	p->ran_ns = clock_ns(p->clock);
}

bool hk_place_is_off(struct hk_place *p)
{
	return clock_ns(p->clock) == p->ran_ns;
}

/* One of us at a time moves a worker: so what is read as its set is none of ours. */
static bool begin_move(struct hk_place *p)
{
	int state = HK_PLACE_FREE;

	return atomic_compare_exchange_strong_explicit(&p->state, &state, HK_PLACE_MOVES,
						       memory_order_acquire,
						       memory_order_relaxed);
}

static void end_move(struct hk_place *p, int state)
{
	atomic_store_explicit(&p->state, state, memory_order_release);
}

void hk_place_fetch(struct hk_place *p)
{
	cpu_set_t here;
	bool fetched;

	if (!begin_move(p))
		return;
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	fetched = !pthread_getaffinity_np(p->thread, sizeof(p->home), &p->home) &&
		  !pthread_setaffinity_np(p->thread, sizeof(here), &here);
	end_move(p, fetched ? HK_PLACE_FETCHED : HK_PLACE_FREE);
}

/* The kernel moves a thread at once if it may not stay, and never without need. */
static bool go_away(struct hk_place *p, int cpu, const cpu_set_t *home)
{
	cpu_set_t others = *home;
	bool gone;

	CPU_CLR(cpu, &others);
	gone = CPU_COUNT(&others) && !sched_setaffinity(0, sizeof(others), &others);
	sched_setaffinity(0, sizeof(*home), home);
	p->left_ns = clock_ns(CLOCK_MONOTONIC);
	return gone;
}

void hk_place_return(struct hk_place *p, int cpu)
{
	if (atomic_load_explicit(&p->state, memory_order_acquire) != HK_PLACE_FETCHED)
		return;
	go_away(p, cpu, &p->home);
	end_move(p, HK_PLACE_FREE);
}

bool hk_place_part(struct hk_place *p, int cpu)
{
	cpu_set_t home;
	bool gone;

	if (clock_ns(CLOCK_MONOTONIC) - p->left_ns <= PART_NS || !begin_move(p))
		return false;
	gone = !sched_getaffinity(0, sizeof(home), &home) && go_away(p, cpu, &home);
	end_move(p, HK_PLACE_FREE);
	return gone;
}
