/* SPDX-License-Identifier: MIT */
/* A thread that tells of memory several times a second, for the plot. */
#ifndef HEARTH_PHONE_WATCH_H
#define HEARTH_PHONE_WATCH_H

#include <stdatomic.h>
#include <stdint.h>

struct hearth_device;

/** What happens now, as the plot calls it. A string that stays. */
void watch_mark(const char *what);

/** Memory of the app that is looked at, 0 for none. */
void watch_app(int pid);

/** Starts it; @path is the model whose pages are counted. 0 or -errno. */
int watch_start(struct hearth_device *dev, const char *path);
void watch_stop(void);

/** One line of output, whole, from any thread. */
__attribute__((format(printf, 1, 2)))
void say(const char *fmt, ...);

#endif
