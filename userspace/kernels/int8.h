/* SPDX-License-Identifier: MIT */
/*
 * What the 8-bit ops share. Internal to kernels/.
 */
#ifndef HEARTH_KERNELS_INT8_H
#define HEARTH_KERNELS_INT8_H

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "kernels/op.h"
#include "kernels/requant.h"

struct hk_conv;
struct hk_binary8;

/**
 * struct hk_int8_isa - what an instruction set does better than plain C
 *
 * Each member may be NULL. All give the same bits as the plain code.
 */
struct hk_int8_isa {
	/** @conv: CONV_2D and FULLY_CONNECTED; shapes that hk_conv_packs() */
	void (*conv)(const struct hk_conv *cv, struct hk_run *r);
	/** @depthwise: shapes that hk_depthwise_packs() */
	void (*depthwise)(const struct hk_conv *cv, struct hk_run *r);
	/** @gemv: FULLY_CONNECTED of few rows */
	void (*gemv)(const struct hk_conv *cv, struct hk_run *r);
	/** @add: ADD_Q, elements [from, to) within one period of b */
	void (*add)(const struct hk_binary8 *bin, size_t from, size_t to);
	/** @mul: MUL_Q, as @add */
	void (*mul)(const struct hk_binary8 *bin, size_t from, size_t to);
	/** @max: x[i] = max(x[i], src[i] ^ flip), bytes unsigned */
	void (*max)(uint8_t *x, const uint8_t *src, uint8_t flip, size_t n);
	/** @sum: x[i] += src[i] ^ flip, bytes unsigned */
	void (*sum)(int32_t *x, const uint8_t *src, uint8_t flip, size_t n);
	/** @divide: (x[i] - bias) / count, rounded and clamped */
	void (*divide)(uint8_t *dst, const int32_t *x, int32_t bias, int32_t count,
		       int32_t min, int32_t max, size_t n);
};

extern const struct hk_int8_isa hk_int8_avx2;
extern const struct hk_int8_isa hk_int8_dotprod;
extern const struct hk_int8_isa hk_int8_i8mm;

/*
 * An 8-bit value v of either type is (byte ^ flip) - bias: flip 0x80 and bias
 * 128 for I8, nothing for U8. Storing a value of either type takes the low
 * byte.
 */
struct hk_type8 {
	uint8_t flip;
	int16_t bias;
	int16_t min, max;
};

/* NULL unless @type is I8 or U8 */
const struct hk_type8 *hk_type8(unsigned int type);

static inline float hk_float(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/*
 * Checks of one field each: 0, or hk_bad(fault, name).
 */
struct hk_dim {
	uint32_t value;
	const char *name;
};

#define HK_DIM(cmd, field)	{ (cmd)->field, #field }

int hk_check_dims(const struct hk_dim *dims, size_t n, struct hk_fault *fault);
int hk_check_dim(uint32_t dim, const char *name, struct hk_fault *fault);
int hk_check_type8(unsigned int type, const char *name, struct hk_fault *fault);
/* A zero point that @type can hold */
int hk_check_zero(uint32_t zero, unsigned int type, const char *name,
		  struct hk_fault *fault);
/* act_min <= act_max, both within @type */
int hk_check_act(uint32_t min, uint32_t max, unsigned int type,
		 struct hk_fault *fault);
int hk_check_requant(const struct hearth_requant *rq, const char *name,
		     struct hk_fault *fault);
/* f32, positive and finite (denormals are not) */
int hk_check_scale(uint32_t bits, const char *name, struct hk_fault *fault);
int hk_check_reserved(const uint8_t *reserved, size_t n, struct hk_fault *fault);
/* hk_operand() of the product of @dims times @size bytes */
int hk_tensor(struct hk_operand *op, const char *name, uint64_t va,
	      const uint32_t *dims, unsigned int count, unsigned int size,
	      enum hk_access access, struct hk_fault *fault);

/* What is written, operand @dst, overlaps none of the @n others. */
int hk_check_overlap(const struct hk_operand *op, int n, int dst, struct hk_fault *fault);

/* Carves aligned pieces out of the scratch memory; the same steps measure it. */
struct hk_carve {
	uint8_t *base;
	size_t used;
};

void *hk_carve(struct hk_carve *c, size_t bytes);

/*
 * Requantization of each output channel, copied out of memory that others may
 * write and checked: run() uses these, never the operand. 16 spare entries at
 * the end let a vector kernel read whole registers.
 */
struct hk_channels {
	int32_t *bias;
	int32_t *multiplier;
	int32_t *left;
	int32_t *right;
};

#define HK_CHANNEL_SPARE	16

void hk_channels_carve(struct hk_channels *ch, struct hk_carve *c, size_t n);
int hk_channels_load(struct hk_channels *ch, const struct hearth_requant *rq,
		     const int32_t *bias, size_t n, struct hk_fault *fault);

/* Workers of the pool */
unsigned int hk_threads(const struct hk_run *r);

/**
 * struct hk_conv - a convolution, ready to run
 *
 * The weight of tap t and input channel i of a group, for output channel o of
 * all, stands at o * w_out + t * w_tap + i.
 */
struct hk_conv {
	const struct hearth_cmd_conv_2d *cmd;
	const uint8_t *src;
	const uint8_t *weights;
	uint8_t *dst;
	uint32_t groups, in_cg, out_cg;
	uint64_t w_out, w_tap;
	uint8_t src_flip, weights_flip;
	/* (byte ^ flip) - zero is the value less its zero point */
	int32_t src_zero, weights_zero;
	struct hk_channels ch;
	/* The rest of the scratch memory, for the ISA's kernel */
	struct hk_carve rest;
};

/* Checks the types of @cmd, its zero points and its clamp. */
int hk_conv_types(const struct hearth_cmd_conv_2d *cmd, struct hk_fault *fault);
/* Its operands; the weights of an output channel have @weights_in inputs. */
int hk_conv_tensors(const struct hearth_cmd_conv_2d *cmd, uint32_t weights_in,
		    struct hk_operand *op, struct hk_fault *fault);
/* Points @cv to its command's operands and loads the channels. */
int hk_conv_prepare(struct hk_conv *cv, const struct hearth_cmd_conv_2d *cmd,
		    void *const ptr[], struct hk_run *r);
void hk_conv_plain(const struct hk_conv *cv, struct hk_run *r);

/* The output of channel @o from its sum */
static inline uint8_t hk_channel_out(const struct hk_conv *cv, int32_t acc, uint32_t o)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const struct hk_channels *ch = &cv->ch;

	acc = hk_wrap_add(acc, ch->bias[o]);
	acc = hk_requantize(acc, ch->multiplier[o], ch->left[o] - ch->right[o]);
	acc = hk_wrap_add(acc, (int32_t)cmd->dst_zero);
	return (uint8_t)hk_clamp(acc, (int32_t)cmd->act_min, (int32_t)cmd->act_max);
}

/* With the ISA's kernel if it has one for this shape */
void hk_conv_best(const struct hk_conv *cv, struct hk_run *r);

/* A kernel packs the weights in scratch memory up to these sizes. */
#define HK_PACK_MAX_K		(1u << 16)
#define HK_PACK_MAX_BYTES	(64u << 20)
#define HK_PACK_NR		16
#define HK_PACK_PIXELS		48
#define HK_DEPTHWISE_MAX_TAPS	256
#define HK_GEMV_MAX_ROWS	4

/* Bytes of scratch memory that @conv, @depthwise, @gemv want; 0: too large */
size_t hk_conv_pack_bytes(const struct hk_conv *cv, unsigned int threads);
size_t hk_depthwise_pack_bytes(const struct hk_conv *cv);
size_t hk_gemv_pack_bytes(const struct hk_conv *cv);

/* Tasks for @n items, @least or more in each */
unsigned int hk_tasks(const struct hk_run *r, uint64_t n, uint64_t least);

/* First item of task @task of @tasks */
static inline uint64_t hk_task_start(uint64_t n, unsigned int task, unsigned int tasks)
{
	return n * task / tasks;
}

/* The window of an output pixel: its image, and where it starts, inside or not */
struct hk_window {
	const uint8_t *src;
	int64_t y, x;
};

static inline struct hk_window hk_window(const struct hk_conv *cv, uint64_t pixel)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint64_t row = pixel / cmd->out_w;

	return (struct hk_window){
		.src = cv->src + row / cmd->out_h * cmd->in_h * cmd->in_w * cmd->in_c,
		.y = (int64_t)(row % cmd->out_h) * cmd->stride_h - cmd->pad_top,
		.x = (int64_t)(pixel % cmd->out_w) * cmd->stride_w - cmd->pad_left,
	};
}

/* First and last + 1 tap of a window of @k taps @dilation apart at @origin. */
static inline void hk_taps(int64_t origin, uint32_t k, uint32_t dilation, uint32_t in,
			   uint32_t *first, uint32_t *end)
{
	int64_t a = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
	int64_t b = origin < in ? (in - origin + dilation - 1) / dilation : 0;

	*end = b < k ? b : k;
	*first = a < *end ? a : *end;
}

/**
 * struct hk_binary8 - ADD_Q and MUL_Q, ready to run
 *
 * @b repeats after @b_n elements.
 */
struct hk_binary8 {
	const struct hearth_cmd_binary_q *cmd;
	const uint8_t *a, *b;
	uint8_t *dst;
	size_t b_n;
	uint8_t a_flip, b_flip;
	/* As in &struct hk_conv */
	int32_t a_zero, b_zero;
};

/* Elements of a row that pools and means sum at a time, on the stack */
#define HK_SUM_CHUNK	1024

/* Nearest integer of |x| < 2^23, halves away from zero */
static inline int32_t hk_round(float x)
{
	int32_t i = (int32_t)x;
	float rest = x - (float)i;

	return i + (rest >= 0.5f) - (rest <= -0.5f);
}

/* @x, or the bound that it exceeds; NaN is below */
static inline float hk_bound(float x, float bound)
{
	return !(x > -bound) ? -bound : x > bound ? bound : x;
}

/* What the rows of the table are made of, each in its op's file */
#define HK_OP8(op)								\
	int op##_operands(const void *cmd, struct hk_operand *operand,		\
			  struct hk_fault *fault);				\
	int op##_run(const void *cmd, void *const ptr[], struct hk_run *r)

HK_OP8(hk_copy_2d);
HK_OP8(hk_pad);
HK_OP8(hk_conv);
HK_OP8(hk_depthwise);
HK_OP8(hk_fc);
HK_OP8(hk_add_q);
HK_OP8(hk_mul_q);
HK_OP8(hk_softmax_q);
HK_OP8(hk_lut8);
HK_OP8(hk_quantize);
HK_OP8(hk_dequantize);
HK_OP8(hk_mean_q);
HK_OP8(hk_average_pool);
HK_OP8(hk_max_pool);

size_t hk_conv_scratch(const void *cmd, unsigned int threads);
size_t hk_depthwise_scratch(const void *cmd, unsigned int threads);
size_t hk_fc_scratch(const void *cmd, unsigned int threads);

#endif /* HEARTH_KERNELS_INT8_H */
