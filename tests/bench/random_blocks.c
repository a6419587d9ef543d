// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "random_blocks.h"

/* Spread of evenly drawn values: 4 bits 4.6, 5 bits 9.2, 6 bits 18.5, 8 bits 74. */
#define D_Q4_0	(0.02f / 4.6f)
#define D_Q8_0	(0.02f / 74.0f)
/* The scales of a K block are drawn too: 6 bits around 31, or 8 bits with sign. */
#define D_Q4_K	(0.02f / (4.6f * 31.0f))
#define D_Q5_K	(0.02f / (9.2f * 31.0f))
#define D_Q6_K	(0.02f / (18.5f * 74.0f))

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* xoshiro256++ of Blackman and Vigna */
static inline uint64_t next(struct random_blocks *r)
{
	uint64_t *s = r->state, out = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

void random_blocks_seed(struct random_blocks *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		/* splitmix64 */
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		r->state[i] = z ^ z >> 31;
	}
}

static void fill_random(struct random_blocks *r, uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t x = next(r);

		memcpy(p + i, &x, 8);
	}
	if (bytes % 8) {
		uint64_t x = next(r);

		memcpy(p + bytes / 8 * 8, &x, bytes % 8);
	}
}

/* f16 of @x times 0.75 to 1.25; also below the smallest normal number. */
static uint16_t near_half(uint8_t draw, float x)
{
	float v = x * (0.75f + draw * (0.5f / 255));
	uint32_t bits, exponent;

	memcpy(&bits, &v, sizeof(bits));
	exponent = bits >> 23 & 0xff;
	if (exponent < 113)	/* a multiple of 2^-24 */
		return (uint16_t)(v * 16777216.0f + 0.5f);
	return (uint16_t)((exponent - 112) << 10 | (bits >> 13 & 0x3ff));
}

static void set_half(uint8_t *p, float x)
{
	/* Drawn already: the byte that lies there. */
	uint16_t h = near_half(*p, x);

	memcpy(p, &h, sizeof(h));
}

void random_blocks_fill(struct random_blocks *r, enum gguf_type type, void *dst, size_t n)
{
	const size_t bytes = gguf_type_info(type)->block_bytes;
	const float one = 1.0f;
	uint8_t *p = dst;

	if (type != GGUF_TYPE_F32)
		fill_random(r, p, n * bytes);
	for (size_t i = 0; i < n; i++, p += bytes) {
		switch (type) {
		case GGUF_TYPE_F32:
			memcpy(p, &one, sizeof(one));
			break;
		case GGUF_TYPE_Q4_0:
			set_half(p, D_Q4_0);
			break;
		case GGUF_TYPE_Q8_0:
			set_half(p, D_Q8_0);
			/* A quantizer never makes -128. */
			for (int k = 2; k < 34; k++)
				p[k] += p[k] == 0x80;
			break;
		case GGUF_TYPE_Q4_K:
			set_half(p, D_Q4_K);
			set_half(p + 2, 7.5f * D_Q4_K);
			break;
		case GGUF_TYPE_Q5_K:
			set_half(p, D_Q5_K);
			set_half(p + 2, 15.5f * D_Q5_K);
			break;
		case GGUF_TYPE_Q6_K:
			set_half(p + 208, D_Q6_K);
			break;
		default:
			abort();
		}
	}
}
