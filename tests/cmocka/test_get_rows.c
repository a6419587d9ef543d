// SPDX-License-Identifier: MIT
/*
 * GET_ROWS: the rows that are asked for and no other memory, the same bits on every
 * ISA, from rows of eight as from rows, every check of its commands.
 */
#include "float_ops.h"
#include "r8_rows.h"

static void rows_of_any_type(void **state)
{
	struct fixture *f = *state;
	const uint32_t cols = 32, rows = 9, n = 5;
	const unsigned int types[] = { HEARTH_TYPE_F32, HEARTH_TYPE_F16, HEARTH_TYPE_BF16,
				       HEARTH_TYPE_Q4_0, HEARTH_TYPE_Q8_0, HEARTH_TYPE_Q5_1 };

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		unsigned int elements, bytes;
		uint8_t *table;
		int32_t *ids = ks_alloc(&f->ks, n * 4);
		float *dst = ks_alloc(&f->ks, n * cols * 4);
		struct hearth_cmd_get_rows c = {
			.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
			.ids = ks_va(&f->ks, ids), .dst = ks_va(&f->ks, dst),
			.rows = rows, .cols = cols, .n = n, .type = (uint8_t)types[t],
		};

		hk_type_block(types[t], &elements, &bytes);
		table = ks_alloc(&f->ks, rows * cols / elements * bytes);
		c.table = ks_va(&f->ks, table);
		for (uint32_t i = 0; i < rows * cols / elements * bytes; i++)
			table[i] = (uint8_t)ks_u32(&f->rng);
		for (uint32_t i = 0; i < n; i++)
			ids[i] = (const int32_t[]){ 8, 0, 3, 3, 7 }[i];
		check_isas(f, &c, dst, n * cols * 4);
		if (types[t] == HEARTH_TYPE_F32)
			assert_memory_equal(dst + cols, table, cols * 4);
		else
			check_nan(dst, n * cols);
		assert_memory_equal(dst + 2 * cols, dst + 3 * cols, cols * 4);
		/* Only the rows that are read are mapped. */
		f->ks.bytes_mapped = 0;
		ks_run(&f->ks, f->ex, &c);
		assert_int_equal(f->ks.bytes_mapped,
				 n * 4 + n * cols * 4 + n * cols / elements * bytes);
		for (int i = 0; i < 3; i++) {
			ids[4] = (const int32_t[]){ 9, -1, INT32_MIN }[i];
			ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, "ids");
		}
		ks_fini(&f->ks);
	}
}

static void refuses(void **state)
{
	struct fixture *f = *state;
	int32_t *ids = ks_alloc(&f->ks, 8);
	struct hearth_cmd_get_rows good = {
		.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
		.table = ks_va(&f->ks, ks_alloc(&f->ks, 4 * 36)), .ids = ks_va(&f->ks, ids),
		.dst = ks_va(&f->ks, ks_alloc(&f->ks, 2 * 64 * 4)),
		.rows = 4, .cols = 64, .n = 2, .type = HEARTH_TYPE_Q4_0,
	}, c;

	ks_run(&f->ks, f->ex, &good);
	REFUSED(type, HEARTH_TYPE_I32, "type");
	REFUSED(type, HEARTH_TYPE_Q4_0_R8, "rows");
	REFUSED(cols, 33, "cols");
	REFUSED(cols, 0, "rows");
	REFUSED(n, 0, "n");
	REFUSED(table, good.table + 1, "table");
	REFUSED(ids, good.ids + 2, "ids");
	REFUSED(dst, good.table, "dst");
	REFUSED(reserved[0], 1, "reserved");
}

/* A command over a table of @rows, with ids of all rows and some more. */
static struct hearth_cmd_get_rows make(struct fixture *f, unsigned int type, uint32_t rows,
				       uint32_t cols)
{
	const uint32_t n = rows + 4;
	int32_t *ids = ks_alloc(&f->ks, n * 4);

	for (uint32_t i = 0; i < n; i++)
		ids[i] = (int32_t)((rows - 1 + i * 5) % rows);
	return (struct hearth_cmd_get_rows){
		.hdr = KS_HDR(GET_ROWS, hearth_cmd_get_rows),
		.table = ks_va(&f->ks, ks_alloc(&f->ks, rows * hk_row_bytes(type, cols))),
		.ids = ks_va(&f->ks, ids),
		.dst = ks_va(&f->ks, ks_alloc(&f->ks, (size_t)n * cols * 4)),
		.rows = rows, .cols = cols, .n = n, .type = (uint8_t)type,
	};
}

static void *at(const struct fixture *f, uint64_t va)
{
	for (unsigned int i = 0; i < f->ks.buffers; i++) {
		if (f->ks.buffer[i].va == va)
			return f->ks.buffer[i].ptr;
	}
	fail();
	return NULL;
}

/* The same blocks, of any bits, in rows and in rows of eight. */
static void check_groups(struct fixture *f, unsigned int type, uint32_t rows, uint32_t blocks)
{
	const uint32_t base = hk_type(type)->r8, cols = blocks * hk_type(type)->elements;
	struct hearth_cmd_get_rows c = make(f, base, rows, cols), r8 = make(f, type, rows, cols);
	const uint64_t bytes = rows * hk_row_bytes(type, cols), out = (uint64_t)c.n * cols * 4;
	uint8_t *table = at(f, c.table);

	for (uint64_t i = 0; i < bytes; i++)
		table[i] = (uint8_t)ks_u32(&f->rng);
	r8_pack_rows(at(f, r8.table), table, type, rows, cols);
	ks_run(&f->ks, f->ex, &c);
	check_isas(f, &r8, at(f, r8.dst), out);
	assert_memory_equal(at(f, r8.dst), at(f, c.dst), out);
	check_nan(at(f, r8.dst), c.n * cols);
	/* Only the groups of the rows that are read are mapped. */
	f->ks.bytes_mapped = 0;
	ks_run(&f->ks, f->ex, &r8);
	assert_int_equal(f->ks.bytes_mapped, r8.n * 4 + out + r8.n * bytes / rows * 8);
	ks_fini(&f->ks);
}

static void rows_of_eight_give_the_same_bits(void **state)
{
	static const uint32_t shapes[][2] = { { 8, 1 }, { 24, 3 }, { 64, 2 }, { 8, 9 } };

	for (unsigned int t = HEARTH_TYPE_Q4_0_R8; t <= HEARTH_TYPE_Q6_K_R8; t++) {
		for (size_t s = 0; s < ARRAY_SIZE(shapes); s++)
			check_groups(*state, t, shapes[s][0], shapes[s][1]);
	}
}

/* A group is there as a whole or not at all, whatever row of it is asked for. */
static void refuses_parts_of_groups(void **state)
{
	struct fixture *f = *state;
	struct hearth_cmd_get_rows good, c;
	int32_t *ids;

	for (unsigned int t = HEARTH_TYPE_Q4_0_R8; t <= HEARTH_TYPE_Q6_K_R8; t++) {
		const uint32_t cols = hk_type(t)->elements;

		good = make(f, t, 16, cols);
		ids = at(f, good.ids);
		ks_run(&f->ks, f->ex, &good);
		for (uint32_t rows = 9; rows < 16; rows++)
			REFUSED(rows, rows, "rows");
		REFUSED(rows, 1, "rows");
		REFUSED(rows, 0, "rows");
		REFUSED(rows, HEARTH_CMD_MAX_DIM + 1, "rows");
		REFUSED(cols, cols + 1, "cols");
		REFUSED(cols, cols - 1, "cols");
		REFUSED(table, good.table + 1, "table");
		REFUSED(table, UINT64_MAX - 7 * hk_row_bytes(t, cols), "table");
		REFUSED(dst, good.table + 15 * hk_row_bytes(t, cols) / 4 * 4, "dst");
		for (int i = 0; i < 4; i++) {
			ids[3] = (const int32_t[]){ 16, 23, -1, INT32_MIN }[i];
			ks_fail(&f->ks, f->ex, &good, -EINVAL, HEARTH_HW_ERR_OPERAND, "ids");
		}
		/* Rows of a third group, of which there is no memory */
		c = good;
		c.rows = 24;
		ids[3] = 16;
		ks_fail(&f->ks, f->ex, &c, -EFAULT, HEARTH_HW_ERR_READ, NULL);
		ks_fini(&f->ks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_of_any_type),
		TEST(refuses),
		TEST(rows_of_eight_give_the_same_bits),
		TEST(refuses_parts_of_groups),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
