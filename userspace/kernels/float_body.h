/* SPDX-License-Identifier: MIT */
/*
 * Float kernels that need no intrinsics: compiled once for any CPU and once
 * per ISA, where fmaf() is an instruction and the loops become vectors. The
 * order of operations is in the source, so the bits are the same.
 */
#ifndef HEARTH_KERNELS_FLOAT_BODY_H
#define HEARTH_KERNELS_FLOAT_BODY_H

#include "kernels/decode.h"
#include "kernels/float.h"
#include "kernels/mathf.h"

#define HK_LANES	16

/* Elements of a block of a Q8_0 cache: an f16 scale, then as many bytes. */
#define HK_Q8_BLOCK	32
#define HK_Q8_BYTES	34

/* An ISA with an instruction for it says so; which NaN comes out is the same. */
#ifndef HK_BODY_F16
#define HK_BODY_F16(p)	hk_load_f16(p)
#endif

/* The tree that ends every sum of 16 lanes. */
static inline float hk_sum_lanes(float *l)
{
	for (int step = HK_LANES / 2; step; step /= 2) {
		for (int j = 0; j < step; j++)
			l[j] += l[j + step];
	}
	return l[0];
}

static inline float hk_body_sum_squares(const float *x, uint32_t n)
{
	float l[HK_LANES] = { 0 };
	uint32_t k = 0;

	for (; k + HK_LANES <= n; k += HK_LANES) {
		for (int j = 0; j < HK_LANES; j++)
			l[j] = fmaf(x[k + j], x[k + j], l[j]);
	}
	for (int j = 0; k + j < n; j++)
		l[j] = fmaf(x[k + j], x[k + j], l[j]);
	return hk_sum_lanes(l);
}

static inline void hk_body_scale_gain(float *y, const float *x, float r, const float *w,
				      uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(x[i] * r * w[i]);
}

static inline void hk_body_rope(const struct hk_rope_row *row)
{
	uint32_t half = row->n_rot / 2;
	uint32_t next = row->mode == HEARTH_ROPE_HALVES ? half : 1;
	uint32_t step = row->mode == HEARTH_ROPE_HALVES ? 1 : 2;

	for (uint32_t h = 0; h < row->heads; h++) {
		float *x = row->x + (uint64_t)h * row->head_dim;

		for (uint32_t i = 0; i < half; i++) {
			float c = row->table[2 * i], s = row->table[2 * i + 1];
			float a = x[i * step], b = x[i * step + next];

			x[i * step] = hk_canon(fmaf(a, c, -(b * s)));
			x[i * step + next] = hk_canon(fmaf(a, s, b * c));
		}
	}
}

static inline void hk_body_add(float *y, const float *a, const float *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(a[i] + b[i]);
}

static inline void hk_body_mul(float *y, const float *a, const float *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(a[i] * b[i]);
}

static inline void hk_body_glu_silu(float *y, const float *gate, const float *up,
				    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(hk_siluf(gate[i]) * up[i]);
}

static inline void hk_body_glu_gelu(float *y, const float *gate, const float *up,
				    uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(hk_geluf(gate[i]) * up[i]);
}

static inline void hk_body_softcap(float *y, const float *x, float cap, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_canon(hk_softcapf(x[i], cap));
}

/* A NaN is passed over here, and comes back out of the exponential. */
static inline float hk_body_max(const float *s, uint32_t n)
{
	float l[HK_LANES], max = -INFINITY;
	uint32_t t = 0;

	for (int j = 0; j < HK_LANES; j++)
		l[j] = -INFINITY;
	for (; t + HK_LANES <= n; t += HK_LANES) {
		for (int j = 0; j < HK_LANES; j++)
			l[j] = s[t + j] > l[j] ? s[t + j] : l[j];
	}
	for (; t < n; t++)
		max = s[t] > max ? s[t] : max;
	for (int j = 0; j < HK_LANES; j++)
		max = l[j] > max ? l[j] : max;
	return max;
}

static inline void hk_body_softmax(float *s, uint32_t n)
{
	float max = hk_body_max(s, n), sum;
	float l[HK_LANES] = { 0 };
	uint32_t t = 0;

	for (uint32_t i = 0; i < n; i++)
		s[i] = hk_expf(s[i] - max);
	for (; t + HK_LANES <= n; t += HK_LANES) {
		for (int j = 0; j < HK_LANES; j++)
			l[j] += s[t + j];
	}
	for (int j = 0; t + j < n; j++)
		l[j] += s[t + j];
	sum = hk_sum_lanes(l);
	for (uint32_t i = 0; i < n; i++)
		s[i] = s[i] / sum;
}

/* Adds half a block of keys, which begins at element 0 or 16 of @x. */
static inline void hk_q8_lanes(float *l, const float *q, const int8_t *x, float d)
{
	for (int j = 0; j < HK_LANES; j++)
		l[j] = fmaf(q[j], d * (float)x[j], l[j]);
}

static inline void hk_body_scores_q8(float *s, const float *q, const uint8_t *k, uint32_t n,
				     uint32_t dim, float scale)
{
	for (uint32_t t = 0; t < n; t++) {
		float l[HK_LANES] = { 0 };

		for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, k += HK_Q8_BYTES) {
			const int8_t *x = (const int8_t *)k + 2;
			float d = HK_BODY_F16(k);

			hk_q8_lanes(l, q + c, x, d);
			hk_q8_lanes(l, q + c + HK_LANES, x + HK_LANES, d);
		}
		s[t] = hk_sum_lanes(l) * scale;
	}
}

static inline void hk_body_weighted_sum_q8(float *out, const float *p, const uint8_t *v,
					   uint32_t n, uint32_t dim)
{
	uint64_t row = (uint64_t)dim / HK_Q8_BLOCK * HK_Q8_BYTES;

	for (uint32_t c = 0; c < dim; c += HK_Q8_BLOCK, v += HK_Q8_BYTES) {
		float acc[HK_Q8_BLOCK];

		memcpy(acc, out + c, sizeof(acc));
		for (uint32_t t = 0; t < n; t++) {
			const uint8_t *block = v + t * row;
			const int8_t *x = (const int8_t *)block + 2;
			float d = HK_BODY_F16(block);

			for (int j = 0; j < HK_Q8_BLOCK; j++)
				acc[j] = fmaf(p[t], d * (float)x[j], acc[j]);
		}
		for (int j = 0; j < HK_Q8_BLOCK; j++)
			out[c + j] = hk_canon(acc[j]);
	}
}

static inline void hk_body_get_row(float *y, const uint8_t *row, unsigned int type,
				   uint32_t n)
{
	const struct hk_type *t = hk_type(type);
	struct hk_qblock b;

	switch (type) {
	case HEARTH_TYPE_F32:
		memcpy(y, row, (uint64_t)n * sizeof(*y));
		return;
	case HEARTH_TYPE_F16:
		for (uint32_t i = 0; i < n; i++)
			y[i] = hk_load_f16(row + 2 * (uint64_t)i);
		return;
	case HEARTH_TYPE_BF16:
		for (uint32_t i = 0; i < n; i++)
			y[i] = hk_f32_from_bf16(((const uint16_t *)row)[i]);
		return;
	}
	memset(b.m, 0, sizeof(b.m));
	for (; n; n -= t->elements, row += t->bytes, y += t->elements) {
		hk_decode(type, row, &b);
		for (int i = 0; i < t->elements; i++)
			y[i] = hk_canon(fmaf(b.d[i / t->unit], b.q[i], b.m[i / t->unit]));
	}
}

/*
 * Bits of magnitudes compare as the magnitudes do, with infinity and NaN on
 * top. A block with one of those has no scale: NaN, for the output to be NaN.
 * A block of nothing but values below 2^-100 is zero.
 */
static inline bool hk_is_odd(uint32_t max)
{
	return max >= 0x7f800000 || max < 0x0d800000;
}

static inline float hk_odd_scale(uint32_t max)
{
	return max >= 0x7f800000 ? hk_f32_from_bits(HK_F32_NAN) : 0.0f;
}

static inline void hk_quantize_odd(const struct hk_act *act, uint64_t at, uint32_t max)
{
	act->d[at] = hk_odd_scale(max);
	act->sum[at] = 0;
	act->total[at] = 0;
	memset(act->q + at * HK_ACT_BLOCK, 0, HK_ACT_BLOCK);
	if (act->u)
		memset(act->u + at * HK_ACT_BLOCK, 128, HK_ACT_BLOCK);
}

/* A block of 256 elements of row @row */
static inline void hk_quantize_odd_256(const struct hk_act *act, uint64_t block, uint32_t row,
				       uint32_t max)
{
	uint64_t at = block * act->rows + row;

	act->d[at] = hk_odd_scale(max);
	memset(act->sum16 + 16 * at, 0, 16 * sizeof(*act->sum16));
	memset(act->sum32 + 8 * at, 0, 8 * sizeof(*act->sum32));
	for (int j = 0; j < HK_ACT_BLOCKS; j++) {
		uint64_t to = ((block * HK_ACT_BLOCKS + j) * act->rows + row) * HK_ACT_BLOCK;

		memset(act->q + to, 0, HK_ACT_BLOCK);
		if (act->u)
			memset(act->u + to, 128, HK_ACT_BLOCK);
	}
}

static inline uint32_t hk_max_magnitude(const float *x, int n)
{
	uint32_t max = 0;

	for (int i = 0; i < n; i++) {
		uint32_t mag = hk_f32_bits(x[i]) & 0x7fffffff;

		max = mag > max ? mag : max;
	}
	return max;
}

static inline void hk_body_quantize(const struct hk_act *act, uint32_t row, const float *x,
				    uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_BLOCK; b++, x += HK_ACT_BLOCK) {
		uint64_t at = (uint64_t)b * act->rows + row;
		int8_t *q = act->q + at * HK_ACT_BLOCK;
		uint32_t max = hk_max_magnitude(x, HK_ACT_BLOCK);
		int32_t sum = 0;
		float id;

		if (hk_is_odd(max)) {
			hk_quantize_odd(act, at, max);
			continue;
		}
		act->d[at] = hk_f32_from_bits(max) / 127.0f;
		id = 127.0f / hk_f32_from_bits(max);
		for (int i = 0; i < HK_ACT_BLOCK; i++) {
			int v = (int)((x[i] * id + HK_ROUND) - HK_ROUND);

			q[i] = (int8_t)v;
			sum += v;
		}
		act->sum[at] = sum;
		act->total[at] = (float)sum;
	}
}

static inline void hk_body_quantize_256(const struct hk_act *act, uint32_t row, const float *x,
					uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_SUPER; b++, x += HK_ACT_SUPER) {
		uint32_t max = hk_max_magnitude(x, HK_ACT_SUPER);
		uint64_t at = (uint64_t)b * act->rows + row;
		int16_t *sum = act->sum16 + 16 * at;
		float id;

		if (hk_is_odd(max)) {
			hk_quantize_odd_256(act, b, row, max);
			continue;
		}
		memset(sum, 0, 16 * sizeof(*sum));
		act->d[at] = hk_f32_from_bits(max) / 127.0f;
		id = 127.0f / hk_f32_from_bits(max);
		for (int i = 0; i < HK_ACT_SUPER; i++) {
			uint64_t block = (uint64_t)b * HK_ACT_BLOCKS + i / HK_ACT_BLOCK;
			int v = (int)((x[i] * id + HK_ROUND) - HK_ROUND);

			act->q[(block * act->rows + row) * HK_ACT_BLOCK + i % HK_ACT_BLOCK] =
				(int8_t)v;
			sum[i / 16] = (int16_t)(sum[i / 16] + v);
		}
		for (int u = 0; u < 8; u++)
			act->sum32[8 * at + u] = (int16_t)(sum[2 * u] + sum[2 * u + 1]);
	}
}

/* A row of a cache: the rules of hk_body_quantize(), the scale rounded to f16. */
static inline void hk_body_to_q8(uint8_t *y, const float *x, uint32_t n)
{
	for (; n; n -= HK_Q8_BLOCK, x += HK_Q8_BLOCK, y += HK_Q8_BYTES) {
		uint32_t max = hk_max_magnitude(x, HK_Q8_BLOCK);
		uint16_t d = 0;
		float id;

		if (hk_is_odd(max)) {
			d = max >= 0x7f800000 ? HK_F16_NAN : 0;
			memset(y + 2, 0, HK_Q8_BLOCK);
			memcpy(y, &d, sizeof(d));
			continue;
		}
		d = hk_f16_from_f32(hk_f32_from_bits(max) / 127.0f);
		memcpy(y, &d, sizeof(d));
		id = 127.0f / hk_f32_from_bits(max);
		for (int i = 0; i < HK_Q8_BLOCK; i++)
			y[2 + i] = (uint8_t)(int8_t)((x[i] * id + HK_ROUND) - HK_ROUND);
	}
}

#endif /* HEARTH_KERNELS_FLOAT_BODY_H */
