// SPDX-License-Identifier: MIT
/* Queues: jobs, what is wrong with them, order, preemption, destruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stub_host.h"

#define VA_STREAM	0x10000000ull
#define VA_DATA		0x20000000ull
#define STREAM_BYTES	(256u << 10)
#define DATA_BYTES	(1u << 20)

static struct host host;
static uint64_t root;

static void prepare(struct host *h)
{
	root = host_tables(h);
	host_map(h, root, VA_STREAM, RAM_BUS + AT_DATA, STREAM_BYTES, HEARTH_PTE_RO);
	host_map(h, root, VA_DATA, RAM_BUS + AT_DATA + STREAM_BYTES, DATA_BYTES, 0);
	memset(host_ptr(h, AT_DATA), 0, STREAM_BYTES + DATA_BYTES);
	host_ctx(h, 1, root);
}

static int up(void **state)
{
	host_up(&host, NULL);
	prepare(&host);
	*state = &host;
	return 0;
}

static int up_with(void **state, unsigned int workers, const char *caps)
{
	struct npu_opts opts = { .caps = npu_caps_full(), .workers = workers };
	char error[128];

	if (caps)
		assert_int_equal(npu_caps_parse(&opts.caps, caps, error, sizeof(error)), 0);
	host_up(&host, &opts);
	prepare(&host);
	*state = &host;
	return 0;
}

static int up_single(void **state)
{
	return up_with(state, 1, NULL);
}

static int up_lesser(void **state)
{
	return up_with(state, 1, "ops=~matmul+pad,types=~f16,slots=2");
}

static int up_messages(void **state)
{
	host_start(&host, NULL, true);
	assert_int_equal(host_boot(&host), HEARTH_STATUS_READY);
	prepare(&host);
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	host_stop(*state);
	return 0;
}

/* Place of the stream at @offset, in our memory. */
static void *stream(struct host *h, uint32_t offset)
{
	return host_ptr(h, AT_DATA + offset);
}

static uint8_t *data(struct host *h)
{
	return host_ptr(h, AT_DATA + STREAM_BYTES);
}

/* @count NOPs at @offset; returns their size. */
static uint32_t put_nops(struct host *h, uint32_t offset, uint32_t count)
{
	struct hearth_cmd_header *cmd = stream(h, offset);

	for (uint32_t i = 0; i < count; i++)
		cmd[i] = (struct hearth_cmd_header){ .op = HEARTH_OP_NOP, .bytes = 8 };
	return count * 8;
}

static struct hearth_cmd_copy_2d copy_cmd(uint64_t src, uint64_t dst, uint32_t bytes)
{
	return (struct hearth_cmd_copy_2d) {
		.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(struct hearth_cmd_copy_2d) },
		.src = src, .dst = dst, .src_stride = bytes, .dst_stride = bytes,
		.row_bytes = bytes, .rows = 1,
	};
}

static uint32_t put_copy(struct host *h, uint32_t offset, uint64_t src, uint64_t dst,
			 uint32_t bytes)
{
	struct hearth_cmd_copy_2d c = copy_cmd(src, dst, bytes);

	memcpy(stream(h, offset), &c, sizeof(c));
	return sizeof(c);
}

static void test_jobs(void **state)
{
	struct host *h = *state;
	uint32_t bytes = put_nops(h, 0, 3);
	uint64_t last = 0;

	host_queue(h, 0, 1, 1);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, bytes));
	assert_int_equal(h->fw_page->queue[0].extract, 1);
	assert_int_equal(h->fw_page->queue[0].progress, 3);
	assert_int_equal(h->fw_page->queue[0].completed, 1);
	/* an empty job is a job; a batch needs one doorbell */
	for (int i = 0; i < 10; i++)
		last = host_put(h, 0, VA_STREAM, i % 2 ? bytes : 0);
	host_ring(h, 0);
	for (uint64_t i = 2; i <= last; i++) {
		struct hearth_hw_event e = host_want(h);

		assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
		assert_int_equal(e.slot, 0);
		assert_int_equal(e.seqno, i);
	}
	assert_int_equal(h->fw_page->queue[0].completed, last);
	assert_int_equal(h->fw_page->queue[0].extract, last);
	assert_true(h->fw_page->queue[0].busy_ns > 0);
	/* more than the ring has entries, over its end */
	for (int i = 0; i < 3 * QUEUE_ENTRIES; i++)
		host_want_done(h, 0, host_submit(h, 0, VA_STREAM, bytes));
	assert_int_equal(client_stat(&h->c, "jobs"), last + 3 * QUEUE_ENTRIES);
}

static void test_copy(void **state)
{
	struct host *h = *state;
	uint8_t *d = data(h);
	uint32_t bytes;

	host_queue(h, 3, 1, 2);
	for (int i = 0; i < 10000; i++)
		d[i + 5] = i * 13;
	bytes = put_copy(h, 0, VA_DATA + 5, VA_DATA + 50001, 10000);
	bytes += put_copy(h, bytes, VA_DATA + 50001, VA_DATA + 100000, 10000);
	host_want_done(h, 3, host_submit(h, 3, VA_STREAM, bytes));
	assert_memory_equal(d + 5, d + 100000, 10000);
	assert_int_equal(d[50000], 0);
	assert_int_equal(d[60001], 0);
}

/* Pages in reverse order: nothing is contiguous, and what is beside stays. */
static void test_scattered(void **state)
{
	struct host *h = *state;
	const uint64_t va = 0x7000000000;
	const unsigned int pages = 16;
	uint8_t *d = data(h);
	uint32_t bytes;

	host_queue(h, 0, 1, 1);
	for (unsigned int i = 0; i < pages; i++)
		host_map(h, root, va + i * 4096, host_bus(h, d) + (pages - 1 - i) * 4096, 4096, 0);
	memset(d, 0xee, pages * 4096);
	for (int i = 0; i < 9000; i++)
		d[0x80000 + i] = i * 3;
	bytes = put_copy(h, 0, VA_DATA + 0x80000, va + 100, 9000);
	bytes += put_copy(h, bytes, va + 100, VA_DATA + 0x90000, 9000);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, bytes));
	assert_memory_equal(d + 0x80000, d + 0x90000, 9000);
	assert_memory_equal(d + (pages - 1) * 4096 + 100, d + 0x80000, 3996);
	assert_memory_equal(d + (pages - 2) * 4096, d + 0x80000 + 3996, 4096);
	assert_int_equal(d[(pages - 1) * 4096 + 99], 0xee);
	assert_int_equal(d[(pages - 3) * 4096 + 9000 - 3996 - 4096], 0xee);
}

static struct hearth_hw_event fault_of(struct host *h, uint32_t slot, uint64_t va, uint32_t bytes)
{
	struct hearth_hw_event e;
	uint64_t seqno;

	host_queue(h, slot, 1, 1);
	seqno = host_submit(h, slot, va, bytes);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_FAULT);
	assert_int_equal(e.slot, slot);
	assert_int_equal(e.seqno, seqno);
	/* no more jobs until it is destroyed */
	host_submit(h, slot, VA_STREAM, 0);
	assert_int_equal(host_destroy(h, slot), HEARTH_HW_OK);
	return e;
}

#define EXPECT(e, want_error, want_addr, want_index, want_opcode) do { \
	struct hearth_hw_event f_ = (e); \
	assert_int_equal(f_.error, want_error); \
	assert_int_equal(f_.addr, want_addr); \
	assert_int_equal(f_.op_index, want_index); \
	assert_int_equal(f_.opcode, want_opcode); \
} while (0)

static void test_stream_faults(void **state)
{
	struct host *h = *state;
	struct hearth_cmd_header *cmd = stream(h, 0);
	uint32_t n = put_nops(h, 0, 4);

	cmd[2].op = 63;
	EXPECT(fault_of(h, 0, VA_STREAM, n), HEARTH_HW_ERR_OPCODE, 0, 2, 63);
	cmd[2].op = 0xffff;
	EXPECT(fault_of(h, 0, VA_STREAM, n), HEARTH_HW_ERR_OPCODE, 0, 2, 0xffff);
	cmd[2].op = HEARTH_OP_COPY_2D;
	EXPECT(fault_of(h, 0, VA_STREAM, n), HEARTH_HW_ERR_OPERAND, 0, 2, HEARTH_OP_COPY_2D);
	cmd[2].op = HEARTH_OP_NOP;
	static const uint32_t sizes[] = { 0, 4, 7, 12, 24, 256, 264, 0x80000000, 0xfffffff8 };
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cmd[2].bytes = sizes[i];
		EXPECT(fault_of(h, 0, VA_STREAM, n), HEARTH_HW_ERR_OPERAND, 0, 2, 0);
	}
	cmd[2].bytes = 8;
	cmd[2].reserved = 1;
	EXPECT(fault_of(h, 0, VA_STREAM, n), HEARTH_HW_ERR_OPERAND, 0, 2, 0);
	/* a stream that is not there, not whole, beyond the address space, or wraps */
	EXPECT(fault_of(h, 0, 0x1000, 8), HEARTH_HW_ERR_READ, 0x1000, 0, ~0u);
	put_nops(h, STREAM_BYTES - 8, 1);
	EXPECT(fault_of(h, 0, VA_STREAM + STREAM_BYTES - 8, 16), HEARTH_HW_ERR_READ,
	       VA_STREAM + STREAM_BYTES, 1, ~0u);
	EXPECT(fault_of(h, 0, 1ull << 39, 8), HEARTH_HW_ERR_READ, 1ull << 39, 0, ~0u);
	EXPECT(fault_of(h, 0, ~7ull, 16), HEARTH_HW_ERR_READ, ~7ull, 0, ~0u);
	/* entries of the ring that are wrong */
	EXPECT(fault_of(h, 0, VA_STREAM + 4, 8), HEARTH_HW_ERR_OPERAND, 0, 0, ~0u);
	EXPECT(fault_of(h, 0, VA_STREAM, 12), HEARTH_HW_ERR_OPERAND, 0, 0, ~0u);
}

static void test_operand_faults(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 1);
	uint32_t m;

	m = put_copy(h, n, 0x5000, VA_DATA, 64);
	EXPECT(fault_of(h, 1, VA_STREAM, n + m), HEARTH_HW_ERR_READ, 0x5000, 1, HEARTH_OP_COPY_2D);
	m = put_copy(h, n, VA_DATA, VA_DATA + DATA_BYTES - 32, 64);
	EXPECT(fault_of(h, 1, VA_STREAM, n + m), HEARTH_HW_ERR_WRITE, VA_DATA + DATA_BYTES, 1,
	       HEARTH_OP_COPY_2D);
	m = put_copy(h, n, VA_DATA, VA_STREAM + 8192, 64);
	EXPECT(fault_of(h, 1, VA_STREAM, n + m), HEARTH_HW_ERR_WRITE, VA_STREAM + 8192, 1,
	       HEARTH_OP_COPY_2D);
	/* mapped by the page table, but to nothing on the bus */
	host_map(h, root, 0x6000000000, 0x1000, 4096, 0);
	m = put_copy(h, n, 0x6000000000, VA_DATA, 64);
	EXPECT(fault_of(h, 1, VA_STREAM, n + m), HEARTH_HW_ERR_BUS, 0x1000, 1, HEARTH_OP_COPY_2D);
	m = put_copy(h, n, VA_DATA, VA_DATA + 64, 0);
	EXPECT(fault_of(h, 1, VA_STREAM, n + m), HEARTH_HW_ERR_OPERAND, 0, 1, HEARTH_OP_COPY_2D);
	assert_int_equal(client_stat(&h->c, "faults"), 5);
}

static void test_bad_ring(void **state)
{
	struct host *h = *state;
	struct hearth_hw_job *ring = host_ptr(h, AT_QUEUES);
	struct hearth_hw_event e;

	/* more entries than the ring has */
	host_queue(h, 0, 1, 1);
	h->insert[0] = QUEUE_ENTRIES + 1;
	host_ring(h, 0);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_FAULT);
	assert_int_equal(e.error, HEARTH_HW_ERR_ARGS);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
	/* sequence numbers must grow */
	host_queue(h, 0, 1, 1);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, 0));
	h->seqno[0] = 0;
	host_submit(h, 0, VA_STREAM, 0);
	e = host_want(h);
	assert_int_equal(e.error, HEARTH_HW_ERR_OPERAND);
	assert_int_equal(e.opcode, ~0u);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
	/* reserved words */
	host_queue(h, 0, 1, 1);
	host_put(h, 0, VA_STREAM, 0);
	ring[0].reserved[10] = 1;
	host_ring(h, 0);
	assert_int_equal(host_want(h).error, HEARTH_HW_ERR_OPERAND);
	/* doorbells of slots that do not exist, or have nothing, are no harm */
	host_ring(h, 5);
	client_write(&h->c, HEARTH_BAR_DOORBELL, 17 * 4096, 4, 0);
	client_write(&h->c, HEARTH_BAR_DOORBELL, 4, 4, 0);
	assert_int_equal(host_admin(h, (struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING }), 0);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_READY);
}

/* Other queues do not notice the fault of one, even in the same context. */
static void test_innocent(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 2);
	uint64_t good = 0;
	bool fault = false;

	host_queue(h, 0, 1, 1);
	host_queue(h, 1, 1, 1);
	for (int i = 0; i < 5; i++)
		good = host_put(h, 1, VA_STREAM, n);
	host_put(h, 0, 0xdead000, 8);
	host_ring(h, 0);
	host_ring(h, 1);
	for (uint64_t done = 0; done < good || !fault;) {
		struct hearth_hw_event e = host_want(h);

		if (e.slot == 0) {
			assert_int_equal(e.type, HEARTH_EVENT_JOB_FAULT);
			fault = true;
		} else {
			assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
			assert_int_equal(e.seqno, ++done);
		}
	}
}

/* One engine: what it runs is the order. A slow job keeps it busy at first. */
static void test_priorities(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 2);
	struct hearth_hw_event e;

	for (int i = 0; i < 4; i++)
		host_queue(h, i, 1, i);
	client_control(&h->c, "inject hang slot=0");
	host_submit(h, 0, VA_STREAM, n);
	while (client_stat(&h->c, "injected") != 1)
		;
	/* nobody can run; lowest first, so that the order is not by chance */
	for (int slot = 1; slot < 4; slot++) {
		host_submit(h, slot, VA_STREAM, n);
		host_submit(h, slot, VA_STREAM, n);
	}
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_QUEUE_DESTROY, .slot = 0 });
	for (int i = 0; i < 7;) {
		e = host_want(h);
		if (e.type == HEARTH_EVENT_ADMIN)
			assert_int_equal(e.error, 0);
		else
			assert_int_equal(e.slot, 3 - (i - (i > 6)) / 2);
		i += e.type == HEARTH_EVENT_JOB_DONE;
		if (i == 6)
			break;
	}
}

/* A higher priority takes over inside of a job, at a command boundary. */
static void test_preemption(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 3000);
	uint64_t low, high;
	struct hearth_hw_event e;

	host_queue(h, 0, 1, 0);
	host_queue(h, 1, 1, 3);
	client_control(&h->c, "inject slow=1");
	low = host_submit(h, 0, VA_STREAM, n);
	while (!h->fw_page->queue[0].progress)
		;
	high = host_submit(h, 1, VA_STREAM, 16);
	e = host_want(h);
	assert_int_equal(e.slot, 1);
	assert_int_equal(e.seqno, high);
	assert_true(h->fw_page->queue[0].progress < 3000);
	assert_true(client_stat(&h->c, "preemptions") >= 1);
	client_control(&h->c, "clear");
	host_want_done(h, 0, low);
	assert_int_equal(h->fw_page->queue[0].progress, 3000);
}

/* Equals share: each makes progress while the other is not done. */
static void test_round_robin(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 100);
	bool done[2] = { false };

	host_queue(h, 0, 1, 1);
	host_queue(h, 1, 1, 1);
	client_control(&h->c, "inject slow=1");
	host_submit(h, 0, VA_STREAM, n);
	host_submit(h, 1, VA_STREAM, n);
	while (h->fw_page->queue[0].progress < 10 || h->fw_page->queue[1].progress < 10) {
		assert_true(h->fw_page->queue[0].progress < 100);
		assert_true(h->fw_page->queue[1].progress < 100);
	}
	client_control(&h->c, "clear");
	while (!done[0] || !done[1])
		done[host_want(h).slot] = true;
	assert_true(client_stat(&h->c, "preemptions") >= 2);
}

static void test_raised_priority(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 2);
	struct hearth_hw_event e;

	for (int i = 0; i < 3; i++)
		host_queue(h, i, 1, 1);
	client_control(&h->c, "inject hang slot=0");
	host_submit(h, 0, VA_STREAM, n);
	while (client_stat(&h->c, "injected") != 1)
		;
	host_submit(h, 1, VA_STREAM, n);
	host_submit(h, 2, VA_STREAM, n);
	assert_int_equal(host_admin(h, (struct hearth_hw_admin) {
		.op = HEARTH_ADMIN_QUEUE_PRIORITY, .slot = 2, .priority = 3 }), 0);
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_QUEUE_DESTROY, .slot = 0 });
	do {
		e = host_want(h);
	} while (e.type == HEARTH_EVENT_ADMIN);
	assert_int_equal(e.slot, 2);
}

/* Destroyed in the midst of a job: no event of it after the answer. */
static void test_destroy_running(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 30000);
	uint64_t progress;
	struct hearth_hw_event e;

	host_queue(h, 0, 1, 1);
	client_control(&h->c, "inject slow=1");
	host_submit(h, 0, VA_STREAM, n);
	while (h->fw_page->queue[0].progress < 2)
		;
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
	progress = h->fw_page->queue[0].progress;
	assert_true(progress < 30000);
	client_control(&h->c, "clear");
	assert_false(host_event(h, &e, 100));
	assert_int_equal(h->fw_page->queue[0].progress, progress);
	/* the slot starts from zero again */
	host_queue(h, 0, 1, 1);
	assert_int_equal(h->fw_page->queue[0].progress, 0);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, 80));
	assert_int_equal(h->fw_page->queue[0].progress, 10);
}

static void test_reset_running(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 30000);

	for (int i = 0; i < 4; i++) {
		host_queue(h, 0, 1, 1);
		client_control(&h->c, "inject slow=1");
		host_submit(h, 0, VA_STREAM, n);
		while (h->fw_page->queue[0].progress < 2)
			;
		host_reset(h);
		client_control(&h->c, "clear");
		assert_int_equal(client_stat(&h->c, "contexts"), 0);
		assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
		prepare(h);
		n = put_nops(h, 0, 30000);
	}
}

/* A translation lives until it is flushed; after the flush the new one holds. */
static void test_flush(void **state)
{
	struct host *h = *state;
	struct hearth_hw_admin flush = {
		.op = HEARTH_ADMIN_TLB_FLUSH, .ctx = 1, .addr = VA_DATA, .size = 4096,
	};
	uint8_t *d = data(h);
	uint32_t n = put_copy(h, 0, VA_DATA, VA_DATA + 0x10000, 16);

	memset(d, 1, 4096);
	memset(d + 0x20000, 2, 4096);
	host_queue(h, 0, 1, 1);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, n));
	assert_int_equal(d[0x10000], 1);
	host_map(h, root, VA_DATA, host_bus(h, d + 0x20000), 4096, 0);
	assert_int_equal(host_admin(h, flush), 0);
	host_want_done(h, 0, host_submit(h, 0, VA_STREAM, n));
	assert_int_equal(d[0x10000], 2);
	*host_pte(h, root, VA_DATA, 3) = 0;
	assert_int_equal(host_admin(h, flush), 0);
	host_submit(h, 0, VA_STREAM, n);
	EXPECT(host_want(h), HEARTH_HW_ERR_READ, VA_DATA, 0, HEARTH_OP_COPY_2D);
}

/* The host changes the stream while the device reads it: no harm, whatever it sees. */
static void test_changing_stream(void **state)
{
	struct host *h = *state;
	volatile struct hearth_cmd_header *cmd = stream(h, 0);
	uint32_t n = put_nops(h, 0, 2000);
	uint64_t seqno;

	host_queue(h, 0, 1, 1);
	seqno = host_submit(h, 0, VA_STREAM, n);
	while (h->fw_page->queue[0].completed != seqno &&
	       h->fw_page->event_insert == h->event_extract) {
		uint64_t i = h->fw_page->queue[0].progress + 2;

		if (i < 2000)
			cmd[i].bytes ^= 0x100;
	}
	assert_int_equal(host_want(h).seqno, seqno);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
}

static void test_lesser_device(void **state)
{
	struct host *h = *state;
	struct client *c = &h->c;
	uint64_t ops = client_read(c, 0, HEARTH_REG_OPS_LO, 8);
	struct hearth_cmd_kv_write kv = {
		.hdr = { .op = HEARTH_OP_KV_WRITE, .bytes = sizeof(kv) },
		.type = HEARTH_TYPE_F16,
	};
	struct hearth_cmd_header *cmd = stream(h, 0);

	assert_int_equal(reg_read(c, HEARTH_REG_SLOTS), 2);
	assert_false(ops >> HEARTH_OP_MATMUL & 1);
	assert_false(ops >> HEARTH_OP_PAD & 1);
	assert_true(ops >> HEARTH_OP_COPY_2D & 1);
	assert_false(client_read(c, 0, HEARTH_REG_TYPES_LO, 8) >> HEARTH_TYPE_F16 & 1);
	assert_int_equal(host_admin(h, (struct hearth_hw_admin) {
		.op = HEARTH_ADMIN_QUEUE_CREATE, .ctx = 1, .slot = 2,
		.addr = RAM_BUS + AT_QUEUES, .entries = 16 }), HEARTH_HW_ERR_ARGS);
	*cmd = (struct hearth_cmd_header) {
		.op = HEARTH_OP_MATMUL, .bytes = sizeof(struct hearth_cmd_matmul) };
	EXPECT(fault_of(h, 0, VA_STREAM, cmd->bytes), HEARTH_HW_ERR_OPCODE, 0, 0, HEARTH_OP_MATMUL);
	memcpy(cmd, &kv, sizeof(kv));
	EXPECT(fault_of(h, 0, VA_STREAM, sizeof(kv)), HEARTH_HW_ERR_OPERAND, 0, 0,
	       HEARTH_OP_KV_WRITE);
	put_nops(h, 0, 1);
	host_queue(h, 1, 1, 1);
	host_want_done(h, 1, host_submit(h, 1, VA_STREAM, 8));
}

static void test_caps(void **state)
{
	struct npu_caps caps = npu_caps_full();
	const uint64_t ops = caps.ops, types = caps.types;
	char error[128];
	static const char *const bad[] = {
		"ops=nonsense", "ops=~matmul+", "ops=~matmul+x", "types=q9", "slots=0",
		"slots=17", "slots=-1", "slots=4x", "slots=", "foo=1", "matmul",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int ret = npu_caps_parse(&caps, bad[i], error, sizeof(error));

		/* an empty name at the end is nothing */
		if (i == 1)
			assert_int_equal(ret, 0);
		else
			assert_int_not_equal(ret, 0);
		if (ret)
			assert_true(strlen(error) > 5);
	}
	caps = npu_caps_full();
	/* what is wrong later leaves all as it was */
	assert_int_not_equal(npu_caps_parse(&caps, "slots=2,ops=what", error, sizeof(error)), 0);
	assert_int_equal(caps.slots, 16);
	assert_int_equal(npu_caps_parse(&caps, "types=q8_0+f32,ops=copy_2d,slots=3", error,
					sizeof(error)), 0);
	assert_int_equal(caps.types, types & (1ull << HEARTH_TYPE_Q8_0 | 1ull << HEARTH_TYPE_F32));
	assert_int_equal(caps.ops, ops & (1ull << HEARTH_OP_COPY_2D | 1));
	assert_int_equal(caps.slots, 3);
}

/* Sixteen queues with two engines, many jobs, all done once and in order. */
static void test_many(void **state)
{
	struct host *h = *state;
	uint32_t n = put_nops(h, 0, 20);
	uint64_t done[HEARTH_MAX_SLOTS] = { 0 };
	const uint64_t each = 200;
	unsigned int left = HEARTH_MAX_SLOTS;

	for (uint32_t i = 0; i < HEARTH_MAX_SLOTS; i++)
		host_queue(h, i, 1, i % 4);
	for (uint32_t i = 0; i < HEARTH_MAX_SLOTS; i++)
		host_submit(h, i, VA_STREAM, n);
	while (left) {
		struct hearth_hw_event e = host_want(h);

		assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
		assert_true(e.slot < HEARTH_MAX_SLOTS);
		assert_int_equal(e.seqno, ++done[e.slot]);
		if (done[e.slot] == each)
			left--;
		else
			host_submit(h, e.slot, VA_STREAM, n);
	}
	for (uint32_t i = 0; i < HEARTH_MAX_SLOTS; i++)
		assert_int_equal(h->fw_page->queue[i].progress, each * 20);
	assert_int_equal(client_stat(&h->c, "jobs"), each * HEARTH_MAX_SLOTS);
}

/* Without a file for its memory the client is asked for every byte. */
static void test_messages(void **state)
{
	struct host *h = *state;

	test_copy(state);
	assert_true(__atomic_load_n(&h->c.dma_reads, __ATOMIC_ACQUIRE) > 10);
	assert_true(__atomic_load_n(&h->c.dma_writes, __ATOMIC_ACQUIRE) > 10);
	test_scattered(state);
}

/* It does not answer: a reset ends the wait. */
static void test_mute_client(void **state)
{
	struct host *h = *state;
	uint32_t n = put_copy(h, 0, VA_DATA, VA_DATA + 4096, 4096);

	host_queue(h, 0, 1, 1);
	client_mute(&h->c, true);
	host_submit(h, 0, VA_STREAM, n);
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_RESET);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_OFF);
	client_mute(&h->c, false);
	host_prepare(h);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
}

/*
 * A command holds a pointer into one range and waits for the client to read
 * another one; the client takes the first away and waits for the answer. The
 * command loses.
 */
static void test_unmap_while_waiting(void **state)
{
	const uint64_t by_file = 0x10000000, by_message = 0x18000000;
	const uint32_t rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	struct host *h = *state;
	struct hearth_hw_event e;
	uint32_t n = put_copy(h, 0, 0x5000, 0x9000, 4096);

	assert_int_equal(client_map(&h->c, by_file, 4096, 0, rw, h->c.ram_fd), 0);
	assert_int_equal(client_map(&h->c, by_message, 4096, 0, rw, -1), 0);
	host_map(h, root, 0x5000, by_file, 4096, 0);
	host_map(h, root, 0x9000, by_message, 4096, 0);
	host_queue(h, 0, 1, 1);
	client_mute(&h->c, true);
	host_submit(h, 0, VA_STREAM, n);
	while (!__atomic_load_n(&h->c.ignored, __ATOMIC_ACQUIRE))
		;
	assert_int_equal(client_unmap(&h->c, by_file, 4096), 0);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_FAULT);
	assert_int_equal(e.error, HEARTH_HW_ERR_BUS);
	client_mute(&h->c, false);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
	host_queue(h, 1, 1, 1);
	host_want_done(h, 1, host_submit(h, 1, VA_STREAM, 0));
}

int main(void)
{
#define UP(test) cmocka_unit_test_setup_teardown(test, up, stop)
#define SINGLE(test) cmocka_unit_test_setup_teardown(test, up_single, stop)
	const struct CMUnitTest tests[] = {
		UP(test_jobs),
		UP(test_copy),
		UP(test_scattered),
		UP(test_stream_faults),
		UP(test_operand_faults),
		UP(test_bad_ring),
		UP(test_innocent),
		SINGLE(test_priorities),
		SINGLE(test_preemption),
		SINGLE(test_round_robin),
		SINGLE(test_raised_priority),
		UP(test_destroy_running),
		UP(test_reset_running),
		UP(test_flush),
		UP(test_changing_stream),
		cmocka_unit_test_setup_teardown(test_lesser_device, up_lesser, stop),
		cmocka_unit_test(test_caps),
		UP(test_many),
		UP(test_unmap_while_waiting),
		cmocka_unit_test_setup_teardown(test_messages, up_messages, stop),
		cmocka_unit_test_setup_teardown(test_mute_client, up_messages, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
