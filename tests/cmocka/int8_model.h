/* SPDX-License-Identifier: MIT */
/*
 * The 8-bit ops, written down a second time from Documentation/arithmetic:
 * one output at a time, sums in 64 bits, roundings as real numbers.
 */
#ifndef HEARTH_TESTS_INT8_MODEL_H
#define HEARTH_TESTS_INT8_MODEL_H

#include <stdint.h>

int32_t model_requantize(int32_t x, int32_t multiplier, int shift);

void model_conv(const void *cmd, void *const ptr[], void *out);
void model_fully_connected(const void *cmd, void *const ptr[], void *out);
void model_average_pool(const void *cmd, void *const ptr[], void *out);
void model_max_pool(const void *cmd, void *const ptr[], void *out);
void model_add(const void *cmd, void *const ptr[], void *out);
void model_mul(const void *cmd, void *const ptr[], void *out);
void model_softmax(const void *cmd, void *const ptr[], void *out);
void model_lut8(const void *cmd, void *const ptr[], void *out);
void model_quantize(const void *cmd, void *const ptr[], void *out);
void model_dequantize(const void *cmd, void *const ptr[], void *out);
void model_mean(const void *cmd, void *const ptr[], void *out);
void model_copy_2d(const void *cmd, void *const ptr[], void *out);
void model_pad(const void *cmd, void *const ptr[], void *out);

#endif /* HEARTH_TESTS_INT8_MODEL_H */
