// SPDX-License-Identifier: MIT
/*
 * Any bytes as a vfio-user client's messages. Odd ids of DMA_MAP and SET_IRQS
 * bring files along, as only a socket can.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "driver.h"
#include "npu.h"

#define RAM_BYTES	(1u << 20)
#define CONFIG		VFIO_PCI_CONFIG_REGION_INDEX

const char *const fuzz_name = "vfio_user";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 13, 15, 16, 20, 24, 32, 33, 4095, 4096, 4097, 0x10000,
	0x20000, RAM_BYTES, VFU_MAX_XFER, VFU_MAX_MESSAGE, INT32_MAX, UINT32_MAX, INT64_MAX,
	UINT64_MAX, UINT64_MAX - 4095, 0x8000, 0x78, HEARTH_REG_CTRL, 0x44,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

/* The device's threads allocate as well; the limit is for parsers. */
size_t fuzz_heap_limit(size_t size)
{
	return SIZE_MAX;
}

static struct npu *npu;
static int ram_fd, irq_fd;

static void start(void)
{
	struct npu_opts opts = { .caps = npu_caps_full(), .workers = 1 };

	npu = npu_create(&opts);
	ram_fd = memfd_create("ram", MFD_CLOEXEC);
	irq_fd = eventfd(0, EFD_NONBLOCK);
	if (!npu || ram_fd < 0 || irq_fd < 0 || ftruncate(ram_fd, RAM_BYTES))
		abort();
}

static unsigned int files_of(const struct vfu_header *h, int *fds)
{
	unsigned int n = 0;

	if (!(h->id & 1))
		return 0;
	if (h->command == VFU_CMD_DMA_MAP)
		fds[n++] = ram_fd;
	else if (h->command == VFU_CMD_SET_IRQS)
		for (; n < (h->id >> 1 & 15); n++)
			fds[n] = irq_fd;
	return n;
}

static bool send_some(int fd, const uint8_t *data, size_t *bytes, const int *fds, unsigned int num)
{
	char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)data, *bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (num) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(num * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num * sizeof(int));
	}
	n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	*bytes = n < 0 ? 0 : n;
	return n >= 0 || errno == EAGAIN;
}

static void drain(int fd)
{
	char buffer[4096];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

/* One message, or what its size makes of the rest. False: the server hung up. */
static bool send_message(int fd, const uint8_t *data, size_t bytes)
{
	struct vfu_header h = { 0 };
	unsigned int num = 0;
	int fds[16];

	if (bytes >= sizeof(h)) {
		memcpy(&h, data, sizeof(h));
		num = files_of(&h, fds);
	}
	while (bytes) {
		size_t n = bytes;

		if (!send_some(fd, data, &n, fds, num) || vfu_serve(&npu->vfu))
			return false;
		drain(fd);
		if (n)
			num = 0;
		data += n;
		bytes -= n;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2];

	if (!npu)
		start();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	vfu_attach(&npu->vfu, pair[0]);
	while (size) {
		struct vfu_header h = { 0 };
		size_t n = size;

		if (size >= sizeof(h)) {
			memcpy(&h, data, sizeof(h));
			if (h.size >= sizeof(h) && h.size < size)
				n = h.size;
		}
		if (!send_message(pair[1], data, n))
			break;
		data += n;
		size -= n;
	}
	close(pair[1]);
	/* until it has noticed */
	while (npu->vfu.conn.fd >= 0)
		vfu_serve(&npu->vfu);
	/* not npu->inside: the heart may beat at this moment */
	if (npu->vfu.dma.num_maps) {
		dprintf(2, "# %u maps outlive their client\n", (unsigned int)npu->vfu.dma.num_maps);
		abort();
	}
	return 0;
}

struct seed {
	uint8_t data[8192];
	size_t bytes;
	uint16_t id;
};

static void put(struct seed *s, uint16_t command, const void *body, size_t bytes,
		unsigned int files)
{
	struct vfu_header h = {
		.id = files ? files << 1 | 1 : 0, .command = command, .size = sizeof(h) + bytes,
	};

	memcpy(s->data + s->bytes, &h, sizeof(h));
	memcpy(s->data + s->bytes + sizeof(h), body, bytes);
	s->bytes += h.size;
}

static void put_write(struct seed *s, uint32_t region, uint64_t offset, uint64_t value,
		      uint32_t bytes)
{
	struct { struct vfu_msg_region at; uint64_t value; } w = { { offset, region, bytes }, value };

	put(s, VFU_CMD_REGION_WRITE, &w, sizeof(w.at) + bytes, 0);
}

static void put_version(struct seed *s)
{
	static const char body[] = "\0\0\1\0{\"capabilities\":{\"max_msg_fds\":8,"
				   "\"max_data_xfer_size\":65536,\"write_multiple\":true}}";

	put(s, VFU_CMD_VERSION, body, sizeof(body), 0);
}

static void put_setup(struct seed *s)
{
	struct vfu_msg_dma_map map = { 32, 3, 0, 0x40000000, RAM_BYTES };
	struct vfu_msg_dma_map other = { 32, 1, 4096, 0x80000000, 4096 };
	struct vfio_irq_set irqs = {
		.argsz = 20, .index = VFIO_PCI_MSI_IRQ_INDEX, .count = 2,
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
	};

	put_version(s);
	put(s, VFU_CMD_DMA_MAP, &map, sizeof(map), 1);
	put(s, VFU_CMD_DMA_MAP, &other, sizeof(other), 0);
	put(s, VFU_CMD_SET_IRQS, &irqs, sizeof(irqs), 2);
	put_write(s, CONFIG, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
}

static void put_queries(struct seed *s)
{
	uint32_t info[4] = { 16 };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = 2 };
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = 1 };
	struct vfu_msg_region at = { 0, CONFIG, 64 };

	put(s, VFU_CMD_GET_INFO, info, sizeof(info), 0);
	put(s, VFU_CMD_GET_REGION_INFO, &region, sizeof(region), 0);
	put(s, VFU_CMD_GET_IRQ_INFO, &irq, sizeof(irq), 0);
	put(s, VFU_CMD_REGION_READ, &at, sizeof(at), 0);
}

static void put_end(struct seed *s)
{
	struct vfu_msg_dma_unmap unmap = { 24, 0, 0x40000000, RAM_BYTES };
	struct vfu_msg_dma_unmap all = { 24, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0 };

	put(s, VFU_CMD_DMA_UNMAP, &unmap, sizeof(unmap), 0);
	put(s, VFU_CMD_DMA_UNMAP, &all, sizeof(all), 0);
	put(s, VFU_CMD_RESET, "", 0, 0);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	struct { uint64_t count; struct vfu_msg_write_multi w[2]; } multi = {
		.count = 2,
		.w = { { { HEARTH_REG_FW_SIZE, 0, 4 }, { 64 } },
		       { { HEARTH_REG_FW_ADDR_LO, 0, 8 }, { 0, 0, 0, 0x40 } } },
	};
	static struct seed s;

	put_setup(&s);
	put_queries(&s);
	add(s.data, s.bytes);
	put_write(&s, HEARTH_BAR_REGS, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT, 4);
	put(&s, VFU_CMD_REGION_WRITE_MULTI, &multi, sizeof(multi), 0);
	put_write(&s, HEARTH_BAR_DOORBELL, 16 * 4096, 1, 4);
	put_end(&s);
	add(s.data, s.bytes);
	s.bytes = 0;
	put_setup(&s);
	put_write(&s, CONFIG, 0x70 + PCI_EXP_DEVCTL, 0x8000, 2);
	put_write(&s, CONFIG, 0x44, 3, 2);
	put_write(&s, CONFIG, 0x44, 0, 2);
	put_end(&s);
	add(s.data, s.bytes);
}
