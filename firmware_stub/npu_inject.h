/* SPDX-License-Identifier: MIT */
/*
 * Misbehaviour on demand, for the tests of who has to live with it. Most
 * injections are one-shot: the first occasion that fits takes them.
 */
#ifndef HEARTH_NPU_INJECT_H
#define HEARTH_NPU_INJECT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum npu_injection {
	NPU_INJECT_HANG,		/* a job stops making progress */
	NPU_INJECT_HARD_HANG,		/* and cannot be destroyed either */
	NPU_INJECT_NO_COMPLETION,	/* a job ends, its event is lost */
	NPU_INJECT_WRONG_SEQNO,		/* JOB_DONE of another job */
	NPU_INJECT_BAD_SLOT,		/* JOB_DONE of a slot that cannot be */
	NPU_INJECT_BAD_EVENT_INDEX,	/* event_insert far out of range */
	NPU_INJECT_GARBAGE_EVENT,	/* an entry of noise */
	NPU_INJECT_PARTIAL_WRITE,	/* index written before half of the entry */
	NPU_INJECT_LOST_IRQ,		/* an event without its interrupt */
	NPU_INJECT_MMU_FAULT,		/* a command reads where nothing is */
	NPU_INJECT_BOOT_FAIL,		/* boot ends with BAD_IMAGE */
	NPU_INJECT_BOOT_HANG,		/* boot never ends */
	NPU_INJECT_FW_VERSION,		/* another contract, until clear */
	NPU_INJECT_REMOVAL,		/* all ones, until clear */
	NPU_INJECT_SLOW,		/* a delay before each command, until clear */
	NPU_INJECT_CRASH,		/* firmware dies at once; never armed */
	NPU_INJECT_LOG,			/* a LOG event at once; never armed */
	NPU_INJECT_LATE_IRQ,		/* an interrupt at once, asleep or not; never armed */
	NPU_INJECT_COUNT,
};

#define NPU_ANY_SLOT	(~0u)

struct npu_inject {
	pthread_mutex_t lock;
	struct {
		bool armed;
		unsigned int slot;	/* or NPU_ANY_SLOT */
		uint64_t value;
		uint64_t taken;
	} kind[NPU_INJECT_COUNT];
};

void npu_inject_init(struct npu_inject *inj);
void npu_inject_fini(struct npu_inject *inj);

const char *npu_inject_name(enum npu_injection kind);

/* -EINVAL if @name is unknown. */
int npu_inject_by_name(const char *name);

void npu_inject_arm(struct npu_inject *inj, enum npu_injection kind,
		    unsigned int slot, uint64_t value);
void npu_inject_clear(struct npu_inject *inj);

/* Is it armed for @slot? Takes it if it is one-shot. */
bool npu_inject_take(struct npu_inject *inj, enum npu_injection kind, unsigned int slot);

/* As above, but only if its value is at most @value; for HANG's op. */
bool npu_inject_take_at(struct npu_inject *inj, enum npu_injection kind,
			unsigned int slot, uint64_t value);

/* Is it armed? *value (if not NULL) gets its value. */
bool npu_inject_armed(struct npu_inject *inj, enum npu_injection kind, uint64_t *value);

uint64_t npu_inject_total(struct npu_inject *inj);

#endif
