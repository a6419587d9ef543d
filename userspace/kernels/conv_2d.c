// SPDX-License-Identifier: MIT
/*
 * CONV_2D and DEPTHWISE_CONV_2D. To the plain code both are convolutions in
 * groups; only the order of their weights differs.
 */
#include "kernels/int8.h"
#include "kernels/isa.h"

int hk_conv_types(const struct hearth_cmd_conv_2d *cmd, struct hk_fault *fault)
{
	if (hk_check_type8(cmd->src_type, "src_type", fault) ||
	    hk_check_type8(cmd->weights_type, "weights_type", fault) ||
	    hk_check_type8(cmd->dst_type, "dst_type", fault) ||
	    hk_check_zero(cmd->src_zero, cmd->src_type, "src_zero", fault) ||
	    hk_check_zero(cmd->weights_zero, cmd->weights_type, "weights_zero", fault) ||
	    hk_check_zero(cmd->dst_zero, cmd->dst_type, "dst_zero", fault))
		return -EINVAL;
	return hk_check_act(cmd->act_min, cmd->act_max, cmd->dst_type, fault);
}

static int conv_fields(const struct hearth_cmd_conv_2d *cmd, struct hk_fault *fault)
{
	const struct hk_dim dims[] = {
		HK_DIM(cmd, batch), HK_DIM(cmd, in_h), HK_DIM(cmd, in_w),
		HK_DIM(cmd, in_c), HK_DIM(cmd, out_h), HK_DIM(cmd, out_w),
		HK_DIM(cmd, out_c), HK_DIM(cmd, k_h), HK_DIM(cmd, k_w),
		HK_DIM(cmd, stride_h), HK_DIM(cmd, stride_w),
		HK_DIM(cmd, dilation_h), HK_DIM(cmd, dilation_w),
		HK_DIM(cmd, groups),
	};

	if (hk_check_dims(dims, sizeof(dims) / sizeof(dims[0]), fault))
		return -EINVAL;
	if (cmd->pad_top > HEARTH_CMD_MAX_DIM)
		return hk_bad(fault, "pad_top");
	if (cmd->pad_left > HEARTH_CMD_MAX_DIM)
		return hk_bad(fault, "pad_left");
	if (hk_conv_types(cmd, fault))
		return -EINVAL;
	return hk_check_reserved(&cmd->reserved, 1, fault);
}

int hk_conv_tensors(const struct hearth_cmd_conv_2d *cmd, uint32_t weights_in,
		    struct hk_operand *op, struct hk_fault *fault)
{
	const uint32_t src[] = { cmd->batch, cmd->in_h, cmd->in_w, cmd->in_c };
	const uint32_t dst[] = { cmd->batch, cmd->out_h, cmd->out_w, cmd->out_c };
	const uint32_t weights[] = { cmd->out_c, cmd->k_h, cmd->k_w, weights_in };

	if (hk_tensor(&op[0], "src", cmd->src, src, 4, 1, HK_READ, fault) ||
	    hk_tensor(&op[1], "weights", cmd->weights, weights, 4, 1, HK_READ, fault) ||
	    hk_operand(&op[2], "bias", cmd->bias, cmd->bias ? cmd->out_c * 4ull : 0, 4,
		       HK_READ, fault) ||
	    hk_operand(&op[3], "requant", cmd->requant,
		       cmd->out_c * sizeof(struct hearth_requant), 4, HK_READ, fault) ||
	    hk_tensor(&op[4], "dst", cmd->dst, dst, 4, 1, HK_WRITE, fault) ||
	    hk_check_overlap(op, 5, 4, fault))
		return -EINVAL;
	return 5;
}

int hk_conv_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_conv_2d *cmd = from;

	if (conv_fields(cmd, fault))
		return -EINVAL;
	if (cmd->in_c % cmd->groups || cmd->out_c % cmd->groups)
		return hk_bad(fault, "groups");
	return hk_conv_tensors(cmd, cmd->in_c / cmd->groups, op, fault);
}

int hk_depthwise_operands(const void *from, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_conv_2d *cmd = from;

	if (conv_fields(cmd, fault))
		return -EINVAL;
	if (cmd->groups != cmd->in_c)
		return hk_bad(fault, "groups");
	if (cmd->out_c % cmd->in_c)
		return hk_bad(fault, "out_c");
	return hk_conv_tensors(cmd, 1, op, fault);
}

/* The shape: all that does not need the operands */
static void conv_shape(struct hk_conv *cv, const struct hearth_cmd_conv_2d *cmd)
{
	const struct hk_type8 *src = hk_type8(cmd->src_type);
	const struct hk_type8 *weights = hk_type8(cmd->weights_type);

	cv->cmd = cmd;
	cv->groups = cmd->groups;
	cv->in_cg = cmd->in_c / cmd->groups;
	cv->out_cg = cmd->out_c / cmd->groups;
	if (cmd->hdr.op == HEARTH_OP_DEPTHWISE_CONV_2D) {
		cv->w_out = 1;
		cv->w_tap = cmd->out_c;
	} else {
		cv->w_out = (uint64_t)cmd->k_h * cmd->k_w * cv->in_cg;
		cv->w_tap = cv->in_cg;
	}
	cv->src_flip = src->flip;
	cv->weights_flip = weights->flip;
	cv->src_zero = src->bias + (int32_t)cmd->src_zero;
	cv->weights_zero = weights->bias + (int32_t)cmd->weights_zero;
}

size_t hk_conv_scratch(const void *cmd, unsigned int threads)
{
	struct hk_conv cv = { 0 };
	struct hk_carve c = { 0 };
	size_t most, bytes;

	conv_shape(&cv, cmd);
	hk_channels_carve(&cv.ch, &c, cv.cmd->out_c);
	most = hk_conv_pack_bytes(&cv, threads);
	bytes = hk_depthwise_pack_bytes(&cv);
	if (bytes > most)
		most = bytes;
	bytes = hk_gemv_pack_bytes(&cv);
	return c.used + (bytes > most ? bytes : most);
}

size_t hk_depthwise_scratch(const void *cmd, unsigned int threads)
{
	return hk_conv_scratch(cmd, threads);
}

int hk_conv_prepare(struct hk_conv *cv, const struct hearth_cmd_conv_2d *cmd,
		    void *const ptr[], struct hk_run *r)
{
	*cv = (struct hk_conv){
		.src = ptr[0], .weights = ptr[1], .dst = ptr[4],
		.rest = { .base = r->scratch },
	};
	conv_shape(cv, cmd);
	hk_channels_carve(&cv->ch, &cv->rest, cmd->out_c);
	return hk_channels_load(&cv->ch, ptr[3], ptr[2], cmd->out_c, r->fault);
}

/* One output of one channel: where its window starts, which taps lie inside */
struct window {
	int64_t y, x;
	uint32_t y_first, y_end, x_first, x_end;
};

/* int16 products: compilers know a vector instruction for their sum. */
static inline uint32_t dot(const struct hk_conv *cv, const uint8_t *in, const uint8_t *w)
{
	const uint8_t in_flip = cv->src_flip, w_flip = cv->weights_flip;
	const int16_t in_zero = (int16_t)cv->src_zero, w_zero = (int16_t)cv->weights_zero;
	uint32_t acc = 0;

	for (uint32_t i = 0; i < cv->in_cg; i++) {
		int16_t a = (in[i] ^ in_flip) - in_zero;
		int16_t b = (w[i] ^ w_flip) - w_zero;

		acc += (uint32_t)(a * b);
	}
	return acc;
}

static int32_t window_dot(const struct hk_conv *cv, const uint8_t *src,
			  const uint8_t *weights, const struct window *win)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint32_t acc = 0;

	for (uint32_t ky = win->y_first; ky < win->y_end; ky++) {
		uint64_t y = win->y + (int64_t)ky * cmd->dilation_h;

		for (uint32_t kx = win->x_first; kx < win->x_end; kx++) {
			uint64_t x = win->x + (int64_t)kx * cmd->dilation_w;
			uint64_t tap = (uint64_t)ky * cmd->k_w + kx;

			acc += dot(cv, src + (y * cmd->in_w + x) * cmd->in_c,
				   weights + tap * cv->w_tap);
		}
	}
	return (int32_t)acc;
}

static void conv_pixel(const struct hk_conv *cv, const uint8_t *src, uint8_t *dst,
		       const struct window *win)
{
	for (uint32_t o = 0; o < cv->cmd->out_c; o++) {
		uint32_t g = o / cv->out_cg;
		int32_t acc = window_dot(cv, src + (uint64_t)g * cv->in_cg,
					 cv->weights + o * cv->w_out, win);

		dst[o] = hk_channel_out(cv, acc, o);
	}
}

static void conv_row(const struct hk_conv *cv, uint64_t row)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const uint8_t *src = cv->src + row / cmd->out_h * cmd->in_h * cmd->in_w * cmd->in_c;
	uint8_t *dst = cv->dst + row * cmd->out_w * cmd->out_c;
	struct window win;

	win.y = (int64_t)(row % cmd->out_h) * cmd->stride_h - cmd->pad_top;
	hk_taps(win.y, cmd->k_h, cmd->dilation_h, cmd->in_h, &win.y_first, &win.y_end);
	for (uint32_t x = 0; x < cmd->out_w; x++) {
		win.x = (int64_t)x * cmd->stride_w - cmd->pad_left;
		hk_taps(win.x, cmd->k_w, cmd->dilation_w, cmd->in_w, &win.x_first,
			&win.x_end);
		conv_pixel(cv, src, dst + (uint64_t)x * cmd->out_c, &win);
	}
}

struct conv_job {
	const struct hk_conv *cv;
	unsigned int tasks;
};

static void conv_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct conv_job *job = arg;
	uint64_t rows = (uint64_t)job->cv->cmd->batch * job->cv->cmd->out_h;
	uint64_t end = hk_task_start(rows, task + 1, job->tasks);

	for (uint64_t row = hk_task_start(rows, task, job->tasks); row < end; row++)
		conv_row(job->cv, row);
}

void hk_conv_plain(const struct hk_conv *cv, struct hk_run *r)
{
	uint64_t rows = (uint64_t)cv->cmd->batch * cv->cmd->out_h;
	struct conv_job job = { cv, hk_tasks(r, rows, 1) };

	hk_pool_run(r->pool, conv_task, &job, job.tasks);
}

/* Depthwise over one input channel is an ordinary convolution of one. */
void hk_conv_best(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hk_int8_isa *isa = r->isa ? r->isa->int8 : NULL;

	if (isa && isa->gemv && hk_gemv_pack_bytes(cv))
		isa->gemv(cv, r);
	else if (isa && isa->conv && hk_conv_pack_bytes(cv, hk_threads(r)))
		isa->conv(cv, r);
	else if (isa && isa->depthwise && hk_depthwise_pack_bytes(cv))
		isa->depthwise(cv, r);
	else
		hk_conv_plain(cv, r);
}

int hk_conv_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	struct hk_conv cv;

	if (hk_conv_prepare(&cv, cmd, ptr, r))
		return -EINVAL;
	hk_conv_best(&cv, r);
	return 0;
}

int hk_depthwise_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	return hk_conv_run(cmd, ptr, r);
}
