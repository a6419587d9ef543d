// SPDX-License-Identifier: MIT
/*
 * One row of input and the types with blocks of 32.
 */
#include "kernels/decode.h"
#include "kernels/matvec_avx2.h"

HK_INLINE void look_up(struct pairs *p, const int8_t *table, int add)
{
	__m256i values = _mm256_add_epi8(_mm256_broadcastsi128_si256(
		_mm_loadu_si128((const __m128i *)table)), _mm256_set1_epi8((char)add));

	HK_UNROLL
	for (int i = 0; i < 4; i++)
		p->v[i] = _mm256_shuffle_epi8(values, p->v[i]);
}

/* Bits @first to @first + 15 of four bytes of each row go above the nibbles. */
HK_INLINE void add_fifth_bit(struct pairs *p, const struct rows8 *w, uint64_t at,
			     const int first)
{
	/* Byte k's bit is bit k % 8 of the byte first / 8 + k / 8. */
	const __m256i from = _mm256_broadcastsi128_si256(_mm_setr_epi8(
		0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
	const __m256i bit = _mm256_set1_epi64x((int64_t)0x8040201008040201ull);

	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		const uint8_t *lo = w->p + i * w->stride + at + first / 8;
		const uint8_t *hi = w->p + (i + 4) * w->stride + at + first / 8;
		__m256i b = _mm256_set_m128i(_mm_loadu_si16(hi), _mm_loadu_si16(lo));

		b = _mm256_and_si256(_mm256_shuffle_epi8(b, from), bit);
		b = _mm256_and_si256(_mm256_cmpeq_epi8(b, bit), _mm256_set1_epi8(16));
		p->v[i] = _mm256_or_si256(p->v[i], b);
	}
}

HK_INLINE __m256i dot_32(const struct rows8 *w, struct halves x, const unsigned int type,
			 const int at)
{
	struct pairs lo, hi;

	if (type == HEARTH_TYPE_Q8_0) {
		load_pairs(&lo, w, at);
		load_pairs(&hi, w, at + 16);
		return dot_signed(&lo, &hi, x);
	}
	load_pairs(&hi, w, at);
	low_nibbles(&lo, &hi);
	high_nibbles(&hi, &hi);
	switch (type) {
	case HEARTH_TYPE_IQ4_NL:
		look_up(&lo, hk_iq4_values, 0);
		look_up(&hi, hk_iq4_values, 0);
		return dot_signed(&lo, &hi, x);
	case HEARTH_TYPE_MXFP4:
		look_up(&lo, hk_fp4_values, 12);
		look_up(&hi, hk_fp4_values, 12);
		break;
	case HEARTH_TYPE_Q5_0:
	case HEARTH_TYPE_Q5_1:
		add_fifth_bit(&lo, w, at - 4, 0);
		add_fifth_bit(&hi, w, at - 4, 16);
		break;
	}
	return dot_unsigned(&lo, &hi, x, type == HEARTH_TYPE_Q4_0 || type == HEARTH_TYPE_Q4_1);
}

/*
 * @at: where the elements are in a block of @bytes; @bias: see struct units.
 *
 * How many instructions there are is what counts here. The four arrays have one
 * index, of bytes of an f32 array, that the compiler shall not split up.
 */
HK_INLINE __m256 row_32(const struct hk_matmul *m, const struct rows8 *w,
			const unsigned int type, const int bytes, const int at,
			const bool min, const int bias)
{
	const char *act_d = (const char *)m->act.d, *act_total = (const char *)m->act.total;
	const uint8_t *ahead = w->p;
	const uint64_t end = m->in_n / HK_ACT_BLOCK * sizeof(float);
	const int8_t *q = m->act.q;
	__m256 acc = _mm256_setzero_ps();
	struct rows8 row = *w;

	for (uint64_t k = 0; k < end; k += sizeof(float), row.p += bytes) {
		__m256i dot = dot_32(&row, load_x(q + 8 * k), type, at);
		__m256 dx = _mm256_broadcast_ss((const float *)(act_d + k));
		__m256 total = _mm256_broadcast_ss((const float *)(act_total + k));
		__m256 d = type == HEARTH_TYPE_MXFP4 ? load_e8m0(&row) :
						load_f16_of_many(&row, 0);

		acc = add_unit(acc, d, dx, unbias(dot, total, bias));
		if (min)
			acc = add_unit(acc, load_f16_of_many(&row, 2), dx, total);
		prefetch(ahead, ROWS * bytes);
		ahead += ROWS * bytes;
		__asm__("" : "+r"(k));
	}
	return acc;
}

/* A block of Q4_0 whose products are there. */
struct late {
	/* Of each row four sums: of rows 0, 4 and 1, 5, of rows 2, 6 and 3, 7. */
	__m256i a, b;
	__m128i d;
	__m256 dx, total;
};

/* Eight sums each of the rows @i and @i + 4. */
HK_INLINE __m256i q4_0_products(const struct rows8 *w, const int i, struct halves x)
{
	__m256i raw = load_pair(w, 2, i), lo, hi;

	IN_ORDER(raw);
	lo = _mm256_maddubs_epi16(low_nibble(raw), x.lo);
	IN_ORDER(lo);
	hi = _mm256_maddubs_epi16(high_nibble(raw), x.hi);
	IN_ORDER(hi);
	lo = _mm256_add_epi16(lo, hi);
	IN_ORDER(lo);
	return lo;
}

/*
 * Adds block @l to @acc, with what the next one needs first of all in between: the
 * vector units look 64 instructions ahead, and the steps of a sum right behind its
 * products would fill that with waiting.
 */
HK_INLINE __m256 q4_0_block(__m256 acc, struct late *l, const struct rows8 *w, struct halves x)
{
	const __m256i one = _mm256_set1_epi16(1);
	__m256i a, b, v[4];
	__m256 d, sum;

	a = _mm256_madd_epi16(l->a, one);
	b = _mm256_madd_epi16(l->b, one);
	IN_ORDER(a);
	IN_ORDER(b);
	v[0] = q4_0_products(w, 0, x);
	a = _mm256_packs_epi32(a, b);
	IN_ORDER(a);
	v[1] = q4_0_products(w, 1, x);
	a = _mm256_madd_epi16(a, one);
	d = _mm256_cvtph_ps(l->d);
	IN_ORDER(a);
	IN_ORDER(d);
	v[2] = q4_0_products(w, 2, x);
	sum = _mm256_cvtepi32_ps(a);
	d = _mm256_mul_ps(d, l->dx);
	IN_ORDER(sum);
	IN_ORDER(d);
	l->a = sum_halves(v[0], v[1]);
	IN_ORDER(l->a);
	v[3] = q4_0_products(w, 3, x);
	sum = _mm256_fnmadd_ps(_mm256_set1_ps(8), l->total, sum);
	IN_ORDER(sum);
	l->d = load_u16_of_many(w, 0);
	IN_ORDER(l->d);
	acc = _mm256_fmadd_ps(d, sum, acc);
	IN_ORDER(acc);
	l->b = sum_halves(v[2], v[3]);
	IN_ORDER(l->b);
	return acc;
}

static __m256 q4_0(const struct hk_matmul *m, const struct rows8 *w)
{
	const char *act_d = (const char *)m->act.d, *act_total = (const char *)m->act.total;
	const uint64_t end = m->in_n / HK_ACT_BLOCK * sizeof(float);
	const int8_t *q = m->act.q;
	const uint8_t *ahead = w->p;
	__m256 acc = _mm256_setzero_ps();
	struct rows8 row = *w;
	/* Before the first one: adds +0 to +0. */
	struct late l = { 0 };

	for (uint64_t k = 0; k < end; k += sizeof(float), row.p += 18) {
		acc = q4_0_block(acc, &l, &row, load_x(q + 8 * k));
		prefetch(ahead, ROWS * 18);
		ahead += ROWS * 18;
		l.dx = _mm256_broadcast_ss((const float *)(act_d + k));
		l.total = _mm256_broadcast_ss((const float *)(act_total + k));
		__asm__("" : "+r"(k));
	}
	return add_unit(acc, _mm256_cvtph_ps(l.d), l.dx,
			unbias(sum_of_halves(l.a, l.b, true), l.total, 8));
}

#define ROW1(name, type, bytes, at, min, bias)					\
static __m256 name(const struct hk_matmul *m, const struct rows8 *w)		\
{										\
	return row_32(m, w, HEARTH_TYPE_##type, bytes, at, min, bias);		\
}

ROW1(q4_1, Q4_1, 20, 4, true, 0)
ROW1(q5_0, Q5_0, 22, 6, false, 16)
ROW1(q5_1, Q5_1, 24, 8, true, 0)
ROW1(q8_0, Q8_0, 34, 2, false, 0)
ROW1(iq4_nl, IQ4_NL, 18, 2, false, 0)
ROW1(mxfp4, MXFP4, 17, 1, false, 12)

hk_row1_fn hk_matvec_avx2(unsigned int type)
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
	}
	return hk_matvec_k_avx2(type);
}
