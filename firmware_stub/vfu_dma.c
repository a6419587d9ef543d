// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "vfu_dma.h"

#define MESSAGE_BYTES	65536	/* of one transfer, if the client takes that */

/* One DMA_READ or DMA_WRITE that waits for its reply; lives on its stack. */
struct vfu_transfer {
	struct vfu_transfer *next;
	uint16_t id;
	uint16_t command;
	bool holds_refs;	/* its thread has pointers that an unmap waits for */
	bool done;
	int error;
	void *to;
	uint32_t bytes;
	pthread_cond_t wake;
};

/* Pointers that this thread holds. */
static __thread unsigned int refs_held;

void vfu_dma_init(struct vfu_dma *dma, struct vfu_conn *conn)
{
	memset(dma, 0, sizeof(*dma));
	dma->conn = conn;
	dma->max_xfer = VFU_MAX_XFER;
	pthread_mutex_init(&dma->lock, NULL);
	pthread_cond_init(&dma->idle, NULL);
}

void vfu_dma_fini(struct vfu_dma *dma)
{
	vfu_dma_unmap_all(dma);
	free(dma->maps);
	pthread_cond_destroy(&dma->idle);
	pthread_mutex_destroy(&dma->lock);
}

/* Index of the first map that ends behind @address. */
static unsigned int find_index(const struct vfu_dma *dma, uint64_t address)
{
	unsigned int lo = 0, hi = dma->num_maps;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;
		const struct vfu_dma_map *m = dma->maps[mid];

		if (m->address + (m->size - 1) < address)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int check_file(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < offset ||
	    (uint64_t)st.st_size - offset < size)
		return -EINVAL;
	return 0;
}

static int map_file(struct vfu_dma_map *m, uint64_t offset, int fd)
{
	int prot = 0, ret;

	ret = check_file(fd, offset, m->size);
	if (ret)
		return ret;
	if (m->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= PROT_READ;
	if (m->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= PROT_WRITE;
	m->ptr = mmap(NULL, m->size, prot, MAP_SHARED, fd, (off_t)offset);
	if (m->ptr == MAP_FAILED) {
		m->ptr = NULL;
		return -errno;
	}
	return 0;
}

static int insert_map(struct vfu_dma *dma, struct vfu_dma_map *m)
{
	unsigned int i = find_index(dma, m->address);

	if (i < dma->num_maps && dma->maps[i]->address <= m->address + (m->size - 1))
		return -EEXIST;
	if (dma->num_maps == VFU_MAX_MAPS)
		return -ENOSPC;
	if (dma->num_maps == dma->max_maps) {
		unsigned int max = dma->max_maps ? 2 * dma->max_maps : 32;
		struct vfu_dma_map **maps = realloc(dma->maps, max * sizeof(*maps));

		if (!maps)
			return -ENOMEM;
		dma->maps = maps;
		dma->max_maps = max;
	}
	memmove(&dma->maps[i + 1], &dma->maps[i],
		(dma->num_maps - i) * sizeof(*dma->maps));
	dma->maps[i] = m;
	dma->num_maps++;
	dma->total_maps++;
	return 0;
}

static void free_map(struct vfu_dma_map *m)
{
	if (m->ptr)
		munmap(m->ptr, m->size);
	free(m);
}

int vfu_dma_map(struct vfu_dma *dma, const struct vfu_msg_dma_map *req, int fd)
{
	const uint32_t rights = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct vfu_dma_map *m;
	int ret;

	if (!req->size || req->address + (req->size - 1) < req->address ||
	    (req->flags & ~rights) || req->size > INT64_MAX || req->offset > INT64_MAX)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->address = req->address;
	m->size = req->size;
	m->flags = req->flags;
	ret = fd >= 0 ? map_file(m, req->offset, fd) : 0;
	if (!ret) {
		pthread_mutex_lock(&dma->lock);
		ret = insert_map(dma, m);
		pthread_mutex_unlock(&dma->lock);
	}
	if (ret)
		free_map(m);
	return ret;
}

static void end_transfer(struct vfu_transfer *t, int error)
{
	t->done = true;
	t->error = error;
	pthread_cond_signal(&t->wake);
}

/*
 * A thread that holds a pointer into the dying map may itself wait for the
 * client, and the client waits for our answer to the unmap: end that wait.
 * Memory that goes while a command uses it is a bus error on any device.
 */
static void wait_idle(struct vfu_dma *dma, struct vfu_dma_map *m)
{
	m->dying = true;
	dma->unmapping++;
	for (struct vfu_transfer *t = dma->transfers; m->users && t; t = t->next)
		if (t->holds_refs && !t->done)
			end_transfer(t, -EIO);
	while (m->users)
		pthread_cond_wait(&dma->idle, &dma->lock);
	dma->unmapping--;
}

static void unmap_range(struct vfu_dma *dma, uint64_t first, uint64_t last)
{
	unsigned int i;

	pthread_mutex_lock(&dma->lock);
	i = find_index(dma, first);
	while (i < dma->num_maps) {
		struct vfu_dma_map *m = dma->maps[i];

		if (m->address < first || m->address + (m->size - 1) > last) {
			i++;
			continue;
		}
		/* drops the lock, but only this thread changes the array */
		wait_idle(dma, m);
		free_map(m);
		dma->total_unmaps++;
		dma->num_maps--;
		memmove(&dma->maps[i], &dma->maps[i + 1],
			(dma->num_maps - i) * sizeof(*dma->maps));
	}
	pthread_mutex_unlock(&dma->lock);
}

void vfu_dma_unmap(struct vfu_dma *dma, uint64_t address, uint64_t size)
{
	uint64_t last = address + (size - 1);

	if (size)
		unmap_range(dma, address, last < address ? UINT64_MAX : last);
}

void vfu_dma_unmap_all(struct vfu_dma *dma)
{
	unmap_range(dma, 0, UINT64_MAX);
}

void vfu_dma_block(struct vfu_dma *dma, bool blocked)
{
	pthread_mutex_lock(&dma->lock);
	dma->blocked = blocked;
	if (blocked)
		for (struct vfu_transfer *t = dma->transfers; t; t = t->next)
			if (!t->done)
				end_transfer(t, -EIO);
	pthread_mutex_unlock(&dma->lock);
}

bool vfu_dma_blocked(struct vfu_dma *dma)
{
	bool blocked;

	pthread_mutex_lock(&dma->lock);
	blocked = dma->blocked;
	pthread_mutex_unlock(&dma->lock);
	return blocked;
}

static int lookup(struct vfu_dma *dma, uint64_t address, bool write,
		  struct vfu_dma_map **map, uint64_t *bytes)
{
	uint32_t right = write ? VFIO_DMA_MAP_FLAG_WRITE : VFIO_DMA_MAP_FLAG_READ;
	unsigned int i = find_index(dma, address);
	struct vfu_dma_map *m;
	uint64_t left;

	if (dma->blocked)
		return -EIO;
	if (i == dma->num_maps)
		return -EFAULT;
	m = dma->maps[i];
	if (m->address > address || !(m->flags & right) || m->dying)
		return -EFAULT;
	left = m->size - (address - m->address);
	if (*bytes > left)
		*bytes = left;
	*map = m;
	return 0;
}

int vfu_dma_get(struct vfu_dma *dma, uint64_t address, uint64_t bytes,
		bool write, struct vfu_dma_ref *ref)
{
	struct vfu_dma_map *m;
	int ret;

	pthread_mutex_lock(&dma->lock);
	ret = lookup(dma, address, write, &m, &bytes);
	if (!ret && !m->ptr)
		ret = -EOPNOTSUPP;
	if (!ret) {
		m->users++;
		refs_held++;
		ref->ptr = m->ptr + (address - m->address);
		ref->map = m;
	}
	ref->bytes = bytes;
	pthread_mutex_unlock(&dma->lock);
	return ret;
}

void vfu_dma_put(struct vfu_dma *dma, struct vfu_dma_ref *ref)
{
	pthread_mutex_lock(&dma->lock);
	refs_held--;
	if (!--ref->map->users && ref->map->dying)
		pthread_cond_broadcast(&dma->idle);
	pthread_mutex_unlock(&dma->lock);
	ref->map = NULL;
	ref->ptr = NULL;
}

static void add_transfer(struct vfu_dma *dma, struct vfu_transfer *t)
{
	t->id = dma->next_id++;
	t->holds_refs = refs_held;
	t->next = dma->transfers;
	dma->transfers = t;
	/* an unmap may already wait for this thread's pointers */
	if (dma->blocked || (t->holds_refs && dma->unmapping))
		end_transfer(t, -EIO);
}

static void remove_transfer(struct vfu_dma *dma, struct vfu_transfer *t)
{
	struct vfu_transfer **p = &dma->transfers;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
}

static int send_transfer(struct vfu_dma *dma, struct vfu_transfer *t,
			 uint64_t address, const void *data)
{
	struct vfu_header hdr = { .id = t->id, .command = t->command };
	struct vfu_msg_dma msg = { .address = address, .count = t->bytes };

	return vfu_conn_send(dma->conn, &hdr, &msg, sizeof(msg), data,
			     data ? t->bytes : 0);
}

/* Exactly one of @to (a read) and @data (a write) is given. */
static int transfer(struct vfu_dma *dma, uint64_t address, void *to,
		    const void *data, uint32_t bytes)
{
	struct vfu_transfer t = {
		.command = to ? VFU_CMD_DMA_READ : VFU_CMD_DMA_WRITE,
		.to = to,
		.bytes = bytes,
	};
	int ret;

	pthread_cond_init(&t.wake, NULL);
	pthread_mutex_lock(&dma->lock);
	add_transfer(dma, &t);
	pthread_mutex_unlock(&dma->lock);
	ret = send_transfer(dma, &t, address, data);
	pthread_mutex_lock(&dma->lock);
	if (ret && !t.done)
		end_transfer(&t, ret);
	while (!t.done)
		pthread_cond_wait(&t.wake, &dma->lock);
	remove_transfer(dma, &t);
	pthread_mutex_unlock(&dma->lock);
	pthread_cond_destroy(&t.wake);
	return t.error;
}

void vfu_dma_reply(struct vfu_dma *dma, const struct vfu_header *hdr,
		   const uint8_t *body, size_t bytes)
{
	struct vfu_transfer *t;
	int error = 0;

	pthread_mutex_lock(&dma->lock);
	for (t = dma->transfers; t; t = t->next)
		if (t->id == hdr->id && t->command == hdr->command && !t->done)
			break;
	if (t) {
		if (hdr->flags & VFU_FLAG_ERROR)
			error = -EFAULT;
		else if (t->to && bytes != sizeof(struct vfu_msg_dma) + t->bytes)
			error = -EPROTO;
		else if (t->to)
			memcpy(t->to, body + sizeof(struct vfu_msg_dma), t->bytes);
		end_transfer(t, error);
	}
	pthread_mutex_unlock(&dma->lock);
}

/* Copy at most up to the end of the range that holds @address. */
static int copy_some(struct vfu_dma *dma, uint64_t address, void *to,
		     const void *data, uint64_t *bytes)
{
	struct vfu_dma_ref ref;
	int ret;

	ret = vfu_dma_get(dma, address, *bytes, data, &ref);
	*bytes = ref.bytes;
	if (!ret) {
		if (data)
			memcpy(ref.ptr, data, ref.bytes);
		else
			memcpy(to, ref.ptr, ref.bytes);
		vfu_dma_put(dma, &ref);
		return 0;
	}
	if (ret != -EOPNOTSUPP)
		return ret;
	if (*bytes > MESSAGE_BYTES)
		*bytes = MESSAGE_BYTES;
	if (*bytes > dma->max_xfer)
		*bytes = dma->max_xfer;
	return transfer(dma, address, to, data, *bytes);
}

static int copy(struct vfu_dma *dma, uint64_t address, void *to,
		const void *data, uint64_t bytes, uint64_t *fault)
{
	while (bytes) {
		uint64_t n = bytes;
		int ret = copy_some(dma, address, to, data, &n);

		if (ret) {
			if (fault)
				*fault = address;
			return ret;
		}
		if (data)
			data = (const char *)data + n;
		else
			to = (char *)to + n;
		address += n;
		bytes -= n;
	}
	return 0;
}

int vfu_dma_read(struct vfu_dma *dma, uint64_t address, void *data,
		 uint64_t bytes, uint64_t *fault)
{
	return copy(dma, address, data, NULL, bytes, fault);
}

int vfu_dma_write(struct vfu_dma *dma, uint64_t address, const void *data,
		  uint64_t bytes, uint64_t *fault)
{
	return copy(dma, address, NULL, data, bytes, fault);
}

static bool atomic_at(const struct vfu_dma_ref *ref, unsigned int bytes)
{
	return ref->bytes == bytes && !((uintptr_t)ref->ptr % bytes);
}

int vfu_dma_load32(struct vfu_dma *dma, uint64_t address, uint32_t *value)
{
	struct vfu_dma_ref ref;
	int ret = vfu_dma_get(dma, address, sizeof(*value), false, &ref);
	bool atomic;

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	atomic = !ret && atomic_at(&ref, sizeof(*value));
	if (atomic)
		*value = __atomic_load_n((uint32_t *)ref.ptr, __ATOMIC_ACQUIRE);
	if (!ret)
		vfu_dma_put(dma, &ref);
	return atomic ? 0 : vfu_dma_read(dma, address, value, sizeof(*value), NULL);
}

int vfu_dma_load64(struct vfu_dma *dma, uint64_t address, uint64_t *value)
{
	struct vfu_dma_ref ref;
	int ret = vfu_dma_get(dma, address, sizeof(*value), false, &ref);
	bool atomic;

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	atomic = !ret && atomic_at(&ref, sizeof(*value));
	if (atomic)
		*value = __atomic_load_n((uint64_t *)ref.ptr, __ATOMIC_ACQUIRE);
	if (!ret)
		vfu_dma_put(dma, &ref);
	return atomic ? 0 : vfu_dma_read(dma, address, value, sizeof(*value), NULL);
}

int vfu_dma_store32(struct vfu_dma *dma, uint64_t address, uint32_t value)
{
	struct vfu_dma_ref ref;
	int ret = vfu_dma_get(dma, address, sizeof(value), true, &ref);
	bool atomic;

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	atomic = !ret && atomic_at(&ref, sizeof(value));
	if (atomic)
		__atomic_store_n((uint32_t *)ref.ptr, value, __ATOMIC_RELEASE);
	if (!ret)
		vfu_dma_put(dma, &ref);
	return atomic ? 0 : vfu_dma_write(dma, address, &value, sizeof(value), NULL);
}

int vfu_dma_store64(struct vfu_dma *dma, uint64_t address, uint64_t value)
{
	struct vfu_dma_ref ref;
	int ret = vfu_dma_get(dma, address, sizeof(value), true, &ref);
	bool atomic;

	if (ret && ret != -EOPNOTSUPP)
		return ret;
	atomic = !ret && atomic_at(&ref, sizeof(value));
	if (atomic)
		__atomic_store_n((uint64_t *)ref.ptr, value, __ATOMIC_RELEASE);
	if (!ret)
		vfu_dma_put(dma, &ref);
	return atomic ? 0 : vfu_dma_write(dma, address, &value, sizeof(value), NULL);
}
