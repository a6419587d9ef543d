// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>

#include "kernels/f16.h"
#include "kernels/float.h"

int hk_rms_norm_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_rms_norm *c = cmd;
	uint64_t n;

	if (c->reserved)
		return hk_bad(fault, "reserved");
	if (hk_elements((uint32_t[]){ c->rows, c->n }, 2, &n))
		return hk_bad(fault, "rows");
	if (!hk_finite_bits(c->eps) || c->eps >> 31)
		return hk_bad(fault, "eps");
	if (hk_operand(&op[0], "src", c->src, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "weights", c->weights, c->n * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", c->dst, n * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], false, fault))
		return -EINVAL;
	return 3;
}

struct job {
	const struct hearth_cmd_rms_norm *c;
	const struct hk_float_kernels *flt;
	const float *src, *weights;
	float *dst;
};

static void rows(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct job *j = arg;
	uint32_t n = j->c->n;

	for (uint32_t r = first; r < last; r++) {
		const float *x = j->src + (uint64_t)r * n;
		float mean = j->flt->sum_squares(x, n) / (float)n;
		float scale = 1.0f / sqrtf(mean + hk_f32_from_bits(j->c->eps));

		j->flt->scale_gain(j->dst + (uint64_t)r * n, x, scale, j->weights, n);
	}
}

int hk_rms_norm_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_rms_norm *c = cmd;
	struct job j = { c, hk_flt(r), ptr[0], ptr[1], ptr[2] };

	hk_for_rows(r->pool, rows, &j, c->rows, 6144 / c->n + 1);
	return 0;
}
