/* SPDX-License-Identifier: MIT */
/*
 * Sums of 16 lanes in registers, for code that is the same on each ISA. What differs is in
 * float_avx2.h and float_neon.h: a register hk_vec of HK_VEC floats, hk_four of four, and
 * the steps over them. Lane k of a struct hk_lanes is v[k / HK_VEC][k % HK_VEC].
 */
#ifndef HEARTH_KERNELS_FLOAT_LANES_H
#define HEARTH_KERNELS_FLOAT_LANES_H

#ifdef __aarch64__
#include "kernels/float_neon.h"
#else
#include "kernels/float_avx2.h"
#endif

#define HK_VECS	(HK_LANES / HK_VEC)

HK_INLINE struct hk_lanes hk_lanes_zero(void)
{
	return (struct hk_lanes){ 0 };
}

/* l + a * b, lane by lane */
HK_INLINE struct hk_lanes hk_fma16(struct hk_lanes l, struct hk_lanes a, struct hk_lanes b)
{
	HK_UNROLL
	for (int j = 0; j < HK_VECS; j++)
		l.v[j] = hk_vec_fma(l.v[j], a.v[j], b.v[j]);
	return l;
}

/* *p, sixteen times */
HK_INLINE struct hk_lanes hk_splat16(const float *p)
{
	hk_vec one = hk_vec_splat(p);
	struct hk_lanes l;

	HK_UNROLL
	for (int j = 0; j < HK_VECS; j++)
		l.v[j] = one;
	return l;
}

HK_INLINE struct hk_lanes hk_canon16(struct hk_lanes l)
{
	HK_UNROLL
	for (int j = 0; j < HK_VECS; j++)
		l.v[j] = hk_vec_canon(l.v[j]);
	return l;
}

HK_INLINE void hk_store16(float *p, struct hk_lanes l)
{
	HK_UNROLL
	for (int j = 0; j < HK_VECS; j++)
		hk_vec_store(p + HK_VEC * j, l.v[j]);
}

#endif /* HEARTH_KERNELS_FLOAT_LANES_H */
