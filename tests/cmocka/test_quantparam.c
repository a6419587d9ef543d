// SPDX-License-Identifier: MIT
/*
 * Parameters and tables of 8-bit networks, against outputs of TFLite.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_bench.h"
#include "kernels/quantparam.h"

typedef int (*lut_fn)(const struct hq_quant *in, const struct hq_quant *out, float alpha,
		      uint8_t table[256]);

struct lut_sample {
	lut_fn fn;
	struct hq_quant in, out;
	float alpha;
	uint64_t hash;
};

struct binary_sample {
	unsigned int op;
	struct hq_quant a, b, out;
	uint64_t hash;
};

struct mean_sample {
	struct hq_quant in, out;
	uint32_t n, inner;
	uint64_t hash;
};

struct softmax_sample {
	float scale, beta;
	unsigned int type;
	uint32_t n;
	uint64_t hash;
};

#define LUT(name, call)								\
	static int lut_##name(const struct hq_quant *in, const struct hq_quant *out, \
			      float alpha, uint8_t table[256])			\
	{									\
		return call;							\
	}

LUT(relu, hq_lut_relu(in, out, HQ_ACT_RELU, table))
LUT(relu1, hq_lut_relu(in, out, HQ_ACT_RELU_N1_TO_1, table))
LUT(relu6, hq_lut_relu(in, out, HQ_ACT_RELU6, table))
LUT(leaky_relu, hq_lut_leaky_relu(in, out, alpha, table))
LUT(logistic, hq_lut_logistic(in, out, table))
LUT(tanh, hq_lut_tanh(in, out, table))
LUT(hard_swish, hq_lut_hard_swish(in, out, table))
LUT(requantize, hq_lut_requantize(in, out, table))

#include "quantparam_sample.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static uint64_t fnv(const uint8_t *p, size_t n)
{
	uint64_t hash = 14695981039346656037ull;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ p[i]) * 1099511628211ull;
	return hash;
}

/* The input of all samples: the upper bytes of v = v * 1664525 + 1013904223 */
static void stream(uint8_t *p, size_t n)
{
	uint32_t v = 1;

	for (size_t i = 0; i < n; i++) {
		v = v * 1664525u + 1013904223u;
		p[i] = (uint8_t)(v >> 24);
	}
}

static void check_hash(const char *what, size_t i, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s sample %zu: output differs from TFLite's", what, i);
}

/* Input: all bytes in order */
static void lut_test(void **state)
{
	for (size_t i = 0; i < COUNT(lut_samples); i++) {
		const struct lut_sample *s = &lut_samples[i];
		uint8_t table[256];

		assert_int_equal(s->fn(&s->in, &s->out, s->alpha, table), 0);
		check_hash("table", i, fnv(table, sizeof(table)), s->hash);
	}
}

static void run(struct bench *b, const void *cmd)
{
	struct hk_fault fault;

	if (hk_exec_one(b->exec[0], &b->space, cmd, HEARTH_CMD_MAX_BYTES, &fault) < 0)
		fail_msg("%s", fault.field ? fault.field : "?");
}

/* Inputs: 64 bytes of the stream, and the same turned left by 7 */
static void binary_test(void **state)
{
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < COUNT(binary_samples); i++) {
		const struct binary_sample *s = &binary_samples[i];
		struct hearth_cmd_binary_q c = {
			.hdr = { .op = s->op, .bytes = sizeof(c) },
			.a = bench_va(0, 64), .b = bench_va(1, 64), .dst = bench_va(2, 64),
			.n = 64, .b_n = 64,
			.a_zero = (uint32_t)s->a.zero, .b_zero = (uint32_t)s->b.zero,
			.dst_zero = (uint32_t)s->out.zero,
			.a_type = s->a.type, .b_type = s->b.type, .dst_type = s->out.type,
		};
		uint8_t *x = bench_ptr(&b, c.a), *y = bench_ptr(&b, c.b);
		int32_t min, max;

		assert_int_equal(s->op == HEARTH_OP_ADD_Q ?
				 hq_add(s->a.scale, s->b.scale, s->out.scale, &c) :
				 hq_mul(s->a.scale, s->b.scale, s->out.scale, &c), 0);
		assert_int_equal(hq_act_range(&s->out, HQ_ACT_NONE, &min, &max), 0);
		c.act_min = (uint32_t)min;
		c.act_max = (uint32_t)max;
		stream(x, 64);
		memcpy(y, x + 7, 57);
		memcpy(y + 57, x, 7);
		run(&b, &c);
		check_hash("binary", i, fnv(bench_ptr(&b, c.dst), 64), s->hash);
	}
	bench_close(&b);
}

/* Input: the stream, as [2][n][inner] */
static void mean_test(void **state)
{
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < COUNT(mean_samples); i++) {
		const struct mean_sample *s = &mean_samples[i];
		size_t bytes = 2 * s->n * s->inner;
		struct hearth_cmd_mean_q c = {
			.hdr = { .op = HEARTH_OP_MEAN_Q, .bytes = sizeof(c) },
			.src = bench_va(0, bytes), .dst = bench_va(1, 2 * s->inner),
			.outer = 2, .n = s->n, .inner = s->inner,
			.src_zero = (uint32_t)s->in.zero, .dst_zero = (uint32_t)s->out.zero,
			.type = s->in.type,
		};

		assert_int_equal(hq_mean(s->in.scale, s->out.scale, s->n, &c.scale), 0);
		stream(bench_ptr(&b, c.src), bytes);
		run(&b, &c);
		check_hash("mean", i, fnv(bench_ptr(&b, c.dst), 2 * s->inner), s->hash);
	}
	bench_close(&b);
}

/* Input: the stream, as three rows */
static void softmax_test(void **state)
{
	const float dst_scale = 1.0f / 256;
	struct bench b;

	bench_open(&b);
	for (size_t i = 0; i < COUNT(softmax_samples); i++) {
		const struct softmax_sample *s = &softmax_samples[i];
		struct hearth_cmd_softmax_q c = {
			.hdr = { .op = HEARTH_OP_SOFTMAX_Q, .bytes = sizeof(c) },
			.src = bench_va(0, 3 * s->n), .table = bench_va(1, 1024),
			.dst = bench_va(2, 3 * s->n), .rows = 3, .n = s->n,
			.dst_zero = s->type == HEARTH_TYPE_I8 ? (uint32_t)-128 : 0,
			.src_type = s->type, .dst_type = s->type,
		};

		memcpy(&c.dst_scale, &dst_scale, sizeof(c.dst_scale));
		assert_int_equal(hq_softmax_table(s->scale, s->beta,
						  bench_ptr(&b, c.table)), 0);
		stream(bench_ptr(&b, c.src), 3 * s->n);
		run(&b, &c);
		check_hash("softmax", i, fnv(bench_ptr(&b, c.dst), 3 * s->n), s->hash);
	}
	bench_close(&b);
}

static void multiplier_is(double scale, uint32_t multiplier, int shift)
{
	struct hearth_requant rq;

	assert_int_equal(hq_multiplier(scale, &rq), 0);
	assert_int_equal(rq.multiplier, multiplier);
	assert_int_equal((int32_t)rq.shift, shift);
}

static void multiplier_test(void **state)
{
	struct hearth_requant rq;

	multiplier_is(1.0, 1u << 30, 1);
	multiplier_is(0.5, 1u << 30, 0);
	multiplier_is(0.75, 3u << 29, 0);
	multiplier_is(3.0, 3u << 29, 2);
	/* Rounds up to the next power of two */
	multiplier_is(1.0 - 0x1p-40, 1u << 30, 1);
	multiplier_is(0x1p-32, 1u << 30, -31);
	/* Too small: always 0 */
	multiplier_is(0x1p-33, 0, 0);
	multiplier_is(0.0, 0, 0);
	multiplier_is(0x1p29, 1u << 30, 30);
	assert_int_equal(hq_multiplier(0x1p30, &rq), -EINVAL);
	assert_int_equal(hq_multiplier(-0.5, &rq), -EINVAL);
	assert_int_equal(hq_multiplier(NAN, &rq), -EINVAL);
	assert_int_equal(hq_multiplier(INFINITY, &rq), -EINVAL);
}

/*
 * The product of these is 1 + 2^-12 + 2^-13 + 2^-25, of which a float has no
 * room for the last term. TFLite rounds it to a float in MUL and where weights
 * have one scale, not where they have one for each channel.
 */
static void product_test(void **state)
{
	const float a = 1 + 0x1p-12f, b = 1 + 0x1p-13f;
	const uint32_t rounded = (1u << 30) + (1u << 18) + (1u << 17);
	struct hearth_cmd_binary_q c;
	struct hearth_requant rq[2];

	assert_int_equal(hq_conv(a, &b, 1, 1, true, rq, 2), 0);
	assert_int_equal(rq[0].multiplier, rounded);
	assert_int_equal(rq[1].multiplier, rounded);
	assert_int_equal(hq_conv(a, (float[]){ b, 1 }, 2, 1, false, rq, 2), 0);
	assert_int_equal(rq[0].multiplier, rounded + 32);
	assert_int_equal(rq[1].multiplier, (1u << 30) + (1u << 18));
	assert_int_equal(hq_mul(a, b, 1, &c), 0);
	assert_int_equal(c.dst_scale.multiplier, rounded);
	assert_int_equal((int32_t)c.dst_scale.shift, 1);
}

static void act_is(struct hq_quant q, enum hq_act act, int32_t min, int32_t max)
{
	int32_t lo, hi;

	assert_int_equal(hq_act_range(&q, act, &lo, &hi), 0);
	assert_int_equal(lo, min);
	assert_int_equal(hi, max);
}

static void act_test(void **state)
{
	const struct hq_quant u8 = { 0.0235294f, 0, HEARTH_TYPE_U8 };
	const struct hq_quant i8 = { 0.05f, -10, HEARTH_TYPE_I8 };
	int32_t lo, hi;

	act_is(u8, HQ_ACT_NONE, 0, 255);
	act_is(u8, HQ_ACT_RELU6, 0, 255);
	act_is(i8, HQ_ACT_NONE, -128, 127);
	act_is(i8, HQ_ACT_RELU, -10, 127);
	act_is(i8, HQ_ACT_RELU6, -10, 110);
	act_is(i8, HQ_ACT_RELU_N1_TO_1, -30, 10);
	assert_int_equal(hq_act_range(&(struct hq_quant){ 1e-20f, 0, HEARTH_TYPE_I8 },
				      HQ_ACT_RELU6, &lo, &hi), -EINVAL);
	assert_int_equal(hq_act_range(&(struct hq_quant){ 1, 200, HEARTH_TYPE_I8 },
				      HQ_ACT_NONE, &lo, &hi), -EINVAL);
	assert_int_equal(hq_act_range(&(struct hq_quant){ 1, 0, HEARTH_TYPE_I16 },
				      HQ_ACT_NONE, &lo, &hi), -EINVAL);
	assert_int_equal(hq_act_range(&(struct hq_quant){ 0, 0, HEARTH_TYPE_I8 },
				      HQ_ACT_NONE, &lo, &hi), -EINVAL);
}

/* Scales that no network should have, but a file may */
static void scale_test(void **state)
{
	const float bad[] = { 0, -1, NAN, INFINITY };
	const struct hq_quant good = { 0.1f, 0, HEARTH_TYPE_I8 };
	struct hearth_cmd_binary_q c;
	struct hearth_requant rq[2];
	uint8_t table[256];
	float exps[256];

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct hq_quant q = { bad[i], 0, HEARTH_TYPE_I8 };
		float one = 1.0f;

		assert_int_equal(hq_conv(bad[i], &one, 1, 1, false, rq, 2), -EINVAL);
		assert_int_equal(hq_conv(1, &one, 1, bad[i], false, rq, 2), -EINVAL);
		assert_int_equal(hq_add(bad[i], 1, 1, &c), -EINVAL);
		assert_int_equal(hq_add(1, bad[i], 1, &c), -EINVAL);
		assert_int_equal(hq_add(1, 1, bad[i], &c), -EINVAL);
		assert_int_equal(hq_mul(bad[i], 1, 1, &c), -EINVAL);
		assert_int_equal(hq_mean(1, bad[i], 4, rq), -EINVAL);
		assert_int_equal(hq_softmax_table(bad[i], 1, exps), -EINVAL);
		assert_int_equal(hq_lut_requantize(&q, &good, table), -EINVAL);
		assert_int_equal(hq_lut_logistic(&good, &q, table), -EINVAL);
	}
	assert_int_equal(hq_conv(1, (float[]){ 1, NAN }, 2, 1, false, rq, 2), -EINVAL);
	assert_int_equal(hq_conv(1, (float[]){ 1, -1 }, 2, 1, false, rq, 2), -EINVAL);
	/* As many scales as channels, or one */
	assert_int_equal(hq_conv(1, (float[]){ 1, 1, 1 }, 3, 1, false, rq, 2), -EINVAL);
	assert_int_equal(hq_conv(1, (float[]){ 1, 0 }, 2, 1, false, rq, 2), 0);
	assert_int_equal(rq[1].multiplier, 0);
	assert_int_equal(hq_mean(1, 1, 0, rq), -EINVAL);
	assert_int_equal(hq_softmax_table(1, NAN, exps), -EINVAL);
}

/* Within 1e-15 of the C library's */
static void exp_test(void **state)
{
	for (double x = -700; x < 700; x += 0.37) {
		double want = exp(x), got = hq_exp(x);

		if (!(fabs(got - want) <= 1e-15 * want))
			fail_msg("e^%g is %a, not %a", x, got, want);
	}
	assert_true(hq_exp(0) == 1.0);
	assert_true(hq_exp(-1e300) == 0.0);
	assert_true(hq_exp(NAN) == 0.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lut_test),
		cmocka_unit_test(binary_test),
		cmocka_unit_test(mean_test),
		cmocka_unit_test(softmax_test),
		cmocka_unit_test(multiplier_test),
		cmocka_unit_test(product_test),
		cmocka_unit_test(act_test),
		cmocka_unit_test(scale_test),
		cmocka_unit_test(exp_test),
	};

	return cmocka_run_group_tests_name("quantparam", tests, NULL, NULL);
}
