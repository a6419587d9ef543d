/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_FB_H
#define HEARTH_FORMATS_FB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * FlatBuffers, read in place. Every offset is held against the file before it
 * is followed; the caller's schema fixes the depth, so nothing recurses.
 */
struct fb {
	const uint8_t *base;
	uint64_t size;
	/*
	 * Tables and vectors may be pointed to from many places, so a small
	 * file could ask for quadratic work. Vectors that are walked are paid
	 * from this budget of bytes.
	 */
	uint64_t budget;
	char where[96];		/* what is being read, for messages: "op 3 (CONV_2D)" */
	struct hearth_err *err;
};

struct fb_table {
	uint64_t pos;		/* 0: absent */
	uint64_t vtable;
	uint16_t vtable_len;
	uint16_t len;
};

struct fb_vec {
	uint64_t pos;		/* of the first element; 0: absent */
	uint32_t n;
};

int fb_root(struct fb *fb, const char *ident, struct fb_table *out);

/*
 * Field @id of @t, or the default when it is absent. @name is the field's name
 * in the schema. 0 or -errno.
 */
int fb_i8(struct fb *fb, const struct fb_table *t, int id, const char *name, int def, int *out);
int fb_u8(struct fb *fb, const struct fb_table *t, int id, const char *name, int def, int *out);
int fb_bool(struct fb *fb, const struct fb_table *t, int id, const char *name, bool def,
	    bool *out);
int fb_i32(struct fb *fb, const struct fb_table *t, int id, const char *name, int32_t def,
	   int32_t *out);
int fb_u32(struct fb *fb, const struct fb_table *t, int id, const char *name, uint32_t def,
	   uint32_t *out);
int fb_u64(struct fb *fb, const struct fb_table *t, int id, const char *name, uint64_t def,
	   uint64_t *out);
int fb_f32(struct fb *fb, const struct fb_table *t, int id, const char *name, float def,
	   float *out);

/* Sub-table and vector; absent ones have pos 0. @elem is the size of an element. */
int fb_sub(struct fb *fb, const struct fb_table *t, int id, const char *name,
	   struct fb_table *out);
int fb_vec(struct fb *fb, const struct fb_table *t, int id, uint32_t elem, const char *name,
	   struct fb_vec *out);
/* A vector that the caller will walk, with elements aligned to their size. */
int fb_walk(struct fb *fb, const struct fb_table *t, int id, uint32_t elem, const char *name,
	    struct fb_vec *out);
/* Element @i of a vector of tables; @i must be below vec->n. */
int fb_vec_table(struct fb *fb, const struct fb_vec *vec, uint32_t i, const char *name,
		 struct fb_table *out);

#endif
