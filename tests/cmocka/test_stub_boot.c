// SPDX-License-Identifier: MIT
/* The boot handshake, the admin ring and the rings' rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crc32.h"
#include "stub_host.h"

static struct host host;

static int up(void **state)
{
	host_up(&host, NULL);
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

static void test_boot(void **state)
{
	struct host *h = *state;

	assert_int_equal(reg_read(&h->c, HEARTH_REG_ID), HEARTH_ID);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_CONTRACT), HEARTH_CONTRACT);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_OFF);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), HEARTH_BOOT_OK);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_FW_VERSION), 3 << 16 | 4);
	assert_int_equal(host_admin(h, (struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING }), 0);
	assert_int_equal(h->fw_page->admin_extract, 1);
}

static void test_heartbeat(void **state)
{
	struct host *h = *state;
	uint32_t first = h->fw_page->heartbeat;

	for (int beats = 0; beats < 3; beats++) {
		while (h->fw_page->heartbeat == first)
			host_admin(h, (struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
		first = h->fw_page->heartbeat;
	}
}

static void expect_boot(struct host *h, uint32_t error)
{
	uint32_t want = error ? HEARTH_STATUS_FAILED : HEARTH_STATUS_READY;

	assert_int_equal(host_boot(h), want);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), error);
	/* a failed boot needs a reset before the next one */
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), want);
	host_reset(h);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), 0);
}

static void test_bad_image(void **state)
{
	struct host *h = *state;

	h->image->magic ^= 1;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	h->image->header_bytes = sizeof(*h->image) - 1;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	h->image->header_bytes = IMAGE_BYTES + 1;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	h->image->image_bytes = IMAGE_BYTES + 1;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	h->image->reserved[1] = 1;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	((uint8_t *)h->image)[IMAGE_BYTES - 1] ^= 0x80;
	expect_boot(h, HEARTH_BOOT_BAD_IMAGE);
	h->image->contract = (HEARTH_CONTRACT_MAJOR + 1) << 16;
	expect_boot(h, HEARTH_BOOT_BAD_CONTRACT);
	/* a newer minor is fine */
	h->image->contract = HEARTH_CONTRACT + 7;
	expect_boot(h, HEARTH_BOOT_OK);
}

static void test_longer_header(void **state)
{
	struct host *h = *state;
	uint8_t *image = (uint8_t *)h->image;

	h->image->header_bytes = 64;
	h->image->crc32 = crc32(image + 64, IMAGE_BYTES - 64);
	expect_boot(h, HEARTH_BOOT_OK);
}

static void test_unreachable(void **state)
{
	struct host *h = *state;

	assert_int_equal(client_unmap(&h->c, RAM_BUS, RAM_BYTES), 0);
	expect_boot(h, HEARTH_BOOT_BUS);
}

static void test_read_only_memory(void **state)
{
	struct host *h = *state;

	assert_int_equal(client_unmap(&h->c, RAM_BUS, RAM_BYTES), 0);
	assert_int_equal(client_map(&h->c, RAM_BUS, RAM_BYTES, 0, VFIO_DMA_MAP_FLAG_READ,
				    h->c.ram_fd), 0);
	expect_boot(h, HEARTH_BOOT_BUS);
}

static void test_no_bus_master(void **state)
{
	struct host *h = *state;

	client_bus_master(&h->c, false);
	/* no interrupt comes either, so ask */
	reg_write(&h->c, HEARTH_REG_FW_SIZE, IMAGE_BYTES);
	reg_write(&h->c, HEARTH_REG_FW_ADDR_LO, (uint32_t)RAM_BUS);
	reg_write(&h->c, HEARTH_REG_IRQ_ENABLE, HEARTH_IRQ_ALL);
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);
	while (reg_read(&h->c, HEARTH_REG_STATUS) == HEARTH_STATUS_BOOTING)
		;
	assert_int_equal(reg_read(&h->c, HEARTH_REG_BOOT_ERROR), HEARTH_BOOT_BUS);
	assert_false(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 0));
	client_bus_master(&h->c, true);
}

static void test_bad_args(void **state)
{
	static const struct { size_t at; uint64_t value; unsigned int bytes; } bad[] = {
#define ROW(field, v) { offsetof(struct hearth_hw_boot_args, field), v, \
			sizeof(((struct hearth_hw_boot_args *)0)->field) }
		ROW(magic, 0), ROW(bytes, sizeof(struct hearth_hw_boot_args) - 1),
		ROW(contract, 0), ROW(contract, 2 << 16), ROW(reserved, 1),
		ROW(host_page, 0), ROW(host_page, RAM_BUS + 8), ROW(fw_page, 0),
		ROW(fw_page, RAM_BUS + AT_FW_PAGE + 64), ROW(admin_ring, RAM_BUS + 64),
		ROW(event_ring, RAM_BUS + 64), ROW(admin_entries, 4), ROW(admin_entries, 12),
		ROW(admin_entries, 8192), ROW(event_entries, 0), ROW(event_entries, 8191),
#undef ROW
	};
	struct host *h = *state;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy((uint8_t *)h->args + bad[i].at, &bad[i].value, bad[i].bytes);
		expect_boot(h, HEARTH_BOOT_BAD_ARGS);
	}
	h->host_page->admin_insert = 1;
	expect_boot(h, HEARTH_BOOT_BAD_ARGS);
	h->host_page->event_extract = 1;
	expect_boot(h, HEARTH_BOOT_BAD_ARGS);
	h->args->event_ring = RAM_BUS + RAM_BYTES - 4096;
	expect_boot(h, HEARTH_BOOT_OK);
	h->args->event_ring = RAM_BUS + RAM_BYTES - 4096;
	h->args->event_entries = 128;
	expect_boot(h, HEARTH_BOOT_BUS);
}

static void test_registers(void **state)
{
	struct host *h = *state;
	struct client *c = &h->c;

	assert_int_equal(reg_read(c, HEARTH_REG_SLOTS), 16);
	assert_int_equal(reg_read(c, HEARTH_REG_VA_BITS), 39);
	assert_int_equal(reg_read(c, HEARTH_REG_PRIORITIES), 4);
	assert_int_equal(reg_read(c, HEARTH_REG_PAGE_SIZES), 0x211000);
	assert_int_equal(client_read(c, HEARTH_BAR_REGS, HEARTH_REG_OPS_LO, 8), hk_ops_mask());
	assert_int_equal(client_read(c, HEARTH_BAR_REGS, HEARTH_REG_TYPES_LO, 8), hk_types_mask());
	/* one write of 64 bits is two of 32 */
	client_write(c, HEARTH_BAR_REGS, HEARTH_REG_FW_ADDR_LO, 8, 0x1122334455667788);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_ADDR_LO), 0x55667788);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_ADDR_HI), 0x11223344);
	/* what is not listed, read-only, narrow or unaligned does nothing */
	reg_write(c, HEARTH_REG_SLOTS, 99);
	assert_int_equal(reg_read(c, HEARTH_REG_SLOTS), 16);
	reg_write(c, 0xfffc, 1);
	assert_int_equal(reg_read(c, 0xfffc), 0);
	client_write(c, HEARTH_BAR_REGS, HEARTH_REG_FW_SIZE, 2, 0x1234);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 0);
	client_write(c, HEARTH_BAR_REGS, HEARTH_REG_FW_SIZE + 2, 4, 0x1234);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 0);
	assert_int_equal(client_read(c, HEARTH_BAR_REGS, HEARTH_REG_ID + 1, 1), 0);
	host_reset(h);
	assert_int_equal(client_read(c, HEARTH_BAR_REGS, HEARTH_REG_FW_ADDR_LO, 8), 0);
}

static void test_irq_status(void **state)
{
	struct host *h = *state;
	struct client *c = &h->c;

	assert_int_equal(reg_read(c, HEARTH_REG_IRQ_STATUS), HEARTH_IRQ_STATE);
	reg_write(c, HEARTH_REG_IRQ_STATUS, HEARTH_IRQ_STATE);
	assert_int_equal(reg_read(c, HEARTH_REG_IRQ_STATUS), 0);
	/* masked: remembered, and sent when enabled */
	reg_write(c, HEARTH_REG_IRQ_ENABLE, 0);
	while (client_wait_irq(c, 0, 0) || client_wait_irq(c, 1, 0))
		;
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
	while (!(reg_read(c, HEARTH_REG_IRQ_STATUS) & HEARTH_IRQ_EVENT))
		;
	assert_false(client_wait_irq(c, 0, 0));
	reg_write(c, HEARTH_REG_IRQ_ENABLE, ~0u);
	assert_true(client_wait_irq(c, 0, 1000));
	assert_int_equal(reg_read(c, HEARTH_REG_IRQ_ENABLE), HEARTH_IRQ_ALL);
}

static void test_one_vector(void **state)
{
	struct host *h = *state;
	struct client *c = &h->c;

	assert_int_equal(client_set_irqs(c, VFIO_PCI_MSI_IRQ_INDEX, 1, 1, NULL, 0), 0);
	while (client_wait_irq(c, 0, 0))
		;
	client_control(c, "inject crash");
	assert_true(client_wait_irq(c, 0, 1000));
	assert_true(reg_read(c, HEARTH_REG_IRQ_STATUS) & HEARTH_IRQ_STATE);
}

static uint32_t admin(struct host *h, uint32_t op, uint32_t ctx, uint32_t slot, uint64_t addr,
		      uint64_t size, uint32_t entries, uint32_t priority)
{
	return host_admin(h, (struct hearth_hw_admin) {
		.op = op, .ctx = ctx, .slot = slot, .addr = addr, .size = size,
		.entries = entries, .priority = priority,
	});
}

static void test_admin_contexts(void **state)
{
	struct host *h = *state;
	uint64_t root = host_tables(h);
	struct hearth_hw_admin a = { .op = HEARTH_ADMIN_PING };

	assert_int_equal(admin(h, 0, 0, 0, 0, 0, 0, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, 999, 0, 0, 0, 0, 0, 0), HEARTH_HW_ERR_ARGS);
	a.reserved[5] = 1;
	assert_int_equal(host_admin(h, a), HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 64, 0, root, 0, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 1, 0, root + 8, 0, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 1, 0, 0, 0, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 1, 0, 0x1000, 0, 0, 0),
			 HEARTH_HW_ERR_BUS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 1, 0, root, 0, 0, 0), 0);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_CREATE, 1, 0, root, 0, 0, 0),
			 HEARTH_HW_ERR_BUSY);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 2, 0, 0, 4096, 0, 0),
			 HEARTH_HW_ERR_NOENT);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 64, 0, 0, 4096, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 1, 0, 4096, 1ull << 39, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 1, 0, ~0ull, 2, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 1, 0, 0, 1ull << 39, 0, 0), 0);
	assert_int_equal(admin(h, HEARTH_ADMIN_TLB_FLUSH, 1, 0, 0, 0, 0, 0), 0);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_DESTROY, 64, 0, 0, 0, 0, 0),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_DESTROY, 1, 0, 0, 0, 0, 0), 0);
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_DESTROY, 1, 0, 0, 0, 0, 0),
			 HEARTH_HW_ERR_NOENT);
}

static void test_admin_queues(void **state)
{
	const uint64_t ring = RAM_BUS + AT_QUEUES;
	struct host *h = *state;

	host_ctx(h, 1, host_tables(h));
#define CREATE(ctx, slot, addr, entries, prio) \
	admin(h, HEARTH_ADMIN_QUEUE_CREATE, ctx, slot, addr, 0, entries, prio)
	assert_int_equal(CREATE(1, 16, ring, 16, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(1, 0, ring + 64, 16, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(1, 0, ring, 4, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(1, 0, ring, 24, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(1, 0, ring, 8192, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(1, 0, ring, 16, 4), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(64, 0, ring, 16, 0), HEARTH_HW_ERR_ARGS);
	assert_int_equal(CREATE(2, 0, ring, 16, 0), HEARTH_HW_ERR_NOENT);
	assert_int_equal(CREATE(1, 0, 0x1000, 16, 0), HEARTH_HW_ERR_BUS);
	h->host_page->queue[0].insert = 1;
	assert_int_equal(CREATE(1, 0, ring, 16, 0), HEARTH_HW_ERR_ARGS);
	h->host_page->queue[0].insert = 0;
	assert_int_equal(CREATE(1, 0, ring, 16, 0), HEARTH_HW_OK);
	assert_int_equal(CREATE(1, 0, ring, 16, 0), HEARTH_HW_ERR_BUSY);
#undef CREATE
	assert_int_equal(admin(h, HEARTH_ADMIN_CTX_DESTROY, 1, 0, 0, 0, 0, 0),
			 HEARTH_HW_ERR_BUSY);
	assert_int_equal(admin(h, HEARTH_ADMIN_QUEUE_PRIORITY, 0, 0, 0, 0, 0, 4),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_QUEUE_PRIORITY, 0, 16, 0, 0, 0, 1),
			 HEARTH_HW_ERR_ARGS);
	assert_int_equal(admin(h, HEARTH_ADMIN_QUEUE_PRIORITY, 0, 1, 0, 0, 0, 1),
			 HEARTH_HW_ERR_NOENT);
	assert_int_equal(admin(h, HEARTH_ADMIN_QUEUE_PRIORITY, 0, 0, 0, 0, 0, 3), 0);
	assert_int_equal(admin(h, HEARTH_ADMIN_SUSPEND, 0, 0, 0, 0, 0, 0), HEARTH_HW_ERR_BUSY);
	assert_int_equal(host_destroy(h, 16), HEARTH_HW_ERR_ARGS);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_OK);
	assert_int_equal(host_destroy(h, 0), HEARTH_HW_ERR_NOENT);
	assert_int_equal(client_stat(&h->c, "slots"), 0);
}

static void test_suspend(void **state)
{
	struct host *h = *state;
	struct hearth_hw_event e;

	assert_int_equal(admin(h, HEARTH_ADMIN_SUSPEND, 0, 0, 0, 0, 0, 0), 0);
	while (reg_read(&h->c, HEARTH_REG_STATUS) != HEARTH_STATUS_SUSPENDED)
		assert_true(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 10000));
	/* it sleeps: no answer */
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
	assert_false(host_event(h, &e, 200));
	host_reset(h);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
	assert_int_equal(admin(h, HEARTH_ADMIN_PING, 0, 0, 0, 0, 0, 0), 0);
}

static void expect_dead(struct host *h)
{
	while (reg_read(&h->c, HEARTH_REG_STATUS) == HEARTH_STATUS_READY)
		assert_true(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 10000));
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_DEAD);
	host_reset(h);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
	assert_int_equal(admin(h, HEARTH_ADMIN_PING, 0, 0, 0, 0, 0, 0), 0);
}

static void test_hostile_indexes(void **state)
{
	struct host *h = *state;

	h->host_page->admin_insert = HEARTH_RING_MIN_ENTRIES + 1;
	client_write(&h->c, HEARTH_BAR_DOORBELL, HEARTH_DOORBELL_ADMIN * 4096, 4, 0);
	expect_dead(h);
	/* the host claims to have taken events that never were */
	h->host_page->event_extract = h->event_extract + 1;
	host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
	expect_dead(h);
}

static void test_memory_taken_away(void **state)
{
	struct host *h = *state;
	uint32_t rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;

	assert_int_equal(client_unmap(&h->c, RAM_BUS, RAM_BYTES), 0);
	/* the heartbeat notices */
	while (reg_read(&h->c, HEARTH_REG_STATUS) == HEARTH_STATUS_READY)
		assert_true(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, 10000));
	assert_int_equal(client_map(&h->c, RAM_BUS, RAM_BYTES, 0, rw, h->c.ram_fd), 0);
	expect_dead(h);
}

static void test_event_ring_full(void **state)
{
	struct host *h = *state;
	uint32_t cookie = h->cookie;

	for (int i = 0; i < EVENT_ENTRIES + 20; i++) {
		host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
		while (h->fw_page->admin_extract != h->admin_insert &&
		       h->fw_page->event_insert < EVENT_ENTRIES)
			;
		if (h->fw_page->event_insert == EVENT_ENTRIES && h->admin_insert -
		    h->fw_page->admin_extract >= HEARTH_RING_MIN_ENTRIES - 1)
			break;
	}
	/* nothing beyond the room, nothing lost */
	assert_int_equal(h->fw_page->event_insert, EVENT_ENTRIES);
	for (uint32_t i = cookie + 1; i <= h->cookie; i++) {
		struct hearth_hw_event e = host_want(h);

		assert_int_equal(e.type, HEARTH_EVENT_ADMIN);
		assert_int_equal(e.cookie, i);
	}
}

static void test_reset_while_ring_full(void **state)
{
	struct host *h = *state;

	for (int i = 0; i < EVENT_ENTRIES + 1; i++) {
		host_post(h, &(struct hearth_hw_admin){ .op = HEARTH_ADMIN_PING });
		while (h->fw_page->admin_extract != h->admin_insert)
			;
	}
	host_reset(h);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
	assert_int_equal(admin(h, HEARTH_ADMIN_PING, 0, 0, 0, 0, 0, 0), 0);
}

int main(void)
{
#define UP(test) cmocka_unit_test_setup_teardown(test, up, stop)
#define START(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		START(test_boot),
		START(test_bad_image),
		START(test_longer_header),
		START(test_unreachable),
		START(test_read_only_memory),
		START(test_no_bus_master),
		START(test_bad_args),
		START(test_registers),
		UP(test_heartbeat),
		UP(test_irq_status),
		UP(test_one_vector),
		UP(test_admin_contexts),
		UP(test_admin_queues),
		UP(test_suspend),
		UP(test_hostile_indexes),
		UP(test_memory_taken_away),
		UP(test_event_ring_full),
		UP(test_reset_while_ring_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
