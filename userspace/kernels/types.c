// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stddef.h>

#include "kernels/exec.h"
#include "kernels/r8.h"
#include "kernels/types.h"

static const struct hk_type hk_type_table[HEARTH_TYPE_COUNT] = {
	[HEARTH_TYPE_F32] = { "f32", 1, 4, 0, false },
	[HEARTH_TYPE_F16] = { "f16", 1, 2, 0, false },
	[HEARTH_TYPE_BF16] = { "bf16", 1, 2, 0, false },
	[HEARTH_TYPE_I8] = { "i8", 1, 1, 0, false },
	[HEARTH_TYPE_U8] = { "u8", 1, 1, 0, false },
	[HEARTH_TYPE_I16] = { "i16", 1, 2, 0, false },
	[HEARTH_TYPE_I32] = { "i32", 1, 4, 0, false },
	[HEARTH_TYPE_Q4_0] = { "q4_0", 32, 18, 32, false },
	[HEARTH_TYPE_Q4_1] = { "q4_1", 32, 20, 32, true },
	[HEARTH_TYPE_Q5_0] = { "q5_0", 32, 22, 32, false },
	[HEARTH_TYPE_Q5_1] = { "q5_1", 32, 24, 32, true },
	[HEARTH_TYPE_Q8_0] = { "q8_0", 32, 34, 32, false },
	[HEARTH_TYPE_Q2_K] = { "q2_k", 256, 84, 16, true },
	[HEARTH_TYPE_Q3_K] = { "q3_k", 256, 110, 16, false },
	[HEARTH_TYPE_Q4_K] = { "q4_k", 256, 144, 32, true },
	[HEARTH_TYPE_Q5_K] = { "q5_k", 256, 176, 32, true },
	[HEARTH_TYPE_Q6_K] = { "q6_k", 256, 210, 16, false },
	[HEARTH_TYPE_IQ4_NL] = { "iq4_nl", 32, 18, 32, false },
	[HEARTH_TYPE_IQ4_XS] = { "iq4_xs", 256, 136, 32, false },
	[HEARTH_TYPE_MXFP4] = { "mxfp4", 32, 17, 32, false },
	[HEARTH_TYPE_Q4_0_R8] = { "q4_0_r8", 32, 18, 32, false, HEARTH_TYPE_Q4_0 },
	[HEARTH_TYPE_Q8_0_R8] = { "q8_0_r8", 32, 34, 32, false, HEARTH_TYPE_Q8_0 },
	[HEARTH_TYPE_Q4_K_R8] = { "q4_k_r8", 256, 144, 32, true, HEARTH_TYPE_Q4_K },
	[HEARTH_TYPE_Q5_K_R8] = { "q5_k_r8", 256, 176, 32, true, HEARTH_TYPE_Q5_K },
	[HEARTH_TYPE_Q6_K_R8] = { "q6_k_r8", 256, 210, 16, false, HEARTH_TYPE_Q6_K },
};

const struct hk_type *hk_type(unsigned int type)
{
	if (type >= HEARTH_TYPE_COUNT || !hk_type_table[type].name)
		return NULL;
	return &hk_type_table[type];
}

bool hk_type_is_weights(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	return t && (t->unit || type == HEARTH_TYPE_F32 || type == HEARTH_TYPE_F16 ||
		     type == HEARTH_TYPE_BF16);
}

uint32_t hk_group_rows(unsigned int type)
{
	return hk_type(type)->r8 ? HK_R8_ROWS : 1;
}

uint64_t hk_row_bytes(unsigned int type, uint64_t n)
{
	const struct hk_type *t = hk_type(type);

	return n % t->elements ? 0 : n / t->elements * t->bytes;
}

uint64_t hk_types_mask(void)
{
	uint64_t mask = 0;

	for (unsigned int i = 0; i < HEARTH_TYPE_COUNT; i++) {
		if (hk_type(i) && i != HEARTH_TYPE_I16)
			mask |= 1ull << i;
	}
	return mask;
}

const char *hk_type_name(unsigned int type)
{
	const struct hk_type *t = hk_type(type);

	return t ? t->name : NULL;
}

int hk_type_block(unsigned int type, unsigned int *elements, unsigned int *bytes)
{
	const struct hk_type *t = hk_type(type);

	if (!t)
		return -EINVAL;
	*elements = t->elements;
	*bytes = t->bytes;
	return 0;
}
