/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of page tables: memory that is counted, and the device's walk, from
 * the contract alone (hw/hearth_mmu.h).
 */
#ifndef __HEARTH_MMU_KUNIT_H__
#define __HEARTH_MMU_KUNIT_H__

#include <linux/gfp.h>
#include <linux/io.h>

#include "hearth_mmu.h"

/* A translation as the device makes it. */
struct translation {
	bool valid;
	bool readonly;
	bool cont;
	unsigned int level;
	u64 dma;
};

static int pages_out;
static int alloc_budget;

static void *test_alloc(struct device *dev, dma_addr_t *dma)
{
	void *p;

	if (!alloc_budget)
		return NULL;
	p = (void *)get_zeroed_page(GFP_KERNEL);
	if (!p)
		return NULL;

	alloc_budget--;
	pages_out++;
	*dma = virt_to_phys(p);
	return p;
}

static void test_free(struct device *dev, void *cpu, dma_addr_t dma)
{
	pages_out--;
	free_page((unsigned long)cpu);
}

static const struct hearth_mmu_mem test_mem = {
	.alloc = test_alloc,
	.free = test_free,
};

static u64 table_entry(u64 table, u64 va, int shift)
{
	const __le64 *entries = phys_to_virt(table);

	return le64_to_cpu(entries[(va >> shift) & 511]);
}

static struct translation walk(const struct hearth_mmu *mmu, u64 va)
{
	struct translation t = {};
	u64 pte, offset;

	pte = table_entry(mmu->root->dma, va, 30);
	if (!(pte & BIT_ULL(0)) || !(pte & BIT_ULL(1)))
		return t;
	pte = table_entry(pte & GENMASK_ULL(51, 12), va, 21);
	t.level = 2;
	offset = va & (SZ_2M - 1);
	if ((pte & BIT_ULL(0)) && (pte & BIT_ULL(1))) {
		pte = table_entry(pte & GENMASK_ULL(51, 12), va, 12);
		t.level = 3;
		offset = va & (SZ_4K - 1);
		if (!(pte & BIT_ULL(1)))
			return t;
	}
	t.valid = (pte & BIT_ULL(0)) && (pte & BIT_ULL(10));
	t.readonly = pte & BIT_ULL(7);
	t.cont = pte & BIT_ULL(52);
	t.dma = (pte & GENMASK_ULL(51, 12)) + offset;
	return t;
}

#endif /* __HEARTH_MMU_KUNIT_H__ */
