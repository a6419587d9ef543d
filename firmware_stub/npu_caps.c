// SPDX-License-Identifier: MIT
/*
 * What the device reports that it can do, and the refusal of what it did not
 * report: "--caps ops=~matmul,types=~q4_0+q8_0,slots=4".
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npu.h"

#define MAX_TEXT	1024

struct npu_caps npu_caps_full(void)
{
	return (struct npu_caps) {
		.ops = hk_ops_mask(),
		.types = hk_types_mask(),
		.slots = HEARTH_MAX_SLOTS,
	};
}

static int find_name(const char *name, const char *(*name_of)(unsigned int))
{
	for (unsigned int i = 0; i < 64; i++) {
		const char *n = name_of(i);

		if (n && !strcmp(n, name))
			return i;
	}
	return -EINVAL;
}

/* "a+b" sets these alone, "~a+b" takes them away. */
static int parse_mask(uint64_t *mask, char *text, const char *(*name_of)(unsigned int),
		      char *error, size_t bytes)
{
	uint64_t named = 0;
	char *save, *name;
	bool without = *text == '~';

	for (name = strtok_r(text + without, "+", &save); name;
	     name = strtok_r(NULL, "+", &save)) {
		int i = find_name(name, name_of);

		if (i < 0) {
			snprintf(error, bytes, "no such name: %.64s", name);
			return -EINVAL;
		}
		named |= 1ull << i;
	}
	*mask &= without ? ~named : named;
	return 0;
}

static int parse_slots(unsigned int *slots, const char *text, char *error, size_t bytes)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || n < 1 || n > HEARTH_MAX_SLOTS) {
		snprintf(error, bytes, "slots=%.32s is not 1 to %d", text, HEARTH_MAX_SLOTS);
		return -EINVAL;
	}
	*slots = n;
	return 0;
}

static int parse_one(struct npu_caps *caps, char *item, char *error, size_t bytes)
{
	if (!strncmp(item, "ops=", 4))
		return parse_mask(&caps->ops, item + 4, hk_op_name, error, bytes);
	if (!strncmp(item, "types=", 6))
		return parse_mask(&caps->types, item + 6, hk_type_name, error, bytes);
	if (!strncmp(item, "slots=", 6))
		return parse_slots(&caps->slots, item + 6, error, bytes);
	snprintf(error, bytes, "\"%.64s\" is none of ops=, types=, slots=", item);
	return -EINVAL;
}

int npu_caps_parse(struct npu_caps *caps, const char *text, char *error, size_t bytes)
{
	char copy[MAX_TEXT], *save, *item;
	struct npu_caps result = *caps;

	if (strlen(text) >= sizeof(copy)) {
		snprintf(error, bytes, "longer than %zu characters", sizeof(copy) - 1);
		return -E2BIG;
	}
	strcpy(copy, text);
	for (item = strtok_r(copy, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		int ret = parse_one(&result, item, error, bytes);

		if (ret)
			return ret;
	}
	/* every device does nothing */
	result.ops |= 1ull << HEARTH_OP_NOP;
	*caps = result;
	return 0;
}

/* Where a command names its types; the rest of a row is 0. */
struct type_fields {
	const char *name[3];
	uint16_t at[3];
};

#define FIELD(cmd, field)	offsetof(struct hearth_cmd_##cmd, field)

static const struct type_fields type_fields[HEARTH_OP_COUNT] = {
	[HEARTH_OP_CONV_2D] = {
		{ "src_type", "weights_type", "dst_type" },
		{ FIELD(conv_2d, src_type), FIELD(conv_2d, weights_type),
		  FIELD(conv_2d, dst_type) } },
	[HEARTH_OP_DEPTHWISE_CONV_2D] = {
		{ "src_type", "weights_type", "dst_type" },
		{ FIELD(conv_2d, src_type), FIELD(conv_2d, weights_type),
		  FIELD(conv_2d, dst_type) } },
	[HEARTH_OP_FULLY_CONNECTED] = {
		{ "src_type", "weights_type", "dst_type" },
		{ FIELD(fully_connected, src_type), FIELD(fully_connected, weights_type),
		  FIELD(fully_connected, dst_type) } },
	[HEARTH_OP_AVERAGE_POOL_2D] = { { "type" }, { FIELD(pool_2d, type) } },
	[HEARTH_OP_MAX_POOL_2D] = { { "type" }, { FIELD(pool_2d, type) } },
	[HEARTH_OP_ADD_Q] = {
		{ "a_type", "b_type", "dst_type" },
		{ FIELD(binary_q, a_type), FIELD(binary_q, b_type), FIELD(binary_q, dst_type) } },
	[HEARTH_OP_MUL_Q] = {
		{ "a_type", "b_type", "dst_type" },
		{ FIELD(binary_q, a_type), FIELD(binary_q, b_type), FIELD(binary_q, dst_type) } },
	[HEARTH_OP_SOFTMAX_Q] = {
		{ "src_type", "dst_type" },
		{ FIELD(softmax_q, src_type), FIELD(softmax_q, dst_type) } },
	[HEARTH_OP_QUANTIZE] = { { "type" }, { FIELD(quantize, type) } },
	[HEARTH_OP_DEQUANTIZE] = { { "type" }, { FIELD(quantize, type) } },
	[HEARTH_OP_MEAN_Q] = { { "type" }, { FIELD(mean_q, type) } },
	[HEARTH_OP_GET_ROWS] = { { "type" }, { FIELD(get_rows, type) } },
	[HEARTH_OP_MATMUL] = { { "type" }, { FIELD(matmul, type) } },
	[HEARTH_OP_KV_WRITE] = { { "type" }, { FIELD(kv_write, type) } },
	[HEARTH_OP_ATTENTION] = { { "type" }, { FIELD(attention, type) } },
	[HEARTH_OP_ATTENTION_2] = { { "type" }, { FIELD(attention_2, base.type) } },
	[HEARTH_OP_KV_WRITE_Q] = { { "type" }, { FIELD(kv_write, type) } },
	[HEARTH_OP_KV_SHIFT] = { { "type" }, { FIELD(kv_shift, type) } },
	[HEARTH_OP_KV_WRITE_PAGED] = { { "type" }, { FIELD(kv_write_paged, base.type) } },
	[HEARTH_OP_ATTENTION_PAGED] = { { "type" }, { FIELD(attention_paged, base.base.type) } },
	[HEARTH_OP_KV_SHIFT_PAGED] = { { "type" }, { FIELD(kv_shift_paged, base.type) } },
};

/* @cmd is whole: cmd->bytes of it are there. */
bool npu_caps_allow(const struct npu_caps *caps, const struct hearth_cmd_header *cmd,
		    struct hk_fault *fault)
{
	const struct type_fields *f;

	fault->opcode = cmd->op;
	if (cmd->op >= HEARTH_OP_COUNT || !(caps->ops >> cmd->op & 1)) {
		fault->error = HEARTH_HW_ERR_OPCODE;
		return false;
	}
	f = &type_fields[cmd->op];
	for (unsigned int i = 0; i < 3 && f->at[i]; i++) {
		uint8_t type;

		/* too short a command is the executor's to refuse */
		if (f->at[i] >= cmd->bytes)
			break;
		type = ((const uint8_t *)cmd)[f->at[i]];
		if (type < HEARTH_TYPE_COUNT && (caps->types >> type & 1))
			continue;
		fault->error = HEARTH_HW_ERR_OPERAND;
		fault->field = f->name[i];
		return false;
	}
	return true;
}
