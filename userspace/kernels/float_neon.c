// SPDX-License-Identifier: MIT
#include "kernels/float_lanes.h"
#include "kernels/matmul_isa.h"

/*
 * Elements @k to @n - 1, fewer than 16. They are copied, for a load of 16
 * might leave the operand; lanes without an element keep their sum.
 */
static __attribute__((noinline)) struct hk_lanes
hk_tail(struct hk_lanes l, const float *a, const void *b, unsigned int type, uint32_t k,
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

HK_INLINE void store8_f16(uint16_t *y, const float *x)
{
	/* A canonical NaN converts to the canonical one. */
	float16x4_t lo = vcvt_f16_f32(hk_vec_canon(vld1q_f32(x)));
	float16x8_t v = vcvt_high_f16_f32(lo, hk_vec_canon(vld1q_f32(x + 4)));

	vst1q_u16(y, vreinterpretq_u16_f16(v));
}

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

HK_INLINE void quantize_32(const struct hk_act *act, uint64_t at, const float *x, float id,
			   int32_t sum[2])
{
	int8_t *q = act->q + at * HK_ACT_BLOCK;

	vst1q_s8(q, products(x, id, &sum[0]));
	vst1q_s8(q + 16, products(x + 16, id, &sum[1]));
}

#define MANY	16
#include "kernels/float_lanes_body.h"

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
			sum = hk_tail(sum, a + i / 2 * (uint64_t)a_stride,
				      b + i % 2 * b_stride, type, k, n);
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
	LANES_KERNELS, \
	.glu_silu = hk_body_glu_silu, \
	.glu_gelu = hk_body_glu_gelu, \
	.softmax = hk_body_softmax, \
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
