/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_SLOT_H__
#define __HEARTH_SLOT_H__

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "hw/hearth_regs.h"

struct hearth_device;
struct hearth_queue;

/**
 * struct hearth_slots - who is on which slot of the device
 *
 * A queue gets a slot when it has a job and keeps it for as long as nobody
 * else wants it. If all are taken, a queue without jobs loses its one, the
 * longest idle first. If all are busy, the one that has been on its slot for
 * longest yields when the jobs on its ring have ended.
 */
struct hearth_slots {
	/** @hdev: Device. */
	struct hearth_device *hdev;

	/** @lock: Held while slots change hands; admin calls are made under it. */
	struct mutex lock;

	/** @owner_lock: Protects @owner, @waiting. */
	spinlock_t owner_lock;

	/** @owner: Queue on each slot, with a reference; changed under @lock too. */
	struct hearth_queue *owner[HEARTH_MAX_SLOTS];

	/** @waiting: Queues that want a slot, with a reference. */
	struct list_head waiting;

	/** @frozen: No slot is granted: the device suspends or is gone. */
	bool frozen;

	/** @work: Serves @waiting and stops dead queues; hearth_device.wq. */
	struct work_struct work;
};

/**
 * enum hearth_blame - whose fault is it that the firmware was stopped?
 */
enum hearth_blame {
	/** @HEARTH_BLAME_NONE: Nobody's: we wanted to. */
	HEARTH_BLAME_NONE,

	/** @HEARTH_BLAME_STALLED: Of those that made no progress. */
	HEARTH_BLAME_STALLED,

	/** @HEARTH_BLAME_ALL: Of one that had a job in execution, nobody knows which. */
	HEARTH_BLAME_ALL,
};

int hearth_slots_init(struct hearth_device *hdev);

/*
 * Fences are signalled under hearth_slots.lock, and so it counts as a part of
 * signalling wherever it is held. Taken after hearth_device.reset_lock, which
 * then belongs into the section too.
 */
bool hearth_slots_lock(struct hearth_device *hdev);
void hearth_slots_unlock(struct hearth_device *hdev, bool cookie);

/* The queue has pending jobs and no slot, or its slot yields. Atomic. */
void hearth_slot_request(struct hearth_queue *queue);

/* The last job on its ring has ended. Atomic. */
void hearth_slot_idle(struct hearth_queue *queue);

/* It wants none any more. */
void hearth_slot_forget(struct hearth_queue *queue);

/* Something changed: a queue died, or a slot that yields has drained. Atomic. */
void hearth_slots_kick(struct hearth_device *hdev);

/* Moves pending jobs to the ring; with hearth_queue.lock held. */
void hearth_slot_fill(struct hearth_queue *queue);

/* The queue on a slot, with a reference, or NULL. */
struct hearth_queue *hearth_slot_owner(struct hearth_device *hdev, u32 slot);

/*
 * With hearth_slots.lock held: take every queue off its slot, by asking the
 * firmware (nobody has a job on a ring), or after it was stopped.
 */
int hearth_slots_evict_idle(struct hearth_device *hdev);
void hearth_slots_after_stop(struct hearth_device *hdev, enum hearth_blame blame);

/* Is a job on the ring of any slot? */
bool hearth_slots_busy(struct hearth_device *hdev);

/* Puts nothing on rings any more and lets queues that are well run dry. */
void hearth_slots_drain(struct hearth_device *hdev, unsigned long timeout);

/* No grants any more, and back. */
void hearth_slots_freeze(struct hearth_device *hdev, bool frozen);

#endif /* __HEARTH_SLOT_H__ */
