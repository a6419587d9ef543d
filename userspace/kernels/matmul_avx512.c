// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with AVX-512 VNNI, sixteen output rows at a time: a
 * lane is a row of weights.
 */
#include "kernels/decode.h"
#include "kernels/matmul_avx512.h"

HK_INLINE void load_q4_0(struct turned *t, const struct rows16 *w)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i group[4];

	turn(w, 2, group);
	for (int g = 0; g < 4; g++) {
		t->group[g] = _mm512_and_si512(group[g], low);
		t->group[g + 4] = _mm512_and_si512(_mm512_srli_epi16(group[g], 4), low);
	}
}

/* One scale, Q4_0 or Q8_0, blocks read in place. */
HK_INLINE void simple_rows(const struct hk_matmul *m, const struct rows16 *w,
			   float acc[][ROWS], const bool q4, const bool packed)
{
	struct rows16 at = *w;
	struct scales s;
	struct turned t;

	at.packed = packed;
	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, w, b, q4 ? 18 : 34);
		s.d = load_f16(&at, 0);
		if (q4)
			load_q4_0(&t, &at);
		else
			load_i8(&t, &at, 2, 0x80);
		next_block(&at, q4 ? 18 : 34);
		add_rows(m, acc, &s, &t, b, false, q4 ? 8 : 128);
	}
}

/* A block of each row, taken apart by plain code. */
static void take_apart(struct hk_qblock row[ROWS], struct scales *s, unsigned int type,
		       const struct hk_type *t, const struct rows16 *w)
{
	float d[ROWS], m[ROWS];

	for (int i = 0; i < ROWS; i++) {
		hk_decode(type, w->row[i], &row[i]);
		d[i] = row[i].d[0];
		m[i] = t->min ? row[i].m[0] : 0;
	}
	s->d = _mm512_loadu_ps(d);
	s->m = _mm512_loadu_ps(m);
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const struct rows16 *w,
			  float acc[][ROWS], const bool min)
{
	const struct hk_type *type = hk_type(m->type);
	struct rows16 at = *w, q = { .packed = false };
	struct hk_qblock row[ROWS];
	struct scales s;
	struct turned t;

	at.packed = false;
	for (int i = 0; i < ROWS; i++)
		q.row[i] = (const uint8_t *)row[i].q;
	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, w, b, type->bytes);
		take_apart(row, &s, m->type, type, &at);
		next_block(&at, type->bytes);
		/* Types with offsets have weights of 0 and more. */
		load_i8(&t, &q, 0, min ? 0 : 0x80);
		add_rows(m, acc, &s, &t, b, min, min ? 0 : 128);
	}
}

ROWS16(q4_0, simple_rows, true, false)
ROWS16(q8_0, simple_rows, false, false)
ROWS16(q4_0_r8, simple_rows, true, true)
ROWS16(q8_0_r8, simple_rows, false, true)
ROWS16(panel, panel_rows, false)
ROWS16(panel_min, panel_rows, true)

static hk_rows16_fn choose(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	switch (type) {
	case HEARTH_TYPE_Q4_0:
		return q4_0;
	case HEARTH_TYPE_Q8_0:
		return q8_0;
	case HEARTH_TYPE_Q4_0_R8:
		return q4_0_r8;
	case HEARTH_TYPE_Q8_0_R8:
		return q8_0_r8;
	}
	if (t->elements == HK_ACT_SUPER)
		return hk_k_rows16_avx512(type);
	return t->min ? panel_min : panel;
}

HK_INLINE __m512 canon16(__m512 x)
{
	__mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);

	return _mm512_mask_mov_ps(x, nan, _mm512_castsi512_ps(_mm512_set1_epi32(HK_F32_NAN)));
}

/* The rows from @o on. Those that are missing repeat the last one; nobody stores them. */
static void point(struct rows16 *w, const struct hk_matmul *m, uint32_t o, uint32_t n)
{
	const uint32_t group = hk_group_rows(m->type);

	for (uint32_t i = 0; i < ROWS; i += group)
		w->row[i] = m->weights + (o + (i < n ? i : n - group)) * m->row_bytes;
}

static void rows16(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	float acc[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(64)));
	const hk_rows16_fn fn = choose(m->type);
	struct rows16 w;

	for (uint32_t o = first; o < last; o += ROWS) {
		uint32_t n = last - o < ROWS ? last - o : ROWS;

		point(&w, m, o, n);
		for (uint32_t r = 0; r < m->rows; r++)
			_mm512_store_ps(acc[r], _mm512_setzero_ps());
		fn(m, &w, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			__mmask16 valid = (__mmask16)((1u << n) - 1);

			_mm512_mask_storeu_ps(m->dst + r * m->dst_stride + o, valid,
					      canon16(_mm512_load_ps(acc[r])));
		}
	}
}

void hk_matmul_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	if (!hk_type(m->type)->unit)
		hk_matmul_dense_avx2(m, first, last);
	else if (m->rows == 1)
		hk_matvec_avx512(m, first, last);
	else
		rows16(m, first, last);
}
