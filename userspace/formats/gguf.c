// SPDX-License-Identifier: MIT
/*
 * GGUF, versions 2 and 3: header, metadata and tensor table. Nothing in the
 * file is believed; every count is held against the bytes that are left
 * before memory is taken for it.
 */
#include "formats/gguf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "formats/gguf_internal.h"

#define GGUF_MAGIC 0x46554747u	/* "GGUF" */
#define GGUF_DEFAULT_ALIGNMENT 32
#define GGUF_MAX_KEY 65535
#define GGUF_MAX_TENSOR_NAME 63
/* The fewest bytes that an entry takes in the file. */
#define GGUF_MIN_KV_BYTES (8 + 4 + 1)
#define GGUF_MIN_TENSOR_BYTES (8 + 4 + 8 + 4 + 8)

struct reader {
	const uint8_t *base;
	uint64_t pos;
	uint64_t size;
	struct hearth_err *err;
};

static uint64_t left(const struct reader *r)
{
	return r->size - r->pos;
}

/* @field is what a message calls the bytes. */
static int take(struct reader *r, uint64_t n, const char *field, const uint8_t **out)
{
	if (n > left(r))
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: %s: %" PRIu64 " bytes at offset %" PRIu64
				      " exceed the file's %" PRIu64 " bytes",
				      field, n, r->pos, r->size);
	*out = r->base + r->pos;
	r->pos += n;
	return 0;
}

static int take_u32(struct reader *r, const char *field, uint32_t *out)
{
	const uint8_t *p = NULL;
	int ret = take(r, 4, field, &p);

	if (!ret)
		*out = le_u32(p);
	return ret;
}

static int take_u64(struct reader *r, const char *field, uint64_t *out)
{
	const uint8_t *p = NULL;
	int ret = take(r, 8, field, &p);

	if (!ret)
		*out = le_u64(p);
	return ret;
}

static int take_str(struct reader *r, const char *field, struct gguf_str *out)
{
	const uint8_t *p = NULL;
	uint64_t len;
	int ret;

	ret = take_u64(r, field, &len);
	if (ret)
		return ret;
	ret = take(r, len, field, &p);
	if (ret)
		return ret;
	out->ptr = (const char *)p;
	out->len = len;
	return 0;
}

static int check_count(struct reader *r, const char *field, uint64_t n, uint64_t min_bytes)
{
	uint64_t max = left(r) / min_bytes;

	if (n > max)
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: %s %" PRIu64 " exceeds the %" PRIu64
				      " that %" PRIu64 " remaining bytes can hold",
				      field, n, max, left(r));
	return 0;
}

static int read_header(struct reader *r, struct gguf *g)
{
	uint32_t magic;
	int ret;

	ret = take_u32(r, "magic", &magic);
	if (ret)
		return ret;
	if (magic != GGUF_MAGIC)
		return hearth_err_set(r->err, -ENOEXEC,
				      "gguf: magic 0x%08x is not 0x%08x: not a GGUF file", magic,
				      GGUF_MAGIC);
	ret = take_u32(r, "version", &g->version);
	if (ret)
		return ret;
	if (g->version && !(g->version & 0xffff))
		return hearth_err_set(r->err, -EOPNOTSUPP,
				      "gguf: version 0x%08x: big-endian files are not supported",
				      g->version);
	if (g->version != 2 && g->version != 3)
		return hearth_err_set(r->err, -EOPNOTSUPP,
				      "gguf: version %u is not supported (2 and 3 are)",
				      g->version);
	ret = take_u64(r, "n_tensors", &g->n_tensors);
	if (!ret)
		ret = take_u64(r, "n_kv", &g->n_kv);
	if (!ret)
		ret = check_count(r, "n_kv", g->n_kv, GGUF_MIN_KV_BYTES);
	if (!ret)
		ret = check_count(r, "n_tensors", g->n_tensors, GGUF_MIN_TENSOR_BYTES);
	return ret;
}

static int check_bool(struct reader *r, const struct gguf_kv *kv, const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (p[i] > 1)
			return hearth_err_set(r->err, -EINVAL,
					      "gguf: key '%.*s': bool value %u is neither 0 nor 1",
					      GGUF_STR_ARG(kv->key), p[i]);
	return 0;
}

static int bad_vtype(struct reader *r, const struct gguf_kv *kv, const char *what, uint32_t type)
{
	return hearth_err_set(r->err, -EINVAL, "gguf: key '%.*s': unknown %s %u",
			      GGUF_STR_ARG(kv->key), what, type);
}

/* A reader's error says which field; this one adds which key it belongs to. */
static int cut_value(struct reader *r, const struct gguf_kv *kv, uint64_t need)
{
	return hearth_err_set(r->err, -ENODATA,
			      "gguf: key '%.*s': value of %" PRIu64 " bytes at offset %" PRIu64
			      " exceeds the file's %" PRIu64 " bytes",
			      GGUF_STR_ARG(kv->key), need, r->pos, r->size);
}

static int read_str_value(struct reader *r, const struct gguf_kv *kv, struct gguf_str *out)
{
	uint64_t len;

	if (left(r) < 8)
		return cut_value(r, kv, 8);
	len = le_u64(r->base + r->pos);
	if (len > left(r) - 8)
		return cut_value(r, kv, len);
	out->ptr = (const char *)r->base + r->pos + 8;
	out->len = len;
	r->pos += 8 + len;
	return 0;
}

static int read_str_array(struct reader *r, struct gguf_kv *kv)
{
	struct gguf_str s;
	int ret;

	if (kv->arr.n > left(r) / 8)
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: key '%.*s': array length %" PRIu64
				      " exceeds the %" PRIu64 " strings that fit the file",
				      GGUF_STR_ARG(kv->key), kv->arr.n, left(r) / 8);
	for (uint64_t i = 0; i < kv->arr.n; i++) {
		ret = read_str_value(r, kv, &s);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_array(struct reader *r, struct gguf_kv *kv)
{
	struct gguf_arr *a = &kv->arr;
	uint32_t size;
	int ret = 0;

	if (left(r) < 12)
		return cut_value(r, kv, 12);
	a->type = le_u32(r->base + r->pos);
	a->n = le_u64(r->base + r->pos + 4);
	r->pos += 12;
	a->data = r->base + r->pos;

	if (a->type == GGUF_VT_ARR)
		return hearth_err_set(r->err, -EOPNOTSUPP,
				      "gguf: key '%.*s': arrays of arrays are not supported",
				      GGUF_STR_ARG(kv->key));
	size = gguf_vtype_size(a->type);
	if (a->type == GGUF_VT_STR) {
		ret = read_str_array(r, kv);
	} else if (!size) {
		ret = bad_vtype(r, kv, "array element type", a->type);
	} else if (a->n > left(r) / size) {
		ret = hearth_err_set(r->err, -ENODATA,
				     "gguf: key '%.*s': array length %" PRIu64
				     " exceeds the %" PRIu64 " elements that fit the file",
				     GGUF_STR_ARG(kv->key), a->n, left(r) / size);
	} else {
		r->pos += a->n * size;
		if (a->type == GGUF_VT_BOOL)
			ret = check_bool(r, kv, a->data, a->n);
	}
	a->len = r->base + r->pos - a->data;
	return ret;
}

static int read_value(struct reader *r, struct gguf_kv *kv)
{
	uint32_t size = gguf_vtype_size(kv->type);

	if (kv->type == GGUF_VT_STR)
		return read_str_value(r, kv, &kv->str);
	if (kv->type == GGUF_VT_ARR)
		return read_array(r, kv);
	if (!size)
		return bad_vtype(r, kv, "value type", kv->type);
	if (size > left(r))
		return cut_value(r, kv, size);
	kv->val = r->base + r->pos;
	r->pos += size;
	return kv->type == GGUF_VT_BOOL ? check_bool(r, kv, kv->val, 1) : 0;
}

static int read_kv(struct reader *r, struct gguf_kv *kv)
{
	int ret;

	ret = take_str(r, "key", &kv->key);
	if (ret)
		return ret;
	if (!kv->key.len || kv->key.len > GGUF_MAX_KEY)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: key '%.*s': length %" PRIu64 " is outside 1..%u",
				      GGUF_STR_ARG(kv->key), kv->key.len, GGUF_MAX_KEY);
	if (left(r) < 4)
		return cut_value(r, kv, 4);
	kv->type = le_u32(r->base + r->pos);
	r->pos += 4;
	return read_value(r, kv);
}

static int cmp_kv(const void *a, const void *b)
{
	const struct gguf_kv *const *x = a, *const *y = b;

	return gguf_str_cmp((*x)->key, (*y)->key);
}

static int cmp_name(const void *a, const void *b)
{
	const struct gguf_tensor *const *x = a, *const *y = b;

	return gguf_str_cmp((*x)->name, (*y)->name);
}

static int cmp_offset(const void *a, const void *b)
{
	const struct gguf_tensor *const *x = a, *const *y = b;

	if ((*x)->offset != (*y)->offset)
		return (*x)->offset < (*y)->offset ? -1 : 1;
	return (*x)->nbytes < (*y)->nbytes ? -1 : (*x)->nbytes > (*y)->nbytes;
}

static int no_memory(struct hearth_err *err, uint64_t n, const char *what)
{
	return hearth_err_set(err, -ENOMEM, "gguf: no memory for %" PRIu64 " %s", n, what);
}

static int read_kvs(struct reader *r, struct gguf *g)
{
	int ret;

	g->kv = calloc(g->n_kv + 1, sizeof(*g->kv));
	g->kv_sorted = calloc(g->n_kv + 1, sizeof(*g->kv_sorted));
	if (!g->kv || !g->kv_sorted)
		return no_memory(r->err, g->n_kv, "keys");
	for (uint64_t i = 0; i < g->n_kv; i++) {
		ret = read_kv(r, &g->kv[i]);
		if (ret)
			return ret;
		g->kv_sorted[i] = &g->kv[i];
	}
	qsort(g->kv_sorted, g->n_kv, sizeof(*g->kv_sorted), cmp_kv);
	for (uint64_t i = 1; i < g->n_kv; i++)
		if (!gguf_str_cmp(g->kv_sorted[i - 1]->key, g->kv_sorted[i]->key))
			return hearth_err_set(r->err, -EEXIST, "gguf: key '%.*s' occurs twice",
					      GGUF_STR_ARG(g->kv_sorted[i]->key));
	return 0;
}

static int read_alignment(struct reader *r, struct gguf *g)
{
	int ret;

	g->alignment = GGUF_DEFAULT_ALIGNMENT;
	ret = gguf_get_u32(g, "general.alignment", &g->alignment, r->err);
	if (ret && ret != -ENOENT)
		return ret;
	if (!g->alignment || (g->alignment & (g->alignment - 1)))
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: key 'general.alignment': %u is not a power of two",
				      g->alignment);
	return 0;
}

/* Another version may lay the groups out in another way. */
static int read_pack_version(struct reader *r, struct gguf *g)
{
	int ret = gguf_get_u32(g, GGUF_PACK_KEY, &g->pack_version, r->err);

	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (g->pack_version != GGUF_PACK_VERSION)
		return hearth_err_set(r->err, -EOPNOTSUPP,
				      "gguf: key '" GGUF_PACK_KEY "': version %u is not supported (%u is)",
				      g->pack_version, GGUF_PACK_VERSION);
	return 0;
}

static int read_dims(struct reader *r, struct gguf_tensor *t)
{
	if (left(r) < 8ull * t->n_dims)
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: tensor '%.*s': dims at offset %" PRIu64
				      " exceed the file's %" PRIu64 " bytes",
				      GGUF_STR_ARG(t->name), r->pos, r->size);
	t->n_elems = 1;
	for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
		t->dims[i] = 1;
		if (i >= t->n_dims)
			continue;
		t->dims[i] = le_u64(r->base + r->pos);
		r->pos += 8;
		if (!t->dims[i])
			return hearth_err_set(r->err, -EINVAL,
					      "gguf: tensor '%.*s': dims[%u] is 0",
					      GGUF_STR_ARG(t->name), i);
		if (__builtin_mul_overflow(t->n_elems, t->dims[i], &t->n_elems) ||
		    t->n_elems > INT64_MAX)
			return hearth_err_set(r->err, -EOVERFLOW,
					      "gguf: tensor '%.*s': dims[%u] = %" PRIu64
					      " makes more than 2^63 - 1 elements",
					      GGUF_STR_ARG(t->name), i, t->dims[i]);
	}
	return 0;
}

static int size_tensor(struct reader *r, struct gguf_tensor *t)
{
	const struct gguf_type_info *ti = gguf_type_info(t->type);

	t->info = ti;
	if (!ti || !ti->block_elems)
		return 0;
	if (t->dims[0] % ti->block_elems)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': row of %" PRIu64
				      " elements is not a multiple of %s's block of %u",
				      GGUF_STR_ARG(t->name), t->dims[0], ti->name, ti->block_elems);
	if (__builtin_mul_overflow(t->n_elems / ti->block_elems, (uint64_t)ti->block_bytes,
				   &t->nbytes))
		return hearth_err_set(r->err, -EOVERFLOW,
				      "gguf: tensor '%.*s': %" PRIu64 " elements of %s exceed 2^64 bytes",
				      GGUF_STR_ARG(t->name), t->n_elems, ti->name);
	/* A factor of nbytes, so it cannot overflow either. */
	t->row_bytes = t->dims[0] / ti->block_elems * ti->block_bytes;
	return 0;
}

static int read_tensor(struct reader *r, struct gguf_tensor *t)
{
	int ret;

	ret = take_str(r, "tensor name", &t->name);
	if (ret)
		return ret;
	if (t->name.len > GGUF_MAX_TENSOR_NAME)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor name '%.*s': length %" PRIu64 " exceeds %u",
				      GGUF_STR_ARG(t->name), t->name.len, GGUF_MAX_TENSOR_NAME);
	ret = take_u32(r, "tensor n_dims", &t->n_dims);
	if (ret)
		return ret;
	if (!t->n_dims || t->n_dims > GGUF_MAX_DIMS)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': n_dims %u is outside 1..%u",
				      GGUF_STR_ARG(t->name), t->n_dims, GGUF_MAX_DIMS);
	ret = read_dims(r, t);
	if (!ret)
		ret = take_u32(r, "tensor type", &t->type);
	if (!ret)
		ret = take_u64(r, "tensor offset", &t->offset);
	if (!ret)
		ret = size_tensor(r, t);
	return ret;
}

/* Rows that stand in groups. */
static int check_groups(struct reader *r, const struct gguf *g, const struct gguf_tensor *t)
{
	uint32_t rows = t->info ? t->info->group_rows : 0;

	if (!rows)
		return 0;
	if (!g->pack_version)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': type %s in a file without key '"
				      GGUF_PACK_KEY "'", GGUF_STR_ARG(t->name), t->info->name);
	if (t->n_dims != 2)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': type %s with n_dims %u, 2 is needed",
				      GGUF_STR_ARG(t->name), t->info->name, t->n_dims);
	if (t->dims[1] % rows)
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': %" PRIu64
				      " rows are not a multiple of %s's groups of %u",
				      GGUF_STR_ARG(t->name), t->dims[1], t->info->name, rows);
	return 0;
}

static int read_tensors(struct reader *r, struct gguf *g)
{
	int ret;

	ret = check_count(r, "n_tensors", g->n_tensors, GGUF_MIN_TENSOR_BYTES);
	if (ret)
		return ret;
	g->tensors = calloc(g->n_tensors + 1, sizeof(*g->tensors));
	g->tensors_sorted = calloc(g->n_tensors + 1, sizeof(*g->tensors_sorted));
	if (!g->tensors || !g->tensors_sorted)
		return no_memory(r->err, g->n_tensors, "tensors");
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		ret = read_tensor(r, &g->tensors[i]);
		if (!ret)
			ret = check_groups(r, g, &g->tensors[i]);
		if (ret)
			return ret;
		g->tensors_sorted[i] = &g->tensors[i];
	}
	return 0;
}

/* The data section starts at the next aligned offset after the tensor table. */
static int find_data(struct reader *r, struct gguf *g)
{
	uint64_t mask = g->alignment - 1;

	if (__builtin_add_overflow(r->pos, mask, &g->data_offset))
		return hearth_err_set(r->err, -EOVERFLOW, "gguf: data offset overflows");
	g->data_offset &= ~mask;
	if (g->n_tensors && g->data_offset > g->size)
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: data section at offset %" PRIu64
				      " exceeds the file's %" PRIu64 " bytes",
				      g->data_offset, g->size);
	return 0;
}

static int place_tensor(struct reader *r, struct gguf *g, struct gguf_tensor *t)
{
	uint64_t avail = g->size - g->data_offset;

	if (t->offset & (g->alignment - 1))
		return hearth_err_set(r->err, -EINVAL,
				      "gguf: tensor '%.*s': offset %" PRIu64
				      " is not a multiple of the alignment %u",
				      GGUF_STR_ARG(t->name), t->offset, g->alignment);
	if (t->offset > avail || t->nbytes > avail - t->offset)
		return hearth_err_set(r->err, -ENODATA,
				      "gguf: tensor '%.*s': offset %" PRIu64 " + %" PRIu64
				      " bytes exceeds the data section's %" PRIu64
				      " (the file's %" PRIu64 ") bytes",
				      GGUF_STR_ARG(t->name), t->offset, t->nbytes, avail, g->size);
	t->file_offset = g->data_offset + t->offset;
	if (t->nbytes)
		t->data = g->base + t->file_offset;
	return 0;
}

static int check_overlap(struct reader *r, struct gguf *g)
{
	const struct gguf_tensor **s = g->tensors_sorted;

	qsort(s, g->n_tensors, sizeof(*s), cmp_offset);
	for (uint64_t i = 1; i < g->n_tensors; i++) {
		uint64_t end = s[i - 1]->offset + s[i - 1]->nbytes;

		if (s[i]->offset < end)
			return hearth_err_set(r->err, -EINVAL,
					      "gguf: tensor '%.*s': offset %" PRIu64
					      " overlaps tensor '%.*s', which ends at %" PRIu64,
					      GGUF_STR_ARG(s[i]->name), s[i]->offset,
					      GGUF_STR_ARG(s[i - 1]->name), end);
	}
	return 0;
}

static int index_tensors(struct reader *r, struct gguf *g)
{
	const struct gguf_tensor **s = g->tensors_sorted;

	qsort(s, g->n_tensors, sizeof(*s), cmp_name);
	for (uint64_t i = 1; i < g->n_tensors; i++)
		if (!gguf_str_cmp(s[i - 1]->name, s[i]->name))
			return hearth_err_set(r->err, -EEXIST, "gguf: tensor '%.*s' occurs twice",
					      GGUF_STR_ARG(s[i]->name));
	return 0;
}

static int place_tensors(struct reader *r, struct gguf *g)
{
	int ret;

	ret = find_data(r, g);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < g->n_tensors; i++) {
		ret = place_tensor(r, g, &g->tensors[i]);
		if (ret)
			return ret;
	}
	ret = check_overlap(r, g);
	return ret ? ret : index_tensors(r, g);
}

static int parse(struct gguf *g, struct hearth_err *err)
{
	struct reader r = { .base = g->base, .size = g->size, .err = err };
	int ret;

	ret = read_header(&r, g);
	if (!ret)
		ret = read_kvs(&r, g);
	if (!ret)
		ret = read_alignment(&r, g);
	if (!ret)
		ret = read_pack_version(&r, g);
	if (!ret)
		ret = read_tensors(&r, g);
	if (!ret)
		ret = place_tensors(&r, g);
	return ret;
}

static int open_bytes(struct gguf *g, struct gguf **out, struct hearth_err *err)
{
	int ret = parse(g, err);

	if (ret) {
		gguf_close(g);
		return ret;
	}
	*out = g;
	return 0;
}

int gguf_open(const char *path, struct gguf **out, struct hearth_err *err)
{
	struct gguf *g = calloc(1, sizeof(*g));
	int ret;

	if (!g)
		return hearth_err_set(err, -ENOMEM, "gguf: %s: no memory", path);
	ret = hearth_map_open(&g->map, path, "gguf", err);
	if (ret) {
		free(g);
		return ret;
	}
	g->base = g->map.base;
	g->size = g->map.size;
	return open_bytes(g, out, err);
}

int gguf_open_mem(const void *buf, size_t size, struct gguf **out, struct hearth_err *err)
{
	struct gguf *g = calloc(1, sizeof(*g));

	if (!g)
		return hearth_err_set(err, -ENOMEM, "gguf: no memory");
	g->map.fd = -1;
	g->base = buf;
	g->size = size;
	return open_bytes(g, out, err);
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	hearth_map_close(&g->map);
	free(g->kv);
	free(g->kv_sorted);
	free(g->tensors);
	free(g->tensors_sorted);
	free(g);
}
