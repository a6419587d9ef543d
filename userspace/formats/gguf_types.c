// SPDX-License-Identifier: MIT
#include "formats/gguf.h"

#include <stddef.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * A block is the unit of a quantized type: this many elements in this many
 * bytes, scales included. Types without numbers are named for messages only.
 */
static const struct gguf_type_info types[] = {
	[GGUF_TYPE_F32] = { "F32", 1, 4 },
	[GGUF_TYPE_F16] = { "F16", 1, 2 },
	[GGUF_TYPE_Q4_0] = { "Q4_0", 32, 18 },
	[GGUF_TYPE_Q4_1] = { "Q4_1", 32, 20 },
	[GGUF_TYPE_Q5_0] = { "Q5_0", 32, 22 },
	[GGUF_TYPE_Q5_1] = { "Q5_1", 32, 24 },
	[GGUF_TYPE_Q8_0] = { "Q8_0", 32, 34 },
	[9] = { "Q8_1", 0, 0 },
	[GGUF_TYPE_Q2_K] = { "Q2_K", 256, 84 },
	[GGUF_TYPE_Q3_K] = { "Q3_K", 256, 110 },
	[GGUF_TYPE_Q4_K] = { "Q4_K", 256, 144 },
	[GGUF_TYPE_Q5_K] = { "Q5_K", 256, 176 },
	[GGUF_TYPE_Q6_K] = { "Q6_K", 256, 210 },
	[15] = { "Q8_K", 0, 0 },
	[16] = { "IQ2_XXS", 0, 0 },
	[17] = { "IQ2_XS", 0, 0 },
	[18] = { "IQ3_XXS", 0, 0 },
	[19] = { "IQ1_S", 0, 0 },
	[GGUF_TYPE_IQ4_NL] = { "IQ4_NL", 32, 18 },
	[21] = { "IQ3_S", 0, 0 },
	[22] = { "IQ2_S", 0, 0 },
	[GGUF_TYPE_IQ4_XS] = { "IQ4_XS", 256, 136 },
	[24] = { "I8", 0, 0 },
	[25] = { "I16", 0, 0 },
	[26] = { "I32", 0, 0 },
	[27] = { "I64", 0, 0 },
	[28] = { "F64", 0, 0 },
	[29] = { "IQ1_M", 0, 0 },
	[GGUF_TYPE_BF16] = { "BF16", 1, 2 },
	[34] = { "TQ1_0", 0, 0 },
	[35] = { "TQ2_0", 0, 0 },
	[GGUF_TYPE_MXFP4] = { "MXFP4", 32, 17 },
};

/* By the type of the blocks. */
static const struct gguf_type_info r8_types[] = {
	[GGUF_TYPE_Q4_0] = { "Q4_0_R8", 32, 18, GGUF_R8_ROWS },
	[GGUF_TYPE_Q8_0] = { "Q8_0_R8", 32, 34, GGUF_R8_ROWS },
	[GGUF_TYPE_Q4_K] = { "Q4_K_R8", 256, 144, GGUF_R8_ROWS },
	[GGUF_TYPE_Q5_K] = { "Q5_K_R8", 256, 176, GGUF_R8_ROWS },
	[GGUF_TYPE_Q6_K] = { "Q6_K_R8", 256, 210, GGUF_R8_ROWS },
};

static bool is_r8(uint32_t type)
{
	return (type & ~0xffffu) == GGUF_R8(0);
}

const struct gguf_type_info *gguf_type_info(uint32_t type)
{
	bool r8 = is_r8(type);
	const struct gguf_type_info *table = r8 ? r8_types : types;
	size_t n = r8 ? ARRAY_SIZE(r8_types) : ARRAY_SIZE(types);

	type = gguf_type_of_blocks(type);
	return type < n && table[type].name ? &table[type] : NULL;
}

uint32_t gguf_type_of_blocks(uint32_t type)
{
	return is_r8(type) ? type & 0xffff : type;
}

bool gguf_str_eq(struct gguf_str s, const char *z)
{
	return s.len == strlen(z) && !memcmp(s.ptr, z, s.len);
}
