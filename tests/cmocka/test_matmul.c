// SPDX-License-Identifier: MIT
/*
 * MATMUL and the block formats: exact where the numbers allow it, close to
 * double precision elsewhere, and the same bits on every ISA and for every
 * number of threads and size of window.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "kernel_space.h"
#include "kernels/decode.h"
#include "kernels/float.h"
#include "models.h"
#include "r8_rows.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const unsigned int all_types[] = {
	HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_BF16, HEARTH_TYPE_Q4_0,
	HEARTH_TYPE_Q4_1, HEARTH_TYPE_Q5_0, HEARTH_TYPE_Q5_1, HEARTH_TYPE_Q8_0,
	HEARTH_TYPE_Q2_K, HEARTH_TYPE_Q3_K, HEARTH_TYPE_Q4_K, HEARTH_TYPE_Q5_K,
	HEARTH_TYPE_Q6_K, HEARTH_TYPE_IQ4_NL, HEARTH_TYPE_IQ4_XS, HEARTH_TYPE_MXFP4,
};

/* Where a block keeps its f16 numbers, to give them sane values; -1: none. */
static void f16_fields(unsigned int type, int at[2])
{
	at[0] = 0;
	at[1] = -1;
	switch (type) {
	case HEARTH_TYPE_Q4_1:
	case HEARTH_TYPE_Q5_1:
	case HEARTH_TYPE_Q4_K:
	case HEARTH_TYPE_Q5_K:
		at[1] = 2;
		break;
	case HEARTH_TYPE_Q2_K:
		at[0] = 80;
		at[1] = 82;
		break;
	case HEARTH_TYPE_Q3_K:
		at[0] = 108;
		break;
	case HEARTH_TYPE_Q6_K:
		at[0] = 208;
		break;
	case HEARTH_TYPE_MXFP4:
		at[0] = -1;
		break;
	}
}

static void put_f16(uint8_t *p, float x)
{
	uint16_t h = hk_f16_from_f32(x);

	memcpy(p, &h, sizeof(h));
}

/* Random weights; @odd leaves any bits in the scales. */
static void fill_weights(uint8_t *w, unsigned int type, uint64_t n, bool odd,
			 struct ks_rng *rng)
{
	const struct hk_type *t = hk_type(type);
	int at[2];

	f16_fields(type, at);
	for (uint64_t i = 0; i < n / t->elements; i++, w += t->bytes) {
		for (int k = 0; k < t->bytes; k++)
			w[k] = (uint8_t)ks_u32(rng);
		if (type == HEARTH_TYPE_F32) {
			float x = odd ? ks_odd(rng) : ks_unit(rng);

			memcpy(w, &x, sizeof(x));
		} else if (!odd && type == HEARTH_TYPE_F16) {
			put_f16(w, ks_unit(rng));
		} else if (!odd && type == HEARTH_TYPE_BF16) {
			w[1] = (w[1] & 0x80) | 0x3f;
		} else if (!odd && type == HEARTH_TYPE_MXFP4) {
			w[0] = (uint8_t)(120 + w[0] % 8);
		} else if (!odd) {
			for (int k = 0; k < 2 && at[k] >= 0; k++)
				put_f16(w + at[k], ks_unit(rng) * 0.01f);
		}
	}
}

/* fill_weights() for any type */
static void fill_matrix(uint8_t *w, unsigned int type, uint32_t in_n, uint32_t out_n,
			struct ks_rng *rng)
{
	const unsigned int base = hk_type(type)->r8;
	uint8_t *rows;

	if (!base) {
		fill_weights(w, type, (uint64_t)in_n * out_n, false, rng);
		return;
	}
	rows = malloc(out_n * hk_row_bytes(base, in_n));
	fill_weights(rows, base, (uint64_t)in_n * out_n, false, rng);
	r8_pack_rows(w, rows, type, out_n, in_n);
	free(rows);
}

struct problem {
	struct kspace ks;
	struct hearth_cmd_matmul cmd;
	uint8_t *weights;
	float *src, *dst;
	uint64_t out;
};

static void problem_init(struct problem *p, unsigned int type, uint32_t rows,
			 uint32_t in_n, uint32_t out_n)
{
	uint64_t row = hk_row_bytes(type, in_n);

	ks_init(&p->ks);
	p->weights = ks_alloc(&p->ks, out_n * row);
	p->src = ks_alloc(&p->ks, (size_t)rows * in_n * 4);
	p->out = (uint64_t)rows * out_n;
	p->dst = ks_alloc(&p->ks, p->out * 4);
	p->cmd = (struct hearth_cmd_matmul){
		.hdr = KS_HDR(MATMUL, hearth_cmd_matmul),
		.weights = ks_va(&p->ks, p->weights),
		.src = ks_va(&p->ks, p->src),
		.dst = ks_va(&p->ks, p->dst),
		.rows = rows, .in_n = in_n, .out_n = out_n,
		.type = (uint8_t)type,
	};
}

static void run_on(struct problem *p, const struct hk_isa *isa, struct hk_pool *pool)
{
	struct hk_exec *ex = hk_exec_create(isa, pool);

	memset(p->dst, 0xa5, p->out * 4);
	ks_run(&p->ks, ex, &p->cmd);
	hk_exec_destroy(ex);
}

/* @want has rows of @stride. */
static void check_isa(struct problem *p, const struct hk_isa *isa, const float *want,
		      uint32_t stride)
{
	run_on(p, isa, NULL);
	for (uint64_t k = 0; k < p->out; k++) {
		uint64_t at = k / p->cmd.out_n * stride + k % p->cmd.out_n;

		if (ks_bits(want[at]) == ks_bits(p->dst[k]))
			continue;
		fail_msg("%s, %s, %ux%ux%u: output %llu is %08x, plain %08x",
			 hk_type_name(p->cmd.type), hk_isa_name(isa), p->cmd.rows,
			 p->cmd.in_n, p->cmd.out_n, (unsigned long long)k,
			 ks_bits(p->dst[k]), ks_bits(want[at]));
	}
}

/* The same weights in rows of eight, where there are eight. */
static void check_r8(struct problem *p, const float *want)
{
	const struct hearth_cmd_matmul rows = p->cmd;
	const uint32_t out_n = rows.out_n / HK_R8_ROWS * HK_R8_ROWS;
	const unsigned int type = r8_of(rows.type);
	const struct hk_isa *isa;
	uint8_t *packed;

	if (!type || !out_n)
		return;
	packed = ks_alloc(&p->ks, out_n * hk_row_bytes(type, rows.in_n));
	r8_pack_rows(packed, p->weights, type, out_n, rows.in_n);
	p->cmd.type = (uint8_t)type;
	p->cmd.out_n = out_n;
	p->cmd.weights = ks_va(&p->ks, packed);
	p->out = (uint64_t)rows.rows * out_n;
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++)
		check_isa(p, isa, want, rows.out_n);
	p->cmd = rows;
	p->out = (uint64_t)rows.rows * rows.out_n;
}

/* Every ISA against plain C, bit for bit. */
static void check_isas(struct problem *p)
{
	float *want = malloc(p->out * 4);
	const struct hk_isa *isa;

	run_on(p, hk_isa_list(0), NULL);
	memcpy(want, p->dst, p->out * 4);
	for (unsigned int i = 1; (isa = hk_isa_list(i)); i++)
		check_isa(p, isa, want, p->cmd.out_n);
	check_r8(p, want);
	free(want);
}

static const uint32_t shapes[][3] = {	/* rows, blocks, outputs */
	{ 1, 1, 1 }, { 1, 3, 7 }, { 1, 2, 33 }, { 2, 5, 16 }, { 3, 4, 40 },
	{ 5, 1, 9 }, { 16, 2, 24 }, { 17, 3, 50 }, { 64, 1, 17 }, { 2, 1, 3 },
	{ 1, 1, 13 }, { 7, 2, 11 }, { 4, 9, 23 }, { HK_MATMUL_ROWS + 1, 2, 19 },
	{ 2 * HK_MATMUL_ROWS + 2, 1, 8 },
};

static uint32_t in_of(unsigned int type, uint32_t blocks)
{
	/* Odd lengths for the types that allow them. */
	return hk_type(type)->unit ? blocks * hk_type(type)->elements : blocks * 23 + 1;
}

/* What "every" means here: the suite of an ISA wants it to be among them. */
static void print_levels(void)
{
	const struct hk_isa *isa;

	print_message("# levels:");
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++)
		print_message(" %s", hk_isa_name(isa));
	print_message("\n");
}

static void test_same_bits(void **state)
{
	struct ks_rng rng = { 1 };
	struct problem p;

	print_levels();
	for (size_t t = 0; t < ARRAY_SIZE(all_types); t++) {
		for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
			uint32_t in_n = in_of(all_types[t], shapes[s][1]);

			problem_init(&p, all_types[t], shapes[s][0], in_n, shapes[s][2]);
			fill_weights(p.weights, all_types[t], (uint64_t)in_n * shapes[s][2],
				     false, &rng);
			for (uint64_t i = 0; i < (uint64_t)shapes[s][0] * in_n; i++)
				p.src[i] = ks_unit(&rng);
			check_isas(&p);
			ks_fini(&p.ks);
		}
	}
}

/* Rows that end anywhere, behind them a page that must not be touched. */
static void test_every_tail(void **state)
{
	static const unsigned int types[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_BF16 };
	struct ks_rng rng = { 7 };
	struct problem p;

	for (uint32_t k = 0; k < 3 * 33 * 2; k++) {
		unsigned int type = types[k % 3];
		uint32_t in_n = 1 + k / 3 % 33, rows = k / 99 ? 4 : 1;

		problem_init(&p, type, rows, in_n, 5);
		fill_weights(p.weights, type, in_n * 5, false, &rng);
		for (uint32_t i = 0; i < rows * in_n; i++)
			p.src[i] = ks_unit(&rng);
		check_isas(&p);
		ks_fini(&p.ks);
	}
}

/* One input in @every is odd: otherwise all sums would end as NaN. */
static void odd_inputs(struct problem *p, uint32_t every, struct ks_rng *rng)
{
	for (uint64_t i = 0; i < (uint64_t)p->cmd.rows * p->cmd.in_n; i++)
		p->src[i] = ks_u32(rng) % every ? ks_unit(rng) : ks_odd(rng);
}

static void test_same_bits_odd_numbers(void **state)
{
	struct ks_rng rng = { 2 };
	struct problem p;

	for (size_t t = 0; t < ARRAY_SIZE(all_types); t++) {
		for (int round = 0; round < 12; round++) {
			uint32_t in_n = in_of(all_types[t], 1 + round % 3);

			problem_init(&p, all_types[t], 5, in_n, 21);
			fill_weights(p.weights, all_types[t], in_n * 21ull, round % 2, &rng);
			odd_inputs(&p, round < 4 ? 1 : 40, &rng);
			check_isas(&p);
			ks_fini(&p.ks);
		}
	}
}

/* Scales at the ends: amax tiny, huge, denormal, around the limit of zero. */
static void test_same_bits_scales(void **state)
{
	static const float scale[] = { 0x1p-149f, 0x1p-126f, 0x1p-101f, 0x1p-100f, 0x1p-60f,
				       0x1p60f, 0x1p100f, 0x1.fffffep127f };
	struct ks_rng rng = { 3 };
	struct problem p;

	for (size_t t = 0; t < ARRAY_SIZE(all_types); t++) {
		uint32_t in_n = in_of(all_types[t], 2);

		problem_init(&p, all_types[t], ARRAY_SIZE(scale), in_n, 16);
		fill_weights(p.weights, all_types[t], in_n * 16ull, false, &rng);
		for (uint64_t i = 0; i < ARRAY_SIZE(scale) * in_n; i++)
			p.src[i] = ks_unit(&rng) * scale[i / in_n];
		check_isas(&p);
		ks_fini(&p.ks);
	}
}

/* All bytes the same, but for f16 numbers if they shall be @sane. */
static void fill_byte(struct problem *p, uint8_t byte, bool sane)
{
	const uint64_t bytes = p->cmd.out_n * hk_row_bytes(p->cmd.type, p->cmd.in_n);
	int at[2];

	f16_fields(p->cmd.type, at);
	memset(p->weights, byte, bytes);
	for (uint64_t b = 0; sane && b < bytes; b += hk_type(p->cmd.type)->bytes) {
		for (int k = 0; k < 2 && at[k] >= 0; k++)
			put_f16(p->weights + b + at[k], k ? 0.75f : 0.5f);
	}
}

/*
 * All weights and activations at their limits: integer sums must not saturate.
 * The input rows are all 127, all -127, and mixtures of both; there is one for
 * each kernel of a single row as well.
 */
static void test_extreme_integers(void **state)
{
	static const uint8_t fills[] = { 0x7f, 0x80, 0xff, 0x00, 0x88, 0x0f, 0xf0, 0x81 };
	static const uint32_t rows[] = { 1, 9 };
	struct problem p;

	for (size_t f = 0; f < 4 * ARRAY_SIZE(fills); f++) {
		for (size_t t = 3; t < ARRAY_SIZE(all_types); t++) {
			uint32_t in_n = in_of(all_types[t], 2), n = rows[f % 2];

			problem_init(&p, all_types[t], n, in_n, 16);
			fill_byte(&p, fills[f / 4], f & 2);
			for (uint64_t i = 0; i < (uint64_t)n * in_n; i++) {
				uint64_t row = i / in_n % 4;
				bool minus = row == 1 || (row == 2 && i % 3 == 0) ||
					     (row == 3 && i % 2);

				p.src[i] = minus ? -127.0f : 127.0f;
			}
			check_isas(&p);
			ks_fini(&p.ks);
		}
	}
}

/*
 * A block of 256 whose integer sum is as large as it gets, and what each element
 * adds to it: @weight, or @min with a scale for the minima alone.
 */
static const struct largest {
	unsigned int type;
	uint8_t fill, scales, min_scales;
	int32_t weight, min;
} largest[] = {
	{ HEARTH_TYPE_Q2_K, 0xff, 0x0f, 0xf0, 3 * 15, 15 },
	{ HEARTH_TYPE_Q3_K, 0x00, 0x00, 0x00, -4 * -32, 0 },
	{ HEARTH_TYPE_Q4_K, 0xff, 0xff, 0xff, 15 * 63, 63 },
	{ HEARTH_TYPE_Q5_K, 0xff, 0xff, 0xff, 31 * 63, 63 },
	{ HEARTH_TYPE_Q6_K, 0x00, 0x80, 0x80, -32 * -128, 0 },
	{ HEARTH_TYPE_IQ4_XS, 0x00, 0x00, 0x00, -127 * -32, 0 },
};

/* The other scale is 0. */
static void fill_largest(struct problem *p, const struct largest *l, bool min)
{
	const struct hk_type *t = hk_type(l->type);
	int at[2];

	f16_fields(l->type, at);
	for (uint32_t o = 0; o < p->cmd.out_n; o++) {
		uint8_t *w = p->weights + o * t->bytes;

		memset(w, l->fill, t->bytes);
		if (l->type == HEARTH_TYPE_Q2_K)
			memset(w, min ? l->min_scales : l->scales, 16);
		if (l->type == HEARTH_TYPE_Q6_K)
			memset(w + 192, l->scales, 16);
		put_f16(w + at[0], min ? 0 : 1);
		if (at[1] >= 0)
			put_f16(w + at[1], min ? 1 : 0);
	}
}

/*
 * Rows that are all 127 or -127, some with another first element: sums between
 * two floats, and in the middle of them. In the last one all but one element are
 * below half a step of a block of 256. Returns the row's sum.
 */
static int32_t fill_bound_row(float *x, uint32_t row)
{
	const int sign = row % 2 ? -1 : 1, less = (int)(row / 2);

	for (int i = 0; i < 256; i++)
		x[i] = row == 8 ? 0.25f : (float)(sign * 127);
	if (row == 8) {
		x[200] = 127;
		return 127;
	}
	x[0] = (float)(sign * (127 - less));
	return sign * (127 * 256 - less);
}

static void check_bound(struct problem *p, const struct largest *l, bool min, uint32_t first)
{
	int32_t each = min ? -l->min : l->weight;
	const struct hk_isa *isa;
	int32_t sum[9];

	fill_largest(p, l, min);
	for (uint32_t r = 0; r < p->cmd.rows; r++)
		sum[r] = fill_bound_row(p->src + 256 * r, first + r);
	for (unsigned int k = 0; (isa = hk_isa_list(k)); k++) {
		run_on(p, isa, NULL);
		for (uint64_t i = 0; i < p->out; i++) {
			float want = (float)((int64_t)each * sum[i / p->cmd.out_n]);

			if (p->dst[i] != want)
				fail_msg("%s, %s, row %u: %.9g, want %.9g", hk_type_name(l->type),
					 hk_isa_name(isa), first + (uint32_t)i / p->cmd.out_n,
					 p->dst[i], want);
		}
	}
	check_isas(p);
}

/* Largest sums of a block of 256, of either sign; one row of input, and many. */
static void test_k_bounds(void **state)
{
	struct problem p;

	for (size_t t = 0; t < ARRAY_SIZE(largest); t++) {
		for (int min = 0; min <= hk_type(largest[t].type)->min; min++) {
			problem_init(&p, largest[t].type, 9, 256, 19);
			check_bound(&p, &largest[t], min, 0);
			ks_fini(&p.ks);
			for (uint32_t r = 0; r < 9; r++) {
				problem_init(&p, largest[t].type, 1, 256, 19);
				check_bound(&p, &largest[t], min, r);
				ks_fini(&p.ks);
			}
		}
	}
}

/*
 * Small integers with one of 127 in each block have the scale 1 and are
 * exact; so are the outputs, if the scales of the weights are powers of two.
 */
static void test_exact(void **state)
{
	struct ks_rng rng = { 4 };
	const uint32_t in_n = 96, out_n = 19, rows = 4;
	const struct hk_isa *isa;
	struct problem p;

	problem_init(&p, HEARTH_TYPE_Q8_0, rows, in_n, out_n);
	fill_weights(p.weights, HEARTH_TYPE_Q8_0, in_n * out_n, false, &rng);
	for (uint32_t b = 0; b < in_n / 32 * out_n; b++)
		put_f16(p.weights + b * 34, b % 2 ? 0.25f : 0.5f);
	for (uint32_t i = 0; i < rows * in_n; i++)
		p.src[i] = i % 32 == 5 ? -127.0f : (float)(int)(ks_u32(&rng) % 255) - 127;
	for (unsigned int k = 0; (isa = hk_isa_list(k)); k++) {
		run_on(&p, isa, NULL);
		for (uint32_t i = 0; i < rows * out_n; i++) {
			double want = 0;

			for (uint32_t j = 0; j < in_n; j++) {
				uint32_t b = (i % out_n) * (in_n / 32) + j / 32;
				int8_t q = (int8_t)p.weights[b * 34 + 2 + j % 32];

				want += (b % 2 ? 0.25 : 0.5) * q * p.src[i / out_n * in_n + j];
			}
			assert_true((double)p.dst[i] == want);
		}
	}
	ks_fini(&p.ks);
}

static void get_rows(struct problem *p, struct hk_exec *ex, float *table, uint32_t out_n)
{
	int32_t *ids = ks_alloc(&p->ks, out_n * 4);
	struct hearth_cmd_get_rows c = {
		.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
		.table = p->cmd.weights,
		.ids = ks_va(&p->ks, ids),
		.dst = ks_va(&p->ks, table),
		.rows = out_n, .cols = p->cmd.in_n, .n = out_n,
		.type = p->cmd.type,
	};

	for (uint32_t i = 0; i < out_n; i++)
		ids[i] = (int32_t)i;
	ks_run(&p->ks, ex, &c);
}

/*
 * The error of an output is at most what rounding the input to a step of
 * amax / 127 per block can make, and some rounding of the sums.
 */
static void check_output(const struct problem *p, const float *w, uint32_t row, uint32_t o)
{
	const float *x = p->src + (uint64_t)row * p->cmd.in_n;
	const uint32_t block = hk_type(p->cmd.type)->elements == 256 ? 256 : 32;
	double want = 0, bound = 0, size = 0;

	for (uint32_t b = 0; b < p->cmd.in_n; b += block) {
		uint32_t n = p->cmd.in_n - b < block ? p->cmd.in_n - b : block;
		double amax = 0, sum = 0;

		for (uint32_t k = b; k < b + n; k++) {
			amax = fmax(amax, fabs(x[k]));
			sum += fabs(w[k]);
			want += (double)w[k] * x[k];
			size += fabs((double)w[k] * x[k]);
		}
		if (hk_type(p->cmd.type)->unit)
			bound += sum * amax / 127 * 0.5001;
	}
	bound += size * p->cmd.in_n * 0x1p-23;
	/* Offsets cancel: their terms are larger than what they sum to. */
	bound += 1e-4 * (hk_type(p->cmd.type)->min ? 1 : 0);
	if (fabs(p->dst[(uint64_t)row * p->cmd.out_n + o] - want) > bound)
		fail_msg("%s: output %u, %u is %g, want %g +- %g", hk_type_name(p->cmd.type),
			 row, o, p->dst[(uint64_t)row * p->cmd.out_n + o], want, bound);
}

static void test_close_to_exact(void **state)
{
	struct ks_rng rng = { 5 };
	const uint32_t rows = 3, out_n = 18;

	for (size_t t = 0; t < ARRAY_SIZE(all_types); t++) {
		uint32_t in_n = in_of(all_types[t], 3);
		struct hk_exec *ex = hk_exec_create(NULL, NULL);
		struct problem p;
		float *w;

		problem_init(&p, all_types[t], rows, in_n, out_n);
		w = ks_alloc(&p.ks, (size_t)in_n * out_n * 4);
		fill_weights(p.weights, all_types[t], in_n * out_n, false, &rng);
		for (uint32_t i = 0; i < rows * in_n; i++)
			p.src[i] = ks_unit(&rng);
		get_rows(&p, ex, w, out_n);
		ks_run(&p.ks, ex, &p.cmd);
		for (uint32_t i = 0; i < rows * out_n; i++)
			check_output(&p, w + (uint64_t)(i % out_n) * in_n, i / out_n,
				     i % out_n);
		hk_exec_destroy(ex);
		ks_fini(&p.ks);
	}
}

/* Infinity or NaN in a block makes the row's outputs NaN, and no other row's. */
static void test_not_finite(void **state)
{
	static const float bad[] = { INFINITY, -INFINITY, NAN };
	struct ks_rng rng = { 6 };
	const struct hk_isa *isa;

	for (size_t b = 0; b < ARRAY_SIZE(bad); b++) {
		struct problem p;

		problem_init(&p, HEARTH_TYPE_Q4_0, 3, 64, 20);
		fill_weights(p.weights, HEARTH_TYPE_Q4_0, 64 * 20, false, &rng);
		for (int i = 0; i < 3 * 64; i++)
			p.src[i] = ks_unit(&rng);
		p.src[64 + 40] = bad[b];
		for (unsigned int k = 0; (isa = hk_isa_list(k)); k++) {
			run_on(&p, isa, NULL);
			for (int i = 0; i < 60; i++) {
				if (i / 20 == 1)
					assert_int_equal(ks_bits(p.dst[i]), HK_F32_NAN);
				else
					assert_true(isfinite(p.dst[i]));
			}
		}
		ks_fini(&p.ks);
	}
}

static void check_threads_and_windows(unsigned int type)
{
	static const uint64_t windows[] = { 0, 1, 4096, 100000, 1u << 20 };
	struct ks_rng rng = { 7 };
	struct problem p;
	float *want;

	problem_init(&p, type, HK_MATMUL_ROWS + 6, 256, 1000);
	fill_matrix(p.weights, type, 256, 1000, &rng);
	for (int i = 0; i < (HK_MATMUL_ROWS + 6) * 256; i++)
		p.src[i] = ks_unit(&rng);
	run_on(&p, NULL, NULL);
	want = malloc(p.out * 4);
	memcpy(want, p.dst, p.out * 4);
	for (unsigned int threads = 1; threads <= 5; threads += 2) {
		struct hk_pool *pool = hk_pool_create(threads);

		for (size_t w = 0; w < ARRAY_SIZE(windows); w++) {
			p.ks.space.window = windows[w];
			p.ks.maps = 0;
			run_on(&p, NULL, pool);
			assert_memory_equal(p.dst, want, p.out * 4);
		}
		hk_pool_destroy(pool);
	}
	/* 4 KiB windows: 15 rows of 272 bytes fit, 16 are mapped, twice: two passes. */
	p.ks.space.window = 4096;
	p.ks.maps = 0;
	run_on(&p, NULL, NULL);
	assert_int_equal(p.ks.maps, 2 + 2 * ((1000 + 15) / 16));
	free(want);
	ks_fini(&p.ks);
}

/* Neither threads nor windows show in the output. */
static void test_threads_and_windows(void **state)
{
	check_threads_and_windows(HEARTH_TYPE_Q8_0);
	check_threads_and_windows(HEARTH_TYPE_Q8_0_R8);
}

/* Three matrices that meet one input, as a stream. */
struct stream {
	struct kspace ks;
	struct hearth_cmd_matmul cmd[3];
	float *dst[3], *want[3];
};

static void stream_init(struct stream *s, const unsigned int types[3], uint32_t rows)
{
	static const uint32_t out_n[3] = { 33, 16, 50 };
	struct ks_rng rng = { 9 };
	float *src;

	ks_init(&s->ks);
	src = ks_alloc(&s->ks, rows * 256 * sizeof(*src));
	for (uint32_t i = 0; i < rows * 256; i++)
		src[i] = ks_unit(&rng);
	for (int i = 0; i < 3; i++) {
		void *w = ks_alloc(&s->ks, out_n[i] * hk_row_bytes(types[i], 256));

		fill_matrix(w, types[i], 256, out_n[i], &rng);
		s->dst[i] = ks_alloc(&s->ks, rows * out_n[i] * sizeof(float));
		s->cmd[i] = (struct hearth_cmd_matmul){
			.hdr = KS_HDR(MATMUL, hearth_cmd_matmul),
			.weights = ks_va(&s->ks, w), .src = ks_va(&s->ks, src),
			.dst = ks_va(&s->ks, s->dst[i]),
			.rows = rows, .in_n = 256, .out_n = out_n[i], .type = (uint8_t)types[i],
		};
	}
}

/* How many commands the first call runs, from the @first on. */
static unsigned int first_call(struct stream *s, struct hk_exec *ex, unsigned int first)
{
	struct hk_fault fault = { .op_index = 40 };
	int ret = hk_exec_one(ex, &s->ks.space, &s->cmd[first].hdr,
			      (3 - first) * sizeof(s->cmd[0]), &fault);

	assert_true(ret > 0);
	assert_int_equal(s->ks.live_maps, 0);
	assert_int_equal(ret % sizeof(s->cmd[0]), 0);
	assert_int_equal(fault.op_index, 40 + ret / sizeof(s->cmd[0]) - 1);
	return (unsigned int)(ret / sizeof(s->cmd[0]));
}

static void check_joined(const unsigned int types[3], uint32_t rows, unsigned int threads,
			 unsigned int joined)
{
	struct hk_pool *pool = hk_pool_create(threads);
	struct hk_exec *ex = hk_exec_create(NULL, pool);
	struct stream s;

	stream_init(&s, types, rows);
	for (int i = 0; i < 3; i++) {
		size_t bytes = rows * s.cmd[i].out_n * sizeof(float);

		ks_run(&s.ks, ex, &s.cmd[i]);
		s.want[i] = malloc(bytes);
		memcpy(s.want[i], s.dst[i], bytes);
		memset(s.dst[i], 0xa5, bytes);
	}
	assert_int_equal(first_call(&s, ex, 0), joined);
	for (unsigned int i = joined; i < 3; i++)
		ks_run(&s.ks, ex, &s.cmd[i]);
	for (int i = 0; i < 3; i++) {
		assert_memory_equal(s.dst[i], s.want[i], rows * s.cmd[i].out_n * sizeof(float));
		free(s.want[i]);
	}
	hk_exec_destroy(ex);
	hk_pool_destroy(pool);
	ks_fini(&s.ks);
}

/* Matrices of one input run together, whatever their types of the same blocks. */
static void test_joined(void **state)
{
	static const unsigned int small[] = { HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q8_0, HEARTH_TYPE_Q5_0 };
	static const unsigned int large[] = { HEARTH_TYPE_Q4_K, HEARTH_TYPE_Q4_K, HEARTH_TYPE_Q6_K };
	static const unsigned int mixed[] = { HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q6_K };
	static const unsigned int r8[] = { HEARTH_TYPE_Q4_K, HEARTH_TYPE_Q4_K_R8, HEARTH_TYPE_Q6_K };
	static const unsigned int dense[] = { HEARTH_TYPE_F16, HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q4_0 };

	for (unsigned int threads = 1; threads <= 3; threads += 2) {
		for (uint32_t rows = 1; rows <= HK_MATMUL_ROWS + 2; rows += HK_MATMUL_ROWS + 1) {
			check_joined(small, rows, threads, 3);
			check_joined(large, rows, threads, 3);
			check_joined(r8, rows, threads, 3);
			check_joined(mixed, rows, threads, 2);
			check_joined(dense, rows, threads, 1);
		}
	}
}

/* What does not fit comes by itself: another input, what the first writes, windows, faults. */
static void test_not_joined(void **state)
{
	static const unsigned int types[] = { HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q4_0 };
	struct hk_exec *ex = hk_exec_create(NULL, NULL);
	struct hearth_cmd_matmul next;
	struct stream s;

	stream_init(&s, types, 2);
	next = s.cmd[1];
	assert_int_equal(first_call(&s, ex, 0), 3);
	s.cmd[1].src += 256 * sizeof(float);
	s.cmd[1].rows = 1;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1].src = s.cmd[0].src;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1] = next;
	s.cmd[1].dst = s.cmd[0].dst;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1].dst = s.cmd[0].weights;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1].dst = next.dst;
	s.cmd[1].weights = s.cmd[0].dst - 100;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1] = next;
	s.cmd[2].dst = s.cmd[1].weights;
	assert_int_equal(first_call(&s, ex, 0), 2);
	s.cmd[1].reserved[0] = 1;
	assert_int_equal(first_call(&s, ex, 0), 1);
	s.cmd[1] = next;
	s.cmd[1].weights = 1ull << 36;
	assert_int_equal(first_call(&s, ex, 0), 1);
	ks_fail(&s.ks, ex, &s.cmd[1], -EFAULT, HEARTH_HW_ERR_READ, NULL);
	s.cmd[1] = next;
	s.ks.space.window = 1 << 20;
	assert_int_equal(first_call(&s, ex, 0), 1);
	assert_int_equal(first_call(&s, ex, 2), 1);
	hk_exec_destroy(ex);
	ks_fini(&s.ks);
}

static void test_fault_in_weights(void **state)
{
	struct hk_exec *ex = hk_exec_create(NULL, NULL);
	struct problem p;

	problem_init(&p, HEARTH_TYPE_Q8_0, 1, 256, 64);
	p.ks.space.window = 1;
	for (unsigned long i = 1; i <= 6; i++) {
		p.ks.fail_map = i;
		ks_fail(&p.ks, ex, &p.cmd, -EFAULT,
			i == 2 ? HEARTH_HW_ERR_WRITE : HEARTH_HW_ERR_READ, NULL);
	}
	ks_run(&p.ks, ex, &p.cmd);
	hk_exec_destroy(ex);
	ks_fini(&p.ks);
}

static void test_refuses(void **state)
{
	struct hk_exec *ex = hk_exec_create(NULL, NULL);
	struct hearth_cmd_matmul good, c;
	struct problem p;

	problem_init(&p, HEARTH_TYPE_Q4_0, 2, 64, 8);
	good = p.cmd;
#define REFUSED(member, value, name) do {						\
		c = good;								\
		c.member = value;							\
		ks_fail(&p.ks, ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, name);		\
	} while (0)
	REFUSED(type, HEARTH_TYPE_I8, "type");
	REFUSED(type, 15, "type");
	REFUSED(type, 31, "type");
	REFUSED(type, 37, "type");
	REFUSED(type, 255, "type");
	REFUSED(rows, 0, "rows");
	REFUSED(in_n, 0, "out_n");
	REFUSED(in_n, 48, "in_n");
	REFUSED(out_n, 0, "out_n");
	REFUSED(out_n, HEARTH_CMD_MAX_DIM + 1, "out_n");
	REFUSED(weights, good.weights + 1, "weights");
	REFUSED(weights, (1ull << 39) - 2, "weights");
	REFUSED(src, good.src + 2, "src");
	REFUSED(dst, good.dst + 1, "dst");
	REFUSED(dst, good.src, "dst");
	REFUSED(dst, good.weights, "dst");
	REFUSED(reserved[2], 1, "reserved");
	c = good;
	c.rows = HEARTH_CMD_MAX_DIM;
	c.in_n = 8192;	/* 2^37 elements */
	ks_fail(&p.ks, ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "rows");
	good.type = HEARTH_TYPE_Q4_0_R8;
	ks_run(&p.ks, ex, &good);
	REFUSED(out_n, 4, "out_n");
	REFUSED(out_n, 9, "out_n");
	REFUSED(in_n, 48, "in_n");
	REFUSED(type, HEARTH_TYPE_Q4_K_R8, "in_n");
	REFUSED(weights, good.weights + 1, "weights");
	REFUSED(weights, (1ull << 39) - 8 * 36 + 2, "weights");
	REFUSED(dst, good.weights + 8 * 36 - 4, "dst");
	hk_exec_destroy(ex);
	ks_fini(&p.ks);
}

/* Relative difference of a tensor's rows in two files, as vectors. */
static double difference(const struct gguf_tensor *a, const struct gguf_tensor *b,
			 unsigned int type_b, uint32_t cols, uint32_t rows)
{
	double diff = 0, size = 0;
	float *x = malloc(cols * 4), *y = malloc((size_t)b->dims[0] * 4);

	for (uint32_t r = 0; r < rows; r++) {
		const uint8_t *ra = (const uint8_t *)a->data + r * a->row_bytes;
		const uint8_t *rb = (const uint8_t *)b->data + r * b->row_bytes;

		for (uint32_t i = 0; i < cols; i++)
			x[i] = hk_load_f16(ra + 2 * i);
		for (uint32_t i = 0; i < b->dims[0]; i += hk_type(type_b)->elements) {
			struct hk_qblock q = { 0 };

			hk_decode(type_b, rb, &q);
			rb += hk_type(type_b)->bytes;
			for (uint32_t k = 0; k < hk_type(type_b)->elements; k++)
				y[i + k] = (float)q.q[k] * q.d[k / hk_type(type_b)->unit] +
					   q.m[k / hk_type(type_b)->unit];
		}
		for (uint32_t i = 0; i < cols; i++) {
			diff += (x[i] - y[i]) * (double)(x[i] - y[i]);
			size += (double)x[i] * x[i];
		}
	}
	free(x);
	free(y);
	return sqrt(diff / size);
}

/* The same weights, quantized by llama.cpp: the layouts are ggml's. */
static void test_formats_of_real_files(void **state)
{
	static const struct {
		const char *file, *tensor;
		unsigned int gguf, type;
		double most;
	} cases[] = {
		{ "stories3M-Q4_0", "blk.0.ffn_up.weight", GGUF_TYPE_Q4_0, HEARTH_TYPE_Q4_0, .12 },
		{ "stories3M-Q4_1", "blk.0.ffn_up.weight", GGUF_TYPE_Q4_1, HEARTH_TYPE_Q4_1, .12 },
		{ "stories3M-Q5_0", "blk.0.ffn_up.weight", GGUF_TYPE_Q5_0, HEARTH_TYPE_Q5_0, .06 },
		{ "stories3M-Q5_1", "blk.0.ffn_up.weight", GGUF_TYPE_Q5_1, HEARTH_TYPE_Q5_1, .06 },
		{ "stories3M-Q8_0", "blk.0.ffn_up.weight", GGUF_TYPE_Q8_0, HEARTH_TYPE_Q8_0, .01 },
		{ "stories3M-pad256-Q2_K", "blk.0.ffn_up.weight", GGUF_TYPE_Q2_K,
		  HEARTH_TYPE_Q2_K, .4 },
		{ "stories3M-pad256-Q2_K", "blk.0.attn_v.weight", GGUF_TYPE_Q3_K,
		  HEARTH_TYPE_Q3_K, .25 },
		{ "stories3M-pad256-Q2_K", "blk.0.ffn_down.weight", GGUF_TYPE_Q3_K,
		  HEARTH_TYPE_Q3_K, .25 },
		{ "stories3M-pad256-Q4_K_M", "blk.0.ffn_up.weight", GGUF_TYPE_Q4_K,
		  HEARTH_TYPE_Q4_K, .12 },
		{ "stories3M-pad256-Q5_K_M", "blk.0.ffn_up.weight", GGUF_TYPE_Q5_K,
		  HEARTH_TYPE_Q5_K, .06 },
		{ "stories3M-pad256-Q6_K", "blk.0.ffn_up.weight", GGUF_TYPE_Q6_K,
		  HEARTH_TYPE_Q6_K, .03 },
	};
	const char *dir = models_dir();
	struct gguf *f16, *g;
	int checked = 0;
	char path[512];

	if (!dir)
		skip();
	snprintf(path, sizeof(path), "%s/llm-gguf/stories3M-f16.gguf", dir);
	assert_int_equal(gguf_open(path, &f16, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct gguf_tensor *a, *b;
		double d;

		snprintf(path, sizeof(path), "%s/llm-gguf/%s.gguf", dir, cases[i].file);
		assert_int_equal(gguf_open(path, &g, NULL), 0);
		a = gguf_find_tensor(f16, cases[i].tensor);
		b = gguf_find_tensor(g, cases[i].tensor);
		assert_non_null(a);
		assert_non_null(b);
		if (b->type == cases[i].gguf) {
			d = difference(a, b, cases[i].type, (uint32_t)a->dims[0],
				       (uint32_t)a->dims[1] < 64 ? (uint32_t)a->dims[1] : 64);
			print_message("%s: relative difference %.4f\n",
				      hk_type_name(cases[i].type), d);
			assert_true(d < cases[i].most);
			checked++;
		}
		gguf_close(g);
	}
	gguf_close(f16);
	/* One of the two tensors for Q3_K may be of another type. */
	assert_true(checked >= (int)ARRAY_SIZE(cases) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_bits),
		cmocka_unit_test(test_every_tail),
		cmocka_unit_test(test_same_bits_odd_numbers),
		cmocka_unit_test(test_same_bits_scales),
		cmocka_unit_test(test_extreme_integers),
		cmocka_unit_test(test_k_bounds),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_close_to_exact),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_threads_and_windows),
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_not_joined),
		cmocka_unit_test(test_fault_in_weights),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_formats_of_real_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
