// SPDX-License-Identifier: MIT
/*
 * The types with blocks of 256: Q4_K, Q5_K and Q6_K turned as they are read,
 * the others taken apart by plain code first.
 *
 * Each input row has a sum of floats and one of integers, which are those of
 * the block at hand.
 */
#include "kernels/decode.h"
#include "kernels/k_avx2.h"

/* What the weights are; constant wherever it is passed. */
struct k_units {
	/** @unit: Elements with one scale; @min: and one minimum. */
	int unit;
	bool min;
	/**
	 * @kind: Not negative: sixteen products fit int16, or eight do. Either
	 * sign: eight do. Large: see struct prepared.
	 */
	enum { K_UNSIGNED_16, K_UNSIGNED_8, K_SIGNED, K_LARGE } kind;
};

/* 32 elements as the loop over the input wants them; a scale for each half. */
struct k_prepared {
	struct prepared p;
	__m256i sc[2];
};

HK_INLINE void k_prepare(struct k_prepared *k, const struct turned *t, const __m256i sc[],
			 const struct k_units how)
{
	if (how.kind == K_SIGNED) {
		prepare_small(&k->p, t, how.unit);
	} else if (how.kind == K_LARGE) {
		prepare_large(&k->p, t);
	} else {
		HK_UNROLL
		for (int g = 0; g < 8; g++)
			k->p.w[g] = t->group[g];
	}
	k->sc[0] = sc[0];
	k->sc[1] = sc[how.unit == 16];
	if (how.kind == K_LARGE)
		k->p.start[0] = _mm256_mullo_epi32(k->p.start[0], _mm256_srai_epi32(sc[0], 16));
}

/* int16 sums of the products of @n groups from @first on */
HK_INLINE __m256i k_pairs(const struct prepared *p, const int8_t *x, const int first,
			  const int n)
{
	__m256i sum = _mm256_maddubs_epi16(p->w[first], four(x, first));

	HK_UNROLL
	for (int g = first + 1; g < first + n; g++) {
		sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(p->w[g], four(x, g)));
		IN_ORDER(sum);
	}
	return sum;
}

/* The same of weights of either sign, with the activations that are 128 too large */
HK_INLINE __m256i k_pairs_signed(const struct prepared *p, const uint8_t *u, const int h)
{
	__m256i sum = p->start[h];

	HK_UNROLL
	for (int g = 4 * h; g < 4 * h + 4; g++) {
		sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(four(u, g), p->w[g]));
		IN_ORDER(sum);
	}
	return sum;
}

/* Products of 32 elements with input row @at, times their scales */
HK_INLINE __m256i k_dot(const struct k_prepared *k, const struct hk_act *act, uint64_t at,
			const struct k_units how)
{
	const uint8_t *u = act->u + at * HK_ACT_BLOCK;
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	__m256i a, b;

	switch (how.kind) {
	case K_UNSIGNED_16:
		if (how.unit == 32)
			return _mm256_madd_epi16(k_pairs(&k->p, x, 0, 8), k->sc[0]);
		/* fall through */
	case K_UNSIGNED_8:
		a = k_pairs(&k->p, x, 0, 4);
		b = k_pairs(&k->p, x, 4, 4);
		break;
	case K_SIGNED:
		a = k_pairs_signed(&k->p, u, 0);
		b = k_pairs_signed(&k->p, u, 1);
		break;
	default:
		dot_large(&k->p, x, k->sc[0], &a, 1);
		return a;
	}
	return _mm256_add_epi32(_mm256_madd_epi16(a, k->sc[0]), _mm256_madd_epi16(b, k->sc[1]));
}

/* What block @block of 32, whose first unit is @u, adds to all input rows. */
HK_INLINE void k_add(const struct hk_matmul *m, __m256i *dot, const struct k_scales *s,
		     const struct turned *t, uint64_t block, int u, const struct k_units how)
{
	/* Copied: as far as a compiler knows, a store to a sum might change it. */
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;
	struct k_prepared k;

	k_prepare(&k, t, s->sc + u, how);
	for (uint32_t r = 0; r < act.rows; r++, at++)
		dot[r] = _mm256_add_epi32(dot[r], k_dot(&k, &act, at, how));
}

/* The block of 256 is complete: its integers are scaled, and the next begins. */
HK_INLINE void k_finish(const struct hk_matmul *m, __m256 *acc, __m256i *dot,
			const struct k_scales *s, uint64_t block, const struct k_units how)
{
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;

	for (uint32_t r = 0; r < act.rows; r++, at++) {
		__m256 dx = _mm256_broadcast_ss(act.d + at);

		acc[r] = add_unit(acc[r], s->d, dx, _mm256_cvtepi32_ps(dot[r]));
		dot[r] = _mm256_setzero_si256();
		if (how.min) {
			__m256i mins = how.unit == 32 ? minima(s->mn, act.sum32 + 8 * at, 8) :
							minima(s->mn, act.sum16 + 16 * at, 16);

			acc[r] = add_unit(acc[r], s->minus, dx, _mm256_cvtepi32_ps(mins));
		}
	}
}

HK_INLINE void k_begin(const struct hk_matmul *m, __m256i *dot)
{
	for (uint32_t r = 0; r < m->rows; r++)
		dot[r] = _mm256_setzero_si256();
}

/* Unit @u of eight: pairs of units share 32 bytes, low nibbles and high ones. */
HK_INLINE void k_unit(struct turned *t, const struct turned *raw, const struct turned *high,
		      const int u, const bool fifth)
{
	HK_UNROLL
	for (int g = 0; g < 8; g++) {
		t->group[g] = u % 2 ? high_nibble(raw->group[g]) : low_nibble(raw->group[g]);
		if (fifth)
			t->group[g] = _mm256_or_si256(t->group[g],
						      high_bits(high->group[g], u, 1));
	}
}

HK_INLINE void k_rows(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc,
		      const bool fifth, const bool packed)
{
	const struct k_units how = { 32, true, fifth ? K_UNSIGNED_8 : K_UNSIGNED_16 };
	const int bytes = fifth ? 176 : 144;
	__m256i dot[HK_MATMUL_ROWS];
	struct rows8 at = { w->p, w->stride, packed };
	struct turned raw, high, t;
	struct k_scales s;

	k_begin(m, dot);
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, next_block(&at, bytes)) {
		prefetch_next(w, b, bytes);
		load_q45_scales(&s, &at);
		if (fifth)
			turn_bytes(&high, &at, 16);
		HK_UNROLL
		for (int u = 0; u < 8; u++) {
			if (u % 2 == 0)
				turn_bytes(&raw, &at, (fifth ? 48 : 16) + 16 * u);
			k_unit(&t, &raw, &high, u, fifth);
			k_add(m, dot, &s, &t, HK_ACT_BLOCKS * b + u, u, how);
		}
		k_finish(m, acc, dot, &s, b, how);
	}
}

ROWS8(q4_k, k_rows, false, false)
ROWS8(q5_k, k_rows, true, false)
ROWS8(q4_k_r8, k_rows, false, true)
ROWS8(q5_k_r8, k_rows, true, true)

static const struct k_units q6_units = { 16, false, K_SIGNED };

/* Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. */
HK_INLINE void q6_half(const struct hk_matmul *m, const struct rows8 *w, int n, __m256i *dot,
		       const struct k_scales *s, uint64_t b)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);
	struct turned raw[2], high, t;

	turn_bytes(&raw[0], w, f.low + n * 64);
	turn_bytes(&raw[1], w, f.low + n * 64 + 32);
	turn_bytes(&high, w, f.high + n * 32);
	HK_UNROLL
	for (int j = 0; j < 4; j++) {
		HK_UNROLL
		for (int g = 0; g < 8; g++) {
			__m256i v = raw[j % 2].group[g];

			v = j < 2 ? low_nibble(v) : high_nibble(v);
			t.group[g] = _mm256_or_si256(v, high_bits(high.group[g], 2 * j, 2));
		}
		raise_all(&t, -32);
		k_add(m, dot, s, &t, b + j, 8 * n + 2 * j, q6_units);
	}
}

HK_INLINE void load_q6_scales(struct k_scales *s, const struct rows8 *w)
{
	const struct hk_q6_fields f = hk_q6_fields(w->packed);
	__m256i group[4];

	turn(w, f.scales, group);
	HK_UNROLL
	for (int u = 0; u < 16; u++)
		s->sc[u] = byte_twice(group[u / 4], u % 4);
	s->d = load_f16(w, f.d);
}

HK_INLINE void q6_rows(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc,
		       const bool packed)
{
	struct rows8 at = { w->p, w->stride, packed };
	__m256i dot[HK_MATMUL_ROWS];
	struct k_scales s;

	k_begin(m, dot);
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, next_block(&at, 210)) {
		prefetch_next(w, b, 210);
		load_q6_scales(&s, &at);
		q6_half(m, &at, 0, dot, &s, HK_ACT_BLOCKS * b);
		q6_half(m, &at, 1, dot, &s, HK_ACT_BLOCKS * b + 4);
		k_finish(m, acc, dot, &s, b, q6_units);
	}
}

ROWS8(q6_k, q6_rows, false)
ROWS8(q6_k_r8, q6_rows, true)

/* Two int16 of each row */
HK_INLINE __m256i gather(const struct hk_qblock row[ROWS], size_t from, int i, int j)
{
	uint32_t x[ROWS];

	for (int r = 0; r < ROWS; r++) {
		const int16_t *p = (const int16_t *)((const char *)&row[r] + from);

		x[r] = (uint16_t)p[i] | (uint32_t)(uint16_t)p[j] << 16;
	}
	return _mm256_loadu_si256((const __m256i *)x);
}

/* A block of each row, taken apart by plain code. */
static void take_apart(struct hk_qblock row[ROWS], struct k_scales *s, unsigned int type,
		       const struct hk_type *t, const struct rows8 *w)
{
	const int n = HK_MAX_BLOCK / t->unit;
	float d[ROWS], minus[ROWS];

	for (int i = 0; i < ROWS; i++) {
		hk_decode_k(type, w->p + i * w->stride, &row[i]);
		d[i] = row[i].scale;
		minus[i] = t->min ? -row[i].min : 0;
	}
	s->d = _mm256_loadu_ps(d);
	s->minus = _mm256_loadu_ps(minus);
	for (int u = 0; u < n; u++)
		s->sc[u] = gather(row, offsetof(struct hk_qblock, sc), u, u);
	for (int i = 0; i < n / 2 && t->min; i++)
		s->mn[i] = gather(row, offsetof(struct hk_qblock, mn), 2 * i, 2 * i + 1);
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc,
			  const struct k_units how)
{
	const struct hk_type *type = hk_type(m->type);
	struct hk_qblock row[ROWS];
	struct rows8 at = *w, q = { (const uint8_t *)row[0].q, sizeof(row[0]), false };
	__m256i dot[HK_MATMUL_ROWS];
	struct k_scales s;
	struct turned t;

	k_begin(m, dot);
	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, at.p += type->bytes) {
		prefetch_next(w, b, type->bytes);
		take_apart(row, &s, m->type, type, &at);
		for (int j = 0; j < HK_ACT_BLOCKS; j++) {
			turn_bytes(&t, &q, HK_ACT_BLOCK * j);
			k_add(m, dot, &s, &t, HK_ACT_BLOCKS * b + j,
			      HK_ACT_BLOCK * j / how.unit, how);
		}
		k_finish(m, acc, dot, &s, b, how);
	}
}

ROWS8(q2_k, panel_rows, (struct k_units){ 16, true, K_UNSIGNED_16 })
ROWS8(q3_k, panel_rows, (struct k_units){ 16, false, K_SIGNED })
ROWS8(iq4_xs, panel_rows, (struct k_units){ 32, false, K_LARGE })

hk_rows8_fn hk_k_rows8_avx2(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_K:
		return q4_k;
	case HEARTH_TYPE_Q5_K:
		return q5_k;
	case HEARTH_TYPE_Q6_K:
		return q6_k;
	case HEARTH_TYPE_Q2_K:
		return q2_k;
	case HEARTH_TYPE_Q3_K:
		return q3_k;
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
