// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types with AVX-512 VNNI, sixteen output rows at a time: a
 * lane is a row of weights.
 */
#include "kernels/matmul_avx512.h"

/* 16 bytes of each row: elements 0..15 in the low nibbles, 16..31 in the high. */
HK_INLINE void turn_nibbles(struct turned *t, const struct rows16 *w, uint64_t at)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i raw[4];

	turn(w, at, raw);
	for (int g = 0; g < 4; g++) {
		t->group[g] = _mm512_and_si512(raw[g], low);
		t->group[g + 4] = _mm512_and_si512(_mm512_srli_epi16(raw[g], 4), low);
	}
}

/* The values of @table, @add larger. */
HK_INLINE void look_up(struct turned *t, const int8_t *table, const int add)
{
	__m512i values = _mm512_add_epi8(_mm512_broadcast_i32x4(
		_mm_loadu_si128((const __m128i *)table)), _mm512_set1_epi8((char)add));

	for (int g = 0; g < 8; g++)
		t->group[g] = _mm512_shuffle_epi8(values, t->group[g]);
}

/* Bit i of the 32 of each row at @at goes above the four bits of element i. */
HK_INLINE void add_fifth_bit(struct turned *t, const struct rows16 *w, uint64_t at)
{
	uint32_t x[ROWS];
	__m512i bits;

	for (int i = 0; i < ROWS; i++)
		memcpy(&x[i], w->row[i] + at, sizeof(x[i]));
	bits = _mm512_loadu_si512(x);
	for (int g = 0; g < 8; g++) {
		/* The byte that holds the bits of the group, four times. */
		const __m512i from = _mm512_add_epi8(_mm512_set1_epi8((char)(g / 2)),
			_mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x04040404, 0x08080808,
							      0x0c0c0c0c)));
		const __m512i bit = _mm512_set1_epi32(g % 2 ? (int)0x80402010 : 0x08040201);
		__mmask64 set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(bits, from), bit);

		t->group[g] = _mm512_mask_add_epi8(t->group[g], set, t->group[g],
						   _mm512_set1_epi8(16));
	}
}

/* 2^(e - 128): see hk_half_e8m0(). */
HK_INLINE __m512 load_e8m0(const struct rows16 *w)
{
	uint8_t byte[ROWS];
	__m512i e, normal;

	for (int i = 0; i < ROWS; i++)
		byte[i] = w->row[i][0];
	e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)byte));
	normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
	return _mm512_castsi512_ps(_mm512_mask_sllv_epi32(normal,
		_mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2)),
		_mm512_set1_epi32(0x00200000), e));
}

#define rows_n rows16
#include "kernels/matmul_load_32.h"

HK_INLINE void rows_32(const struct hk_matmul *m, const struct rows16 w[], const int n,
		       sums16 *acc, const unsigned int type, const int bytes, const int add,
		       const int bias, const bool min, const bool packed)
{
	const uint64_t blocks = m->in_n / HK_ACT_BLOCK;
	struct rows16 at[TILES];
	struct scales s[TILES];
	struct turned t[TILES];

	begin_rows(at, w, n, packed);
	for (uint64_t b = 0; b < blocks; b++) {
		prefetch_weights(m, w, b, bytes, n);
		prefetch_dst(m, b, blocks, n);
		HK_UNROLL
		for (int i = 0; i < n; i++) {
			load_32(&t[i], &s[i], &at[i], type, add);
			next_block(&at[i], bytes);
		}
		add_rows(m, acc, s, t, b, min, bias, n);
	}
}

ROWS16(q4_0, rows_32, HEARTH_TYPE_Q4_0, 18, 0, 8, false, false)
ROWS16(q4_1, rows_32, HEARTH_TYPE_Q4_1, 20, 0, 0, true, false)
ROWS16(q5_0, rows_32, HEARTH_TYPE_Q5_0, 22, 0, 16, false, false)
ROWS16(q5_1, rows_32, HEARTH_TYPE_Q5_1, 24, 0, 0, true, false)
ROWS16(q8_0, rows_32, HEARTH_TYPE_Q8_0, 34, 128, 128, false, false)
ROWS16(iq4_nl, rows_32, HEARTH_TYPE_IQ4_NL, 18, 128, 128, false, false)
ROWS16(mxfp4, rows_32, HEARTH_TYPE_MXFP4, 17, 12, 12, false, false)
ROWS16(q4_0_r8, rows_32, HEARTH_TYPE_Q4_0, 18, 0, 8, false, true)
ROWS16(q8_0_r8, rows_32, HEARTH_TYPE_Q8_0, 34, 128, 128, false, true)

static hk_rows16_fn choose(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0:
		return q4_0;
	case HEARTH_TYPE_Q4_1:
		return q4_1;
	case HEARTH_TYPE_Q5_0:
		return q5_0;
	case HEARTH_TYPE_Q5_1:
		return q5_1;
	case HEARTH_TYPE_Q8_0:
		return q8_0;
	case HEARTH_TYPE_IQ4_NL:
		return iq4_nl;
	case HEARTH_TYPE_MXFP4:
		return mxfp4;
	case HEARTH_TYPE_Q4_0_R8:
		return q4_0_r8;
	case HEARTH_TYPE_Q8_0_R8:
		return q8_0_r8;
	}
	return hk_k_rows16_avx512(type);
}

/* @n rows from @weights on. Those that are missing repeat the last one; nobody stores them. */
static void point(struct rows16 *w, const struct hk_matmul *m, const uint8_t *weights,
		  uint32_t n)
{
	const uint32_t group = hk_group_rows(m->type);

	for (uint32_t i = 0; i < ROWS; i += group)
		w->row[i] = weights + (i < n ? i : n - group) * m->row_bytes;
}

/* The first @n outputs. */
static void store(const struct hk_matmul *m, const sums16 *acc, uint32_t n)
{
	for (uint32_t r = 0; r < m->rows; r++) {
		float *dst = m->dst + r * m->dst_stride;

		for (uint32_t i = 0; i * ROWS < n; i++) {
			uint32_t left = n - i * ROWS;
			__mmask16 valid = (__mmask16)((1u << (left < ROWS ? left : ROWS)) - 1);

			_mm512_mask_storeu_ps(dst + i * ROWS, valid,
					      canon16(_mm512_load_ps(acc[r][i])));
		}
	}
}

/* The first @n outputs, at most two tiles of them. */
static void rows16(const struct hk_matmul *m, uint32_t n, hk_rows16_fn fn)
{
	struct rows16 w[TILES];
	sums16 acc[HK_MATMUL_ROWS];

	for (uint32_t i = 0; i * ROWS < n; i++)
		point(&w[i], m, m->weights + i * ROWS * m->row_bytes, n - i * ROWS);
	memset(acc, 0, m->rows * sizeof(acc[0]));
	fn(m, w, (int)((n + ROWS - 1) / ROWS), acc);
	store(m, acc, n);
}

static void all_rows(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	const hk_rows16_fn fn = choose(m->type);

	for (uint32_t n; first < last; first += n) {
		struct hk_matmul part = *m;

		part.weights += first * m->row_bytes;
		part.dst += first;
		n = last - first < TILES * ROWS ? last - first : TILES * ROWS;
		rows16(&part, n, fn);
	}
}

/* A row of weights that is used once is not worth turning. */
void hk_matmul_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	const struct hk_type *type = hk_type(m->type);

	if (type->unit && m->rows > 1)
		all_rows(m, first, last);
	else if (type->r8)
		hk_matmul_r8_avx512(m, first, last);
	else
		hk_matmul_avx2(m, first, last);
}
