/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_QUEUE_H__
#define __HEARTH_QUEUE_H__

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <drm/gpu_scheduler.h>

#include "hearth_fault.h"
#include "hw/hearth_fw.h"

struct drm_device;
struct drm_file;
struct hearth_device;
struct hearth_file;
struct hearth_vm;

#define HEARTH_RING_ENTRIES	64

/*
 * Jobs that the firmware is given ahead of the one that it executes. It keeps
 * the device busy from one job to the next; more would only be in the way of a
 * queue that waits for the slot.
 */
#define HEARTH_RING_AHEAD	4

/**
 * struct hearth_progress - what the timeout of a queue goes by
 */
struct hearth_progress {
	/** @work: Looks again; on hearth_device.wq. */
	struct delayed_work work;

	/** @progress_limit: Longest time without progress, in jiffies. */
	unsigned long progress_limit;

	/** @job_limit: Longest run of a job, in jiffies. */
	unsigned long job_limit;

	/** @last: The firmware's progress counter when last looked at. */
	u64 last;

	/** @job: Sequence number of the job that was executed then. */
	u64 job;

	/** @looked: When that was, in jiffies. */
	unsigned long looked;

	/** @stalled: Time without progress so far, in jiffies. */
	unsigned long stalled;

	/** @ran: Time that @job has run so far, in jiffies. */
	unsigned long ran;
};

/**
 * struct hearth_queue - software queue
 *
 * Jobs come out of @entity, wait in @pending until the queue is on a slot,
 * and are on the slot's ring while they are in @running. Each job holds a
 * reference, so a queue that is released has no job left.
 */
struct hearth_queue {
	/** @ref: The id, each job, the slot and the list of waiters hold it. */
	struct kref ref;

	/** @hdev: Device; we hold a reference to its DRM device. */
	struct hearth_device *hdev;

	/** @vm: Address space. */
	struct hearth_vm *vm;

	/** @node: In hearth_device.queues. */
	struct list_head node;

	/** @release_work: Frees the queue, on hearth_free_wq. */
	struct work_struct release_work;

	/** @sched: One scheduler for each queue: its credits are our entries. */
	struct drm_gpu_scheduler sched;

	/** @entity: Its only entity. */
	struct drm_sched_entity entity;

	/** @fence_context: Timeline of the jobs' fences. */
	u64 fence_context;

	/** @priority: &enum drm_hearth_queue_priority. */
	u32 priority;

	/** @pid: Who made it, for debugfs. */
	pid_t pid;

	/** @jobs_armed: Number of the next job; under the VM's reservation. */
	u64 jobs_armed;

	/** @ring: Command ring; NULL once the device is gone. */
	struct hearth_hw_job *ring;

	/** @ring_dma: Its bus address. */
	dma_addr_t ring_dma;

	/** @lock: Protects all that follows. */
	spinlock_t lock;

	/** @pending: Jobs that are not on the ring, oldest first. */
	struct list_head pending;

	/** @running: Jobs that are on the ring, oldest first. */
	struct list_head running;

	/** @slot: Slot of the device, or -1. Changed under hearth_slots.lock. */
	int slot;

	/** @yielding: Nothing more goes on the ring, another queue waits. */
	bool yielding;

	/** @dead: The errno that new jobs get, or zero. */
	int dead;

	/** @culprit: Sequence number of the job that @culprit_error is for. */
	u64 culprit;

	/** @culprit_error: Of the job that the queue died of; others get @dead. */
	int culprit_error;

	/** @fault: First fault. */
	struct hearth_fault fault;

	/** @inserted: Entries on the ring since the slot was granted. */
	u32 inserted;

	/** @granted_at: When the slot was granted, ktime. */
	u64 granted_at;

	/** @active_at: When it last had work on the slot, ktime. */
	u64 active_at;

	/** @wait_node: In hearth_slots.waiting; hearth_slots.owner_lock. */
	struct list_head wait_node;

	/** @busy_ns: Engine time. */
	u64 busy_ns;

	/** @busy_seen: The firmware's counter when last read. */
	u64 busy_seen;

	/** @busy_at: When that was, ktime; bounds what we believe. */
	u64 busy_at;

	/** @progress: Timeout. */
	struct hearth_progress progress;
};

struct hearth_queue *hearth_queue_lookup(struct hearth_file *hfile, u32 id);
struct hearth_queue *hearth_queue_get(struct hearth_queue *queue);
void hearth_queue_put(struct hearth_queue *queue);

/*
 * No job after this one. Jobs that are not on a slot are cancelled at once,
 * those on one as soon as it is stopped. @fault may be NULL: cancelled by the
 * user; else it is for the job in execution.
 */
void hearth_queue_kill(struct hearth_queue *queue, int dead, const struct hearth_fault *fault);

/* Cancels what is left of a dead queue that is on no slot. */
void hearth_queue_cancel_jobs(struct hearth_queue *queue);

/* With hearth_queue.lock held: note a fault, and that no job may follow. */
void hearth_queue_set_fault(struct hearth_queue *queue, const struct hearth_fault *fault);
void hearth_queue_die(struct hearth_queue *queue, int dead, const struct hearth_fault *fault);

/* Engine time so far; reads the firmware's counter. */
u64 hearth_queue_busy_ns(struct hearth_queue *queue);

/* hearth_timeout.c */
int hearth_timeout_check(u64 progress_ns, u64 job_ns);
void hearth_timeout_init(struct hearth_queue *queue, u64 progress_ns, u64 job_ns);
/* Jobs went on the ring. With hearth_queue.lock held. */
void hearth_timeout_arm(struct hearth_queue *queue);

/* Has its job made no progress lately? With hearth_queue.lock held. */
bool hearth_timeout_stalled(struct hearth_queue *queue);

/* What the firmware says of a job on the queue's slot. False: it lies. */
bool hearth_queue_job_done(struct hearth_queue *queue, u64 seqno);
bool hearth_queue_job_fault(struct hearth_queue *queue, const struct hearth_hw_event *event);

/* Kills every queue of the device. */
void hearth_queues_kill(struct hearth_device *hdev, int dead, enum drm_hearth_fault_cause cause);

/* The device goes: kills all queues and frees their rings. */
void hearth_queues_unplug(struct hearth_device *hdev);

void hearth_queue_file_close(struct hearth_file *hfile);
u32 hearth_queue_priorities(struct hearth_device *hdev, struct drm_file *file);

int hearth_ioctl_queue_create(struct drm_device *drm, void *data, struct drm_file *file);
int hearth_ioctl_queue_destroy(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_QUEUE_H__ */
