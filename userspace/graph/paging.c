// SPDX-License-Identifier: MIT
/*
 * KV caches in pages: what is fed first lies in front, for all layers, so that the
 * memory behind it can come later.
 */
#include <errno.h>

#include "graph/compile.h"
#include "runtime/device.h"
#include "runtime/error.h"

#define BIT(op)	(1ull << (op))
#define NEEDED	(BIT(HEARTH_OP_KV_WRITE_PAGED) | BIT(HEARTH_OP_ATTENTION_PAGED) | \
		 BIT(HEARTH_OP_KV_SHIFT_PAGED))

static int check_page(const struct hg_tensor *t, uint32_t page)
{
	if (page & (page - 1) || page < HEARTH_KV_MIN_PAGE || page > HEARTH_CMD_MAX_DIM)
		return hearth_seterr(-EINVAL,
				     "state_page is %u: a power of two from %u to %u is wanted",
				     page, HEARTH_KV_MIN_PAGE, HEARTH_CMD_MAX_DIM);
	if (t->n_dims != 3)
		return hearth_seterr(-EINVAL, "state '%s' is no KV cache: it cannot be in pages",
				     t->name);
	if ((t->dims[1] - 1) / page >= HEARTH_KV_MAX_PAGES)
		return hearth_seterr(-EINVAL,
				     "state '%s' has %u positions: more than %u pages of %u",
				     t->name, t->dims[1], HEARTH_KV_MAX_PAGES, page);
	return 0;
}

/* Adds a cache to the page. */
static int add_cache(struct hg_paging *p, const struct hg_tensor *t)
{
	uint64_t bytes = t->bytes / t->dims[1] * p->page;
	int ret = check_page(t, p->page);

	if (ret)
		return ret;
	if (p->n_ctx && p->n_ctx != t->dims[1])
		return hearth_seterr(-EINVAL,
				     "state '%s' has %u positions, another has %u: they cannot grow together",
				     t->name, t->dims[1], p->n_ctx);
	p->n_ctx = t->dims[1];
	p->stride += (bytes + HG_VALUE_ALIGN - 1) / HG_VALUE_ALIGN * HG_VALUE_ALIGN;
	return 0;
}

int hg_pick_paging(struct hg_compile *c)
{
	struct hearth_program *p = c->p;
	struct hg_paging paging = { .page = c->state_page };
	int ret = 0;

	if (c->share)
		paging = c->share->paging;
	for (uint32_t i = 0; !ret && !c->share && paging.page && i < c->g->n_tensors; i++) {
		if (c->g->tensors[i].role == HEARTH_TENSOR_STATE)
			ret = add_cache(&paging, &c->g->tensors[i]);
	}
	if (ret)
		return ret;
	/* a single page is whole, and more devices know how */
	if (paging.page >= paging.n_ctx || (p->dev->info.ops & NEEDED) != NEEDED)
		paging = (struct hg_paging){ 0 };
	p->paging = paging;
	p->info.state_page = paging.page;
	p->info.state_page_bytes = paging.stride;
	return 0;
}
