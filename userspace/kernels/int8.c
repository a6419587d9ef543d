// SPDX-License-Identifier: MIT
/*
 * The 8-bit integer ops: their table, and the checks that they share.
 */
#include <math.h>
#include <string.h>

#include "kernels/int8.h"

const struct hk_op hk_ops_int8[HEARTH_OP_COUNT] = {
#define ROW(opcode, type, operands_fn, scratch_fn, run_fn, label)	\
	[opcode] = { .name = label, .bytes = sizeof(struct type),	\
		     .operands = operands_fn, .scratch = scratch_fn, .run = run_fn }
	ROW(HEARTH_OP_COPY_2D, hearth_cmd_copy_2d, hk_copy_2d_operands, NULL,
	    hk_copy_2d_run, "copy_2d"),
	ROW(HEARTH_OP_PAD, hearth_cmd_pad, hk_pad_operands, NULL, hk_pad_run, "pad"),
	ROW(HEARTH_OP_CONV_2D, hearth_cmd_conv_2d, hk_conv_operands, hk_conv_scratch,
	    hk_conv_run, "conv_2d"),
	ROW(HEARTH_OP_DEPTHWISE_CONV_2D, hearth_cmd_conv_2d, hk_depthwise_operands,
	    hk_depthwise_scratch, hk_depthwise_run, "depthwise_conv_2d"),
	ROW(HEARTH_OP_FULLY_CONNECTED, hearth_cmd_fully_connected, hk_fc_operands,
	    hk_fc_scratch, hk_fc_run, "fully_connected"),
	ROW(HEARTH_OP_AVERAGE_POOL_2D, hearth_cmd_pool_2d, hk_average_pool_operands,
	    NULL, hk_average_pool_run, "average_pool_2d"),
	ROW(HEARTH_OP_MAX_POOL_2D, hearth_cmd_pool_2d, hk_max_pool_operands, NULL,
	    hk_max_pool_run, "max_pool_2d"),
	ROW(HEARTH_OP_ADD_Q, hearth_cmd_binary_q, hk_add_q_operands, NULL, hk_add_q_run,
	    "add_q"),
	ROW(HEARTH_OP_MUL_Q, hearth_cmd_binary_q, hk_mul_q_operands, NULL, hk_mul_q_run,
	    "mul_q"),
	ROW(HEARTH_OP_SOFTMAX_Q, hearth_cmd_softmax_q, hk_softmax_q_operands, NULL,
	    hk_softmax_q_run, "softmax_q"),
	ROW(HEARTH_OP_LUT8, hearth_cmd_lut8, hk_lut8_operands, NULL, hk_lut8_run, "lut8"),
	ROW(HEARTH_OP_QUANTIZE, hearth_cmd_quantize, hk_quantize_operands, NULL,
	    hk_quantize_run, "quantize"),
	ROW(HEARTH_OP_DEQUANTIZE, hearth_cmd_quantize, hk_dequantize_operands, NULL,
	    hk_dequantize_run, "dequantize"),
	ROW(HEARTH_OP_MEAN_Q, hearth_cmd_mean_q, hk_mean_q_operands, NULL,
	    hk_mean_q_run, "mean_q"),
#undef ROW
};

const struct hk_type8 *hk_type8(unsigned int type)
{
	static const struct hk_type8 i8 = { 0x80, 128, INT8_MIN, INT8_MAX };
	static const struct hk_type8 u8 = { 0, 0, 0, UINT8_MAX };

	return type == HEARTH_TYPE_I8 ? &i8 : type == HEARTH_TYPE_U8 ? &u8 : NULL;
}

int hk_check_dim(uint32_t dim, const char *name, struct hk_fault *fault)
{
	return dim && dim <= HEARTH_CMD_MAX_DIM ? 0 : hk_bad(fault, name);
}

int hk_check_dims(const struct hk_dim *dims, size_t n, struct hk_fault *fault)
{
	for (size_t i = 0; i < n; i++) {
		if (hk_check_dim(dims[i].value, dims[i].name, fault))
			return -EINVAL;
	}
	return 0;
}

int hk_check_type8(unsigned int type, const char *name, struct hk_fault *fault)
{
	return hk_type8(type) ? 0 : hk_bad(fault, name);
}

int hk_check_zero(uint32_t zero, unsigned int type, const char *name,
		  struct hk_fault *fault)
{
	const struct hk_type8 *t = hk_type8(type);
	int32_t z = (int32_t)zero;

	return z >= t->min && z <= t->max ? 0 : hk_bad(fault, name);
}

int hk_check_act(uint32_t min, uint32_t max, unsigned int type, struct hk_fault *fault)
{
	const struct hk_type8 *t = hk_type8(type);
	int32_t lo = (int32_t)min, hi = (int32_t)max;

	if (lo < t->min || lo > t->max)
		return hk_bad(fault, "act_min");
	return hi >= lo && hi <= t->max ? 0 : hk_bad(fault, "act_max");
}

int hk_check_requant(const struct hearth_requant *rq, const char *name,
		     struct hk_fault *fault)
{
	return hk_requant_ok(rq) ? 0 : hk_bad(fault, name);
}

int hk_check_scale(uint32_t bits, const char *name, struct hk_fault *fault)
{
	float scale = hk_float(bits);

	return isnormal(scale) && scale > 0 ? 0 : hk_bad(fault, name);
}

int hk_check_reserved(const uint8_t *reserved, size_t n, struct hk_fault *fault)
{
	for (size_t i = 0; i < n; i++) {
		if (reserved[i])
			return hk_bad(fault, "reserved");
	}
	return 0;
}

int hk_tensor(struct hk_operand *op, const char *name, uint64_t va, const uint32_t *dims,
	      unsigned int count, unsigned int size, enum hk_access access,
	      struct hk_fault *fault)
{
	uint64_t n;

	if (hk_elements(dims, count, &n))
		return hk_bad(fault, name);
	return hk_operand(op, name, va, n * size, size, access, fault);
}

/* Operand @dst against all others of @n. */
int hk_check_overlap(const struct hk_operand *op, int n, int dst, struct hk_fault *fault)
{
	for (int i = 0; i < n; i++) {
		if (i != dst && op[i].bytes &&
		    hk_disjoint(&op[dst], &op[i], false, fault))
			return -EINVAL;
	}
	return 0;
}

void *hk_carve(struct hk_carve *c, size_t bytes)
{
	void *p = c->base ? c->base + c->used : NULL;

	c->used += (bytes + 63) & ~(size_t)63;
	return p;
}

void hk_channels_carve(struct hk_channels *ch, struct hk_carve *c, size_t n)
{
	size_t bytes = (n + HK_CHANNEL_SPARE) * sizeof(int32_t);

	ch->bias = hk_carve(c, bytes);
	ch->multiplier = hk_carve(c, bytes);
	ch->left = hk_carve(c, bytes);
	ch->right = hk_carve(c, bytes);
}

int hk_channels_load(struct hk_channels *ch, const struct hearth_requant *rq,
		     const int32_t *bias, size_t n, struct hk_fault *fault)
{
	for (size_t i = 0; i < n + HK_CHANNEL_SPARE; i++) {
		struct hearth_requant one = { 0 };
		int32_t shift;

		if (i < n)
			memcpy(&one, &rq[i], sizeof(one));
		/* The copy must not be read again from memory that changes. */
		__asm__ volatile("" : "+m"(one));
		if (hk_check_requant(&one, "requant", fault))
			return -EINVAL;
		shift = (int32_t)one.shift;
		ch->bias[i] = bias && i < n ? bias[i] : 0;
		ch->multiplier[i] = (int32_t)one.multiplier;
		ch->left[i] = shift > 0 ? shift : 0;
		ch->right[i] = shift > 0 ? 0 : -shift;
	}
	return 0;
}

unsigned int hk_threads(const struct hk_run *r)
{
	return r->pool ? hk_pool_threads(r->pool) : 1;
}

unsigned int hk_tasks(const struct hk_run *r, uint64_t n, uint64_t least)
{
	uint64_t most = 4 * hk_threads(r);

	if (hk_threads(r) == 1)
		return 1;
	n /= least;
	return n < 1 ? 1 : n < most ? n : most;
}
