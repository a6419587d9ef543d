// SPDX-License-Identifier: MIT
/*
 * gemm_X THREADS [few]: one line per product,
 *	BITS ROWS IN OUT GOPS
 * with the median of the passes; multiply and add are two operations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gemm.h"

#define PASSES		9
/* A pass lasts so long at least, or the clock would be what is measured. */
#define PASS_SECONDS	0.02
#define SPARE_BYTES	64

static const struct gemm products[] = {
	{ 4, 128, 2048, 5632, NULL, NULL },
	{ 8, 128, 2048, 5632, NULL, NULL },
	{ 4, 128, 4096, 4096, NULL, NULL },
	{ 8, 128, 4096, 4096, NULL, NULL },
	{ 4, 1, 4096, 4096, NULL, NULL },
	{ 4, 1, 4096, 32000, NULL, NULL },
	{ 8, 1, 4096, 32000, NULL, NULL },
};

void gemm_need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "gemm: %s failed\n", what);
	exit(1);
}

void gemm_random(void *dst, size_t bytes)
{
	static uint64_t state = 1;
	uint8_t *p = dst;

	for (size_t i = 0; i < bytes; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		p[i] = state >> 56;
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double seconds_per_run(void *state)
{
	double pass[PASSES], t = now();
	unsigned int runs;

	gemm_engine.run(state);
	t = now() - t;
	runs = t < PASS_SECONDS ? PASS_SECONDS / t + 1 : 1;
	for (int i = 0; i < PASSES; i++) {
		t = now();
		for (unsigned int k = 0; k < runs; k++)
			gemm_engine.run(state);
		pass[i] = (now() - t) / runs;
	}
	qsort(pass, PASSES, sizeof(*pass), by_value);
	return pass[PASSES / 2];
}

static void check(const struct gemm *g)
{
	double sum = 0;

	for (size_t i = 0; i < (size_t)g->rows * g->out; i++)
		sum += g->dst[i] * g->dst[i];
	/* Not zero, not NaN: it did compute something. */
	gemm_need(sum > 0 && sum < 1e30, "a product of sane numbers");
}

static void measure(struct gemm g)
{
	size_t n = (size_t)g.rows * g.in;
	float *src = calloc(n + SPARE_BYTES / sizeof(*src), sizeof(*src));
	void *state;

	g.dst = calloc((size_t)g.rows * g.out, sizeof(*g.dst));
	gemm_need(src && g.dst, "memory");
	for (size_t i = 0; i < n; i++) {
		int8_t x;

		gemm_random(&x, 1);
		src[i] = x / 128.0f;
	}
	g.src = src;
	state = gemm_engine.prepare(&g);
	printf("%u %u %u %u %.2f\n", g.bits, g.rows, g.in, g.out,
	       2e-9 * g.rows * g.in * g.out / seconds_per_run(state));
	fflush(stdout);
	check(&g);
	gemm_engine.release(state);
	free(src);
	free(g.dst);
}

int main(int argc, char **argv)
{
	size_t n = sizeof(products) / sizeof(products[0]);
	unsigned int threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	if (!threads || argc > 3 || (argc == 3 && strcmp(argv[2], "few"))) {
		fprintf(stderr, "Usage: %s THREADS [few]\n", argv[0]);
		return 2;
	}
	gemm_engine.open(threads);
	for (size_t i = 0; i < (argc == 3 ? 2 : n); i++)
		measure(products[i]);
	return 0;
}
