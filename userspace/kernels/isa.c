// SPDX-License-Identifier: MIT
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/exec.h"
#include "kernels/float.h"
#include "kernels/int8.h"
#include "kernels/isa.h"

static const struct hk_isa hk_isas[] = {
	{ "plain", HK_ISA_PLAIN, &hk_float_plain, NULL },
#if defined(__x86_64__)
	{ "avx2", HK_ISA_AVX2, &hk_float_avx2, &hk_int8_avx2 },
	{ "avx512", HK_ISA_AVX512, &hk_float_avx512, &hk_int8_avx2 },
#endif
};

#define HK_ISAS (sizeof(hk_isas) / sizeof(hk_isas[0]))

#if defined(__x86_64__)
/* clang 14 does not know the name. */
static bool has_f16c(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

static bool cpu_runs(enum hk_isa_level level)
{
	switch (level) {
	case HK_ISA_PLAIN:
		return true;
#if defined(__x86_64__)
	case HK_ISA_AVX2:
		/* Asks cpuid, and xgetbv whether the kernel saves the registers. */
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
		       has_f16c();
	case HK_ISA_AVX512:
		return cpu_runs(HK_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
		       __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512dq") &&
		       __builtin_cpu_supports("avx512vl") &&
		       __builtin_cpu_supports("avx512vnni");
#endif
	default:
		return false;
	}
}

const struct hk_isa *hk_isa_list(unsigned int i)
{
	for (size_t k = 0; k < HK_ISAS; k++) {
		if (cpu_runs(hk_isas[k].level) && i-- == 0)
			return &hk_isas[k];
	}
	return NULL;
}

const struct hk_isa *hk_isa_by_name(const char *name)
{
	const struct hk_isa *isa;

	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++) {
		if (!strcmp(isa->name, name))
			return isa;
	}
	return NULL;
}

const struct hk_isa *hk_isa_best(void)
{
	const char *name = getenv("HEARTH_ISA");
	const struct hk_isa *isa, *best = NULL;

	if (name && *name)
		return hk_isa_by_name(name);
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++)
		best = isa;
	return best;
}

const char *hk_isa_name(const struct hk_isa *isa)
{
	return isa->name;
}
