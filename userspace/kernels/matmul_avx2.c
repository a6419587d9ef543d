// SPDX-License-Identifier: MIT
/*
 * MATMUL of block types, eight output rows at a time: a lane is a row of
 * weights. A block of each row is loaded once and meets that block of every
 * input row; sums of int8 products are exact in any order.
 */
#include "kernels/decode.h"
#include "kernels/float_avx2.h"
#include "kernels/matmul_isa.h"

#define ROWS	8

/* Blocks of eight rows, taken apart. */
struct panel {
	struct hk_qblock row[ROWS];
	/* Scales and offsets of unit u: lane i is row i. */
	float d[16][ROWS], m[16][ROWS];
};

/* What the products of 32 elements sum to: pairs, then fours, eight lanes. */
HK_INLINE __m256i dot_i8(__m256i w, __m256i x)
{
	/* Magnitude of w times x with w's sign: at most 2 * 128 * 127, fits. */
	__m256i pairs = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));

	return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

HK_INLINE __m256i dot_u4(__m256i w, __m256i x)
{
	return _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1));
}

/* Lane i of *lo: sum of the lower half of v[i]; of *hi: of the upper one. */
HK_INLINE void reduce8(const __m256i v[ROWS], __m256i *lo, __m256i *hi)
{
	__m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]),
				      _mm256_hadd_epi32(v[2], v[3]));
	__m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]),
				      _mm256_hadd_epi32(v[6], v[7]));

	*lo = _mm256_permute2x128_si256(a, b, 0x20);
	*hi = _mm256_permute2x128_si256(a, b, 0x31);
}

HK_INLINE __m256 add_unit(__m256 acc, __m256 dw, float dx, __m256i sum)
{
	return _mm256_fmadd_ps(_mm256_mul_ps(dw, _mm256_set1_ps(dx)),
			       _mm256_cvtepi32_ps(sum), acc);
}

HK_INLINE __m256i load_x(const struct hk_act *act, uint64_t at)
{
	return _mm256_loadu_si256((const __m256i *)(act->q + at * HK_ACT_BLOCK));
}

/* The scales of a block of eight rows: the f16 at its start. */
HK_INLINE __m256 load_d8(const uint8_t *const w[ROWS])
{
	uint16_t d[ROWS];

	for (int i = 0; i < ROWS; i++)
		memcpy(&d[i], w[i], sizeof(d[i]));
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)d));
}

HK_INLINE __m256i load_q4(const uint8_t *p)
{
	__m128i v = _mm_loadu_si128((const __m128i *)p);

	return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v),
				_mm256_set1_epi8(15));
}

static void clear(float acc[][ROWS], uint32_t rows)
{
	for (uint32_t r = 0; r < rows; r++)
		_mm256_storeu_ps(acc[r], _mm256_setzero_ps());
}

/* One scale, Q4_0 or Q8_0, blocks read in place. */
HK_INLINE void simple_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			   float acc[][ROWS], const bool q4)
{
	const struct hk_act *act = &m->act;
	const uint32_t rows = m->rows;

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		__m256 d = load_d8(w);
		__m256i q[ROWS];

		for (int i = 0; i < ROWS; i++) {
			q[i] = q4 ? load_q4(w[i] + 2) :
				    _mm256_loadu_si256((const __m256i *)(w[i] + 2));
			w[i] += q4 ? 18 : 34;
		}
		for (uint32_t r = 0; r < rows; r++) {
			uint64_t at = b * rows + r;
			__m256i x = load_x(act, at), v[ROWS], lo, hi;

			for (int i = 0; i < ROWS; i++)
				v[i] = q4 ? dot_u4(q[i], x) : dot_i8(q[i], x);
			reduce8(v, &lo, &hi);
			lo = _mm256_add_epi32(lo, hi);
			if (q4)
				lo = _mm256_sub_epi32(lo, _mm256_set1_epi32(
					8 * (act->sum[2 * at] + act->sum[2 * at + 1])));
			_mm256_storeu_ps(acc[r], add_unit(_mm256_loadu_ps(acc[r]), d,
							  act->d[at], lo));
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

/* Elements [k, k + 32) of the panel, @at the block of the input. */
HK_INLINE __m256 add_panel(const struct panel *p, const __m256i q[ROWS],
			   const struct hk_act *act, uint64_t at, int k, __m256 acc,
			   const int unit, const bool min)
{
	const int32_t *sum = act->sum + 2 * at;
	__m256i x = load_x(act, at), v[ROWS], dot[2];
	float dx = act->d[at];
	int u = k / unit;

	for (int i = 0; i < ROWS; i++)
		v[i] = dot_i8(q[i], x);
	reduce8(v, &dot[0], &dot[1]);
	if (unit == 32) {
		acc = add_unit(acc, _mm256_loadu_ps(p->d[u]), dx,
			       _mm256_add_epi32(dot[0], dot[1]));
		return !min ? acc : add_unit(acc, _mm256_loadu_ps(p->m[u]), dx,
					     _mm256_set1_epi32(sum[0] + sum[1]));
	}
	for (int h = 0; h < 2; h++) {
		acc = add_unit(acc, _mm256_loadu_ps(p->d[u + h]), dx, dot[h]);
		if (min)
			acc = add_unit(acc, _mm256_loadu_ps(p->m[u + h]), dx,
				       _mm256_set1_epi32(sum[h]));
	}
	return acc;
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			  float acc[][ROWS], const int unit, const bool min)
{
	const struct hk_type *t = hk_type(m->type);
	struct panel p;

	for (uint32_t k = 0; k < m->in_n; k += t->elements) {
		take_apart(&p, m->type, t, w);
		for (int j = 0; j < t->elements; j += HK_ACT_BLOCK) {
			uint64_t at = (uint64_t)((k + j) / HK_ACT_BLOCK) * m->rows;
			__m256i q[ROWS];

			for (int i = 0; i < ROWS; i++)
				q[i] = _mm256_loadu_si256((const __m256i *)(p.row[i].q + j));
			for (uint32_t r = 0; r < m->rows; r++, at++) {
				__m256 sum = _mm256_loadu_ps(acc[r]);

				sum = add_panel(&p, q, &m->act, at, j, sum, unit, min);
				_mm256_storeu_ps(acc[r], sum);
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

void hk_matmul_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	float acc[HK_MATMUL_ROWS][ROWS];
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
		clear(acc, m->rows);
		fn(m, w, acc);
		for (uint32_t r = 0; r < m->rows; r++) {
			_mm256_storeu_ps(acc[r], hk_canon8(_mm256_loadu_ps(acc[r])));
			memcpy(m->dst + r * m->dst_stride + o, acc[r], n * sizeof(float));
		}
	}
}
