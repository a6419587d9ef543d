// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tools/tool.h"

#define MAX_KINDS	64

static error_t parse_device(int key, char *arg, struct argp_state *state)
{
	struct device_args *a = state->input;

	switch (key) {
	case 'd':
		a->device = arg;
		return 0;
	case 'i':
		a->isa = arg;
		return 0;
	case 't':
		a->threads = parse_number(state, "threads", arg, 1, 64);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option device_options[] = {
	{ "device", 'd', "NAME", 0,
	  "npu, cpu or a device node (default: the NPU, else the CPU)", 10 },
	{ "threads", 't', "N", 0, "CPU threads (default: one per core)", 10 },
	{ "isa", 'i', "NAME", 0, "CPU kernels: plain, avx2, ... (default: the fastest)", 10 },
	{ 0 }
};

static const struct argp device_argp = {
	.options = device_options,
	.parser = parse_device,
};

const struct argp_child device_children[] = {
	{ &device_argp, 0, "Device:", 10 },
	{ 0 }
};

struct hearth_device *open_device(const struct device_args *a)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = a->threads,
		    .isa = a->isa);
	struct hearth_device *dev;

	if (hearth_device_open(a->device, &opts, &dev)) {
		fail("cannot open a device");
		return NULL;
	}
	return dev;
}

int fail(const char *fmt, ...)
{
	const char *why = hearth_errmsg();
	va_list ap;

	fflush(stdout);
	fputs("hearth: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", *why ? ": " : "", why);
	return 1;
}

/* The first bytes of a regular file, zeros behind its end; 0, or errno. */
static int read_magic(const char *path, char magic[9])
{
	struct stat st;
	FILE *f;

	memset(magic, 0, 9);
	if (stat(path, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	f = fopen(path, "rb");
	if (!f)
		return errno;
	/* a short file has a short beginning */
	if (!fread(magic, 1, 8, f))
		magic[0] = '\0';
	fclose(f);
	return 0;
}

static bool is_tflite(const char magic[9])
{
	return !memcmp(magic + 4, "TFL3", 4);
}

/* What people mistake for a model file. */
static const char *what_else(const char magic[9])
{
	if (!memcmp(magic, "PK\3\4", 4))
		return "a zip or PyTorch file: convert it to GGUF first";
	if (!memcmp(magic, "version ", 8))
		return "a Git LFS pointer: `git lfs pull' fetches the model itself";
	if (magic[0] && !memcmp(magic + 4, "\0\0\0\0", 4))
		return "perhaps a safetensors file: convert it to GGUF first";
	return NULL;
}

int fail_model(const char *path)
{
	const char *what;
	char magic[9];

	fail("cannot open the model");
	if (read_magic(path, magic))
		return 1;
	what = is_tflite(magic) ? "a TFLite file: `hearth classify' runs these" : what_else(magic);
	if (what && memcmp(magic, "GGUF", 4))
		fprintf(stderr, "hearth: it is %s\n", what);
	return 1;
}

enum model_kind model_kind(const char *path)
{
	const char *what;
	char magic[9];
	int err = read_magic(path, magic);

	if (!err && !memcmp(magic, "GGUF", 4))
		return MODEL_GGUF;
	if (!err && is_tflite(magic))
		return MODEL_TFLITE;
	what = err ? NULL : what_else(magic);
	if (err == EINVAL)
		fprintf(stderr, "hearth: %s: is no regular file\n", path);
	else if (err)
		fprintf(stderr, "hearth: %s: %s\n", path, strerror(err));
	else
		fprintf(stderr, "hearth: %s: is neither a GGUF nor a TFLite file%s%s\n", path,
			what ? ", but " : "", what ? what : "");
	return MODEL_UNREADABLE;
}

unsigned long parse_number(struct argp_state *state, const char *name,
			   const char *text, unsigned long min, unsigned long max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || *end || end == text || *text == '-' || n < min || n > max)
		argp_error(state, "--%s %s: a number from %lu to %lu is needed",
			   name, text, min, max);
	return n;
}

float parse_float(struct argp_state *state, const char *name, const char *text,
		  float min, float max)
{
	char *end;
	float x = strtof(text, &end);

	if (*end || end == text || !(x >= min && x <= max))
		argp_error(state, "--%s %s: a number from %g to %g is needed",
			   name, text, min, max);
	return x;
}

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

const char *human_bytes(uint64_t bytes)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	static char buf[8][32];
	static unsigned int turn;
	double x = bytes;
	unsigned int u = 0;
	char *p = buf[turn++ % 8];

	while (x >= 1024 && u < 4) {
		x /= 1024;
		u++;
	}
	snprintf(p, sizeof(buf[0]), u ? "%.1f %s" : "%.0f %s", x, unit[u]);
	return p;
}

char *read_text(const char *path, size_t *len)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char *text = NULL;
	size_t room = 0, n = 0;

	for (*len = 0; f && (!text || n); *len += n) {
		if (room - *len < 65536) {
			char *more = realloc(text, 2 * room + 65537);

			if (!more)
				break;
			text = more;
			room = 2 * room + 65536;
		}
		n = fread(text + *len, 1, room - *len, f);
	}
	if (!f || ferror(f) || !text || n) {
		fprintf(stderr, "hearth: %s: %s\n", path, strerror(errno ? errno : ENOMEM));
		free(text);
		text = NULL;
	} else {
		text[*len] = '\0';
	}
	if (f && f != stdin)
		fclose(f);
	return text;
}

const char *human_keep_alive(int64_t ns)
{
	static char buf[4][32];
	static unsigned int turn;
	char *p = buf[turn++ % 4];
	int64_t s = ns / 1000000000;
	int n = 0;

	if (ns == HEARTH_KEEP_FOREVER)
		return "forever";
	if (ns == HEARTH_KEEP_NONE)
		return "none";
	if (s == 0) {
		snprintf(p, sizeof(buf[0]), "%lldms", (long long)ns / 1000000);
		return p;
	}
	if (s >= 3600)
		n += snprintf(p + n, sizeof(buf[0]) - n, "%lldh", (long long)s / 3600);
	if (s / 60 % 60)
		n += snprintf(p + n, sizeof(buf[0]) - n, "%lldm", (long long)s / 60 % 60);
	if (s % 60)
		snprintf(p + n, sizeof(buf[0]) - n, "%llds", (long long)s % 60);
	return p;
}

void print_device_memory(struct hearth_device *dev)
{
	struct hearth_memory_info m = { .sz = sizeof(m) };
	struct hearth_device_info d = { .sz = sizeof(d) };

	hearth_device_get_info(dev, &d);
	if (hearth_device_get_memory(dev, &m))
		printf("memory   the driver is too old to tell; weights are %s\n",
		       d.extent_bytes ? "shared" : "copied");
	else if (d.path)
		printf("memory   %s of %s in use, %s of it droppable, %s pinned; %s reserved; system has %s\n",
		       human_bytes(m.resident), human_bytes(m.budget), human_bytes(m.droppable),
		       human_bytes(m.pinned), human_bytes(m.reserved), human_bytes(m.system_available));
	else
		printf("memory   %s, %s of it available\n", human_bytes(m.budget),
		       human_bytes(m.system_available));
}

void parse_class(struct argp_state *state, const char *arg, struct hearth_model_opts *o)
{
	if (hearth_class_parse(arg, &o->model_class))
		argp_error(state, "--class: %s", hearth_errmsg());
}

void parse_keep_alive(struct argp_state *state, const char *arg, struct hearth_model_opts *o)
{
	if (hearth_keep_alive_parse(arg, &o->keep_alive_ns))
		argp_error(state, "--keep-alive: %s", hearth_errmsg());
}

struct kind {
	const char *op, *engine;
	unsigned int count;
};

struct kinds {
	struct kind list[MAX_KINDS];
	unsigned int n;
};

static int count_op(const struct hearth_op_report *r, void *arg)
{
	struct kinds *k = arg;
	unsigned int i;

	for (i = 0; i < k->n; i++)
		if (!strcmp(k->list[i].op, r->op) &&
		    !strcmp(k->list[i].engine, r->engine))
			break;
	if (i == MAX_KINDS)
		return 0;
	if (i == k->n)
		k->list[k->n++] = (struct kind){ r->op, r->engine, 0 };
	k->list[i].count++;
	return 0;
}

int print_engines(const struct hearth_program *program)
{
	struct kinds k = { 0 };
	int ret = hearth_program_explain(program, count_op, &k);

	fprintf(stderr, "engines:");
	for (unsigned int i = 0; i < k.n; i++)
		fprintf(stderr, "%s %s x%u on %s", i ? "," : "", k.list[i].op,
			k.list[i].count, k.list[i].engine);
	fputc('\n', stderr);
	return ret;
}

enum hearth_kv_type parse_kv(struct argp_state *state, const char *text)
{
	static const char *const names[] = {
		[HEARTH_KV_F16] = "f16", [HEARTH_KV_F32] = "f32", [HEARTH_KV_Q8_0] = "q8_0",
	};

	for (unsigned int i = HEARTH_KV_F16; i <= HEARTH_KV_Q8_0; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	argp_error(state, "--kv %s: f16, f32 or q8_0 is needed", text);
	return HEARTH_KV_DEFAULT;
}

error_t parse_two_files(int key, char *arg, struct argp_state *state, const char **first,
			const char **second, const char *needed)
{
	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "'%s' is one file too many", arg);
		*(state->arg_num ? second : first) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!*second)
			argp_error(state, "%s are needed", needed);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}
