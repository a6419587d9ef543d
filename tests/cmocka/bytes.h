/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TESTS_BYTES_H
#define HEARTH_TESTS_BYTES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A growing buffer in which tests and fuzzers write small model files. */
struct bytes {
	uint8_t *p;
	size_t n, cap;
};

static inline void *bytes_add(struct bytes *b, const void *data, size_t n)
{
	if (b->n + n > b->cap) {
		uint8_t *old = b->p;

		b->cap = (b->n + n) * 2 + 64;
		/* Aligned as a mapping is, as far as the readers care. */
		b->p = aligned_alloc(64, (b->cap + 63) / 64 * 64);
		if (!b->p)
			abort();
		if (old)
			memcpy(b->p, old, b->n);
		free(old);
	}
	if (n && data)
		memcpy(b->p + b->n, data, n);
	else if (n)
		memset(b->p + b->n, 0, n);
	b->n += n;
	return b->p + b->n - n;
}

static inline void bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){ 0 };
}

/* An exact copy, so that a sanitizer sees a read behind its end. */
static inline uint8_t *bytes_copy(const struct bytes *b, size_t n)
{
	uint8_t *p = NULL;

	if (posix_memalign((void **)&p, 64, n ? n : 1))
		abort();
	memcpy(p, b->p, n);
	return p;
}

static inline void bytes_pad(struct bytes *b, size_t align)
{
	while (b->n % align)
		bytes_add(b, NULL, 1);
}

static inline void bytes_u8(struct bytes *b, uint8_t v)
{
	bytes_add(b, &v, sizeof(v));
}

static inline void bytes_u16(struct bytes *b, uint16_t v)
{
	bytes_add(b, &v, sizeof(v));
}

static inline void bytes_u32(struct bytes *b, uint32_t v)
{
	bytes_add(b, &v, sizeof(v));
}

static inline void bytes_u64(struct bytes *b, uint64_t v)
{
	bytes_add(b, &v, sizeof(v));
}

static inline void bytes_set(struct bytes *b, size_t pos, uint64_t v, size_t width)
{
	if (pos + width > b->n)
		abort();
	memcpy(b->p + pos, &v, width);
}

#endif
