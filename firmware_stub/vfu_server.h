/* SPDX-License-Identifier: MIT */
/*
 * A vfio-user server for one PCI function and one client at a time.
 *
 * The owner polls vfu->listen_fd and vfu->conn.fd and calls vfu_accept() and
 * vfu_serve(); all callbacks come from there. DMA and interrupts may be used
 * by any thread at any time. A write is answered before its callback runs, so
 * that the client does not wait for the device's work.
 */
#ifndef HEARTH_VFU_SERVER_H
#define HEARTH_VFU_SERVER_H

#include "vfu_conn.h"
#include "vfu_dma.h"
#include "vfu_irq.h"
#include "vfu_pci.h"

enum vfu_reset {
	VFU_RESET_MESSAGE,	/* DEVICE_RESET: machine or bus reset */
	VFU_RESET_FLR,
	VFU_RESET_WAKE,		/* D3hot to D0 */
	VFU_RESET_SLEEP,	/* D0 to D3hot: the device must fall silent */
	VFU_RESET_GONE,		/* the client has gone */
};

struct vfu_server;

struct vfu_device_ops {
	/* @bytes is 1, 2, 4 or 8; the access lies within the BAR. */
	uint64_t (*read)(void *device, unsigned int bar, uint64_t offset,
			 unsigned int bytes);
	void (*write)(void *device, unsigned int bar, uint64_t offset,
		      unsigned int bytes, uint64_t value);
	/*
	 * Stop all that is under way and go back to the state of power-up.
	 * Between the call and its return DMA is blocked.
	 */
	void (*reset)(void *device, enum vfu_reset why);
	/* Not there any more: the function reads as all ones. May be NULL. */
	bool (*removed)(void *device);
};

struct vfu_server {
	const struct vfu_device_ops *ops;
	void *device;
	int listen_fd;
	struct vfu_conn conn;
	struct vfu_dma dma;
	struct vfu_irqs irqs;
	struct vfu_pci pci;
	uint64_t region_bytes[VFIO_PCI_NUM_REGIONS];
	bool versioned;		/* the client has said VERSION */
	bool verbose;
	uint64_t messages;
	uint64_t refused;
};

int vfu_server_init(struct vfu_server *vfu, const struct vfu_pci_identity *id,
		    const struct vfu_device_ops *ops, void *device);
void vfu_server_fini(struct vfu_server *vfu);
void vfu_server_add_bar(struct vfu_server *vfu, unsigned int bar, uint64_t bytes,
			bool prefetchable);

/* Listen on a new socket at @path, in place of a stale one. 0 or -errno. */
int vfu_listen(struct vfu_server *vfu, const char *path);

/* Accept a client, or refuse it if there is one. 0 or -errno. */
int vfu_accept(struct vfu_server *vfu);

/* Serve the connected socket @fd, which is owned from here on. */
void vfu_attach(struct vfu_server *vfu, int fd);

/*
 * Serve what the client has sent. Returns 0, or -ECONNRESET after the client
 * has gone and the device was reset.
 */
int vfu_serve(struct vfu_server *vfu);

/* DMA is possible if the host lets us be bus master and we are awake. */
void vfu_update_dma(struct vfu_server *vfu);

#endif
