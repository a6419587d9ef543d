// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/hearth_accel.h>

#include "hearth_uobj.h"

void *hearth_array_copy_in(const struct drm_hearth_array *array, size_t min_size,
			   size_t size, u32 max)
{
	const char __user *src = u64_to_user_ptr(array->array);
	void *dst;
	int ret;
	u32 i;

	if (!array->count)
		return NULL;
	if (array->stride < min_size)
		return ERR_PTR(-EINVAL);
	if (array->count > max || array->stride > PAGE_SIZE)
		return ERR_PTR(-E2BIG);

	dst = kvmalloc_array(array->count, size, GFP_KERNEL_ACCOUNT);
	if (!dst)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < array->count; i++) {
		ret = copy_struct_from_user(dst + i * size, size,
					    src + (u64)i * array->stride, array->stride);
		if (ret) {
			kvfree(dst);
			return ERR_PTR(ret);
		}
	}
	return dst;
}
