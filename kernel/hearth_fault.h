/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_FAULT_H__
#define __HEARTH_FAULT_H__

#include <linux/types.h>

#include <drm/hearth_accel.h>

struct drm_device;
struct drm_file;

/**
 * struct hearth_fault - the first fault of a queue
 */
struct hearth_fault {
	/** @cause: What happened. */
	enum drm_hearth_fault_cause cause;

	/** @error: Negative errno of the job's fence. */
	int error;

	/** @innocent: It was another queue's fault. */
	bool innocent;

	/** @job: Number of the job in its queue. */
	u64 job;

	/** @op_index: Command in the job's stream, as the firmware says. */
	u32 op_index;

	/** @opcode: Its opcode, ~0 if unknown. */
	u32 opcode;

	/** @address: Device address. */
	u64 address;
};

/* Translates &enum hearth_hw_error of a job; false if it is none. */
bool hearth_fault_from_hw(struct hearth_fault *fault, u32 hw_error);

int hearth_ioctl_query_fault(struct drm_device *drm, void *data, struct drm_file *file);

#endif /* __HEARTH_FAULT_H__ */
