// SPDX-License-Identifier: MIT
/* GGUF files in rows of eight: where each byte goes, what stays, and the way back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "formats/gguf_pack.h"
#include "gguf_writer.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ROWS	16
#define COLS	512

/* The layout as Documentation/arithmetic.rst has it: fields in their order in a column. */
struct field {
	unsigned int at, bytes, unit;
};

static const struct {
	uint32_t type;
	struct field fields[6];
} layouts[] = {
	{ GGUF_TYPE_Q4_0, { { 0, 2, 2 }, { 2, 16, 4 } } },
	{ GGUF_TYPE_Q8_0, { { 0, 2, 2 }, { 2, 32, 4 } } },
	{ GGUF_TYPE_Q4_K, { { 0, 2, 2 }, { 2, 2, 2 }, { 4, 12, 4 }, { 16, 128, 4 } } },
	{ GGUF_TYPE_Q5_K, { { 0, 2, 2 }, { 2, 2, 2 }, { 4, 12, 4 }, { 16, 32, 4 }, { 48, 128, 4 } } },
	{ GGUF_TYPE_Q6_K, { { 208, 2, 2 }, { 192, 16, 4 }, { 0, 128, 4 }, { 128, 64, 4 } } },
};

static int put(void *arg, const void *data, size_t n)
{
	bytes_add(arg, data, n);
	return 0;
}

static void add_random(struct bytes *b, uint64_t n)
{
	uint32_t v = 1;

	for (uint64_t i = 0; i < n; i++) {
		v = v * 1664525 + 1013904223;
		bytes_u8(b, v >> 24);
	}
}

static struct bytes one_tensor(uint32_t type, uint64_t rows, uint32_t n_dims)
{
	const struct gguf_type_info *info = gguf_type_info(type);
	const uint64_t dims[4] = { COLS, rows, 1, 1 };
	struct bytes b = { 0 };

	gw_header(&b, 3, 1, 1);
	gw_kv_str(&b, "general.name", "one");
	gw_tensor(&b, "w", type, n_dims, dims, 0);
	bytes_pad(&b, 32);
	add_random(&b, COLS / info->block_elems * info->block_bytes * rows);
	return b;
}

/* Where the packed tensor has byte @at of a block. */
static size_t place(const struct field *fields, unsigned int block_bytes, uint64_t blocks, uint64_t row,
		    uint64_t block, unsigned int at)
{
	size_t in_column = 0;

	for (; at < fields->at || at >= fields->at + fields->bytes; fields++)
		in_column += 8 * fields->bytes;
	at -= fields->at;
	in_column += at / fields->unit * 8 * fields->unit + row % 8 * fields->unit + at % fields->unit;
	return (row / 8 * blocks + block) * 8 * block_bytes + in_column;
}

static void check_layout(const uint8_t *rows, const uint8_t *packed, const struct gguf_tensor *t,
			 const struct field *fields)
{
	const unsigned int bytes = t->info->block_bytes;
	const uint64_t blocks = t->row_bytes / bytes;

	for (uint64_t r = 0; r < t->dims[1]; r++)
		for (uint64_t i = 0; i < t->row_bytes; i++)
			assert_int_equal(packed[place(fields, bytes, blocks, r, i / bytes, i % bytes)],
					 rows[r * t->row_bytes + i]);
}

static void test_layout(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		struct bytes b = one_tensor(layouts[i].type, ROWS, 2), out = { 0 };
		const struct gguf_tensor *t, *u;
		struct hearth_err err;
		struct gguf *g, *h;

		assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
		assert_int_equal(gguf_pack(g, (bool[]){ true }, put, &out, &err), 0);
		assert_int_equal(gguf_open_mem(out.p, out.n, &h, &err), 0);
		t = gguf_tensor_at(g, 0);
		u = gguf_tensor_at(h, 0);
		assert_int_equal(u->type, GGUF_R8(layouts[i].type));
		assert_int_equal(u->nbytes, t->nbytes);
		check_layout(t->data, u->data, t, layouts[i].fields);
		gguf_close(h);
		gguf_close(g);
		bytes_free(&out);
		bytes_free(&b);
	}
}

/* Tensors in another order than their data, gaps, other alignment, bytes behind the last one. */
static struct bytes mixed_file(void)
{
	static const uint64_t dims[3] = { 256, 8, 2 };
	struct bytes b = { 0 };

	gw_header(&b, 2, 6, 3);
	gw_kv_str(&b, "general.name", "mixed");
	gw_kv_u32(&b, "general.alignment", 64);
	gw_kv_arr(&b, "ids", GGUF_VT_I32, 2);
	bytes_u64(&b, 77);
	gw_tensor(&b, "last", GGUF_TYPE_Q8_0, 2, dims, 16384);
	gw_tensor(&b, "embd", GGUF_TYPE_Q8_0, 2, dims, 4096);
	gw_tensor(&b, "norm", GGUF_TYPE_F32, 1, dims, 0);
	gw_tensor(&b, "first", GGUF_TYPE_Q4_K, 2, dims, 1024);
	gw_tensor(&b, "cube", GGUF_TYPE_Q4_0, 3, dims, 8192);
	gw_tensor(&b, "unknown", 16, 2, dims, 12288);
	bytes_pad(&b, 64);
	add_random(&b, 16384 + 3000);
	return b;
}

static const bool mixed_pack[] = { true, false, false, true, false, false };

static void test_all_else_stays(void **state)
{
	struct bytes b = mixed_file(), out = { 0 }, back = { 0 };
	struct hearth_err err;
	struct gguf *g, *h;

	(void)state;
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	assert_int_equal(gguf_pack(g, mixed_pack, put, &out, &err), 0);
	assert_int_equal(gguf_pack_bytes(g), out.n);
	assert_int_equal(gguf_open_mem(out.p, out.n, &h, &err), 0);
	assert_true(gguf_is_packed(h));
	assert_int_equal(gguf_version(h), 2);
	assert_int_equal(gguf_alignment(h), 64);
	assert_int_equal(gguf_n_kv(h), 4);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i), *u = gguf_tensor_at(h, i);

		assert_int_equal(u->offset, t->offset);
		assert_int_equal(u->type, mixed_pack[i] ? (uint32_t)GGUF_R8(t->type) : t->type);
		if (!mixed_pack[i] && t->data)
			assert_memory_equal(u->data, t->data, t->nbytes);
	}
	/* what no tensor holds, too */
	assert_memory_equal(out.p + gguf_data_offset(h) + 12288, b.p + gguf_data_offset(g) + 12288, 4096);
	assert_memory_equal(out.p + out.n - 800, b.p + b.n - 800, 800);

	assert_int_equal(gguf_unpack(h, put, &back, &err), 0);
	assert_int_equal(gguf_pack_bytes(h), back.n);
	assert_int_equal(back.n, b.n);
	assert_memory_equal(back.p, b.p, b.n);
	gguf_close(h);
	gguf_close(g);
	bytes_free(&back);
	bytes_free(&out);
	bytes_free(&b);
}

/* A file whose key of the version stands before others, and is of another width. */
static void test_key_anywhere(void **state)
{
	static const uint64_t dims[2] = { 32, 8 };
	struct bytes b = { 0 }, want = { 0 }, out = { 0 };
	struct hearth_err err;
	struct gguf *g;

	(void)state;
	gw_header(&b, 3, 1, 3);
	gw_kv_u32(&b, "a", 1);
	gw_key(&b, "hearth.pack.version", GGUF_VT_U64);
	bytes_u64(&b, 1);
	gw_kv_str(&b, "b", "x");
	gw_tensor(&b, "w", GGUF_TYPE_F32, 2, dims, 0);
	bytes_pad(&b, 32);
	add_random(&b, 1024);
	gw_header(&want, 3, 1, 2);
	gw_kv_u32(&want, "a", 1);
	gw_kv_str(&want, "b", "x");
	gw_tensor(&want, "w", GGUF_TYPE_F32, 2, dims, 0);
	bytes_pad(&want, 32);
	add_random(&want, 1024);

	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	assert_int_equal(gguf_unpack(g, put, &out, &err), 0);
	assert_int_equal(gguf_pack_bytes(g), out.n);
	assert_int_equal(out.n, want.n);
	assert_memory_equal(out.p, want.p, want.n);
	gguf_close(g);
	bytes_free(&out);
	bytes_free(&want);
	bytes_free(&b);
}

struct limited {
	uint64_t left;
	size_t largest;
};

static int put_limited(void *arg, const void *data, size_t n)
{
	struct limited *l = arg;

	l->largest = n > l->largest ? n : l->largest;
	if (n > l->left)
		return -ENOSPC;
	l->left -= n;
	return 0;
}

/* The buffer is bounded, and whoever takes the bytes can end it. */
static void test_put_ends_it(void **state)
{
	struct bytes b = one_tensor(GGUF_TYPE_Q8_0, 8192, 2);
	struct limited l = { .left = UINT64_MAX };
	struct hearth_err err;
	struct gguf *g;

	(void)state;
	assert_true(b.n > 4u << 20);
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	assert_int_equal(gguf_pack(g, (bool[]){ true }, put_limited, &l, &err), 0);
	assert_true(l.largest <= 1u << 20);
	for (uint64_t room = 0; room < b.n; room += b.n / 5) {
		l.left = room;
		assert_int_equal(gguf_pack(g, (bool[]){ true }, put_limited, &l, &err), -ENOSPC);
	}
	gguf_close(g);
	bytes_free(&b);
}

static void test_refusals(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t rows;
		uint32_t n_dims;
		const char *msg;
	} rows[] = {
		{ GGUF_TYPE_F32, 8, 2, "gguf: tensor 'w' cannot be packed: the type has no form in rows of eight" },
		{ GGUF_TYPE_Q5_0, 8, 2, "gguf: tensor 'w' cannot be packed: the type has no form in rows of eight" },
		{ GGUF_TYPE_Q4_0, 12, 2, "gguf: tensor 'w' cannot be packed: its rows are no multiple of eight" },
		{ GGUF_TYPE_Q6_K, 1, 1, "gguf: tensor 'w' cannot be packed: it is no matrix" },
		{ GGUF_TYPE_Q6_K, 8, 3, "gguf: tensor 'w' cannot be packed: it is no matrix" },
	};
	struct hearth_err err;
	struct bytes out = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bytes b = one_tensor(rows[i].type, rows[i].rows, rows[i].n_dims);
		struct gguf *g;

		assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
		assert_int_equal(gguf_pack(g, (bool[]){ true }, put, &out, &err), -EINVAL);
		assert_string_equal(err.msg, rows[i].msg);
		assert_int_equal(gguf_unpack(g, put, &out, &err), -EINVAL);
		assert_string_equal(err.msg, "gguf: the file is not packed");
		gguf_close(g);
		bytes_free(&b);
	}
	assert_int_equal(out.n, 0);
}

static void test_wrong_files(void **state)
{
	struct bytes b = one_tensor(GGUF_TYPE_Q4_0, 8, 2), packed = { 0 }, none = { 0 }, out = { 0 };
	struct hearth_err err;
	struct gguf *g;

	(void)state;
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	assert_int_equal(gguf_pack(g, (bool[]){ true }, put, &packed, &err), 0);
	gguf_close(g);
	assert_int_equal(gguf_open_mem(packed.p, packed.n, &g, &err), 0);
	assert_int_equal(gguf_pack(g, (bool[]){ true }, put, &out, &err), -EEXIST);
	assert_string_equal(err.msg, "gguf: the file is packed already");
	gguf_close(g);
	gw_header(&none, 3, 0, 0);
	assert_int_equal(gguf_open_mem(none.p, none.n, &g, &err), 0);
	assert_int_equal(gguf_pack(g, (bool[]){ true }, put, &out, &err), -EINVAL);
	assert_string_equal(err.msg, "gguf: n_tensors is 0: nothing to pack");
	gguf_close(g);
	assert_int_equal(out.n, 0);
	bytes_free(&none);
	bytes_free(&packed);
	bytes_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_all_else_stays),
		cmocka_unit_test(test_key_anywhere),
		cmocka_unit_test(test_put_ends_it),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_wrong_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
