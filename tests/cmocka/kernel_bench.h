/* SPDX-License-Identifier: MIT */
/*
 * Runs one command on every executor that the host has, against a model.
 *
 * Each operand ends where an inaccessible page begins, so that a kernel that
 * reads or writes behind it dies.
 */
#ifndef HEARTH_TESTS_KERNEL_BENCH_H
#define HEARTH_TESTS_KERNEL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/exec.h"

#define BENCH_SLOTS		8
#define BENCH_SLOT_BYTES	(1u << 20)
#define BENCH_EXECUTORS		8

struct bench {
	struct hk_space space;
	uint8_t *memory;
	struct hk_exec *exec[BENCH_EXECUTORS];
	struct hk_pool *pool[BENCH_EXECUTORS];
	char name[BENCH_EXECUTORS][32];
	unsigned int executors;
	uint64_t random;
};

/* Every ISA, with one thread and with three */
void bench_open(struct bench *b);
void bench_close(struct bench *b);

/* Address of @bytes bytes in @slot, and where they are */
uint64_t bench_va(unsigned int slot, size_t bytes);
void *bench_ptr(struct bench *b, uint64_t va);

/* 0..n-1 */
uint32_t bench_random(struct bench *b, uint32_t n);
/* lo..hi */
int32_t bench_range(struct bench *b, int32_t lo, int32_t hi);
/* Random bytes; now and then the extremes of the types only */
void bench_fill(struct bench *b, uint64_t va, size_t bytes);

/* Computes the output of @cmd, whose operands are at @ptr, into @out. */
typedef void (*bench_model)(const void *cmd, void *const ptr[], void *out);

/*
 * Fails the test if an executor's output differs from the model's, or if it
 * changes another operand.
 */
void bench_check(struct bench *b, const void *cmd, bench_model model);

/* Fails the test unless @cmd is refused because of @field. */
void bench_refused(const void *cmd, const char *field);

#endif /* HEARTH_TESTS_KERNEL_BENCH_H */
