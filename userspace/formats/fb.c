// SPDX-License-Identifier: MIT
#include "formats/fb.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/le.h"

static int past_end(struct fb *fb, const char *name, uint64_t n, uint64_t pos)
{
	return hearth_err_set(fb->err, -ENODATA,
			      "tflite: %s: %s: %" PRIu64 " bytes at offset %" PRIu64
			      " exceed the file's %" PRIu64 " bytes",
			      fb->where, name, n, pos, fb->size);
}

static bool fits(const struct fb *fb, uint64_t pos, uint64_t n)
{
	return pos <= fb->size && n <= fb->size - pos;
}

static int bad_table(struct fb *fb, const char *name, const char *what, int64_t v, uint64_t pos)
{
	return hearth_err_set(fb->err, -EINVAL,
			      "tflite: %s: %s: table at offset %" PRIu64 ": bad %s %" PRId64,
			      fb->where, name, pos, what, v);
}

static int open_table(struct fb *fb, uint64_t pos, const char *name, struct fb_table *out)
{
	int64_t back, vt;

	if (!fits(fb, pos, 4))
		return past_end(fb, name, 4, pos);
	back = (int32_t)le_u32(fb->base + pos);
	vt = (int64_t)pos - back;
	if (vt < 0 || !fits(fb, vt, 4))
		return bad_table(fb, name, "vtable offset", back, pos);
	out->pos = pos;
	out->vtable = vt;
	out->vtable_len = le_u16(fb->base + vt);
	out->len = le_u16(fb->base + vt + 2);
	if (out->vtable_len < 4 || out->vtable_len % 2 || !fits(fb, vt, out->vtable_len))
		return bad_table(fb, name, "vtable length", out->vtable_len, pos);
	if (out->len < 4 || !fits(fb, pos, out->len))
		return bad_table(fb, name, "table length", out->len, pos);
	return 0;
}

int fb_root(struct fb *fb, const char *ident, struct fb_table *out)
{
	if (fb->size < 8)
		return past_end(fb, "header", 8, 0);
	if (memcmp(fb->base + 4, ident, 4))
		return hearth_err_set(fb->err, -ENOEXEC,
				      "tflite: file identifier '%.4s' is not '%s': not a TFLite file",
				      (const char *)fb->base + 4, ident);
	return open_table(fb, le_u32(fb->base), "root", out);
}

/* *pos is 0 where the field is absent and its default counts. */
static int field(struct fb *fb, const struct fb_table *t, int id, uint32_t size, const char *name,
		 uint64_t *pos)
{
	uint32_t slot = 4 + 2 * (uint32_t)id, off;

	*pos = 0;
	if (!t->pos || slot + 2 > t->vtable_len)
		return 0;
	off = le_u16(fb->base + t->vtable + slot);
	if (!off)
		return 0;
	if (off < 4 || off + size > t->len)
		return bad_table(fb, name, "field offset", off, t->pos);
	*pos = t->pos + off;
	return 0;
}

int fb_i8(struct fb *fb, const struct fb_table *t, int id, const char *name, int def, int *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 1, name, &pos);

	if (!ret)
		*out = pos ? (int8_t)fb->base[pos] : def;
	return ret;
}

int fb_u8(struct fb *fb, const struct fb_table *t, int id, const char *name, int def, int *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 1, name, &pos);

	if (!ret)
		*out = pos ? fb->base[pos] : def;
	return ret;
}

int fb_bool(struct fb *fb, const struct fb_table *t, int id, const char *name, bool def,
	    bool *out)
{
	int v, ret = fb_u8(fb, t, id, name, def, &v);

	if (!ret && v > 1)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: %s: bool value %d is neither 0 nor 1",
				      fb->where, name, v);
	if (!ret)
		*out = v;
	return ret;
}

int fb_i32(struct fb *fb, const struct fb_table *t, int id, const char *name, int32_t def,
	   int32_t *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 4, name, &pos);

	if (!ret)
		*out = pos ? (int32_t)le_u32(fb->base + pos) : def;
	return ret;
}

int fb_u32(struct fb *fb, const struct fb_table *t, int id, const char *name, uint32_t def,
	   uint32_t *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 4, name, &pos);

	if (!ret)
		*out = pos ? le_u32(fb->base + pos) : def;
	return ret;
}

int fb_u64(struct fb *fb, const struct fb_table *t, int id, const char *name, uint64_t def,
	   uint64_t *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 8, name, &pos);

	if (!ret)
		*out = pos ? le_u64(fb->base + pos) : def;
	return ret;
}

int fb_f32(struct fb *fb, const struct fb_table *t, int id, const char *name, float def,
	   float *out)
{
	uint64_t pos;
	int ret = field(fb, t, id, 4, name, &pos);

	if (!ret)
		*out = pos ? le_f32(fb->base + pos) : def;
	return ret;
}

/* Where the offset stored in field @id leads; 0 where the field is absent. */
static int follow(struct fb *fb, const struct fb_table *t, int id, const char *name,
		  uint64_t *target)
{
	uint64_t pos;
	int ret = field(fb, t, id, 4, name, &pos);

	*target = 0;
	if (ret || !pos)
		return ret;
	*target = pos + le_u32(fb->base + pos);
	if (!fits(fb, *target, 4))
		return past_end(fb, name, 4, *target);
	return 0;
}

int fb_sub(struct fb *fb, const struct fb_table *t, int id, const char *name,
	   struct fb_table *out)
{
	uint64_t pos;
	int ret = follow(fb, t, id, name, &pos);

	*out = (struct fb_table){ 0 };
	if (ret || !pos)
		return ret;
	return open_table(fb, pos, name, out);
}

int fb_vec(struct fb *fb, const struct fb_table *t, int id, uint32_t elem, const char *name,
	   struct fb_vec *out)
{
	uint64_t pos;
	int ret = follow(fb, t, id, name, &pos);

	*out = (struct fb_vec){ 0 };
	if (ret || !pos)
		return ret;
	out->n = le_u32(fb->base + pos);
	out->pos = pos + 4;
	if (!fits(fb, out->pos, (uint64_t)out->n * elem))
		return past_end(fb, name, (uint64_t)out->n * elem, out->pos);
	return 0;
}

int fb_walk(struct fb *fb, const struct fb_table *t, int id, uint32_t elem, const char *name,
	    struct fb_vec *out)
{
	int ret = fb_vec(fb, t, id, elem, name, out);
	uint64_t bytes = (uint64_t)out->n * elem;

	if (ret || !out->n)
		return ret;
	if (out->pos % elem)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: %s: vector at offset %" PRIu64
				      " is not aligned to its elements of %u bytes",
				      fb->where, name, out->pos, elem);
	if (bytes > fb->budget)
		return hearth_err_set(fb->err, -EINVAL,
				      "tflite: %s: %s: vectors of the file add up to more than it holds (%"
				      PRIu64 " bytes)", fb->where, name, fb->size);
	fb->budget -= bytes;
	return 0;
}

int fb_vec_table(struct fb *fb, const struct fb_vec *vec, uint32_t i, const char *name,
		 struct fb_table *out)
{
	uint64_t pos = vec->pos + 4ull * i;

	return open_table(fb, pos + le_u32(fb->base + pos), name, out);
}
