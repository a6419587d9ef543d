// SPDX-License-Identifier: MIT
/*
 * The reference: what arithmetic.rst says, line by line.
 */
#include "kernels/float_body.h"
#include "kernels/r8.h"

static float load(const void *p, unsigned int type, uint64_t i)
{
	switch (type) {
	case HEARTH_TYPE_F32:
		return ((const float *)p)[i];
	case HEARTH_TYPE_F16:
		return hk_f32_from_f16(((const uint16_t *)p)[i]);
	default:
		return hk_f32_from_bf16(((const uint16_t *)p)[i]);
	}
}

static float dot(const float *a, const void *b, unsigned int type, uint32_t n)
{
	float l[HK_LANES] = { 0 };

	for (uint32_t k = 0; k < n; k++)
		l[k % HK_LANES] = fmaf(a[k], load(b, type, k), l[k % HK_LANES]);
	return hk_sum_lanes(l);
}

static void scores(float *s, const float *q, const void *k, bool f16, uint32_t n,
		   uint32_t dim, float scale)
{
	unsigned int type = f16 ? HEARTH_TYPE_F16 : HEARTH_TYPE_F32;
	uint64_t bytes = (uint64_t)dim * (f16 ? 2 : 4);

	for (uint32_t t = 0; t < n; t++)
		s[t] = dot(q, (const uint8_t *)k + t * bytes, type, dim) * scale;
}

static void weighted_sum(float *out, const float *p, const void *v, bool f16, uint32_t n,
			 uint32_t dim)
{
	unsigned int type = f16 ? HEARTH_TYPE_F16 : HEARTH_TYPE_F32;

	for (uint32_t c = 0; c < dim; c++) {
		float acc = out[c];

		for (uint32_t t = 0; t < n; t++)
			acc = fmaf(p[t], load(v, type, (uint64_t)t * dim + c), acc);
		out[c] = hk_canon(acc);
	}
}

static void to_f16(uint16_t *y, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		y[i] = hk_f16_from_f32(x[i]);
}

/* What the block @k / 32 of the weights, taken apart in @b, adds to a row's sum. */
static float add_block(const struct hk_act *act, const struct hk_type *t,
		       const struct hk_qblock *b, uint32_t k, uint32_t row, float acc)
{
	uint64_t at = (uint64_t)(k / HK_ACT_BLOCK) * act->rows + row;
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	int32_t s = 0;

	for (int j = 0; j < HK_ACT_BLOCK; j++)
		s += b->q[j] * x[j];
	acc = fmaf(b->d[0] * act->d[at], (float)s, acc);
	return t->min ? fmaf(b->m[0] * act->d[at], (float)act->sum[at], acc) : acc;
}

/* What the block @k / 256 of the weights adds: integers to the end, then one fma. */
static float add_super(const struct hk_act *act, const struct hk_type *t,
		       const struct hk_qblock *b, uint32_t k, uint32_t row, float acc)
{
	uint64_t at = (uint64_t)(k / HK_ACT_SUPER) * act->rows + row;
	int32_t dot = 0, mins = 0;

	for (int i = 0; i < t->elements; i += t->unit) {
		uint64_t block = (uint64_t)(k + i) / HK_ACT_BLOCK * act->rows + row;
		const int8_t *x = act->q + block * HK_ACT_BLOCK + i % HK_ACT_BLOCK;
		int32_t s = 0, total = 0;

		for (int j = 0; j < t->unit; j++) {
			s += b->q[i + j] * x[j];
			total += x[j];
		}
		dot += b->sc[i / t->unit] * s;
		if (t->min)
			mins += b->mn[i / t->unit] * total;
	}
	acc = fmaf(b->scale * act->d[at], (float)dot, acc);
	return t->min ? fmaf(-(b->min * act->d[at]), (float)mins, acc) : acc;
}

/* The block of output @o that begins with element @k */
static void load_block(struct hk_qblock *b, const struct hk_matmul *m, const struct hk_type *t,
		       uint32_t o, uint32_t k)
{
	uint64_t at = (uint64_t)k / t->elements * t->bytes;
	uint8_t block[HK_R8_MAX_BYTES];

	if (!t->r8) {
		hk_decode(m->type, m->weights + o * m->row_bytes + at, b);
		return;
	}
	hk_r8_unpack(m->type, m->weights + o / HK_R8_ROWS * HK_R8_ROWS * m->row_bytes +
		     HK_R8_ROWS * at, o % HK_R8_ROWS, block);
	hk_decode(t->r8, block, b);
}

static void matmul(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	const struct hk_type *t = hk_type(m->type);

	for (uint32_t o = first; o < last; o++) {
		float acc[HK_MATMUL_ROWS] = { 0 };
		struct hk_qblock b;

		for (uint32_t k = 0; t->unit && k < m->in_n; k += t->elements) {
			bool super = t->elements == HK_ACT_SUPER;

			load_block(&b, m, t, o, k);
			for (uint32_t r = 0; r < m->rows; r++)
				acc[r] = (super ? add_super : add_block)(&m->act, t, &b, k, r,
									 acc[r]);
		}
		for (uint32_t r = 0; r < m->rows; r++) {
			if (!t->unit)
				acc[r] = dot(m->src + (uint64_t)r * m->in_n,
					     m->weights + o * m->row_bytes, m->type, m->in_n);
			m->dst[r * m->dst_stride + o] = hk_canon(acc[r]);
		}
	}
}

const struct hk_float_kernels hk_float_plain = {
	.sum_squares = hk_body_sum_squares,
	.scale_gain = hk_body_scale_gain,
	.rope = hk_body_rope,
	.add = hk_body_add,
	.mul = hk_body_mul,
	.glu_silu = hk_body_glu_silu,
	.glu_gelu = hk_body_glu_gelu,
	.softcap = hk_body_softcap,
	.softmax = hk_body_softmax,
	.scores = scores,
	.weighted_sum = weighted_sum,
	.scores_q8 = hk_body_scores_q8,
	.weighted_sum_q8 = hk_body_weighted_sum_q8,
	.to_q8 = hk_body_to_q8,
	.to_f16 = to_f16,
	.get_row = hk_body_get_row,
	.quantize = hk_body_quantize,
	.quantize_256 = hk_body_quantize_256,
	.matmul = matmul,
};
