/* SPDX-License-Identifier: MIT */
/*
 * Sixteen outputs of an 8-bit op at once, for code that is the same on each ISA. What
 * differs is in int8_avx2.h and int8_neon.h: a register vec32 of VEC32 int32, and the
 * steps over them; 16 bytes in a register.
 */
#ifndef HEARTH_KERNELS_INT8_LANES_H
#define HEARTH_KERNELS_INT8_LANES_H

#ifdef __aarch64__
#include "kernels/int8_neon.h"
#else
#include "kernels/int8_avx2.h"
#endif

/* Registers of 16 numbers */
#define VECS	(16 / VEC32)

/* ADD_Q and MUL_Q, see struct hk_int8_isa */
void hk_add_lanes(const struct hk_binary8 *bin, size_t from, size_t to);
void hk_mul_lanes(const struct hk_binary8 *bin, size_t from, size_t to);

/* How the outputs of an op are finished */
struct out8 {
	vec32 zero, min, max;
};

static inline struct out8 out8(uint32_t zero, uint32_t min, uint32_t max)
{
	return (struct out8){
		splat32((int32_t)zero), splat32((int32_t)min), splat32((int32_t)max),
	};
}

static inline vec32 out8_clamp(const struct out8 *o, vec32 x)
{
	return clamp32(add32(x, o->zero), o->min, o->max);
}

/* Sums of 16 channels from @c on to outputs, of which @n are wanted */
static inline __attribute__((always_inline)) void
channels_out(uint8_t *dst, vec32 acc[VECS], const struct hk_channels *ch, uint32_t c,
	     uint32_t n, const struct out8 *out)
{
	HK_UNROLL
	for (int j = 0; j < VECS; j++, c += VEC32) {
		acc[j] = add32(acc[j], load32(ch->bias + c));
		acc[j] = requantize(acc[j], load32(ch->multiplier + c), load32(ch->left + c),
				    load32(ch->right + c));
		acc[j] = out8_clamp(out, acc[j]);
	}
	store_some(dst, pack8(acc), n);
}

#endif /* HEARTH_KERNELS_INT8_LANES_H */
