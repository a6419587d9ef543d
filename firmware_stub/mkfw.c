// SPDX-License-Identifier: MIT
/*
 * mkfw OUT [--fw-version=MAJOR.MINOR] [--contract=MAJOR.MINOR]: makes the image
 * that the driver loads. The emulated NPU's firmware is part of the emulator,
 * so what follows the header only says so.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <hw/hearth_fw.h>

#include "crc32.h"

#define PAYLOAD_BYTES	4096

const char *argp_program_version = "mkfw 0.1";

enum { OPT_VERSION = 0x100, OPT_CONTRACT };

static const struct argp_option options[] = {
	{ "fw-version", OPT_VERSION, "MAJOR.MINOR", 0, "version of the firmware (default 1.0)", 0 },
	{ "contract", OPT_CONTRACT, "MAJOR.MINOR", 0, "contract it speaks (default: ours)", 0 },
	{ 0 },
};

struct args {
	const char *out;
	uint32_t version;
	uint32_t contract;
};

static void parse_pair(struct argp_state *state, const char *text, uint32_t *value)
{
	unsigned int major, minor;
	char rest;

	if (sscanf(text, "%u.%u%c", &major, &minor, &rest) != 2 ||
	    major > UINT16_MAX || minor > UINT16_MAX)
		argp_error(state, "\"%s\" is not MAJOR.MINOR, each 0 to %d", text, UINT16_MAX);
	*value = major << 16 | minor;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct args *args = state->input;

	switch (key) {
	case OPT_VERSION:
		parse_pair(state, arg, &args->version);
		return 0;
	case OPT_CONTRACT:
		parse_pair(state, arg, &args->contract);
		return 0;
	case ARGP_KEY_ARG:
		if (args->out)
			return ARGP_ERR_UNKNOWN;
		args->out = arg;
		return 0;
	case ARGP_KEY_END:
		if (!args->out)
			argp_error(state, "which file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.args_doc = "OUT",
	.doc = "Makes a firmware image for the Hearth NPU.",
};

static int write_image(FILE *f, const struct args *args)
{
	char payload[PAYLOAD_BYTES] = "Firmware of the emulated Hearth NPU: see hearth-npu.\n";
	struct hearth_fw_header h = {
		.magic = HEARTH_FW_MAGIC,
		.header_bytes = sizeof(h),
		.image_bytes = sizeof(h) + sizeof(payload),
		.contract = args->contract,
		.version = args->version,
		.crc32 = crc32(payload, sizeof(payload)),
	};

	if (fwrite(&h, sizeof(h), 1, f) != 1 || fwrite(payload, sizeof(payload), 1, f) != 1)
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct args args = { .version = 1 << 16, .contract = HEARTH_CONTRACT };
	FILE *f;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &args);
	f = fopen(args.out, "wb");
	ret = f ? write_image(f, &args) : -1;
	if (f && fclose(f))
		ret = -1;
	if (ret)
		fprintf(stderr, "mkfw: %s: %s\n", args.out, strerror(errno));
	return ret ? 1 : 0;
}
