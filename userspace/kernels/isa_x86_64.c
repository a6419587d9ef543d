// SPDX-License-Identifier: MIT
#include <cpuid.h>
#include <stddef.h>

#include "kernels/float.h"
#include "kernels/int8.h"

/* clang 14 does not know the name. */
static bool has_f16c(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

static bool runs_avx2(void)
{
	/* Asks cpuid, and xgetbv whether the kernel saves the registers. */
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

static bool runs_avx512(void)
{
	return runs_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

const struct hk_isa hk_isas[] = {
	{ "plain", NULL, &hk_float_plain, NULL },
	/* AVX2, FMA, F16C */
	{ "avx2", runs_avx2, &hk_float_avx2, &hk_int8_avx2 },
	/* AVX-512 F, BW, DQ, VL, VNNI */
	{ "avx512", runs_avx512, &hk_float_avx512, &hk_int8_avx2 },
	{ NULL, NULL, NULL, NULL },
};
