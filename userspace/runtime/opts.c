// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/opts.h"

#define MAX_OPTS	4096

int hearth_opts_copy(void *dst, size_t size, const void *src, const char *name)
{
	const unsigned char *p = src;
	size_t sz, i;

	memset(dst, 0, size);
	if (!src)
		return 0;
	memcpy(&sz, src, sizeof(sz));
	if (sz < sizeof(sz) || sz > MAX_OPTS)
		return hearth_seterr(-EINVAL,
				     "%s.sz is %zu: use HEARTH_OPTS()", name, sz);
	for (i = size; i < sz; i++)
		if (p[i])
			return hearth_seterr(-E2BIG,
					     "%s has options that this library does not know",
					     name);
	memcpy(dst, src, sz < size ? sz : size);
	return 0;
}

int hearth_opts_give(void *to, const void *from, size_t size, const char *name)
{
	size_t sz;

	memcpy(&sz, to, sizeof(sz));
	if (sz < sizeof(sz) || sz > MAX_OPTS)
		return hearth_seterr(-EINVAL, "%s.sz is %zu: use HEARTH_OPTS()", name, sz);
	memset(to, 0, sz);
	memcpy(to, from, sz < size ? sz : size);
	memcpy(to, &sz, sizeof(sz));
	return 0;
}
