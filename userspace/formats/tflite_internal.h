/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_TFLITE_INTERNAL_H
#define HEARTH_FORMATS_TFLITE_INTERNAL_H

#include "formats/fb.h"
#include "formats/tflite.h"

/* Decode the builtin options of @op from its table. @op->code is set. */
int tflite_read_options(struct fb *fb, const struct fb_table *t, struct tflite_op *op);
int tflite_read_tensors(struct fb *fb, const struct fb_table *graph, const struct fb_vec *buffers,
			struct tflite_model *m);

#define TFLITE_STR_ARG(s) (int)((s).len < 80 ? (s).len : 80), (s).ptr

static inline struct tflite_str tflite_view(const struct fb *fb, const struct fb_vec *v)
{
	return (struct tflite_str){ v->pos ? (const char *)fb->base + v->pos : "", v->n };
}

#endif
