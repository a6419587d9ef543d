/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TOOLS_INFO_H
#define HEARTH_TOOLS_INFO_H

struct hearth_device;

/* Describe a GGUF file on standard output; 0, or 1 after a message. */
int print_gguf(const char *path, struct hearth_device *dev);

#endif
