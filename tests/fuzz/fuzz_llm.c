// SPDX-License-Identifier: MIT
/*
 * Models from bytes: all of a GGUF file but its weights, of any family. What
 * opens must take a prompt, a shift and a token more, with the same bits from
 * the plain kernels and the fastest.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu.h"
#include "driver.h"
#include "formats/gguf_pack.h"
#include "hearth.h"
#include "llm_sample.h"

const char *const fuzz_name = "llm";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 64, 255, 256, 264, 1024, 1025, 4096, 8192, 8193,
	65535, 1 << 24, (1 << 24) + 1, INT32_MAX, 0x80000000, UINT32_MAX, 0x7fc00000, 0x7f800000,
	0xff800000, 0x3f800000, 0x00000001, 0xbf800000, UINT64_MAX,
	GGUF_TYPE_Q4_0_R8, GGUF_TYPE_Q8_0_R8, GGUF_TYPE_Q4_K_R8, GGUF_TYPE_Q5_K_R8, GGUF_TYPE_Q6_K_R8,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* A vocabulary, tables for 16 positions, graphs of up to 1024 layers */
size_t fuzz_heap_limit(size_t size)
{
	return (64u << 20) + 1024 * size;
}

static struct hearth_llm *open_on(struct hearth_device *dev, const char *path,
				  enum hearth_kv_type type)
{
	HEARTH_OPTS(hearth_llm_opts, o, .n_ctx = 16, .n_batch = 4, .kv_type = type);
	struct hearth_llm *llm;

	if (!hearth_llm_open(path, dev, &o, &llm))
		return llm;
	/* a model was refused by its file or its memory, never by the compiler's own commands */
	check(*hearth_errmsg() && !strstr(hearth_errmsg(), "was refused: field"));
	return NULL;
}

/* Feed the same to both; false if both refuse. */
static bool feed_both(struct hearth_llm *a, struct hearth_llm *b, const int32_t *ids, size_t n,
		      uint32_t vocab)
{
	const float *x, *y;
	int ret = hearth_llm_eval(a, ids, n, &x);

	check(ret == hearth_llm_eval(b, ids, n, &y));
	check(!ret || *hearth_errmsg());
	for (uint32_t i = 0; !ret && i < vocab; i++)
		check(!memcmp(&x[i], &y[i], sizeof(*x)));
	return !ret;
}

static void use(struct hearth_llm *a, struct hearth_llm *b)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	int32_t ids[7] = { 1, 2, 0 };

	check(!hearth_llm_get_info(a, &info));
	/* a larger one only has to open */
	if (info.weights_bytes > 1 << 20 || info.state_bytes > 1 << 24)
		return;
	for (int i = 0; i < 7; i++)
		ids[i] = (int32_t)((uint32_t)i * 37 % info.n_vocab);
	if (!feed_both(a, b, ids, 7, info.n_vocab))
		return;
	check(hearth_llm_shift(a, 1, 3) == hearth_llm_shift(b, 1, 3));
	feed_both(a, b, ids, 3, info.n_vocab);
}

/* A file of @data and weights behind it. */
static int make_file(const uint8_t *data, size_t size)
{
	static const uint8_t zeros[32];
	static struct bytes weights;
	int fd = memfd_create("model", MFD_CLOEXEC);
	size_t pad = -size & 31;

	if (!weights.n)
		write_weights(&weights, 128 << 10);
	check(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	check(write(fd, zeros, pad) == (ssize_t)pad);
	check(write(fd, weights.p, weights.n) == (ssize_t)weights.n);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hearth_device *plain, *best;
	enum hearth_kv_type type = size % 2 ? HEARTH_KV_F16 : HEARTH_KV_Q8_0;
	int fd = make_file(data, size);
	struct hearth_llm *a, *b;
	char path[64];

	if (!plain) {
		plain = device("plain");
		best = device(NULL);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	a = open_on(plain, path, type);
	b = open_on(best, path, type);
	check(!a == !b);
	if (a)
		use(a, b);
	hearth_llm_close(a);
	hearth_llm_close(b);
	close(fd);
	return 0;
}

static int put(void *arg, const void *data, size_t n)
{
	bytes_add(arg, data, n);
	return 0;
}

/* Matrices of @type, those that can be in rows of eight. */
static void pack_head(struct bytes *b, struct bytes *out, uint32_t type)
{
	struct gguf *g = NULL;
	bool pack[64] = { false };

	check(!gguf_open_mem(b->p, b->n, &g, NULL) && gguf_n_tensors(g) <= 64);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->n_dims == 2)
			bytes_set(b, (uint8_t *)t->name.ptr - b->p + t->name.len + 4 + 16, type, 4);
	}
	gguf_close(g);
	check(!gguf_open_mem(b->p, b->n, &g, NULL));
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
		pack[i] = !gguf_pack_refusal(gguf_tensor_at(g, i));
	check(!gguf_pack(g, pack, put, out, NULL));
	out->n -= b->n - gguf_data_offset(g);
	gguf_close(g);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	for (size_t i = 0; i <= sizeof(families) / sizeof(*families); i++) {
		struct bytes b = { 0 };

		write_head(&b, i ? &families[i - 1] : &good);
		add(b.p, b.n);
		free(b.p);
	}
	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
		struct bytes b = { 0 }, packed = { 0 };

		write_model(&b, &families[i]);
		pack_head(&b, &packed, i % 2 ? GGUF_TYPE_Q4_0 : GGUF_TYPE_Q8_0);
		add(packed.p, packed.n);
		bytes_free(&packed);
		bytes_free(&b);
	}
}
