// SPDX-License-Identifier: MIT
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernel_bench.h"

#define GUARD	4096u
#define STEP	(BENCH_SLOT_BYTES + GUARD)

/* The slot in the upper half of an address, the offset in the lower */
uint64_t bench_va(unsigned int slot, size_t bytes)
{
	if (slot >= BENCH_SLOTS || bytes > BENCH_SLOT_BYTES)
		fail_msg("%zu bytes do not fit into slot %u", bytes, slot);
	return (uint64_t)(slot + 1) << 32 | (BENCH_SLOT_BYTES - bytes);
}

void *bench_ptr(struct bench *b, uint64_t va)
{
	return b->memory + ((va >> 32) - 1) * STEP + (uint32_t)va;
}

static int map(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	struct bench *b = (struct bench *)space;
	uint64_t slot = m->va >> 32, at = (uint32_t)m->va;

	if (!slot || slot > BENCH_SLOTS || at + m->bytes > BENCH_SLOT_BYTES) {
		fault->error = HEARTH_HW_ERR_READ;
		fault->addr = m->va;
		return -EFAULT;
	}
	m->ptr = bench_ptr(b, m->va);
	return 0;
}

static int unmap(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	return 0;
}

static const struct hk_space_ops ops = { map, unmap };

static void add_executor(struct bench *b, const struct hk_isa *isa, unsigned int threads)
{
	unsigned int i = b->executors++;

	assert_true(i < BENCH_EXECUTORS);
	b->pool[i] = hk_pool_create(threads);
	assert_non_null(b->pool[i]);
	b->exec[i] = hk_exec_create(isa, b->pool[i]);
	assert_non_null(b->exec[i]);
	snprintf(b->name[i], sizeof(b->name[i]), "%s x%u", hk_isa_name(isa), threads);
}

void bench_open(struct bench *b)
{
	const struct hk_isa *isa;

	*b = (struct bench){ .space = { .ops = &ops }, .random = 1 };
	b->memory = mmap(NULL, (size_t)STEP * BENCH_SLOTS, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(b->memory != MAP_FAILED);
	for (unsigned int i = 0; i < BENCH_SLOTS; i++)
		assert_int_equal(mprotect(b->memory + (size_t)i * STEP + BENCH_SLOT_BYTES,
					  GUARD, PROT_NONE), 0);
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++) {
		add_executor(b, isa, 1);
		add_executor(b, isa, 3);
	}
}

void bench_close(struct bench *b)
{
	for (unsigned int i = 0; i < b->executors; i++) {
		hk_exec_destroy(b->exec[i]);
		hk_pool_destroy(b->pool[i]);
	}
	munmap(b->memory, (size_t)STEP * BENCH_SLOTS);
}

/* 0..n-1 for n up to 2^32 */
static uint32_t draw(struct bench *b, uint64_t n)
{
	/* Knuth's MMIX generator; its upper bits are good. */
	b->random = b->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((b->random >> 32) * n >> 32);
}

uint32_t bench_random(struct bench *b, uint32_t n)
{
	return draw(b, n);
}

int32_t bench_range(struct bench *b, int32_t lo, int32_t hi)
{
	return (int32_t)(lo + (int64_t)draw(b, (uint64_t)((int64_t)hi - lo + 1)));
}

void bench_fill(struct bench *b, uint64_t va, size_t bytes)
{
	static const uint8_t extremes[] = { 0x00, 0x7f, 0x80, 0xff };
	bool only_extremes = !bench_random(b, 4);
	uint8_t *p = bench_ptr(b, va);

	for (size_t i = 0; i < bytes; i++)
		p[i] = only_extremes ? extremes[bench_random(b, 4)] : bench_random(b, 256);
}

struct snapshot {
	struct hk_operand operand[HK_MAX_OPERANDS];
	void *copy[HK_MAX_OPERANDS];
	int n, dst;
};

static void snapshot(struct bench *b, const void *cmd, struct snapshot *s)
{
	struct hk_fault fault;

	s->n = hk_cmd_operands(cmd, HEARTH_CMD_MAX_BYTES, s->operand, &fault);
	if (s->n < 0)
		fail_msg("%s refused: %s", hk_op_name(fault.opcode),
			 fault.field ? fault.field : "?");
	s->dst = -1;
	for (int i = 0; i < s->n; i++) {
		const struct hk_operand *o = &s->operand[i];

		s->copy[i] = NULL;
		if (o->access & HK_WRITE)
			s->dst = i;
		if (!o->bytes)
			continue;
		s->copy[i] = malloc(o->bytes);
		assert_non_null(s->copy[i]);
		memcpy(s->copy[i], bench_ptr(b, o->va), o->bytes);
	}
	assert_true(s->dst >= 0);
}

static void restore(struct bench *b, const struct snapshot *s)
{
	for (int i = 0; i < s->n; i++) {
		if (s->copy[i])
			memcpy(bench_ptr(b, s->operand[i].va), s->copy[i],
			       s->operand[i].bytes);
	}
}

static void compare(struct bench *b, const struct snapshot *s, unsigned int executor,
		    const uint8_t *want)
{
	const struct hk_operand *dst = &s->operand[s->dst];
	const uint8_t *got = bench_ptr(b, dst->va);

	for (uint64_t i = 0; i < dst->bytes; i++) {
		if (got[i] != want[i])
			fail_msg("%s: byte %llu of %llu is %u, not %u", b->name[executor],
				 (unsigned long long)i, (unsigned long long)dst->bytes,
				 got[i], want[i]);
	}
	for (int i = 0; i < s->n; i++) {
		const struct hk_operand *o = &s->operand[i];

		if (i == s->dst || !o->bytes || o->va == dst->va)
			continue;
		if (memcmp(bench_ptr(b, o->va), s->copy[i], o->bytes))
			fail_msg("%s: changed its operand %s", b->name[executor], o->name);
	}
}

void bench_check(struct bench *b, const void *cmd, bench_model model)
{
	struct hk_fault fault;
	struct snapshot s;
	uint8_t *want;
	int ret;

	snapshot(b, cmd, &s);
	want = malloc(s.operand[s.dst].bytes);
	assert_non_null(want);
	memcpy(want, s.copy[s.dst], s.operand[s.dst].bytes);
	model(cmd, s.copy, want);
	for (unsigned int e = 0; e < b->executors; e++) {
		restore(b, &s);
		ret = hk_exec_one(b->exec[e], &b->space, cmd, HEARTH_CMD_MAX_BYTES, &fault);
		if (ret < 0)
			fail_msg("%s: %s: error %u in %s", b->name[e],
				 hk_op_name(fault.opcode), fault.error,
				 fault.field ? fault.field : "?");
		compare(b, &s, e, want);
	}
	free(want);
	for (int i = 0; i < s.n; i++)
		free(s.copy[i]);
}

void bench_refused(const void *cmd, const char *field)
{
	struct hk_operand operand[HK_MAX_OPERANDS];
	struct hk_fault fault;
	int ret = hk_cmd_operands(cmd, HEARTH_CMD_MAX_BYTES, operand, &fault);

	if (ret != -EINVAL)
		fail_msg("accepted, though %s is wrong", field);
	assert_int_equal(fault.error, HEARTH_HW_ERR_OPERAND);
	assert_non_null(fault.field);
	assert_string_equal(fault.field, field);
}
