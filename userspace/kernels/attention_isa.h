/* SPDX-License-Identifier: MIT */
/* Attention kernels of the ISA, for the tables in float_avx2.c and float_neon.c. */
#ifndef HEARTH_KERNELS_ATTENTION_ISA_H
#define HEARTH_KERNELS_ATTENTION_ISA_H

#include "kernels/float.h"

void hk_scores_4(float *const s[HK_QUERIES], const float *const q[HK_QUERIES], const uint8_t *k,
		 unsigned int type, uint32_t n, uint32_t dim, float scale);
void hk_weighted_add(float *const out[], const float *const p[], uint32_t n_q,
		     const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim);

#endif /* HEARTH_KERNELS_ATTENTION_ISA_H */
