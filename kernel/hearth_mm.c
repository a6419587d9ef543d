// SPDX-License-Identifier: GPL-2.0
/*
 * All memory of a device: what its removal takes away, what debugfs shows.
 */
#include <linux/dma-buf.h>
#include <linux/fs.h>
#include <linux/huge_mm.h>
#include <linux/mount.h>
#include <linux/seq_file.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_gem.h"
#include "hearth_mm.h"
#include "hearth_store.h"
#include "hearth_vm.h"

struct workqueue_struct *hearth_bind_wq;
struct workqueue_struct *hearth_free_wq;

int hearth_mm_module_init(void)
{
	hearth_bind_wq = alloc_workqueue("hearth-bind", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!hearth_bind_wq)
		return -ENOMEM;

	hearth_free_wq = alloc_workqueue("hearth-free", WQ_UNBOUND, 0);
	if (!hearth_free_wq)
		goto err_bind_wq;
	if (hearth_store_module_init())
		goto err_free_wq;
	return 0;

err_free_wq:
	destroy_workqueue(hearth_free_wq);
err_bind_wq:
	destroy_workqueue(hearth_bind_wq);
	return -ENOMEM;
}

void hearth_mm_module_exit(void)
{
	/* A bind that ends queues its cleanup. */
	flush_workqueue(hearth_bind_wq);
	destroy_workqueue(hearth_free_wq);
	hearth_store_module_exit();
	destroy_workqueue(hearth_bind_wq);
}

/*
 * A huge page of a state is one entry of the device's page table, else an extent has
 * a table of its own. Larger ones than an extent would be split where a state is cut.
 */
static void hearth_mm_mount_huge(struct hearth_mm *mm)
{
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	char options[] = "huge=within_size";
	struct file_system_type *type = get_fs_type("tmpfs");
	struct vfsmount *mnt;

	if (!type || !has_transparent_hugepage() || HPAGE_PMD_SIZE > HEARTH_EXTENT_BYTES)
		return;
	mnt = vfs_kern_mount(type, SB_KERNMOUNT, type->name, options);
	if (!IS_ERR(mnt))
		mm->huge = mnt;
#endif
}

static void hearth_mm_release(struct drm_device *drm, void *data)
{
	struct hearth_mm *mm = data;

	if (mm->huge)
		kern_unmount(mm->huge);
	drm_WARN_ON(drm, !list_empty(&mm->bos) || !list_empty(&mm->vms));
	drm_WARN_ON(drm, !list_empty(&mm->stores) || atomic_read(&mm->nr_extents));
	drm_WARN_ON(drm, atomic_read(&mm->nr_tables));
	ida_destroy(&mm->ctx_ida);
	mutex_destroy(&mm->lock);
}

int hearth_mm_init(struct hearth_device *hdev)
{
	struct hearth_mm *mm = &hdev->mm;

	mutex_init(&mm->lock);
	INIT_LIST_HEAD(&mm->bos);
	INIT_LIST_HEAD(&mm->vms);
	INIT_LIST_HEAD(&mm->stores);
	spin_lock_init(&mm->stores_lock);
	init_waitqueue_head(&mm->bo_gone);
	ida_init(&mm->ctx_ida);
	hearth_mm_mount_huge(mm);
	return drmm_add_action_or_reset(&hdev->base, hearth_mm_release, mm);
}

void hearth_mm_add_bo(struct hearth_mm *mm, struct hearth_bo *bo)
{
	atomic_inc(&mm->nr_bos);
	mutex_lock(&mm->lock);
	bo->unplugged = mm->gone;
	list_add(&bo->node, &mm->bos);
	mutex_unlock(&mm->lock);
}

/* When the device has nothing of the buffer any more. */
void hearth_mm_del_bo(struct hearth_mm *mm, struct hearth_bo *bo)
{
	mutex_lock(&mm->lock);
	list_del(&bo->node);
	mutex_unlock(&mm->lock);
	atomic_dec(&mm->nr_bos);
	wake_up_all(&mm->bo_gone);
}

/* The next buffer to unmap, with a reference. Those that are done are last. */
static struct hearth_bo *hearth_mm_next_bo(struct hearth_mm *mm)
{
	struct hearth_bo *bo, *found = NULL;

	mutex_lock(&mm->lock);
	list_for_each_entry(bo, &mm->bos, node) {
		if (bo->unplugged)
			break;
		if (!kref_get_unless_zero(&bo->base.refcount))
			continue;
		bo->unplugged = true;
		list_move_tail(&bo->node, &mm->bos);
		found = bo;
		break;
	}
	mutex_unlock(&mm->lock);
	return found;
}

static bool hearth_mm_is_unplugged(struct hearth_mm *mm)
{
	struct hearth_bo *bo;
	bool ret;

	mutex_lock(&mm->lock);
	bo = list_first_entry_or_null(&mm->bos, struct hearth_bo, node);
	ret = !bo || bo->unplugged;
	mutex_unlock(&mm->lock);
	return ret;
}

/*
 * Takes memory away from a device that is gone, after drm_dev_unplug() and
 * after the device's last access. Buffers live on for those who have them
 * mapped; but behind an IOMMU what is mapped for the device must be unmapped
 * while there is still a device.
 */
void hearth_mm_unplug(struct hearth_device *hdev)
{
	struct hearth_mm *mm = &hdev->mm;
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	struct hearth_bo *bo;
	struct hearth_vm *vm;

	mutex_lock(&mm->lock);
	mm->gone = true;
	list_for_each_entry(vm, &mm->vms, node)
		hearth_vm_unplug(vm);
	mutex_unlock(&mm->lock);

	hearth_store_unplug(hdev);
	while ((bo = hearth_mm_next_bo(mm))) {
		hearth_bo_unplug(bo);
		drm_gem_object_put(&bo->base);
	}

	/* Those whose last reference had gone are unmapping by themselves. */
	add_wait_queue(&mm->bo_gone, &wait);
	while (!hearth_mm_is_unplugged(mm))
		wait_woken(&wait, TASK_UNINTERRUPTIBLE, MAX_SCHEDULE_TIMEOUT);
	remove_wait_queue(&mm->bo_gone, &wait);
}

/* Waits until what was let go is freed. */
void hearth_mm_flush(struct hearth_device *hdev)
{
	flush_workqueue(hearth_bind_wq);
	flush_workqueue(hearth_free_wq);
	/* What is freed may free something else. */
	flush_workqueue(hearth_free_wq);
}

void hearth_debugfs_gems(struct seq_file *m, struct hearth_device *hdev)
{
	struct hearth_mm *mm = &hdev->mm;
	u64 size = 0, resident = 0;
	struct hearth_bo *bo;

	seq_puts(m, "        bytes     resident  refs handles flags origin\n");
	mutex_lock(&mm->lock);
	list_for_each_entry(bo, &mm->bos, node) {
		u64 bytes = hearth_bo_resident_bytes(bo);
		const char *origin = bo->store ? bo->store->ops->name :
				     bo->base.import_attach ? "imported" :
				     bo->base.dma_buf ? "exported" : "own";

		seq_printf(m, "%13zu %12llu %5u %7u %5x %s\n", bo->base.size, bytes,
			   kref_read(&bo->base.refcount), bo->base.handle_count, bo->flags,
			   origin);
		size += bo->base.size;
		resident += bytes;
	}
	mutex_unlock(&mm->lock);

	seq_printf(m, "total %llu bytes in %d buffers, %llu resident; %d address spaces, %d tables\n",
		   size, atomic_read(&mm->nr_bos), resident, atomic_read(&mm->nr_vms),
		   atomic_read(&mm->nr_tables));
}
