/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_KERNEL_SPACE_H
#define HEARTH_TESTS_KERNEL_SPACE_H

#include <stddef.h>

#include "kernels/exec.h"

/*
 * A device address space for tests of the executor. Each buffer ends at a
 * page that cannot be touched, so a kernel that reads or writes beyond its
 * operand crashes.
 */
#define KS_MAX_BUFFERS	64

struct ks_buffer {
	uint64_t va;
	uint8_t *ptr;
	size_t bytes;
	void *pages;
	size_t pages_bytes;
	bool read_only;
};

struct kspace {
	struct hk_space space;
	struct ks_buffer buffer[KS_MAX_BUFFERS];
	unsigned int buffers;

	/* What the executor did. */
	int live_maps, most_maps;
	unsigned long maps;
	uint64_t bytes_mapped, largest_map;

	/* Called at each map, if set. */
	void (*on_map)(struct kspace *ks, const struct hk_map *map);
	void *arg;
	/* Make the n-th map from now (1 is the next) or any unmap fail. */
	unsigned long fail_map;
	bool fail_unmap;
};

void ks_init(struct kspace *ks);
/* Unmaps all buffers and asserts that no map is left. */
void ks_fini(struct kspace *ks);

/* Zeroed memory whose end lies on the guard page if bytes % 64 == 0, or near it. */
void *ks_alloc(struct kspace *ks, size_t bytes);
void ks_read_only(struct kspace *ks, const void *ptr);
/* Address of a pointer into a buffer. */
uint64_t ks_va(const struct kspace *ks, const void *ptr);

/* Run a command that must succeed. */
void ks_run(struct kspace *ks, struct hk_exec *ex, const void *cmd);
/* Run a command that must fail with @err and @error, at @field if not NULL. */
void ks_fail(struct kspace *ks, struct hk_exec *ex, const void *cmd, int err,
	     uint32_t error, const char *field);

/* A generator of its own: the same numbers on every host. */
struct ks_rng {
	uint64_t s;
};

uint32_t ks_u32(struct ks_rng *rng);
/* -1 to 1 */
float ks_unit(struct ks_rng *rng);
/* Any bits: NaN, infinities, denormals, zeros and huge values are frequent. */
float ks_odd(struct ks_rng *rng);

static inline uint32_t ks_bits(float x)
{
	uint32_t u;

	__builtin_memcpy(&u, &x, sizeof(u));
	return u;
}

static inline float ks_float(uint32_t u)
{
	float x;

	__builtin_memcpy(&x, &u, sizeof(x));
	return x;
}

#define KS_HDR(OP, type) \
	{ .op = HEARTH_OP_##OP, .bytes = sizeof(struct type) }

#endif
