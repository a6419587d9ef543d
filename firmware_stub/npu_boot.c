// SPDX-License-Identifier: MIT
/* Boot: check the image, then the arguments, then what they point to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "npu.h"

#define PAGE	4096u

static int load_image(struct npu *npu, uint64_t addr, uint32_t bytes, uint8_t **image)
{
	if (bytes < sizeof(struct hearth_fw_header) || bytes > NPU_MAX_IMAGE)
		return HEARTH_BOOT_BAD_IMAGE;
	*image = malloc(bytes);
	if (!*image)
		return HEARTH_BOOT_BUS;
	if (vfu_dma_read(&npu->vfu.dma, addr, *image, bytes, NULL))
		return HEARTH_BOOT_BUS;
	return HEARTH_BOOT_OK;
}

static int check_image(const uint8_t *image, uint32_t bytes, uint32_t *version)
{
	struct hearth_fw_header h;

	memcpy(&h, image, sizeof(h));
	if (h.magic != HEARTH_FW_MAGIC || h.header_bytes < sizeof(h) ||
	    h.image_bytes > bytes || h.header_bytes > h.image_bytes ||
	    h.reserved[0] || h.reserved[1])
		return HEARTH_BOOT_BAD_IMAGE;
	if (crc32(image + h.header_bytes, h.image_bytes - h.header_bytes) != h.crc32)
		return HEARTH_BOOT_BAD_IMAGE;
	if (h.contract >> 16 != HEARTH_CONTRACT_MAJOR)
		return HEARTH_BOOT_BAD_CONTRACT;
	*version = h.version;
	return HEARTH_BOOT_OK;
}

static bool is_ring(uint64_t addr, uint32_t entries)
{
	return !(addr % PAGE) && entries >= HEARTH_RING_MIN_ENTRIES &&
	       entries <= HEARTH_RING_MAX_ENTRIES && !(entries & (entries - 1));
}

static int check_args(const struct hearth_hw_boot_args *a, struct npu_host *host)
{
	if (a->magic != HEARTH_BOOT_MAGIC || a->bytes < sizeof(*a) ||
	    a->contract >> 16 != HEARTH_CONTRACT_MAJOR || a->reserved)
		return HEARTH_BOOT_BAD_ARGS;
	if (!a->host_page || !a->fw_page || a->host_page % PAGE || a->fw_page % PAGE ||
	    !is_ring(a->admin_ring, a->admin_entries) ||
	    !is_ring(a->event_ring, a->event_entries))
		return HEARTH_BOOT_BAD_ARGS;
	*host = (struct npu_host) {
		.host_page = a->host_page,
		.fw_page = a->fw_page,
		.admin_ring = a->admin_ring,
		.event_ring = a->event_ring,
		.admin_entries = a->admin_entries,
		.event_entries = a->event_entries,
	};
	return HEARTH_BOOT_OK;
}

/* Can @bytes be read, and written if @write? What is there stays. */
static bool reachable(struct vfu_dma *dma, uint64_t addr, uint64_t bytes, bool write)
{
	uint8_t page[PAGE];

	for (uint64_t done = 0; done < bytes; done += PAGE) {
		uint64_t n = bytes - done < PAGE ? bytes - done : PAGE;

		if (vfu_dma_read(dma, addr + done, page, n, NULL))
			return false;
		if (write && vfu_dma_write(dma, addr + done, page, n, NULL))
			return false;
	}
	return true;
}

static int check_memory(struct npu *npu, const struct npu_host *h)
{
	static const struct hearth_hw_fw_page empty;
	struct vfu_dma *dma = &npu->vfu.dma;
	struct hearth_hw_host_page page;

	_Static_assert(sizeof(page) <= PAGE && sizeof(empty) <= PAGE, "one page each");
	if (vfu_dma_read(dma, h->host_page, &page, sizeof(page), NULL) ||
	    !reachable(dma, h->admin_ring,
		       h->admin_entries * sizeof(struct hearth_hw_admin), false) ||
	    !reachable(dma, h->event_ring,
		       h->event_entries * sizeof(struct hearth_hw_event), true))
		return HEARTH_BOOT_BUS;
	if (page.admin_insert || page.event_extract)
		return HEARTH_BOOT_BAD_ARGS;
	if (vfu_dma_write(dma, h->fw_page, &empty, sizeof(empty), NULL))
		return HEARTH_BOOT_BUS;
	return HEARTH_BOOT_OK;
}

static int read_args(struct npu *npu, uint64_t addr, struct npu_host *host)
{
	struct hearth_hw_boot_args args;
	int ret;

	if (addr % 8)
		return HEARTH_BOOT_BAD_ARGS;
	if (vfu_dma_read(&npu->vfu.dma, addr, &args, sizeof(args), NULL))
		return HEARTH_BOOT_BUS;
	ret = check_args(&args, host);
	return ret ? ret : check_memory(npu, host);
}

static int hang(struct npu *npu)
{
	pthread_mutex_lock(&npu->lock);
	while (!npu->resetting)
		pthread_cond_wait(&npu->fw_wake, &npu->lock);
	pthread_mutex_unlock(&npu->lock);
	return -ECANCELED;
}

/* The outcome is the host's to see, unless a reset came in between. */
static int accept(struct npu *npu, const struct npu_host *host, uint32_t version)
{
	int ret = HEARTH_BOOT_OK;

	pthread_mutex_lock(&npu->lock);
	if (npu->resetting) {
		ret = -ECANCELED;
	} else {
		npu->host = *host;
		npu->regs.fw_version = version;
	}
	pthread_mutex_unlock(&npu->lock);
	return ret;
}

int npu_boot(struct npu *npu)
{
	struct npu_host host = { 0 };
	struct npu_regs regs;
	uint8_t *image = NULL;
	uint32_t version = 0;
	int ret;

	pthread_mutex_lock(&npu->lock);
	regs = npu->regs;
	pthread_mutex_unlock(&npu->lock);
	if (npu_inject_take(&npu->inject, NPU_INJECT_BOOT_HANG, NPU_ANY_SLOT))
		return hang(npu);
	if (npu_inject_take(&npu->inject, NPU_INJECT_BOOT_FAIL, NPU_ANY_SLOT))
		return HEARTH_BOOT_BAD_IMAGE;
	if (npu_inject_take(&npu->inject, NPU_INJECT_FW_VERSION, NPU_ANY_SLOT))
		return HEARTH_BOOT_BAD_CONTRACT;
	ret = load_image(npu, regs.fw_addr, regs.fw_size, &image);
	if (!ret)
		ret = check_image(image, regs.fw_size, &version);
	free(image);
	if (!ret)
		ret = read_args(npu, regs.boot_args, &host);
	return ret ? ret : accept(npu, &host, version);
}
