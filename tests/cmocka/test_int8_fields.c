// SPDX-License-Identifier: MIT
/*
 * Each field of each 8-bit command that the executor must refuse, by name.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <hw/hearth_mmu.h>

#include "kernel_bench.h"

#define MB		(1ull << 20)
#define END_OF_VA	(1ull << HEARTH_MMU_VA_BITS)
#define TOO_LARGE	(HEARTH_CMD_MAX_DIM + 1)

static void accepted(const void *cmd)
{
	struct hk_operand operand[HK_MAX_OPERANDS];
	struct hk_fault fault;

	if (hk_cmd_operands(cmd, HEARTH_CMD_MAX_BYTES, operand, &fault) <= 0)
		fail_msg("refused: %s", fault.field ? fault.field : "?");
}

/* A copy of @cmd in which @member is @value is refused because of @name. */
#define REFUSE_AS(cmd, member, value, name)		\
	do {						\
		__typeof__(cmd) bad_ = (cmd);		\
							\
		bad_.member = (value);			\
		bench_refused(&bad_, name);		\
	} while (0)

#define REFUSE(cmd, field, value)	REFUSE_AS(cmd, field, value, #field)

#define REFUSE_DIM(cmd, field)				\
	do {						\
		REFUSE(cmd, field, 0);			\
		REFUSE(cmd, field, TOO_LARGE);		\
		REFUSE(cmd, field, UINT32_MAX);		\
	} while (0)

/* Not within the address space, or around its end */
#define REFUSE_ADDRESS(cmd, field)			\
	do {						\
		REFUSE(cmd, field, END_OF_VA);		\
		REFUSE(cmd, field, END_OF_VA - 1);	\
		REFUSE(cmd, field, UINT64_MAX);		\
		REFUSE(cmd, field, UINT64_MAX - 7);	\
	} while (0)

/* Types other than I8 and U8 */
#define REFUSE_TYPE(cmd, field)				\
	do {						\
		REFUSE(cmd, field, HEARTH_TYPE_F32);	\
		REFUSE(cmd, field, HEARTH_TYPE_I16);	\
		REFUSE(cmd, field, 255);		\
	} while (0)

/* What an I8 cannot hold, below and above */
#define REFUSE_I8(cmd, field)				\
	do {						\
		REFUSE(cmd, field, (uint32_t)-129);	\
		REFUSE(cmd, field, 128);		\
		REFUSE(cmd, field, 1u << 31);		\
	} while (0)

#define REFUSE_ACT(cmd)						\
	do {							\
		REFUSE(cmd, act_min, (uint32_t)-129);		\
		REFUSE(cmd, act_min, 128);			\
		REFUSE(cmd, act_max, 128);			\
		REFUSE(cmd, act_max, (uint32_t)-129);		\
		/* The default minimum is -128. */		\
		REFUSE_AS(cmd, act_min, 101, "act_max");	\
	} while (0)

#define REFUSE_SCALE(cmd, field)				\
	do {							\
		REFUSE(cmd, field, 0);				\
		REFUSE(cmd, field, 0x00000001);	/* denormal */	\
		REFUSE(cmd, field, 0xbf800000);	/* -1 */	\
		REFUSE(cmd, field, 0x7f800000);	/* infinity */	\
		REFUSE(cmd, field, 0x7fc00000);	/* NaN */	\
	} while (0)

#define REFUSE_REQUANT(cmd, field)					\
	do {								\
		REFUSE_AS(cmd, field.multiplier, 1u << 31, #field);	\
		REFUSE_AS(cmd, field.multiplier, UINT32_MAX, #field);	\
		REFUSE_AS(cmd, field.shift, 31, #field);		\
		REFUSE_AS(cmd, field.shift, (uint32_t)-32, #field);	\
		REFUSE_AS(cmd, field.shift, 1u << 31, #field);		\
	} while (0)

static void header_test(void **state)
{
	struct hearth_cmd_lut8 c = {
		.hdr = { .op = HEARTH_OP_LUT8, .bytes = sizeof(c) },
		.src = MB, .table = 2 * MB, .dst = 3 * MB, .n = 100,
	};
	struct hk_operand operand[HK_MAX_OPERANDS];
	struct hk_fault fault;

	accepted(&c);
	REFUSE_AS(c, hdr.bytes, sizeof(c) - 8, "bytes");
	REFUSE_AS(c, hdr.bytes, sizeof(c) + 8, "bytes");
	REFUSE_AS(c, hdr.reserved, 1, "reserved");
	assert_int_equal(hk_cmd_operands(&c.hdr, sizeof(c) - 1, operand, &fault), -EINVAL);
	assert_string_equal(fault.field, "bytes");
}

static struct hearth_cmd_conv_2d conv = {
	.hdr = { .op = HEARTH_OP_CONV_2D, .bytes = sizeof(conv) },
	.src = MB, .weights = 2 * MB, .bias = 3 * MB, .requant = 4 * MB, .dst = 5 * MB,
	.batch = 1, .in_h = 8, .in_w = 8, .in_c = 6, .out_h = 8, .out_w = 8, .out_c = 4,
	.k_h = 3, .k_w = 3, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1,
	.pad_top = 1, .pad_left = 1, .groups = 2, .act_min = (uint32_t)-128, .act_max = 100,
	.src_type = HEARTH_TYPE_I8, .weights_type = HEARTH_TYPE_I8,
	.dst_type = HEARTH_TYPE_I8,
};

static void conv_dims(struct hearth_cmd_conv_2d c)
{
	REFUSE_DIM(c, batch);
	REFUSE_DIM(c, in_h);
	REFUSE_DIM(c, in_w);
	REFUSE_DIM(c, in_c);
	REFUSE_DIM(c, out_h);
	REFUSE_DIM(c, out_w);
	REFUSE_DIM(c, out_c);
	REFUSE_DIM(c, k_h);
	REFUSE_DIM(c, k_w);
	REFUSE_DIM(c, stride_h);
	REFUSE_DIM(c, stride_w);
	REFUSE_DIM(c, dilation_h);
	REFUSE_DIM(c, dilation_w);
	REFUSE_DIM(c, groups);
	REFUSE(c, pad_top, TOO_LARGE);
	REFUSE(c, pad_left, UINT32_MAX);
}

static void conv_rest(struct hearth_cmd_conv_2d c)
{
	REFUSE_TYPE(c, src_type);
	REFUSE_TYPE(c, weights_type);
	REFUSE_TYPE(c, dst_type);
	REFUSE_I8(c, src_zero);
	REFUSE_I8(c, weights_zero);
	REFUSE_I8(c, dst_zero);
	REFUSE_ACT(c);
	REFUSE(c, reserved, 1);
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, weights);
	REFUSE_ADDRESS(c, bias);
	REFUSE_ADDRESS(c, requant);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, bias, 3 * MB + 2);
	REFUSE(c, requant, 4 * MB + 2);
	/* The output on top of an input, wholly or by a byte */
	REFUSE_AS(c, dst, c.src, "dst");
	REFUSE_AS(c, dst, c.weights, "dst");
	REFUSE_AS(c, dst, c.bias + 12, "dst");
	REFUSE_AS(c, dst, c.requant, "dst");
}

static void conv_test(void **state)
{
	struct hearth_cmd_conv_2d c = conv;

	accepted(&conv);
	conv_dims(conv);
	conv_rest(conv);
	REFUSE(conv, groups, 4);	/* does not divide in_c */
	REFUSE(conv, groups, 3);	/* does not divide out_c */
	c.bias = 0;
	accepted(&c);
	/* Each dimension is fine, their product is not. */
	c.in_h = c.in_w = HEARTH_CMD_MAX_DIM;
	bench_refused(&c, "src");
	c = conv;
	c.out_h = c.out_w = HEARTH_CMD_MAX_DIM;
	bench_refused(&c, "dst");
	c = conv;
	c.k_h = c.k_w = HEARTH_CMD_MAX_DIM;
	bench_refused(&c, "weights");
	/* Any window is legal, however far outside. */
	c = conv;
	c.stride_h = c.dilation_h = c.pad_top = HEARTH_CMD_MAX_DIM;
	accepted(&c);
}

static void depthwise_test(void **state)
{
	struct hearth_cmd_conv_2d c = conv;

	c.hdr.op = HEARTH_OP_DEPTHWISE_CONV_2D;
	c.in_c = c.groups = 2;
	accepted(&c);
	conv_dims(c);
	conv_rest(c);
	REFUSE(c, groups, 1);
	REFUSE(c, out_c, 5);
}

static void fully_connected_test(void **state)
{
	struct hearth_cmd_fully_connected c = {
		.hdr = { .op = HEARTH_OP_FULLY_CONNECTED, .bytes = sizeof(c) },
		.src = MB, .weights = 2 * MB, .bias = 3 * MB, .requant = 4 * MB,
		.dst = 5 * MB, .rows = 2, .in_n = 10, .out_n = 7,
		.act_min = (uint32_t)-128, .act_max = 100,
		.src_type = HEARTH_TYPE_I8, .weights_type = HEARTH_TYPE_I8,
		.dst_type = HEARTH_TYPE_I8,
	};

	accepted(&c);
	REFUSE_DIM(c, rows);
	REFUSE_DIM(c, in_n);
	REFUSE_DIM(c, out_n);
	REFUSE_TYPE(c, src_type);
	REFUSE_TYPE(c, weights_type);
	REFUSE_TYPE(c, dst_type);
	REFUSE_I8(c, src_zero);
	REFUSE_I8(c, weights_zero);
	REFUSE_I8(c, dst_zero);
	REFUSE_ACT(c);
	for (size_t i = 0; i < sizeof(c.reserved); i++)
		REFUSE_AS(c, reserved[i], 1, "reserved");
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, weights);
	REFUSE_ADDRESS(c, bias);
	REFUSE_ADDRESS(c, requant);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, bias, 3 * MB + 1);
	REFUSE(c, requant, 4 * MB + 1);
	REFUSE(c, dst, 2 * MB + 69);
}

static struct hearth_cmd_pool_2d pool_cmd(unsigned int op)
{
	return (struct hearth_cmd_pool_2d){
		.hdr = { .op = op, .bytes = sizeof(struct hearth_cmd_pool_2d) },
		.src = MB, .dst = 2 * MB, .batch = 1, .in_h = 6, .in_w = 6, .channels = 3,
		.out_h = 4, .out_w = 4, .k_h = 2, .k_w = 2, .stride_h = 2, .stride_w = 2,
		.pad_top = 1, .pad_left = 1, .act_min = (uint32_t)-128, .act_max = 100,
		.type = HEARTH_TYPE_I8,
	};
}

static void pool_fields(struct hearth_cmd_pool_2d c)
{
	accepted(&c);
	REFUSE_DIM(c, batch);
	REFUSE_DIM(c, in_h);
	REFUSE_DIM(c, in_w);
	REFUSE_DIM(c, channels);
	REFUSE_DIM(c, out_h);
	REFUSE_DIM(c, out_w);
	REFUSE_DIM(c, k_h);
	REFUSE_DIM(c, k_w);
	REFUSE_DIM(c, stride_h);
	REFUSE_DIM(c, stride_w);
	/* Windows without an element */
	REFUSE(c, pad_top, 2);
	REFUSE(c, pad_left, UINT32_MAX);
	REFUSE(c, out_h, 5);
	REFUSE(c, out_w, 5);
	REFUSE_TYPE(c, type);
	REFUSE_ACT(c);
	REFUSE_AS(c, reserved[6], 1, "reserved");
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, dst, MB + 107);
}

static void pool_test(void **state)
{
	struct hearth_cmd_pool_2d c = pool_cmd(HEARTH_OP_AVERAGE_POOL_2D);

	pool_fields(pool_cmd(HEARTH_OP_MAX_POOL_2D));
	pool_fields(c);
	/* A window whose sum might not fit */
	c.src = 0;
	c.dst = 1ull << 38;
	c.in_h = c.in_w = c.k_h = c.k_w = 4096;
	bench_refused(&c, "k_h");
}

static void binary_fields(struct hearth_cmd_binary_q c)
{
	accepted(&c);
	REFUSE_DIM(c, n);
	REFUSE(c, b_n, 0);
	REFUSE(c, b_n, 7);
	REFUSE(c, b_n, 200);
	REFUSE_TYPE(c, a_type);
	REFUSE_TYPE(c, b_type);
	REFUSE_TYPE(c, dst_type);
	REFUSE_I8(c, a_zero);
	REFUSE_I8(c, b_zero);
	REFUSE_I8(c, dst_zero);
	REFUSE_REQUANT(c, dst_scale);
	REFUSE_ACT(c);
	REFUSE_AS(c, reserved[4], 1, "reserved");
	REFUSE_ADDRESS(c, a);
	REFUSE_ADDRESS(c, b);
	REFUSE_ADDRESS(c, dst);
	REFUSE_AS(c, dst, c.a + 1, "dst");
	/* In place of b only where b does not repeat */
	REFUSE_AS(c, dst, c.b, "dst");
}

static void binary_test(void **state)
{
	struct hearth_cmd_binary_q c = {
		.hdr = { .op = HEARTH_OP_ADD_Q, .bytes = sizeof(c) },
		.a = MB, .b = 2 * MB, .dst = 3 * MB, .n = 100, .b_n = 10,
		.left_shift = 20, .act_min = (uint32_t)-128, .act_max = 100,
		.a_type = HEARTH_TYPE_I8, .b_type = HEARTH_TYPE_I8,
		.dst_type = HEARTH_TYPE_I8,
	};

	binary_fields(c);
	REFUSE(c, left_shift, 21);
	REFUSE(c, left_shift, UINT32_MAX);
	REFUSE_REQUANT(c, a_scale);
	REFUSE_REQUANT(c, b_scale);
	c.dst = c.a;
	accepted(&c);

	c.hdr.op = HEARTH_OP_MUL_Q;
	c.dst = 3 * MB;
	c.left_shift = 0;
	binary_fields(c);
	REFUSE(c, left_shift, 1);
	REFUSE_AS(c, a_scale.multiplier, 1, "a_scale");
	REFUSE_AS(c, a_scale.shift, 1, "a_scale");
	REFUSE_AS(c, b_scale.multiplier, 1, "b_scale");
	REFUSE_AS(c, b_scale.shift, 1, "b_scale");
	c.b_n = c.n;
	c.dst = c.b;
	accepted(&c);
}

static void softmax_test(void **state)
{
	struct hearth_cmd_softmax_q c = {
		.hdr = { .op = HEARTH_OP_SOFTMAX_Q, .bytes = sizeof(c) },
		.src = MB, .table = 2 * MB, .dst = MB, .rows = 2, .n = 10,
		.dst_scale = 0x3b800000, .dst_zero = (uint32_t)-128,
		.src_type = HEARTH_TYPE_I8, .dst_type = HEARTH_TYPE_I8,
	};

	accepted(&c);
	REFUSE_DIM(c, rows);
	REFUSE_DIM(c, n);
	REFUSE_SCALE(c, dst_scale);
	REFUSE_I8(c, dst_zero);
	REFUSE_TYPE(c, src_type);
	REFUSE_TYPE(c, dst_type);
	REFUSE_AS(c, reserved[5], 1, "reserved");
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, table);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, table, 2 * MB + 2);
	REFUSE(c, dst, MB + 1);
	REFUSE(c, dst, 2 * MB + 1023);
}

static void lut8_test(void **state)
{
	struct hearth_cmd_lut8 c = {
		.hdr = { .op = HEARTH_OP_LUT8, .bytes = sizeof(c) },
		.src = MB, .table = 2 * MB, .dst = MB, .n = 100,
	};

	accepted(&c);
	REFUSE_DIM(c, n);
	REFUSE(c, reserved, 1);
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, table);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, dst, MB - 1);
	REFUSE(c, dst, 2 * MB + 255);
}

static void quantize_test(void **state)
{
	struct hearth_cmd_quantize c = {
		.hdr = { .op = HEARTH_OP_QUANTIZE, .bytes = sizeof(c) },
		.src = MB, .dst = 2 * MB, .n = 100, .scale = 0x3f800000,
		.type = HEARTH_TYPE_I8,
	};

	for (int i = 0; i < 2; i++) {
		accepted(&c);
		REFUSE_DIM(c, n);
		REFUSE_SCALE(c, scale);
		REFUSE_I8(c, zero);
		REFUSE_TYPE(c, type);
		REFUSE_AS(c, reserved[2], 1, "reserved");
		REFUSE_ADDRESS(c, src);
		REFUSE_ADDRESS(c, dst);
		REFUSE_AS(c, dst, c.src, "dst");
		if (!i)
			REFUSE(c, src, MB + 2);
		else
			REFUSE(c, dst, 2 * MB + 2);
		c.hdr.op = HEARTH_OP_DEQUANTIZE;
	}
}

static void mean_test(void **state)
{
	struct hearth_cmd_mean_q c = {
		.hdr = { .op = HEARTH_OP_MEAN_Q, .bytes = sizeof(c) },
		.src = MB, .dst = 2 * MB, .outer = 2, .n = 3, .inner = 4,
		.type = HEARTH_TYPE_I8,
	};

	accepted(&c);
	REFUSE_DIM(c, outer);
	REFUSE_DIM(c, n);
	REFUSE_DIM(c, inner);
	REFUSE_I8(c, src_zero);
	REFUSE_I8(c, dst_zero);
	REFUSE_REQUANT(c, scale);
	REFUSE_TYPE(c, type);
	REFUSE_AS(c, reserved[0], 1, "reserved");
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, dst, MB + 23);
}

static void copy_2d_test(void **state)
{
	struct hearth_cmd_copy_2d c = {
		.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(c) },
		.src = MB, .dst = 2 * MB, .src_stride = 64, .dst_stride = 32,
		.row_bytes = 16, .rows = 4,
	};

	accepted(&c);
	REFUSE(c, row_bytes, 0);
	REFUSE(c, rows, 0);
	REFUSE(c, src_stride, 15);
	REFUSE(c, dst_stride, 15);
	/* Strides with which the last row would wrap around */
	REFUSE(c, src_stride, UINT64_MAX);
	REFUSE(c, dst_stride, UINT64_MAX / 3);
	REFUSE(c, src_stride, 1ull << 63);
	REFUSE_AS(c, src_stride, 1ull << 40, "src");
	REFUSE_AS(c, dst_stride, 1ull << 40, "dst");
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, dst);
	REFUSE_AS(c, dst, c.src, "dst");
	REFUSE(c, dst, MB + 207);
}

static void pad_test(void **state)
{
	struct hearth_cmd_pad c = {
		.hdr = { .op = HEARTH_OP_PAD, .bytes = sizeof(c) },
		.src = MB, .dst = 2 * MB, .dims = { 1, 4, 4, 3 },
		.before = { 0, 1, 1, 0 }, .after = { 0, 1, 1, 0 },
	};

	accepted(&c);
	for (int i = 0; i < 4; i++) {
		REFUSE_AS(c, dims[i], 0, "dims");
		REFUSE_AS(c, dims[i], TOO_LARGE, "dims");
		REFUSE_AS(c, before[i], TOO_LARGE, "before");
		REFUSE_AS(c, before[i], UINT32_MAX, "before");
		REFUSE_AS(c, after[i], HEARTH_CMD_MAX_DIM, "after");
		REFUSE_AS(c, after[i], UINT32_MAX, "after");
	}
	REFUSE(c, value, 256);
	REFUSE(c, reserved, 1);
	REFUSE_ADDRESS(c, src);
	REFUSE_ADDRESS(c, dst);
	REFUSE(c, dst, MB + 47);
}

/*
 * What only memory tells: a scale that is out of range stops the command
 * before anything is written.
 */
static void requant_in_memory(struct bench *b, uint32_t multiplier, int32_t shift)
{
	struct hearth_cmd_conv_2d c = conv;
	struct hearth_requant *rq;
	struct hk_fault fault;
	uint8_t *dst;

	c.src = bench_va(0, 8 * 8 * 6);
	c.weights = bench_va(1, 4 * 3 * 3 * 3);
	c.bias = 0;
	c.requant = bench_va(2, 4 * sizeof(*rq));
	c.dst = bench_va(3, 8 * 8 * 4);
	rq = bench_ptr(b, c.requant);
	memset(rq, 0, 4 * sizeof(*rq));
	dst = bench_ptr(b, c.dst);
	for (unsigned int e = 0; e < b->executors; e++) {
		rq[3].multiplier = multiplier;
		rq[3].shift = (uint32_t)shift;
		memset(dst, 0x5a, 8 * 8 * 4);
		assert_int_equal(hk_exec_one(b->exec[e], &b->space, &c.hdr, sizeof(c),
					     &fault), -EINVAL);
		assert_int_equal(fault.error, HEARTH_HW_ERR_OPERAND);
		assert_string_equal(fault.field, "requant");
		for (int i = 0; i < 8 * 8 * 4; i++)
			assert_int_equal(dst[i], 0x5a);
	}
}

static void requant_test(void **state)
{
	struct bench b;

	bench_open(&b);
	requant_in_memory(&b, 1u << 31, 0);
	requant_in_memory(&b, 1u << 30, 31);
	requant_in_memory(&b, 1u << 30, -32);
	requant_in_memory(&b, 1u << 30, INT32_MIN);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_test),
		cmocka_unit_test(conv_test),
		cmocka_unit_test(depthwise_test),
		cmocka_unit_test(fully_connected_test),
		cmocka_unit_test(pool_test),
		cmocka_unit_test(binary_test),
		cmocka_unit_test(softmax_test),
		cmocka_unit_test(lut8_test),
		cmocka_unit_test(quantize_test),
		cmocka_unit_test(mean_test),
		cmocka_unit_test(copy_2d_test),
		cmocka_unit_test(pad_test),
		cmocka_unit_test(requant_test),
	};

	return cmocka_run_group_tests_name("int8 fields", tests, NULL, NULL);
}
