/* SPDX-License-Identifier: MIT */
/*
 * Rounding to nearest, no flush of denormals, no traps: an application may
 * have set something else (linking with -ffast-math is enough), and the bits
 * of the results must not depend on it.
 */
#ifndef HEARTH_KERNELS_FPENV_H
#define HEARTH_KERNELS_FPENV_H

#include <float.h>
#include <stdint.h>

_Static_assert(FLT_EVAL_METHOD == 0, "float expressions must round to float");

#if defined(__x86_64__)
#include <xmmintrin.h>

static inline uint64_t hk_fpenv_enter(void)
{
	uint32_t old = _mm_getcsr();

	if ((old & ~0x3fu) != 0x1f80)
		_mm_setcsr(0x1f80);
	return old;
}

static inline void hk_fpenv_leave(uint64_t old)
{
	if ((old & ~0x3full) != 0x1f80)
		_mm_setcsr((uint32_t)old);
}
#elif defined(__aarch64__)
static inline uint64_t hk_fpenv_enter(void)
{
	uint64_t old;

	__asm__ volatile("mrs %0, fpcr" : "=r"(old));
	if (old)
		__asm__ volatile("msr fpcr, %0" :: "r"(0ull));
	return old;
}

static inline void hk_fpenv_leave(uint64_t old)
{
	if (old)
		__asm__ volatile("msr fpcr, %0" :: "r"(old));
}
#else
#error "no code for this architecture's floating-point environment"
#endif

#endif /* HEARTH_KERNELS_FPENV_H */
