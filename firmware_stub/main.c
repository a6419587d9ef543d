// SPDX-License-Identifier: MIT
/* hearth-npu: an NPU as a process, for QEMU's vfio-user-pci. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"
#include "sigbus.h"

const char *argp_program_version = "hearth-npu 0.1";

enum {
	OPT_SOCKET = 0x100,
	OPT_CONTROL,
	OPT_MSIX,
	OPT_CAPS,
	OPT_THREADS,
	OPT_CORES,
};

static const struct argp_option options[] = {
	{ "socket", OPT_SOCKET, "PATH", 0, "serve vfio-user here (required)", 0 },
	{ "control", OPT_CONTROL, "PATH", 0, "take commands here: try \"help\"", 0 },
	{ "msix", OPT_MSIX, NULL, 0, "MSI-X in place of MSI (QEMU 11.1 aborts when such a "
	  "device is unplugged)", 0 },
	{ "caps", OPT_CAPS, "LIST", 0, "a lesser device: ops=~matmul+rope,types=~q4_0,slots=4; "
	  "without ~ only what is named is left", 0 },
	{ "threads", OPT_THREADS, "N", 0, "execution engines, 1 to 16 (default 2)", 0 },
	{ "cores", OPT_CORES, "N", 0, "threads that share the work of one command, 1 to 64 "
	  "(default: the machine's CPUs, at most 8)", 0 },
	{ "verbose", 'v', NULL, 0, "tell what happens, on stderr", 0 },
	{ 0 },
};

#define MAX_CORES		64
#define DEFAULT_MAX_CORES	8

struct args {
	const char *socket;
	const char *control;
	struct npu_opts npu;
};

static unsigned int parse_count(struct argp_state *state, const char *name, const char *text,
				unsigned int max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || n < 1 || n > max)
		argp_error(state, "--%s=%s is not 1 to %u", name, text, max);
	return n;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;
	char error[128];

	switch (key) {
	case OPT_SOCKET:
		args->socket = arg;
		return 0;
	case OPT_CONTROL:
		args->control = arg;
		return 0;
	case OPT_MSIX:
		args->npu.msix = true;
		return 0;
	case OPT_CAPS:
		if (npu_caps_parse(&args->npu.caps, arg, error, sizeof(error)))
			argp_error(state, "--caps: %s", error);
		return 0;
	case OPT_THREADS:
		args->npu.workers = parse_count(state, "threads", arg, NPU_MAX_WORKERS);
		return 0;
	case OPT_CORES:
		args->npu.cores = parse_count(state, "cores", arg, MAX_CORES);
		return 0;
	case 'v':
		args->npu.verbose = true;
		return 0;
	case ARGP_KEY_END:
		if (!args->socket)
			argp_error(state, "--socket is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "An emulated Hearth NPU: a PCI function for QEMU's vfio-user-pci.",
};

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int run(const struct args *args, struct npu *npu, int signal_fd)
{
	struct control ctl;
	int ret;

	ret = vfu_listen(&npu->vfu, args->socket);
	if (ret) {
		fprintf(stderr, "hearth-npu: %s: %s\n", args->socket, strerror(-ret));
		return 1;
	}
	if (args->control) {
		ret = control_open(&ctl, npu, args->control);
		if (ret) {
			fprintf(stderr, "hearth-npu: %s: %s\n", args->control, strerror(-ret));
			unlink(args->socket);
			return 1;
		}
	}
	control_loop(npu, args->control ? &ctl : NULL, signal_fd);
	unlink(args->socket);
	if (args->control) {
		control_close(&ctl);
		unlink(args->control);
	}
	return 0;
}

static unsigned int default_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (n < 1)
		return 1;
	return n < DEFAULT_MAX_CORES ? n : DEFAULT_MAX_CORES;
}

int main(int argc, char **argv)
{
	struct args args = {
		.npu = { .caps = npu_caps_full(), .workers = 2, .cores = default_cores() },
	};
	struct npu *npu;
	int signal_fd, ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	signal_fd = block_signals();
	sigbus_guard();
	npu = signal_fd < 0 ? NULL : npu_create(&args.npu);
	if (!npu) {
		fprintf(stderr, "hearth-npu: cannot start: %s\n", strerror(errno));
		return 1;
	}
	ret = run(&args, npu, signal_fd);
	npu_destroy(npu);
	close(signal_fd);
	return ret;
}
