// SPDX-License-Identifier: MIT
/* hearth explain MODEL, hearth info [MODEL] */
#include <stdio.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "kernels/exec.h"
#include "tools/info.h"
#include "tools/tool.h"

struct inspect_args {
	struct device_args device;
	const char *model;
	bool needs_model;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct inspect_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_usage(state);
		a->model = arg;
		return 0;
	case ARGP_KEY_END:
		if (a->needs_model && !a->model)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp explain_argp = {
	.parser = parse,
	.args_doc = "MODEL",
	.doc = "Tell for every op of a GGUF or TFLite model where it runs, and why.",
	.children = device_children,
};

static const struct argp info_argp = {
	.parser = parse,
	.args_doc = "[MODEL]",
	.doc = "Describe the device, or a GGUF or TFLite model.",
	.children = device_children,
};

/* A model of either format, compiled. */
struct model {
	struct hearth_llm *llm;
	struct hearth_graph *graph;
	struct hearth_program *program;
};

static int open_model(const char *path, struct hearth_device *dev, struct model *m)
{
	enum model_kind kind = model_kind(path);

	if (kind == MODEL_UNREADABLE)
		return 1;
	if (kind == MODEL_GGUF) {
		if (hearth_llm_open(path, dev, NULL, &m->llm))
			return fail("cannot open the model");
		m->program = hearth_llm_program(m->llm);
		return 0;
	}
	if (hearth_graph_load_tflite(path, &m->graph))
		return fail("cannot open the model");
	if (hearth_compile(m->graph, dev, NULL, &m->program))
		return fail("%s", path);
	return 0;
}

static void close_model(struct model *m)
{
	if (m->llm)
		hearth_llm_close(m->llm);
	else
		hearth_program_destroy(m->program);
	hearth_graph_destroy(m->graph);
}

static int print_op(const struct hearth_op_report *r, void *arg)
{
	unsigned int *n = arg;

	printf("%4u  %-17s %-4s %10llu %10llu  %s", (*n)++, r->op, r->engine,
	       (unsigned long long)r->macs, (unsigned long long)r->bytes,
	       r->name ? r->name : "");
	if (r->reason)
		printf("  (%s)", r->reason);
	putchar('\n');
	return 0;
}

static int explain_model(struct model *m)
{
	struct hearth_program_info p = { .sz = sizeof(p) };
	unsigned int n = 0;

	printf("   #  op                eng.       MACs      bytes  name\n");
	if (hearth_program_explain(m->program, print_op, &n) ||
	    hearth_program_get_info(m->program, &p))
		return fail("explain");
	printf("%u ops in %u segments, %u of them on the device; weights %s, state %s, activations %s, stream %s\n",
	       p.n_ops, p.n_segments, p.n_device_segments,
	       human_bytes(p.weights_bytes), human_bytes(p.state_bytes),
	       human_bytes(p.activation_bytes), human_bytes(p.stream_bytes));
	return 0;
}

static void print_names(const char *what, uint64_t mask, const char *(*name)(unsigned int))
{
	printf("%s", what);
	for (unsigned int i = 0; i < 64; i++)
		if ((mask >> i & 1) && name(i))
			printf(" %s", name(i));
	putchar('\n');
}

static void print_device(struct hearth_device *dev)
{
	struct hearth_device_info d = { .sz = sizeof(d) };

	hearth_device_get_info(dev, &d);
	printf("device   %s%s%s\n", d.name, d.path ? " " : "", d.path ? d.path : "");
	if (d.fw_version)
		printf("firmware %u.%u\n", d.fw_version >> 16, d.fw_version & 0xffff);
	if (d.sram_bytes)
		printf("sram     %s\n", human_bytes(d.sram_bytes));
	print_device_memory(dev);
	printf("cpu      kernels %s, %u threads\n", d.isa, d.threads);
	print_names("ops     ", d.ops, hk_op_name);
	print_names("types   ", d.types, hk_type_name);
}

static void print_dims(const char *what, const struct hearth_tensor_opts *t)
{
	const char *type = hk_type_name(t->type);

	printf("%-8s %s (", what, type ? type : "?");
	for (unsigned int i = 0; i < t->n_dims; i++)
		printf("%s%u", i ? ", " : "", t->dims[i]);
	printf(")");
	if (t->n_scales)
		printf(" scale %g zero point %d", t->scales[0], t->zero_point);
	printf(" %s\n", t->name ? t->name : "");
}

static void print_graph(const struct model *m)
{
	struct hearth_program_info p = { .sz = sizeof(p) };
	struct hearth_tensor_opts t = { .sz = sizeof(t) };

	for (unsigned int i = 0; i < hearth_graph_n_inputs(m->graph); i++) {
		hearth_graph_get_tensor(m->graph, hearth_graph_input(m->graph, i), &t);
		print_dims("input", &t);
	}
	for (unsigned int i = 0; i < hearth_graph_n_outputs(m->graph); i++) {
		hearth_graph_get_tensor(m->graph, hearth_graph_output(m->graph, i), &t);
		print_dims("output", &t);
	}
	hearth_program_get_info(m->program, &p);
	printf("memory   weights %s, activations %s\n",
	       human_bytes(p.weights_bytes), human_bytes(p.activation_bytes));
}

int cmd_explain(int argc, char **argv)
{
	struct inspect_args a = { .needs_model = true };
	struct hearth_device *dev;
	struct model m = { 0 };
	int ret;

	argp_parse(&explain_argp, argc, argv, 0, NULL, &a);
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	ret = open_model(a.model, dev, &m);
	if (!ret)
		ret = explain_model(&m);
	close_model(&m);
	hearth_device_close(dev);
	return ret;
}

int cmd_info(int argc, char **argv)
{
	struct inspect_args a = { 0 };
	enum model_kind kind = MODEL_UNREADABLE;
	struct hearth_device *dev;
	struct model m = { 0 };
	int ret = 0;

	argp_parse(&info_argp, argc, argv, 0, NULL, &a);
	if (a.model)
		kind = model_kind(a.model);
	if (a.model && kind == MODEL_UNREADABLE)
		return 1;
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	if (kind == MODEL_GGUF)
		ret = print_gguf(a.model, dev);
	else if (kind == MODEL_TFLITE)
		ret = open_model(a.model, dev, &m);
	else
		print_device(dev);
	if (!ret && m.graph)
		print_graph(&m);
	close_model(&m);
	hearth_device_close(dev);
	return ret;
}
