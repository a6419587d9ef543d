// SPDX-License-Identifier: MIT
/*
 * tflite_run [-d DEVICE] [-i ISA] [-t THREADS] MODEL
 *
 * Reads the bytes of all input tensors from stdin, runs the model, writes the
 * bytes of all output tensors to stdout; again until stdin ends. With -n it
 * says what the program is and runs nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hearth.h"

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, hearth_errmsg());
	return 1;
}

/* 1: all inputs were read, 0: nothing more, -1: an incomplete set */
static int read_inputs(const struct hearth_graph *g, struct hearth_program *p)
{
	for (unsigned int i = 0; i < hearth_graph_n_inputs(g); i++) {
		uint64_t bytes;
		void *data = hearth_program_data(p, hearth_graph_input(g, i), &bytes);
		size_t n = fread(data, 1, bytes, stdin);

		if (n != bytes)
			return i == 0 && n == 0 ? 0 : -1;
	}
	return 1;
}

static int write_outputs(const struct hearth_graph *g, struct hearth_program *p)
{
	for (unsigned int i = 0; i < hearth_graph_n_outputs(g); i++) {
		uint64_t bytes;
		void *data = hearth_program_data(p, hearth_graph_output(g, i), &bytes);

		if (fwrite(data, 1, bytes, stdout) != bytes)
			return -1;
	}
	return 0;
}

static int run_all(const struct hearth_graph *g, struct hearth_program *p)
{
	int more;

	while ((more = read_inputs(g, p)) > 0) {
		if (hearth_program_run(p))
			return fail("run");
		if (write_outputs(g, p)) {
			perror("stdout");
			return 1;
		}
	}
	if (!more)
		return 0;
	fprintf(stderr, "stdin ends within the inputs\n");
	return 1;
}

static int describe(struct hearth_program *p)
{
	struct hearth_program_info info = { .sz = sizeof(info) };

	if (hearth_program_get_info(p, &info))
		return fail("info");
	printf("weights %llu activations %llu constants %llu stream %llu ops %u segments %u\n",
	       (unsigned long long)info.weights_bytes,
	       (unsigned long long)info.activation_bytes,
	       (unsigned long long)info.constant_bytes,
	       (unsigned long long)info.stream_bytes, info.n_ops, info.n_segments);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: tflite_run [-n] [-d DEVICE] [-i ISA] [-t THREADS] MODEL\n");
	return 2;
}

int main(int argc, char **argv)
{
	HEARTH_OPTS(hearth_device_opts, opts);
	const char *device = "cpu";
	struct hearth_program *p = NULL;
	struct hearth_device *dev = NULL;
	struct hearth_graph *g = NULL;
	int c, ret, dry = 0;

	while ((c = getopt(argc, argv, "d:i:t:n")) != -1) {
		switch (c) {
		case 'd':
			device = optarg;
			break;
		case 'i':
			opts.isa = optarg;
			break;
		case 't':
			opts.threads = atoi(optarg);
			break;
		case 'n':
			dry = 1;
			break;
		default:
			return usage();
		}
	}
	if (optind != argc - 1)
		return usage();
	/* 3: refused, which a caller may expect */
	ret = hearth_graph_load_tflite(argv[optind], &g);
	if (ret) {
		fail(argv[optind]);
		return ret == -EOPNOTSUPP ? 3 : 1;
	}
	ret = hearth_device_open(device, &opts, &dev) ? fail(device) : 0;
	if (!ret)
		ret = hearth_compile(g, dev, NULL, &p) ? fail("compile") : 0;
	if (!ret)
		ret = dry ? describe(p) : run_all(g, p);
	hearth_program_destroy(p);
	hearth_device_close(dev);
	hearth_graph_destroy(g);
	return ret;
}
