// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <string.h>

#include "kernels/int8.h"
#include "kernels/quantparam.h"

static bool scale_ok(float scale)
{
	return isfinite(scale) && scale > 0;
}

static bool quant_ok(const struct hq_quant *q)
{
	const struct hk_type8 *type = hk_type8(q->type);

	return type && scale_ok(q->scale) && q->zero >= type->min && q->zero <= type->max;
}

/* frexp() and round() are exact: the same everywhere. */
int hq_multiplier(double scale, struct hearth_requant *rq)
{
	int64_t q;
	int shift;

	if (!(scale >= 0) || !isfinite(scale))
		return -EINVAL;
	q = (int64_t)round(frexp(scale, &shift) * 2147483648.0);
	if (q == 1ll << 31) {
		q /= 2;
		shift++;
	}
	if (shift < -31 || !q) {
		/* So small that every sum gives 0 */
		q = 0;
		shift = 0;
	}
	if (shift > 30)
		return -EINVAL;
	rq->multiplier = (uint32_t)q;
	rq->shift = (uint32_t)shift;
	return 0;
}

/* Real value @x in units of @q; -EINVAL if it does not fit into 32 bits. */
static int quantize(const struct hq_quant *q, float x, int32_t *out)
{
	float units = roundf(x / q->scale);

	if (!(fabsf(units) < 2147483648.0f - 65536.0f))
		return -EINVAL;
	*out = q->zero + (int32_t)units;
	return 0;
}

int hq_act_range(const struct hq_quant *out, enum hq_act act, int32_t *min, int32_t *max)
{
	static const struct {
		bool has_min, has_max;
		float min, max;
	} bound[] = {
		[HQ_ACT_NONE] = { false, false, 0, 0 },
		[HQ_ACT_RELU] = { true, false, 0, 0 },
		[HQ_ACT_RELU_N1_TO_1] = { true, true, -1, 1 },
		[HQ_ACT_RELU6] = { true, true, 0, 6 },
	};
	const struct hk_type8 *type;
	int32_t v;

	if (!quant_ok(out) || act > HQ_ACT_RELU6)
		return -EINVAL;
	type = hk_type8(out->type);
	*min = type->min;
	*max = type->max;
	if (bound[act].has_min) {
		if (quantize(out, bound[act].min, &v))
			return -EINVAL;
		*min = v > *min ? v : *min;
	}
	if (bound[act].has_max) {
		if (quantize(out, bound[act].max, &v))
			return -EINVAL;
		*max = v < *max ? v : *max;
	}
	return *min <= *max ? 0 : -EINVAL;
}

int hq_conv(float in, const float *weights, size_t scales, float out, bool per_tensor,
	    struct hearth_requant *rq, size_t channels)
{
	if (!scale_ok(in) || !scale_ok(out) || (scales != 1 && scales != channels) ||
	    (per_tensor && scales != 1))
		return -EINVAL;
	for (size_t i = 0; i < channels; i++) {
		float w = weights[scales == 1 ? 0 : i];
		double product = (double)in * (double)w;

		/* A channel whose weights are all zero has scale 0. */
		if (!isfinite(w) || w < 0)
			return -EINVAL;
		/* One scale: the product is rounded to a float first. */
		if (per_tensor)
			product = (double)(in * w);
		if (hq_multiplier(product / (double)out, &rq[i]))
			return -EINVAL;
	}
	return 0;
}

int hq_add(float a, float b, float out, struct hearth_cmd_binary_q *cmd)
{
	double twice_max;

	if (!scale_ok(a) || !scale_ok(b) || !scale_ok(out))
		return -EINVAL;
	twice_max = 2.0 * (double)(a > b ? a : b);
	cmd->left_shift = 20;
	if (hq_multiplier((double)a / twice_max, &cmd->a_scale) ||
	    hq_multiplier((double)b / twice_max, &cmd->b_scale) ||
	    hq_multiplier(twice_max / (1048576.0 * (double)out), &cmd->dst_scale))
		return -EINVAL;
	return 0;
}

int hq_mul(float a, float b, float out, struct hearth_cmd_binary_q *cmd)
{
	if (!scale_ok(a) || !scale_ok(b) || !scale_ok(out))
		return -EINVAL;
	cmd->left_shift = 0;
	memset(&cmd->a_scale, 0, sizeof(cmd->a_scale));
	memset(&cmd->b_scale, 0, sizeof(cmd->b_scale));
	/* Rounded to a float after each step */
	return hq_multiplier((double)(a * b / out), &cmd->dst_scale);
}

int hq_mean(float in, float out, uint32_t n, struct hearth_requant *rq)
{
	int shift, exponent;

	if (!scale_ok(in) || !scale_ok(out) || !n)
		return -EINVAL;
	if (hq_multiplier((double)in / (double)out, rq))
		return -EINVAL;
	exponent = (int32_t)rq->shift;
	/* As many bits as the division by n will take, if there is room */
	shift = 31 - __builtin_clz(n);
	if (shift > 31 + exponent)
		shift = 31 + exponent;
	rq->multiplier = (uint32_t)(((uint64_t)rq->multiplier << shift) / n);
	rq->shift = (uint32_t)(exponent - shift);
	return 0;
}

/*
 * e^x = 2^n * e^r with |r| <= ln(2) / 2; the series ends where a term is below
 * 2^-53. ln(2) in two parts, the first with 11 zero bits at its end, so that
 * n times it is exact.
 */
double hq_exp(double x)
{
	const double ln2_hi = 0x1.62e42fefa3800p-1, ln2_lo = 0x1.ef35793c76730p-45;
	double n, r, sum = 1.0;

	if (!(x > -708.0))
		return 0.0;
	if (x > 709.0)
		x = 709.0;
	n = floor(x * 0x1.71547652b82fep+0 + 0.5);
	r = (x - n * ln2_hi) - n * ln2_lo;
	for (int i = 14; i > 0; i--)
		sum = 1.0 + sum * r / i;
	return ldexp(sum, (int)n);
}

int hq_softmax_table(float in_scale, float beta, float table[256])
{
	float scale = -in_scale * beta;

	if (!scale_ok(in_scale) || !isfinite(beta) || !isfinite(scale * 255.0f))
		return -EINVAL;
	for (int d = 0; d < 256; d++)
		table[255 - d] = (float)hq_exp((double)(scale * (float)d));
	return 0;
}

/* Calls @fn with each value less its zero point; stores output + zero, clamped. */
struct lut {
	struct hearth_requant scale[2];
	int32_t min, max;
	float in_scale, inverse;
	int16_t out_multiplier, relu_multiplier;
	int out_exponent, relu_exponent;
};

static void lut_build(const struct hq_quant *in, const struct hq_quant *out,
		      const struct lut *lut, int32_t (*fn)(const struct lut *lut, int32_t x),
		      uint8_t table[256])
{
	const struct hk_type8 *type = hk_type8(in->type);

	for (int i = 0; i < 256; i++) {
		int32_t x = (i ^ type->flip) - type->bias - in->zero;
		int32_t v = hk_wrap_add(fn(lut, x), out->zero);

		table[i] = (uint8_t)hk_clamp(v, lut->min, lut->max);
	}
}

static int lut_begin(const struct hq_quant *in, const struct hq_quant *out,
		     bool same_type, struct lut *lut)
{
	if (!quant_ok(in) || !quant_ok(out) || (same_type && in->type != out->type))
		return -EINVAL;
	*lut = (struct lut){
		.min = hk_type8(out->type)->min,
		.max = hk_type8(out->type)->max,
		.in_scale = in->scale,
		.inverse = 1.0f / out->scale,
	};
	return 0;
}

static int32_t rescale(const struct lut *lut, int32_t x)
{
	return hk_requantize_by(x, &lut->scale[0]);
}

int hq_lut_requantize(const struct hq_quant *in, const struct hq_quant *out,
		      uint8_t table[256])
{
	struct lut lut;

	if (lut_begin(in, out, false, &lut) ||
	    hq_multiplier((double)in->scale / (double)out->scale, &lut.scale[0]))
		return -EINVAL;
	lut_build(in, out, &lut, rescale, table);
	return 0;
}

/* In floats, and rounded once: not what requantize() gives. */
int hq_lut_concat(const struct hq_quant *in, const struct hq_quant *out,
		  uint8_t table[256])
{
	const struct hk_type8 *type;
	struct lut lut;
	float scale, bias;

	if (lut_begin(in, out, true, &lut))
		return -EINVAL;
	type = hk_type8(in->type);
	scale = in->scale * lut.inverse;
	bias = (float)-in->zero * scale;
	for (int i = 0; i < 256; i++) {
		float v = (float)((i ^ type->flip) - type->bias) * scale + bias;

		v = roundf(hk_bound(v, 1048576.0f)) + (float)out->zero;
		table[i] = (uint8_t)hk_clamp((int32_t)v, lut.min, lut.max);
	}
	return 0;
}

int hq_lut_relu(const struct hq_quant *in, const struct hq_quant *out, enum hq_act act,
		uint8_t table[256])
{
	struct lut lut;

	if (lut_begin(in, out, true, &lut) ||
	    hq_multiplier((double)(in->scale / out->scale), &lut.scale[0]) ||
	    hq_act_range(out, act, &lut.min, &lut.max))
		return -EINVAL;
	lut_build(in, out, &lut, rescale, table);
	return 0;
}

static int32_t leaky_relu(const struct lut *lut, int32_t x)
{
	return hk_requantize_by(x, &lut->scale[x < 0]);
}

int hq_lut_leaky_relu(const struct hq_quant *in, const struct hq_quant *out, float alpha,
		      uint8_t table[256])
{
	struct lut lut;

	if (lut_begin(in, out, true, &lut) ||
	    hq_multiplier((double)(in->scale / out->scale), &lut.scale[0]))
		return -EINVAL;
	if (hq_multiplier((double)(in->scale * fabsf(alpha) / out->scale), &lut.scale[1]))
		return -EINVAL;
	/* -m is never less than -(2^31 - 1): the sign is free. */
	if (alpha < 0)
		lut.scale[1].multiplier = -lut.scale[1].multiplier;
	lut_build(in, out, &lut, leaky_relu, table);
	return 0;
}

/* Real output to integer units, as a table is filled */
static int32_t units(const struct lut *lut, float y)
{
	return (int32_t)roundf(hk_bound(y * lut->inverse, 1048576.0f));
}

static int32_t logistic(const struct lut *lut, int32_t x)
{
	float e = (float)hq_exp((double)-(lut->in_scale * (float)x));

	return units(lut, 1.0f / (1.0f + e));
}

int hq_lut_logistic(const struct hq_quant *in, const struct hq_quant *out,
		    uint8_t table[256])
{
	struct lut lut;

	if (lut_begin(in, out, true, &lut))
		return -EINVAL;
	lut_build(in, out, &lut, logistic, table);
	return 0;
}

static int32_t hyperbolic(const struct lut *lut, int32_t x)
{
	double v = (double)(lut->in_scale * (float)x);
	/* e^2v - 1 loses bits where v is small; there the series is exact. */
	double t = 1.0 - 2.0 / (hq_exp(2.0 * fabs(v)) + 1.0);

	if (fabs(v) < 1e-4)
		t = fabs(v) - fabs(v) * v * v / 3.0;
	return units(lut, (float)(v < 0 ? -t : t));
}

int hq_lut_tanh(const struct hq_quant *in, const struct hq_quant *out, uint8_t table[256])
{
	struct lut lut;

	if (lut_begin(in, out, true, &lut))
		return -EINVAL;
	lut_build(in, out, &lut, hyperbolic, table);
	return 0;
}

static int16_t saturate16(int64_t x)
{
	return x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x;
}

/* a * b / 2^15, halves towards plus infinity */
static int16_t mul_high16(int16_t a, int16_t b)
{
	int32_t ab = (int32_t)a * b;

	return saturate16((ab + (ab >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15));
}

/* TFLite's HARD_SWISH: x * relu6(x + 3) / 6 in 16 bits */
static int32_t hard_swish(const struct lut *lut, int32_t x)
{
	int16_t fine = (int16_t)(x * 128);
	int16_t scaled = mul_high16(fine, lut->out_multiplier);
	int16_t relu = fine;
	int e = lut->relu_exponent;

	if (e > 0)
		relu = saturate16(relu * (1ll << (e - 1)));
	relu = mul_high16(relu, lut->relu_multiplier);
	if (e > 0)
		relu = saturate16((int64_t)relu * 2);
	else
		relu = (int16_t)hk_round_shift(relu, -e);
	relu = (int16_t)((relu + (1 << 15)) >> 1);
	/* Towards zero, to cancel the bias of the roundings before */
	return hk_round_shift((int32_t)relu * scaled / (1 << 15), -lut->out_exponent);
}

/* The upper 16 bits of a multiplier, rounded */
static int hard_swish_multiplier(float scale, int16_t *multiplier, int *exponent)
{
	struct hearth_requant rq;

	if (hq_multiplier((double)scale, &rq))
		return -EINVAL;
	*multiplier = rq.multiplier >= INT32_MAX - (1u << 15) ?
		INT16_MAX : (int16_t)((rq.multiplier + (1u << 15)) >> 16);
	*exponent = (int32_t)rq.shift;
	return 0;
}

int hq_lut_hard_swish(const struct hq_quant *in, const struct hq_quant *out,
		      uint8_t table[256])
{
	struct lut lut;
	float fine;

	if (lut_begin(in, out, true, &lut))
		return -EINVAL;
	fine = (1.0f / 128.0f) * in->scale;
	if (hard_swish_multiplier(fine / out->scale, &lut.out_multiplier,
				  &lut.out_exponent) ||
	    hard_swish_multiplier(fine / (3.0f / 32768.0f), &lut.relu_multiplier,
				  &lut.relu_exponent) ||
	    lut.out_exponent > 0)
		return -EINVAL;
	lut_build(in, out, &lut, hard_swish, table);
	return 0;
}
