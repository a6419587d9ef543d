// SPDX-License-Identifier: GPL-2.0
/*
 * Files as a source: the pages are those of the page cache, held while they
 * are resident. Whether the file is still the one that it was is told by the
 * version of its inode, which moves before the contents do.
 */
#include <linux/dax.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/iversion.h>
#include <linux/pagemap.h>

#include "hearth_device.h"
#include "hearth_store.h"
#include "hearth_vm.h"

/* Each try lets the kernel reclaim what it can. */
#define HEARTH_READ_TRIES	8

/* Read ahead of what is being mapped; a window doubles up to this. */
#define HEARTH_READAHEAD_BYTES	SZ_16M

/*
 * Without versions a change shows in the time of the last one, which has the
 * resolution of the tick or that of the file system. So that the next change is
 * another time, a file that was changed just now gets that long to rest. FAT cuts
 * times to two seconds and tells nobody.
 */
#define HEARTH_CTIME_NS		(2 * TICK_NSEC)
#define HEARTH_CTIME_FAT_NS	(2 * NSEC_PER_SEC)

static bool hearth_file_is_versioned(const struct inode *inode)
{
	return IS_I_VERSION(inode);
}

static int hearth_file_check_source(struct inode *inode, struct address_space *mapping)
{
	if (!S_ISREG(inode->i_mode))
		return -EINVAL;
	/* Nothing to share, or nothing to read again once it is dropped. */
	if (!mapping->a_ops->read_folio || IS_DAX(inode) || mapping_unevictable(mapping))
		return -EOPNOTSUPP;
	return 0;
}

int hearth_store_file_check(struct file *file)
{
	struct inode *inode = file->f_mapping->host;
	int ret;

	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (!S_ISREG(file_inode(file)->i_mode))
		return -EINVAL;
	ret = hearth_file_check_source(inode, file->f_mapping);
	if (ret)
		return ret;
	return i_size_read(inode) ? 0 : -EINVAL;
}

static bool hearth_file_changed(struct hearth_store *store)
{
	struct hearth_store_file *source = &store->file;
	struct timespec64 ctime;

	if (i_size_read(source->inode) != store->bytes)
		return true;
	if (hearth_file_is_versioned(source->inode))
		return !inode_eq_iversion(source->inode, source->version);

	ctime = inode_get_ctime(source->inode);
	return !timespec64_equal(&ctime, &source->ctime);
}

static s64 hearth_file_resolution_ns(const struct inode *inode, const struct timespec64 *ctime)
{
	if (!ctime->tv_nsec)
		return HEARTH_CTIME_FAT_NS;
	return max_t(s64, HEARTH_CTIME_NS, inode->i_sb->s_time_gran);
}

/* Who changed it within this time could do so again without a trace. */
static void hearth_file_let_rest(struct inode *inode)
{
	/* A time that is ahead of the clock is not waited for. */
	unsigned long end = jiffies + nsecs_to_jiffies(2 * HEARTH_CTIME_FAT_NS);
	struct timespec64 now, ctime;

	do {
		ktime_get_coarse_real_ts64(&now);
		ctime = inode_get_ctime(inode);
		if (timespec64_to_ns(&now) - timespec64_to_ns(&ctime) >
		    hearth_file_resolution_ns(inode, &ctime))
			return;
		msleep(jiffies_to_msecs(1));
	} while (time_before(jiffies, end));
}

static void hearth_file_read_version(struct hearth_store_file *source)
{
	if (hearth_file_is_versioned(source->inode)) {
		source->version = inode_query_iversion(source->inode);
		return;
	}
	hearth_file_let_rest(source->inode);
	source->ctime = inode_get_ctime(source->inode);
}

/* Two files with the same digest are the same bytes, and stay so. */
static void hearth_file_read_digest(struct hearth_store_file *source)
{
	u8 digest[FS_VERITY_MAX_DIGEST_SIZE], alg = 0;
	int bytes;

	BUILD_BUG_ON(sizeof(source->digest) < sizeof(digest) + 1);

	bytes = IS_VERITY(source->inode) ?
		fsverity_get_digest(source->inode, digest, &alg, NULL) : 0;
	if (bytes <= 0)
		return;
	source->digest[0] = alg;
	memcpy(source->digest + 1, digest, bytes);
	source->digest_bytes = bytes + 1;
}

/*
 * One folio, with the file read ahead as for a program that reads it in order.
 *
 * Readahead gives up where memory is short, and so do we: a read that insists
 * would have the kernel kill somebody, for weights that can be read later.
 */
static struct folio *hearth_file_get_folio(struct file *file, struct file_ra_state *ra,
					   pgoff_t index, unsigned int left)
{
	struct address_space *mapping = file->f_mapping;
	struct folio *folio = filemap_get_folio(mapping, index);
	int tries;

	if (!IS_ERR(folio) && folio_test_readahead(folio))
		page_cache_async_readahead(mapping, ra, file, folio, left);

	for (tries = 0; IS_ERR(folio) && tries < HEARTH_READ_TRIES; tries++) {
		/* In order, wherever we begin. */
		ra->prev_pos = ((loff_t)index << PAGE_SHIFT) - 1;
		page_cache_sync_readahead(mapping, ra, file, index, tries ? 1 : left);
		folio = filemap_get_folio(mapping, index);
	}
	if (IS_ERR(folio))
		return ERR_PTR(-ENOMEM);

	folio_put(folio);
	return read_mapping_folio(mapping, index, file);
}

static int hearth_file_read(struct hearth_store *store, u32 index, struct page **pages,
			    unsigned int count, struct file_ra_state *ra)
{
	pgoff_t first = (pgoff_t)index << (HEARTH_EXTENT_SHIFT - PAGE_SHIFT);
	unsigned int i = 0, n;
	struct folio *folio;

	ra->ra_pages = HEARTH_READAHEAD_BYTES >> PAGE_SHIFT;
	while (i < count) {
		folio = hearth_file_get_folio(store->file.file, ra, first + i, count - i);
		if (IS_ERR(folio))
			goto err_put;

		n = min_t(pgoff_t, count - i, folio_next_index(folio) - (first + i));
		folio_ref_add(folio, n - 1);
		while (n--) {
			pages[i] = folio_file_page(folio, first + i);
			i++;
		}
		cond_resched();
	}
	return 0;

err_put:
	while (i--)
		put_page(pages[i]);
	return PTR_ERR(folio) == -ENOMEM ? -ENOMEM : -EIO;
}

/* More than that if it has grown, or less: others read and drop it as they like. */
static u64 hearth_file_cached(struct hearth_store *store)
{
	u64 pages = READ_ONCE(store->file.file->f_mapping->nrpages);

	return hearth_room(pages << PAGE_SHIFT, READ_ONCE(store->resident_bytes));
}

static void hearth_file_forget(struct hearth_store *store, u32 index)
{
	pgoff_t first = (pgoff_t)index << (HEARTH_EXTENT_SHIFT - PAGE_SHIFT);

	invalidate_mapping_pages(store->file.file->f_mapping, first,
				 first + HEARTH_EXTENT_PAGES - 1);
}

static void hearth_file_free(struct hearth_store *store)
{
	if (store->file.file)
		fput(store->file.file);
}

static const struct hearth_store_ops hearth_file_ops = {
	.name = "file",
	.dir = DMA_TO_DEVICE,
	.read = hearth_file_read,
	.cached = hearth_file_cached,
	.changed = hearth_file_changed,
	.forget = hearth_file_forget,
	.free = hearth_file_free,
};

static const struct hearth_store_ops hearth_region_ops = {
	.name = "region",
	.dir = DMA_TO_DEVICE,
	.read = hearth_file_read,
	.take = hearth_region_take,
	.place = hearth_region_place,
	.give = hearth_region_give,
	.changed = hearth_file_changed,
	.forget = hearth_file_forget,
	.free = hearth_file_free,
};

int hearth_store_file_init(struct hearth_store *store, struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	store->ops = store->hdev->region.bytes ? &hearth_region_ops : &hearth_file_ops;
	store->file.file = get_file(file);
	store->file.inode = inode;
	hearth_file_read_version(&store->file);
	hearth_file_read_digest(&store->file);
	store->bytes = i_size_read(inode);

	/*
	 * After the version was read: who opens it for writing later moves the
	 * version with the first write. One who has a writable mapping already
	 * might not.
	 */
	if (atomic_read(&inode->i_writecount) > 0)
		return -ETXTBSY;
	if (!store->bytes)
		return -EINVAL;
	if (store->bytes > hearth_vm_end(store->hdev))
		return -EFBIG;
	return 0;
}

bool hearth_store_file_is(const struct hearth_store *store, const struct hearth_store *other)
{
	const struct hearth_store_file *a = &store->file, *b = &other->file;

	if (a->inode == b->inode)
		return true;
	return a->digest_bytes && a->digest_bytes == b->digest_bytes &&
	       store->bytes == other->bytes && !memcmp(a->digest, b->digest, a->digest_bytes);
}
