/* SPDX-License-Identifier: MIT */
/*
 * CONV_2D as a product of matrices, for one level: included after the header of
 * its ISA. The file that includes this has defined
 *
 *   tap_t: a number of a panel or a window, int8_t or int16_t
 *   TAPS: neighbours of a channel in a panel, which are multiplied at once
 *   MR: windows that are multiplied at once, 4 or 6
 *
 * Weights are packed in panels of 16 channels: for each TAPS taps, the first
 * channel's, the second one's and so on. Windows of input pixels are gathered
 * as rows, with the zero point for what lies outside.
 */
#ifndef HEARTH_KERNELS_CONV_JOB_H
#define HEARTH_KERNELS_CONV_JOB_H

#include "kernels/int8.h"

#define NR	HK_PACK_NR

struct job {
	const struct hk_conv *cv;
	/* Taps of a window, and the same rounded up to a multiple of TAPS */
	uint32_t k, k_pad;
	/* Panels of a group */
	uint32_t panels;
	tap_t *packed;
	/* HK_PACK_PIXELS windows for each worker */
	tap_t *windows;
	size_t window_bytes;
	uint64_t pixels;
	/* Of the numbers in windows and in panels; int16_t have it taken off. */
	int32_t src_zero, weights_zero;
	unsigned int tasks;
};

struct out_panel {
	uint8_t *dst;
	size_t stride;
	uint32_t channel, count;
};

#endif /* HEARTH_KERNELS_CONV_JOB_H */
