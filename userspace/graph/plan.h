/* SPDX-License-Identifier: MIT */
/*
 * Where the values of a program lie in its one activation buffer.
 */
#ifndef HEARTH_GRAPH_PLAN_H
#define HEARTH_GRAPH_PLAN_H

#include <stdint.h>

#define HG_VALUE_ALIGN	64

/** struct hg_life - a value: how large, and when it is needed */
struct hg_life {
	uint64_t bytes;
	/** first: Commands from first to last, both included, need it. */
	uint32_t first, last;
	/** offset: Filled by the plan. */
	uint64_t offset;
};

/*
 * Give values that live at one time disjoint places; values of 0 bytes get
 * offset 0. Fills *bytes with the size of the buffer, and *least, if not
 * NULL, with the most that lives at one time, below which no plan can get.
 * 0 or -ENOMEM.
 */
int hg_plan(struct hg_life *life, uint32_t n, uint64_t *bytes, uint64_t *least);

#endif /* HEARTH_GRAPH_PLAN_H */
