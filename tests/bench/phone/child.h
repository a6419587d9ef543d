/* SPDX-License-Identifier: MIT */
/* Processes of the scene: this program again, in a role, spoken to by lines. */
#ifndef HEARTH_PHONE_CHILD_H
#define HEARTH_PHONE_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#define LINE_BYTES	512

struct child {
	pid_t pid;
	int in, out;
	/** signal: What ended it, 0 if it lives or ended by itself. */
	int signal;
	/** have: Bytes of the next answer that were read already. */
	size_t have;
	char buf[LINE_BYTES];
};

/** Starts /proc/self/exe with @argv (argv[0] is the role). 0 or -errno. */
int child_start(struct child *c, char *const argv[]);

/**
 * Sends a line (NULL: none) and waits for the answer, at most @seconds.
 * Returns the answer, valid until the next call, or NULL: the child is gone or
 * late, and was ended.
 */
const char *child_ask(struct child *c, const char *line, unsigned int seconds);

/** Sends a line without waiting. */
bool child_tell(struct child *c, const char *line);

/** Closes its input, waits for its end; ends it if that takes too long. */
void child_stop(struct child *c);

#endif
