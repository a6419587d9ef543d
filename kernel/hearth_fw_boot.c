// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/firmware.h>
#include <linux/iopoll.h>
#include <linux/module.h>

#include <drm/drm_managed.h>
#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fw_priv.h"

#define HEARTH_BOOT_ATTEMPTS	3
/* A reset waits for the commands under way; the contract allows it a second. */
#define HEARTH_RESET_TIMEOUT_US	(2 * USEC_PER_SEC)
#define HEARTH_POLL_US		200

static unsigned int boot_timeout_ms = 5000;
module_param(boot_timeout_ms, uint, 0444);
MODULE_PARM_DESC(boot_timeout_ms, "Longest boot of the firmware (default 5000)");

MODULE_FIRMWARE(HEARTH_FW_PATH);

static int hearth_fw_check_contract(struct hearth_device *hdev, u32 contract)
{
	if (contract >> 16 == HEARTH_CONTRACT_MAJOR)
		return 0;

	drm_err(&hdev->base,
		"firmware speaks contract %u.%u, driver %u.%u: install a matching %s\n",
		contract >> 16, contract & 0xffff, HEARTH_CONTRACT_MAJOR,
		HEARTH_CONTRACT_MINOR, HEARTH_FW_PATH);
	return -EPROTO;
}

/* The file may be anything; the device checks the rest of it. */
static int hearth_fw_check_image(struct hearth_device *hdev, const struct firmware *blob)
{
	const struct hearth_fw_header *h = (const void *)blob->data;

	if (blob->size < sizeof(*h) || le32_to_cpu(h->magic) != HEARTH_FW_MAGIC) {
		drm_err(&hdev->base, "%s: not a firmware of this device\n", HEARTH_FW_PATH);
		return -EINVAL;
	}
	if (le32_to_cpu(h->header_bytes) < sizeof(*h) ||
	    le32_to_cpu(h->header_bytes) > blob->size ||
	    le32_to_cpu(h->image_bytes) != blob->size) {
		drm_err(&hdev->base, "%s: %zu bytes, its header says %u with a header of %u\n",
			HEARTH_FW_PATH, blob->size, le32_to_cpu(h->image_bytes),
			le32_to_cpu(h->header_bytes));
		return -EINVAL;
	}
	return hearth_fw_check_contract(hdev, le32_to_cpu(h->contract));
}

static int hearth_fw_load_image(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev;
	struct hearth_fw *fw = hdev->fw;
	const struct firmware *blob;
	int ret;

	ret = request_firmware(&blob, HEARTH_FW_PATH, dev);
	if (ret)
		return dev_err_probe(dev, ret, "no firmware %s\n", HEARTH_FW_PATH);

	ret = hearth_fw_check_image(hdev, blob);
	if (ret)
		goto out_release;

	fw->image_bytes = blob->size;
	fw->image = dmam_alloc_coherent(dev, fw->image_bytes, &fw->image_dma, GFP_KERNEL);
	if (!fw->image)
		ret = -ENOMEM;
	else
		memcpy(fw->image, blob->data, fw->image_bytes);

out_release:
	release_firmware(blob);
	return ret;
}

static int hearth_fw_alloc_shared(struct hearth_device *hdev)
{
	struct device *dev = hdev->base.dev;
	struct hearth_fw *fw = hdev->fw;

	fw->args = dmam_alloc_coherent(dev, sizeof(*fw->args), &fw->args_dma, GFP_KERNEL);
	fw->host = dmam_alloc_coherent(dev, sizeof(*fw->host), &fw->host_dma, GFP_KERNEL);
	fw->page = dmam_alloc_coherent(dev, sizeof(*fw->page), &fw->page_dma, GFP_KERNEL);
	fw->admin_ring = dmam_alloc_coherent(dev, HEARTH_ADMIN_BYTES, &fw->admin_dma,
					     GFP_KERNEL);
	fw->event_ring = dmam_alloc_coherent(dev, HEARTH_EVENT_BYTES, &fw->event_dma,
					     GFP_KERNEL);
	if (!fw->args || !fw->host || !fw->page || !fw->admin_ring || !fw->event_ring)
		return -ENOMEM;
	return 0;
}

int hearth_fw_init(struct hearth_device *hdev)
{
	struct hearth_fw *fw;
	int ret;

	fw = drmm_kzalloc(&hdev->base, sizeof(*fw), GFP_KERNEL);
	if (!fw)
		return -ENOMEM;
	spin_lock_init(&fw->lock);
	INIT_LIST_HEAD(&fw->calls);
	init_waitqueue_head(&fw->wait);
	ret = drmm_mutex_init(&hdev->base, &fw->event_lock);
	if (ret)
		return ret;
	fw->contexts = drmm_kcalloc(&hdev->base, BITS_TO_LONGS(hdev->caps.contexts),
				    sizeof(long), GFP_KERNEL);
	if (!fw->contexts)
		return -ENOMEM;
	hdev->fw = fw;

	ret = hearth_fw_alloc_shared(hdev);
	if (ret)
		return ret;
	return hearth_fw_load_image(hdev);
}

/* Rings and indices start anew with each boot. */
static void hearth_fw_prepare_shared(struct hearth_fw *fw)
{
	struct hearth_hw_boot_args *args = fw->args;

	memset(fw->host, 0, sizeof(*fw->host));
	memset(fw->page, 0, sizeof(*fw->page));
	memset(fw->event_ring, 0, HEARTH_EVENT_BYTES);

	memset(args, 0, sizeof(*args));
	args->magic = cpu_to_le32(HEARTH_BOOT_MAGIC);
	args->bytes = cpu_to_le32(sizeof(*args));
	args->contract = cpu_to_le32(HEARTH_CONTRACT);
	args->host_page = cpu_to_le64(fw->host_dma);
	args->fw_page = cpu_to_le64(fw->page_dma);
	args->admin_ring = cpu_to_le64(fw->admin_dma);
	args->event_ring = cpu_to_le64(fw->event_dma);
	args->admin_entries = cpu_to_le32(HEARTH_ADMIN_ENTRIES);
	args->event_entries = cpu_to_le32(HEARTH_EVENT_ENTRIES);

	fw->hung = false;
	fw->admin_insert = 0;
	fw->event_extract = 0;
	fw->heartbeat = 0;
	fw->heartbeat_at = jiffies;
}

static int hearth_fw_hw_reset(struct hearth_device *hdev)
{
	u32 status;
	int ret;

	hearth_write(hdev, HEARTH_REG_CTRL, HEARTH_CTRL_RESET);
	ret = read_poll_timeout(hearth_read, status,
				status == ~0 ||
				(status & HEARTH_STATUS_STATE_MASK) == HEARTH_STATUS_OFF,
				HEARTH_POLL_US, HEARTH_RESET_TIMEOUT_US, false, hdev,
				HEARTH_REG_STATUS);
	return status == ~0 ? -ENODEV : ret;
}

static int hearth_fw_boot_error(struct hearth_device *hdev)
{
	switch (hearth_read(hdev, HEARTH_REG_BOOT_ERROR)) {
	case HEARTH_BOOT_BAD_IMAGE:
		drm_err(&hdev->base, "boot failed: %s is damaged\n", HEARTH_FW_PATH);
		return -EINVAL;
	case HEARTH_BOOT_BAD_CONTRACT:
		drm_err(&hdev->base,
			"boot failed: the firmware does not speak contract %u.%u: install a matching %s\n",
			HEARTH_CONTRACT_MAJOR, HEARTH_CONTRACT_MINOR, HEARTH_FW_PATH);
		return -EPROTO;
	case HEARTH_BOOT_BAD_ARGS:
		drm_err(&hdev->base, "boot failed: arguments refused\n");
		return -EPROTO;
	case HEARTH_BOOT_BUS:
		drm_err(&hdev->base, "boot failed: the device cannot read memory\n");
		return -EIO;
	default:
		drm_err(&hdev->base, "boot failed\n");
		return -EIO;
	}
}

static int hearth_fw_wait_ready(struct hearth_device *hdev)
{
	u32 status, state;
	int ret;

	ret = read_poll_timeout(hearth_read, status,
				status == ~0 ||
				((status & HEARTH_STATUS_STATE_MASK) != HEARTH_STATUS_BOOTING &&
				 (status & HEARTH_STATUS_STATE_MASK) != HEARTH_STATUS_OFF),
				HEARTH_POLL_US, boot_timeout_ms * USEC_PER_MSEC, false,
				hdev, HEARTH_REG_STATUS);
	if (status == ~0)
		return -ENODEV;
	if (ret) {
		drm_err(&hdev->base, "firmware not ready after %u ms\n", boot_timeout_ms);
		return ret;
	}
	state = status & HEARTH_STATUS_STATE_MASK;
	if (state != HEARTH_STATUS_READY)
		return hearth_fw_boot_error(hdev);
	return 0;
}

static int hearth_fw_boot(struct hearth_device *hdev)
{
	struct hearth_fw *fw = hdev->fw;
	int ret;

	/* A function that did not come back from D3 need not read all ones. */
	if (hearth_read(hdev, HEARTH_REG_ID) != HEARTH_ID)
		return -ENODEV;
	ret = hearth_fw_hw_reset(hdev);
	if (ret)
		return ret;

	hearth_fw_prepare_shared(fw);
	/* From here on it does DMA, and is not to be spoken to yet. */
	hearth_fw_set_state(hdev, HEARTH_FW_STOPPED);
	hearth_fw_set_state(hdev, HEARTH_FW_DEAD);
	hearth_write64(hdev, HEARTH_REG_FW_ADDR_LO, fw->image_dma);
	hearth_write(hdev, HEARTH_REG_FW_SIZE, fw->image_bytes);
	hearth_write64(hdev, HEARTH_REG_BOOT_ARGS_LO, fw->args_dma);
	hearth_write(hdev, HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);

	ret = hearth_fw_wait_ready(hdev);
	if (ret)
		return ret;

	fw->version = hearth_read(hdev, HEARTH_REG_FW_VERSION);
	hearth_fw_set_state(hdev, HEARTH_FW_RUNNING);
	hearth_irq_enable(hdev);
	return 0;
}

void hearth_fw_stop(struct hearth_device *hdev)
{
	lockdep_assert_held(&hdev->reset_lock);

	if (READ_ONCE(hdev->fw->state) == HEARTH_FW_STOPPED)
		return;

	hearth_irq_disable(hdev);
	/* What does not obey must not write to memory that is freed next. */
	if (hearth_fw_hw_reset(hdev) && hdev->bus->isolate)
		hdev->bus->isolate(hdev->base.dev);
	hearth_fw_set_state(hdev, HEARTH_FW_STOPPED);
}

int hearth_fw_start(struct hearth_device *hdev)
{
	int ret = -ENODEV, i;

	lockdep_assert_held(&hdev->reset_lock);

	if (hdev->unplug.started || hdev->wedged)
		return -ENODEV;

	for (i = 0; i < HEARTH_BOOT_ATTEMPTS; i++) {
		ret = hearth_fw_boot(hdev);
		/* Neither a new version nor a new device comes by trying again. */
		if (!ret || ret == -EPROTO || ret == -ENODEV)
			break;
	}
	if (ret)
		hearth_fw_stop(hdev);
	return ret;
}

void hearth_fw_suspend(struct hearth_device *hdev)
{
	struct hearth_hw_admin entry = { .op = cpu_to_le32(HEARTH_ADMIN_SUSPEND) };
	u32 status;
	int ret;

	lockdep_assert_held(&hdev->reset_lock);

	if (READ_ONCE(hdev->fw->state) == HEARTH_FW_STOPPED)
		return;
	ret = hearth_fw_call(hdev, &entry);
	if (!ret)
		ret = read_poll_timeout(hearth_read, status,
					(status & HEARTH_STATUS_STATE_MASK) ==
					HEARTH_STATUS_SUSPENDED,
					HEARTH_POLL_US, HEARTH_RESET_TIMEOUT_US, false,
					hdev, HEARTH_REG_STATUS);
	if (ret) {
		hearth_fw_stop(hdev);
		return;
	}
	hearth_irq_disable(hdev);
	hearth_fw_set_state(hdev, HEARTH_FW_STOPPED);
}
