/* SPDX-License-Identifier: MIT */
/*
 * NEON: CONV_2D as a product of matrices of int8.
 *
 * Weights are packed in panels of 16 channels: for each few taps, the first
 * channel's, the second one's and so on. Windows of input pixels are gathered
 * as rows, with the zero point for what lies outside. Zero points are taken off
 * as in gemv_dotprod.c: what depends on the channel through its bias, what
 * depends on the window as the start of its sums.
 */
#ifndef HEARTH_KERNELS_CONV_NEON_H
#define HEARTH_KERNELS_CONV_NEON_H

#include "kernels/int8_neon.h"

#define NR	HK_PACK_NR
#define MR	4

struct job {
	const struct hk_conv *cv;
	/* Taps of a window, and the same rounded up to a multiple of TAPS */
	uint32_t k, k_pad;
	/* Panels of a group */
	uint32_t panels;
	int8_t *packed;
	/* HK_PACK_PIXELS windows for each worker */
	int8_t *windows;
	size_t window_bytes;
	uint64_t pixels;
	/* As int8 */
	int32_t src_zero, weights_zero;
	unsigned int tasks;
};

struct out_panel {
	uint8_t *dst;
	size_t stride;
	uint32_t channel, count;
};

#endif /* HEARTH_KERNELS_CONV_NEON_H */
