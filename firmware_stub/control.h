/* SPDX-License-Identifier: MIT */
/*
 * The control socket: lines of text in, one line "ok ..." or "err ..." out
 * for each. It injects faults and tells counters; the device's host never
 * sees it.
 */
#ifndef HEARTH_CONTROL_H
#define HEARTH_CONTROL_H

#include <stddef.h>

#include "npu.h"

#define CONTROL_CLIENTS	8
#define CONTROL_LINE	256

struct control {
	struct npu *npu;
	int listen_fd;
	struct {
		int fd;
		size_t have;
		char line[CONTROL_LINE];
	} client[CONTROL_CLIENTS];
};

/* 0 or -errno. */
int control_open(struct control *ctl, struct npu *npu, const char *path);
void control_close(struct control *ctl);

/*
 * Serve the device's client and, if @ctl, the control socket, until @stop_fd
 * becomes readable. 0 or -errno.
 */
int control_loop(struct npu *npu, struct control *ctl, int stop_fd);

/* Execute one line; the answer, without a newline, goes to @answer. */
void control_execute(struct npu *npu, const char *line, char *answer, size_t bytes);

#endif
