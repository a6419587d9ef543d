// SPDX-License-Identifier: MIT
/*
 * MATMUL of F32, F16 and BF16: each output has the sixteen lanes of its sum in
 * two registers. Three input rows times two of the weights keep twelve
 * registers busy and load little; a single input row meets four of the weights.
 */
#include "kernels/float_avx2.h"
#include "kernels/matmul_isa.h"

/* Of the input, and of the weights, in a tile */
#define MANY_ROWS	3
#define MANY_OUTS	2
#define ONE_OUTS	4

/*
 * Elements @k to @k + 15. First the lower eight lanes, then the upper ones:
 * weights of both together would push sums out of the registers.
 */
HK_INLINE void add_16(struct hk_lanes l[], const float *x, uint32_t in_n, const uint8_t *w,
		      uint64_t stride, const unsigned int type, uint32_t k,
		      const uint32_t rows, const uint32_t outs)
{
	HK_UNROLL
	for (int half = 0; half < 2; half++) {
		__m256 weights[ONE_OUTS];

		for (uint32_t o = 0; o < outs; o++)
			weights[o] = hk_vec_load(w + o * stride, type, k + 8 * half);
		HK_UNROLL
		for (uint32_t r = 0; r < rows; r++) {
			__m256 at = _mm256_loadu_ps(x + (uint64_t)r * in_n + k + 8 * half);

			for (uint32_t o = 0; o < outs; o++) {
				struct hk_lanes *sum = &l[o * rows + r];

				sum->v[half] = _mm256_fmadd_ps(at, weights[o], sum->v[half]);
			}
		}
	}
}

/* The outputs @o to @o + @outs - 1 of the input rows @r to @r + @rows - 1. */
HK_INLINE void tile(const struct hk_matmul *m, const unsigned int type, uint32_t r,
		    uint32_t o, const uint32_t rows, const uint32_t outs)
{
	const uint8_t *w = m->weights + o * m->row_bytes;
	const float *x = m->src + (uint64_t)r * m->in_n;
	struct hk_lanes l[MANY_ROWS * MANY_OUTS];
	uint32_t k = 0;

	HK_UNROLL
	for (uint32_t i = 0; i < rows * outs; i++)
		l[i].v[0] = l[i].v[1] = _mm256_setzero_ps();
	for (; k + 16 <= m->in_n; k += 16) {
		/* Of the rows that come next; beyond the end only a hint. */
		if (rows == 1 && k % 32 == 0) {
			for (uint32_t i = 0; i < outs; i++)
				_mm_prefetch((const char *)w + (outs + i) * m->row_bytes +
					     (type == HEARTH_TYPE_F32 ? 4 : 2) * (uint64_t)k,
					     _MM_HINT_T1);
		}
		add_16(l, x, m->in_n, w, m->row_bytes, type, k, rows, outs);
	}
	HK_UNROLL
	for (uint32_t i = 0; i < rows * outs; i++) {
		uint64_t row = r + i % rows, out = o + i / rows;
		/* A copy, for the sums themselves to stay in registers. */
		struct hk_lanes sum = l[i];

		if (k < m->in_n)
			sum = hk_tail(sum, m->src + row * m->in_n,
				      m->weights + out * m->row_bytes, type, k, m->in_n);
		m->dst[row * m->dst_stride + out] = hk_canon(hk_sum_16(sum));
	}
}

HK_INLINE void one_row(const struct hk_matmul *m, const unsigned int type, uint32_t r,
		       uint32_t o, uint32_t last)
{
	for (; o + ONE_OUTS <= last; o += ONE_OUTS)
		tile(m, type, r, o, 1, ONE_OUTS);
	for (; o < last; o++)
		tile(m, type, r, o, 1, 1);
}

HK_INLINE void many_rows(const struct hk_matmul *m, const unsigned int type, uint32_t r,
			 uint32_t o, uint32_t last)
{
	for (; o + MANY_OUTS <= last; o += MANY_OUTS)
		tile(m, type, r, o, MANY_ROWS, MANY_OUTS);
	for (; o < last; o++)
		tile(m, type, r, o, MANY_ROWS, 1);
}

/* Some rows of the weights stay in the cache for all of the input. */
HK_INLINE void dense(const struct hk_matmul *m, const unsigned int type, uint32_t first,
		     uint32_t last)
{
	for (uint32_t o = first; o < last; o += HK_MATMUL_TILE) {
		uint32_t end = last - o < HK_MATMUL_TILE ? last : o + HK_MATMUL_TILE;
		uint32_t r = 0;

		for (; r + MANY_ROWS <= m->rows; r += MANY_ROWS)
			many_rows(m, type, r, o, end);
		for (; r < m->rows; r++)
			one_row(m, type, r, o, end);
	}
}

void hk_matmul_dense_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last)
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
