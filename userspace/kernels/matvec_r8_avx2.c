// SPDX-License-Identifier: MIT
/*
 * A register that is loaded has four neighbours of each row. Pairs of products are summed
 * in int16.
 */
#include "kernels/matvec_r8.h"

/*
 * So many groups of four bytes below 64 does such a sum hold: 63 * 128 * 2 * 2 is below
 * 2^15. Of bytes below 32 twice as many, of bytes below 16 four times.
 */
#define MOST	2

HK_INLINE void add_products(__m256i *sum, __m256i w, __m256i x, const bool first)
{
	w = _mm256_maddubs_epi16(w, x);
	*sum = first ? w : _mm256_add_epi16(*sum, w);
	IN_ORDER(*sum);
}

/* vpmaddwd takes the scale where it adds a pair up. */
HK_INLINE __m256i add_scaled(__m256i sum, __m256i unit, __m256i sc)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(unit, sc));
}

/*
 * Magnitudes times activations with the weights' signs. Some cores take vpabsb where they
 * multiply, and these multipliers are the scarcest here.
 */
HK_INLINE __m256i add_signed(__m256i sum, __m256i w, __m256i x)
{
	__m256i u = _mm256_min_epu8(w, _mm256_sub_epi8(_mm256_setzero_si256(), w));

	x = _mm256_maddubs_epi16(u, _mm256_sign_epi8(x, w));
	return _mm256_add_epi32(sum, _mm256_madd_epi16(x, _mm256_set1_epi16(1)));
}

/*
 * For Q5_K and Q6_K, whose fields lie apart; a core fetches by itself what is read in its
 * order. Loads and prefetches stay in the order in which they are written: each line is
 * fetched with a step of its own, for a few prefetches at once keep loads waiting, and what
 * has been loaded is not kept in memory for later.
 */
HK_INLINE void fetch(const uint8_t *p)
{
	__asm__ volatile("prefetcht1 %0" : : "m"(p[AHEAD]));
}

/* Four bytes of each row; one load for all that is in it. */
HK_INLINE __m256i load8(const uint8_t *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)p);

	__asm__ volatile("" : "+v"(v));
	return v;
}

/* Low nibbles of @n registers with the first 4 @n activations, high ones with the next. */
HK_INLINE void nibble_products(__m256i to[2], const uint8_t *w, const int8_t *x, const int n)
{
	HK_UNROLL
	for (int i = 0; i < n; i++) {
		__m256i v = load8(w + 32 * i);

		add_products(&to[0], low_nibble(v), four(x, i), !i);
		add_products(&to[1], high_nibble(v), four(x, i + n), !i);
	}
}

HK_INLINE __m256i dot_nibbles(const uint8_t *w, const int8_t *x)
{
	__m256i sum[2];

	nibble_products(sum, w, x, 4);
	return _mm256_madd_epi16(_mm256_add_epi16(sum[0], sum[1]), _mm256_set1_epi16(1));
}

HK_INLINE __m256i dot_bytes(const uint8_t *w, const int8_t *x)
{
	__m256i sum = _mm256_setzero_si256();

	HK_UNROLL
	for (int i = 0; i < 8; i++) {
		sum = add_signed(sum, load8(w + 32 * i), four(x, i));
		IN_ORDER(sum);
	}
	return sum;
}

static __m256 q4_0(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_32(m, w, 18, 8, dot_nibbles);
}

static __m256 q8_0(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_32(m, w, 34, 0, dot_bytes);
}

/* Adds the sums of the @n units from @u on times their scales. */
HK_INLINE __m256i add_units(__m256i sum, const __m256i unit[], const __m256i sc[2], const int u,
			    const int n)
{
	HK_UNROLL
	for (int i = u; i < u + n; i++) {
		sum = add_scaled(sum, unit[i - u], two_bytes(sc[i / 4], i % 4, i % 4));
		IN_ORDER(sum);
	}
	return sum;
}

HK_INLINE __m256i dot_q4(const uint8_t *column, const int8_t *x, const __m256i sc[2])
{
	__m256i sum = _mm256_setzero_si256(), unit[2];

	HK_UNROLL
	for (int u = 0; u < 8; u += 2) {
		/* Units u and u + 1 are nibbles of the same bytes. */
		nibble_products(unit, column + ROWS * (16 + 16 * u), x + HK_ACT_BLOCK * u, 8);
		sum = add_units(sum, unit, sc, u, 2);
	}
	return sum;
}

/* 16 where bit @n of a byte below 16 is set: less work than to shift and to mask. */
HK_INLINE __m256i sixteen_if(__m256i nibbles, const int n)
{
#define IF(i)	((i) >> n & 1 ? 16 : 0)
	const __m256i table = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		IF(0), IF(1), IF(2), IF(3), IF(4), IF(5), IF(6), IF(7),
		IF(8), IF(9), IF(10), IF(11), IF(12), IF(13), IF(14), IF(15)));
#undef IF

	return _mm256_shuffle_epi8(table, nibbles);
}

/*
 * Units @u to @u + 3 of Q5_K, whose fifth bits are nibbles: the elements from @first
 * groups of four on that fit a sum.
 */
HK_INLINE void four_units(__m256i to[4], const uint8_t *column, const int8_t *x, const int u,
			  const int first)
{
	const uint8_t *w = column + ROWS * (48 + 16 * u);

	x += HK_ACT_BLOCK * u;
	HK_UNROLL
	for (int i = first; i < first + 2 * MOST; i++) {
		__m256i bits = load8(column + ROWS * 16 + 32 * i);

		if (i % 4 == 0)
			fetch(column + 48 * u + 16 * i);
		bits = u ? high_nibble(bits) : low_nibble(bits);
		HK_UNROLL
		for (int k = 0; k < 4; k += 2) {
			__m256i v = load8(w + 128 * k + 32 * i);
			__m256i low = _mm256_or_si256(low_nibble(v), sixteen_if(bits, k));
			__m256i high = _mm256_or_si256(high_nibble(v), sixteen_if(bits, k + 1));

			add_products(&to[k], low, four(x, i + 8 * k), i == first);
			add_products(&to[k + 1], high, four(x, i + 8 * k + 8), i == first);
			if (i % 2)
				fetch(w + 128 * k + 32 * i - 32);
		}
	}
}

HK_INLINE __m256i dot_q5(const uint8_t *column, const int8_t *x, const __m256i sc[2])
{
	__m256i sum = _mm256_setzero_si256(), unit[4];

	HK_UNROLL
	for (int u = 0; u < 8; u += 4) {
		HK_UNROLL
		for (int first = 0; first < 8; first += 2 * MOST) {
			four_units(unit, column, x, u, first);
			sum = add_units(sum, unit, sc, u, 4);
		}
		fetch(column + 48 * u + 128);
	}
	return sum;
}

static __m256 q4_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_256(m, w, 144, dot_q4);
}

static __m256 q5_k(const struct hk_matmul *m, const struct rows8 *w)
{
	return r8_row_256(m, w, 176, dot_q5);
}

/*
 * Four elements of each row, 32 too large: nibbles of @v, and bits 2 @j and 2 @j + 1 of
 * @bits above them.
 */
HK_INLINE __m256i q6_weights(__m256i v, __m256i bits, const int j)
{
	v = j < 2 ? low_nibble(v) : high_nibble(v);
	return _mm256_or_si256(v, high_bits(bits, 2 * j, 2));
}

/*
 * Of the units of half @n those that are their 32 elements' first ones, or, if @h, their
 * second: the elements from @i groups of four on that fit a sum.
 */
HK_INLINE __m256i q6_units(__m256i sum, const uint8_t *column, const int8_t *x,
			   const __m256i sc[4], const int n, const int h, const int i)
{
	const struct hk_q6_fields f = hk_q6_fields(true);
	const uint8_t *p = column + ROWS * (f.high + 32 * n + 16 * h + 4 * i);
	__m256i bits[MOST], v[MOST], unit;

	HK_UNROLL
	for (int g = 0; g < MOST; g++)
		bits[g] = load8(p + 32 * g);
	p = column + ROWS * (f.low + 64 * n + 16 * h + 4 * i);
	x += 128 * n + 16 * h + 4 * i;
	HK_UNROLL
	for (int j = 0; j < 2; j++) {
		HK_UNROLL
		for (int g = 0; g < MOST; g++)
			v[g] = load8(p + 256 * j + 32 * g);
		HK_UNROLL
		for (int k = j; k < 4; k += 2) {
			HK_UNROLL
			for (int g = 0; g < MOST; g++) {
				add_products(&unit, q6_weights(v[g], bits[g], k),
					     four(x, 8 * k + g), !g);
				if (g % 2 && k < 3)
					fetch(column + 768 * n + 384 * h + 96 * (i + g - 1) + 64 * k);
			}
			sum = add_scaled(sum, unit, sc[k]);
			IN_ORDER(sum);
		}
	}
	return sum;
}

/* Half @n of a block; @bias gets its scales times sums of activations. */
HK_INLINE __m256i q6_half(const uint8_t *column, const int8_t *x, const int16_t *sum16,
			  __m256i sum, __m256i *bias, const int n)
{
	const uint8_t *scales = column + ROWS * (hk_q6_fields(true).scales + 8 * n);
	__m256i sc[2][4];

	HK_UNROLL
	for (int u = 0; u < 8; u++)
		sc[u % 2][u / 2] = byte_twice(load8(scales + u / 4 * 32), u % 4);
	HK_UNROLL
	for (int j = 0; j < 4; j++) {
		__m256i both = _mm256_blend_epi16(sc[0][j], sc[1][j], 0xaa);

		*bias = _mm256_add_epi32(*bias, _mm256_madd_epi16(both, four(sum16, 4 * n + j)));
	}
	fetch(column + 1536 + 64 * n);
	if (n)
		fetch(column + 1664);
	HK_UNROLL
	for (int h = 0; h < 2; h++) {
		HK_UNROLL
		for (int i = 0; i < 4; i += MOST)
			sum = q6_units(sum, column, x, sc[h], n, h, i);
	}
	return sum;
}

HK_INLINE __m256i dot_q6(const uint8_t *column, const int8_t *x, const int16_t *sum16)
{
	__m256i bias = _mm256_setzero_si256(), sum = bias;

	sum = q6_half(column, x, sum16, sum, &bias, 0);
	sum = q6_half(column, x, sum16, sum, &bias, 1);
	return _mm256_sub_epi32(sum, _mm256_slli_epi32(bias, 5));
}

static __m256 q6_k(const struct hk_matmul *m, const struct rows8 *w)
{
	const struct hk_act act = m->act;
	struct rows8 at = { w->p, w->stride, true };
	__m256 acc = _mm256_setzero_ps();

	for (uint64_t b = 0; b < m->in_n / HK_ACT_SUPER; b++, next_block(&at, 210)) {
		__m256i dot = dot_q6(at.p, act.q + HK_ACT_SUPER * b, act.sum16 + 16 * b);

		acc = add_unit(acc, load_f16(&at, 0), _mm256_broadcast_ss(act.d + b),
			       _mm256_cvtepi32_ps(dot));
	}
	return acc;
}

hk_row1_fn hk_matvec_r8_avx2(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q4_0_R8:
		return q4_0;
	case HEARTH_TYPE_Q8_0_R8:
		return q8_0;
	case HEARTH_TYPE_Q4_K_R8:
		return q4_k;
	case HEARTH_TYPE_Q5_K_R8:
		return q5_k;
	default:
		return q6_k;
	}
}
