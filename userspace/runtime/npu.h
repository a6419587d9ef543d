/* SPDX-License-Identifier: MIT */
/* What the files of the NPU backend share. */
#ifndef HEARTH_RUNTIME_NPU_H
#define HEARTH_RUNTIME_NPU_H

#include <stddef.h>
#include <stdint.h>

struct hearth_device;

/* 0, or a negative errno with the message "NODE: what: why" set. */
int hearth_npu_ioctl(struct hearth_device *dev, unsigned long req, void *arg,
		     const char *what);

/* Fill @p with what the device tells of @type; a shorter answer leaves zeros. */
int hearth_npu_query(struct hearth_device *dev, uint32_t type, void *p, size_t size);

#endif
