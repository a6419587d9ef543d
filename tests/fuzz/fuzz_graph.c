// SPDX-License-Identifier: MIT
/*
 * Graphs from bytes: TFLite files, and calls of the graph layer. What is
 * accepted must compile to commands that pass, run, and give the same bits
 * with the plain kernels and the fastest.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cpu.h"
#include "driver.h"
#include "formats/tflite.h"
#include "graph/graph.h"
#include "graph/tflite_import.h"
#include "hearth.h"
#include "tflite_sample.h"

const char *const fuzz_name = "graph";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 16, 17, 18, 22, 25, 28, 32, 34, 40, 64, 71, 98, 114,
	117, 127, 128, 255, 256, 32767, 65535, 1 << 24, (1 << 24) + 1, INT32_MAX, 0x80000000,
	UINT32_MAX, 0x7fc00000, 0x7f800000, 0x00800000, 0x7f7fffff, UINT64_MAX,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* What a graph that is run may need: the rest only has to be refused or compiled. */
#define MAX_BYTES	(1u << 20)
#define MAX_MACS	(1u << 24)

/* Multipliers, tables and scratch memory of kernels, besides the file's tensors */
size_t fuzz_heap_limit(size_t size)
{
	return (96u << 20) + 512 * size;
}

/* Is it small enough to be compiled here? */
static bool small_graph(const struct hearth_graph *g)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < g->n_tensors; i++)
		bytes += g->tensors[i].bytes;
	return bytes <= MAX_BYTES;
}

static int add_macs(const struct hearth_op_report *r, void *arg)
{
	check(r->name && r->op && !strcmp(r->engine, "cpu") && !r->reason);
	*(uint64_t *)arg += r->macs + r->bytes;
	return 0;
}

/* The same inputs for every program: small numbers, valid positions */
static void fill(const struct hearth_graph *g, struct hearth_program *p)
{
	uint32_t v = 1;

	for (uint32_t i = 0; i < g->n_tensors; i++) {
		const struct hg_tensor *t = &g->tensors[i];
		uint8_t *d = t->role == HEARTH_TENSOR_INPUT ? hearth_program_data(p, i, NULL) : NULL;

		for (uint64_t k = 0; d && k < t->bytes; k++) {
			v = v * 1664525 + 1013904223;
			if (t->type == HEARTH_TYPE_F32 && k % 4 == 0 && k + 4 <= t->bytes)
				memcpy(d + k, &(float){ (float)(v >> 20) / 1024 - 2 }, 4);
			else if (t->type == HEARTH_TYPE_I32)
				d[k] = k % 4 ? 0 : v >> 30;
			else if (t->type == HEARTH_TYPE_I8 || t->type == HEARTH_TYPE_U8)
				d[k] = v >> 24;
		}
	}
}

static bool same_values(const struct hg_tensor *t, const void *a, const void *b)
{
	const float *x = a, *y = b;

	if (t->type != HEARTH_TYPE_F32)
		return !memcmp(a, b, t->bytes);
	for (uint64_t i = 0; i < t->elements; i++) {
		/* A NaN's sign is nobody's promise. */
		if (memcmp(&x[i], &y[i], 4) && !(isnan(x[i]) && isnan(y[i])))
			return false;
	}
	return true;
}

static void compare(const struct hearth_graph *g, struct hearth_program *p,
		    struct hearth_program *q)
{
	for (uint32_t i = 0; i < g->n_tensors; i++) {
		const struct hg_tensor *t = &g->tensors[i];

		if (t->role == HEARTH_TENSOR_OUTPUT)
			check(same_values(t, hearth_program_data(p, i, NULL),
					  hearth_program_data(q, i, NULL)));
	}
}

static void run_both(const struct hearth_graph *g, struct hearth_program *p,
		     struct hearth_program *q)
{
	uint64_t work = 0;

	check(!hearth_program_explain(p, add_macs, &work));
	if (work > MAX_MACS)
		return;
	for (int round = 0; round < 2; round++) {
		int ret;

		fill(g, p);
		fill(g, q);
		ret = hearth_program_run(p);
		check(ret == hearth_program_run(q));
		check(!ret || *hearth_errmsg());
		if (!ret)
			compare(g, p, q);
	}
}

/* A failure must not be the compiler's own: it says so if a command is refused. */
static struct hearth_program *compile(struct hearth_graph *g, struct hearth_device *dev)
{
	struct hearth_program *p = NULL;

	if (hearth_compile(g, dev, NULL, &p)) {
		check(*hearth_errmsg() && !strstr(hearth_errmsg(), "was refused: field"));
		return NULL;
	}
	return p;
}

static void use(struct hearth_graph *g)
{
	static struct hearth_device *plain, *best;
	struct hearth_program *p, *q;

	if (!plain) {
		plain = device("plain");
		best = device(NULL);
	}
	if (small_graph(g)) {
		p = compile(g, plain);
		q = compile(g, best);
		check(!p == !q);
		if (p)
			run_both(g, p, q);
		hearth_program_destroy(p);
		hearth_program_destroy(q);
	}
	hearth_graph_destroy(g);
}

static void from_tflite(const uint8_t *data, size_t size)
{
	struct hearth_err err;
	struct hearth_graph *g;
	struct tflite_model *m;

	if (tflite_open_mem(data, size, &m, &err))
		return;
	if (hg_import_tflite(m, &g))
		check(*hearth_errmsg());
	else
		use(g);
}

/* ---- calls ---- */

struct reader {
	const uint8_t *p;
	size_t n;
};

static unsigned int byte(struct reader *r)
{
	if (!r->n)
		return 0;
	r->n--;
	return *r->p++;
}

/* Mostly a small number */
static uint32_t number(struct reader *r)
{
	unsigned int b = byte(r);

	return b < 240 ? b % 9 : fuzz_values[b % fuzz_n_values];
}

static float real(struct reader *r)
{
	static const float v[] = { 0.5f, 0.1f, 1, 0, 1 / 256.f, 2, 1e-30f, 1e30f, -1, INFINITY, NAN };

	return v[byte(r) % (sizeof(v) / sizeof(*v))];
}

static const uint8_t types[] = {
	HEARTH_TYPE_I8, HEARTH_TYPE_I8, HEARTH_TYPE_U8, HEARTH_TYPE_F32, HEARTH_TYPE_F32,
	HEARTH_TYPE_I32, HEARTH_TYPE_F16, HEARTH_TYPE_Q8_0, HEARTH_TYPE_Q4_0,
	HEARTH_TYPE_Q8_0_R8,
};

/* Constants all read from here. */
static uint8_t constant[MAX_BYTES];

static void add_tensor(struct hearth_graph *g, struct reader *r)
{
	float scale;
	HEARTH_OPTS(hearth_tensor_opts, o, .type = types[byte(r) % sizeof(types)],
		    .role = byte(r) % 7, .n_dims = 1 + byte(r) % 4, .data = constant);

	if (o.role == HEARTH_TENSOR_WEIGHTS)
		o.role = HEARTH_TENSOR_CONSTANT;
	for (unsigned int i = 0; i < o.n_dims; i++)
		o.dims[i] = number(r);
	if (o.type >= HEARTH_TYPE_Q4_0)
		o.dims[o.n_dims - 1] *= 32;
	scale = real(r);
	if (o.type == HEARTH_TYPE_I8 || o.type == HEARTH_TYPE_U8) {
		o.n_scales = 1;
		o.scales = &scale;
		o.zero_point = (int8_t)byte(r);
	}
	if (hearth_graph_add_tensor(g, &o) < 0)
		check(*hearth_errmsg());
	else if (o.role == HEARTH_TENSOR_CONSTANT &&
		 g->tensors[g->n_tensors - 1].bytes > sizeof(constant))
		g->n_tensors--, free(g->tensors[g->n_tensors].name),
			free(g->tensors[g->n_tensors].scales);
}

/* A result shaped like an input, or as the op wants it: the checks say which. */
static hearth_tensor add_result(struct hearth_graph *g, hearth_tensor like, struct reader *r)
{
	HEARTH_OPTS(hearth_tensor_opts, o);

	if (like < 0 || hearth_graph_get_tensor(g, like, &o))
		return HEARTH_NO_TENSOR;
	o.name = NULL;
	o.role = byte(r) % 3 ? HEARTH_TENSOR_ACTIVATION : HEARTH_TENSOR_OUTPUT;
	if (byte(r) % 4 == 0)
		o.dims[byte(r) % o.n_dims] = number(r);
	return hearth_graph_add_tensor(g, &o);
}

static const uint8_t kinds[] = {
	HEARTH_CONV_2D, HEARTH_DEPTHWISE_CONV_2D, HEARTH_FULLY_CONNECTED, HEARTH_AVERAGE_POOL_2D,
	HEARTH_MAX_POOL_2D, HEARTH_ADD, HEARTH_MUL, HEARTH_SOFTMAX, HEARTH_RESHAPE, HEARTH_PAD,
	HEARTH_CONCAT, HEARTH_MEAN, HEARTH_QUANTIZE, HEARTH_RELU, HEARTH_RELU6, HEARTH_LOGISTIC,
	HEARTH_TANH, HEARTH_LEAKY_RELU, HEARTH_HARD_SWISH, HEARTH_GET_ROWS, HEARTH_MATMUL,
	HEARTH_RMS_NORM, HEARTH_ROPE, HEARTH_KV_WRITE, HEARTH_ATTENTION, HEARTH_SWIGLU,
	HEARTH_ARGMAX, HEARTH_GEGLU, HEARTH_SOFTCAP, HEARTH_KV_SHIFT, 200,
};

static void add_op(struct hearth_graph *g, struct reader *r)
{
	enum hearth_op kind = kinds[byte(r) % sizeof(kinds)];
	unsigned int n = byte(r) % 5;
	hearth_tensor in[4], out;
	HEARTH_OPTS(hearth_op_opts, o,
		.padding = byte(r) % 2,
		.activation = byte(r) % 4,
		.stride_h = number(r), .stride_w = number(r),
		.dilation_h = number(r), .dilation_w = number(r),
		.filter_h = number(r), .filter_w = number(r),
		.axis = number(r), .axes = number(r),
		.beta = real(r), .alpha = real(r), .eps = real(r), .scale = real(r),
		.rope_halves = byte(r) % 2,
		.window = number(r), .softcap = real(r));

	if (!g->n_tensors)
		return;
	for (unsigned int i = 0; i < 2; i++) {
		o.pad_before[i] = number(r);
		o.pad_after[i] = number(r);
	}
	for (unsigned int i = 0; i < 4; i++)
		in[i] = byte(r) % (g->n_tensors + 1) - (byte(r) % 16 == 0);
	out = byte(r) % 4 ? add_result(g, in[0], r) : (hearth_tensor)(byte(r) % g->n_tensors);
	if (hearth_graph_add_op(g, kind, in, n, out, &o))
		check(*hearth_errmsg());
}

/* ---- calls that are likely to be accepted ---- */

struct shape {
	unsigned int n;
	uint32_t d[HEARTH_MAX_DIMS];
};

#define SHAPE(...)								\
	((struct shape){ sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t),	\
			 { __VA_ARGS__ } })

static uint32_t dim(struct reader *r)
{
	return 1 + byte(r) % 5;
}

static hearth_tensor new_tensor(struct hearth_graph *g, struct reader *r, unsigned int type,
				enum hearth_tensor_role role, struct shape s)
{
	static const float scales[] = { 0.5f, 0.1f, 1 / 256.f, 0.02f };
	float scale = scales[byte(r) % 4];
	HEARTH_OPTS(hearth_tensor_opts, o, .type = type, .role = role, .n_dims = s.n,
		    .data = constant);

	memcpy(o.dims, s.d, sizeof(o.dims));
	if (type == HEARTH_TYPE_I8 || type == HEARTH_TYPE_U8) {
		o.n_scales = 1;
		o.scales = &scale;
		o.zero_point = byte(r) % 128;
	}
	return hearth_graph_add_tensor(g, &o);
}

/* One of the graph with this type and shape, or a new one */
static hearth_tensor value(struct hearth_graph *g, struct reader *r, unsigned int type,
			   struct shape s)
{
	bool fresh = byte(r) % 4 == 0;

	for (uint32_t i = g->n_tensors; !fresh && i-- > 0;) {
		const struct hg_tensor *t = &g->tensors[i];

		if (t->type == type && t->n_dims == s.n && t->role != HEARTH_TENSOR_STATE &&
		    !memcmp(t->dims, s.d, s.n * sizeof(*s.d)) &&
		    (t->writer >= 0 || t->role == HEARTH_TENSOR_INPUT))
			return i;
	}
	return new_tensor(g, r, type, byte(r) % 2 ? HEARTH_TENSOR_INPUT : HEARTH_TENSOR_CONSTANT, s);
}

struct call {
	enum hearth_op kind;
	hearth_tensor in[4], out;
	unsigned int n;
	struct hearth_op_opts o;
	/** type: Of the result, and its shape. */
	unsigned int type;
	struct shape s;
};

static void call_convolution(struct hearth_graph *g, struct reader *r, struct call *c)
{
	unsigned int q = byte(r) % 2 ? HEARTH_TYPE_I8 : HEARTH_TYPE_U8;
	uint32_t h = dim(r), w = dim(r), ch = dim(r), k = 1 + byte(r) % 3, out = dim(r);
	bool depthwise = c->kind == HEARTH_DEPTHWISE_CONV_2D;
	bool pool = c->kind == HEARTH_MAX_POOL_2D || c->kind == HEARTH_AVERAGE_POOL_2D;

	c->o.stride_h = c->o.stride_w = 1 + byte(r) % 2;
	c->o.dilation_h = c->o.dilation_w = pool ? 1 : 1 + byte(r) % 2;
	c->o.filter_h = c->o.filter_w = k;
	c->in[0] = value(g, r, q, SHAPE(1, h, w, ch));
	c->n = pool ? 1 : 2;
	if (depthwise)
		out *= ch;
	if (!pool)
		c->in[1] = value(g, r, q, depthwise ? SHAPE(1, k, k, out) : SHAPE(out, k, k, ch));
	if (!pool && byte(r) % 2)
		c->in[c->n++] = value(g, r, HEARTH_TYPE_I32, SHAPE(out));
	c->type = q;
	c->s = SHAPE(1, hg_window_out(h, k, c->o.stride_h, c->o.dilation_h, c->o.padding),
		     hg_window_out(w, k, c->o.stride_w, c->o.dilation_w, c->o.padding),
		     pool ? ch : out);
}

static void call_elementwise(struct hearth_graph *g, struct reader *r, struct call *c)
{
	bool binary = c->kind == HEARTH_ADD || c->kind == HEARTH_MUL, f32 = byte(r) % 2;
	struct shape s = SHAPE(dim(r), dim(r));

	c->type = f32 && binary ? HEARTH_TYPE_F32 : byte(r) % 2 ? HEARTH_TYPE_I8 : HEARTH_TYPE_U8;
	c->s = s;
	if (c->type == HEARTH_TYPE_F32)
		c->o.activation = 0;
	c->in[0] = value(g, r, c->type, s);
	c->n = 1;
	if (binary)
		c->in[c->n++] = value(g, r, c->type, byte(r) % 2 ? s : SHAPE(s.d[1]));
	if (c->kind == HEARTH_QUANTIZE)
		c->type = HEARTH_TYPE_F32;
}

static void call_move(struct hearth_graph *g, struct reader *r, struct call *c)
{
	unsigned int type = byte(r) % 2 ? HEARTH_TYPE_I8 : HEARTH_TYPE_U8;
	uint32_t a = dim(r), b = dim(r), d = dim(r);

	c->type = type;
	c->n = 1;
	c->in[0] = value(g, r, type, SHAPE(a, b));
	if (c->kind == HEARTH_RESHAPE) {
		c->s = SHAPE(b, a, 1);
	} else if (c->kind == HEARTH_PAD) {
		c->s = SHAPE(a + 2, b);
		c->o.pad_before[0] = c->o.pad_after[0] = 1;
		c->o.pad_before[1] = c->o.pad_after[1] = 0;
	} else if (c->kind == HEARTH_MEAN) {
		c->o.axes = 1 + byte(r) % 3;
		c->s = SHAPE(c->o.axes & 1 ? 1 : a, c->o.axes & 2 ? 1 : b);
	} else {
		c->o.axis = byte(r) % 2;
		c->in[c->n++] = value(g, r, type, c->o.axis ? SHAPE(a, d) : SHAPE(d, b));
		c->s = c->o.axis ? SHAPE(a, b + d) : SHAPE(a + d, b);
	}
}

static void call_product(struct hearth_graph *g, struct reader *r, struct call *c)
{
	static const uint8_t weights[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_Q8_0,
					   HEARTH_TYPE_Q4_0, HEARTH_TYPE_BF16,
					   HEARTH_TYPE_Q4_0_R8 };
	unsigned int type = weights[byte(r) % sizeof(weights)];
	uint32_t rows = dim(r), in = type >= HEARTH_TYPE_Q4_0 ? 32 : dim(r), out = dim(r);
	bool q = c->kind == HEARTH_FULLY_CONNECTED;

	if (type >= HEARTH_TYPE_Q4_0_R8)
		out *= 8;
	c->n = 2;
	c->type = q ? HEARTH_TYPE_I8 : HEARTH_TYPE_F32;
	c->s = SHAPE(rows, out);
	if (c->kind == HEARTH_GET_ROWS) {
		c->in[0] = new_tensor(g, r, type, HEARTH_TENSOR_CONSTANT, SHAPE(out, in));
		c->in[1] = value(g, r, HEARTH_TYPE_I32, SHAPE(rows));
		c->s = SHAPE(rows, in);
		return;
	}
	c->in[0] = value(g, r, c->type, SHAPE(rows, in));
	c->in[1] = value(g, r, q ? HEARTH_TYPE_I8 : type, SHAPE(out, in));
}

static void call_rows(struct hearth_graph *g, struct reader *r, struct call *c)
{
	uint32_t rows = dim(r), n = dim(r);

	c->n = 1;
	c->type = HEARTH_TYPE_F32;
	c->s = SHAPE(rows, n);
	c->o.eps = 1e-5f;
	c->o.softcap = 2;
	c->in[0] = value(g, r, HEARTH_TYPE_F32, c->s);
	if (c->kind == HEARTH_RMS_NORM)
		c->in[c->n++] = value(g, r, HEARTH_TYPE_F32, SHAPE(n));
	if (c->kind == HEARTH_SWIGLU || c->kind == HEARTH_GEGLU)
		c->in[c->n++] = value(g, r, HEARTH_TYPE_F32, c->s);
	if (c->kind == HEARTH_ARGMAX) {
		c->type = HEARTH_TYPE_I32;
		c->s = SHAPE(rows);
	}
}

/* A table of some rows for heads of @size */
static hearth_tensor call_turns(struct hearth_graph *g, struct reader *r, uint32_t rows,
				uint32_t size)
{
	return value(g, r, HEARTH_TYPE_F32, SHAPE(rows, 2 * (1 + byte(r) % (size / 2))));
}

static void call_attention(struct hearth_graph *g, struct reader *r, struct call *c)
{
	static const uint8_t caches[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_Q8_0 };
	uint32_t rows = 1 + byte(r) % 2, heads = 1 + byte(r) % 2, size = 2 * dim(r);
	unsigned int type = caches[byte(r) % 3];
	hearth_tensor pos = value(g, r, HEARTH_TYPE_I32, SHAPE(rows));
	struct shape cache;

	if (type == HEARTH_TYPE_Q8_0)
		size = 32;
	cache = SHAPE(heads, 4, size);
	c->type = HEARTH_TYPE_F32;
	c->s = SHAPE(rows, heads, size);
	c->o.scale = 0;
	c->o.window = byte(r) % 6;
	c->o.softcap = byte(r) % 2;
	c->in[0] = value(g, r, HEARTH_TYPE_F32, c->s);
	c->in[1] = pos;
	c->n = 2;
	if (c->kind == HEARTH_ROPE) {
		c->n = 2 + byte(r) % 2;
		c->in[1] = call_turns(g, r, c->n > 2 ? 4 : rows, size);
		c->in[2] = pos;
	}
	if (c->kind == HEARTH_KV_WRITE || c->kind == HEARTH_KV_SHIFT) {
		c->type = type;
		c->s = cache;
	}
	if (c->kind == HEARTH_KV_SHIFT) {
		c->in[0] = value(g, r, HEARTH_TYPE_I32, SHAPE(3));
		c->in[1] = call_turns(g, r, 4, size);
		c->n = 1 + byte(r) % 2;
	} else if (c->kind == HEARTH_ATTENTION) {
		c->s.d[1] = heads * (1 + byte(r) % 2);
		c->in[0] = value(g, r, HEARTH_TYPE_F32, c->s);
		c->in[1] = new_tensor(g, r, type, HEARTH_TENSOR_STATE, cache);
		c->in[2] = new_tensor(g, r, type, HEARTH_TENSOR_STATE, cache);
		c->in[3] = pos;
		c->n = 4;
	}
}

static void fill_call(struct hearth_graph *g, struct reader *r, struct call *c)
{
	switch (c->kind) {
	case HEARTH_CONV_2D ... HEARTH_DEPTHWISE_CONV_2D:
	case HEARTH_AVERAGE_POOL_2D ... HEARTH_MAX_POOL_2D:
		return call_convolution(g, r, c);
	case HEARTH_RESHAPE ... HEARTH_MEAN:
		return call_move(g, r, c);
	case HEARTH_FULLY_CONNECTED:
	case HEARTH_GET_ROWS ... HEARTH_MATMUL:
		return call_product(g, r, c);
	case HEARTH_RMS_NORM:
	case HEARTH_SWIGLU:
	case HEARTH_ARGMAX ... HEARTH_SOFTCAP:
		return call_rows(g, r, c);
	case HEARTH_ROPE ... HEARTH_ATTENTION:
	case HEARTH_KV_SHIFT:
		return call_attention(g, r, c);
	default:
		return call_elementwise(g, r, c);
	}
}

/* A result quantized like the first input, as some ops demand */
static void like_input(struct hearth_graph *g, const struct call *c)
{
	const struct hg_tensor *in = hg_tensor(g, c->in[0]);
	struct hg_tensor *out = &g->tensors[c->out];

	if (in && in->n_scales == 1 && out->n_scales == 1) {
		out->scales[0] = in->scales[0];
		out->zero_point = in->zero_point;
	}
}

static void add_call(struct hearth_graph *g, struct reader *r)
{
	struct call c = { .kind = kinds[byte(r) % sizeof(kinds)], .in = { -1, -1, -1, -1 } };
	static const enum hearth_tensor_role roles[] = {
		HEARTH_TENSOR_ACTIVATION, HEARTH_TENSOR_ACTIVATION, HEARTH_TENSOR_OUTPUT,
	};

	c.o = (struct hearth_op_opts){ .sz = sizeof(c.o), .padding = byte(r) % 2,
				       .activation = byte(r) % 4, .alpha = 0.25f };
	fill_call(g, r, &c);
	c.out = new_tensor(g, r, c.type, c.kind == HEARTH_KV_WRITE || c.kind == HEARTH_KV_SHIFT ?
			   HEARTH_TENSOR_STATE : roles[byte(r) % 3], c.s);
	if (c.out < 0)
		return;
	if (byte(r) % 2)
		like_input(g, &c);
	if (hearth_graph_add_op(g, c.kind, c.in, c.n, c.out, &c.o))
		check(*hearth_errmsg());
}

static void from_calls(const uint8_t *data, size_t size)
{
	struct reader r = { data, size };
	struct hearth_graph *g;

	check(!hearth_graph_create(&g));
	while (r.n && g->n_ops < 64 && g->n_tensors < 256) {
		switch (byte(&r) % 16) {
		case 0:
			add_op(g, &r);
			break;
		case 1:
			add_tensor(g, &r);
			break;
		default:
			add_call(g, &r);
		}
	}
	/* An output that nothing computes would spoil all. */
	for (uint32_t i = 0; i < g->n_tensors; i++) {
		if (g->tensors[i].role == HEARTH_TENSOR_OUTPUT && g->tensors[i].writer < 0)
			g->tensors[i].role = HEARTH_TENSOR_ACTIVATION;
	}
	use(g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 8 && !memcmp(data + 4, "TFL3", 4))
		from_tflite(data, size);
	else
		from_calls(data, size);
	return 0;
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	struct tflite_sample s = make_tflite_sample();
	uint8_t calls[768];
	uint32_t v = 1;

	fw_set(&s.b, s.conv, 2, 1, 4);	/* stride_h that fits the shapes */
	add(s.b.p, s.b.n);
	bytes_free(&s.b);
	for (int i = 0; i < 32; i++) {
		for (size_t k = 0; k < sizeof(calls); k++) {
			v = v * 1664525 + 1013904223;
			calls[k] = v >> 24;
		}
		add(calls, sizeof(calls));
	}
	fuzz_add_models("tflite-mesa-teflon", 2048);
	fuzz_add_models("tflite-mlperf-tiny", 64 << 10);
	fuzz_add_models("tflite-micro", 4096);
}
