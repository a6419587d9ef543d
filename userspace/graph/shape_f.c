// SPDX-License-Identifier: MIT
/*
 * Checks of the ops of transformers.
 */
#include <errno.h>
#include <math.h>

#include "graph/shape.h"
#include "kernels/exec.h"
#include "kernels/types.h"

static int want_f32(const struct hg_check *c, const struct hg_tensor *a,
		    const struct hg_tensor *b)
{
	int ret = hg_want_type(c, a, HEARTH_TYPE_F32);

	return ret ? ret : hg_want_type(c, b, HEARTH_TYPE_F32);
}

/* i32, one for each of @rows */
static int want_indices(const struct hg_check *c, const struct hg_tensor *t, uint64_t rows)
{
	int ret = hg_want_type(c, t, HEARTH_TYPE_I32);

	if (ret || t->elements == rows)
		return ret;
	return hg_refuse(c->op, -EINVAL, "'%s' is %s: %llu are wanted, one per row", t->name,
			 hg_shape(t).s, (unsigned long long)rows);
}

/* A matrix of weights, in whole groups of rows if its type has such */
static int want_matrix(const struct hg_check *c, const struct hg_tensor *t)
{
	uint32_t group = hk_group_rows(t->type);
	int ret = hg_want_rank(c, t, 2);

	if (!ret)
		ret = hg_want_weights(c, t);
	if (ret || !(t->dims[0] % group))
		return ret;
	return hg_refuse(c->op, -EINVAL,
			 "'%s' %s is of type %s: a multiple of %u rows is wanted", t->name,
			 hg_shape(t).s, hk_type_name(t->type), group);
}

int hg_check_get_rows(const struct hg_check *c)
{
	const struct hg_tensor *table = c->in[0], *ids = c->in[1];
	uint32_t dims[2];
	int ret = want_matrix(c, table);

	if (!ret)
		ret = want_indices(c, ids, ids->elements);
	if (!ret)
		ret = hg_want_type(c, c->out, HEARTH_TYPE_F32);
	if (ret)
		return ret;
	dims[0] = ids->elements;
	dims[1] = table->dims[1];
	return hg_want_dims(c, c->out, 2, dims);
}

int hg_check_matmul(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *w = c->in[1];
	uint32_t dims[2];
	int ret = hg_want_rank(c, src, 2);

	if (!ret)
		ret = want_f32(c, src, c->out);
	if (!ret)
		ret = want_matrix(c, w);
	if (ret)
		return ret;
	if (src->dims[1] != w->dims[1])
		return hg_refuse(c->op, -EINVAL,
				 "input '%s' %s and weights '%s' %s: their last dimensions differ",
				 src->name, hg_shape(src).s, w->name, hg_shape(w).s);
	dims[0] = src->dims[0];
	dims[1] = w->dims[0];
	return hg_want_dims(c, c->out, 2, dims);
}

int hg_check_rms_norm(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0], *gain = c->in[1];
	int ret = want_f32(c, src, c->out);

	if (!ret)
		ret = hg_want_type(c, gain, HEARTH_TYPE_F32);
	if (ret)
		return ret;
	if (gain->elements != hg_last_dim(src))
		return hg_refuse(c->op, -EINVAL, "gains '%s' are %s: %u are wanted", gain->name,
				 hg_shape(gain).s, hg_last_dim(src));
	if (!isfinite(c->o->eps) || c->o->eps < 0)
		return hg_refuse(c->op, -EINVAL, "eps is %g", (double)c->o->eps);
	return hg_want_same_shape(c, c->out, src);
}

/* Cosines and sines of @rows positions, or of some, for a part of each head */
static int check_turns(const struct hg_check *c, const struct hg_tensor *t, uint32_t rows,
		       uint32_t head_dim)
{
	int ret = hg_want_rank(c, t, 2);

	if (!ret)
		ret = hg_want_type(c, t, HEARTH_TYPE_F32);
	if (ret)
		return ret;
	if (rows && t->dims[0] != rows)
		return hg_refuse(c->op, -EINVAL, "table '%s' is %s: %u rows are wanted", t->name,
				 hg_shape(t).s, rows);
	if (t->dims[1] % 2 || t->dims[1] > head_dim)
		return hg_refuse(c->op, -EINVAL,
				 "table '%s' is %s: rows of an even number, at most %u, are wanted",
				 t->name, hg_shape(t).s, head_dim);
	if (c->o->rope_halves > 1)
		return hg_refuse(c->op, -EINVAL, "rope_halves is %u", c->o->rope_halves);
	return 0;
}

int hg_check_rope(const struct hg_check *c)
{
	const struct hg_tensor *x = c->in[0], *pos = c->in[2];
	int ret = hg_want_rank(c, x, 3);

	if (!ret)
		ret = want_f32(c, x, c->out);
	if (!ret && pos)
		ret = want_indices(c, pos, x->dims[0]);
	if (!ret)
		ret = check_turns(c, c->in[1], pos ? 0 : x->dims[0], x->dims[2]);
	return ret ? ret : hg_want_same_shape(c, c->out, x);
}

/* A cache (kv_heads, n_ctx, head_dim) */
static int want_cache(const struct hg_check *c, const struct hg_tensor *t)
{
	if (t->role != HEARTH_TENSOR_STATE)
		return hg_refuse(c->op, -EINVAL, "'%s' is not a state", t->name);
	if (t->type != HEARTH_TYPE_F16 && t->type != HEARTH_TYPE_F32 &&
	    t->type != HEARTH_TYPE_Q8_0)
		return hg_refuse(c->op, -EINVAL, "'%s' is of type %s: f16, f32 or q8_0 is wanted",
				 t->name, hk_type_name(t->type));
	return hg_want_rank(c, t, 3);
}

int hg_check_kv_write(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0];
	uint32_t dims[3];
	int ret = hg_want_rank(c, src, 3);

	if (!ret)
		ret = hg_want_type(c, src, HEARTH_TYPE_F32);
	if (!ret)
		ret = want_indices(c, c->in[1], src->dims[0]);
	if (!ret)
		ret = want_cache(c, c->out);
	if (ret)
		return ret;
	dims[0] = src->dims[1];
	dims[1] = c->out->dims[1];
	dims[2] = src->dims[2];
	return hg_want_dims(c, c->out, 3, dims);
}

static int check_caches(const struct hg_check *c)
{
	const struct hg_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
	int ret = want_cache(c, k);

	if (!ret)
		ret = want_cache(c, v);
	if (!ret)
		ret = hg_want_same_shape(c, v, k);
	if (!ret)
		ret = hg_want_type(c, v, k->type);
	if (ret)
		return ret;
	if (q->dims[1] % k->dims[0] || q->dims[2] != k->dims[2])
		return hg_refuse(c->op, -EINVAL,
				 "queries '%s' %s and keys '%s' %s: %u heads must be a multiple of %u, and their sizes the same",
				 q->name, hg_shape(q).s, k->name, hg_shape(k).s, q->dims[1],
				 k->dims[0]);
	return 0;
}

int hg_check_attention(const struct hg_check *c)
{
	const struct hg_tensor *q = c->in[0];
	int ret = hg_want_rank(c, q, 3);

	if (!ret)
		ret = want_f32(c, q, c->out);
	if (!ret)
		ret = want_indices(c, c->in[3], q->dims[0]);
	if (!ret)
		ret = check_caches(c);
	if (ret)
		return ret;
	if (c->o->scale == 0)
		c->o->scale = 1.0f / sqrtf((float)q->dims[2]);
	if (!isfinite(c->o->scale))
		return hg_refuse(c->op, -EINVAL, "scale is %g", (double)c->o->scale);
	if (!isfinite(c->o->softcap) || c->o->softcap < 0)
		return hg_refuse(c->op, -EINVAL, "softcap is %g", (double)c->o->softcap);
	if (c->o->window > HEARTH_CMD_MAX_DIM)
		return hg_refuse(c->op, -EINVAL, "window is %u: at most %u", c->o->window,
				 HEARTH_CMD_MAX_DIM);
	return hg_want_same_shape(c, c->out, q);
}

int hg_check_glu(const struct hg_check *c)
{
	int ret = want_f32(c, c->in[0], c->in[1]);

	if (!ret)
		ret = hg_want_type(c, c->out, HEARTH_TYPE_F32);
	if (!ret)
		ret = hg_want_same_shape(c, c->in[1], c->in[0]);
	return ret ? ret : hg_want_same_shape(c, c->out, c->in[0]);
}

int hg_check_softcap(const struct hg_check *c)
{
	int ret = want_f32(c, c->in[0], c->out);

	if (ret)
		return ret;
	if (!isfinite(c->o->softcap) || !(c->o->softcap > 0))
		return hg_refuse(c->op, -EINVAL, "softcap is %g", (double)c->o->softcap);
	return hg_want_same_shape(c, c->out, c->in[0]);
}

int hg_check_kv_shift(const struct hg_check *c)
{
	int ret = want_indices(c, c->in[0], 3);

	if (!ret)
		ret = want_cache(c, c->out);
	if (ret || !c->in[1])
		return ret;
	return check_turns(c, c->in[1], c->out->dims[1], c->out->dims[2]);
}

int hg_check_argmax(const struct hg_check *c)
{
	const struct hg_tensor *src = c->in[0];
	int ret = hg_want_type(c, src, HEARTH_TYPE_F32);

	return ret ? ret : want_indices(c, c->out, src->elements / hg_last_dim(src));
}
