/* SPDX-License-Identifier: MIT */
/*
 * From the real numbers of a quantized model to the integers and tables of
 * its commands, as TFLite 2.14 computes them. For compilers: nothing here
 * runs when a command does.
 *
 * Scales are the model's floats. A function that returns int gives -EINVAL if
 * a scale is not positive and finite, or if the result cannot be expressed.
 */
#ifndef HEARTH_KERNELS_QUANTPARAM_H
#define HEARTH_KERNELS_QUANTPARAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hw/hearth_cmd.h>

/**
 * enum hq_act - activation that is part of another op
 */
enum hq_act {
	HQ_ACT_NONE,
	HQ_ACT_RELU,
	HQ_ACT_RELU_N1_TO_1,
	HQ_ACT_RELU6,
};

/**
 * struct hq_quant - how a tensor is quantized: scale * (value - zero)
 */
struct hq_quant {
	float scale;
	int32_t zero;
	/** @type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8. */
	unsigned int type;
};

/** hq_multiplier() - @scale, not negative, as multiplier and shift */
int hq_multiplier(double scale, struct hearth_requant *rq);

/** hq_act_range() - bounds of an output with activation @act, as act_min, act_max */
int hq_act_range(const struct hq_quant *out, enum hq_act act, int32_t *min,
		 int32_t *max);

/**
 * hq_conv() - requantization of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
 * @weights: one scale, or @channels of them
 * @scales: 1 or @channels
 * @per_tensor: the model's kind of rounding for networks whose weights have one
 *	scale: all of type U8, and FULLY_CONNECTED with one scale
 *
 * Fills rq[channels].
 */
int hq_conv(float in, const float *weights, size_t scales, float out, bool per_tensor,
	    struct hearth_requant *rq, size_t channels);

/** hq_add() - left_shift and scales of ADD_Q */
int hq_add(float a, float b, float out, struct hearth_cmd_binary_q *cmd);

/** hq_mul() - scales of MUL_Q */
int hq_mul(float a, float b, float out, struct hearth_cmd_binary_q *cmd);

/** hq_mean() - scale of MEAN_Q over @n elements */
int hq_mean(float in, float out, uint32_t n, struct hearth_requant *rq);

/** hq_softmax_table() - table of SOFTMAX_Q */
int hq_softmax_table(float in_scale, float beta, float table[256]);

/*
 * Tables of LUT8. Input and output have the same type, but for requantize.
 */
int hq_lut_requantize(const struct hq_quant *in, const struct hq_quant *out,
		      uint8_t table[256]);
/* As CONCATENATION brings an input to the scale of its output */
int hq_lut_concat(const struct hq_quant *in, const struct hq_quant *out,
		  uint8_t table[256]);
int hq_lut_relu(const struct hq_quant *in, const struct hq_quant *out, enum hq_act act,
		uint8_t table[256]);
int hq_lut_leaky_relu(const struct hq_quant *in, const struct hq_quant *out, float alpha,
		      uint8_t table[256]);
int hq_lut_logistic(const struct hq_quant *in, const struct hq_quant *out,
		    uint8_t table[256]);
int hq_lut_tanh(const struct hq_quant *in, const struct hq_quant *out,
		uint8_t table[256]);
int hq_lut_hard_swish(const struct hq_quant *in, const struct hq_quant *out,
		      uint8_t table[256]);

/** hq_exp() - e^x, the same bits on every machine; error below 1e-15 of it */
double hq_exp(double x);

#endif /* HEARTH_KERNELS_QUANTPARAM_H */
