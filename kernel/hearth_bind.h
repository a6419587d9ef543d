/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_BIND_H__
#define __HEARTH_BIND_H__

#include <linux/list.h>
#include <linux/types.h>

#include <drm/drm_gpuvm.h>
#include <drm/gpu_scheduler.h>

#include "hearth_mmu.h"
#include "hearth_store.h"

struct drm_hearth_bind_op;
struct hearth_file;
struct hearth_vm;
struct sg_table;

/*
 * A map may cut a piece off at each of its ends, or split one map in two. The
 * last one is for the map itself.
 */
#define HEARTH_BIND_VMAS	3

/**
 * struct hearth_vma - one mapping of a buffer
 */
struct hearth_vma {
	/** @base: Range and buffer. */
	struct drm_gpuva base;

	/** @readonly: The device may only read. */
	bool readonly;

	/** @map: What of a store it maps, if the buffer has one. */
	struct hearth_store_map map;

	/** @node: Entry in hearth_bind_op.gone. */
	struct list_head node;
};

static inline struct hearth_vma *to_hearth_vma(struct drm_gpuva *va)
{
	return container_of(va, struct hearth_vma, base);
}

/**
 * struct hearth_bind_op - a map or an unmap, with all that it can need
 *
 * Prepared in process context, run under hearth_vm.op_lock where fences are
 * signalled, and cleaned up in process context again.
 */
struct hearth_bind_op {
	/** @va: First address. */
	u64 va;

	/** @size: Bytes. */
	u64 size;

	/** @bo_offset: Where the map begins in the buffer. */
	u64 bo_offset;

	/** @vm_bo: The buffer in this address space; NULL for an unmap. */
	struct drm_gpuvm_bo *vm_bo;

	/** @sgt: The device's view of the buffer; lives as long as that. NULL with a store. */
	struct sg_table *sgt;

	/** @readonly: The device may only read. */
	bool readonly;

	/** @vmas: Mappings to use, NULL where taken. */
	struct hearth_vma *vmas[HEARTH_BIND_VMAS];

	/** @pool: Page tables to use. */
	struct hearth_mmu_pool pool;

	/** @gone: Mappings that are no more. They hold their buffers until cleanup. */
	struct list_head gone;
};

/**
 * struct hearth_bind_queue - scheduler of asynchronous binds
 */
struct hearth_bind_queue {
	/** @sched: Runs one bind at a time. */
	struct drm_gpu_scheduler sched;

	/** @entity: Its only entity. */
	struct drm_sched_entity entity;

	/** @fence_context: Timeline of the binds. */
	u64 fence_context;

	/** @seqno: Number of the last bind on it; under the reservation. */
	u64 seqno;
};

/* hearth_vma.c */
int hearth_bind_op_prepare(struct hearth_vm *vm, struct hearth_bind_op *op,
			   struct drm_gem_object *obj);
int hearth_bind_op_run(struct hearth_vm *vm, struct hearth_bind_op *op);
void hearth_bind_op_cleanup(struct hearth_vm *vm, struct hearth_bind_op *op);
void hearth_vma_release_all(struct hearth_vm *vm);

extern const struct drm_gpuvm_ops hearth_gpuvm_ops;

/* hearth_bind.c */
void hearth_bind_queue_free(struct hearth_bind_queue *bindq);

#endif /* __HEARTH_BIND_H__ */
