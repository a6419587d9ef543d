/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_MATMUL_ISA_H
#define HEARTH_KERNELS_MATMUL_ISA_H

#include "kernels/float.h"

void hk_matmul_dense_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last);
void hk_matmul_avx2(const struct hk_matmul *m, uint32_t first, uint32_t last);
void hk_matmul_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last);
/* Weights in rows of eight, one row of input. */
void hk_matmul_r8_avx512(const struct hk_matmul *m, uint32_t first, uint32_t last);

void hk_matmul_dense_neon(const struct hk_matmul *m, uint32_t first, uint32_t last);
void hk_matmul_dotprod(const struct hk_matmul *m, uint32_t first, uint32_t last);
void hk_matmul_i8mm(const struct hk_matmul *m, uint32_t first, uint32_t last);

#endif /* HEARTH_KERNELS_MATMUL_ISA_H */
