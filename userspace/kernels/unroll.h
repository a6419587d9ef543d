/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_KERNELS_UNROLL_H
#define HEARTH_KERNELS_UNROLL_H

/* Before a short loop over an array that should live in registers */
#ifdef __clang__
#define HK_UNROLL	_Pragma("unroll")
#else
#define HK_UNROLL	_Pragma("GCC unroll 16")
#endif

#endif /* HEARTH_KERNELS_UNROLL_H */
