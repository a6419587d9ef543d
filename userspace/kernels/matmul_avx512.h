/* SPDX-License-Identifier: MIT */
/*
 * Blocks of sixteen rows turned so that lane i holds four neighbours of row i;
 * one VNNI instruction then multiplies them with four broadcast activations.
 * It takes unsigned weights: what was added to make them so is taken off by
 * the start value, -bias * sum(x).
 */
#ifndef HEARTH_KERNELS_MATMUL_AVX512_H
#define HEARTH_KERNELS_MATMUL_AVX512_H

#include "kernels/float_avx512.h"
#include "kernels/matmul_isa.h"
#include "kernels/unroll.h"

#define ROWS	16

/* So many tiles share what is broadcast of the input: one load of 64 bytes fits a cycle. */
#define TILES	2

/* Of an input row a sum for each output of the tiles. */
typedef float sums16[TILES][ROWS] __attribute__((aligned(64)));

/* 32 elements of sixteen rows: group g holds elements 4g to 4g + 3. */
struct turned {
	__m512i group[8];
};

/* Scales and offsets of blocks of 32: lane i is row i. */
struct scales {
	__m512 d, m;
};

/*
 * Sixteen rows of weights. Where they are @packed, two groups of eight: at @row[0] and at
 * @row[8], see r8.h; that is constant in every loop over blocks.
 */
struct rows16 {
	const uint8_t *row[ROWS];
	bool packed;
};

/* Copies @w to move over blocks: from here on it is constant whether rows are @packed. */
HK_INLINE void begin_rows(struct rows16 at[], const struct rows16 w[], const int n,
			  const bool packed)
{
	for (int i = 0; i < n; i++) {
		at[i] = w[i];
		at[i].packed = packed;
	}
}

/* To the next block of @bytes. */
HK_INLINE void next_block(struct rows16 *w, const int bytes)
{
	for (int i = 0; i < ROWS; i += w->packed ? ROWS / 2 : 1)
		w->row[i] += w->packed ? ROWS / 2 * bytes : bytes;
}

/* 32 bytes of both groups of eight. */
HK_INLINE __m512i load_groups(const struct rows16 *w, uint64_t at)
{
	__m256i a = _mm256_loadu_si256((const __m256i *)(w->row[0] + at));
	__m256i b = _mm256_loadu_si256((const __m256i *)(w->row[ROWS / 2] + at));

	return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* 16 bytes of the rows @i, @i + 4, @i + 8, @i + 12. */
HK_INLINE __m512i load_rows(const struct rows16 *w, int i, uint64_t at)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(w->row[i] + at));
	__m128i b = _mm_loadu_si128((const __m128i *)(w->row[i + 4] + at));
	__m128i c = _mm_loadu_si128((const __m128i *)(w->row[i + 8] + at));
	__m128i d = _mm_loadu_si128((const __m128i *)(w->row[i + 12] + at));
	__m256i ab = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
	__m256i cd = _mm256_inserti128_si256(_mm256_castsi128_si256(c), d, 1);

	return _mm512_inserti64x4(_mm512_castsi256_si512(ab), cd, 1);
}

/*
 * 16 bytes of each row to four groups. Where rows are packed they are that already,
 * and @at counts the fields in their order there.
 */
HK_INLINE void turn(const struct rows16 *w, uint64_t at, __m512i group[4])
{
	__m512i row[4], a, b, c, d;

	if (w->packed) {
		for (int i = 0; i < 4; i++)
			group[i] = load_groups(w, ROWS / 2 * at + 32 * i);
		return;
	}
	for (int i = 0; i < 4; i++)
		row[i] = load_rows(w, i, at);
	/* Within each 128 bits a transpose of 4 x 4 words. */
	a = _mm512_unpacklo_epi32(row[0], row[1]);
	b = _mm512_unpackhi_epi32(row[0], row[1]);
	c = _mm512_unpacklo_epi32(row[2], row[3]);
	d = _mm512_unpackhi_epi32(row[2], row[3]);
	group[0] = _mm512_unpacklo_epi64(a, c);
	group[1] = _mm512_unpackhi_epi64(a, c);
	group[2] = _mm512_unpacklo_epi64(b, d);
	group[3] = _mm512_unpackhi_epi64(b, d);
}

HK_INLINE __m512i four(const void *x, int g)
{
	int32_t v;

	memcpy(&v, (const uint8_t *)x + 4 * g, sizeof(v));
	return _mm512_set1_epi32(v);
}

/*
 * Two sums for each of @n tiles: of elements 0..15 in @a, 16..31 in @b; what is in them
 * stays. The products of one sum wait for each other, those of others do not.
 */
HK_INLINE void dot32(__m512i a[], __m512i b[], const struct turned t[], const int8_t *x,
		     const int n)
{
	HK_UNROLL
	for (int g = 0; g < 4; g++) {
		__m512i low = four(x, g), high = four(x, g + 4);

		HK_UNROLL
		for (int i = 0; i < n; i++) {
			a[i] = _mm512_dpbusd_epi32(a[i], t[i].group[g], low);
			b[i] = _mm512_dpbusd_epi32(b[i], t[i].group[g + 4], high);
		}
	}
}

HK_INLINE __m512 add_unit(__m512 acc, __m512 dw, float dx, __m512i sum)
{
	return _mm512_fmadd_ps(_mm512_mul_ps(dw, _mm512_set1_ps(dx)),
			       _mm512_cvtepi32_ps(sum), acc);
}

/*
 * Sixteen rows are more streams than the hardware follows well, but together
 * they are contiguous, and so are the next @n tiles: fetch from them what corresponds
 * to the @bytes of each row that come next. Beyond the end it is only a hint.
 */
HK_INLINE void prefetch_weights(const struct hk_matmul *m, const struct rows16 *w,
				uint64_t block, uint32_t bytes, const int n)
{
	const uint8_t *p = w->row[0] + n * ROWS * (m->row_bytes + block * bytes);

	for (uint32_t at = 0; at < n * ROWS * bytes; at += 64)
		_mm_prefetch((const char *)p + at, _MM_HINT_T1);
}

/*
 * The outputs of a row are far from those of the next, a line or two each: some rows' with
 * each block, so that all have come when the sums are stored.
 */
HK_INLINE void prefetch_dst(const struct hk_matmul *m, uint64_t block, uint64_t blocks,
			    const int n)
{
	uint64_t to = (block + 1) * m->rows / blocks;

	for (uint64_t r = block * m->rows / blocks; r < to; r++) {
		HK_UNROLL
		for (int i = 0; i < n; i++)
			__builtin_prefetch(m->dst + r * m->dst_stride + i * ROWS, 1, 2);
	}
}

/* An f16 of each row. */
HK_INLINE __m512 load_f16(const struct rows16 *w, uint64_t at)
{
	uint16_t d[ROWS];

	if (w->packed) {
		__m128i a = _mm_loadu_si128((const __m128i *)(w->row[0] + ROWS / 2 * at));
		__m128i b = _mm_loadu_si128((const __m128i *)(w->row[8] + ROWS / 2 * at));

		return _mm512_cvtph_ps(_mm256_set_m128i(b, a));
	}
	for (int i = 0; i < ROWS; i++)
		memcpy(&d[i], w->row[i] + at, sizeof(d[i]));
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)d));
}

/* 32 bytes of each row. */
HK_INLINE void turn_bytes(struct turned *t, const struct rows16 *w, uint64_t at)
{
	turn(w, at, t->group);
	turn(w, at + 16, t->group + 4);
}

/* @add more in each element. */
HK_INLINE void raise_all(struct turned *t, const int add)
{
	for (int g = 0; g < 8 && add; g++)
		t->group[g] = _mm512_add_epi8(t->group[g], _mm512_set1_epi8((char)add));
}

/* What a block of 32, turned in @t, adds to the sums of input row @at. */
HK_INLINE void add_block(float acc[TILES][ROWS], const struct scales s[],
			 const struct turned t[], const struct hk_act *act, uint64_t at,
			 const bool min, const int bias, const int n)
{
	const int32_t total = act->sum[at];
	const __m512i start = _mm512_set1_epi32(-bias * total);
	__m512i a[TILES], b[TILES];

	HK_UNROLL
	for (int i = 0; i < n; i++) {
		a[i] = start;
		b[i] = _mm512_setzero_si512();
	}
	dot32(a, b, t, act->q + at * HK_ACT_BLOCK, n);
	HK_UNROLL
	for (int i = 0; i < n; i++) {
		__m512 sum = _mm512_load_ps(acc[i]);

		sum = add_unit(sum, s[i].d, act->d[at], _mm512_add_epi32(a[i], b[i]));
		if (min)
			sum = add_unit(sum, s[i].m, act->d[at], _mm512_set1_epi32(total));
		_mm512_store_ps(acc[i], sum);
	}
}

/* The same for every input row; @block counts from the row's start. */
HK_INLINE void add_rows(const struct hk_matmul *m, sums16 *acc, const struct scales s[],
			const struct turned t[], uint64_t block, const bool min,
			const int bias, const int n)
{
	/* Copied: as far as a compiler knows, a store to a sum might change it. */
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;

	for (uint32_t r = 0; r < act.rows; r++, at++)
		add_block(acc[r], s, t, &act, at, min, bias, n);
}

/*
 * All blocks of the tiles at @w; @acc has their sums for each of the input rows. m->dst is
 * where those of the first row will go.
 */
typedef void (*hk_rows16_fn)(const struct hk_matmul *m, const struct rows16 w[TILES], int n,
			     sums16 *acc);

/* Made for each number of tiles. */
#define ROWS16(name, body, ...)								\
static void name(const struct hk_matmul *m, const struct rows16 w[TILES], int n,	\
		 sums16 *acc)								\
{											\
	if (n == TILES)									\
		body(m, w, TILES, acc, ##__VA_ARGS__);					\
	else										\
		body(m, w, 1, acc, ##__VA_ARGS__);					\
}

/* For types with blocks of 256. */
hk_rows16_fn hk_k_rows16_avx512(unsigned int type);

#endif /* HEARTH_KERNELS_MATMUL_AVX512_H */
