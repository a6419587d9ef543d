// SPDX-License-Identifier: MIT
/*
 * ADD_Q and MUL_Q, sixteen elements at a time. Built for each ISA.
 */
#include "kernels/int8_lanes.h"

struct scale8 {
	vec32 multiplier, left, right;
};

static struct scale8 scale8(const struct hearth_requant *rq)
{
	int32_t shift = (int32_t)rq->shift;

	return (struct scale8){
		splat32((int32_t)rq->multiplier), splat32(shift > 0 ? shift : 0),
		splat32(shift > 0 ? 0 : -shift),
	};
}

static inline vec32 scale(vec32 x, const struct scale8 *s)
{
	return requantize(x, s->multiplier, s->left, s->right);
}

/* @bin is a copy, which no store of bytes can change; its b does not repeat. */
struct binary {
	struct hk_binary8 bin;
	struct scale8 a_scale, b_scale, dst_scale;
	vec32 left_shift;
	struct out8 out;
};

static struct binary binary(const struct hk_binary8 *bin, size_t from)
{
	const struct hearth_cmd_binary_q *cmd = bin->cmd;
	struct binary bn = {
		.bin = *bin,
		.a_scale = scale8(&cmd->a_scale),
		.b_scale = scale8(&cmd->b_scale),
		.dst_scale = scale8(&cmd->dst_scale),
		.left_shift = splat32((int32_t)cmd->left_shift),
		.out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max),
	};

	/* As if it began with element 0 */
	bn.bin.b = bin->b + from % bin->b_n - from;
	return bn;
}

typedef vec32 (*fn32)(const struct binary *bn, vec32 x, vec32 y);

static inline vec32 add(const struct binary *bn, vec32 x, vec32 y)
{
	x = scale(shift_left32(x, bn->left_shift), &bn->a_scale);
	y = scale(shift_left32(y, bn->left_shift), &bn->b_scale);
	return out8_clamp(&bn->out, scale(add32(x, y), &bn->dst_scale));
}

static inline vec32 mul(const struct binary *bn, vec32 x, vec32 y)
{
	return out8_clamp(&bn->out, scale(mul32(x, y), &bn->dst_scale));
}

/* @n elements from @i on, at most 16 */
static inline __attribute__((always_inline)) void
binary16(const struct binary *bn, size_t i, size_t n, fn32 fn)
{
	const struct hk_binary8 *bin = &bn->bin;
	vec32 x[VECS], y[VECS];

	widen32(x, bin->a + i, n, bin->a_flip, bin->a_zero);
	widen32(y, bin->b + i, n, bin->b_flip, bin->b_zero);
	HK_UNROLL
	for (int j = 0; j < VECS; j++)
		x[j] = fn(bn, x[j], y[j]);
	store_some(bin->dst + i, pack8(x), n);
}

/* Always inline: a call of @fn is none. */
static inline __attribute__((always_inline)) void
binary_range(const struct hk_binary8 *bin, size_t from, size_t to, fn32 fn)
{
	struct binary bn = binary(bin, from);
	size_t i;

	for (i = from; i + 16 <= to; i += 16)
		binary16(&bn, i, 16, fn);
	if (i < to)
		binary16(&bn, i, to - i, fn);
}

void hk_add_lanes(const struct hk_binary8 *bin, size_t from, size_t to)
{
	binary_range(bin, from, to, add);
}

void hk_mul_lanes(const struct hk_binary8 *bin, size_t from, size_t to)
{
	binary_range(bin, from, to, mul);
}
