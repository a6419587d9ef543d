/* SPDX-License-Identifier: MIT */
/* What the files of the NPU backend share. */
#ifndef HEARTH_RUNTIME_NPU_H
#define HEARTH_RUNTIME_NPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hearth_buffer;
struct hearth_device;

/* 0, or a negative errno with the message "NODE: what: why" set. */
int hearth_npu_ioctl(struct hearth_device *dev, unsigned long req, void *arg,
		     const char *what);

/* Fill @p with what the device tells of @type; a shorter answer leaves zeros. */
int hearth_npu_query(struct hearth_device *dev, uint32_t type, void *p, size_t size);

/* As struct hearth_backend has them. */
int hearth_npu_buffer_create(struct hearth_buffer *buf);
int hearth_npu_buffer_from_file(struct hearth_buffer *buf, int fd, uint64_t offset);
int hearth_npu_buffer_import(struct hearth_buffer *buf, int dmabuf_fd);
int hearth_npu_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd);
int hearth_npu_buffer_bind(struct hearth_buffer *buf);
void hearth_npu_buffer_unbind(struct hearth_buffer *buf);
void hearth_npu_buffer_destroy(struct hearth_buffer *buf);
int hearth_npu_buffer_resize(struct hearth_buffer *buf, uint64_t bytes);
int hearth_npu_buffer_advise(struct hearth_buffer *buf, bool needed, bool *retained);

#endif
