// SPDX-License-Identifier: MIT
/*
 * The 8-bit ops on every ISA of the host and several threads, against a model
 * in int8_model.c, with shapes and values at random and at the extremes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "int8_model.h"
#include "kernel_bench.h"

static struct bench bench;

static int setup(void **state)
{
	bench_open(&bench);
	return 0;
}

static int teardown(void **state)
{
	bench_close(&bench);
	return 0;
}

static uint32_t rnd(uint32_t n)
{
	return bench_random(&bench, n);
}

static uint64_t place(unsigned int slot, size_t bytes)
{
	uint64_t va = bench_va(slot, bytes);

	bench_fill(&bench, va, bytes);
	return va;
}

static uint8_t random_type(void)
{
	return rnd(2) ? HEARTH_TYPE_I8 : HEARTH_TYPE_U8;
}

/* Any zero point of the type, often an extreme one */
static uint32_t random_zero(unsigned int type)
{
	int32_t lo = type == HEARTH_TYPE_I8 ? -128 : 0;

	switch (rnd(4)) {
	case 0:
		return (uint32_t)lo;
	case 1:
		return (uint32_t)(lo + 255);
	default:
		return (uint32_t)(lo + (int32_t)rnd(256));
	}
}

static void random_act(unsigned int type, uint32_t *min, uint32_t *max)
{
	int32_t a = (int32_t)random_zero(type), b = (int32_t)random_zero(type);
	int32_t lo = type == HEARTH_TYPE_I8 ? -128 : 0;

	if (rnd(2)) {
		a = lo;
		b = lo + 255;
	}
	*min = (uint32_t)(a < b ? a : b);
	*max = (uint32_t)(a < b ? b : a);
}

/* Any legal one, but mostly such that results are not all clamped */
static struct hearth_requant random_requant(int likely)
{
	struct hearth_requant rq = {
		.multiplier = (1u << 30) + rnd(1u << 30),
		.shift = (uint32_t)(likely + (int32_t)rnd(7) - 3),
	};

	/* Sums of which halves are to be rounded */
	if (!rnd(4))
		rq.multiplier = (2 + rnd(2)) << 29;
	if (!rnd(6)) {
		rq.multiplier = rnd(2) ? rnd(2) * INT32_MAX : rnd(1u << 31);
		rq.shift = (uint32_t)bench_range(&bench, -31, 30);
	}
	return rq;
}

static uint64_t random_requants(unsigned int slot, uint32_t n, int likely)
{
	uint64_t va = bench_va(slot, n * sizeof(struct hearth_requant));
	struct hearth_requant *rq = bench_ptr(&bench, va);

	for (uint32_t i = 0; i < n; i++)
		rq[i] = random_requant(likely);
	return va;
}

/* None, small or any */
static uint64_t random_bias(unsigned int slot, uint32_t n)
{
	uint64_t va = bench_va(slot, n * sizeof(int32_t));
	int32_t *bias = bench_ptr(&bench, va);
	uint32_t kind = rnd(3);

	if (!kind)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		bias[i] = kind == 1 ? bench_range(&bench, -5000, 5000) :
			  bench_range(&bench, INT32_MIN, INT32_MAX);
	return va;
}

/* log2 of a sum's usual size, as a shift that brings it to 7 bits */
static int likely_shift(uint64_t terms)
{
	int bits = 0;

	while (terms >> bits)
		bits++;
	return -(13 + bits / 2 - 7);
}

static void conv_operands(struct hearth_cmd_conv_2d *c, uint32_t weights_in)
{
	uint32_t terms = c->k_h * c->k_w * weights_in;

	c->src_type = random_type();
	c->weights_type = random_type();
	c->dst_type = random_type();
	c->src_zero = random_zero(c->src_type);
	c->weights_zero = random_zero(c->weights_type);
	c->dst_zero = random_zero(c->dst_type);
	random_act(c->dst_type, &c->act_min, &c->act_max);
	c->src = place(0, (size_t)c->batch * c->in_h * c->in_w * c->in_c);
	c->weights = place(1, (size_t)c->out_c * terms);
	c->bias = random_bias(2, c->out_c);
	c->requant = random_requants(3, c->out_c, likely_shift(terms));
	c->dst = place(4, (size_t)c->batch * c->out_h * c->out_w * c->out_c);
}

static uint32_t pick(const uint32_t *of, size_t n)
{
	return of[rnd((uint32_t)n)];
}

#define PICK(...)						\
	pick((const uint32_t[]){ __VA_ARGS__ },			\
	     sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

/* Windows may start before the input, end behind it and miss it altogether. */
static void conv_window(struct hearth_cmd_conv_2d *c)
{
	c->batch = 1 + rnd(2);
	c->in_h = 1 + rnd(10);
	c->in_w = 1 + rnd(10);
	c->out_h = 1 + rnd(9);
	c->out_w = 1 + rnd(9);
	c->k_h = PICK(1, 1, 2, 3, 5);
	c->k_w = PICK(1, 1, 2, 3, 4);
	c->stride_h = PICK(1, 1, 2, 3);
	c->stride_w = PICK(1, 1, 2, 5);
	c->dilation_h = PICK(1, 1, 2, 4);
	c->dilation_w = PICK(1, 1, 3);
	c->pad_top = rnd(c->k_h * c->dilation_h + 2);
	c->pad_left = rnd(c->k_w * c->dilation_w + 2);
}

static void conv_test(void **state)
{
	for (int i = 0; i < 500; i++) {
		struct hearth_cmd_conv_2d c = {
			.hdr = { .op = HEARTH_OP_CONV_2D, .bytes = sizeof(c) },
		};
		uint32_t in_cg;

		conv_window(&c);
		c.groups = PICK(1, 1, 1, 2, 3);
		in_cg = PICK(1, 2, 3, 4, 7, 8, 15, 16, 17, 33);
		c.in_c = in_cg * c.groups;
		c.out_c = c.groups * PICK(1, 3, 8, 15, 16, 17, 24, 40);
		conv_operands(&c, in_cg);
		bench_check(&bench, &c, model_conv);
	}
}

/* Enough pixels for several blocks of windows, and for all threads */
static void conv_large_test(void **state)
{
	struct hearth_cmd_conv_2d c = {
		.hdr = { .op = HEARTH_OP_CONV_2D, .bytes = sizeof(c) },
		.batch = 2, .in_h = 13, .in_w = 17, .in_c = 37,
		.out_h = 13, .out_w = 17, .out_c = 35, .k_h = 3, .k_w = 3,
		.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1,
		.pad_top = 1, .pad_left = 1, .groups = 1,
	};

	for (int i = 0; i < 3; i++) {
		conv_operands(&c, c.in_c);
		bench_check(&bench, &c, model_conv);
	}
}

static void depthwise_test(void **state)
{
	for (int i = 0; i < 500; i++) {
		struct hearth_cmd_conv_2d c = {
			.hdr = { .op = HEARTH_OP_DEPTHWISE_CONV_2D, .bytes = sizeof(c) },
		};

		conv_window(&c);
		c.in_c = PICK(1, 2, 5, 8, 15, 16, 17, 31, 32, 40, 70);
		c.out_c = c.in_c * PICK(1, 1, 1, 2, 8, 9);
		c.groups = c.in_c;
		conv_operands(&c, 1);
		bench_check(&bench, &c, model_conv);
	}
}

/* Sums that wrap: all products of one sign at their largest, over and over */
static void wrap_test(void **state)
{
	struct hearth_cmd_fully_connected c = {
		.hdr = { .op = HEARTH_OP_FULLY_CONNECTED, .bytes = sizeof(c) },
		.in_n = 40000, .out_n = 3, .rows = 1,
		.act_min = 0, .act_max = 255,
		.src_type = HEARTH_TYPE_U8, .weights_type = HEARTH_TYPE_U8,
		.dst_type = HEARTH_TYPE_U8,
	};

	for (c.rows = 1; c.rows < 8; c.rows += 6) {
		c.src = bench_va(0, (size_t)c.in_n * c.rows);
		c.weights = bench_va(1, (size_t)c.in_n * c.out_n);
		memset(bench_ptr(&bench, c.src), 255, (size_t)c.in_n * c.rows);
		memset(bench_ptr(&bench, c.weights), 255, (size_t)c.in_n * c.out_n);
		c.requant = random_requants(3, c.out_n, -22);
		c.dst = place(4, (size_t)c.out_n * c.rows);
		bench_check(&bench, &c, model_fully_connected);
	}
}

static void fully_connected_test(void **state)
{
	for (int i = 0; i < 400; i++) {
		struct hearth_cmd_fully_connected c = {
			.hdr = { .op = HEARTH_OP_FULLY_CONNECTED, .bytes = sizeof(c) },
			.rows = PICK(1, 1, 2, 4, 5, 7, 60),
			.in_n = PICK(1, 2, 15, 16, 17, 63, 64, 100, 640),
			.out_n = PICK(1, 2, 3, 4, 5, 16, 17, 50),
		};

		c.src_type = random_type();
		c.weights_type = random_type();
		c.dst_type = random_type();
		c.src_zero = random_zero(c.src_type);
		c.weights_zero = random_zero(c.weights_type);
		c.dst_zero = random_zero(c.dst_type);
		random_act(c.dst_type, &c.act_min, &c.act_max);
		c.src = place(0, (size_t)c.rows * c.in_n);
		c.weights = place(1, (size_t)c.out_n * c.in_n);
		c.bias = random_bias(2, c.out_n);
		c.requant = random_requants(3, c.out_n, likely_shift(c.in_n));
		c.dst = place(4, (size_t)c.rows * c.out_n);
		bench_check(&bench, &c, model_fully_connected);
	}
}

static void pool_one(unsigned int op, bench_model model)
{
	struct hearth_cmd_pool_2d c = {
		.hdr = { .op = op, .bytes = sizeof(c) },
		.batch = 1 + rnd(2), .in_h = 1 + rnd(9), .in_w = 1 + rnd(9),
		.channels = PICK(1, 3, 4, 7, 8, 31, 32, 33, 1025),
		.k_h = 1 + rnd(4), .k_w = 1 + rnd(4),
		.stride_h = 1 + rnd(3), .stride_w = 1 + rnd(3),
		.type = random_type(),
	};

	c.pad_top = rnd(c.k_h);
	c.pad_left = rnd(c.k_w);
	c.out_h = 1 + rnd((c.in_h + c.pad_top - 1) / c.stride_h + 1);
	c.out_w = 1 + rnd((c.in_w + c.pad_left - 1) / c.stride_w + 1);
	random_act(c.type, &c.act_min, &c.act_max);
	c.src = place(0, (size_t)c.batch * c.in_h * c.in_w * c.channels);
	c.dst = place(1, (size_t)c.batch * c.out_h * c.out_w * c.channels);
	bench_check(&bench, &c, model);
}

static void pool_test(void **state)
{
	for (int i = 0; i < 200; i++) {
		pool_one(HEARTH_OP_AVERAGE_POOL_2D, model_average_pool);
		pool_one(HEARTH_OP_MAX_POOL_2D, model_max_pool);
	}
}

/* In place, beside, and with inputs that repeat */
static void binary_one(unsigned int op, bench_model model)
{
	struct hearth_cmd_binary_q c = {
		.hdr = { .op = op, .bytes = sizeof(c) },
		.a_type = random_type(), .b_type = random_type(), .dst_type = random_type(),
	};
	uint32_t in_place = rnd(3);

	c.b_n = PICK(1, 3, 15, 16, 17, 100, 257, 1000);
	c.n = c.b_n * PICK(1, 1, 2, 7, 60);
	c.a_zero = random_zero(c.a_type);
	c.b_zero = random_zero(c.b_type);
	c.dst_zero = random_zero(c.dst_type);
	random_act(c.dst_type, &c.act_min, &c.act_max);
	if (op == HEARTH_OP_ADD_Q) {
		c.left_shift = rnd(3) ? 20 : rnd(21);
		c.a_scale = random_requant(-1);
		c.b_scale = random_requant(-1);
		c.dst_scale = random_requant(-(int)c.left_shift);
	} else {
		c.dst_scale = random_requant(-8);
	}
	c.a = place(0, c.n);
	c.b = place(1, c.b_n);
	c.dst = in_place == 1 ? c.a : in_place == 2 && c.n == c.b_n ? c.b : place(2, c.n);
	bench_check(&bench, &c, model);
}

static void binary_test(void **state)
{
	for (int i = 0; i < 400; i++) {
		binary_one(HEARTH_OP_ADD_Q, model_add);
		binary_one(HEARTH_OP_MUL_Q, model_mul);
	}
}

static uint32_t float_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/* Falling like an exponential, or any bits: NaN, infinities, negative numbers */
static uint64_t random_table(unsigned int slot)
{
	uint64_t va = place(slot, 256 * sizeof(float));
	float *table = bench_ptr(&bench, va), e = 1.0f;
	float ratio = 1.0f - (float)(1 + rnd(1000)) / 1001.0f;

	if (!rnd(4))
		return va;
	for (int d = 0; d < 256; d++, e *= ratio)
		table[255 - d] = e;
	return va;
}

static void softmax_test(void **state)
{
	for (int i = 0; i < 300; i++) {
		struct hearth_cmd_softmax_q c = {
			.hdr = { .op = HEARTH_OP_SOFTMAX_Q, .bytes = sizeof(c) },
			.rows = PICK(1, 2, 5, 300), .n = PICK(1, 2, 10, 12, 100, 1001),
			.dst_scale = float_bits(rnd(2) ? 1.0f / 256 : (float)(1 + rnd(99)) / 999),
			.src_type = random_type(), .dst_type = random_type(),
		};

		c.dst_zero = c.dst_type == HEARTH_TYPE_U8 ? 0 : (uint32_t)-128;
		if (!rnd(3))
			c.dst_zero = random_zero(c.dst_type);
		c.src = place(0, (size_t)c.rows * c.n);
		c.table = random_table(1);
		c.dst = rnd(2) ? c.src : place(2, (size_t)c.rows * c.n);
		bench_check(&bench, &c, model_softmax);
	}
}

static void lut8_test(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct hearth_cmd_lut8 c = {
			.hdr = { .op = HEARTH_OP_LUT8, .bytes = sizeof(c) },
			.n = PICK(1, 17, 256, 5000, 300000),
			.table = place(1, 256),
		};

		c.src = place(0, c.n);
		c.dst = rnd(2) ? c.src : place(2, c.n);
		bench_check(&bench, &c, model_lut8);
	}
}

/* Halves and what is beside them, large values, and any bits */
static uint64_t random_floats(unsigned int slot, uint32_t n, float scale)
{
	uint64_t va = place(slot, n * sizeof(float));
	float *f = bench_ptr(&bench, va);

	for (uint32_t i = 0; i < n; i++) {
		switch (rnd(4)) {
		case 0:
			break;
		case 1:
			f[i] = (float)(bench_range(&bench, -600, 600) * 0.5) * scale;
			break;
		case 2:
			f[i] = (float)bench_range(&bench, INT32_MIN, INT32_MAX);
			break;
		default:
			f[i] = (float)bench_range(&bench, -300000, 300000) * 1e-3f * scale;
		}
	}
	return va;
}

static void quantize_test(void **state)
{
	for (int i = 0; i < 100; i++) {
		float scale = (float)(1 + rnd(100000)) * 1e-5f;
		struct hearth_cmd_quantize c = {
			.hdr = { .op = HEARTH_OP_QUANTIZE, .bytes = sizeof(c) },
			.n = PICK(1, 7, 640, 40000), .scale = float_bits(scale),
			.type = random_type(),
		};

		c.zero = random_zero(c.type);
		c.src = random_floats(0, c.n, scale);
		c.dst = place(1, c.n);
		bench_check(&bench, &c, model_quantize);
		c.hdr.op = HEARTH_OP_DEQUANTIZE;
		c.src = place(0, c.n);
		c.dst = place(1, c.n * sizeof(float));
		bench_check(&bench, &c, model_dequantize);
	}
}

static void mean_test(void **state)
{
	for (int i = 0; i < 200; i++) {
		struct hearth_cmd_mean_q c = {
			.hdr = { .op = HEARTH_OP_MEAN_Q, .bytes = sizeof(c) },
			.outer = PICK(1, 2, 9), .n = PICK(1, 2, 49, 100),
			.inner = PICK(1, 3, 16, 1000, 1025), .type = random_type(),
		};

		c.src_zero = random_zero(c.type);
		c.dst_zero = random_zero(c.type);
		c.scale = random_requant(-(int)(c.n > 10 ? 6 : 1));
		c.src = place(0, (size_t)c.outer * c.n * c.inner);
		c.dst = place(1, (size_t)c.outer * c.inner);
		bench_check(&bench, &c, model_mean);
	}
}

static void move_test(void **state)
{
	for (int i = 0; i < 100; i++) {
		struct hearth_cmd_copy_2d copy = {
			.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(copy) },
			.row_bytes = 1 + rnd(100), .rows = 1 + rnd(50),
		};
		struct hearth_cmd_pad pad = {
			.hdr = { .op = HEARTH_OP_PAD, .bytes = sizeof(pad) },
			.value = rnd(256),
		};
		size_t n = 1, padded = 1;

		copy.src_stride = copy.row_bytes + rnd(3) * rnd(50);
		copy.dst_stride = copy.row_bytes + rnd(3) * rnd(50);
		copy.src = place(0, copy.src_stride * (copy.rows - 1) + copy.row_bytes);
		copy.dst = place(1, copy.dst_stride * (copy.rows - 1) + copy.row_bytes);
		bench_check(&bench, &copy, model_copy_2d);

		for (int d = 0; d < 4; d++) {
			pad.dims[d] = 1 + rnd(6);
			pad.before[d] = rnd(2) * rnd(4);
			pad.after[d] = rnd(2) * rnd(4);
			n *= pad.dims[d];
			padded *= pad.before[d] + pad.dims[d] + pad.after[d];
		}
		pad.src = place(0, n);
		pad.dst = place(1, padded);
		bench_check(&bench, &pad, model_pad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conv_test),
		cmocka_unit_test(conv_large_test),
		cmocka_unit_test(depthwise_test),
		cmocka_unit_test(fully_connected_test),
		cmocka_unit_test(wrap_test),
		cmocka_unit_test(pool_test),
		cmocka_unit_test(binary_test),
		cmocka_unit_test(softmax_test),
		cmocka_unit_test(lut8_test),
		cmocka_unit_test(quantize_test),
		cmocka_unit_test(mean_test),
		cmocka_unit_test(move_test),
	};

	return cmocka_run_group_tests_name("int8", tests, setup, teardown);
}
