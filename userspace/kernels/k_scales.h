/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_K_SCALES_H
#define HEARTH_KERNELS_K_SCALES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Q4_K's and Q5_K's 12 bytes to eight scales and eight minima, a byte each. */
static inline void hk_spread_k_scales(const uint8_t *src, uint8_t out[16])
{
	uint32_t in[3], to[4];

	memcpy(in, src, sizeof(in));
	to[0] = in[0] & 0x3f3f3f3f;
	to[1] = (in[2] & 0x0f0f0f0f) | (in[0] >> 2 & 0x30303030);
	to[2] = in[1] & 0x3f3f3f3f;
	to[3] = (in[2] >> 4 & 0x0f0f0f0f) | (in[1] >> 2 & 0x30303030);
	memcpy(out, to, sizeof(to));
}

/* Where Q6_K's fields are: in rows of eight their order is another. */
struct hk_q6_fields {
	int d, scales, low, high;
};

static inline struct hk_q6_fields hk_q6_fields(const bool packed)
{
	return packed ? (struct hk_q6_fields){ 0, 2, 18, 146 } :
			(struct hk_q6_fields){ 208, 192, 0, 128 };
}

#endif /* HEARTH_KERNELS_K_SCALES_H */
