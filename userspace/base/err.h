/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_BASE_ERR_H
#define HEARTH_BASE_ERR_H

#include <errno.h>

/*
 * The reason of a failure, filled by the function that found it. A caller
 * that does not care passes NULL.
 */
struct hearth_err {
	int code;
	char msg[256];
};

/*
 * Store @code (a negative errno) and the formatted message in @e and return
 * @code, so that a check reads "return hearth_err_set(e, -EINVAL, ...)".
 * Bytes outside printable ASCII are shown as '?': names come from files.
 */
__attribute__((format(printf, 3, 4)))
int hearth_err_set(struct hearth_err *e, int code, const char *fmt, ...);

#endif
