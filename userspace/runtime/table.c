// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <hw/hearth_mmu.h>

#include "runtime/table.h"

/*
 * Large buffers start at 2 MiB so that the MMU can use its blocks, small ones
 * at 64 KiB; the gap behind each keeps an overrun from reaching the next.
 */
static uint64_t alignment(uint64_t bytes)
{
	return bytes >= 1ull << HEARTH_MMU_BLOCK_SHIFT ?
		1ull << HEARTH_MMU_BLOCK_SHIFT : 1ull << HEARTH_MMU_CONT_SHIFT;
}

static uint64_t align_up(uint64_t x, uint64_t a)
{
	return (x + a - 1) & ~(a - 1);
}

/* Index of the first range that ends after @va. */
static size_t search(const struct hearth_table *t, uint64_t va)
{
	size_t lo = 0, hi = t->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct hearth_range *r = &t->ranges[mid];

		if (r->va + r->span <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void *hearth_table_find(struct hearth_table *t, uint64_t va, uint64_t bytes,
			enum hk_access access)
{
	void *ptr = NULL;
	size_t i;

	pthread_rwlock_rdlock(&t->lock);
	i = search(t, va);
	if (i < t->count) {
		const struct hearth_range *r = &t->ranges[i];

		if (va >= r->va && va - r->va <= r->bytes &&
		    bytes <= r->bytes - (va - r->va) &&
		    (!(access & HK_WRITE) || r->writable))
			ptr = r->ptr + (va - r->va);
	}
	pthread_rwlock_unlock(&t->lock);
	return ptr;
}

static int table_map(struct hk_space *space, struct hk_map *m,
		     struct hk_fault *fault)
{
	struct hearth_table *t = (struct hearth_table *)space;

	m->ptr = hearth_table_find(t, m->va, m->bytes, m->access);
	if (m->ptr)
		return 0;
	fault->error = m->access & HK_WRITE ? HEARTH_HW_ERR_WRITE :
					      HEARTH_HW_ERR_READ;
	fault->addr = m->va;
	return -EFAULT;
}

static int table_unmap(struct hk_space *space, struct hk_map *m,
		       struct hk_fault *fault)
{
	return 0;
}

static const struct hk_space_ops table_ops = {
	.map = table_map,
	.unmap = table_unmap,
};

int hearth_table_init(struct hearth_table *t, uint64_t va_end)
{
	memset(t, 0, sizeof(*t));
	t->space.ops = &table_ops;
	t->va_end = va_end;
	return -pthread_rwlock_init(&t->lock, NULL);
}

void hearth_table_fini(struct hearth_table *t)
{
	free(t->ranges);
	pthread_rwlock_destroy(&t->lock);
}

/* First fit; returns the index to insert at, or -ENOSPC. */
static ssize_t place(const struct hearth_table *t, struct hearth_range *r)
{
	uint64_t align = alignment(r->span), gap = alignment(1);
	uint64_t va = align_up(HEARTH_VA_FIRST, align);
	size_t i;

	for (i = 0; i < t->count; i++) {
		const struct hearth_range *next = &t->ranges[i];

		if (va + r->span + gap <= next->va)
			break;
		va = align_up(next->va + next->span + gap, align);
	}
	if (va >= t->va_end || r->span > t->va_end - va)
		return -ENOSPC;
	r->va = va;
	return i;
}

static int grow(struct hearth_table *t)
{
	size_t room = t->room ? 2 * t->room : 16;
	struct hearth_range *p;

	if (t->count < t->room)
		return 0;
	p = reallocarray(t->ranges, room, sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->ranges = p;
	t->room = room;
	return 0;
}

int hearth_table_add(struct hearth_table *t, struct hearth_range *r)
{
	struct hearth_range new = *r;
	ssize_t i = -ENOSPC;

	if (new.span < new.bytes)
		new.span = new.bytes;
	/* larger than any range: keeps the sums in place() from wrapping */
	if (!new.bytes || new.span > t->va_end)
		return -ENOSPC;
	pthread_rwlock_wrlock(&t->lock);
	if (grow(t)) {
		i = -ENOMEM;
		goto out_unlock;
	}
	i = place(t, &new);
	if (i < 0)
		goto out_unlock;
	memmove(&t->ranges[i + 1], &t->ranges[i],
		(t->count - i) * sizeof(*t->ranges));
	t->ranges[i] = new;
	r->va = new.va;
	t->count++;
out_unlock:
	pthread_rwlock_unlock(&t->lock);
	return i < 0 ? i : 0;
}

void hearth_table_remove(struct hearth_table *t, uint64_t va)
{
	size_t i;

	pthread_rwlock_wrlock(&t->lock);
	i = search(t, va);
	if (i < t->count && t->ranges[i].va == va) {
		t->count--;
		memmove(&t->ranges[i], &t->ranges[i + 1],
			(t->count - i) * sizeof(*t->ranges));
	}
	pthread_rwlock_unlock(&t->lock);
}

void hearth_table_resize(struct hearth_table *t, uint64_t va, uint64_t bytes)
{
	size_t i;

	pthread_rwlock_wrlock(&t->lock);
	i = search(t, va);
	if (i < t->count && t->ranges[i].va == va && bytes <= t->ranges[i].span)
		t->ranges[i].bytes = bytes;
	pthread_rwlock_unlock(&t->lock);
}
