/* SPDX-License-Identifier: MIT */
/*
 * libhearth: run quantized networks on the NPU, or on the CPU where there is
 * none, with the same bits.
 *
 * Three layers, each usable alone, and what goes with them; this header has all:
 *
 *   hearth/queue.h	devices, buffers, command streams, fences
 *   hearth/graph.h	define, compile, bind, run, explain
 *   hearth/llm.h	open a GGUF file, feed tokens, stream text
 *
 *   hearth/model.h	weights in memory: how dearly kept, for how long
 *   hearth/admit.h	would a model fit? an answer before the load
 *   hearth/base.h	options, errors, the version
 *
 * Conventions:
 *
 * - Functions return 0 or a negative errno, unless they say otherwise. After
 *   a failure hearth_errmsg() tells, for the calling thread, what was wrong:
 *   the file or field, the number and the limit.
 * - Handles are opaque. What X_create() or X_open() made, X_destroy() or
 *   X_close() frees; both accept NULL. A handle keeps the device that it was
 *   made on usable only as long as the caller keeps that device open.
 * - Options are structs made with HEARTH_OPTS(); NULL means the defaults.
 * - A file descriptor parameter named *_fd is borrowed, one named *_fd_own is
 *   consumed, also on failure. Returned descriptors belong to the caller and
 *   are close-on-exec.
 * - The library prints nothing, never aborts, and makes no threads beyond the
 *   pool that the caller bounds (struct hearth_device_opts).
 * - A handle is used by one thread at a time; different handles, also of one
 *   device, may be used by different threads, except where a function says
 *   otherwise.
 */
#ifndef HEARTH_H
#define HEARTH_H

#include <hearth/base.h>
#include <hearth/queue.h>
#include <hearth/model.h>
#include <hearth/admit.h>
#include <hearth/graph.h>
#include <hearth/llm.h>

#endif /* HEARTH_H */
