// SPDX-License-Identifier: MIT
/*
 * The types with blocks of 256. Q4_K, Q5_K and Q6_K are read in place, with the
 * same turning as for small blocks, also of the bytes that hold the scales; the
 * others are taken apart by plain code.
 *
 * Each input row has a sum of floats and one of integers, which are those of the
 * block at hand.
 */
#include "kernels/decode.h"
#include "kernels/k_scales.h"
#include "kernels/matmul_avx512.h"

/* A block's scales: lane i is row i. */
struct k_scales {
	__m512 d, minus;
	__m512i sc[16];
	/** @mn: The minima of units 2i and 2i + 1, as int16. */
	__m512i mn[8];
};

/* What the weights are; constant wherever it is passed. */
struct k_units {
	/** @unit: Elements with one scale; @min: and one minimum. */
	int unit;
	bool min;
	/** @bias: By that much the weights in registers are too large. */
	int bias;
};

typedef int32_t k_dots[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(64)));

/* Byte @i of each lane's four. */
HK_INLINE __m512i unsigned_byte(__m512i lanes, int i)
{
	return _mm512_and_si512(_mm512_srli_epi32(lanes, 8 * i), _mm512_set1_epi32(255));
}

HK_INLINE __m512i signed_byte(__m512i lanes, int i)
{
	return _mm512_srai_epi32(_mm512_slli_epi32(lanes, 24 - 8 * i), 24);
}

HK_INLINE __m512i pair(__m512i low, __m512i high)
{
	return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

/* Of Q4_K and Q5_K, by the steps of hk_spread_k_scales(). */
HK_INLINE void load_q45_scales(struct k_scales *s, const struct rows16 *w)
{
	const __m512i six = _mm512_set1_epi8(0x3f), four = _mm512_set1_epi8(0x0f);
	const __m512i two = _mm512_set1_epi8(0x30);
	__m512i in[4], to[4];

	/* The first word holds two f16. */
	turn(w, 0, in);
	to[0] = _mm512_and_si512(in[1], six);
	to[1] = _mm512_or_si512(_mm512_and_si512(in[3], four),
				_mm512_and_si512(_mm512_srli_epi32(in[1], 2), two));
	to[2] = _mm512_and_si512(in[2], six);
	to[3] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(in[3], 4), four),
				_mm512_and_si512(_mm512_srli_epi32(in[2], 2), two));
	for (int u = 0; u < 8; u++)
		s->sc[u] = unsigned_byte(to[u / 4], u % 4);
	for (int i = 0; i < 4; i++)
		s->mn[i] = pair(unsigned_byte(to[2 + i / 2], i % 2 * 2),
				unsigned_byte(to[2 + i / 2], i % 2 * 2 + 1));
	s->d = load_f16(w, 0);
	/* Minus the product is the product with minus. */
	s->minus = _mm512_xor_ps(load_f16(w, 2), _mm512_set1_ps(-0.0f));
}

/* Products of 32 elements with those of input row @at, times their scales */
HK_INLINE __m512i k_dot(const struct turned *t, const __m512i sc[], const struct hk_act *act,
			uint64_t at, const int16_t *sum16, const struct k_units how)
{
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	__m512i a = _mm512_set1_epi32(-how.bias * sum16[0]);
	__m512i b = _mm512_set1_epi32(-how.bias * sum16[1]);

	a = dot16(a, t->group, x);
	b = dot16(b, t->group + 4, x + 16);
	if (how.unit == 32)
		return _mm512_mullo_epi32(_mm512_add_epi32(a, b), sc[0]);
	return _mm512_add_epi32(_mm512_mullo_epi32(a, sc[0]), _mm512_mullo_epi32(b, sc[1]));
}

/* What block @block of 32, whose first unit is @u, adds to all input rows. */
HK_INLINE void k_add(const struct hk_matmul *m, k_dots dot, const struct k_scales *s,
		     const struct turned *t, uint64_t block, int u, const struct k_units how)
{
	const int16_t *sum16 = m->act.sum16 + block / HK_ACT_BLOCKS * m->rows * 16 +
			       block % HK_ACT_BLOCKS * 2;
	uint64_t at = block * m->rows;

	for (uint32_t r = 0; r < m->rows; r++, at++, sum16 += 16) {
		__m512i sum = _mm512_load_si512(dot[r]);

		sum = _mm512_add_epi32(sum, k_dot(t, s->sc + u, &m->act, at, sum16, how));
		_mm512_store_si512(dot[r], sum);
	}
}

/* Sums of the @n units' minima times sums of activations */
HK_INLINE __m512i minima(const __m512i mn[], const int16_t *sum, const int n)
{
	__m512i total = _mm512_setzero_si512();

	for (int i = 0; i < n / 2; i++) {
		int32_t two;

		memcpy(&two, sum + 2 * i, sizeof(two));
		total = _mm512_dpwssd_epi32(total, mn[i], _mm512_set1_epi32(two));
	}
	return total;
}

/* The block of 256 is complete: its integers are scaled, and the next begins. */
HK_INLINE void k_finish(const struct hk_matmul *m, float acc[][ROWS], k_dots dot,
			const struct k_scales *s, uint64_t block, const struct k_units how)
{
	const struct hk_act *act = &m->act;
	uint64_t at = block * m->rows;

	for (uint32_t r = 0; r < m->rows; r++, at++) {
		__m512 sum = _mm512_load_ps(acc[r]);

		sum = add_unit(sum, s->d, act->d[at], _mm512_load_si512(dot[r]));
		if (how.min)
			sum = add_unit(sum, s->minus, act->d[at], how.unit == 32 ?
				       minima(s->mn, act->sum32 + 8 * at, 8) :
				       minima(s->mn, act->sum16 + 16 * at, 16));
		_mm512_store_ps(acc[r], sum);
		_mm512_store_si512(dot[r], _mm512_setzero_si512());
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
HK_INLINE void q45_block(const struct hk_matmul *m, const struct rows16 *w, k_dots dot,
			 struct k_scales *s, uint64_t b, const bool fifth,
			 const struct k_units how)
{
	struct turned raw, high, t;

	load_q45_scales(s, w);
	if (fifth)
		load_i8(&high, w, 16, 0);
	for (int u = 0; u < 8; u += 2) {
		load_i8(&raw, w, (fifth ? 48 : 16) + 16 * u, 0);
		low_nibbles(&t, &raw);
		if (fifth)
			add_high_bits(&t, &high, 1);
		k_add(m, dot, s, &t, HK_ACT_BLOCKS * b + u, u, how);
		high_nibbles(&t, &raw);
		if (fifth)
			add_high_bits(&t, &high, 1);
		k_add(m, dot, s, &t, HK_ACT_BLOCKS * b + u + 1, u + 1, how);
	}
}

/* Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. */
HK_INLINE void q6_half(const struct hk_matmul *m, const struct rows16 *w, int n, k_dots dot,
		       const struct k_scales *s, uint64_t b, const struct k_units how)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);
	struct turned low[2], high, t;

	load_i8(&low[0], w, f.low + n * 64, 0);
	load_i8(&low[1], w, f.low + n * 64 + 32, 0);
	load_i8(&high, w, f.high + n * 32, 0);
	for (int j = 0; j < 4; j++) {
		if (j < 2)
			low_nibbles(&t, &low[j]);
		else
			high_nibbles(&t, &low[j - 2]);
		add_high_bits(&t, &high, 2);
		k_add(m, dot, s, &t, b + j, 8 * n + 2 * j, how);
	}
}

HK_INLINE void q6_block(const struct hk_matmul *m, const struct rows16 *w, k_dots dot,
			struct k_scales *s, uint64_t b, const struct k_units how)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);
	__m512i group[4];

	turn(w, f.scales, group);
	for (int u = 0; u < 16; u++)
		s->sc[u] = signed_byte(group[u / 4], u % 4);
	s->d = load_f16(w, f.d);
	q6_half(m, w, 0, dot, s, HK_ACT_BLOCKS * b, how);
	q6_half(m, w, 1, dot, s, HK_ACT_BLOCKS * b + 4, how);
}

/* A block of each row by plain code */
static void take_apart(struct hk_qblock row[ROWS], struct k_scales *s, unsigned int type,
		       const struct k_units how, const struct rows16 *w)
{
	float d[ROWS], minus[ROWS];

	for (int i = 0; i < ROWS; i++) {
		hk_decode_k(type, w->row[i], &row[i]);
		d[i] = row[i].scale;
		minus[i] = how.min ? -row[i].min : 0;
	}
	s->d = _mm512_loadu_ps(d);
	s->minus = _mm512_loadu_ps(minus);
	for (int u = 0; u < HK_ACT_SUPER / how.unit; u++) {
		int32_t sc[ROWS], mn[ROWS];

		for (int i = 0; i < ROWS; i++) {
			sc[i] = row[i].sc[u];
			mn[i] = how.min ? row[i].mn[u & ~1] | row[i].mn[u | 1] << 16 : 0;
		}
		s->sc[u] = _mm512_loadu_si512(sc);
		s->mn[u / 2] = _mm512_loadu_si512(mn);
	}
}

HK_INLINE void panel_block(const struct hk_matmul *m, const struct rows16 *w, k_dots dot,
			   struct k_scales *s, uint64_t b, const struct k_units how)
{
	struct rows16 q = { .packed = false };
	struct hk_qblock row[ROWS];
	struct turned t;

	take_apart(row, s, m->type, how, w);
	for (int i = 0; i < ROWS; i++)
		q.row[i] = (const uint8_t *)row[i].q;
	for (int j = 0; j < HK_ACT_BLOCKS; j++) {
		load_i8(&t, &q, HK_ACT_BLOCK * j, how.bias ? 0x80 : 0);
		k_add(m, dot, s, &t, HK_ACT_BLOCKS * b + j, HK_ACT_BLOCK * j / how.unit, how);
	}
}

HK_INLINE void k_rows(const struct hk_matmul *m, const struct rows16 *w, float acc[][ROWS],
		      const unsigned int type, const bool packed, const struct k_units how)
{
	const uint32_t bytes = hk_type(type)->bytes;
	struct rows16 at = *w;
	struct k_scales s;
	k_dots dot;

	at.packed = packed;
	memset(dot, 0, m->rows * sizeof(dot[0]));
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++) {
		prefetch_next(m, w, b, bytes);
		if (type == HEARTH_TYPE_Q4_K || type == HEARTH_TYPE_Q5_K)
			q45_block(m, &at, dot, &s, b, type == HEARTH_TYPE_Q5_K, how);
		else if (type == HEARTH_TYPE_Q6_K)
			q6_block(m, &at, dot, &s, b, how);
		else
			panel_block(m, &at, dot, &s, b, how);
		k_finish(m, acc, dot, &s, b, how);
		next_block(&at, bytes);
	}
}

#define UNITS(unit, min, bias)	((struct k_units){ unit, min, bias })

/* By plain code signed bytes come: the sign's bit turned over is 128 more. */
ROWS16(q2_k, k_rows, HEARTH_TYPE_Q2_K, false, UNITS(16, true, 0))
ROWS16(q3_k, k_rows, HEARTH_TYPE_Q3_K, false, UNITS(16, false, 128))
ROWS16(q4_k, k_rows, HEARTH_TYPE_Q4_K, false, UNITS(32, true, 0))
ROWS16(q5_k, k_rows, HEARTH_TYPE_Q5_K, false, UNITS(32, true, 0))
ROWS16(q6_k, k_rows, HEARTH_TYPE_Q6_K, false, UNITS(16, false, 32))
ROWS16(iq4_xs, k_rows, HEARTH_TYPE_IQ4_XS, false, UNITS(32, false, 128))
ROWS16(q4_k_r8, k_rows, HEARTH_TYPE_Q4_K, true, UNITS(32, true, 0))
ROWS16(q5_k_r8, k_rows, HEARTH_TYPE_Q5_K, true, UNITS(32, true, 0))
ROWS16(q6_k_r8, k_rows, HEARTH_TYPE_Q6_K, true, UNITS(16, false, 32))

hk_rows16_fn hk_k_rows16_avx512(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		return q2_k;
	case HEARTH_TYPE_Q3_K:
		return q3_k;
	case HEARTH_TYPE_Q4_K:
		return q4_k;
	case HEARTH_TYPE_Q5_K:
		return q5_k;
	case HEARTH_TYPE_Q6_K:
		return q6_k;
	case HEARTH_TYPE_Q4_K_R8:
		return q4_k_r8;
	case HEARTH_TYPE_Q5_K_R8:
		return q5_k_r8;
	case HEARTH_TYPE_Q6_K_R8:
		return q6_k_r8;
	default:
		return iq4_xs;
	}
}
