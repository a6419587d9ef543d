// SPDX-License-Identifier: MIT
/*
 * From a graph to a program: lower the ops, decide who executes each command,
 * make the memory, check the result.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph/compile.h"
#include "graph/partition.h"
#include "kernels/exec.h"
#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/opts.h"

static int no_memory(void)
{
	return hearth_seterr(-ENOMEM, "no memory to compile the graph");
}

/* A command that does not pass is a defect of the compiler. */
static int check_commands(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	struct hk_operand operand[HK_MAX_OPERANDS];
	struct hk_fault fault;

	for (uint32_t i = 0; i < p->n_cmds; i++) {
		const struct hearth_cmd_header *cmd = hg_stream_cmd(&c->l.stream, i);

		if (hk_cmd_operands(cmd, cmd->bytes, operand, &fault) >= 0)
			continue;
		return hg_refuse(&c->g->ops[p->cmds[i].op], -EINVAL,
				 "command %s was refused: field '%s'",
				 hk_op_name(cmd->op) ? hk_op_name(cmd->op) : "unknown",
				 fault.field ? fault.field : "op");
	}
	return 0;
}

/* What runs on the CPU needs scratch memory: get it now. */
static int reserve_scratch(struct hg_compile *c)
{
	struct hearth_device *dev = c->p->dev;
	bool cpu = dev->backend == &hearth_backend_cpu;
	struct hk_fault fault;
	int ret = 0;

	pthread_mutex_lock(&dev->run_lock);
	for (uint32_t i = 0; !ret && i < c->p->n_cmds; i++) {
		const struct hearth_cmd_header *cmd = hg_stream_cmd(&c->l.stream, i);

		if (cpu || c->p->cmds[i].on_cpu)
			ret = hk_exec_reserve(dev->exec, cmd, cmd->bytes, &fault);
	}
	pthread_mutex_unlock(&dev->run_lock);
	return ret ? hearth_seterr(ret, "no scratch memory for the CPU") : 0;
}

static bool begins_segment(const struct hearth_program *p, uint32_t i)
{
	return !i || p->cmds[i].on_cpu != p->cmds[i - 1].on_cpu;
}

static uint32_t count_segments(const struct hearth_program *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_cmds; i++)
		n += begins_segment(p, i);
	return n;
}

static int make_segments(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	uint64_t va = hearth_buffer_address(p->fixed) +
		      (p->stream - (uint8_t *)hearth_buffer_data(p->fixed));

	/* mostly one: programs live long, so there is no room for one each */
	p->segments = calloc(count_segments(p) + 1, sizeof(*p->segments));
	if (!p->segments)
		return no_memory();
	for (uint32_t i = 0; i < p->n_cmds; i++) {
		struct hg_segment *s = &p->segments[p->n_segments];

		if (begins_segment(p, i)) {
			s->va = va + p->cmds[i].at;
			s->on_cpu = p->cmds[i].on_cpu;
			p->n_segments++;
		} else {
			s--;
		}
		s->bytes += hg_stream_cmd(&c->l.stream, i)->bytes;
		s->n_cmds++;
		p->info.n_device_ops += !p->cmds[i].on_cpu;
	}
	p->info.n_ops = p->n_cmds;
	p->info.n_segments = p->n_segments;
	for (uint32_t i = 0; i < p->n_segments; i++)
		p->info.n_device_segments += !p->segments[i].on_cpu;
	return 0;
}

/* Steps of one model differ in their rows only. */
static bool share_names(const struct hg_compile *c)
{
	const struct hearth_program *from = c->share;

	if (!from || from->n_ops != c->g->n_ops)
		return false;
	for (uint32_t i = 0; i < from->n_ops; i++) {
		if (strcmp(from->op_names[i], c->g->ops[i].name))
			return false;
	}
	c->p->op_names = from->op_names;
	c->p->n_ops = from->n_ops;
	return true;
}

/* In one piece: a large model has more than 600, of a few letters each. */
static int keep_names(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	size_t bytes = 0;
	char *text;

	if (share_names(c))
		return 0;
	for (uint32_t i = 0; i < c->g->n_ops; i++)
		bytes += strlen(c->g->ops[i].name) + 1;
	p->owns_names = true;
	p->op_names = malloc((c->g->n_ops + 1) * sizeof(*p->op_names) + bytes);
	if (!p->op_names)
		return no_memory();
	p->n_ops = c->g->n_ops;
	text = (char *)(p->op_names + p->n_ops + 1);
	for (uint32_t i = 0; i < p->n_ops; i++) {
		p->op_names[i] = text;
		text = stpcpy(text, c->g->ops[i].name) + 1;
	}
	return 0;
}

/* Inputs and outputs, after the activations have a place */
static void fill_ports(struct hg_compile *c)
{
	struct hearth_program *p = c->p;

	for (uint32_t i = 0; i < p->n_ports; i++) {
		const struct hg_tensor *t = &c->g->tensors[i];
		struct hg_ref ref = c->l.refs[i];

		if (t->role != HEARTH_TENSOR_INPUT && t->role != HEARTH_TENSOR_OUTPUT)
			continue;
		p->ports[i].bytes = t->bytes;
		p->ports[i].va = hg_address(c, ref);
		p->ports[i].data = (uint8_t *)hearth_buffer_data(p->activations) +
				   c->life[ref.index].offset + ref.offset;
	}
}

/* Programs live long, and most tensors are nobody's business: keep what can be reached. */
static void drop_empty_ports(struct hearth_program *p)
{
	struct hg_port *less;
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (!p->ports[i].data)
			continue;
		p->ports[n] = p->ports[i];
		p->ports[n++].tensor = (hearth_tensor)i;
	}
	p->n_ports = n;
	less = realloc(p->ports, (n + 1) * sizeof(*p->ports));
	if (less)
		p->ports = less;
}

static int decide_engines(struct hg_compile *c)
{
	struct hearth_device_info info = { .sz = sizeof(info) };
	int ret = hearth_device_get_info(c->p->dev, &info);

	if (!ret)
		hg_partition(&c->l.stream, info.ops, info.types);
	return ret;
}

static bool same_commands(const struct hearth_program *from, const struct hg_stream *s)
{
	if (!from || from->n_cmds != s->n_cmds)
		return false;
	for (uint32_t i = 0; i < s->n_cmds; i++) {
		const struct hg_cmd *a = &from->cmds[i], *b = &s->cmds[i];

		if (a->at != b->at || a->op != b->op || a->on_cpu != b->on_cpu ||
		    a->missing_op != b->missing_op || a->missing_type != b->missing_type)
			return false;
	}
	return true;
}

/* The commands that were made, from the lowering to the program */
static void take_commands(struct hg_compile *c)
{
	struct hg_stream *s = &c->l.stream;
	struct hg_cmd *less;

	/* what is in the stream differs, but not where */
	c->p->owns_cmds = !same_commands(c->share, s);
	if (c->p->owns_cmds) {
		less = realloc(s->cmds, s->n_cmds * sizeof(*s->cmds));
		if (less)
			s->cmds = less;
	} else {
		free(s->cmds);
		s->cmds = c->share->cmds;
	}
	c->p->cmds = s->cmds;
	c->p->n_cmds = s->n_cmds;
}

static int build(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	int ret;

	p->ports = calloc(c->g->n_tensors + 1, sizeof(*p->ports));
	if (!p->ports)
		return no_memory();
	p->n_ports = c->g->n_tensors;
	ret = hg_pick_paging(c);
	if (!ret)
		ret = hg_lower(&c->l, c->g, &p->paging);
	if (!ret)
		ret = decide_engines(c);
	if (!ret)
		ret = keep_names(c);
	if (!ret)
		ret = hg_make_weights(c);
	if (!ret)
		ret = hg_make_states(c);
	if (!ret)
		ret = hg_make_model(c);
	if (!ret)
		ret = hg_make_activations(c);
	if (ret)
		return ret;
	fill_ports(c);
	ret = hg_make_fixed(c);
	if (ret)
		return ret;
	take_commands(c);
	ret = check_commands(c);
	if (!ret)
		ret = make_segments(c);
	if (!ret)
		ret = reserve_scratch(c);
	if (!ret)
		drop_empty_ports(p);
	c->l.stream.cmds = NULL;
	return ret;
}

static int check_share(const struct hearth_device *dev, const struct hearth_program *share)
{
	if (!share || share->dev == dev)
		return 0;
	return hearth_seterr(-EINVAL, "the program to share with is of another device");
}

int hearth_compile(struct hearth_graph *g, struct hearth_device *dev,
		   const struct hearth_compile_opts *opts, struct hearth_program **program)
{
	HEARTH_OPTS_LOCAL(hearth_compile_opts, o, opts, ret);
	struct hg_compile c = { .g = g, .share = o.share, .model = o.model,
				.state_page = o.state_page };

	if (!ret)
		ret = check_share(dev, o.share);
	if (ret)
		return ret;
	c.p = calloc(1, sizeof(*c.p));
	if (!c.p)
		return no_memory();
	c.p->dev = dev;
	c.p->priority = o.priority;
	c.p->info.sz = sizeof(c.p->info);
	ret = build(&c);
	if (!ret)
		ret = hg_program_open_queue(c.p);
	free(c.life);
	hg_lower_free(&c.l);
	if (ret) {
		hearth_program_destroy(c.p);
		return ret;
	}
	*program = c.p;
	return 0;
}

int hearth_graph_measure(struct hearth_graph *g, struct hearth_device *dev,
			 struct hearth_program_info *info)
{
	struct hearth_program p = { .dev = dev };
	struct hg_compile c = { .g = g, .p = &p };
	int ret = hg_lower(&c.l, g, &p.paging);

	if (!ret)
		ret = decide_engines(&c);
	if (!ret)
		ret = hg_measure(&c);
	p.info.n_ops = c.l.stream.n_cmds;
	for (uint32_t i = 0; i < c.l.stream.n_cmds; i++)
		p.info.n_device_ops += !c.l.stream.cmds[i].on_cpu;
	free(c.life);
	hg_lower_free(&c.l);
	return ret ? ret : hearth_opts_give(info, &p.info, sizeof(p.info), "hearth_program_info");
}
