// SPDX-License-Identifier: MIT
/*
 * MATMUL of weights in rows of eight with SDOT: sixteen bytes are four neighbours of four
 * rows, as they are turned elsewhere.
 */
#include "kernels/matmul_dotprod.h"

/* Group @k of four elements of rows 4 @g to 4 @g + 3, in a field that begins at @p */
HK_INLINE uint8x16_t load4(const uint8_t *p, const int k, const int g)
{
	return vld1q_u8(p + 32 * k + 16 * g);
}

/* A word of each of these rows */
HK_INLINE uint32x4_t load_word(const uint8_t *p, const int i, const int g)
{
	return vreinterpretq_u32_u8(load4(p, i, g));
}

HK_INLINE void load_halves(float32x4_t d[2], const uint8_t *p)
{
	for (int g = 0; g < 2; g++)
		d[g] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * g)));
}

HK_INLINE void load_32(struct turned *t, const uint8_t *p, const bool q4)
{
	for (int g = 0; g < 2; g++) {
		for (int k = 0; k < (q4 ? 4 : 8); k++) {
			uint8x16_t v = load4(p, k, g);

			if (!q4) {
				t->group[g][k] = vreinterpretq_s8_u8(v);
				continue;
			}
			/* See q4_0(). */
			v = veorq_u8(v, vdupq_n_u8(0x88));
			t->group[g][k] = vreinterpretq_s8_u8(vshlq_n_u8(v, 4));
			t->group[g][k + 4] = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(0xf0)));
		}
	}
}

HK_INLINE void rows_32(const struct hk_matmul *m, const uint8_t *w, hk_sums acc,
		       const unsigned int type)
{
	const uint32_t bytes = block_bytes(type);
	const struct hk_act act = m->act;
	const uint8_t *p = w;
	struct turned t;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++, p += ROWS * bytes) {
		prefetch_next(m, w, b, bytes);
		load_halves(s.d, p);
		load_32(&t, p + 16, type == HEARTH_TYPE_Q4_0);
		for (uint32_t r = 0; r < act.rows; r++)
			add_turned(acc[r], &s, &t, &act, b * act.rows + r, units_of(type));
	}
}

HK_INLINE void load_scales_k(struct k_scales *s, const uint8_t *p, const unsigned int type)
{
	load_halves(s->d, p);
	if (type != HEARTH_TYPE_Q6_K)
		load_halves(s->minus, p + 16);
	for (int g = 0; g < 2; g++) {
		uint32x4_t in[4];

		if (type == HEARTH_TYPE_Q6_K) {
			for (int u = 0; u < 16; u++)
				s->sc[u][g] = byte_s(load_word(p + 16, u / 4, g), u % 4);
			continue;
		}
		s->minus[g] = vnegq_f32(s->minus[g]);
		for (int i = 0; i < 3; i++)
			in[i] = load_word(p + 32, i, g);
		set_q45_scales(s, in, g);
	}
}

/* Elements 32 @u to 32 @u + 31. Fields begin where eight blocks have those before them. */
HK_INLINE void load_unit_k(struct turned *t, const uint8_t *p, const int u,
			   const unsigned int type)
{
	const bool q6 = type == HEARTH_TYPE_Q6_K, fifth = type == HEARTH_TYPE_Q5_K;
	const uint8_t *bits = q6 ? p + ROWS * (146 + u / 4 * 32) : p + ROWS * 16;
	const uint8_t *low = q6 ? p + ROWS * (18 + u / 4 * 64 + u % 2 * 32) :
				  p + ROWS * ((fifth ? 48 : 16) + u / 2 * 32);

	for (int g = 0; g < 2; g++) {
		for (int k = 0; k < 8; k++) {
			uint8x16_t v = load4(low, k, g), high = load4(bits, k, g);

			t->group[g][k] = q6 ? q6_weights(v, high, u % 4) :
					      q45_weights(v, high, u, fifth);
		}
	}
}

HK_INLINE void rows_k(const struct hk_matmul *m, const uint8_t *w, hk_sums acc,
		      const unsigned int type)
{
	const struct units how = k_units(type);
	const uint32_t bytes = k_bytes(type);
	const struct hk_act act = m->act;
	const uint8_t *p = w;
	struct k_scales s;
	struct turned t;
	hk_dots dot;

	memset(dot, 0, act.rows * sizeof(dot[0]));
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, p += ROWS * bytes) {
		const int8_t *x = act.q + HK_ACT_SUPER * b * act.rows;

		prefetch_next(m, w, b, bytes);
		load_scales_k(&s, p, type);
		for (int u = 0; u < HK_ACT_BLOCKS; u++) {
			load_unit_k(&t, p, u, type);
			for (uint32_t r = 0; r < act.rows; r++, x += HK_ACT_BLOCK)
				add_turned_k(dot[r], &s, &t, x, how.unit == 16 ? 2 * u : u, how);
		}
		for (uint32_t r = 0; r < act.rows; r++)
			finish_row_k(acc[r], dot[r], &s, &act, b * act.rows + r, how);
	}
}

static void group(const struct hk_matmul *m, const uint8_t *w, hk_sums acc)
{
	switch (m->type) {
	case HEARTH_TYPE_Q4_0_R8:
		rows_32(m, w, acc, HEARTH_TYPE_Q4_0);
		break;
	case HEARTH_TYPE_Q8_0_R8:
		rows_32(m, w, acc, HEARTH_TYPE_Q8_0);
		break;
	case HEARTH_TYPE_Q4_K_R8:
		rows_k(m, w, acc, HEARTH_TYPE_Q4_K);
		break;
	case HEARTH_TYPE_Q5_K_R8:
		rows_k(m, w, acc, HEARTH_TYPE_Q5_K);
		break;
	default:
		rows_k(m, w, acc, HEARTH_TYPE_Q6_K);
		break;
	}
}

void hk_matmul_r8_dotprod(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_sums acc;

	for (uint32_t o = first; o < last; o += ROWS) {
		memset(acc, 0, m->rows * sizeof(acc[0]));
		group(m, m->weights + o * m->row_bytes, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			float *dst = m->dst + r * m->dst_stride + o;

			for (int g = 0; g < ROWS; g += 4)
				vst1q_f32(dst + g, hk_canon4(vld1q_f32(acc[r] + g)));
		}
	}
}
