/* SPDX-License-Identifier: MIT */
/*
 * A vfio-user client inside of the test: it speaks to a server that runs in
 * a thread of the same process, over a socketpair. The server is the real
 * one; only the machine around it is made up.
 */
#ifndef STUB_CLIENT_H
#define STUB_CLIENT_H

#include <pthread.h>

#include "control.h"

#define RAM_BUS		0x40000000ull
#define RAM_BYTES	(16u << 20)
#define CLIENT_MAX	(1u << 20)

struct client {
	struct npu *npu;
	struct control ctl;
	pthread_t server;
	int stop_fd;
	char dir[64];
	char ctl_path[96];
	int ctl_fd;

	int fd;			/* our end; a thread receives from it */
	pthread_t receiver;
	pthread_mutex_t send_lock;	/* both threads send */
	pthread_mutex_t lock;
	pthread_cond_t replied;
	uint16_t next_id;
	bool have_reply;
	bool gone;
	struct vfu_header reply;
	uint8_t body[CLIENT_MAX];
	size_t body_bytes;

	int ram_fd;
	uint8_t *ram;		/* at RAM_BUS, RAM_BYTES */
	uint8_t *dma_ram;	/* the same, as the server's messages reach it */
	int irq[2];
	bool mute;		/* do not answer the server's DMA messages */
	unsigned int ignored;	/* so many */
	unsigned int dma_reads;
	unsigned int dma_writes;
};

/* Starts server and client; nothing is said yet. @opts may be NULL. */
void client_start(struct client *c, const struct npu_opts *opts);
void client_stop(struct client *c);

/* Drop the connection, make a new one to the same server. */
void client_reconnect(struct client *c);

/*
 * Send a command and wait for its reply: 0 or the error of the reply (a
 * positive errno), -1 if the connection has gone. The body is in c->body.
 */
int client_request(struct client *c, uint16_t command, const void *body, size_t bytes,
		   const int *fds, unsigned int num_fds);

/* Bytes as they are, then whatever comes. */
void client_send_raw(struct client *c, const void *data, size_t bytes,
		     const int *fds, unsigned int num_fds);
/* Wait for a reply to something sent raw: its error, or -1. */
int client_wait_reply(struct client *c);

/* VERSION, RAM with a file (or by messages), two vectors, bus master. */
void client_negotiate(struct client *c);
int client_map(struct client *c, uint64_t bus, uint64_t bytes, uint64_t offset,
	       uint32_t flags, int fd);
int client_unmap(struct client *c, uint64_t bus, uint64_t bytes);
int client_set_irqs(struct client *c, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds, unsigned int num_fds);
void client_bus_master(struct client *c, bool on);
void client_setup(struct client *c, bool by_messages);

uint64_t client_read(struct client *c, uint32_t region, uint64_t offset, uint32_t bytes);
void client_write(struct client *c, uint32_t region, uint64_t offset, uint32_t bytes,
		  uint64_t value);
static inline uint32_t reg_read(struct client *c, uint64_t offset)
{
	return client_read(c, HEARTH_BAR_REGS, offset, 4);
}

static inline void reg_write(struct client *c, uint64_t offset, uint32_t value)
{
	client_write(c, HEARTH_BAR_REGS, offset, 4, value);
}

static inline void client_mute(struct client *c, bool mute)
{
	__atomic_store_n(&c->mute, mute, __ATOMIC_RELEASE);
}

/* A line to the control socket; asserts that the answer is ok, returns it. */
const char *client_control(struct client *c, const char *line);
/* A number of "stats". */
uint64_t client_stat(struct client *c, const char *name);

/* Wait for an interrupt on @vector; false after @ms. Takes all that came. */
bool client_wait_irq(struct client *c, unsigned int vector, int ms);

#endif
