/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TOOLS_INFO_H
#define HEARTH_TOOLS_INFO_H

#include <stdint.h>

#include "formats/gguf.h"

struct hearth_device;

/*
 * A string of a file on standard output, at most @max bytes of it: what a terminal
 * would obey is shown as '?'.
 */
void put_str(struct gguf_str s, uint64_t max);

/* Describe a GGUF file on standard output; 0, or 1 after a message. */
int print_gguf(const char *path, struct hearth_device *dev);

#endif
