// SPDX-License-Identifier: MIT
/*
 * Four queries at a time over one key/value head: a key or a value that was
 * loaded and converted serves all of them. Built for each ISA.
 */
#include "kernels/float_isa.h"
#include "kernels/float_lanes.h"

/* Sixteen elements of a row from element @i on, a multiple of 16, as f32. */
HK_INLINE struct hk_lanes load16(const uint8_t *row, const unsigned int type, uint32_t i)
{
	const uint8_t *block = row + i / HK_Q8_BLOCK * HK_Q8_BYTES;

	if (type != HEARTH_TYPE_Q8_0)
		return hk_load16(row, type, i);
	return hk_q8_load16(block + 2 + i % HK_Q8_BLOCK, HK_BODY_F16(block));
}

/*
 * The products of four queries with a key: as many chains as hide the latency. Eight
 * elements that are left take the lower lanes; rows of Q8_0 leave none.
 */
HK_INLINE hk_four products(const float *const q[HK_QUERIES], const uint8_t *k,
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
		HK_UNROLL
		for (int j = 0; j < 8 / HK_VEC; j++, c += HK_VEC) {
			hk_vec x = hk_vec_load(k, type, c);

			HK_UNROLL
			for (int i = 0; i < HK_QUERIES; i++)
				l[i].v[j] = hk_vec_fma(l[i].v[j],
						       hk_vec_load(q[i], HEARTH_TYPE_F32, c), x);
		}
	}
	return hk_sum_4x16(l);
}

/* Four positions, then a transpose: each query's scores are neighbours. */
HK_INLINE void scores_of(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
			 const uint8_t *k, const unsigned int type, uint32_t n, uint32_t dim,
			 float scale)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	hk_four r[4];
	uint32_t t = 0;

	for (; t + 4 <= n; t += 4) {
		for (int j = 0; j < 4; j++, k += bytes)
			r[j] = hk_four_mul(products(q, k, type, dim), scale);
		hk_four_transpose(r);
		for (int i = 0; i < HK_QUERIES; i++)
			hk_four_store(s[i] + t, r[i]);
	}
	for (; t < n; t++, k += bytes) {
		float one[4];

		hk_four_store(one, hk_four_mul(products(q, k, type, dim), scale));
		for (int i = 0; i < HK_QUERIES; i++)
			s[i][t] = one[i];
	}
}

void hk_scores_4(float *const s[HK_QUERIES], const float *const q[HK_QUERIES], const uint8_t *k,
		 unsigned int type, uint32_t n, uint32_t dim, float scale)
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
		for (int i = 0; i < n_q; i++)
			acc[i] = hk_fma16(acc[i], hk_splat16(p[i] + t), x);
	}
	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		hk_store16(out[i] + c, hk_canon16(acc[i]));
}

/* The same of a register's channels, where a row is not whole sixteens. */
HK_INLINE void add_few(float *const out[], const float *const p[], const int n_q,
		       const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim,
		       uint32_t c)
{
	uint64_t bytes = hk_row_bytes(type, dim);
	hk_vec acc[HK_QUERIES];

	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		acc[i] = hk_vec_load(out[i], HEARTH_TYPE_F32, c);
	for (uint32_t t = 0; t < n; t++, v += bytes) {
		hk_vec x = hk_vec_load(v, type, c);

		HK_UNROLL
		for (int i = 0; i < n_q; i++)
			acc[i] = hk_vec_fma(acc[i], hk_vec_splat(p[i] + t), x);
	}
	HK_UNROLL
	for (int i = 0; i < n_q; i++)
		hk_vec_store(out[i] + c, hk_vec_canon(acc[i]));
}

HK_INLINE void add_rows(float *const out[], const float *const p[], const int n_q,
			const uint8_t *v, const unsigned int type, uint32_t n, uint32_t dim)
{
	uint32_t c = 0;

	for (; c + 16 <= dim; c += 16)
		add_channels(out, p, n_q, v, type, n, dim, c);
	for (; type != HEARTH_TYPE_Q8_0 && c < dim; c += HK_VEC)
		add_few(out, p, n_q, v, type, n, dim, c);
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

void hk_weighted_add(float *const out[], const float *const p[], uint32_t n_q,
		     const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim)
{
	if (n_q == HK_QUERIES) {
		add_type(out, p, HK_QUERIES, v, type, n, dim);
		return;
	}
	for (uint32_t i = 0; i < n_q; i++)
		add_type(out + i, p + i, 1, v, type, n, dim);
}
