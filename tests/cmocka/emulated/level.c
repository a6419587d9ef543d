// SPDX-License-Identifier: MIT
/*
 * A level whose MATMUL is avx512's, on emulated instructions; the rest is plain C.
 */
#include "kernels/exec.h"
#include "kernels/float.h"

void hk_matmul_emulated(const struct hk_matmul *m, uint32_t first, uint32_t last);
void hk_matmul_plain_emulated(const struct hk_matmul *m, uint32_t first, uint32_t last);
const struct hk_isa *emulated_isa_list(unsigned int i);

void hk_matmul_plain_emulated(const struct hk_matmul *m, uint32_t first, uint32_t last)
{
	hk_float_plain.matmul(m, first, last);
}

/* For hk_isa_list() of a test: plain C, and this. */
const struct hk_isa *emulated_isa_list(unsigned int i)
{
	static struct hk_float_kernels flt;
	static const struct hk_isa emulated = { .name = "emulated avx512", .flt = &flt };

	flt = hk_float_plain;
	flt.matmul = hk_matmul_emulated;
	return i == 0 ? hk_isa_list(0) : i == 1 ? &emulated : NULL;
}
