/* SPDX-License-Identifier: MIT */
/* Floats in registers of 64 bytes: what the files built with AVX-512 share. */
#ifndef HEARTH_KERNELS_FLOAT_AVX512_H
#define HEARTH_KERNELS_FLOAT_AVX512_H

#include <immintrin.h>

#include "kernels/f16.h"

#define HK_INLINE static inline __attribute__((always_inline))

/* hk_canon() of sixteen */
HK_INLINE __m512 canon16(__m512 x)
{
	__mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);

	return _mm512_mask_mov_ps(x, nan, _mm512_castsi512_ps(_mm512_set1_epi32(HK_F32_NAN)));
}

#endif /* HEARTH_KERNELS_FLOAT_AVX512_H */
