// SPDX-License-Identifier: MIT
/*
 * AVX2: CONV_2D as a product of matrices of int16.
 *
 * Weights are packed in panels of 16 channels: for each pair of taps, 16 pairs
 * of numbers. Windows of input pixels are gathered as rows, with zeros for
 * what lies outside. A product of two pairs is then exact in 32 bits, and sums
 * wrap as the plain code's do.
 */
#include "kernels/int8_avx2.h"

#define NR	HK_PACK_NR
#define MR	6

struct job {
	const struct hk_conv *cv;
	/* Taps of a window, and the same rounded up to a pair */
	uint32_t k, k_pad;
	/* Panels of a group */
	uint32_t panels;
	int16_t *packed;
	/* HK_PACK_PIXELS windows for each worker */
	int16_t *windows;
	size_t window_bytes;
	uint64_t pixels;
	unsigned int tasks;
};

/* Tap @t of channel @o: its window coordinates and its input channel */
static const uint8_t *weight(const struct hk_conv *cv, uint64_t o, uint32_t t)
{
	return cv->weights + o * cv->w_out + t / cv->in_cg * cv->w_tap + t % cv->in_cg;
}

/* Channel o of a panel, taps in order: a stride of 2 * NR numbers per pair */
static void pack_channel(const struct job *job, int16_t *panel, uint64_t o)
{
	const struct hk_conv *cv = job->cv;

	for (uint32_t t = 0; t < job->k; t++)
		panel[t / 2 * 2 * NR + t % 2] =
			(int16_t)((*weight(cv, o, t) ^ cv->weights_flip) - cv->weights_zero);
}

/* The channels' taps stand one after the other: 16 taps of 8 channels at once */
static uint32_t pack_dense(const struct job *job, int16_t *panel, uint64_t o)
{
	const struct hk_conv *cv = job->cv;
	__m128i flip = _mm_set1_epi8((char)cv->weights_flip);
	__m256i zero = _mm256_set1_epi16((int16_t)cv->weights_zero);
	uint32_t t;

	for (t = 0; t + 16 <= job->k; t += 16) {
		int32_t *to = (int32_t *)(panel + t * NR);

		for (int c = 0; c < NR; c++) {
			const uint8_t *w = cv->weights + (o + c) * cv->w_out + t;
			int32_t pair[8];

			_mm256_storeu_si256((__m256i *)pair,
					    widen(load_some(w, 16), flip, zero));
			for (int p = 0; p < 8; p++)
				to[p * NR + c] = pair[p];
		}
	}
	return t;
}

static void pack_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hk_conv *cv = job->cv;
	uint32_t first = task % job->panels * NR;
	uint32_t count = cv->out_cg - first < NR ? cv->out_cg - first : NR;
	uint64_t o = (uint64_t)(task / job->panels) * cv->out_cg + first;
	int16_t *panel = job->packed + (size_t)task * job->k_pad * NR;
	uint32_t done = 0;

	if (count == NR && cv->w_tap == cv->in_cg)
		done = pack_dense(job, panel, o);
	memset(panel + done * NR, 0, (job->k_pad - done) * NR * sizeof(*panel));
	for (uint32_t c = 0; c < count; c++) {
		if (!done) {
			pack_channel(job, panel + 2 * c, o + c);
			continue;
		}
		for (uint32_t t = done; t < job->k; t++)
			panel[t / 2 * 2 * NR + 2 * c + t % 2] = (int16_t)
				((*weight(cv, o + c, t) ^ cv->weights_flip) -
				 cv->weights_zero);
	}
}

/* Row @ky of the window at (y, x), channels from @c on: k_w * in_cg numbers */
static void gather_row(const struct hk_conv *cv, int16_t *to, const uint8_t *src,
		       int64_t y, int64_t x, uint32_t c)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint32_t n = cv->in_cg, first, end;

	if (y < 0 || y >= cmd->in_h) {
		memset(to, 0, (size_t)cmd->k_w * n * sizeof(*to));
		return;
	}
	hk_taps(x, cmd->k_w, cmd->dilation_w, cmd->in_w, &first, &end);
	memset(to, 0, (size_t)first * n * sizeof(*to));
	src += (uint64_t)y * cmd->in_w * cmd->in_c + c;
	if (cmd->dilation_w == 1 && n == cmd->in_c) {
		widen_row(to + (size_t)first * n, src + (x + first) * n,
			  (size_t)(end - first) * n, cv->src_flip, cv->src_zero);
	} else {
		for (uint32_t kx = first; kx < end; kx++)
			widen_row(to + (size_t)kx * n,
				  src + (x + (int64_t)kx * cmd->dilation_w) * cmd->in_c, n,
				  cv->src_flip, cv->src_zero);
	}
	memset(to + (size_t)end * n, 0, (size_t)(cmd->k_w - end) * n * sizeof(*to));
}

static void gather(const struct job *job, int16_t *to, uint64_t pixel, uint32_t group)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint64_t row = pixel / cmd->out_w;
	const uint8_t *src = cv->src + row / cmd->out_h * cmd->in_h * cmd->in_w * cmd->in_c;
	int64_t y = (int64_t)(row % cmd->out_h) * cmd->stride_h - cmd->pad_top;
	int64_t x = (int64_t)(pixel % cmd->out_w) * cmd->stride_w - cmd->pad_left;

	for (uint32_t ky = 0; ky < cmd->k_h; ky++)
		gather_row(cv, to + (size_t)ky * cmd->k_w * cv->in_cg, src,
			   y + (int64_t)ky * cmd->dilation_h, x, group * cv->in_cg);
	if (job->k_pad > job->k)
		to[job->k] = 0;
}

struct out_panel {
	uint8_t *dst;
	size_t stride;
	uint32_t channel, count;
};

/* @m windows times a panel */
static inline __attribute__((always_inline)) void
tile(const struct job *job, const int16_t *windows, const int16_t *panel, int m,
     const struct out_panel *o, const struct out8 *out)
{
	const size_t stride = job->k_pad;
	__m256i acc[MR][2];

	HK_UNROLL
	for (int i = 0; i < m; i++)
		acc[i][0] = acc[i][1] = _mm256_setzero_si256();
	for (size_t t = 0; t < stride; t += 2) {
		__m256i w0 = load256(panel + t * NR);
		__m256i w1 = load256(panel + t * NR + NR);

		HK_UNROLL
		for (int i = 0; i < m; i++) {
			int32_t pair;
			__m256i x;

			memcpy(&pair, windows + i * stride + t, sizeof(pair));
			x = _mm256_set1_epi32(pair);
			acc[i][0] = _mm256_add_epi32(acc[i][0], _mm256_madd_epi16(x, w0));
			acc[i][1] = _mm256_add_epi32(acc[i][1], _mm256_madd_epi16(x, w1));
			/* Keeps the sums in registers, one window after another. */
			__asm__ volatile("" : "+x"(acc[i][0]), "+x"(acc[i][1]));
		}
	}
	HK_UNROLL
	for (int i = 0; i < m; i++) {
		const struct hk_channels *ch = &job->cv->ch;

		store_some(o->dst + i * o->stride,
			   pack8(channels_out(ch, o->channel, out, acc[i][0]),
				 channels_out(ch, o->channel + 8, out, acc[i][1])),
			   o->count);
	}
}

static void tiles(const struct job *job, const int16_t *windows, const int16_t *panel,
		  uint32_t n, struct out_panel o, const struct out8 *out)
{
	for (; n >= MR; n -= MR) {
		tile(job, windows, panel, MR, &o, out);
		windows += (size_t)MR * job->k_pad;
		o.dst += MR * o.stride;
	}
	switch (n) {
	case 5:
		tile(job, windows, panel, 5, &o, out);
		break;
	case 4:
		tile(job, windows, panel, 4, &o, out);
		break;
	case 3:
		tile(job, windows, panel, 3, &o, out);
		break;
	case 2:
		tile(job, windows, panel, 2, &o, out);
		break;
	case 1:
		tile(job, windows, panel, 1, &o, out);
		break;
	}
}

/* @n pixels from @pixel on, all channels of a group */
static void block(const struct job *job, int16_t *windows, uint64_t pixel, uint32_t n,
		  uint32_t group)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const struct out8 out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max);
	const int16_t *panel = job->packed + (size_t)group * job->panels * job->k_pad * NR;

	for (uint32_t i = 0; i < n; i++)
		gather(job, windows + (size_t)i * job->k_pad, pixel + i, group);
	for (uint32_t c = 0; c < cv->out_cg; c += NR, panel += (size_t)job->k_pad * NR) {
		struct out_panel o = {
			.stride = cmd->out_c,
			.channel = group * cv->out_cg + c,
			.count = cv->out_cg - c < NR ? cv->out_cg - c : NR,
		};

		o.dst = cv->dst + pixel * cmd->out_c + o.channel;
		tiles(job, windows, panel, n, o, &out);
	}
}

static void conv_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	int16_t *windows = (int16_t *)((uint8_t *)job->windows + worker * job->window_bytes);
	uint64_t pixel = hk_task_start(job->pixels, task, job->tasks);
	uint64_t end = hk_task_start(job->pixels, task + 1, job->tasks);

	while (pixel < end) {
		uint32_t n = end - pixel < HK_PACK_PIXELS ? end - pixel : HK_PACK_PIXELS;

		for (uint32_t g = 0; g < job->cv->groups; g++)
			block(job, windows, pixel, n, g);
		pixel += n;
	}
}

void hk_conv_avx2(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;
	struct job job = {
		.cv = cv,
		.k = cmd->k_h * cmd->k_w * cv->in_cg,
		.panels = (cv->out_cg + NR - 1) / NR,
		.pixels = (uint64_t)cmd->batch * cmd->out_h * cmd->out_w,
	};

	job.k_pad = (job.k + 1) & ~1u;
	job.packed = hk_carve(&c, (size_t)job.k_pad * NR * job.panels * cv->groups *
				  sizeof(int16_t));
	job.windows = (int16_t *)(c.base + c.used);
	job.window_bytes = ((size_t)job.k_pad * HK_PACK_PIXELS * sizeof(int16_t) + 63) &
			   ~(size_t)63;
	job.tasks = hk_tasks(r, job.pixels, MR);
	hk_pool_run(r->pool, pack_task, &job, job.panels * cv->groups);
	hk_pool_run(r->pool, conv_task, &job, job.tasks);
}
