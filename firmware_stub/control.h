/* SPDX-License-Identifier: MIT */
/*
 * The control socket: lines of text in, one line "ok ..." or "err ..." out
 * for each. It injects faults and tells counters; the device's host never
 * sees it.
 */
#ifndef HEARTH_CONTROL_H
#define HEARTH_CONTROL_H

#include <poll.h>

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

/* Fill @fds with what to poll for input; returns how many, at most 1 + CONTROL_CLIENTS. */
unsigned int control_poll_fds(const struct control *ctl, struct pollfd *fds);
void control_serve(struct control *ctl, const struct pollfd *fds, unsigned int num);

/* Execute one line; the answer, without a newline, goes to @answer. */
void control_execute(struct npu *npu, const char *line, char *answer, size_t bytes);

#endif
