/* SPDX-License-Identifier: MIT */
/*
 * A Hearth NPU inside of the test: the executable's own ioctl() answers what
 * the driver would, and executes submits with the kernels. What the library
 * leaves behind can be counted.
 */
#ifndef TESTS_FAKE_NPU_H
#define TESTS_FAKE_NPU_H

#include <stdbool.h>
#include <stdint.h>

#include <drm/hearth_accel.h>

struct fake_npu {
	/* path: what to open; a file that holds the buffers' memory */
	char path[64];
	/* ops, types: what it reports and executes */
	uint64_t ops, types;
	/* counters of the calls that succeeded */
	unsigned int submits, binds, waits;
	/* objects alive */
	unsigned int bos, queues, vms, syncobjs, mappings;
	/* priority: of the last queue created */
	uint32_t priority;
	/* fail_request: this ioctl fails with fail_errno (0: none does) */
	unsigned long fail_request;
	int fail_errno;
	/* failed: how often it did */
	unsigned int failed;
	/* fault: what the next submit leaves in the queue, in place of running */
	struct drm_hearth_query_fault fault;
	/* never: waits time out */
	bool never;
	/* extent_bytes, max_models: limits; 0 as of a driver that is too old */
	uint64_t extent_bytes;
	uint32_t max_models;
	/* models alive; the last one that was made */
	unsigned int models;
	struct drm_hearth_model_create model;
	/* answer: what ADMIT fills in; memory: what QUERY_MEMORY does */
	struct drm_hearth_admit answer;
	struct drm_hearth_memory memory;
	/* asked: the last demand of ADMIT, bytes: of the last RESERVE */
	struct drm_hearth_admit asked;
	uint64_t reserved;
	/* size, advice: of the last RESIZE and ADVISE; discard: retained is 0 */
	uint64_t size;
	uint32_t advice;
	bool discard;
	/* no_states: BO_CREATE knows no DRM_HEARTH_BO_STATE */
	bool no_states;
};

extern struct fake_npu fake;

/* Start afresh; the file is made on the first call. */
void fake_npu_reset(void);

/* Drop the weights of all models, as under pressure. */
void fake_npu_drop(void);

/* Objects of any kind that are still alive. */
unsigned int fake_npu_leaks(void);

#endif
