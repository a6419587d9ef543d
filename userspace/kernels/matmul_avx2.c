// SPDX-License-Identifier: MIT
/*
 * The types with blocks of 32, and the tiles of all block types.
 */
#include "kernels/matvec_avx2.h"

#define PAGE		4096
#define WARM_PAGES	16

/* The values of @table, @add larger. */
HK_INLINE void look_up(struct turned *t, const int8_t *table, const int add)
{
	__m256i values = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));

	values = _mm256_add_epi8(values, _mm256_set1_epi8((char)add));

	HK_UNROLL
	for (int g = 0; g < 8; g++)
		t->group[g] = _mm256_shuffle_epi8(values, t->group[g]);
}

/* Bit i of the 32 of each row at @at goes above the four bits of element i. */
HK_INLINE void add_fifth_bit(struct turned *t, const struct rows8 *w, uint64_t at)
{
	const __m256i bits = load_u32(w, at);

	HK_UNROLL
	for (int g = 0; g < 8; g++) {
		/* The byte that holds the bits of the group, four times. */
		const __m256i from = _mm256_add_epi8(_mm256_set1_epi8((char)(g / 2)),
			_mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c,
					  0, 0x04040404, 0x08080808, 0x0c0c0c0c));
		const __m256i bit = _mm256_set1_epi32(g % 2 ? (int)0x80402010 : 0x08040201);
		__m256i b = _mm256_and_si256(_mm256_shuffle_epi8(bits, from), bit);

		b = _mm256_and_si256(_mm256_cmpeq_epi8(b, bit), _mm256_set1_epi8(16));
		t->group[g] = _mm256_or_si256(t->group[g], b);
	}
}

#define rows_n rows8
#include "kernels/matmul_load_32.h"

HK_INLINE void rows_32(const struct hk_matmul *m, const struct rows8 *w, __m256 *acc,
		       const unsigned int type, const int bytes, const int add,
		       const struct units how, const bool packed)
{
	struct rows8 at = { w->p, w->stride, packed };
	struct turned t;
	struct scales s;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(w, b, bytes);
		load_32(&t, &s, &at, type, add);
		next_block(&at, bytes);
		add_rows(m, acc, &s, &t, b, how);
	}
}

#define UNITS(min, bias, small)	((struct units){ min, bias, small })

ROWS8(q4_0, rows_32, HEARTH_TYPE_Q4_0, 18, -8, UNITS(false, 0, true), false)
ROWS8(q4_1, rows_32, HEARTH_TYPE_Q4_1, 20, 0, UNITS(true, 0, true), false)
ROWS8(q5_0, rows_32, HEARTH_TYPE_Q5_0, 22, -16, UNITS(false, 0, true), false)
ROWS8(q5_1, rows_32, HEARTH_TYPE_Q5_1, 24, -16, UNITS(true, -16, true), false)
ROWS8(q8_0, rows_32, HEARTH_TYPE_Q8_0, 34, 0, UNITS(false, 0, false), false)
ROWS8(iq4_nl, rows_32, HEARTH_TYPE_IQ4_NL, 18, 0, UNITS(false, 0, false), false)
ROWS8(mxfp4, rows_32, HEARTH_TYPE_MXFP4, 17, 0, UNITS(false, 0, true), false)
ROWS8(q4_0_r8, rows_32, HEARTH_TYPE_Q4_0, 18, -8, UNITS(false, 0, true), true)
ROWS8(q8_0_r8, rows_32, HEARTH_TYPE_Q8_0, 34, 0, UNITS(false, 0, false), true)

static hk_rows8_fn choose(unsigned int type)
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
	return hk_k_rows8_avx2(type);
}

/* Lanes @skip to @skip + @n - 1 of the sums are the outputs from @o on. */
static void store(const struct hk_matmul *m, const __m256 *acc, uint32_t o, uint32_t skip,
		  uint32_t n)
{
	for (uint32_t r = 0; r < m->rows; r++) {
		float *dst = m->dst + r * m->dst_stride + o;
		__m256 v = hk_vec_canon(acc[r]);
		float lane[ROWS];

		if (n == ROWS) {
			_mm256_storeu_ps(dst, v);
			continue;
		}
		_mm256_storeu_ps(lane, v);
		memcpy(dst, lane + skip, n * sizeof(*dst));
	}
}

/*
 * Fewer than eight outputs at the end: with those before them, or one at a
 * time, eight times over, if there are none.
 */
static void last_rows(const struct hk_matmul *m, uint32_t o, uint32_t n, hk_rows8_fn fn,
		      __m256 *acc)
{
	struct rows8 w = { m->weights + o * m->row_bytes, m->row_bytes, false };

	if (o >= ROWS - n) {
		w.p -= (ROWS - n) * m->row_bytes;
		fn(m, &w, acc);
		store(m, acc, o, ROWS - n, n);
		return;
	}
	w.stride = 0;
	for (; n; n--, o++, w.p += m->row_bytes) {
		fn(m, &w, acc);
		store(m, acc, o, 0, 1);
	}
}

/*
 * A file is mapped by pages of 4 KiB, and a prefetch waits for the walk that
 * finds its page: one after the other, they take longer than the data itself.
 * Walks of many pages overlap. Touches a batch of pages if less than one is
 * left between @at and @warm; returns how far they are warm. What follows the
 * task's rows is most often read next, and touching what is not there does no harm.
 */
static const uint8_t *warm_pages(const uint8_t *warm, const uint8_t *at)
{
	if (warm - at >= WARM_PAGES * PAGE)
		return warm;
	for (int i = 0; i < WARM_PAGES; i++, warm += PAGE)
		_mm_prefetch((const char *)warm, _MM_HINT_T1);
	return warm;
}

void hk_matmul_rows8(const struct hk_matmul *m, uint32_t first, uint32_t last, hk_row1_fn one)
{
	struct rows8 w = { m->weights + first * m->row_bytes, m->row_bytes, false };
	const uint8_t *warm;
	hk_rows8_fn fn = choose(m->type);
	__m256 acc[HK_MATMUL_ROWS];

	for (warm = w.p; first + ROWS <= last; first += ROWS, w.p += ROWS * m->row_bytes) {
		warm = warm_pages(warm, w.p);
		if (one)
			acc[0] = one(m, &w);
		else
			fn(m, &w, acc);
		store(m, acc, first, 0, ROWS);
	}
	if (first < last)
		last_rows(m, first, last - first, fn, acc);
}

void hk_matmul_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_row1_fn one = NULL;

	if (!hk_type(m->type)->unit) {
		hk_matmul_dense_avx2(m, first, last);
		return;
	}
	if (m->rows == 1)
		one = hk_type(m->type)->r8 ? hk_matvec_r8_avx2(m->type) :
					     hk_matvec_avx2(m->type);
	hk_matmul_rows8(m, first, last, one);
}
