// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with AVX-512 VNNI, sixteen output rows at a time: a
 * lane is a row of weights.
 */
#include "kernels/decode.h"
#include "kernels/matmul_avx512.h"

HK_INLINE void load_q4_0(struct turned *t, const uint8_t *const w[ROWS])
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i row[4], group[4];

	for (int i = 0; i < 4; i++)
		row[i] = load_rows(w, i, 2);
	turn(row, group);
	for (int g = 0; g < 4; g++) {
		t->group[g] = _mm512_and_si512(group[g], low);
		t->group[g + 4] = _mm512_and_si512(_mm512_srli_epi16(group[g], 4), low);
	}
}

/* One scale, Q4_0 or Q8_0, blocks read in place. */
HK_INLINE void simple_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			   float acc[][ROWS], const bool q4)
{
	const uint8_t *first = w[0];
	struct scales s;
	struct turned t;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, first, b, q4 ? 18 : 34);
		s.d = load_f16(w, 0);
		if (q4)
			load_q4_0(&t, w);
		else
			load_i8(&t, w, 2, 0x80);
		for (int i = 0; i < ROWS; i++)
			w[i] += q4 ? 18 : 34;
		add_rows(m, acc, &s, &t, b, false, q4 ? 8 : 128);
	}
}

static void q4_0_rows(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	simple_rows(m, w, acc, true);
}

static void q8_0_rows(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	simple_rows(m, w, acc, false);
}

/* A block of each row, taken apart by plain code. */
static void take_apart(struct hk_qblock row[ROWS], struct scales *s, unsigned int type,
		       const struct hk_type *t, const uint8_t *w[ROWS])
{
	float d[ROWS], m[ROWS];

	for (int i = 0; i < ROWS; i++) {
		hk_decode(type, w[i], &row[i]);
		w[i] += t->bytes;
		d[i] = row[i].d[0];
		m[i] = t->min ? row[i].m[0] : 0;
	}
	s->d = _mm512_loadu_ps(d);
	s->m = _mm512_loadu_ps(m);
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			  float acc[][ROWS], const bool min)
{
	const struct hk_type *type = hk_type(m->type);
	const uint8_t *first = w[0], *q[ROWS];
	struct hk_qblock row[ROWS];
	struct scales s;
	struct turned t;

	for (int i = 0; i < ROWS; i++)
		q[i] = (const uint8_t *)row[i].q;
	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, first, b, type->bytes);
		take_apart(row, &s, m->type, type, w);
		/* Types with offsets have weights of 0 and more. */
		load_i8(&t, q, 0, min ? 0 : 0x80);
		add_rows(m, acc, &s, &t, b, min, min ? 0 : 128);
	}
}

static void panel(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, false);
}

static void panel_min(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, true);
}

static hk_rows16_fn choose(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	switch (type) {
	case HEARTH_TYPE_Q4_0:
		return q4_0_rows;
	case HEARTH_TYPE_Q8_0:
		return q8_0_rows;
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

void hk_matmul_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	float acc[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(64)));
	hk_rows16_fn fn;

	if (!hk_type(m->type)->unit) {
		hk_matmul_dense_avx2(m, first, last);
		return;
	}
	if (hk_type(m->type)->r8) {
		hk_matmul_r8_avx512(m, first, last);
		return;
	}
	fn = choose(m->type);
	for (uint32_t o = first; o < last; o += ROWS) {
		uint32_t n = last - o < ROWS ? last - o : ROWS;
		const uint8_t *w[ROWS];

		/* Rows that are missing repeat the last one; nobody stores them. */
		for (uint32_t i = 0; i < ROWS; i++)
			w[i] = m->weights + (o + (i < n ? i : n - 1)) * m->row_bytes;
		for (uint32_t r = 0; r < m->rows; r++)
			_mm512_store_ps(acc[r], _mm512_setzero_ps());
		fn(m, w, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			__mmask16 valid = (__mmask16)((1u << n) - 1);

			_mm512_mask_storeu_ps(m->dst + r * m->dst_stride + o, valid,
					      canon16(_mm512_load_ps(acc[r])));
		}
	}
}
