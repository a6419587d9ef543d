// SPDX-License-Identifier: MIT
#include "kernels/decode.h"
#include "kernels/matmul_avx2.h"

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
	const struct units how = { 32, false, q4 ? 8 : -1 };
	const uint8_t *first = w[0];
	struct scales s;
	__m256i q[ROWS];

	for (uint64_t b = 0; b < m->in_n / HK_ACT_BLOCK; b++) {
		prefetch_next(m, first, b, q4 ? 18 : 34);
		s.d[0] = load_f16(w, 0);
		for (int i = 0; i < ROWS; i++) {
			q[i] = q4 ? load_q4(w[i] + 2) :
				    _mm256_loadu_si256((const __m256i *)(w[i] + 2));
			w[i] += q4 ? 18 : 34;
		}
		add_rows(m, acc, &s, q, b, 0, how);
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
	for (int i = 0; i < ROWS; i++) {
		hk_decode(type, w[i], &row[i]);
		w[i] += t->bytes;
	}
	for (int u = 0; u < t->elements / t->unit; u++) {
		float d[ROWS], m[ROWS];

		for (int i = 0; i < ROWS; i++) {
			d[i] = row[i].d[u];
			m[i] = t->min ? row[i].m[u] : 0;
		}
		s->d[u] = _mm256_loadu_ps(d);
		s->m[u] = _mm256_loadu_ps(m);
	}
}

HK_INLINE void panel_rows(const struct hk_matmul *m, const uint8_t *w[ROWS],
			  float acc[][ROWS], const struct units how)
{
	const struct hk_type *type = hk_type(m->type);
	const uint8_t *first = w[0];
	struct hk_qblock row[ROWS];
	struct scales s;
	__m256i q[ROWS];

	for (uint32_t k = 0; k < m->in_n; k += type->elements) {
		prefetch_next(m, first, k / type->elements, type->bytes);
		take_apart(row, &s, m->type, type, w);
		for (int j = 0; j < type->elements; j += HK_ACT_BLOCK) {
			for (int i = 0; i < ROWS; i++)
				q[i] = _mm256_loadu_si256((const __m256i *)(row[i].q + j));
			add_rows(m, acc, &s, q, (k + j) / HK_ACT_BLOCK, j / how.unit, how);
		}
	}
}

static void panel_16(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, (struct units){ 16, false, -1 });
}

static void panel_16_min(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	panel_rows(m, w, acc, (struct units){ 16, true, 0 });
}

static void panel_32(const struct hk_matmul *m, const uint8_t *w[ROWS], float acc[][ROWS])
{
	panel_rows(m, w, acc, (struct units){ 32, false, -1 });
}

static void panel_32_min(const struct hk_matmul *m, const uint8_t *w[ROWS],
			 float acc[][ROWS])
{
	panel_rows(m, w, acc, (struct units){ 32, true, 0 });
}

static hk_rows8_fn choose(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	switch (type) {
	case HEARTH_TYPE_Q4_0:
		return q4_0_rows;
	case HEARTH_TYPE_Q8_0:
		return q8_0_rows;
	case HEARTH_TYPE_Q4_K:
		return hk_q4_k_rows_avx2;
	case HEARTH_TYPE_Q5_K:
		return hk_q5_k_rows_avx2;
	case HEARTH_TYPE_Q6_K:
		return hk_q6_k_rows_avx2;
	}
	if (t->unit == 16)
		return t->min ? panel_16_min : panel_16;
	return t->min ? panel_32_min : panel_32;
}

void hk_matmul_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	float acc[HK_MATMUL_ROWS][ROWS];
	hk_rows8_fn fn;

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
