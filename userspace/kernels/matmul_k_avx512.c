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
#include "kernels/matmul_avx512.h"
#include "kernels/r8.h"

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

/* Of an input row a sum for each output of the tiles. */
typedef int32_t k_dots[TILES][ROWS] __attribute__((aligned(64)));

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

/* Of Q4_K and Q5_K, by the steps of hk_k_scales(). */
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

/* Adds the products of 32 elements with those of input row @at, times their scales. */
HK_INLINE void k_dot(k_dots *dot, const struct turned t[], const struct k_scales s[],
		     const int8_t *x, const int16_t *sum16, const int u,
		     const struct k_units how, const int n)
{
	__m512i a[TILES], b[TILES];

	HK_UNROLL
	for (int i = 0; i < n; i++) {
		a[i] = _mm512_set1_epi32(-how.bias * sum16[0]);
		b[i] = _mm512_set1_epi32(-how.bias * sum16[1]);
	}
	dot32(a, b, t, x, n);
	HK_UNROLL
	for (int i = 0; i < n; i++) {
		__m512i sum = _mm512_load_si512((*dot)[i]);

		if (how.unit == 32) {
			a[i] = _mm512_mullo_epi32(_mm512_add_epi32(a[i], b[i]), s[i].sc[u]);
		} else {
			a[i] = _mm512_mullo_epi32(a[i], s[i].sc[u]);
			b[i] = _mm512_mullo_epi32(b[i], s[i].sc[u + 1]);
			a[i] = _mm512_add_epi32(a[i], b[i]);
		}
		_mm512_store_si512((*dot)[i], _mm512_add_epi32(sum, a[i]));
	}
}

/* What block @block of 32, whose first unit is @u, adds to all input rows. */
HK_INLINE void k_add(const struct hk_matmul *m, k_dots *dot, const struct k_scales s[],
		     const struct turned t[], uint64_t block, const int u,
		     const struct k_units how, const int n)
{
	/* Copied: as far as a compiler knows, a store to a sum might change it. */
	const struct hk_act act = m->act;
	const int16_t *sum16 = act.sum16 + block / HK_ACT_BLOCKS * act.rows * 16 +
			       block % HK_ACT_BLOCKS * 2;
	const int8_t *x = act.q + block * act.rows * HK_ACT_BLOCK;

	for (uint32_t r = 0; r < act.rows; r++, x += HK_ACT_BLOCK, sum16 += 16)
		k_dot(&dot[r], t, s, x, sum16, u, how, n);
}

/* Sums of the @n units' minima times sums of activations */
HK_INLINE __m512i minima(const __m512i mn[], const int16_t *sum, const int n)
{
	__m512i total = _mm512_setzero_si512();

	HK_UNROLL
	for (int i = 0; i < n / 2; i++)
		total = _mm512_dpwssd_epi32(total, mn[i], four(sum, i));
	return total;
}

/* The block of 256 is complete: its integers are scaled, and the next begins. */
HK_INLINE void k_finish(const struct hk_matmul *m, sums16 *acc, k_dots *dot,
			const struct k_scales s[], uint64_t block, const struct k_units how,
			const int n)
{
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;

	for (uint32_t r = 0; r < act.rows; r++, at++) {
		const int16_t *sum = how.unit == 32 ? act.sum32 + 8 * at : act.sum16 + 16 * at;

		HK_UNROLL
		for (int i = 0; i < n; i++) {
			__m512 v = _mm512_load_ps(acc[r][i]);

			v = add_unit(v, s[i].d, act.d[at], _mm512_load_si512(dot[r][i]));
			if (how.min)
				v = add_unit(v, s[i].minus, act.d[at],
					     minima(s[i].mn, sum, HK_ACT_SUPER / how.unit));
			_mm512_store_ps(acc[r][i], v);
			_mm512_store_si512(dot[r][i], _mm512_setzero_si512());
		}
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

/* Unit @u of eight: pairs of units share 32 bytes, low nibbles and high ones. */
HK_INLINE void q45_unit(struct turned *t, struct turned *raw, struct turned *high,
			const struct rows16 *w, const int u, const bool fifth)
{
	if (u % 2) {
		high_nibbles(t, raw);
	} else {
		turn_bytes(raw, w, (fifth ? 48 : 16) + 16 * u);
		low_nibbles(t, raw);
	}
	if (fifth)
		add_high_bits(t, high, 1);
}

HK_INLINE void q45_block(const struct hk_matmul *m, const struct rows16 w[], k_dots *dot,
			 struct k_scales s[], uint64_t b, const bool fifth,
			 const struct k_units how, const int n)
{
	struct turned raw[TILES], high[TILES], t[TILES];

	for (int i = 0; i < n; i++) {
		load_q45_scales(&s[i], &w[i]);
		if (fifth)
			turn_bytes(&high[i], &w[i], 16);
	}
	HK_UNROLL
	for (int u = 0; u < 8; u++) {
		HK_UNROLL
		for (int i = 0; i < n; i++)
			q45_unit(&t[i], &raw[i], &high[i], &w[i], u, fifth);
		k_add(m, dot, s, t, HK_ACT_BLOCKS * b + u, u, how, n);
	}
}

/* Quarter @j of half a block, which has 64 bytes of nibbles and 32 of pairs of bits above. */
HK_INLINE void q6_quarter(struct turned *t, struct turned low[2], struct turned *high,
			  const struct rows16 *w, const int half, const int j)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);

	if (!j)
		turn_bytes(high, w, f.high + half * 32);
	if (j < 2) {
		turn_bytes(&low[j], w, f.low + half * 64 + j * 32);
		low_nibbles(t, &low[j]);
	} else {
		high_nibbles(t, &low[j - 2]);
	}
	add_high_bits(t, high, 2);
}

HK_INLINE void load_q6_scales(struct k_scales *s, const struct rows16 *w)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);
	__m512i group[4];

	turn(w, f.scales, group);
	for (int u = 0; u < 16; u++)
		s->sc[u] = signed_byte(group[u / 4], u % 4);
	s->d = load_f16(w, f.d);
}

HK_INLINE void q6_block(const struct hk_matmul *m, const struct rows16 w[], k_dots *dot,
			struct k_scales s[], uint64_t b, const struct k_units how, const int n)
{
	struct turned low[TILES][2], high[TILES], t[TILES];

	for (int i = 0; i < n; i++)
		load_q6_scales(&s[i], &w[i]);
	HK_UNROLL
	for (int j = 0; j < 8; j++) {
		HK_UNROLL
		for (int i = 0; i < n; i++)
			q6_quarter(&t[i], low[i], &high[i], &w[i], j / 4, j % 4);
		k_add(m, dot, s, t, HK_ACT_BLOCKS * b + j, 2 * j, how, n);
	}
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

/* Blocks that were taken apart: what is read of a row lies in @row. */
static void point(struct rows16 *q, const struct hk_qblock row[ROWS])
{
	q->packed = false;
	for (int i = 0; i < ROWS; i++)
		q->row[i] = (const uint8_t *)row[i].q;
}

HK_INLINE void panel_block(const struct hk_matmul *m, const struct rows16 w[], k_dots *dot,
			   struct k_scales s[], uint64_t b, const struct k_units how,
			   const int n)
{
	struct hk_qblock row[TILES][ROWS];
	struct rows16 q[TILES];
	struct turned t[TILES];

	for (int i = 0; i < n; i++) {
		take_apart(row[i], &s[i], m->type, how, &w[i]);
		point(&q[i], row[i]);
	}
	for (int j = 0; j < HK_ACT_BLOCKS; j++) {
		HK_UNROLL
		for (int i = 0; i < n; i++) {
			turn_bytes(&t[i], &q[i], HK_ACT_BLOCK * j);
			raise_all(&t[i], how.bias);
		}
		k_add(m, dot, s, t, HK_ACT_BLOCKS * b + j, HK_ACT_BLOCK * j / how.unit, how, n);
	}
}

HK_INLINE void k_rows(const struct hk_matmul *m, const struct rows16 w[], const int n,
		      sums16 *acc, const unsigned int type, const bool packed,
		      const struct k_units how)
{
	const uint64_t blocks = m->in_n / HK_ACT_SUPER;
	const uint32_t bytes = hk_type(type)->bytes;
	k_dots dot[HK_MATMUL_ROWS];
	struct rows16 at[TILES];
	struct k_scales s[TILES];

	begin_rows(at, w, n, packed);
	memset(dot, 0, m->rows * sizeof(dot[0]));
	for (uint64_t b = 0; b < blocks; b++) {
		prefetch_weights(m, w, b, bytes, n);
		prefetch_dst(m, b, blocks, n);
		if (type == HEARTH_TYPE_Q4_K || type == HEARTH_TYPE_Q5_K)
			q45_block(m, at, dot, s, b, type == HEARTH_TYPE_Q5_K, how, n);
		else if (type == HEARTH_TYPE_Q6_K)
			q6_block(m, at, dot, s, b, how, n);
		else
			panel_block(m, at, dot, s, b, how, n);
		k_finish(m, acc, dot, s, b, how, n);
		for (int i = 0; i < n; i++)
			next_block(&at[i], bytes);
	}
}

#define UNITS(unit, min, bias)	((struct k_units){ unit, min, bias })

/* By plain code signed bytes come. */
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
