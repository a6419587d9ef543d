// SPDX-License-Identifier: GPL-2.0
/*
 * State as a source: private shmem that the kernel swaps whenever the device
 * does not have it. Its size is what jobs may use; what is cut off is gone, and
 * what is added are holes, which read as zero.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>

#include "hearth_device.h"
#include "hearth_dmem.h"
#include "hearth_store.h"

/* Tries hard, but kills nobody. */
#define HEARTH_STATE_GFP	(GFP_HIGHUSER | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static loff_t hearth_state_offset(u32 index)
{
	return (loff_t)index << HEARTH_EXTENT_SHIFT;
}

static int hearth_state_read(struct hearth_store *store, u32 index, struct page **pages,
			     unsigned int count, struct file_ra_state *ra)
{
	struct address_space *mapping = store->state.file->f_mapping;
	pgoff_t first = hearth_state_offset(index) >> PAGE_SHIFT;
	unsigned int i;

	for (i = 0; i < count; i++) {
		pages[i] = shmem_read_mapping_page_gfp(mapping, first + i, HEARTH_STATE_GFP);
		if (IS_ERR(pages[i]))
			goto err_put;
		cond_resched();
	}
	return 0;

err_put:
	/* -ENOSPC of shmem is memory as well. */
	count = i;
	while (i--)
		put_page(pages[i]);
	return PTR_ERR(pages[count]) == -EIO ? -EIO : -ENOMEM;
}

static bool hearth_state_changed(struct hearth_store *store)
{
	return false;
}

/* From reclaim too; it allocates nothing, since extents end where huge folios do. */
static void hearth_state_discard(struct hearth_store *store, u32 index)
{
	shmem_truncate_range(file_inode(store->state.file), hearth_state_offset(index),
			     hearth_state_offset(index + 1) - 1);
}

/* Without swap the kernel could do nothing with pages that we let go. */
static bool hearth_state_helps(struct hearth_store *store)
{
	return store->state.dontneed || get_nr_swap_pages() > 0;
}

static void hearth_state_free(struct hearth_store *store)
{
	fput(store->state.file);
	mutex_destroy(&store->state.lock);
}

static const struct hearth_store_ops hearth_state_ops = {
	.name = "state",
	.dir = DMA_BIDIRECTIONAL,
	.read = hearth_state_read,
	.changed = hearth_state_changed,
	.discard = hearth_state_discard,
	.helps = hearth_state_helps,
	.free = hearth_state_free,
};

bool hearth_store_is_state(const struct hearth_store *store)
{
	return store->ops == &hearth_state_ops;
}

/* CPU mappings end here too: beyond it they get SIGBUS. */
static void hearth_state_set_size(struct hearth_store *store, u32 count)
{
	struct inode *inode = file_inode(store->state.file);

	inode_lock(inode);
	i_size_write(inode, hearth_state_offset(count));
	inode_unlock(inode);
}

void hearth_store_state_init(struct hearth_store *store, struct file *shmem)
{
	store->ops = &hearth_state_ops;
	store->state.file = get_file(shmem);
	store->bytes = i_size_read(file_inode(shmem));
	mutex_init(&store->state.lock);
	hearth_state_set_size(store, 0);
}

static int hearth_state_limit(struct hearth_store *store, u32 count, bool force)
{
	int ret = 0;
	u32 i;

	spin_lock(&store->lock);
	if (!force && hearth_store_in_use_locked(store)) {
		ret = -EBUSY;
	} else {
		store->nr_usable = count;
		for (i = count; i < store->nr_extents; i++)
			store->extents[i].wanted = false;
	}
	spin_unlock(&store->lock);
	return ret;
}

/* Nobody wants what is behind @count any more. */
static void hearth_state_cut(struct hearth_store *store, u32 count)
{
	struct inode *inode = file_inode(store->state.file);

	lockdep_assert_held(&store->state.lock);

	/* It may be about to make one of them resident. */
	flush_work(&store->restore.work);
	hearth_store_drop_from(store, count);

	hearth_state_set_size(store, count);
	unmap_mapping_range(inode->i_mapping, hearth_state_offset(count), 0, 1);
	shmem_truncate_range(inode, hearth_state_offset(count), -1);
}

static int hearth_state_shrink(struct hearth_store *store, u32 count)
{
	int ret = hearth_state_limit(store, count, false);

	if (!ret)
		hearth_state_cut(store, count);
	return ret;
}

/* Resident at once, so that it is here that memory or budget lack, not in a job. */
static int hearth_state_add(struct hearth_store *store, u32 count)
{
	u32 old = store->nr_usable;
	int ret;

	/* Before a job could begin to restore it. */
	ret = hearth_dmem_charge(store, old, count - old);
	if (ret)
		return ret;
	hearth_state_set_size(store, count);
	spin_lock(&store->lock);
	store->nr_usable = count;
	spin_unlock(&store->lock);

	ret = hearth_restore_range(store, old, count - old);
	if (ret) {
		hearth_state_limit(store, old, true);
		hearth_state_cut(store, old);
	}
	return ret;
}

static int hearth_state_grow(struct hearth_store *store, u32 count)
{
	int ret;

	hearth_store_hold(store);
	ret = hearth_state_add(store, count);
	hearth_store_unpin(store);
	return ret;
}

int hearth_store_state_resize(struct hearth_store *store, u32 count)
{
	int ret = 0;

	mutex_lock(&store->state.lock);
	if (count < store->nr_usable)
		ret = hearth_state_shrink(store, count);
	else if (count > store->nr_usable)
		ret = hearth_state_grow(store, count);
	mutex_unlock(&store->state.lock);
	return ret;
}

bool hearth_store_state_advise(struct hearth_store *store, bool needed)
{
	struct hearth_store_state *state = &store->state;
	bool retained;

	spin_lock(&store->lock);
	WRITE_ONCE(state->dontneed, !needed);
	retained = !state->discarded;
	if (needed)
		state->discarded = false;
	spin_unlock(&store->lock);
	return retained;
}
