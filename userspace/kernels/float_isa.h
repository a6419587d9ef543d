/* SPDX-License-Identifier: MIT */
/*
 * Kernels of the ISA that have a file of their own, for the tables in float_avx2.c and
 * float_neon.c. What they compute is said at struct hk_float_kernels.
 */
#ifndef HEARTH_KERNELS_FLOAT_ISA_H
#define HEARTH_KERNELS_FLOAT_ISA_H

#include "kernels/float.h"

/* AVX2 or NEON */
void hk_scores_4(float *const s[HK_QUERIES], const float *const q[HK_QUERIES], const uint8_t *k,
		 unsigned int type, uint32_t n, uint32_t dim, float scale);
void hk_weighted_add(float *const out[], const float *const p[], uint32_t n_q,
		     const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim);

void hk_softmax_avx512(float *s, uint32_t n);
void hk_glu_silu_avx512(float *y, const float *gate, const float *up, uint32_t n);
void hk_glu_gelu_avx512(float *y, const float *gate, const float *up, uint32_t n);
void hk_quantize_avx512(const struct hk_act *act, uint32_t row, const float *x, uint32_t n);
void hk_quantize_256_avx512(const struct hk_act *act, uint32_t row, const float *x,
			    uint32_t n);

#endif /* HEARTH_KERNELS_FLOAT_ISA_H */
