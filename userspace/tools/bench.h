/* SPDX-License-Identifier: MIT */
/* What `hearth bench' measured, and how it tells of it. */
#ifndef HEARTH_TOOLS_BENCH_H
#define HEARTH_TOOLS_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "hearth.h"
#include "tools/machine.h"

#define BENCH_MAX_PREFILLS	8
#define BENCH_MAX_REPS		100

/* One thing that was measured; speeds in tokens per second, in the order of time. */
struct bench_series {
	bool prefill;
	uint32_t tokens;
	unsigned int n;
	double speed[BENCH_MAX_REPS];
	/* of decode: what DRAM gave meanwhile, in 10^9 bytes per second; 0: not measured */
	double dram_gbs[BENCH_MAX_REPS];
};

struct bench_result {
	const char *path;
	struct hearth_device_info device;
	struct hearth_llm_info model;
	struct machine machine;
	bool has_machine;
	double open_s, first_s;	/* first_s 0: not measured */
	/* of the matrix products of one decode step */
	uint64_t decode_bytes, decode_macs, head_macs;
	struct bench_series series[BENCH_MAX_PREFILLS + 1];
	unsigned int n_series;
};

/* A table, or JSON, on stdout; 0, or 1 after a message. */
int bench_print(const struct bench_result *r, bool json);
int bench_print_machine(const struct machine *m, bool json);

#endif
