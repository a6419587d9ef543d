/* SPDX-License-Identifier: MIT */
/*
 * Block formats to struct hk_qblock. The layouts are ggml's. All scales that
 * come out are exact: at most 19 significant bits.
 */
#ifndef HEARTH_KERNELS_DECODE_H
#define HEARTH_KERNELS_DECODE_H

#include <hw/hearth_cmd.h>

#include "kernels/f16.h"
#include "kernels/types.h"

static const int8_t hk_iq4_values[16] = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

/* Twice the values of e2m1. */
static const int8_t hk_fp4_values[16] = {
	0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
};

static inline float hk_load_f16(const uint8_t *p)
{
	return hk_f32_from_f16((uint16_t)(p[0] | p[1] << 8));
}

/* 16 bytes: elements 0..15 in the low nibbles, 16..31 in the high ones. */
static inline void hk_nibbles(int8_t *q, const uint8_t *src, int sub)
{
	for (int i = 0; i < 16; i++) {
		q[i] = (int8_t)((src[i] & 15) - sub);
		q[i + 16] = (int8_t)((src[i] >> 4) - sub);
	}
}

static inline void hk_nibble_table(int8_t *q, const uint8_t *src, const int8_t *table)
{
	for (int i = 0; i < 16; i++) {
		q[i] = table[src[i] & 15];
		q[i + 16] = table[src[i] >> 4];
	}
}

static inline void hk_add_fifth_bit(int8_t *q, const uint8_t *src, int sub)
{
	uint32_t bits;

	memcpy(&bits, src, sizeof(bits));
	for (int i = 0; i < 32; i++)
		q[i] = (int8_t)(q[i] + (int)((bits >> i) & 1) * 16 - sub);
}

static inline void hk_decode_q5(const uint8_t *src, struct hk_qblock *out, bool min)
{
	const uint8_t *bits = src + (min ? 4 : 2);

	out->d[0] = hk_load_f16(src);
	if (min)
		out->m[0] = hk_load_f16(src + 2);
	hk_nibbles(out->q, bits + 4, 0);
	hk_add_fifth_bit(out->q, bits, min ? 0 : 16);
}

static inline void hk_decode_q2_k(const uint8_t *src, struct hk_qblock *out)
{
	out->scale = hk_load_f16(src + 80);
	out->min = hk_load_f16(src + 82);
	for (int i = 0; i < 16; i++) {
		out->sc[i] = src[i] & 15;
		out->mn[i] = src[i] >> 4;
	}
	for (int i = 0; i < 256; i++) {
		uint8_t byte = src[16 + (i >> 7) * 32 + (i & 31)];

		out->q[i] = (int8_t)((byte >> (((i >> 5) & 3) * 2)) & 3);
	}
}

static inline void hk_decode_q3_k(const uint8_t *src, struct hk_qblock *out)
{
	const uint8_t *high = src, *low = src + 32, *sc = src + 96;

	out->scale = hk_load_f16(src + 108);
	for (int i = 0; i < 16; i++) {
		int lo = i < 8 ? sc[i] & 15 : sc[i - 8] >> 4;
		int hi = (sc[8 + (i & 3)] >> (i / 4 * 2)) & 3;

		out->sc[i] = (int16_t)((lo | hi << 4) - 32);
	}
	for (int i = 0; i < 256; i++) {
		int q = (low[(i >> 7) * 32 + (i & 31)] >> (((i >> 5) & 3) * 2)) & 3;
		int bit = (high[i & 31] >> (i >> 5)) & 1;

		out->q[i] = (int8_t)(q - (bit ? 0 : 4));
	}
}

/* Eight 6-bit scales and eight 6-bit minima in 12 bytes. */
static inline void hk_k_scales(const uint8_t *s, struct hk_qblock *out)
{
	for (int i = 0; i < 8; i++) {
		if (i < 4) {
			out->sc[i] = s[i] & 63;
			out->mn[i] = s[i + 4] & 63;
		} else {
			out->sc[i] = (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
			out->mn[i] = (s[i + 4] >> 4) | (s[i] >> 6) << 4;
		}
	}
}

static inline void hk_decode_q4_k(const uint8_t *src, struct hk_qblock *out)
{
	out->scale = hk_load_f16(src);
	out->min = hk_load_f16(src + 2);
	hk_k_scales(src + 4, out);
	for (int j = 0; j < 4; j++) {
		for (int i = 0; i < 32; i++) {
			uint8_t byte = src[16 + j * 32 + i];

			out->q[j * 64 + i] = byte & 15;
			out->q[j * 64 + 32 + i] = byte >> 4;
		}
	}
}

static inline void hk_decode_q5_k(const uint8_t *src, struct hk_qblock *out)
{
	const uint8_t *high = src + 16, *low = src + 48;

	out->scale = hk_load_f16(src);
	out->min = hk_load_f16(src + 2);
	hk_k_scales(src + 4, out);
	for (int j = 0; j < 4; j++) {
		for (int i = 0; i < 32; i++) {
			uint8_t byte = low[j * 32 + i], bits = high[i] >> (j * 2);

			out->q[j * 64 + i] = (int8_t)((byte & 15) | (bits & 1) << 4);
			out->q[j * 64 + 32 + i] = (int8_t)((byte >> 4) | (bits & 2) << 3);
		}
	}
}

static inline void hk_decode_q6_k(const uint8_t *src, struct hk_qblock *out)
{
	out->scale = hk_load_f16(src + 208);
	for (int i = 0; i < 16; i++)
		out->sc[i] = (int8_t)src[192 + i];
	for (int n = 0; n < 2; n++) {
		const uint8_t *low = src + n * 64, *high = src + 128 + n * 32;
		int8_t *q = out->q + n * 128;

		for (int i = 0; i < 32; i++) {
			q[i] = (int8_t)((low[i] & 15) | (high[i] & 3) << 4) - 32;
			q[i + 32] = (int8_t)((low[i + 32] & 15) | (high[i] & 12) << 2) - 32;
			q[i + 64] = (int8_t)((low[i] >> 4) | (high[i] & 48)) - 32;
			q[i + 96] = (int8_t)((low[i + 32] >> 4) | (high[i] & 192) >> 2) - 32;
		}
	}
}

static inline void hk_decode_iq4_xs(const uint8_t *src, struct hk_qblock *out)
{
	unsigned int high = src[2] | src[3] << 8;

	out->scale = hk_load_f16(src);
	for (int i = 0; i < 8; i++) {
		int lo = (src[4 + i / 2] >> (i % 2 * 4)) & 15;
		int hi = (high >> (i * 2)) & 3;

		out->sc[i] = (int16_t)((lo | hi << 4) - 32);
		hk_nibble_table(out->q + i * 32, src + 8 + i * 16, hk_iq4_values);
	}
}

/* A block of 256, its scales not multiplied out. */
static inline void hk_decode_k(unsigned int type, const uint8_t *src, struct hk_qblock *out)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		hk_decode_q2_k(src, out);
		break;
	case HEARTH_TYPE_Q3_K:
		hk_decode_q3_k(src, out);
		break;
	case HEARTH_TYPE_Q4_K:
		hk_decode_q4_k(src, out);
		break;
	case HEARTH_TYPE_Q5_K:
		hk_decode_q5_k(src, out);
		break;
	case HEARTH_TYPE_Q6_K:
		hk_decode_q6_k(src, out);
		break;
	case HEARTH_TYPE_IQ4_XS:
		hk_decode_iq4_xs(src, out);
		break;
	}
}

static inline void hk_multiply_out(const struct hk_type *t, struct hk_qblock *out)
{
	for (int u = 0; u < HK_MAX_BLOCK / t->unit; u++) {
		out->d[u] = out->scale * (float)out->sc[u];
		if (t->min)
			out->m[u] = -(out->min * (float)out->mn[u]);
	}
}

/* 2^(e - 128), half of the block's e8m0 scale; 0 and 1 are denormal. */
static inline float hk_half_e8m0(uint8_t e)
{
	return hk_f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static inline void hk_decode(unsigned int type, const uint8_t *src, struct hk_qblock *out)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0:
		out->d[0] = hk_load_f16(src);
		hk_nibbles(out->q, src + 2, 8);
		break;
	case HEARTH_TYPE_Q4_1:
		out->d[0] = hk_load_f16(src);
		out->m[0] = hk_load_f16(src + 2);
		hk_nibbles(out->q, src + 4, 0);
		break;
	case HEARTH_TYPE_Q5_0:
		hk_decode_q5(src, out, false);
		break;
	case HEARTH_TYPE_Q5_1:
		hk_decode_q5(src, out, true);
		break;
	case HEARTH_TYPE_Q8_0:
		out->d[0] = hk_load_f16(src);
		memcpy(out->q, src + 2, 32);
		break;
	case HEARTH_TYPE_IQ4_NL:
		out->d[0] = hk_load_f16(src);
		hk_nibble_table(out->q, src + 2, hk_iq4_values);
		break;
	case HEARTH_TYPE_MXFP4:
		out->d[0] = hk_half_e8m0(src[0]);
		hk_nibble_table(out->q, src + 1, hk_fp4_values);
		break;
	default:
		hk_decode_k(type, src, out);
		hk_multiply_out(hk_type(type), out);
		break;
	}
}

#endif /* HEARTH_KERNELS_DECODE_H */
