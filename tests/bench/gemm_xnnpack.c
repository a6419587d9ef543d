// SPDX-License-Identifier: MIT
/*
 * XNNPACK's fully connected operator, activations quantized by row at run time.
 * 4 bits: blocks of 32 with a bf16 scale; 8 bits: a scale per row of the weights.
 */
#include <stdlib.h>
#include <math.h>
#include <xnnpack.h>
#include <pthreadpool.h>

#include "gemm.h"

#define BLOCK		32
#define SCALE		0.004f
#define SCALE_BF16	0x3b83	/* the same */

static pthreadpool_t pool;

struct state {
	xnn_operator_t quantize, product;
	int8_t *src;
	struct xnn_quantization_params *params;
};

static void ok(enum xnn_status status, const char *what)
{
	gemm_need(status == xnn_status_success, what);
}

static void open_engine(unsigned int threads)
{
	ok(xnn_initialize(NULL), "xnn_initialize");
	pool = threads > 1 ? pthreadpool_create(threads) : NULL;
	gemm_need(threads == 1 || pool, "pthreadpool_create");
}

static void create_4(const struct gemm *g, struct state *s, const void *weights)
{
	size_t n = (size_t)g->out * g->in / BLOCK;
	uint16_t *scales = malloc(n * sizeof(*scales));

	gemm_need(scales, "memory");
	for (size_t i = 0; i < n; i++)
		scales[i] = SCALE_BF16;
	ok(xnn_create_fully_connected_nc_qd8_f32_qb4w(g->in, g->out, g->in, g->out, BLOCK, 8, scales, weights,
						       NULL, -INFINITY, INFINITY, 0, NULL, NULL, &s->product),
	   "xnn_create_fully_connected_nc_qd8_f32_qb4w");
	ok(xnn_reshape_fully_connected_nc_qd8_f32_qb4w(s->product, g->rows, pool), "reshape");
	ok(xnn_setup_fully_connected_nc_qd8_f32_qb4w(s->product, s->src, g->dst, s->params), "setup");
	free(scales);
}

static void create_8(const struct gemm *g, struct state *s, const void *weights)
{
	float *scales = malloc(g->out * sizeof(*scales));

	gemm_need(scales, "memory");
	for (size_t i = 0; i < g->out; i++)
		scales[i] = SCALE;
	ok(xnn_create_fully_connected_nc_qd8_f32_qc8w(g->in, g->out, g->in, g->out, scales, weights, NULL,
						       -INFINITY, INFINITY, 0, NULL, NULL, &s->product),
	   "xnn_create_fully_connected_nc_qd8_f32_qc8w");
	ok(xnn_reshape_fully_connected_nc_qd8_f32_qc8w(s->product, g->rows, pool), "reshape");
	ok(xnn_setup_fully_connected_nc_qd8_f32_qc8w(s->product, s->src, g->dst, s->params), "setup");
	free(scales);
}

static void *prepare(const struct gemm *g)
{
	size_t bytes = (size_t)g->out * g->in * g->bits / 8;
	struct state *s = calloc(1, sizeof(*s));
	void *weights = malloc(bytes);

	gemm_need(s && weights, "memory");
	gemm_random(weights, bytes);
	s->src = calloc(1, (size_t)g->rows * g->in + XNN_EXTRA_BYTES);
	s->params = calloc(g->rows + XNN_EXTRA_QUANTIZATION_PARAMS, sizeof(*s->params));
	gemm_need(s->src && s->params, "memory");
	ok(xnn_create_convert_nc_f32_qd8(0, &s->quantize), "xnn_create_convert_nc_f32_qd8");
	ok(xnn_reshape_convert_nc_f32_qd8(s->quantize, g->rows, g->in, g->in, g->in, pool), "reshape");
	ok(xnn_setup_convert_nc_f32_qd8(s->quantize, g->src, s->src, s->params), "setup");
	if (g->bits == 4)
		create_4(g, s, weights);
	else
		create_8(g, s, weights);
	/* It has packed its own. */
	free(weights);
	return s;
}

static void run(void *state)
{
	struct state *s = state;

	ok(xnn_run_operator(s->quantize, pool), "xnn_run_operator");
	ok(xnn_run_operator(s->product, pool), "xnn_run_operator");
}

static void release(void *state)
{
	struct state *s = state;

	xnn_delete_operator(s->quantize);
	xnn_delete_operator(s->product);
	free(s->src);
	free(s->params);
	free(s);
}

const struct gemm_engine gemm_engine = { open_engine, prepare, run, release };
