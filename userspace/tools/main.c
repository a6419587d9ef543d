// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/tool.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} verbs[] = {
	{ "run", cmd_run, "stream text from a GGUF model" },
	{ "ps", cmd_ps, "list the models in memory" },
	{ "top", cmd_top, "watch who uses the NPU and its memory" },
	{ "admit", cmd_admit, "tell whether a model would fit, before it is loaded" },
	{ "bench", cmd_bench, "measure the speed of a GGUF model, and of this machine" },
	{ "classify", cmd_classify, "run a TFLite classifier on a picture" },
	{ "perplexity", cmd_perplexity, "tell how well a model foresees a text" },
	{ "pack", cmd_pack, "write a GGUF file anew, with weights that the CPU reads faster" },
	{ "explain", cmd_explain, "tell for every op of a model where it runs, and why" },
	{ "info", cmd_info, "describe the devices, or a model" },
};

#define N_VERBS	(sizeof(verbs) / sizeof(verbs[0]))

static void usage(FILE *f)
{
	fprintf(f, "Usage: hearth VERB [OPTION...]\n\n");
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(f, "  %-11s %s\n", verbs[i].name, verbs[i].what);
	fprintf(f, "\n`hearth VERB --help' tells the options of a verb.\n");
}

/* A full disk, say: what could not be written is not a success. */
static int end(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	fprintf(stderr, "hearth: standard output cannot be written: %s\n", strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	char name[64];

	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("hearth %s\n", hearth_version());
		return 0;
	}
	for (size_t i = 0; i < N_VERBS; i++) {
		if (strcmp(argv[1], verbs[i].name))
			continue;
		snprintf(name, sizeof(name), "hearth %s", argv[1]);
		argv[1] = name;
		argp_err_exit_status = 2;
		return end(verbs[i].run(argc - 1, argv + 1));
	}
	fprintf(stderr, "hearth: there is no verb '%s'\n\n", argv[1]);
	usage(stderr);
	return 2;
}
