// SPDX-License-Identifier: MIT
/*
 * NEON with SDOT: FULLY_CONNECTED of few rows, which reads each weight once.
 *
 * Bytes of either type become int8 by turning over their top bits, and zero
 * points with them; both are taken off at the end:
 *
 *   sum((x - a) * (w - b)) = sum(x * w) - a * sum(w) - b * sum(x) + n * a * b
 *
 * modulo 2^32. A second SDOT sums the weights: memory is what limits.
 */
#include "kernels/int8_neon.h"

#define OUTS	4

struct job {
	const struct hk_conv *cv;
	/* Rows of int8, padded with zeros to a multiple of 16 */
	int8_t *rows;
	uint32_t n_pad;
	/* a, and for each row n * a * b - b * sum(x) */
	int32_t src_zero;
	int32_t fold[HK_GEMV_MAX_ROWS];
	unsigned int tasks;
};

/* Sums of products and of weights, sixteen elements at a time */
struct sums {
	int32x4_t dot[OUTS], all[OUTS];
};

static inline __attribute__((always_inline)) void
add16(struct sums *s, int8x16_t x, const uint8_t *w, uint64_t stride, uint32_t left,
      uint8_t flip, const int outs)
{
	for (int o = 0; o < outs; o++) {
		uint8x16_t bytes = load_some(w + o * stride, left, flip);
		int8x16_t v = vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(flip)));

		s->dot[o] = vdotq_s32(s->dot[o], v, x);
		s->all[o] = vdotq_s32(s->all[o], v, vdupq_n_s8(1));
	}
}

/* Dot products of a row with @outs rows of weights, the sums of these taken off */
static inline __attribute__((always_inline)) void
dots(const struct job *job, const int8_t *x, const uint8_t *w, const int outs, int32_t *acc)
{
	const struct hk_conv *cv = job->cv;
	const uint8_t flip = cv->weights_flip ^ 0x80;
	const uint32_t n = cv->cmd->in_c;
	struct sums s;
	uint32_t i;

	for (int o = 0; o < outs; o++)
		s.dot[o] = s.all[o] = vdupq_n_s32(0);
	for (i = 0; i + 16 <= n; i += 16)
		add16(&s, vld1q_s8(x + i), w + i, cv->w_out, 16, flip, outs);
	/* What is missing of the weights becomes 0. */
	if (i < n)
		add16(&s, vld1q_s8(x + i), w + i, cv->w_out, n - i, flip, outs);
	for (int o = 0; o < outs; o++)
		acc[o] = hk_wrap_sub(vaddvq_s32(s.dot[o]),
				     hk_wrap_mul(vaddvq_s32(s.all[o]), job->src_zero));
}

static void gemv_out(const struct job *job, uint32_t row, uint32_t o, int32_t acc)
{
	const struct hk_conv *cv = job->cv;
	const struct hk_channels *ch = &cv->ch;

	acc = hk_wrap_add(hk_wrap_add(acc, job->fold[row]), ch->bias[o]);
	acc = hk_requantize(acc, ch->multiplier[o], ch->left[o] - ch->right[o]);
	acc = hk_wrap_add(acc, (int32_t)cv->cmd->dst_zero);
	cv->dst[(size_t)row * cv->cmd->out_c + o] = (uint8_t)
		hk_clamp(acc, (int32_t)cv->cmd->act_min, (int32_t)cv->cmd->act_max);
}

static void gemv_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hk_conv *cv = job->cv;
	uint32_t end = hk_task_start(cv->cmd->out_c, task + 1, job->tasks);
	uint32_t o = hk_task_start(cv->cmd->out_c, task, job->tasks);

	while (o < end) {
		const uint8_t *w = cv->weights + o * cv->w_out;
		uint32_t outs = end - o >= OUTS ? OUTS : 1;

		for (uint32_t row = 0; row < cv->cmd->in_h; row++) {
			const int8_t *x = job->rows + (size_t)row * job->n_pad;
			int32_t acc[OUTS];

			if (outs == OUTS)
				dots(job, x, w, OUTS, acc);
			else
				dots(job, x, w, 1, acc);
			for (uint32_t i = 0; i < outs; i++)
				gemv_out(job, row, o + i, acc[i]);
		}
		o += outs;
	}
}

void hk_gemv_dotprod(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const int32_t weights_zero = cv->weights_zero - 128;
	struct hk_carve c = cv->rest;
	struct job job = {
		.cv = cv, .n_pad = (cmd->in_c + 15) & ~15u, .src_zero = cv->src_zero - 128,
	};

	job.rows = hk_carve(&c, (size_t)cmd->in_h * job.n_pad);
	for (uint32_t row = 0; row < cmd->in_h; row++) {
		const uint8_t *from = cv->src + (size_t)row * cmd->in_c;
		int8_t *x = job.rows + (size_t)row * job.n_pad;
		int32_t sum = 0;

		for (uint32_t i = 0; i < cmd->in_c; i++) {
			x[i] = (int8_t)(from[i] ^ cv->src_flip ^ 0x80);
			sum += x[i];
		}
		memset(x + cmd->in_c, 0, job.n_pad - cmd->in_c);
		sum = (int32_t)cmd->in_c * job.src_zero - sum;
		job.fold[row] = hk_wrap_mul(weights_zero, sum);
	}
	job.tasks = hk_tasks(r, cmd->out_c, OUTS);
	hk_pool_run(r->pool, gemv_task, &job, job.tasks);
}
