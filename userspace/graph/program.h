/* SPDX-License-Identifier: MIT */
/*
 * A compiled program. Internal to graph/.
 */
#ifndef HEARTH_GRAPH_PROGRAM_H
#define HEARTH_GRAPH_PROGRAM_H

#include <sys/types.h>

#include "graph/graph.h"
#include "graph/stream.h"

/** struct hg_port - memory of a tensor that the caller may reach */
struct hg_port {
	hearth_tensor tensor;
	void *data;
	uint64_t bytes;
	uint64_t va;
	/** state: A STATE; named, so that another program can share it, and its name. */
	bool state, owns_name;
	uint8_t type;
	char *name;
};

/** struct hg_segment - commands in a row on one engine */
struct hg_segment {
	uint64_t va;
	uint64_t bytes;
	uint32_t n_cmds;
	bool on_cpu;
};

/** struct hg_kept - a constant that other programs may share */
struct hg_kept {
	const void *data;
	uint64_t bytes;
	uint64_t va;
};

/** struct hg_weights - the file that a program maps, all of it */
struct hg_weights {
	struct hearth_buffer *buffer;
	/** owned: Not another program's. */
	bool owned;
	dev_t dev;
	ino_t ino;
	uint64_t bytes;
};

/**
 * struct hg_paging - caches in pages: page n of all of them is one piece of @state
 *
 * All zero: the caches are whole.
 */
struct hg_paging {
	/** page: Positions of a page; n_ctx: of a cache. */
	uint32_t page, n_ctx;
	/** stride: Bytes of a page of all caches. */
	uint64_t stride;
	/** state: Where they are; the buffer of the program that made them. */
	struct hearth_buffer *state;
};

struct hearth_program {
	struct hearth_device *dev;
	/** queue: NULL after a run failed; the next one makes another. */
	struct hearth_queue *queue;
	enum hearth_priority priority;

	struct hg_weights weights;
	struct hearth_buffer *state;
	struct hg_paging paging;
	/** model: @weights and @state; another program's if not @owns_model. */
	struct hearth_model *model;
	bool owns_model;
	struct hearth_buffer *activations;
	/** fixed: Constants, then the command stream. */
	struct hearth_buffer *fixed;

	/** ports: While it is compiled one for each tensor, then those with data; ascending. */
	struct hg_port *ports;
	uint32_t n_ports;
	/** kept: Those of the program that this one shares with come first. */
	struct hg_kept *kept;
	uint32_t n_kept;

	const uint8_t *stream;
	/** cmds, op_names: Of the program that this one shares with, if they are the same. */
	struct hg_cmd *cmds;
	uint32_t n_cmds;
	char **op_names;
	bool owns_cmds, owns_names;
	uint32_t n_ops;
	struct hg_segment *segments;
	uint32_t n_segments;

	struct hearth_program_info info;
};

/* Make the queue, unless there is one. */
int hg_program_open_queue(struct hearth_program *p);

#endif /* HEARTH_GRAPH_PROGRAM_H */
