// SPDX-License-Identifier: MIT
#include <errno.h>

#include "kernels/float.h"

int hk_argmax_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_argmax *c = cmd;
	uint64_t n;

	if (hk_elements((uint32_t[]){ c->rows, c->n }, 2, &n))
		return hk_bad(fault, "rows");
	if (hk_operand(&op[0], "src", c->src, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "dst", c->dst, c->rows * 4ull, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[1], &op[0], false, fault))
		return -EINVAL;
	return 2;
}

/* The first number beats any NaN before it; without one, index 0 stays. */
static int32_t argmax(const float *x, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < n; i++) {
		if (x[i] > x[best] || (x[best] != x[best] && x[i] == x[i]))
			best = i;
	}
	return (int32_t)best;
}

int hk_argmax_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_argmax *c = cmd;
	const float *src = ptr[0];
	int32_t *dst = ptr[1];

	for (uint32_t i = 0; i < c->rows; i++)
		dst[i] = argmax(src + (uint64_t)i * c->n, c->n);
	return 0;
}
