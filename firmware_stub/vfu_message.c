// SPDX-License-Identifier: MIT
/* The commands of a vfio-user client. Every length and index is hostile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "vfu_message.h"

#define MAX_VERSION_JSON	4096

static int reply(struct vfu_server *vfu, const void *head, size_t head_bytes,
		 const void *data, size_t data_bytes)
{
	const struct vfu_header *cmd = &vfu->conn.hdr;
	struct vfu_header hdr = {
		.id = cmd->id,
		.command = cmd->command,
		.flags = VFU_TYPE_REPLY,
	};

	if (cmd->flags & VFU_FLAG_NO_REPLY)
		return 0;
	return vfu_conn_send(&vfu->conn, &hdr, head, head_bytes, data, data_bytes);
}

/* A command is refused: that is an answer, not the end of the connection. */
static int refuse(struct vfu_server *vfu, int error)
{
	const struct vfu_header *cmd = &vfu->conn.hdr;
	struct vfu_header hdr = {
		.id = cmd->id,
		.command = cmd->command,
		.flags = VFU_TYPE_REPLY | VFU_FLAG_ERROR,
		.error = -error,
	};

	vfu->refused++;
	if (vfu->verbose)
		fprintf(stderr, "vfio-user: command %u of %u bytes refused: %s\n",
			cmd->command, cmd->size, strerror(-error));
	if (cmd->flags & VFU_FLAG_NO_REPLY)
		return 0;
	return vfu_conn_send(&vfu->conn, &hdr, NULL, 0, NULL, 0);
}

static double json_number(const cJSON *caps, const char *name, double otherwise)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(caps, name);

	return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

/* What the client takes of us. Without JSON the specification's defaults hold. */
static int parse_client(struct vfu_server *vfu, const uint8_t *text, size_t bytes)
{
	double xfer = VFU_MAX_XFER;
	cJSON *json;

	if (!bytes)
		return 0;
	if (bytes > MAX_VERSION_JSON || text[bytes - 1])
		return -EINVAL;
	json = cJSON_Parse((const char *)text);
	if (!cJSON_IsObject(json)) {
		cJSON_Delete(json);
		return -EINVAL;
	}
	xfer = json_number(cJSON_GetObjectItemCaseSensitive(json, "capabilities"),
			   "max_data_xfer_size", xfer);
	cJSON_Delete(json);
	if (!(xfer >= 8))
		return -EINVAL;
	vfu->dma.max_xfer = xfer < VFU_MAX_XFER ? xfer : VFU_MAX_XFER;
	return 0;
}

static char *describe_server(void)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *caps = cJSON_AddObjectToObject(json, "capabilities");
	char *text;

	cJSON_AddNumberToObject(caps, "max_msg_fds", VFU_MAX_FDS);
	cJSON_AddNumberToObject(caps, "max_data_xfer_size", VFU_MAX_XFER);
	cJSON_AddNumberToObject(caps, "max_dma_maps", VFU_MAX_MAPS);
	cJSON_AddNumberToObject(caps, "pgsizes", 4096);
	cJSON_AddBoolToObject(caps, "write_multiple", true);
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	return text;
}

static int handle_version(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_version version;
	char *text;
	int ret;

	if (bytes < sizeof(version) || vfu->versioned)
		return refuse(vfu, -EINVAL);
	memcpy(&version, body, sizeof(version));
	if (version.major)
		return refuse(vfu, -ENOTSUP);
	ret = parse_client(vfu, body + sizeof(version), bytes - sizeof(version));
	if (ret)
		return refuse(vfu, ret);
	version.minor = 0;
	text = describe_server();
	if (!text)
		return refuse(vfu, -ENOMEM);
	vfu->versioned = true;
	ret = reply(vfu, &version, sizeof(version), text, strlen(text) + 1);
	free(text);
	return ret;
}

static int handle_dma_map(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_conn *conn = &vfu->conn;
	struct vfu_msg_dma_map req;
	int ret;

	if (bytes != sizeof(req) || conn->num_fds > 1)
		return refuse(vfu, -EINVAL);
	memcpy(&req, body, sizeof(req));
	ret = vfu_dma_map(&vfu->dma, &req, conn->num_fds ? conn->fds[0] : -1);
	return ret ? refuse(vfu, ret) : reply(vfu, NULL, 0, NULL, 0);
}

/*
 * The specification wants an exact match. A client with a virtual IOMMU
 * unmaps ranges that cover many maps or none, as VFIO's own containers allow.
 */
static int handle_dma_unmap(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_msg_dma_unmap req;

	if (bytes < sizeof(req))
		return refuse(vfu, -EINVAL);
	memcpy(&req, body, sizeof(req));
	if (req.flags & ~(uint32_t)VFIO_DMA_UNMAP_FLAG_ALL)
		return refuse(vfu, -EINVAL);
	if (req.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (req.address || req.size)
			return refuse(vfu, -EINVAL);
		vfu_dma_unmap_all(&vfu->dma);
	} else {
		if (!req.size || req.address + (req.size - 1) < req.address)
			return refuse(vfu, -EINVAL);
		vfu_dma_unmap(&vfu->dma, req.address, req.size);
	}
	return reply(vfu, &req, sizeof(req), NULL, 0);
}

static int handle_info(struct vfu_server *vfu, size_t bytes)
{
	struct { uint32_t argsz, flags, num_regions, num_irqs; } info = {
		.argsz = sizeof(info),
		.flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI,
		.num_regions = VFIO_PCI_NUM_REGIONS,
		.num_irqs = VFIO_PCI_NUM_IRQS,
	};

	if (bytes < sizeof(info))
		return refuse(vfu, -EINVAL);
	return reply(vfu, &info, sizeof(info), NULL, 0);
}

static int handle_region_info(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfio_region_info info;

	if (bytes < sizeof(info))
		return refuse(vfu, -EINVAL);
	memcpy(&info, body, sizeof(info));
	if (info.index >= VFIO_PCI_NUM_REGIONS)
		return refuse(vfu, -EINVAL);
	info.argsz = sizeof(info);
	info.cap_offset = 0;
	info.offset = 0;
	info.size = vfu->region_bytes[info.index];
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	return reply(vfu, &info, sizeof(info), NULL, 0);
}

static int handle_irq_info(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfio_irq_info info;

	if (bytes < sizeof(info))
		return refuse(vfu, -EINVAL);
	memcpy(&info, body, sizeof(info));
	if (info.index >= VFIO_PCI_NUM_IRQS)
		return refuse(vfu, -EINVAL);
	info.argsz = sizeof(info);
	info.count = vfu_irq_count(&vfu->irqs, info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
	return reply(vfu, &info, sizeof(info), NULL, 0);
}

static int handle_set_irqs(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	int ret = vfu_irq_set(&vfu->irqs, body, bytes, vfu->conn.fds, vfu->conn.num_fds);

	return ret ? refuse(vfu, ret) : reply(vfu, NULL, 0, NULL, 0);
}

static bool removed(struct vfu_server *vfu)
{
	return vfu->ops->removed && vfu->ops->removed(vfu->device);
}

static bool is_access(const struct vfu_server *vfu, const struct vfu_msg_region *at)
{
	uint64_t size;

	if (at->region >= VFIO_PCI_NUM_REGIONS || !at->count)
		return false;
	size = vfu->region_bytes[at->region];
	if (at->offset > size || at->count > size - at->offset)
		return false;
	if (at->region == VFIO_PCI_CONFIG_REGION_INDEX)
		return true;
	return at->count <= 8 && !(at->count & (at->count - 1));
}

static int handle_read(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_msg_region at;
	uint64_t value = ~0ull;
	uint8_t ones[VFU_PCI_CONFIG_BYTES];

	if (bytes != sizeof(at))
		return refuse(vfu, -EINVAL);
	memcpy(&at, body, sizeof(at));
	if (!is_access(vfu, &at))
		return refuse(vfu, -EINVAL);
	if (removed(vfu)) {
		memset(ones, 0xff, at.count);
		return reply(vfu, &at, sizeof(at), ones, at.count);
	}
	if (at.region == VFIO_PCI_CONFIG_REGION_INDEX)
		return reply(vfu, &at, sizeof(at), vfu->pci.config + at.offset, at.count);
	if (!vfu_pci_asleep(&vfu->pci))
		value = vfu->ops->read(vfu->device, at.region, at.offset, at.count);
	return reply(vfu, &at, sizeof(at), &value, at.count);
}

static void write_config(struct vfu_server *vfu, const struct vfu_msg_region *at,
			 const uint8_t *data)
{
	unsigned int effects = vfu_pci_write(&vfu->pci, at->offset, data, at->count);

	if (effects & VFU_PCI_FLR)
		vfu_reset_device(vfu, VFU_RESET_FLR);
	else if (effects & VFU_PCI_WAKE)
		vfu_reset_device(vfu, VFU_RESET_WAKE);
	else if (effects & VFU_PCI_SLEEP)
		vfu_reset_device(vfu, VFU_RESET_SLEEP);
	else if (effects & VFU_PCI_COMMAND)
		vfu_update_dma(vfu);
}

static void do_write(struct vfu_server *vfu, const struct vfu_msg_region *at,
		     const uint8_t *data)
{
	uint64_t value = 0;

	if (removed(vfu))
		return;
	if (at->region == VFIO_PCI_CONFIG_REGION_INDEX) {
		write_config(vfu, at, data);
	} else if (!vfu_pci_asleep(&vfu->pci)) {
		memcpy(&value, data, at->count);
		vfu->ops->write(vfu->device, at->region, at->offset, at->count, value);
	}
}

static int handle_write(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_msg_region at;
	int ret;

	if (bytes < sizeof(at))
		return refuse(vfu, -EINVAL);
	memcpy(&at, body, sizeof(at));
	if (!is_access(vfu, &at) || bytes - sizeof(at) != at.count)
		return refuse(vfu, -EINVAL);
	ret = reply(vfu, &at, sizeof(at), NULL, 0);
	do_write(vfu, &at, body + sizeof(at));
	return ret;
}

static int handle_write_multi(struct vfu_server *vfu, const uint8_t *body, size_t bytes)
{
	struct vfu_msg_write_multi w;
	uint64_t count;
	int ret;

	if (bytes < sizeof(count))
		return refuse(vfu, -EINVAL);
	memcpy(&count, body, sizeof(count));
	bytes -= sizeof(count);
	if (bytes % sizeof(w) || count != bytes / sizeof(w))
		return refuse(vfu, -EINVAL);
	for (uint64_t i = 0; i < count; i++) {
		memcpy(&w, body + sizeof(count) + i * sizeof(w), sizeof(w));
		if (!is_access(vfu, &w.at) || w.at.count > sizeof(w.data))
			return refuse(vfu, -EINVAL);
	}
	ret = reply(vfu, &count, sizeof(count), NULL, 0);
	for (uint64_t i = 0; i < count; i++) {
		memcpy(&w, body + sizeof(count) + i * sizeof(w), sizeof(w));
		do_write(vfu, &w.at, w.data);
	}
	return ret;
}

static int handle_reset(struct vfu_server *vfu)
{
	vfu_reset_device(vfu, VFU_RESET_MESSAGE);
	return reply(vfu, NULL, 0, NULL, 0);
}

int vfu_handle(struct vfu_server *vfu)
{
	const struct vfu_conn *conn = &vfu->conn;
	const uint8_t *body = conn->body;
	size_t bytes = conn->body_bytes;

	if (conn->error)
		return refuse(vfu, conn->error);
	if ((conn->hdr.flags & VFU_FLAG_TYPE) != VFU_TYPE_COMMAND)
		return refuse(vfu, -EINVAL);
	if (!vfu->versioned && conn->hdr.command != VFU_CMD_VERSION)
		return refuse(vfu, -EPROTO);
	switch (conn->hdr.command) {
	case VFU_CMD_VERSION:
		return handle_version(vfu, body, bytes);
	case VFU_CMD_DMA_MAP:
		return handle_dma_map(vfu, body, bytes);
	case VFU_CMD_DMA_UNMAP:
		return handle_dma_unmap(vfu, body, bytes);
	case VFU_CMD_GET_INFO:
		return handle_info(vfu, bytes);
	case VFU_CMD_GET_REGION_INFO:
		return handle_region_info(vfu, body, bytes);
	case VFU_CMD_GET_IRQ_INFO:
		return handle_irq_info(vfu, body, bytes);
	case VFU_CMD_SET_IRQS:
		return handle_set_irqs(vfu, body, bytes);
	case VFU_CMD_REGION_READ:
		return handle_read(vfu, body, bytes);
	case VFU_CMD_REGION_WRITE:
		return handle_write(vfu, body, bytes);
	case VFU_CMD_REGION_WRITE_MULTI:
		return handle_write_multi(vfu, body, bytes);
	case VFU_CMD_RESET:
		return handle_reset(vfu);
	default:
		return refuse(vfu, -ENOTSUP);
	}
}
