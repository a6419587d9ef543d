// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "npu_space.h"

/* About what an op should map at once, so that copies stay in the cache. */
#define WINDOW		(1u << 20)
#define BUFFER_ALIGN	64

/* Most that is gathered for one range: a command must not exhaust the host. */
#define MAX_GATHER	(1ull << 30)

static int bus_error(struct hk_fault *fault, uint64_t addr)
{
	fault->error = HEARTH_HW_ERR_BUS;
	fault->addr = addr;
	return -EFAULT;
}

static int no_memory(struct hk_fault *fault)
{
	fault->error = HEARTH_HW_ERR_BUSY;
	fault->addr = 0;
	return -ENOMEM;
}

static struct npu_space_map *free_map(struct npu_space *s)
{
	for (unsigned int i = 0; i < NPU_SPACE_MAPS; i++)
		if (!s->maps[i].used)
			return &s->maps[i];
	return NULL;
}

static int grow(struct npu_space_map *sm, size_t bytes)
{
	void *p;

	if (bytes <= sm->buffer_bytes)
		return 0;
	if (bytes > MAX_GATHER)
		return -ENOMEM;
	bytes = (bytes + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
	p = aligned_alloc(BUFFER_ALIGN, bytes);
	if (!p)
		return -ENOMEM;
	free(sm->buffer);
	sm->buffer = p;
	sm->buffer_bytes = bytes;
	return 0;
}

/*
 * Check the rights of the whole range and find out whether it is contiguous
 * on the bus: then *bus is its first address and 1 is returned.
 */
static int probe(struct npu_ctx *ctx, const struct hk_map *m, uint64_t *bus,
		 struct hk_fault *fault)
{
	uint64_t done = 0, first = 0;
	int contiguous = 1;

	while (done < m->bytes) {
		uint64_t n = m->bytes - done, b;
		int ret = npu_mmu_translate(ctx, m->va + done, m->access & HK_WRITE,
					    &b, &n, fault);

		if (ret)
			return ret;
		if (!done)
			first = b;
		else if (b != first + done)
			contiguous = 0;
		done += n;
	}
	*bus = first;
	return contiguous;
}

/*
 * A range that is only written is read as well, if it may be: an op need not
 * write every byte of its destination, and what it leaves must survive.
 */
static int gather(struct npu_ctx *ctx, const struct hk_map *m, struct hk_fault *fault)
{
	uint64_t done = 0, bad;

	while (done < m->bytes) {
		uint64_t n = m->bytes - done, bus;
		int ret = npu_mmu_translate(ctx, m->va + done, m->access & HK_WRITE,
					    &bus, &n, fault);

		if (ret)
			return ret;
		ret = vfu_dma_read(ctx->dma, bus, (char *)m->ptr + done, n, &bad);
		if (ret && (m->access & HK_READ))
			return bus_error(fault, bad);
		if (ret)
			memset((char *)m->ptr + done, 0, n);
		done += n;
	}
	return 0;
}

static int scatter(struct npu_ctx *ctx, const struct hk_map *m, struct hk_fault *fault)
{
	uint64_t done = 0, bad;

	while (done < m->bytes) {
		uint64_t n = m->bytes - done, bus;
		int ret = npu_mmu_translate(ctx, m->va + done, true, &bus, &n, fault);

		if (ret)
			return ret;
		if (vfu_dma_write(ctx->dma, bus, (const char *)m->ptr + done, n, &bad))
			return bus_error(fault, bad);
		done += n;
	}
	return 0;
}

/* 0 if a pointer serves, 1 if the range must be gathered, or -EFAULT. */
static int try_pointer(struct npu_ctx *ctx, struct npu_space_map *sm,
		       const struct hk_map *m, uint64_t bus, struct hk_fault *fault)
{
	bool write = m->access & HK_WRITE;
	int ret;

	ret = vfu_dma_get(ctx->dma, bus, m->bytes, write, &sm->ref);
	if (ret == -EOPNOTSUPP)
		return 1;
	if (ret)
		return bus_error(fault, bus);
	/* both rights are needed for both, and all of it in one range */
	if (sm->ref.bytes == m->bytes && m->access != HK_READ_WRITE)
		return 0;
	if (sm->ref.bytes == m->bytes) {
		struct vfu_dma_ref other;

		if (!vfu_dma_get(ctx->dma, bus, m->bytes, false, &other)) {
			vfu_dma_put(ctx->dma, &other);
			return 0;
		}
		vfu_dma_put(ctx->dma, &sm->ref);
		return bus_error(fault, bus);
	}
	vfu_dma_put(ctx->dma, &sm->ref);
	return 1;
}

static int map_locked(struct npu_space *s, struct npu_space_map *sm,
		      struct hk_map *m, struct hk_fault *fault)
{
	uint64_t bus = 0;
	int ret;

	ret = probe(s->ctx, m, &bus, fault);
	if (ret < 0)
		return ret;
	ret = ret ? try_pointer(s->ctx, sm, m, bus, fault) : 1;
	if (ret < 0)
		return ret;
	if (!ret) {
		m->ptr = sm->ref.ptr;
		return 0;
	}
	if (grow(sm, m->bytes))
		return no_memory(fault);
	sm->ref.map = NULL;
	m->ptr = sm->buffer;
	s->gathered += m->bytes;
	return gather(s->ctx, m, fault);
}

static int space_map(struct hk_space *base, struct hk_map *m, struct hk_fault *fault)
{
	struct npu_space *s = (struct npu_space *)base;
	struct npu_space_map *sm = free_map(s);
	int ret;

	if (!sm)
		return no_memory(fault);
	pthread_mutex_lock(&s->ctx->lock);
	npu_access_begin(s->ctx, &sm->access, m->va, m->bytes);
	ret = map_locked(s, sm, m, fault);
	if (ret)
		npu_access_end(s->ctx, &sm->access);
	pthread_mutex_unlock(&s->ctx->lock);
	if (ret)
		return ret;
	sm->used = true;
	m->priv = sm;
	return 0;
}

static int space_unmap(struct hk_space *base, struct hk_map *m, struct hk_fault *fault)
{
	struct npu_space *s = (struct npu_space *)base;
	struct npu_space_map *sm = m->priv;
	int ret = 0;

	if (sm->ref.map)
		vfu_dma_put(s->ctx->dma, &sm->ref);
	pthread_mutex_lock(&s->ctx->lock);
	if (m->ptr == sm->buffer && (m->access & HK_WRITE))
		ret = scatter(s->ctx, m, fault);
	npu_access_end(s->ctx, &sm->access);
	pthread_mutex_unlock(&s->ctx->lock);
	sm->used = false;
	m->priv = NULL;
	return ret;
}

static const struct hk_space_ops space_ops = {
	.map = space_map,
	.unmap = space_unmap,
};

void npu_space_init(struct npu_space *space)
{
	memset(space, 0, sizeof(*space));
	space->base.ops = &space_ops;
	space->base.window = WINDOW;
}

void npu_space_fini(struct npu_space *space)
{
	for (unsigned int i = 0; i < NPU_SPACE_MAPS; i++)
		free(space->maps[i].buffer);
}
