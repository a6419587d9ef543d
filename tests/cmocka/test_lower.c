// SPDX-License-Identifier: MIT
/*
 * What the ops of a graph compute on the CPU, against plain arithmetic in
 * floats: the sizes, paddings, scales and orders that the compiler chose.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "graph_maker.h"

static struct hearth_device *dev;
static struct hearth_graph *g;
static struct hearth_program *p;

static int open_cpu(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 2);

	return hearth_device_open("cpu", &opts, &dev);
}

static int close_cpu(void **state)
{
	hearth_device_close(dev);
	return 0;
}

static int make_graph(void **state)
{
	p = NULL;
	return hearth_graph_create(&g);
}

static int destroy_graph(void **state)
{
	hearth_program_destroy(p);
	hearth_graph_destroy(g);
	return 0;
}

#define ACT	HEARTH_TENSOR_ACTIVATION
#define IN	HEARTH_TENSOR_INPUT
#define OUT	HEARTH_TENSOR_OUTPUT
#define F32	HEARTH_TYPE_F32
#define I8	HEARTH_TYPE_I8
#define U8	HEARTH_TYPE_U8
#define I32	HEARTH_TYPE_I32

static void compile(void)
{
	if (hearth_compile(g, dev, NULL, &p))
		fail_msg("%s", hearth_errmsg());
}

static void run(void)
{
	if (hearth_program_run(p))
		fail_msg("%s", hearth_errmsg());
}

static void *data(hearth_tensor t)
{
	void *d = hearth_program_data(p, t, NULL);

	assert_non_null(d);
	return d;
}

static uint32_t seed = 1;

static uint32_t next(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Random bytes into an input */
static void randomize(hearth_tensor t)
{
	uint64_t n;
	uint8_t *d = hearth_program_data(p, t, &n);

	for (uint64_t i = 0; i < n; i++)
		d[i] = next();
}

/* Element @i of an 8-bit tensor as a real number */
static float real(hearth_tensor t, uint64_t i)
{
	struct hearth_tensor_opts o = { .sz = sizeof(o) };
	const uint8_t *d = data(t);

	hearth_graph_get_tensor(g, t, &o);
	return o.scales[0] * ((o.type == U8 ? d[i] : (int8_t)d[i]) - o.zero_point);
}

/* Element @i is @want, as near as @steps of its scale, or at an end of its range. */
static void assert_near(hearth_tensor t, uint64_t i, double want, double steps)
{
	struct hearth_tensor_opts o = { .sz = sizeof(o) };
	double min, max, scale, got = real(t, i);

	hearth_graph_get_tensor(g, t, &o);
	scale = o.scales[0];
	min = scale * ((o.type == U8 ? 0 : -128) - o.zero_point);
	max = scale * ((o.type == U8 ? 255 : 127) - o.zero_point);
	want = want < min ? min : want > max ? max : want;
	if (fabs(got - want) > scale * steps)
		fail_msg("element %llu is %g, %g was expected (scale %g)", (unsigned long long)i,
			 got, want, scale);
}

/* ---- convolutions and pools ---- */

struct window {
	int in, k, stride, dilation, groups, depth;
	enum hearth_padding padding;
};

/* Padding before, as TFLite's SAME defines it: the odd one goes behind. */
static int pad_of(const struct window *w, int out)
{
	int total = (out - 1) * w->stride + (w->k - 1) * w->dilation + 1 - w->in;

	return w->padding == HEARTH_PADDING_SAME && total > 0 ? total / 2 : 0;
}

static int out_of(const struct window *w)
{
	int reach = (w->k - 1) * w->dilation + 1;

	return w->padding == HEARTH_PADDING_SAME ? (w->in + w->stride - 1) / w->stride :
						   (w->in - reach) / w->stride + 1;
}

#define IN_C	4
#define OUT_C	6

static void check_conv(const struct window *w)
{
	int out = out_of(w), pad = pad_of(w, out), in_cg = IN_C / w->groups;
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(2, w->in, w->in, IN_C), 0.05f, -3);
	hearth_tensor k = gm_quant(g, "k", I8, IN, DIMS(OUT_C, w->k, w->k, in_cg), 0.02f, 0);
	hearth_tensor b = gm_tensor(g, "b", I32, IN, DIMS(OUT_C));
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(2, out, out, OUT_C), 0.9f, 7);
	HEARTH_OPTS(hearth_op_opts, o, .padding = w->padding, .stride_h = w->stride,
		    .stride_w = w->stride, .dilation_h = w->dilation,
		    .dilation_w = w->dilation);

	gm_op(g, HEARTH_CONV_2D, INPUTS(x, k, b), y, &o);
	compile();
	randomize(x);
	randomize(k);
	for (int i = 0; i < OUT_C; i++)
		((int32_t *)data(b))[i] = i * 1000 - 2000;
	run();
	for (int i = 0; i < 2 * out * out * OUT_C; i++) {
		int oc = i % OUT_C, ox = i / OUT_C % out, oy = i / OUT_C / out % out;
		int n = i / OUT_C / out / out, first = oc / (OUT_C / w->groups) * in_cg;
		double sum = (oc * 1000 - 2000) * 0.05 * 0.02;

		for (int t = 0; t < w->k * w->k * in_cg; t++) {
			int c = t % in_cg, kx = t / in_cg % w->k, ky = t / in_cg / w->k;
			int iy = oy * w->stride - pad + ky * w->dilation;
			int ix = ox * w->stride - pad + kx * w->dilation;

			if (iy < 0 || iy >= w->in || ix < 0 || ix >= w->in)
				continue;
			sum += (double)real(x, ((n * w->in + iy) * w->in + ix) * IN_C + first + c) *
			       real(k, ((oc * w->k + ky) * w->k + kx) * in_cg + c);
		}
		assert_near(y, i, sum, 0.51);
	}
}

static void convolutions_pad_as_tflite_does(void **state)
{
	static const struct window windows[] = {
		{ 5, 3, 1, 1, 1, 0, HEARTH_PADDING_SAME },
		{ 6, 3, 2, 1, 1, 0, HEARTH_PADDING_SAME },
		{ 5, 2, 1, 1, 1, 0, HEARTH_PADDING_SAME },
		{ 7, 3, 1, 2, 1, 0, HEARTH_PADDING_SAME },
		{ 7, 1, 3, 1, 1, 0, HEARTH_PADDING_SAME },
		{ 3, 5, 1, 1, 1, 0, HEARTH_PADDING_SAME },
		{ 7, 3, 2, 2, 1, 0, HEARTH_PADDING_VALID },
		{ 6, 3, 1, 1, 2, 0, HEARTH_PADDING_SAME },
	};

	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		check_conv(&windows[i]);
		destroy_graph(NULL);
		make_graph(NULL);
	}
}

static void depthwise_multiplies_channels(void **state)
{
	hearth_tensor x = gm_quant(g, "x", U8, IN, DIMS(1, 4, 4, 2), 0.1f, 100);
	hearth_tensor k = gm_quant(g, "k", U8, IN, DIMS(1, 2, 2, 6), 0.02f, 120);
	hearth_tensor y = gm_quant(g, "y", U8, OUT, DIMS(1, 3, 3, 6), 0.3f, 50);
	HEARTH_OPTS(hearth_op_opts, o, .activation = HEARTH_ACT_RELU);

	gm_op(g, HEARTH_DEPTHWISE_CONV_2D, INPUTS(x, k), y, &o);
	compile();
	randomize(x);
	randomize(k);
	run();
	for (int i = 0; i < 3 * 3 * 6; i++) {
		int c = i % 6, ox = i / 6 % 3, oy = i / 18;
		double sum = 0;

		for (int t = 0; t < 4; t++)
			sum += (double)real(x, ((oy + t / 2) * 4 + ox + t % 2) * 2 + c / 3) *
			       real(k, t * 6 + c);
		assert_near(y, i, sum < 0 ? 0 : sum, 0.51);
	}
}

static void fully_connected_takes_rows(void **state)
{
	float scales[3] = { 0.01f, 0.02f, 0.04f };
	struct hearth_tensor_opts wo = gm_opts("w", I8, IN, DIMS(3, 8));
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(2, 2, 4), 0.1f, 5), w;
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(2, 3), 0.2f, -4);

	wo.n_scales = 3;
	wo.scales = scales;
	w = gm_add(g, &wo);
	gm_op(g, HEARTH_FULLY_CONNECTED, INPUTS(x, w), y, NULL);
	compile();
	randomize(x);
	randomize(w);
	run();
	for (int i = 0; i < 6; i++) {
		double sum = 0;

		for (int k = 0; k < 8; k++)
			sum += (double)real(x, i / 3 * 8 + k) * scales[i % 3] *
			       ((int8_t *)data(w))[i % 3 * 8 + k];
		assert_near(y, i, sum, 0.51);
	}
}

/* 5x5 in 2x2 windows with stride 2: SAME pads behind only. */
static void check_pool(enum hearth_op kind)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(1, 5, 5, 3), 0.1f, 5);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(1, 3, 3, 3), 0.1f, 5);
	HEARTH_OPTS(hearth_op_opts, o, .padding = HEARTH_PADDING_SAME, .filter_h = 2,
		    .filter_w = 2, .stride_h = 2, .stride_w = 2);

	gm_op(g, kind, INPUTS(x), y, &o);
	compile();
	randomize(x);
	run();
	for (int i = 0; i < 27; i++) {
		int c = i % 3, ox = i / 3 % 3 * 2, oy = i / 9 * 2, n = 0;
		double sum = 0, max = -1e9;

		for (int t = 0; t < 4; t++) {
			double v;

			if (oy + t / 2 > 4 || ox + t % 2 > 4)
				continue;
			v = real(x, ((oy + t / 2) * 5 + ox + t % 2) * 3 + c);
			sum += v;
			max = v > max ? v : max;
			n++;
		}
		assert_near(y, i, kind == HEARTH_MAX_POOL_2D ? max : sum / n, 0.51);
	}
}

static void pools_reduce_windows(void **state)
{
	check_pool(HEARTH_AVERAGE_POOL_2D);
	destroy_graph(NULL);
	make_graph(NULL);
	check_pool(HEARTH_MAX_POOL_2D);
}

/* ---- elementwise ---- */

struct unary {
	enum hearth_op op;
	float in_scale, out_scale;
	int in_zero, out_zero;
	double steps;
	double (*fn)(double x);
};

static double relu(double x)
{
	return x > 0 ? x : 0;
}

static double relu6(double x)
{
	return x < 0 ? 0 : x > 6 ? 6 : x;
}

static double logistic(double x)
{
	return 1 / (1 + exp(-x));
}

static double leaky(double x)
{
	return x < 0 ? x * 0.25 : x;
}

static double hard_swish(double x)
{
	return x * relu6(x + 3) / 6;
}

static double same(double x)
{
	return x;
}

static void tables_hold_functions(void **state)
{
	static const struct unary cases[] = {
		{ HEARTH_RELU, 0.1f, 0.05f, 3, -128, 0.51, relu },
		{ HEARTH_RELU6, 0.1f, 6 / 255.f, 3, -128, 0.51, relu6 },
		{ HEARTH_LOGISTIC, 0.1f, 1 / 256.f, 3, -128, 0.51, logistic },
		{ HEARTH_TANH, 0.05f, 1 / 128.f, -9, 0, 0.51, tanh },
		/* rounded twice, as TFLite does */
		{ HEARTH_LEAKY_RELU, 0.1f, 0.08f, 3, -20, 0.76, leaky },
		{ HEARTH_HARD_SWISH, 0.05f, 0.04f, 3, -110, 1.01, hard_swish },
		{ HEARTH_QUANTIZE, 0.1f, 0.07f, 3, -20, 0.51, same },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct unary *c = &cases[i];
		hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(256), c->in_scale, c->in_zero);
		hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(256), c->out_scale,
					   c->out_zero);
		HEARTH_OPTS(hearth_op_opts, o, .alpha = 0.25f);

		gm_op(g, c->op, INPUTS(x), y, &o);
		compile();
		for (int k = 0; k < 256; k++)
			((uint8_t *)data(x))[k] = k;
		run();
		for (int k = 0; k < 256; k++)
			assert_near(y, k, c->fn(real(x, k)), c->steps);
		destroy_graph(NULL);
		make_graph(NULL);
	}
}

/* Both orders, types mixed: the smaller input repeats. */
static void check_binary(enum hearth_op kind, bool swap)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(2, 3, 4), 0.1f, 5);
	hearth_tensor b = gm_quant(g, "b", U8, IN, DIMS(1, 4), 0.03f, 140);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(2, 3, 4), 0.12f, -7);
	HEARTH_OPTS(hearth_op_opts, o, .activation = HEARTH_ACT_RELU6);

	if (swap)
		gm_op(g, kind, INPUTS(b, x), y, &o);
	else
		gm_op(g, kind, INPUTS(x, b), y, &o);
	compile();
	randomize(x);
	randomize(b);
	run();
	for (int i = 0; i < 24; i++) {
		double v = kind == HEARTH_ADD ? (double)real(x, i) + real(b, i % 4) :
						(double)real(x, i) * real(b, i % 4);

		assert_near(y, i, relu6(v), 0.52);
	}
}

static void sums_and_products_broadcast(void **state)
{
	for (int i = 0; i < 4; i++) {
		check_binary(i < 2 ? HEARTH_ADD : HEARTH_MUL, i % 2);
		destroy_graph(NULL);
		make_graph(NULL);
	}
}

static void softmax_is_one_in_sum(void **state)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(3, 10), 0.1f, 5);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(3, 10), 1 / 256.f, -128);
	HEARTH_OPTS(hearth_op_opts, o, .beta = 0.5f);

	gm_op(g, HEARTH_SOFTMAX, INPUTS(x), y, &o);
	compile();
	randomize(x);
	run();
	for (int i = 0; i < 30; i++) {
		double sum = 0;

		for (int k = 0; k < 10; k++)
			sum += exp(0.5 * real(x, i / 10 * 10 + k));
		assert_near(y, i, exp(0.5 * real(x, i)) / sum, 0.52);
	}
}

static void floats_become_bytes_and_back(void **state)
{
	static const float in[6] = { 0, 0.26f, -0.24f, 100, -100, 1 };
	static const float out[6] = { 0, 0.5f, 0, 62, -65.5f, 1 };
	hearth_tensor x = gm_tensor(g, "x", F32, IN, DIMS(6));
	hearth_tensor q = gm_quant(g, "q", I8, ACT, DIMS(6), 0.5f, 3);
	hearth_tensor y = gm_tensor(g, "y", F32, OUT, DIMS(6));

	gm_op(g, HEARTH_QUANTIZE, INPUTS(x), q, NULL);
	gm_op(g, HEARTH_QUANTIZE, INPUTS(q), y, NULL);
	compile();
	memcpy(data(x), in, sizeof(in));
	run();
	assert_memory_equal(data(y), out, sizeof(out));
}

/* ---- moves ---- */

static void pads_hold_the_zero_point(void **state)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(2, 3), 1, -5);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(3, 6), 1, -5);
	HEARTH_OPTS(hearth_op_opts, o, .pad_before = { 1, 2 }, .pad_after = { 0, 1 });
	static const int8_t in[6] = { 1, 2, 3, 4, 5, 6 };
	static const int8_t out[18] = {
		-5, -5, -5, -5, -5, -5, -5, -5, 1, 2, 3, -5, -5, -5, 4, 5, 6, -5,
	};

	gm_op(g, HEARTH_PAD, INPUTS(x), y, &o);
	compile();
	memcpy(data(x), in, sizeof(in));
	run();
	assert_memory_equal(data(y), out, sizeof(out));
}

static void parts_are_joined_along_an_axis(void **state)
{
	hearth_tensor a = gm_tensor(g, "a", I32, IN, DIMS(2, 1, 2));
	hearth_tensor b = gm_tensor(g, "b", I32, IN, DIMS(2, 2, 2));
	hearth_tensor y = gm_tensor(g, "y", I32, OUT, DIMS(2, 4, 2));
	static const int32_t out[16] = { 1, 2, 10, 11, 12, 13, 1, 2, 3, 4, 14, 15, 16, 17, 3, 4 };
	HEARTH_OPTS(hearth_op_opts, o, .axis = 1);

	gm_op(g, HEARTH_CONCAT, INPUTS(a, b, a), y, &o);
	compile();
	for (int i = 0; i < 8; i++) {
		if (i < 4)
			((int32_t *)data(a))[i] = i + 1;
		((int32_t *)data(b))[i] = i + 10;
	}
	run();
	assert_memory_equal(data(y), out, sizeof(out));
}

/* Along the first and the last axis; what is scaled otherwise is converted. */
static void check_concat(unsigned int type, uint32_t axis)
{
	uint32_t rows = axis ? 4 : 8, cols = axis ? 6 : 3;
	hearth_tensor a = gm_quant(g, "a", type, IN, DIMS(4, 3), 0.1f, 5);
	hearth_tensor b = gm_quant(g, "b", type, IN, DIMS(4, 3), 0.2f, 100);
	hearth_tensor y = gm_quant(g, "y", type, OUT, DIMS(rows, cols), 0.1f, 5);
	HEARTH_OPTS(hearth_op_opts, o, .axis = axis);

	gm_op(g, HEARTH_CONCAT, INPUTS(a, b), y, &o);
	compile();
	randomize(a);
	randomize(b);
	run();
	for (uint32_t i = 0; i < 12; i++) {
		uint32_t in_a = axis ? i / 3 * 6 + i % 3 : i, in_b = in_a + (axis ? 3 : 12);

		assert_true(real(y, in_a) == real(a, i));
		assert_near(y, in_b, real(b, i), 0.51);
	}
}

static void parts_are_requantized(void **state)
{
	for (uint32_t i = 0; i < 4; i++) {
		check_concat(i < 2 ? U8 : I8, i % 2);
		destroy_graph(NULL);
		make_graph(NULL);
	}
}

static void means_reduce_the_middle(void **state)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(2, 3, 4, 5), 0.1f, 5);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(2, 1, 1, 5), 0.04f, -7);
	HEARTH_OPTS(hearth_op_opts, o, .axes = 6);

	gm_op(g, HEARTH_MEAN, INPUTS(x), y, &o);
	compile();
	randomize(x);
	run();
	for (int i = 0; i < 10; i++) {
		double sum = 0;

		for (int k = 0; k < 12; k++)
			sum += real(x, (i / 5 * 12 + k) * 5 + i % 5);
		assert_near(y, i, sum / 12, 1.01);
	}
}

/* ---- a small transformer ---- */

#define VOCAB	7
#define DIM	8
#define HEADS	2
#define HEAD	4
#define CTX	5

static float table[VOCAB * DIM], gain[DIM], wq[DIM * DIM], wk[HEAD * DIM], wv[HEAD * DIM];

static void fill(float *x, int n)
{
	for (int i = 0; i < n; i++)
		x[i] = (float)(next() % 2001) / 1000 - 1;
}

static hearth_tensor f32(const char *name, enum hearth_tensor_role role, const uint32_t *dims)
{
	return gm_tensor(g, name, F32, role, dims);
}

static hearth_tensor unary(enum hearth_op op, const uint32_t *dims, const hearth_tensor *in,
			   unsigned int n, const struct hearth_op_opts *o)
{
	hearth_tensor y = f32(NULL, ACT, dims);

	gm_op(g, op, in, n, y, o);
	return y;
}

struct step {
	hearth_tensor ids, pos, y, best, gated, capped, kc;
};

/* What changes from model to model */
struct variant {
	bool halves, gelu;
	uint32_t window;
	float cap;
};

#define LOGIT_CAP	0.5f

static const float factors[HEAD / 2] = { 1, 2.5f };
#define MAGNITUDE	1.25

/* Of all positions; kept until the next call */
static const float *make_turns(float magnitude)
{
	static float turns[CTX][HEAD];
	HEARTH_OPTS(hearth_rope_opts, o, .n_ctx = CTX, .dims = HEAD, .base = 100,
		    .magnitude = magnitude, .factors = factors);
	struct hearth_rope *rope;

	assert_int_equal(hearth_rope_create(&o, &rope), 0);
	assert_int_equal(hearth_rope_rows(rope, 0, CTX, turns[0]), 0);
	hearth_rope_destroy(rope);
	return turns[0];
}

/* One head of keys and values for two of queries */
static struct step make_step(const struct variant *m)
{
	HEARTH_OPTS(hearth_op_opts, norm, .eps = 1e-5f);
	HEARTH_OPTS(hearth_op_opts, rope, .rope_halves = m->halves);
	HEARTH_OPTS(hearth_op_opts, attend, .window = m->window, .softcap = m->cap);
	HEARTH_OPTS(hearth_op_opts, logits, .softcap = LOGIT_CAP);
	hearth_tensor turns = gm_const(g, "turns", F32, DIMS(CTX, HEAD), make_turns(MAGNITUDE));
	hearth_tensor ids = gm_tensor(g, "ids", I32, IN, DIMS(1));
	hearth_tensor pos = gm_tensor(g, "pos", I32, IN, DIMS(1)), x, q, k, v, kc, vc;
	struct step s = { .ids = ids, .pos = pos };

	x = unary(HEARTH_GET_ROWS, DIMS(1, DIM),
		  INPUTS(gm_const(g, "table", F32, DIMS(VOCAB, DIM), table), ids), NULL);
	x = unary(HEARTH_RMS_NORM, DIMS(1, DIM), INPUTS(x, gm_const(g, "gain", F32, DIMS(DIM), gain)),
		  &norm);
	q = unary(HEARTH_MATMUL, DIMS(1, DIM),
		  INPUTS(x, gm_const(g, "wq", F32, DIMS(DIM, DIM), wq)), NULL);
	k = unary(HEARTH_MATMUL, DIMS(1, HEAD),
		  INPUTS(x, gm_const(g, "wk", F32, DIMS(HEAD, DIM), wk)), NULL);
	v = unary(HEARTH_MATMUL, DIMS(1, HEAD),
		  INPUTS(x, gm_const(g, "wv", F32, DIMS(HEAD, DIM), wv)), NULL);
	q = unary(HEARTH_RESHAPE, DIMS(1, HEADS, HEAD), INPUTS(q), NULL);
	k = unary(HEARTH_RESHAPE, DIMS(1, 1, HEAD), INPUTS(k), NULL);
	v = unary(HEARTH_RESHAPE, DIMS(1, 1, HEAD), INPUTS(v), NULL);
	q = unary(HEARTH_ROPE, DIMS(1, HEADS, HEAD), INPUTS(q, turns, pos), &rope);
	k = unary(HEARTH_ROPE, DIMS(1, 1, HEAD), INPUTS(k, turns, pos), &rope);
	kc = f32("k", HEARTH_TENSOR_STATE, DIMS(1, CTX, HEAD));
	vc = f32("v", HEARTH_TENSOR_STATE, DIMS(1, CTX, HEAD));
	gm_op(g, HEARTH_KV_WRITE, INPUTS(k, pos), kc, NULL);
	gm_op(g, HEARTH_KV_WRITE, INPUTS(v, pos), vc, NULL);
	s.y = f32("y", OUT, DIMS(1, HEADS, HEAD));
	gm_op(g, HEARTH_ATTENTION, INPUTS(q, kc, vc, pos), s.y, &attend);
	s.kc = kc;
	s.gated = f32("gated", OUT, DIMS(1, HEADS, HEAD));
	gm_op(g, m->gelu ? HEARTH_GEGLU : HEARTH_SWIGLU, INPUTS(s.y, s.y), s.gated, NULL);
	s.capped = f32("capped", OUT, DIMS(1, HEADS, HEAD));
	gm_op(g, HEARTH_SOFTCAP, INPUTS(s.y), s.capped, &logits);
	s.best = gm_tensor(g, "best", I32, OUT, DIMS(1));
	gm_op(g, HEARTH_ARGMAX, INPUTS(unary(HEARTH_RESHAPE, DIMS(1, DIM), INPUTS(s.y), NULL)),
	      s.best, NULL);
	return s;
}

/* Turns forward by @pos, with the magnitude, or back without it */
static void rotate(double *x, int pos, bool halves, double magnitude)
{
	for (int i = 0; i < HEAD / 2; i++) {
		double angle = pos * pow(100, -2.0 * i / HEAD) / factors[i];
		double *a = &x[halves ? i : 2 * i], *b = &x[halves ? i + HEAD / 2 : 2 * i + 1];
		double c = *a * cos(angle) - *b * sin(angle);

		*b = (*a * sin(angle) + *b * cos(angle)) * magnitude;
		*a = c * magnitude;
	}
}

static void multiply(double *y, const double *x, const float *w, int n)
{
	for (int i = 0; i < n; i++) {
		y[i] = 0;
		for (int k = 0; k < DIM; k++)
			y[i] += x[k] * w[i * DIM + k];
	}
}

static double keys[CTX][HEAD], values[CTX][HEAD];

/* The same in doubles */
static void expect_step(int id, int pos, const struct variant *m, double *y)
{
	double x[DIM], q[DIM], squares = 0;

	for (int i = 0; i < DIM; i++)
		squares += (double)table[id * DIM + i] * table[id * DIM + i];
	for (int i = 0; i < DIM; i++)
		x[i] = table[id * DIM + i] / sqrt(squares / DIM + 1e-5) * gain[i];
	multiply(q, x, wq, DIM);
	multiply(keys[pos], x, wk, HEAD);
	multiply(values[pos], x, wv, HEAD);
	rotate(q, pos, m->halves, MAGNITUDE);
	rotate(q + HEAD, pos, m->halves, MAGNITUDE);
	rotate(keys[pos], pos, m->halves, MAGNITUDE);
	memset(y, 0, DIM * sizeof(*y));
	for (int h = 0; h < HEADS; h++) {
		int first = m->window && pos >= (int)m->window ? pos + 1 - (int)m->window : 0;
		double score[CTX], sum = 0;

		for (int t = first; t <= pos; t++) {
			score[t] = 0;
			for (int i = 0; i < HEAD; i++)
				score[t] += q[h * HEAD + i] * keys[t][i];
			score[t] = score[t] / sqrt(HEAD);
			score[t] = exp(m->cap > 0 ? m->cap * tanh(score[t] / m->cap) : score[t]);
			sum += score[t];
		}
		for (int t = first; t <= pos; t++)
			for (int i = 0; i < HEAD; i++)
				y[h * HEAD + i] += score[t] / sum * values[t][i];
	}
}

static double activated(double x, bool gelu)
{
	return gelu ? x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) :
		      x * logistic(x);
}

/* What is left of the cache after its entries moved from @first + @by to @first */
static void check_shifted(const struct step *s, const struct variant *m, int first, int by)
{
	HEARTH_OPTS(hearth_op_opts, rope, .rope_halves = m->halves);
	HEARTH_OPTS(hearth_compile_opts, share, .share = p);
	const float *k = data(s->kc);
	struct hearth_program *shift;
	struct hearth_graph *old = g;
	hearth_tensor v;

	assert_int_equal(hearth_graph_create(&g), 0);
	v = gm_tensor(g, "shift", I32, IN, DIMS(3));
	gm_op(g, HEARTH_KV_SHIFT, INPUTS(v, gm_const(g, "turns", F32, DIMS(CTX, HEAD), make_turns(1))),
	      f32("k", HEARTH_TENSOR_STATE, DIMS(1, CTX, HEAD)), &rope);
	gm_op(g, HEARTH_KV_SHIFT, INPUTS(v), f32("v", HEARTH_TENSOR_STATE, DIMS(1, CTX, HEAD)), NULL);
	if (hearth_compile(g, dev, &share, &shift))
		fail_msg("%s", hearth_errmsg());
	memcpy(hearth_program_data(shift, v, NULL), (int32_t[]){ first, by, CTX - by - first }, 12);
	assert_int_equal(hearth_program_run(shift), 0);
	for (int t = 0; t < CTX - by; t++) {
		double want[HEAD];

		memcpy(want, keys[t < first ? t : t + by], sizeof(want));
		rotate(want, t < first ? 0 : -by, m->halves, 1);
		for (int i = 0; i < HEAD; i++)
			assert_true(fabs(k[t * HEAD + i] - want[i]) < 1e-5);
	}
	hearth_program_destroy(shift);
	hearth_graph_destroy(g);
	g = old;
}

static void check_step(const struct step *s, const struct variant *m, int pos)
{
	const float *y = data(s->y), *gated = data(s->gated), *capped = data(s->capped);
	double want[DIM];
	int best = 0;

	*(int32_t *)data(s->ids) = pos * 3 % VOCAB;
	*(int32_t *)data(s->pos) = pos;
	run();
	expect_step(pos * 3 % VOCAB, pos, m, want);
	for (int i = 0; i < DIM; i++) {
		if (fabs(y[i] - want[i]) > 1e-5)
			fail_msg("position %d, element %d: %g, %g was expected", pos, i,
				 (double)y[i], want[i]);
		assert_true(fabs(gated[i] - want[i] * activated(want[i], m->gelu)) < 1e-5);
		assert_true(fabs(capped[i] - LOGIT_CAP * tanh(want[i] / LOGIT_CAP)) < 1e-5);
		best = y[i] > y[best] ? i : best;
	}
	assert_int_equal(*(int32_t *)data(s->best), best);
}

static void check_steps(const struct variant *m)
{
	struct step s;

	fill(table, VOCAB * DIM);
	fill(gain, DIM);
	fill(wq, DIM * DIM);
	fill(wk, HEAD * DIM);
	fill(wv, HEAD * DIM);
	s = make_step(m);
	compile();
	for (int pos = 0; pos < CTX; pos++)
		check_step(&s, m, pos);
	check_shifted(&s, m, 1, 2);
}

static void transformers_attend(void **state)
{
	static const struct variant variants[] = {
		{ .halves = false }, { .halves = true }, { .gelu = true, .window = 2 },
		{ .cap = 0.25f, .halves = true, .window = 1 }, { .window = CTX, .cap = 30 },
	};

	for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
		check_steps(&variants[i]);
		destroy_graph(NULL);
		make_graph(NULL);
	}
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_graph, destroy_graph)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(convolutions_pad_as_tflite_does),
		TEST(depthwise_multiplies_channels),
		TEST(fully_connected_takes_rows),
		TEST(pools_reduce_windows),
		TEST(tables_hold_functions),
		TEST(sums_and_products_broadcast),
		TEST(softmax_is_one_in_sum),
		TEST(floats_become_bytes_and_back),
		TEST(pads_hold_the_zero_point),
		TEST(parts_are_joined_along_an_axis),
		TEST(parts_are_requantized),
		TEST(means_reduce_the_middle),
		TEST(transformers_attend),
	};

	return cmocka_run_group_tests(tests, open_cpu, close_cpu);
}
