/* SPDX-License-Identifier: MIT */
/*
 * A program in the making. Internal to graph/.
 */
#ifndef HEARTH_GRAPH_COMPILE_H
#define HEARTH_GRAPH_COMPILE_H

#include "graph/lower.h"
#include "graph/plan.h"
#include "graph/program.h"

struct hg_compile {
	const struct hearth_graph *g;
	struct hearth_program *p;
	/** share: Or NULL. */
	const struct hearth_program *share;
	/** model: Options of the model; or NULL. */
	const struct hearth_model_opts *model;
	/** state_page: As asked for. */
	uint32_t state_page;
	struct hg_lower l;
	/** life: Of each value; the plan. */
	struct hg_life *life;
};

/*
 * Caches in pages or whole: fills c->p->paging but for the buffer. -EINVAL if they
 * cannot be in such pages.
 */
int hg_pick_paging(struct hg_compile *c);

/*
 * The memory of a program, in this order: 0, or a negative errno with the
 * message set.
 */
int hg_make_weights(struct hg_compile *c);
int hg_make_states(struct hg_compile *c);
/* Both as a model; or that of the program to share with. */
int hg_make_model(struct hg_compile *c);
int hg_make_activations(struct hg_compile *c);
/* Constants and command stream; all addresses are known afterwards. */
int hg_make_fixed(struct hg_compile *c);

/* After the lowering: fill the sizes of c->p->info without any of the above. */
int hg_measure(struct hg_compile *c);

/* The address of what @ref means */
uint64_t hg_address(const struct hg_compile *c, struct hg_ref ref);

#endif /* HEARTH_GRAPH_COMPILE_H */
