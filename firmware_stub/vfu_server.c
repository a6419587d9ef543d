// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vfu_message.h"
#include "vfu_server.h"

int vfu_server_init(struct vfu_server *vfu, const struct vfu_pci_identity *id,
		    const struct vfu_device_ops *ops, void *device)
{
	int ret;

	memset(vfu, 0, sizeof(*vfu));
	vfu->ops = ops;
	vfu->device = device;
	vfu->listen_fd = -1;
	ret = vfu_conn_init(&vfu->conn);
	if (ret)
		return ret;
	vfu_dma_init(&vfu->dma, &vfu->conn);
	vfu_irq_init(&vfu->irqs, id->msix ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX,
		     id->vectors);
	vfu_pci_init(&vfu->pci, id);
	vfu->region_bytes[VFIO_PCI_CONFIG_REGION_INDEX] = VFU_PCI_CONFIG_BYTES;
	vfu_update_dma(vfu);
	return 0;
}

void vfu_server_fini(struct vfu_server *vfu)
{
	if (vfu->listen_fd >= 0)
		close(vfu->listen_fd);
	vfu_irq_fini(&vfu->irqs);
	vfu_dma_fini(&vfu->dma);
	vfu_conn_fini(&vfu->conn);
}

void vfu_server_add_bar(struct vfu_server *vfu, unsigned int bar, uint64_t bytes,
			bool prefetchable)
{
	vfu_pci_add_bar(&vfu->pci, bar, prefetchable);
	vfu->region_bytes[bar] = bytes;
}

/* A socket that nobody listens to any more may be replaced, nothing else. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int fd, ret = 0;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		ret = -EADDRINUSE;
	else if (errno != ECONNREFUSED)
		ret = -errno;
	close(fd);
	if (!ret && unlink(addr->sun_path))
		ret = -errno;
	return ret;
}

int vfu_listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	ret = remove_stale(&addr);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int vfu_listen(struct vfu_server *vfu, const char *path)
{
	int fd = vfu_listen_at(path);

	if (fd < 0)
		return fd;
	vfu->listen_fd = fd;
	return 0;
}

void vfu_attach(struct vfu_server *vfu, int fd)
{
	vfu->versioned = false;
	vfu->dma.max_xfer = VFU_MAX_XFER;
	vfu_conn_open(&vfu->conn, fd);
}

int vfu_accept(struct vfu_server *vfu)
{
	int fd = accept4(vfu->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (vfu->conn.fd >= 0) {
		close(fd);
		return -EBUSY;
	}
	vfu_attach(vfu, fd);
	return 0;
}

void vfu_update_dma(struct vfu_server *vfu)
{
	vfu_dma_block(&vfu->dma, !vfu_pci_bus_master(&vfu->pci) ||
		      vfu_pci_asleep(&vfu->pci));
}

void vfu_reset_device(struct vfu_server *vfu, enum vfu_reset why)
{
	vfu_dma_block(&vfu->dma, true);
	vfu->ops->reset(vfu->device, why);
	/* going to sleep keeps the power state that was written */
	if (why != VFU_RESET_SLEEP)
		vfu_pci_reset(&vfu->pci);
	vfu_update_dma(vfu);
}

static void client_gone(struct vfu_server *vfu)
{
	vfu_reset_device(vfu, VFU_RESET_GONE);
	vfu_irq_clear(&vfu->irqs);
	vfu_dma_unmap_all(&vfu->dma);
	vfu_conn_close(&vfu->conn);
}

int vfu_serve(struct vfu_server *vfu)
{
	struct vfu_conn *conn = &vfu->conn;
	int ret = 0;

	/* bounded, so that a client that never stops leaves the owner its turn */
	for (int i = 0; i < 16 && (ret = vfu_conn_receive(conn)) > 0; i++) {
		vfu->messages++;
		if ((conn->hdr.flags & VFU_FLAG_TYPE) == VFU_TYPE_REPLY && !conn->error)
			vfu_dma_reply(&vfu->dma, &conn->hdr, conn->body, conn->body_bytes);
		else
			ret = vfu_handle(vfu);
		vfu_conn_next(conn);
		if (ret < 0)
			break;
	}
	if (ret < 0) {
		client_gone(vfu);
		return -ECONNRESET;
	}
	return 0;
}
