// SPDX-License-Identifier: MIT
/*
 * ADD, MUL, GLU, GEGLU and SOFTCAP.
 */
#include <errno.h>

#include "kernels/f16.h"
#include "kernels/float.h"

/* Elements that are worth a task. */
#define GRAIN	6144

/* Room for a short operand to be repeated. */
#define REPEAT	256

int hk_binary_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_binary *c = cmd;
	uint64_t n;

	if (hk_elements(&c->n, 1, &n))
		return hk_bad(fault, "n");
	if (!c->b_n || c->n % c->b_n)
		return hk_bad(fault, "b_n");
	if (hk_operand(&op[0], "a", c->a, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "b", c->b, c->b_n * 4ull, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", c->dst, n * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], c->b_n == c->n, fault))
		return -EINVAL;
	return 3;
}

struct binary {
	void (*fn)(float *y, const float *a, const float *b, uint32_t n);
	const float *a, *b;
	float *dst;
	uint32_t b_n;
};

static void binary_part(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct binary *j = arg;

	while (first < last) {
		uint32_t at = first % j->b_n;
		uint32_t n = j->b_n - at < last - first ? j->b_n - at : last - first;

		j->fn(j->dst + first, j->a + first, j->b + at, n);
		first += n;
	}
}

static int binary_run(const void *cmd, void *const ptr[], struct hk_run *r,
		      void (*fn)(float *y, const float *a, const float *b, uint32_t n))
{
	const struct hearth_cmd_binary *c = cmd;
	struct binary j = { fn, ptr[0], ptr[1], ptr[2], c->b_n };
	float repeated[REPEAT];

	/* a short b, several times in a row: no call per element */
	if (c->b_n <= REPEAT / 2 && c->b_n < c->n) {
		j.b_n = REPEAT / c->b_n * c->b_n;
		for (uint32_t i = 0; i < j.b_n; i++)
			repeated[i] = j.b[i % c->b_n];
		j.b = repeated;
	}
	hk_for_rows(r->pool, binary_part, &j, c->n, GRAIN);
	return 0;
}

int hk_add_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	return binary_run(cmd, ptr, r, hk_flt(r)->add);
}

int hk_mul_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	return binary_run(cmd, ptr, r, hk_flt(r)->mul);
}

int hk_glu_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_glu *c = cmd;
	uint64_t n;

	if (hk_elements(&c->n, 1, &n))
		return hk_bad(fault, "n");
	if (c->mode != (c->hdr.op == HEARTH_OP_GLU ? HEARTH_GLU_SILU : HEARTH_GLU_GELU))
		return hk_bad(fault, "mode");
	if (hk_operand(&op[0], "gate", c->gate, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "up", c->up, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[2], "dst", c->dst, n * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[2], &op[0], true, fault) ||
	    hk_disjoint(&op[2], &op[1], true, fault))
		return -EINVAL;
	return 3;
}

struct glu {
	void (*fn)(float *y, const float *gate, const float *up, uint32_t n);
	const float *gate, *up;
	float *dst;
};

static void glu_part(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct glu *j = arg;

	j->fn(j->dst + first, j->gate + first, j->up + first, last - first);
}

int hk_glu_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_glu *c = cmd;
	bool gelu = c->hdr.op == HEARTH_OP_GEGLU;
	struct glu j = { gelu ? hk_flt(r)->glu_gelu : hk_flt(r)->glu_silu, ptr[0], ptr[1],
			 ptr[2] };

	hk_for_rows(r->pool, glu_part, &j, c->n, GRAIN / 2);
	return 0;
}

int hk_softcap_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault)
{
	const struct hearth_cmd_softcap *c = cmd;
	uint64_t n;

	if (hk_elements(&c->n, 1, &n))
		return hk_bad(fault, "n");
	if (!hk_positive_bits(c->cap))
		return hk_bad(fault, "cap");
	if (hk_operand(&op[0], "src", c->src, n * 4, 4, HK_READ, fault) ||
	    hk_operand(&op[1], "dst", c->dst, n * 4, 4, HK_WRITE, fault) ||
	    hk_disjoint(&op[1], &op[0], true, fault))
		return -EINVAL;
	return 2;
}

struct softcap {
	const struct hk_float_kernels *flt;
	const float *src;
	float *dst, cap;
};

static void softcap_part(void *arg, uint32_t first, uint32_t last, unsigned int worker)
{
	const struct softcap *j = arg;

	j->flt->softcap(j->dst + first, j->src + first, j->cap, last - first);
}

int hk_softcap_run(const void *cmd, void *const ptr[], struct hk_run *r)
{
	const struct hearth_cmd_softcap *c = cmd;
	struct softcap j = { hk_flt(r), ptr[0], ptr[1], hk_f32_from_bits(c->cap) };

	hk_for_rows(r->pool, softcap_part, &j, c->n, GRAIN / 2);
	return 0;
}
