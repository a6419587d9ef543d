/* SPDX-License-Identifier: MIT */
/*
 * Short ways to make small graphs in tests. What fails fails the test.
 */
#ifndef HEARTH_TESTS_GRAPH_MAKER_H
#define HEARTH_TESTS_GRAPH_MAKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <hw/hearth_cmd.h>

#include "hearth.h"

#define assert_message(TEXT)							\
	do {									\
		if (!strstr(hearth_errmsg(), TEXT))				\
			fail_msg("'%s' is not in '%s'", TEXT, hearth_errmsg());	\
	} while (0)

/* Dimensions, up to the first 0 */
#define DIMS(...)	((const uint32_t[HEARTH_MAX_DIMS + 1]){ __VA_ARGS__ })

static inline struct hearth_tensor_opts gm_opts(const char *name, unsigned int type,
						enum hearth_tensor_role role,
						const uint32_t *dims)
{
	HEARTH_OPTS(hearth_tensor_opts, o, .name = name, .type = type, .role = role);

	while (o.n_dims < HEARTH_MAX_DIMS && dims[o.n_dims]) {
		o.dims[o.n_dims] = dims[o.n_dims];
		o.n_dims++;
	}
	return o;
}

static inline hearth_tensor gm_add(struct hearth_graph *g, const struct hearth_tensor_opts *o)
{
	hearth_tensor t = hearth_graph_add_tensor(g, o);

	if (t < 0)
		fail_msg("%s: %s", o->name, hearth_errmsg());
	return t;
}

/* A tensor without quantization */
static inline hearth_tensor gm_tensor(struct hearth_graph *g, const char *name,
				      unsigned int type, enum hearth_tensor_role role,
				      const uint32_t *dims)
{
	struct hearth_tensor_opts o = gm_opts(name, type, role, dims);

	return gm_add(g, &o);
}

/* An 8-bit tensor with one scale */
static inline hearth_tensor gm_quant(struct hearth_graph *g, const char *name,
				     unsigned int type, enum hearth_tensor_role role,
				     const uint32_t *dims, float scale, int32_t zero)
{
	struct hearth_tensor_opts o = gm_opts(name, type, role, dims);

	o.n_scales = 1;
	o.scales = &scale;
	o.zero_point = zero;
	return gm_add(g, &o);
}

static inline hearth_tensor gm_const(struct hearth_graph *g, const char *name,
				     unsigned int type, const uint32_t *dims, const void *data)
{
	struct hearth_tensor_opts o = gm_opts(name, type, HEARTH_TENSOR_CONSTANT, dims);

	o.data = data;
	return gm_add(g, &o);
}

#define INPUTS(...)								\
	(const hearth_tensor[]){ __VA_ARGS__ },					\
	sizeof((const hearth_tensor[]){ __VA_ARGS__ }) / sizeof(hearth_tensor)

static inline void gm_op(struct hearth_graph *g, enum hearth_op op, const hearth_tensor *in,
			 unsigned int n, hearth_tensor out, const struct hearth_op_opts *o)
{
	if (hearth_graph_add_op(g, op, in, n, out, o))
		fail_msg("op %d: %s", op, hearth_errmsg());
}

#endif /* HEARTH_TESTS_GRAPH_MAKER_H */
