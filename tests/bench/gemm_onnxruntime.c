// SPDX-License-Identifier: MIT
/*
 * ONNX Runtime: MatMulNBits (blocks of 32, accuracy level 4: activations of 8
 * bits) and DynamicQuantizeMatMul (a scale per column), in a model of one node.
 */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka/bytes.h"
#include "gemm.h"

#define BLOCK	32
#define SCALE	0.004f

/* Kinds of fields and of numbers in the file format (onnx.proto). */
enum { VARINT = 0, CHUNK = 2 };
enum { ONNX_FLOAT = 1, ONNX_UINT8 = 2, ONNX_INT8 = 3, ONNX_ATTRIBUTE_INT = 2 };

static const OrtApi *ort;
static OrtEnv *env;
static unsigned int n_threads;

struct state {
	OrtSession *session;
	OrtMemoryInfo *memory;
	OrtValue *in, *out;
};

static void ok(OrtStatus *status, const char *what)
{
	if (status)
		fprintf(stderr, "gemm: %s\n", ort->GetErrorMessage(status));
	gemm_need(!status, what);
}

/* ---- a model as bytes ---- */

static void varint(struct bytes *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		bytes_u8(b, v | 0x80);
	bytes_u8(b, v);
}

static void number(struct bytes *b, unsigned int field, uint64_t v)
{
	varint(b, field << 3 | VARINT);
	varint(b, v);
}

static void chunk(struct bytes *b, unsigned int field, const void *p, size_t n)
{
	varint(b, field << 3 | CHUNK);
	varint(b, n);
	bytes_add(b, p, n);
}

static void text(struct bytes *b, unsigned int field, const char *s)
{
	chunk(b, field, s, strlen(s));
}

/* Takes @part apart into the field, and frees it. */
static void message(struct bytes *b, unsigned int field, struct bytes *part)
{
	chunk(b, field, part->p, part->n);
	bytes_free(part);
}

static void constant(struct bytes *graph, const char *name, unsigned int type, const uint64_t *dims,
		     unsigned int n_dims, const void *data, size_t bytes)
{
	struct bytes t = { 0 };

	for (unsigned int i = 0; i < n_dims; i++)
		number(&t, 1, dims[i]);
	number(&t, 2, type);
	text(&t, 8, name);
	chunk(&t, 9, data, bytes);
	message(graph, 5, &t);
}

static void attribute(struct bytes *node, const char *name, uint64_t v)
{
	struct bytes a = { 0 };

	text(&a, 1, name);
	number(&a, 3, v);
	number(&a, 20, ONNX_ATTRIBUTE_INT);
	message(node, 5, &a);
}

/* An input or output of the graph: f32 [rows][cols]. */
static void value(struct bytes *graph, unsigned int field, const char *name, uint64_t rows, uint64_t cols)
{
	struct bytes v = { 0 }, type = { 0 }, tensor = { 0 }, shape = { 0 }, dim = { 0 };

	number(&dim, 1, rows);
	message(&shape, 1, &dim);
	number(&dim, 1, cols);
	message(&shape, 1, &dim);
	number(&tensor, 1, ONNX_FLOAT);
	message(&tensor, 2, &shape);
	message(&type, 1, &tensor);
	text(&v, 1, name);
	message(&v, 2, &type);
	message(graph, field, &v);
}

static void add_node(struct bytes *graph, const struct gemm *g)
{
	struct bytes node = { 0 };

	text(&node, 1, "a");
	text(&node, 1, "b");
	text(&node, 1, "scales");
	text(&node, 2, "y");
	text(&node, 4, g->bits == 4 ? "MatMulNBits" : "DynamicQuantizeMatMul");
	text(&node, 7, "com.microsoft");
	if (g->bits == 4) {
		attribute(&node, "K", g->in);
		attribute(&node, "N", g->out);
		attribute(&node, "bits", 4);
		attribute(&node, "block_size", BLOCK);
		attribute(&node, "accuracy_level", 4);
	}
	message(graph, 1, &node);
}

static void add_constants(struct bytes *graph, const struct gemm *g)
{
	size_t bytes = (size_t)g->out * g->in * g->bits / 8;
	size_t n_scales = g->bits == 4 ? (size_t)g->out * g->in / BLOCK : g->out;
	void *weights = malloc(bytes);
	float *scales = malloc(n_scales * sizeof(*scales));

	gemm_need(weights && scales, "memory");
	gemm_random(weights, bytes);
	for (size_t i = 0; i < n_scales; i++)
		scales[i] = SCALE;
	if (g->bits == 4)
		constant(graph, "b", ONNX_UINT8, (uint64_t[]){ g->out, g->in / BLOCK, BLOCK / 2 }, 3, weights, bytes);
	else
		constant(graph, "b", ONNX_INT8, (uint64_t[]){ g->in, g->out }, 2, weights, bytes);
	constant(graph, "scales", ONNX_FLOAT, (uint64_t[]){ n_scales }, 1, scales, n_scales * sizeof(*scales));
	free(weights);
	free(scales);
}

static void add_opset(struct bytes *model, const char *domain, uint64_t version)
{
	struct bytes o = { 0 };

	text(&o, 1, domain);
	number(&o, 2, version);
	message(model, 8, &o);
}

static struct bytes make_model(const struct gemm *g)
{
	struct bytes model = { 0 }, graph = { 0 };

	add_node(&graph, g);
	text(&graph, 2, "gemm");
	add_constants(&graph, g);
	value(&graph, 11, "a", g->rows, g->in);
	value(&graph, 12, "y", g->rows, g->out);
	number(&model, 1, 8);
	add_opset(&model, "", 17);
	add_opset(&model, "com.microsoft", 1);
	message(&model, 7, &graph);
	return model;
}

/* ---- the engine ---- */

static void open_engine(unsigned int threads)
{
	ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
	gemm_need(ort, "OrtGetApiBase");
	ok(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "gemm", &env), "CreateEnv");
	n_threads = threads;
}

static OrtValue *tensor(struct state *s, const float *p, uint32_t rows, uint32_t cols)
{
	OrtValue *v;

	ok(ort->CreateTensorWithDataAsOrtValue(s->memory, (void *)p, (size_t)rows * cols * sizeof(*p),
					       (int64_t[]){ rows, cols }, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &v),
	   "CreateTensorWithDataAsOrtValue");
	return v;
}

static void *prepare(const struct gemm *g)
{
	struct state *s = calloc(1, sizeof(*s));
	struct bytes model = make_model(g);
	OrtSessionOptions *o;

	gemm_need(s, "memory");
	ok(ort->CreateSessionOptions(&o), "CreateSessionOptions");
	ok(ort->SetIntraOpNumThreads(o, n_threads), "SetIntraOpNumThreads");
	ok(ort->SetSessionGraphOptimizationLevel(o, ORT_ENABLE_ALL), "SetSessionGraphOptimizationLevel");
	ok(ort->CreateSessionFromArray(env, model.p, model.n, o, &s->session), "CreateSessionFromArray");
	ort->ReleaseSessionOptions(o);
	bytes_free(&model);
	ok(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &s->memory), "CreateCpuMemoryInfo");
	s->in = tensor(s, g->src, g->rows, g->in);
	s->out = tensor(s, g->dst, g->rows, g->out);
	return s;
}

static void run(void *state)
{
	static const char *const in = "a", *const out = "y";
	struct state *s = state;

	ok(ort->Run(s->session, NULL, &in, (const OrtValue *const *)&s->in, 1, &out, 1, &s->out), "Run");
}

static void release(void *state)
{
	struct state *s = state;

	ort->ReleaseValue(s->in);
	ort->ReleaseValue(s->out);
	ort->ReleaseMemoryInfo(s->memory);
	ort->ReleaseSession(s->session);
	free(s);
}

const struct gemm_engine gemm_engine = { open_engine, prepare, run, release };
