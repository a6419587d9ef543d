// SPDX-License-Identifier: MIT
#include <asm/hwcap.h>
#include <stddef.h>
#include <sys/auxv.h>

#include "kernels/float.h"
#include "kernels/int8.h"

/* The kernel tells what all its cores have: a big one's extras do not count. */
static bool runs_dotprod(void)
{
	return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

static bool runs_i8mm(void)
{
	return runs_dotprod() && getauxval(AT_HWCAP2) & HWCAP2_I8MM;
}

const struct hk_isa hk_isas[] = {
	{ "plain", NULL, &hk_float_plain, NULL },
	/* Armv8.2's products of bytes: Cortex-A55, A75 and later */
	{ "dotprod", runs_dotprod, &hk_float_dotprod, &hk_int8_dotprod },
	/* Armv8.6's, of matrices of bytes: Cortex-A510, A710, X2 and later */
	{ "i8mm", runs_i8mm, &hk_float_i8mm, &hk_int8_i8mm },
	{ NULL, NULL, NULL, NULL },
};
