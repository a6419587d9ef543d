/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TOOLS_PICTURE_H
#define HEARTH_TOOLS_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

/* 8-bit RGB, rows from the top, no padding. */
struct picture {
	uint32_t width, height;
	uint8_t *rgb;
};

/*
 * Read a BMP (24 or 32 bits, uncompressed) or a binary PPM or PGM file.
 * Returns 0, or -1 with a message in @why. Free with picture_free().
 */
int picture_read(const char *path, struct picture *p, char *why, unsigned int size);
void picture_free(struct picture *p);

/*
 * Scale to @width x @height into @dst (RGB, or grey if @channels is 1), by the
 * mean of the area that each pixel covers; integers only, the same everywhere.
 */
void picture_scale(const struct picture *p, uint32_t width, uint32_t height,
		   uint32_t channels, uint8_t *dst);

#endif
