// SPDX-License-Identifier: MIT
/* TFLite files: the model, its operators and the order of its graph. */
#include "formats/tflite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "formats/tflite_internal.h"

#define TFLITE_SCHEMA_VERSION 3
/* From here on the old one-byte code is a placeholder for the new field. */
#define TFLITE_OP_PLACEHOLDER 127

static void set_where(struct fb *fb, const char *where)
{
	snprintf(fb->where, sizeof(fb->where), "%s", where);
}

static int read_op_code(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct fb_vec custom;
	int ret, old;

	ret = fb_i8(fb, t, 0, "deprecated_builtin_code", 0, &old);
	if (!ret)
		ret = fb_vec(fb, t, 1, 1, "custom_code", &custom);
	if (!ret)
		ret = fb_i32(fb, t, 2, "version", 1, &op->version);
	if (!ret)
		ret = fb_i32(fb, t, 3, "builtin_code", 0, &op->code);
	if (ret)
		return ret;
	if (op->code < old)
		op->code = old;
	if (op->code < 0 || op->code == TFLITE_OP_PLACEHOLDER)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: builtin_code %d is no operator", fb->where,
				      op->code);
	op->name = tflite_op_name(op->code);
	if (op->code == TFLITE_OP_CUSTOM)
		op->custom_code = tflite_view(fb, &custom);
	return 0;
}

static int read_indices(struct fb *fb, const struct fb_table *t, int id, const char *name,
			const int32_t **out, uint32_t *n)
{
	struct fb_vec v;
	int ret = fb_walk(fb, t, id, 4, name, &v);

	if (ret)
		return ret;
	*out = v.n ? (const int32_t *)(fb->base + v.pos) : NULL;
	*n = v.n;
	return 0;
}

static int check_indices(struct fb *fb, const struct tflite_model *m, const char *name,
			 const int32_t *idx, uint32_t n, int32_t min)
{
	for (uint32_t i = 0; i < n; i++)
		if (idx[i] < min || (idx[i] >= 0 && (uint32_t)idx[i] >= m->n_tensors))
			return hearth_err_set(fb->err, -ERANGE,
					      "tflite: %s: %s[%u]: tensor %d is outside the graph's %u tensors",
					      fb->where, name, i, idx[i], m->n_tensors);
	return 0;
}

static int read_custom(struct fb *fb, const struct fb_table *t, struct tflite_op *op)
{
	struct fb_vec v;
	int ret;

	if (!op->custom_code.len)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: custom operator without custom_code", fb->where);
	snprintf(fb->where + strlen(fb->where), sizeof(fb->where) - strlen(fb->where), " '%.*s'",
		 (int)(op->custom_code.len < 40 ? op->custom_code.len : 40), op->custom_code.ptr);
	ret = fb_vec(fb, t, 5, 1, "custom_options", &v);
	if (!ret)
		op->custom_options = tflite_view(fb, &v);
	return ret;
}

static int read_op_tensors(struct fb *fb, const struct fb_table *t, const struct tflite_model *m,
			   struct tflite_op *op)
{
	int ret;

	ret = read_indices(fb, t, 1, "inputs", &op->inputs, &op->n_inputs);
	if (!ret)
		ret = check_indices(fb, m, "inputs", op->inputs, op->n_inputs, -1);
	if (!ret)
		ret = read_indices(fb, t, 2, "outputs", &op->outputs, &op->n_outputs);
	if (!ret)
		ret = check_indices(fb, m, "outputs", op->outputs, op->n_outputs, 0);
	return ret;
}

static int read_op(struct fb *fb, const struct fb_vec *ops, const struct fb_vec *codes, uint32_t i,
		   const struct tflite_model *m, struct tflite_op *op)
{
	struct fb_table t, code;
	uint32_t index;
	int ret;

	snprintf(fb->where, sizeof(fb->where), "op %u", i);
	ret = fb_vec_table(fb, ops, i, "operators", &t);
	if (!ret)
		ret = fb_u32(fb, &t, 0, "opcode_index", 0, &index);
	if (ret)
		return ret;
	if (index >= codes->n)
		return hearth_err_set(fb->err, -ERANGE,
				      "tflite: %s: opcode_index %u is outside the file's %u operator_codes",
				      fb->where, index, codes->n);
	ret = fb_vec_table(fb, codes, index, "operator_codes", &code);
	if (!ret)
		ret = read_op_code(fb, &code, op);
	if (ret)
		return ret;
	snprintf(fb->where, sizeof(fb->where), "op %u (%s)", i, op->name);
	ret = read_op_tensors(fb, &t, m, op);
	if (!ret && op->code == TFLITE_OP_CUSTOM)
		return read_custom(fb, &t, op);
	return ret ? ret : tflite_read_options(fb, &t, op);
}

static int read_ops(struct fb *fb, const struct fb_table *graph, const struct fb_vec *codes,
		    struct tflite_model *m)
{
	struct fb_vec ops;
	int ret;

	set_where(fb, "subgraph 0");
	ret = fb_walk(fb, graph, 3, 4, "operators", &ops);
	if (ret)
		return ret;
	m->ops = calloc((size_t)ops.n + 1, sizeof(*m->ops));
	if (!m->ops)
		return hearth_err_set(fb->err, -ENOMEM, "tflite: no memory for %u operators", ops.n);
	m->n_ops = ops.n;
	for (uint32_t i = 0; i < ops.n; i++) {
		ret = read_op(fb, &ops, codes, i, m, &m->ops[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_ends(struct fb *fb, const struct fb_table *graph, struct tflite_model *m)
{
	int ret;

	set_where(fb, "subgraph 0");
	ret = read_indices(fb, graph, 1, "inputs", &m->inputs, &m->n_inputs);
	if (!ret)
		ret = check_indices(fb, m, "inputs", m->inputs, m->n_inputs, 0);
	if (!ret)
		ret = read_indices(fb, graph, 2, "outputs", &m->outputs, &m->n_outputs);
	if (!ret)
		ret = check_indices(fb, m, "outputs", m->outputs, m->n_outputs, 0);
	return ret;
}

/* What may stand in a tensor before any op ran: constants, variables, nothing. */
static int mark_sources(struct fb *fb, const struct tflite_model *m, uint8_t *ready)
{
	for (uint32_t i = 0; i < m->n_tensors; i++)
		ready[i] = m->tensors[i].is_const || m->tensors[i].is_variable ||
			   !m->tensors[i].n_elems;
	for (uint32_t i = 0; i < m->n_inputs; i++) {
		if (m->tensors[m->inputs[i]].is_const)
			return hearth_err_set(fb->err, -EINVAL,
					      "tflite: %s: inputs[%u]: tensor %d is a constant",
					      fb->where, i, m->inputs[i]);
		ready[m->inputs[i]] = 1;
	}
	return 0;
}

static int check_op_order(struct fb *fb, const struct tflite_model *m, uint32_t i, uint8_t *ready)
{
	const struct tflite_op *op = &m->ops[i];

	for (uint32_t k = 0; k < op->n_inputs; k++)
		if (op->inputs[k] >= 0 && !ready[op->inputs[k]])
			return hearth_err_set(fb->err, -EINVAL,
					      "tflite: op %u (%s): inputs[%u]: tensor %d has no value yet",
					      i, op->name, k, op->inputs[k]);
	for (uint32_t k = 0; k < op->n_outputs; k++) {
		if (ready[op->outputs[k]] && m->tensors[op->outputs[k]].n_elems)
			return hearth_err_set(fb->err, -EINVAL,
					      "tflite: op %u (%s): outputs[%u]: tensor %d has a value already",
					      i, op->name, k, op->outputs[k]);
		ready[op->outputs[k]] = 1;
	}
	return 0;
}

static int check_order(struct fb *fb, const struct tflite_model *m)
{
	uint8_t *ready = calloc((size_t)m->n_tensors + 1, 1);
	int ret;

	if (!ready)
		return hearth_err_set(fb->err, -ENOMEM, "tflite: no memory for %u tensors",
				      m->n_tensors);
	ret = mark_sources(fb, m, ready);
	for (uint32_t i = 0; !ret && i < m->n_ops; i++)
		ret = check_op_order(fb, m, i, ready);
	for (uint32_t i = 0; !ret && i < m->n_outputs; i++)
		if (!ready[m->outputs[i]])
			ret = hearth_err_set(fb->err, -EINVAL,
					     "tflite: %s: outputs[%u]: no op writes tensor %d",
					     fb->where, i, m->outputs[i]);
	free(ready);
	return ret;
}

static int read_graph(struct fb *fb, const struct fb_table *root, const struct fb_vec *codes,
		      struct tflite_model *m)
{
	struct fb_vec buffers, graphs;
	struct fb_table graph;
	int ret;

	ret = fb_vec(fb, root, 4, 4, "buffers", &buffers);
	if (!ret)
		ret = fb_vec(fb, root, 2, 4, "subgraphs", &graphs);
	if (ret)
		return ret;
	if (!graphs.n)
		return hearth_err_set(fb->err, -EINVAL, "tflite: %s: subgraphs: the file has none",
				      fb->where);
	m->n_subgraphs = graphs.n;
	ret = fb_vec_table(fb, &graphs, 0, "subgraphs", &graph);
	if (!ret)
		ret = tflite_read_tensors(fb, &graph, &buffers, m);
	if (!ret)
		ret = read_ends(fb, &graph, m);
	if (!ret)
		ret = read_ops(fb, &graph, codes, m);
	set_where(fb, "subgraph 0");
	return ret ? ret : check_order(fb, m);
}

static int read_model(struct fb *fb, struct tflite_model *m)
{
	struct fb_vec codes, description;
	struct fb_table root;
	uint32_t version;
	int ret;

	set_where(fb, "model");
	ret = fb_root(fb, "TFL3", &root);
	if (!ret)
		ret = fb_u32(fb, &root, 0, "version", 0, &version);
	if (ret)
		return ret;
	if (version != TFLITE_SCHEMA_VERSION)
		return hearth_err_set(fb->err, -EOPNOTSUPP,
				      "tflite: model: version %u is not supported (%u is)", version,
				      TFLITE_SCHEMA_VERSION);
	ret = fb_vec(fb, &root, 3, 1, "description", &description);
	if (!ret)
		ret = fb_vec(fb, &root, 1, 4, "operator_codes", &codes);
	if (ret)
		return ret;
	m->description = tflite_view(fb, &description);
	return read_graph(fb, &root, &codes, m);
}

static int parse(struct tflite_model *m, struct hearth_err *err)
{
	struct fb fb = { .base = m->base, .size = m->size, .budget = m->size, .err = err };

	return read_model(&fb, m);
}

int tflite_open(const char *path, struct tflite_model **out, struct hearth_err *err)
{
	struct tflite_model *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return hearth_err_set(err, -ENOMEM, "tflite: %s: no memory", path);
	ret = hearth_map_open(&m->map, path, "tflite", err);
	if (!ret) {
		m->base = m->map.base;
		m->size = m->map.size;
		ret = parse(m, err);
	}
	if (ret) {
		tflite_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

int tflite_open_mem(const void *buf, size_t size, struct tflite_model **out,
		    struct hearth_err *err)
{
	struct tflite_model *m;
	int ret;

	if ((uintptr_t)buf % 16)
		return hearth_err_set(err, -EINVAL, "tflite: buffer at %p is not aligned to 16",
				      buf);
	m = calloc(1, sizeof(*m));
	if (!m)
		return hearth_err_set(err, -ENOMEM, "tflite: no memory");
	m->map.fd = -1;
	m->base = buf;
	m->size = size;
	ret = parse(m, err);
	if (ret) {
		tflite_close(m);
		return ret;
	}
	*out = m;
	return 0;
}

void tflite_close(struct tflite_model *m)
{
	if (!m)
		return;
	hearth_map_close(&m->map);
	free(m->tensors);
	free(m->ops);
	free(m);
}
