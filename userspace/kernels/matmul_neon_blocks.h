/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 32 elements, read in place. For matmul_neon_body.h.
 */
#ifndef HEARTH_KERNELS_MATMUL_NEON_BLOCKS_H
#define HEARTH_KERNELS_MATMUL_NEON_BLOCKS_H

#include "kernels/decode.h"
#include "kernels/matmul_neon.h"

HK_INLINE struct units units_of(const unsigned int type)
{
	return (struct units){
		.unit = 32,
		.min = type == HEARTH_TYPE_Q4_1 || type == HEARTH_TYPE_Q5_1,
		.shift = type == HEARTH_TYPE_Q4_0 ? 4 : 0,
	};
}

HK_INLINE uint32_t block_bytes(const unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_1:
		return 20;
	case HEARTH_TYPE_Q5_0:
		return 22;
	case HEARTH_TYPE_Q5_1:
		return 24;
	case HEARTH_TYPE_Q8_0:
		return 34;
	case HEARTH_TYPE_MXFP4:
		return 17;
	default:
		return 18;
	}
}

/* Sixteen times (nibble - 8): 8 becomes the sign bit of the byte's upper half. */
HK_INLINE void q4_0(int8x16_t q[2], const uint8_t *p)
{
	uint8x16_t v = veorq_u8(vld1q_u8(p), vdupq_n_u8(0x88));

	q[0] = vreinterpretq_s8_u8(vshlq_n_u8(v, 4));
	q[1] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(0xf0)));
}

HK_INLINE void nibbles(int8x16_t q[2], const uint8_t *p)
{
	uint8x16_t v = vld1q_u8(p);

	q[0] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
	q[1] = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
}

HK_INLINE void looked_up(int8x16_t q[2], const uint8_t *p, const int8_t *values)
{
	int8x16_t table = vld1q_s8(values);
	uint8x16_t v = vld1q_u8(p);

	q[0] = vqtbl1q_s8(table, vandq_u8(v, vdupq_n_u8(15)));
	q[1] = vqtbl1q_s8(table, vshrq_n_u8(v, 4));
}

/*
 * Four bytes of fifth bits, then nibbles. Unsigned, the bit is worth 16. Less
 * 16, a bit that is not set makes the upper half all ones.
 */
HK_INLINE void q5(int8x16_t q[2], const uint8_t *p, const bool less_16)
{
	static const uint8_t spread[32] = {
		0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
		2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3,
	};
	const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
	uint8x16_t v = vld1q_u8(p + 4), bits;
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	bits = vreinterpretq_u8_u32(vdupq_n_u32(less_16 ? ~word : word));
	for (int h = 0; h < 2; h++) {
		uint8x16_t set = vtstq_u8(vqtbl1q_u8(bits, vld1q_u8(spread + 16 * h)), bit);

		if (!less_16)
			set = vandq_u8(set, vdupq_n_u8(1));
		/* Keeps the lower half of the first operand. */
		q[h] = vreinterpretq_s8_u8(vsliq_n_u8(h ? vshrq_n_u8(v, 4) : v, set, 4));
	}
}

HK_INLINE void load_block(int8x16_t q[2], const uint8_t *p, const unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0:
		q4_0(q, p + 2);
		break;
	case HEARTH_TYPE_Q4_1:
		nibbles(q, p + 4);
		break;
	case HEARTH_TYPE_Q5_0:
		q5(q, p + 2, true);
		break;
	case HEARTH_TYPE_Q5_1:
		q5(q, p + 4, false);
		break;
	case HEARTH_TYPE_Q8_0:
		q[0] = vld1q_s8((const int8_t *)p + 2);
		q[1] = vld1q_s8((const int8_t *)p + 18);
		break;
	case HEARTH_TYPE_IQ4_NL:
		looked_up(q, p + 2, hk_iq4_values);
		break;
	default:
		looked_up(q, p + 1, hk_fp4_values);
		break;
	}
}

/* hk_half_e8m0() of each row's first byte */
HK_INLINE void load_half_e8m0(float32x4_t d[2], const uint8_t *const w[ROWS])
{
	uint32_t e[ROWS];

	for (int i = 0; i < ROWS; i++)
		e[i] = w[i][0];
	for (int g = 0; g < 2; g++) {
		uint32x4_t v = vld1q_u32(e + 4 * g), one = vdupq_n_u32(1);
		uint32x4_t small = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(v));
		uint32x4_t bits = vshlq_n_u32(vsubq_u32(v, one), 23);

		d[g] = vreinterpretq_f32_u32(vbslq_u32(vcleq_u32(v, one), small, bits));
	}
}

HK_INLINE void load_scales(struct scales *s, const uint8_t *const w[ROWS],
			   const unsigned int type)
{
	if (type == HEARTH_TYPE_MXFP4)
		load_half_e8m0(s->d, w);
	else
		load_f16(s->d, w, 0);
	if (units_of(type).min)
		load_f16(s->m, w, 2);
}

#endif /* HEARTH_KERNELS_MATMUL_NEON_BLOCKS_H */
