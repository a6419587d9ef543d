// SPDX-License-Identifier: MIT
/*
 * Q4_K, Q5_K and Q6_K read in place: the same turning as for small blocks,
 * also of the bytes that hold the scales.
 */
#include "kernels/k_scales.h"
#include "kernels/matmul_avx512.h"

/* Byte @i of each lane's four. */
HK_INLINE __m512 unsigned_byte(__m512i lanes, int i)
{
	return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(lanes, 8 * i),
						   _mm512_set1_epi32(255)));
}

HK_INLINE __m512 signed_byte(__m512i lanes, int i)
{
	return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(lanes, 24 - 8 * i), 24));
}

static void load_k_scales(struct scales *s, const uint8_t *const w[ROWS])
{
	__m512 d = load_f16(w, 0), min = load_f16(w, 2);
	uint8_t bytes[ROWS][16];
	const uint8_t *at[ROWS];
	__m512i row[4], group[4];

	for (int i = 0; i < ROWS; i++) {
		hk_spread_k_scales(w[i] + 4, bytes[i]);
		at[i] = bytes[i];
	}
	for (int i = 0; i < 4; i++)
		row[i] = load_rows(at, i, 0);
	turn(row, group);
	for (int u = 0; u < 8; u++) {
		__m512 m = _mm512_mul_ps(min, unsigned_byte(group[2 + u / 4], u % 4));

		s->d[u] = _mm512_mul_ps(d, unsigned_byte(group[u / 4], u % 4));
		/* Minus the product: the sign alone. */
		s->m[u] = _mm512_xor_ps(m, _mm512_set1_ps(-0.0f));
	}
}

HK_INLINE __m512i low_nibble(__m512i v)
{
	return _mm512_and_si512(v, _mm512_set1_epi8(15));
}

HK_INLINE __m512i high_nibble(__m512i v)
{
	return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(15));
}

/*
 * Puts bits @mask of each byte of @high above the four of @t; the next call
 * takes the bits above those. A word's shift lets in bits of its other byte,
 * but never down to the mask.
 */
HK_INLINE void add_high_bits(struct turned *t, struct turned *high, const int width)
{
	const __m512i mask = _mm512_set1_epi8((char)((1 << width) - 1));

	for (int g = 0; g < 8; g++) {
		__m512i bits = _mm512_and_si512(high->group[g], mask);

		t->group[g] = _mm512_or_si512(t->group[g], _mm512_slli_epi16(bits, 4));
		high->group[g] = _mm512_srli_epi16(high->group[g], width);
	}
}

HK_INLINE void low_nibbles(struct turned *t, const struct turned *raw)
{
	for (int g = 0; g < 8; g++)
		t->group[g] = low_nibble(raw->group[g]);
}

HK_INLINE void high_nibbles(struct turned *t, const struct turned *raw)
{
	for (int g = 0; g < 8; g++)
		t->group[g] = high_nibble(raw->group[g]);
}

/* Pairs of units share 32 bytes: the low nibbles, then the high ones. */
HK_INLINE void k_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
		      float acc[][ROWS], const bool fifth)
{
	const uint8_t *first = w[0];
	struct turned raw, high, t;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8) {
		prefetch_next(m, first, b / 8, fifth ? 176 : 144);
		load_k_scales(&s, w);
		if (fifth)
			load_i8(&high, w, 16, 0);
		for (int u = 0; u < 8; u += 2) {
			load_i8(&raw, w, (fifth ? 48 : 16) + 16 * u, 0);
			low_nibbles(&t, &raw);
			if (fifth)
				add_high_bits(&t, &high, 1);
			add_rows(m, acc, &s, &t, b + u, u, 32, true, 0);
			high_nibbles(&t, &raw);
			if (fifth)
				add_high_bits(&t, &high, 1);
			add_rows(m, acc, &s, &t, b + u + 1, u + 1, 32, true, 0);
		}
		for (int i = 0; i < ROWS; i++)
			w[i] += fifth ? 176 : 144;
	}
}

void hk_q4_k_rows_avx512(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	k_rows(m, w, acc, false);
}

void hk_q5_k_rows_avx512(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	k_rows(m, w, acc, true);
}

static void load_q6_scales(struct scales *s, const uint8_t *const w[ROWS])
{
	__m512 d = load_f16(w, 208);
	__m512i row[4], group[4];

	for (int i = 0; i < 4; i++)
		row[i] = load_rows(w, i, 192);
	turn(row, group);
	for (int u = 0; u < 16; u++)
		s->d[u] = _mm512_mul_ps(d, signed_byte(group[u / 4], u % 4));
}

/* Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. */
HK_INLINE void q6_half(const struct hk_matmul *m, const uint8_t *const w[ROWS], int n,
		       float acc[][ROWS], const struct scales *s, uint64_t b)
{
	struct turned low[2], high, t;

	load_i8(&low[0], w, n * 64, 0);
	load_i8(&low[1], w, n * 64 + 32, 0);
	load_i8(&high, w, 128 + n * 32, 0);
	for (int j = 0; j < 4; j++) {
		if (j < 2)
			low_nibbles(&t, &low[j]);
		else
			high_nibbles(&t, &low[j - 2]);
		add_high_bits(&t, &high, 2);
		add_rows(m, acc, s, &t, b + j, 8 * n + 2 * j, 16, false, 32);
	}
}

void hk_q6_k_rows_avx512(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
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
