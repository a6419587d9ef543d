// SPDX-License-Identifier: MIT
/*
 * Defining a graph. Whatever comes in is checked here, so that the compiler
 * works on what is known to be consistent.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "graph/graph.h"
#include "kernels/exec.h"
#include "runtime/error.h"
#include "runtime/opts.h"

int hearth_graph_create(struct hearth_graph **graph)
{
	struct hearth_graph *g = calloc(1, sizeof(*g));

	if (!g)
		return hearth_seterr(-ENOMEM, "no memory for a graph");
	g->weights_fd = -1;
	*graph = g;
	return 0;
}

void hearth_graph_destroy(struct hearth_graph *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->n_tensors; i++) {
		free(g->tensors[i].name);
		free(g->tensors[i].scales);
	}
	for (uint32_t i = 0; i < g->n_ops; i++) {
		free(g->ops[i].name);
		free(g->ops[i].in);
	}
	free(g->tensors);
	free(g->ops);
	if (g->weights_fd >= 0)
		close(g->weights_fd);
	if (g->owner_free)
		g->owner_free(g->owner);
	free(g);
}

int hearth_graph_set_weights(struct hearth_graph *g, int file_fd)
{
	int fd = fcntl(file_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return hearth_seterr(-errno, "weights file: descriptor %d: %s", file_fd,
				     strerror(errno));
	if (g->weights_fd >= 0)
		close(g->weights_fd);
	g->weights_fd = fd;
	return 0;
}

/* Names come from files: no control characters, no novels. */
static char *copy_name(const char *name, const char *kind, uint32_t index)
{
	char made[HG_MAX_NAME + 1], *copy;

	if (!name || !*name) {
		snprintf(made, sizeof(made), "%s%u", kind, index);
		name = made;
	}
	copy = strndup(name, HG_MAX_NAME);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	return copy;
}

/* Make room for one more of @size bytes; at most @max. */
static int grow(void **array, uint32_t n, uint32_t *room, size_t size, uint32_t max,
		const char *what)
{
	uint32_t want = *room ? *room * 2 : 64;
	void *p;

	if (n < *room)
		return 0;
	if (n >= max)
		return hearth_seterr(-E2BIG, "the graph has %u %s, which is the limit", n,
				     what);
	p = realloc(*array, want * size);
	if (!p)
		return hearth_seterr(-ENOMEM, "no memory for %u %s", want, what);
	*array = p;
	*room = want;
	return 0;
}

unsigned int hg_type_align(unsigned int type)
{
	unsigned int elements = 1, bytes = 1;

	if (hk_type_block(type, &elements, &bytes))
		return 1;
	return elements == 1 ? bytes : 2;
}

/* Fills dims, elements and bytes of @t. */
static int check_shape(struct hg_tensor *t, const struct hearth_tensor_opts *o)
{
	unsigned int elements, bytes;
	uint64_t n = 1;

	if (hk_type_block(o->type, &elements, &bytes))
		return hearth_seterr(-EINVAL, "tensor '%s': type %u is not known", t->name,
				     o->type);
	if (!o->n_dims || o->n_dims > HEARTH_MAX_DIMS)
		return hearth_seterr(-EINVAL, "tensor '%s': %u dimensions, 1 to %u are possible",
				     t->name, o->n_dims, HEARTH_MAX_DIMS);
	for (unsigned int i = 0; i < o->n_dims; i++) {
		t->dims[i] = o->dims[i];
		if (!o->dims[i] || o->dims[i] > HEARTH_CMD_MAX_DIM)
			return hearth_seterr(-EINVAL,
					     "tensor '%s': dimension %u is %u, 1 to %u are possible",
					     t->name, i, o->dims[i], HEARTH_CMD_MAX_DIM);
		n *= o->dims[i];
		if (n > HEARTH_CMD_MAX_ELEMENTS)
			return hearth_seterr(-EINVAL, "tensor '%s': more than %llu elements",
					     t->name,
					     (unsigned long long)HEARTH_CMD_MAX_ELEMENTS);
	}
	if (o->dims[o->n_dims - 1] % elements)
		return hearth_seterr(-EINVAL,
				     "tensor '%s': last dimension %u is not a multiple of %s's block of %u",
				     t->name, o->dims[o->n_dims - 1], hk_type_name(o->type),
				     elements);
	t->type = o->type;
	t->n_dims = o->n_dims;
	t->elements = n;
	t->bytes = n / elements * bytes;
	return 0;
}

static int check_role(struct hg_tensor *t, const struct hearth_tensor_opts *o)
{
	unsigned int align = hg_type_align(t->type);

	if ((unsigned int)o->role > HEARTH_TENSOR_STATE)
		return hearth_seterr(-EINVAL, "tensor '%s': role %u is not known", t->name,
				     (unsigned int)o->role);
	t->role = o->role;
	if (o->role == HEARTH_TENSOR_CONSTANT && !o->data)
		return hearth_seterr(-EINVAL, "tensor '%s': a constant without data", t->name);
	t->data = o->role == HEARTH_TENSOR_CONSTANT ? o->data : NULL;
	if (o->role != HEARTH_TENSOR_WEIGHTS)
		return 0;
	t->offset = o->offset;
	if (o->offset % align)
		return hearth_seterr(-EINVAL,
				     "tensor '%s': offset %llu is not a multiple of %u, which %s needs",
				     t->name, (unsigned long long)o->offset, align,
				     hk_type_name(t->type));
	if (o->offset > (uint64_t)INT64_MAX - t->bytes)
		return hearth_seterr(-EINVAL, "tensor '%s': offset %llu is beyond any file",
				     t->name, (unsigned long long)o->offset);
	return 0;
}

static int check_zero_point(const struct hg_tensor *t, int32_t zero)
{
	int32_t min = t->type == HEARTH_TYPE_U8 ? 0 : t->type == HEARTH_TYPE_I8 ? INT8_MIN :
						      INT32_MIN;
	int32_t max = t->type == HEARTH_TYPE_U8 ? UINT8_MAX :
		      t->type == HEARTH_TYPE_I8 ? INT8_MAX :
						  INT32_MAX;

	if (zero >= min && zero <= max)
		return 0;
	return hearth_seterr(-EINVAL, "tensor '%s': zero point %d is outside of %s", t->name,
			     zero, hk_type_name(t->type));
}

/* Fills the quantization of @t. */
static int check_quantization(struct hg_tensor *t, const struct hearth_tensor_opts *o)
{
	if (!o->n_scales)
		return 0;
	if (t->type != HEARTH_TYPE_I8 && t->type != HEARTH_TYPE_U8 &&
	    t->type != HEARTH_TYPE_I32)
		return hearth_seterr(-EINVAL, "tensor '%s': scales do not go with type %s",
				     t->name, hk_type_name(t->type));
	if (o->channel_dim >= t->n_dims)
		return hearth_seterr(-EINVAL,
				     "tensor '%s': channel_dim is %u where there are %u dimensions",
				     t->name, o->channel_dim, t->n_dims);
	if (!o->scales || (o->n_scales != 1 && o->n_scales != t->dims[o->channel_dim]))
		return hearth_seterr(-EINVAL,
				     "tensor '%s': %u scales where dimension %u has %u elements",
				     t->name, o->scales ? o->n_scales : 0, o->channel_dim,
				     t->dims[o->channel_dim]);
	for (unsigned int i = 0; i < o->n_scales; i++) {
		if (!isfinite(o->scales[i]) || o->scales[i] < 0)
			return hearth_seterr(-EINVAL, "tensor '%s': scale %u is %g", t->name, i,
					     (double)o->scales[i]);
	}
	t->scales = malloc(o->n_scales * sizeof(*t->scales));
	if (!t->scales)
		return hearth_seterr(-ENOMEM, "no memory for %u scales", o->n_scales);
	memcpy(t->scales, o->scales, o->n_scales * sizeof(*t->scales));
	t->n_scales = o->n_scales;
	t->channel_dim = o->channel_dim;
	t->zero_point = o->zero_point;
	return check_zero_point(t, o->zero_point);
}

hearth_tensor hearth_graph_add_tensor(struct hearth_graph *g,
				      const struct hearth_tensor_opts *opts)
{
	HEARTH_OPTS_LOCAL(hearth_tensor_opts, o, opts, ret);
	struct hg_tensor t = { .writer = -1 };

	if (ret)
		return ret;
	ret = grow((void **)&g->tensors, g->n_tensors, &g->tensor_room, sizeof(t),
		   HG_MAX_TENSORS, "tensors");
	if (ret)
		return ret;
	t.name = copy_name(o.name, "tensor ", g->n_tensors);
	if (!t.name)
		return hearth_seterr(-ENOMEM, "no memory for a tensor");
	ret = check_shape(&t, &o);
	if (!ret)
		ret = check_role(&t, &o);
	if (!ret)
		ret = check_quantization(&t, &o);
	if (ret) {
		free(t.name);
		free(t.scales);
		return ret;
	}
	g->tensors[g->n_tensors] = t;
	return g->n_tensors++;
}

static int check_input(const struct hearth_graph *g, const struct hg_op *op, unsigned int i)
{
	hearth_tensor in = op->in[i];
	const struct hg_tensor *t;

	if (in == HEARTH_NO_TENSOR)
		return 0;
	if (in < 0 || (uint32_t)in >= g->n_tensors)
		return hg_refuse(op, -EINVAL, "input %u is tensor %d of %u", i, in,
				 g->n_tensors);
	t = &g->tensors[in];
	if ((t->role == HEARTH_TENSOR_ACTIVATION || t->role == HEARTH_TENSOR_OUTPUT) &&
	    t->writer < 0)
		return hg_refuse(op, -EINVAL, "input %u, '%s', is computed by no op before", i,
				 t->name);
	return 0;
}

static int check_output(const struct hearth_graph *g, const struct hg_op *op)
{
	const struct hg_tensor *t;

	if (op->out < 0 || (uint32_t)op->out >= g->n_tensors)
		return hg_refuse(op, -EINVAL, "output is tensor %d of %u", op->out,
				 g->n_tensors);
	t = &g->tensors[op->out];
	if (t->role != HEARTH_TENSOR_ACTIVATION && t->role != HEARTH_TENSOR_OUTPUT &&
	    t->role != HEARTH_TENSOR_STATE)
		return hg_refuse(op, -EINVAL, "'%s' is an input or a constant: no op may write it",
				 t->name);
	if (t->writer >= 0)
		return hg_refuse(op, -EINVAL, "'%s' is computed by '%s' already", t->name,
				 g->ops[t->writer].name);
	for (unsigned int i = 0; i < op->n_in; i++) {
		if (op->in[i] == op->out)
			return hg_refuse(op, -EINVAL, "'%s' is input %u and output", t->name, i);
	}
	return 0;
}

static int check_tensors(const struct hearth_graph *g, const struct hg_op *op)
{
	int ret;

	for (unsigned int i = 0; i < op->n_in; i++) {
		ret = check_input(g, op, i);
		if (ret)
			return ret;
	}
	return check_output(g, op);
}

int hearth_graph_add_op(struct hearth_graph *g, enum hearth_op kind,
			const hearth_tensor *inputs, unsigned int n_inputs,
			hearth_tensor output, const struct hearth_op_opts *opts)
{
	struct hg_op op = { .kind = kind, .n_in = n_inputs, .out = output };
	int ret = hearth_opts_copy(&op.opts, sizeof(op.opts), opts, "hearth_op_opts");

	if (ret)
		return ret;
	if (!hg_op_name(kind))
		return hearth_seterr(-EINVAL, "op %u is not known", (unsigned int)kind);
	if (n_inputs > HG_MAX_INPUTS)
		return hearth_seterr(-E2BIG, "%s: %u inputs, %u are possible",
				     hg_op_name(kind), n_inputs, HG_MAX_INPUTS);
	ret = grow((void **)&g->ops, g->n_ops, &g->op_room, sizeof(op), HG_MAX_OPS, "ops");
	if (ret)
		return ret;
	op.name = copy_name(op.opts.name, "op ", g->n_ops);
	op.opts.name = NULL;
	op.in = malloc((n_inputs + 1) * sizeof(*op.in));
	if (!op.name || !op.in)
		ret = hearth_seterr(-ENOMEM, "no memory for an op");
	if (!ret && n_inputs)
		memcpy(op.in, inputs, n_inputs * sizeof(*op.in));
	if (!ret)
		ret = check_tensors(g, &op);
	if (!ret)
		ret = hg_check_op(g, &op);
	if (ret) {
		free(op.name);
		free(op.in);
		return ret;
	}
	g->tensors[output].writer = g->n_ops;
	g->ops[g->n_ops++] = op;
	return 0;
}

static hearth_tensor nth(const struct hearth_graph *g, enum hearth_tensor_role role,
			 unsigned int n)
{
	for (uint32_t i = 0; i < g->n_tensors; i++) {
		if (g->tensors[i].role == role && n-- == 0)
			return i;
	}
	return hearth_seterr(-ENOENT, "the graph has no such %s",
			     role == HEARTH_TENSOR_INPUT ? "input" : "output");
}

static unsigned int count(const struct hearth_graph *g, enum hearth_tensor_role role)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < g->n_tensors; i++)
		n += g->tensors[i].role == role;
	return n;
}

unsigned int hearth_graph_n_inputs(const struct hearth_graph *g)
{
	return count(g, HEARTH_TENSOR_INPUT);
}

unsigned int hearth_graph_n_outputs(const struct hearth_graph *g)
{
	return count(g, HEARTH_TENSOR_OUTPUT);
}

hearth_tensor hearth_graph_input(const struct hearth_graph *g, unsigned int i)
{
	return nth(g, HEARTH_TENSOR_INPUT, i);
}

hearth_tensor hearth_graph_output(const struct hearth_graph *g, unsigned int i)
{
	return nth(g, HEARTH_TENSOR_OUTPUT, i);
}

int hearth_graph_get_tensor(const struct hearth_graph *g, hearth_tensor tensor,
			    struct hearth_tensor_opts *opts)
{
	const struct hg_tensor *t;

	if (tensor < 0 || (uint32_t)tensor >= g->n_tensors)
		return hearth_seterr(-EINVAL, "tensor %d of %u", tensor, g->n_tensors);
	t = &g->tensors[tensor];
	HEARTH_OPTS(hearth_tensor_opts, o,
		.name = t->name,
		.type = t->type,
		.role = t->role,
		.n_dims = t->n_dims,
		.n_scales = t->n_scales,
		.scales = t->scales,
		.zero_point = t->zero_point,
		.channel_dim = t->channel_dim,
		.data = t->data,
		.offset = t->offset);
	memcpy(o.dims, t->dims, sizeof(o.dims));
	return hearth_opts_give(opts, &o, sizeof(o), "hearth_tensor_opts");
}
