// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/pci_regs.h>

#include "stub_client.h"

#define REPLY_TIMEOUT_S	60

static void *server_main(void *arg)
{
	struct client *c = arg;

	control_loop(c->npu, &c->ctl, c->stop_fd);
	return NULL;
}

static bool receive_all(int fd, void *data, size_t bytes)
{
	return !bytes || recv(fd, data, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static void send_reply(struct client *c, struct vfu_header *hdr, const void *body, size_t bytes)
{
	hdr->size = sizeof(*hdr) + bytes;
	pthread_mutex_lock(&c->send_lock);
	send(c->fd, hdr, sizeof(*hdr), MSG_NOSIGNAL | MSG_MORE);
	send(c->fd, body, bytes, MSG_NOSIGNAL);
	pthread_mutex_unlock(&c->send_lock);
}

/* The server asks for our memory. */
static void serve_dma(struct client *c, const struct vfu_header *cmd, uint8_t *body)
{
	struct vfu_header hdr = { .id = cmd->id, .command = cmd->command, .flags = VFU_TYPE_REPLY };
	struct vfu_msg_dma msg;
	size_t data = 0;

	memcpy(&msg, body, sizeof(msg));
	if (__atomic_load_n(&c->mute, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(&c->ignored, 1, __ATOMIC_RELEASE);
		return;
	}
	if (msg.address < RAM_BUS || msg.count > RAM_BYTES ||
	    msg.address - RAM_BUS > RAM_BYTES - msg.count) {
		hdr.flags |= VFU_FLAG_ERROR;
		send_reply(c, &hdr, body, 0);
		return;
	}
	if (cmd->command == VFU_CMD_DMA_READ) {
		memcpy(body + sizeof(msg), c->dma_ram + (msg.address - RAM_BUS), msg.count);
		data = msg.count;
		__atomic_fetch_add(&c->dma_reads, 1, __ATOMIC_RELEASE);
	} else {
		memcpy(c->dma_ram + (msg.address - RAM_BUS), body + sizeof(msg), msg.count);
		__atomic_fetch_add(&c->dma_writes, 1, __ATOMIC_RELEASE);
	}
	send_reply(c, &hdr, body, sizeof(msg) + data);
}

static void *receiver_main(void *arg)
{
	struct client *c = arg;
	uint8_t *body = malloc(CLIENT_MAX + 4096);
	struct vfu_header hdr;

	while (receive_all(c->fd, &hdr, sizeof(hdr))) {
		size_t bytes = hdr.size - sizeof(hdr);

		if (bytes > CLIENT_MAX || !receive_all(c->fd, body, bytes))
			break;
		if ((hdr.flags & VFU_FLAG_TYPE) == VFU_TYPE_COMMAND) {
			serve_dma(c, &hdr, body);
			continue;
		}
		pthread_mutex_lock(&c->lock);
		while (c->have_reply)
			pthread_cond_wait(&c->replied, &c->lock);
		c->reply = hdr;
		memcpy(c->body, body, bytes);
		c->body_bytes = bytes;
		c->have_reply = true;
		pthread_cond_broadcast(&c->replied);
		pthread_mutex_unlock(&c->lock);
	}
	pthread_mutex_lock(&c->lock);
	c->gone = true;
	pthread_cond_broadcast(&c->replied);
	pthread_mutex_unlock(&c->lock);
	free(body);
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void connect_client(struct client *c)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/npu", c->dir);
	c->fd = connect_to(path);
	c->gone = false;
	c->have_reply = false;
	assert_int_equal(pthread_create(&c->receiver, NULL, receiver_main, c), 0);
}

/* One mapping for each who uses it, as a device has its own way to memory. */
static uint8_t *map_ram(struct client *c)
{
	void *ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c->ram_fd, 0);

	assert_ptr_not_equal(ram, MAP_FAILED);
	return ram;
}

void client_start(struct client *c, const struct npu_opts *opts)
{
	struct npu_opts standard = { .caps = npu_caps_full(), .workers = 2 };
	char path[128];

	memset(c, 0, sizeof(*c));
	strcpy(c->dir, "/tmp/hearth-test-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	pthread_mutex_init(&c->send_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->replied, NULL);
	c->npu = npu_create(opts ? opts : &standard);
	assert_non_null(c->npu);
	snprintf(path, sizeof(path), "%s/npu", c->dir);
	assert_int_equal(vfu_listen(&c->npu->vfu, path), 0);
	snprintf(c->ctl_path, sizeof(c->ctl_path), "%s/ctl", c->dir);
	assert_int_equal(control_open(&c->ctl, c->npu, c->ctl_path), 0);
	c->stop_fd = eventfd(0, 0);
	assert_int_equal(pthread_create(&c->server, NULL, server_main, c), 0);
	c->ram_fd = memfd_create("ram", MFD_CLOEXEC);
	assert_int_equal(ftruncate(c->ram_fd, RAM_BYTES), 0);
	c->ram = map_ram(c);
	c->dma_ram = map_ram(c);
	c->irq[0] = eventfd(0, EFD_NONBLOCK);
	c->irq[1] = eventfd(0, EFD_NONBLOCK);
	c->ctl_fd = connect_to(c->ctl_path);
	connect_client(c);
}

static void disconnect_client(struct client *c)
{
	shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_lock(&c->lock);
	c->have_reply = false;
	pthread_cond_broadcast(&c->replied);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->receiver, NULL);
	close(c->fd);
}

void client_stop(struct client *c)
{
	uint64_t one = 1;
	char path[128];

	disconnect_client(c);
	assert_int_equal(write(c->stop_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(c->server, NULL);
	control_close(&c->ctl);
	npu_destroy(c->npu);
	close(c->ctl_fd);
	close(c->stop_fd);
	close(c->irq[0]);
	close(c->irq[1]);
	munmap(c->ram, RAM_BYTES);
	munmap(c->dma_ram, RAM_BYTES);
	close(c->ram_fd);
	snprintf(path, sizeof(path), "%s/npu", c->dir);
	unlink(path);
	unlink(c->ctl_path);
	rmdir(c->dir);
	pthread_cond_destroy(&c->replied);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->send_lock);
}

void client_reconnect(struct client *c)
{
	disconnect_client(c);
	/* the server takes one client at a time: wait until the old one is gone */
	while (client_stat(c, "client"))
		sched_yield();
	connect_client(c);
}

void client_send_raw(struct client *c, const void *data, size_t bytes,
		     const int *fds, unsigned int num_fds)
{
	char control[CMSG_SPACE(sizeof(int) * 64)] = { 0 };
	struct iovec iov = { (void *)data, bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (num_fds) {
		struct cmsghdr *cm;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * num_fds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * num_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * num_fds);
	}
	pthread_mutex_lock(&c->send_lock);
	assert_int_equal(sendmsg(c->fd, &msg, MSG_NOSIGNAL), bytes);
	pthread_mutex_unlock(&c->send_lock);
}

int client_wait_reply(struct client *c)
{
	struct timespec ts;
	int ret = -1;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += REPLY_TIMEOUT_S;
	pthread_mutex_lock(&c->lock);
	while (!c->have_reply && !c->gone)
		if (pthread_cond_timedwait(&c->replied, &c->lock, &ts))
			break;
	if (c->have_reply) {
		ret = c->reply.flags & VFU_FLAG_ERROR ? (int)c->reply.error : 0;
		c->have_reply = false;
		pthread_cond_broadcast(&c->replied);
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

int client_request(struct client *c, uint16_t command, const void *body, size_t bytes,
		   const int *fds, unsigned int num_fds)
{
	uint8_t *msg = malloc(sizeof(struct vfu_header) + bytes);
	struct vfu_header hdr = {
		.id = c->next_id++, .command = command, .size = sizeof(hdr) + bytes,
	};
	int ret;

	memcpy(msg, &hdr, sizeof(hdr));
	if (bytes)
		memcpy(msg + sizeof(hdr), body, bytes);
	client_send_raw(c, msg, sizeof(hdr) + bytes, fds, num_fds);
	free(msg);
	ret = client_wait_reply(c);
	if (ret >= 0) {
		assert_int_equal(c->reply.id, hdr.id);
		assert_int_equal(c->reply.command, command);
		if (ret)
			assert_int_equal(c->reply.size, sizeof(hdr));
	}
	return ret;
}

void client_negotiate(struct client *c)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":8,"
				   "\"max_data_xfer_size\":65536}}";
	uint8_t body[4 + sizeof(json)] = { 0 };

	memcpy(body + 4, json, sizeof(json));
	assert_int_equal(client_request(c, VFU_CMD_VERSION, body, sizeof(body), NULL, 0), 0);
}

int client_map(struct client *c, uint64_t bus, uint64_t bytes, uint64_t offset,
	       uint32_t flags, int fd)
{
	struct vfu_msg_dma_map m = { sizeof(m), flags, offset, bus, bytes };

	return client_request(c, VFU_CMD_DMA_MAP, &m, sizeof(m), &fd, fd >= 0);
}

int client_unmap(struct client *c, uint64_t bus, uint64_t bytes)
{
	struct vfu_msg_dma_unmap m = { sizeof(m), 0, bus, bytes };

	return client_request(c, VFU_CMD_DMA_UNMAP, &m, sizeof(m), NULL, 0);
}

int client_set_irqs(struct client *c, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds, unsigned int num_fds)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
		.index = index, .start = start, .count = count,
	};

	return client_request(c, VFU_CMD_SET_IRQS, &set, sizeof(set), fds, num_fds);
}

void client_bus_master(struct client *c, bool on)
{
	client_write(c, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2,
		     PCI_COMMAND_MEMORY | (on ? PCI_COMMAND_MASTER : 0));
	/* a write is answered before it takes effect; a read waits for it */
	client_read(c, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2);
}

void client_setup(struct client *c, bool by_messages)
{
	uint32_t rw = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	uint32_t index = c->npu->vfu.pci.msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;

	client_negotiate(c);
	assert_int_equal(client_map(c, RAM_BUS, RAM_BYTES, 0, rw,
				    by_messages ? -1 : c->ram_fd), 0);
	assert_int_equal(client_set_irqs(c, index, 0, 2, c->irq, 2), 0);
	client_bus_master(c, true);
}

uint64_t client_read(struct client *c, uint32_t region, uint64_t offset, uint32_t bytes)
{
	struct vfu_msg_region at = { offset, region, bytes };
	uint64_t value = 0;

	assert_int_equal(client_request(c, VFU_CMD_REGION_READ, &at, sizeof(at), NULL, 0), 0);
	assert_int_equal(c->body_bytes, sizeof(at) + bytes);
	memcpy(&value, c->body + sizeof(at), bytes);
	return value;
}

void client_write(struct client *c, uint32_t region, uint64_t offset, uint32_t bytes,
		  uint64_t value)
{
	struct { struct vfu_msg_region at; uint64_t data; } w = { { offset, region, bytes }, value };

	assert_int_equal(client_request(c, VFU_CMD_REGION_WRITE, &w, sizeof(w.at) + bytes,
					NULL, 0), 0);
}

const char *client_control(struct client *c, const char *line)
{
	static char answer[2048];
	size_t have = 0;

	assert_int_equal(send(c->ctl_fd, line, strlen(line), MSG_NOSIGNAL | MSG_MORE), strlen(line));
	assert_int_equal(send(c->ctl_fd, "\n", 1, MSG_NOSIGNAL), 1);
	do {
		ssize_t n = recv(c->ctl_fd, answer + have, sizeof(answer) - 1 - have, 0);

		assert_true(n > 0);
		have += n;
	} while (answer[have - 1] != '\n');
	answer[have - 1] = '\0';
	if (strncmp(answer, "ok", 2))
		fail_msg("%s: %s", line, answer);
	return answer;
}

uint64_t client_stat(struct client *c, const char *name)
{
	const char *p = client_control(c, "stats");
	char key[64];

	snprintf(key, sizeof(key), " %s=", name);
	p = strstr(p, key);
	assert_non_null(p);
	return strtoull(p + strlen(key), NULL, 10);
}

bool client_wait_irq(struct client *c, unsigned int vector, int ms)
{
	struct pollfd p = { .fd = c->irq[vector], .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, ms) != 1)
		return false;
	return read(c->irq[vector], &n, sizeof(n)) == sizeof(n);
}
