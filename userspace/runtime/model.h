/* SPDX-License-Identifier: MIT */
/*
 * A model: weights that are kept or dropped as one, and the states that belong
 * to them. What the kernel knows of it differs by device.
 */
#ifndef HEARTH_RUNTIME_MODEL_H
#define HEARTH_RUNTIME_MODEL_H

#include "hearth.h"

#define HEARTH_MODEL_BUFFERS	4

struct hearth_device;
struct hearth_buffer;

struct hearth_model {
	struct hearth_device *dev;
	/** weights: or NULL, of a network that has all in its constants. */
	struct hearth_buffer *weights;
	/** owned: @weights go with the model. */
	bool owned;
	struct hearth_buffer *state;
	/** keep_alive_ns: HEARTH_KEEP_DEFAULT resolved. */
	int64_t keep_alive_ns;
	enum hearth_model_class model_class;
	char name[sizeof(((struct hearth_model_info *)0)->name)];
	/** id: Of the driver; 0 where it keeps no models. */
	uint32_t id;
	/* CPU: what load and drop did */
	uint64_t restored_bytes, restored_ns, dropped_bytes;
};

/**
 * struct hearth_model_ops - what differs between NPU and CPU
 *
 * Functions return 0 or a negative errno with the thread's message set.
 */
struct hearth_model_ops {
	/* @reservation_fd: or -1 */
	int (*create)(struct hearth_model *m, int reservation_fd);
	void (*destroy)(struct hearth_model *m);
	/* @info is zeroed, its sz set */
	int (*info)(struct hearth_model *m, struct hearth_model_info *info);
	/* after class and keep-alive of @m were changed */
	int (*set)(struct hearth_model *m);
	int (*load)(struct hearth_model *m);
	int (*drop)(struct hearth_model *m, uint32_t flags, uint64_t *bytes);
	int (*events)(struct hearth_model *m, int *fd);
	int (*list)(struct hearth_device *dev,
		    int (*fn)(const struct hearth_model_info *info, void *arg),
		    void *arg);
	int (*memory)(struct hearth_device *dev, struct hearth_memory_info *info);
	/* fills all of @a but the text */
	int (*admit)(struct hearth_device *dev, const struct hearth_demand *d,
		     const struct hearth_admit_opts *o, struct hearth_answer *a);
	int (*reserve)(struct hearth_device *dev, uint64_t bytes,
		       enum hearth_model_class model_class, int *fd);
};

extern const struct hearth_model_ops hearth_models_cpu;
extern const struct hearth_model_ops hearth_models_npu;

/*
 * A model of buffers that the caller keeps alive as long as it. Either buffer
 * may be NULL. The model is named like the file of @name_fd if the options have
 * no name; -1: "model".
 */
int hearth_model_of(struct hearth_device *dev, struct hearth_buffer *weights,
		    struct hearth_buffer *state, int name_fd,
		    const struct hearth_model_opts *opts, struct hearth_model **model);

/* -EINVAL if there is no such class; DEFAULT becomes NORMAL. */
int hearth_class_check(enum hearth_model_class *model_class);

/* What MemAvailable and the memory cgroup say; the answer is an estimate. */
int hearth_system_admit(const struct hearth_demand *d, struct hearth_answer *a);
int hearth_system_memory(struct hearth_memory_info *info);

#endif
