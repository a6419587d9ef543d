// SPDX-License-Identifier: MIT
/* The vfio-user protocol: what a client may say, and what it must not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/pci_regs.h>

#include "stub_client.h"
#include "sigbus.h"

#define READ_WRITE	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define CONFIG		VFIO_PCI_CONFIG_REGION_INDEX

static struct client client;

static int start(void **state)
{
	client_start(&client, NULL);
	*state = &client;
	return 0;
}

static int setup(void **state)
{
	start(state);
	client_setup(&client, false);
	return 0;
}

static int setup_msix(void **state)
{
	struct npu_opts opts = { .caps = npu_caps_full(), .workers = 1, .msix = true };

	client_start(&client, &opts);
	client_setup(&client, false);
	*state = &client;
	return 0;
}

static int stop(void **state)
{
	client_stop(*state);
	return 0;
}

static int version(struct client *c, uint16_t major, const char *json, size_t bytes)
{
	uint8_t body[8192] = { major & 0xff, major >> 8, 1, 0 };

	if (json)
		memcpy(body + 4, json, bytes);
	return client_request(c, VFU_CMD_VERSION, body, 4 + bytes, NULL, 0);
}

static void test_version(void **state)
{
	static const char small[] = "{\"capabilities\":{\"max_data_xfer_size\":4}}";
	static const char wrong[] = "[1]", broken[] = "{\"capabilities\":";
	static char huge[8000];
	struct client *c = *state;

	/* nothing before the version */
	assert_int_equal(client_request(c, VFU_CMD_GET_INFO, NULL, 0, NULL, 0), EPROTO);
	assert_int_equal(client_request(c, VFU_CMD_VERSION, "ab", 2, NULL, 0), EINVAL);
	assert_int_equal(version(c, 1, NULL, 0), ENOTSUP);
	assert_int_equal(version(c, 0, broken, sizeof(broken)), EINVAL);
	assert_int_equal(version(c, 0, wrong, sizeof(wrong)), EINVAL);
	assert_int_equal(version(c, 0, small, sizeof(small)), EINVAL);
	/* no NUL at the end */
	assert_int_equal(version(c, 0, "{}", 2), EINVAL);
	memset(huge, ' ', sizeof(huge) - 1);
	assert_int_equal(version(c, 0, huge, sizeof(huge)), EINVAL);
	/* the JSON is optional */
	assert_int_equal(version(c, 0, NULL, 0), 0);
	assert_int_equal(c->body[0] | c->body[1] << 8, 0);
	assert_non_null(strstr((char *)c->body + 4, "\"max_data_xfer_size\":1048576"));
	/* once only */
	assert_int_equal(version(c, 0, NULL, 0), EINVAL);
}

static void test_info(void **state)
{
	struct client *c = *state;
	uint32_t info[4] = { 16 };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };

	assert_int_equal(client_request(c, VFU_CMD_GET_INFO, info, 8, NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_GET_INFO, info, 16, NULL, 0), 0);
	memcpy(info, c->body, sizeof(info));
	assert_int_equal(info[1], VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
	assert_int_equal(info[2], VFIO_PCI_NUM_REGIONS);
	static const uint64_t sizes[VFIO_PCI_NUM_REGIONS] = {
		[0] = 0x10000, [2] = 0x20000, [CONFIG] = 4096,
	};
	for (region.index = 0; region.index < VFIO_PCI_NUM_REGIONS; region.index++) {
		struct vfio_region_info r;

		assert_int_equal(client_request(c, VFU_CMD_GET_REGION_INFO, &region,
						sizeof(region), NULL, 0), 0);
		memcpy(&r, c->body, sizeof(r));
		assert_int_equal(r.size, sizes[region.index]);
		/* trapped: nothing may be mapped */
		assert_int_equal(r.flags & VFIO_REGION_INFO_FLAG_MMAP, 0);
	}
	assert_int_equal(client_request(c, VFU_CMD_GET_REGION_INFO, &region, sizeof(region),
					NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_GET_REGION_INFO, &region, 31, NULL, 0), EINVAL);
	for (irq.index = 0; irq.index < VFIO_PCI_NUM_IRQS; irq.index++) {
		struct vfio_irq_info r;

		assert_int_equal(client_request(c, VFU_CMD_GET_IRQ_INFO, &irq, sizeof(irq),
						NULL, 0), 0);
		memcpy(&r, c->body, sizeof(r));
		assert_int_equal(r.count, irq.index == VFIO_PCI_MSI_IRQ_INDEX ? 2 : 0);
	}
	assert_int_equal(client_request(c, VFU_CMD_GET_IRQ_INFO, &irq, sizeof(irq), NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_GET_IRQ_INFO, &irq, 4, NULL, 0), EINVAL);
	/* what we do not have */
	assert_int_equal(client_request(c, VFU_CMD_FEATURE, info, 8, NULL, 0), ENOTSUP);
	assert_int_equal(client_request(c, VFU_CMD_GET_REGION_IO_FDS, info, 16, NULL, 0), ENOTSUP);
	assert_int_equal(client_request(c, 14, NULL, 0, NULL, 0), ENOTSUP);
	assert_int_equal(client_request(c, 0xffff, NULL, 0, NULL, 0), ENOTSUP);
}

static void test_access_bounds(void **state)
{
	static const struct { uint64_t offset; uint32_t region, count; } bad[] = {
		{ 0, 0, 0 }, { 0, 0, 3 }, { 0, 0, 16 }, { 0x10000, 0, 4 }, { 0xfffe, 0, 4 },
		{ ~0ull, 0, 4 }, { ~0ull - 3, 0, 8 }, { 0, 1, 4 }, { 0, 4, 4 }, { 0, 6, 4 },
		{ 0, 8, 4 }, { 0, VFIO_PCI_NUM_REGIONS, 4 }, { 0, ~0u, 4 }, { 4095, CONFIG, 2 },
		{ 0, CONFIG, 4097 }, { 0, CONFIG, ~0u }, { 0x20000, 2, 4 },
	};
	struct client *c = *state;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct { struct vfu_msg_region at; uint64_t data[2]; } w = {
			{ bad[i].offset, bad[i].region, bad[i].count }, { 0 },
		};

		assert_int_equal(client_request(c, VFU_CMD_REGION_READ, &w.at, sizeof(w.at),
						NULL, 0), EINVAL);
		assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE, &w,
						sizeof(w.at) + (bad[i].count & 15), NULL, 0), EINVAL);
	}
	/* count and the data that came must agree */
	struct { struct vfu_msg_region at; uint64_t data; } w = { { HEARTH_REG_FW_SIZE, 0, 4 }, 77 };

	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE, &w, sizeof(w.at) + 3, NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE, &w, sizeof(w.at) + 8, NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE, &w, 7, NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_REGION_READ, &w, 20, NULL, 0), EINVAL);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 0);
}

static void test_write_multi(void **state)
{
	struct client *c = *state;
	struct { uint64_t count; struct vfu_msg_write_multi w[3]; } m = {
		.count = 3,
		.w = { { { HEARTH_REG_FW_SIZE, 0, 4 }, { 1 } },
		       { { HEARTH_REG_FW_ADDR_LO, 0, 8 }, { 2, 0, 0, 0, 3 } },
		       { { HEARTH_REG_BOOT_ARGS_LO, 0, 4 }, { 4 } } },
	};

	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0), 0);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 1);
	assert_int_equal(client_read(c, 0, HEARTH_REG_FW_ADDR_LO, 8), 3ull << 32 | 2);
	assert_int_equal(reg_read(c, HEARTH_REG_BOOT_ARGS_LO), 4);
	/* one that is wrong: none is done */
	m.w[0].data[0] = 99;
	m.w[2].at.region = 77;
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0), EINVAL);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 1);
	m.count = ~0ull / 24;
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0), EINVAL);
	m.count = 2;
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, sizeof(m), NULL, 0), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, 4, NULL, 0), EINVAL);
	m.w[1].at = (struct vfu_msg_region){ 0, CONFIG, 16 };
	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE_MULTI, &m, 8 + 48, NULL, 0), EINVAL);
}

static void test_maps(void **state)
{
	struct client *c = *state;
	int fd = c->ram_fd, pipes[2];
	const uint64_t at = RAM_BUS + RAM_BYTES;

	/* overlaps of every kind */
	assert_int_equal(client_map(c, RAM_BUS, RAM_BYTES, 0, READ_WRITE, fd), EEXIST);
	assert_int_equal(client_map(c, RAM_BUS + 4096, 4096, 0, READ_WRITE, fd), EEXIST);
	assert_int_equal(client_map(c, RAM_BUS - 4096, 8192, 0, READ_WRITE, fd), EEXIST);
	assert_int_equal(client_map(c, at - 4096, 8192, 0, READ_WRITE, -1), EEXIST);
	assert_int_equal(client_map(c, 0, INT64_MAX, 0, READ_WRITE, -1), EEXIST);
	/* neighbours are none */
	assert_int_equal(client_map(c, at, 4096, 0, READ_WRITE, fd), 0);
	assert_int_equal(client_map(c, RAM_BUS - 4096, 4096, 4096, READ_WRITE, fd), 0);
	/* ranges that cannot be */
	assert_int_equal(client_map(c, 0, 0, 0, READ_WRITE, fd), EINVAL);
	assert_int_equal(client_map(c, ~0ull - 4095, 8192, 0, READ_WRITE, -1), EINVAL);
	assert_int_equal(client_map(c, 0x1000, 4096, 0, 4, fd), EINVAL);
	/* the end of the file, an offset that overflows, no file at all */
	assert_int_equal(client_map(c, 0x1000, 4096, RAM_BYTES, READ_WRITE, fd), EINVAL);
	assert_int_equal(client_map(c, 0x1000, 8192, RAM_BYTES - 4096, READ_WRITE, fd), EINVAL);
	assert_int_equal(client_map(c, 0x1000, 4096, ~0ull - 4095, READ_WRITE, fd), EINVAL);
	assert_int_equal(client_map(c, 0x1000, 4096, 1, READ_WRITE, fd), EINVAL);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(client_map(c, 0x1000, 4096, 0, READ_WRITE, pipes[0]), EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	/* messages of the wrong size, too many files */
	struct vfu_msg_dma_map m = { 32, READ_WRITE, 0, 0x1000, 4096 };
	int two[2] = { fd, fd };

	assert_int_equal(client_request(c, VFU_CMD_DMA_MAP, &m, 31, &fd, 1), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_DMA_MAP, &m, 32, two, 2), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_DMA_UNMAP, &m, 23, NULL, 0), EINVAL);
}

static void test_last_address(void **state)
{
	struct client *c = *state;
	uint64_t bad;
	uint8_t byte;

	/* a range that ends with the address space */
	assert_int_equal(client_map(c, ~0ull - 4095, 4096, 0, READ_WRITE, c->ram_fd), 0);
	c->ram[4095] = 0x5a;
	assert_int_equal(vfu_dma_read(&c->npu->vfu.dma, ~0ull, &byte, 1, &bad), 0);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(client_unmap(c, ~0ull - 4095, 4096), 0);
	assert_int_equal(vfu_dma_read(&c->npu->vfu.dma, ~0ull, &byte, 1, &bad), -EFAULT);
}

static void test_unmaps(void **state)
{
	struct client *c = *state;
	struct vfu_msg_dma_unmap all = { sizeof(all), VFIO_DMA_UNMAP_FLAG_ALL, 0, 0 };

	for (int i = 0; i < 8; i++)
		assert_int_equal(client_map(c, 0x10000 + i * 0x1000, 4096, 0, READ_WRITE,
					    c->ram_fd), 0);
	/* nothing there, half of one, three of them, what is left */
	assert_int_equal(client_unmap(c, 0x5000, 4096), 0);
	assert_int_equal(client_unmap(c, 0x10800, 4096), 0);
	assert_int_equal(client_stat(c, "unmaps"), 0);
	assert_int_equal(client_unmap(c, 0x11000, 0x3000), 0);
	assert_int_equal(client_stat(c, "unmaps"), 3);
	assert_int_equal(client_unmap(c, 0x11000, 0x3000), 0);
	assert_int_equal(client_unmap(c, 0, 0), EINVAL);
	assert_int_equal(client_unmap(c, ~0ull, 2), EINVAL);
	all.size = 1;
	assert_int_equal(client_request(c, VFU_CMD_DMA_UNMAP, &all, sizeof(all), NULL, 0), EINVAL);
	all.size = 0;
	all.flags |= 1;
	assert_int_equal(client_request(c, VFU_CMD_DMA_UNMAP, &all, sizeof(all), NULL, 0), EINVAL);
	all.flags = VFIO_DMA_UNMAP_FLAG_ALL;
	assert_int_equal(client_request(c, VFU_CMD_DMA_UNMAP, &all, sizeof(all), NULL, 0), 0);
	assert_int_equal(client_stat(c, "unmaps"), 9);
}

static void test_rights(void **state)
{
	struct vfu_dma *dma = &((struct client *)*state)->npu->vfu.dma;
	struct client *c = *state;
	uint64_t word = 1, bad = 0;
	uint8_t buffer[8192];

	assert_int_equal(client_map(c, 0x1000, 4096, 0, VFIO_DMA_MAP_FLAG_READ, c->ram_fd), 0);
	assert_int_equal(client_map(c, 0x2000, 4096, 0x1000, VFIO_DMA_MAP_FLAG_WRITE, c->ram_fd), 0);
	assert_int_equal(vfu_dma_load64(dma, 0x1000, &word), 0);
	assert_int_equal(vfu_dma_store64(dma, 0x1000, 1), -EFAULT);
	assert_int_equal(vfu_dma_load64(dma, 0x2000, &word), -EFAULT);
	assert_int_equal(vfu_dma_store64(dma, 0x2000, 1), 0);
	/* a range over both is refused where the right ends */
	assert_int_equal(vfu_dma_read(dma, 0x1800, buffer, 0x1000, &bad), -EFAULT);
	assert_int_equal(bad, 0x2000);
	assert_int_equal(vfu_dma_read(dma, 0xff8, buffer, 16, &bad), -EFAULT);
	assert_int_equal(bad, 0xff8);
	client_bus_master(c, false);
	assert_int_equal(vfu_dma_load64(dma, 0x1000, &word), -EIO);
	client_bus_master(c, true);
	assert_int_equal(vfu_dma_load64(dma, 0x1000, &word), 0);
	/* asleep, it does not reach memory either */
	client_write(c, CONFIG, 0x44, 2, 3);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), ~0u);
	assert_int_equal(vfu_dma_load64(dma, 0x1000, &word), -EIO);
	client_write(c, CONFIG, 0x44, 2, 0);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
}

static void test_truncated_file(void **state)
{
	struct client *c = *state;
	int fd = memfd_create("short", MFD_CLOEXEC);
	uint32_t word = 7;

	sigbus_guard();
	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(client_map(c, 0x1000, 8192, 0, READ_WRITE, fd), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	close(fd);
	assert_int_equal(vfu_dma_load32(&c->npu->vfu.dma, 0x2000, &word), 0);
	assert_int_equal(word, 0);
	assert_int_equal(client_unmap(c, 0x1000, 8192), 0);
}

static void test_irqs(void **state)
{
	struct client *c = *state;
	struct { struct vfio_irq_set set; uint8_t data[4]; } s = {
		.set = { .argsz = 20, .index = VFIO_PCI_MSI_IRQ_INDEX,
			 .flags = VFIO_IRQ_SET_ACTION_TRIGGER },
	};
	const uint32_t msi = VFIO_PCI_MSI_IRQ_INDEX;
	int three[3] = { c->irq[0], c->irq[0], c->irq[0] };

	assert_int_equal(client_set_irqs(c, VFIO_PCI_NUM_IRQS, 0, 1, three, 1), EINVAL);
	assert_int_equal(client_set_irqs(c, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, three, 1), EINVAL);
	assert_int_equal(client_set_irqs(c, VFIO_PCI_INTX_IRQ_INDEX, 0, 0, three, 1), EINVAL);
	assert_int_equal(client_set_irqs(c, msi, 0, 3, three, 3), EINVAL);
	assert_int_equal(client_set_irqs(c, msi, 2, 1, three, 1), EINVAL);
	assert_int_equal(client_set_irqs(c, msi, ~0u, 2, three, 2), EINVAL);
	assert_int_equal(client_set_irqs(c, msi, 0, 2, three, 1), EINVAL);
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 19, NULL, 0), EINVAL);
	/* no action, two kinds of data, too little data */
	s.set.flags = VFIO_IRQ_SET_DATA_NONE;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), EINVAL);
	s.set.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), EINVAL);
	s.set.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_BOOL;
	s.set.count = 2;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 21, NULL, 0), EINVAL);
	/* loop back */
	s.data[1] = 1;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 22, NULL, 0), 0);
	assert_false(client_wait_irq(c, 0, 0));
	assert_true(client_wait_irq(c, 1, 0));
	s.set.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE;
	s.set.count = 1;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), 0);
	assert_true(client_wait_irq(c, 0, 0));
	s.set.flags = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), 0);
	/* disable all, twice */
	s.set.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE;
	s.set.count = 0;
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), 0);
	assert_int_equal(client_request(c, VFU_CMD_SET_IRQS, &s, 20, NULL, 0), 0);
	assert_int_equal(vfu_irq_trigger(&c->npu->vfu.irqs, 0), -ENOENT);
	assert_int_equal(client_set_irqs(c, msi, 0, 1, c->irq, 1), 0);
	/* one vector takes all causes */
	assert_int_equal(vfu_irq_trigger(&c->npu->vfu.irqs, 1), 0);
	assert_true(client_wait_irq(c, 0, 0));
	assert_int_equal(vfu_irq_trigger(&c->npu->vfu.irqs, 9), 0);
}

static void send_header(struct client *c, uint16_t command, uint32_t size, uint32_t flags)
{
	struct vfu_header hdr = { .id = 0x77, .command = command, .size = size, .flags = flags };

	client_send_raw(c, &hdr, sizeof(hdr), NULL, 0);
}

/* After each of these the connection lives, and the next message is heard. */
static void test_bad_packets(void **state)
{
	struct client *c = *state;
	int many[20];
	static uint8_t junk[1 << 16];
	uint32_t left;

	send_header(c, VFU_CMD_GET_INFO, 0, 0);
	assert_int_equal(client_wait_reply(c), EINVAL);
	send_header(c, VFU_CMD_GET_INFO, 15, 0);
	assert_int_equal(client_wait_reply(c), EINVAL);
	send_header(c, VFU_CMD_RESET, 16, 2);
	assert_int_equal(client_wait_reply(c), EINVAL);
	/* oversize: the body is thrown away */
	left = VFU_MAX_MESSAGE + 100;
	send_header(c, VFU_CMD_REGION_WRITE, left + 16, 0);
	while (left) {
		uint32_t n = left < sizeof(junk) ? left : sizeof(junk);

		client_send_raw(c, junk, n, NULL, 0);
		left -= n;
	}
	assert_int_equal(client_wait_reply(c), E2BIG);
	/* a reply to nothing is ignored */
	send_header(c, VFU_CMD_DMA_READ, 16, VFU_TYPE_REPLY);
	/* no reply wanted, none comes */
	send_header(c, VFU_CMD_GET_INFO, 16, VFU_FLAG_NO_REPLY);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
	/* more files than were announced */
	for (int i = 0; i < 20; i++)
		many[i] = c->ram_fd;
	assert_int_equal(client_request(c, VFU_CMD_GET_INFO, junk, 16, many, 20), EINVAL);
	/* files where none belong are closed */
	assert_int_equal(client_request(c, VFU_CMD_GET_INFO, junk, 16, many, 3), 0);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
}

/* A message in pieces is one message; a client that stops inside holds up nobody. */
static void test_pieces(void **state)
{
	struct client *c = *state;
	struct { struct vfu_header h; struct vfu_msg_region at; } m = {
		{ .id = 5, .command = VFU_CMD_REGION_READ, .size = sizeof(m) },
		{ HEARTH_REG_ID, 0, 4 },
	};
	const uint8_t *p = (const uint8_t *)&m;

	for (size_t i = 0; i < sizeof(m); i++) {
		assert_int_equal(client_stat(c, "client"), 1);
		client_send_raw(c, p + i, 1, NULL, 0);
	}
	assert_int_equal(client_wait_reply(c), 0);
	client_send_raw(c, p, 20, NULL, 0);
	client_reconnect(c);
	client_setup(c, false);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
}

static unsigned int open_files(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_no_file_leaks(void **state)
{
	struct client *c = *state;
	int three[3] = { c->ram_fd, c->ram_fd, c->ram_fd };
	unsigned int before = open_files();

	for (int i = 0; i < 50; i++) {
		client_map(c, RAM_BUS, 4096, 0, READ_WRITE, c->ram_fd);
		client_set_irqs(c, VFIO_PCI_MSI_IRQ_INDEX, 0, 2, c->irq, 2);
		client_set_irqs(c, VFIO_PCI_MSI_IRQ_INDEX, 0, 3, three, 3);
		client_request(c, VFU_CMD_DMA_MAP, three, 12, three, 3);
	}
	client_control(c, "stats");
	assert_int_equal(open_files(), before);
}

static void test_second_client(void **state)
{
	struct client *c = *state, second = *c;

	/* refused; the first one goes on */
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
	second.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char byte;

	assert_int_equal(getpeername(c->fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(connect(second.fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(recv(second.fd, &byte, 1, 0), 0);
	close(second.fd);
	assert_int_equal(reg_read(c, HEARTH_REG_ID), HEARTH_ID);
}

static void test_client_gone(void **state)
{
	struct client *c = *state;
	uint32_t word;

	reg_write(c, HEARTH_REG_FW_SIZE, 1234);
	client_reconnect(c);
	assert_int_equal(client_stat(c, "resets"), 1);
	assert_int_equal(client_stat(c, "unmaps"), 1);
	client_negotiate(c);
	client_bus_master(c, true);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 0);
	assert_int_equal(vfu_dma_load32(&c->npu->vfu.dma, RAM_BUS, &word), -EFAULT);
	assert_int_equal(vfu_irq_trigger(&c->npu->vfu.irqs, 0), -ENOENT);
}

static void test_config(void **state)
{
	struct client *c = *state;
	uint8_t cap = client_read(c, CONFIG, PCI_CAPABILITY_LIST, 1), ids[8];
	unsigned int n = 0;

	assert_int_equal(client_read(c, CONFIG, 0, 4), HEARTH_PCI_DEVICE << 16 | HEARTH_PCI_VENDOR);
	assert_int_equal(client_read(c, CONFIG, PCI_CLASS_REVISION, 4) >> 8, HEARTH_PCI_CLASS);
	for (; cap && n < 8; cap = client_read(c, CONFIG, cap + 1, 1))
		ids[n++] = client_read(c, CONFIG, cap, 1);
	assert_int_equal(n, 3);
	assert_int_equal(ids[0], PCI_CAP_ID_PM);
	assert_int_equal(ids[1], c->npu->vfu.pci.msix ? PCI_CAP_ID_MSIX : PCI_CAP_ID_MSI);
	assert_int_equal(ids[2], PCI_CAP_ID_EXP);
	/* read-only stays */
	client_write(c, CONFIG, 0, 4, 0);
	assert_int_equal(client_read(c, CONFIG, 0, 2), HEARTH_PCI_VENDOR);
}

static void test_msix(void **state)
{
	struct client *c = *state;

	test_config(state);
	assert_int_equal(client_read(c, CONFIG, 0x52, 2) & PCI_MSIX_FLAGS_QSIZE, 1);
	assert_int_equal(client_read(c, HEARTH_BAR_MSIX, 0x800, 8), 0);
	assert_int_equal(vfu_irq_trigger(&c->npu->vfu.irqs, 1), 0);
	assert_true(client_wait_irq(c, 1, 0));
}

static void test_flr(void **state)
{
	struct client *c = *state;

	reg_write(c, HEARTH_REG_FW_SIZE, 5);
	/* the other bits of the register alone do not */
	client_write(c, CONFIG, 0x70 + PCI_EXP_DEVCTL, 2, 0x7fff);
	assert_int_equal(client_stat(c, "resets"), 0);
	client_write(c, CONFIG, 0x70 + PCI_EXP_DEVCTL, 2, 0x8000);
	assert_int_equal(client_stat(c, "resets"), 1);
	assert_int_equal(reg_read(c, HEARTH_REG_FW_SIZE), 0);
	/* bus master is off after a reset; the flag reads as zero */
	assert_int_equal(client_read(c, CONFIG, PCI_COMMAND, 2), 0);
	assert_int_equal(client_read(c, CONFIG, 0x70 + PCI_EXP_DEVCTL, 2), 0x2810);
	assert_int_equal(client_request(c, VFU_CMD_RESET, NULL, 0, NULL, 0), 0);
	assert_int_equal(client_stat(c, "resets"), 2);
	/* through D3hot and back */
	client_write(c, CONFIG, 0x44, 2, 3);
	client_write(c, CONFIG, 0x44, 2, 0);
	assert_int_equal(client_stat(c, "resets"), 4);
}

int main(void)
{
#define SETUP(test) cmocka_unit_test_setup_teardown(test, setup, stop)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version, start, stop),
		SETUP(test_info),
		SETUP(test_access_bounds),
		SETUP(test_write_multi),
		SETUP(test_maps),
		SETUP(test_last_address),
		SETUP(test_unmaps),
		SETUP(test_rights),
		SETUP(test_truncated_file),
		SETUP(test_irqs),
		SETUP(test_bad_packets),
		SETUP(test_pieces),
		SETUP(test_no_file_leaks),
		SETUP(test_second_client),
		SETUP(test_client_gone),
		SETUP(test_config),
		cmocka_unit_test_setup_teardown(test_msix, setup_msix, stop),
		SETUP(test_flr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
