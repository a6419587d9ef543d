// SPDX-License-Identifier: MIT
/* hearth classify MODEL.tflite PICTURE */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "tools/digest.h"
#include "tools/picture.h"
#include "tools/tool.h"

struct classify_args {
	struct device_args device;
	const char *model;
	const char *input;
	const char *labels;
	const char *output;
	unsigned int repeat, top;
	bool raw, digest, quiet;
};

enum {
	OPT_RAW = 256,
	OPT_DIGEST,
	OPT_REPEAT,
};

static const struct argp_option options[] = {
	{ "labels", 'l', "FILE", 0, "names of the classes, one per line", 0 },
	{ "top", 'k', "N", 0, "classes to print (default: 5)", 0 },
	{ "raw", OPT_RAW, NULL, 0,
	  "PICTURE is the bytes of the input tensor; several in a row are run one by one", 1 },
	{ "output", 'o', "FILE", 0, "write the bytes of the output tensors", 1 },
	{ "repeat", OPT_REPEAT, "N", 0, "run N times, for the speed (default: 1)", 1 },
	{ "digest", OPT_DIGEST, NULL, 0, "print a digest of all outputs", 2 },
	{ "quiet", 'q', NULL, 0, "the classes alone", 2 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct classify_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		break;
	case 'l':
		a->labels = arg;
		break;
	case 'k':
		a->top = parse_number(state, "top", arg, 0, 1000);
		break;
	case 'o':
		a->output = arg;
		break;
	case 'q':
		a->quiet = true;
		break;
	case OPT_RAW:
		a->raw = true;
		break;
	case OPT_DIGEST:
		a->digest = true;
		break;
	case OPT_REPEAT:
		a->repeat = parse_number(state, "repeat", arg, 1, 1000000);
		break;
	default:
		return parse_two_files(key, arg, state, &a->model, &a->input,
				       "a model and a picture");
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "MODEL.tflite PICTURE",
	.doc = "Run a TFLite classifier on a picture (BMP, PPM or PGM).",
	.children = device_children,
};

struct labels {
	char **name;
	size_t n;
};

static int read_labels(const char *path, struct labels *l)
{
	size_t room = 0, cap = 0;
	ssize_t len;
	char *line = NULL;
	FILE *f = fopen(path, "r");

	if (!f) {
		fprintf(stderr, "hearth: %s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((len = getline(&line, &cap, f)) > 0) {
		if (l->n == room) {
			char **p = reallocarray(l->name, room + 256, sizeof(*p));

			if (!p)
				break;
			l->name = p;
			room += 256;
		}
		line[strcspn(line, "\r\n")] = '\0';
		l->name[l->n] = strdup(line);
		if (!l->name[l->n])
			break;
		l->n++;
	}
	free(line);
	fclose(f);
	return 0;
}

static void free_labels(struct labels *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->name[i]);
	free(l->name);
}

/* A program and its only input and first output. */
struct net {
	struct hearth_graph *graph;
	struct hearth_program *program;
	struct hearth_tensor_opts in, out;
	uint8_t *in_data, *out_data;
	uint64_t in_bytes, out_bytes;
};

static int open_net(const char *path, struct hearth_device *dev, struct net *n)
{
	hearth_tensor in, out;

	n->in.sz = sizeof(n->in);
	n->out.sz = sizeof(n->out);
	if (hearth_graph_load_tflite(path, &n->graph))
		return fail("cannot open the model");
	if (hearth_graph_n_inputs(n->graph) != 1 ||
	    hearth_graph_n_outputs(n->graph) < 1) {
		fprintf(stderr, "hearth: %s has %u inputs; a classifier has 1\n",
			path, hearth_graph_n_inputs(n->graph));
		return 1;
	}
	in = hearth_graph_input(n->graph, 0);
	out = hearth_graph_output(n->graph, 0);
	hearth_graph_get_tensor(n->graph, in, &n->in);
	hearth_graph_get_tensor(n->graph, out, &n->out);
	if (hearth_compile(n->graph, dev, NULL, &n->program))
		return fail("%s", path);
	n->in_data = hearth_program_data(n->program, in, &n->in_bytes);
	n->out_data = hearth_program_data(n->program, out, &n->out_bytes);
	return 0;
}

static void close_net(struct net *n)
{
	hearth_program_destroy(n->program);
	hearth_graph_destroy(n->graph);
}

/* Pixels 0..255 are what 8-bit image models are quantized for. */
static int load_picture(const char *path, struct net *n)
{
	uint32_t c = n->in.dims[3];
	struct picture p;
	char why[256];

	if (n->in.n_dims != 4 || n->in.dims[0] != 1 || (c != 1 && c != 3) ||
	    (n->in.type != HEARTH_TYPE_I8 && n->in.type != HEARTH_TYPE_U8)) {
		fprintf(stderr, "hearth: the model's input is not an 8-bit picture: use --raw\n");
		return 1;
	}
	if (picture_read(path, &p, why, sizeof(why))) {
		fprintf(stderr, "hearth: %s\n", why);
		return 1;
	}
	picture_scale(&p, n->in.dims[2], n->in.dims[1], c, n->in_data);
	picture_free(&p);
	if (n->in.type == HEARTH_TYPE_I8)
		for (uint64_t i = 0; i < n->in_bytes; i++)
			n->in_data[i] ^= 0x80;
	return 0;
}

static float value_at(const struct net *n, uint64_t i)
{
	float scale = n->out.n_scales ? n->out.scales[0] : 1.0f;
	float f;

	switch (n->out.type) {
	case HEARTH_TYPE_I8:
		return scale * ((int8_t)n->out_data[i] - n->out.zero_point);
	case HEARTH_TYPE_U8:
		return scale * (n->out_data[i] - n->out.zero_point);
	default:
		memcpy(&f, n->out_data + 4 * i, sizeof(f));
		return f;
	}
}

static void print_top(const struct net *n, const struct labels *l, unsigned int k)
{
	uint64_t count = n->out.type == HEARTH_TYPE_F32 ? n->out_bytes / 4 :
							  n->out_bytes;
	float below = 0;
	uint64_t last = 0;

	/* selection by (value, index): k is small, and no copy is needed */
	for (unsigned int rank = 0; rank < k && rank < count; rank++) {
		uint64_t best = count;

		for (uint64_t i = 0; i < count; i++) {
			float v = value_at(n, i);

			if (rank && (v > below || (v == below && i <= last)))
				continue;
			if (best == count || v > value_at(n, best))
				best = i;
		}
		if (best == count)
			return;
		below = value_at(n, best);
		last = best;
		printf("%8.4f  %s", below, best < l->n ? l->name[best] : "class");
		if (best >= l->n)
			printf(" %llu", (unsigned long long)best);
		putchar('\n');
	}
}

struct session {
	const struct classify_args *args;
	struct net net;
	struct labels labels;
	struct digest digest;
	FILE *output;
	unsigned long runs;
	double seconds;
};

static int run_once(struct session *s)
{
	double t0 = now_seconds();

	for (unsigned int i = 0; i < s->args->repeat; i++)
		if (hearth_program_run(s->net.program))
			return fail("%s", s->args->model);
	s->seconds += now_seconds() - t0;
	s->runs += s->args->repeat;
	digest_add(&s->digest, s->net.out_data, s->net.out_bytes);
	if (s->output &&
	    fwrite(s->net.out_data, 1, s->net.out_bytes, s->output) != s->net.out_bytes) {
		fprintf(stderr, "hearth: %s: %s\n", s->args->output, strerror(errno));
		return 1;
	}
	print_top(&s->net, &s->labels, s->args->top);
	return 0;
}

static int run_raw(struct session *s)
{
	FILE *f = fopen(s->args->input, "rb");
	int ret = 0;
	size_t n = 0;

	if (!f) {
		fprintf(stderr, "hearth: %s: %s\n", s->args->input, strerror(errno));
		return 1;
	}
	while (!ret) {
		n = fread(s->net.in_data, 1, s->net.in_bytes, f);
		if (n != s->net.in_bytes)
			break;
		ret = run_once(s);
	}
	fclose(f);
	if (!ret && (n || !s->runs)) {
		fprintf(stderr, "hearth: %s: ends %zu bytes into an input of %llu\n",
			s->args->input, n, (unsigned long long)s->net.in_bytes);
		ret = 1;
	}
	return ret;
}

static void print_stats(struct session *s, const struct hearth_device *dev)
{
	struct hearth_program_info p = { .sz = sizeof(p) };
	struct hearth_device_info d = { .sz = sizeof(d) };
	char text[DIGEST_TEXT];

	fflush(stdout);
	hearth_device_get_info(dev, &d);
	hearth_program_get_info(s->net.program, &p);
	if (!s->args->quiet) {
		fprintf(stderr, "device:  %s%s%s, CPU kernels %s, %u thread%s\n",
			d.name, d.path ? " " : "", d.path ? d.path : "", d.isa,
			d.threads, d.threads == 1 ? "" : "s");
		fprintf(stderr, "memory:  weights %llu bytes (%s), activations %s\n",
			(unsigned long long)p.weights_bytes,
			human_bytes(p.weights_bytes),
			human_bytes(p.activation_bytes));
		print_engines(s->net.program);
		fprintf(stderr, "speed:   %lu inferences, %.1f inferences/s\n",
			s->runs, s->runs / s->seconds);
	}
	if (s->args->digest)
		fprintf(stderr, "digest:  %s\n", digest_text(&s->digest, text));
}

static int classify(struct session *s, struct hearth_device *dev)
{
	const struct classify_args *a = s->args;
	int ret;

	if (a->labels && read_labels(a->labels, &s->labels))
		return 1;
	if (a->output) {
		s->output = fopen(a->output, "wb");
		if (!s->output) {
			fprintf(stderr, "hearth: %s: %s\n", a->output, strerror(errno));
			return 1;
		}
	}
	ret = open_net(a->model, dev, &s->net);
	if (ret)
		return ret;
	if (a->raw) {
		ret = run_raw(s);
	} else {
		ret = load_picture(a->input, &s->net);
		if (!ret)
			ret = run_once(s);
	}
	if (s->output && fclose(s->output))
		ret = ret ? ret : 1;
	if (!ret)
		print_stats(s, dev);
	return ret;
}

int cmd_classify(int argc, char **argv)
{
	struct classify_args a = { .repeat = 1, .top = 5 };
	struct session s = { .args = &a };
	struct hearth_device *dev;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	digest_init(&s.digest);
	ret = classify(&s, dev);
	close_net(&s.net);
	free_labels(&s.labels);
	hearth_device_close(dev);
	return ret;
}
