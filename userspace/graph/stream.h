/* SPDX-License-Identifier: MIT */
/*
 * A command stream under construction. Commands name memory by reference;
 * the addresses are filled in when the memory is there.
 */
#ifndef HEARTH_GRAPH_STREAM_H
#define HEARTH_GRAPH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hw/hearth_cmd.h>

#define HG_MAX_STREAM_BYTES	(16u << 20)

enum hg_place {
	/** Absent: address 0. */
	HG_NONE = 0,
	/** The weights file; index unused. */
	HG_WEIGHTS,
	/** A constant of the compiler. */
	HG_CONST,
	/** A value, whose memory is planned. */
	HG_VALUE,
	/** A STATE tensor, by its index in the graph. */
	HG_STATE,
};

struct hg_ref {
	enum hg_place place;
	uint32_t index;
	uint64_t offset;
};

/** struct hg_field - an address field of a command and what it refers to */
struct hg_field {
	uint32_t at;
	struct hg_ref ref;
};

#define HG_FIELD(cmd, member, ref)	{ offsetof(__typeof__(cmd), member), ref }

struct hg_cmd {
	/** at: Offset in the stream. */
	uint32_t at;
	/** op: Index of the graph's op that it comes from. */
	uint32_t op;
	/** on_cpu: The device cannot; missing_op or missing_type says why. */
	bool on_cpu;
	uint8_t missing_op, missing_type;
};

struct hg_reloc {
	/** at: Offset of the address in the stream. */
	uint32_t at;
	/** cmd: Index of the command. */
	uint32_t cmd;
	struct hg_ref ref;
};

struct hg_stream {
	uint8_t *data;
	uint32_t bytes, room;
	struct hg_cmd *cmds;
	uint32_t n_cmds, cmd_room;
	struct hg_reloc *relocs;
	uint32_t n_relocs, reloc_room;
};

/*
 * Append @cmd, whose header is filled here; fields in @fields get addresses
 * later. 0 or -ENOMEM, -E2BIG.
 */
int hg_stream_append(struct hg_stream *s, unsigned int opcode,
		     struct hearth_cmd_header *cmd, uint32_t bytes, uint32_t op,
		     const struct hg_field *fields, unsigned int n_fields);

static inline struct hearth_cmd_header *hg_stream_cmd(const struct hg_stream *s, uint32_t i)
{
	return (struct hearth_cmd_header *)(s->data + s->cmds[i].at);
}

void hg_stream_free(struct hg_stream *s);

#endif /* HEARTH_GRAPH_STREAM_H */
