// SPDX-License-Identifier: MIT
/* What can be packed is packed, is a good file, and comes back as it was. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "driver.h"
#include "formats/gguf_pack.h"
#include "gguf_writer.h"

const char *const fuzz_name = "gguf_pack";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 24, 31, 32, 63, 64, 128, 255, 256, 512, 4096, UINT32_MAX,
	GGUF_TYPE_Q4_0, GGUF_TYPE_Q8_0, GGUF_TYPE_Q4_K, GGUF_TYPE_Q5_K, GGUF_TYPE_Q6_K,
	GGUF_TYPE_Q4_0_R8, GGUF_TYPE_Q8_0_R8, GGUF_TYPE_Q4_K_R8, GGUF_TYPE_Q5_K_R8, GGUF_TYPE_Q6_K_R8,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* The packer's buffer; the file packed and unpacked, each in a buffer that grows by doubling. */
size_t fuzz_heap_limit(size_t size)
{
	return (1u << 20) + 8192 + 32 * size;
}

static int put(void *arg, const void *data, size_t n)
{
	bytes_add(arg, data, n);
	return 0;
}

static struct gguf *must_open(const struct bytes *b)
{
	struct gguf *g;

	if (gguf_open_mem(b->p, b->n, &g, NULL))
		abort();
	return g;
}

/* Padding of the table is written as zeros, whatever it was. */
static void check_same(const uint8_t *data, size_t size, const struct gguf *g, const struct bytes *back)
{
	const struct gguf_tensor *last = gguf_tensor_at(g, gguf_n_tensors(g) - 1);
	size_t table = (const uint8_t *)last->name.ptr - data + last->name.len + 4 + 8 * last->n_dims + 12;
	size_t at = gguf_data_offset(g);

	if (back->n != size || memcmp(back->p, data, table) || memcmp(back->p + at, data + at, size - at))
		abort();
}

static void pack(const uint8_t *data, size_t size, const struct gguf *g)
{
	bool *pack = calloc(gguf_n_tensors(g) + 1, 1);
	struct bytes out = { 0 }, back = { 0 };
	struct gguf *h;

	for (uint64_t i = 0; pack && i < gguf_n_tensors(g); i++)
		pack[i] = !gguf_pack_refusal(gguf_tensor_at(g, i));
	if (!pack || gguf_pack(g, pack, put, &out, NULL) || out.n != gguf_pack_bytes(g))
		abort();
	h = must_open(&out);
	if (gguf_unpack(h, put, &back, NULL) || back.n != gguf_pack_bytes(h))
		abort();
	check_same(data, size, g, &back);
	gguf_close(h);
	bytes_free(&out);
	bytes_free(&back);
	free(pack);
}

static void unpack(const struct gguf *g)
{
	struct bytes out = { 0 };
	struct gguf *h;

	if (gguf_unpack(g, put, &out, NULL) || out.n != gguf_pack_bytes(g))
		abort();
	h = must_open(&out);
	if (gguf_is_packed(h))
		abort();
	gguf_close(h);
	bytes_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gguf *g;

	if (gguf_open_mem(data, size, &g, NULL))
		return 0;
	if (!gguf_n_tensors(g))
		;
	else if (gguf_is_packed(g))
		unpack(g);
	else
		pack(data, size, g);
	gguf_close(g);
	return 0;
}

/* Every type that can be packed, some that cannot, and the key if they are. */
static struct bytes seed(bool packed)
{
	static const uint32_t types[] = { GGUF_TYPE_Q6_K, GGUF_TYPE_Q5_K, GGUF_TYPE_F16, GGUF_TYPE_Q4_K,
					  GGUF_TYPE_Q8_0, GGUF_TYPE_Q5_0, GGUF_TYPE_Q4_0 };
	static const uint64_t dims[2] = { 256, 8 };
	char name[3] = "t1";
	struct bytes b = { 0 };

	gw_header(&b, 3, 7, packed ? 3 : 2);
	gw_kv_u32(&b, "a", 1);
	if (packed)
		gw_kv_u32(&b, GGUF_PACK_KEY, GGUF_PACK_VERSION);
	gw_kv_str(&b, "s", "string");
	for (int i = 0; i < 7; i++) {
		bool r8 = packed && gguf_type_info(GGUF_R8(types[i]));

		name[1] = '1' + i;
		gw_tensor(&b, name, r8 ? (uint32_t)GGUF_R8(types[i]) : types[i], 2, dims, i * 4096);
	}
	bytes_pad(&b, 32);
	for (int i = 0; i < 7 * 4096; i++)
		bytes_u8(&b, i * 7);
	return b;
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	for (int packed = 0; packed < 2; packed++) {
		struct bytes b = seed(packed);

		add(b.p, b.n);
		bytes_free(&b);
	}
}
