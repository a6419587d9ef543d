/* SPDX-License-Identifier: MIT */
/*
 * Weights in memory: how dearly they are kept, for how long, what became of them.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_MODEL_H
#define HEARTH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hearth/queue.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hearth_model;

/** enum hearth_model_class - how dearly a model is kept under pressure */
enum hearth_model_class {
	/** NORMAL. */
	HEARTH_CLASS_DEFAULT = 0,
	/** The first to go. */
	HEARTH_CLASS_DROPPABLE,
	HEARTH_CLASS_NORMAL,
	/** Only before somebody would be killed. */
	HEARTH_CLASS_PROTECTED,
	/** Never. Needs CAP_SYS_RESOURCE or a quota (-EPERM); NPU only. */
	HEARTH_CLASS_PINNED,
};

/** hearth_class_parse() - "droppable", "normal", "protected", "pinned"; -EINVAL */
HEARTH_API int hearth_class_parse(const char *text,
				  enum hearth_model_class *model_class);

/** hearth_class_name() - the reverse; "?" if there is no such class */
HEARTH_API const char *hearth_class_name(enum hearth_model_class model_class);

/* Keep-alive in nanoseconds after the last run, or: */
#define HEARTH_KEEP_DEFAULT	0	/* five minutes */
#define HEARTH_KEEP_FOREVER	(-1)
#define HEARTH_KEEP_NONE	(-2)	/* given up when the run is over */

/**
 * hearth_keep_alive_parse() - Ollama's grammar
 *
 * "300" are seconds, "5m", "1h30m", "1.5h", "250ms" durations; 0 is
 * HEARTH_KEEP_NONE, and what is negative ("-1") HEARTH_KEEP_FOREVER. -EINVAL
 * if it is neither, -ERANGE beyond 292 years.
 */
HEARTH_API int hearth_keep_alive_parse(const char *text, int64_t *keep_alive_ns);

struct hearth_model_opts {
	size_t sz;
	enum hearth_model_class model_class;
	/** keep_alive_ns: See HEARTH_KEEP_DEFAULT. */
	int64_t keep_alive_ns;
	/** name: For lists, up to 63 printable characters; NULL = the file's. */
	const char *name;
	/** has_reservation: @reservation_fd is given (hearth_reserve()). */
	bool has_reservation;
	/** reservation_fd: Pays for the model. Borrowed. */
	int reservation_fd;
	size_t :0;
};

/**
 * hearth_model_open() - hold the weights of a file as a model
 * @path: A file of any format; all of it is the model's weights.
 *
 * Reads nothing: the first run that uses the weights brings them in, or
 * hearth_model_load(). Programs compiled over the same file, here or in other
 * processes, use the same pages, and those are kept as the dearest of their
 * models wants. hearth_compile() and hearth_llm_open() make a model of their
 * own; this one is for who wants to keep, watch or drop weights without a
 * program.
 *
 * On the CPU the kernel drops cached pages whenever it needs memory: no class
 * and no keep-alive changes that (effective_class is DROPPABLE), and
 * HEARTH_CLASS_PINNED gives -EOPNOTSUPP.
 *
 * Errors: as hearth_buffer_from_file(), -EPERM for PINNED, -EMFILE too many
 * models, -EDQUOT the budget has no room for it.
 */
HEARTH_API int hearth_model_open(const char *path, struct hearth_device *dev,
				 const struct hearth_model_opts *opts,
				 struct hearth_model **model);

/** hearth_model_open_fd() - the same; @file_fd is borrowed */
HEARTH_API int hearth_model_open_fd(int file_fd, struct hearth_device *dev,
				    const struct hearth_model_opts *opts,
				    struct hearth_model **model);

/** hearth_model_close() - its pages stay until somebody needs the memory */
HEARTH_API void hearth_model_close(struct hearth_model *model);

enum hearth_model_state {
	/** Nothing of its weights is in memory. */
	HEARTH_MODEL_DROPPED = 0,
	HEARTH_MODEL_PARTLY,
	/** Being read. */
	HEARTH_MODEL_RESTORING,
	HEARTH_MODEL_RESIDENT,
	/** Its file changed: close it and open it anew. */
	HEARTH_MODEL_STALE,
};

/** hearth_model_state_name() - "dropped", "partly", ...; "?" if unknown */
HEARTH_API const char *hearth_model_state_name(enum hearth_model_state state);

struct hearth_model_info {
	size_t sz;
	/** serial: Number on its device; 0 where the driver keeps no models. */
	uint64_t serial;
	/** weights_bytes: Size of its files. */
	uint64_t weights_bytes;
	/** resident_bytes: What of it is in memory. */
	uint64_t resident_bytes;
	/** state_bytes: What of its states is in memory. */
	uint64_t state_bytes;
	/** restored_bytes: Read so far, for anybody, in restored_ns. CPU: by load. */
	uint64_t restored_bytes, restored_ns;
	/** dropped_bytes: Dropped so far. CPU: by hearth_model_drop() alone. */
	uint64_t dropped_bytes;
	/** idle_ns: Since its last job ended; 0 during one. CPU: always 0. */
	uint64_t idle_ns;
	int64_t keep_alive_ns;
	/** sharers: Models over the same weights; on the CPU 0, it is not known. */
	uint32_t sharers;
	enum hearth_model_state state;
	enum hearth_model_class model_class;
	/** effective_class: As it counts now. */
	enum hearth_model_class effective_class;
	uint32_t uid, pid;
	/**
	 * estimated: resident_bytes is a lower bound: the kernel tells only who
	 * may write the file which of its pages are cached.
	 */
	bool estimated;
	/** shared: The pages are the file's; else a copy of this process. */
	bool shared;
	/** name: "" if it is another user's. */
	char name[64];
	size_t :0;
};

/** hearth_model_get_info() - fill @info, as much of it as info->sz says */
HEARTH_API int hearth_model_get_info(struct hearth_model *model,
				     struct hearth_model_info *info);

/** hearth_model_set() - change class and keep-alive, those that are not 0 */
HEARTH_API int hearth_model_set(struct hearth_model *model,
				const struct hearth_model_opts *opts);

/**
 * hearth_model_load() - bring the weights into memory now, and wait
 *
 * Errors: as hearth_queue_wait().
 */
HEARTH_API int hearth_model_load(struct hearth_model *model);

enum hearth_drop_flags {
	/** From the page cache as well: the memory is free. On the CPU always. */
	HEARTH_DROP_CACHE = 1 << 0,
};

/**
 * hearth_model_drop() - give the memory of the weights back now
 * @flags: Mask of enum hearth_drop_flags.
 * @bytes: Returned if not NULL: what was freed.
 *
 * The next run reads them again. What others hold stays. -EBUSY while a job
 * uses them, -EOPNOTSUPP if they are a copy.
 */
HEARTH_API int hearth_model_drop(struct hearth_model *model, uint32_t flags,
				 uint64_t *bytes);

/**
 * hearth_model_advise_state() - are the contents of the model's states needed?
 *
 * As hearth_buffer_advise(), for the STATE tensors of a program.
 */
HEARTH_API int hearth_model_advise_state(struct hearth_model *model, bool needed,
					 bool *retained);

enum hearth_event_flags {
	/** Dropping begins. */
	HEARTH_EVENT_ABOUT_TO_DROP = 1 << 0,
	/** Nothing is resident any more. */
	HEARTH_EVENT_DROPPED = 1 << 1,
	/** All is resident again. */
	HEARTH_EVENT_RESTORED = 1 << 2,
	HEARTH_EVENT_STALE = 1 << 3,
};

/**
 * hearth_model_events() - a file descriptor that polls readable on an event
 * @event_fd: Returned.
 *
 * -EOPNOTSUPP on the CPU: the kernel does not tell when it drops cached pages.
 */
HEARTH_API int hearth_model_events(struct hearth_model *model, int *event_fd);

struct hearth_model_event {
	size_t sz;
	/** events: Mask of enum hearth_event_flags since the last read. */
	uint32_t events;
	/** state, resident_bytes: Now. */
	enum hearth_model_state state;
	uint64_t resident_bytes;
	size_t :0;
};

/**
 * hearth_model_read_event() - what happened; waits unless @event_fd is nonblocking
 *
 * Any thread may. -EAGAIN nothing yet, -EPIPE the model was closed.
 */
HEARTH_API int hearth_model_read_event(int event_fd,
				       struct hearth_model_event *event);

/**
 * hearth_model_list() - tell of all models of a device, of all processes
 * @fn: Called for each; a return other than 0 ends it and is returned.
 *
 * On the CPU: GGUF files that processes of this user have mapped, whatever
 * program they run. -EOPNOTSUPP if the NPU's driver is too old.
 */
HEARTH_API int hearth_model_list(struct hearth_device *dev,
				 int (*fn)(const struct hearth_model_info *info,
					   void *arg),
				 void *arg);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_MODEL_H */
