// SPDX-License-Identifier: MIT
/*
 * One row of input and Q4_K, Q5_K, Q6_K.
 */
#include "kernels/k_avx2.h"
#include "kernels/matvec_avx2.h"

/* Adds @lo's and @hi's bits above the nibbles; see high_bits(). */
HK_INLINE void add_high_bits(struct pairs *p, const struct pairs *high, const int at,
			     const int width)
{
	HK_UNROLL
	for (int i = 0; i < 4; i++)
		p->v[i] = _mm256_or_si256(p->v[i], high_bits(high->v[i], at, width));
}

/* Units @u and @u + 1: the low and the high nibbles of 32 bytes. */
HK_INLINE __m256 two_units(__m256 acc, const struct hk_act *act, uint64_t b,
			   const struct rows8 *w, const struct scales *s,
			   const struct pairs high[2], const int u, const bool fifth)
{
	struct pairs raw[2], q[2];

	load_pairs(&raw[0], w, (fifth ? 48 : 16) + 16 * u);
	load_pairs(&raw[1], w, (fifth ? 48 : 16) + 16 * u + 16);
	HK_UNROLL
	for (int h = 0; h < 2; h++) {
		__m256 dx = _mm256_broadcast_ss(act->d + b + u + h);
		__m256 total = _mm256_broadcast_ss(act->total + b + u + h);
		__m256i dot;

		for (int i = 0; i < 2; i++) {
			if (h)
				high_nibbles(&q[i], &raw[i]);
			else
				low_nibbles(&q[i], &raw[i]);
			if (fifth)
				add_high_bits(&q[i], &high[i], u + h, 1);
		}
		dot = dot_unsigned(&q[0], &q[1], load_x(act->q + (b + u + h) * HK_ACT_BLOCK), !fifth);
		acc = add_unit(acc, s->d[u + h], dx, _mm256_cvtepi32_ps(dot));
		acc = add_unit(acc, s->m[u + h], dx, total);
	}
	return acc;
}

HK_INLINE __m256 row_k(const struct hk_matmul *m, const struct rows8 *w, const bool fifth)
{
	const int bytes = fifth ? 176 : 144;
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	struct pairs high[2];
	struct rows8 row = *w;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, row.p += bytes) {
		load_k_scales(&s, &row, load_f16_of_many(&row, 0), load_f16_of_many(&row, 2));
		if (fifth) {
			load_pairs(&high[0], &row, 16);
			load_pairs(&high[1], &row, 32);
		}
		HK_UNROLL
		for (int u = 0; u < 8; u += 2) {
			prefetch(w->p + b * bytes + u / 2 * (2 * bytes), 2 * bytes);
			acc = two_units(acc, &act, b, &row, &s, high, u, fifth);
		}
	}
	return acc;
}

static __m256 q4_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return row_k(m, w, false);
}

static __m256 q5_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return row_k(m, w, true);
}

/*
 * Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. The
 * units are those of 16 elements at @c of each 32: sums wait in @dot, for they
 * have an order.
 */
HK_INLINE void q6_units(__m256i dot[8], const struct rows8 *w, const int8_t *x, int n,
			const int c)
{
	struct pairs raw[2], high, q;

	load_pairs(&raw[0], w, n * 64 + 16 * c);
	load_pairs(&raw[1], w, n * 64 + 32 + 16 * c);
	load_pairs(&high, w, 128 + n * 32 + 16 * c);
	HK_UNROLL
	for (int j = 0; j < 4; j++) {
		__m256i at = _mm256_broadcastsi128_si256(_mm_loadu_si128(
			(const __m128i *)(x + 32 * j + 16 * c)));

		if (j < 2)
			low_nibbles(&q, &raw[j]);
		else
			high_nibbles(&q, &raw[j - 2]);
		add_high_bits(&q, &high, 2 * j, 2);
		HK_UNROLL
		for (int i = 0; i < 4; i++)
			q.v[i] = _mm256_maddubs_epi16(q.v[i], at);
		dot[2 * j + c] = sum_pairs(&q, false);
	}
}

static __m256 q6_k(const struct hk_matmul *m, const struct rows8 *w)
{
	const struct hk_act act = m->act;
	__m256 acc = _mm256_setzero_ps();
	struct rows8 row = *w;
	struct scales s;
	__m256i dot[8];

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, row.p += 210) {
		load_q6_scales(&s, &row, load_f16_of_many(&row, 208));
		for (int n = 0; n < 2; n++) {
			const uint64_t at = b + 4 * n;

			prefetch(w->p + b * 210 + n * (4 * 210), 4 * 210);
			q6_units(dot, &row, act.q + at * HK_ACT_BLOCK, n, 0);
			q6_units(dot, &row, act.q + at * HK_ACT_BLOCK, n, 1);
			HK_UNROLL
			for (int u = 0; u < 8; u++) {
				__m256 dx = _mm256_broadcast_ss(act.d + at + u / 2);
				__m256i half = _mm256_set1_epi32(act.sum[2 * at + u]);

				acc = add_unit(acc, s.d[8 * n + u], dx,
					       unbias(dot[u], _mm256_cvtepi32_ps(half), 32));
			}
		}
	}
	return acc;
}

hk_row1_fn hk_matvec_k_avx2(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_K:
		return q4_k;
	case HEARTH_TYPE_Q5_K:
		return q5_k;
	case HEARTH_TYPE_Q6_K:
		return q6_k;
	}
	return NULL;
}
