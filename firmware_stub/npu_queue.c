// SPDX-License-Identifier: MIT
/*
 * Who runs what: the highest priority first, equals in turn, one worker to a
 * slot. Decisions fall at command boundaries.
 */
#include <string.h>

#include "npu.h"

void npu_slot_clear(struct npu_slot *slot)
{
	memset(slot, 0, sizeof(*slot));
}

static bool is_runnable(const struct npu_slot *s)
{
	return s->exists && !s->dying && !s->running && !s->stopped &&
	       (s->job.active || s->pending);
}

static bool goes_before(const struct npu_slot *a, const struct npu_slot *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->ticket < b->ticket;
}

/* The slot to run next, or NULL. The lock is held. */
static struct npu_slot *next_slot(struct npu *npu)
{
	struct npu_slot *best = NULL;

	if (npu->resetting || npu->regs.status != HEARTH_STATUS_READY)
		return NULL;
	for (unsigned int i = 0; i < npu->caps.slots; i++) {
		struct npu_slot *s = &npu->slot[i];

		if (is_runnable(s) && (!best || goes_before(s, best)))
			best = s;
	}
	return best;
}

static void run(struct npu_worker *worker, struct npu_slot *slot)
{
	struct npu *npu = worker->npu;

	slot->running = true;
	npu->inside++;
	pthread_mutex_unlock(&npu->lock);
	npu_slot_run(worker, slot - npu->slot);
	pthread_mutex_lock(&npu->lock);
	slot->running = false;
	/* behind its equals */
	slot->ticket = ++npu->next_ticket;
	npu->inside--;
	pthread_cond_broadcast(&npu->idle);
	/* another worker may have passed it over while it was taken */
	if (is_runnable(slot))
		pthread_cond_broadcast(&npu->wake);
}

void *npu_worker_main(void *arg)
{
	struct npu_worker *worker = arg;
	struct npu *npu = worker->npu;

	pthread_mutex_lock(&npu->lock);
	while (!npu->closing) {
		struct npu_slot *slot = next_slot(npu);

		if (slot)
			run(worker, slot);
		else
			pthread_cond_wait(&npu->wake, &npu->lock);
	}
	pthread_mutex_unlock(&npu->lock);
	return NULL;
}

/*
 * At a command boundary: must the worker let go of @slot, which it has had
 * since @since?
 */
bool npu_slot_must_stop(struct npu *npu, const struct npu_slot *slot, uint64_t since)
{
	const struct npu_slot *next;
	bool stop;

	pthread_mutex_lock(&npu->lock);
	stop = slot->dying || npu->resetting || npu->regs.status != HEARTH_STATUS_READY;
	next = stop ? NULL : next_slot(npu);
	if (next && next->priority > slot->priority)
		stop = true;
	if (next && next->priority == slot->priority &&
	    npu_now_ns() - since >= NPU_QUANTUM_NS)
		stop = true;
	pthread_mutex_unlock(&npu->lock);
	if (next && stop)
		npu_count(npu, preemptions);
	return stop;
}

static void ring_queue(struct npu *npu, unsigned int index)
{
	struct npu_slot *s = &npu->slot[index];

	if (!s->exists)
		return;
	if (!s->running && !s->pending && !s->job.active)
		s->ticket = ++npu->next_ticket;
	s->pending = true;
	pthread_cond_broadcast(&npu->wake);
}

/* Any doorbell also makes the firmware look for room in the event ring. */
void npu_doorbell(struct npu *npu, unsigned int index)
{
	npu_count(npu, doorbells);
	pthread_mutex_lock(&npu->lock);
	if (index < npu->caps.slots) {
		ring_queue(npu, index);
	} else if (index == HEARTH_DOORBELL_ADMIN) {
		npu->admin_pending = true;
		pthread_cond_signal(&npu->fw_wake);
	}
	pthread_mutex_unlock(&npu->lock);
}
