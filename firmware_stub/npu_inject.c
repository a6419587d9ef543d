// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "npu_inject.h"

static const struct {
	const char *name;
	bool stays;
} kinds[NPU_INJECT_COUNT] = {
	[NPU_INJECT_HANG] = { "hang", false },
	[NPU_INJECT_HARD_HANG] = { "hard-hang", false },
	[NPU_INJECT_NO_COMPLETION] = { "no-completion", false },
	[NPU_INJECT_WRONG_SEQNO] = { "wrong-seqno", false },
	[NPU_INJECT_BAD_SLOT] = { "bad-slot", false },
	[NPU_INJECT_BAD_EVENT_INDEX] = { "bad-event-index", false },
	[NPU_INJECT_GARBAGE_EVENT] = { "garbage-event", false },
	[NPU_INJECT_PARTIAL_WRITE] = { "partial-write", false },
	[NPU_INJECT_LOST_IRQ] = { "lost-irq", false },
	[NPU_INJECT_MMU_FAULT] = { "mmu-fault", false },
	[NPU_INJECT_BOOT_FAIL] = { "boot-fail", false },
	[NPU_INJECT_BOOT_HANG] = { "boot-hang", false },
	[NPU_INJECT_FW_VERSION] = { "fw-version", true },
	[NPU_INJECT_REMOVAL] = { "surprise-removal", true },
	[NPU_INJECT_SLOW] = { "slow", true },
	[NPU_INJECT_CRASH] = { "crash", false },
	[NPU_INJECT_LOG] = { "log", false },
	[NPU_INJECT_LATE_IRQ] = { "late-irq", false },
};

void npu_inject_init(struct npu_inject *inj)
{
	memset(inj, 0, sizeof(*inj));
	pthread_mutex_init(&inj->lock, NULL);
}

void npu_inject_fini(struct npu_inject *inj)
{
	pthread_mutex_destroy(&inj->lock);
}

const char *npu_inject_name(enum npu_injection kind)
{
	return kinds[kind].name;
}

int npu_inject_by_name(const char *name)
{
	for (int i = 0; i < NPU_INJECT_COUNT; i++)
		if (!strcmp(name, kinds[i].name))
			return i;
	return -EINVAL;
}

void npu_inject_arm(struct npu_inject *inj, enum npu_injection kind,
		    unsigned int slot, uint64_t value)
{
	pthread_mutex_lock(&inj->lock);
	inj->kind[kind].armed = true;
	inj->kind[kind].slot = slot;
	inj->kind[kind].value = value;
	pthread_mutex_unlock(&inj->lock);
}

void npu_inject_clear(struct npu_inject *inj)
{
	pthread_mutex_lock(&inj->lock);
	for (int i = 0; i < NPU_INJECT_COUNT; i++)
		inj->kind[i].armed = false;
	pthread_mutex_unlock(&inj->lock);
}

bool npu_inject_take_at(struct npu_inject *inj, enum npu_injection kind,
			unsigned int slot, uint64_t value)
{
	bool taken;

	pthread_mutex_lock(&inj->lock);
	taken = inj->kind[kind].armed && inj->kind[kind].value <= value &&
		(inj->kind[kind].slot == NPU_ANY_SLOT || inj->kind[kind].slot == slot);
	if (taken) {
		inj->kind[kind].taken++;
		inj->kind[kind].armed = kinds[kind].stays;
	}
	pthread_mutex_unlock(&inj->lock);
	return taken;
}

bool npu_inject_take(struct npu_inject *inj, enum npu_injection kind, unsigned int slot)
{
	return npu_inject_take_at(inj, kind, slot, UINT64_MAX);
}

bool npu_inject_armed(struct npu_inject *inj, enum npu_injection kind, uint64_t *value)
{
	bool armed;

	pthread_mutex_lock(&inj->lock);
	armed = inj->kind[kind].armed;
	if (armed && value)
		*value = inj->kind[kind].value;
	pthread_mutex_unlock(&inj->lock);
	return armed;
}

uint64_t npu_inject_total(struct npu_inject *inj)
{
	uint64_t total = 0;

	pthread_mutex_lock(&inj->lock);
	for (int i = 0; i < NPU_INJECT_COUNT; i++)
		total += inj->kind[i].taken;
	pthread_mutex_unlock(&inj->lock);
	return total;
}
