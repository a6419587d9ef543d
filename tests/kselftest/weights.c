// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights.h"

#define CHUNK	0x8000u

static bool folder_is_mounted(void)
{
	FILE *f = fopen("/proc/mounts", "r");
	bool mounted = false;
	char line[160];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, " " WEIGHTS_FOLDER " ext4 "))
			mounted = true;
	}
	fclose(f);
	return mounted;
}

const char *weights_lack(unsigned int needs)
{
	char path[64];

	if (!folder_is_mounted())
		return "no " WEIGHTS_FOLDER;
	if ((needs & WEIGHTS_NEED_NPU) && npu_path(path, sizeof(path)) == -ENOENT)
		return "no NPU";
	if ((needs & WEIGHTS_NEED_DEBUGFS) && npu_debugfs("objects", "stores") < 0)
		return "no debugfs";
	return NULL;
}

uint8_t weights_byte(uint32_t seed, uint64_t offset)
{
	uint64_t x = (offset >> 3) * 0x9e3779b97f4a7c15ull + seed * 0xbf58476d1ce4e5b9ull;

	x ^= x >> 29;
	return x >> (offset & 7) * 8;
}

int weights_write(const char *path, uint64_t bytes, uint32_t seed)
{
	uint8_t chunk[CHUNK];
	uint64_t at, i, n;
	int fd, ret = 0;

	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	for (at = 0; at < bytes && !ret; at += n) {
		n = bytes - at < CHUNK ? bytes - at : CHUNK;
		for (i = 0; i < n; i++)
			chunk[i] = weights_byte(seed, at + i);
		if (write(fd, chunk, n) != (ssize_t)n)
			ret = -EIO;
	}
	/* Only what is clean can be dropped. */
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

int weights_bo(int fd, int file, uint64_t offset, uint64_t size)
{
	struct drm_hearth_bo_create_file args = { .fd = file, .offset = offset, .size = size };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE_FILE, &args);

	return ret ? ret : (int)args.handle;
}

static uint64_t whole_extents(uint64_t bytes)
{
	return (bytes + WEIGHTS_EXTENT - 1) / WEIGHTS_EXTENT * WEIGHTS_EXTENT;
}

static int bind_all(struct weights *w)
{
	struct npu_ctx *ctx = &w->ctx;
	uint64_t size = whole_extents(w->bytes);
	int ret;

	ret = weights_bo(ctx->fd, w->file, 0, 0);
	if (ret < 0)
		return ret;
	w->bo = ret;
	ret = npu_map(ctx->fd, ctx->vm, w->bo, 0, WEIGHTS_VA, size, DRM_HEARTH_BIND_READONLY);
	if (ret)
		return ret;
	ret = npu_bo_create(ctx->fd, size, 0);
	if (ret < 0)
		return ret;
	w->out_bo = ret;
	w->out = npu_bo_map(ctx->fd, w->out_bo, size);
	if (w->out == MAP_FAILED)
		return -errno;
	return npu_map(ctx->fd, ctx->vm, w->out_bo, 0, WEIGHTS_OUT_VA, size, 0);
}

int weights_open(struct weights *w, const char *path)
{
	struct stat st;
	int fd, ret;

	memset(w, 0, sizeof(*w));
	w->file = open(path, O_RDONLY | O_CLOEXEC);
	if (w->file < 0 || fstat(w->file, &st))
		return -errno;
	w->bytes = st.st_size;
	fd = npu_open();
	if (fd < 0)
		return fd;
	ret = npu_ctx_init(&w->ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	return ret ? ret : bind_all(w);
}

void weights_close(struct weights *w)
{
	int fd = w->ctx.fd;

	if (w->out && w->out != MAP_FAILED)
		munmap(w->out, whole_extents(w->bytes));
	npu_ctx_fini(&w->ctx);
	close(fd);
	close(w->file);
}

int weights_submit(struct weights *w)
{
	struct npu_ctx *ctx = &w->ctx;
	uint64_t at, n;
	size_t bytes = 0;

	for (at = 0; at < w->bytes; at += n) {
		n = w->bytes - at < CHUNK ? w->bytes - at : CHUNK;
		bytes += npu_cmd_copy(ctx->stream + bytes, WEIGHTS_OUT_VA + at, WEIGHTS_VA + at, n);
	}
	return rig_submit(ctx, 0, bytes, ctx->syncobj, 0);
}

int weights_wait(struct weights *w)
{
	int ret = npu_syncobj_wait(w->ctx.fd, w->ctx.syncobj, 0, RIG_DEADLINE);

	return ret ? ret : npu_syncobj_status(w->ctx.fd, w->ctx.syncobj, 0);
}

int weights_run(struct weights *w)
{
	int ret = weights_submit(w);

	return ret ? ret : weights_wait(w);
}

bool weights_are(struct weights *w, uint32_t seed)
{
	uint64_t i;

	for (i = 0; i < w->bytes; i++) {
		if (w->out[i] != weights_byte(seed, i)) {
			printf("# at %llu is %02x, should be %02x\n", (unsigned long long)i,
			       w->out[i], weights_byte(seed, i));
			return false;
		}
	}
	memset(w->out, 0, w->bytes);
	return true;
}

int weights_make(struct weights *w, const char *path, uint64_t bytes, uint32_t seed)
{
	int ret = weights_write(path, bytes, seed);

	if (!ret)
		ret = weights_open(w, path);
	if (!ret)
		ret = weights_run(w);
	if (!ret && !weights_are(w, seed))
		ret = -EBADMSG;
	return ret;
}

#define PROBE_STEP	0x20000u
#define PROBE_BYTES	64u

int weights_probe(struct weights *w, uint32_t seed)
{
	struct npu_ctx *ctx = &w->ctx;
	size_t bytes = 0;
	uint64_t at, i;
	int ret;

	for (at = 0; at + PROBE_BYTES <= w->bytes; at += PROBE_STEP) {
		memset(w->out + at, 0, PROBE_BYTES);
		bytes += npu_cmd_copy(ctx->stream + bytes, WEIGHTS_OUT_VA + at, WEIGHTS_VA + at,
				      PROBE_BYTES);
	}
	ret = rig_submit(ctx, 0, bytes, ctx->syncobj, 0);
	if (!ret)
		ret = weights_wait(w);
	for (at = 0; !ret && at + PROBE_BYTES <= w->bytes; at += PROBE_STEP) {
		for (i = at; i < at + PROBE_BYTES; i++) {
			if (w->out[i] != weights_byte(seed, i))
				ret = -EBADMSG;
		}
	}
	return ret;
}

int weights_receive(struct npu_ctx *ctx, int fd, int dma_buf, uint64_t size)
{
	int bo, ret;

	if (fd < 0)
		return fd;
	ret = npu_ctx_init(ctx, fd, DRM_HEARTH_QUEUE_NORMAL);
	if (ret)
		return ret;
	bo = npu_import(fd, dma_buf);
	if (bo < 0)
		return bo;
	ret = npu_map(fd, ctx->vm, bo, 0, WEIGHTS_VA, size, DRM_HEARTH_BIND_READONLY);
	return ret ? ret : bo;
}

void weights_let_go(struct npu_ctx *ctx)
{
	int fd = ctx->fd;

	npu_ctx_fini(ctx);
	close(fd);
}

int weights_read_part(struct npu_ctx *ctx, uint32_t seed, uint64_t offset, uint64_t in_file)
{
	size_t i, n;
	int ret;

	n = npu_cmd_copy(ctx->stream, ctx->stream_va + RIG_DATA, WEIGHTS_VA + offset, PROBE_BYTES);
	ret = npu_ctx_run(ctx, n, RIG_DEADLINE);
	for (i = 0; i < PROBE_BYTES && !ret; i++) {
		if (ctx->stream[RIG_DATA + i] != weights_byte(seed, in_file + i))
			ret = -EBADMSG;
	}
	return ret;
}

static int write_debugfs(const char *file, uint64_t value)
{
	char pattern[64], text[32];
	glob_t found;
	int ret;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/accel/*/%s", file);
	ret = glob(pattern, 0, NULL, &found);
	if (ret) {
		snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/dri/*/%s", file);
		ret = glob(pattern, 0, NULL, &found);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	ret = ret ? -ENOENT : rig_write(found.gl_pathv[0], text);
	globfree(&found);
	return ret;
}

int weights_evict(uint64_t bytes)
{
	return write_debugfs("evict", bytes);
}

int weights_shrink(uint64_t bytes)
{
	return write_debugfs("shrink", bytes);
}

int64_t weights_stat(const char *key)
{
	return npu_debugfs("stores", key);
}
