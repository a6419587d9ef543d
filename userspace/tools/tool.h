/* SPDX-License-Identifier: MIT */
/* What the verbs of the hearth command share. */
#ifndef HEARTH_TOOLS_TOOL_H
#define HEARTH_TOOLS_TOOL_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "hearth.h"

int cmd_run(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_classify(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_pack(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_admit(int argc, char **argv);

/* Options of every verb that opens a device. */
struct device_args {
	const char *device;
	const char *isa;
	unsigned int threads;
};

/* For argp.children; the input of the child is a struct device_args. */
extern const struct argp_child device_children[];

/* Open what the options name; on failure prints why and returns NULL. */
struct hearth_device *open_device(const struct device_args *args);

/* "hearth: ..." and hearth_errmsg() on stderr; returns 1, for main(). */
__attribute__((format(printf, 1, 2)))
int fail(const char *fmt, ...);

/*
 * The same for a GGUF file that could not be opened, and where it is something
 * else, what that is.
 */
int fail_model(const char *path);

enum model_kind {
	MODEL_UNREADABLE,	/* and a message was printed */
	MODEL_GGUF,
	MODEL_TFLITE,
};

/* What a model file is, by its first bytes. */
enum model_kind model_kind(const char *path);

/* Parse an option's number; exits by argp_error() if it is none in range. */
unsigned long parse_number(struct argp_state *state, const char *name,
			   const char *text, unsigned long min, unsigned long max);
float parse_float(struct argp_state *state, const char *name, const char *text,
		  float min, float max);
enum hearth_kv_type parse_kv(struct argp_state *state, const char *text);

/*
 * The end of a parser whose command takes two files: fewer end with "... are needed",
 * as @needed says. Their places are NULL before.
 */
error_t parse_two_files(int key, char *arg, struct argp_state *state, const char **first,
			const char **second, const char *needed);

/*
 * A whole file, or standard input if it is "-", and a zero behind it; the
 * caller frees it. NULL after a message.
 */
char *read_text(const char *path, size_t *len);

double now_seconds(void);

/* "3.3 MiB" in one of a few static buffers. */
const char *human_bytes(uint64_t bytes);

/* "5m", "1h30m", "forever", "none" in one of a few static buffers. */
const char *human_keep_alive(int64_t ns);

/* Class of a model, keep-alive: exit by argp_error() if it is none. */
void parse_class(struct argp_state *state, const char *arg, struct hearth_model_opts *o);
void parse_keep_alive(struct argp_state *state, const char *arg, struct hearth_model_opts *o);

/* One line on standard output: what models take, and what there is. */
void print_device_memory(struct hearth_device *dev);

/* Ops by kind, how many and on which engine. */
int print_engines(const struct hearth_program *program);

#endif
