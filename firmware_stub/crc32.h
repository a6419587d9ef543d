/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_CRC32_H
#define HEARTH_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of IEEE 802.3: reflected, polynomial 0x04c11db7, inverted in and out. */
uint32_t crc32(const void *data, size_t bytes);

#endif
