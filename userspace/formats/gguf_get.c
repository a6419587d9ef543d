// SPDX-License-Identifier: MIT
/* Access to what gguf_open() has checked. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/le.h"
#include "formats/gguf_internal.h"

static const struct {
	const char *name;
	uint32_t size;
} vtypes[] = {
	[GGUF_VT_U8] = { "u8", 1 },	[GGUF_VT_I8] = { "i8", 1 },
	[GGUF_VT_U16] = { "u16", 2 },	[GGUF_VT_I16] = { "i16", 2 },
	[GGUF_VT_U32] = { "u32", 4 },	[GGUF_VT_I32] = { "i32", 4 },
	[GGUF_VT_F32] = { "f32", 4 },	[GGUF_VT_BOOL] = { "bool", 1 },
	[GGUF_VT_STR] = { "string", 0 }, [GGUF_VT_ARR] = { "array", 0 },
	[GGUF_VT_U64] = { "u64", 8 },	[GGUF_VT_I64] = { "i64", 8 },
	[GGUF_VT_F64] = { "f64", 8 },
};

uint32_t gguf_vtype_size(uint32_t vtype)
{
	return vtype < sizeof(vtypes) / sizeof(vtypes[0]) ? vtypes[vtype].size : 0;
}

const char *gguf_vtype_name(uint32_t vtype)
{
	return vtype < sizeof(vtypes) / sizeof(vtypes[0]) ? vtypes[vtype].name : "unknown";
}

int gguf_str_cmp(struct gguf_str a, struct gguf_str b)
{
	uint64_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

	if (c)
		return c;
	return a.len < b.len ? -1 : a.len > b.len;
}

uint32_t gguf_version(const struct gguf *g)
{
	return g->version;
}

uint32_t gguf_alignment(const struct gguf *g)
{
	return g->alignment;
}

bool gguf_is_packed(const struct gguf *g)
{
	return g->pack_version;
}

const void *gguf_base(const struct gguf *g, uint64_t *size)
{
	if (size)
		*size = g->size;
	return g->base;
}

uint64_t gguf_data_offset(const struct gguf *g)
{
	return g->data_offset;
}

int gguf_fd(const struct gguf *g)
{
	return g->map.fd;
}

uint64_t gguf_n_kv(const struct gguf *g)
{
	return g->n_kv;
}

const struct gguf_kv *gguf_kv_at(const struct gguf *g, uint64_t i)
{
	return i < g->n_kv ? &g->kv[i] : NULL;
}

const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key)
{
	struct gguf_str want = { key, strlen(key) };
	uint64_t lo = 0, hi = g->n_kv;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int c = gguf_str_cmp(g->kv_sorted[mid]->key, want);

		if (!c)
			return g->kv_sorted[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static int get_kv(const struct gguf *g, const char *key, const struct gguf_kv **out,
		  struct hearth_err *err)
{
	*out = gguf_find_kv(g, key);
	if (!*out)
		return hearth_err_set(err, -ENOENT, "gguf: key '%s' is missing", key);
	return 0;
}

static int wrong_type(const struct gguf_kv *kv, const char *want, struct hearth_err *err)
{
	return hearth_err_set(err, -EINVAL, "gguf: key '%.*s': type %s where %s is needed",
			      GGUF_STR_ARG(kv->key), gguf_vtype_name(kv->type), want);
}

/* The value as sign and magnitude, so that u64 and i64 both fit. */
static int kv_int(const struct gguf_kv *kv, uint64_t *mag, bool *neg, struct hearth_err *err)
{
	int64_t s = 0;

	*mag = 0;
	switch (kv->type) {
	case GGUF_VT_U8:
		*mag = kv->val[0];
		break;
	case GGUF_VT_U16:
		*mag = le_u16(kv->val);
		break;
	case GGUF_VT_U32:
		*mag = le_u32(kv->val);
		break;
	case GGUF_VT_U64:
		*mag = le_u64(kv->val);
		break;
	case GGUF_VT_I8:
		s = (int8_t)kv->val[0];
		break;
	case GGUF_VT_I16:
		s = (int16_t)le_u16(kv->val);
		break;
	case GGUF_VT_I32:
		s = (int32_t)le_u32(kv->val);
		break;
	case GGUF_VT_I64:
		s = (int64_t)le_u64(kv->val);
		break;
	default:
		return wrong_type(kv, "an integer", err);
	}
	*neg = s < 0;
	if (s)
		*mag = s < 0 ? 0 - (uint64_t)s : (uint64_t)s;
	return 0;
}

static int get_uint(const struct gguf *g, const char *key, uint64_t max, uint64_t *out,
		    struct hearth_err *err)
{
	const struct gguf_kv *kv;
	uint64_t mag;
	bool neg = false;
	int ret;

	ret = get_kv(g, key, &kv, err);
	if (ret)
		return ret;
	ret = kv_int(kv, &mag, &neg, err);
	if (ret)
		return ret;
	if (neg || mag > max)
		return hearth_err_set(err, -ERANGE,
				      "gguf: key '%s': value %s%" PRIu64 " is outside 0..%" PRIu64,
				      key, neg ? "-" : "", mag, max);
	*out = mag;
	return 0;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct hearth_err *err)
{
	uint64_t v;
	int ret = get_uint(g, key, UINT32_MAX, &v, err);

	if (!ret)
		*out = v;
	return ret;
}

int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct hearth_err *err)
{
	return get_uint(g, key, UINT64_MAX, out, err);
}

int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct hearth_err *err)
{
	const struct gguf_kv *kv;
	float v;
	int ret;

	ret = get_kv(g, key, &kv, err);
	if (ret)
		return ret;
	if (kv->type == GGUF_VT_F32)
		v = le_f32(kv->val);
	else if (kv->type == GGUF_VT_F64)
		v = (float)le_f64(kv->val);
	else
		return wrong_type(kv, "a float", err);
	if (!isfinite(v))
		return hearth_err_set(err, -ERANGE, "gguf: key '%s': value %g is not a finite f32",
				      key, (double)v);
	*out = v;
	return 0;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct hearth_err *err)
{
	const struct gguf_kv *kv;
	int ret;

	ret = get_kv(g, key, &kv, err);
	if (ret)
		return ret;
	if (kv->type != GGUF_VT_BOOL)
		return wrong_type(kv, "bool", err);
	*out = kv->val[0];
	return 0;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
		 struct hearth_err *err)
{
	const struct gguf_kv *kv;
	int ret;

	ret = get_kv(g, key, &kv, err);
	if (ret)
		return ret;
	if (kv->type != GGUF_VT_STR)
		return wrong_type(kv, "string", err);
	*out = kv->str;
	return 0;
}

int gguf_get_arr(const struct gguf *g, const char *key, enum gguf_vtype type,
		 struct gguf_arr *out, struct hearth_err *err)
{
	const struct gguf_kv *kv;
	int ret;

	ret = get_kv(g, key, &kv, err);
	if (ret)
		return ret;
	if (kv->type != GGUF_VT_ARR)
		return wrong_type(kv, "array", err);
	if (kv->arr.type != type)
		return hearth_err_set(err, -EINVAL,
				      "gguf: key '%s': array of %s where array of %s is needed",
				      key, gguf_vtype_name(kv->arr.type), gguf_vtype_name(type));
	*out = kv->arr;
	return 0;
}

uint32_t gguf_arr_u32(const struct gguf_arr *arr, uint64_t i)
{
	return le_u32(arr->data + 4 * i);
}

float gguf_arr_f32(const struct gguf_arr *arr, uint64_t i)
{
	return le_f32(arr->data + 4 * i);
}

bool gguf_arr_next_str(const struct gguf_arr *arr, uint64_t *pos, struct gguf_str *out)
{
	if (*pos >= arr->len)
		return false;
	out->len = le_u64(arr->data + *pos);
	out->ptr = (const char *)arr->data + *pos + 8;
	*pos += 8 + out->len;
	return true;
}

uint64_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i)
{
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
	struct gguf_str want = { name, strlen(name) };
	uint64_t lo = 0, hi = g->n_tensors;

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		int c = gguf_str_cmp(g->tensors_sorted[mid]->name, want);

		if (!c)
			return g->tensors_sorted[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

int gguf_get_tensor(const struct gguf *g, const char *name, const struct gguf_tensor **out,
		    struct hearth_err *err)
{
	const struct gguf_tensor *t = gguf_find_tensor(g, name);

	if (!t)
		return hearth_err_set(err, -ENOENT, "gguf: tensor '%s' is missing", name);
	if (!t->data)
		return hearth_err_set(err, -EOPNOTSUPP,
				      "gguf: tensor '%s': type %u (%s) is not supported", name,
				      t->type, t->info ? t->info->name : "unknown");
	*out = t;
	return 0;
}
