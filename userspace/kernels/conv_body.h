/* SPDX-License-Identifier: MIT */
/*
 * CONV_2D for one level. The file that includes this has included conv_job.h,
 * and defined
 *
 *   CONV: the name of the entry
 *   zero_left(zero): what take_taps() and pack_panel() leave of a zero point
 *   take_taps(to, src, n, cv): @n bytes of the input as numbers
 *   pack_panel(job, panel, o, count): @count channels from @o on
 *   tile(job, windows, start, panel, m, o, out): @m windows times a panel;
 *	@start has where the sums of each window start
 */
static void pack_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	const struct hk_conv *cv = job->cv;
	uint32_t first = task % job->panels * NR;
	uint32_t count = cv->out_cg - first < NR ? cv->out_cg - first : NR;
	uint64_t o = (uint64_t)(task / job->panels) * cv->out_cg + first;

	pack_panel(job, job->packed + (size_t)task * job->k_pad * NR, o, count);
}

/* @n times the zero point, which is one byte or 0 */
static void fill(const struct job *job, tap_t *to, size_t n)
{
	memset(to, job->src_zero, n * sizeof(*to));
}

/* Row @ky of the window at (y, x), channels from @c on: k_w * in_cg numbers */
static void gather_row(const struct job *job, tap_t *to, const uint8_t *src, int64_t y,
		       int64_t x, uint32_t c)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	uint32_t n = cv->in_cg, first, end;

	if (y < 0 || y >= cmd->in_h) {
		fill(job, to, (size_t)cmd->k_w * n);
		return;
	}
	hk_taps(x, cmd->k_w, cmd->dilation_w, cmd->in_w, &first, &end);
	fill(job, to, (size_t)first * n);
	src += (uint64_t)y * cmd->in_w * cmd->in_c + c;
	if (cmd->dilation_w == 1 && n == cmd->in_c) {
		take_taps(to + (size_t)first * n, src + (x + first) * n,
			  (size_t)(end - first) * n, cv);
	} else {
		for (uint32_t kx = first; kx < end; kx++)
			take_taps(to + (size_t)kx * n,
				  src + (x + (int64_t)kx * cmd->dilation_w) * cmd->in_c, n, cv);
	}
	fill(job, to + (size_t)end * n, (size_t)(cmd->k_w - end) * n);
}

/* Gathers a window; returns where its sums start. */
static int32_t gather(const struct job *job, tap_t *to, uint64_t pixel, uint32_t group)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const struct hk_window win = hk_window(cv, pixel);
	int32_t sum = 0;

	for (uint32_t ky = 0; ky < cmd->k_h; ky++)
		gather_row(job, to + (size_t)ky * cmd->k_w * cv->in_cg, win.src,
			   win.y + (int64_t)ky * cmd->dilation_h, win.x, group * cv->in_cg);
	memset(to + job->k, 0, (job->k_pad - job->k) * sizeof(*to));
	if (!job->weights_zero)
		return 0;
	for (uint32_t t = 0; t < job->k; t++)
		sum += to[t];
	return hk_wrap_mul(-job->weights_zero, sum);
}

/* Inline it would share block()'s registers, and AVX2 wants them all. */
static __attribute__((noinline)) void
tiles(const struct job *job, const tap_t *windows, const int32_t *start, const tap_t *panel,
      uint32_t n, struct out_panel o, const struct out8 *out)
{
	for (; n >= MR; n -= MR) {
		tile(job, windows, start, panel, MR, &o, out);
		windows += (size_t)MR * job->k_pad;
		start += MR;
		o.dst += MR * o.stride;
	}
	switch (n) {
#if MR > 4
	case 5:
		tile(job, windows, start, panel, 5, &o, out);
		break;
	case 4:
		tile(job, windows, start, panel, 4, &o, out);
		break;
#endif
	case 3:
		tile(job, windows, start, panel, 3, &o, out);
		break;
	case 2:
		tile(job, windows, start, panel, 2, &o, out);
		break;
	case 1:
		tile(job, windows, start, panel, 1, &o, out);
		break;
	}
}

/* @n pixels from @pixel on, all channels of a group */
static void block(const struct job *job, tap_t *windows, uint64_t pixel, uint32_t n,
		  uint32_t group)
{
	const struct hk_conv *cv = job->cv;
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	const struct out8 out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max);
	const tap_t *panel = job->packed + (size_t)group * job->panels * job->k_pad * NR;
	int32_t start[HK_PACK_PIXELS];

	for (uint32_t i = 0; i < n; i++)
		start[i] = gather(job, windows + (size_t)i * job->k_pad, pixel + i, group);
	for (uint32_t c = 0; c < cv->out_cg; c += NR, panel += (size_t)job->k_pad * NR) {
		struct out_panel o = {
			.stride = cmd->out_c,
			.channel = group * cv->out_cg + c,
			.count = cv->out_cg - c < NR ? cv->out_cg - c : NR,
		};

		o.dst = cv->dst + pixel * cmd->out_c + o.channel;
		tiles(job, windows, start, panel, n, o, &out);
	}
}

static void conv_task(void *arg, unsigned int task, unsigned int worker)
{
	const struct job *job = arg;
	tap_t *windows = (tap_t *)((uint8_t *)job->windows + worker * job->window_bytes);
	uint64_t pixel = hk_task_start(job->pixels, task, job->tasks);
	uint64_t end = hk_task_start(job->pixels, task + 1, job->tasks);

	while (pixel < end) {
		uint32_t n = end - pixel < HK_PACK_PIXELS ? end - pixel : HK_PACK_PIXELS;

		for (uint32_t g = 0; g < job->cv->groups; g++)
			block(job, windows, pixel, n, g);
		pixel += n;
	}
}

/* Never more memory than for the int16 of conv_pack.c, four at a time */
void CONV(const struct hk_conv *cv, struct hk_run *r)
{
	const struct hearth_cmd_conv_2d *cmd = cv->cmd;
	struct hk_carve c = cv->rest;
	struct job job = {
		.cv = cv,
		.k = cmd->k_h * cmd->k_w * cv->in_cg,
		.panels = (cv->out_cg + NR - 1) / NR,
		.pixels = (uint64_t)cmd->batch * cmd->out_h * cmd->out_w,
		.src_zero = zero_left(cv->src_zero),
		.weights_zero = zero_left(cv->weights_zero),
	};

	job.k_pad = (job.k + TAPS - 1) / TAPS * TAPS;
	job.packed = hk_carve(&c, (size_t)job.k_pad * NR * job.panels * cv->groups *
				  sizeof(tap_t));
	job.windows = (tap_t *)(c.base + c.used);
	job.window_bytes = ((size_t)job.k_pad * HK_PACK_PIXELS * sizeof(tap_t) + 63) &
			   ~(size_t)63;
	job.tasks = hk_tasks(r, job.pixels, MR);
	hk_pool_run(r->pool, pack_task, &job, job.panels * cv->groups);
	hk_pool_run(r->pool, conv_task, &job, job.tasks);
}
