// SPDX-License-Identifier: MIT
/*
 * A compiled program at work. A run allocates nothing, unless it has to
 * replace the queue after one that failed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/partition.h"
#include "graph/program.h"
#include "kernels/exec.h"
#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/opts.h"

void hearth_program_destroy(struct hearth_program *p)
{
	if (!p)
		return;
	hearth_queue_destroy(p->queue);
	if (p->owns_model)
		hearth_model_close(p->model);
	if (p->weights.owned)
		hearth_buffer_destroy(p->weights.buffer);
	hearth_buffer_destroy(p->state);
	hearth_buffer_destroy(p->activations);
	hearth_buffer_destroy(p->fixed);
	for (uint32_t i = 0; i < p->n_ports; i++) {
		if (p->ports[i].owns_name)
			free(p->ports[i].name);
	}
	if (p->owns_names)
		free(p->op_names);
	free(p->ports);
	free(p->kept);
	if (p->owns_cmds)
		free(p->cmds);
	free(p->segments);
	free(p);
}

static int compare_port(const void *key, const void *entry)
{
	hearth_tensor a = *(const hearth_tensor *)key, b = ((const struct hg_port *)entry)->tensor;

	return (a > b) - (a < b);
}

void *hearth_program_data(struct hearth_program *p, hearth_tensor tensor, uint64_t *bytes)
{
	const struct hg_port *port = bsearch(&tensor, p->ports, p->n_ports, sizeof(*p->ports),
					     compare_port);

	if (!port) {
		hearth_seterr(-EINVAL, "tensor %d is no input, output or state", tensor);
		return NULL;
	}
	if (port->state && p->paging.page) {
		hearth_seterr(-EINVAL, "state '%s' is in pages, not in one piece", port->name);
		return NULL;
	}
	if (bytes)
		*bytes = port->bytes;
	return port->data;
}

int hearth_program_resize_state(struct hearth_program *p, uint32_t positions)
{
	const struct hg_paging *pg = &p->paging;
	uint64_t pages;

	if (!pg->page)
		return 0;
	if (positions > pg->n_ctx)
		return hearth_seterr(-EINVAL, "%u positions: the caches were made for %u",
				     positions, pg->n_ctx);
	pages = positions ? (positions - 1) / pg->page + 1 : 1;
	return hearth_buffer_resize(pg->state, pages * pg->stride);
}

int hg_program_open_queue(struct hearth_program *p)
{
	HEARTH_OPTS(hearth_queue_opts, o, .priority = p->priority);

	return p->queue ? 0 : hearth_queue_create(p->dev, &o, &p->queue);
}

static int run_segment(struct hearth_program *p, const struct hg_segment *s)
{
	int ret;

	if (s->on_cpu)
		return hearth_device_run_cpu(p->dev, s->va, s->bytes);
	ret = hearth_queue_submit(p->queue, s->va, s->bytes, NULL);
	return ret ? ret : hearth_queue_wait(p->queue, UINT64_MAX);
}

/* After an error a queue takes no more work: the next run gets another. */
static void drop_queue(struct hearth_program *p, int error)
{
	char message[512];

	snprintf(message, sizeof(message), "%s", hearth_errmsg());
	hearth_queue_destroy(p->queue);
	p->queue = NULL;
	hearth_seterr(error, "%s", message);
}

struct hearth_model *hearth_program_model(struct hearth_program *p)
{
	return p->model;
}

/* What a run read is the file as it was opened if it is so before and after. */
static int check_weights(const struct hearth_program *p)
{
	return p->weights.buffer ? hearth_buffer_check_file(p->weights.buffer) : 0;
}

int hearth_program_run(struct hearth_program *p)
{
	int ret = check_weights(p);

	if (!ret)
		ret = hg_program_open_queue(p);
	for (uint32_t i = 0; !ret && i < p->n_segments; i++) {
		ret = run_segment(p, &p->segments[i]);
		if (ret && !p->segments[i].on_cpu)
			drop_queue(p, ret);
	}
	return ret ? ret : check_weights(p);
}

int hearth_program_get_info(const struct hearth_program *p, struct hearth_program_info *info)
{
	return hearth_opts_give(info, &p->info, sizeof(p->info), "hearth_program_info");
}

/* Why @c is not on the device, in @buf; NULL if it is. */
static const char *reason(const struct hg_cmd *c, const char *device, char *buf, size_t size)
{
	if (!c->on_cpu)
		return NULL;
	if (c->missing_op != HG_NOTHING)
		snprintf(buf, size, "the %s lacks op %s", device, hk_op_name(c->missing_op));
	else
		snprintf(buf, size, "the %s lacks type %s", device,
			 hk_type_name(c->missing_type));
	return buf;
}

/* The same command on caches in one piece: those in pages have others between them. */
static void without_pages(struct hearth_cmd_header *cmd)
{
	switch (cmd->op) {
	case HEARTH_OP_KV_WRITE_PAGED:
		cmd->op = ((struct hearth_cmd_kv_write *)cmd)->type == HEARTH_TYPE_Q8_0 ?
			  HEARTH_OP_KV_WRITE_Q : HEARTH_OP_KV_WRITE;
		cmd->bytes = sizeof(struct hearth_cmd_kv_write);
		break;
	case HEARTH_OP_ATTENTION_PAGED:
		cmd->op = HEARTH_OP_ATTENTION_2;
		cmd->bytes = sizeof(struct hearth_cmd_attention_2);
		break;
	case HEARTH_OP_KV_SHIFT_PAGED:
		cmd->op = HEARTH_OP_KV_SHIFT;
		cmd->bytes = sizeof(struct hearth_cmd_kv_shift);
		break;
	}
}

static uint64_t operand_bytes(const struct hearth_cmd_header *from)
{
	union {
		struct hearth_cmd_header hdr;
		uint64_t words[HEARTH_CMD_MAX_BYTES / 8];
	} cmd;
	struct hk_operand operand[HK_MAX_OPERANDS];
	struct hk_fault fault;
	uint64_t bytes = 0;
	int n;

	memcpy(&cmd, from, from->bytes);
	without_pages(&cmd.hdr);
	n = hk_cmd_operands(&cmd.hdr, cmd.hdr.bytes, operand, &fault);

	for (int i = 0; i < n; i++)
		bytes += operand[i].bytes;
	return bytes;
}

int hearth_program_explain(const struct hearth_program *p,
			   int (*fn)(const struct hearth_op_report *r, void *arg), void *arg)
{
	struct hearth_device_info info = { .sz = sizeof(info) };
	char why[96];
	int ret = hearth_device_get_info(p->dev, &info);

	for (uint32_t i = 0; !ret && i < p->n_cmds; i++) {
		const struct hg_cmd *c = &p->cmds[i];
		const struct hearth_cmd_header *cmd = (const void *)(p->stream + c->at);
		struct hearth_op_report r = {
			.name = p->op_names[c->op],
			.op = hk_op_name(cmd->op),
			.engine = c->on_cpu ? "cpu" : info.name,
			.reason = reason(c, info.name, why, sizeof(why)),
			.macs = hg_cmd_macs(cmd),
			.bytes = operand_bytes(cmd),
		};

		ret = fn(&r, arg);
	}
	return ret;
}
