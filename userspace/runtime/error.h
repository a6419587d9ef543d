/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_ERROR_H
#define HEARTH_RUNTIME_ERROR_H

struct hearth_err;

/*
 * Set what hearth_errmsg() tells this thread and return @code, a negative
 * errno, so that a check reads "return hearth_seterr(-EINVAL, ...)".
 */
__attribute__((format(printf, 2, 3)))
int hearth_seterr(int code, const char *fmt, ...);

/* The same with the message that an inner layer left in @err. */
int hearth_seterr_from(const struct hearth_err *err);

#endif
