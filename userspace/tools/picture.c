// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/picture.h"

#define MAX_SIDE	16384u
#define MAX_FILE	(1u << 30)

struct bytes {
	uint8_t *p;
	size_t n;
};

static int read_all(const char *path, struct bytes *b, char *why, unsigned int size)
{
	FILE *f = fopen(path, "rb");
	long n;

	if (!f) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	n = fseek(f, 0, SEEK_END) ? -1 : ftell(f);
	b->p = n > 0 && n <= (long)MAX_FILE ? malloc(n) : NULL;
	b->n = n;
	if (!b->p || fseek(f, 0, SEEK_SET) || fread(b->p, 1, n, f) != (size_t)n) {
		snprintf(why, size, "%s: cannot read a picture of %ld bytes", path, n);
		free(b->p);
		fclose(f);
		return -1;
	}
	fclose(f);
	return 0;
}

static int set_size(struct picture *p, uint32_t w, uint32_t h, const char *path,
		    char *why, unsigned int size)
{
	if (!w || !h || w > MAX_SIDE || h > MAX_SIDE) {
		snprintf(why, size, "%s: %u x %u pixels; sides of 1 to %u are possible",
			 path, w, h, MAX_SIDE);
		return -1;
	}
	p->width = w;
	p->height = h;
	p->rgb = malloc((size_t)w * h * 3);
	if (!p->rgb) {
		snprintf(why, size, "%s: no memory for %u x %u pixels", path, w, h);
		return -1;
	}
	return 0;
}

static uint32_t u32_at(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void bmp_rows(const struct bytes *b, uint32_t at, uint32_t stride,
		     unsigned int step, bool bottom_up, struct picture *p)
{
	for (uint32_t y = 0; y < p->height; y++) {
		uint32_t row = bottom_up ? p->height - 1 - y : y;
		const uint8_t *s = b->p + at + (size_t)row * stride;
		uint8_t *d = p->rgb + (size_t)y * p->width * 3;

		for (uint32_t x = 0; x < p->width; x++, s += step, d += 3) {
			d[0] = s[2];
			d[1] = s[1];
			d[2] = s[0];
		}
	}
}

static int read_bmp(const char *path, const struct bytes *b, struct picture *p,
		    char *why, unsigned int size)
{
	uint32_t at, bits, stride;
	int32_t h;

	if (b->n < 54) {
		snprintf(why, size, "%s: BMP header cut off at %zu bytes", path, b->n);
		return -1;
	}
	at = u32_at(b->p + 10);
	h = (int32_t)u32_at(b->p + 22);
	bits = b->p[28] | b->p[29] << 8;
	/* 3: bit fields, which 32-bit files use for the plain order too */
	if ((bits != 24 && bits != 32) ||
	    (u32_at(b->p + 30) != 0 && u32_at(b->p + 30) != 3)) {
		snprintf(why, size, "%s: BMP of %u bits, compression %u; 24 or 32 bits without are read",
			 path, bits, u32_at(b->p + 30));
		return -1;
	}
	if (set_size(p, u32_at(b->p + 18), h < 0 ? -(uint32_t)h : (uint32_t)h,
		     path, why, size))
		return -1;
	stride = (p->width * (bits / 8) + 3) & ~3u;
	if (at > b->n || (b->n - at) / stride < p->height) {
		snprintf(why, size, "%s: BMP pixels cut off at %zu bytes", path, b->n);
		picture_free(p);
		return -1;
	}
	bmp_rows(b, at, stride, bits / 8, h > 0, p);
	return 0;
}

/* A number of a PNM header, behind white space and comments; ~0 if none. */
static uint32_t pnm_number(const struct bytes *b, size_t *at)
{
	uint32_t n = 0;
	size_t start;

	while (*at < b->n && (isspace(b->p[*at]) || b->p[*at] == '#')) {
		if (b->p[*at] == '#')
			while (*at < b->n && b->p[*at] != '\n')
				(*at)++;
		else
			(*at)++;
	}
	for (start = *at; *at < b->n && isdigit(b->p[*at]) && n < 1u << 24; (*at)++)
		n = n * 10 + (b->p[*at] - '0');
	return *at == start ? ~0u : n;
}

static int read_pnm(const char *path, const struct bytes *b, struct picture *p,
		    char *why, unsigned int size)
{
	unsigned int channels = b->p[1] == '6' ? 3 : 1;
	size_t at = 2, n;
	uint32_t w = pnm_number(b, &at), h = pnm_number(b, &at);
	uint32_t max = pnm_number(b, &at);

	if (max != 255) {
		snprintf(why, size, "%s: largest value %u; 255 is read", path, max);
		return -1;
	}
	if (set_size(p, w, h, path, why, size))
		return -1;
	n = (size_t)w * h;
	at++;	/* one white space */
	if (at > b->n || b->n - at < n * channels) {
		snprintf(why, size, "%s: pixels cut off at %zu bytes", path, b->n);
		picture_free(p);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		for (unsigned int c = 0; c < 3; c++)
			p->rgb[3 * i + c] = b->p[at + i * channels +
						 (channels == 3 ? c : 0)];
	return 0;
}

int picture_read(const char *path, struct picture *p, char *why, unsigned int size)
{
	struct bytes b;
	int ret = -1;

	if (read_all(path, &b, why, size))
		return -1;
	if (b.n >= 2 && b.p[0] == 'B' && b.p[1] == 'M')
		ret = read_bmp(path, &b, p, why, size);
	else if (b.n >= 2 && b.p[0] == 'P' && (b.p[1] == '5' || b.p[1] == '6'))
		ret = read_pnm(path, &b, p, why, size);
	else
		snprintf(why, size, "%s: neither BMP nor binary PPM or PGM", path);
	free(b.p);
	return ret;
}

void picture_free(struct picture *p)
{
	free(p->rgb);
	p->rgb = NULL;
}

/* Source range of target pixel @i, at least one pixel. */
static void span(uint32_t i, uint32_t from, uint32_t to, uint32_t *a, uint32_t *b)
{
	*a = (uint64_t)i * from / to;
	*b = (uint64_t)(i + 1) * from / to;
	if (*b == *a)
		(*b)++;
}

static void mean(const struct picture *p, const uint32_t x[2], const uint32_t y[2],
		 uint64_t rgb[3])
{
	uint64_t n = (uint64_t)(x[1] - x[0]) * (y[1] - y[0]);

	rgb[0] = rgb[1] = rgb[2] = n / 2;
	for (uint32_t j = y[0]; j < y[1]; j++)
		for (uint32_t i = x[0]; i < x[1]; i++)
			for (unsigned int c = 0; c < 3; c++)
				rgb[c] += p->rgb[((size_t)j * p->width + i) * 3 + c];
	for (unsigned int c = 0; c < 3; c++)
		rgb[c] /= n;
}

void picture_scale(const struct picture *p, uint32_t width, uint32_t height,
		   uint32_t channels, uint8_t *dst)
{
	for (uint32_t j = 0; j < height; j++)
		for (uint32_t i = 0; i < width; i++) {
			uint32_t x[2], y[2];
			uint64_t rgb[3];

			span(i, p->width, width, &x[0], &x[1]);
			span(j, p->height, height, &y[0], &y[1]);
			mean(p, x, y, rgb);
			if (channels == 1)	/* BT.601 luma */
				*dst++ = (77 * rgb[0] + 150 * rgb[1] +
					  29 * rgb[2] + 128) >> 8;
			else
				for (unsigned int c = 0; c < 3; c++)
					*dst++ = rgb[c];
		}
}
