/* SPDX-License-Identifier: MIT */
/*
 * The client's memory as the device may reach it: the ranges that the client
 * has mapped, with the rights that it gave. Nothing else can be accessed.
 *
 * A range with a file is mapped and reached by pointer; a range without one
 * is reached by messages. Any thread may access; the thread that serves the
 * protocol maps and unmaps. Unmapping waits for the accesses under way, and
 * nobody keeps a pointer beyond vfu_dma_put().
 */
#ifndef HEARTH_VFU_DMA_H
#define HEARTH_VFU_DMA_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vfu_conn.h"

struct vfu_dma_map {
	uint64_t address;
	uint64_t size;
	uint32_t flags;
	char *ptr;		/* NULL: by messages */
	unsigned int users;
	bool dying;
};

struct vfu_transfer;

struct vfu_dma {
	struct vfu_conn *conn;
	pthread_mutex_t lock;
	pthread_cond_t idle;		/* a dying map has lost its last user */
	struct vfu_dma_map **maps;	/* sorted by address, never overlapping */
	unsigned int num_maps;
	unsigned int max_maps;
	bool blocked;			/* no access: reset, or no bus master */
	unsigned int unmapping;
	uint32_t max_xfer;		/* of one message */
	uint16_t next_id;
	struct vfu_transfer *transfers;	/* messages that wait for their reply */
	uint64_t total_maps;
	uint64_t total_unmaps;
};

/* A pointer into the client's memory, valid until vfu_dma_put(). */
struct vfu_dma_ref {
	void *ptr;
	uint64_t bytes;
	struct vfu_dma_map *map;
};

void vfu_dma_init(struct vfu_dma *dma, struct vfu_conn *conn);
void vfu_dma_fini(struct vfu_dma *dma);

/*
 * Map [address, address + size). @fd is borrowed, or -1. -EEXIST if it meets
 * another one, -EINVAL if the range wraps, the file is too short or not a
 * file, -ENOSPC beyond VFU_MAX_MAPS.
 */
int vfu_dma_map(struct vfu_dma *dma, const struct vfu_msg_dma_map *req, int fd);

/* Unmap all that lies in the range, which may be nothing. */
void vfu_dma_unmap(struct vfu_dma *dma, uint64_t address, uint64_t size);
void vfu_dma_unmap_all(struct vfu_dma *dma);

/*
 * While blocked, accesses fail with -EIO; blocking also ends the messages
 * that wait for a reply.
 */
void vfu_dma_block(struct vfu_dma *dma, bool blocked);
bool vfu_dma_blocked(struct vfu_dma *dma);

/*
 * A pointer for @bytes at @address, ref->bytes of them if the range ends
 * earlier. -EFAULT: not mapped, or without the right. -EOPNOTSUPP: mapped,
 * but reached by messages only (ref->bytes is set). -EIO: blocked.
 */
int vfu_dma_get(struct vfu_dma *dma, uint64_t address, uint64_t bytes,
		bool write, struct vfu_dma_ref *ref);
void vfu_dma_put(struct vfu_dma *dma, struct vfu_dma_ref *ref);

/*
 * Copy. On failure *fault (if not NULL) is the first address that was
 * refused; what lies before it has been copied.
 */
int vfu_dma_read(struct vfu_dma *dma, uint64_t address, void *data,
		 uint64_t bytes, uint64_t *fault);
int vfu_dma_write(struct vfu_dma *dma, uint64_t address, const void *data,
		  uint64_t bytes, uint64_t *fault);

/*
 * Naturally aligned words, single-copy atomic where the memory is mapped. A
 * load is an acquire, a store a release: what an index covers is visible
 * before the index.
 */
int vfu_dma_load32(struct vfu_dma *dma, uint64_t address, uint32_t *value);
int vfu_dma_load64(struct vfu_dma *dma, uint64_t address, uint64_t *value);
int vfu_dma_store32(struct vfu_dma *dma, uint64_t address, uint32_t value);
int vfu_dma_store64(struct vfu_dma *dma, uint64_t address, uint64_t value);

/* A reply to one of our messages has come. Unknown ids are stale: ignored. */
void vfu_dma_reply(struct vfu_dma *dma, const struct vfu_header *hdr,
		   const uint8_t *body, size_t bytes);

#endif
