// SPDX-License-Identifier: MIT
/*
 * The types with blocks of 256: Q4_K, Q5_K and Q6_K turned as they are read,
 * the others taken apart by plain code first.
 */
#include "kernels/decode.h"
#include "kernels/k_avx2.h"

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
		      const bool fifth)
{
	const struct units how = { 32, true, fifth ? -16 : 0, true };
	const int bytes = fifth ? 176 : 144;
	struct turned raw, high, t;
	struct rows8 at = *w;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, at.p += bytes) {
		prefetch_next(w, b / 8, bytes);
		load_k_scales(&s, &at, load_f16(&at, 0), load_f16(&at, 2));
		if (fifth)
			turn_bytes(&high, &at, 16);
		HK_UNROLL
		for (int u = 0; u < 8; u++) {
			if (u % 2 == 0)
				turn_bytes(&raw, &at, (fifth ? 48 : 16) + 16 * u);
			k_unit(&t, &raw, &high, u, fifth);
			lower(&t, -how.bias);
			add_rows(m, acc, &s, &t, b + u, u, how);
		}
	}
}

ROWS8(q4_k, k_rows, false)
ROWS8(q5_k, k_rows, true)

/* Half a block: 64 bytes of nibbles, 32 bytes of pairs of bits above them. */
HK_INLINE void q6_half(const struct hk_matmul *m, const struct rows8 *w, int n, __m256 *acc,
		       const struct scales *s, uint64_t b)
{
	const struct units how = { 16, false, 0, true };
	struct turned raw[2], high, t;

	turn_bytes(&raw[0], w, n * 64);
	turn_bytes(&raw[1], w, n * 64 + 32);
	turn_bytes(&high, w, 128 + n * 32);
	HK_UNROLL
	for (int j = 0; j < 4; j++) {
		HK_UNROLL
		for (int g = 0; g < 8; g++) {
			__m256i v = raw[j % 2].group[g];

			v = j < 2 ? low_nibble(v) : high_nibble(v);
			t.group[g] = _mm256_or_si256(v, high_bits(high.group[g], 2 * j, 2));
		}
		lower(&t, 32);
		add_rows(m, acc, s, &t, b + j, 8 * n + 2 * j, how);
	}
}

HK_INLINE void q6_rows(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc)
{
	struct rows8 at = *w;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b += 8, at.p += 210) {
		prefetch_next(w, b / 8, 210);
		load_q6_scales(&s, &at, load_f16(&at, 208));
		q6_half(m, &at, 0, acc, &s, b);
		q6_half(m, &at, 1, acc, &s, b + 4);
	}
}

ROWS8(q6_k, q6_rows)

/* A block of each row, taken apart by plain code. */
static void take_apart(struct hk_qblock row[ROWS], struct scales *s, unsigned int type,
		       const struct hk_type *t, const struct rows8 *w)
{
	for (int i = 0; i < ROWS; i++)
		hk_decode(type, w->p + i * w->stride, &row[i]);
	for (int u = 0; u < t->elements / t->unit; u++) {
		float d[ROWS], m[ROWS];

		for (int i = 0; i < ROWS; i++) {
			d[i] = row[i].d[u];
			m[i] = t->min ? row[i].m[u] : 0;
		}
		s->d[u] = _mm256_loadu_ps(d);
		s->m[u] = _mm256_loadu_ps(m);
	}
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc,
			  const struct units how)
{
	const struct hk_type *type = hk_type(m->type);
	struct hk_qblock row[ROWS];
	struct rows8 at = *w, q = { (const uint8_t *)row[0].q, sizeof(row[0]) };
	struct scales s;
	struct turned t;

	for (uint32_t k = 0; k < m->in_n; k += type->elements, at.p += type->bytes) {
		prefetch_next(w, k / type->elements, type->bytes);
		take_apart(row, &s, m->type, type, &at);
		for (int j = 0; j < type->elements; j += HK_ACT_BLOCK) {
			turn_bytes(&t, &q, j);
			add_rows(m, acc, &s, &t, (k + j) / HK_ACT_BLOCK,
				 j / how.unit, how);
		}
	}
}

ROWS8(q2_k, panel_rows, (struct units){ 16, true, 0, true })
ROWS8(q3_k, panel_rows, (struct units){ 16, false, 0, true })
ROWS8(iq4_xs, panel_rows, (struct units){ 32, false, 0, false })

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
	default:
		return iq4_xs;
	}
}
