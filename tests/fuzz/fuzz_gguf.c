// SPDX-License-Identifier: MIT
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "driver.h"
#include "formats/gguf.h"
#include "gguf_writer.h"

const char *const fuzz_name = "gguf";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 31, 32, 33, 63, 64, 65, 255, 256, 65535, 65536,
	INT32_MAX, 1ull << 31, UINT32_MAX, 1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX,
	UINT64_MAX - 7, UINT64_MAX / 8, UINT64_MAX / 13, UINT64_MAX / 32 + 1,
	GGUF_TYPE_Q4_0_R8, GGUF_TYPE_Q8_0_R8, GGUF_TYPE_Q4_K_R8, GGUF_TYPE_Q5_K_R8, GGUF_TYPE_Q6_K_R8,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* A key takes 13 bytes of the file and about 100 of memory, sorting as much again. */
size_t fuzz_heap_limit(size_t size)
{
	return 4096 + 16 * size;
}

static volatile unsigned int sink;

static void touch(const void *p, uint64_t n)
{
	const unsigned char *b = p;

	for (uint64_t i = 0; i < n; i++)
		sink += b[i];
}

static void touch_kv(const struct gguf *g, const struct gguf_kv *kv)
{
	struct gguf_str s;
	uint64_t pos = 0, n = 0;

	touch(kv->key.ptr, kv->key.len);
	if (kv->type == GGUF_VT_STR)
		touch(kv->str.ptr, kv->str.len);
	if (kv->type != GGUF_VT_ARR)
		return;
	touch(kv->arr.data, kv->arr.len);
	if (kv->arr.type != GGUF_VT_STR)
		return;
	while (gguf_arr_next_str(&kv->arr, &pos, &s)) {
		touch(s.ptr, s.len);
		n++;
	}
	if (n != kv->arr.n || pos != kv->arr.len)
		abort();
}

/* What an open file promises to everyone who uses it. */
static void touch_tensor(const struct gguf *g, const struct gguf_tensor *t)
{
	uint64_t rows = 1, size;

	touch(t->name.ptr, t->name.len);
	gguf_base(g, &size);
	if (!t->data)
		return;
	for (int i = 1; i < GGUF_MAX_DIMS; i++)
		rows *= t->dims[i];
	if (t->row_bytes * rows != t->nbytes || t->file_offset + t->nbytes > size ||
	    t->file_offset % gguf_alignment(g))
		abort();
	if (t->info->group_rows &&
	    (!gguf_is_packed(g) || t->n_dims != 2 || rows % t->info->group_rows))
		abort();
	touch(t->data, t->nbytes);
}

static void touch_lookups(const struct gguf *g)
{
	static const char *const keys[] = { "general.alignment", "s", "a.u8", "a.f", "a.b", "a.arr" };
	struct gguf_arr arr;
	struct gguf_str s;
	uint64_t u64;
	uint32_t u;
	float f;
	bool b;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		gguf_get_u32(g, keys[i], &u, NULL);
		gguf_get_u64(g, keys[i], &u64, NULL);
		gguf_get_f32(g, keys[i], &f, NULL);
		gguf_get_bool(g, keys[i], &b, NULL);
		gguf_get_str(g, keys[i], &s, NULL);
		gguf_get_arr(g, keys[i], GGUF_VT_F32, &arr, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hearth_err err = { 0 };
	struct gguf *g;
	int ret = gguf_open_mem(data, size, &g, &err);

	if (ret) {
		if (err.code != ret || strncmp(err.msg, "gguf: ", 6))
			abort();
		return 0;
	}
	for (uint64_t i = 0; i < gguf_n_kv(g); i++)
		touch_kv(g, gguf_kv_at(g, i));
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
		touch_tensor(g, gguf_tensor_at(g, i));
	touch_lookups(g);
	gguf_find_tensor(g, "t1");
	gguf_close(g);
	return 0;
}

static void scalars(struct bytes *b)
{
	static const uint8_t widths[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
	char key[8] = "a.k0";

	for (uint32_t t = 0; t < sizeof(widths); t++) {
		if (!widths[t])
			continue;
		key[3] = 'a' + t;
		gw_key(b, key, t);
		bytes_add(b, NULL, widths[t]);
	}
}

static struct bytes full_file(uint32_t alignment)
{
	static const uint64_t dims[4] = { 256, 2, 2, 1 };
	struct bytes b = { 0 };

	gw_header(&b, 3, 4, 15);
	scalars(&b);
	gw_kv_u32(&b, "general.alignment", alignment);
	gw_kv_str(&b, "s", "string");
	gw_kv_arr(&b, "a.arr", GGUF_VT_F32, 3);
	bytes_add(&b, NULL, 12);
	gw_kv_arr(&b, "a.strings", GGUF_VT_STR, 3);
	gw_str(&b, "x");
	gw_str(&b, "");
	gw_str(&b, "xyz");
	gw_tensor(&b, "t1", GGUF_TYPE_Q4_0, 2, dims, 0);
	gw_tensor(&b, "t2", GGUF_TYPE_F16, 1, dims, 512);
	gw_tensor(&b, "t3", GGUF_TYPE_Q4_K, 4, dims, 1024);
	gw_tensor(&b, "t4", 16, 1, dims, 1600);
	bytes_pad(&b, alignment);
	bytes_add(&b, NULL, 1664);
	return b;
}

/* Every type whose rows stand in groups. */
static struct bytes grouped_file(void)
{
	static const uint32_t types[] = { GGUF_TYPE_Q4_0_R8, GGUF_TYPE_Q8_0_R8, GGUF_TYPE_Q4_K_R8,
					  GGUF_TYPE_Q5_K_R8, GGUF_TYPE_Q6_K_R8 };
	static const uint64_t dims[2] = { 256, 8 };
	char name[3] = "t1";
	struct bytes b = { 0 };

	gw_header(&b, 3, 5, 1);
	gw_kv_u32(&b, GGUF_PACK_KEY, GGUF_PACK_VERSION);
	for (int i = 0; i < 5; i++) {
		name[1] = '1' + i;
		gw_tensor(&b, name, types[i], 2, dims, i * 2304);
	}
	bytes_pad(&b, 32);
	bytes_add(&b, NULL, 5 * 2304);
	return b;
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	struct bytes b = full_file(32);

	add(b.p, b.n);
	bytes_free(&b);
	b = full_file(64);
	add(b.p, b.n);
	bytes_free(&b);
	b = grouped_file();
	add(b.p, b.n);
	bytes_free(&b);
	gw_header(&b, 2, 0, 1);
	gw_kv_str(&b, "general.architecture", "llama");
	add(b.p, b.n);
	bytes_free(&b);
}
