// SPDX-License-Identifier: MIT
/* The GGUF reader: a file made here field by field, then broken field by field. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "gguf_writer.h"
#include "models.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Where the fields of the sample stand. */
struct sample {
	struct bytes b;
	size_t n_tensors, n_kv;
	size_t name, layers, bias, ids, words, align;	/* values of keys */
	size_t norm, wq;	/* n_dims of tensors */
	size_t data;
};

static void add_kvs(struct sample *s)
{
	struct bytes *b = &s->b;

	s->name = gw_kv_str(b, "general.name", "sample");
	s->layers = gw_kv_u32(b, "llama.block_count", 7);
	s->bias = gw_kv_bool(b, "llama.use_bias", 1);
	s->ids = gw_kv_arr(b, "llama.ids", GGUF_VT_I32, 3);
	for (int i = 0; i < 3; i++)
		bytes_u32(b, 10 + i);
	s->words = gw_kv_arr(b, "llama.words", GGUF_VT_STR, 2);
	gw_str(b, "one");
	gw_str(b, "");
	s->align = gw_kv_u32(b, "general.alignment", 64);
}

static struct sample make_sample(uint32_t version)
{
	static const uint64_t dims[2] = { 64, 3 };
	struct sample s = { 0 };
	struct bytes *b = &s.b;

	s.n_tensors = gw_header(b, version, 2, 6);
	s.n_kv = s.n_tensors + 8;
	add_kvs(&s);
	s.norm = gw_tensor(b, "norm.weight", GGUF_TYPE_F32, 1, dims, 0);
	s.wq = gw_tensor(b, "attn_q.weight", GGUF_TYPE_Q8_0, 2, dims, 256);
	bytes_pad(b, 64);
	s.data = b->n;
	for (int i = 0; i < 256 + 6 * 34; i++)
		bytes_u8(b, i);
	return s;
}

static int open_copy(const struct bytes *b, size_t n, struct hearth_err *err)
{
	uint8_t *copy = bytes_copy(b, n);
	struct gguf *g = NULL;
	int ret = gguf_open_mem(copy, n, &g, err);

	if (!ret)
		gguf_close(g);
	else
		assert_null(g);
	free(copy);
	return ret;
}

static void test_reads_all(void **state)
{
	struct sample s = make_sample(3);
	const struct gguf_tensor *t;
	struct hearth_err err;
	struct gguf *g;

	(void)state;
	assert_int_equal(gguf_open_mem(s.b.p, s.b.n, &g, &err), 0);
	assert_int_equal(gguf_version(g), 3);
	assert_int_equal(gguf_alignment(g), 64);
	assert_int_equal(gguf_n_kv(g), 6);
	assert_int_equal(gguf_n_tensors(g), 2);
	assert_int_equal(gguf_data_offset(g), s.data);
	assert_int_equal(gguf_fd(g), -1);

	assert_int_equal(gguf_get_tensor(g, "attn_q.weight", &t, &err), 0);
	assert_int_equal(t->n_dims, 2);
	assert_int_equal(t->dims[0], 64);
	assert_int_equal(t->dims[1], 3);
	assert_int_equal(t->dims[3], 1);
	assert_int_equal(t->n_elems, 192);
	assert_int_equal(t->row_bytes, 68);
	assert_int_equal(t->nbytes, 204);
	assert_int_equal(t->file_offset, s.data + 256);
	assert_ptr_equal(t->data, s.b.p + s.data + 256);
	assert_ptr_equal(gguf_find_tensor(g, "norm.weight"), gguf_tensor_at(g, 0));
	assert_null(gguf_find_tensor(g, "norm"));
	assert_null(gguf_tensor_at(g, 2));
	assert_int_equal(gguf_get_tensor(g, "output", &t, &err), -ENOENT);
	assert_string_equal(err.msg, "gguf: tensor 'output' is missing");
	gguf_close(g);
	bytes_free(&s.b);
}

static void check_arrays(struct gguf *g)
{
	struct hearth_err err;
	struct gguf_arr arr;
	struct gguf_str str;
	uint64_t pos = 0;

	assert_int_equal(gguf_get_arr(g, "llama.ids", GGUF_VT_I32, &arr, &err), 0);
	assert_int_equal(arr.n, 3);
	assert_int_equal(gguf_arr_u32(&arr, 2), 12);
	assert_int_equal(gguf_get_arr(g, "llama.ids", GGUF_VT_F32, &arr, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "gguf: key 'llama.ids': array of i32 where array of f32 is needed");
	assert_int_equal(gguf_get_arr(g, "llama.words", GGUF_VT_STR, &arr, &err), 0);
	assert_true(gguf_arr_next_str(&arr, &pos, &str) && gguf_str_eq(str, "one"));
	assert_true(gguf_arr_next_str(&arr, &pos, &str) && gguf_str_eq(str, ""));
	assert_false(gguf_arr_next_str(&arr, &pos, &str));
}

static void test_lookups(void **state)
{
	struct sample s = make_sample(2);
	struct hearth_err err;
	struct gguf_str str;
	uint32_t u = 99;
	uint64_t u64;
	struct gguf *g;
	float f = 1;
	bool on = false;

	(void)state;
	assert_int_equal(gguf_open_mem(s.b.p, s.b.n, &g, &err), 0);
	assert_int_equal(gguf_version(g), 2);
	assert_int_equal(gguf_get_str(g, "general.name", &str, &err), 0);
	assert_true(gguf_str_eq(str, "sample"));
	assert_int_equal(gguf_get_u64(g, "llama.block_count", &u64, &err), 0);
	assert_int_equal(u64, 7);
	assert_int_equal(gguf_get_bool(g, "llama.use_bias", &on, &err), 0);
	assert_true(on);
	assert_int_equal(gguf_get_u32(g, "llama.none", &u, &err), -ENOENT);
	assert_int_equal(u, 99);
	assert_string_equal(err.msg, "gguf: key 'llama.none' is missing");
	assert_int_equal(gguf_get_u32(g, "general.name", &u, &err), -EINVAL);
	assert_string_equal(err.msg,
			    "gguf: key 'general.name': type string where an integer is needed");
	assert_int_equal(gguf_get_f32(g, "llama.block_count", &f, NULL), -EINVAL);
	assert_int_equal(gguf_get_bool(g, "llama.block_count", &on, &err), -EINVAL);
	check_arrays(g);
	gguf_close(g);
	bytes_free(&s.b);
}

/* One integer key of @type and @bytes at a time. */
static int read_int(uint32_t type, uint64_t v, size_t width, uint32_t *out, struct hearth_err *err)
{
	struct bytes b = { 0 };
	struct gguf *g;
	int ret;

	gw_header(&b, 3, 0, 1);
	gw_key(&b, "n", type);
	bytes_add(&b, &v, width);
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, err), 0);
	ret = gguf_get_u32(g, "n", out, err);
	gguf_close(g);
	bytes_free(&b);
	return ret;
}

static void test_integer_ranges(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t v;
		size_t width;
		int ret;
		uint32_t want;
	} rows[] = {
		{ GGUF_VT_U8, 255, 1, 0, 255 },
		{ GGUF_VT_I8, 0xff, 1, -ERANGE, 0 },
		{ GGUF_VT_I8, 0x7f, 1, 0, 127 },
		{ GGUF_VT_U16, 65535, 2, 0, 65535 },
		{ GGUF_VT_I16, 0x8000, 2, -ERANGE, 0 },
		{ GGUF_VT_U32, UINT32_MAX, 4, 0, UINT32_MAX },
		{ GGUF_VT_I32, 0x80000000, 4, -ERANGE, 0 },
		{ GGUF_VT_I32, 5, 4, 0, 5 },
		{ GGUF_VT_U64, 1ull << 32, 8, -ERANGE, 0 },
		{ GGUF_VT_U64, UINT32_MAX, 8, 0, UINT32_MAX },
		{ GGUF_VT_I64, 1ull << 63, 8, -ERANGE, 0 },
		{ GGUF_VT_I64, 0, 8, 0, 0 },
		{ GGUF_VT_BOOL, 1, 1, -EINVAL, 0 },
		{ GGUF_VT_F32, 0, 4, -EINVAL, 0 },
	};
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t v = 0;

		assert_int_equal(read_int(rows[i].type, rows[i].v, rows[i].width, &v, &err),
				 rows[i].ret);
		assert_int_equal(v, rows[i].want);
	}
	assert_int_equal(read_int(GGUF_VT_I64, 1ull << 63, 8, &(uint32_t){ 0 }, &err), -ERANGE);
	assert_string_equal(err.msg,
			    "gguf: key 'n': value -9223372036854775808 is outside 0..4294967295");
}

/* Change @width bytes at @pos to @v: the code and the whole or a part of the message. */
struct change {
	const char *what;
	size_t pos;
	size_t width;
	uint64_t v;
	int code;
	const char *msg;
};

static void check_changes(const struct sample *s, const struct change *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct bytes b = { 0 };
		struct hearth_err err = { 0 };
		int ret;

		bytes_add(&b, s->b.p, s->b.n);
		bytes_set(&b, c[i].pos, c[i].v, c[i].width);
		ret = open_copy(&b, b.n, &err);
		if (ret != c[i].code || err.code != ret || !strstr(err.msg, c[i].msg))
			fail_msg("%s: %d '%s', wanted %d '%s'", c[i].what, ret, err.msg, c[i].code,
				 c[i].msg);
		bytes_free(&b);
	}
}

static void test_broken_header(void **state)
{
	struct sample s = make_sample(3);
	const struct change c[] = {
		{ "magic", 0, 4, 0x46554748, -ENOEXEC, "gguf: magic 0x46554748 is not 0x46554747" },
		{ "version 0", 4, 4, 0, -EOPNOTSUPP, "gguf: version 0 is not supported" },
		{ "version 1", 4, 4, 1, -EOPNOTSUPP, "gguf: version 1 is not supported" },
		{ "version 4", 4, 4, 4, -EOPNOTSUPP, "gguf: version 4 is not supported" },
		{ "big-endian", 4, 4, 3 << 24, -EOPNOTSUPP, "big-endian" },
		{ "n_kv", s.n_kv, 8, UINT64_MAX, -ENODATA, "gguf: n_kv 18446744073709551615 exceeds" },
		{ "n_kv small", s.n_kv, 8, 200, -ENODATA, "gguf: n_kv 200 exceeds" },
		{ "n_kv less", s.n_kv, 8, 5, -EOVERFLOW, "gguf: tensor 'general.alignment'" },
		{ "n_tensors", s.n_tensors, 8, 1ull << 63, -ENODATA,
		  "gguf: n_tensors 9223372036854775808 exceeds" },
	};

	(void)state;
	check_changes(&s, c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_metadata(void **state)
{
	struct sample s = make_sample(3);
	const size_t key = strlen("llama.block_count") + 8 + 4;
	const struct change c[] = {
		{ "key length", s.layers - key, 8, 1ull << 60, -ENODATA, "gguf: key: 1152921504606846976 bytes" },
		{ "key empty", s.layers - key, 8, 0, -EINVAL, "length 0 is outside 1..65535" },
		{ "value type", s.layers - 4, 4, 13, -EINVAL, "'llama.block_count': unknown value type 13" },
		{ "string length", s.name, 8, UINT64_MAX - 7, -ENODATA, "gguf: key 'general.name': value of" },
		{ "bool", s.bias, 1, 2, -EINVAL, "'llama.use_bias': bool value 2" },
		{ "nested array", s.ids, 4, GGUF_VT_ARR, -EOPNOTSUPP, "'llama.ids': arrays of arrays" },
		{ "element type", s.ids, 4, 99, -EINVAL, "'llama.ids': unknown array element type 99" },
		{ "bool array", s.ids, 4, GGUF_VT_BOOL, -EINVAL, "'llama.ids': bool value 10" },
		{ "array length", s.ids + 4, 8, 1ull << 62, -ENODATA,
		  "'llama.ids': array length 4611686018427387904 exceeds" },
		{ "string array length", s.words + 4, 8, UINT64_MAX, -ENODATA, "'llama.words': array length" },
		{ "string in array", s.words + 12, 8, UINT64_MAX, -ENODATA, "'llama.words': value of" },
		{ "alignment 0", s.align, 4, 0, -EINVAL, "'general.alignment': 0 is not a power of two" },
		{ "alignment 48", s.align, 4, 48, -EINVAL, "'general.alignment': 48 is not a power of two" },
		{ "alignment huge", s.align, 4, 1u << 31, -ENODATA, "gguf: data section at offset 2147483648" },
		{ "alignment type", s.align - 4, 4, GGUF_VT_F32, -EINVAL, "'general.alignment': type f32" },
	};

	(void)state;
	check_changes(&s, c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_broken_tensors(void **state)
{
	struct sample s = make_sample(3);
	const size_t dims = s.wq + 4, type = dims + 16, off = type + 4, norm_off = s.norm + 16;
	const struct change c[] = {
		{ "name length", s.wq - 13 - 8, 8, 1ull << 40, -ENODATA, "gguf: tensor name: 1099511627776 bytes" },
		{ "n_dims 0", s.wq, 4, 0, -EINVAL, "'attn_q.weight': n_dims 0 is outside 1..4" },
		{ "n_dims 5", s.wq, 4, 5, -EINVAL, "'attn_q.weight': n_dims 5 is outside 1..4" },
		{ "zero dim", dims + 8, 8, 0, -EINVAL, "'attn_q.weight': dims[1] is 0" },
		{ "dims product", dims + 8, 8, 1ull << 60, -EOVERFLOW, "'attn_q.weight': dims[1] = 1152921504606846976" },
		{ "dim above 2^63", dims, 8, UINT64_MAX, -EOVERFLOW, "'attn_q.weight': dims[0] = 18446744073709551615" },
		{ "row not whole", dims, 8, 48, -EINVAL, "row of 48 elements is not a multiple of Q8_0's block of 32" },
		{ "past end", dims + 8, 8, 4, -ENODATA, "'attn_q.weight': offset 256 + 272 bytes exceeds" },
		{ "offset misaligned", off, 8, 32, -EINVAL, "offset 32 is not a multiple of the alignment 64" },
		{ "offset past end", off, 8, 1ull << 63, -ENODATA, "'attn_q.weight': offset 9223372036854775808 +" },
		{ "offset wraps", off, 8, -64ull, -ENODATA, "'attn_q.weight': offset" },
		{ "overlap", off, 8, 192, -EINVAL, "'attn_q.weight': offset 192 overlaps tensor 'norm.weight', which ends at 256" },
		{ "same place", off, 8, 0, -EINVAL, "overlaps" },
		{ "other overlap", norm_off, 8, 64, -EINVAL, "'attn_q.weight': offset 256 overlaps" },
	};

	(void)state;
	check_changes(&s, c, ARRAY_SIZE(c));
	bytes_free(&s.b);
}

static void test_nbytes_overflow(void **state)
{
	static const uint64_t dims[2] = { 1ull << 31, (1ull << 32) - 1 };
	struct hearth_err err;
	struct bytes b = { 0 };

	(void)state;
	/* Elements fit 63 bits, their bytes do not fit 64. */
	gw_header(&b, 3, 1, 0);
	gw_tensor(&b, "t", GGUF_TYPE_F32, 2, dims, 0);
	bytes_pad(&b, 32);
	assert_int_equal(open_copy(&b, b.n, &err), -EOVERFLOW);
	assert_non_null(strstr(err.msg, "gguf: tensor 't'"));
	bytes_free(&b);
}

static void test_duplicates(void **state)
{
	static const uint64_t dims[1] = { 8 };
	struct hearth_err err;
	struct bytes b = { 0 };

	(void)state;
	gw_header(&b, 3, 0, 3);
	gw_kv_u32(&b, "a.b", 1);
	gw_kv_u32(&b, "a.c", 1);
	gw_kv_u32(&b, "a.b", 2);
	assert_int_equal(open_copy(&b, b.n, &err), -EEXIST);
	assert_string_equal(err.msg, "gguf: key 'a.b' occurs twice");
	bytes_free(&b);

	gw_header(&b, 3, 2, 0);
	gw_tensor(&b, "w", GGUF_TYPE_F32, 1, dims, 0);
	gw_tensor(&b, "w", GGUF_TYPE_F32, 1, dims, 32);
	bytes_pad(&b, 32);
	bytes_add(&b, NULL, 64);
	assert_int_equal(open_copy(&b, b.n, &err), -EEXIST);
	assert_string_equal(err.msg, "gguf: tensor 'w' occurs twice");
	bytes_free(&b);
}

static void test_long_tensor_name(void **state)
{
	static const uint64_t dims[1] = { 8 };
	struct hearth_err err;
	char name[66] = { 0 };

	(void)state;
	for (int n = 63; n <= 64; n++) {
		struct bytes b = { 0 };

		memset(name, 'x', n);
		gw_header(&b, 3, 1, 0);
		gw_tensor(&b, name, GGUF_TYPE_F32, 1, dims, 0);
		bytes_pad(&b, 32);
		bytes_add(&b, NULL, 32);
		assert_int_equal(open_copy(&b, b.n, &err), n == 63 ? 0 : -EINVAL);
		bytes_free(&b);
	}
	assert_non_null(strstr(err.msg, "length 64 exceeds 63"));
}

/* Listed, but not usable; what has a known type beside it is. */
static void test_unknown_tensor_type(void **state)
{
	static const struct {
		uint32_t type;
		const char *msg;
	} rows[] = {
		{ 16, "gguf: tensor 'attn_q.weight': type 16 (IQ2_XXS) is not supported" },
		{ 4, "gguf: tensor 'attn_q.weight': type 4 (unknown) is not supported" },
		{ UINT32_MAX, "gguf: tensor 'attn_q.weight': type 4294967295 (unknown) is not supported" },
	};
	const struct gguf_tensor *t;
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sample s = make_sample(3);
		struct gguf *g;

		bytes_set(&s.b, s.wq + 20, rows[i].type, 4);
		assert_int_equal(gguf_open_mem(s.b.p, s.b.n, &g, &err), 0);
		assert_non_null(gguf_find_tensor(g, "attn_q.weight"));
		assert_int_equal(gguf_get_tensor(g, "attn_q.weight", &t, &err), -EOPNOTSUPP);
		assert_string_equal(err.msg, rows[i].msg);
		assert_int_equal(gguf_get_tensor(g, "norm.weight", &t, &err), 0);
		gguf_close(g);
		bytes_free(&s.b);
	}
}

static void test_every_truncation(void **state)
{
	struct sample s = make_sample(3);
	struct hearth_err err;

	(void)state;
	assert_int_equal(open_copy(&s.b, s.b.n, &err), 0);
	for (size_t n = 0; n < s.b.n; n++) {
		err.msg[0] = '\0';
		assert_int_equal(open_copy(&s.b, n, &err), -ENODATA);
		assert_true(!strncmp(err.msg, "gguf: ", 6));
	}
	bytes_free(&s.b);
}

/* Names of hostile files reach no terminal raw, and long ones are cut. */
static void test_message_is_clean(void **state)
{
	struct hearth_err err;
	struct bytes b = { 0 };
	char key[4000];

	(void)state;
	memset(key, '\x1b', sizeof(key));
	gw_header(&b, 3, 0, 1);
	gw_strn(&b, key, sizeof(key));
	bytes_u32(&b, 77);
	bytes_u32(&b, 0);
	assert_int_equal(open_copy(&b, b.n, &err), -EINVAL);
	assert_null(strchr(err.msg, '\x1b'));
	assert_non_null(strstr(err.msg, "unknown value type 77"));
	bytes_free(&b);
}

static void test_block_sizes(void **state)
{
	static const struct {
		uint32_t type;
		const char *name;
		uint32_t elems, bytes;
	} rows[] = {
		{ GGUF_TYPE_F32, "F32", 1, 4 },	     { GGUF_TYPE_F16, "F16", 1, 2 },
		{ GGUF_TYPE_BF16, "BF16", 1, 2 },    { GGUF_TYPE_Q4_0, "Q4_0", 32, 18 },
		{ GGUF_TYPE_Q4_1, "Q4_1", 32, 20 },  { GGUF_TYPE_Q5_0, "Q5_0", 32, 22 },
		{ GGUF_TYPE_Q5_1, "Q5_1", 32, 24 },  { GGUF_TYPE_Q8_0, "Q8_0", 32, 34 },
		{ GGUF_TYPE_Q2_K, "Q2_K", 256, 84 }, { GGUF_TYPE_Q3_K, "Q3_K", 256, 110 },
		{ GGUF_TYPE_Q4_K, "Q4_K", 256, 144 }, { GGUF_TYPE_Q5_K, "Q5_K", 256, 176 },
		{ GGUF_TYPE_Q6_K, "Q6_K", 256, 210 }, { GGUF_TYPE_IQ4_NL, "IQ4_NL", 32, 18 },
		{ GGUF_TYPE_IQ4_XS, "IQ4_XS", 256, 136 }, { GGUF_TYPE_MXFP4, "MXFP4", 32, 17 },
		{ 0x48520002, "Q4_0_R8", 32, 18 },   { 0x48520008, "Q8_0_R8", 32, 34 },
		{ 0x4852000c, "Q4_K_R8", 256, 144 }, { 0x4852000d, "Q5_K_R8", 256, 176 },
		{ 0x4852000e, "Q6_K_R8", 256, 210 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct gguf_type_info *t = gguf_type_info(rows[i].type);

		assert_non_null(t);
		assert_string_equal(t->name, rows[i].name);
		assert_int_equal(t->block_elems, rows[i].elems);
		assert_int_equal(t->block_bytes, rows[i].bytes);
		assert_int_equal(t->group_rows, rows[i].type >> 16 ? 8 : 0);
		assert_int_equal(gguf_type_of_blocks(rows[i].type), rows[i].type & 0xffff);
	}
	assert_null(gguf_type_info(4));
	assert_null(gguf_type_info(0x48520000));
	assert_null(gguf_type_info(0x48520003));
	assert_null(gguf_type_info(0x48530002));
	assert_null(gguf_type_info(UINT32_MAX));
}

/* Where the fields of a file with rows in groups stand. */
struct grouped {
	struct bytes b;
	size_t version;	/* value of the key */
	size_t w;	/* n_dims of the tensor */
};

static struct grouped make_grouped(uint32_t type, uint32_t n_dims, uint64_t rows)
{
	const uint64_t dims[4] = { 256, rows, 1, 1 };
	struct grouped s = { 0 };

	gw_header(&s.b, 3, 1, 1);
	s.version = gw_kv_u32(&s.b, "hearth.pack.version", 1);
	s.w = gw_tensor(&s.b, "w", type, n_dims, dims, 0);
	bytes_pad(&s.b, 32);
	bytes_add(&s.b, NULL, 256 * 34 / 32 * 16);
	return s;
}

static void test_reads_groups(void **state)
{
	static const uint32_t types[] = { GGUF_TYPE_Q4_0_R8, GGUF_TYPE_Q8_0_R8, GGUF_TYPE_Q4_K_R8,
					  GGUF_TYPE_Q5_K_R8, GGUF_TYPE_Q6_K_R8 };
	const struct gguf_tensor *t;
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct grouped s = make_grouped(types[i], 2, 16);
		struct gguf *g = NULL;

		assert_int_equal(gguf_open_mem(s.b.p, s.b.n, &g, &err), 0);
		assert_true(gguf_is_packed(g));
		assert_int_equal(gguf_get_tensor(g, "w", &t, &err), 0);
		/* as many bytes as its blocks have in rows */
		assert_int_equal(t->row_bytes, 256 / t->info->block_elems * t->info->block_bytes);
		assert_int_equal(t->nbytes, 16 * t->row_bytes);
		gguf_close(g);
		bytes_free(&s.b);
	}
}

static void test_broken_groups(void **state)
{
	static const struct {
		uint32_t type, n_dims;
		uint64_t rows;
		const char *msg;
	} rows[] = {
		{ GGUF_TYPE_Q4_0_R8, 2, 12, "gguf: tensor 'w': 12 rows are not a multiple of Q4_0_R8's groups of 8" },
		{ GGUF_TYPE_Q8_0_R8, 2, 1, "gguf: tensor 'w': 1 rows are not a multiple of Q8_0_R8's groups of 8" },
		{ GGUF_TYPE_Q6_K_R8, 1, 0, "gguf: tensor 'w': type Q6_K_R8 with n_dims 1, 2 is needed" },
		{ GGUF_TYPE_Q4_K_R8, 3, 8, "gguf: tensor 'w': type Q4_K_R8 with n_dims 3, 2 is needed" },
		{ GGUF_TYPE_Q5_K_R8, 4, 8, "gguf: tensor 'w': type Q5_K_R8 with n_dims 4, 2 is needed" },
	};
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct grouped s = make_grouped(rows[i].type, rows[i].n_dims, rows[i].rows);

		assert_int_equal(open_copy(&s.b, s.b.n, &err), -EINVAL);
		assert_string_equal(err.msg, rows[i].msg);
		bytes_free(&s.b);
	}
}

static void test_pack_version(void **state)
{
	static const struct {
		uint64_t type, version;
		int code;
		const char *msg;
	} rows[] = {
		{ GGUF_VT_U32, 1, 0, NULL },
		{ GGUF_VT_U32, 0, -EOPNOTSUPP,
		  "gguf: key 'hearth.pack.version': version 0 is not supported (1 is)" },
		{ GGUF_VT_U32, 2, -EOPNOTSUPP,
		  "gguf: key 'hearth.pack.version': version 2 is not supported (1 is)" },
		{ GGUF_VT_U32, UINT32_MAX, -EOPNOTSUPP,
		  "gguf: key 'hearth.pack.version': version 4294967295 is not supported (1 is)" },
		{ GGUF_VT_I32, UINT32_MAX, -ERANGE,
		  "gguf: key 'hearth.pack.version': value -1 is outside 0..4294967295" },
		{ GGUF_VT_F32, 1, -EINVAL,
		  "gguf: key 'hearth.pack.version': type f32 where an integer is needed" },
	};
	struct hearth_err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct grouped s = make_grouped(GGUF_TYPE_Q4_0_R8, 2, 8);

		bytes_set(&s.b, s.version - 4, rows[i].type, 4);
		bytes_set(&s.b, s.version, rows[i].version, 4);
		assert_int_equal(open_copy(&s.b, s.b.n, &err), rows[i].code);
		if (rows[i].msg)
			assert_string_equal(err.msg, rows[i].msg);
		bytes_free(&s.b);
	}
}

/* Not what `hearth pack` wrote: nobody can tell how its groups are laid out. */
static void test_groups_without_key(void **state)
{
	struct sample s = make_sample(3);
	struct hearth_err err;

	(void)state;
	bytes_set(&s.b, s.wq + 20, GGUF_TYPE_Q8_0_R8, 4);
	assert_int_equal(open_copy(&s.b, s.b.n, &err), -EINVAL);
	assert_string_equal(err.msg, "gguf: tensor 'attn_q.weight': type Q8_0_R8 in a file without key 'hearth.pack.version'");
	bytes_free(&s.b);
}

static void test_files(void **state)
{
	char path[] = "/tmp/hearth-gguf-XXXXXX";
	struct sample s = make_sample(3);
	struct hearth_err err;
	struct gguf *g = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(gguf_open(path, &g, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "empty"));
	assert_int_equal(write(fd, s.b.p, s.b.n), s.b.n);
	assert_int_equal(gguf_open(path, &g, &err), 0);
	assert_true(gguf_fd(g) >= 0);
	gguf_close(g);
	close(fd);
	unlink(path);
	assert_int_equal(gguf_open(path, &g, &err), -ENOENT);
	assert_non_null(strstr(err.msg, strerror(ENOENT)));
	assert_int_equal(gguf_open("/tmp", &g, &err), -EINVAL);
	assert_string_equal(err.msg, "gguf: not a regular file");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(gguf_open(path, &g, &err), -EINVAL);
	unlink(path);
	bytes_free(&s.b);
}

static void open_real(const char *path, void *arg)
{
	struct hearth_err err;
	struct gguf *g;

	(void)arg;
	if (gguf_open(path, &g, &err))
		fail_msg("%s: %s", path, err.msg);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
		assert_non_null(gguf_tensor_at(g, i)->data);
	gguf_close(g);
}

static void test_real_files(void **state)
{
	const char *dir = models_dir();

	(void)state;
	if (!dir)
		skip();
	assert_true(for_each_file(dir, ".gguf", open_real, NULL) >= 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_all),
		cmocka_unit_test(test_lookups),
		cmocka_unit_test(test_integer_ranges),
		cmocka_unit_test(test_broken_header),
		cmocka_unit_test(test_broken_metadata),
		cmocka_unit_test(test_broken_tensors),
		cmocka_unit_test(test_nbytes_overflow),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_long_tensor_name),
		cmocka_unit_test(test_unknown_tensor_type),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_message_is_clean),
		cmocka_unit_test(test_block_sizes),
		cmocka_unit_test(test_reads_groups),
		cmocka_unit_test(test_broken_groups),
		cmocka_unit_test(test_pack_version),
		cmocka_unit_test(test_groups_without_key),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_real_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
