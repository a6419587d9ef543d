// SPDX-License-Identifier: MIT
/*
 * The executor: what it refuses, what it maps, and that a hostile owner of
 * the stream's memory gains nothing.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_space.h"
#include "kernels/op.h"
#include "kernels/types.h"

struct fixture {
	struct kspace ks;
	struct hk_exec *ex;
	float *a, *b, *dst;
	struct hearth_cmd_binary add;
};

static int setup(void **state)
{
	static struct fixture f;

	ks_init(&f.ks);
	f.ex = hk_exec_create(NULL, NULL);
	assert_non_null(f.ex);
	f.a = ks_alloc(&f.ks, 64 * sizeof(float));
	f.b = ks_alloc(&f.ks, 64 * sizeof(float));
	f.dst = ks_alloc(&f.ks, 64 * sizeof(float));
	for (int i = 0; i < 64; i++) {
		f.a[i] = (float)i;
		f.b[i] = 0.5f;
	}
	f.add = (struct hearth_cmd_binary){
		.hdr = KS_HDR(ADD, hearth_cmd_binary),
		.a = ks_va(&f.ks, f.a),
		.b = ks_va(&f.ks, f.b),
		.dst = ks_va(&f.ks, f.dst),
		.n = 64,
		.b_n = 64,
	};
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hk_exec_destroy(f->ex);
	ks_fini(&f->ks);
	return 0;
}

static void test_runs(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_header nop = { .op = HEARTH_OP_NOP, .bytes = sizeof(nop) };

	ks_run(&f->ks, f->ex, &nop);
	ks_run(&f->ks, f->ex, &f->add);
	for (int i = 0; i < 64; i++)
		assert_true(f->dst[i] == (float)i + 0.5f);
	assert_int_equal(f->ks.maps, 3);
}

static void test_header(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_binary c = f->add;
	struct hk_fault fault = { .op_index = 5 };

	for (size_t avail = 0; avail < sizeof(c); avail++) {
		assert_int_equal(hk_exec_one(f->ex, &f->ks.space, &c.hdr, avail, &fault),
				 -EINVAL);
		assert_int_equal(fault.error, HEARTH_HW_ERR_OPERAND);
		assert_string_equal(fault.field, "bytes");
		assert_int_equal(fault.op_index, 5);
		assert_int_equal(fault.opcode, avail < sizeof(c.hdr) ? ~0u : HEARTH_OP_ADD);
	}
	c.hdr.bytes = sizeof(c) + 8;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "bytes");
	c.hdr.bytes = 0;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "bytes");
	c.hdr.bytes = ~0u;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "bytes");
	c = f->add;
	c.hdr.reserved = 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "reserved");
	assert_int_equal(f->ks.maps, 0);
}

static void test_unknown_opcode(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_header hdr = { .bytes = sizeof(hdr) };

	for (unsigned int op = 0; op < 65536; op++) {
		if (op < 64 && hk_ops_mask() >> op & 1)
			continue;
		hdr.op = (uint16_t)op;
		ks_fail(&f->ks, f->ex, &hdr, -EINVAL, HEARTH_HW_ERR_OPCODE, NULL);
		assert_null(hk_op_name(op));
	}
}

static void test_operand_checks(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_binary c = f->add;

	c.a |= 2;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "a");
	c = f->add;
	c.b = ~0ull - 3;	/* + 256 would wrap */
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "b");
	c.b = (1ull << 39) - 252;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "b");
	c = f->add;
	c.n = 0;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "n");
	c.n = HEARTH_CMD_MAX_DIM + 1;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "n");
	c = f->add;
	c.b_n = 0;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "b_n");
	c.b_n = 48;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "b_n");
	assert_int_equal(f->ks.maps, 0);
}

static void test_overlap(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_binary c = f->add;

	c.dst = c.a;
	ks_run(&f->ks, f->ex, &c);	/* in place */
	assert_true(f->a[3] == 3.5f);
	c.dst = c.b;
	ks_run(&f->ks, f->ex, &c);
	c.n = 32;
	c.b_n = 32;
	c.dst = c.a + 4;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "dst");
	c.dst = c.a + 32 * 4;	/* next to it */
	ks_run(&f->ks, f->ex, &c);
	/* A broadcast operand would be read after it was written. */
	c = f->add;
	c.b_n = 32;
	c.dst = c.b;
	ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "dst");
}

static void test_memory_faults(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_binary c = f->add;
	struct hk_fault fault;

	c.a = 0x7000000000;
	assert_int_equal(hk_exec_one(f->ex, &f->ks.space, &c.hdr, sizeof(c), &fault), -EFAULT);
	assert_int_equal(fault.error, HEARTH_HW_ERR_READ);
	assert_int_equal(fault.addr, c.a);
	assert_int_equal(f->ks.live_maps, 0);
	ks_read_only(&f->ks, f->dst);
	c = f->add;
	assert_int_equal(hk_exec_one(f->ex, &f->ks.space, &c.hdr, sizeof(c), &fault), -EFAULT);
	assert_int_equal(fault.error, HEARTH_HW_ERR_WRITE);
	assert_int_equal(fault.addr, c.dst);
	assert_true(f->dst[0] == 0);
	/* What was mapped before the fault is released. */
	assert_int_equal(f->ks.live_maps, 0);
}

static void test_unmap_fault(void **state)
{
	struct fixture *f = *state;

	f->ks.fail_unmap = true;
	ks_fail(&f->ks, f->ex, &f->add, -EFAULT, HEARTH_HW_ERR_BUS, NULL);
}

static void scribble(struct kspace *ks, const struct hk_map *map)
{
	struct hearth_cmd_binary *c = ks->arg;

	memset(c, 0xff, sizeof(*c));
}

/* The stream's memory changes as soon as the command was checked. */
static void test_command_is_copied(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_binary c = f->add;
	struct hk_fault fault;

	f->ks.on_map = scribble;
	f->ks.arg = &c;
	assert_int_equal(hk_exec_one(f->ex, &f->ks.space, &c.hdr, sizeof(c), &fault),
			 sizeof(c));
	for (int i = 0; i < 64; i++)
		assert_true(f->dst[i] == (float)i + 0.5f);
}

static void test_operands_listed(void **state)
{
	struct fixture *f = *state;
	struct hk_operand op[HK_MAX_OPERANDS];
	struct hk_fault fault;

	assert_int_equal(hk_cmd_operands(&f->add.hdr, sizeof(f->add), op, &fault), 3);
	assert_int_equal(op[0].va, f->add.a);
	assert_int_equal(op[0].access, HK_READ);
	assert_int_equal(op[2].va, f->add.dst);
	assert_int_equal(op[2].bytes, 256);
	assert_int_equal(op[2].access, HK_WRITE);
	assert_string_equal(op[2].name, "dst");
	f->add.n = 0;
	assert_int_equal(hk_cmd_operands(&f->add.hdr, sizeof(f->add), op, &fault), -EINVAL);
	assert_string_equal(fault.field, "n");
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void test_reserve_then_no_allocation(void **state)
{
	struct fixture *f = *state;
	uint8_t *w = ks_alloc(&f->ks, 34 * 64);
	struct hearth_cmd_matmul c = {
		.hdr = KS_HDR(MATMUL, hearth_cmd_matmul),
		.weights = ks_va(&f->ks, w),
		.src = ks_va(&f->ks, f->a),
		.dst = ks_va(&f->ks, f->dst),
		.rows = 2, .in_n = 32, .out_n = 32,
		.type = HEARTH_TYPE_Q8_0,
	};
	struct hk_fault fault;
	size_t before = heap(), after;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();	/* its heap does not count for mallinfo2() */
#endif
	assert_int_equal(hk_exec_reserve(f->ex, &c.hdr, sizeof(c), &fault), 0);
	after = heap();
	assert_true(after > before);
	ks_run(&f->ks, f->ex, &c);
	assert_int_equal(heap(), after);
	c.reserved[1] = 1;
	assert_int_equal(hk_exec_reserve(f->ex, &c.hdr, sizeof(c), &fault), -EINVAL);
	assert_string_equal(fault.field, "reserved");
}

static void test_elements(void **state)
{
	uint64_t n;

	assert_int_equal(hk_elements((uint32_t[]){ 3, 5, 7 }, 3, &n), 0);
	assert_int_equal(n, 105);
	assert_int_equal(hk_elements((uint32_t[]){ 1u << 24, 1u << 12 }, 2, &n), 0);
	assert_int_equal(n, 1ull << 36);
	assert_int_equal(hk_elements((uint32_t[]){ 1u << 24, (1u << 12) + 1 }, 2, &n), -EINVAL);
	assert_int_equal(hk_elements((uint32_t[]){ 1u << 24, 1u << 24, 1u << 24 }, 3, &n),
			 -EINVAL);
	assert_int_equal(hk_elements((uint32_t[]){ 4, 0 }, 2, &n), -EINVAL);
	assert_int_equal(hk_elements((uint32_t[]){ (1u << 24) + 1 }, 1, &n), -EINVAL);
}

static void test_types(void **state)
{
	unsigned int elements, bytes, known = 0;

	for (unsigned int t = 0; t < 256; t++) {
		if (hk_type_block(t, &elements, &bytes)) {
			assert_null(hk_type_name(t));
			assert_false(t < 64 && hk_types_mask() >> t & 1);
			continue;
		}
		known++;
		assert_non_null(hk_type_name(t));
		assert_true(elements && bytes && elements <= 256);
	}
	assert_int_equal(known, 25);
	assert_int_equal(hk_type_block(HEARTH_TYPE_Q6_K, &elements, &bytes), 0);
	assert_int_equal(elements, 256);
	assert_int_equal(bytes, 210);
}

static void test_isa_choice(void **state)
{
	const struct hk_isa *isa;

	assert_string_equal(hk_isa_name(hk_isa_list(0)), "plain");
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++) {
		assert_ptr_equal(hk_isa_by_name(hk_isa_name(isa)), isa);
		setenv("HEARTH_ISA", hk_isa_name(isa), 1);
		assert_ptr_equal(hk_isa_best(), isa);
	}
	assert_null(hk_isa_by_name("abacus"));
	setenv("HEARTH_ISA", "abacus", 1);
	assert_null(hk_isa_best());
	assert_null(hk_exec_create(NULL, NULL));
	unsetenv("HEARTH_ISA");
	assert_non_null(hk_isa_best());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_runs),
		TEST(test_header),
		TEST(test_unknown_opcode),
		TEST(test_operand_checks),
		TEST(test_overlap),
		TEST(test_memory_faults),
		TEST(test_unmap_fault),
		TEST(test_command_is_copied),
		TEST(test_operands_listed),
		TEST(test_reserve_then_no_allocation),
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_isa_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
