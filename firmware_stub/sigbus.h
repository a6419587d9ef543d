/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_SIGBUS_H
#define HEARTH_SIGBUS_H

/*
 * A client may truncate a file that we have mapped; touching what is gone
 * would end the process. From here on such a page reads as zeros instead.
 */
void sigbus_guard(void);

#endif
