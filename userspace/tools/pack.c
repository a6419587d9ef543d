// SPDX-License-Identifier: MIT
/* hearth pack IN.gguf OUT.gguf: the same model, its weights in rows of eight. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/new_file.h"
#include "formats/gguf.h"
#include "formats/gguf_pack.h"
#include "llm/pack.h"
#include "tools/info.h"
#include "tools/tool.h"

#define PROGRESS_SECONDS	0.5

struct pack_args {
	const char *in, *out;
	bool force, undo, quiet;
};

static const struct argp_option options[] = {
	{ "force", 'f', NULL, 0, "replace OUT if it exists", 0 },
	{ "undo", 'u', NULL, 0, "make of a packed file the one that it was made of", 0 },
	{ "quiet", 'q', NULL, 0, "no report, no progress on a terminal", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pack_args *a = state->input;

	switch (key) {
	case 'f':
		a->force = true;
		return 0;
	case 'u':
		a->undo = true;
		return 0;
	case 'q':
		a->quiet = true;
		return 0;
	default:
		return parse_two_files(key, arg, state, &a->in, &a->out,
				       "a file to read and one to write");
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "IN.gguf OUT.gguf",
	.doc = "Write a model's file anew with the weights of eight rows side by side, the order in which a CPU reads them "
	       "fastest. Answers are the same, bit by bit, and so is the size."
	       "\v"
	       "Only Hearth reads such a file. Types: Q4_0, Q8_0, Q4_K, Q5_K, Q6_K; the rest stays as it is, which is told.",
};

/* The writing, and what there is to say of it. */
struct job {
	const struct pack_args *args;
	struct gguf *g;
	struct hearth_new_file file;
	const char **why;	/* by tensor; NULL: it changes */
	uint64_t done, total;
	double told;
	struct hearth_err err;
};

/* The signal that ends the work: a file that is not complete goes with it. */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

/* But for those that whoever started us has turned off, as nohup does. */
static void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction sa = { .sa_handler = stop };
	struct sigaction old;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &sa, NULL);
}

static int complain(const char *path, const struct hearth_err *err)
{
	fprintf(stderr, "hearth: %s: %s\n", path, err->msg);
	return 1;
}

static void tell_progress(struct job *j)
{
	double now = now_seconds();

	if (j->args->quiet || !isatty(STDERR_FILENO))
		return;
	if (j->done < j->total && now - j->told < PROGRESS_SECONDS)
		return;
	j->told = now;
	fprintf(stderr, "\r%3.0f %% of %s%s", 100.0 * j->done / j->total, human_bytes(j->total),
		j->done < j->total ? "" : ", waiting for the disk");
}

static void end_progress(const struct job *j)
{
	if (j->told > 0)
		fputs("\r\033[K", stderr);
}

static int put(void *arg, const void *data, size_t n)
{
	struct job *j = arg;

	if (stopped)
		return hearth_err_set(&j->err, -EINTR, "%s", strsignal(stopped));
	j->done += n;
	tell_progress(j);
	return hearth_new_file_write(&j->file, data, n, &j->err);
}

static int write_bytes(struct job *j)
{
	uint64_t n = gguf_n_tensors(j->g);
	bool *pack;
	int ret;

	if (j->args->undo)
		return gguf_unpack(j->g, put, j, &j->err);
	pack = calloc(n + 1, sizeof(*pack));
	if (!pack)
		return hearth_err_set(&j->err, -ENOMEM, "no memory for %llu tensors",
				      (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++)
		pack[i] = !j->why[i];
	ret = gguf_pack(j->g, pack, put, j, &j->err);
	free(pack);
	return ret;
}

static int write_file(struct job *j)
{
	int ret;

	catch_signals();
	j->total = gguf_pack_bytes(j->g);
	ret = hearth_new_file_begin(&j->file, j->args->out, j->total, j->args->force, &j->err);
	if (ret == -EEXIST)
		return hearth_err_set(&j->err, ret, "exists; --force would replace it");
	if (ret)
		return ret;
	ret = write_bytes(j);
	if (!ret)
		ret = hearth_new_file_commit(&j->file, &j->err);
	hearth_new_file_drop(&j->file);
	end_progress(j);
	return ret;
}

static bool same_fate(const struct job *j, uint64_t a, uint64_t b)
{
	const char *x = j->why[a], *y = j->why[b];

	return gguf_tensor_at(j->g, a)->type == gguf_tensor_at(j->g, b)->type && !x == !y &&
	       (!x || !strcmp(x, y));
}

/* A line for all of one type and fate, at the first of them. */
static void tell(const struct job *j, uint64_t first, const char *what)
{
	const struct gguf_tensor *t = gguf_tensor_at(j->g, first);
	uint64_t n = 0, bytes = 0;

	for (uint64_t i = 0; i < gguf_n_tensors(j->g); i++) {
		if (!same_fate(j, i, first))
			continue;
		if (i < first)
			return;
		n++;
		bytes += gguf_tensor_at(j->g, i)->nbytes;
	}
	printf("%-9s %4llu  %10s  %s", what, (unsigned long long)n, human_bytes(bytes),
	       t->info ? t->info->name : "unknown");
	if (j->why[first] && n == 1) {
		putchar(' ');
		put_str(t->name, 63);
	}
	printf("%s%s\n", j->why[first] ? ": " : "", j->why[first] ? j->why[first] : "");
}

static void report(const struct job *j)
{
	for (uint64_t i = 0; i < gguf_n_tensors(j->g); i++)
		if (!j->why[i])
			tell(j, i, j->args->undo ? "unpacked" : "packed");
	for (uint64_t i = 0; i < gguf_n_tensors(j->g); i++)
		if (j->why[i] && !j->args->undo)
			tell(j, i, "left");
}

static bool same_file(const struct job *j)
{
	struct stat in, out;

	return !fstat(gguf_fd(j->g), &in) && !stat(j->args->out, &out) &&
	       in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

/* What changes, and why the rest does not. */
static int plan(struct job *j)
{
	uint64_t n = gguf_n_tensors(j->g), changed = 0;

	j->why = calloc(n + 1, sizeof(*j->why));
	if (!j->why)
		return fail("no memory for %llu tensors", (unsigned long long)n);
	if (!j->args->undo && llm_pack_plan(j->g, j->why))
		return fail("%s", j->args->in);
	for (uint64_t i = 0; i < n; i++) {
		const struct gguf_type_info *info = gguf_tensor_at(j->g, i)->info;

		if (j->args->undo && !(info && info->group_rows))
			j->why[i] = "it is not packed";
		changed += !j->why[i];
	}
	if (changed)
		return 0;
	if (!j->args->quiet)
		report(j);
	fprintf(stderr, "hearth: %s: there is nothing to %s\n", j->args->in,
		j->args->undo ? "unpack" : "pack");
	return 1;
}

static int check_input(struct job *j)
{
	const struct pack_args *a = j->args;

	if (gguf_is_packed(j->g) != a->undo)
		return hearth_err_set(&j->err, -EINVAL, a->undo ? "is not packed" :
				      "is packed already; --undo makes the file that it was made of");
	if (same_file(j))
		return hearth_err_set(&j->err, -EINVAL, "is the file to write as well");
	return 0;
}

static int work(struct job *j)
{
	if (check_input(j))
		return complain(j->args->in, &j->err);
	if (plan(j))
		return 1;
	if (write_file(j))
		return complain(j->args->out, &j->err);
	if (!j->args->quiet)
		report(j);
	return 0;
}

int cmd_pack(int argc, char **argv)
{
	struct pack_args a = { 0 };
	struct job j = { .args = &a };
	enum model_kind kind;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	kind = model_kind(a.in);
	if (kind == MODEL_TFLITE)
		fprintf(stderr, "hearth: %s: is a TFLite file: GGUF files are packed\n", a.in);
	if (kind != MODEL_GGUF)
		return 1;
	if (gguf_open(a.in, &j.g, &j.err))
		return complain(a.in, &j.err);
	ret = work(&j);
	free(j.why);
	gguf_close(j.g);
	if (stopped) {
		signal(stopped, SIG_DFL);
		raise(stopped);
	}
	return ret;
}
