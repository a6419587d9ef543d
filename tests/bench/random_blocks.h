/* SPDX-License-Identifier: MIT */
/* Random weights with the block structure of each type. */
#ifndef HEARTH_BENCH_RANDOM_BLOCKS_H
#define HEARTH_BENCH_RANDOM_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "formats/gguf.h"

struct random_blocks {
	uint64_t state[4];
};

void random_blocks_seed(struct random_blocks *r, uint64_t seed);

/*
 * Fill @n whole blocks at @dst: every bit of the values is random, so they do
 * not compress; the scales are such that the weights spread by about 0.02.
 * F32 is 1.0 throughout: gains of a norm.
 */
void random_blocks_fill(struct random_blocks *r, enum gguf_type type, void *dst, size_t n);

#endif
