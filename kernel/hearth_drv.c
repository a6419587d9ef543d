// SPDX-License-Identifier: GPL-2.0
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/hearth_accel.h>

#include "hearth_bind.h"
#include "hearth_compat.h"
#include "hearth_device.h"
#include "hearth_fault.h"
#include "hearth_fdinfo.h"
#include "hearth_fw.h"
#include "hearth_gem.h"
#include "hearth_job.h"
#include "hearth_pci.h"
#include "hearth_prime.h"
#include "hearth_queue.h"
#include "hearth_store.h"
#include "hearth_sync.h"
#include "hearth_vm.h"

static void hearth_query_npu_info(struct hearth_device *hdev, struct drm_hearth_npu_info *info)
{
	const struct hearth_caps *caps = &hdev->caps;

	info->ops = caps->ops;
	info->types = caps->types;
	info->sram_bytes = caps->sram_bytes;
	info->contract = caps->contract;
	info->fw_version = hdev->fw->version;
	info->slots = caps->slots;
	info->freq_mhz = caps->freq_mhz;
}

static void hearth_query_limits(struct hearth_device *hdev, struct drm_file *file,
				struct drm_hearth_limits *limits)
{
	limits->va_start = HEARTH_VA_START;
	limits->va_end = hearth_vm_end(hdev);
	limits->page_sizes = hdev->caps.page_sizes;
	limits->max_bo_bytes = hearth_gem_max_bytes(hdev);
	limits->max_stream_bytes = HEARTH_MAX_STREAM;
	limits->max_jobs = HEARTH_MAX_JOBS;
	limits->max_syncs = HEARTH_MAX_SYNCS;
	limits->max_binds = HEARTH_MAX_BINDS;
	limits->max_queues = HEARTH_MAX_QUEUES;
	limits->max_vms = HEARTH_MAX_VMS;
	limits->priorities = hearth_queue_priorities(hdev, file);
	limits->extent_bytes = HEARTH_EXTENT_BYTES;
	limits->max_models = HEARTH_MAX_MODELS;
	limits->max_model_bos = HEARTH_MAX_MODEL_BOS;
}

/* Gives as much as the caller knows; what we do not know is zero. */
static int hearth_query_copy(struct drm_hearth_dev_query *args, const void *src, u32 size)
{
	void __user *dst = u64_to_user_ptr(args->pointer);
	u32 known = min(args->size, size);

	if (!args->pointer) {
		args->size = size;
		return 0;
	}
	if (copy_to_user(dst, src, known) || clear_user(dst + known, args->size - known))
		return -EFAULT;
	args->size = known;
	return 0;
}

static int hearth_ioctl_dev_query(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct hearth_device *hdev = to_hearth_device(drm);
	struct drm_hearth_dev_query *args = data;
	struct drm_hearth_npu_info info = { };
	struct drm_hearth_limits limits = { };
	struct drm_hearth_memory memory = { };

	if (args->pointer && args->size > PAGE_SIZE)
		return -E2BIG;

	switch (args->type) {
	case DRM_HEARTH_DEV_QUERY_NPU_INFO:
		hearth_query_npu_info(hdev, &info);
		return hearth_query_copy(args, &info, sizeof(info));
	case DRM_HEARTH_DEV_QUERY_LIMITS:
		hearth_query_limits(hdev, file, &limits);
		return hearth_query_copy(args, &limits, sizeof(limits));
	case DRM_HEARTH_DEV_QUERY_MEMORY:
		hearth_query_memory(hdev, to_hearth_file(file)->account, &memory);
		return hearth_query_copy(args, &memory, sizeof(memory));
	default:
		return -EINVAL;
	}
}

static int hearth_open(struct drm_device *drm, struct drm_file *file)
{
	struct hearth_device *hdev = to_hearth_device(drm);
	struct hearth_file *hfile;

	hfile = kzalloc(sizeof(*hfile), GFP_KERNEL);
	if (!hfile)
		return -ENOMEM;
	hfile->account = hearth_account_get(&hdev->budget, current_euid());
	hfile->client = hearth_client_alloc();
	if (!hfile->account || !hfile->client)
		goto err_free;
	hfile->hdev = hdev;
	xa_init_flags(&hfile->models, XA_FLAGS_ALLOC1);
	xa_init_flags(&hfile->queues, XA_FLAGS_ALLOC1);
	hearth_vm_file_open(hfile);
	file->driver_priv = hfile;
	atomic_inc(&hdev->count.files);
	return 0;

err_free:
	hearth_client_put(hfile->client);
	if (hfile->account)
		hearth_account_put(hfile->account);
	kfree(hfile);
	return -ENOMEM;
}

static void hearth_postclose(struct drm_device *drm, struct drm_file *file)
{
	struct hearth_file *hfile = to_hearth_file(file);

	hearth_queue_file_close(hfile);
	hearth_vm_file_close(hfile);
	hearth_model_file_close(hfile);
	hearth_account_put(hfile->account);
	hearth_client_put(hfile->client);
	atomic_dec(&hfile->hdev->count.files);
	kfree(hfile);
}

#define HEARTH_IOCTL(id, func) \
	DRM_IOCTL_DEF_DRV(HEARTH_ ## id, hearth_ioctl_ ## func, DRM_RENDER_ALLOW)

static const struct drm_ioctl_desc hearth_ioctls[] = {
	HEARTH_IOCTL(DEV_QUERY, dev_query),
	HEARTH_IOCTL(VM_CREATE, vm_create),
	HEARTH_IOCTL(VM_DESTROY, vm_destroy),
	HEARTH_IOCTL(VM_BIND, vm_bind),
	HEARTH_IOCTL(VM_GET_STATE, vm_get_state),
	HEARTH_IOCTL(BO_CREATE, bo_create),
	HEARTH_IOCTL(BO_MMAP_OFFSET, bo_mmap_offset),
	HEARTH_IOCTL(QUEUE_CREATE, queue_create),
	HEARTH_IOCTL(QUEUE_DESTROY, queue_destroy),
	HEARTH_IOCTL(SUBMIT, submit),
	HEARTH_IOCTL(QUERY_FAULT, query_fault),
	HEARTH_IOCTL(BO_CREATE_FILE, bo_create_file),
	HEARTH_IOCTL(BO_RESIZE, bo_resize),
	HEARTH_IOCTL(BO_ADVISE, bo_advise),
	HEARTH_IOCTL(MODEL_CREATE, model_create),
	HEARTH_IOCTL(MODEL_DESTROY, model_destroy),
	HEARTH_IOCTL(MODEL_SET, model_set),
	HEARTH_IOCTL(MODEL_GET, model_get),
	HEARTH_IOCTL(MODEL_EVENTS, model_events),
	HEARTH_IOCTL(MODEL_DROP, model_drop),
	HEARTH_IOCTL(MODEL_LIST, model_list),
	HEARTH_IOCTL(ADMIT, admit),
	HEARTH_IOCTL(RESERVE, reserve),
};

/*
 * drm_ioctl() passes over what a newer caller's struct has behind ours. If it
 * is not zero it asks for something that we would not do.
 */
static int hearth_check_excess(unsigned int cmd, unsigned long arg)
{
	unsigned int nr = DRM_IOCTL_NR(cmd);
	size_t known;
	int ret;

	if (_IOC_TYPE(cmd) != DRM_IOCTL_BASE || nr < DRM_COMMAND_BASE ||
	    nr - DRM_COMMAND_BASE >= ARRAY_SIZE(hearth_ioctls))
		return 0;

	known = _IOC_SIZE(hearth_ioctls[nr - DRM_COMMAND_BASE].cmd);
	if (_IOC_SIZE(cmd) <= known)
		return 0;

	ret = check_zeroed_user((void __user *)arg + known, _IOC_SIZE(cmd) - known);
	if (ret < 0)
		return ret;
	return ret ? 0 : -E2BIG;
}

static long hearth_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	int ret = hearth_check_excess(cmd, arg);

	return ret ?: drm_ioctl(filp, cmd, arg);
}

#ifdef CONFIG_COMPAT
static long hearth_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	int ret = hearth_check_excess(cmd, (unsigned long)compat_ptr(arg));

	return ret ?: drm_compat_ioctl(filp, cmd, arg);
}
#else
#define hearth_compat_ioctl NULL
#endif

/* Where there is no accel subsystem, a render node does as well. */
#if IS_ENABLED(CONFIG_DRM_ACCEL)
#define HEARTH_DRIVER_NODE	DRIVER_COMPUTE_ACCEL
#define HEARTH_OPEN		accel_open
#else
#define HEARTH_DRIVER_NODE	DRIVER_RENDER
#define HEARTH_OPEN		drm_open
#endif

static const struct file_operations hearth_fops = {
	.owner = THIS_MODULE,
	.open = HEARTH_OPEN,
	.release = drm_release,
	.unlocked_ioctl = hearth_ioctl,
	.compat_ioctl = hearth_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

/*
 * Interface of the driver:
 *
 * - 1.0: DEV_QUERY, VM_*, BO_*, QUEUE_*, SUBMIT, QUERY_FAULT
 * - 1.1: BO_CREATE_FILE, BO_RESIZE, BO_ADVISE, MODEL_*, ADMIT, RESERVE
 */
static const struct drm_driver hearth_driver = {
	.driver_features = HEARTH_DRIVER_NODE | DRIVER_GEM | HEARTH_DRIVER_GEM_GPUVA |
			   DRIVER_SYNCOBJ | DRIVER_SYNCOBJ_TIMELINE,
	.open = hearth_open,
	.postclose = hearth_postclose,
	.ioctls = hearth_ioctls,
	.num_ioctls = ARRAY_SIZE(hearth_ioctls),
	.fops = &hearth_fops,
	.show_fdinfo = hearth_show_fdinfo,
	.gem_prime_import = hearth_gem_prime_import,
	.name = "hearth",
	.desc = "Hearth NPU",
	.major = 1,
	.minor = 1,
};

struct hearth_device *hearth_device_alloc(struct device *dev)
{
	struct hearth_device *hdev;

	hdev = devm_drm_dev_alloc(dev, &hearth_driver, struct hearth_device, base);
	if (!IS_ERR(hdev))
		dev_set_drvdata(dev, hdev);
	return hdev;
}

static int __init hearth_init(void)
{
	int ret;

	ret = hearth_mm_module_init();
	if (ret)
		return ret;
	ret = pci_register_driver(&hearth_pci_driver);
	if (ret)
		hearth_mm_module_exit();
	return ret;
}

static void __exit hearth_exit(void)
{
	pci_unregister_driver(&hearth_pci_driver);
	hearth_mm_module_exit();
}

module_init(hearth_init);
module_exit(hearth_exit);

MODULE_DESCRIPTION("Hearth NPU");
MODULE_LICENSE("GPL");
/* MODULE_IMPORT_NS() takes a name in some kernels and a string in others. */
MODULE_INFO(import_ns, "DMA_BUF");
