// SPDX-License-Identifier: MIT
/* The tensor table: shapes, quantization and the data of constants. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/le.h"
#include "formats/tflite_internal.h"

static int read_dims(struct fb *fb, const struct fb_vec *v, struct tflite_tensor *t)
{
	if (v->n > TFLITE_MAX_RANK)
		return hearth_err_set(fb->err, -EOPNOTSUPP,
				      "tflite: %s: shape: rank %u exceeds the limit of %u",
				      fb->where, v->n, TFLITE_MAX_RANK);
	t->rank = v->n;
	t->n_elems = 1;
	for (uint32_t i = 0; i < TFLITE_MAX_RANK; i++) {
		t->shape[i] = i < v->n ? (int32_t)le_u32(fb->base + v->pos + 4 * i) : 1;
		if (t->shape[i] < 0)
			return hearth_err_set(fb->err, -ERANGE,
					      "tflite: %s: shape[%u]: %d is negative", fb->where,
					      i, t->shape[i]);
		if (__builtin_mul_overflow(t->n_elems, (uint64_t)t->shape[i], &t->n_elems))
			return hearth_err_set(fb->err, -EOVERFLOW,
					      "tflite: %s: shape[%u]: %d makes more than 2^64 elements",
					      fb->where, i, t->shape[i]);
	}
	return 0;
}

static int read_type(struct fb *fb, const struct fb_table *tt, struct tflite_tensor *t)
{
	uint64_t bits;
	int ret, per;

	ret = fb_i8(fb, tt, 1, "type", 0, &t->type);
	if (ret)
		return ret;
	per = tflite_type_bits(t->type);
	if (per < 0)
		return hearth_err_set(fb->err, -EOPNOTSUPP, "tflite: %s: type %d is not supported",
				      fb->where, t->type);
	if (__builtin_mul_overflow(t->n_elems, (uint64_t)per, &bits) || bits > UINT64_MAX - 7)
		return hearth_err_set(fb->err, -EOVERFLOW,
				      "tflite: %s: %" PRIu64 " elements of %s exceed 2^61 bytes",
				      fb->where, t->n_elems, tflite_type_name(t->type));
	t->nbytes = (bits + 7) / 8;
	return 0;
}

static int read_shape(struct fb *fb, const struct fb_table *tt, struct tflite_tensor *t)
{
	struct fb_vec v;
	int ret;

	ret = fb_vec(fb, tt, 0, 4, "shape", &v);
	if (!ret)
		ret = read_dims(fb, &v, t);
	if (!ret)
		ret = fb_vec(fb, tt, 7, 4, "shape_signature", &v);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < v.n && i < TFLITE_MAX_RANK; i++)
		t->dynamic |= (int32_t)le_u32(fb->base + v.pos + 4 * i) < 0;
	return 0;
}

static int check_zero_points(struct fb *fb, const struct tflite_tensor *t)
{
	int64_t lo, hi;

	switch (t->type) {
	case TFLITE_INT8:
		lo = INT8_MIN, hi = INT8_MAX;
		break;
	case TFLITE_UINT8:
		lo = 0, hi = UINT8_MAX;
		break;
	case TFLITE_INT16:
		lo = INT16_MIN, hi = INT16_MAX;
		break;
	default:
		lo = INT32_MIN, hi = INT32_MAX;
	}
	for (uint32_t i = 0; i < t->n_scales; i++)
		if (t->zero_point[i] < lo || t->zero_point[i] > hi)
			return hearth_err_set(fb->err, -ERANGE,
					      "tflite: %s: zero_point[%u]: %" PRId64
					      " is outside %" PRId64 "..%" PRId64 " of %s",
					      fb->where, i, t->zero_point[i], lo, hi,
					      tflite_type_name(t->type));
	return 0;
}

static int check_scales(struct fb *fb, const struct tflite_tensor *t)
{
	for (uint32_t i = 0; i < t->n_scales; i++)
		if (!(t->scale[i] >= 0 && isfinite(t->scale[i])))
			return hearth_err_set(fb->err, -ERANGE,
					      "tflite: %s: scale[%u]: %g is not a finite number >= 0",
					      fb->where, i, (double)t->scale[i]);
	return 0;
}

/* The rules of TFLite's interpreter, so that both refuse the same files. */
static int check_quant(struct fb *fb, const struct tflite_tensor *t, uint32_t n_zero_points,
		       int32_t dim)
{
	if (n_zero_points != t->n_scales)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: zero_point has %u entries where scale has %u",
				      fb->where, n_zero_points, t->n_scales);
	if (dim < 0 || (t->rank && (uint32_t)dim >= t->rank))
		return hearth_err_set(fb->err, -ERANGE,
				      "tflite: %s: quantized_dimension %d is outside 0..%d (rank %u)",
				      fb->where, dim, (int)t->rank - 1, t->rank);
	if (t->n_scales != 1 && (!t->rank || t->n_scales != (uint32_t)t->shape[dim]))
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: scale has %u entries where dimension %d has %d",
				      fb->where, t->n_scales, dim, t->rank ? t->shape[dim] : 1);
	return 0;
}

static int read_quant(struct fb *fb, const struct fb_table *tt, struct tflite_tensor *t)
{
	struct fb_vec scale, zero;
	struct fb_table q;
	int32_t dim = 0;
	int ret, details = 0;

	ret = fb_sub(fb, tt, 4, "quantization", &q);
	if (!ret)
		ret = fb_u8(fb, &q, 4, "quantization.details", 0, &details);
	if (!ret)
		ret = fb_walk(fb, &q, 2, 4, "quantization.scale", &scale);
	if (!ret)
		ret = fb_walk(fb, &q, 3, 8, "quantization.zero_point", &zero);
	if (!ret)
		ret = fb_i32(fb, &q, 6, "quantized_dimension", 0, &dim);
	if (ret)
		return ret;
	/* 1 is a free-form annotation, which TFLite ignores too. */
	if (details > 1)
		return hearth_err_set(fb->err, -EOPNOTSUPP,
				      "tflite: %s: quantization.details: kind %d (block-wise or multi-axis) is not supported",
				      fb->where, details);
	if (!scale.n)
		return 0;
	t->n_scales = scale.n;
	ret = check_quant(fb, t, zero.n, dim);
	if (ret)
		return ret;
	t->quant_dim = dim;
	t->scale = (const float *)(fb->base + scale.pos);
	t->zero_point = (const int64_t *)(fb->base + zero.pos);
	ret = check_scales(fb, t);
	return ret ? ret : check_zero_points(fb, t);
}

/* Data inside the FlatBuffer, or (files beyond 2 GB) behind it. */
static int find_data(struct fb *fb, const struct fb_table *buf, uint64_t *pos, uint64_t *len)
{
	struct fb_vec v;
	int ret;

	ret = fb_vec(fb, buf, 0, 1, "buffer.data", &v);
	*pos = v.pos;
	*len = v.n;
	if (ret || v.n)
		return ret;
	ret = fb_u64(fb, buf, 1, "buffer.offset", 0, pos);
	if (!ret)
		ret = fb_u64(fb, buf, 2, "buffer.size", 0, len);
	if (ret)
		return ret;
	if (*pos <= 1)
		*len = 0;
	else if (*pos > fb->size || *len > fb->size - *pos)
		return hearth_err_set(fb->err, -ENODATA,
				      "tflite: %s: buffer.offset %" PRIu64 " + %" PRIu64
				      " bytes exceeds the file's %" PRIu64 " bytes",
				      fb->where, *pos, *len, fb->size);
	return 0;
}

static int set_data(struct fb *fb, struct tflite_tensor *t, uint64_t pos, uint64_t len)
{
	uint32_t bytes = (uint32_t)tflite_type_bits(t->type) / 8;
	uint32_t align = bytes < 4 ? bytes : 4;

	if (t->is_variable)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: a variable with a buffer of %" PRIu64 " bytes",
				      fb->where, len);
	if (t->nbytes != len && tflite_type_bits(t->type))
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: buffer of %" PRIu64
				      " bytes where shape and type need %" PRIu64,
				      fb->where, len, t->nbytes);
	if (align > 1 && pos % align)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: data at offset %" PRIu64
				      " is not aligned to %u bytes for %s",
				      fb->where, pos, align, tflite_type_name(t->type));
	t->is_const = true;
	t->data = fb->base + pos;
	t->data_len = len;
	t->file_offset = pos;
	return 0;
}

static int read_data(struct fb *fb, const struct fb_table *tt, const struct fb_vec *buffers,
		     struct tflite_tensor *t)
{
	struct fb_table buf;
	uint32_t index, external;
	uint64_t pos, len;
	int ret;

	ret = fb_u32(fb, tt, 10, "external_buffer", 0, &external);
	if (!ret)
		ret = fb_u32(fb, tt, 2, "buffer", 0, &index);
	if (ret)
		return ret;
	if (external)
		return hearth_err_set(fb->err, -EOPNOTSUPP,
				      "tflite: %s: external_buffer %u: data in other files is not supported",
				      fb->where, external);
	if (index && index >= buffers->n)
		return hearth_err_set(fb->err, -ERANGE,
				      "tflite: %s: buffer %u is outside the file's %u buffers",
				      fb->where, index, buffers->n);
	if (!index)
		return 0;
	ret = fb_vec_table(fb, buffers, index, "buffer", &buf);
	if (!ret)
		ret = find_data(fb, &buf, &pos, &len);
	if (ret || !len)
		return ret;
	return set_data(fb, t, pos, len);
}

static int read_tensor(struct fb *fb, const struct fb_table *tt, const struct fb_vec *buffers,
		       struct tflite_tensor *t)
{
	struct fb_table sparsity;
	int ret;

	ret = read_shape(fb, tt, t);
	if (!ret)
		ret = read_type(fb, tt, t);
	if (!ret)
		ret = read_quant(fb, tt, t);
	if (!ret)
		ret = fb_bool(fb, tt, 5, "is_variable", false, &t->is_variable);
	if (!ret)
		ret = fb_sub(fb, tt, 6, "sparsity", &sparsity);
	if (ret)
		return ret;
	if (sparsity.pos)
		return hearth_err_set(fb->err, -EOPNOTSUPP,
				      "tflite: %s: sparsity: sparse tensors are not supported",
				      fb->where);
	return read_data(fb, tt, buffers, t);
}

static int read_named(struct fb *fb, const struct fb_vec *vec, uint32_t i,
		      const struct fb_vec *buffers, struct tflite_tensor *t)
{
	struct fb_table tt;
	struct fb_vec name;
	int ret;

	snprintf(fb->where, sizeof(fb->where), "tensor %u", i);
	ret = fb_vec_table(fb, vec, i, "tensors", &tt);
	if (!ret)
		ret = fb_vec(fb, &tt, 3, 1, "name", &name);
	if (ret)
		return ret;
	t->name = tflite_view(fb, &name);
	snprintf(fb->where, sizeof(fb->where), "tensor %u '%.*s'", i, TFLITE_STR_ARG(t->name));
	return read_tensor(fb, &tt, buffers, t);
}

int tflite_read_tensors(struct fb *fb, const struct fb_table *graph, const struct fb_vec *buffers,
			struct tflite_model *m)
{
	struct fb_vec vec;
	int ret;

	ret = fb_walk(fb, graph, 0, 4, "tensors", &vec);
	if (ret)
		return ret;
	m->tensors = calloc((size_t)vec.n + 1, sizeof(*m->tensors));
	if (!m->tensors)
		return hearth_err_set(fb->err, -ENOMEM, "tflite: no memory for %u tensors", vec.n);
	m->n_tensors = vec.n;
	for (uint32_t i = 0; i < vec.n; i++) {
		ret = read_named(fb, &vec, i, buffers, &m->tensors[i]);
		if (ret)
			return ret;
	}
	return 0;
}
