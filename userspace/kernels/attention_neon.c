// SPDX-License-Identifier: MIT
/*
 * Four queries at a time over one key/value head: a key or a value that was
 * loaded and converted serves all of them. Sixteen sums of four lanes are half of
 * the registers.
 */
#include "kernels/attention_isa.h"
#include "kernels/float_neon.h"

/* Sixteen elements of a row from element @i on, a multiple of 16, as f32. */
HK_INLINE struct hk_lanes load16(const uint8_t *row, const unsigned int type, uint32_t i)
{
	const uint8_t *block = row + i / HK_Q8_BLOCK * HK_Q8_BYTES;

	if (type != HEARTH_TYPE_Q8_0)
		return hk_load16(row, type, i);
	return hk_q8_load16(block + 2 + i % HK_Q8_BLOCK, HK_BODY_F16(block));
}

/* The trees of hk_sum_neon(), four at once. */
HK_INLINE float32x4_t sum_4(const struct hk_lanes l[HK_QUERIES])
{
	float32x4_t s4[HK_QUERIES], s2[2];

	HK_UNROLL
	for (int i = 0; i < HK_QUERIES; i++)
		s4[i] = vaddq_f32(vaddq_f32(l[i].v[0], l[i].v[2]),
				  vaddq_f32(l[i].v[1], l[i].v[3]));
	HK_UNROLL
	for (int i = 0; i < 2; i++)
		s2[i] = vaddq_f32(vcombine_f32(vget_low_f32(s4[2 * i]), vget_low_f32(s4[2 * i + 1])),
				  vcombine_f32(vget_high_f32(s4[2 * i]), vget_high_f32(s4[2 * i + 1])));
	return vpaddq_f32(s2[0], s2[1]);
}

/*
 * The products of four queries with a key: sixteen chains. Eight elements that are
 * left take the lower lanes; rows of Q8_0 leave none.
 */
HK_INLINE float32x4_t products(const float *const q[HK_QUERIES], const uint8_t *k,
			       const unsigned int type, uint32_t dim)
{
	struct hk_lanes l[HK_QUERIES];
	uint32_t c = 0;

	HK_UNROLL
	for (int i = 0; i < HK_QUERIES; i++)
		l[i] = hk_lanes_zero();
	for (; c + 16 <= dim; c += 16) {
		struct hk_lanes x = load16(k, type, c);

		HK_UNROLL
		for (int i = 0; i < HK_QUERIES; i++)
			l[i] = hk_fma16(l[i], hk_load16(q[i], HEARTH_TYPE_F32, c), x);
	}
	if (type != HEARTH_TYPE_Q8_0 && c < dim) {
		float32x4_t lo = hk_load4(k, type, c), hi = hk_load4(k, type, c + 4);

		HK_UNROLL
		for (int i = 0; i < HK_QUERIES; i++) {
			l[i].v[0] = vfmaq_f32(l[i].v[0], vld1q_f32(q[i] + c), lo);
			l[i].v[1] = vfmaq_f32(l[i].v[1], vld1q_f32(q[i] + c + 4), hi);
		}
	}
	return sum_4(l);
}

/* Four rows of four become columns. */
HK_INLINE void transpose(float32x4_t r[4])
{
	float32x4_t a = vzip1q_f32(r[0], r[2]), b = vzip2q_f32(r[0], r[2]);
	float32x4_t c = vzip1q_f32(r[1], r[3]), d = vzip2q_f32(r[1], r[3]);

	r[0] = vzip1q_f32(a, c);
	r[1] = vzip2q_f32(a, c);
	r[2] = vzip1q_f32(b, d);
	r[3] = vzip2q_f32(b, d);
}

/* Four positions, then a transpose: each query's scores are neighbours. */
HK_INLINE void scores_of(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
			 const uint8_t *k, const unsigned int type, uint32_t n, uint32_t dim,
			 float scale)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	float32x4_t r[4];
	uint32_t t = 0;

	for (; t + 4 <= n; t += 4) {
		for (int j = 0; j < 4; j++, k += bytes)
			r[j] = vmulq_n_f32(products(q, k, type, dim), scale);
		transpose(r);
		for (int i = 0; i < HK_QUERIES; i++)
			vst1q_f32(s[i] + t, r[i]);
	}
	for (; t < n; t++, k += bytes) {
		float one[4];

		vst1q_f32(one, vmulq_n_f32(products(q, k, type, dim), scale));
		for (int i = 0; i < HK_QUERIES; i++)
			s[i][t] = one[i];
	}
}

void hk_scores_4_neon(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
		      const uint8_t *k, unsigned int type, uint32_t n, uint32_t dim, float scale)
{
	if (type == HEARTH_TYPE_F16)
		scores_of(s, q, k, HEARTH_TYPE_F16, n, dim, scale);
	else if (type == HEARTH_TYPE_F32)
		scores_of(s, q, k, HEARTH_TYPE_F32, n, dim, scale);
	else
		scores_of(s, q, k, HEARTH_TYPE_Q8_0, n, dim, scale);
}

/* Sixteen channels of @n_q queries: the sums stay in registers. */
HK_INLINE void add_channels(float *const out[], const float *const p[], const int n_q,
			    const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim,
			    uint32_t c)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	struct hk_lanes acc[HK_QUERIES];

	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		acc[i] = hk_load16(out[i], HEARTH_TYPE_F32, c);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		struct hk_lanes x = load16(v, type, c);

		HK_UNROLL
		for (int i = 0; i < n_q; i++) {
			float32x4_t pt = vld1q_dup_f32(p[i] + t);

			acc[i] = hk_fma16(acc[i], (struct hk_lanes){ { pt, pt, pt, pt } }, x);
		}
	}
	HK_UNROLL
	for (int i = 0; i < n_q; i++) {
		for (int j = 0; j < 4; j++)
			vst1q_f32(out[i] + c + 4 * j, acc[i].v[j]);
	}
}

/* The same of four channels, where a row is not whole sixteens. */
HK_INLINE void add_four(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim,
			uint32_t c)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	float32x4_t acc[HK_QUERIES];

	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		acc[i] = vld1q_f32(out[i] + c);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		float32x4_t x = hk_load4(v, type, c);

		HK_UNROLL
		for (int i = 0; i < n_q; i++)
			acc[i] = vfmaq_f32(acc[i], vld1q_dup_f32(p[i] + t), x);
	}
	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		vst1q_f32(out[i] + c, acc[i]);
}

HK_INLINE void add_rows(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim)
{
	uint32_t c = 0;

	for (; c + 16 <= dim; c += 16)
		add_channels(out, p, n_q, v, type, n, dim, c);
	for (; type != HEARTH_TYPE_Q8_0 && c < dim; c += 4)
		add_four(out, p, n_q, v, type, n, dim, c);
}

HK_INLINE void add_type(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim)
{
	if (type == HEARTH_TYPE_F16)
		add_rows(out, p, n_q, v, HEARTH_TYPE_F16, n, dim);
	else if (type == HEARTH_TYPE_F32)
		add_rows(out, p, n_q, v, HEARTH_TYPE_F32, n, dim);
	else
		add_rows(out, p, n_q, v, HEARTH_TYPE_Q8_0, n, dim);
}

void hk_weighted_add_neon(float *const out[], const float *const p[], uint32_t n_q,
			  const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim)
{
	if (n_q == HK_QUERIES) {
		add_type(out, p, HK_QUERIES, v, type, n, dim);
		return;
	}
	for (uint32_t i = 0; i < n_q; i++)
		add_type(out + i, p + i, 1, v, type, n, dim);
}
