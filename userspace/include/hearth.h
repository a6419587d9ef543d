/* SPDX-License-Identifier: MIT */
/*
 * libhearth: run quantized networks on the NPU, or on the CPU where there is
 * none, with the same bits.
 *
 * Three layers, each usable alone:
 *
 *   queue	devices, buffers, command streams, fences
 *   graph	define, compile, bind, run, explain
 *   llm	open a GGUF file, feed tokens, stream text
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_API __attribute__((visibility("default")))

/**
 * HEARTH_OPTS() - declare and fill an options struct
 *
 * Zeroes it with its padding and sets sz, so that a program built with an
 * older header works with a newer library.
 *
 *	HEARTH_OPTS(hearth_device_opts, opts, .threads = 2);
 */
#define HEARTH_OPTS(TYPE, NAME, ...)					\
	struct TYPE NAME = ({						\
		struct TYPE ___opts;					\
		memset(&___opts, 0, sizeof(___opts));			\
		___opts = (struct TYPE){ .sz = sizeof(___opts),		\
					 __VA_ARGS__ };			\
		___opts;						\
	})

/** hearth_version() - "0.1.0" */
HEARTH_API const char *hearth_version(void);

/**
 * hearth_errmsg() - why the last call of this thread failed
 *
 * Returns a string that is valid until the thread's next call; "" if no call
 * failed yet.
 */
HEARTH_API const char *hearth_errmsg(void);

/* ------------------------------------------------------------------ queue */

struct hearth_device;
struct hearth_buffer;
struct hearth_queue;

struct hearth_device_opts {
	size_t sz;
	/**
	 * threads: CPU threads for what runs on the CPU, the caller's included;
	 * 0 = one per big core that the caller may run on. Where cores differ
	 * (cpu_capacity in sysfs), the threads keep to the largest.
	 */
	unsigned int threads;
	/**
	 * isa: "plain", "avx2", "avx512", ...; NULL = what HEARTH_ISA in the
	 * environment names, or else the fastest that the CPU has. A name that is
	 * unknown, or that the CPU lacks, is -EINVAL. All give the same bits.
	 */
	const char *isa;
	size_t :0;
};

/**
 * hearth_device_open() - open a device
 * @name: "npu" (the first one), "cpu", a device node, or NULL for the first
 *	NPU and, where there is none, the CPU.
 *
 * Errors: -ENODEV no such device, -EACCES the node exists but may not be
 * opened (the message names the group), -EPROTO driver too old.
 */
HEARTH_API int hearth_device_open(const char *name,
				  const struct hearth_device_opts *opts,
				  struct hearth_device **dev);
HEARTH_API void hearth_device_close(struct hearth_device *dev);

struct hearth_device_info {
	size_t sz;
	/** name: "npu" or "cpu". */
	const char *name;
	/** path: Device node, or NULL. Valid as long as the device. */
	const char *path;
	/** isa: Kernels that the CPU side uses. */
	const char *isa;
	/** ops: Bit n: opcode n is executed by the device itself. */
	uint64_t ops;
	/** types: Bit n: data type n is known to the device itself. */
	uint64_t types;
	uint64_t sram_bytes;
	/** fw_version: major << 16 | minor; 0 on the CPU. */
	uint32_t fw_version;
	unsigned int threads;
	/**
	 * extent_bytes: Unit in which weights are in memory. 0: the driver is
	 * too old to share a file's pages, weights are copied.
	 */
	uint64_t extent_bytes;
	/** max_models: Models of one device handle; 0: the driver knows none. */
	uint32_t max_models;
	size_t :0;
};

/** hearth_device_get_info() - fill @info, as much of it as info->sz says */
HEARTH_API int hearth_device_get_info(const struct hearth_device *dev,
				      struct hearth_device_info *info);

enum hearth_buffer_flags {
	/** The device may only read it. */
	HEARTH_BUFFER_READONLY = 1 << 0,
	/**
	 * Kept between jobs, a KV cache: counted as state, may be resized and
	 * given up; under pressure swapped between jobs.
	 */
	HEARTH_BUFFER_STATE = 1 << 1,
};

struct hearth_buffer_opts {
	size_t sz;
	/** flags: Mask of enum hearth_buffer_flags. */
	uint32_t flags;
	/** used: Of a state buffer: bytes in use at first; 0 = all. */
	uint64_t used;
	size_t :0;
};

/**
 * hearth_buffer_create() - zeroed memory that CPU and device both see
 * @bytes: 1 or more; rounded up to pages.
 */
HEARTH_API int hearth_buffer_create(struct hearth_device *dev, uint64_t bytes,
				    const struct hearth_buffer_opts *opts,
				    struct hearth_buffer **buf);

/**
 * hearth_buffer_from_file() - a range of a file, read-only, as a buffer
 * @file_fd: Borrowed; the buffer stays valid after it is closed.
 * @offset: Multiple of the page size.
 * @bytes: The file must reach so far.
 *
 * No copy: the pages are the page cache's, for the CPU and for the NPU, and so
 * the same for all who open the file. Two cases are read into a buffer instead
 * (hearth_buffer_is_shared() tells): a driver that cannot share, and a file
 * system without pages to share (tmpfs, DAX).
 *
 * The file must not change while the buffer lives. hearth_program_run() looks
 * at its size and modification time before and after it ran and gives -ESTALE;
 * the NPU's driver looks by itself. A file that shrinks under a run on the CPU
 * ends the process with SIGBUS, as every mapping does. To replace a file,
 * rename another over it: who has the old one open keeps it.
 *
 * Errors: -EINVAL no regular file, or the range is not in it, -ETXTBSY the file
 * is open for writing (NPU).
 */
HEARTH_API int hearth_buffer_from_file(struct hearth_device *dev, int file_fd,
				       uint64_t offset, uint64_t bytes,
				       const struct hearth_buffer_opts *opts,
				       struct hearth_buffer **buf);

/**
 * hearth_buffer_resize() - how much of a state buffer is in use
 * @bytes: Up to the size that it was made with, which is what it begins with
 *	unless opts->used said less.
 *
 * What is cut off is gone, what is added is zero; nothing is copied. Address and
 * CPU pointer stay; neither side may use what is beyond @bytes. -EINVAL no state
 * buffer or too many bytes, -EBUSY a job is in flight, -EDQUOT the budget has no
 * room, -ENOMEM the system has none; after an error the size is as it was. With a
 * driver that knows no states all of it is there from the beginning.
 */
HEARTH_API int hearth_buffer_resize(struct hearth_buffer *buf, uint64_t bytes);

/**
 * hearth_buffer_advise() - are the contents of a state buffer needed?
 * @needed: false: they can be computed again; discard them rather than swap.
 *	true: they are needed from now on; before the next job that uses them.
 * @retained: Returned if not NULL: whether they are all still there. If not,
 *	they read as zero.
 *
 * On the CPU nothing is discarded.
 */
HEARTH_API int hearth_buffer_advise(struct hearth_buffer *buf, bool needed,
				    bool *retained);

/** hearth_buffer_is_shared() - are its pages those of a file? */
HEARTH_API bool hearth_buffer_is_shared(const struct hearth_buffer *buf);

/** hearth_buffer_import() - a dma-buf as a buffer; NPU only (-EOPNOTSUPP) */
HEARTH_API int hearth_buffer_import(struct hearth_device *dev, int dmabuf_fd,
				    const struct hearth_buffer_opts *opts,
				    struct hearth_buffer **buf);

/** hearth_buffer_export() - a new dma-buf fd; NPU only (-EOPNOTSUPP) */
HEARTH_API int hearth_buffer_export(struct hearth_buffer *buf, int *dmabuf_fd);

/** hearth_buffer_destroy() - work that uses it must have finished */
HEARTH_API void hearth_buffer_destroy(struct hearth_buffer *buf);

/** hearth_buffer_data() - CPU address; not writable if made from a file */
HEARTH_API void *hearth_buffer_data(const struct hearth_buffer *buf);
HEARTH_API uint64_t hearth_buffer_bytes(const struct hearth_buffer *buf);

/** hearth_buffer_address() - device address, for command streams */
HEARTH_API uint64_t hearth_buffer_address(const struct hearth_buffer *buf);

/** enum hearth_priority - as enum drm_hearth_queue_priority */
enum hearth_priority {
	HEARTH_PRIORITY_DEFAULT = 0,
	HEARTH_PRIORITY_IDLE,
	HEARTH_PRIORITY_NORMAL,
	HEARTH_PRIORITY_FOCUS,
	HEARTH_PRIORITY_REALTIME,
};

struct hearth_queue_opts {
	size_t sz;
	/** priority: FOCUS and REALTIME need CAP_SYS_NICE (-EACCES). */
	enum hearth_priority priority;
	/** progress_timeout_ns: 0 = the driver's. */
	uint64_t progress_timeout_ns;
	/** job_timeout_ns: 0 = the driver's. */
	uint64_t job_timeout_ns;
	size_t :0;
};

HEARTH_API int hearth_queue_create(struct hearth_device *dev,
				   const struct hearth_queue_opts *opts,
				   struct hearth_queue **queue);

/** hearth_queue_destroy() - cancels what has not finished */
HEARTH_API void hearth_queue_destroy(struct hearth_queue *queue);

struct hearth_submit_opts {
	size_t sz;
	/** has_wait_fd: @wait_fd is given. */
	bool has_wait_fd;
	/** wait_fd: sync_file; the work starts after it signals. Borrowed. */
	int wait_fd;
	/** signal_fd: If not NULL, gets a sync_file that signals at the end. */
	int *signal_fd;
	size_t :0;
};

/**
 * hearth_queue_submit() - queue a command stream
 * @address: Device address of the stream (uapi/hw/hearth_cmd.h), in a buffer.
 * @bytes: Its size.
 *
 * Work of one queue is done in order. On the CPU the stream is executed
 * before the call returns, and fences give -EOPNOTSUPP.
 */
HEARTH_API int hearth_queue_submit(struct hearth_queue *queue, uint64_t address,
				   uint64_t bytes,
				   const struct hearth_submit_opts *opts);

/**
 * hearth_queue_wait() - wait for all that was submitted
 * @timeout_ns: 0 = poll, UINT64_MAX = no limit.
 *
 * Returns 0, -ETIME if the time ran out, or the error of the first job that
 * failed: -ETIMEDOUT (hang), -EFAULT (MMU fault), -EINVAL (bad stream), -EIO
 * (firmware died, or a file could not be read), -ESTALE (a file behind a buffer
 * changed), -EDQUOT, -ENOMEM (no room to bring a file's pages back), -ENODEV
 * (device gone), -ECANCELED. hearth_errmsg() has the command's index and opcode
 * and the address. After an error the queue takes no more work: destroy it and
 * make another.
 */
HEARTH_API int hearth_queue_wait(struct hearth_queue *queue, uint64_t timeout_ns);

/* ----------------------------------------------------------------- models */

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

/* -------------------------------------------------------------- admission */

/** struct hearth_memory_info - what there is, in bytes, at one moment */
struct hearth_memory_info {
	size_t sz;
	/** budget: What models may take together. CPU: the system's or the cgroup's memory. */
	uint64_t budget;
	/** resident: What they take; droppable and pinned are parts of it. */
	uint64_t resident, droppable, pinned;
	/** reserved: Promised and not used yet. */
	uint64_t reserved;
	/** uid_quota, uid_used: Of the caller's user; 0 on the CPU. */
	uint64_t uid_quota, uid_used;
	/** system_available: What the system could give without swapping. */
	uint64_t system_available;
	size_t :0;
};

/** hearth_device_get_memory() - -EOPNOTSUPP if the NPU's driver is too old */
HEARTH_API int hearth_device_get_memory(struct hearth_device *dev,
					struct hearth_memory_info *info);

enum hearth_verdict {
	HEARTH_ADMIT_NOW = 0,
	/** Yes, others will be dropped for it. */
	HEARTH_ADMIT_AFTER_DROP,
	/** What holds the memory is in use, or dearer. */
	HEARTH_ADMIT_WAIT,
	/** Not on this device, or not for this user. */
	HEARTH_ADMIT_NEVER,
};

enum hearth_limit {
	HEARTH_LIMIT_NONE = 0,
	/** The device's budget. */
	HEARTH_LIMIT_BUDGET,
	/** The quota of the caller's user; CPU: of its memory cgroup. */
	HEARTH_LIMIT_QUOTA,
	/** What is reserved for others. */
	HEARTH_LIMIT_RESERVATION,
	HEARTH_LIMIT_SYSTEM,
	/** The region that the board keeps for weights. */
	HEARTH_LIMIT_REGION,
	/** The device's address space. */
	HEARTH_LIMIT_VA,
};

/** struct hearth_demand - what a model will take, in bytes */
struct hearth_demand {
	size_t sz;
	/** weights_bytes: All of the file. */
	uint64_t weights_bytes;
	/** state_bytes: At its largest, unless the question is what it takes at first. */
	uint64_t state_bytes;
	/** scratch_bytes: Activations, constants, command streams. */
	uint64_t scratch_bytes;
	enum hearth_model_class model_class;
	/** has_weights_fd: @weights_fd is given. */
	bool has_weights_fd;
	/** weights_fd: What of it is in memory already is not counted. Borrowed. */
	int weights_fd;
	/**
	 * state_first_bytes: Of @state_bytes what is taken at first, for a state that
	 * grows; hearth_admit() does not look at it.
	 */
	uint64_t state_first_bytes;
	size_t :0;
};

struct hearth_admit_opts {
	size_t sz;
	/** wait_ns: Longest wait while the verdict is WAIT; 0 = none. NPU only. */
	uint64_t wait_ns;
	/**
	 * victim: Called for each model that would be dropped, or that holds what
	 * is waited for, the first to go first. A return other than 0 ends it
	 * and is returned.
	 */
	int (*victim)(const struct hearth_model_info *info, void *arg);
	void *arg;
	size_t :0;
};

struct hearth_answer {
	size_t sz;
	enum hearth_verdict verdict;
	/** limit: Which one bound, and its value. */
	enum hearth_limit limit;
	uint64_t limit_bytes;
	/** needed_bytes: What of the demand is not there yet. */
	uint64_t needed_bytes;
	/** available_bytes: For it, now; after_drop_bytes: after all was dropped. */
	uint64_t available_bytes, after_drop_bytes;
	/** restore_ns: Expected time to read the weights; 0 = unknown. */
	uint64_t restore_ns;
	/** n_victims: Models that opts->victim is told of. */
	uint32_t n_victims;
	/** estimated: The kernel's estimate; nobody promised it. */
	bool estimated;
	/** text: The answer in one sentence, with the numbers. */
	char text[400];
	size_t :0;
};

/**
 * hearth_admit() - ask whether a model would fit, before it is loaded
 *
 * Changes nothing. Others may come between the answer and the load: only a
 * reservation makes a yes last. On the CPU, and with a driver that is too old,
 * it is answered from MemAvailable of the system and the limit of the memory
 * cgroup.
 *
 * Returns 0 with any verdict. -EINVAL a demand of nothing, -EINTR.
 */
HEARTH_API int hearth_admit(struct hearth_device *dev,
			    const struct hearth_demand *demand,
			    const struct hearth_admit_opts *opts,
			    struct hearth_answer *answer);

/**
 * hearth_reserve() - have bytes kept for a model that will come
 * @bytes: 1 or more; rounded up to extents.
 * @reservation_fd: Returned. It may be passed on; closing the last copy of it
 *	gives the bytes back.
 *
 * Others are dropped for it if need be. -EDQUOT it will never fit, -EBUSY not
 * now, -EOPNOTSUPP on the CPU, which cannot promise memory.
 */
HEARTH_API int hearth_reserve(struct hearth_device *dev, uint64_t bytes,
			      enum hearth_model_class model_class,
			      int *reservation_fd);

/* ------------------------------------------------------------------ graph */

struct hearth_graph;
struct hearth_program;

/** hearth_tensor - index of a tensor in its graph; HEARTH_NO_TENSOR if none */
typedef int32_t hearth_tensor;
#define HEARTH_NO_TENSOR	(-1)
#define HEARTH_MAX_DIMS		4

enum hearth_tensor_role {
	/** Computed by an op; memory planned by the compiler. */
	HEARTH_TENSOR_ACTIVATION = 0,
	/** Written by the caller before a run. */
	HEARTH_TENSOR_INPUT,
	/** Read by the caller after a run. */
	HEARTH_TENSOR_OUTPUT,
	/** Constant in the caller's memory, copied by the compiler. */
	HEARTH_TENSOR_CONSTANT,
	/** Constant in the graph's weights file, used in place. */
	HEARTH_TENSOR_WEIGHTS,
	/** Kept from run to run (a KV cache); zero at first. */
	HEARTH_TENSOR_STATE,
};

struct hearth_tensor_opts {
	size_t sz;
	/** name: Copied; for messages and explain. */
	const char *name;
	/** type: enum hearth_type of uapi/hw/hearth_cmd.h. */
	unsigned int type;
	enum hearth_tensor_role role;
	/** dims: Outermost first, innermost contiguous; n_dims of them. */
	unsigned int n_dims;
	uint32_t dims[HEARTH_MAX_DIMS];
	/**
	 * n_scales: 8-bit and i32 tensors: 0, 1 (per tensor) or the size of
	 * dimension @channel_dim. real = scale * (value - zero_point).
	 */
	unsigned int n_scales;
	/** scales: Copied. */
	const float *scales;
	int32_t zero_point;
	unsigned int channel_dim;
	/** data: CONSTANT: the bytes. Copied when the graph is compiled. */
	const void *data;
	/** offset: WEIGHTS: where in the weights file. */
	uint64_t offset;
	size_t :0;
};

HEARTH_API int hearth_graph_create(struct hearth_graph **graph);
HEARTH_API void hearth_graph_destroy(struct hearth_graph *graph);

/**
 * hearth_graph_set_weights() - the file of all HEARTH_TENSOR_WEIGHTS
 * @file_fd: Borrowed; duplicated.
 */
HEARTH_API int hearth_graph_set_weights(struct hearth_graph *graph, int file_fd);

/**
 * hearth_graph_add_tensor() - add a tensor
 *
 * Returns its index (0, 1, ...) or a negative errno.
 */
HEARTH_API hearth_tensor
hearth_graph_add_tensor(struct hearth_graph *graph,
			const struct hearth_tensor_opts *opts);

/** enum hearth_op - what can be added to a graph; inputs in brackets */
enum hearth_op {
	/** 8 bits, NHWC [src, weights OHWI, bias or none] */
	HEARTH_CONV_2D = 1,
	/** 8 bits, NHWC [src, weights 1HWC, bias or none] */
	HEARTH_DEPTHWISE_CONV_2D,
	/** 8 bits [src, weights (out, in), bias or none] */
	HEARTH_FULLY_CONNECTED,
	/** 8 bits, NHWC [src] */
	HEARTH_AVERAGE_POOL_2D,
	HEARTH_MAX_POOL_2D,
	/** 8 bits or f32 [a, b]; b may repeat along the outer dimensions */
	HEARTH_ADD,
	HEARTH_MUL,
	/** 8 bits, last dimension [src] */
	HEARTH_SOFTMAX,
	/** any type, same bytes [src] */
	HEARTH_RESHAPE,
	/** 8 bits [src] */
	HEARTH_PAD,
	/** any type, along opts.axis [src ...] */
	HEARTH_CONCAT,
	/** 8 bits, mean over the dimensions in opts.axes [src] */
	HEARTH_MEAN,
	/** f32 to 8 bits, 8 bits to f32, 8 bits to 8 bits [src] */
	HEARTH_QUANTIZE,
	/** 8 bits, by table [src] */
	HEARTH_RELU,
	HEARTH_RELU6,
	HEARTH_LOGISTIC,
	HEARTH_TANH,
	HEARTH_LEAKY_RELU,
	HEARTH_HARD_SWISH,

	/** [table (rows, cols), ids i32] -> f32 (n, cols) */
	HEARTH_GET_ROWS = 64,
	/** [src f32 (rows, in), weights (out, in)] -> f32 (rows, out) */
	HEARTH_MATMUL,
	/** [src f32 (rows, n), gains f32 (n)] */
	HEARTH_RMS_NORM,
	/**
	 * [x f32 (rows, heads, head_dim), table f32 (n, dims), pos i32 (rows) or
	 * none]; row i is turned by row pos[i] of the table, or by row i: cosine
	 * and sine of each pair, as hearth_rope_rows() gives them. The first dims
	 * elements of a head are turned; opts.rope_halves
	 */
	HEARTH_ROPE,
	/**
	 * [src f32 (rows, kv_heads, head_dim), pos i32 (rows)] -> state of
	 * f32, f16 or q8_0 (kv_heads, ctx, head_dim)
	 */
	HEARTH_KV_WRITE,
	/**
	 * [q (rows, heads, head_dim), k state, v state, pos i32 (rows)];
	 * opts.scale, opts.window, opts.softcap
	 */
	HEARTH_ATTENTION,
	/** [gate f32, up f32]; silu(gate) * up */
	HEARTH_SWIGLU,
	/** [src f32 (rows, n)] -> i32 (rows) */
	HEARTH_ARGMAX,
	/** [gate f32, up f32]; gelu(gate) * up, by tanh */
	HEARTH_GEGLU,
	/** [src f32]; opts.softcap * tanh(src / opts.softcap) */
	HEARTH_SOFTCAP,
	/**
	 * [shift i32 (3): first, by, n; none or a table as for ROPE, f32 (ctx, dims)]
	 * -> state (kv_heads, ctx, head_dim). Entries first + by to
	 * first + by + n - 1 move down by as many positions, turned back by row by
	 * of the table, the only one that is read; opts.rope_halves
	 */
	HEARTH_KV_SHIFT,
};

enum hearth_padding {
	HEARTH_PADDING_VALID = 0,
	HEARTH_PADDING_SAME,
};

enum hearth_activation {
	HEARTH_ACT_NONE = 0,
	HEARTH_ACT_RELU,
	HEARTH_ACT_RELU6,
	HEARTH_ACT_RELU_N1_TO_1,
};

struct hearth_op_opts {
	size_t sz;
	/** name: Copied; for messages and explain. */
	const char *name;
	/* convolutions and pools */
	enum hearth_padding padding;
	enum hearth_activation activation;
	uint32_t stride_h, stride_w, dilation_h, dilation_w;
	uint32_t filter_h, filter_w;
	/* PAD: elements before and after, per dimension */
	uint32_t pad_before[HEARTH_MAX_DIMS], pad_after[HEARTH_MAX_DIMS];
	/* CONCAT */
	uint32_t axis;
	/* MEAN: bit n: dimension n is reduced */
	uint32_t axes;
	/* SOFTMAX */
	float beta;
	/* LEAKY_RELU */
	float alpha;
	/* RMS_NORM */
	float eps;
	/* ATTENTION: 0 = 1 / sqrt(head_dim) */
	float scale;
	/* ROPE: pairs are elements i and i + dims / 2, not 2i and 2i + 1 */
	uint32_t rope_halves;
	/* ATTENTION: positions that a row attends to, its own included; 0 = all */
	uint32_t window;
	/* SOFTCAP; ATTENTION: of the scores, 0 = none */
	float softcap;
	size_t :0;
};

/**
 * hearth_graph_add_op() - add an op; ops run in the order of their addition
 * @inputs: Tensors, HEARTH_NO_TENSOR for an optional one that is not there.
 * @output: ACTIVATION, OUTPUT or STATE; each is written by one op only.
 *
 * Shapes, types and quantization are checked here; the message names the op,
 * the tensor and the numbers.
 */
HEARTH_API int hearth_graph_add_op(struct hearth_graph *graph, enum hearth_op op,
				   const hearth_tensor *inputs,
				   unsigned int n_inputs, hearth_tensor output,
				   const struct hearth_op_opts *opts);

/** struct hearth_rope - the angles of a model's ROPE */
struct hearth_rope;

struct hearth_rope_opts {
	size_t sz;
	/** n_ctx: Positions that there are. */
	uint32_t n_ctx;
	/** dims: Elements of a head that are turned, even. */
	uint32_t dims;
	/** base: Pair i turns by base^(-2 i / dims) per position; at least 1. */
	float base;
	/** freq_scale: Multiplies positions; 0 = 1. */
	float freq_scale;
	/** magnitude: Multiplies what is turned; 0 = 1. */
	float magnitude;
	/** factors: Divisors of the turns, one for each pair, or NULL; read once. */
	const float *factors;
	size_t :0;
};

/**
 * hearth_rope_create() - prepare to compute the table of HEARTH_ROPE
 *
 * The same bits on any host. Errors: -EINVAL a number that cannot be, or an angle
 * above 2^24; the message has them.
 */
HEARTH_API int hearth_rope_create(const struct hearth_rope_opts *opts, struct hearth_rope **rope);
HEARTH_API void hearth_rope_destroy(struct hearth_rope *rope);

/**
 * hearth_rope_rows() - cosines and sines of @n positions from @first on
 * @rows: f32 (n, dims): for the input of a run that turns as many positions, or for
 *	a constant with all of them.
 *
 * Allocates nothing. Errors: -EINVAL beyond n_ctx.
 */
HEARTH_API int hearth_rope_rows(const struct hearth_rope *rope, uint32_t first, uint32_t n,
				float *rows);

/**
 * hearth_graph_load_tflite() - a graph from a TFLite file
 *
 * Errors: -EINVAL broken file (the message names the field), -EOPNOTSUPP an
 * op or type that Hearth lacks (the message names it).
 */
HEARTH_API int hearth_graph_load_tflite(const char *path,
					struct hearth_graph **graph);

HEARTH_API unsigned int hearth_graph_n_inputs(const struct hearth_graph *graph);
HEARTH_API unsigned int hearth_graph_n_outputs(const struct hearth_graph *graph);
/** hearth_graph_input() - i-th INPUT in order of addition, or -ENOENT */
HEARTH_API hearth_tensor hearth_graph_input(const struct hearth_graph *graph,
					    unsigned int i);
HEARTH_API hearth_tensor hearth_graph_output(const struct hearth_graph *graph,
					     unsigned int i);
/** hearth_graph_get_tensor() - description; pointers live as long as graph */
HEARTH_API int hearth_graph_get_tensor(const struct hearth_graph *graph,
				       hearth_tensor tensor,
				       struct hearth_tensor_opts *opts);

struct hearth_compile_opts {
	size_t sz;
	/** priority: Of the queue that the program runs on. */
	enum hearth_priority priority;
	/**
	 * share: Another program of the same device and weights file: its
	 * weights buffer and, tensor for tensor by name, its states are used.
	 */
	struct hearth_program *share;
	/**
	 * model: How the weights file and the states are kept; NULL = normal, for
	 * five minutes. Without meaning if @share is given.
	 */
	const struct hearth_model_opts *model;
	/**
	 * state_page: Positions by which the KV caches can grow: a power of two
	 * from 16 on, so that a cache has at most 64 pages. They have one at
	 * first. 0: they are whole. Without meaning if @share is given, and on a
	 * device that lacks the ops for it; struct hearth_program_info tells.
	 */
	uint32_t state_page;
	size_t :0;
};

/**
 * hearth_compile() - make a program
 *
 * Plans the memory, allocates it, emits the command stream. The graph may be
 * destroyed afterwards. A run allocates nothing. The device and @share must
 * outlive the program.
 */
HEARTH_API int hearth_compile(struct hearth_graph *graph,
			      struct hearth_device *dev,
			      const struct hearth_compile_opts *opts,
			      struct hearth_program **program);
HEARTH_API void hearth_program_destroy(struct hearth_program *program);

/**
 * hearth_program_data() - memory of an INPUT, OUTPUT or STATE tensor
 * @bytes: Returned size, or NULL.
 *
 * Returns the tensor's memory, valid as long as the program, or NULL: also for a
 * STATE in pages, which is not in one piece. Write inputs before and read outputs
 * after a run.
 */
HEARTH_API void *hearth_program_data(struct hearth_program *program,
				     hearth_tensor tensor, uint64_t *bytes);

/**
 * hearth_program_model() - weights and states as a model; borrowed
 *
 * That of @share if it was compiled with one.
 */
HEARTH_API struct hearth_model *hearth_program_model(struct hearth_program *program);

/**
 * hearth_program_resize_state() - have memory for some positions of the KV caches
 * @positions: From the first on, rounded up to pages; at least one page stays.
 *
 * For programs with caches in pages, and for all that share them; where they are
 * whole it does nothing. What was there stays where it is, what is cut off is gone.
 * A run that goes beyond fails with -EFAULT. Not while a run is under way.
 *
 * Errors: -EINVAL more positions than the caches were made for, and those of
 * hearth_buffer_resize(). Nothing has changed then.
 */
HEARTH_API int hearth_program_resize_state(struct hearth_program *program,
					   uint32_t positions);

/** hearth_program_run() - run once and wait; errors as hearth_queue_wait() */
HEARTH_API int hearth_program_run(struct hearth_program *program);

struct hearth_program_info {
	size_t sz;
	/** weights_bytes: Bytes of weights, in the file. */
	uint64_t weights_bytes;
	/** activation_bytes: Peak of what is live at one time; as allocated. */
	uint64_t activation_bytes;
	/** state_bytes: STATE tensors, at their largest. */
	uint64_t state_bytes;
	/** constant_bytes: What the compiler added: tables, scales. */
	uint64_t constant_bytes;
	/** stream_bytes: Command stream. */
	uint64_t stream_bytes;
	/** n_ops: Commands; n_device_ops of them run on the device. */
	unsigned int n_ops, n_device_ops;
	/** n_segments: Runs of commands on one engine; submits per run on an NPU. */
	unsigned int n_segments, n_device_segments;
	/** weights_shared: The weights are the file's pages, not a copy. */
	bool weights_shared;
	/** state_page: Positions of a page of the KV caches; 0: they are whole. */
	uint32_t state_page;
	/** state_page_bytes: Of a page of all caches. */
	uint64_t state_page_bytes;
	size_t :0;
};

HEARTH_API int hearth_program_get_info(const struct hearth_program *program,
				       struct hearth_program_info *info);

/**
 * hearth_graph_measure() - what a program of @graph would take
 * @info: All but the segments; activation, constant and stream bytes make up
 *	the scratch_bytes of a struct hearth_demand.
 *
 * Allocates none of it. Errors as hearth_compile().
 */
HEARTH_API int hearth_graph_measure(struct hearth_graph *graph,
				    struct hearth_device *dev,
				    struct hearth_program_info *info);

/** struct hearth_op_report - one command, as explain tells it */
struct hearth_op_report {
	/** name: Of the op, as given or as in the file. */
	const char *name;
	/** op: "conv_2d", "matmul", ... */
	const char *op;
	/** engine: "npu" or "cpu". */
	const char *engine;
	/** reason: Why it is not on the NPU, or NULL. */
	const char *reason;
	/** macs: Multiply-accumulates. */
	uint64_t macs;
	/** bytes: Operand bytes, read and written. */
	uint64_t bytes;
};

/**
 * hearth_program_explain() - tell of each command where it runs, and why
 * @fn: Called in order; a return other than 0 ends it and is returned.
 */
HEARTH_API int hearth_program_explain(const struct hearth_program *program,
				      int (*fn)(const struct hearth_op_report *r,
						void *arg),
				      void *arg);

/* -------------------------------------------------------------------- llm */

struct hearth_llm;

/** enum hearth_kv_type - how keys and values are kept */
enum hearth_kv_type {
	/** DEFAULT: F16. */
	HEARTH_KV_DEFAULT = 0,
	HEARTH_KV_F16,
	HEARTH_KV_F32,
	/** Q8_0: 8.5 bits per value; heads must be a multiple of 32. */
	HEARTH_KV_Q8_0,
};

struct hearth_llm_opts {
	size_t sz;
	/** n_ctx: Positions of the KV cache; 0 = the model's, at most 4096. */
	uint32_t n_ctx;
	/**
	 * n_batch: Tokens of the largest step of a prefill; 0 = 256. There is
	 * a step for a quarter of it, a quarter of that, and so on.
	 */
	uint32_t n_batch;
	/** kv_f32: HEARTH_KV_F32, unless @kv_type says something else. */
	bool kv_f32;
	enum hearth_priority priority;
	enum hearth_kv_type kv_type;
	/** model: As in struct hearth_compile_opts. */
	const struct hearth_model_opts *model;
	/** no_admit: Open it also if hearth_admit() says that it does not fit. */
	bool no_admit;
	/** admit_wait_ns: Longest wait for others to make room; 0 = none. */
	uint64_t admit_wait_ns;
	/**
	 * kv_step: Positions by which the KV cache grows as tokens are fed: a power
	 * of two, at least 16 and a 64th of @n_ctx; with @n_ctx or more all of it is
	 * there at once. 0 = the least from 128 on with which a step is 2 MiB.
	 */
	uint32_t kv_step;
	size_t :0;
};

/**
 * hearth_llm_demand() - what hearth_llm_open() with these options would take
 * @demand: Filled; its weights_fd is given only if @file_fd is.
 * @file_fd: Returned if not NULL: the model's file, the caller's to close.
 *
 * For hearth_admit(): as it is, whether the whole context fits; with its
 * state_bytes set to its state_first_bytes, whether the model can be opened. Reads
 * the file's header alone. Errors as hearth_llm_open().
 */
HEARTH_API int hearth_llm_demand(const char *path, struct hearth_device *dev,
				 const struct hearth_llm_opts *opts,
				 struct hearth_demand *demand, int *file_fd);

/**
 * hearth_llm_open() - open a GGUF file on a device
 *
 * On an NPU hearth_admit() is asked before: what does not fit, with the first step
 * of the KV cache, is refused in its words, with -EDQUOT if it never will and -EBUSY
 * if not now. Later steps come as tokens are fed; a reservation of all state_bytes
 * of the demand makes sure of them.
 *
 * Errors: -EINVAL broken file, -EOPNOTSUPP an architecture, tokenizer or type
 * that Hearth lacks (the message has the list), -ENOMEM, and what
 * hearth_model_open() gives.
 */
HEARTH_API int hearth_llm_open(const char *path, struct hearth_device *dev,
			       const struct hearth_llm_opts *opts,
			       struct hearth_llm **llm);
HEARTH_API void hearth_llm_close(struct hearth_llm *llm);

struct hearth_llm_info {
	size_t sz;
	const char *name;
	const char *arch;
	uint32_t n_vocab, n_ctx, n_ctx_model, n_layer, n_embd;
	int32_t bos, eos;
	uint64_t weights_bytes, state_bytes, activation_bytes;
	/** kv_type: Of the cache, "f16", "f32" or "q8_0". */
	const char *kv_type;
	uint32_t n_head, n_head_kv, head_dim, n_ff;
	/** window: Positions that layers with a window see; 0: none has one. */
	uint32_t window;
	/** kv_step: Positions by which the KV cache grows; 0: it is there at once. */
	uint32_t kv_step;
	/** state_used_bytes: What of state_bytes there is memory for at present. */
	uint64_t state_used_bytes;
	/**
	 * activation_used_bytes: The same of activation_bytes: a step of many tokens is
	 * compiled when it is first taken.
	 */
	uint64_t activation_used_bytes;
	size_t :0;
};

HEARTH_API int hearth_llm_get_info(const struct hearth_llm *llm,
				   struct hearth_llm_info *info);

/** hearth_llm_model() - its weights and KV cache as a model; borrowed */
HEARTH_API struct hearth_model *hearth_llm_model(struct hearth_llm *llm);

/** hearth_llm_program() - the program of one decode step; for explain */
HEARTH_API struct hearth_program *hearth_llm_program(struct hearth_llm *llm);

/**
 * hearth_llm_tokenize() - text to tokens; none of it becomes a control token
 * @ids: Room for @cap tokens, may be NULL if @cap is 0.
 *
 * Returns the number of tokens, also if it exceeds @cap, or a negative errno.
 */
HEARTH_API int hearth_llm_tokenize(const struct hearth_llm *llm, const char *text,
				   size_t len, bool add_bos, int32_t *ids,
				   size_t cap);

/**
 * hearth_llm_detokenize() - bytes of one token, not terminated
 *
 * Returns the number of bytes, also if it exceeds @cap.
 */
HEARTH_API int hearth_llm_detokenize(const struct hearth_llm *llm, int32_t id,
				     char *buf, size_t cap);

/**
 * hearth_llm_eval() - feed tokens after those fed so far
 * @logits: If not NULL, gets a pointer to n_vocab f32 values of the last
 *	token, valid until the next call.
 *
 * The KV cache grows for all @n tokens before the first is fed. If that is refused
 * nothing was fed, and what was fed before, its logits too, is as it was: the same
 * call can succeed later. The first call with so many tokens compiles a step for
 * them; if there is no memory for that, steps of fewer do it.
 *
 * Errors: -ENOSPC the context is full, -EDQUOT or -ENOMEM the cache cannot grow,
 * else as hearth_queue_wait().
 */
HEARTH_API int hearth_llm_eval(struct hearth_llm *llm, const int32_t *ids,
			       size_t n, const float **logits);

/** HEARTH_EVAL_EACH - tokens of a step of hearth_llm_eval_each(), at most */
#define HEARTH_EVAL_EACH	64

/**
 * hearth_llm_eval_each() - feed tokens and see what each of them expects next
 * @fn: Called after each token, in order, with its n_vocab logits, valid
 *	during the call. A return other than 0 ends the call and is returned;
 *	up to HEARTH_EVAL_EACH tokens behind that one were fed.
 *
 * For scoring a text. The first call compiles a step of its own and allocates
 * HEARTH_EVAL_EACH * n_vocab f32 values. Errors: as hearth_llm_eval(), -ENOMEM.
 */
HEARTH_API int hearth_llm_eval_each(struct hearth_llm *llm, const int32_t *ids,
				    size_t n,
				    int (*fn)(const float *logits, void *arg),
				    void *arg);

/**
 * hearth_llm_prefill() - make @ids, and nothing else, what was fed
 * @ids: The whole text: all turns of a chat so far, for instance.
 * @reused: If not NULL, gets the number of tokens at the start that were in
 *	the cache already and were not computed again.
 * @logits: As hearth_llm_eval().
 *
 * Keeps the tokens that @ids and what was fed before have in common at the
 * start, forgets the others, and feeds what is left. The result has the bits
 * that feeding all of @ids from the start gives. At least the last token is
 * fed, unless @ids is exactly what was fed last.
 *
 * Errors: as hearth_llm_eval(); what was common stays fed, and if the cache cannot
 * grow, all that was fed before.
 */
HEARTH_API int hearth_llm_prefill(struct hearth_llm *llm, const int32_t *ids,
				  size_t n, size_t *reused,
				  const float **logits);

/**
 * hearth_llm_idle() - nothing will be fed for a while
 *
 * Under pressure the KV cache may be discarded rather than swapped: its tokens
 * are known, and the next call that feeds computes it again, with the same bits.
 * That takes as long as feeding them did. A context that was shifted is kept:
 * it could not be computed again. Steps of the cache beyond what was fed are given
 * back at once. Any call ends the idle time.
 */
HEARTH_API int hearth_llm_idle(struct hearth_llm *llm);

/** hearth_llm_position() - tokens fed so far */
HEARTH_API uint32_t hearth_llm_position(const struct hearth_llm *llm);

/** hearth_llm_rewind() - forget all tokens from @position on */
HEARTH_API int hearth_llm_rewind(struct hearth_llm *llm, uint32_t position);

/**
 * hearth_llm_shift() - forget tokens in the middle, to make room in the context
 * @n_keep: Tokens at the start that stay where they are.
 * @n_drop: Tokens behind them that are forgotten.
 *
 * The tokens behind those move to lower positions: their keys are turned back,
 * not computed again, so they still carry what they saw of the dropped ones.
 * The same bits on every device; not those of a context that never had the
 * dropped tokens. hearth_llm_prefill() takes no more than the first @n_keep
 * tokens as fed from then on. Logits of the last token stay valid.
 *
 * The first call compiles a program and may fail with -ENOMEM.
 *
 * Errors: -EINVAL fewer than @n_keep + @n_drop tokens were fed, else as
 * hearth_queue_wait(); after one of those nothing counts as fed any more.
 */
HEARTH_API int hearth_llm_shift(struct hearth_llm *llm, uint32_t n_keep,
				uint32_t n_drop);

/** enum hearth_llm_end - why a stream ends with this token */
enum hearth_llm_end {
	/** It does not. */
	HEARTH_LLM_GOES_ON = 0,
	/** The model ended its text: the token is its end token, and no text. */
	HEARTH_LLM_END_TOKEN,
	/** A stop string: it and what follows is not told. */
	HEARTH_LLM_END_STOP,
	/** max_tokens, or the context is full and must not shift. */
	HEARTH_LLM_END_LENGTH,
};

/** struct hearth_llm_token - what generate tells of each token */
struct hearth_llm_token {
	int32_t id;
	/**
	 * text: Whole UTF-8 characters that it completed; may be empty. Bytes
	 * that are no UTF-8 are U+FFFD each. Not terminated.
	 */
	const char *text;
	size_t text_bytes;
	/** logits: n_vocab values that it was chosen from. */
	const float *logits;
	/** end: Other than HEARTH_LLM_GOES_ON: this is the last call. */
	enum hearth_llm_end end;
};

#define HEARTH_MAX_REPEAT_WINDOW	65536u

struct hearth_generate_opts {
	size_t sz;
	/** max_tokens: 0 = until the context is full. */
	uint32_t max_tokens;
	/**
	 * temperature: 0 = greedy; of equal logits the lowest id. Applied
	 * first, then top_k, min_p, top_p.
	 */
	float temperature;
	/** top_k: 0 = all. top_p, min_p: 0 = off. */
	uint32_t top_k;
	float top_p, min_p;
	uint64_t seed;
	/** ignore_eos: Go on after an end token. */
	bool ignore_eos;
	/**
	 * stop: n_stop strings (up to 16, of 1 to 1024 bytes of UTF-8). The
	 * text ends before the first that occurs, also across tokens; text
	 * that may become one is held back until that is known.
	 */
	const char *const *stop;
	unsigned int n_stop;
	/**
	 * repeat_penalty: Logits of the stream's last repeat_window tokens
	 * (0 = 64) are divided by it if positive, else multiplied; 0, 1 = off.
	 */
	float repeat_penalty;
	uint32_t repeat_window;
	/**
	 * shift: When the context is full, forget half of what is behind the
	 * first @n_keep tokens, as hearth_llm_shift() does, and go on.
	 * max_tokens must be given.
	 */
	bool shift;
	uint32_t n_keep;
	size_t :0;
};

/**
 * hearth_llm_generate() - stream tokens after what was fed
 * @fn: Called per token; a return other than 0 ends the stream and is
 *	returned.
 *
 * Something must have been fed. The last token that @fn sees is not fed to
 * the model: feed it first to go on. Same seed, same text, on every device.
 *
 * Errors: -EINVAL nothing was fed, or an option that cannot be; -ENOMEM; else
 * as hearth_llm_eval().
 */
HEARTH_API int hearth_llm_generate(struct hearth_llm *llm,
				   const struct hearth_generate_opts *opts,
				   int (*fn)(const struct hearth_llm_token *t,
					     void *arg),
				   void *arg);

/** struct hearth_chat_message - one turn of a conversation */
struct hearth_chat_message {
	/** role: "system" (the first one only), "user" or "assistant". */
	const char *role;
	/** text: Not trusted: nothing in it becomes a control token. */
	const char *text;
};

struct hearth_chat_opts {
	size_t sz;
	/** template_name: NULL = the model's own. */
	const char *template_name;
	/** no_answer: Do not end with what makes the model answer. */
	bool no_answer;
	/** no_think: qwen3, deepseek: begin the answer behind an empty thought. */
	bool no_think;
	size_t :0;
};

/** hearth_chat_template_name() - the i-th template that is known, or NULL */
HEARTH_API const char *hearth_chat_template_name(unsigned int i);

/**
 * hearth_llm_chat_template() - which known template the model's own one is
 *
 * Found by the marks that its text holds: the text is a program, and it is not
 * run. Returns a static string, or NULL if it is not known or not there;
 * hearth_errmsg() tells which, and lists the known ones.
 */
HEARTH_API const char *hearth_llm_chat_template(const struct hearth_llm *llm);

/**
 * hearth_llm_chat_format() - a conversation as the tokens to feed
 * @messages: @n of them, the oldest first.
 * @ids: Room for @cap tokens, may be NULL if @cap is 0.
 *
 * Feed them at position 0. Only the template makes control tokens; what looks
 * like one in a message stays text. (Some templates mark turns by plain text,
 * "[INST]" say, which a message can imitate: such models cannot tell.)
 *
 * Returns the number of tokens, also if it exceeds @cap. Errors: -ENOENT the
 * model has no template and none is named, -EOPNOTSUPP it is not known (both
 * messages have the list), -EINVAL no message, a role out of place, or the
 * vocabulary lacks a token of the template (it is named); -E2BIG, -ENOMEM.
 */
HEARTH_API int hearth_llm_chat_format(const struct hearth_llm *llm,
				      const struct hearth_chat_opts *opts,
				      const struct hearth_chat_message *messages,
				      size_t n, int32_t *ids, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_H */
