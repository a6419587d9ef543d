/* SPDX-License-Identifier: MIT */
/*
 * What the programs on budgets, models and pressure share: ioctls of admission,
 * attributes of the device, users. Functions that return int return 0 (or what
 * they were asked for) or a negative errno.
 */
#ifndef KEEP_H
#define KEEP_H

#include "rig.h"

#define KEEP_MB		(1ull << 20)
#define KEEP_EXTENT	(2 * KEEP_MB)

/* Attributes in the device's folder "hearth", in bytes. */
int64_t keep_attribute(const char *name);
int keep_set_attribute(const char *name, uint64_t bytes);
int keep_set_attribute_text(const char *name, const char *text);

int keep_memory(int fd, struct drm_hearth_memory *memory);
/* ADMIT of a demand without a file. */
int keep_admit(int fd, struct drm_hearth_admit *args, uint64_t weights, uint64_t state,
	       uint64_t scratch, uint32_t class);
/* The fd of a reservation. */
int keep_reserve(int fd, uint64_t bytes, uint32_t class);

/* A buffer that is there: made and mapped. Its handle. */
int keep_take(int fd, uint64_t bytes);

/* A model over one buffer; its id. */
int keep_model(int fd, uint32_t bo, uint32_t class, int64_t keep_alive_ns, const char *name);
int keep_model_set(int fd, uint32_t model, uint32_t fields, uint32_t class,
		   int64_t keep_alive_ns);
int keep_model_get(int fd, uint32_t model, struct drm_hearth_model_info *info);
int keep_model_destroy(int fd, uint32_t model);
/* What was dropped, in bytes. */
int64_t keep_model_drop(int fd, uint32_t model, uint32_t flags);
/* The event file, non-blocking. */
int keep_model_events(int fd, uint32_t model);
/* &enum drm_hearth_model_state now, or a negative errno. */
int keep_state(int fd, uint32_t model);

/* rig_in_child() as another user without any privilege. */
int keep_as_user(uint32_t uid, int (*body)(void *arg), void *arg);
/* Opens the node for everybody, for tests with several users. */
int keep_open_node(void);

#endif /* KEEP_H */
