/* SPDX-License-Identifier: MIT */
/*
 * What the programs on queues, faults and lives share: jobs of a known
 * outcome, processes, counts of live objects, the device's place in sysfs.
 * Functions that return int return 0 or a negative errno.
 */
#ifndef RIG_H
#define RIG_H

#include <time.h>

#include "npu.h"

/* Nothing that is right takes so long, even where nothing is fast. */
#define RIG_DEADLINE	(20 * NPU_SECOND)

/* In the buffer of a struct npu_ctx: the stream up to here, then data. */
#define RIG_DATA	0x8000u

uint64_t rig_now_ns(void);
void rig_breathe(void);

/* Evaluates @condition until it holds or @seconds are over; its last value. */
#define RIG_UNTIL(condition, seconds)                                                    \
	({                                                                               \
		uint64_t _end = rig_now_ns() + (seconds) * NPU_SECOND;                   \
		bool _holds;                                                             \
		while (!(_holds = (condition)) && rig_now_ns() < _end)                   \
			rig_breathe();                                                   \
		_holds;                                                                  \
	})

/* A queue whose hung jobs are found out after @progress_ns. */
int rig_queue_create(int fd, uint32_t vm, uint32_t priority, uint64_t progress_ns,
		     uint64_t job_ns);
/* npu_ctx_init() with such a queue. */
int rig_ctx_init(struct npu_ctx *ctx, int fd, uint64_t progress_ns);

/* @count NOPs at @at of the stream; the number of bytes. */
size_t rig_nops(struct npu_ctx *ctx, size_t at, unsigned int count);
/* One job of the stream's bytes from @at that signals @syncobj's @point. */
int rig_submit(struct npu_ctx *ctx, size_t at, size_t bytes, uint32_t syncobj, uint64_t point);
/* Copies a page and compares; the fence's error, -EBADMSG for wrong bytes. */
int rig_copy_works(struct npu_ctx *ctx, uint8_t seed);

/*
 * A job that is under way until the gate opens. Needs the control channel;
 * other jobs take 5 ms for each command while it is shut.
 */
int rig_gate_shut(struct npu_ctx *ctx, uint32_t syncobj, uint64_t point);
int rig_gate_open(void);

/* The result of @body in a process of its own; -EINTR if it was killed. */
int rig_in_child(int (*body)(void *arg), void *arg);
/* rig_copy_works() by a process that opens the device anew. */
int rig_other_process_works(void);

/* A file descriptor to and from another process. */
int rig_send_fd(int socket, int fd);
int rig_receive_fd(int socket);

/* Resets of the device so far, or a negative errno. */
int64_t rig_resets(void);
/* A number that the emulated NPU's "stats" tell. */
int64_t rig_stat(const char *key);

/*
 * Waits until the driver has no live object; whoever calls it has closed the
 * device and is alone. -ETIME and what is over on stdout, -ENOENT if nothing
 * tells.
 */
int rig_idle(void);

/* The device in sysfs, bound or not. -ENODEV. */
int rig_sysfs(char *path, size_t bytes, const char *attribute);
int rig_write(const char *path, const char *text);
int rig_read(const char *path, char *text, size_t bytes);
int rig_unbind(void);
int rig_bind(void);
/* Of the NPU that has @n others before it. */
int rig_unbind_nth(int n);
int rig_bind_nth(int n);
/* Is this the boot of that name (tests/harness/suites.py)? The first, "msi", if nobody says. */
bool rig_boot_is(const char *name);
/* How often to repeat: @full times in the first boot, a fifth of that in the others. */
int rig_rounds(int full);
/* Unbinds if it is bound, binds. For tests that lost the device. */
int rig_rebind(void);

#endif /* RIG_H */
