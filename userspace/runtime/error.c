// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "hearth.h"
#include "runtime/error.h"

static _Thread_local char message[512];

const char *hearth_errmsg(void)
{
	return message;
}

int hearth_seterr(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return code;
}

int hearth_seterr_from(const struct hearth_err *err)
{
	return hearth_seterr(err->code, "%s", err->msg);
}
