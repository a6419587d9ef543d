/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_FUZZ_DRIVER_H
#define HEARTH_TESTS_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

/*
 * A fuzzer is LLVMFuzzerTestOneInput(), so libFuzzer can run it as well, and
 * the seeds that it starts from. The driver mutates them from a fixed seed:
 * the same binary with the same seed tries the same inputs.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const char *const fuzz_name;

/* Good inputs, which the fuzzer makes itself: call @add for each. */
void fuzz_seeds(void (*add)(const void *data, size_t size));

/* From within fuzz_seeds(): the files of a folder of the models, up to @max bytes each. */
void fuzz_add_models(const char *folder, size_t max) __attribute__((weak));

/* Values that break readers of this format, to be written over fields. */
extern const uint64_t fuzz_values[];
extern const size_t fuzz_n_values;

/* Most bytes of heap that an input of @size may cost. */
size_t fuzz_heap_limit(size_t size);

#endif
