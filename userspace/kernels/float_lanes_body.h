/* SPDX-License-Identifier: MIT */
/*
 * Float kernels of sums of 16 lanes, for one ISA: what is the same on each of them. The
 * file that includes this has defined
 *
 *   hk_tail(l, a, b, type, k, n): adds the products of elements @k to @n - 1, fewer than 16
 *   store8_f16(y, x): eight elements as f16
 *   MANY: so many sums, a register each, stay in registers
 *   and what quantize_lanes.h wants
 */
#include "kernels/float_isa.h"
#include "kernels/float_lanes.h"
#include "kernels/float_q8_lanes.h"
#include "kernels/quantize_lanes.h"

/* Dots of @a with four rows, @stride bytes apart: enough chains to hide the latency. */
HK_INLINE void dot4(float out[4], const float *a, const uint8_t *b, uint64_t stride,
		    unsigned int type, uint32_t n)
{
	struct hk_lanes l[4];
	uint32_t k = 0;

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		l[i] = hk_lanes_zero();
	for (; k + 16 <= n; k += 16) {
		struct hk_lanes x = hk_load16(a, HEARTH_TYPE_F32, k);

		HK_UNROLL
		for (int i = 0; i < 4; i++)
			l[i] = hk_fma16(l[i], x, hk_load16(b + i * stride, type, k));
	}
	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		if (k < n)
			l[i] = hk_tail(l[i], a, b + i * stride, type, k, n);
	}
	hk_four_store(out, hk_sum_4x16(l));
}

HK_INLINE float dot1(const float *a, const uint8_t *b, unsigned int type, uint32_t n)
{
	struct hk_lanes l = hk_lanes_zero();
	uint32_t k = 0;

	for (; k + 16 <= n; k += 16)
		l = hk_fma16(l, hk_load16(a, HEARTH_TYPE_F32, k), hk_load16(b, type, k));
	if (k < n)
		l = hk_tail(l, a, b, type, k, n);
	return hk_sum_16(l);
}

/* out[i] = dot(a, row i of b) */
HK_INLINE void dots(float *out, const float *a, const uint8_t *b, uint64_t stride,
		    unsigned int type, uint32_t rows, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 4 <= rows; i += 4)
		dot4(out + i, a, b + i * stride, stride, type, n);
	for (; i < rows; i++)
		out[i] = dot1(a, b + i * stride, type, n);
}

static float sum_squares(const float *x, uint32_t n)
{
	return dot1(x, (const uint8_t *)x, HEARTH_TYPE_F32, n);
}

static void scores(float *s, const float *q, const void *k, bool f16, uint32_t n,
		   uint32_t dim, float scale)
{
	if (f16)
		dots(s, q, k, dim * 2ull, HEARTH_TYPE_F16, n, dim);
	else
		dots(s, q, k, dim * 4ull, HEARTH_TYPE_F32, n, dim);
	for (uint32_t t = 0; t < n; t++)
		s[t] *= scale;
}

/* The channels of @groups registers from @c on, which keep their sums over all positions. */
HK_INLINE void weighted_channels(float *out, const float *p, const void *v,
				 unsigned int type, uint32_t n, uint32_t dim, uint32_t c,
				 const int groups)
{
	hk_vec acc[MANY];

	for (int g = 0; g < groups; g++)
		acc[g] = hk_vec_load(out, HEARTH_TYPE_F32, c + HK_VEC * g);
	for (uint32_t t = 0; t < n; t++) {
		hk_vec pt = hk_vec_splat(p + t);
		uint64_t at = (uint64_t)t * dim + c;

		for (int g = 0; g < groups; g++)
			acc[g] = hk_vec_fma(acc[g], pt, hk_vec_load(v, type, at + HK_VEC * g));
	}
	for (int g = 0; g < groups; g++)
		hk_vec_store(out + c + HK_VEC * g, hk_vec_canon(acc[g]));
}

HK_INLINE void weighted_rest(float *out, const float *p, const void *v, unsigned int type,
			     uint32_t n, uint32_t dim, uint32_t c)
{
	for (; c < dim; c++) {
		float acc = out[c];

		for (uint32_t t = 0; t < n; t++) {
			uint64_t at = (uint64_t)t * dim + c;
			float x = type == HEARTH_TYPE_F32 ?
				  ((const float *)v)[at] :
				  hk_f32_from_half(((const uint16_t *)v)[at]);

			acc = fmaf(p[t], x, acc);
		}
		out[c] = hk_canon(acc);
	}
}

HK_INLINE void weighted_type(float *out, const float *p, const void *v, unsigned int type,
			     uint32_t n, uint32_t dim)
{
	uint32_t c = 0;

	for (; c + MANY * HK_VEC <= dim; c += MANY * HK_VEC)
		weighted_channels(out, p, v, type, n, dim, c, MANY);
	for (; MANY > 4 && c + 4 * HK_VEC <= dim; c += 4 * HK_VEC)
		weighted_channels(out, p, v, type, n, dim, c, 4);
	for (; c + HK_VEC <= dim; c += HK_VEC)
		weighted_channels(out, p, v, type, n, dim, c, 1);
	weighted_rest(out, p, v, type, n, dim, c);
}

static void weighted_sum(float *out, const float *p, const void *v, bool f16, uint32_t n,
			 uint32_t dim)
{
	if (f16)
		weighted_type(out, p, v, HEARTH_TYPE_F16, n, dim);
	else
		weighted_type(out, p, v, HEARTH_TYPE_F32, n, dim);
}

/* A pair is two neighbours, or an element of each half of a head. */
HK_INLINE void turn_head(float *x, const float *table, uint32_t half, bool halves)
{
	for (uint32_t i = 0; i < half; i += 4) {
		struct hk_pairs by = hk_pairs_load(table + 2 * i), to;

		if (!halves) {
			to = hk_pairs_turn(hk_pairs_load(x + 2 * i), by);
			hk_pairs_store(x + 2 * i, to);
			continue;
		}
		to.a = hk_four_load(x + i);
		to.b = hk_four_load(x + half + i);
		to = hk_pairs_turn(to, by);
		hk_four_store(x + i, to.a);
		hk_four_store(x + half + i, to.b);
	}
}

/* See hk_body_rope(). */
static void rope(const struct hk_rope_row *row)
{
	bool halves = row->mode == HEARTH_ROPE_HALVES;
	uint32_t half = row->n_rot / 2;

	if (half % 4) {
		hk_body_rope(row);
		return;
	}
	for (uint32_t h = 0; h < row->heads; h++)
		turn_head(row->x + (uint64_t)h * row->head_dim, row->table, half, halves);
}

static void to_f16(uint16_t *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8)
		store8_f16(y + i, x + i);
	for (; i < n; i++)
		y[i] = hk_f16_from_f32(x[i]);
}

static void get_row(float *y, const uint8_t *row, unsigned int type, uint32_t n)
{
	uint32_t i = 0;

	if (type != HEARTH_TYPE_F16) {
		hk_body_get_row(y, row, type, n);
		return;
	}
	for (; i + HK_VEC <= n; i += HK_VEC)
		hk_vec_store(y + i, hk_vec_canon(hk_vec_load(row, HEARTH_TYPE_F16, i)));
	for (; i < n; i++)
		y[i] = hk_load_f16(row + 2 * (uint64_t)i);
}

/* What the levels of an ISA have in common */
#define LANES_KERNELS \
	.sum_squares = sum_squares, \
	.scale_gain = hk_body_scale_gain, \
	.rope = rope, \
	.add = hk_body_add, \
	.mul = hk_body_mul, \
	.softcap = hk_body_softcap, \
	.scores = scores, \
	.weighted_sum = weighted_sum, \
	.scores_4 = hk_scores_4, \
	.weighted_add = hk_weighted_add, \
	.scores_q8 = scores_q8, \
	.weighted_sum_q8 = weighted_sum_q8, \
	.to_q8 = hk_body_to_q8, \
	.to_f16 = to_f16, \
	.get_row = get_row
