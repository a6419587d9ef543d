/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_BASE_MAP_H
#define HEARTH_BASE_MAP_H

#include <stddef.h>

struct hearth_err;

/*
 * A whole file mapped read-only and shared: its pages are the page cache's,
 * one copy for every process that maps it. The fd stays open so that the
 * same range can be handed to the driver.
 */
struct hearth_map {
	const void *base;
	size_t size;
	int fd;
};

/* @what names the format in messages; the path is the caller's to add. */
int hearth_map_open(struct hearth_map *map, const char *path, const char *what,
		    struct hearth_err *err);
void hearth_map_close(struct hearth_map *map);

#endif
