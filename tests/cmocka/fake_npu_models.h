/* SPDX-License-Identifier: MIT */
/* Internal to the fake NPU: its buffers, and the models over them. */
#ifndef TESTS_FAKE_NPU_MODELS_H
#define TESTS_FAKE_NPU_MODELS_H

#include <sys/types.h>

#include "fake_npu.h"

#define MAX_BOS		64

struct fake_bo {
	/* bytes: of the device; mapped: those with memory behind them, at @ptr */
	uint64_t bytes, mapped;
	char *ptr;
	bool file, state;
	/* of a file's pages */
	ino_t ino;
	uint64_t file_bytes;
};

/* NULL if there is none, or no room. */
struct fake_bo *fake_bo_new(uint32_t *handle);
struct fake_bo *fake_bo_find(uint32_t handle);

void fake_models_reset(void);
/* A job comes: all weights are in memory. */
void fake_models_restore(void);
/* The ioctls of file and state buffers, models and admission. */
int fake_models_answer(unsigned long req, void *arg);

#endif
