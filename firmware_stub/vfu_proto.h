/* SPDX-License-Identifier: MIT */
/*
 * What travels on a vfio-user socket. The specification is QEMU's
 * docs/interop/vfio-user.rst; where a message carries one of VFIO's own
 * structs, <linux/vfio.h> has it. Everything is in the host's byte order.
 */
#ifndef HEARTH_VFU_PROTO_H
#define HEARTH_VFU_PROTO_H

#include <stdint.h>

enum vfu_command {
	VFU_CMD_VERSION = 1,
	VFU_CMD_DMA_MAP = 2,
	VFU_CMD_DMA_UNMAP = 3,
	VFU_CMD_GET_INFO = 4,
	VFU_CMD_GET_REGION_INFO = 5,
	VFU_CMD_GET_REGION_IO_FDS = 6,
	VFU_CMD_GET_IRQ_INFO = 7,
	VFU_CMD_SET_IRQS = 8,
	VFU_CMD_REGION_READ = 9,
	VFU_CMD_REGION_WRITE = 10,
	VFU_CMD_DMA_READ = 11,		/* server to client */
	VFU_CMD_DMA_WRITE = 12,		/* server to client */
	VFU_CMD_RESET = 13,
	VFU_CMD_REGION_WRITE_MULTI = 15,
	VFU_CMD_FEATURE = 16,
};

#define VFU_FLAG_TYPE		0xf
#define   VFU_TYPE_COMMAND	0
#define   VFU_TYPE_REPLY	1
#define VFU_FLAG_NO_REPLY	(1u << 4)
#define VFU_FLAG_ERROR		(1u << 5)

struct vfu_header {
	uint16_t id;
	uint16_t command;
	uint32_t size;		/* of the message, this header included */
	uint32_t flags;
	uint32_t error;		/* an errno, if VFU_FLAG_ERROR */
};

struct vfu_version {
	uint16_t major;
	uint16_t minor;
	/* JSON follows, with its NUL */
};

struct vfu_msg_dma_map {
	uint32_t argsz;
	uint32_t flags;		/* VFIO_DMA_MAP_FLAG_READ, _WRITE */
	uint64_t offset;	/* in the file that came with the message */
	uint64_t address;
	uint64_t size;
};

struct vfu_msg_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t size;
};

struct vfu_msg_region {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	/* data follows, in a write and in the reply to a read */
};

struct vfu_msg_write_multi {
	struct vfu_msg_region at;
	uint8_t data[8];
};

struct vfu_msg_dma {
	uint64_t address;
	uint64_t count;
	/* data follows, in a write and in the reply to a read */
};

/* Limits that this server announces */
#define VFU_MAX_FDS		8
#define VFU_MAX_XFER		(1u << 20)
#define VFU_MAX_MAPS		65535
#define VFU_MAX_MESSAGE		(VFU_MAX_XFER + 4096)

_Static_assert(sizeof(struct vfu_header) == 16, "wire format");
_Static_assert(sizeof(struct vfu_msg_dma_map) == 32, "wire format");
_Static_assert(sizeof(struct vfu_msg_dma_unmap) == 24, "wire format");
_Static_assert(sizeof(struct vfu_msg_region) == 16, "wire format");
_Static_assert(sizeof(struct vfu_msg_write_multi) == 24, "wire format");
_Static_assert(sizeof(struct vfu_msg_dma) == 16, "wire format");

#endif
