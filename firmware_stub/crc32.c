// SPDX-License-Identifier: MIT
#include "crc32.h"

#define POLYNOMIAL_REFLECTED	0xedb88320u

uint32_t crc32(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint32_t crc = ~0u;

	while (bytes--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL_REFLECTED : crc >> 1;
	}
	return ~crc;
}
