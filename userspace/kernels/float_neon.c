// SPDX-License-Identifier: MIT
#include "kernels/attention_isa.h"
#include "kernels/float_lanes.h"
#include "kernels/float_q8_lanes.h"
#include "kernels/matmul_isa.h"

/*
 * Elements @k to @n - 1, fewer than 16. They are copied, for a load of 16
 * might leave the operand; lanes without an element keep their sum.
 */
static __attribute__((noinline)) struct hk_lanes
tail(struct hk_lanes l, const float *a, const void *b, unsigned int type, uint32_t k,
     uint32_t n)
{
	static const uint32_t lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	unsigned int size = type == HEARTH_TYPE_F32 ? 4 : 2;
	uint32_t left = n - k;
	float x[16] = { 0 };
	uint8_t w[64] = { 0 };
	struct hk_lanes sum;

	memcpy(x, a + k, left * sizeof(*x));
	memcpy(w, (const uint8_t *)b + (uint64_t)k * size, (size_t)left * size);
	sum = hk_fma16(l, hk_load16(x, HEARTH_TYPE_F32, 0), hk_load16(w, type, 0));
	for (int j = 0; j < 4; j++) {
		uint32x4_t has = vcltq_u32(vld1q_u32(lane + 4 * j), vdupq_n_u32(left));

		sum.v[j] = vbslq_f32(has, sum.v[j], l.v[j]);
	}
	return sum;
}

/*
 * Dots of @a with four rows, @stride bytes apart. Sixteen chains: four pipes
 * with a latency of four.
 */
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
			l[i] = tail(l[i], a, b + i * stride, type, k, n);
		out[i] = hk_sum_16(l[i]);
	}
}

HK_INLINE float dot1(const float *a, const uint8_t *b, unsigned int type, uint32_t n)
{
	struct hk_lanes l = hk_lanes_zero();
	uint32_t k = 0;

	for (; k + 16 <= n; k += 16)
		l = hk_fma16(l, hk_load16(a, HEARTH_TYPE_F32, k), hk_load16(b, type, k));
	if (k < n)
		l = tail(l, a, b, type, k, n);
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

/* Channels [c, c + 4 * groups): the sums stay in registers over all positions. */
HK_INLINE void weighted_channels(float *out, const float *p, const void *v,
				 unsigned int type, uint32_t n, uint32_t dim, uint32_t c,
				 const int groups)
{
	float32x4_t acc[16];

	for (int g = 0; g < groups; g++)
		acc[g] = vld1q_f32(out + c + 4 * g);
	for (uint32_t t = 0; t < n; t++) {
		float32x4_t pt = vld1q_dup_f32(p + t);
		uint64_t at = (uint64_t)t * dim + c;

		for (int g = 0; g < groups; g++)
			acc[g] = vfmaq_f32(acc[g], pt, hk_vec_load(v, type, at + 4 * g));
	}
	for (int g = 0; g < groups; g++)
		vst1q_f32(out + c + 4 * g, hk_vec_canon(acc[g]));
}

static void weighted_rest(float *out, const float *p, const void *v, unsigned int type,
			  uint32_t n, uint32_t dim, uint32_t c)
{
	for (; c < dim; c++) {
		float acc = out[c];

		for (uint32_t t = 0; t < n; t++) {
			uint64_t at = (uint64_t)t * dim + c;
			float x = type == HEARTH_TYPE_F32 ?
				  ((const float *)v)[at] :
				  hk_f32_from_f16(((const uint16_t *)v)[at]);

			acc = fmaf(p[t], x, acc);
		}
		out[c] = hk_canon(acc);
	}
}

HK_INLINE void weighted_type(float *out, const float *p, const void *v, unsigned int type,
			     uint32_t n, uint32_t dim)
{
	uint32_t c = 0;

	for (; c + 64 <= dim; c += 64)
		weighted_channels(out, p, v, type, n, dim, c, 16);
	for (; c + 16 <= dim; c += 16)
		weighted_channels(out, p, v, type, n, dim, c, 4);
	for (; c + 4 <= dim; c += 4)
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

/* Pairs @i to @i + 3 of a head: a' = a c - b s, b' = a s + b c */
HK_INLINE void rotate4(float32x4_t *a, float32x4_t *b, const float *table, uint32_t i)
{
	float32x4x2_t cs = vld2q_f32(table + 2 * i);
	float32x4_t bs = vmulq_f32(*b, cs.val[1]), bc = vmulq_f32(*b, cs.val[0]);

	*b = hk_vec_canon(vfmaq_f32(bc, *a, cs.val[1]));
	*a = hk_vec_canon(vfmaq_f32(vnegq_f32(bs), *a, cs.val[0]));
}

static void rope(const struct hk_rope_row *row)
{
	uint32_t half = row->n_rot / 2;

	if (half % 4) {
		hk_body_rope(row);
		return;
	}
	for (uint32_t h = 0; h < row->heads; h++) {
		float *x = row->x + (uint64_t)h * row->head_dim;

		for (uint32_t i = 0; i < half; i += 4) {
			float32x4x2_t ab;

			if (row->mode == HEARTH_ROPE_HALVES) {
				ab.val[0] = vld1q_f32(x + i);
				ab.val[1] = vld1q_f32(x + half + i);
				rotate4(&ab.val[0], &ab.val[1], row->table, i);
				vst1q_f32(x + i, ab.val[0]);
				vst1q_f32(x + half + i, ab.val[1]);
			} else {
				ab = vld2q_f32(x + 2 * i);
				rotate4(&ab.val[0], &ab.val[1], row->table, i);
				vst2q_f32(x + 2 * i, ab);
			}
		}
	}
}

static void to_f16(uint16_t *y, const float *x, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8) {
		/* A canonical NaN converts to the canonical one. */
		float16x4_t lo = vcvt_f16_f32(hk_vec_canon(vld1q_f32(x + i)));
		float16x8_t v = vcvt_high_f16_f32(lo, hk_vec_canon(vld1q_f32(x + i + 4)));

		vst1q_u16(y + i, vreinterpretq_u16_f16(v));
	}
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
	for (; i + 4 <= n; i += 4)
		vst1q_f32(y + i, hk_vec_canon(hk_vec_load(row, HEARTH_TYPE_F16, i)));
	for (; i < n; i++)
		y[i] = hk_load_f16(row + 2 * (uint64_t)i);
}

/* The largest magnitude of @n elements, as bits: infinity and NaN are on top. */
HK_INLINE uint32_t max_bits(const float *x, const int n)
{
	uint32x4_t max = vdupq_n_u32(0);

	for (int i = 0; i < n; i += 4)
		max = vmaxq_u32(max, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
	return vmaxvq_u32(max);
}

/* Rounded products of sixteen elements, ties to even; *sum is their sum. */
HK_INLINE int8x16_t products(const float *x, float id, int32_t *sum)
{
	int32x4_t q[4];

	for (int i = 0; i < 4; i++)
		q[i] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), id));
	*sum = vaddvq_s32(vaddq_s32(vaddq_s32(q[0], q[1]), vaddq_s32(q[2], q[3])));
	/* -127 to 127: the lower byte of each is all of it. */
	return vuzp1q_s8(vreinterpretq_s8_s16(vuzp1q_s16(vreinterpretq_s16_s32(q[0]),
							 vreinterpretq_s16_s32(q[1]))),
			 vreinterpretq_s8_s16(vuzp1q_s16(vreinterpretq_s16_s32(q[2]),
							 vreinterpretq_s16_s32(q[3]))));
}

/* See hk_body_quantize() for the rules. */
static void quantize(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_BLOCK; b++, x += HK_ACT_BLOCK) {
		uint64_t at = (uint64_t)b * act->rows + row;
		int8_t *q = act->q + at * HK_ACT_BLOCK;
		uint32_t max = max_bits(x, HK_ACT_BLOCK);
		int32_t sum[2];
		float id;

		if (hk_is_odd(max)) {
			hk_quantize_odd(act, at, max);
			continue;
		}
		act->d[at] = hk_f32_from_bits(max) / 127.0f;
		id = 127.0f / hk_f32_from_bits(max);
		vst1q_s8(q, products(x, id, &sum[0]));
		vst1q_s8(q + 16, products(x + 16, id, &sum[1]));
		act->sum[at] = sum[0] + sum[1];
		act->total[at] = (float)act->sum[at];
	}
}

static void quantize_256(const struct hk_act *act, uint32_t row, const float *x, uint32_t n)
{
	for (uint32_t b = 0; b < n / HK_ACT_SUPER; b++, x += HK_ACT_SUPER) {
		uint64_t at = (uint64_t)b * act->rows + row;
		uint32_t max = max_bits(x, HK_ACT_SUPER);
		float id;

		if (hk_is_odd(max)) {
			hk_quantize_odd_256(act, b, row, max, false);
			continue;
		}
		act->d[at] = hk_f32_from_bits(max) / 127.0f;
		id = 127.0f / hk_f32_from_bits(max);
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			uint64_t to = ((uint64_t)b * HK_ACT_BLOCKS + j) * act->rows + row;
			const float *from = x + j * HK_ACT_BLOCK;
			int8_t *q = act->q + to * HK_ACT_BLOCK;
			int32_t sum[2];

			vst1q_s8(q, products(from, id, &sum[0]));
			vst1q_s8(q + 16, products(from + 16, id, &sum[1]));
			act->sum16[16 * at + 2 * j] = (int16_t)sum[0];
			act->sum16[16 * at + 2 * j + 1] = (int16_t)sum[1];
			act->sum32[8 * at + j] = (int16_t)(sum[0] + sum[1]);
		}
	}
}

static float sum_squares(const float *x, uint32_t n)
{
	return dot1(x, (const uint8_t *)x, HEARTH_TYPE_F32, n);
}

/* Two rows of input times two of weights: a row of weights is converted once for both. */
HK_INLINE void dot2x2(float *const out[2], const float *a, uint32_t a_stride,
		      const uint8_t *b, uint64_t b_stride, unsigned int type, uint32_t n)
{
	struct hk_lanes l[2][2];
	uint32_t k = 0;

	l[0][0] = l[0][1] = l[1][0] = l[1][1] = hk_lanes_zero();
	for (; k + 16 <= n; k += 16) {
		struct hk_lanes x0 = hk_load16(a, HEARTH_TYPE_F32, k);
		struct hk_lanes x1 = hk_load16(a + a_stride, HEARTH_TYPE_F32, k);

		HK_UNROLL
		for (int j = 0; j < 2; j++) {
			struct hk_lanes w = hk_load16(b + j * b_stride, type, k);

			l[0][j] = hk_fma16(l[0][j], x0, w);
			l[1][j] = hk_fma16(l[1][j], x1, w);
		}
	}
	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		struct hk_lanes sum = l[i / 2][i % 2];

		if (k < n)
			sum = tail(sum, a + i / 2 * (uint64_t)a_stride, b + i % 2 * b_stride,
				   type, k, n);
		out[i / 2][i % 2] = hk_canon(hk_sum_16(sum));
	}
}

/* @n outputs, at most a tile, of input row @r */
HK_INLINE void dense_row(const struct hk_matmul *m, unsigned int type, uint32_t r,
			 uint32_t o, uint32_t n)
{
	float *dst = m->dst + r * m->dst_stride + o, out[HK_MATMUL_TILE];

	dots(out, m->src + (uint64_t)r * m->in_n, m->weights + o * m->row_bytes, m->row_bytes,
	     type, n, m->in_n);
	for (uint32_t i = 0; i < n; i++)
		dst[i] = hk_canon(out[i]);
}

HK_INLINE void dense(const struct hk_matmul *m, unsigned int type, uint32_t first,
		     uint32_t last)
{
	for (uint32_t o = first; o < last; o += HK_MATMUL_TILE) {
		uint32_t n = last - o < HK_MATMUL_TILE ? last - o : HK_MATMUL_TILE, r;

		for (r = 0; r + 2 <= m->rows; r += 2) {
			float *dst = m->dst + r * m->dst_stride + o;
			uint32_t i;

			for (i = 0; i + 2 <= n; i += 2)
				dot2x2((float *[2]){ dst + i, dst + m->dst_stride + i },
				       m->src + (uint64_t)r * m->in_n, m->in_n,
				       m->weights + (o + i) * m->row_bytes, m->row_bytes,
				       type, m->in_n);
			if (i < n) {
				dense_row(m, type, r, o + i, 1);
				dense_row(m, type, r + 1, o + i, 1);
			}
		}
		if (r < m->rows)
			dense_row(m, type, r, o, n);
	}
}

void hk_matmul_dense_neon(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	switch (m->type) {
	case HEARTH_TYPE_F32:
		dense(m, HEARTH_TYPE_F32, first, last);
		break;
	case HEARTH_TYPE_F16:
		dense(m, HEARTH_TYPE_F16, first, last);
		break;
	default:
		dense(m, HEARTH_TYPE_BF16, first, last);
		break;
	}
}

/* The levels differ in the matmul alone: floats have been the same since Armv8.0. */
#define NEON_KERNELS \
	.sum_squares = sum_squares, \
	.scale_gain = hk_body_scale_gain, \
	.rope = rope, \
	.add = hk_body_add, \
	.mul = hk_body_mul, \
	.glu_silu = hk_body_glu_silu, \
	.glu_gelu = hk_body_glu_gelu, \
	.softcap = hk_body_softcap, \
	.softmax = hk_body_softmax, \
	.scores = scores, \
	.weighted_sum = weighted_sum, \
	.scores_4 = hk_scores_4, \
	.weighted_add = hk_weighted_add, \
	.scores_q8 = scores_q8, \
	.weighted_sum_q8 = weighted_sum_q8, \
	.to_q8 = hk_body_to_q8, \
	.to_f16 = to_f16, \
	.get_row = get_row, \
	.quantize = quantize, \
	.quantize_256 = quantize_256

const struct hk_float_kernels hk_float_dotprod = {
	NEON_KERNELS,
	.matmul = hk_matmul_dotprod,
};

const struct hk_float_kernels hk_float_i8mm = {
	NEON_KERNELS,
	.matmul = hk_matmul_i8mm,
};
