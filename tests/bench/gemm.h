/* SPDX-License-Identifier: MIT */
/*
 * The same matrix products on several engines, each in a program of its own:
 * dst[rows][out] = src[rows][in] * weights[out][in], f32 in and out, weights of
 * 4 or 8 bits, activations quantized to 8 bits within what is timed.
 */
#ifndef HEARTH_BENCH_GEMM_H
#define HEARTH_BENCH_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gemm {
	unsigned int bits;	/* of the weights: 4 or 8 */
	uint32_t rows, in, out;
	const float *src;	/* [rows][in], and 64 bytes that may be read */
	float *dst;		/* [rows][out] */
};

struct gemm_engine {
	/* Called once. */
	void (*open)(unsigned int threads);
	/* Weights from gemm_random(), packed as the engine wants them; its own to keep. */
	void *(*prepare)(const struct gemm *g);
	void (*run)(void *state);
	void (*release)(void *state);
};

/* Each program defines one. */
extern const struct gemm_engine gemm_engine;

void gemm_random(void *dst, size_t bytes);
/* Ends the program with a message unless @good. */
void gemm_need(bool good, const char *what);

#endif
