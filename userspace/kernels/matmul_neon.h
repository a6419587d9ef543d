/* SPDX-License-Identifier: MIT */
/*
 * MATMUL of block types, eight output rows at a time. Sums of int8 products
 * are exact in any order; the float sum of an output row is a lane.
 *
 * Weights become signed bytes in as few instructions as will do. Where that
 * leaves them 2^shift times as large (a nibble in a byte's upper half is
 * signed already), the sum's conversion to float divides: exact, and free.
 *
 * What GCC 12 makes of it, for 32 elements of eight rows of weights:
 *
 *   one row of input, loading and taking apart included: 114 instructions for
 *	the 144 bytes of Q4_0, 105 for the 272 of Q8_0
 *   many rows of input: 32 for each by SDOT, of which there are 16; 52 for
 *	each two by SMMLA, of which there are 16
 *
 * No sum waits for the one before: there are eight or sixteen in flight.
 */
#ifndef HEARTH_KERNELS_MATMUL_NEON_H
#define HEARTH_KERNELS_MATMUL_NEON_H

#include "kernels/float_neon.h"
#include "kernels/matmul_isa.h"

#define ROWS	8

/* Scales and offsets of blocks of 32: row i is lane i % 4 of [i / 4]. */
struct scales {
	float32x4_t d[2], m[2];
};

/* 32 elements of each row. */
struct weights {
	int8x16_t q[ROWS][2];
};

/* How the weights are given to add_rows(). */
struct units {
	/** @unit: Elements with one scale; @min: and an offset. */
	int unit;
	bool min;
	/** @shift: The weights are 2^shift times too large; 0, 2 or 4. */
	int shift;
};

/* Sums of a tile, one row of input after the other; a level may order them in its own way. */
typedef float hk_sums[HK_MATMUL_ROWS][ROWS] __attribute__((aligned(16)));

HK_INLINE float32x4_t to_float(int32x4_t sum, const int shift)
{
	return shift == 4 ? vcvtq_n_f32_s32(sum, 4) :
	       shift == 2 ? vcvtq_n_f32_s32(sum, 2) : vcvtq_f32_s32(sum);
}

/* acc + (d * dx) * sum */
HK_INLINE float32x4_t add_unit(float32x4_t acc, float32x4_t d, float32x4_t dx,
			       float32x4_t sum)
{
	return vfmaq_f32(acc, vmulq_f32(d, dx), sum);
}

/* Lane i: the sum of v[i]'s lanes. */
HK_INLINE int32x4_t reduce4(const int32x4_t v[4])
{
	return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* What a block of 32 adds to a row's sums, as it lies. */
HK_INLINE void add_row(float acc[ROWS], const struct scales *s, const struct weights *w,
		       const struct hk_act *act, uint64_t at, const struct units how)
{
	const int8_t *x = act->q + at * HK_ACT_BLOCK;
	const int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
	float32x4_t dx = vld1q_dup_f32(act->d + at);

	for (int g = 0; g < 2; g++) {
		float32x4_t sum = vld1q_f32(acc + 4 * g);
		int32x4_t dot[4];

		for (int i = 0; i < 4; i++) {
			dot[i] = vdotq_s32(vdupq_n_s32(0), w->q[4 * g + i][0], x0);
			dot[i] = vdotq_s32(dot[i], w->q[4 * g + i][1], x1);
		}
		sum = add_unit(sum, s->d[g], dx, to_float(reduce4(dot), how.shift));
		if (how.min)
			sum = add_unit(sum, s->m[g], dx, vld1q_dup_f32(act->total + at));
		vst1q_f32(acc + 4 * g, sum);
	}
}

/* Four rows of four words to four words of four rows. */
HK_INLINE void turn4(const int8x16_t row[4], int8x16_t group[4])
{
	int32x4_t r[4], a, b, c, d;

	for (int i = 0; i < 4; i++)
		r[i] = vreinterpretq_s32_s8(row[i]);
	a = vtrn1q_s32(r[0], r[1]);
	b = vtrn2q_s32(r[0], r[1]);
	c = vtrn1q_s32(r[2], r[3]);
	d = vtrn2q_s32(r[2], r[3]);
#define PAIR(f, x, y) \
	vreinterpretq_s8_s64(f(vreinterpretq_s64_s32(x), vreinterpretq_s64_s32(y)))
	group[0] = PAIR(vtrn1q_s64, a, c);
	group[1] = PAIR(vtrn1q_s64, b, d);
	group[2] = PAIR(vtrn2q_s64, a, c);
	group[3] = PAIR(vtrn2q_s64, b, d);
#undef PAIR
}

/*
 * The rows of a tile are contiguous, and so is the next tile: fetch from it
 * what corresponds to the @bytes of each row that come next. Beyond the end it
 * is only a hint.
 */
HK_INLINE void prefetch_next(const struct hk_matmul *m, const uint8_t *first,
			     uint64_t block, uint32_t bytes)
{
	const uint8_t *p = first + ROWS * (m->row_bytes + block * bytes);

	for (uint32_t at = 0; at < ROWS * bytes; at += 64)
		__builtin_prefetch(p + at, 0, 2);
}

/* Four f16, put together by the integer units: vector pipes are what is short. */
HK_INLINE float32x4_t load_f16x4(const uint8_t *const w[4], uint64_t at)
{
	uint64_t four = 0;

	HK_UNROLL
	for (int i = 0; i < 4; i++) {
		uint16_t h;

		memcpy(&h, w[i] + at, sizeof(h));
		four |= (uint64_t)h << (16 * i);
	}
	return vcvt_f32_f16(vreinterpret_f16_u64(vcreate_u64(four)));
}

/* An f16 of each row. */
HK_INLINE void load_f16(float32x4_t d[2], const uint8_t *const w[ROWS], uint64_t at)
{
	d[0] = load_f16x4(w, at);
	d[1] = load_f16x4(w + 4, at);
}

/* A word of rows @first to @first + 3. */
HK_INLINE uint32x4_t load_words(const uint8_t *const w[ROWS], int first, uint64_t at)
{
	uint32x4_t v = vdupq_n_u32(0);

#define LANE(i)	v = vld1q_lane_u32((const uint32_t *)(w[first + (i)] + at), v, i)
	LANE(0);
	LANE(1);
	LANE(2);
	LANE(3);
#undef LANE
	return v;
}

#endif /* HEARTH_KERNELS_MATMUL_NEON_H */
