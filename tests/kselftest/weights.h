/* SPDX-License-Identifier: MIT */
/*
 * Buffers over files for the programs that test them: files of known contents
 * on the writable disk, and a job that reads all of one. Functions that return
 * int return 0 (or what they were asked for) or a negative errno.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "rig.h"

#define WEIGHTS_EXTENT	(2ull << 20)
#define WEIGHTS_VA	0x80000000ull
#define WEIGHTS_OUT_VA	0x100000000ull

/* On a disk whose files have versions. */
#define WEIGHTS_FOLDER	"/scratch"

/* What a program of weights needs. */
enum weights_need {
	WEIGHTS_NEED_NPU = 1 << 0,
	WEIGHTS_NEED_DEBUGFS = 1 << 1,
};

/* Why to skip the program, or NULL: it lacks one of @needs or WEIGHTS_FOLDER. */
const char *weights_lack(unsigned int needs);

#define SKIP_WITHOUT(needs)                                                              \
	do {                                                                             \
		const char *lack = weights_lack(needs);                                  \
		if (lack)                                                                \
			SKIP("%s", lack);                                                \
	} while (0)

/* Writes @bytes that follow from @seed and their place, to the disk. */
int weights_write(const char *path, uint64_t bytes, uint32_t seed);
/* What is at @offset. */
uint8_t weights_byte(uint32_t seed, uint64_t offset);

/* DRM_IOCTL_HEARTH_BO_CREATE_FILE; the handle. */
int weights_bo(int fd, int file, uint64_t offset, uint64_t size);

/* One client with a file bound, and a buffer as large for what a job reads of it. */
struct weights {
	struct npu_ctx ctx;
	int file;
	uint32_t bo;
	uint32_t out_bo;
	uint8_t *out;
	uint64_t bytes;
};

/* Opens the NPU and @path, binds it all. */
int weights_open(struct weights *w, const char *path);
void weights_close(struct weights *w);
/* Writes @bytes from @seed to @path, opens that and reads all of it; -EBADMSG if it is not that. */
int weights_make(struct weights *w, const char *path, uint64_t bytes, uint32_t seed);

/* Queues a job that copies the file to @out; signals ctx.syncobj. */
int weights_submit(struct weights *w);
/* The error of its fence. */
int weights_wait(struct weights *w);
/* Both. */
int weights_run(struct weights *w);
/* Is @out what weights_write() wrote? Then clears it. */
bool weights_are(struct weights *w, uint32_t seed);

/* A job that reads a little everywhere; -EBADMSG if it is not what @seed gives. */
int weights_probe(struct weights *w, uint32_t seed);

/*
 * Makes @fd, a descriptor of an NPU, a client that has the weights which @dma_buf
 * exports, @size bytes in whole extents, at WEIGHTS_VA. The handle.
 */
int weights_receive(struct npu_ctx *ctx, int fd, int dma_buf, uint64_t size);
void weights_let_go(struct npu_ctx *ctx);
/* A job reads 64 bytes at @offset; -EBADMSG if they are not those at @in_file in the file. */
int weights_read_part(struct npu_ctx *ctx, uint32_t seed, uint64_t offset, uint64_t in_file);

/* Drops @bytes of all stores, from the page cache too; as reclaim does it. */
int weights_evict(uint64_t bytes);
int weights_shrink(uint64_t bytes);

/* A number of the only store, or of the first one, in debugfs. */
int64_t weights_stat(const char *key);

#endif /* WEIGHTS_H */
