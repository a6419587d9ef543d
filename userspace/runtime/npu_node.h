/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_RUNTIME_NPU_NODE_H
#define HEARTH_RUNTIME_NPU_NODE_H

#include <stddef.h>

/*
 * Open the device node @path, or the first one of a Hearth NPU if NULL: an
 * accel node or, on kernels without accel, a render node. Writes its path.
 *
 * Returns the fd, or -ENODEV (none), -EACCES (there is one, but it may not be
 * opened) or another negative errno.
 */
int hearth_npu_node_open(const char *path, char *found, size_t size);

#endif
