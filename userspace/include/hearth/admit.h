/* SPDX-License-Identifier: MIT */
/*
 * Would a model fit? What there is of memory, an answer before the load, a promise.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_ADMIT_H
#define HEARTH_ADMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hearth/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct hearth_memory_info - what there is, in bytes, at one moment */
struct hearth_memory_info {
	size_t sz;
	/** budget: What models may take together. CPU: the system's or the cgroup's memory. */
	uint64_t budget;
	/** resident: What they take; droppable and pinned are parts of it. */
	uint64_t resident, droppable, pinned;
	/** reserved: Promised and not used yet. */
	uint64_t reserved;
	/** uid_quota, uid_used: Of the caller's user; 0 on the CPU. */
	uint64_t uid_quota, uid_used;
	/** system_available: What the system could give without swapping. */
	uint64_t system_available;
	size_t :0;
};

/** hearth_device_get_memory() - -EOPNOTSUPP if the NPU's driver is too old */
HEARTH_API int hearth_device_get_memory(struct hearth_device *dev,
					struct hearth_memory_info *info);

enum hearth_verdict {
	HEARTH_ADMIT_NOW = 0,
	/** Yes, others will be dropped for it. */
	HEARTH_ADMIT_AFTER_DROP,
	/** What holds the memory is in use, or dearer. */
	HEARTH_ADMIT_WAIT,
	/** Not on this device, or not for this user. */
	HEARTH_ADMIT_NEVER,
};

enum hearth_limit {
	HEARTH_LIMIT_NONE = 0,
	/** The device's budget. */
	HEARTH_LIMIT_BUDGET,
	/** The quota of the caller's user; CPU: of its memory cgroup. */
	HEARTH_LIMIT_QUOTA,
	/** What is reserved for others. */
	HEARTH_LIMIT_RESERVATION,
	HEARTH_LIMIT_SYSTEM,
	/** The region that the board keeps for weights. */
	HEARTH_LIMIT_REGION,
	/** The device's address space. */
	HEARTH_LIMIT_VA,
};

/** struct hearth_demand - what a model will take, in bytes */
struct hearth_demand {
	size_t sz;
	/** weights_bytes: All of the file. */
	uint64_t weights_bytes;
	/** state_bytes: At its largest, unless the question is what it takes at first. */
	uint64_t state_bytes;
	/** scratch_bytes: Activations, constants, command streams. */
	uint64_t scratch_bytes;
	enum hearth_model_class model_class;
	/** has_weights_fd: @weights_fd is given. */
	bool has_weights_fd;
	/** weights_fd: What of it is in memory already is not counted. Borrowed. */
	int weights_fd;
	/**
	 * state_first_bytes: Of @state_bytes what is taken at first, for a state that
	 * grows; hearth_admit() does not look at it.
	 */
	uint64_t state_first_bytes;
	size_t :0;
};

struct hearth_admit_opts {
	size_t sz;
	/** wait_ns: Longest wait while the verdict is WAIT; 0 = none. NPU only. */
	uint64_t wait_ns;
	/**
	 * victim: Called for each model that would be dropped, or that holds what
	 * is waited for, the first to go first. A return other than 0 ends it
	 * and is returned.
	 */
	int (*victim)(const struct hearth_model_info *info, void *arg);
	void *arg;
	size_t :0;
};

struct hearth_answer {
	size_t sz;
	enum hearth_verdict verdict;
	/** limit: Which one bound, and its value. */
	enum hearth_limit limit;
	uint64_t limit_bytes;
	/** needed_bytes: What of the demand is not there yet. */
	uint64_t needed_bytes;
	/** available_bytes: For it, now; after_drop_bytes: after all was dropped. */
	uint64_t available_bytes, after_drop_bytes;
	/** restore_ns: Expected time to read the weights; 0 = unknown. */
	uint64_t restore_ns;
	/** n_victims: Models that opts->victim is told of. */
	uint32_t n_victims;
	/** estimated: The kernel's estimate; nobody promised it. */
	bool estimated;
	/** text: The answer in one sentence, with the numbers. */
	char text[400];
	size_t :0;
};

/**
 * hearth_admit() - ask whether a model would fit, before it is loaded
 *
 * Changes nothing. Others may come between the answer and the load: only a
 * reservation makes a yes last. On the CPU, and with a driver that is too old,
 * it is answered from MemAvailable of the system and the limit of the memory
 * cgroup.
 *
 * Returns 0 with any verdict. -EINVAL a demand of nothing, -EINTR.
 */
HEARTH_API int hearth_admit(struct hearth_device *dev,
			    const struct hearth_demand *demand,
			    const struct hearth_admit_opts *opts,
			    struct hearth_answer *answer);

/**
 * hearth_reserve() - have bytes kept for a model that will come
 * @bytes: 1 or more; rounded up to extents.
 * @reservation_fd: Returned. It may be passed on; closing the last copy of it
 *	gives the bytes back.
 *
 * Others are dropped for it if need be. -EDQUOT it will never fit, -EBUSY not
 * now, -EOPNOTSUPP on the CPU, which cannot promise memory.
 */
HEARTH_API int hearth_reserve(struct hearth_device *dev, uint64_t bytes,
			      enum hearth_model_class model_class,
			      int *reservation_fd);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_ADMIT_H */
