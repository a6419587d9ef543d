/* SPDX-License-Identifier: MIT */
/*
 * A block of 32 of each row of a tile, turned, for one level. The file that includes this
 * has struct turned and struct scales, struct rows_n for the rows of a tile, and the steps
 * over them: turn_bytes() and turn_nibbles(), add_fifth_bit(), look_up(), raise_all(),
 * load_f16(), load_e8m0().
 */
#include "kernels/decode.h"

/* The weights in registers are @add larger, in 8 bits. */
HK_INLINE void load_32(struct turned *t, struct scales *s, const struct rows_n *w,
		       const unsigned int type, const int add)
{
	const bool min = type == HEARTH_TYPE_Q4_1 || type == HEARTH_TYPE_Q5_1;
	const int at = min ? 4 : 2;

	if (type == HEARTH_TYPE_MXFP4) {
		s->d = load_e8m0(w);
		turn_nibbles(t, w, 1);
		look_up(t, hk_fp4_values, add);
		return;
	}
	s->d = load_f16(w, 0);
	if (min)
		s->m = load_f16(w, 2);
	switch (type) {
	case HEARTH_TYPE_IQ4_NL:
		turn_nibbles(t, w, at);
		look_up(t, hk_iq4_values, add);
		return;
	case HEARTH_TYPE_Q8_0:
		turn_bytes(t, w, at);
		break;
	case HEARTH_TYPE_Q5_0:
	case HEARTH_TYPE_Q5_1:
		turn_nibbles(t, w, at + 4);
		add_fifth_bit(t, w, at);
		break;
	default:
		turn_nibbles(t, w, at);
	}
	raise_all(t, add);
}
