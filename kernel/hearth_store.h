/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Stores: where the pages of buffers come from that need not be in memory all
 * the time. Resident, evicted and restored by extents of 2 MiB.
 *
 * Order of locks, outermost first:
 *
 *	hearth_store.vms_lock		no memory is allocated under it
 *	hearth_vm.op_lock
 *	hearth_vm.maps_lock		spinlock
 *	hearth_store.lock		spinlock
 *
 * Files are read under none of them. Reclaim takes @vms_lock and op_lock only
 * if it need not wait.
 */
#ifndef __HEARTH_STORE_H__
#define __HEARTH_STORE_H__

#include <linux/atomic.h>
#include <linux/dma-direction.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "hw/hearth_mmu.h"

#include "hearth_keep.h"

struct dma_fence;
struct dmem_cgroup_pool_state;
struct file;
struct file_ra_state;
struct hearth_device;
struct hearth_store;
struct hearth_vm;
struct inode;
struct page;
struct seq_file;

#define HEARTH_EXTENT_SHIFT	HEARTH_MMU_BLOCK_SHIFT
#define HEARTH_EXTENT_BYTES	BIT_ULL(HEARTH_EXTENT_SHIFT)
#define HEARTH_EXTENT_PAGES	((unsigned int)(HEARTH_EXTENT_BYTES >> PAGE_SHIFT))

/* Of one address space: submits look at each. */
#define HEARTH_MAX_STORE_MAPS	1024

/**
 * enum hearth_extent_state - where the pages of an extent are
 */
enum hearth_extent_state {
	/** @HEARTH_EXTENT_DROPPED: Not ours. */
	HEARTH_EXTENT_DROPPED,

	/** @HEARTH_EXTENT_RESTORING: The restore work is reading them. */
	HEARTH_EXTENT_RESTORING,

	/** @HEARTH_EXTENT_RESIDENT: Held, and mapped for the device. */
	HEARTH_EXTENT_RESIDENT,

	/** @HEARTH_EXTENT_EVICTING: Chosen; address spaces are losing it. */
	HEARTH_EXTENT_EVICTING,
};

/**
 * struct hearth_extent - 2 MiB of a store
 */
struct hearth_extent {
	/** @lru: In hearth_store.lru while resident. */
	struct list_head lru;

	/** @sgt: The pages, mapped for the device, from RESTORING to EVICTING. */
	struct sg_table sgt;

	/** @leaf: Page table that all address spaces share, or NULL. */
	__le64 *leaf;

	/** @leaf_dma: Its bus address. */
	dma_addr_t leaf_dma;

	/** @block: Where the pages are a block of the region. */
	struct page *block;

	/** @block_dma: The block's address for the pool. */
	dma_addr_t block_dma;

	/** @entry: What leads to it in level 2, or zero; hearth_store.lock, as what follows. */
	u64 entry;

	/** @state: &enum hearth_extent_state. */
	u8 state;

	/** @wanted: The restore work shall make it resident. */
	bool wanted;

	/** @discard: EVICTING: the contents go as well. */
	bool discard;

	/** @pool: Whom it is charged to, where dmem counts; else NULL. See hearth_dmem.c. */
	struct dmem_cgroup_pool_state *pool;
};

/**
 * struct hearth_chooser - what an eviction may take of what could go
 */
struct hearth_chooser {
	/** @may_go: May this one? Under hearth_store.lock. */
	bool (*may_go)(struct hearth_chooser *chooser, const struct hearth_extent *extent);
};

/**
 * struct hearth_store_ops - one kind of source
 */
struct hearth_store_ops {
	/** @name: For debugfs. */
	const char *name;

	/** @dir: What the device does with the pages. */
	enum dma_data_direction dir;

	/**
	 * @read: Fill @pages with @count pages of extent @index, one reference
	 * each. Sleeps for as long as the source takes.
	 */
	int (*read)(struct hearth_store *store, u32 index, struct page **pages,
		    unsigned int count, struct file_ra_state *ra);

	/**
	 * @take: Memory that the extent will live in. Before the pages are read:
	 * they may lie in what it is taken of, and cannot go while they are held.
	 * NULL: the extent is the pages themselves.
	 */
	int (*take)(struct hearth_store *store, u32 index);

	/**
	 * @place: Copy @pages, which are let go then, to what was taken, and fill
	 * the extent's table with that, mapped for the device.
	 */
	int (*place)(struct hearth_store *store, u32 index, struct page **pages,
		     unsigned int count);

	/** @give: The reverse of @take, once it is not mapped. */
	void (*give)(struct hearth_store *store, u32 index);

	/** @cached: Bytes of it, at most, that are in memory and not held by us; or NULL. */
	u64 (*cached)(struct hearth_store *store);

	/** @changed: Is the source another one than it was? Atomic. */
	bool (*changed)(struct hearth_store *store);

	/** @forget: Free the source's own copy of an extent that was dropped. */
	void (*forget)(struct hearth_store *store, u32 index);

	/** @discard: Lose the contents of an extent that no address space has. */
	void (*discard)(struct hearth_store *store, u32 index);

	/** @helps: Does an eviction free memory? Under hearth_store.lock; NULL for always. */
	bool (*helps)(struct hearth_store *store);

	/** @free: The store goes. */
	void (*free)(struct hearth_store *store);
};

/**
 * struct hearth_client - what a client's jobs had to wait for
 *
 * Address spaces and restores hold it; they may outlive the client's file.
 */
struct hearth_client {
	/** @refs: The file, its address spaces, the restores that they began. */
	struct kref refs;

	/** @restores: Restores that its jobs began and that ended. */
	atomic64_t restores;

	/** @restored_bytes: What they read. */
	atomic64_t restored_bytes;

	/** @restored_ns: How long they took. */
	atomic64_t restored_ns;
};

/**
 * struct hearth_restore - the one restore of a store that may be under way
 *
 * All under hearth_store.lock.
 */
struct hearth_restore {
	/** @fence: Signals when nothing is wanted any more; NULL if none is under way. */
	struct dma_fence *fence;

	/** @spare: For the next one: it is begun where memory cannot be allocated. */
	struct dma_fence *spare;

	/** @context: Timeline of the fences. */
	u64 context;

	/** @seqno: Number of the last one. */
	u64 seqno;

	/** @client: Whose job began it, with a reference; NULL if none did. */
	struct hearth_client *client;

	/** @started: When it began. */
	ktime_t started;

	/** @bytes: Read by it so far. */
	u64 bytes;

	/** @progress: Counts extents, for the watchdog. */
	u64 progress;

	/** @watched: @progress when the watchdog last looked. */
	u64 watched;

	/** @work: Reads, on hearth_restore_wq. */
	struct work_struct work;

	/** @watchdog: Gives up for it, on hearth_device.wq. */
	struct delayed_work watchdog;
};

/**
 * struct hearth_store_stats - what it took so far
 */
struct hearth_store_stats {
	/** @restores: Restores that ended. */
	u64 restores;

	/** @restored_bytes: What they read. */
	u64 restored_bytes;

	/** @restored_ns: How long they took. */
	u64 restored_ns;

	/** @dropped_bytes: What was evicted. */
	u64 dropped_bytes;
};

/**
 * struct hearth_store_file - the source of a file's store
 */
struct hearth_store_file {
	/** @file: Of whoever came first; keeps the inode. */
	struct file *file;

	/** @inode: Key: that of the page cache. */
	struct inode *inode;

	/** @version: Version of @inode's contents, where it has one. */
	u64 version;

	/** @ctime: Else this and the size are compared. */
	struct timespec64 ctime;

	/** @digest: fs-verity digest, the algorithm ahead of it. */
	u8 digest[65];

	/** @digest_bytes: Bytes of @digest, zero without fs-verity. */
	u8 digest_bytes;
};

/**
 * struct hearth_store_state - the source of a state buffer's store
 */
struct hearth_store_state {
	/** @file: The memory, as large as hearth_store.nr_usable extents. */
	struct file *file;

	/** @lock: One change of size at a time. No lock of the store is ahead of it. */
	struct mutex lock;

	/** @dontneed: Discard rather than swap; hearth_store.lock, as the next. */
	bool dontneed;

	/** @discarded: Some of it was, and nobody has asked since. */
	bool discarded;
};

/**
 * struct hearth_store - pages of buffers, shared by all over the same source
 */
struct hearth_store {
	/** @refs: Buffers, and whoever looks at it for a moment. */
	struct kref refs;

	/** @hdev: Device, with a reference. */
	struct hearth_device *hdev;

	/** @ops: Kind of source. */
	const struct hearth_store_ops *ops;

	/** @id: Number on this device, never used again. */
	u64 id;

	/** @bytes: Size of the source. */
	u64 bytes;

	/** @nr_extents: Entries of @extents. */
	u32 nr_extents;

	/** @node: Entry in hearth_mm.stores. */
	struct list_head node;

	/** @release_work: Frees it where the restore work can be waited for. */
	struct work_struct release_work;

	/** @vms_lock: Who changes what address spaces see of it. */
	struct mutex vms_lock;

	/** @evict_work: Does what reclaim could not wait for. */
	struct work_struct evict_work;

	/** @lock: Protects what follows. */
	spinlock_t lock;

	/** @extents: By their number in the source. */
	struct hearth_extent *extents;

	/** @maps: Every &struct hearth_store_map. */
	struct list_head maps;

	/** @lru: Resident extents, the one that became so first is first. */
	struct list_head lru;

	/** @nr_usable: Extents from the first that may be resident: all, of a file. */
	u32 nr_usable;

	/** @nr_resident: Entries of @lru. */
	u32 nr_resident;

	/** @resident_bytes: Their size. */
	u64 resident_bytes;

	/** @nr_evicting: Extents in that state. */
	u32 nr_evicting;

	/** @nr_charged: Extents with a hearth_extent.pool. */
	u32 nr_charged;

	/** @nr_pins: Other devices that have it mapped, or it grows. Nothing is evicted then. */
	u32 nr_pins;

	/** @seen: Number of the last walk over @maps; under @vms_lock too. */
	u64 seen;

	/** @stale: The source has changed. Never false again. */
	bool stale;

	/** @closing: The last reference is gone, or the device. */
	bool closing;

	/** @last_used: When a job that may use it last ended. */
	ktime_t last_used;

	/** @restore: Restore. */
	struct hearth_restore restore;

	/** @stats: Statistics. */
	struct hearth_store_stats stats;

	/** @keep: Whether it is kept, and who pays. Has its own locks. */
	struct hearth_keep keep;

	/** @wait: An extent is not EVICTING any more. Has its own lock. */
	wait_queue_head_t wait;

	/** @file: Source of a file's store. Immutable. */
	struct hearth_store_file file;

	/** @state: Source of a state buffer's store. */
	struct hearth_store_state state;
};

/**
 * struct hearth_store_map - extents of a store in an address space
 *
 * Part of a &struct hearth_vma. It is in the lists from the ioctl on that asks
 * for the bind, so that submits behind it find it; extents are linked from
 * when the bind has run.
 */
struct hearth_store_map {
	/** @store: Store, kept by the mapping's buffer. NULL if it is none of a store. */
	struct hearth_store *store;

	/**
	 * @peer: Store of another of our devices that a foreign buffer shows, kept by
	 * the buffer, or NULL. That device pins its extents, so all there is to see is
	 * whether its file changes. There is one of @store and @peer, or none.
	 */
	struct hearth_store *peer;

	/** @vm: Address space. */
	struct hearth_vm *vm;

	/** @va: Device address of the first extent. */
	u64 va;

	/** @first: Number of the first extent. */
	u32 first;

	/** @count: Extents. */
	u32 count;

	/** @bound: The bind has run; hearth_vm.op_lock. */
	bool bound;

	/** @seen: See hearth_store.seen. */
	u64 seen;

	/** @vm_node: Entry in hearth_vm.maps. */
	struct list_head vm_node;

	/** @store_node: Entry in hearth_store.maps. */
	struct list_head store_node;
};

extern struct workqueue_struct *hearth_restore_wq;

/* hearth_store.c */
int hearth_store_module_init(void);
void hearth_store_module_exit(void);

/* Looks up or creates; a reference, or an error of DRM_IOCTL_HEARTH_BO_CREATE_FILE. */
struct hearth_store *hearth_store_get_file(struct hearth_device *hdev, struct file *file);
/* For a state buffer with shmem of its largest size, which becomes empty. */
struct hearth_store *hearth_store_create_state(struct hearth_device *hdev, struct file *shmem);
struct hearth_store *hearth_store_get(struct hearth_store *store);
/* From any context that may take spinlocks. */
void hearth_store_put(struct hearth_store *store);

/*
 * Calls @fn for each store, with a reference held and no lock, until it
 * returns true. Stores that come meanwhile may be missed.
 */
void hearth_store_for_each(struct hearth_device *hdev,
			   bool (*fn)(struct hearth_store *store, void *arg), void *arg);

/* Sticky. True if the source changed; atomic. */
bool hearth_store_check_stale(struct hearth_store *store);

/* Bytes of @count extents from @first that are resident. */
u64 hearth_store_resident_bytes(struct hearth_store *store, u32 first, u32 count);

void hearth_store_unplug(struct hearth_device *hdev);
void hearth_debugfs_stores(struct seq_file *m, struct hearth_device *hdev);

static inline u64 hearth_extent_bytes(const struct hearth_store *store, u32 index)
{
	u64 start = (u64)index << HEARTH_EXTENT_SHIFT;

	return min_t(u64, PAGE_ALIGN(store->bytes) - start, HEARTH_EXTENT_BYTES);
}

/* hearth_store_file.c: the source; @store is new and not in any list. */
int hearth_store_file_check(struct file *file);
int hearth_store_file_init(struct hearth_store *store, struct file *file);
bool hearth_store_file_is(const struct hearth_store *store, const struct hearth_store *other);

/* hearth_store_state.c */
void hearth_store_state_init(struct hearth_store *store, struct file *shmem);
bool hearth_store_is_state(const struct hearth_store *store);
/* -EBUSY if it cuts off what a job may use, -EDQUOT, -ENOMEM: then all is as it was. */
int hearth_store_state_resize(struct hearth_store *store, u32 count);
/* Are all contents still there? The answer to WILLNEED is given once. */
bool hearth_store_state_advise(struct hearth_store *store, bool needed);

/* hearth_store_pin.c: for other devices */
/* Nothing of it is evicted until hearth_store_unpin(). */
void hearth_store_hold(struct hearth_store *store);
/*
 * Makes @count extents from @first resident and keeps them so. Fills in @pages,
 * one reference each, as many as hearth_store_range_pages() says. -ENODEV,
 * -ESTALE, -EOPNOTSUPP of a region, or the restore's error.
 */
int hearth_store_pin(struct hearth_store *store, u32 first, u32 count, struct page **pages);
void hearth_store_unpin(struct hearth_store *store);
u64 hearth_store_range_pages(const struct hearth_store *store, u32 first, u32 count);

/* hearth_map.c */
void hearth_map_init(struct hearth_store_map *map);
int hearth_map_add(struct hearth_store_map *map, struct hearth_vm *vm,
		   struct hearth_store *store, u64 va, u32 first, u32 count);
/* For weights of another device; -ENOSPC. */
int hearth_map_watch(struct hearth_store_map *map, struct hearth_vm *vm,
		     struct hearth_store *peer);
void hearth_map_del(struct hearth_store_map *map);
/* The bind runs: with hearth_vm.op_lock held, and the range held in the tables. */
void hearth_map_bind(struct hearth_store_map *map);
/* @part takes over what it covers of @whole, which is bound. Same lock. */
void hearth_map_split(struct hearth_store_map *part, const struct hearth_store_map *whole,
		      u64 va, u64 size);
/* -EINVAL if [va, va + size) begins or ends inside of an extent that is mapped. */
int hearth_map_check_cut(struct hearth_vm *vm, u64 va, u64 size);

/*
 * Makes all address spaces agree with the states of the @count extents in
 * @indices: those with an entry are mapped, EVICTING ones are not and the TLB is
 * flushed. With
 * hearth_store.vms_lock held. -EAGAIN if @try and a lock is held by somebody.
 */
int hearth_map_sync(struct hearth_store *store, const u32 *indices, unsigned int count,
		    bool try);

/* hearth_extent.c */
int hearth_extent_load(struct hearth_store *store, u32 index, struct page **pages,
		       struct file_ra_state *ra);
void hearth_extent_unload(struct hearth_store *store, u32 index);
void hearth_extent_free_leaf(struct hearth_store *store, u32 index);

/* hearth_extent_lru.c */
void hearth_extent_set_resident_locked(struct hearth_store *store, u32 index);
void hearth_extent_set_dropped_locked(struct hearth_store *store, u32 index);
unsigned int hearth_extent_choose_locked(struct hearth_store *store, u32 *indices,
					 unsigned int max, u64 nr_pages,
					 struct hearth_chooser *chooser);
unsigned int hearth_extent_choose_from_locked(struct hearth_store *store, u32 *indices,
					      unsigned int max, u32 first);

/* hearth_restore.c */
struct hearth_client *hearth_client_alloc(void);
struct hearth_client *hearth_client_get(struct hearth_client *client);
/* Any context; NULL is nobody. */
void hearth_client_put(struct hearth_client *client);
void hearth_restore_init(struct hearth_store *store);
void hearth_restore_fini(struct hearth_store *store);
/* Makes @count extents from @first resident, and waits. The restore's error. */
int hearth_restore_range(struct hearth_store *store, u32 first, u32 count);
/* Ends what is under way with @error. */
void hearth_restore_abort(struct hearth_store *store, int error);
/* A submit: begins to restore what its address space maps. -ESTALE, -ENOMEM. */
int hearth_restore_vm(struct hearth_vm *vm);
/*
 * Where fences are signalled: a fence to wait for before all of @vm is
 * resident, with a reference; NULL if it is, or an error.
 */
struct dma_fence *hearth_restore_vm_fence(struct hearth_vm *vm);

/* hearth_evict.c */
#define HEARTH_EVICT_CACHE	BIT(0)	/* from the page cache too */
#define HEARTH_EVICT_NOWAIT	BIT(1)	/* from reclaim: take no lock that somebody has */

/*
 * Drops up to @nr_pages, rounded up to extents; nothing of a store that a job
 * in flight may use, and only what @chooser, unless it is NULL, lets go. Returns
 * the pages that are free of us.
 */
u64 hearth_store_evict(struct hearth_store *store, u64 nr_pages, unsigned int flags,
		       struct hearth_chooser *chooser);
/* Jobs in flight, or another device, may use it. */
bool hearth_store_in_use(struct hearth_store *store);
bool hearth_store_in_use_locked(struct hearth_store *store);
/* Pages that it could drop now, and be freed by that; of those that @chooser lets go. */
u64 hearth_store_droppable_by(struct hearth_store *store, struct hearth_chooser *chooser);
/* Drops the extents from @first on, whoever uses them. No restore makes any of them resident. */
void hearth_store_drop_from(struct hearth_store *store, u32 first);
/* Drops all, of a device that is gone. */
void hearth_store_drop_all(struct hearth_store *store);
void hearth_evict_work(struct work_struct *work);

static inline u64 hearth_store_droppable(struct hearth_store *store)
{
	return hearth_store_droppable_by(store, NULL);
}

#endif /* __HEARTH_STORE_H__ */
