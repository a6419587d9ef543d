// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "int8_model.h"

static int64_t get(const void *p, uint64_t i, unsigned int type)
{
	return type == HEARTH_TYPE_I8 ? ((const int8_t *)p)[i] : ((const uint8_t *)p)[i];
}

static void put(void *p, uint64_t i, unsigned int type, int64_t v)
{
	if (type == HEARTH_TYPE_I8)
		((int8_t *)p)[i] = (int8_t)v;
	else
		((uint8_t *)p)[i] = (uint8_t)v;
}

static int64_t lowest(unsigned int type)
{
	return type == HEARTH_TYPE_I8 ? -128 : 0;
}

static int64_t highest(unsigned int type)
{
	return type == HEARTH_TYPE_I8 ? 127 : 255;
}

static int64_t between(int64_t x, int64_t min, int64_t max)
{
	return x < min ? min : x > max ? max : x;
}

/* Modulo 2^32, as int32 */
static int32_t wrap(int64_t x)
{
	x &= 0xffffffff;
	return (int32_t)(x >= 1ll << 31 ? x - (1ll << 32) : x);
}

static int64_t s32(uint32_t x)
{
	return wrap(x);
}

static float f32(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

int32_t model_requantize(int32_t x, int32_t multiplier, int shift)
{
	int64_t y = wrap((int64_t)((uint64_t)(int64_t)x << (shift > 0 ? shift : 0)));
	/* Both are exact in a long double of 64 bits: |y * multiplier| < 2^62. */
	long double high = floorl((long double)(y * multiplier) / 2147483648.0L + 0.5L);

	/* round(): halves away from zero */
	return (int32_t)round((double)high / exp2(shift < 0 ? -shift : 0));
}

static int32_t requantize(int32_t x, const struct hearth_requant *rq)
{
	return model_requantize(x, (int32_t)rq->multiplier, (int)s32(rq->shift));
}

static int64_t finish(int64_t acc, const struct hearth_requant *rq, uint32_t zero,
		      uint32_t min, uint32_t max)
{
	return between(wrap(requantize(wrap(acc), rq) + s32(zero)), s32(min), s32(max));
}

struct place {
	uint32_t b, y, x, o;
};

static int64_t conv_sum(const struct hearth_cmd_conv_2d *c, const void *src,
			const void *weights, struct place p)
{
	bool depthwise = c->hdr.op == HEARTH_OP_DEPTHWISE_CONV_2D;
	int64_t in_cg = c->in_c / c->groups, out_cg = c->out_c / c->groups, sum = 0;

	for (int64_t ky = 0; ky < c->k_h; ky++) {
		int64_t y = (int64_t)p.y * c->stride_h - c->pad_top + ky * c->dilation_h;

		for (int64_t kx = 0; kx < c->k_w; kx++) {
			int64_t x = (int64_t)p.x * c->stride_w - c->pad_left +
				    kx * c->dilation_w;

			if (y < 0 || y >= c->in_h || x < 0 || x >= c->in_w)
				continue;
			for (int64_t i = 0; i < in_cg; i++) {
				int64_t at = ((p.b * (int64_t)c->in_h + y) * c->in_w + x) *
					     c->in_c + p.o / out_cg * in_cg + i;
				int64_t w = depthwise ? (ky * c->k_w + kx) * c->out_c + p.o :
					    ((p.o * (int64_t)c->k_h + ky) * c->k_w + kx) *
					    in_cg + i;

				sum += (get(src, at, c->src_type) - s32(c->src_zero)) *
				       (get(weights, w, c->weights_type) -
					s32(c->weights_zero));
			}
		}
	}
	return sum;
}

void model_conv(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_conv_2d *c = cmd;
	const struct hearth_requant *rq = ptr[3];
	const int32_t *bias = ptr[2];
	uint64_t n = (uint64_t)c->batch * c->out_h * c->out_w * c->out_c;

	for (uint64_t i = 0; i < n; i++) {
		struct place p = {
			.o = i % c->out_c,
			.x = i / c->out_c % c->out_w,
			.y = i / c->out_c / c->out_w % c->out_h,
			.b = i / c->out_c / c->out_w / c->out_h,
		};
		int64_t sum = conv_sum(c, ptr[0], ptr[1], p) + (bias ? bias[p.o] : 0);

		put(out, i, c->dst_type, finish(sum, &rq[p.o], c->dst_zero, c->act_min,
						c->act_max));
	}
}

void model_fully_connected(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_fully_connected *c = cmd;
	const struct hearth_requant *rq = ptr[3];
	const int32_t *bias = ptr[2];

	for (uint64_t r = 0; r < c->rows; r++) {
		for (uint64_t o = 0; o < c->out_n; o++) {
			int64_t sum = bias ? bias[o] : 0;

			for (uint64_t i = 0; i < c->in_n; i++)
				sum += (get(ptr[0], r * c->in_n + i, c->src_type) -
					s32(c->src_zero)) *
				       (get(ptr[1], o * c->in_n + i, c->weights_type) -
					s32(c->weights_zero));
			put(out, r * c->out_n + o, c->dst_type,
			    finish(sum, &rq[o], c->dst_zero, c->act_min, c->act_max));
		}
	}
}

struct window {
	int64_t sum, count, max;
};

static struct window pool_window(const struct hearth_cmd_pool_2d *c, const void *src,
				 struct place p)
{
	struct window w = { .max = -1000 };

	for (int64_t ky = 0; ky < c->k_h; ky++) {
		int64_t y = (int64_t)p.y * c->stride_h - c->pad_top + ky;

		for (int64_t kx = 0; kx < c->k_w; kx++) {
			int64_t x = (int64_t)p.x * c->stride_w - c->pad_left + kx, v;

			if (y < 0 || y >= c->in_h || x < 0 || x >= c->in_w)
				continue;
			v = get(src, ((p.b * (int64_t)c->in_h + y) * c->in_w + x) *
				c->channels + p.o, c->type);
			w.sum += v;
			w.count++;
			w.max = v > w.max ? v : w.max;
		}
	}
	return w;
}

static void pool(const struct hearth_cmd_pool_2d *c, const void *src, void *out,
		 bool average)
{
	uint64_t n = (uint64_t)c->batch * c->out_h * c->out_w * c->channels;

	for (uint64_t i = 0; i < n; i++) {
		struct place p = {
			.o = i % c->channels,
			.x = i / c->channels % c->out_w,
			.y = i / c->channels / c->out_w % c->out_h,
			.b = i / c->channels / c->out_w / c->out_h,
		};
		struct window w = pool_window(c, src, p);
		/* round(): halves away from zero, as for negative sums too */
		int64_t v = average ? llround((double)w.sum / (double)w.count) : w.max;

		put(out, i, c->type, between(v, s32(c->act_min), s32(c->act_max)));
	}
}

void model_average_pool(const void *cmd, void *const ptr[], void *out)
{
	pool(cmd, ptr[0], out, true);
}

void model_max_pool(const void *cmd, void *const ptr[], void *out)
{
	pool(cmd, ptr[0], out, false);
}

void model_add(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_binary_q *c = cmd;
	int64_t unit = 1ll << c->left_shift;

	for (uint64_t i = 0; i < c->n; i++) {
		int64_t a = get(ptr[0], i, c->a_type) - s32(c->a_zero);
		int64_t b = get(ptr[1], i % c->b_n, c->b_type) - s32(c->b_zero);
		int64_t sum = (int64_t)requantize(wrap(a * unit), &c->a_scale) +
			      requantize(wrap(b * unit), &c->b_scale);

		put(out, i, c->dst_type, finish(sum, &c->dst_scale, c->dst_zero, c->act_min,
						c->act_max));
	}
}

void model_mul(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_binary_q *c = cmd;

	for (uint64_t i = 0; i < c->n; i++) {
		int64_t a = get(ptr[0], i, c->a_type) - s32(c->a_zero);
		int64_t b = get(ptr[1], i % c->b_n, c->b_type) - s32(c->b_zero);

		put(out, i, c->dst_type, finish(a * b, &c->dst_scale, c->dst_zero,
						c->act_min, c->act_max));
	}
}

static void softmax_row(const struct hearth_cmd_softmax_q *c, const float *table,
			const uint8_t *src, uint8_t *out)
{
	float scale = f32(c->dst_scale), sum = 0, factor;
	int64_t max = -1000;

	for (uint32_t i = 0; i < c->n; i++)
		max = get(src, i, c->src_type) > max ? get(src, i, c->src_type) : max;
	for (uint32_t i = 0; i < c->n; i++)
		sum += table[255 - (max - get(src, i, c->src_type))];
	factor = 1.0f / (sum * scale);
	for (uint32_t i = 0; i < c->n; i++) {
		float p = table[255 - (max - get(src, i, c->src_type))] * factor;
		double v;

		/* Unsigned outputs: a half added in float, then towards zero */
		v = c->dst_type == HEARTH_TYPE_U8 ? trunc((double)(p + 0.5f)) : round(p);
		if (!(v > -1024))
			v = -1024;
		v = v > 1024 ? 1024 : v;
		put(out, i, c->dst_type, between((int64_t)v + s32(c->dst_zero),
						 lowest(c->dst_type), highest(c->dst_type)));
	}
}

void model_softmax(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_softmax_q *c = cmd;

	for (uint64_t r = 0; r < c->rows; r++)
		softmax_row(c, ptr[1], (uint8_t *)ptr[0] + r * c->n,
			    (uint8_t *)out + r * c->n);
}

void model_lut8(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_lut8 *c = cmd;

	for (uint64_t i = 0; i < c->n; i++)
		((uint8_t *)out)[i] = ((uint8_t *)ptr[1])[((uint8_t *)ptr[0])[i]];
}

void model_quantize(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_quantize *c = cmd;
	const float *src = ptr[0];

	for (uint64_t i = 0; i < c->n; i++) {
		double v = round(src[i] / f32(c->scale)) + (double)s32(c->zero);
		int64_t lo = lowest(c->type), hi = highest(c->type);

		put(out, i, c->type, !(v > (double)lo) ? lo : v > (double)hi ? hi : (int64_t)v);
	}
}

void model_dequantize(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_quantize *c = cmd;

	for (uint64_t i = 0; i < c->n; i++)
		((float *)out)[i] = (float)((double)f32(c->scale) *
					    (double)(get(ptr[0], i, c->type) - s32(c->zero)));
}

void model_mean(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_mean_q *c = cmd;

	for (uint64_t o = 0; o < c->outer; o++) {
		for (uint64_t i = 0; i < c->inner; i++) {
			int64_t sum = 0;

			for (uint64_t k = 0; k < c->n; k++)
				sum += get(ptr[0], (o * c->n + k) * c->inner + i, c->type) -
				       s32(c->src_zero);
			put(out, o * c->inner + i, c->type,
			    finish(sum, &c->scale, c->dst_zero,
				   (uint32_t)lowest(c->type), (uint32_t)highest(c->type)));
		}
	}
}

void model_copy_2d(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_copy_2d *c = cmd;

	for (uint64_t r = 0; r < c->rows; r++) {
		for (uint64_t i = 0; i < c->row_bytes; i++)
			((uint8_t *)out)[r * c->dst_stride + i] =
				((uint8_t *)ptr[0])[r * c->src_stride + i];
	}
}

void model_pad(const void *cmd, void *const ptr[], void *out)
{
	const struct hearth_cmd_pad *c = cmd;
	uint64_t size[4], n = 1;

	for (int d = 0; d < 4; d++) {
		size[d] = (uint64_t)c->before[d] + c->dims[d] + c->after[d];
		n *= size[d];
	}
	for (uint64_t i = 0; i < n; i++) {
		uint64_t rest = i, at = 0, step = 1;
		bool inside = true;

		for (int d = 3; d >= 0; d--) {
			int64_t x = (int64_t)(rest % size[d]) - c->before[d];

			inside = inside && x >= 0 && x < c->dims[d];
			at += (uint64_t)x * step;
			step *= c->dims[d];
			rest /= size[d];
		}
		((uint8_t *)out)[i] = inside ? ((uint8_t *)ptr[0])[at] : (uint8_t)c->value;
	}
}
