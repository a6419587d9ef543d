// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with AVX-512 VNNI, sixteen output rows at a time. A
 * block of sixteen rows is turned so that lane i holds four neighbours of row
 * i; then one instruction multiplies them with four broadcast activations.
 * It takes unsigned weights: what was added to make them so is taken off by
 * the start value, -bias * sum(x).
 */
#include <immintrin.h>

#include "kernels/decode.h"
#include "kernels/matmul_isa.h"

#define ROWS	16

#define HK_INLINE static inline __attribute__((always_inline))

/* 32 elements of sixteen rows: group g holds elements 4g to 4g + 3. */
struct turned {
	__m512i group[8];
};

/* Blocks of sixteen rows, taken apart. */
struct panel {
	struct hk_qblock row[ROWS];
	/* Scales and offsets of unit u: lane i is row i. */
	float d[16][ROWS], m[16][ROWS];
};

/* 16 bytes of the rows @i, @i + 4, @i + 8, @i + 12. */
HK_INLINE __m512i load_rows(const uint8_t *const w[ROWS], int i, uint64_t at)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(w[i] + at));
	__m128i b = _mm_loadu_si128((const __m128i *)(w[i + 4] + at));
	__m128i c = _mm_loadu_si128((const __m128i *)(w[i + 8] + at));
	__m128i d = _mm_loadu_si128((const __m128i *)(w[i + 12] + at));
	__m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
	__m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);

	return _mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1);
}

/* Within each 128 bits a transpose of 4 x 4 words: rows in, groups out. */
HK_INLINE void turn(const __m512i row[4], __m512i group[4])
{
	__m512i a = _mm512_unpacklo_epi32(row[0], row[1]);
	__m512i b = _mm512_unpackhi_epi32(row[0], row[1]);
	__m512i c = _mm512_unpacklo_epi32(row[2], row[3]);
	__m512i d = _mm512_unpackhi_epi32(row[2], row[3]);

	group[0] = _mm512_unpacklo_epi64(a, c);
	group[1] = _mm512_unpackhi_epi64(a, c);
	group[2] = _mm512_unpacklo_epi64(b, d);
	group[3] = _mm512_unpackhi_epi64(b, d);
}

/* Four products summed, in each lane, for four words of activations. */
HK_INLINE __m512i dot16(__m512i sum, const __m512i group[4], const int8_t *x)
{
	for (int g = 0; g < 4; g++) {
		int32_t four;

		memcpy(&four, x + 4 * g, sizeof(four));
		sum = _mm512_dpbusd_epi32(sum, group[g], _mm512_set1_epi32(four));
	}
	return sum;
}

HK_INLINE __m512 add_unit(__m512 acc, __m512 dw, float dx, __m512i sum)
{
	return _mm512_fmadd_ps(_mm512_mul_ps(dw, _mm512_set1_ps(dx)),
			       _mm512_cvtepi32_ps(sum), acc);
}

/* Adds a block to the sum of input row @at. */
HK_INLINE __m512 add_32(__m512 acc, const struct turned *w, __m512 d,
			const struct hk_act *act, uint64_t at, int bias)
{
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	const int32_t *sum = act->sum + 2 * at;
	__m512i a = _mm512_set1_epi32(-bias * (sum[0] + sum[1]));
	__m512i b = _mm512_setzero_si512();

	a = dot16(a, w->group, x);
	b = dot16(b, w->group + 4, x + 16);
	return add_unit(acc, d, act->d[at], _mm512_add_epi32(a, b));
}

/* The scales of a block of sixteen rows: the f16 at its start. */
HK_INLINE __m512 load_d16(const uint8_t *const w[ROWS])
{
	uint16_t d[ROWS];

	for (int i = 0; i < ROWS; i++)
		memcpy(&d[i], w[i], sizeof(d[i]));
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)d));
}

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

/* 32 bytes of each row from @at on, with @flip on each. */
HK_INLINE void load_i8(struct turned *t, const uint8_t *const w[ROWS], uint64_t at,
		       uint8_t flip)
{
	__m512i row[4];

	for (int h = 0; h < 2; h++) {
		for (int i = 0; i < 4; i++)
			row[i] = _mm512_xor_si512(load_rows(w, i, at + 16 * h),
						  _mm512_set1_epi8((char)flip));
		turn(row, t->group + 4 * h);
	}
}

/* One scale, Q4_0 or Q8_0, blocks read in place. */
HK_INLINE void simple_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			   float acc[][ROWS], const bool q4)
{
	const uint32_t rows = m->rows;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		__m512 d = load_d16(w);
		struct turned t;

		if (q4)
			load_q4_0(&t, w);
		else
			load_i8(&t, w, 2, 0x80);
		for (int i = 0; i < ROWS; i++)
			w[i] += q4 ? 18 : 34;
		for (uint32_t r = 0; r < rows; r++) {
			__m512 sum = _mm512_loadu_ps(acc[r]);

			sum = add_32(sum, &t, d, &m->act, b * rows + r, q4 ? 8 : 128);
			_mm512_storeu_ps(acc[r], sum);
		}
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

static void take_apart(struct panel *p, unsigned int type, const struct hk_type *t,
		       const uint8_t *w[ROWS])
{
	for (int i = 0; i < ROWS; i++) {
		struct hk_qblock *b = &p->row[i];

		hk_decode(type, w[i], b);
		w[i] += t->bytes;
		for (int u = 0; u < t->elements / t->unit; u++) {
			p->d[u][i] = b->d[u];
			if (t->min)
				p->m[u][i] = b->m[u];
		}
	}
}

/* Elements of unit @u on, turned in @t; @at is the block of the input. */
HK_INLINE __m512 add_panel(__m512 acc, const struct panel *p, const struct turned *t,
			   const struct hk_act *act, uint64_t at, int u, const int unit,
			   const bool min)
{
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	const int32_t *sum = act->sum + 2 * at;
	float dx = act->d[at];

	if (unit == 32) {
		acc = add_32(acc, t, _mm512_loadu_ps(p->d[u]), act, at, min ? 0 : 128);
		return !min ? acc : add_unit(acc, _mm512_loadu_ps(p->m[u]), dx,
					     _mm512_set1_epi32(sum[0] + sum[1]));
	}
	for (int h = 0; h < 2; h++) {
		__m512i dot = _mm512_set1_epi32(min ? 0 : -128 * sum[h]);

		dot = dot16(dot, t->group + 4 * h, x + 16 * h);
		acc = add_unit(acc, _mm512_loadu_ps(p->d[u + h]), dx, dot);
		if (min)
			acc = add_unit(acc, _mm512_loadu_ps(p->m[u + h]), dx,
				       _mm512_set1_epi32(sum[h]));
	}
	return acc;
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			  float acc[][ROWS], const int unit, const bool min)
{
	const struct hk_type *type = hk_type(m->type);
	const uint8_t *q[ROWS];
	struct panel p;

	for (int i = 0; i < ROWS; i++)
		q[i] = (const uint8_t *)p.row[i].q;
	for (uint32_t k = 0; k < m->in_n; k += type->elements) {
		take_apart(&p, m->type, type, w);
		for (uint32_t j = 0; j < type->elements; j += HK_ACT_BLOCK) {
			uint64_t at = (uint64_t)((k + j) / HK_ACT_BLOCK) * m->rows;
			struct turned t;

			/* Types with offsets have weights of 0 and more. */
			load_i8(&t, q, j, min ? 0 : 0x80);
			for (uint32_t r = 0; r < m->rows; r++) {
				__m512 sum = _mm512_loadu_ps(acc[r]);

				sum = add_panel(sum, &p, &t, &m->act, at + r, (int)j / unit,
						unit, min);
				_mm512_storeu_ps(acc[r], sum);
			}
		}
	}
}

static void panel_16(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, 16, false);
}

static void panel_16_min(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	panel_rows(m, w, acc, 16, true);
}

static void panel_32(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, 32, false);
}

static void panel_32_min(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	panel_rows(m, w, acc, 32, true);
}

typedef void (*rows_fn)(const struct hk_matmul *m, const uint8_t *w[ROWS],
			float acc[][ROWS]);

static rows_fn choose(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	if (type == HEARTH_TYPE_Q4_0)
		return q4_0_rows;
	if (type == HEARTH_TYPE_Q8_0)
		return q8_0_rows;
	if (t->unit == 16)
		return t->min ? panel_16_min : panel_16;
	return t->min ? panel_32_min : panel_32;
}

HK_INLINE __m512 canon16(__m512 x)
{
	__mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);

	return _mm512_mask_mov_ps(x, nan, _mm512_castsi512_ps(_mm512_set1_epi32(HK_F32_NAN)));
}

void hk_matmul_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	float acc[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(64)));
	rows_fn fn;

	if (!hk_type(m->type)->unit) {
		hk_matmul_dense_avx2(m, first, last);
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
			_mm512_storeu_ps(acc[r], _mm512_setzero_ps());
		fn(m, w, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			__mmask16 valid = (__mmask16)((1u << n) - 1);

			_mm512_mask_storeu_ps(m->dst + r * m->dst_stride + o, valid,
					      canon16(_mm512_loadu_ps(acc[r])));
		}
	}
}
