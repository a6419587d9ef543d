// SPDX-License-Identifier: MIT
/*
 * Q4_K, Q5_K and Q6_K read in place.
 */
#include "kernels/k_scales.h"
#include "kernels/matmul_avx2.h"

/* 16 bytes of each row to four groups: lane i has four neighbours of row i. */
HK_INLINE void turn(const uint8_t *const row[ROWS], uint64_t at, __m256i group[4])
{
	__m256i r[4], a, b, c, d;

	for (int i = 0; i < 4; i++) {
		__m128i lo = _mm_loadu_si128((const __m128i *)(row[i] + at));
		__m128i hi = _mm_loadu_si128((const __m128i *)(row[i + 4] + at));

		r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(lo), hi, 1);
	}
	a = _mm256_unpacklo_epi32(r[0], r[1]);
	b = _mm256_unpackhi_epi32(r[0], r[1]);
	c = _mm256_unpacklo_epi32(r[2], r[3]);
	d = _mm256_unpackhi_epi32(r[2], r[3]);
	group[0] = _mm256_unpacklo_epi64(a, c);
	group[1] = _mm256_unpackhi_epi64(a, c);
	group[2] = _mm256_unpacklo_epi64(b, d);
	group[3] = _mm256_unpackhi_epi64(b, d);
}

/* Byte @i of each lane's four. */
HK_INLINE __m256 unsigned_byte(__m256i lanes, int i)
{
	return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(lanes, 8 * i),
						   _mm256_set1_epi32(255)));
}

HK_INLINE __m256 signed_byte(__m256i lanes, int i)
{
	return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(lanes, 24 - 8 * i), 24));
}

static void load_k_scales(struct scales *s, const uint8_t *const w[ROWS])
{
	__m256 d = load_f16(w, 0), min = load_f16(w, 2);
	uint8_t bytes[ROWS][16];
	const uint8_t *at[ROWS];
	__m256i group[4];

	for (int i = 0; i < ROWS; i++) {
		hk_spread_k_scales(w[i] + 4, bytes[i]);
		at[i] = bytes[i];
	}
	turn(at, 0, group);
	for (int u = 0; u < 8; u++) {
		__m256 m = _mm256_mul_ps(min, unsigned_byte(group[2 + u / 4], u % 4));

		s->d[u] = _mm256_mul_ps(d, unsigned_byte(group[u / 4], u % 4));
		/* Minus the product: the sign alone. */
		s->m[u] = _mm256_xor_ps(m, _mm256_set1_ps(-0.0f));
	}
}

HK_INLINE __m256i load_32(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)p);
}

HK_INLINE __m256i low_nibble(__m256i v)
{
	return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

HK_INLINE __m256i high_nibble(__m256i v)
{
	return low_nibble(_mm256_srli_epi16(v, 4));
}

/*
 * Puts bits @width of each byte of @high above the four of @q; the next call
 * takes the bits above those. A word's shift lets in bits of its other byte,
 * but never down to the mask.
 */
HK_INLINE void add_high_bits(__m256i q[ROWS], __m256i high[ROWS], const int width)
{
	const __m256i mask = _mm256_set1_epi8((char)((1 << width) - 1));

	for (int i = 0; i < ROWS; i++) {
		__m256i bits = _mm256_and_si256(high[i], mask);

		q[i] = _mm256_or_si256(q[i], _mm256_slli_epi16(bits, 4));
		high[i] = _mm256_srli_epi16(high[i], width);
	}
}

/* Pairs of units share 32 bytes: the low nibbles, then the high ones. */
HK_INLINE void k_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
		      float acc[][ROWS], const bool fifth)
{
	const struct units how = { 32, true, 0 };
	const uint8_t *first = w[0];
	__m256i high[ROWS], q[ROWS];
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8) {
		prefetch_next(m, first, b / 8, fifth ? 176 : 144);
		load_k_scales(&s, w);
		for (int i = 0; i < ROWS; i++)
			high[i] = load_32(w[i] + 16);
		for (int u = 0; u < 8; u++) {
			int at = (fifth ? 48 : 16) + 32 * (u / 2);

			for (int i = 0; i < ROWS; i++)
				q[i] = u % 2 ? high_nibble(load_32(w[i] + at)) :
					       low_nibble(load_32(w[i] + at));
			if (fifth)
				add_high_bits(q, high, 1);
			add_rows(m, acc, &s, q, b + u, u, how);
		}
		for (int i = 0; i < ROWS; i++)
			w[i] += fifth ? 176 : 144;
	}
}

void hk_q4_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	k_rows(m, w, acc, false);
}

void hk_q5_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	k_rows(m, w, acc, true);
}

static void load_q6_scales(struct scales *s, const uint8_t *const w[ROWS])
{
	__m256 d = load_f16(w, 208);
	__m256i group[4];

	turn(w, 192, group);
	for (int u = 0; u < 16; u++)
		s->d[u] = _mm256_mul_ps(d, signed_byte(group[u / 4], u % 4));
}

/* Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. */
HK_INLINE void q6_half(const struct hk_matmul *m, const uint8_t *const w[ROWS], int n,
		       float acc[][ROWS], const struct scales *s, uint64_t b)
{
	const struct units how = { 16, false, 32 };
	__m256i high[ROWS], q[ROWS];

	for (int i = 0; i < ROWS; i++)
		high[i] = load_32(w[i] + 128 + n * 32);
	for (int j = 0; j < 4; j++) {
		for (int i = 0; i < ROWS; i++) {
			__m256i raw = load_32(w[i] + n * 64 + j % 2 * 32);

			q[i] = j < 2 ? low_nibble(raw) : high_nibble(raw);
		}
		add_high_bits(q, high, 2);
		add_rows(m, acc, s, q, b + j, 8 * n + 2 * j, how);
	}
}

void hk_q6_k_rows_avx2(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	const uint8_t *first = w[0];
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8) {
		prefetch_next(m, first, b / 8, 210);
		load_q6_scales(&s, w);
		q6_half(m, w, 0, acc, &s, b);
		q6_half(m, w, 1, acc, &s, b + 4);
		for (int i = 0; i < ROWS; i++)
			w[i] += 210;
	}
}
