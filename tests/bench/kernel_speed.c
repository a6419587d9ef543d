// SPDX-License-Identifier: MIT
/*
 * Speed of MATMUL for each type of weights, beside what the machine can do.
 *
 * usage: kernel_speed [-t THREADS] [-r ROWS] [-m MIB] [-i IN_N] [-o OUT_N] [-n REPEATS]
 *                     [-l] [-j] [TYPE...]
 *
 * A row of input at a time (decode) reads MIB of weights, by default more than
 * caches hold: what counts is GB/s. If OUT_N is given and a matrix is smaller than
 * that, as many as it takes come in turn. With more rows (prefill) it is GOPS, where
 * a multiplication and an addition are two. Weights lie in small pages, as those of a
 * file do on most file systems; with -l in large ones. -j prints JSON lines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kernels/decode.h"
#include "kernels/exec.h"
#include "kernels/r8.h"
#include "tools/machine.h"
#include "tools/tool.h"

#define ARENA_BASE	4096u

struct arena {
	struct hk_space space;
	uint8_t *p;
	uint64_t bytes;
};

struct options {
	unsigned int threads, rows, mib, in_n, out_n, repeats;
	bool large_pages, json;
};

static const unsigned int types[] = {
	HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_BF16, HEARTH_TYPE_Q4_0,
	HEARTH_TYPE_Q4_1, HEARTH_TYPE_Q5_0, HEARTH_TYPE_Q5_1, HEARTH_TYPE_Q8_0,
	HEARTH_TYPE_Q2_K, HEARTH_TYPE_Q3_K, HEARTH_TYPE_Q4_K, HEARTH_TYPE_Q5_K,
	HEARTH_TYPE_Q6_K, HEARTH_TYPE_IQ4_NL, HEARTH_TYPE_IQ4_XS, HEARTH_TYPE_MXFP4,
	HEARTH_TYPE_Q4_0_R8, HEARTH_TYPE_Q8_0_R8, HEARTH_TYPE_Q4_K_R8, HEARTH_TYPE_Q5_K_R8,
	HEARTH_TYPE_Q6_K_R8,
};

double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int map(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	struct arena *a = (struct arena *)space;

	if (m->va < ARENA_BASE || m->va - ARENA_BASE > a->bytes ||
	    m->bytes > a->bytes - (m->va - ARENA_BASE)) {
		fault->error = HEARTH_HW_ERR_READ;
		return -EFAULT;
	}
	m->ptr = a->p + (m->va - ARENA_BASE);
	return 0;
}

static int unmap(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	return 0;
}

static const struct hk_space_ops ops = { map, unmap };

/* Where a block has its f16 scale, to give it a sane value. */
static int scale_at(unsigned int type)
{
	switch (type) {
	case HEARTH_TYPE_Q2_K:
		return 80;
	case HEARTH_TYPE_Q3_K:
		return 108;
	case HEARTH_TYPE_Q6_K:
		return 208;
	default:
		return 0;
	}
}

static void fill_block(uint8_t *p, unsigned int type, uint32_t *random)
{
	const struct hk_type *t = hk_type(type);
	uint16_t d = hk_f16_from_f32(0.01f);
	float f = 0.01f;

	for (int i = 0; i < t->bytes; i++) {
		*random = *random * 1664525 + 1013904223;
		p[i] = (uint8_t)(*random >> 24);
	}
	if (type == HEARTH_TYPE_F32)
		memcpy(p, &f, sizeof(f));
	else if (type == HEARTH_TYPE_MXFP4)
		p[0] = 120;
	else
		memcpy(p + scale_at(type), &d, sizeof(d));
	if (t->min)
		memcpy(p + scale_at(type) + 2, &d, sizeof(d));
}

/* A column of rows of eight */
static void fill_column(uint8_t *p, unsigned int type, uint32_t *random)
{
	uint8_t block[HK_R8_MAX_BYTES];

	for (unsigned int row = 0; row < HK_R8_ROWS; row++) {
		fill_block(block, hk_type(type)->r8, random);
		hk_r8_pack(type, p, row, block);
	}
}

/* Some random blocks, over and over. */
static void fill(uint8_t *p, uint64_t bytes, unsigned int type)
{
	const bool r8 = hk_type(type)->r8;
	uint64_t block = hk_type(type)->bytes * (r8 ? HK_R8_ROWS : 1), some = 4096 * block;
	uint32_t random = 1;

	for (uint64_t at = 0; at < bytes; at += block) {
		if (at >= some)
			memcpy(p + at, p + at % some, block);
		else if (r8)
			fill_column(p + at, type, &random);
		else
			fill_block(p + at, type, &random);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* All matrices, @step bytes apart, once. */
static int run(struct arena *a, struct hk_exec *ex, const struct hearth_cmd_matmul *c,
	       uint64_t step, unsigned int n)
{
	struct hearth_cmd_matmul one = *c;
	struct hk_fault fault;

	for (unsigned int i = 0; i < n; i++, one.weights += step) {
		if (hk_exec_one(ex, &a->space, &one.hdr, sizeof(one), &fault) < 0) {
			fprintf(stderr, "kernel_speed: error %u in %s\n", fault.error,
				fault.field ? fault.field : "memory");
			return -1;
		}
	}
	return 0;
}

/* Median seconds of a matrix, or a negative number. */
static double measure(struct arena *a, struct hk_exec *ex, const struct hearth_cmd_matmul *c,
		      uint64_t step, unsigned int n, unsigned int repeats)
{
	double t[100];

	for (unsigned int i = 0; i < repeats + 1; i++) {
		double start = now_seconds();

		if (run(a, ex, c, step, n))
			return -1;
		/* The first one warms up. */
		if (i)
			t[i - 1] = (now_seconds() - start) / n;
	}
	qsort(t, repeats, sizeof(t[0]), compare);
	return t[repeats / 2];
}

static void print(const struct options *o, const struct hearth_cmd_matmul *c, double t,
		  uint64_t bytes, const struct machine *l)
{
	double gops = 2.0 * c->rows * c->in_n * c->out_n / t / 1e9;
	double gbps = (double)bytes / t / 1e9;

	if (o->json)
		printf("{\"type\": \"%s\", \"rows\": %u, \"in_n\": %u, \"out_n\": %u, "
		       "\"threads\": %u, \"ms\": %.4f, \"gops\": %.2f, \"peak_fraction\": %.4f, "
		       "\"gb_per_s\": %.3f, \"bandwidth_fraction\": %.4f}\n",
		       hk_type_name(c->type), c->rows, c->in_n, c->out_n, o->threads, t * 1e3,
		       gops, l->int8_gops ? gops / l->int8_gops : 0, gbps,
		       l->dram_gbs ? gbps / l->dram_gbs : 0);
	else
		printf("%-7s %5u x %5u x %6u %9.3f ms %8.1f GOPS %5.1f %% %7.2f GB/s %5.1f %%\n",
		       hk_type_name(c->type), c->rows, c->in_n, c->out_n, t * 1e3, gops,
		       l->int8_gops ? 100 * gops / l->int8_gops : 0, gbps,
		       l->dram_gbs ? 100 * gbps / l->dram_gbs : 0);
	fflush(stdout);
}

/* Outputs, so many that the weights have the size asked for; 0 after a message. */
static uint64_t outputs(const struct options *o, unsigned int type)
{
	const uint64_t row = hk_row_bytes(type, o->in_n), group = hk_group_rows(type);
	const uint64_t n = o->out_n || !row ? o->out_n : ((uint64_t)o->mib << 20) / row / 8 * 8;

	if (row && n && n % group == 0)
		return n;
	fprintf(stderr, "kernel_speed: %s: ", hk_type_name(type));
	if (!row)
		fprintf(stderr, "IN_N is %u: a multiple of %u is needed\n", o->in_n,
			hk_type(type)->elements);
	else if (!n)
		fprintf(stderr, "eight rows of %u are more than %u MiB\n", o->in_n, o->mib);
	else
		fprintf(stderr, "OUT_N is %u: a multiple of %u is needed\n", o->out_n,
			(unsigned int)group);
	return 0;
}

static int one_type(const struct options *o, const struct machine *l, struct hk_exec *ex,
		    unsigned int type)
{
	const uint64_t out_n = outputs(o, type), row = hk_row_bytes(type, o->in_n);
	uint64_t bytes = (out_n * row + 63) & ~63ull, src, dst;
	unsigned int n = 1;
	struct arena a = { .space.ops = &ops };
	struct hearth_cmd_matmul c = {
		.hdr = { .op = HEARTH_OP_MATMUL, .bytes = sizeof(c) },
		.rows = o->rows, .in_n = o->in_n, .out_n = (uint32_t)out_n,
		.type = (uint8_t)type,
	};
	double t;

	if (!out_n)
		return -1;
	if (o->rows == 1 && bytes < (uint64_t)o->mib << 20)
		n = (unsigned int)(((uint64_t)o->mib << 20) / bytes);
	src = (n * bytes + 4095) & ~4095ull;
	dst = (src + 4ull * o->rows * o->in_n + 4095) & ~4095ull;
	a.bytes = dst + 4ull * o->rows * out_n;
	a.p = mmap(NULL, a.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (a.p == MAP_FAILED) {
		fprintf(stderr, "kernel_speed: %s: no memory\n", hk_type_name(type));
		return -1;
	}
	madvise(a.p, a.bytes, o->large_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (unsigned int i = 0; i < n; i++)
		fill(a.p + i * bytes, out_n * row, type);
	for (uint64_t i = 0; i < (uint64_t)o->rows * o->in_n; i++)
		((float *)(a.p + src))[i] = (float)((i * 2654435761u) >> 16 & 0xffff) / 65536 - .5f;
	c.weights = ARENA_BASE;
	c.src = ARENA_BASE + src;
	c.dst = ARENA_BASE + dst;
	t = measure(&a, ex, &c, bytes, n, o->repeats);
	if (t > 0)
		print(o, &c, t, out_n * row, l);
	munmap(a.p, a.bytes);
	return t > 0 ? 0 : -1;
}

static int parse(int argc, char **argv, struct options *o)
{
	int opt;

	*o = (struct options){ .threads = 1, .rows = 1, .mib = 256, .in_n = 4096,
			       .repeats = 5 };
	while ((opt = getopt(argc, argv, "t:r:m:i:o:n:lj")) != -1) {
		unsigned int v = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 1;

		if (opt == '?' || !v)
			return -1;
		switch (opt) {
		case 't':
			o->threads = v;
			break;
		case 'r':
			o->rows = v;
			break;
		case 'm':
			o->mib = v;
			break;
		case 'i':
			o->in_n = v;
			break;
		case 'o':
			o->out_n = v;
			break;
		case 'n':
			o->repeats = v;
			break;
		case 'l':
			o->large_pages = true;
			break;
		default:
			o->json = true;
		}
	}
	return o->repeats <= 100 && o->threads <= 64 && o->mib <= 4096 ? 0 : -1;
}

static bool is_type(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!strcmp(name, hk_type_name(types[i])))
			return true;
	}
	return false;
}

static int check_types(char **names)
{
	while (*names && is_type(*names))
		names++;
	if (!*names)
		return 0;
	fprintf(stderr, "kernel_speed: no type \"%s\"; types:", *names);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		fprintf(stderr, " %s", hk_type_name(types[i]));
	fprintf(stderr, "\n");
	return -1;
}

static bool wanted(unsigned int type, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++) {
		if (!strcmp(*names, hk_type_name(type)))
			return true;
	}
	return false;
}

static int measure_limits(const struct options *o, struct machine *l, const struct hk_isa *isa)
{
	struct machine_probe *probe;
	int ret = machine_probe_open(o->threads, &probe);

	if (ret)
		return ret;
	machine_measure(probe, hk_isa_name(isa), l);
	machine_probe_close(probe);
	if (o->json)
		printf("{\"isa\": \"%s\", \"threads\": %u, \"int8_peak_gops\": %.1f, "
		       "\"int8_peak_of\": \"%s\", \"dram_read_gb_per_s\": %.2f, "
		       "\"barrier_us\": %.3f}\n", hk_isa_name(isa), o->threads, l->int8_gops,
		       l->int8_how, l->dram_gbs, l->barrier_us);
	else
		printf("%s, threads %u: int8 peak %.1f GOPS (%s), DRAM read %.2f GB/s, "
		       "barrier %.2f us\n", hk_isa_name(isa), o->threads, l->int8_gops, l->int8_how,
		       l->dram_gbs, l->barrier_us);
	return 0;
}

int main(int argc, char **argv)
{
	struct machine l;
	struct hk_pool *pool;
	struct hk_exec *ex;
	struct options o;
	int ret = 0;

	if (parse(argc, argv, &o)) {
		fprintf(stderr, "usage: kernel_speed [-t THREADS] [-r ROWS] [-m MIB] [-i IN_N] "
			"[-o OUT_N] [-n REPEATS] [-l] [-j] [TYPE...]\n");
		return 2;
	}
	if (check_types(argv + optind))
		return 2;
	pool = hk_pool_create(o.threads);
	ex = pool ? hk_exec_create(NULL, pool) : NULL;
	if (!ex) {
		fprintf(stderr, "kernel_speed: %s\n", errno == ENOTSUP ?
			"HEARTH_ISA names no ISA of this CPU" : strerror(errno));
		hk_pool_destroy(pool);
		return 1;
	}
	ret = measure_limits(&o, &l, hk_isa_best());
	for (size_t i = 0; !ret && i < sizeof(types) / sizeof(types[0]); i++) {
		if (wanted(types[i], argv + optind))
			ret = one_type(&o, &l, ex, types[i]);
	}
	hk_exec_destroy(ex);
	hk_pool_destroy(pool);
	return ret ? 1 : 0;
}
