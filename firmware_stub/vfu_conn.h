/* SPDX-License-Identifier: MIT */
/*
 * One client's socket: whole messages in, whole messages out.
 *
 * Receiving never blocks: a client that stops in the middle of a message
 * holds up nobody but itself.
 */
#ifndef HEARTH_VFU_CONN_H
#define HEARTH_VFU_CONN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "vfu_proto.h"

struct vfu_conn {
	int fd;			/* -1: no client */
	pthread_mutex_t send_lock;

	/* the message that is being received */
	struct vfu_header hdr;
	size_t hdr_have;
	uint8_t *body;		/* VFU_MAX_MESSAGE bytes */
	size_t body_have;
	size_t body_bytes;
	size_t skip;		/* bytes of an oversized body still to come */
	int fds[VFU_MAX_FDS];
	unsigned int num_fds;
	int error;		/* of the message: size or files are wrong */
};

/* 0 or -ENOMEM. */
int vfu_conn_init(struct vfu_conn *conn);
void vfu_conn_fini(struct vfu_conn *conn);

/* Take over the connected socket @fd. */
void vfu_conn_open(struct vfu_conn *conn, int fd);
void vfu_conn_close(struct vfu_conn *conn);

/*
 * Receive what is there. Returns 1 if conn->hdr, body, fds hold a message
 * (conn->error != 0: it must be answered with this error), 0 if there is more
 * to wait for, -ECONNRESET if the client is gone. After a message, finish it
 * with vfu_conn_next().
 */
int vfu_conn_receive(struct vfu_conn *conn);

/* Close the message's files that nobody took (set to -1) and start over. */
void vfu_conn_next(struct vfu_conn *conn);

/*
 * Send a message of two parts behind the header; hdr->size is filled in. Any
 * thread may call it. Returns 0 or a negative errno.
 */
int vfu_conn_send(struct vfu_conn *conn, struct vfu_header *hdr,
		  const void *head, size_t head_bytes,
		  const void *data, size_t data_bytes);

#endif
