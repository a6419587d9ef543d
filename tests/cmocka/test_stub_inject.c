// SPDX-License-Identifier: MIT
/* Each injection does what its name says, once, and the way back works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/pci_regs.h>

#include "stub_host.h"

#define VA_STREAM	0x10000000ull
#define NOPS		10
#define BYTES		(NOPS * 8)

static struct host host;

/* Context 1, queues 0 and 1, a stream of NOPs. */
static void prepare(struct host *h)
{
	struct hearth_cmd_header *cmd = host_ptr(h, AT_DATA);
	uint64_t root = host_tables(h);

	for (int i = 0; i < NOPS; i++)
		cmd[i] = (struct hearth_cmd_header){ .op = HEARTH_OP_NOP, .bytes = 8 };
	host_map(h, root, VA_STREAM, RAM_BUS + AT_DATA, 4096, HEARTH_PTE_RO);
	host_ctx(h, 1, root);
	host_queue(h, 0, 1, 1);
	host_queue(h, 1, 1, 1);
}

static int up(void **state)
{
	host_up(&host, NULL);
	prepare(&host);
	*state = &host;
	return 0;
}

static int start(void **state)
{
	host_start(&host, NULL, false);
	*state = &host;
	return 0;
}

static int stop(void **state)
{
	host_stop(*state);
	return 0;
}

static void inject(struct host *h, const char *what)
{
	char line[64];

	snprintf(line, sizeof(line), "inject %s", what);
	client_control(&h->c, line);
}

static void wait_injected(struct host *h, uint64_t count)
{
	while (client_stat(&h->c, "injected") < count)
		;
}

static uint64_t submit(struct host *h, uint32_t slot)
{
	return host_submit(h, slot, VA_STREAM, BYTES);
}

/* The next job is as if nothing had been. */
static void expect_healthy(struct host *h, uint32_t slot)
{
	uint64_t seqno = submit(h, slot);
	struct hearth_hw_event e = host_want(h);

	assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
	assert_int_equal(e.slot, slot);
	assert_int_equal(e.seqno, seqno);
	assert_int_equal(e.op_index, 0);
}

static void expect_reset_heals(struct host *h)
{
	host_reset(h);
	client_control(&h->c, "clear");
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
	prepare(h);
	expect_healthy(h, 0);
}

static void test_hang(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "hang slot=1 op=4");
	expect_healthy(h, 0);
	submit(h, 1);
	wait_injected(h, 1);
	assert_int_equal(h->fw_page->queue[1].progress, 4);
	assert_int_equal(h->fw_page->queue[1].op_index, 4);
	/* the other queue goes on, this one does not */
	expect_healthy(h, 0);
	assert_false(host_event(h, &e, 100));
	assert_int_equal(h->fw_page->queue[1].progress, 4);
	assert_int_equal(host_destroy(h, 1), HEARTH_HW_OK);
	host_queue(h, 1, 1, 1);
	expect_healthy(h, 1);
}

static void test_hard_hang(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;
	uint32_t beat;

	inject(h, "hard-hang");
	submit(h, 1);
	wait_injected(h, 1);
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_QUEUE_DESTROY, .slot = 1 });
	assert_false(host_event(h, &e, 200));
	/* alive, but it does not answer */
	beat = h->fw_page->heartbeat;
	while (h->fw_page->heartbeat == beat)
		;
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_READY);
	expect_reset_heals(h);
}

static void test_no_completion(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;
	uint64_t seqno;

	inject(h, "no-completion");
	seqno = submit(h, 0);
	while (h->fw_page->queue[0].completed != seqno)
		;
	assert_false(host_event(h, &e, 100));
	expect_healthy(h, 0);
}

static void test_wrong_seqno(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "wrong-seqno slot=0");
	submit(h, 0);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
	assert_int_equal(e.seqno, h->seqno[0] + 1000);
	expect_healthy(h, 0);
}

static void test_bad_slot(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "bad-slot");
	submit(h, 0);
	e = host_want(h);
	assert_true(e.slot >= HEARTH_MAX_SLOTS);
	expect_healthy(h, 0);
}

static void test_bad_event_index(void **state)
{
	struct host *h = *state;

	inject(h, "bad-event-index");
	submit(h, 0);
	assert_true(client_wait_irq(&h->c, 0, 10000));
	wait_injected(h, 1);
	assert_true(h->fw_page->event_insert - h->event_extract > EVENT_ENTRIES);
	/* the next event puts it right */
	submit(h, 0);
	while (h->fw_page->event_insert - h->event_extract > EVENT_ENTRIES)
		;
	assert_int_equal(host_want(h).seqno, h->seqno[0] - 1);
	assert_int_equal(host_want(h).seqno, h->seqno[0]);
}

static void test_garbage_event(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "garbage-event");
	submit(h, 0);
	e = host_want(h);
	assert_int_equal(e.type, 0xa5a5a5a5);
	expect_healthy(h, 0);
}

static void test_partial_write(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	memset(h->events, 0x77, EVENT_ENTRIES * sizeof(*h->events));
	inject(h, "partial-write");
	submit(h, 0);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
	assert_int_equal(e.slot, 0);
	assert_int_equal(e.seqno, 0x7777777777777777);
	expect_healthy(h, 0);
}

/* There is nothing to see for who comes. */
static void test_late_irq(void **state)
{
	struct host *h = *state;

	while (client_wait_irq(&h->c, 0, 0))
		;
	inject(h, "late-irq");
	assert_true(client_wait_irq(&h->c, 0, 1000));
	assert_int_equal(h->fw_page->event_insert, h->event_extract);
	expect_healthy(h, 0);
}

static void test_lost_irq(void **state)
{
	struct host *h = *state;

	while (client_wait_irq(&h->c, 0, 0))
		;
	inject(h, "lost-irq");
	submit(h, 0);
	wait_injected(h, 1);
	assert_false(client_wait_irq(&h->c, 0, 100));
	/* but the event is there for who looks */
	assert_int_equal(h->fw_page->event_insert, h->event_extract + 1);
	assert_int_equal(host_want(h).seqno, h->seqno[0]);
	expect_healthy(h, 0);
}

static void test_mmu_fault(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "mmu-fault slot=1");
	expect_healthy(h, 0);
	submit(h, 1);
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_JOB_FAULT);
	assert_int_equal(e.error, HEARTH_HW_ERR_READ);
	assert_int_equal(e.addr, 0xdead000);
	assert_int_equal(host_destroy(h, 1), HEARTH_HW_OK);
	host_queue(h, 1, 1, 1);
	expect_healthy(h, 1);
}

static void test_boot_fail(void **state)
{
	struct host *h = *state;

	inject(h, "boot-fail");
	assert_int_equal(host_boot(h), HEARTH_STATUS_FAILED);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), HEARTH_BOOT_BAD_IMAGE);
	expect_reset_heals(h);
}

static void test_boot_hang(void **state)
{
	struct host *h = *state;

	inject(h, "boot-hang");
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);
	wait_injected(h, 1);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_BOOTING);
	expect_reset_heals(h);
}

static void test_fw_version(void **state)
{
	struct host *h = *state;

	inject(h, "fw-version");
	assert_int_equal(reg_read(&h->c, HEARTH_REG_CONTRACT) >> 16, HEARTH_CONTRACT_MAJOR + 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(host_boot(h), HEARTH_STATUS_FAILED);
		assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), HEARTH_BOOT_BAD_CONTRACT);
		host_reset(h);
	}
	expect_reset_heals(h);
}

static void test_crash(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;
	uint32_t beat;

	while (client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 0))
		;
	inject(h, "crash");
	assert_true(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 10000));
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_DEAD);
	/* silence: one beat may have been under way */
	beat = h->fw_page->heartbeat;
	submit(h, 0);
	assert_false(host_event(h, &e, 200));
	assert_true(h->fw_page->heartbeat - beat <= 1);
	expect_reset_heals(h);
}

static void test_crash_while_hung(void **state)
{
	struct host *h = *state;

	inject(h, "hard-hang");
	submit(h, 0);
	wait_injected(h, 1);
	inject(h, "crash");
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_DEAD);
	expect_reset_heals(h);
}

static void test_removal(void **state)
{
	struct host *h = *state;
	struct client *c = &h->c;
	struct hearth_hw_event e;

	inject(h, "surprise-removal");
	assert_int_equal(reg_read(c, HEARTH_REG_ID), ~0u);
	assert_int_equal(client_read(c, HEARTH_BAR_REGS, HEARTH_REG_STATUS, 8), ~0ull);
	assert_int_equal(client_read(c, VFIO_PCI_CONFIG_REGION_INDEX, 0, 4), ~0u);
	reg_write(c, HEARTH_REG_CTRL, HEARTH_CTRL_RESET);
	client_write(c, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2, 6);
	submit(h, 0);
	assert_false(host_event(h, &e, 100));
	assert_int_equal(reg_read(c, HEARTH_REG_ID), ~0u);
	client_control(c, "clear");
	/* it comes back as one that was just put in */
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
	assert_int_equal(reg_read(c, HEARTH_REG_STATUS), HEARTH_STATUS_OFF);
	assert_int_equal(client_read(c, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2), 0);
	client_bus_master(c, true);
	expect_reset_heals(h);
}

static void test_slow(void **state)
{
	struct host *h = *state;
	uint64_t start;

	inject(h, "slow=20");
	start = npu_now_ns();
	expect_healthy(h, 0);
	assert_true(npu_now_ns() - start >= NOPS * 20000000ull);
	assert_true(h->fw_page->queue[0].busy_ns >= NOPS * 20000000ull);
	client_control(&h->c, "clear");
	expect_healthy(h, 0);
}

static void test_log(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	inject(h, "log");
	e = host_want(h);
	assert_int_equal(e.type, HEARTH_EVENT_LOG);
	assert_memory_equal(e.data, "injected\n\033[31m", 14);
	expect_healthy(h, 0);
}

static void test_clear_disarms(void **state)
{
	struct host *h = *state;

	inject(h, "hang");
	inject(h, "mmu-fault");
	client_control(&h->c, "clear");
	expect_healthy(h, 0);
	assert_int_equal(client_stat(&h->c, "injected"), 0);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"", "   ", "inject", "inject what", "inject slow", "inject slow=", "inject slow=x",
		"inject slow=999999999", "inject slow=-1", "inject hang=1", "inject hang slot=16",
		"inject hang slot=", "inject hang slot=1x", "inject mmu-fault op=1", "clear all",
		"stats now", "quit", "inject hang a", "1 2 3 4 5 6 7 8 9", "inject =",
	};
	struct host *h = *state;
	char answer[1024];

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		control_execute(h->c.npu, bad[i], answer, sizeof(answer));
		if (strncmp(answer, "err ", 4))
			fail_msg("\"%s\" gave \"%s\"", bad[i], answer);
	}
	for (int i = 0; i < NPU_INJECT_COUNT; i++)
		assert_int_equal(npu_inject_by_name(npu_inject_name(i)), i);
	assert_non_null(strstr(client_control(&h->c, "help"), "surprise-removal"));
	assert_non_null(strstr(client_control(&h->c, "version"), "contract=1."));
	expect_healthy(h, 0);
}

int main(void)
{
#define UP(test) cmocka_unit_test_setup_teardown(test, up, stop)
#define START(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		UP(test_hang),
		UP(test_hard_hang),
		UP(test_no_completion),
		UP(test_wrong_seqno),
		UP(test_bad_slot),
		UP(test_bad_event_index),
		UP(test_garbage_event),
		UP(test_partial_write),
		UP(test_late_irq),
		UP(test_lost_irq),
		UP(test_mmu_fault),
		START(test_boot_fail),
		START(test_boot_hang),
		START(test_fw_version),
		UP(test_crash),
		UP(test_crash_while_hung),
		UP(test_removal),
		UP(test_slow),
		UP(test_log),
		UP(test_clear_disarms),
		UP(test_bad_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
