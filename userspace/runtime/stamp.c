// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/error.h"
#include "runtime/stamp.h"

int hearth_stamp_take(int fd, struct hearth_stamp *s)
{
	struct stat st;

	if (fstat(fd, &st))
		return hearth_seterr(-errno, "weights file: %s", strerror(errno));
	s->bytes = st.st_size;
	s->mtime = st.st_mtim;
	return 0;
}

int hearth_stamp_check(int fd, const struct hearth_stamp *s)
{
	struct hearth_stamp now;
	int ret = hearth_stamp_take(fd, &now);

	if (ret)
		return ret;
	if (now.bytes != s->bytes)
		return hearth_seterr(-ESTALE,
				     "the weights file had %llu bytes when it was opened and has %llu: open it anew",
				     (unsigned long long)s->bytes,
				     (unsigned long long)now.bytes);
	if (now.mtime.tv_sec != s->mtime.tv_sec || now.mtime.tv_nsec != s->mtime.tv_nsec)
		return hearth_seterr(-ESTALE,
				     "the weights file was written after it was opened: open it anew");
	return 0;
}
