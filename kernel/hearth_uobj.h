/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_UOBJ_H__
#define __HEARTH_UOBJ_H__

#include <linux/types.h>

struct drm_hearth_array;

/*
 * Copies a user's array into a new one of elements of @size bytes (kvfree()
 * it). A longer stride is accepted if the excess is zero, a shorter one down
 * to @min_size is padded with zeros. An empty array gives NULL.
 *
 * -E2BIG for more than @max elements or non-zero excess, -EINVAL for a stride
 * below @min_size.
 */
void *hearth_array_copy_in(const struct drm_hearth_array *array, size_t min_size,
			   size_t size, u32 max);

#endif /* __HEARTH_UOBJ_H__ */
