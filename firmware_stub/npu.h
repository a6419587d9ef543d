/* SPDX-License-Identifier: MIT */
/*
 * The emulated NPU: registers, firmware, queues. Documentation/datasheet.rst
 * says how it behaves.
 *
 * Threads: the owner's thread serves the vfio-user protocol and the control
 * socket; one thread is the firmware's (boot, admin ring), one its heartbeat,
 * and each worker executes commands. npu->lock covers everything that has no
 * lock of its own and is never held across an access to the client's memory,
 * since that may need the protocol's thread.
 *
 * Whoever touches the client's memory does so between npu_enter() and
 * npu_leave(). A reset closes the door, waits until all have left, and only
 * then changes the state under them.
 */
#ifndef HEARTH_NPU_H
#define HEARTH_NPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <hw/hearth_cmd.h>
#include <hw/hearth_fw.h>
#include <hw/hearth_regs.h>

#include "kernels/exec.h"
#include "kernels/pool.h"
#include "npu_inject.h"
#include "npu_mmu.h"
#include "npu_space.h"
#include "vfu_server.h"

#define NPU_CONTEXTS		64
#define NPU_PRIORITIES		4
#define NPU_SRAM_BYTES		(4u << 20)
#define NPU_FREQ_MHZ		1000
#define NPU_MAX_WORKERS		16
#define NPU_MAX_IMAGE		(16u << 20)

/* A queue gives way to its equals after so long. */
#define NPU_QUANTUM_NS		2000000ull
#define NPU_HEARTBEAT_MS	50
/* How often a full event ring is looked at again. */
#define NPU_EVENT_POLL_US	500

/**
 * struct npu_caps - what this device can do; a lesser one has fewer
 */
struct npu_caps {
	uint64_t ops;
	uint64_t types;
	unsigned int slots;
};

/* The job that a slot is working on, across preemptions. */
struct npu_job {
	bool active;
	uint64_t seqno;
	uint64_t stream_va;
	uint32_t stream_bytes;
	uint32_t offset;
	uint32_t op_index;
};

struct npu_slot {
	bool exists;
	bool dying;		/* QUEUE_DESTROY waits for the worker */
	bool running;		/* a worker has it */
	bool stopped;		/* after a fault */
	bool pending;		/* the doorbell rang, or the ring had more */
	unsigned int priority;
	unsigned int ctx_id;
	struct npu_ctx *ctx;
	uint64_t ring;
	uint32_t entries;
	uint32_t extract;
	uint64_t ticket;	/* order among equals */
	uint64_t last_seqno;
	uint64_t progress;
	uint64_t busy_ns;
	struct npu_job job;
};

struct npu_stats {
	uint64_t jobs;
	uint64_t commands;
	uint64_t preemptions;
	uint64_t events;
	uint64_t irqs;
	uint64_t resets;
	uint64_t boots;
	uint64_t faults;
	uint64_t admin;
	uint64_t doorbells;
};

/* Where the host has put things, from the boot arguments. */
struct npu_host {
	uint64_t host_page;
	uint64_t fw_page;
	uint64_t admin_ring;
	uint64_t event_ring;
	uint32_t admin_entries;
	uint32_t event_entries;
};

struct npu_regs {
	uint32_t status;
	uint32_t boot_error;
	uint32_t fw_version;
	uint64_t fw_addr;
	uint32_t fw_size;
	uint64_t boot_args;
	uint32_t irq_status;
	uint32_t irq_enable;
};

struct npu_worker {
	struct npu *npu;
	pthread_t thread;
	struct npu_space space;
	struct hk_pool *pool;
	struct hk_exec *exec;
};

struct npu {
	struct vfu_server vfu;
	struct npu_caps caps;
	struct npu_inject inject;
	bool verbose;

	pthread_mutex_t lock;
	pthread_cond_t wake;	/* workers: something to do, or a reason to stop */
	pthread_cond_t fw_wake;	/* the firmware: the same */
	pthread_cond_t stop;	/* the process ends */
	pthread_cond_t idle;	/* somebody has left, or let go of a slot */
	bool closing;		/* the process ends */
	bool resetting;
	bool removed;
	unsigned int inside;	/* between npu_enter() and npu_leave() */

	struct npu_regs regs;
	struct npu_host host;
	bool boot_asked;
	bool admin_pending;
	bool log_asked;
	uint32_t admin_extract;
	struct npu_ctx *ctx[NPU_CONTEXTS];
	struct npu_slot slot[HEARTH_MAX_SLOTS];
	uint64_t next_ticket;

	pthread_mutex_t event_lock;
	uint32_t event_insert;	/* under event_lock, as the one below */
	uint32_t heartbeat;

	struct npu_stats stats;	/* atomics */
	pthread_t firmware;
	pthread_t heart;
	struct npu_worker worker[NPU_MAX_WORKERS];
	unsigned int workers;
};

#define npu_count(npu, what) \
	__atomic_fetch_add(&(npu)->stats.what, 1, __ATOMIC_RELAXED)

struct npu_opts {
	struct npu_caps caps;
	unsigned int workers;
	unsigned int cores;	/* threads that share the work of one command; 0 is 1 */
	bool msix;
	bool verbose;
};

/* npu.c */
struct npu *npu_create(const struct npu_opts *opts);
void npu_destroy(struct npu *npu);
void npu_wake_all(struct npu *npu);	/* the lock is held */
bool npu_enter(struct npu *npu);	/* false: stay out, a reset is on */
void npu_leave(struct npu *npu);
void npu_reset(struct npu *npu);	/* protocol's thread only */
void npu_set_removed(struct npu *npu, bool removed);
void npu_log(struct npu *npu, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t npu_now_ns(void);

/* npu_regs.c */
uint64_t npu_bar_read(void *device, unsigned int bar, uint64_t offset,
		      unsigned int bytes);
void npu_bar_write(void *device, unsigned int bar, uint64_t offset,
		   unsigned int bytes, uint64_t value);
void npu_regs_reset(struct npu *npu);
void npu_raise(struct npu *npu, uint32_t cause);
void npu_set_status(struct npu *npu, uint32_t status);
uint32_t npu_status(struct npu *npu);

/* npu_fw.c: the firmware's threads */
void *npu_firmware_main(void *arg);
void *npu_heart_main(void *arg);
void npu_fw_die(struct npu *npu, const char *why);
void npu_fw_log(struct npu *npu);	/* send a LOG event soon */

/* npu_boot.c; returns one of HEARTH_BOOT_*, or a negative errno if a reset came */
int npu_boot(struct npu *npu);

/* npu_admin.c: take what the host has put into the admin ring */
void npu_admin_serve(struct npu *npu);

/* npu_event.c: false if a reset or a dead host page came in between */
bool npu_event_push(struct npu *npu, const struct hearth_hw_event *event);

/* npu_queue.c: slots and who runs them */
void *npu_worker_main(void *arg);
void npu_doorbell(struct npu *npu, unsigned int index);
void npu_slot_clear(struct npu_slot *slot);
bool npu_slot_must_stop(struct npu *npu, const struct npu_slot *slot, uint64_t since);

/* npu_job.c: run @slot until it has nothing to do or must give way */
void npu_slot_run(struct npu_worker *worker, unsigned int index);

/* npu_caps.c */
struct npu_caps npu_caps_full(void);
int npu_caps_parse(struct npu_caps *caps, const char *text, char *error, size_t bytes);
bool npu_caps_allow(const struct npu_caps *caps, const struct hearth_cmd_header *cmd,
		    struct hk_fault *fault);

#endif
