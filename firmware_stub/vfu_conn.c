// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vfu_conn.h"

/* A client that does not take its replies for so long is given up. */
#define SEND_TIMEOUT_S	10

int vfu_conn_init(struct vfu_conn *conn)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = -1;
	conn->body = malloc(VFU_MAX_MESSAGE);
	if (!conn->body)
		return -ENOMEM;
	pthread_mutex_init(&conn->send_lock, NULL);
	return 0;
}

void vfu_conn_fini(struct vfu_conn *conn)
{
	vfu_conn_close(conn);
	pthread_mutex_destroy(&conn->send_lock);
	free(conn->body);
	conn->body = NULL;
}

void vfu_conn_open(struct vfu_conn *conn, int fd)
{
	struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	pthread_mutex_lock(&conn->send_lock);
	conn->fd = fd;
	pthread_mutex_unlock(&conn->send_lock);
	vfu_conn_next(conn);
}

void vfu_conn_close(struct vfu_conn *conn)
{
	vfu_conn_next(conn);
	pthread_mutex_lock(&conn->send_lock);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	pthread_mutex_unlock(&conn->send_lock);
}

void vfu_conn_next(struct vfu_conn *conn)
{
	for (unsigned int i = 0; i < conn->num_fds; i++)
		if (conn->fds[i] >= 0)
			close(conn->fds[i]);
	conn->num_fds = 0;
	conn->hdr_have = 0;
	conn->body_have = 0;
	conn->body_bytes = 0;
	conn->skip = 0;
	conn->error = 0;
}

static void take_fds(struct vfu_conn *conn, const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	int fd;

	for (size_t i = 0; i < n; i++) {
		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (conn->num_fds < VFU_MAX_FDS) {
			conn->fds[conn->num_fds++] = fd;
		} else {
			close(fd);
			conn->error = -EINVAL;
		}
	}
}

/* Returns bytes received, 0 if there are none now, -ECONNRESET at the end. */
static ssize_t receive_some(struct vfu_conn *conn, void *to, size_t bytes)
{
	char control[CMSG_SPACE(sizeof(int) * VFU_MAX_FDS)];
	struct iovec iov = { to, bytes };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do {
		n = recvmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n <= 0)
		return -ECONNRESET;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			take_fds(conn, c);
	/* the kernel has closed those that did not fit */
	if (msg.msg_flags & MSG_CTRUNC)
		conn->error = -EINVAL;
	return n;
}

/*
 * A size below the header's is taken as a bare header, and the body of a
 * message beyond our limit is thrown away: both are answered with an error,
 * and the messages behind them are not lost.
 */
static void header_done(struct vfu_conn *conn)
{
	size_t bytes;

	if (conn->hdr.size < sizeof(conn->hdr)) {
		conn->error = -EINVAL;
		return;
	}
	bytes = conn->hdr.size - sizeof(conn->hdr);
	if (bytes > VFU_MAX_MESSAGE) {
		conn->error = -E2BIG;
		conn->skip = bytes;
		return;
	}
	conn->body_bytes = bytes;
}

static int receive_skipped(struct vfu_conn *conn)
{
	while (conn->skip) {
		size_t bytes = conn->skip < VFU_MAX_MESSAGE ? conn->skip : VFU_MAX_MESSAGE;
		ssize_t n = receive_some(conn, conn->body, bytes);

		if (n <= 0)
			return n;
		conn->skip -= n;
	}
	return 1;
}

int vfu_conn_receive(struct vfu_conn *conn)
{
	ssize_t n;

	while (conn->hdr_have < sizeof(conn->hdr)) {
		n = receive_some(conn, (char *)&conn->hdr + conn->hdr_have,
				 sizeof(conn->hdr) - conn->hdr_have);
		if (n <= 0)
			return n;
		conn->hdr_have += n;
		if (conn->hdr_have == sizeof(conn->hdr))
			header_done(conn);
	}
	while (conn->body_have < conn->body_bytes) {
		n = receive_some(conn, conn->body + conn->body_have,
				 conn->body_bytes - conn->body_have);
		if (n <= 0)
			return n;
		conn->body_have += n;
	}
	return receive_skipped(conn);
}

static int send_all(int fd, struct iovec *iov, int num)
{
	while (num) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = num };
		ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		while (num && (size_t)n >= iov->iov_len) {
			n -= iov->iov_len;
			iov++;
			num--;
		}
		if (num) {
			iov->iov_base = (char *)iov->iov_base + n;
			iov->iov_len -= n;
		}
	}
	return 0;
}

int vfu_conn_send(struct vfu_conn *conn, struct vfu_header *hdr,
		  const void *head, size_t head_bytes,
		  const void *data, size_t data_bytes)
{
	struct iovec iov[3] = {
		{ hdr, sizeof(*hdr) },
		{ (void *)head, head_bytes },
		{ (void *)data, data_bytes },
	};
	int ret = -ENOTCONN;

	hdr->size = sizeof(*hdr) + head_bytes + data_bytes;
	pthread_mutex_lock(&conn->send_lock);
	if (conn->fd >= 0) {
		ret = send_all(conn->fd, iov, 3);
		/* half a message went out: nothing can follow it */
		if (ret)
			shutdown(conn->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&conn->send_lock);
	return ret;
}
