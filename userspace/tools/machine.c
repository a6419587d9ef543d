// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/pool.h"
#include "tools/machine.h"
#include "tools/tool.h"

#define DRAM_BYTES	(256ul << 20)
#define DRAM_CHUNK	(2ul << 20)
#define DRAM_PASSES	6
#define FILE_BYTES	(48ul << 20)	/* caches hold what is smaller */
#define FILE_PASSES	3
#define INT8_LOOPS	200000u
#define INT8_TASKS	4u	/* per thread: a late one does not bear half of the work */
#define INT8_PASSES	6
#define BARRIERS	5000
#define BARRIER_PASSES	5

struct machine_probe {
	struct hk_pool *pool;
	void *dram;
};

/* ---- int8 multiply-add: each returns the operations of one round of the loop ---- */

#if defined(__x86_64__)
/* So many sums that none waits for its last addition. */
#define CHAINS(STEP)	STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) \
			STEP(8) STEP(9)
#define INT8_CHAINS	10

__attribute__((target("avx2")))
static unsigned int int8_avx2(unsigned int loops)
{
	const __m256i a = _mm256_set1_epi8(1), one = _mm256_set1_epi16(1);
	__m256i t;

#define START(n)	__m256i s##n = _mm256_setzero_si256();
/* Spelled out: the compiler would multiply once for all chains. */
#define STEP(n)		__asm__ volatile("vpmaddubsw %2, %2, %1\n\tvpmaddwd %3, %1, %1\n\t"	\
					 "vpaddd %1, %0, %0"					\
					 : "+x"(s##n), "=&x"(t) : "x"(a), "x"(one));
	CHAINS(START)
	while (loops--) {
		CHAINS(STEP)
	}
#undef START
#undef STEP
	return INT8_CHAINS * 32 * 2;
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
static unsigned int int8_vnni(unsigned int loops)
{
	const __m512i a = _mm512_set1_epi8(1);

#define START(n)	__m512i s##n = _mm512_setzero_si512();
#define STEP(n)		__asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(s##n) : "v"(a));
	CHAINS(START)
	while (loops--) {
		CHAINS(STEP)
	}
#undef START
#undef STEP
	return INT8_CHAINS * 64 * 2;
}
#elif defined(__aarch64__)
#define CHAINS(STEP)	STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) \
			STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13) STEP(14) STEP(15)
#define INT8_CHAINS	16
#define START(n)	int32x4_t s##n = vdupq_n_s32(0);

__attribute__((target("arch=armv8.2-a+dotprod")))
static unsigned int int8_dotprod(unsigned int loops)
{
	const int8x16_t a = vdupq_n_s8(1);

#define STEP(n)		__asm__ volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(s##n) : "w"(a));
	CHAINS(START)
	while (loops--) {
		CHAINS(STEP)
	}
#undef STEP
	return INT8_CHAINS * 16 * 2;
}

__attribute__((target("arch=armv8.2-a+i8mm")))
static unsigned int int8_i8mm(unsigned int loops)
{
	const int8x16_t a = vdupq_n_s8(1);

#define STEP(n)		__asm__ volatile("smmla %0.4s, %1.16b, %1.16b" : "+w"(s##n) : "w"(a));
	CHAINS(START)
	while (loops--) {
		CHAINS(STEP)
	}
#undef STEP
	return INT8_CHAINS * 32 * 2;
}
#endif

static unsigned int int8_plain(unsigned int loops)
{
	int8_t a[64], b[64];
	int32_t sum[64] = { 0 };

	memset(a, 1, sizeof(a));
	memset(b, 1, sizeof(b));
	while (loops--) {
		__asm__ volatile("" : : "r"(a), "r"(b) : "memory");
		for (int i = 0; i < 64; i++)
			sum[i] += a[i] * b[i];
	}
	__asm__ volatile("" : : "r"(sum) : "memory");
	return 64 * 2;
}

static const struct int8_way {
	const char *isa;	/* beginning of the name */
	const char *how;
	unsigned int (*run)(unsigned int loops);
} int8_ways[] = {
#if defined(__x86_64__)
	{ "avx512", "vpdpbusd", int8_vnni },
	{ "avx2", "vpmaddubsw + vpmaddwd", int8_avx2 },
#elif defined(__aarch64__)
	{ "i8mm", "smmla", int8_i8mm },
	{ "dotprod", "sdot", int8_dotprod },
#endif
	{ "", "plain C", int8_plain },
};

static const struct int8_way *find_way(const char *isa)
{
	const struct int8_way *w = int8_ways;

	while (strncmp(isa, w->isa, strlen(w->isa)))
		w++;
	return w;
}

struct int8_run {
	const struct int8_way *way;
	unsigned int ops;
};

static void int8_task(void *arg, unsigned int task, unsigned int worker)
{
	struct int8_run *r = arg;
	unsigned int ops = r->way->run(INT8_LOOPS / INT8_TASKS);

	if (!task)
		r->ops = ops;
}

static double measure_int8(struct hk_pool *pool, const struct int8_way *way)
{
	struct int8_run r = { .way = way };
	unsigned int tasks = hk_pool_threads(pool) * INT8_TASKS;
	double best = 0;

	for (int i = 0; i < INT8_PASSES; i++) {
		double t = now_seconds(), rate;

		hk_pool_run(pool, int8_task, &r, tasks);
		t = now_seconds() - t;
		rate = (double)r.ops * (INT8_LOOPS / INT8_TASKS) * tasks / t * 1e-9;
		best = rate > best ? rate : best;
	}
	return best;
}

/* ---- reads from DRAM ---- */

#if defined(__x86_64__)
/* The widest loads that every AVX2 machine has; wider ones do not raise the rate. */
__attribute__((target("avx2")))
static void read_avx2(const uint8_t *p, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 256)
		__asm__ volatile("vmovdqa (%0), %%ymm0\n\tvmovdqa 32(%0), %%ymm1\n\t"
				 "vmovdqa 64(%0), %%ymm2\n\tvmovdqa 96(%0), %%ymm3\n\t"
				 "vmovdqa 128(%0), %%ymm4\n\tvmovdqa 160(%0), %%ymm5\n\t"
				 "vmovdqa 192(%0), %%ymm6\n\tvmovdqa 224(%0), %%ymm7"
				 : : "r"(p + at)
				 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}
#endif

static void read_plain(const uint8_t *p, size_t bytes)
{
	uint64_t s[8] = { 0 };

	for (size_t at = 0; at < bytes; at += 64)
		for (int i = 0; i < 8; i++)
			s[i] |= *(const uint64_t *)(p + at + 8 * i);
	__asm__ volatile("" : : "r"(s) : "memory");
}

static void read_task(void *arg, unsigned int task, unsigned int worker)
{
	const uint8_t *p = (const uint8_t *)arg + task * DRAM_CHUNK;

#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2")) {
		read_avx2(p, DRAM_CHUNK);
		return;
	}
#endif
	read_plain(p, DRAM_CHUNK);
}

/* The best of some passes over @bytes, a multiple of DRAM_CHUNK. */
static double measure_reads(struct hk_pool *pool, void *p, size_t bytes, int passes)
{
	double best = 0;

	for (int i = 0; i < passes; i++) {
		double t = now_seconds(), rate;

		hk_pool_run(pool, read_task, p, (unsigned int)(bytes / DRAM_CHUNK));
		rate = (double)bytes / (now_seconds() - t) * 1e-9;
		best = rate > best ? rate : best;
	}
	return best;
}

double machine_measure_dram(struct machine_probe *probe)
{
	return measure_reads(probe->pool, probe->dram, DRAM_BYTES, DRAM_PASSES);
}

/* All of it: not every part of a file need be as fast. The first pass maps the pages. */
static int measure_mapped(struct hk_pool *pool, int fd, double *gbs)
{
	size_t bytes;
	struct stat st;
	void *p;

	if (fstat(fd, &st))
		return -errno;
	bytes = (size_t)st.st_size / DRAM_CHUNK * DRAM_CHUNK;
	if (bytes < FILE_BYTES)
		return 0;
	p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	madvise(p, bytes, MADV_HUGEPAGE);
	*gbs = measure_reads(pool, p, bytes, 1 + FILE_PASSES);
	munmap(p, bytes);
	return 0;
}

int machine_measure_file(struct machine_probe *probe, const char *path, struct machine *m)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = measure_mapped(probe->pool, fd, &m->file_gbs);
	close(fd);
	return ret;
}

/* ---- the pool ---- */

static void empty_task(void *arg, unsigned int task, unsigned int worker)
{
}

static double measure_barrier(struct hk_pool *pool)
{
	unsigned int threads = hk_pool_threads(pool);
	double best = 0;

	for (int pass = 0; pass < BARRIER_PASSES; pass++) {
		double t = now_seconds();

		for (int i = 0; i < BARRIERS; i++)
			hk_pool_run(pool, empty_task, NULL, threads);
		t = (now_seconds() - t) / BARRIERS * 1e6;
		best = !pass || t < best ? t : best;
	}
	return best;
}

void machine_measure(struct machine_probe *probe, const char *isa, struct machine *m)
{
	const struct int8_way *way = find_way(isa);

	*m = (struct machine){ .threads = hk_pool_threads(probe->pool), .int8_how = way->how };
	m->int8_gops = measure_int8(probe->pool, way);
	m->barrier_us = measure_barrier(probe->pool);
	m->dram_gbs = machine_measure_dram(probe);
}

int machine_probe_open(unsigned int threads, struct machine_probe **probe)
{
	struct machine_probe *p = malloc(sizeof(*p));
	int ret = -ENOMEM;

	if (!p)
		return ret;
	p->dram = mmap(NULL, DRAM_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->dram == MAP_FAILED)
		goto free_probe;
	/* Large pages where there are some: the limit, not what a file gets. */
	madvise(p->dram, DRAM_BYTES, MADV_HUGEPAGE);
	memset(p->dram, 1, DRAM_BYTES);
	p->pool = hk_pool_create(threads);
	ret = -EAGAIN;
	if (!p->pool)
		goto unmap_dram;
	*probe = p;
	return 0;

unmap_dram:
	munmap(p->dram, DRAM_BYTES);
free_probe:
	free(p);
	return ret;
}

void machine_probe_close(struct machine_probe *probe)
{
	if (!probe)
		return;
	hk_pool_destroy(probe->pool);
	munmap(probe->dram, DRAM_BYTES);
	free(probe);
}
