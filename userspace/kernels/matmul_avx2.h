/* SPDX-License-Identifier: MIT */
/*
 * MATMUL of block types, eight output rows at a time: a lane is a row of
 * weights. Blocks of eight rows are turned so that a lane holds four
 * neighbours of its row; they meet four broadcast activations, and no sum
 * crosses lanes. 32 elements of the eight rows stay in registers while all
 * input rows pass by.
 *
 * vpmaddubsw multiplies unsigned bytes with signed ones and sums pairs into
 * int16. Small weights meet activations that are 128 too large, in int16
 * throughout: that may wrap on the way, but not in what is left when 128 times
 * the weights has come off. Large ones go in by magnitude, see struct prepared.
 */
#ifndef HEARTH_KERNELS_MATMUL_AVX2_H
#define HEARTH_KERNELS_MATMUL_AVX2_H

#include "kernels/float_avx2.h"
#include "kernels/matmul_isa.h"

#define ROWS	8

/*
 * Eight rows of weights, @stride bytes apart, or @packed: side by side, see r8.h.
 * That is constant in every loop over blocks.
 */
struct rows8 {
	const uint8_t *p;
	uint64_t stride;
	bool packed;
};

/* 32 elements of eight rows: group g holds elements 4g to 4g + 3. */
struct turned {
	__m256i group[8];
};

/* Scales and offsets of blocks of 32: lane i is row i. */
struct scales {
	__m256 d, m;
};

/* What the weights in a struct turned are; constant wherever it is passed. */
struct units {
	/** @min: There is an offset. */
	bool min;
	/** @bias: By that much the weights in registers are too large. */
	int bias;
	/** @small: At most 16 in magnitude: sums of 16 products with activations fit int16. */
	bool small;
};

/* To the next block of @bytes. */
HK_INLINE void next_block(struct rows8 *w, const int bytes)
{
	w->p += w->packed ? ROWS * bytes : bytes;
}

/*
 * 16 bytes of each row to four groups. Where rows are packed they are that already,
 * and @at counts the fields in their order there.
 */
HK_INLINE void turn(const struct rows8 *w, uint64_t at, __m256i group[4])
{
	__m256i r[4], a, b, c, d;

	if (w->packed) {
		HK_UNROLL
		for (int i = 0; i < 4; i++)
			group[i] = _mm256_loadu_si256((const __m256i *)(w->p + ROWS * at) + i);
		return;
	}
	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		const uint8_t *lo = w->p + i * w->stride + at;
		const uint8_t *hi = w->p + (i + 4) * w->stride + at;

		r[i] = _mm256_inserti128_si256(
			_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)lo)),
			_mm_loadu_si128((const __m128i *)hi), 1);
	}
	a = _mm256_unpacklo_epi32(r[0], r[1]);
	b = _mm256_unpackhi_epi32(r[0], r[1]);
	c = _mm256_unpacklo_epi32(r[2], r[3]);
	d = _mm256_unpackhi_epi32(r[2], r[3]);
	group[0] = _mm256_unpacklo_epi64(a, c);
	group[1] = _mm256_unpackhi_epi64(a, c);
	group[2] = _mm256_unpacklo_epi64(b, d);
	group[3] = _mm256_unpackhi_epi64(b, d);
}

HK_INLINE __m256i low_nibble(__m256i v)
{
	return _mm256_and_si256(v, _mm256_set1_epi8(15));
}

HK_INLINE __m256i high_nibble(__m256i v)
{
	return low_nibble(_mm256_srli_epi16(v, 4));
}

/* 16 bytes of each row: elements 0..15 in the low nibbles, 16..31 in the high. */
HK_INLINE void turn_nibbles(struct turned *t, const struct rows8 *w, uint64_t at)
{
	__m256i raw[4];

	turn(w, at, raw);
	HK_UNROLL
	for (int g = 0; g < 4; g++) {
		t->group[g] = low_nibble(raw[g]);
		t->group[g + 4] = high_nibble(raw[g]);
	}
}

/* 32 bytes of each row. */
HK_INLINE void turn_bytes(struct turned *t, const struct rows8 *w, uint64_t at)
{
	turn(w, at, t->group);
	turn(w, at + 16, t->group + 4);
}

/* The index of a lane must be a constant. */
#define LANES_1_TO_7(lane) do {							\
		lane(1);							\
		lane(2);							\
		lane(3);							\
		lane(4);							\
		lane(5);							\
		lane(6);							\
		lane(7);							\
	} while (0)

/* Two bytes of each row; straight into a register, for a store could not forward. */
HK_INLINE __m128i load_u16(const struct rows8 *w, uint64_t at)
{
	__m128i v;
	uint16_t x;

	if (w->packed)
		return _mm_loadu_si128((const __m128i *)(w->p + ROWS * at));
	v = _mm_loadu_si16(w->p + at);
#define LANE(i) do {								\
		memcpy(&x, w->p + (i) * w->stride + at, sizeof(x));		\
		v = _mm_insert_epi16(v, x, i);					\
	} while (0)
	LANES_1_TO_7(LANE);
#undef LANE
	return v;
}

/* An f16 of each row. */
HK_INLINE __m256 load_f16(const struct rows8 *w, uint64_t at)
{
	return _mm256_cvtph_ps(load_u16(w, at));
}

/* 2^(e - 128): see hk_half_e8m0(). */
HK_INLINE __m256 load_e8m0(const struct rows8 *w)
{
	__m256i e = _mm256_setr_epi32(w->p[0], w->p[w->stride], w->p[2 * w->stride],
				      w->p[3 * w->stride], w->p[4 * w->stride],
				      w->p[5 * w->stride], w->p[6 * w->stride],
				      w->p[7 * w->stride]);
	__m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
	__m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
	__m256i is_tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);

	return _mm256_castsi256_ps(_mm256_blendv_epi8(normal, tiny, is_tiny));
}

/* Four bytes of each row. */
HK_INLINE __m256i load_u32(const struct rows8 *w, uint64_t at)
{
	int32_t x[ROWS];

	for (int i = 0; i < ROWS; i++)
		memcpy(&x[i], w->p + i * w->stride + at, sizeof(x[i]));
	return _mm256_setr_epi32(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
}

/*
 * Weights are contiguous: what is read so much later is fetched, far enough
 * ahead for DRAM. Beyond the end it is only a hint.
 */
#define AHEAD		32768

HK_INLINE void prefetch(const uint8_t *p, const uint32_t bytes)
{
	for (uint32_t at = 0; at < bytes; at += 64)
		_mm_prefetch((const char *)p + AHEAD + at, _MM_HINT_T1);
}

/* What corresponds to @bytes of each row at block @block of a tile. */
HK_INLINE void prefetch_next(const struct rows8 *w, uint64_t block, const uint32_t bytes)
{
	prefetch(w->p + ROWS * block * bytes, ROWS * bytes);
}

HK_INLINE __m256i four(const void *x, int g)
{
	int32_t v;

	memcpy(&v, (const uint8_t *)x + 4 * g, sizeof(v));
	return _mm256_set1_epi32(v);
}

/*
 * The 32 elements of eight rows as the loop over the input wants them.
 *
 * Small weights: @w are the weights, @start is -128 times the sums of pairs of
 * each half (in [0] of both, where both have the same scale).
 *
 * Others: @w are the magnitudes, @mask is all ones where the weight is negative.
 * Such activations are inverted, x to -1 - x; that lacks the magnitude once, and
 * @start[0] has these. A pair is at most 2 * 128 * 127, at least -2 * 128 * 128.
 */
struct prepared {
	__m256i w[8], mask[8], start[2];
};

HK_INLINE __m256i pair_sums(const __m256i w[], const int n)
{
	__m256i sum = _mm256_maddubs_epi16(_mm256_set1_epi8(1), w[0]);

	HK_UNROLL
	for (int g = 1; g < n; g++)
		sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_set1_epi8(1), w[g]));
	return sum;
}

/* @unit: elements with one scale, 16 or 32 */
HK_INLINE void prepare_small(struct prepared *p, const struct turned *t, const int unit)
{
	const int n = unit / 4;

	HK_UNROLL
	for (int g = 0; g < 8; g++)
		p->w[g] = t->group[g];
	for (int h = 0; h < 32 / unit; h++)
		p->start[h] = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(
			pair_sums(t->group + h * n, n), 7));
}

HK_INLINE void prepare_large(struct prepared *p, const struct turned *t)
{
	const __m256i zero = _mm256_setzero_si256();
	__m256i negative[8];

	HK_UNROLL
	for (int g = 0; g < 8; g++) {
		p->w[g] = _mm256_abs_epi8(t->group[g]);
		p->mask[g] = _mm256_cmpgt_epi8(zero, t->group[g]);
		/* -128 stays as it is, but that is a magnitude of 128 in the end. */
		negative[g] = _mm256_and_si256(t->group[g], p->mask[g]);
	}
	p->start[0] = _mm256_sub_epi32(zero, _mm256_madd_epi16(pair_sums(negative, 8),
							       _mm256_set1_epi16(1)));
}

/* One product after the other: a tree would need all registers. */
#define IN_ORDER(v)	__asm__("" : "+v"(v))

HK_INLINE __m256i dot_small(const struct prepared *p, const uint8_t *x)
{
	__m256i a = p->start[0], b = _mm256_maddubs_epi16(four(x, 4), p->w[4]);

	HK_UNROLL
	for (int g = 0; g < 4; g++) {
		a = _mm256_add_epi16(a, _mm256_maddubs_epi16(four(x, g), p->w[g]));
		IN_ORDER(a);
		if (!g)
			continue;
		b = _mm256_add_epi16(b, _mm256_maddubs_epi16(four(x, 4 + g), p->w[4 + g]));
		IN_ORDER(b);
	}
	return _mm256_madd_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(1));
}

/* So many input rows share what is loaded of the weights: two loads fit a cycle. */
#define LARGE_ROWS	8

/* Products with @n input rows, times int16 @scale that is there twice; so is @start. */
HK_INLINE void dot_large(const struct prepared *p, const int8_t *x, __m256i scale,
			 __m256i *sum, const int n)
{
	/* In a register; but the weights are not, for those are needed for the sums. */
	__asm__("" : "+x"(scale));
	if (n > 1)
		__asm__("" : "+r"(p));
	HK_UNROLL
	for (int r = 0; r < n; r++)
		sum[r] = p->start[0];
	HK_UNROLL
	for (int g = 0; g < 8; g++) {
		HK_UNROLL
		for (int r = 0; r < n; r++) {
			__m256i at = _mm256_xor_si256(four(x + r * HK_ACT_BLOCK, g), p->mask[g]);

			sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(
				_mm256_maddubs_epi16(p->w[g], at), scale));
			IN_ORDER(sum[r]);
		}
	}
}

/* Integers below 2^24: the bias comes off without rounding. */
HK_INLINE __m256 unbias(__m256i sum, __m256 total, const int bias)
{
	__m256 v = _mm256_cvtepi32_ps(sum);

	return bias ? _mm256_fnmadd_ps(_mm256_set1_ps((float)bias), total, v) : v;
}

HK_INLINE __m256 add_unit(__m256 acc, __m256 dw, __m256 dx, __m256 sum)
{
	return _mm256_fmadd_ps(_mm256_mul_ps(dw, dx), sum, acc);
}

/* What a block of 32 with the products @dot adds to the sum of input row @at. */
HK_INLINE __m256 add_block(__m256 acc, const struct scales *s, __m256i dot,
			   const struct hk_act *act, uint64_t at, const struct units how)
{
	const bool totals = how.min || how.bias;
	__m256 dx = _mm256_broadcast_ss(act->d + at);
	__m256 total = totals ? _mm256_broadcast_ss(act->total + at) : dx;

	acc = add_unit(acc, s->d, dx, unbias(dot, total, how.bias));
	return how.min ? add_unit(acc, s->m, dx, total) : acc;
}

/* The same for @n input rows from @at on. */
HK_INLINE void add_large(__m256 *acc, const struct scales *s, const struct prepared *p,
			 const struct hk_act *act, uint64_t at, const struct units how,
			 const int n)
{
	__m256i dot[LARGE_ROWS];

	dot_large(p, act->q + at * HK_ACT_BLOCK, _mm256_set1_epi16(1), dot, n);
	HK_UNROLL
	for (int r = 0; r < n; r++)
		acc[r] = add_block(acc[r], s, dot[r], act, at + r, how);
}

/* The same for all input rows; @block counts from the row's start. */
HK_INLINE void add_rows(const struct hk_matmul *m, __m256 *acc, const struct scales *s,
			const struct turned *t, uint64_t block, const struct units how)
{
	/* Copied: as far as a compiler knows, a store to a sum might change it. */
	const struct hk_act act = m->act;
	uint64_t at = block * act.rows;
	struct prepared p;
	uint32_t r = 0;

	if (how.small) {
		prepare_small(&p, t, HK_ACT_BLOCK);
		for (; r < act.rows; r++, at++)
			acc[r] = add_block(acc[r], s, dot_small(&p, act.u + at * HK_ACT_BLOCK),
					   &act, at, how);
		return;
	}
	prepare_large(&p, t);
	for (; r + LARGE_ROWS <= act.rows; r += LARGE_ROWS, at += LARGE_ROWS)
		add_large(acc + r, s, &p, &act, at, how, LARGE_ROWS);
	for (; r < act.rows; r++, at++)
		add_large(acc + r, s, &p, &act, at, how, 1);
}

/* All of a tile's blocks; @acc has a sum for each of the input rows. */
typedef void (*hk_rows8_fn)(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc);

#define ROWS8(name, body, ...)							\
static void name(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc)	\
{										\
	for (uint32_t r = 0; r < m->rows; r++)					\
		acc[r] = _mm256_setzero_ps();					\
	body(m, w, acc, ##__VA_ARGS__);						\
}

/* @add more in each element. */
HK_INLINE void raise_all(struct turned *t, const int add)
{
	for (int g = 0; g < 8 && add; g++)
		t->group[g] = _mm256_add_epi8(t->group[g], _mm256_set1_epi8((char)add));
}

/* For types with blocks of 256. */
hk_rows8_fn hk_k_rows8_avx2(unsigned int type);

#endif /* HEARTH_KERNELS_MATMUL_AVX2_H */
