// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crc32.h"
#include "stub_host.h"

#define TIMEOUT_MS	60000

void *host_ptr(struct host *h, uint64_t offset)
{
	return h->c.ram + offset;
}

uint64_t host_bus(struct host *h, const void *ptr)
{
	return RAM_BUS + ((const uint8_t *)ptr - h->c.ram);
}

static void prepare_image(struct host *h)
{
	uint8_t *payload = (uint8_t *)(h->image + 1);
	uint32_t bytes = IMAGE_BYTES - sizeof(*h->image);

	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = i * 7;
	*h->image = (struct hearth_fw_header) {
		.magic = HEARTH_FW_MAGIC,
		.header_bytes = sizeof(*h->image),
		.image_bytes = IMAGE_BYTES,
		.contract = HEARTH_CONTRACT,
		.version = 3 << 16 | 4,
		.crc32 = crc32(payload, bytes),
	};
}

void host_prepare(struct host *h)
{
	memset(h->c.ram, 0, AT_DATA);
	prepare_image(h);
	*h->args = (struct hearth_hw_boot_args) {
		.magic = HEARTH_BOOT_MAGIC,
		.bytes = sizeof(*h->args),
		.contract = HEARTH_CONTRACT,
		.host_page = RAM_BUS + AT_HOST_PAGE,
		.fw_page = RAM_BUS + AT_FW_PAGE,
		.admin_ring = RAM_BUS + AT_ADMIN,
		.event_ring = RAM_BUS + AT_EVENTS,
		.admin_entries = HEARTH_RING_MIN_ENTRIES,
		.event_entries = EVENT_ENTRIES,
	};
	h->next_table = AT_TABLES;
	h->admin_insert = 0;
	h->event_extract = 0;
	memset(h->insert, 0, sizeof(h->insert));
	memset(h->seqno, 0, sizeof(h->seqno));
}

void host_start(struct host *h, const struct npu_opts *opts, bool by_messages)
{
	memset(h, 0, sizeof(*h));
	client_start(&h->c, opts);
	client_setup(&h->c, by_messages);
	h->image = host_ptr(h, AT_IMAGE);
	h->args = host_ptr(h, AT_ARGS);
	h->host_page = host_ptr(h, AT_HOST_PAGE);
	h->fw_page = host_ptr(h, AT_FW_PAGE);
	h->admin = host_ptr(h, AT_ADMIN);
	h->events = host_ptr(h, AT_EVENTS);
	host_prepare(h);
}

void host_stop(struct host *h)
{
	client_stop(&h->c);
}

uint32_t host_boot(struct host *h)
{
	uint32_t status;

	reg_write(&h->c, HEARTH_REG_FW_ADDR_LO, (uint32_t)(RAM_BUS + AT_IMAGE));
	reg_write(&h->c, HEARTH_REG_FW_ADDR_HI, (RAM_BUS + AT_IMAGE) >> 32);
	reg_write(&h->c, HEARTH_REG_FW_SIZE, IMAGE_BYTES);
	reg_write(&h->c, HEARTH_REG_BOOT_ARGS_LO, (uint32_t)(RAM_BUS + AT_ARGS));
	reg_write(&h->c, HEARTH_REG_BOOT_ARGS_HI, (RAM_BUS + AT_ARGS) >> 32);
	reg_write(&h->c, HEARTH_REG_IRQ_ENABLE, HEARTH_IRQ_ALL);
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);
	while ((status = reg_read(&h->c, HEARTH_REG_STATUS)) == HEARTH_STATUS_BOOTING)
		assert_true(client_wait_irq(&h->c, HEARTH_VECTOR_STATE, TIMEOUT_MS));
	return status;
}

void host_up(struct host *h, const struct npu_opts *opts)
{
	host_start(h, opts, false);
	assert_int_equal(host_boot(h), HEARTH_STATUS_READY);
}

void host_reset(struct host *h)
{
	reg_write(&h->c, HEARTH_REG_CTRL, HEARTH_CTRL_RESET);
	assert_int_equal(reg_read(&h->c, HEARTH_REG_STATUS), HEARTH_STATUS_OFF);
	host_prepare(h);
}

bool host_event(struct host *h, struct hearth_hw_event *e, int ms)
{
	uint32_t insert;

	for (;;) {
		insert = __atomic_load_n(&h->fw_page->event_insert, __ATOMIC_ACQUIRE);
		if (insert != h->event_extract)
			break;
		if (!client_wait_irq(&h->c, HEARTH_VECTOR_EVENT, ms))
			return false;
	}
	assert_true(insert - h->event_extract <= EVENT_ENTRIES);
	*e = h->events[h->event_extract++ % EVENT_ENTRIES];
	__atomic_store_n(&h->host_page->event_extract, h->event_extract, __ATOMIC_RELEASE);
	return true;
}

struct hearth_hw_event host_want(struct host *h)
{
	struct hearth_hw_event e;

	assert_true(host_event(h, &e, TIMEOUT_MS));
	return e;
}

uint32_t host_post(struct host *h, struct hearth_hw_admin *a)
{
	a->cookie = ++h->cookie;
	h->admin[h->admin_insert++ % HEARTH_RING_MIN_ENTRIES] = *a;
	__atomic_store_n(&h->host_page->admin_insert, h->admin_insert, __ATOMIC_RELEASE);
	client_write(&h->c, HEARTH_BAR_DOORBELL,
		     HEARTH_DOORBELL_ADMIN * HEARTH_DOORBELL_STRIDE, 4, 1);
	return a->cookie;
}

uint32_t host_admin(struct host *h, struct hearth_hw_admin a)
{
	uint32_t cookie = host_post(h, &a);
	struct hearth_hw_event e = host_want(h);

	assert_int_equal(e.type, HEARTH_EVENT_ADMIN);
	assert_int_equal(e.cookie, cookie);
	return e.error;
}

uint64_t host_tables(struct host *h)
{
	uint64_t table = h->next_table;

	h->next_table += 4096;
	assert_true(h->next_table <= AT_DATA);
	memset(host_ptr(h, table), 0, 4096);
	return RAM_BUS + table;
}

uint64_t *host_pte(struct host *h, uint64_t root, uint64_t va, int level)
{
	uint64_t table = root;

	for (int l = 1;; l++) {
		unsigned int shift = HEARTH_MMU_L1_SHIFT - 9 * (l - 1);
		uint64_t *pte = host_ptr(h, table - RAM_BUS);

		pte += (va >> shift) % HEARTH_MMU_ENTRIES;
		if (l == level)
			return pte;
		if (!(*pte & HEARTH_PTE_VALID))
			*pte = host_tables(h) | HEARTH_PTE_VALID | HEARTH_PTE_TABLE;
		table = *pte & HEARTH_PTE_ADDR;
	}
}

void host_map(struct host *h, uint64_t root, uint64_t va, uint64_t bus, uint64_t bytes,
	      uint64_t flags)
{
	for (uint64_t done = 0; done < bytes; done += 4096)
		*host_pte(h, root, va + done, 3) = (bus + done) | flags | HEARTH_PTE_VALID |
						   HEARTH_PTE_PAGE | HEARTH_PTE_AF;
}

void host_ctx(struct host *h, uint32_t ctx, uint64_t root)
{
	struct hearth_hw_admin a = { .op = HEARTH_ADMIN_CTX_CREATE, .ctx = ctx, .addr = root };

	assert_int_equal(host_admin(h, a), HEARTH_HW_OK);
}

void host_queue(struct host *h, uint32_t slot, uint32_t ctx, uint32_t priority)
{
	struct hearth_hw_admin a = {
		.op = HEARTH_ADMIN_QUEUE_CREATE, .ctx = ctx, .slot = slot,
		.addr = RAM_BUS + AT_QUEUES + slot * 4096, .entries = QUEUE_ENTRIES,
		.priority = priority,
	};

	h->insert[slot] = 0;
	h->seqno[slot] = 0;
	h->host_page->queue[slot].insert = 0;
	assert_int_equal(host_admin(h, a), HEARTH_HW_OK);
}

uint32_t host_destroy(struct host *h, uint32_t slot)
{
	struct hearth_hw_admin a = { .op = HEARTH_ADMIN_QUEUE_DESTROY, .slot = slot };

	return host_admin(h, a);
}

uint64_t host_put(struct host *h, uint32_t slot, uint64_t va, uint32_t bytes)
{
	struct hearth_hw_job *ring = host_ptr(h, AT_QUEUES + slot * 4096);

	ring[h->insert[slot]++ % QUEUE_ENTRIES] = (struct hearth_hw_job) {
		.seqno = ++h->seqno[slot], .stream_va = va, .stream_bytes = bytes,
	};
	return h->seqno[slot];
}

void host_ring(struct host *h, uint32_t slot)
{
	__atomic_store_n(&h->host_page->queue[slot].insert, h->insert[slot], __ATOMIC_RELEASE);
	client_write(&h->c, HEARTH_BAR_DOORBELL, slot * HEARTH_DOORBELL_STRIDE, 4, 1);
}

uint64_t host_submit(struct host *h, uint32_t slot, uint64_t va, uint32_t bytes)
{
	uint64_t seqno = host_put(h, slot, va, bytes);

	host_ring(h, slot);
	return seqno;
}

void host_want_done(struct host *h, uint32_t slot, uint64_t seqno)
{
	struct hearth_hw_event e;

	do {
		e = host_want(h);
		assert_int_equal(e.type, HEARTH_EVENT_JOB_DONE);
	} while (e.slot != slot || e.seqno != seqno);
}
