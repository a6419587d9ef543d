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
	/* fault: what the next submit leaves in the queue, in place of running */
	struct drm_hearth_query_fault fault;
	/* never: waits time out */
	bool never;
};

extern struct fake_npu fake;

/* Start afresh; the file is made on the first call. */
void fake_npu_reset(void);

/* Objects of any kind that are still alive. */
unsigned int fake_npu_leaks(void);

#endif
