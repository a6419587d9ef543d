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
#include "kernels/gemv.h"
#include "kernels/int8_neon.h"

/* Sums of products and of weights, sixteen elements at a time */
struct sums {
	int32x4_t dot[GEMV_OUTS], all[GEMV_OUTS];
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
dots(const struct gemv *job, const void *row, const uint8_t *w, const int outs, int32_t *acc)
{
	const struct hk_conv *cv = job->cv;
	const int8_t *x = row;
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

static void gemv_task(void *arg, unsigned int task, unsigned int worker)
{
	gemv_outs(arg, task, dots);
}

void hk_gemv_dotprod(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const int32_t weights_zero = cv->weights_zero - 128;
	struct gemv job = { .src_zero = cv->src_zero - 128 };

	gemv_start(&job, cv, sizeof(int8_t));
	for (uint32_t row = 0; row < cmd->in_h; row++) {
		const uint8_t *from = cv->src + (size_t)row * cmd->in_c;
		int8_t *x = (int8_t *)(job.rows + row * job.row_bytes);
		int32_t sum = 0;

		for (uint32_t i = 0; i < cmd->in_c; i++) {
			x[i] = (int8_t)(from[i] ^ cv->src_flip ^ 0x80);
			sum += x[i];
		}
		/* n * a * b - b * sum(x) */
		sum = (int32_t)cmd->in_c * job.src_zero - sum;
		job.fold[row] = hk_wrap_mul(weights_zero, sum);
	}
	gemv_run(&job, gemv_task, r);
}
