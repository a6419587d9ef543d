/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_GRAPH_PARTITION_H
#define HEARTH_GRAPH_PARTITION_H

#include "graph/stream.h"

#define HG_NOTHING	0xff

/*
 * Fills on_cpu, missing_op and missing_type (HG_NOTHING if neither is) of
 * each command for a device that knows @ops and @types.
 */
void hg_partition(struct hg_stream *s, uint64_t ops, uint64_t types);

/* Multiply-accumulates of a command; what has none counts 0. */
uint64_t hg_cmd_macs(const struct hearth_cmd_header *cmd);

#endif /* HEARTH_GRAPH_PARTITION_H */
